"""``csr translate``: new text through a model of a run."""

from __future__ import annotations

import argparse
import sys

from csr.commands.options import add_new_text, positive
from csr.errors import ConfigError
from csr.files import read_lines, write_text


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``csr translate``."""
    parser = subparsers.add_parser(
        "translate",
        description="Translate text, a sentence a line, with a model that csr run has trained: its best checkpoint, "
        "its languages, its vocabulary. The run's own test set gives the run's own outputs. Or with a model of a "
        "Hugging Face folder, such as csr export-hf has written.",
    )
    add = parser.add_argument
    add("folder", metavar="RUN", help="folder of csr run, or of csr export-hf")
    add_new_text(parser)
    add("--beam", type=positive, metavar="N", help="translations searched at a time (default: the run's)")
    add(
        "--nbest", type=positive, metavar="N",
        help="write the N best of each line, N up to the beam, each as LINE<TAB>SCORE<TAB>TRANSLATION; a score is the "
        "mean log probability of a piece, in nats",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Translate."""
    from csr.experiments.translate import translate

    nbest, beam = arguments.nbest, arguments.beam
    if nbest and beam and nbest > beam:
        raise ConfigError(f"--nbest: expected at most the beam, {beam}, found {nbest}")
    if arguments.input == "-" and sys.stdin.isatty():
        print("csr translate: reads sentences, one a line, to the end (Ctrl-D)", file=sys.stderr)
    lines = read_lines(arguments.input)
    beam = beam or (nbest if nbest and nbest > 5 else None)
    found = translate(arguments.folder, lines, arguments.arm, arguments.seed, beam, arguments.device)
    with write_text(arguments.out) as out:
        for number, translations in enumerate(found, start=1):
            if nbest:
                out.writelines(f"{number}\t{one.score:.4f}\t{one.text}\n" for one in translations[:nbest])
            else:
                out.write(f"{translations[0].text}\n")
