"""Word alignments and lexicons from parallel text: Model 1, then an HMM, both directions at once.

Three things make it strong on little text:

* The directions train each other: expected counts come from the product of their posteriors (Liang, Taskar and Klein,
  "Alignment by agreement", NAACL 2006).
* Word translations have a Dirichlet prior, and a link is judged by the counts of all other links: CVB0 (Asuncion et
  al., "On smoothing and inference for topic models", UAI 2009), the deterministic sibling of the Gibbs sampling of
  Östling and Tiedemann (2016). A rare word then gains nothing from explaining its own sentence.
* The jump widths are normalised over the positions that a sentence has; their M-step is the minorisation of Hunter
  ("MM algorithms for generalized Bradley-Terry models", Annals of Statistics 2004), so that the likelihood cannot fall.

In the E-step a thread has blocks of sentences, in the M-step rows of the table; the result does not depend on how many
threads there are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TypeVar

import numba
import numpy as np
from tqdm import trange

from csr.induction.bitext import Bitext, Side
from csr.induction.cooccurrence import find_cells, offsets, to_lexicon
from csr.induction.hmm import Direction, count, expect, link
from csr.induction.links import HEURISTICS, Links
from csr.lexicon import Lexicon

MAX_JUMP = 20  # positions; all longer jumps of one sign have one weight
CHUNK = 1024  # sentence pairs whose links are found at once
N_BLOCKS = 64  # of sentences, whatever the number of threads: sums over blocks have one order

T = TypeVar("T")


class Aligner:
    """Word alignments of a bitext by the HMM, and the lexicons that follow from them.

    Memory: 6 bytes a link (8 during Model 1), 12 a cell, about 50 a token.

    Args:
        bitext: the text to align, from which everything is learned.
        min_cooccurrence: as in ``Model1``; two words without a cell are never counted together.
        alpha: Dirichlet prior of each t(f | e). None: maximum likelihood by EM, each link in its own counts.
        agreement: let the directions train each other; if not, each learns by itself.
    """

    def __init__(
        self, bitext: Bitext, min_cooccurrence: int = 1, alpha: float | None = 0.001, agreement: bool = True
    ) -> None:
        self._bitext, self._alpha, self._agreement = bitext, alpha, agreement
        source, target = bitext.source, bitext.target
        layout, self._row_offsets, self._columns, self._cells = find_cells(bitext, min_cooccurrence, null=False)
        self._layout = layout
        sentences = np.searchsorted(target.offsets, layout.starts)
        first = np.empty(len(source.ids), np.int64)  # link of each source token, in the order of the text
        first[source.offsets[sentences] + layout.positions] = offsets(layout.stops - layout.starts)[:-1]
        self._text = source.ids, source.offsets, target.ids, target.offsets
        self._table = first, self._row_offsets, self._cells
        n_links = offsets(np.diff(source.offsets) * np.diff(target.offsets))
        self._blocks = np.searchsorted(n_links, np.linspace(0, n_links[-1], N_BLOCKS + 1))
        self._longest = int(max(np.diff(source.offsets).max(), np.diff(target.offsets).max()))
        self._directions = [self._uniform(source, target), self._uniform(target, source)]
        self._trained = False

    def _uniform(self, given: Side, made: Side) -> Direction:
        """A direction without counts: its prior alone makes all translations equally likely."""
        n = self._longest + 2
        return Direction(
            np.zeros(len(self._cells), np.uint16),
            np.zeros(len(self._columns), np.float32),
            np.zeros(len(given.ids), np.int32),
            np.zeros(len(given.words)),
            np.zeros(len(made.ids), np.uint16),
            np.zeros(len(made.words) + 1),
            np.exp(-np.abs(np.arange(-n, n + 1) - 1) / 2),  # forward by one position: the likeliest at first
        )

    def fit(self, iterations: int) -> list[float]:
        """Run some iterations of Model 1 and as many of the HMM.

        Returns:
            The log-likelihood (base e) of both directions before each iteration. Without prior and agreement it never
            falls while one model is trained, but for the rounding of posteriors.
        """
        log_likelihoods = []
        for hmm in (False, True):
            progress = trange(iterations, desc="HMM" if hmm else "Model 1", disable=None)
            for _ in progress:
                log_likelihoods.append(self._iterate(hmm))
                progress.set_postfix_str(f"log-likelihood {log_likelihoods[-1]:.6g}")
        return log_likelihoods

    def _prior(self) -> tuple[float, bool]:
        """The prior, and whether links are taken out of their counts."""
        if not self._trained:
            return 1.0, False
        return (0.0, False) if self._alpha is None else (self._alpha, True)

    def _iterate(self, hmm: bool) -> float:
        """Run one iteration; return the log-likelihood before it."""
        join = hmm and self._agreement
        forward, reverse = self._directions
        jumps = np.zeros((N_BLOCKS, 2, 2, len(forward.jumps)))  # [block, direction, taken or possible, width]
        state = self._text, self._table, forward, reverse, *self._prior(), hmm, join
        blocks = _in_threads(lambda block, start, stop: expect(start, stop, *state, jumps[block]), self._blocks)
        log_likelihood = math.fsum(blocks)
        if join:  # from now on the directions share posteriors and counts
            reverse = reverse._replace(posteriors=forward.posteriors, counts=forward.counts)
            self._directions = [forward, reverse]
        for direction in self._directions[:1] if join else self._directions:
            count(self._layout, self._row_offsets, self._cells, direction.posteriors, direction.counts)
        sides = self._bitext.source, self._bitext.target
        for direction, given, made, (taken, possible) in zip(
            self._directions, sides, sides[::-1], jumps.sum(axis=0), strict=True
        ):
            direction.totals[:] = np.bincount(given.ids, direction.sums, len(given.words))
            direction.null_counts[:-1] = np.bincount(made.ids, direction.nulls, len(made.words))
            direction.null_counts[-1] = direction.null_counts[:-1].sum()
            if hmm:
                direction.jumps[:] = _jump_weights(direction.jumps, taken, np.cumsum(possible))
        self._trained = True
        return log_likelihood

    def links(self, heuristic: str = "posterior") -> Iterator[Links]:
        """Yield the links (i, j) of each pair of the bitext, 0-based source and target positions in order."""
        state = self._text, self._table, *self._directions, *self._prior(), True, HEURISTICS.index(heuristic)
        chunks = np.append(np.arange(0, len(self._bitext), CHUNK), len(self._bitext))
        for found, bounds in _in_threads(lambda _, start, stop: link(start, stop, *state), chunks):
            pairs = list(map(tuple, found.tolist()))
            for start, stop in pairwise(bounds.tolist()):
                yield pairs[start:stop]

    def lexicons(self, min_weight: float = 0.001) -> tuple[Lexicon, Lexicon]:
        """The shares of each word's expected links that go to each translation, source to target and target to source.

        Shares of at least ``min_weight``, frequent words first.
        """
        source, target = self._bitext.source.words, self._bitext.target.words
        lexicons = []
        for direction, given, made in zip(self._directions, (source, target), (target, source), strict=True):
            cells = np.flatnonzero(direction.counts)
            pairs = np.searchsorted(self._row_offsets, cells, side="right") - 2, self._columns[cells]
            words, translations = pairs if given is source else pairs[::-1]
            weights = direction.counts[cells].astype(float)
            weights /= np.bincount(words, weights)[words]
            kept = weights >= min_weight
            lexicons.append(to_lexicon(given, made, words[kept], translations[kept], weights[kept]))
        return lexicons[0], lexicons[1]


def _in_threads(function: Callable[[int, int, int], T], bounds: np.ndarray) -> Iterator[T]:
    """Yield ``function(k, bounds[k], bounds[k + 1])`` for each k; the functions, compiled, run beside each other."""
    with ThreadPoolExecutor(numba.get_num_threads()) as pool:
        yield from pool.map(function, range(len(bounds) - 1), bounds[:-1].tolist(), bounds[1:].tolist())


def _jump_weights(weights: np.ndarray, taken: np.ndarray, possible: np.ndarray) -> np.ndarray:
    """New jump weights: how often a width was taken, by how often it was possible (Hunter 2004, equation 3).

    Args:
        weights, taken: of the widths from -n to n; ``taken`` is to be multiplied by the weight.
        possible: of each width, the sum of 1 / (sum of the weights of the sentence's positions) over all moves.
    """
    width = np.abs(np.arange(len(weights)) - len(weights) // 2)
    sign = np.arange(len(weights)) > len(weights) // 2
    group = np.where(width > MAX_JUMP, MAX_JUMP + 1, width) + (MAX_JUMP + 2) * sign
    taken, possible = np.bincount(group, taken * weights), np.bincount(group, possible)
    new = np.divide(taken, possible, out=np.zeros(len(taken)), where=possible > 0)
    return np.maximum(new / new.max(), 1e-9)[group]  # no width is ruled out for good
