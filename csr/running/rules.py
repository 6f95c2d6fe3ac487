"""What the Snakefiles share: the command of a step, and its arguments."""

from __future__ import annotations

import os
import shlex
import sys

# Replaces the shell, so that the step is a child of snakemake and is killed with it.
STEP = f"exec {shlex.quote(sys.executable)} -m csr.running.step {os.getpid()}"


def files(*paths: object) -> list[str]:
    """Return the paths that are given."""
    return [str(path) for path in paths if path is not None]


def flags(**options: object) -> list[str]:
    """Return command-line flags, leaving out those without a value.

    >>> flags(source_lang="de", dev_src=None, pieces=8000)
    ['--source-lang', 'de', '--pieces', '8000']
    """
    given = {name: value for name, value in options.items() if value is not None}
    return [part for name, value in given.items() for part in (f"--{name.replace('_', '-')}", str(value))]
