"""``csr strip``: a checkpoint without the state of its optimiser."""

from __future__ import annotations

import argparse


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``csr strip``."""
    parser = subparsers.add_parser("strip")
    parser.description = (
        "Write a fairseq checkpoint without the state of its optimiser, about a third of the size. It translates and "
        "starts other runs as before (--finetune-from-model); training cannot go on from it as if never stopped."
    )
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="checkpoint of fairseq, such as model.pt; stays as is")
    parser.add_argument("out", metavar="OUT", help="file to write")
    parser.set_defaults(run=strip)


def strip(arguments: argparse.Namespace) -> None:
    """Strip a checkpoint."""
    from csr.backbone.strip import strip

    before, after = strip(arguments.checkpoint, arguments.out)
    print(f"{arguments.out}: {after / 2**20:,.1f} MiB of {before / 2**20:,.1f}")
