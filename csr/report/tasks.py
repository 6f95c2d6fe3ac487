"""Tables of the experiments other than translation on one pair."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from csr.errors import DataError
from csr.report import write_page, write_results
from csr.report.collect import collect, of_run
from csr.report.html import task_page
from csr.report.measures import arm_name
from csr.report.table import Cell, Column, Number, Table


def write_task_report(folder: Path, make: Callable[[Sequence[dict[str, Any]]], Sequence[Table]]) -> None:
    """Write the report of a run of another kind than translation, whose tables ``make`` makes from its scores.

    Raises:
        DataError: no arm has scores yet.
    """
    with of_run(folder):
        run = collect(folder)
        if not run["scores"]:
            raise DataError(f"{folder}: expected scores of at least one arm, found none; csr run makes them")
        found = make(run["scores"])
        page = task_page(run["name"], found, run)
        write_results(folder, run, found, found[:1])
    write_page(folder / "report.html", page)


def nli_table(scores: Sequence[dict[str, Any]], languages: Sequence[str], arms: Sequence[str], trained: str) -> Table:
    """Accuracy by arm and language, as Zan et al., Table 7."""
    rows: list[list[Cell]] = [["Majority class", *_percents([scores[0]], languages, "majority")]]
    for arm in arms:
        found = [score for score in scores if score["arm"] == arm]
        rows.append([arm_name(arm), *(_percents(found, languages, "accuracy"))])
    columns = [Column("arm"), *(Column(language, 1) for language in languages), Column("average", 1)]
    note = f"Trained on {trained}; the average is over the other languages. Mean ± standard deviation over seeds."
    return Table("nli", "Inference: accuracy, %", columns, rows, note, ours=[0]).with_best()


def rouge_table(scores: Sequence[dict[str, Any]], arms: Sequence[str], direction: str) -> Table:
    """ROUGE by arm, as Zan et al., Table 6."""
    metrics = {"rouge1": "ROUGE-1", "rouge2": "ROUGE-2", "rougeL": "ROUGE-L"}

    def cells(found: Sequence[dict[str, Any]], key: str) -> list[Cell]:
        return [Number(tuple(score[key][metric]["value"] for score in found)) for metric in metrics]

    rows: list[list[Cell]] = [["First sentence of the document", *cells(scores[:1], "lead")]]
    rows += [[arm_name(arm), *cells([score for score in scores if score["arm"] == arm], "rouge")] for arm in arms]
    columns = [Column("arm"), *(Column(label, 1) for label in metrics.values())]
    note = f"An empty summary scores 0. {scores[0]['rouge']['rouge1']['signature']}"
    return Table("rouge", f"Summaries, {direction}: ROUGE F1", columns, rows, note, ours=[0]).with_best()


def _percents(scores: Sequence[dict[str, Any]], languages: Sequence[str], key: str) -> list[Cell]:
    def value(found: Any) -> float:
        return 100 * (found["value"] if isinstance(found, dict) else found)

    cells: list[Cell] = [Number(tuple(value(score[key][language]) for score in scores)) for language in languages]
    average = "average" if key == "accuracy" else "majority_average"
    return [*cells, Number(tuple(100 * score[average] for score in scores))]
