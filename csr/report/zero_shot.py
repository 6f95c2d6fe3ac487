"""Tables of zero-shot transfer: accuracy of inference and of texts, and entity F1, by test set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from csr.evaluation.significance import mark
from csr.report import write_page, write_results
from csr.report.collect import collect, of_run
from csr.report.html import task_page
from csr.report.measures import arm_name
from csr.report.table import Cell, Column, Number, Table


def scores_table(scores: Mapping[str, Mapping[str, Any]]) -> Table:
    """The scores of one model: a row for each test set, in percent."""
    if all("accuracy" in found for found in scores.values()):
        of_texts = all("macro" in found for found in scores.values())
        columns = [Column("test set"), Column("accuracy", 1), *([Column("macro F1", 1)] if of_texts else [])]
        columns += [Column("majority"), Column("texts" if of_texts else "pairs")]
        rows: list[list[Cell]] = []
        for name, found in scores.items():
            measures = ("accuracy", "macro", "majority") if of_texts else ("accuracy", "majority")
            rows.append([name, *(_percent(found[measure]) for measure in measures), Number((found["total"],), 0)])
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


def write_zero_shot_report(
    folder: Path,
    scores: Sequence[Mapping[str, Any]],
    comparisons: Sequence[Mapping[str, Any]],
    grid: Mapping[str, float],
    missing: Sequence[str],
) -> None:
    """Write ``report.html``, ``table.md``, ``results.json`` and ``tables/`` of a run of arms.

    Args:
        scores: encoder, arm, seed, test and score, 0 to 1, of each model at the best point of the grid.
        comparisons: encoder, arm, against (encoder and arm), test, difference and p-value.
        grid: the mean score on the dev set of each point.
        missing: the scores that are not there yet.
    """
    with of_run(folder):
        results = collect(folder) | {"scores": list(scores), "comparisons": list(comparisons), "grid": dict(grid)}
        results["missing"] = list(missing)
        task = results["config"]["task"]
        found = [arms_table(results, task), differences_table(results, task)]
        if len(grid) > 1:
            rows: list[list[Cell]] = [[point, _percent(score)] for point, score in grid.items()]
            columns = [Column("grid"), Column("dev", 1)]
            note = "Mean over encoders, arms and seeds; the best point serves all of them."
            found.append(Table("grid", "Scores on the dev set by learning rate and epochs", columns, rows, note))
        page = task_page(results["name"], found, results)
        write_results(folder, results, found, found[:2])
    write_page(folder / "report.html", page)


_MEASURES = {"ner": "macro F1", "nli": "accuracy", "text": "accuracy"}


def arms_table(results: Mapping[str, Any], task: str) -> Table:
    """The scores of each encoder and arm on each test set, and the mean over the test sets but dev, in percent."""
    scores = results["scores"]
    tests = list(dict.fromkeys(row["test"] for row in scores))
    others = [test for test in tests if test != "dev"]
    encoders = list(dict.fromkeys(row["encoder"] for row in scores))
    rows: list[list[Cell]] = []
    for encoder in encoders:
        for arm in results["arms"]:
            mine = [row for row in scores if (row["encoder"], row["arm"]) == (encoder, arm)]
            values = {(row["seed"], row["test"]): 100 * row["score"] for row in mine}
            seeds = list(dict.fromkeys(row["seed"] for row in mine))
            cells: list[Cell] = [Number(tuple(values[seed, test] for seed in seeds), 2) for test in tests]
            averages = (sum(values[seed, test] for test in others) / len(others) for seed in seeds)
            rows.append([encoder, arm_name(arm), *cells, Number(tuple(averages), 2)])
    columns = [Column("encoder"), Column("arm"), *(Column(test, 1) for test in tests), Column("average", 1)]
    note = "Mean ± standard deviation over seeds; dev is in the language of training, the average is over the others."
    if results["missing"]:
        note += f" Not finished: {len(results['missing'])} results, such as {results['missing'][0]}."
    return Table("zero_shot", f"Zero-shot transfer: {_MEASURES[task]}, %", columns, rows, note).with_best()


def differences_table(results: Mapping[str, Any], task: str) -> Table:
    """The difference of each arm from others, by test set, marked where it is more than chance."""
    compared = results["comparisons"]
    tests = list(dict.fromkeys(row["test"] for row in compared))
    rows: list[list[Cell]] = []
    for encoder, arm, other in dict.fromkeys((row["encoder"], row["arm"], tuple(row["against"])) for row in compared):
        cells: list[Cell] = []
        for test in tests:
            wanted = (encoder, arm, other, test)
            found = next(
                (r for r in compared if (r["encoder"], r["arm"], tuple(r["against"]), r["test"]) == wanted), None
            )
            if found is None:
                cells.append("–")
                continue
            cells.append(Number((100 * found["difference"],), 2, mark=mark(found["p_value"]), signed=True))
        name = arm_name(other[1]) if other[0] == encoder else f"{arm_name(other[1])} of {other[0]}"
        rows.append([encoder, arm_name(arm), name, *cells])
    columns = [Column("encoder"), Column("arm"), Column("against"), *map(Column, tests)]
    signature = f" {compared[0]['signature']}" if compared else ""
    note = f"* p < 0.05, ** p < 0.01: paired bootstrap over examples and seeds.{signature}"
    return Table("differences", f"Differences in {_MEASURES[task]}, points", columns, rows, note)


def _percent(value: float | None) -> Cell:
    return "–" if value is None else Number((100 * value,), 2)
