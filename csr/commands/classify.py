"""``csr classify``: labels of new text by a model that was trained here."""

from __future__ import annotations

import argparse
import sys

from csr.commands.options import add_new_text
from csr.files import read_lines, write_text


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``csr classify``."""
    parser = subparsers.add_parser(
        "classify",
        description="Label text, a line each, by a model of csr run on inference (premise<TAB>hypothesis), of csr "
        "zero-shot finetune, or of csr export-hf: its label for each text or pair, or TOKEN<TAB>TAG for each token, an "
        "empty line after a sentence. Tokens stand between spaces, as in the text it was trained on.",
    )
    add = parser.add_argument
    add("folder", metavar="RUN", help="folder of csr run, of csr zero-shot finetune, or of csr export-hf")
    add_new_text(parser)
    add("--language", metavar="CODE", help="of the pairs, for a run (default: the one it was trained on)")
    add("--scores", action="store_true", help="write <TAB>PROBABILITY behind each label, 0 to 1")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Label."""
    from csr.experiments.label import label

    if arguments.input == "-" and sys.stdin.isatty():
        print("csr classify: reads texts, one a line, to the end (Ctrl-D)", file=sys.stderr)
    model = (arguments.arm, arguments.seed, arguments.language, arguments.device)
    with write_text(arguments.out) as out:
        for labels in label(arguments.folder, read_lines(arguments.input), *model):
            for token, (name, probability) in labels:
                columns = [token, name, f"{probability:.4f}" if arguments.scores else None]
                out.write("\t".join(filter(None, columns)) + "\n")
            if not labels or labels[0][0] is not None:  # an empty line, or a sentence of tokens
                out.write("\n")
