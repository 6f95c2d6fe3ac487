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
