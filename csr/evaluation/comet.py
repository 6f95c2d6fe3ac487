"""COMET (Rei et al. 2020) by unbabel-comet, from a model name or a local checkpoint; the latter needs no network."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from csr.errors import ConfigError, DataError, install
from csr.evaluation.translation import Score

DEFAULT_MODEL = "Unbabel/wmt22-comet-da"


def comet(
    hyp: Sequence[str], ref: Sequence[str], src: Sequence[str], model: str = DEFAULT_MODEL, batch_size: int = 16
) -> Score:
    """The mean COMET score, in the model's own unit (about 0 to 1), with the model's name in the signature."""
    value = float(np.mean(comet_segments(hyp, ref, src, model, batch_size)))
    return Score(value, signature(model))


def signature(model: str) -> str:
    """What a COMET score depends on: model and version."""
    return f"model:{model}|unbabel-comet:{_version()}"


def comet_segments(
    hyp: Sequence[str], ref: Sequence[str], src: Sequence[str], model: str = DEFAULT_MODEL, batch_size: int = 16
) -> list[float]:
    """The COMET score of each sentence, for paired tests.

    Args:
        model: a name on the Hugging Face hub, or a local folder (``checkpoints/model.ckpt`` beside ``hparams.yaml``) or
            ``.ckpt`` file; for a local one nothing is looked up on the network.

    Raises:
        ConfigError: the model is neither here nor to be had, or unbabel-comet is not installed.
    """
    if not len(hyp) == len(ref) == len(src) or not ref:
        raise DataError(
            f"expected as many outputs, references and sources, found {len(hyp)}, {len(ref)} and {len(src)}"
        )
    _version()
    samples = [{"src": s, "mt": h, "ref": r} for s, h, r in zip(src, hyp, ref, strict=True)]
    import torch

    with _quiet():
        scorer = _load(model)
        gpus = min(torch.cuda.device_count(), 1)
        return list(scorer.predict(samples, batch_size=batch_size, gpus=gpus, progress_bar=False).scores)


@functools.lru_cache(maxsize=1)  # a matrix of outputs is scored by one model
def _load(model: str) -> Any:
    from comet import download_model, load_from_checkpoint

    path = Path(model)
    local = path.exists()
    if path.is_dir():
        checkpoints = sorted((path / "checkpoints").glob("*.ckpt"))
        if len(checkpoints) != 1:
            raise ConfigError(f"{model}: expected one file checkpoints/*.ckpt, found {len(checkpoints)}")
        path = checkpoints[0]
    if not local:
        try:
            path = Path(download_model(model))
        except Exception as error:  # unbabel-comet has no error class of its own, the hub a dozen
            raise ConfigError(
                f"COMET model {model!r}: expected a local folder or .ckpt file, or a model that can be downloaded"
            ) from error
    try:
        return load_from_checkpoint(str(path), local_files_only=local)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(f"COMET model {model!r}: cannot be loaded: {reason}") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's banner and advice out of the way of the scores."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning", "comet", "transformers")]
    before = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
        finally:
            for logger, level in zip(loggers, before, strict=True):
                logger.setLevel(level)


def _version() -> str:
    try:
        return importlib.metadata.version("unbabel-comet")
    except importlib.metadata.PackageNotFoundError:
        raise ConfigError(f"COMET needs unbabel-comet: {install('eval')}") from None
