"""Blocks of whole sentences: what pretraining reads at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from csr.jit import njit


@dataclass(frozen=True)
class Blocks:
    """Runs of neighbouring rows, as tokens from and up to in the flat data, and the row that each starts in."""

    starts: np.ndarray  # int64 [n_blocks]
    ends: np.ndarray  # int64 [n_blocks]
    rows: np.ndarray  # int64 [n_blocks]

    def __len__(self) -> int:
        return len(self.starts)


def pack(sizes: np.ndarray, length: int) -> Blocks:
    """Put whole rows into blocks of at most ``length`` tokens, in order; a row that is longer is cut.

    >>> blocks = pack(np.array([3, 4, 2, 12]), 8)
    >>> blocks.starts.tolist(), blocks.ends.tolist(), blocks.rows.tolist()
    ([0, 7, 9, 17], [7, 9, 17, 21], [0, 2, 3, 3])
    """
    if length < 1:
        raise ValueError(f"length must be at least 1, got {length}")
    return Blocks(*_pack(sizes.astype(np.int64), length))


@njit()
def _pack(sizes, length):  # type: ignore[no-untyped-def]
    most = len(sizes) + sizes.sum() // length + 1
    starts, ends, rows = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.int64)
    n = 0
    at = 0  # the first token of the row
    for row in range(len(sizes)):
        size = sizes[row]
        if n > 0 and ends[n - 1] - starts[n - 1] + size <= length and size > 0:
            ends[n - 1] += size
        else:
            for start in range(at, at + size, length):
                starts[n], ends[n], rows[n] = start, min(start + length, at + size), row
                n += 1
        at += size
    return starts[:n], ends[:n], rows[:n]
