"""What the benchmarks share: processor time and memory of commands and functions, turns, and results as JSON.

A benchmark takes ``--small`` (inputs of its own making, a minute at most) and ``--json FILE`` (``write_results``):
``arguments_of`` has both. ``scripts/bench.py`` runs them and makes docs/performance.md of their files.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

sys.path.insert(0, str(Path(__file__).parents[1]))

from csr.files import PathLike, write_json
from csr.running.processor import described

ROOT = Path(__file__).parents[1]
T = TypeVar("T")

# Instructions that decide how fast matrix products are.
_FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_int8")
_PACKAGES = {
    "csr": "code-switching-training", "torch": "torch", "fairseq": "fairseq-fixed", "numpy": "numpy", "numba": "numba",
    "sentencepiece": "sentencepiece", "ctranslate2": "ctranslate2", "transformers": "transformers",
    "sacrebleu": "sacrebleu", "snakemake": "snakemake",
}  # fmt: skip


class Usage(NamedTuple):
    """What a command used."""

    seconds: float  # by the clock
    cpu: float  # processor seconds, user and system, of all its threads and processes
    mib: float  # peak memory of its largest process


# A process inherits the peak memory of the one it was forked from, so a small one stands between.
_MEASURE = """
import os, subprocess, sys, time
start = time.perf_counter()
process = subprocess.Popen(sys.argv[1:])
_, status, usage = os.wait4(process.pid, 0)
told = f"{time.perf_counter() - start} {usage.ru_utime + usage.ru_stime} {usage.ru_maxrss / 1024}"
os.write(3, told.encode())
sys.exit(os.waitstatus_to_exitcode(status) != 0)
"""


def measured(
    command: Sequence[PathLike], environment: Mapping[str, str] | None = None, folder: PathLike | None = None
) -> Usage:
    """Run a command, its output thrown away, and tell what it used.

    Args:
        environment: variables besides those of this process; Python finds this checkout's modules if it names no other.

    Raises:
        CommandFailed: the command failed; the error says the end of what it printed.
    """
    read, write = os.pipe()
    # The descriptor has the number 3 in the process between.
    between = [sys.executable, "-S", "-c", f"import os\nos.dup2({write}, 3, inheritable=False)\n{_MEASURE}"]
    done = subprocess.run(
        [*between, *map(os.fspath, command)], pass_fds=(write,), cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace", check=False,
    )  # fmt: skip
    os.close(write)
    with open(read, encoding="ascii") as stream:
        told = stream.read()
    if done.returncode or not told:
        last = " / ".join(done.stderr.strip().splitlines()[-3:])
        raise CommandFailed(f"{' '.join(map(str, command))}: failed: {last}")
    return Usage(*map(float, told.split()))


class CommandFailed(RuntimeError):
    """A measured command failed."""


def csr_command(*arguments: PathLike) -> list[str]:
    """A csr command of this checkout."""
    return [sys.executable, "-m", "csr.cli", *map(os.fspath, arguments)]


def cpu_seconds(work: Callable[[], object]) -> float:
    """Processor seconds of some work in this process, all threads, and in processes that it starts and that end."""
    before = _cpu()
    work()
    return _cpu() - before


def _cpu() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _busy() -> float:
    """Seconds that all cores of the machine together have been at work since it was started."""
    user, nice, system, _, _, irq, softirq = map(int, Path("/proc/stat").read_text(encoding="ascii").split()[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


_BEGAN = time.perf_counter(), _busy() - _cpu()


def peak_mib() -> float:
    """The peak memory of this process until now."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def in_turns(works: Mapping[str, Callable[[], T]], rounds: int) -> dict[str, list[T]]:
    """What each work returns, by name, all of them once in each round: other work on the machine meets all alike."""
    found: dict[str, list[T]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            found[name].append(work())
    return found


def ratio(a: Sequence[float], b: Sequence[float]) -> float:
    """The median of the ratios b / a of measures taken in turns."""
    return statistics.median(y / x for x, y in zip(a, b, strict=True))


def paired(a: Callable[[], float], b: Callable[[], float], rounds: int) -> tuple[float, float, float]:
    """The medians of two measures taken in turns, and the median of their ratios b / a."""
    found = in_turns({"a": a, "b": b}, rounds)
    return statistics.median(found["a"]), statistics.median(found["b"]), ratio(found["a"], found["b"])


def arguments_of(description: str | None) -> argparse.ArgumentParser:
    """A parser with the options that every benchmark has."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="on inputs of its own making, in a minute at most")
    parser.add_argument("--json", metavar="FILE", help="write the figures here")
    return parser


def write_results(path: PathLike | None, name: str, figures: Mapping[str, Any]) -> dict[str, Any]:
    """Write the figures of a benchmark, with date, machine and versions; without a path nothing is written.

    Returns:
        What the file has: ``name``, ``date``, ``machine``, ``others`` (how many cores other programs kept busy
        meanwhile, on average), ``versions`` and ``figures``.
    """
    clock, others = _BEGAN
    result = {
        "name": name,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": machine(),
        "others": round(max(0.0, _busy() - _cpu() - others) / (time.perf_counter() - clock), 2),
        "versions": versions(),
        "figures": figures,
    }
    if path is not None:
        write_json(path, result)
    return result


def machine() -> dict[str, Any]:
    """The processor, those of its instructions that matter here, how many of its cores this process has, and memory."""
    flags = described("flags").split()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": described("model name") or platform.machine(),
        "flags": [flag for flag in _FLAGS if flag in flags],
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / 2**30, 1),
    }


def versions() -> dict[str, str]:
    """The versions of Python and of those packages that are installed."""
    found = {"python": platform.python_version()}
    for name, package in _PACKAGES.items():
        try:
            found[name] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
