"""What finetuned models say: labels of pairs, translations of text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from fairseq.data import data_utils
from fairseq.dataclass.configs import GenerationConfig
from tqdm import tqdm

from csr.backbone.generation import MAX_TOKENS, Hypothesis
from csr.backbone.labelling import Label, best_labels
from csr.data.nli import LABELS
from csr.errors import DataError
from csr.files import PathLike
from fairseq_plugins import ctranslate
from fairseq_plugins.models import Model
from fairseq_plugins.nli import HEAD, CsrNliTask, NliDataset


def predict(model: Model, folder: PathLike, split: str, language: str, max_tokens: int | None = None) -> list[str]:
    """The label of each pair of a split in a language, by the most probable class.

    Args:
        model: of the task ``csr_nli``.
        max_tokens: in a batch, padding included; by default ``MAX_TOKENS``.

    Raises:
        DataError: the model was trained for another task.
    """
    dataset = _nli(model).pairs(str(folder), split, language)
    return [label.name for label in _labels(model, dataset, f"{split}.{language}", max_tokens)]


def label_pairs(
    model: Model, pairs: Sequence[Sequence[str]], language: str, sentencepiece_model: PathLike
) -> list[Label]:
    """The label of each pair of texts, premise and hypothesis, in a language; the model is one of ``csr_nli``.

    Raises:
        DataError: the model was trained for another task.
        ConfigError: it does not know the language.
    """
    task = _nli(model)
    sides = [model.text_side(lines, language, sentencepiece_model) for lines in zip(*pairs, strict=True)]
    limit = min(task.cfg.max_source_positions, task.cfg.max_target_positions)
    if not sides:
        return []
    dataset = NliDataset(sides[0], sides[1], np.zeros(len(pairs), np.int64), limit, task.symbols)
    return _labels(model, dataset, language)


def _nli(model: Model) -> CsrNliTask:
    if not isinstance(model.task, CsrNliTask):
        raise DataError(f"expected a model trained by csr_nli, found one of {model.trained_by}")
    return model.task


@torch.inference_mode()
def _labels(model: Model, dataset: NliDataset, name: str, max_tokens: int | None = None) -> list[Label]:
    tokens = max(max_tokens or MAX_TOKENS[model.device.type], int(dataset.sizes.max()))
    found: list[Any] = [None] * len(dataset)
    batches = dataset.batch_by_size(dataset.ordered_indices(), max_tokens=tokens)
    for batch in tqdm(batches, desc=name, unit="batch", disable=None):
        sample = dataset.collater([dataset[i] for i in batch])
        inputs = {name: value.to(model.device) for name, value in sample["net_input"].items()}
        logits, _ = model.model(**inputs, classification_head_name=HEAD)
        for i, label in zip(batch, best_labels(logits.float(), LABELS), strict=True):
            found[i] = label
    return found


def translate(
    model: Model,
    lines: Sequence[str],
    language: str,
    sentencepiece_model: PathLike,
    beam: int = 5,
    max_length: int | None = None,
) -> list[str]:
    """The output of a model for each line of text, in its target language; the arguments are ``hypotheses``'."""
    found = _found(model, lines, language, sentencepiece_model, beam, max_length, wanted=1)
    return [best.text for (best,) in found]


def hypotheses(
    model: Model,
    lines: Sequence[str],
    language: str,
    sentencepiece_model: PathLike,
    beam: int = 5,
    max_length: int | None = None,
) -> list[list[Hypothesis]]:
    """What a model's beam holds for each line of text, best first; by CTranslate2 where it is there and the model fits.

    Args:
        language: of the lines, whose id the source carries; one the model knows, not only that it was finetuned on.
        sentencepiece_model: the model's.
        max_length: pieces of an output at most; by default twice those of the source and ten.
    """
    return _found(model, lines, language, sentencepiece_model, beam, max_length, wanted=beam)


@torch.inference_mode()
def _found(
    model: Model,
    lines: Sequence[str],
    language: str,
    sentencepiece_model: PathLike,
    beam: int,
    max_length: int | None,
    wanted: int,
) -> list[list[Hypothesis]]:
    """The ``wanted`` best hypotheses of each line: to read out all of a beam takes a third of the time."""
    task = model.task
    lengths = {"max_len_a": 2, "max_len_b": 10} if max_length is None else {"max_len_a": 0, "max_len_b": max_length}
    generator = task.build_generator([model.model], GenerationConfig(beam=beam, **lengths))
    fast = ctranslate.beam_of(model, beam, torch.get_num_threads()) if ctranslate.usable(model) else None
    outputs: list[list[Hypothesis]] = [[] for _ in lines]
    side = model.text_side(lines, language, sentencepiece_model)

    def read(found: dict[str, Any]) -> Hypothesis:
        ignored = generator.symbols_to_strip_from_output
        text = task.tgt_dict.string(found["tokens"].int().cpu(), "sentencepiece", extra_symbols_to_ignore=ignored)
        return Hypothesis(float(found["score"]), text.strip())

    def search(rows: list[torch.Tensor]) -> list[list[dict[str, Any]]]:
        if fast:
            return fast.search(rows, max_length, wanted)
        tokens = data_utils.collate_tokens(rows, task.symbols.pad).to(model.device)
        sizes = torch.tensor([len(row) for row in rows], device=model.device)
        sample = {"net_input": {"src_tokens": tokens, "src_lengths": sizes}}
        found: list[list[dict[str, Any]]] = task.inference_step(generator, [model.model], sample)
        return found

    for batch, rows in model.batches(side, len(lines), None, f"{language} to {task.cfg.target_lang}"):
        for i, hyps in zip(batch, search(rows), strict=True):
            outputs[i] = list(map(read, hyps[:wanted]))
    return outputs
