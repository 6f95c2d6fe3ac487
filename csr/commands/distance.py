"""``csr distance``: how far apart a checkpoint keeps its two languages."""

from __future__ import annotations

import argparse

from csr.analysis.distance import distances
from csr.files import write_json


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``csr distance``."""
    parser = subparsers.add_parser(
        "distance",
        help="measure how far apart a checkpoint keeps two languages",
        description="Compare the decoder's output at the last token of parallel sentences (Zan et al., Eq. 5), "
        "by several definitions of distance, each under its own name.",
    )
    add = parser.add_argument
    add("--checkpoint", required=True, metavar="FILE", help="a model trained by csr_restore or csr_translation")
    add("--data", required=True, metavar="DIR", help="folder made by fairseq-preprocess")
    add("--split", default="test", help="split of the data (default: %(default)s)")
    add("--sentences", type=int, default=20_000, metavar="N", help="at most so many pairs (default: %(default)s)")
    add("--out", default="-", metavar="FILE", help="where to write the JSON (default: stdout)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Write the distances as JSON."""
    from fairseq_plugins.representations import sentence_vectors

    vectors = sentence_vectors(arguments.checkpoint, arguments.data, arguments.split, arguments.sentences)
    write_json(arguments.out, distances(*vectors))
