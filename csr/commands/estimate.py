"""``csr estimate``: epochs, time, parameters and memory of an experiment before it is run."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from csr.backbone.estimate import Setup
from csr.errors import ConfigError
from csr.running.status import duration

_COLUMNS = ("weights", "gradients", "optimizer", "activations", "peak")


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``csr estimate``."""
    parser = subparsers.add_parser("estimate")
    parser.description = (
        "Print updates, epochs and time of each stage, then parameters and memory in GiB of training with the batches "
        "of CONFIG, with all pieces of the backbone and with those that its text and lexicons need, for each "
        "precision, with frozen embeddings and with activations computed again. The weights of a backbone need not be "
        "there. Time follows from that of a layer of either side, the output and the optimizer, which is measured now; "
        "it is that of training with one seed, without validation and translation. Epochs follow from the characters "
        "of the text. The peak is less than the sum: not all is there at the same time. * marks the settings of CONFIG."
    )
    parser.add_argument("config", metavar="CONFIG", help="YAML file of csr run")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides", help="change a setting, as csr run"
    )
    parser.add_argument(
        "--length",
        type=int,
        default=100,
        metavar="N",
        help="pieces of the sentences in the largest batch (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON: memory in bytes")
    parser.set_defaults(run=estimate)


def estimate(arguments: argparse.Namespace) -> None:
    """Print what an experiment takes."""
    from csr.experiments.kinds import read_config
    from csr.experiments.plan import forecasts, plans
    from csr.experiments.translation import Config

    if arguments.length < 1:
        raise ConfigError(f"--length: expected at least 1, found {arguments.length}")
    config = read_config(arguments.config, arguments.overrides)
    if not isinstance(config, Config):
        raise ConfigError(f"{arguments.config}: expected an experiment on translation, found {config.experiment}")
    found = list(plans(config, arguments.length))
    if arguments.json:
        stages, speed = forecasts(config)
        shown = {
            "stages": [dataclasses.asdict(stage) for stage in stages],
            "speed": dataclasses.asdict(speed) if speed else None,
            "memory": [{**dataclasses.asdict(plan), "parameters": plan.sizes.parameters} for plan in found],
        }
        json.dump(shown, sys.stdout, indent=2)
        print()
        return
    print("\n".join(described(config)) + "\n")
    tokens = max(config.restore.max_tokens, config.finetune.max_tokens)
    print(f"batches of {tokens:,} tokens a side, sentences of {arguments.length} pieces; memory in GiB")
    for name in dict.fromkeys(plan.vocabulary for plan in found):
        group = [plan for plan in found if plan.vocabulary == name]
        sizes = group[0].sizes
        print(f"\n{name} vocabulary: {sizes.vocabulary:,} embeddings, {sizes.parameters:,} parameters")
        print(f"  {'':36}" + "".join(f"{column:>12}" for column in _COLUMNS))
        for plan in group:
            numbers = "".join(f"{getattr(plan.memory, column) / 2**30:12.2f}" for column in _COLUMNS)
            print(f"{'*' if plan.chosen else ' '} {_described(plan.setup):36}{numbers}")


def described(config: Any, trainings: Mapping[str, int] | None = None) -> Iterator[str]:
    """Yield the lines that say what the stages of a translation experiment will take, as it is set.

    Args:
        trainings: how many of each stage are still to do (default: one of each for every seed).
    """
    from csr.experiments.plan import forecasts, peak

    stages, speed = forecasts(config)
    n = len(config.seeds)
    left = {one.stage: n for one in stages} if trainings is None else trainings
    stages = [one for one in stages if one.stage in left]
    rows = [("stage", "updates", "epochs", "dev set every", "time")]
    for one in stages:
        epochs = "?" if one.epochs is None else f"{one.epochs:,.0f}" if one.epochs >= 10 else f"{one.epochs:.1f}"
        seconds = "?" if one.seconds is None else duration(one.seconds)
        rows.append((one.stage, f"{one.updates:,}", epochs, f"{one.save_every:,}", seconds))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, *cells in rows:
        yield "  ".join(
            [name.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))]
        )
    known = [left[one.stage] * one.seconds for one in stages if one.seconds is not None]
    if speed and known:
        many = f"with {n} seeds" if set(left.values()) == {n} else f"{sum(left.values())} trainings"
        total = f"{duration(sum(known))} in all" + (f", {many}" if max(left.values()) > 1 else "")
        yield f"time of training: {total}, from the speed just measured on {speed.where}"
        yield "not counted: validation, translation, waiting for other programs"
    if bytes_ := peak(config):
        yield f"memory: {bytes_ / 2**30:.2f} GiB at the peak of a training"


def _described(setup: Setup) -> str:
    parts = {
        setup.precision: True,
        "efficient": setup.memory_efficient,
        "frozen": setup.freeze_embeddings,
        "checkpointed": setup.checkpoint_activations,
    }
    return ", ".join(part for part, there in parts.items() if there)
