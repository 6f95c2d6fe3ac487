"""The figures of a report: curves of training, measures at checkpoints, F-measure of words, each with its legend."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from csr.report import plots
from csr.report.measures import STAGE_ONE, Measure, Run, arm_name, logs
from csr.report.table import Number, Table

Curve = tuple[str, str, str]

# What is drawn over updates, by experiment: part of the log, name there, title.
CURVES: Sequence[Curve] = (
    ("valid", "bleu", "Validation BLEU, finetuning"),
    ("valid", "loss", "Validation loss, finetuning (bits per token)"),
    ("train", "loss", "Training loss, finetuning (bits per token)"),
)
TASK_CURVES: dict[str, Sequence[Curve]] = {
    "summarization": CURVES,
    "nli": (
        ("valid", "accuracy", "Validation accuracy, finetuning (%)"),
        ("valid", "loss", "Validation loss, finetuning (bits per pair)"),
        ("train", "loss", "Training loss, finetuning (bits per pair)"),
    ),
    "pretraining": (
        ("train", "accuracy", "Accuracy of masked pieces in training (share)"),
        ("train", "loss", "Loss in pretraining (bits per masked piece)"),
    ),
}


def training(run: Run, curves: Sequence[Curve]) -> list[str]:
    """The curves of the arms, then the losses of the stages before them; empty where nothing is logged."""
    arms = run["arms"]
    stages = [arm for arm in dict.fromkeys(log["arm"] for log in run["logs"]) if arm not in arms]
    return [*(_curves(run, arms, *curve) for curve in curves), *(_stage_loss(run, stage) for stage in stages)]


def _curves(run: Run, arms: Sequence[str], part: str, key: str, title: str) -> str:
    series = [plots.Series(f"arm-{arm}", arm_name(arm), curves_of(run, arm, part, key, shift=True)) for arm in arms]
    return _lines(series, title, settle=key == "loss")


def _stage_loss(run: Run, stage: str) -> str:
    series = [
        plots.Series(f"arm-{stage}", "training", curves_of(run, stage, "train", "loss")),
        plots.Series(f"arm-{stage} dashed", "validation", curves_of(run, stage, "valid", "loss")),
    ]
    return _lines(series, f"Loss, stage {stage} (bits per token)", settle=True)


def checkpoints(run: Run, measure: Measure, title: str) -> str:
    """Plot a measure of the arms and of the restore stages over their saved checkpoints."""
    series = []
    for stage in dict.fromkeys(one["arm"] for one in run["checkpoints"]):
        found = [
            [(point["updates"], value) for point in one["points"] if (value := measure(point)) is not None]
            for one in run["checkpoints"]
            if one["arm"] == stage
        ]
        style = f"arm-{stage}" + (" dashed" if stage not in run["arms"] else "")
        series.append(plots.Series(style, arm_name(stage), [curve for curve in found if curve]))
    return _lines(series, title, settle=False)


def curves_of(run: Run, arm: str, part: str, key: str, shift: bool = False) -> list[plots.Points]:
    """The curves of an arm or a stage, one per seed; with ``shift`` from where its stage one has ended."""
    found = [(log["seed"], log[part][key]) for log in logs(run, arm) if log[part].get(key)]
    before = {log["seed"]: log["updates"] or 0 for log in logs(run, STAGE_ONE.get(arm, ""))} if shift else {}
    return [[(x + before.get(seed, 0), y) for x, y in points] for seed, points in found]


def _lines(series: Sequence[plots.Series], title: str, settle: bool) -> str:
    drawn = [one for one in series if one.curves]
    if not drawn:
        return ""
    return figure(title, plots.lines(drawn, title, "updates", settle), [(one.style, one.label) for one in drawn])


def figure(title: str, svg: str, legend: Iterable[tuple[str, str]]) -> str:
    """A plot with its title and a legend of (style, label)."""
    keys = "".join(plots.key(style, label) for style, label in legend)
    return f'<figure><figcaption>{escape(title)}</figcaption>{svg}<div class="legend">{keys}</div></figure>'


def words(run: Run, table: Table) -> str:
    """The table of word F-measure by frequency as bars."""
    groups = [column.label for column in table.columns[1:]]
    arms = [
        (f"arm-{arm}", arm_name(arm), [cell if isinstance(cell, Number) else Number(()) for cell in row[1:]])
        for arm, row in zip(run["arms"], table.rows, strict=True)
    ]
    title = "Word F-measure (%) by how often the word was seen in the training text"
    return figure(title, plots.bars(groups, arms, title), [(style, label) for style, label, _ in arms])
