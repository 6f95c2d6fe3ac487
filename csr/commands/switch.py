"""``csr switch``: look at the noise before training on it."""

from __future__ import annotations

import argparse
import sys

import numpy as np

from csr import words
from csr.files import read_lines, write_text
from csr.lexicon import read_lexicon


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``csr switch``."""
    parser = subparsers.add_parser("switch", help="print switched text", description=__doc__)
    parser.add_argument("--lexicon", required=True, metavar="TSV", help="source<TAB>target<TAB>weight")
    parser.add_argument("--seed", type=int, default=1, help="seed of every draw (default: %(default)s)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Print each line of standard input, switched."""
