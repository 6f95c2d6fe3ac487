"""One step of a run: ``python -m csr.step PARENT GPUS LABEL LOG ARGUMENTS...`` runs ``csr ARGUMENTS``.

The step is killed with the process PARENT, sees as many cards as it asks for (GPUS), writes what it prints to LOG, and
says in ``logs/events.jsonl`` when it starts and how it ends, for ``csr run`` to show.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import traceback
from collections.abc import Sequence

from csr.process import die_with
from csr.running.cards import held_cards
from csr.running.steps import EVENTS


def main(arguments: Sequence[str]) -> int:
    """Run one csr command in the run folder and return its exit status."""
    parent, gpus, label, log, *command = arguments
    die_with(int(parent))
    with open(log, "w", encoding="utf-8") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    _tell(label, log)
    status = 1
    try:
        from csr.cli import main as csr

        with held_cards(int(gpus)) if int(gpus) else contextlib.nullcontext():
            status = csr(command)
    except SystemExit as error:  # argparse
        status = error.code if isinstance(error.code, int) else 1
    except Exception:  # what a command did not foresee: the log has all of it, and the status says that it failed
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        _tell(label, log, status)
    return status


def _tell(label: str, log: str, status: int | None = None) -> None:
    """Add one line; a single write in append mode is not torn by those of other steps."""
    with open(EVENTS, "a", encoding="utf-8") as events:
        events.write(json.dumps({"step": label, "log": log, "status": status}) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
