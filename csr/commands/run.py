"""``csr run`` and its training steps: from a YAML file to a folder of models, scores and a report."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from csr.commands.options import positive
from csr.errors import ConfigError
from csr.experiments.kinds import check_files, check_packages, kind_of, read_config, training_job, writing_kind_of
from csr.process import locked
from csr.running import fairseq
from csr.running.cards import share_cards
from csr.running.engine import Batch, planned_steps, run_steps
from csr.running.fairseq import StepError
from csr.running.precision import choices, with_precision
from csr.running.steps import Step, leading_to
from csr.settings import hint


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``csr run``, ``args``, ``train``, ``back-translate``, ``generate`` and ``score``."""
    parser = subparsers.add_parser(
        "run",
        description="Run the steps of an experiment that are not done, or whose settings or inputs have changed. "
        "After a kill the same command continues from the last checkpoints.",
    )
    add_config(parser)
    parser.add_argument(
        "--cores",
        type=positive,
        default=len(os.sched_getaffinity(0)),
        metavar="N",
        help="threads of all steps that run at the same time (default: the cores, %(default)s)",
    )
    batch = parser.add_argument_group("elsewhere", "Snakemake sends the steps to a batch system: see docs/cluster.md")
    batch.add_argument("--executor", metavar="NAME", help="such as slurm, with its plugin for Snakemake installed")
    batch.add_argument("--profile", metavar="DIR", help="a profile of Snakemake: a folder with its config.yaml")
    batch.add_argument("--jobs", type=positive, metavar="N", help="steps at the same time (default: the profile's)")
    parser.add_argument(
        "--until",
        default="report",
        metavar="STEP",
        help="stop after the steps whose names, as --dry-run prints them, begin so: prepare, lexicon, generate, "
        "'score csr', or a stage of training (default: %(default)s, the last)",
    )
    parser.add_argument(
        "--steps-per-gpu",
        type=positive,
        default=1,
        metavar="N",
        help="training steps that run at the same time on a card, which must have the memory (default: %(default)s)",
    )
    parser.add_argument("--dry-run", action="store_true", help="print the steps to do, and why")
    parser.set_defaults(run=guarded(run))

    parser = subparsers.add_parser("args", description="Print the exact command that csr run uses.")
    add_config(parser)
    parser.add_argument("--stage", required=True, help="the stage of training, such as restore, or generate")
    parser.add_argument("--arm", default="csr", help="the arm to generate from (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="random seed (default: the first of the config)")
    parser.set_defaults(run=guarded(args))

    for name, text, runner, of in (
        ("train", "run one stage of training", _train, "stage"),
        ("generate", "make the outputs on the test set", _generate, "arm"),
        ("score", "score the outputs on the test set", _score, "arm"),
    ):
        parser = subparsers.add_parser(name, description=f"{text.capitalize()}, in a folder of csr run.")
        parser.add_argument("folder", metavar="RUN", help="folder of csr run, with its config.yaml")
        parser.add_argument(f"--{of}", required=True, metavar="NAME", help=f"which {of}, such as csr")
        parser.add_argument("--seed", type=int, required=True, help="random seed, names the folder")
        parser.set_defaults(run=guarded(runner))

    parser = subparsers.add_parser(
        "back-translate",
        help="translate monolingual text with a reverse model",
        description="Translate the text of data.monolingual with the reverse model of a seed, in a folder of csr run.",
    )
    parser.add_argument("folder", metavar="RUN", help="folder of csr run, with its config.yaml")
    parser.add_argument("--seed", type=int, required=True, help="random seed, names the folder")
    parser.set_defaults(run=guarded(_back_translate))


def run(arguments: argparse.Namespace) -> None:
    """Run an experiment, or print what there is to do."""
    config, folder = read_experiment(arguments)
    check_files(config)
    steps = list(kind_of(config).steps(config))
    if arguments.dry_run:
        for name, reason in planned_steps(steps, folder, arguments.until):
            print(f"{name}: {reason}")
        return
    check_packages(config)
    batch = Batch(arguments.executor, arguments.profile, arguments.jobs)
    if arguments.jobs and not (arguments.executor or arguments.profile):
        raise ConfigError("--jobs: expected with --executor or --profile; on this machine --cores says how many")
    gpus = share_cards(arguments.steps_per_gpu)
    forecast(config, steps, folder, arguments.until)
    run_steps(steps, config, folder, arguments.cores, arguments.until, gpus, batch)
    if arguments.until == "report":
        print((folder / "table.md").read_text(encoding="utf-8"))
        print(f"{folder / 'report.html'}: the report")


def forecast(config: Any, steps: Sequence[Step], folder: Path, until: str = "report") -> None:
    """Say what the trainings of a translation experiment that are still to do will take."""
    from csr.commands.estimate import described
    from csr.experiments.translation import Config

    outputs = (Path(file) for step in leading_to(steps, until) for file in step.outputs)
    models = [file for file in outputs if file.name == "model.pt" and not (folder / file).exists()]
    if isinstance(config, Config) and models:
        if folder.is_dir():
            with locked(folder):  # if another command works there, better stop now
                pass
        trainings = Counter(model.parent.name for model in models)
        print("\n".join(described(config, trainings)), file=sys.stderr, flush=True)


def args(arguments: argparse.Namespace) -> None:
    """Print the fairseq command of a stage."""
    config, folder = read_experiment(arguments)
    seed = config.seeds[0] if arguments.seed is None else arguments.seed
    if arguments.stage == "generate":
        writing = writing_kind_of(config)
        arm = _known("--arm", arguments.arm, writing.ARMS)
        print(shlex.join(writing.generate_command(config, arm, seed, folder)))
    else:
        kind = kind_of(config)
        stage = _known("--stage", arguments.stage, (*kind.STAGES, "generate"))
        job = training_job(config, stage, seed, folder, folder)
        print(shlex.join([*with_precision(job.command, next(choices(job.command))), *job.shown]))


def _train(arguments: argparse.Namespace) -> None:
    config, run = _read_run(arguments)
    stage = _known("--stage", arguments.stage, kind_of(config).STAGES)
    fairseq.train(training_job(config, stage, arguments.seed, done=run), run, config.threads)


def _back_translate(arguments: argparse.Namespace) -> None:
    from csr.experiments import translation

    config, run = _read_run(arguments)
    if not isinstance(config, translation.Config):
        raise ConfigError(f"{run / 'config.yaml'}: expected an experiment on translation, found {config.experiment}")
    translation.back_translate(config, arguments.seed, run)


def _generate(arguments: argparse.Namespace) -> None:
    config, run = _read_run(arguments)
    kind = writing_kind_of(config)
    kind.generate(config, _known("--arm", arguments.arm, kind.ARMS), arguments.seed, run)


def _score(arguments: argparse.Namespace) -> None:
    config, run = _read_run(arguments)
    kind = writing_kind_of(config)
    kind.score(config, _known("--arm", arguments.arm, kind.ARMS), arguments.seed, run)


def _known(option: str, name: str, known: Collection[str]) -> str:
    if name not in known:
        raise ConfigError(f"{option}: expected {' or '.join(known)}, found {name!r}{hint(name, known)}")
    return name


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add CONFIG, ``--out`` and ``--set``."""
    parser.add_argument("config", metavar="CONFIG", help="YAML file; relative paths in it start at the current folder")
    parser.add_argument("--out", metavar="RUN", help="folder of the run (default: runs/ and the config's name)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="overrides",
        help="change a setting, such as restore.lr=1.0e-4; may be given several times",
    )


def read_experiment(arguments: argparse.Namespace) -> tuple[Any, Path]:
    """The settings and the run folder that the arguments of ``add_config`` name."""
    folder = Path(arguments.out) if arguments.out else Path("runs", Path(arguments.config).stem)
    return read_config(arguments.config, arguments.overrides), folder


def _read_run(arguments: argparse.Namespace) -> tuple[Any, Path]:
    run = Path(arguments.folder)
    return read_config(run / "config.yaml"), run


def guarded(command: Callable[[argparse.Namespace], None]) -> Callable[[argparse.Namespace], int]:
    """Turn a failed step into one line and its exit status, an interrupt into a hint."""

    def run_guarded(arguments: argparse.Namespace) -> int:
        try:
            command(arguments)
        except StepError as error:
            print(f"csr {arguments.command}: {error}", file=sys.stderr)
            return error.status
        except KeyboardInterrupt:
            print(f"csr {arguments.command}: stopped; the same command continues", file=sys.stderr)
            return 130
        return 0

    return run_guarded
