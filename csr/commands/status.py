"""``csr status``: how far a run is."""

from __future__ import annotations

import argparse
from pathlib import Path


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``csr status``."""
    parser = subparsers.add_parser(
        "status",
        description="Print what is done, what runs and how far each training is, and what has failed, of a run that "
        "goes on anywhere with the same folder.",
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder of csr run")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Print the state of runs."""
    from csr.running.status import status

    for folder in arguments.runs:
        found = status(folder)
        print(f"{folder}: {'running' if found.active else 'not running'}; {found.done} of {found.total} steps done")
        for name, training in found.running.items():
            print(f"  runs: {name}" + (f": {training}" if training else ""))
        for name, log in found.failed.items():
            print(f"  failed: {name}; log: {log}")
