"""A checkpoint without the state of its optimiser: a third of the size, enough for translating and finetuning."""

from __future__ import annotations

import os
from pathlib import Path

from csr.backbone.checkpoints import read_checkpoint, write_checkpoint
from csr.errors import ConfigError, DataError
from csr.files import PathLike

_OPTIMIZER = "last_optimizer_state"


def strip(checkpoint: PathLike, out: PathLike) -> tuple[int, int]:
    """Write a fairseq checkpoint without its optimiser's state; return the sizes of both files in bytes.

    Raises:
        DataError: the checkpoint is none of fairseq's.
        ConfigError: ``out`` is the checkpoint itself, or a folder.
    """
    checkpoint, out = Path(checkpoint), Path(out)
    if checkpoint.is_dir():
        raise DataError(f"{checkpoint}: expected a fairseq checkpoint, found a folder")
    if out.is_dir():
        raise ConfigError(f"{out}: expected the name of a file, found a folder")
    if out.exists() and os.path.samefile(checkpoint, out):
        raise ConfigError(f"{out}: expected another file than the checkpoint, which stays as it is")
    write_checkpoint(stripped(read_checkpoint(checkpoint)), out)
    return checkpoint.stat().st_size, out.stat().st_size


def stripped(state: dict) -> dict:
    """The content of a fairseq checkpoint without its optimiser's state; the history of its updates stays."""
    return {**state, _OPTIMIZER: None} if _OPTIMIZER in state else dict(state)
