"""IBM Model 1 (Brown et al. 1993): word-translation probabilities by EM over parallel text.

    p(f | e) = prod_j 1/(l+1) sum_{i=0..l} t(f_j | e_i),   e_0 = NULL

The table t is sparse (``csr.induction.cooccurrence``). Both steps go by source word, whose row stays in the cache. In
the E-step a thread has a block of sentences, in the M-step it has rows of t: threads never meet, and the result does
not depend on how many there are.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numba
import numpy as np
from tqdm import trange

from csr.files import PathLike
from csr.induction.bitext import Bitext, read_bitext
from csr.induction.cooccurrence import find_cells, to_lexicon
from csr.jit import njit
from csr.lexicon import Lexicon


def train(
    src: PathLike,
    tgt: PathLike,
    iterations: int = 5,
    alpha: float | None = None,
    min_cooccurrence: int = 1,
    min_weight: float = 0.001,
    tokenized: bool = False,
) -> tuple[Lexicon, list[float]]:
    """Translation probabilities t(target | source) as a lexicon, and the log-likelihood before each iteration."""
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
        self._source_words, self._target_words = bitext.source.words, bitext.target.words
        self._tgt_offsets = bitext.target.offsets
        # log of the product of 1/(l+1) over the target tokens
        self._log_uniform = -float(np.diff(self._tgt_offsets) @ np.log(np.diff(bitext.source.offsets) + 1))
        n_words = len(self._target_words)
        self._layout, self._row_offsets, self._columns, self._cells = find_cells(bitext, min_cooccurrence)
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
        """The log-likelihood (base e) of the bitext under the table as it stands."""
        return float(np.log(self._sums()).sum()) + self._log_uniform

    def _sums(self) -> np.ndarray:
        """The sum over i of t(f_j | e_i) for each target token."""
        sums = np.zeros(len(self._layout.tgt))
        _expect(self._layout, self._row_offsets, self._cells, self._t, sums)
        return sums

    def alignments(self) -> list[list[tuple[int, int]]]:
        """The Viterbi alignment of each sentence pair: links (i, j) of 0-based source and target positions.

        Each target word is linked to its likeliest source word, the first of several, or to none if that is NULL.
        """
        best = np.zeros(len(self._layout.tgt), np.int32)
        _viterbi(self._layout, self._row_offsets, self._cells, self._t, best)
        return [
            [(i - 1, j) for j, i in enumerate(best[start:stop].tolist()) if i]
            for start, stop in pairwise(self._tgt_offsets)
        ]

    def lexicon(self, min_weight: float = 0.001) -> Lexicon:
        """The probabilities of at least ``min_weight``, frequent source words first; NULL is left out."""
        cells = np.flatnonzero(self._t >= max(min_weight, np.finfo(float).tiny))
        cells = cells[np.searchsorted(cells, self._row_offsets[1]) :]
        rows = np.searchsorted(self._row_offsets, cells, side="right") - 2
        return to_lexicon(self._source_words, self._target_words, rows, self._columns[cells], self._t[cells])


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
    """The digamma function of x > 0, by recurrence up to 6 and the asymptotic series from there."""
    shift = 0.0
    while x < 6:
        shift -= 1 / x
        x += 1
    y = 1 / (x * x)
    return shift + math.log(x) - 0.5 / x - y * (1 / 12 - y * (1 / 120 - y * (1 / 252 - y * (1 / 240 - y / 132))))
