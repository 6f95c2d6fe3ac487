"""How long commands take that have little to do, and what of an experiment is not training.

    python scripts/bench_startup.py [--run FOLDER] [--experiment CONFIG]

Commands run as whole processes, medians of the rounds. ``--run`` names a finished run, on which ``csr run`` has nothing
to do; without it, one of a few updates is made. ``--experiment`` runs an experiment from its beginning, a step at a
time, and sums by the clock: training as fairseq's own log has it, the rest of the steps that train, the other steps,
and what is between steps.
"""

from __future__ import annotations

import argparse
import itertools
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from bench_common import ROOT, arguments_of, csr_command, in_turns, measured, write_results

from csr.data.sample import write_sample
from csr.files import read_lines
from csr.lexicon import Lexicon, write_lexicon

# Settings with which the quickstart has every kind of step and hardly trains.
_FEW = [
    "seeds=[1]", "arms=[baseline,csr]", "finetune.save_every=1",
    *(f"{stage}.{what}" for stage in ("backbone.train", "restore", "finetune") for what in ("updates=2", "warmup=1")),
]  # fmt: skip
_DONE = re.compile(r"done training in ([\d.]+) seconds")
_STEP = re.compile(r"^\[\d+/[\d?]+\] (.*): ((?:\d+ h )?(?:\d+ min )?[\d.]+ s|\d+ min|\d+ h(?: \d+ min)?)$")


def main() -> None:
    """Measure, print and write the figures."""
    parser = arguments_of(__doc__)
    parser.add_argument("--run", type=Path, metavar="FOLDER", help="a finished run (default: one of a few updates)")
    parser.add_argument("--experiment", type=Path, metavar="CONFIG", help="an experiment to run (default: none)")
    parser.add_argument("--rounds", type=int, default=5, help="of each command (default: %(default)s)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_sample(folder / "runs/sample", n_train=1000, n_unpaired=6000)
        figures: dict[str, Any] = {"commands": commands(arguments, folder)}
        if arguments.experiment:
            figures["experiment"] = experiment(arguments.experiment.resolve(), folder)
    for row in figures["commands"]:
        print(f"{row['command']}: {row['seconds']:.2f} s, {row['cpu']:.2f} s of the processor")
    print(figures.get("experiment", ""))
    write_results(arguments.json, "startup", figures)


def commands(arguments: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Seconds of each command, and what was aimed at."""
    words = list(dict.fromkeys(word for line in read_lines(folder / "runs/sample/train.qaa") for word in line.split()))
    write_lexicon(Lexicon({word: {other: 1.0} for word, other in itertools.pairwise(words)}), folder / "lex.tsv")
    lines = [line for line, _ in zip(read_lines(folder / "runs/sample/dev.qaa"), range(10), strict=False)]
    (folder / "ten").write_text("\n".join(lines) + "\n", encoding="utf-8")
    switch = ["switch", "--input", folder / "ten", "--output", folder / "switched", "--lexicon", folder / "lex.tsv"]
    works = {
        "python -c pass": ([sys.executable, "-c", "pass"], None),
        "csr --help": (csr_command("--help"), 0.15),
        f"csr switch, ten lines, a lexicon of {len(words) - 1:,} entries": (csr_command(*switch), 0.5),
        "csr report --help": (csr_command("report", "--help"), None),
        "import csr.lexicon": ([sys.executable, "-c", "import csr.lexicon"], None),
    }
    if arguments.run or not arguments.small:
        run = arguments.run or finished(folder)
        again = ["run", run / "config.yaml", "--out", run]
        works["csr run, of a finished run"] = (csr_command(*again), 3.0)
    for command, _ in works.values():
        measured(command, folder=folder)  # files are in memory then
    found = in_turns(
        {name: partial(measured, command, folder=folder) for name, (command, _) in works.items()}, arguments.rounds
    )
    return [
        {
            "command": name,
            "seconds": statistics.median(usage.seconds for usage in usages),
            "cpu": statistics.median(usage.cpu for usage in usages),
            "mib": statistics.median(usage.mib for usage in usages),
            "goal": works[name][1],
        }
        for name, usages in found.items()
    ]


def finished(folder: Path) -> Path:
    """A run of the quickstart with a few updates."""
    settings = [part for setting in _FEW for part in ("--set", setting)]
    measured(csr_command("run", ROOT / "configs/quickstart.yaml", "--out", folder / "run", *settings), folder=folder)
    return folder / "run"


def experiment(config: Path, folder: Path) -> dict[str, Any]:
    """Where the time of an experiment goes, with one seed and one step at a time."""
    run = folder / "experiment"
    shutil.rmtree(run, ignore_errors=True)
    command = csr_command("run", config, "--out", run, "--cores", "1", "--set", "seeds=[1]")
    began, cpu = time.perf_counter(), sum(os.times()[2:4])
    done = subprocess.run(
        command, cwd=folder, stderr=subprocess.PIPE, text=True, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    whole, cpu = time.perf_counter() - began, sum(os.times()[2:4]) - cpu
    steps = {match[1]: seconds_of(match[2]) for line in done.stderr.splitlines() if (match := _STEP.match(line))}
    training: dict[str, float] = {}
    for log in run.rglob("train.log"):
        told = _DONE.findall(log.read_text(encoding="utf-8", errors="replace"))
        training[f"{log.parent.name} {log.parent.parent.name.replace('-', ' ')}"] = sum(map(float, told))
    assert training.keys() <= steps.keys(), training.keys() - steps.keys()
    rest = {name: seconds - training[name] for name, seconds in steps.items() if name in training}
    return {
        "config": config.name,
        "seconds": whole,
        "cpu": cpu,
        "steps": len(steps),
        "training": sum(training.values()),
        "around_training": sum(rest.values()),
        "around_a_training": statistics.median(rest.values()) if rest else None,
        "other_steps": {name: seconds for name, seconds in steps.items() if name not in training},
        "between": whole - sum(steps.values()),
    }


def seconds_of(text: str) -> float:
    """What ``csr.running.status.duration`` wrote, in seconds."""
    units = {"h": 3600, "min": 60, "s": 1}
    return sum(float(number) * units[unit] for number, unit in re.findall(r"([\d.]+) (h|min|s)\b", text))


if __name__ == "__main__":
    main()
