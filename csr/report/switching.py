"""Tables of lexicons, and of what was switched in training."""

from __future__ import annotations

import functools
from typing import Any

from csr.report.measures import Run, direction, logged
from csr.report.table import Cell, Column, Number, Table


def lexicons(run: Run) -> Table:
    """Size, coverage, co-occurrence precision and draws of the lexicons."""
    shares = ("type_coverage", "token_coverage", "precision@1")
    drawn = {
        "switchable": "switchable %",
        "in_translation": "drawn: in translation %",
        "by_chance": "by chance %",
        "content_to_stop": "content to stop word %",
    }
    rows: list[list[Cell]] = [
        [
            name.replace("-", "→"),
            lexicon["source"] or "–",
            Number((lexicon["words"],), 0),
            Number((lexicon["entries"],), 0),
            *(Number((100 * lexicon["corpus"][key],)) if key in lexicon["corpus"] else "–" for key in shares),
            *(Number((100 * lexicon["drawn"][key],)) if key in lexicon["drawn"] else "–" for key in drawn),
        ]
        for name, lexicon in run["lexicons"].items()
    ]
    labels = ("direction", "made by", "words", "entries", "types %", "tokens %", "precision@1 %", *drawn.values())
    note = (
        "Types and tokens of the training text that have an entry; precision@1: how often the first candidate of such "
        "a token is in the aligned sentence. Drawn: of the tokens that may be switched, how often the candidate drawn "
        "is in the aligned sentence, by chance (in the next one), and how often another word becomes a stop word."
    )
    note += "".join(f" {name}: {doubt}." for name, found in run["lexicons"].items() for doubt in found["doubts"])
    return Table("lexicon", f"{direction(run)}: lexicons", [Column(label) for label in labels], rows, note)


def lexicon_starts(run: Run) -> Table:
    """The starts of VecMap that ``auto`` tried, compared without gold data; the one it kept is marked."""
    measures = {"cooccurrence_precision": "co-occurrence %", "cooccurrence_by_chance": "by chance %"}
    measures |= {"round_trip": "round trip %", "mutual_csls": "mutual CSLS", "mean_similarity": "similarity"}
    # Both directions come from one mapping.
    quality: dict[str, Any] = next((lexicon["quality"] for lexicon in run["lexicons"].values()), {})
    rows: list[list[Cell]] = []
    for start, found in quality.get("starts", {}).items():
        cells: list[Cell] = []
        for key, label in measures.items():
            scale = 100 if label.endswith("%") else 1
            cells.append(Number((scale * found[key],), 1 if scale == 100 else 3) if key in found else "–")
        rows.append([start, "kept" if start == quality["start"] else "", *cells, Number((found["steps"],), 0)])
    labels = ("start", "", *measures.values(), "steps")
    note = "Co-occurrence: how often the first candidate of a word is in the aligned sentence, and how often a random "
    note += "one is. Round trip: words that are their translation's translation."
    return Table("starts", f"{direction(run)}: starts of VecMap", [Column(label) for label in labels], rows, note)


def switching(run: Run) -> Table:
    """The figures of switching in the restore logs: every ``switch_NAME_LANGUAGE``, averaged over its updates."""
    stages = dict.fromkeys(log["arm"] for log in run["logs"])
    keys = list(dict.fromkeys(key for log in run["logs"] for key in log["train"] if key.startswith("switch_")))
    names = list(dict.fromkeys(key.removesuffix(f"_{language}") for key in keys for language in _sides(run, key)))
    rows: list[list[Cell]] = []
    for stage in stages:
        for language in (run["src"], run["tgt"]):
            means = [logged(run, stage, functools.partial(_average, f"{name}_{language}")) for name in names]
            if any(means):
                rows.append([stage.replace("_", " "), language, *(Number(mean, 3) for mean in means)])
    columns = [
        Column("stage"),
        Column("side"),
        *(Column(name.removeprefix("switch_").replace("_", " ")) for name in names),
    ]
    note = "Means over the training updates, ± standard deviation over seeds. Rate, coverage: shares of the words that "
    note += (
        "were replaced, that have a candidate; touched: share of the sentences with a replaced word; span: mean run of "
    )
    note += "replaced words; growth: length in pieces over the original's; fallback: share of sentences left clean. "
    note += "The stages backbone and mask restore put masks in place of translations."
    return Table("switching", f"{direction(run)}: switching statistics", columns, rows, note)


def _sides(run: Run, key: str) -> list[str]:
    return [language for language in (run["src"], run["tgt"]) if key.endswith(f"_{language}")]


def _average(key: str, log: dict[str, Any]) -> float | None:
    return Number(tuple(value for _, value in log["train"].get(key, []))).mean
