"""Options that several commands share."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence

from csr.errors import ConfigError


def add_languages(parser: argparse.ArgumentParser) -> None:
    """Add ``--source-lang`` and ``--target-lang``, which say how text is cut into words."""
    for side in ("source", "target"):
        parser.add_argument(
            f"--{side}-lang",
            metavar="CODE",
            help=f"{side} language: zh, ja, th, vi, km, lo and my are cut into words by a segmenter",
        )


def add_new_text(parser: argparse.ArgumentParser) -> None:
    """Add what commands have that put new text through a model: which model of a run, the files, and the device."""
    add = parser.add_argument
    add("--arm", metavar="NAME", help="which model of a run (default: csr, or the last of its arms)")
    add("--seed", type=int, metavar="N", help="of which training (default: the first)")
    add("--input", default="-", metavar="FILE", help="plain or compressed (default: stdin)")
    add("--out", default="-", metavar="FILE", help="(default: stdout)")
    add("--device", choices=("cpu", "cuda"), help="(default: cuda if there is one)")


def named(option: str, text: str, form: str = "LANG=FILE") -> tuple[str, str]:
    """The two sides of ``LANG=FILE``.

    Raises:
        ConfigError: the text is of another form.
    """
    name, _, value = text.partition("=")
    if not (name and value):
        raise ConfigError(f"{option}: expected {form}, found {text!r}")
    return name, value


def by_name(option: str, texts: Sequence[str]) -> dict[str, list[str]]:
    """The files of several ``LANG=FILE``, by language.

    Raises:
        ConfigError: one is of another form.
    """
    files: dict[str, list[str]] = {}
    for text in texts:
        name, path = named(option, text)
        files.setdefault(name, []).append(path)
    return files


def positive(text: str) -> int:
    """Parse a whole number from 1: the type of an option of argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, found {text}")
    return int(text)


def positive_number(text: str) -> float:
    """Parse a number above 0: the type of an option of argparse."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, found {text}")
    return value
