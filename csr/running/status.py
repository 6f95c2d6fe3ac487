"""What a run folder tells of its steps: what is done, what runs, how far each training is."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from csr.errors import ConfigError, DataError
from csr.files import read_object
from csr.process import locked
from csr.running.steps import EVENTS, STEPS, Step, from_config

_TAIL = 1 << 16  # bytes of a log that surely hold its last figures


@dataclass(frozen=True)
class Training:
    """How far a training is; ``loss`` in bits per token, ``speed`` in updates a second.

    ``total`` is None where the command does not say when it ends, ``seconds_left`` where that cannot be told.
    """

    updates: int
    total: int | None
    loss: float
    speed: float
    seconds_left: float | None

    def __str__(self) -> str:
        of = f" of {self.total:,}" if self.total else ""
        left = "" if self.seconds_left is None else f", {duration(self.seconds_left)} left"
        return f"update {self.updates:,}{of}, loss {self.loss:.2f}, {self.speed:.3g} updates/s{left}"


@dataclass(frozen=True)
class Status:
    """The state of a run; ``running`` and ``failed`` are steps of the last ``csr run``, ``failed`` with their logs."""

    active: bool
    done: int
    total: int
    running: dict[str, Training | None]
    failed: dict[str, Path]


def status(run: Path) -> Status:
    """Read the state of a run folder, changing nothing.

    Raises:
        DataError: it is no folder of csr run.
    """
    if not (run / STEPS).is_file():
        raise DataError(f"{run}: expected {STEPS}, which csr run writes, found no such file")
    steps = from_config(read_object(run / STEPS))
    by_name = {step.name: step for step in steps}
    started: dict[str, Path] = {}
    failed: dict[str, Path] = {}
    for event in _events(run / EVENTS):
        name, log = str(event["step"]), run / str(event["log"])
        if event["status"] is None:
            started[name] = log
        elif started.pop(name, None) and event["status"]:
            failed[name] = log
    active = _locked(run)
    running = {name: training(run, by_name[name]) for name in started if active and name in by_name}
    return Status(active, len(_done(run, steps)), len(steps), running, failed)


def training(run: Path, step: Step) -> Training | None:
    """How far the training of a step is, from its log; None for other steps, and before the first figures."""
    model = next((Path(file) for file in step.outputs if Path(file).name == "model.pt"), None)
    log = run / model.with_name("train.log") if model else None
    if log is None or not log.is_file():
        return None
    with open(log, "rb") as stream:
        stream.seek(max(0, log.stat().st_size - _TAIL))
        points = re.findall(r'\{"epoch": .*"num_updates": .*\}', stream.read().decode(errors="replace"))
    if not points:
        return None
    try:
        point = json.loads(points[-1])
        updates, loss, speed = int(point["num_updates"]), float(point["loss"]), float(point["ups"])
    except (KeyError, TypeError, ValueError):
        return None
    total = _max_update(step.settings)
    return Training(updates, total, loss, speed, (total - updates) / speed if total and speed > 0 else None)


def duration(seconds: float) -> str:
    """A duration as a person says it.

    >>> duration(4.2), duration(125), duration(7384)
    ('4 s', '2 min 5 s', '2 h 3 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"


def _max_update(settings: Any) -> int | None:
    """The updates that a fairseq command within a step's settings is told to train for."""
    if isinstance(settings, list):
        for value, following in itertools.pairwise(settings):
            if value == "--max-update":
                return int(following)
        return next((found for value in settings if (found := _max_update(value))), None)
    return None


def _events(path: Path) -> Iterator[dict[str, Any]]:
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            yield json.loads(line)


def _done(run: Path, steps: Sequence[Step]) -> set[str]:
    """The steps whose files are there; a temporary one is done with those that read it."""
    found = {step.name for step in steps if all((run / file).exists() for file in step.outputs)}
    for step in reversed(steps):
        outputs = set(map(str, step.outputs))
        readers = {other.name for other in steps if not outputs.isdisjoint(map(str, other.inputs))}
        if step.temporary and readers and readers <= found:
            found.add(step.name)
    return found


def _locked(run: Path) -> bool:
    try:
        with locked(run, patience=0):
            return False
    except ConfigError:
        return True
