"""What finetuned models say: labels of pairs, translations of text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from fairseq.data import data_utils
from fairseq.dataclass.configs import GenerationConfig
from tqdm import tqdm

from csr.data.nli import LABELS
from csr.errors import DataError
from csr.files import PathLike
from fairseq_plugins.models import MAX_TOKENS, Model
from fairseq_plugins.nli import HEAD, CsrNliTask


@torch.inference_mode()
def predict(model: Model, folder: PathLike, split: str, language: str, max_tokens: int | None = None) -> list[str]:
    """The label of each pair of a split in a language, by the most probable class.

    Args:
        model: of the task ``csr_nli``.
        max_tokens: in a batch, padding included; by default ``MAX_TOKENS``.

    Raises:
        DataError: the model was trained for another task.
    """
    if not isinstance(model.task, CsrNliTask):
        raise DataError(f"expected a model trained by csr_nli, found one of {model.trained_by}")
    dataset = model.task.pairs(str(folder), split, language)
    tokens = max(max_tokens or MAX_TOKENS[model.device.type], int(dataset.sizes.max()))
    found = np.empty(len(dataset), np.int64)
    batches = dataset.batch_by_size(dataset.ordered_indices(), max_tokens=tokens)
    for batch in tqdm(batches, desc=f"{split}.{language}", unit="batch", disable=None):
        sample = dataset.collater([dataset[i] for i in batch])
        inputs = {name: value.to(model.device) for name, value in sample["net_input"].items()}
        logits, _ = model.model(**inputs, classification_head_name=HEAD)
        found[batch] = logits.argmax(1).cpu().numpy()
    return [LABELS[i] for i in found]


def translate(
    model: Model,
    lines: Sequence[str],
    language: str,
    sentencepiece_model: PathLike,
    beam: int = 5,
    max_length: int | None = None,
) -> list[str]:
    """The output of a model for each line of text, in its target language; the arguments are ``hypotheses``'."""
    found = hypotheses(model, lines, language, sentencepiece_model, beam, max_length)
    return [best.text for best, *_ in found]


class Hypothesis(NamedTuple):
    """What a model may write for a line."""

    score: float
    """The log probability by piece, in nats, as fairseq's search ranks by."""
    text: str


@torch.inference_mode()
def hypotheses(
    model: Model,
    lines: Sequence[str],
    language: str,
    sentencepiece_model: PathLike,
    beam: int = 5,
    max_length: int | None = None,
) -> list[list[Hypothesis]]:
    """What a model's beam holds for each line of text, best first.

    Args:
        language: of the lines, whose id the source carries; one the model knows, not only that it was finetuned on.
        sentencepiece_model: the model's.
        max_length: pieces of an output at most; by default twice those of the source and ten.
    """
    task = model.task
    lengths = {"max_len_a": 2, "max_len_b": 10} if max_length is None else {"max_len_a": 0, "max_len_b": max_length}
    generator = task.build_generator([model.model], GenerationConfig(beam=beam, **lengths))
    outputs: list[list[Hypothesis]] = [[] for _ in lines]
    side = model.text_side(lines, language, sentencepiece_model)

    def read(found: dict[str, Any]) -> Hypothesis:
        ignored = generator.symbols_to_strip_from_output
        text = task.tgt_dict.string(found["tokens"].int().cpu(), "sentencepiece", extra_symbols_to_ignore=ignored)
        return Hypothesis(float(found["score"]), text.strip())

    for batch, rows in model.batches(side, len(lines), None, f"{language} to {task.cfg.target_lang}"):
        tokens = data_utils.collate_tokens(rows, task.symbols.pad).to(model.device)
        sizes = torch.tensor([len(row) for row in rows], device=model.device)
        sample = {"net_input": {"src_tokens": tokens, "src_lengths": sizes}}
        for i, hyps in zip(batch, task.inference_step(generator, [model.model], sample), strict=True):
            outputs[i] = list(map(read, hyps))
    return outputs
