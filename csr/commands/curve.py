"""``csr curve``: an experiment over sizes of its training text, and where each arm stops paying."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from csr.commands.options import positive
from csr.commands.run import add_config, guarded
from csr.errors import ConfigError

if TYPE_CHECKING:
    from csr.experiments.translation import Config


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``csr curve``."""
    parser = subparsers.add_parser("curve", help="run an experiment over sizes of its training text")
    parser.description = (
        "Draw nested subsets of the training pairs, each within the larger ones, and run the experiment on each "
        "(RUN/size-N is a folder of csr run). Table and picture of the score over the size, gains over standard "
        "finetuning with intervals over seeds, and the size from which an arm does not pay any more. A backbone with "
        "texts of its own is trained once for all. The same command continues after a kill."
    )
    add_config(parser)
    add = parser.add_argument
    add("--sizes", required=True, metavar="N,N,...", help="training pairs, smallest first, such as 300,1000,3000")
    add("--seed", type=int, default=1, metavar="N", help="seed of the subsets (default: %(default)s)")
    add("--metric", choices=("bleu", "chrf"), default="bleu", help="of table and picture (default: %(default)s)")
    cores = len(os.sched_getaffinity(0))
    add(
        "--cores", type=positive, default=cores, metavar="N", help="threads of all steps at a time (default: the cores)"
    )
    add(
        "--steps-per-gpu", type=positive, default=1, metavar="N", help="training steps at a time on a card (default: 1)"
    )
    add("--dry-run", action="store_true", help="print the steps to do, and why")
    parser.set_defaults(run=guarded(run))


def run(arguments: argparse.Namespace) -> None:
    """Run every size and write the curve."""
    from csr.commands.run import forecast, read_experiment
    from csr.experiments import curve, translation
    from csr.experiments.kinds import check_files
    from csr.running.cards import share_cards
    from csr.running.engine import planned_steps, run_steps

    config, out = read_experiment(arguments)
    sizes = _sizes(arguments.sizes)
    curve.check(config, sizes)
    check_files(config)
    curve.write_subsets(config, sizes, out / "text", arguments.seed)
    runs = []
    if backbone := curve.backbone_config(config):
        runs += [(backbone, out / curve.BACKBONE, until) for until in curve.backbone_until(backbone)]
    runs += [(curve.with_subset(config, size, out), out / curve.size_name(size), "report") for size in sizes]
    for settings, folder, until in runs:
        steps = list(translation.steps(settings))
        if arguments.dry_run:
            if settings.backbone.checkpoint and not settings.backbone.checkpoint.is_file():
                print(f"{folder.name}: all steps, once the backbone is there")
                continue
            for name, reason in planned_steps(steps, folder, until):
                print(f"{folder.name}: {name}: {reason}")
        else:
            print(f"{folder}:", flush=True)
            forecast(settings, steps, folder, until)
            run_steps(steps, settings, folder, arguments.cores, until, share_cards(arguments.steps_per_gpu))
    if not arguments.dry_run:
        _write(config, sizes, out, arguments.metric)


def _write(config: Config, sizes: list[int], out: Path, metric: str) -> None:
    from csr.experiments.curve import size_name
    from csr.files import read_object, write_json, write_text
    from csr.report import curve

    runs = {size: read_object(out / size_name(size) / "results.json") for size in sizes}
    scores, tests = curve.read_scores(runs, metric), curve.read_tests(runs, metric)
    direction = f"{config.data.source_lang}→{config.data.target_lang}"
    text = "\n".join(table.markdown() for table in curve.tables(scores, tests, config.arms, metric, direction))
    text += "".join(f"\n* {warning}" for warning in curve.warnings(runs))
    with write_text(out / "curve.md") as stream:
        stream.write(text)
    write_json(out / "curve.json", curve.as_dict(scores, tests, metric))
    curve.picture(scores, config.arms, metric, direction, out / "curve.svg")
    print(text)
    print(f"{out / 'curve.svg'}: the picture; curve.md and curve.json: the numbers")


def _sizes(text: str) -> list[int]:
    try:
        sizes = [int(part) for part in text.split(",")]
    except ValueError:
        sizes = [0]
    if min(sizes) < 1:
        raise ConfigError(f"--sizes: expected whole numbers from 1 with commas between, found {text!r}")
    return sizes
