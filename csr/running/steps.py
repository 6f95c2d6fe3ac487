"""A run as a list of steps: what each calls, reads and writes. Snakemake runs them, through ``run.smk``."""

from __future__ import annotations

import dataclasses
import math
import os
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from csr.errors import ConfigError
from csr.settings import hint

# Replaces the shell, so that the step is a child of snakemake and is killed with it.
STEP = f"exec {shlex.quote(sys.executable)} -m csr.step {os.getpid()}"

# Where the steps tell of themselves, within the run folder.
EVENTS = Path("logs", "events.jsonl")
STEPS = "steps.json"  # all of them, as ``as_config`` writes them

FilePath = str | Path


@dataclass(frozen=True)
class Step:
    """One csr command of a run, with the files it reads and writes.

    Paths lie within the run folder; absolute ones anywhere. A step is done again if an input is newer than an output,
    or if its command or ``settings`` have changed.
    """

    name: str
    """Unique, such as "baseline seed 1": its label and log file, and what ``--until`` selects by."""
    command: Sequence[str]
    """Arguments of ``csr``."""
    inputs: Sequence[FilePath]
    outputs: Sequence[FilePath]
    settings: Any = None
    """What besides the command decides the result, as plain values."""
    threads: int = 1
    gpus: int = 0
    """Cards that it needs where the machine has any."""
    temporary: bool = False
    """Its outputs are deleted once the steps that read them are done."""

    @property
    def log(self) -> str:
        """The file its output goes to."""
        return f"logs/{self.name.replace(' ', '-')}.log"


def as_config(steps: Iterable[Step]) -> dict[str, Any]:
    """The steps as values that JSON can hold: the configuration of ``run.smk``."""
    return {"steps": [_plain(step) for step in steps]}


def from_config(config: Mapping[str, Any]) -> list[Step]:
    """The steps that ``as_config`` has written.

    Snakemake takes what is in braces for wildcards and has no way to say that it is not: of inputs with braces in their
    paths, the time when they were last changed is one of the settings.
    """
    return [_without_braces(Step(**step)) for step in config["steps"]]


def _without_braces(step: Step) -> Step:
    changed = {str(file): os.stat(file).st_mtime_ns for file in step.inputs if "{" in str(file)}
    if not changed:
        return step
    inputs = [file for file in step.inputs if str(file) not in changed]
    return dataclasses.replace(step, inputs=inputs, settings=[step.settings, changed])


def selected(steps: Sequence[Step], until: str) -> list[Step]:
    """The steps that ``--until`` names: those whose name begins with its words.

    Raises:
        ConfigError: there is none.
    """
    words = until.split()
    found = [step for step in steps if step.name.split()[: len(words)] == words] if words else []
    if not found:
        groups = list(dict.fromkeys(step.name.partition(" ")[0] for step in steps))
        raise ConfigError(f"--until: expected {' or '.join(groups)}, found {until!r}{hint(until, groups)}")
    return found


def leading_to(steps: Sequence[Step], until: str) -> list[Step]:
    """The selected steps and those that they are made of."""
    makers = {str(file): step for step in steps for file in step.outputs}
    found, left = {}, selected(steps, until)
    while left:
        step = left.pop()
        if step.name not in found:
            found[step.name] = step
            left += [makers[str(file)] for file in step.inputs if str(file) in makers]
    return list(found.values())


def targets(steps: Sequence[Step], until: str) -> list[str]:
    """The files to make so that the selected steps are done, and what they are made of.

    What they read is named too: a file that was deleted is made again, though what was made of it is still there. In
    place of a temporary file stands what is made of it.
    """
    kept = {str(file) for step in steps if not step.temporary for file in step.outputs}
    wanted: dict[str, None] = {}
    for step in selected(steps, until):
        outputs = set(map(str, step.outputs))
        readers = [other for other in steps if step.temporary and not outputs.isdisjoint(map(str, other.inputs))]
        wanted |= dict.fromkeys(str(file) for made in readers or [step] for file in made.outputs)
        wanted |= dict.fromkeys(str(file) for file in step.inputs if str(file) in kept)
    return list(wanted)


def _plain(step: Step) -> dict[str, Any]:
    values = {field.name: getattr(step, field.name) for field in dataclasses.fields(step)}
    values |= {name: [str(file) for file in values[name]] for name in ("inputs", "outputs")}
    return values | {"settings": _without_infinity(step.settings)}


def _without_infinity(value: Any) -> Any:
    """A value with infinity, such as that of a temperature, as text: JSON has none."""
    if isinstance(value, Mapping):
        return {name: _without_infinity(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_without_infinity(part) for part in value]
    return str(value) if isinstance(value, float) and math.isinf(value) else value
