"""Driving Snakemake: one run folder, its record, the progress of its steps, and what to say when one fails."""

from __future__ import annotations

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
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import csr
from csr.errors import ConfigError
from csr.experiments.kinds import check_files, experiment
from csr.files import sha256, write_json
from csr.process import die_with, locked
from csr.running.fairseq import StepError, disk_full
from csr.running.step import EVENTS
from csr.settings import hint, input_files, write_settings

_VERSIONS = ("torch", "fairseq-fixed", "numpy", "scipy", "sentencepiece", "gensim", "sacrebleu", "snakemake")


def run_workflow(config: Any, run: Path, cores: int, until: str = "report") -> None:
    """Bring a run folder up to date with its settings and inputs, showing progress on stderr.

    Raises:
        ConfigError: an input file is missing, or another csr command works in the folder.
        StepError: a step failed; its error and log have been printed. Its ``status`` is 2 if its input was at fault.
    """
    check_files(config)
    with locked(run) as lock:
        write_settings(config, run / "config.yaml")
        _write_environment(config, run)
        events, log = run / EVENTS, run / "logs" / "snakemake.log"
        events.parent.mkdir(exist_ok=True)
        events.write_bytes(b"")
        command = _snakemake(config, run, run / "config.yaml", cores, until)
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
        progress = _Progress(run, log, sys.stderr)
        try:
            with open(events, encoding="utf-8") as lines:
                while process.poll() is None:
                    progress.read(lines)
                    time.sleep(0.1)
                progress.read(lines)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            progress.clear()
        if process.returncode:
            raise progress.failure(process.returncode)


def planned_steps(config: Any, run: Path, until: str = "report") -> Iterator[tuple[str, str]]:
    """Yield the label of each step that is to do and why, changing nothing in the run folder."""
    check_files(config)
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder, "config.yaml")
        write_settings(config, settings)
        where = run if run.is_dir() else Path(folder)
        command = _snakemake(config, where, settings, 1, until, dry_run=True)
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    text = result.stdout + result.stderr
    if result.returncode:
        raise StepError(_last_lines(text, 4))
    for block in re.split(r"\n(?=(?:local)?rule )", text)[1:]:
        rule = block.partition(":")[0].split()[-1]
        found = dict(re.findall(r"^ +(reason|wildcards): (.*)$", block, re.MULTILINE))
        named = dict(item.split("=", 1) for item in found.get("wildcards", "").split(", ") if item)
        words = [*(() if rule == "train" else (rule,)), *(value for name, value in named.items() if name != "seed")]
        label = " ".join([*words, *(("seed", named["seed"]) if "seed" in named else ())])
        yield (
            label,
            re.sub(r"Params have changed[^;]*(.*?before:.*?now:[^;]*)?", "settings have changed", found["reason"]),
        )


def _snakemake(config: Any, run: Path, settings: Path, cores: int, until: str, dry_run: bool = False) -> list[str]:
    kind = experiment(config)
    if until not in kind.STEPS:
        raise ConfigError(f"--until: expected {' or '.join(kind.STEPS)}, found {until!r}{hint(until, kind.STEPS)}")
    return [
        *(sys.executable, "-m", "snakemake", "--snakefile", str(kind.SNAKEFILE), "--directory", str(run)),
        *("--configfile", str(settings.resolve()), "--cores", str(cores), "--rerun-incomplete", "--nocolor"),
        # Not code: a new version of csr does not undo finished training.
        *("--nolock", "--rerun-triggers", "mtime", "params", "input"),
        *(("--dry-run",) if dry_run else ()),
        *("--", *kind.targets(config, until)),
    ]


class _Progress:
    """The steps of one Snakemake process, as they tell of themselves."""

    def __init__(self, run: Path, log: Path, out: TextIO) -> None:
        self._run, self._log, self._out = run, log, out
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
        """Return the error of the whole run from Snakemake's exit status."""
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
            self._say(f"{step}: {_duration(seconds)}")
            return
        self._status = max(self._status, int(status))
        self._say(f"{step}: failed after {_duration(seconds)}")
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
        running = [f"{step} ({_duration(self._drawn - start)})" for step, (start, _) in self._started.items()]
        if running:
            line = "running: " + ", ".join(running)
            width = shutil.get_terminal_size().columns - 1
            print(f"\r\x1b[K{line[:width]}", end="", file=self._out, flush=True)


def _write_environment(config: Any, run: Path) -> None:
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
            "inputs": {str(file): sha256(file) for file in (file for _, file in input_files(config))},
            "machine": {"system": platform.platform(), "processor": _processor(), "cores": os.cpu_count()},
        },
    )


def _processor() -> str:
    found = re.search(r"^model name\s*: (.*)$", _read(Path("/proc/cpuinfo")), re.MULTILINE)
    return found[1] if found else platform.machine()


def _duration(seconds: float) -> str:
    """Return a duration as a person says it.

    >>> _duration(4.2), _duration(125), _duration(7384)
    ('4 s', '2 min 5 s', '2 h 3 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _last_lines(text: str, n: int = 1) -> str:
    return "\n    ".join([line for line in text.splitlines() if line.strip()][-n:])
