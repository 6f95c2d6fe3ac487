"""All numbers of one arm and seed in one file: what the table of a run is made of."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from csr.evaluation import translation
from csr.evaluation.comet import comet_segments, signature
from csr.evaluation.frequency import read_counts, word_scores
from csr.evaluation.off_target import identifiable, off_target
from csr.evaluation.significance import means
from csr.experiments.stages import STAGES, UNTRAINED, stage_folder, training_seconds
from csr.files import read_json, read_lines, write_json, write_text


def write_scores(config: Any, arm: str, seed: int, run: Path) -> None:
    """Write ``scores.json``: BLEU, chrF, word F by frequency, representation distance, training seconds.

    COMET where the settings name a model, and the off-target rate where the language can be identified; else null.
    """
    folder, lang = run / stage_folder(arm, seed), config.data.target_lang
    hyp, ref = list(read_lines(folder / "test.hyp")), list(read_lines(run / "data" / "text" / f"test.{lang}"))
    tokenizer = translation.tokenizer_for(lang)
    counts = read_counts(run / "data" / "text" / f"train.{lang}", tokenizer)
    buckets = word_scores(hyp, ref, counts, tokenizer)
    write_json(
        folder / "scores.json",
        {
            "arm": arm,
            "seed": seed,
            "bleu": dataclasses.asdict(translation.bleu(hyp, ref, lang)),
            "chrf": dataclasses.asdict(translation.chrf(hyp, ref, lang)),
            "comet": _comet(config, hyp, ref, folder, run),
            "off_target": _off_target(hyp, ref, lang),
            "words": {
                "tokenizer": tokenizer,
                "buckets": [
                    dataclasses.asdict(bucket)
                    | {"name": bucket.name, "precision": bucket.precision, "recall": bucket.recall, "f1": bucket.f1}
                    for bucket in buckets
                ],
            },
            "distance": read_json(folder / "distance.json") if arm not in UNTRAINED else {},
            "seconds": _seconds(config, arm, seed, run),
        },
    )


def _comet(config: Any, hyp: list[str], ref: list[str], folder: Path, run: Path) -> dict[str, Any] | None:
    """The mean COMET score, leaving that of each sentence in ``test.comet`` for paired tests."""
    if config.scores.comet is None:
        return None
    src = list(read_lines(run / "data" / "text" / f"test.{config.data.source_lang}"))
    segments = comet_segments(hyp, ref, src, config.scores.comet)
    with write_text(folder / "test.comet") as out:
        out.writelines(f"{value!r}\n" for value in segments)
    return {"value": means(segments).value, "signature": signature(config.scores.comet)}


def _off_target(hyp: list[str], ref: list[str], language: str) -> dict[str, Any] | None:
    """The off-target rate with that of the references, which is the identifier's own error."""
    if not identifiable(language):
        return None
    return dataclasses.asdict(off_target(hyp, language)) | {"ref_rate": off_target(ref, language).rate}


def _seconds(config: Any, arm: str, seed: int, run: Path) -> dict[str, Any]:
    """The training seconds of backbone, restore stage and finetuning; None for what the arm does without.

    With model back-translation also those of the reverse model.
    """
    seconds: dict[str, Any] = {"backbone": None, "restore": None, "finetune": None}
    for stage, found in training_seconds(config, arm, seed, run).items():
        named = stage in ("backbone", "reverse")
        seconds[stage if named else "restore" if STAGES[stage].restore else "finetune"] = found
    return seconds
