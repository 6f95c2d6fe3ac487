"""Settings of all tests."""

import gc
import os
import sys

# The processes of pytest -n auto share the cores: one thread each, and in what they start, before torch reads it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from hypothesis import settings

# Machines differ in speed and numba compiles at the first call: no test has a deadline. CI draws the same examples.
settings.register_profile("csr", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("csr")


def pytest_collection_finish() -> None:
    """What is imported by now stays: collections of garbage look at what the tests make alone."""
    gc.collect()
    gc.freeze()


def pytest_runtest_teardown() -> None:
    """Some commands take as many threads as they are told and keep them; the next test has one again."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
