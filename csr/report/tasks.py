"""Tables of the experiments other than translation on one pair."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from csr.report.table import Cell, Column, Number, Table
from csr.report.tables import arm_name


def nli_table(scores: Sequence[dict[str, Any]], languages: Sequence[str], arms: Sequence[str], trained: str) -> Table:
    """Return accuracy by arm and language, as Zan et al., Table 7."""
    rows: list[list[Cell]] = [["Majority class", *_percents([scores[0]], languages, "majority")]]
    for arm in arms:
        found = [score for score in scores if score["arm"] == arm]
        rows.append([arm_name(arm), *(_percents(found, languages, "accuracy"))])
    columns = [Column("arm"), *(Column(language, 1) for language in languages), Column("average", 1)]
    note = f"Trained on {trained}; the average is over the other languages. Mean ± standard deviation over seeds."
    return Table("nli", "Inference: accuracy, %", columns, rows, note, ours=[0]).with_best()


def _percents(scores: Sequence[dict[str, Any]], languages: Sequence[str], key: str) -> list[Cell]:
    def value(found: Any) -> float:
        return 100 * (found["value"] if isinstance(found, dict) else found)

    cells: list[Cell] = [Number(tuple(value(score[key][language]) for score in scores)) for language in languages]
    average = "average" if key == "accuracy" else "majority_average"
    return [*cells, Number(tuple(100 * score[average] for score in scores))]
