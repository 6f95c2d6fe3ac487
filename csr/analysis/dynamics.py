"""Training dynamics from fairseq's JSON logs: loss and BLEU over updates (Zan et al., Figure 6)."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from csr.files import PathLike, read_lines

Point = dict[str, float]
Curve = list[tuple[float, float]]  # (updates, value)


@dataclass(frozen=True)
class TrainingLog:
    """What a training run logged, by increasing ``num_updates``; losses in bits per target token.

    ``train`` are means over a log interval (over an epoch where training was shorter than an interval), ``valid``
    over the validation set; every number fairseq logged is kept under its own name, without ``train_`` or ``valid_``.
    What is no finite number is left out; ``diverged`` is the first update whose loss was none.
    """

    train: list[Point]
    valid: list[Point]
    diverged: float | None = None


def read_log(path: PathLike) -> TrainingLog:
    """Read a log of ``fairseq-train --log-format json``, with or without time stamps before the JSON.

    Where a run was restarted the log goes back to an earlier update: what it had logged from there on is dropped.
    Both lists are empty before the first logged update.
    """
    parts: dict[str, list[Point]] = {"": [], "train_": [], "valid_": []}
    diverged: float | None = None
    for line in read_lines(path):
        try:
            fields = json.loads(line[line.index("{") :])
        except (ValueError, RecursionError):  # other messages, or a line cut short by a kill
            continue
        prefix = next((prefix for prefix in parts if f"{prefix}num_updates" in fields), None)
        if prefix is None:
            continue
        points = parts[prefix]
        numbers = {key.removeprefix(prefix): _number(value) for key, value in fields.items()}
        point = {key: number for key, number in numbers.items() if number is not None and math.isfinite(number)}
        if "num_updates" not in point:
            continue
        while points and points[-1]["num_updates"] >= point["num_updates"]:
            points.pop()
        points.append(point)
        if diverged is not None and diverged >= point["num_updates"]:
            diverged = None
        if diverged is None and numbers.get("loss") is not None and "loss" not in point:
            diverged = point["num_updates"]
    return TrainingLog(parts[""] or parts["train_"], parts["valid_"], diverged)


def _number(value: object) -> float | None:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):  # such as "None" or a text
        return None


def curve(points: Sequence[Point], key: str) -> Curve:
    """(updates, value) of the points that have the key."""
    return [(point["num_updates"], point[key]) for point in points if key in point]


def updates_to_reach(losses: Curve, target: float) -> float | None:
    """The first logged update at which a loss is at or below ``target``; None if it never is.

    Zan et al., section 6.3: stage two "only requires about half of the update steps (12k vs. 25k) to reach the same
    loss level, compared to standard finetuning".

    >>> updates_to_reach([(100, 5.0), (200, 4.1), (300, 3.9)], 4.2)
    200
    """
    return next((updates for updates, value in losses if value <= target), None)
