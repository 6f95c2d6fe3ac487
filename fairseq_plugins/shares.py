"""What switching did to each side's batches, counted in the log of a training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from fairseq import metrics

Share = tuple[str, str, str]  # its name in the log, what is counted, and of what it is a share


def counts_of(switching: Sequence[np.ndarray], names: Sequence[str]) -> dict[str, int]:
    """A batch's counts for its log, of each side by name.

    Every key is there, also of a side that the batch has no row of: processes sum their logs key by key.
    """
    return {
        f"_switching_{side}_{name}": int(count)
        for side, counts in enumerate(switching)
        for name, count in zip(names, counts, strict=True)
    }


def log_shares(logs: Sequence[Mapping[str, Any]], languages: Iterable[str], shares: Sequence[Share]) -> None:
    """Log ``NAME_LANGUAGE``, each share over what was seen since the last line; one of nothing is left out."""
    for side, language in enumerate(languages):
        for name, part, whole in shares:
            n_part, n_whole = (sum(log.get(f"_switching_{side}_{key}", 0) for log in logs) for key in (part, whole))
            if n_whole:
                metrics.log_scalar(f"{name}_{language}", n_part / n_whole, n_whole, round=4)
