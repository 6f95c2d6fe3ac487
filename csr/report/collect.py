"""From a run folder to one plain dict: scores, curves, lexicons, examples and settings; what is absent is listed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from csr.analysis.dynamics import Point, curve, read_log
from csr.errors import CsrError, DataError
from csr.files import read_lines, read_object
from csr.report.lexicons import describe
from csr.report.outputs import case_studies, comparisons, word_groups
from csr.settings import parse_yaml

_BOOKKEEPING = {"epoch", "update", "num_updates"}  # what a log says about the run rather than about the model


Run = dict[str, Any]


@contextlib.contextmanager
def of_run(folder: Path) -> Iterator[None]:
    """Turn whatever the files of a run make go wrong in the block into a DataError that names its folder.

    Tables look deep into files that are as csr wrote them or, damaged or of another version, hold anything.
    """
    try:
        yield
    except CsrError:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        found = " ".join(f"{type(error).__name__}: {error}".split())
        raise DataError(
            f"{folder}: expected results as csr run writes them, found a file with others ({found})"
        ) from error


def collect(folder: Path) -> Run:
    """The results of a run of any kind, as values that JSON can hold; unfinished arms are named under ``missing``.

    Raises:
        DataError: the folder has no ``config.yaml``, or one of its files is damaged.
    """
    config = _config(folder / "config.yaml")
    arms, seeds = list(config["arms"]), list(config["seeds"])
    scores = [_score(path) for path in files_of_seeds(folder, seeds, "*/scores.json")]
    finished = {(score["seed"], score["arm"]) for score in scores}
    return {
        "name": folder.resolve().name,
        "arms": arms,
        "seeds": seeds,
        "missing": [f"seed-{seed}/{arm}" for seed in seeds for arm in arms if (seed, arm) not in finished],
        "scores": scores,
        "logs": [_log(path) for path in files_of_seeds(folder, seeds, "*/train.log")],
        "data": _optional(folder / "data" / "prepare.json"),
        "environment": _optional(folder / "environment.json"),
        "config": config,
    }


def collect_translation(folder: Path) -> Run:
    """The results of a run of translation: ``collect``, and what its translations and lexicons tell.

    Raises:
        DataError: the folder has no ``config.yaml``, or one of its files is damaged.
    """
    run = collect(folder)
    config, arms, seeds = run["config"], run["arms"], run["seeds"]
    try:
        src, tgt = config["data"]["source_lang"], config["data"]["target_lang"]
    except (KeyError, TypeError):
        path = folder / "config.yaml"
        raise DataError(f"{path}: expected data with source_lang and target_lang, as translation has it") from None
    each, over_seeds = comparisons(folder, arms, seeds, tgt)
    backbones = files_of_seeds(folder, seeds, "backbone/distance.json")
    dynamics = files_of_seeds(folder, seeds, "*/dynamics.json")
    return run | {
        "src": src,
        "tgt": tgt,
        "scores": [*run["scores"], *(_place(path) | {"distance": read_object(path)} for path in backbones)],
        "comparisons": each,
        "over_seeds": over_seeds,
        "word_groups": word_groups(folder, arms, seeds, src, tgt),
        "cases": case_studies(folder, "csr", seeds[0], src, tgt),
        "checkpoints": [_place(path) | read_object(path) for path in dynamics],
        "domain": _optional(folder / "domain.json"),
        "lexicons": {
            f"{a}-{b}": found for a, b in ((src, tgt), (tgt, src)) if (found := describe(folder, a, b, config))
        },
    }


def _config(path: Path) -> dict[str, Any]:
    """Read the settings as they are: a run made by an older version need not pass today's checks."""
    if not path.exists():
        raise DataError(f"{path}: no such file; expected a folder made by csr run")
    config = parse_yaml("\n".join(read_lines(path)), path)
    lists = [config.get(name) if isinstance(config, dict) else None for name in ("arms", "seeds")]
    for found, kind in zip(lists, (str, int), strict=True):
        if not isinstance(found, list) or not found or not all(isinstance(item, kind) for item in found):
            raise DataError(f"{path}: expected the settings of csr run, with lists of arms and of seeds")
    return config


def files_of_seeds(folder: Path, seeds: Sequence[int], name: str) -> list[Path]:
    """The files of the seeds of a run; a folder may have more, of seeds that it had before."""
    return [path for seed in seeds for path in sorted(folder.glob(f"seed-{seed}/{name}"))]


def _place(path: Path) -> dict[str, Any]:
    """The seed and the arm or stage that a file in ``seed-1/csr/`` belongs to."""
    return {"seed": int(path.parent.parent.name.removeprefix("seed-")), "arm": path.parent.name}


def _score(path: Path) -> dict[str, Any]:
    return read_object(path) | _place(path)


def _optional(path: Path) -> Any:
    return read_object(path) if path.exists() else None


def _log(path: Path) -> dict[str, Any]:
    """The curves of a training log, by the name fairseq gives the number."""
    log = read_log(path)
    timing = _optional(path.with_name("timing.json")) or {}
    curves = {"train": _curves(log.train), "valid": _curves(log.valid)}
    recorded = {name: timing.get(name) for name in ("seconds", "updates", "precision")}
    return _place(path) | recorded | {"diverged": log.diverged} | curves


def _curves(points: Sequence[Point]) -> dict[str, list[tuple[float, float]]]:
    keys = dict.fromkeys(key for point in points for key in point if key not in _BOOKKEEPING)
    return {key: curve(points, key) for key in keys}
