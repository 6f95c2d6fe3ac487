"""All numbers of one arm and seed in one file: what the table of a run is made of."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from csr.config import Config
from csr.evaluation import translation
from csr.evaluation.frequency import read_counts, word_scores
from csr.files import read_json, read_lines, write_json
from csr.workflow.training import STAGES, stage_folder, trained_folders


def write_scores(config: Config, arm: str, seed: int, run: Path) -> None:
    """Write ``scores.json``: BLEU, chrF, word F by frequency, representation distance and training seconds."""
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
            "words": {
                "tokenizer": tokenizer,
                "buckets": [
                    dataclasses.asdict(bucket)
                    | {"name": bucket.name, "precision": bucket.precision, "recall": bucket.recall, "f1": bucket.f1}
                    for bucket in buckets
                ],
            },
            "distance": read_json(folder / "distance.json"),
            "seconds": _seconds(config, arm, seed, run),
        },
    )


def _seconds(config: Config, arm: str, seed: int, run: Path) -> dict[str, Any]:
    """Return the training seconds of backbone, restore stage and finetuning; None for what the arm does without."""
    seconds: dict[str, Any] = {"backbone": None, "restore": None, "finetune": None}
    for folder in trained_folders(config, arm, seed):
        kind = "backbone" if folder.name == "backbone" else "restore" if STAGES[folder.name].restore else "finetune"
        seconds[kind] = read_json(run / folder / "timing.json")["seconds"]
    return seconds
