"""IBM Model 1 (Brown et al. 1993): word-translation probabilities by EM over parallel text.

    p(f | e) = prod_j 1/(l+1) sum_{i=0..l} t(f_j | e_i),   e_0 = NULL

The table t is sparse: one row for each source word, one cell for each target word that stands opposite it somewhere. A
first pass finds the cell of every link (a source and a target token of one sentence pair); an iteration is array work.
The E-step goes by sentence and only reads t; the M-step goes by source word and only writes that word's row. So threads
never meet, and the result does not depend on how many there are.
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
from csr.lexicon import Lexicon
from csr.words import tokenize


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


def read_bitext(src: PathLike, tgt: PathLike, tokenized: bool = False) -> Bitext:
    """Read two aligned files, cut into words by ``csr.words.tokenize`` or, if tokenized, at white space only.

    Raises:
        DataError: the files differ in length, or no pair has words on both sides.
    """
    cut = str.split if tokenized else tokenize
    source, target = _Encoder(), _Encoder()
    n_dropped = 0
    for left, right in tqdm(read_parallel(src, tgt), desc="reading", unit=" pairs", disable=None):
        a, b = cut(left), cut(right)
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

    Memory: 4 bytes a link (each token of a source sentence, and NULL, with each token of its target sentence) and 12 a
    cell. Two words that stand opposite each other fewer than ``min_cooccurrence`` times get no cell, unless one of them
    occurs no oftener than that: rare words keep their candidates.
    """

    def __init__(self, bitext: Bitext, min_cooccurrence: int = 1) -> None:
        if min_cooccurrence < 1:
            raise ValueError(f"min_cooccurrence must be at least 1, got {min_cooccurrence}")
        self._source_words, self._target_words = bitext.source.words, bitext.target.words
        n_words = len(self._target_words)
        self._layout = layout = _lay_out(bitext)
        self._log_uniform = -float(
            np.diff(layout.tgt_offsets) @ np.log(np.diff(layout.src_offsets))
        )  # log prod 1/(l+1)
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
        sums = np.empty(len(self._layout.tgt))
        _expect(self._layout, self._row_offsets, self._cells, self._t, sums)
        return sums

    def alignments(self) -> list[list[tuple[int, int]]]:
        """Return the Viterbi alignment of each sentence pair: links (i, j) of 0-based source and target positions.

        Each target word is linked to its likeliest source word, the first of several, or to none if that is NULL.
        """
        offsets = self._layout.tgt_offsets
        best = np.empty(len(self._layout.tgt), np.int32)
        _viterbi(self._layout, self._row_offsets, self._cells, self._t, best)
        return [[(i - 1, j) for j, i in enumerate(best[start:stop].tolist()) if i] for start, stop in pairwise(offsets)]

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
    """The bitext as the EM kernels see it: the tokens by sentence, the same tokens by source word, and who does what.

    NULL is source word 0 and the first word of every sentence. The links of a sentence are numbered source token by
    source token.
    """

    src: np.ndarray  # int32 [n source tokens]
    src_offsets: np.ndarray  # int64 [n sentences + 1]
    tgt: np.ndarray  # int32 [n target tokens]
    tgt_offsets: np.ndarray  # int64 [n sentences + 1]
    link_offsets: np.ndarray  # int64 [n sentences + 1]
    word_offsets: np.ndarray  # int64 [n source words + 1], into the two arrays below
    sentences: np.ndarray  # int32 [n source tokens]: where the token stands
    first_links: np.ndarray  # int64 [n source tokens]: the first of its links
    sentence_parts: np.ndarray  # int64 [n threads + 1]: thread p takes the sentences from parts[p] to parts[p + 1]
    word_parts: np.ndarray  # int64 [n threads + 1]: and the source words order[parts[p] : parts[p + 1]]
    word_order: np.ndarray  # int64 [n source words]


def _lay_out(bitext: Bitext) -> _Layout:
    """Number the links of a bitext and deal them to the threads in parts of about equal size."""
    source, target = bitext.source, bitext.target
    src = np.insert(source.ids + np.int32(1), source.offsets[:-1], np.int32(0))
    src_offsets = source.offsets + np.arange(len(source.offsets))
    src_lengths, tgt_lengths = np.diff(src_offsets), np.diff(target.offsets)
    link_offsets = _offsets(src_lengths * tgt_lengths)
    n_threads, n_words = numba.get_num_threads(), len(source.words) + 1
    word_offsets = _offsets(np.bincount(src, minlength=n_words))
    sentences, first_links = _by_word(src, src_offsets, target.offsets, link_offsets, word_offsets)
    n_links = np.bincount(src, weights=np.repeat(tgt_lengths, src_lengths), minlength=n_words)
    # Deal the words out in turn, the ones with most links first: 0 1 2 2 1 0 0 1 2 ...
    order = np.argsort(-n_links, kind="stable")
    turn = np.arange(n_words) % (2 * n_threads)
    part = np.minimum(turn, 2 * n_threads - 1 - turn)
    return _Layout(
        src,
        src_offsets,
        target.ids,
        target.offsets,
        link_offsets,
        word_offsets,
        sentences,
        first_links,
        np.searchsorted(link_offsets, np.linspace(0, link_offsets[-1], n_threads + 1)),
        _offsets(np.bincount(part, minlength=n_threads)),
        order[np.argsort(part, kind="stable")],
    )


def _offsets(sizes: np.ndarray) -> np.ndarray:
    """Return where each of several consecutive runs starts, and where the last one ends: int64 [n + 1]."""
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


@numba.njit(cache=True)
def _by_word(src, src_offsets, tgt_offsets, link_offsets, word_offsets):  # type: ignore[no-untyped-def]
    """List, source word by source word, the sentence and the first link of each token."""
    place = word_offsets[:-1].copy()
    sentences, first_links = np.empty(len(src), np.int32), np.empty(len(src), np.int64)
    for s in range(len(src_offsets) - 1):
        n_tgt = tgt_offsets[s + 1] - tgt_offsets[s]
        for i in range(src_offsets[s], src_offsets[s + 1]):
            k = place[src[i]]
            place[src[i]] += 1
            sentences[k] = s
            first_links[k] = link_offsets[s] + (i - src_offsets[s]) * n_tgt
    return sentences, first_links


@numba.njit(cache=True)
def _opposite(layout, e, count, seen):  # type: ignore[no-untyped-def]
    """Count the target words opposite source word e; return how many differ, listed in ``seen``."""
    n = 0
    for k in range(layout.word_offsets[e], layout.word_offsets[e + 1]):
        s = layout.sentences[k]
        for f in layout.tgt[layout.tgt_offsets[s] : layout.tgt_offsets[s + 1]]:
            if count[f] == 0:
                seen[n] = f
                n += 1
            count[f] += 1
    return n


@numba.njit(cache=True, parallel=True)
def _row_sizes(layout, needed):  # type: ignore[no-untyped-def]
    """Return the number of cells of each source word, the one for pruned pairs included."""
    sizes = np.empty(len(layout.word_order), np.int64)
    for part in numba.prange(len(layout.word_parts) - 1):
        count, seen = np.zeros(len(needed), np.int32), np.empty(len(needed), np.int32)
        for e in layout.word_order[layout.word_parts[part] : layout.word_parts[part + 1]]:
            frequency = layout.word_offsets[e + 1] - layout.word_offsets[e]
            sizes[e] = 1
            for f in seen[: _opposite(layout, e, count, seen)]:
                if e == 0 or count[f] >= min(needed[f], frequency):
                    sizes[e] += 1
                count[f] = 0
    return sizes


@numba.njit(cache=True, parallel=True)
def _fill_rows(layout, needed, row_offsets):  # type: ignore[no-untyped-def]
    """Return the target word of each cell, and the cell, counted from the start of its row, of each link."""
    columns, cells = np.empty(row_offsets[-1], np.int32), np.empty(layout.link_offsets[-1], np.int32)
    for part in numba.prange(len(layout.word_parts) - 1):
        count, seen = np.zeros(len(needed), np.int32), np.empty(len(needed), np.int32)
        for e in layout.word_order[layout.word_parts[part] : layout.word_parts[part + 1]]:
            frequency = layout.word_offsets[e + 1] - layout.word_offsets[e]
            row = columns[row_offsets[e] : row_offsets[e + 1]]
            pruned = len(row) - 1
            row[pruned] = len(needed)
            n_seen = _opposite(layout, e, count, seen)
            cell = 0
            for f in seen[:n_seen]:  # from here on, count[f] is the cell of f
                if e == 0 or count[f] >= min(needed[f], frequency):
                    row[cell] = f
                    count[f] = cell
                    cell += 1
                else:
                    count[f] = pruned
            for k in range(layout.word_offsets[e], layout.word_offsets[e + 1]):
                s, link = layout.sentences[k], layout.first_links[k]
                for f in layout.tgt[layout.tgt_offsets[s] : layout.tgt_offsets[s + 1]]:
                    cells[link] = count[f]
                    link += 1
            for f in seen[:n_seen]:
                count[f] = 0
    return columns, cells


@numba.njit(cache=True, parallel=True)
def _expect(layout, row_offsets, cells, t, sums):  # type: ignore[no-untyped-def]
    """Set ``sums`` to sum_i t(f_j | e_i) for each target token."""
    for part in numba.prange(len(layout.sentence_parts) - 1):
        for s in range(layout.sentence_parts[part], layout.sentence_parts[part + 1]):
            out = sums[layout.tgt_offsets[s] : layout.tgt_offsets[s + 1]]
            out[:] = 0.0
            link = layout.link_offsets[s]
            for e in layout.src[layout.src_offsets[s] : layout.src_offsets[s + 1]]:
                for j in range(len(out)):
                    out[j] += t[row_offsets[e] + cells[link + j]]
                link += len(out)


@numba.njit(cache=True, parallel=True)
def _maximise(layout, row_offsets, cells, inverse_sums, alpha, t):  # type: ignore[no-untyped-def]
    """Replace t(f | e) by the normalised count c(e, f) = t(f | e) sum of 1 / sum_i t(f | e_i) over the links."""
    for part in numba.prange(len(layout.word_parts) - 1):
        for e in layout.word_order[layout.word_parts[part] : layout.word_parts[part + 1]]:
            row = t[row_offsets[e] : row_offsets[e + 1]]
            count = np.zeros(len(row))
            for k in range(layout.word_offsets[e], layout.word_offsets[e + 1]):
                s, link = layout.sentences[k], layout.first_links[k]
                for inverse in inverse_sums[layout.tgt_offsets[s] : layout.tgt_offsets[s + 1]]:
                    count[cells[link]] += inverse
                    link += 1
            count *= row
            if alpha == 0:
                row[:] = count / count.sum()
            else:
                n = len(row) - 1  # the cell for pruned pairs has no part in the prior
                total = _digamma(count.sum() + alpha * n)
                for cell in range(n):
                    row[cell] = math.exp(_digamma(count[cell] + alpha) - total)


@numba.njit(cache=True, parallel=True)
def _viterbi(layout, row_offsets, cells, t, best):  # type: ignore[no-untyped-def]
    """Set ``best`` to the position, 0 for NULL, of the likeliest source word of each target token."""
    for part in numba.prange(len(layout.sentence_parts) - 1):
        for s in range(layout.sentence_parts[part], layout.sentence_parts[part + 1]):
            out = best[layout.tgt_offsets[s] : layout.tgt_offsets[s + 1]]
            highest = np.full(len(out), -1.0)
            link = layout.link_offsets[s]
            for i, e in enumerate(layout.src[layout.src_offsets[s] : layout.src_offsets[s + 1]]):
                for j in range(len(out)):
                    prob = t[row_offsets[e] + cells[link + j]]
                    if prob > highest[j]:
                        highest[j], out[j] = prob, i
                link += len(out)


@numba.njit(cache=True)
def _digamma(x):  # type: ignore[no-untyped-def]
    """Return the digamma function of x > 0, by recurrence up to 6 and the asymptotic series from there."""
    shift = 0.0
    while x < 6:
        shift -= 1 / x
        x += 1
    y = 1 / (x * x)
    return shift + math.log(x) - 0.5 / x - y * (1 / 12 - y * (1 / 120 - y * (1 / 252 - y * (1 / 240 - y / 132))))
