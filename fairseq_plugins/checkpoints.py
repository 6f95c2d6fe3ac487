"""Lets fairseq read its checkpoints without letting them run code: plain ``fairseq-generate`` and ``csr`` alike.

Since torch 2.6, ``torch.load`` refuses every class that is not allowed by name; the one below holds fairseq's settings.
fairseq then builds a model from these and evaluates some of their texts, so that each file is checked before it is
read, and what fairseq makes of its settings afterwards. What is refused or damaged is a ``DataError``: one line.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from fairseq import checkpoint_utils
from fairseq.file_io import PathManager
from omegaconf import DictConfig, OmegaConf

from csr.backbone.checkpoints import read_state
from csr.backbone.saved_settings import check_state
from csr.errors import CsrError, DataError
from csr.files import PathLike

torch.serialization.add_safe_globals([argparse.Namespace])

_load_checkpoint = checkpoint_utils.load_checkpoint_to_cpu
_load_models = checkpoint_utils.load_model_ensemble_and_task


@contextlib.contextmanager
def of_checkpoint(path: PathLike) -> Iterator[None]:
    """Turn whatever goes wrong in the block into a DataError that names the checkpoint.

    Settings and weights of a file can be at odds in more ways than can be checked; fairseq and torch then raise
    errors of any class.
    """
    try:
        yield
    except CsrError:
        raise
    except Exception as error:
        found = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(f"{path}: expected a checkpoint whose settings and weights fit, found: {found}") from error


def check_finite(model: torch.nn.Module, path: PathLike) -> None:
    """Raise DataError unless all weights of a model are numbers, those of one whose training diverged are not."""
    for name, weight in model.named_parameters():
        if not weight.isfinite().all():
            raise DataError(f"{path}: expected weights that are numbers, found NaN or infinity in {name}")


def load_checkpoint_to_cpu(
    path: str, arg_overrides: dict[str, Any] | None = None, load_on_all_ranks: bool = False
) -> dict[str, Any]:
    """``fairseq.checkpoint_utils.load_checkpoint_to_cpu`` of a checkpoint that is data.

    Raises:
        DataError: it is damaged or no checkpoint, or reading it or building its model would run code.
    """
    check_state(read_state(PathManager.get_local_path(path)), path)
    with of_checkpoint(path):
        state = _load_checkpoint(path, arg_overrides, load_on_all_ranks)
    made = state.get("cfg")
    check_state({"cfg": OmegaConf.to_container(made) if isinstance(made, DictConfig) else made}, path)
    return state


def load_model_ensemble_and_task(filenames: Sequence[str], *args: Any, **kwargs: Any) -> tuple[Any, Any, Any]:
    """``fairseq.checkpoint_utils.load_model_ensemble_and_task``, whose errors name the files.

    Raises:
        DataError: no model can be built of what is in the files.
    """
    with of_checkpoint(", ".join(map(str, filenames))):
        return _load_models(filenames, *args, **kwargs)


checkpoint_utils.load_checkpoint_to_cpu = load_checkpoint_to_cpu
checkpoint_utils.load_model_ensemble_and_task = load_model_ensemble_and_task
