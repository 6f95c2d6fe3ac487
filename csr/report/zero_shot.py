"""Tables of zero-shot transfer: accuracy of inference and of texts, and entity F1, by test set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from csr.report.table import Cell, Column, Number, Table


def scores_table(scores: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return the scores of one model: a row for each test set, in percent."""
    if all("accuracy" in found for found in scores.values()):
        of_texts = all("macro" in found for found in scores.values())
        columns = [Column("test set"), Column("accuracy", 1), *([Column("macro F1", 1)] if of_texts else [])]
        columns += [Column("majority"), Column("texts" if of_texts else "pairs")]
        rows: list[list[Cell]] = []
        for name, found in scores.items():
            shares = ("accuracy", "macro", "majority") if of_texts else ("accuracy", "majority")
            rows.append([name, *(_percent(found[share]) for share in shares), Number((found["total"],), 0)])
        note = "Majority: the share of the most frequent label."
        what = "classification of texts" if of_texts else "inference between sentences"
        return Table("zero_shot", f"Accuracy of {what} (%)", columns, rows, note)
    types = sorted({name for found in scores.values() for name in found["types"]})
    columns = [Column("test set"), Column("micro F1", 1), Column("macro F1", 1), *map(Column, types)]
    rows = []
    for name, found in scores.items():
        shares = (found["micro"], found["macro"], *map(found["types"].get, types))
        rows.append([name, *map(_percent, shares), Number((found["n_entities"],), 0)])
    return Table("zero_shot", "Entity F1 by seqeval (%)", [*columns, Column("entities")], rows)


def _percent(value: float | None) -> Cell:
    return "–" if value is None else Number((100 * value,), 2)
