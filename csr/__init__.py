"""Code-switching training for cross-lingual models: lexicons, switching, and experiments on top of fairseq."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from csr.lexicon import Lexicon, read_lexicon, write_lexicon
    from csr.switching.lines import SwitchedLine, switch_line
    from csr.switching.masking import Masking
    from csr.switching.noise import FixedSpans, IndependentWords, PoissonSpans, Schedule
    from csr.switching.settings import Labelled, Noise, Pretraining
    from csr.switching.streams import Stream

__version__ = "0.1.0"
__all__ = [
    "FixedSpans",
    "IndependentWords",
    "Labelled",
    "Lexicon",
    "Masking",
    "Noise",
    "PoissonSpans",
    "Pretraining",
    "Schedule",
    "Stream",
    "SwitchedLine",
    "read_lexicon",
    "switch_line",
    "write_lexicon",
]
_HOMES = {
    "csr.lexicon": ("Lexicon", "read_lexicon", "write_lexicon"),
    "csr.switching.lines": ("SwitchedLine", "switch_line"),
    "csr.switching.noise": ("FixedSpans", "IndependentWords", "PoissonSpans", "Schedule"),
    "csr.switching.masking": ("Masking",),
    "csr.switching.settings": ("Labelled", "Noise", "Pretraining"),
    "csr.switching.streams": ("Stream",),
}


def __getattr__(name: str) -> Any:
    # On demand, so that a command imports what it needs alone.
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(home), name)
    raise AttributeError(f"module 'csr' has no attribute {name!r}")
