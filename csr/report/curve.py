"""Scores over the size of the training text: a table, a picture, and where an arm stops paying."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from csr.evaluation.significance import over_seeds, seed_interval
from csr.files import PathLike, write_text
from csr.report import plots, training
from csr.report.collect import Run
from csr.report.measures import arm_name, bleu, chrf
from csr.report.table import SPREAD, Cell, Column, Number, Table, printed
from csr.report.verdict import ALPHA, of_interest, told_apart

METRICS = {"bleu": ("BLEU", bleu), "chrf": ("chrF", chrf)}

Scores = Mapping[int, Mapping[str, Mapping[int, float]]]  # of each size and arm, seed by seed
Tests = Mapping[tuple[str, str], Mapping[int, dict[str, Any]]]  # of an arm and what it is tested against, at each size


@dataclass(frozen=True)
class Crossing:
    """Where the gain of an arm over another ends.

    Attributes:
        size: the interpolated size; None where the gain has one sign at all sizes, or is not told apart at any.
        text: in words.
    """

    size: float | None
    text: str


def read_scores(runs: Mapping[int, Run], metric: str) -> Scores:
    """The scores in each size's ``results.json``, by arm and seed."""
    measure = METRICS[metric][1]
    found: dict[int, dict[str, dict[int, float]]] = {}
    for size, run in sorted(runs.items()):
        for score in run["scores"]:
            value = measure(score)
            if value is not None:
                found.setdefault(size, {}).setdefault(score["arm"], {})[score["seed"]] = value
    return found


def read_tests(runs: Mapping[int, Run], metric: str) -> Tests:
    """The tests over seeds in each size's ``results.json``, of the pairs that the verdicts of a report compare."""
    pairs = of_interest([test for run in runs.values() for test in run["over_seeds"]], metric)
    tests = {
        (size, test["arm"], test["against"]): test
        for size, run in sorted(runs.items())
        for test in run["over_seeds"]
        if test["metric"] == metric
    }
    return {pair: {size: test for (size, *of), test in tests.items() if tuple(of) == pair} for pair in pairs}


def crossing(gains: Mapping[int, float]) -> Crossing:
    """Where the mean gain falls to 0 for good, between two sizes on a logarithmic scale.

    >>> round(crossing({300: 2.0, 3000: -2.0}).size)  # halfway between log 300 and log 3000
    949
    """
    sizes = sorted(gains)
    if not sizes:
        return Crossing(None, "not measured")
    if all(gains[size] > 0 for size in sizes):
        return Crossing(None, f"none seen: above up to {sizes[-1]:,} pairs")
    if all(gains[size] <= 0 for size in sizes):
        return Crossing(None, f"none seen: never above, from {sizes[0]:,} pairs on")
    last = max(i for i, size in enumerate(sizes) if gains[size] > 0)
    if last == len(sizes) - 1:
        return Crossing(None, f"none seen: above at {sizes[-1]:,} pairs, but not at all smaller sizes")
    low, high = sizes[last], sizes[last + 1]
    share = gains[low] / (gains[low] - gains[high])
    size = math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
    return Crossing(size, f"about {float(f'{size:.2g}'):,.0f} pairs (between {low:,} and {high:,})")


def _crossing(tests: Mapping[int, dict[str, Any]]) -> Crossing:
    found = crossing({size: test["difference"] for size, test in tests.items()})
    gained = any(told_apart(test) and test["difference"] > 0 for test in tests.values())
    return Crossing(None, "none seen: no gain is told apart") if found.size is not None and not gained else found


def tables(scores: Scores, tests: Tests, arms: Sequence[str], metric: str, direction: str) -> list[Table]:
    """Scores of each arm over the sizes, and differences of arms with the size where each ends."""
    label, sizes = METRICS[metric][0], sorted(scores)
    columns = [Column("arm"), *(Column(f"{size:,} pairs", 1) for size in sizes)]
    rows: list[list[Cell]] = [
        [arm_name(arm), *(Number(tuple(scores[size].get(arm, {}).values())) for size in sizes)] for arm in arms
    ]
    found = [Table("curve", f"{direction}: {label} over the size of the bitext", columns, rows, SPREAD).with_best()]
    rows = [
        [
            f"{arm_name(arm)} − {arm_name(against, inside=True)}",
            *(_difference(of.get(size)) for size in sizes),
            _crossing(of).text,
        ]
        for (arm, against), of in tests.items()
    ]
    columns = [Column("arms"), *(Column(f"{size:,} pairs") for size in sizes), Column("stops paying at")]
    signatures = sorted({test["signature"] for of in tests.values() for test in of.values()})
    note = "Mean difference over seeds, 95 % interval and p of a paired bootstrap over sentences and seeds "
    note += f"({', '.join(signatures)}); in bold, where p < {ALPHA} and the interval leaves out 0. Stops paying: where "
    note += "the mean falls to 0 and stays below, interpolated, if there was a gain before."
    if rows:
        found.append(Table("differences", f"{direction}: differences in {label}", columns, rows, note))
    return found


def _difference(test: Mapping[str, Any] | None) -> str:
    if test is None:
        return "–"
    value, low, high = (printed(test[name], 1, signed=True) for name in ("difference", "low", "high"))
    if told_apart(test):
        value = f"**{value}**"
    return f"{value} ({low} to {high}, p = {test['p_value']:.3f})"


def warnings(runs: Mapping[int, Run]) -> list[str]:
    """Name the sizes at which arms were still getting better at the end of training: ``training.unfinished``."""
    late = []
    for size, run in sorted(runs.items()):
        if n := len(training.unfinished(run)):
            late.append(f"{size:,} pairs ({n} of {len({log['arm'] for log in run['logs']} & {*run['arms']})} arms)")
    if not late:
        return []
    return [
        "Not trained to the end: in the last quarter of the updates the best BLEU on the dev set still rose with "
        f"{', '.join(late)}. With more updates (finetune.updates) the arms may compare otherwise there, and an arm may "
        "stop paying elsewhere."
    ]


def as_dict(scores: Scores, tests: Tests, metric: str) -> dict[str, Any]:
    """All numbers of the curve, as values that JSON can hold."""
    return {
        "metric": metric,
        "scores": {str(size): {arm: dict(of) for arm, of in sorted(by.items())} for size, by in sorted(scores.items())},
        "differences": [{"size": size, **test} for of in tests.values() for size, test in of.items()],
        "crossings": [
            {"arm": arm, "against": against, **dataclasses.asdict(_crossing(of))}
            for (arm, against), of in tests.items()
        ],
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
