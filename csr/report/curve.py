"""Scores over the size of the training text: a table, a picture, and where an arm stops paying."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from csr.evaluation.significance import over_seeds, seed_interval
from csr.files import PathLike, write_text
from csr.report import plots
from csr.report.measures import arm_name, bleu, chrf
from csr.report.outputs import BASELINE
from csr.report.table import SPREAD, Cell, Column, Number, Table

METRICS = {"bleu": ("BLEU", bleu), "chrf": ("chrF", chrf)}

Scores = Mapping[int, Mapping[str, Mapping[int, float]]]  # of each size and arm, seed by seed


@dataclass(frozen=True)
class Crossing:
    """Where the gain of an arm over standard finetuning ends.

    Attributes:
        size: the interpolated size; None where the gain has one sign at all sizes.
        text: in words.
    """

    size: float | None
    text: str


def read_scores(runs: Mapping[int, Sequence[dict[str, Any]]], metric: str) -> Scores:
    """The scores of each size's run (its ``scores.json`` files) by arm and seed."""
    measure = METRICS[metric][1]
    found: dict[int, dict[str, dict[int, float]]] = {}
    for size, scores in runs.items():
        for score in scores:
            value = measure(score)
            if value is not None:
                found.setdefault(size, {}).setdefault(score["arm"], {})[score["seed"]] = value
    return found


def gains(scores: Scores, arm: str) -> dict[int, list[float]]:
    """An arm's score minus standard finetuning's at each size, for the seeds that both have."""
    found = {}
    for size, arms in sorted(scores.items()):
        ours, theirs = arms.get(arm, {}), arms.get(BASELINE, {})
        if both := sorted(ours.keys() & theirs.keys()):
            found[size] = [ours[seed] - theirs[seed] for seed in both]
    return found


def crossing(gained: Mapping[int, Sequence[float]]) -> Crossing:
    """Where the mean gain falls to 0 for good, between two sizes on a logarithmic scale.

    >>> round(crossing({300: [2.0], 3000: [-2.0]}).size)  # halfway between log 300 and log 3000
    949
    """
    means = {size: over_seeds(values).mean for size, values in sorted(gained.items())}
    sizes = list(means)
    if not sizes:
        return Crossing(None, "not measured")
    if all(means[size] > 0 for size in sizes):
        return Crossing(None, f"none seen: above standard finetuning up to {sizes[-1]:,} pairs")
    if all(means[size] <= 0 for size in sizes):
        return Crossing(None, f"none seen: never above standard finetuning, from {sizes[0]:,} pairs on")
    last = max(i for i, size in enumerate(sizes) if means[size] > 0)
    if last == len(sizes) - 1:
        return Crossing(
            None, f"none seen: above standard finetuning at {sizes[-1]:,} pairs, but not at all smaller sizes"
        )
    low, high = sizes[last], sizes[last + 1]
    share = means[low] / (means[low] - means[high])
    size = math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
    return Crossing(size, f"about {float(f'{size:.2g}'):,.0f} pairs (between {low:,} and {high:,})")


def tables(scores: Scores, arms: Sequence[str], metric: str, direction: str) -> list[Table]:
    """Scores of each arm over the sizes, and gains over standard finetuning with the crossing."""
    label, sizes = METRICS[metric][0], sorted(scores)
    columns = [Column("arm"), *(Column(f"{size:,} pairs", 1) for size in sizes)]
    rows: list[list[Cell]] = [
        [arm_name(arm), *(Number(tuple(scores[size].get(arm, {}).values())) for size in sizes)] for arm in arms
    ]
    found = [Table("curve", f"{direction}: {label} over the size of the bitext", columns, rows, SPREAD).with_best()]
    rows = []
    for arm in arms if BASELINE in arms else ():
        if arm != BASELINE:
            gained = gains(scores, arm)
            cells = [_gain(gained.get(size, ())) for size in sizes]
            rows.append([arm_name(arm), *cells, crossing(gained).text])
    columns = [Column("arm"), *(Column(f"{size:,} pairs") for size in sizes), Column("stops paying at")]
    note = "Mean difference over seeds, with its 95 % interval by Student's t where there are several seeds; in bold, "
    note += "where the interval leaves out 0. Stops paying: where the mean falls to 0 and stays below, interpolated."
    if rows:
        found.append(Table("gains", f"{direction}: {label} minus standard finetuning's", columns, rows, note))
    return found


def _gain(values: Sequence[float]) -> str:
    if not values:
        return "–"
    shown, around = f"{over_seeds(values).mean:+.1f}", seed_interval(values)
    if around is not None:
        shown += f" [{around[0]:+.1f}, {around[1]:+.1f}]"
        shown = f"**{shown}**" if around[0] > 0 or around[1] < 0 else shown
    return shown.replace("-", "−")


def as_dict(scores: Scores, arms: Sequence[str], metric: str) -> dict[str, Any]:
    """All numbers of the curve, as values that JSON can hold."""
    ours = [arm for arm in arms if arm != BASELINE]
    ends = {arm: crossing(gains(scores, arm)) for arm in ours}
    return {
        "metric": metric,
        "scores": {str(size): {arm: dict(of) for arm, of in sorted(by.items())} for size, by in sorted(scores.items())},
        "gains": {arm: {str(size): values for size, values in gains(scores, arm).items()} for arm in ours},
        "crossings": {arm: {"size": end.size, "text": end.text} for arm, end in ends.items()},
    }


def picture(scores: Scores, arms: Sequence[str], metric: str, direction: str, path: PathLike) -> None:
    """Draw the mean of each arm over the sizes, with its 95 % interval over seeds, as SVG in the report's look."""
    series = []
    for arm in arms:
        points = []
        for size in sorted(scores):
            if values := list(scores[size].get(arm, {}).values()):
                mean = over_seeds(values).mean
                points.append((float(size), mean, *(seed_interval(values) or (mean, mean))))
        if points:
            series.append(plots.Band(f"arm-{arm}", arm_name(arm), points))
    title = f"{direction}: {METRICS[metric][0]} over the size of the bitext"
    with write_text(path) as out:
        out.write(plots.standalone(plots.bands(series, title, "training pairs")))
