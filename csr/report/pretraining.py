"""Tables of code-switched pretraining, as Visser et al., Tables 3 to 5: a row per language, ours beside the paper's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from statistics import fmean
from typing import Any, Protocol, TypeVar

import yaml

from csr.errors import DataError
from csr.evaluation.classification import has_learned
from csr.files import read_object
from csr.report import write_page, write_results
from csr.report.collect import collect, of_run
from csr.report.html import task_page
from csr.report.measures import arm_name
from csr.report.table import Cell, Column, Number, Table
from csr.report.verdict import Verdict
from csr.report.zero_shot import (
    Tests,
    by_outcome,
    difference_cells,
    differences_note,
    in_words,
    on_dev,
    overall,
    unlearned_note,
)

ARMS = ("none", "ibm", "muse")

# What is measured: the table's name among the published ones, and its title.
MEASURES = {
    "masked": ("pretraining_mlm", "Accuracy of masked pieces in held-out text"),
    "nli": ("pretraining_xnli", "Zero-shot inference: accuracy"),
    "ner": ("pretraining_panx", "Zero-shot named entities: macro F1"),
}
# The score of a test set that a task's table shows and its grid is judged by.
_SCORES = {"nli": "accuracy", "ner": "macro"}
_TASKS = {"nli": "inference", "ner": "named entities"}
_DIGITS = 4

Results = dict[str, Any]


class Finetuned(Protocol):
    """One fine-tuning of a run: what it learned, from which arm's model, with which point of the grid, and where."""

    @property
    def task(self) -> str:
        """What was learned: ``nli`` or ``ner``."""

    @property
    def arm(self) -> str:
        """Whose model it started from."""

    @property
    def seed(self) -> int:
        """The seed of that model's pretraining."""

    @property
    def run(self) -> int:
        """Its own seed."""

    @property
    def grid(self) -> str:
        """Its point of the grid, as folders and tables call it."""

    @property
    def folder(self) -> Path:
        """Where it is, seen from the run folder."""


F = TypeVar("F", bound=Finetuned)
Compare = Callable[[Sequence[F]], Iterable[Mapping[str, Any]]]


def collect_pretraining(
    folder: Path, finetunings: Sequence[F], compare: Compare[F] = lambda finetunings: ()
) -> Results:
    """The results of a run: ``collect``, and the scores by language; ``missing`` names what is not finished.

    ``scores[measure][language][arm]`` are the values, one for each seed of pretraining and of fine-tuning.

    Args:
        compare: makes paired tests of the models at the best point of each grid: task, arm, against, test, seeds,
            difference and p-value.
    """
    base = collect(folder)
    scores: dict[str, dict[str, dict[str, list[float]]]] = {}
    missing = []
    for arm in base["arms"]:
        for seed in base["seeds"]:
            path = folder / f"seed-{seed}" / arm / "accuracy.json"
            if not path.is_file():
                missing.append(str(path.relative_to(folder)))
                continue
            for language, found in read_object(path).items():
                by_arm = scores.setdefault("masked", {}).setdefault(language, {})
                by_arm.setdefault(arm, []).append(found["accuracy"])
    before = folder / "start/accuracy.json"
    done: list[tuple[F, dict[str, Any]]] = []
    for run in finetunings:
        path = folder / run.folder / "scores.json"
        if path.is_file():
            done.append((run, read_object(path)))
        else:
            missing.append(str(path.relative_to(folder)))
    grids: dict[str, dict[str, float]] = {}
    types = []
    chosen: list[F] = []
    unlearned: dict[str, dict[str, list[str]]] = {}
    for task in dict.fromkeys(run.task for run in finetunings):
        of_task = [(run, found) for run, found in done if run.task == task]
        grids[task] = _grid(of_task)
        best = max(grids[task], key=grids[task].__getitem__, default=None)
        for run, found in of_task:
            if run.grid != best:
                continue
            chosen.append(run)
            if not has_learned(found["dev"]):
                seeds = f"{run.seed}/{run.run}"  # of pretraining and of fine-tuning
                unlearned.setdefault(task, {}).setdefault(run.arm, []).append(seeds)
            for language, score in found.items():
                by_arm = scores.setdefault(task, {}).setdefault(language, {})
                by_arm.setdefault(run.arm, []).append(score[_SCORES[task]] or 0.0)
                if task == "ner":
                    types.append({"language": language, "arm": run.arm, **score})
    data = base["config"]["data"]
    return base | {
        "languages": [data["source_lang"], data["target_lang"]],
        "scores": scores,
        "before": {name: found["accuracy"] for name, found in read_object(before).items()} if before.is_file() else {},
        "types": types,
        "grids": grids,
        "comparisons": list(compare(chosen)),
        "unlearned": unlearned,
        "missing": missing,
        "notes": list(base["config"]["notes"]),
    }


def write_report(folder: Path, finetunings: Sequence[F], compare: Compare[F]) -> None:
    """Write ``report.html``, ``table.md``, ``results.json`` and ``tables/`` of a run folder."""
    with of_run(folder):
        results = collect_pretraining(folder, finetunings, compare)
        found = [*main_tables([results]), *difference_tables(results), *detail_tables(results)]
        title = f"Code-switched pretraining: {'–'.join(results['languages'])}"
        told = verdicts(results)
        page = task_page(title, found, results, told)
        write_results(folder, results, found, found, list(map(str, told)))
    write_page(folder / "report.html", page)


def main_tables(runs: Sequence[Results]) -> list[Table]:
    """Tables 3 to 5 for one run or several: a row per language, the best of ours in bold."""
    notes = [note for run in runs for note in run["notes"]]
    missing = [f"{run['name']}/{path}" for run in runs for path in run["missing"]]
    if missing:
        notes.append(f"Not finished: {len(missing)} results, such as {missing[0]}.")
    published = _published()
    tables = []
    for measure, (name, title) in MEASURES.items():
        printed = published[name]
        rows: list[list[Cell]] = []
        for run in runs:
            by_language = run["scores"].get(measure, {})
            for language in _order(by_language, run["languages"]):
                ours = _best([_cell(by_language[language], arm, run["arms"]) for arm in ARMS])
                theirs = printed["rows"].get(language, [None] * len(ARMS))
                source, target = run["languages"]
                shown = f"{source} (dev)" if language == "dev" else language
                if len(runs) > 1 and language in (source, "dev"):
                    shown += f", with {target}"
                rows.append([shown, *ours, *("–" if x is None else Number((x,), _DIGITS) for x in theirs)])
        names = [arm_name(arm) for arm in ARMS]
        columns = [Column("language"), *map(Column, names), *(Column(f"{name}, paper") for name in names)]
        if rows:
            source = f"Paper: {printed['source']}. Mean ± standard deviation over seeds; –: no data. "
            told = [unlearned_note(_named(run, measure, len(runs) > 1), measure, f"{measure}.lrs") for run in runs]
            tables.append(Table(measure, title, columns, rows, source + " ".join(dict.fromkeys(notes)) + "".join(told)))
    return tables


def _named(run: Results, task: str, several: bool) -> dict[str, list[str]]:
    """The seeds of pretraining/fine-tuning of the models that have not learned a task, by the names of their arms."""
    prefix = f"{run['name']}, " if several else ""
    found = run.get("unlearned", {}).get(task, {})  # older results do not say
    return {prefix + arm_name(arm): seeds for arm, seeds in found.items()}


def detail_tables(results: Results) -> list[Table]:
    """Entity F1 by type, and the scores on the dev set by learning rate and epochs where there are several."""
    tables = []
    if results["before"]:
        rows: list[list[Cell]] = []
        for language, accuracy in results["before"].items():
            by_arm = results["scores"].get("masked", {}).get(language, {})
            after = [_cell(by_arm, arm, results["arms"]) for arm in results["arms"]]
            rows.append([language, Number((accuracy,), _DIGITS), *after])
        columns = [Column("language"), Column("before"), *map(Column, map(arm_name, results["arms"]))]
        note = "The model that pretraining starts from, and those after it. A head that is new knows nothing before."
        tables.append(
            Table("before", "Accuracy of masked pieces before and after pretraining further", columns, rows, note)
        )
    if results["types"]:
        names = sorted({name for found in results["types"] for name in found["types"]})
        rows = []
        for language in dict.fromkeys(found["language"] for found in results["types"]):
            for arm in results["arms"]:
                mine = [f for f in results["types"] if (f["language"], f["arm"]) == (language, arm)]
                whole = [tuple(f[key] or 0.0 for f in mine) for key in ("micro", "macro")]
                each = [tuple(f["types"].get(name, 0.0) for f in mine) for name in names]
                rows.append([language, arm_name(arm), *(Number(values, _DIGITS) for values in (*whole, *each))])
        columns = [Column("language"), Column("arm"), *map(Column, ("micro", "macro", *names))]
        tables.append(Table("ner_types", "Named entities: F1 by type", columns, rows))
    for task, grid in results["grids"].items():
        if len(grid) > 1:
            rows = [
                [point.replace("lr-", "lr ").replace("-epochs-", ", epochs "), Number((score,), _DIGITS)]
                for point, score in grid.items()
            ]
            note = "Mean over arms and seeds, in the language of training; the best point serves every arm."
            title = f"{MEASURES[task][1]} on the dev set by learning rate and epochs"
            columns = [Column("grid"), Column("dev", 1)]
            tables.append(Table(f"{task}_grid", title, columns, rows, note).with_best())
    return tables


def difference_tables(results: Results) -> list[Table]:
    """The differences of the arms' models by task and test set, marked where they are more than chance."""
    tables = []
    for task in dict.fromkeys(row["task"] for row in results["comparisons"]):
        of_task = [row for row in results["comparisons"] if row["task"] == task]
        tests = list(dict.fromkeys(row["test"] for row in of_task))
        rows: list[list[Cell]] = [
            [arm_name(arm), arm_name(other), *difference_cells(tested, tests)]
            for (_, arm, other), tested in _compared(of_task).items()
        ]
        columns = [Column("arm"), Column("against"), *map(Column, tests)]
        title = f"{MEASURES[task][1]}, differences in points"
        tables.append(Table(f"{task}_differences", title, columns, rows, differences_note(of_task)))
    return tables


def verdicts(results: Results) -> list[Verdict]:
    """Whether the model of an arm, fine-tuned, is better than that of another, by the rule of zero-shot transfer."""
    told = []
    for (task, arm, other), tests in _compared(results["comparisons"]).items():
        outcomes = by_outcome(tests)
        headline = f"{arm_name(arm)} against {arm_name(other)}, {_TASKS[task]}: {in_words(tests, outcomes)}."
        models = max((test["seeds"] for test in tests.values()), key=len)
        pretrained = len({seed for seed, _ in models})
        details = f"Points; {len(models)} fine-tuned of {pretrained} pretrained models of each arm"
        if pretrained == 1:
            details = f"Points; {len(models)} fine-tuned of one pretrained model of each arm, whose luck is not known"
        told.append(Verdict(arm, other, overall(outcomes), headline, f"{details}.{on_dev(tests)}", ""))
    return told


def _compared(comparisons: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str, str], Tests]:
    """What was tested, by test set, of each task, arm and other arm."""
    found: dict[tuple[str, str, str], Tests] = {}
    for row in comparisons:
        found.setdefault((row["task"], row["arm"], row["against"]), {})[row["test"]] = row
    return found


def read_results(folders: Sequence[Path]) -> list[Results]:
    """Read the results of run folders that have been reported on.

    Raises:
        DataError: a folder has none, or those of another kind of experiment.
    """
    found = [read_object(folder / "results.json") for folder in folders]
    for folder, results in zip(folders, found, strict=True):
        if "grids" not in results:
            raise DataError(f"{folder}/results.json: expected the results of an experiment of pretraining")
        with of_run(folder):
            main_tables([results])
    return found


def _grid(done: Sequence[tuple[Finetuned, Mapping[str, Any]]]) -> dict[str, float]:
    """The mean score on the dev set of each point of a grid."""
    points: dict[str, list[float]] = {}
    for run, found in done:
        points.setdefault(run.grid, []).append(found["dev"][_SCORES[run.task]] or 0.0)
    return {point: fmean(values) for point, values in points.items()}


def _published() -> dict[str, dict[str, Any]]:
    text = resources.files("csr.report").joinpath("published.yaml").read_text(encoding="utf-8")
    return {spec["name"]: spec for spec in yaml.safe_load(text)}


def _order(by_language: Mapping[str, Any], languages: Sequence[str]) -> list[str]:
    """The languages measured: those that are learned about in passing, then the one of training and its dev."""
    source = [name for name in by_language if name in (languages[0], "dev")]
    return [name for name in by_language if name not in source] + source


def _cell(by_arm: Mapping[str, Sequence[float]], arm: str, arms: Sequence[str]) -> Cell:
    return Number(tuple(by_arm.get(arm, ())), _DIGITS) if arm in arms else "–"


def _best(cells: Sequence[Cell]) -> list[Cell]:
    """Mark the best numbers of a row, ties as printed included."""
    means = [
        round(cell.mean, _DIGITS) if isinstance(cell, Number) and cell.mean is not None else None for cell in cells
    ]
    found = [mean for mean in means if mean is not None]
    top = max(found) if len(found) > 1 else None
    return [
        replace(cell, best=True) if isinstance(cell, Number) and mean is not None and mean == top else cell
        for cell, mean in zip(cells, means, strict=True)
    ]
