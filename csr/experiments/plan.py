"""What the stages of an experiment would take, for each way to make them smaller."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from csr.backbone.estimate import Memory, Setup, Sizes, estimate
from csr.backbone.pieces import PieceModel
from csr.backbone.trim import Use
from csr.data.subwords import read_dictionary
from csr.errors import ConfigError
from csr.experiments.commands import cards, precision
from csr.experiments.translation import Config

_PRECISIONS = ((("fp32", False), ("bf16", False), ("bf16", True)), (("fp32", False), ("fp16", False), ("fp16", True)))


@dataclass(frozen=True)
class Plan:
    """One way to train: vocabulary, setup and what it takes.

    Attributes:
        chosen: these are the settings of the experiment.
    """

    vocabulary: str  # full or trimmed
    sizes: Sizes
    setup: Setup
    memory: Memory
    chosen: bool


def plans(config: Config, length: int) -> Iterator[Plan]:
    """Yield the ways to train the stages after the backbone, the batch being the largest that one of them has.

    Args:
        length: pieces of the sentences of that batch.

    Raises:
        DataError: a file of the backbone, the text or the lexicons is missing or damaged.
    """
    stage = max((config.restore, config.finetune), key=lambda training: training.max_tokens)
    _, max_tokens, _ = cards(stage.gpus, stage.update_freq, stage.max_tokens)
    chosen = Setup(
        precision(stage.precision), stage.memory_efficient, stage.freeze_embeddings, stage.checkpoint_activations
    )
    for name, sizes in _vocabularies(config).items():
        for (numbers, efficient), freeze, checkpoint in itertools.product(
            _PRECISIONS[chosen.precision == "fp16"], (False, True), (False, True)
        ):
            setup = Setup(numbers, efficient, freeze, checkpoint)  # type: ignore[arg-type]
            memory = estimate(sizes, setup, max_tokens, min(length, sizes.positions))
            yield Plan(name, sizes, setup, memory, chosen=name == "full" and setup == chosen)


def _vocabularies(config: Config) -> dict[str, Sizes]:
    """The sizes of the model with all its pieces and, of a pretrained one, with those that are needed."""
    backbone, data = config.backbone, config.data
    if backbone.family == "encoder":
        raise ConfigError("backbone.family: expected mbart to estimate its memory, found encoder")
    languages = len(config.langs) + 1  # and <mask>

    def sizes(pieces: int) -> Sizes:
        return Sizes(4 + pieces + languages, backbone.layers, backbone.dim, backbone.ffn, backbone.heads)

    if backbone.dictionary is None or backbone.sentencepiece is None:
        return {"full": sizes(data.pieces - 3)}
    texts = [data.src, data.tgt, *filter(None, (data.dev_src, data.dev_tgt))]
    files = {text.lang: text.file for text in config.lexicon.files}
    forward, backward = ([files[lang]] if lang in files else [] for lang in (data.target_lang, data.source_lang))
    use = Use(texts, forward, backward, config.noise.top_k)
    kept = use.kept(PieceModel.read(backbone.sentencepiece))
    pieces, needed = read_dictionary(backbone.dictionary), kept.frequencies()
    return {"full": sizes(len(pieces)), "trimmed": sizes(sum(piece in needed for piece in pieces))}
