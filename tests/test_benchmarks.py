"""The benchmarks: the page of their results, and that they run small."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def bench(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts/bench.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_page_is_that_of_the_committed_results(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "scripts")
    from bench_page import page

    assert page(ROOT / "benchmarks") == (ROOT / "docs/performance.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_benchmark_runs_small_and_says_where(tmp_path):
    done = bench("--only", "startup", "--out", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((tmp_path / "startup.small.json").read_text(encoding="utf-8"))
    assert {"cpu", "flags", "cores", "memory_gib"} <= result["machine"].keys()
    assert result["versions"]["python"] == sys.version.split()[0]
    assert {row["command"] for row in result["figures"]["commands"]} >= {"python -c pass", "csr --help"}
    assert all(row["seconds"] > 0 for row in result["figures"]["commands"])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--only", "speed"], "--only: expected align, "),
        (["--page", "--out", "empty"], "--page: expected the results of scripts/bench_full.sh in empty, found none"),
    ],
)
def test_bad_arguments_are_named(arguments, told):
    done = bench(*arguments)
    assert done.returncode == 2
    assert told in done.stderr
