"""Many sentences in one call: the noise of ``csr.switching.compiled``, without the cost of a call for each."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from csr.switching.compiled import NO_PIECES, Switcher, noise
from csr.switching.compiled_streams import jit, mix
from csr.switching.compiled_words import NO_MARKS
from csr.switching.streams import STEP, absorbed

_STEP = np.uint64(STEP)


@dataclass(frozen=True)
class Ragged:
    """Rows of several lengths, one after the other.

    Attributes:
        values: [n_values].
        lengths: int64 [n_rows].
    """

    values: np.ndarray
    lengths: np.ndarray

    @staticmethod
    def of(rows: Sequence[np.ndarray]) -> Ragged:
        """Rows put one after the other."""
        return Ragged(np.concatenate(rows), np.fromiter(map(len, rows), np.int64, len(rows)))

    @property
    def ends(self) -> np.ndarray:
        """Where each row ends, int64 [n_rows]."""
        return np.cumsum(self.lengths)

    def rows(self) -> list[np.ndarray]:
        """The rows, each a view."""
        return [self.values[start:end] for start, end in itertools.pairwise([0, *self.ends.tolist()])]

    def padded(self, value: int, multiple: int = 1, left: bool = False) -> np.ndarray:
        """The rows side by side, [n_rows, length], filled up with a value at their right, or left, ends."""
        length = -(-int(self.lengths.max()) // multiple) * multiple
        out = np.full((len(self.lengths), length), value, self.values.dtype)
        places = np.arange(length)
        own = places >= length - self.lengths[:, None] if left else places < self.lengths[:, None]
        out[own] = self.values
        return out


@jit
def _noise_rows(values, ends, marks, aligned, aligned_ends, aligned_marks, base, numbers, limits, rate, settings):  # type: ignore[no-untyped-def]
    room = 0
    start = 0
    for row in range(len(ends)):
        room += max(limits[row], ends[row] - start)
        start = ends[row]
    out = np.empty(room, values.dtype)
    lengths = np.empty(len(ends), np.int64)
    counts = np.zeros(9, np.int64)
    start = aligned_start = write = 0
    for row in range(len(ends)):
        end, aligned_end = ends[row], aligned_ends[row]
        state = mix((base + np.uint64(numbers[row]) + np.uint64(1)) * _STEP)  # streams.absorbed
        new, stats = noise(
            values[start:end], marks[start:end], aligned[aligned_start:aligned_end],
            aligned_marks[aligned_start:aligned_end], rate, state, limits[row], *settings
        )  # fmt: skip
        for i in range(len(new)):
            out[write + i] = new[i]
        lengths[row] = len(new)
        write += len(new)
        counts += stats
        start, aligned_start = end, aligned_end
    return out[:write], lengths, counts


def noise_rows(
    switcher: Switcher,
    sentences: Ragged,
    marks: np.ndarray,
    epoch: int,
    numbers: Sequence[int],
    aligned: Ragged | None = None,
    aligned_marks: np.ndarray = NO_MARKS,
) -> tuple[Ragged, np.ndarray]:
    """Noisy sentences and the sum of their ``compiled.STATS``: ``Switcher`` of each, with the same draws.

    Args:
        sentences: piece ids, int64.
        marks: of all of them, one after the other: ``csr.switching.symbols.Mark``.
        numbers: the index of each sentence, from which its draws follow.
        aligned, aligned_marks: their translations, likewise.
    """
    other = aligned or Ragged(NO_PIECES, np.zeros(len(numbers), np.int64))
    if len(switcher.settings) > 1:  # each sentence draws its lexicon
        all_marks = Ragged(marks, sentences.lengths).rows()
        other_marks = Ragged(aligned_marks, other.lengths).rows()
        columns = (sentences.rows(), numbers, all_marks, other.rows(), other_marks)
        made = [switcher(ids, epoch, number, a, b, c) for ids, number, a, b, c in zip(*columns, strict=True)]
        return Ragged.of([new for new, _ in made]), np.sum([stats for _, stats in made], axis=0)
    base = np.uint64(absorbed(absorbed(0, switcher.seed), epoch))
    limits = np.minimum(switcher.max_length, (switcher.max_growth * sentences.lengths).astype(np.int64))
    values, lengths, counts = _noise_rows(
        sentences.values, sentences.ends, marks, other.values, other.ends, aligned_marks, base,
        np.array(numbers, np.int64), limits, float(switcher.rate), switcher.settings[0],
    )  # fmt: skip
    return Ragged(values, lengths), counts
