"""Many sentences in one call: the noise of ``csr.switching.compiled`` and the masks of ``compiled_masking``."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from csr.switching.compiled import NO_PIECES, Switcher, noise
from csr.switching.compiled_masking import MaskingSwitcher, mask_and_switch
from csr.switching.compiled_streams import jit, mix, random
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

    @staticmethod
    def merged(parts: Sequence[tuple[np.ndarray, Ragged]]) -> Ragged:
        """Rows of several parts, each of which has the places of its rows, in the order of the places."""
        if len(parts) == 1:
            return parts[0][1]
        values = np.concatenate([part.values for _, part in parts])
        lengths = np.concatenate([part.lengths for _, part in parts])
        return Ragged(values, lengths).take(np.argsort(np.concatenate([places for places, _ in parts])))

    @property
    def ends(self) -> np.ndarray:
        """Where each row ends, int64 [n_rows]."""
        return np.cumsum(self.lengths)

    def rows(self) -> list[np.ndarray]:
        """The rows, each a view."""
        return [self.values[start:end] for start, end in itertools.pairwise([0, *self.ends.tolist()])]

    def take(self, rows: np.ndarray) -> Ragged:
        """Some rows, int64 [n], in that order."""
        return Ragged(*_taken(self.values, self.lengths, rows))

    def between(self, before: Sequence[int | np.ndarray], after: Sequence[int | np.ndarray]) -> Ragged:
        """Each row between more values, each of which is one for all rows or one a row, [n_rows]."""
        around = np.empty((len(before) + len(after), len(self.lengths)), self.values.dtype)
        for i, value in enumerate((*before, *after)):
            around[i] = value
        return Ragged(_between(self.values, self.lengths, around, len(before)), self.lengths + len(around))

    def padded(self, value: int, multiple: int = 1, left: bool = False) -> np.ndarray:
        """The rows side by side, [n_rows, length], filled up with a value at their right, or left, ends."""
        length = -(-int(self.lengths.max()) // multiple) * multiple
        out = np.full((len(self.lengths), length), value, self.values.dtype)
        _fill(out, self.values, self.lengths, left)
        return out


@jit
def _put(out, write, row):  # type: ignore[no-untyped-def]
    # Without assigning a slice: numba takes seconds to compile what such an assignment would say of wrong shapes.
    for i in range(len(row)):
        out[write + i] = row[i]
    return write + len(row)


@jit
def _taken(values, lengths, rows):  # type: ignore[no-untyped-def]
    ends, taken = np.cumsum(lengths), lengths[rows]
    out = np.empty(taken.sum(), values.dtype)
    write = 0
    for i in range(len(rows)):
        end = ends[rows[i]]
        write = _put(out, write, values[end - taken[i] : end])
    return out, taken


@jit
def _between(values, lengths, around, n_before):  # type: ignore[no-untyped-def]
    out = np.empty(len(values) + around.size, values.dtype)
    read = write = 0
    for row in range(len(lengths)):
        for i in range(n_before):
            out[write] = around[i, row]
            write += 1
        write = _put(out, write, values[read : read + lengths[row]])
        read += lengths[row]
        for i in range(n_before, len(around)):
            out[write] = around[i, row]
            write += 1
    return out


@jit
def _fill(out, values, lengths, left):  # type: ignore[no-untyped-def]
    read = 0
    for row in range(len(lengths)):
        first = out.shape[1] - lengths[row] if left else 0
        _put(out[row], first, values[read : read + lengths[row]])
        read += lengths[row]


@jit
def _streams(base, numbers, n_lexicons):  # type: ignore[no-untyped-def]
    # The state of the stream of each sentence, and the lexicon that it draws.
    states = np.empty(len(numbers), np.uint64)
    drawn = np.zeros(len(numbers), np.int64)
    for i in range(len(numbers)):
        states[i] = mix((base + np.uint64(numbers[i]) + np.uint64(1)) * _STEP)  # streams.absorbed
        if n_lexicons > 1:
            drawn[i] = int(random(states[i : i + 1]) * n_lexicons)
    return states, drawn


@jit
def _noise_rows(values, marks, lengths, which, aligned, states, drawn, lexicon, longest, growth, rate, settings):  # type: ignore[no-untyped-def]
    # Of the sentences that have drawn a lexicon.
    ends = np.cumsum(lengths)
    limits = np.empty(len(which), np.int64)
    n = room = 0
    for i in range(len(which)):
        limits[i] = min(longest, int(growth * lengths[which[i]]))
        if drawn[i] == lexicon:
            n += 1
            room += max(limits[i], lengths[which[i]])
    out, after, counts = np.empty(room, values.dtype), np.empty(n, np.int64), np.zeros(9, np.int64)
    n = write = 0
    for i in range(len(which)):
        if drawn[i] != lexicon:
            continue
        own = slice(ends[which[i]] - lengths[which[i]], ends[which[i]])
        other = slice(0, 0)
        if len(aligned):
            other = slice(ends[aligned[i]] - lengths[aligned[i]], ends[aligned[i]])
        new, stats = noise(
            values[own], marks[own], values[other], marks[other], rate, states[i], limits[i], *settings
        )  # fmt: skip
        write = _put(out, write, new)
        after[n] = len(new)
        n += 1
        counts += stats
    return out[:write], after, counts


def noise_rows(
    switcher: Switcher,
    sentences: Ragged,
    marks: np.ndarray,
    epoch: int,
    which: np.ndarray,
    numbers: np.ndarray,
    aligned: np.ndarray = NO_PIECES,
) -> tuple[Ragged, np.ndarray]:
    """Noisy sentences and the sum of their ``compiled.STATS``: ``Switcher`` of each, with the same draws.

    Args:
        sentences: piece ids, int64.
        marks: of all of them, one after the other: ``csr.switching.symbols.Mark``.
        which: of the sentences are to be made noisy, int64 [n].
        numbers: the index of each of those, from which its draws follow, int64 [n].
        aligned: which sentence is the translation of each of those, int64 [n]; none: of none.
    """
    states, drawn = _streams(_base(switcher.seed, epoch), numbers, len(switcher.settings))
    parts, counts = [], np.zeros(9, np.int64)
    for lexicon, settings in enumerate(switcher.settings):
        values, lengths, stats = _noise_rows(
            sentences.values, marks, sentences.lengths, which, aligned, states, drawn, lexicon,
            switcher.max_length, float(switcher.max_growth), float(switcher.rate), settings,
        )  # fmt: skip
        counts += stats
        if len(switcher.settings) == 1:
            return Ragged(values, lengths), counts
        parts.append((np.flatnonzero(drawn == lexicon), Ragged(values, lengths)))
    return Ragged.merged(parts), counts


@jit
def _mask_rows(values, marks, lengths, which, states, limit, settings):  # type: ignore[no-untyped-def]
    ends = np.cumsum(lengths)
    source, target = np.empty(limit * len(which), np.int64), np.empty(limit * len(which), np.int64)
    after, counts = np.empty(len(which), np.int64), np.zeros(8, np.int64)
    write = 0
    for i in range(len(which)):
        own = slice(ends[which[i]] - lengths[which[i]], ends[which[i]])
        seen, predicted, stats = mask_and_switch(values[own], marks[own], states[i], limit, *settings)
        _put(source, write, seen)
        write = _put(target, write, predicted)
        after[i] = len(seen)
        counts += stats
    return source[:write], target[:write], after, counts


def mask_rows(
    masker: MaskingSwitcher, blocks: Ragged, marks: np.ndarray, epoch: int, which: np.ndarray, numbers: np.ndarray
) -> tuple[Ragged, Ragged, np.ndarray]:
    """Sources, targets and the sum of their ``compiled_masking.STATS``: ``MaskingSwitcher`` of each, the same draws.

    Args:
        blocks: piece ids with their special symbols, int64.
        marks: of all of them, one after the other.
        which: of the blocks are to be masked, int64 [n].
        numbers: the index of each of those, from which its draws follow, int64 [n].
    """
    states, _ = _streams(_base(masker.seed, epoch), numbers, 1)
    sources, targets, lengths, counts = _mask_rows(
        blocks.values, marks, blocks.lengths, which, states, masker.limit, masker.settings
    )
    return Ragged(sources, lengths), Ragged(targets, lengths), counts


def _base(seed: int, epoch: int) -> np.uint64:
    return np.uint64(absorbed(absorbed(0, seed), epoch))
