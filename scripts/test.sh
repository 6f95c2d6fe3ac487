#!/usr/bin/env bash
# Checks style and types and runs the tests, a process for each core; arguments go to pytest. Without any, the tests of
# csr.hf run with transformers 5 too, in an environment of their own.
set -euo pipefail
unset PYTHONDONTWRITEBYTECODE # tests start hundreds of programs, each of which would compile the project anew
source "$(dirname "$0")/setup.sh"
cd "$root"
ruff check .
ruff format --check .
mypy
pytest -n auto "$@"
[ $# -gt 0 ] || scripts/test_huggingface.sh -m "not slow"
