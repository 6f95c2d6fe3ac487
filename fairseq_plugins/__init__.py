"""Tasks of ours for fairseq: ``--user-dir fairseq_plugins`` registers them."""

import os
import sys
from types import TracebackType

from csr.errors import CsrError
from csr.running.launch import unused_later

with unused_later():
    import fairseq  # noqa: F401

from fairseq_plugins import (
    back_translation,
    checkpoints,
    encoder,
    masked_lm,
    nli,
    optimizer,
    restore,
    sentence_pair,
    seq2seq,
    tagging,
    text_labels,
    translation,
)

__all__ = [
    "back_translation",
    "checkpoints",
    "encoder",
    "masked_lm",
    "nli",
    "optimizer",
    "restore",
    "sentence_pair",
    "seq2seq",
    "tagging",
    "text_labels",
    "translation",
]

_default_hook = sys.excepthook


def _one_line(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print what a user can mend as one line and leave with status 2, as ``csr`` does; fairseq would print a trace."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, CsrError):
        found = found.__cause__ or found.__context__  # fairseq raises another error for one in loading a model
    if found is None:
        return _default_hook(kind, error, trace)
    print(f"{os.path.basename(sys.argv[0])}: error: {found}", file=sys.stderr, flush=True)
    os._exit(2)


sys.excepthook = _one_line
