"""The numbers printed in the papers, ours beside them."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from typing import Any

import yaml

from csr.analysis.features import DEFAULT
from csr.report.measures import Measure, Run, bleu, direction, eq5, gains, rare_f, seconds, values
from csr.report.table import Cell, Column, Number, Table
from csr.report.training import updates_to_baseline


def published(runs: Sequence[Run]) -> list[Table]:
    """The tables of ``published.yaml``, with a row of each run first where it measures the same."""
    specs = yaml.safe_load(resources.files("csr.report").joinpath("published.yaml").read_text(encoding="utf-8"))
    return [_table(spec, runs) for spec in specs]


def _table(spec: dict[str, Any], runs: Sequence[Run]) -> Table:
    labels, arms, digits = list(spec["columns"]), list(spec["columns"].values()), spec["digits"]
    rows: list[list[Cell]] = []
    for run in runs if "metric" in spec else []:
        ours = [_measured(run, spec["metric"], arm) for arm in arms]
        if any(ours):
            numbers = (Number(cell, spec.get("ours_digits", digits)) if cell else "–" for cell in ours)
            rows.append([f"ours: {run['name']} {direction(run)}", *numbers])
    n_ours = len(rows)
    for name, printed in spec["rows"].items():
        rows.append([name, *(Number((value,), digits) if value is not None else "–" for value in printed)])
    columns = [Column(spec["row"]), *map(Column, labels)]
    if "gain" in spec:
        before, after = (1 + labels.index(label) for label in spec["gain"])
        columns.append(Column("difference"))
        rows = [[*row, _difference(row[before], row[after])] for row in rows]
    return Table(f"published-{spec['name']}", spec["title"], columns, rows, f"{spec['source']}.", list(range(n_ours)))


def _measured(run: Run, metric: str, arm: str) -> tuple[float, ...]:
    if metric == "updates":
        return updates_to_baseline(run, arm)
    if metric == "hours":
        return tuple(value / 3600 for value in values(run, arm, seconds))
    measures: dict[str, Measure] = {"bleu": bleu, "distance": _eq5_as_published, "words": rare_f}
    measure = measures[metric]
    return gains(run, measure) if arm == "gain" else values(run, arm, measure)


def _eq5_as_published(score: dict[str, Any]) -> float | None:
    """D over as many pairs as the paper's: with their number it grows."""
    return eq5(score) if score.get("distance", {}).get(DEFAULT, {}).get("sentences") == 20_000 else None


def _difference(before: Cell, after: Cell) -> Cell:
    if isinstance(before, Number) and isinstance(after, Number) and before.mean is not None and after.mean is not None:
        return Number((after.mean - before.mean,), after.digits, signed=True)
    return "–"
