"""``csr dynamics``: distance and BLEU over updates, from saved checkpoints."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from csr.files import write_json


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``csr dynamics``."""
    parser = subparsers.add_parser(
        "dynamics",
        description="Measure every checkpoint in the folder of a stage, and the model that the stage started from, "
        "and write FOLDER/dynamics.json, which csr report shows. csr run does this by itself where the settings name "
        "dynamics.every; it keeps the last checkpoint alone where they do not.",
    )
    add = parser.add_argument
    add("folders", nargs="+", type=Path, metavar="FOLDER", help="such as RUN/seed-1/csr")
    add("--data", metavar="DIR", help="folder made by fairseq-preprocess (default: FOLDER/../../data/bin)")
    add("--split", default="valid", help="split of the data (default: %(default)s)")
    add("--sentences", type=int, default=1000, metavar="N", help="at most so many pairs (default: %(default)s)")
    add("--beam", type=int, default=5, metavar="N", help="beam size for BLEU (default: %(default)s)")
    add("--device", choices=("cpu", "cuda"), help="(default: cuda if there is one)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Write ``dynamics.json`` into each folder and say what is in it."""
    from fairseq_plugins.progress import measure_checkpoints

    for folder in arguments.folders:
        data = arguments.data or folder.resolve().parents[1] / "data" / "bin"
        points = measure_checkpoints(
            folder, data, arguments.split, arguments.sentences, arguments.beam, arguments.device
        )
        settings = {"split": arguments.split, "sentences": arguments.sentences, "beam": arguments.beam}
        write_json(folder / "dynamics.json", {**settings, "points": points})
        updates = ", ".join(f"{point['updates']:,}" for point in points)
        print(f"{folder / 'dynamics.json'}: {len(points)} checkpoints, updates {updates}", file=sys.stderr)
