"""Settings of all tests."""

import gc
import os
import sys
from pathlib import Path

# The processes of pytest -n auto share the cores: one thread each, and in what they start, before torch reads it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import settings

# Machines differ in speed and numba compiles at the first call: no test has a deadline. CI draws the same examples, and
# more of them than whoever runs the tests while working, where they are others each time.
CI = bool(os.environ.get("CI"))
settings.register_profile("csr", deadline=None, derandomize=CI, max_examples=100 if CI else 30)
settings.load_profile("csr")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that train or run much come first, those with the largest share of it: no core waits for one at the end."""
    slow: dict[Path, list[bool]] = {}
    for item in items:
        slow.setdefault(item.path, []).append("slow" in item.keywords)
    items.sort(key=lambda item: -sum(slow[item.path]) / len(slow[item.path]))


def pytest_collection_finish() -> None:
    """What is imported by now stays: collections of garbage look at what the tests make alone."""
    gc.collect()
    gc.freeze()


def pytest_runtest_teardown() -> None:
    """Some commands take as many threads as they are told and keep them; the next test has one again."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
