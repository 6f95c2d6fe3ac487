"""Options that several commands share."""

from __future__ import annotations

import argparse


def add_languages(parser: argparse.ArgumentParser) -> None:
    """Add ``--source-lang`` and ``--target-lang``, which say how text is cut into words."""
    for side in ("source", "target"):
        parser.add_argument(
            f"--{side}-lang",
            metavar="CODE",
            help=f"{side} language: zh, ja, th, vi, km, lo and my are cut into words by a segmenter",
        )
