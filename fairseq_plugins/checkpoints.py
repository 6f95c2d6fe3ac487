"""Lets fairseq read its checkpoints without letting them run code, and says beforehand what does not fit.

Since torch 2.6, ``torch.load`` refuses every class that is not allowed by name; the one below holds fairseq's
settings. A checkpoint that carries anything else is still refused.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from csr.backbone.checkpoints import architecture, described, dictionary_hash, read_checkpoint
from csr.backbone.presets import Preset
from csr.errors import DataError

torch.serialization.add_safe_globals([argparse.Namespace])


def check_start(
    path: Path, settings: Mapping[str, Any], symbols: Sequence[str], n_pieces: int, preset: Preset | None
) -> None:
    """Raise DataError unless a model can start from a checkpoint: sizes, dictionary, and nothing that runs code.

    Args:
        settings: fairseq's of the model to be built.
        symbols: the dictionary with language ids; ``n_pieces`` of them are lines of its file.
        preset: what the model is said to be, if anything.
    """
    state = read_checkpoint(path)
    found = architecture(state)
    if found.vocabulary is not None and found.vocabulary != len(symbols):
        if preset:
            preset.check_rows(found.vocabulary, n_pieces, path, "the dictionary")
        raise DataError(
            f"{path}: expected {len(symbols):,} embeddings ({n_pieces:,} lines of the dictionary, special symbols, "
            f"languages and <mask>), found {found.vocabulary:,}"
        )
    for name, (is_, wanted) in found.differences(described(settings)).items():
        said = name.replace("_", " ")
        raise DataError(f"{path}: expected a model with {said} {wanted}, as the settings say, found {said} {is_}")
    known = (state.get("task_state") or {}).get("dictionary")
    if known is not None and known != dictionary_hash(symbols):
        raise DataError(
            f"{path}: expected a model of the data's dictionary, found one whose pieces are others or lie "
            "in another order"
        )
