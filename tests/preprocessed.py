"""fairseq's own way from words to rows, within the process."""

from __future__ import annotations

from pathlib import Path


def preprocess(out: Path, *options: str) -> None:
    """Write what fairseq-preprocess does."""
    from fairseq.options import get_preprocessing_parser
    from fairseq_cli.preprocess import main

    main(get_preprocessing_parser().parse_args([f"--destdir={out}", *options]))
