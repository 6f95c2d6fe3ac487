"""Tables of training: time, losses, and what was measured at saved checkpoints."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from csr.analysis.dynamics import updates_to_reach
from csr.report.measures import Run, arm_name, bleu, direction, distance, logged, logs, seconds, values
from csr.report.outputs import BASELINE
from csr.report.table import Cell, Column, Number, Table, printed

STAGES = ("backbone", "restore", "reverse", "finetune")


def cost(run: Run) -> Table:
    """Seconds of each stage and the overhead over standard finetuning (Zan et al., Table 10)."""
    stages = [stage for stage in STAGES if any(_stage_seconds(stage, score) is not None for score in run["scores"])]
    columns = [
        Column("arm"),
        *(Column(f"{stage} s") for stage in stages),
        Column("after backbone s"),
        Column("overhead %"),
    ]
    base = Number(values(run, BASELINE, seconds)).mean
    rows: list[list[Cell]] = []
    for arm in run["arms"] if stages else []:
        spent = [Number(values(run, arm, functools.partial(_stage_seconds, stage)), 0) for stage in stages]
        total = values(run, arm, seconds)
        overhead = tuple(100 * (value / base - 1) for value in total) if base else ()
        rows.append(
            [arm_name(arm)]
            + [number if number.values or not total else "–" for number in spent]
            + [Number(total, 0), "–" if arm == BASELINE or not base else Number(overhead, 0)]
        )
    note = "Wall seconds, mean ± sample standard deviation over seeds. The arms of a seed share the backbone."
    counted = sorted({log["precision"] for log in run["logs"] if log.get("precision")})
    note += f" Trained in {' and '.join(counted)}." if counted else ""
    return Table("cost", f"{direction(run)}: training time", columns, rows, note)


def _stage_seconds(stage: str, score: dict[str, Any]) -> float | None:
    return score.get("seconds", {}).get(stage)


def dynamics(run: Run) -> Table:
    """Final losses and the updates until standard finetuning's final loss (Zan et al., section 6.3)."""
    labels = ("arm", "updates", "training loss", "validation loss", "best BLEU", "reaches baseline at", "in seeds")
    rows: list[list[Cell]] = []
    for arm in run["arms"]:
        if trained := logs(run, arm):
            reached, best = updates_to_baseline(run, arm), logged(run, arm, _best_bleu)
            rows.append(
                [
                    arm_name(arm),
                    Number(logged(run, arm, _last_update), 0),
                    Number(logged(run, arm, lambda log: _last(log["train"].get("loss"))), 3),
                    Number(logged(run, arm, lambda log: _last(log["valid"].get("loss"))), 3),
                    Number(best, 1) if best else "–",
                    Number(reached, 0) if reached else "–",
                    f"{len(reached)} of {len(trained)}",
                ]
            )
    note = "Finetuning only; last logged losses, in bits per token with label smoothing, and best validation BLEU. "
    note += "Last columns: first validation at or below standard finetuning's last validation loss with the same seed, "
    note += "of the seeds that also end there."
    for arm in run["arms"]:
        for log in logs(run, arm):
            if log["diverged"] is not None:
                where = f"{arm_name(arm)}, seed {log['seed']}"
                note += f" {where}: the loss is no number from update {log['diverged']:,.0f} on."
    note += "".join(f" {warning}" for warning in warnings(run))
    return Table("dynamics", f"{direction(run)}: training dynamics", [Column(label) for label in labels], rows, note)


RISE = 1.01  # of the dev loss over its best is more than the noise of a checkpoint
LOST = 0.5  # BLEU on the dev set between two checkpoints is more than the noise of a checkpoint
LATE = 0.75  # of the updates: what the dev set gains in the rest says whether training has come to its end


def warnings(run: Run) -> list[str]:
    """What is to be said of the training of the arms.

    Where the dev loss rises, or has taken a poor checkpoint, and which arms were still getting better at the end.
    """
    by_loss = run["config"].get("finetune", {}).get("select") == "loss"
    found = [(arm, [_overfitted(run, arm), _taken_too_early(run, arm) if by_loss else ""]) for arm in run["arms"]]
    told = [f"{arm_name(arm)}: {warning}" for arm, told in found for warning in told if warning]
    if late := unfinished(run):
        arms = ", ".join(f"{arm_name(arm, inside=True)} by {printed(gain, 1)}" for arm, gain in late.items())
        told.append(
            "Not trained to the end: in the last quarter of the updates the best BLEU on the dev set still rose, "
            f"{arms}; with more (finetune.updates) the arms may compare otherwise."
        )
    return told


def unfinished(run: Run) -> dict[str, float]:
    """The arms whose best BLEU on the dev set still rises by ``LOST`` after ``LATE``, and by how much, over seeds."""
    gains = {arm: logged(run, arm, _late_gain) for arm in run["arms"]}
    return {arm: mean for arm, each in gains.items() if each and (mean := fmean(each)) >= LOST}


def _late_gain(log: dict[str, Any]) -> float | None:
    points = log["valid"].get("bleu", [])
    early = [value for update, value in points if update <= LATE * points[-1][0]]
    return max(value for _, value in points) - max(early) if early else None


def _taken_too_early(run: Run, arm: str) -> str:
    """A warning where the checkpoint with the lowest dev loss is not that with the best dev BLEU; else nothing."""
    lost = []
    for log in logs(run, arm):
        losses, scores = log["valid"].get("loss", []), dict(log["valid"].get("bleu", []))
        if losses and scores:
            chosen, _ = min(losses, key=lambda point: point[1])
            best = max(scores, key=lambda update: scores[update])
            at_chosen = scores.get(chosen, scores[best])
            lost.append((scores[best] - at_chosen, chosen, at_chosen, best, scores[best]))
    if not lost or max(lost)[0] < LOST:
        return ""
    _, chosen, at_chosen, best, at_best = max(lost)
    n = sum(difference >= LOST for difference, *_ in lost)
    return (
        f"the checkpoint with the lowest dev loss, update {chosen:,.0f}, has {at_chosen:.1f} BLEU on the dev set, "
        f"update {best:,.0f} has {at_best:.1f} (in {n} of {len(lost)} seeds): with finetune.select: bleu the arms "
        "may compare otherwise."
    )


def _overfitted(run: Run, arm: str) -> str:
    """A warning where the dev loss of an arm rises after its best, in the seed in which it rises most; else nothing.

    Nothing, too, where it rises in half of the seeds or fewer. A seed whose translations of the dev set get better all
    the same is none of them: the loss of a model that is sure of itself rises before its BLEU falls.
    """
    risen = []
    for log in logs(run, arm):
        points, scores = log["valid"].get("loss", []), log["valid"].get("bleu", [])
        if points:
            update, best = min(points, key=lambda point: point[1])
            until = [value for at, value in scores if at <= update]
            gained = max(value for _, value in scores) - max(until) if until else 0.0
            risen.append((points[-1][1] / best if gained < LOST else 1.0, update, best, points[-1]))
    n = sum(ratio >= RISE for ratio, *_ in risen)
    if 2 * n <= len(risen):
        return ""
    _, update, best, (end, last) = max(risen)
    return (
        f"the dev loss rises after its best, {best:.3f} at update {update:,.0f}, to {last:.3f} at {end:,.0f} "
        f"(in {n} of {len(risen)} seeds): more updates do not help; finetune.select takes the best checkpoint, "
        "finetune.patience ends earlier."
    )


def _best_bleu(log: dict[str, Any]) -> float | None:
    return max((value for _, value in log["valid"].get("bleu", [])), default=None)


def _last(points: Sequence[tuple[float, float]] | None) -> float | None:
    return points[-1][1] if points else None


def _last_update(log: dict[str, Any]) -> float | None:
    """The last update a log tells of."""
    curves = [points for part in ("train", "valid") for points in log[part].values()]
    return max((points[-1][0] for points in curves if points), default=None)


def updates_to_baseline(run: Run, arm: str) -> tuple[float, ...]:
    """The updates an arm needs to the baseline's final validation loss, for the seeds that end no worse than it."""
    targets = {log["seed"]: _last(log["valid"].get("loss")) for log in logs(run, BASELINE)}
    return logged(run, arm, lambda log: _updates_to(log, targets.get(log["seed"])))


def _updates_to(log: dict[str, Any], target: float | None) -> float | None:
    losses = log["valid"].get("loss", [])
    return updates_to_reach(losses, target) if target is not None and losses and losses[-1][1] <= target else None


def checkpoints(run: Run) -> Table:
    """Distance and BLEU of the checkpoints that ``csr dynamics`` measured (Zan et al., Figure 2)."""
    series = run["checkpoints"]
    rows: list[list[Cell]] = []
    for stage in dict.fromkeys(one["arm"] for one in series):
        points = [point for one in series if one["arm"] == stage for point in one["points"]]
        for updates in sorted({point["updates"] for point in points}):
            here = [point for point in points if point["updates"] == updates]
            scores = tuple(value for point in here if (value := bleu(point)) is not None)
            rows.append(
                [
                    arm_name(stage),
                    f"{updates:,}",
                    *(
                        Number(tuple(value for point in here if (value := distance(name, point)) is not None), digits)
                        for name, digits in (("root_sum_squares", 2), ("cosine", 3), ("retrieval_accuracy", 1))
                    ),
                    Number(scores) if scores else "–",
                ]
            )
    labels = ("stage", "updates", "distance D", "cosine", "retrieval %", "BLEU")
    note = "Saved checkpoints; updates count from the start of the stage, 0 is the model it started from."
    for one in series[:1]:
        note += f" At most {one['sentences']:,} sentences of the split {one['split']}, beam {one['beam']}."
    return Table("checkpoints", f"{direction(run)}: over updates", [Column(label) for label in labels], rows, note)
