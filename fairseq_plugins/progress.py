"""What a stage does to the model: distance between the languages and BLEU at each of its checkpoints."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from fairseq.data import data_utils
from fairseq.dataclass.configs import GenerationConfig

from csr.analysis.distance import distances
from csr.errors import DataError
from csr.evaluation.translation import bleu
from csr.files import PathLike
from fairseq_plugins.models import Model, read_model
from fairseq_plugins.representations import decoder_features, split_vectors


def measure_checkpoints(
    folder: Path, data: PathLike, split: str = "valid", sentences: int = 1000, beam: int = 5, device: str | None = None
) -> list[dict[str, Any]]:
    """Distance and BLEU of the checkpoints in a stage's folder, by updates (Zan et al., Figure 2).

    Update 0 is the model that the stage started from, where it is still in its place. BLEU is left out of models that
    were not trained to translate.

    Raises:
        DataError: the folder has no checkpoint.
    """
    points: dict[int, dict[str, Any]] = {}
    start = None
    for checkpoint in _checkpoints(folder):
        model = read_model(checkpoint, data, device=device)
        start = model.start or start
        if model.updates not in points:  # checkpoint_last is another one's double
            points[model.updates] = _measure(model, checkpoint, split, sentences, beam)
    for place in (Path(start or ""), folder.resolve().parents[1] / (start or "")):
        if start and 0 not in points and place.is_file():
            model = read_model(place, data, device=device)
            points[0] = _measure(model, place, split, sentences, beam)
    return [{"updates": updates, **points[updates]} for updates in sorted(points)]


def _checkpoints(folder: Path) -> list[Path]:
    found = [*sorted(folder.glob("checkpoints/checkpoint*.pt")), *sorted(folder.glob("checkpoint*.pt"))]
    found = found or sorted(folder.glob("model.pt"))
    if not found:
        raise DataError(f"{folder}: expected checkpoint*.pt, checkpoints/checkpoint*.pt or model.pt, found none")
    return found


def _measure(model: Model, checkpoint: Path, split: str, sentences: int, beam: int) -> dict[str, Any]:
    found: dict[str, Any] = {
        "checkpoint": checkpoint.name,
        "distance": {
            feature: distances(*pair)
            for feature, pair in split_vectors(model, split, decoder_features(model), sentences).items()
        },
    }
    if model.trained_by in ("csr_translation", "csr_back_translation"):
        hyp, ref = zip(*translate(model, split, sentences, beam), strict=True)
        found["bleu"] = dataclasses.asdict(bleu(hyp, ref, model.task.cfg.target_lang))
    return found


@torch.inference_mode()
def translate(model: Model, split: str, sentences: int, beam: int) -> Iterator[tuple[str, str]]:
    """Yield translations and references of the first sentences of a split, in no order, their pieces joined."""
    task = model.task
    source, target = task.sides(split, 1)
    generator = task.build_generator([model.model], GenerationConfig(beam=beam))
    for batch, rows in model.batches(source, sentences, None, "translation"):
        tokens = data_utils.collate_tokens(rows, task.symbols.pad).to(model.device)
        lengths = torch.tensor([len(row) for row in rows], device=model.device)
        sample = {"net_input": {"src_tokens": tokens, "src_lengths": lengths}}
        for i, hyps in zip(batch, task.inference_step(generator, [model.model], sample), strict=True):
            pieces = hyps[0]["tokens"].int().cpu()
            text = task.tgt_dict.string(
                pieces, "sentencepiece", extra_symbols_to_ignore=generator.symbols_to_strip_from_output
            )
            yield text, task.tgt_dict.string(target.data[i], "sentencepiece")
