"""The page of all test sentences beside the report: source, reference and outputs, to sort and filter in a browser."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

from csr.evaluation.frequency import CUTOFFS, content_words, read_counts
from csr.evaluation.translation import segments, tokenize, tokenizer_for
from csr.files import read_lines
from csr.report.measures import Run, arm_name, direction
from csr.report.outputs import BASELINE, output, text

NAME = "sentences.html"
_SCORES = {"chrf": "chrF", "bleu": "BLEU"}


def sentences(folder: Path, run: Run) -> dict[str, Any] | None:
    """What the page shows of a run of translation, as values that JSON can hold; None if no arm is finished.

    Returns:
        ``src`` and ``ref``, the texts; ``rare``, for each reference its content words that occur fewer than 100 times
        in training, with how often; ``systems``, for each finished arm and seed its outputs ``hyp`` and, by the name of
        a score, those of its sentences (BLEU with effective order); ``pair``, which two are compared first.
    """
    src, tgt = run["src"], run["tgt"]
    finished = [(arm, seed) for seed in run["seeds"] for arm in run["arms"] if output(folder, seed, arm).exists()]
    if not finished:
        return None
    source, ref = (list(read_lines(text(folder, "test", language))) for language in (src, tgt))
    systems = [_system(folder, arm, seed, ref, tgt, len(run["seeds"]) > 1) for arm, seed in finished]
    arms = [arm for arm, _ in finished]
    first = arms.index("csr") if "csr" in arms else 0
    return {
        "languages": [src, tgt],
        "src": source,
        "ref": ref,
        "rare": _rare_words(folder, ref, tgt),
        "systems": systems,
        "scores": list(dict.fromkeys(name for system in systems for name in system["scores"])),
        "pair": [str(first), str(arms.index(BASELINE) if BASELINE in arms else 0)],
    }


def page(run: Run, found: dict[str, Any]) -> str:
    """The page, which needs JavaScript and no network; ``found`` is what ``sentences`` returns."""
    files = resources.files("csr.report")
    # Whatever a sentence says, it cannot end the element that it stands in.
    data = json.dumps(found, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    filled = files.joinpath("sentences.html").read_text(encoding="utf-8")
    style = files.joinpath("style.css").read_text(encoding="utf-8")
    title = escape(f"Test sentences of {run['name']} {direction(run)}")
    for name, value in (("title", title), ("style", style), ("data", data)):
        filled = filled.replace("{{" + name + "}}", value)
    return filled


def _system(folder: Path, arm: str, seed: int, ref: Sequence[str], tgt: str, several: bool) -> dict[str, Any]:
    hyp = list(read_lines(output(folder, seed, arm)))
    scores = {label: [round(x, 1) for x in segments(metric, hyp, ref, tgt)] for metric, label in _SCORES.items()}
    comet = output(folder, seed, arm).with_suffix(".comet")
    if comet.exists():
        scores["COMET"] = [round(float(line), 4) for line in read_lines(comet)]
    name = f"{arm_name(arm)}, seed {seed}" if several else arm_name(arm)
    return {"arm": arm, "seed": seed, "name": name, "hyp": hyp, "scores": scores}


def _rare_words(folder: Path, ref: Sequence[str], tgt: str) -> list[list[tuple[str, int]]]:
    tokenizer, counts_as_word = tokenizer_for(tgt), content_words(tgt)
    counts = read_counts(text(folder, "train", tgt), tokenizer)
    return [
        [(word, counts[word]) for word in dict.fromkeys(line) if counts[word] < CUTOFFS[0] and counts_as_word(word)]
        for line in tokenize(ref, tokenizer)
    ]
