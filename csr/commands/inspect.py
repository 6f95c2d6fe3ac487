"""``csr inspect``: what the model is given, as text."""

from __future__ import annotations

import argparse


def _own_options() -> argparse.ArgumentParser:
    own = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    own.add_argument("--rows", type=int, default=4, metavar="N", help="rows to print (default: %(default)s)")
    own.add_argument("--epoch", type=int, default=1, help="epoch whose noise is drawn (default: %(default)s)")
    own.add_argument("--split", default="train", help="train, valid or test (default: %(default)s)")
    return own


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``csr inspect``."""
    parser = subparsers.add_parser(
        "inspect",
        description="print the rows a fairseq task of ours trains on, in pieces. The other options are for the task: "
        "csr inspect runs/sample/data/bin --task csr_restore --source-lang qaa --target-lang qab --lexicon FILE",
        parents=[_own_options()],
    )
    parser.add_argument("data", metavar="DATA", help="folder that fairseq-preprocess or csr prepare made")
    parser.add_argument("task", nargs=argparse.REMAINDER, metavar="...", help="--task and its options")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Print the rows."""
    from fairseq_plugins.inspection import rows

    # Ours are taken after DATA too; the rest is fairseq's to understand.
    arguments, task = _own_options().parse_known_args(arguments.task, arguments)
    for row in rows(arguments.data, task, arguments.split, arguments.epoch, arguments.rows):
        for name, text in row.items():
            print(f"{name:14} {text}")
        print()
