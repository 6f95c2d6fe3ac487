"""IBM Model 1 (Brown et al. 1993): word-translation probabilities by EM over parallel text.

    p(f | e) = prod_j 1/(l+1) sum_{i=0..l} t(f_j | e_i),   e_0 = NULL

The table t is sparse: one row for each source word, one cell for each target word that stands opposite it somewhere. A
first pass finds the cell of every link (a source and a target token of one sentence pair); an iteration is array work.
Both steps go by source word, whose row stays in the cache. In the E-step a thread has a block of sentences, in the
M-step it has rows of t: threads never meet, and the result does not depend on how many there are.
"""

from __future__ import annotations

import math
from array import array
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numba
import numpy as np
from tqdm import tqdm, trange

from csr.errors import DataError
from csr.files import PathLike, read_parallel
from csr.jit import njit
from csr.lexicon import Lexicon
from csr.text.words import tokenize


@dataclass(frozen=True)
class Side:
    """One language of a bitext: its words, frequent ones first; sentence s is ``ids[offsets[s] : offsets[s + 1]]``."""

    words: list[str]
    ids: np.ndarray  # int32 [n_tokens]
    offsets: np.ndarray  # int64 [n_sentences + 1]


@dataclass(frozen=True)
class Bitext:
    """Sentence pairs as word ids; pairs with an empty side are left out and counted."""

    source: Side
    target: Side
    n_dropped: int

    def __len__(self) -> int:
        return len(self.source.offsets) - 1

    def swapped(self) -> Bitext:
        """Return the bitext with its sides exchanged."""
        return Bitext(self.target, self.source, self.n_dropped)


def read_bitext(
    src: PathLike,
    tgt: PathLike,
    tokenized: bool = False,
    source_lang: str | None = None,
    target_lang: str | None = None,
) -> Bitext:
    """Read two aligned files, cut into words by ``csr.text.words.tokenize`` or, if tokenized, at white space only.

    Raises:
        DataError: the files differ in length, or no pair has words on both sides.
    """
    source, target = _Encoder(), _Encoder()
    n_dropped = 0
    for left, right in tqdm(read_parallel(src, tgt), desc="reading", unit=" pairs", disable=None):
        if tokenized:
            a, b = left.split(), right.split()
        else:
            a, b = tokenize(left, source_lang), tokenize(right, target_lang)
        if a and b:
            source.add(a)
            target.add(b)
        else:
            n_dropped += 1
    bitext = Bitext(source.side(), target.side(), n_dropped)
    if not len(bitext):
        raise DataError(f"{src}: expected words, found none in any of the {n_dropped:,} pairs with {tgt}")
    return bitext


class _Encoder:
    def __init__(self) -> None:
        self._vocabulary: defaultdict[str, int] = defaultdict()
        self._vocabulary.default_factory = self._vocabulary.__len__
        self._ids = array("i")
        self._offsets = array("q", [0])

    def add(self, sentence: Sequence[str]) -> None:
        self._ids.extend(map(self._vocabulary.__getitem__, sentence))
        self._offsets.append(len(self._ids))

    def side(self) -> Side:
        ids = np.array(self._ids, dtype=np.int32)
        words = list(self._vocabulary)
        by_frequency = np.argsort(-np.bincount(ids, minlength=len(words)), kind="stable")
        rank = np.empty(len(words), np.int32)
        rank[by_frequency] = np.arange(len(words))
        return Side([words[i] for i in by_frequency], rank[ids], np.array(self._offsets, dtype=np.int64))


def train(
    src: PathLike,
    tgt: PathLike,
    iterations: int = 5,
    alpha: float | None = None,
    min_cooccurrence: int = 1,
    min_weight: float = 0.001,
    tokenized: bool = False,
) -> tuple[Lexicon, list[float]]:
    """Return t(target | source) as a lexicon, and the log-likelihood before each iteration."""
    model = Model1(read_bitext(src, tgt, tokenized), min_cooccurrence)
    log_likelihoods = model.fit(iterations, alpha)
    return model.lexicon(min_weight), log_likelihoods


class Model1:
    """Model 1 of one direction, t(target | source), uniform at the start.

    Memory: 4 bytes a link (each token of a source sentence, and NULL, with each token of its target sentence), 12 a
    cell. Two words that stand opposite each other fewer than ``min_cooccurrence`` times get no cell, unless one of them
    occurs no oftener than that: rare words keep their candidates.
    """

    def __init__(self, bitext: Bitext, min_cooccurrence: int = 1) -> None:
        if min_cooccurrence < 1:
            raise ValueError(f"min_cooccurrence must be at least 1, got {min_cooccurrence}")
        self._source_words, self._target_words = bitext.source.words, bitext.target.words
        self._layout = layout = _lay_out(bitext)
        self._tgt_offsets = bitext.target.offsets
        # log of the product of 1/(l+1) over the target tokens
        self._log_uniform = -float(np.diff(self._tgt_offsets) @ np.log(np.diff(bitext.source.offsets) + 1))
        n_words = len(self._target_words)
        needed = np.minimum(min_cooccurrence, np.bincount(layout.tgt, minlength=n_words))
        self._row_offsets = _offsets(_row_sizes(layout, needed))
        self._columns, self._cells = _fill_rows(layout, needed, self._row_offsets)
        # The last cell of each row stands for the pairs that were pruned: its column is no word, its t is 0.
        self._t = np.where(self._columns < n_words, 1 / n_words, 0.0)

    def fit(self, iterations: int, alpha: float | None = None) -> list[float]:
        """Run EM; return the log-likelihood before each iteration, which without prior never falls."""
        progress = trange(iterations, desc="EM", disable=None)
        log_likelihoods = []
        for _ in progress:
            log_likelihoods.append(self.iterate(alpha))
            progress.set_postfix_str(f"log-likelihood {log_likelihoods[-1]:.6g}")
        return log_likelihoods

    def iterate(self, alpha: float | None = None) -> float:
        """Run one iteration; return the log-likelihood (base e) of the table before it.

        With ``alpha``, a symmetric Dirichlet prior on each row by variational Bayes (Riley and Gildea 2012):
        t(f | e) = exp(digamma(c(e, f) + alpha) - digamma(sum_f' c(e, f') + alpha)).
        """
        sums = self._sums()
        _maximise(self._layout, self._row_offsets, self._cells, 1 / sums, alpha or 0.0, self._t)
        return float(np.log(sums).sum()) + self._log_uniform

    def log_likelihood(self) -> float:
        """Return the log-likelihood (base e) of the bitext under the table as it stands."""
        return float(np.log(self._sums()).sum()) + self._log_uniform

    def _sums(self) -> np.ndarray:
        """Return sum_i t(f_j | e_i) for each target token."""
        sums = np.zeros(len(self._layout.tgt))
        _expect(self._layout, self._row_offsets, self._cells, self._t, sums)
        return sums

    def alignments(self) -> list[list[tuple[int, int]]]:
        """Return the Viterbi alignment of each sentence pair: links (i, j) of 0-based source and target positions.

        Each target word is linked to its likeliest source word, the first of several, or to none if that is NULL.
        """
        best = np.zeros(len(self._layout.tgt), np.int32)
        _viterbi(self._layout, self._row_offsets, self._cells, self._t, best)
        return [
            [(i - 1, j) for j, i in enumerate(best[start:stop].tolist()) if i]
            for start, stop in pairwise(self._tgt_offsets)
        ]

    def lexicon(self, min_weight: float = 0.001) -> Lexicon:
        """Return the probabilities of at least ``min_weight``, frequent source words first; NULL is left out."""
        cells = np.flatnonzero(self._t >= max(min_weight, np.finfo(float).tiny))
        cells = cells[np.searchsorted(cells, self._row_offsets[1]) :]
        rows = np.searchsorted(self._row_offsets, cells, side="right") - 1
        order = np.lexsort((self._columns[cells], -self._t[cells], rows))
        cells, rows = cells[order], rows[order]
        words = [self._target_words[column] for column in self._columns[cells].tolist()]
        weights = self._t[cells].tolist()
        starts = np.flatnonzero(np.diff(rows, prepend=0)).tolist()
        return Lexicon(
            {
                self._source_words[rows[start] - 1]: dict(zip(words[start:stop], weights[start:stop], strict=True))
                for start, stop in zip(starts, [*starts[1:], len(words)], strict=True)
            }
        )


class _Layout(NamedTuple):
    """The bitext as the EM kernels see it: the source tokens sorted by block of sentences, then by word.

    NULL is source word 0 and stands at position 0 of every sentence. ``tokens[b, e] : tokens[b, e + 1]`` are the tokens
    of word e in block b; token k stands opposite the target tokens ``starts[k] : stops[k]``. Its links, one for each of
    those, follow the links of token k - 1; the first link of word e in block b is ``links[b, e]``.
    """

    tokens: np.ndarray  # int64 [n blocks, n source words + 1]
    links: np.ndarray  # int64 [n blocks, n source words + 1]
    positions: np.ndarray  # int32 [n source tokens], in the sentence
    starts: np.ndarray  # int64 [n source tokens]
    stops: np.ndarray  # int64 [n source tokens]
    tgt: np.ndarray  # int32 [n target tokens]
    parts: np.ndarray  # int64 [n threads + 1]: in the M-step, thread p takes the words order[parts[p] : parts[p + 1]]
    order: np.ndarray  # int64 [n source words]


def _lay_out(bitext: Bitext) -> _Layout:
    """Sort the tokens of a bitext, and share the work between the threads by the number of links."""
    source, target = bitext.source, bitext.target
    src = np.insert(source.ids + np.int32(1), source.offsets[:-1], np.int32(0))
    src_offsets = source.offsets + np.arange(len(source.offsets))
    src_lengths, tgt_lengths = np.diff(src_offsets), np.diff(target.offsets)
    n_threads, n_words = numba.get_num_threads(), len(source.words) + 1

    n_links = _offsets(src_lengths * tgt_lengths)
    blocks = src_offsets[np.searchsorted(n_links, np.linspace(0, n_links[-1], n_threads + 1))]
    tokens, order = _sorted_tokens(src, blocks, n_words)
    sentences = np.repeat(np.arange(len(bitext), dtype=np.int32), src_lengths)[order]
    links = _offsets(tgt_lengths[sentences])[tokens]

    # Deal the words out in turn, the ones with most links first: 0 1 2 2 1 0 0 1 2 ...
    by_links = np.argsort(-np.diff(links).sum(axis=0), kind="stable")
    turn = np.arange(n_words) % (2 * n_threads)
    part = np.minimum(turn, 2 * n_threads - 1 - turn)
    return _Layout(
        tokens,
        links,
        (order - src_offsets[sentences]).astype(np.int32),
        target.offsets[sentences],
        target.offsets[sentences + 1],
        target.ids,
        _offsets(np.bincount(part, minlength=n_threads)),
        by_links[np.argsort(part, kind="stable")],
    )


def _offsets(sizes: np.ndarray) -> np.ndarray:
    """Return where each of several consecutive runs starts, and where the last one ends: int64 [n + 1]."""
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


@njit(parallel=True)
def _sorted_tokens(src, blocks, n_words):  # type: ignore[no-untyped-def]
    """Return the tokens of each block sorted by word, and where each word of each block starts among them."""
    starts, order = np.zeros((len(blocks) - 1, n_words + 1), np.int64), np.empty(len(src), np.int64)
    for b in numba.prange(len(blocks) - 1):
        for e in src[blocks[b] : blocks[b + 1]]:
            starts[b, e + 1] += 1
        starts[b] = np.cumsum(starts[b]) + blocks[b]
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
    """Return the number of cells of each source word, the one for pruned pairs included."""
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
    """Return the target word of each cell, and the cell, counted from the start of its row, of each link."""
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


@njit(parallel=True)
def _expect(layout, row_offsets, cells, t, sums):  # type: ignore[no-untyped-def]
    """Add sum_i t(f_j | e_i) to ``sums``, for each target token."""
    for b in numba.prange(len(layout.tokens)):
        link = layout.links[b, 0]
        for e in range(len(row_offsets) - 1):
            row = t[row_offsets[e] : row_offsets[e + 1]]
            for k in range(layout.tokens[b, e], layout.tokens[b, e + 1]):
                for j in range(layout.starts[k], layout.stops[k]):
                    sums[j] += row[cells[link]]
                    link += 1


@njit(parallel=True)
def _maximise(layout, row_offsets, cells, inverse_sums, alpha, t):  # type: ignore[no-untyped-def]
    """Replace t(f | e) by the normalised count c(e, f) = t(f | e) sum of 1 / sum_i t(f | e_i) over the links."""
    for part in numba.prange(len(layout.parts) - 1):
        for e in layout.order[layout.parts[part] : layout.parts[part + 1]]:
            row = t[row_offsets[e] : row_offsets[e + 1]]
            count = np.zeros(len(row))
            for b in range(len(layout.tokens)):
                link = layout.links[b, e]
                for k in range(layout.tokens[b, e], layout.tokens[b, e + 1]):
                    for j in range(layout.starts[k], layout.stops[k]):
                        count[cells[link]] += inverse_sums[j]
                        link += 1
            count *= row
            total = count.sum()
            n = len(row) - 1  # the cell for pruned pairs has no part in the prior
            if alpha > 0:
                for cell in range(n):
                    row[cell] = math.exp(_digamma(count[cell] + alpha) - _digamma(total + alpha * n))
            elif total > 0:  # it is 0 if all of the row was pruned
                row[:] = count / total


@njit(parallel=True)
def _viterbi(layout, row_offsets, cells, t, best):  # type: ignore[no-untyped-def]
    """Set ``best`` to the position, 0 for NULL, of the likeliest source word of each target token."""
    highest = np.full(len(best), -1.0)
    for b in numba.prange(len(layout.tokens)):
        link = layout.links[b, 0]
        for e in range(len(row_offsets) - 1):
            row = t[row_offsets[e] : row_offsets[e + 1]]
            for k in range(layout.tokens[b, e], layout.tokens[b, e + 1]):
                position = layout.positions[k]
                for j in range(layout.starts[k], layout.stops[k]):
                    prob = row[cells[link]]
                    link += 1
                    if prob > highest[j] or (prob == highest[j] and position < best[j]):
                        highest[j], best[j] = prob, position


@njit()
def _digamma(x):  # type: ignore[no-untyped-def]
    """Return the digamma function of x > 0, by recurrence up to 6 and the asymptotic series from there."""
    shift = 0.0
    while x < 6:
        shift -= 1 / x
        x += 1
    y = 1 / (x * x)
    return shift + math.log(x) - 0.5 / x - y * (1 / 12 - y * (1 / 120 - y * (1 / 252 - y * (1 / 240 - y / 132))))
