"""Settings of all tests."""

import os

from hypothesis import settings

# Machines differ in speed and numba compiles at the first call: no test has a deadline. CI draws the same examples.
settings.register_profile("csr", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("csr")
