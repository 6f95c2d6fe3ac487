#!/usr/bin/env bash
# Checks style and types and runs the tests, a process for each core; arguments go to pytest.
set -euo pipefail
source "$(dirname "$0")/setup.sh"
cd "$root"
ruff check .
ruff format --check .
mypy
pytest -n auto "$@"
