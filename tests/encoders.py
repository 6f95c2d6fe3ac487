"""Encoders from the folders that ``csr import-hf`` writes."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import torch
from fairseq.data import Dictionary

from fairseq_plugins.encoder import CsrBert


class Task:
    """What an encoder asks of its task."""

    def __init__(self, dictionary: Path) -> None:
        self.source_dictionary = Dictionary.load(str(dictionary))
        self.source_dictionary.add_symbol("<mask>")


def read_encoder(folder: Path) -> CsrBert:
    """The model of ``model.pt`` and ``dict.txt``, in evaluation mode."""
    state = torch.load(folder / "model.pt", weights_only=True)
    model = CsrBert.build_model(Namespace(**state["cfg"]["model"]), Task(folder / "dict.txt"))
    model.load_state_dict(state["model"])
    return model.eval()
