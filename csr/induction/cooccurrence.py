"""Which words of two languages stand opposite each other: the sparse table that the alignment models fill.

One row for each source word, one cell for each target word that stands opposite it somewhere. A first pass finds the
cell of every link (a source and a target token of one sentence pair); from there on, an iteration of EM is array work.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numba
import numpy as np

from csr.induction.bitext import Bitext
from csr.jit import njit
from csr.lexicon import Lexicon


class Layout(NamedTuple):
    """The bitext as the EM kernels see it: the source tokens sorted by block of sentences, then by word.

    NULL, if it has a part, is source word 0 and stands at position 0 of every sentence. ``tokens[b, e] : tokens[b, e +
    1]`` are the tokens of word e in block b; token k stands opposite the target tokens ``starts[k] : stops[k]``. Its
    links, one for each of those, follow the links of token k - 1; the first link of word e in block b is ``links[b,
    e]``.
    """

    tokens: np.ndarray  # int64 [n blocks, n source words + 1]
    links: np.ndarray  # int64 [n blocks, n source words + 1]
    positions: np.ndarray  # int32 [n source tokens], in the sentence
    starts: np.ndarray  # int64 [n source tokens]
    stops: np.ndarray  # int64 [n source tokens]
    tgt: np.ndarray  # int32 [n target tokens]
    parts: np.ndarray  # int64 [n threads + 1]: in the M-step, thread p takes the words order[parts[p] : parts[p + 1]]
    order: np.ndarray  # int64 [n source words]


def find_cells(
    bitext: Bitext, min_cooccurrence: int = 1, null: bool = True
) -> tuple[Layout, np.ndarray, np.ndarray, np.ndarray]:
    """Find the cell of each link of a bitext.

    Returns:
        The layout of the links; the offsets of the rows, int64 [n source words + 2]; the target word of each cell;
        the cell of each link, counted from the start of its row.

    Source word e of the bitext has row e + 1. Row 0 is that of NULL, or empty without ``null``. Two words that stand
    opposite each other fewer than ``min_cooccurrence`` times share the last cell of their row, whose target word is no
    word, unless one of them occurs no oftener than that.
    """
    if min_cooccurrence < 1:
        raise ValueError(f"min_cooccurrence must be at least 1, got {min_cooccurrence}")
    layout = _lay_out(bitext, null)
    needed = np.minimum(min_cooccurrence, np.bincount(layout.tgt, minlength=len(bitext.target.words)))
    row_offsets = offsets(_row_sizes(layout, needed))
    return layout, row_offsets, *_fill_rows(layout, needed, row_offsets)


def to_lexicon(
    source: Sequence[str], target: Sequence[str], rows: np.ndarray, columns: np.ndarray, weights: np.ndarray
) -> Lexicon:
    """The lexicon of weighted pairs, word ``rows[k]`` of source with word ``columns[k]`` of target, best first."""
    order = np.lexsort((columns, -weights, rows))
    rows = rows[order]
    words = [target[column] for column in columns[order].tolist()]
    values = weights[order].tolist()
    starts = np.flatnonzero(np.diff(rows, prepend=-1)).tolist()
    return Lexicon(
        {
            source[rows[start]]: dict(zip(words[start:stop], values[start:stop], strict=True))
            for start, stop in zip(starts, [*starts[1:], len(words)], strict=True)
        }
    )


def _lay_out(bitext: Bitext, null: bool) -> Layout:
    """Sort the tokens of a bitext, and share the work between the threads by the number of links."""
    source, target = bitext.source, bitext.target
    src, src_offsets = source.ids + np.int32(1), source.offsets
    if null:
        src, src_offsets = np.insert(src, src_offsets[:-1], np.int32(0)), src_offsets + np.arange(len(src_offsets))
    src_lengths, tgt_lengths = np.diff(src_offsets), np.diff(target.offsets)
    n_threads, n_words = numba.get_num_threads(), len(source.words) + 1

    n_links = offsets(src_lengths * tgt_lengths)
    blocks = src_offsets[np.searchsorted(n_links, np.linspace(0, n_links[-1], n_threads + 1))]
    tokens, order = _sorted_tokens(src, blocks, n_words)
    sentences = np.repeat(np.arange(len(bitext), dtype=np.int32), src_lengths)[order]
    links = offsets(tgt_lengths[sentences])[tokens]

    # Deal the words out in turn, the ones with most links first: 0 1 2 2 1 0 0 1 2 ...
    by_links = np.argsort(-np.diff(links).sum(axis=0), kind="stable")
    turn = np.arange(n_words) % (2 * n_threads)
    part = np.minimum(turn, 2 * n_threads - 1 - turn)
    return Layout(
        tokens,
        links,
        (order - src_offsets[sentences]).astype(np.int32),
        target.offsets[sentences],
        target.offsets[sentences + 1],
        target.ids,
        offsets(np.bincount(part, minlength=n_threads)),
        by_links[np.argsort(part, kind="stable")],
    )


def offsets(sizes: np.ndarray) -> np.ndarray:
    """The starts of several consecutive runs, and the end of the last one: int64 [n + 1]."""
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


@njit(parallel=True)
def _sorted_tokens(src, blocks, n_words):  # type: ignore[no-untyped-def]
    """The tokens of each block sorted by word, and where each word of each block starts among them."""
    starts, order = np.zeros((len(blocks) - 1, n_words + 1), np.int64), np.empty(len(src), np.int64)
    for b in numba.prange(len(blocks) - 1):
        for e in src[blocks[b] : blocks[b + 1]]:
            starts[b, e + 1] += 1
        starts[b, 0] = blocks[b]
        for e in range(n_words):
            starts[b, e + 1] += starts[b, e]
        place = starts[b].copy()
        for i in range(blocks[b], blocks[b + 1]):
            order[place[src[i]]] = i
            place[src[i]] += 1
    return starts, order


@njit()
def _opposite(layout, e, count, seen):  # type: ignore[no-untyped-def]
    """Count the target words opposite source word e; return how often e occurs and how many of them ``seen`` lists."""
    frequency = n_seen = 0
    for b in range(len(layout.tokens)):
        for k in range(layout.tokens[b, e], layout.tokens[b, e + 1]):
            frequency += 1
            for f in layout.tgt[layout.starts[k] : layout.stops[k]]:
                if count[f] == 0:
                    seen[n_seen] = f
                    n_seen += 1
                count[f] += 1
    return frequency, n_seen


@njit(parallel=True)
def _row_sizes(layout, needed):  # type: ignore[no-untyped-def]
    """The number of cells of each source word, the one for pruned pairs included."""
    sizes = np.empty(len(layout.order), np.int64)
    for part in numba.prange(len(layout.parts) - 1):
        count, seen = np.zeros(len(needed), np.int32), np.empty(len(needed), np.int32)
        for e in layout.order[layout.parts[part] : layout.parts[part + 1]]:
            frequency, n_seen = _opposite(layout, e, count, seen)
            size = 1
            for f in seen[:n_seen]:
                if e == 0 or count[f] >= min(needed[f], frequency):
                    size += 1
                count[f] = 0
            sizes[e] = size
    return sizes


@njit(parallel=True)
def _fill_rows(layout, needed, row_offsets):  # type: ignore[no-untyped-def]
    """The target word of each cell, and the cell, counted from the start of its row, of each link."""
    # Unsigned: numba need not ask whether an index counts from the end.
    columns, cells = np.empty(row_offsets[-1], np.int32), np.empty(layout.links[-1, -1], np.uint32)
    for part in numba.prange(len(layout.parts) - 1):
        count, seen = np.zeros(len(needed), np.int32), np.empty(len(needed), np.int32)
        for e in layout.order[layout.parts[part] : layout.parts[part + 1]]:
            row = columns[row_offsets[e] : row_offsets[e + 1]]
            pruned = len(row) - 1
            row[pruned] = len(needed)
            frequency, n_seen = _opposite(layout, e, count, seen)
            cell = 0
            for f in seen[:n_seen]:  # from here on, count[f] is the cell of f
                if e == 0 or count[f] >= min(needed[f], frequency):
                    row[cell] = f
                    count[f] = cell
                    cell += 1
                else:
                    count[f] = pruned
            for b in range(len(layout.tokens)):
                link = layout.links[b, e]
                for k in range(layout.tokens[b, e], layout.tokens[b, e + 1]):
                    for f in layout.tgt[layout.starts[k] : layout.stops[k]]:
                        cells[link] = count[f]
                        link += 1
            for f in seen[:n_seen]:
                count[f] = 0
    return columns, cells
