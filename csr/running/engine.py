"""Driving Snakemake: one run folder, its record, the progress of its steps, and what to say when one fails."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import csr
from csr.files import sha256, write_json
from csr.process import die_with, locked
from csr.running.cards import cards, expect_cards
from csr.running.fairseq import StepError, disk_full
from csr.running.processor import described
from csr.running.status import duration, training
from csr.running.steps import EVENTS, STEPS, Step, as_config, targets
from csr.settings import input_files, write_settings

_SNAKEFILE = Path(__file__).with_name("run.smk")
_PATIENCE = 60  # seconds for a batch system to cancel jobs
_VERSIONS = ("torch", "fairseq-fixed", "numpy", "scipy", "sentencepiece", "gensim", "sacrebleu", "snakemake")


@dataclass(frozen=True)
class Batch:
    """Where the steps run other than here: as Snakemake's options of the same names say."""

    executor: str | None = None
    profile: str | None = None
    jobs: int | None = None

    @property
    def options(self) -> list[str]:
        """The options of Snakemake; none for this machine."""
        given = dataclasses.asdict(self).items()
        return [text for name, value in given if value is not None for text in (f"--{name}", str(value))]


def run_steps(
    steps: Sequence[Step],
    settings: Any,
    run: Path,
    cores: int,
    until: str = "report",
    gpus: int | None = None,
    batch: Batch = Batch(),
) -> None:
    """Bring a run folder up to date with its steps, showing progress on stderr.

    Args:
        settings: the settings that the steps are made from, a dataclass: written to ``config.yaml``, and the files it
            names to ``environment.json`` with their hashes.
        cores: threads of all steps that run at the same time.
        gpus: steps that ask for a card and run at the same time, where there are cards (default: as many as there are).
        batch: a batch system takes the steps; cores and cards are its business then.

    Raises:
        ConfigError: another csr command works in the folder, ``until`` names no step, or a step needs more cards.
        StepError: a step failed; its error and log have been printed. Its ``status`` is 2 if its input was at fault.
    """
    wanted = targets(steps, until)
    if not batch.options:
        n_cards = len(cards())
        for step in steps:
            expect_cards(step.gpus, n_cards, f"{step.name}: gpus")
    with locked(run) as lock:
        write_settings(settings, run / "config.yaml")
        write_json(run / STEPS, as_config(steps))
        _write_environment(settings, run)
        events, log = run / EVENTS, run / "logs" / "snakemake.log"
        events.parent.mkdir(exist_ok=True)
        events.write_bytes(b"")
        where = batch.options or _here(cores, len(cards()) if gpus is None else gpus)
        command = _snakemake(run, run / STEPS, wanted, where)
        parent = os.getpid()
        with open(log, "wb") as stream:
            # A session of its own: an interrupt at the keyboard reaches this process alone, which then kills the rest.
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(lock,),
                preexec_fn=lambda: die_with(parent),
            )
        progress = _Progress(run, steps, log, sys.stderr)
        try:
            with open(events, encoding="utf-8") as lines:
                while process.poll() is None:
                    progress.read(lines)
                    time.sleep(0.1)
                progress.read(lines)
        finally:
            if process.poll() is None:
                if batch.options:  # Snakemake takes back what it has sent
                    process.send_signal(signal.SIGINT)
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(_PATIENCE)
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            progress.clear()
        if process.returncode:
            raise progress.failure(process.returncode)


def planned_steps(steps: Sequence[Step], run: Path, until: str = "report") -> Iterator[tuple[str, str]]:
    """Yield the name of each step that is to do and why, changing nothing in the run folder.

    Raises:
        ConfigError: ``until`` names no step.
        StepError: Snakemake fails, such as for a missing input.
    """
    wanted = targets(steps, until)
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder, STEPS)
        write_json(listed, as_config(steps))
        command = _snakemake(run if run.is_dir() else Path(folder), listed, wanted, [*_here(1, 0), "--dry-run"])
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    text = result.stdout + result.stderr
    if result.returncode:
        raise StepError(_last_lines(text, 4))
    for block in re.split(r"\n(?=(?:local)?rule )", text)[1:]:
        found = re.match(r"(?:local)?rule (.*):\n", block)
        reason = re.search(r"^ +reason: (.*)$", block, re.MULTILINE)
        if found and reason:
            yield (
                found[1],
                re.sub(r"Params have changed[^;]*(.*?before:.*?now:[^;]*)?", "settings have changed", reason[1]),
            )


def _here(cores: int, gpus: int) -> list[str]:
    # Without cards a step runs on the processor, whatever it asks for.
    return ["--cores", str(cores), *(("--resources", f"gpu={gpus}") if gpus else ())]


def _snakemake(run: Path, config: Path, wanted: Sequence[str], options: Sequence[str]) -> list[str]:
    return [
        *(sys.executable, "-m", "snakemake", "--snakefile", str(_SNAKEFILE), "--directory", str(run)),
        *("--configfile", str(config.resolve()), "--rerun-incomplete", "--nocolor"),
        # Not code: a new version of csr does not undo finished training.
        *("--nolock", "--rerun-triggers", "mtime", "params", "input"),
        *options,
        *("--", *wanted),
    ]


class _Progress:
    """The steps of one Snakemake process, as they tell of themselves."""

    def __init__(self, run: Path, steps: Sequence[Step], log: Path, out: TextIO) -> None:
        self._run, self._log, self._out = run, log, out
        self._steps = {step.name: step for step in steps}
        self._started: dict[str, tuple[float, Path]] = {}
        self._done = 0
        self._total: int | None = None
        self._status = 0
        self._drawn = 0.0

    def read(self, lines: TextIO) -> None:
        """Show the events that have been written since the last call."""
        while True:
            place = lines.tell()
            line = lines.readline()
            if not line.endswith("\n"):  # none yet, or half of one
                lines.seek(place)
                break
            self._show(json.loads(line))
        self._draw()

    def clear(self) -> None:
        """Take the status line off a terminal."""
        if self._out.isatty():
            print("\r\x1b[K", end="", file=self._out, flush=True)

    def failure(self, returncode: int) -> StepError:
        """The error of the whole run from Snakemake's exit status."""
        killed_by = max(0, -returncode)
        if disk_full(self._run):
            return StepError(f"{self._run}: no space left on the disk", 2)
        if self._status:
            return StepError("stopped at a failed step", self._status)
        if killed_by:
            return StepError(f"snakemake was ended by {signal.Signals(killed_by).name}; the same command continues")
        return StepError(f"{self._log}: snakemake failed: {_last_lines(_read(self._log), 4)}")

    def _show(self, event: dict[str, str | int | None]) -> None:
        step, log, status = str(event["step"]), self._run / str(event["log"]), event["status"]
        if status is None:
            self._started[step] = (time.monotonic(), log)
            if not self._out.isatty():
                self._say(f"{step} ...")
            return
        seconds = time.monotonic() - self._started.pop(step)[0]
        if status == 0:
            self._done += 1
            self._say(f"{step}: {duration(seconds)}")
            return
        self._status = max(self._status, int(status))
        self._say(f"{step}: failed after {duration(seconds)}")
        print(f"    {_last_lines(_read(log))}\n    log: {log}", file=self._out, flush=True)

    def _say(self, text: str) -> None:
        self.clear()
        if self._total is None and (found := re.search(r"^total +(\d+)$", _read(self._log), re.MULTILINE)):
            self._total = int(found[1])
        print(f"[{self._done}/{self._total or '?'}] {text}", file=self._out, flush=True)

    def _draw(self) -> None:
        if not self._out.isatty() or time.monotonic() - self._drawn < 1:
            return
        self._drawn = time.monotonic()
        running = [f"{step} ({self._told(step, start)})" for step, (start, _) in self._started.items()]
        if running:
            line = "running: " + ", ".join(running)
            width = shutil.get_terminal_size().columns - 1
            print(f"\r\x1b[K{line[:width]}", end="", file=self._out, flush=True)

    def _told(self, step: str, start: float) -> str:
        found = training(self._run, self._steps[step]) if step in self._steps else None
        return str(found) if found else duration(self._drawn - start)


def _write_environment(settings: Any, run: Path) -> None:
    """Record what a result depends on besides the settings."""
    write_json(
        run / "environment.json",
        {
            "versions": {
                "csr": csr.__version__,
                "python": platform.python_version(),
                **{name: importlib.metadata.version(name) for name in _VERSIONS},
            },
            "command": sys.argv,
            "inputs": {str(file): sha256(file) for file in (file for _, file in input_files(settings))},
            "machine": {
                "system": platform.platform(),
                "processor": described("model name") or platform.machine(),
                "cores": os.cpu_count(),
            },
        },
    )


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _last_lines(text: str, n: int = 1) -> str:
    return "\n    ".join([line for line in text.splitlines() if line.strip()][-n:])
