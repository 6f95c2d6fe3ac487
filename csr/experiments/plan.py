"""What the stages of an experiment would take: epochs, time, and memory for each way to make them smaller."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from csr.backbone import calibration
from csr.backbone.estimate import Memory, Setup, Sizes, estimate
from csr.backbone.pieces import PieceModel
from csr.backbone.presets import PRESETS
from csr.backbone.trim import Use
from csr.data.subwords import read_dictionary
from csr.errors import ConfigError
from csr.experiments import schedule, stages
from csr.experiments.commands import cards
from csr.experiments.settings import Training
from csr.experiments.translation import Config
from csr.running.precision import resolved

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
    stage = largest(config)
    chosen = _setup(stage)
    for name, sizes in _vocabularies(config).items():
        for (numbers, efficient), freeze, checkpoint in itertools.product(
            _PRECISIONS[chosen.precision == "fp16"], (False, True), (False, True)
        ):
            setup = Setup(numbers, efficient, freeze, checkpoint)  # type: ignore[arg-type]
            memory = _memory(stage, sizes, setup, length)
            yield Plan(name, sizes, setup, memory, chosen=name == "full" and setup == chosen)


@dataclass(frozen=True)
class Forecast:
    """What a stage will take.

    Attributes:
        updates: with ``patience``, at most.
        epochs: over its text, about; None where a text is not there.
        seconds: of its training with one seed, about; None where the model's sizes are not known.
    """

    stage: str
    updates: int
    save_every: int
    epochs: float | None
    seconds: float | None


def forecasts(config: Config) -> tuple[list[Forecast], calibration.Speed | None]:
    """What each stage of the run will take, and the speed that it follows from, measured now.

    Counted is training alone, without validation, loading of data, and translation.
    """
    texts, found = schedule.read_texts(config), []
    length = texts.pairs.length if texts else 25
    sizes = None if config.backbone.family == "encoder" else _full(config)
    largest_ = largest(config)
    speed = None
    if sizes:
        speed = calibration.measure(sizes, _setup(largest_), largest_.max_tokens, length, config.threads)
    for stage in stages.needed(config):
        training = stages.training(config, stage)
        epochs = training.updates / schedule.epoch(config, stage, texts).updates(training) if texts else None
        seconds = None
        if sizes and speed:
            update = speed.seconds(sizes, _setup(training), training.max_tokens, training.update_freq)
            seconds = training.updates * update / training.gpus
        found.append(Forecast(stage, training.updates, training.save_every, epochs, seconds))
    return found, speed


def peak(config: Config, length: int = 100) -> int | None:
    """The bytes of memory that the largest batch takes as it is set; None where the model's sizes are not known."""
    if config.backbone.family == "encoder":
        return None
    stage = largest(config)
    return _memory(stage, _full(config), _setup(stage), length).peak


def largest(config: Config) -> Training:
    """Of the stages after the backbone, the one with the largest batches."""
    return max((config.restore, config.finetune), key=lambda training: training.max_tokens)


def _memory(training: Training, sizes: Sizes, setup: Setup, length: int) -> Memory:
    """What a batch of a stage takes on one card."""
    _, max_tokens, _ = cards(training.gpus, training.update_freq, training.max_tokens)
    return estimate(sizes, setup, max_tokens, min(length, sizes.positions))


def _setup(training: Training) -> Setup:
    return Setup(
        resolved(training.precision),
        training.memory_efficient,
        training.freeze_embeddings,
        training.checkpoint_activations,
    )


def _sizes(config: Config, pieces: int) -> Sizes:
    backbone, languages = config.backbone, len(config.langs) + 1  # and <mask>
    return Sizes(4 + pieces + languages, backbone.layers, backbone.dim, backbone.ffn, backbone.heads)


def _full(config: Config) -> Sizes:
    """The sizes of the model with all its pieces; of a preset whose files are not there, those of the published one."""
    backbone = config.backbone
    if backbone.dictionary is None:
        return _sizes(config, (backbone if backbone.texts else config.data).pieces - 3)
    if backbone.preset and not backbone.dictionary.is_file():
        return _sizes(config, PRESETS[backbone.preset].pieces)
    return _sizes(config, len(read_dictionary(backbone.dictionary)))


def _vocabularies(config: Config) -> dict[str, Sizes]:
    """The sizes of the model with all its pieces and, of one whose vocabulary is there, with those that are needed."""
    backbone, data = config.backbone, config.data
    if backbone.family == "encoder":
        raise ConfigError("backbone.family: expected mbart to estimate its memory, found encoder")
    if backbone.dictionary is None or backbone.sentencepiece is None or not backbone.sentencepiece.is_file():
        return {"full": _full(config)}
    texts = [data.src, data.tgt, *filter(None, (data.dev_src, data.dev_tgt))]
    files = {text.lang: text.file for text in config.lexicon.files}
    forward, backward = ([files[lang]] if lang in files else [] for lang in (data.target_lang, data.source_lang))
    use = Use(texts, forward, backward, config.noise.top_k)
    kept = use.kept(PieceModel.read(backbone.sentencepiece))
    pieces, needed = read_dictionary(backbone.dictionary), kept.frequencies()
    trimmed = _sizes(config, sum(piece in needed for piece in pieces))
    return {"full": _full(config), "trimmed": trimmed}
