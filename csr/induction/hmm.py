"""The HMM alignment model (Vogel et al. 1996): posteriors of the links of a sentence pair, in both directions.

    p(f, a | e) = prod_j p(a_j | a_{j-1}, I) t(f_j | e_{a_j}),   p(i | i', I) = c(i - i') / sum_{k=1..I+1} c(k - i')

Position I + 1 is the end of the sentence, 0 its start. With a fixed probability a target word comes from NULL, which
leaves the position where it was (Och and Ney 2003).

A posterior is held as a multiple of 1/65535 and counts are sums of these, so that a link can be taken out of its counts
exactly.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np

from csr.induction.symmetrization import symmetrize
from csr.jit import njit

P_NULL = 0.2  # of a word from NULL
UNIT = 65535  # a posterior of 1 is held as this


class Direction(NamedTuple):
    """p(words of one side | words of the other): the conditioning side is *given*, the other one *made*."""

    posteriors: np.ndarray  # uint16 [n links], in units
    counts: np.ndarray  # float32 [n cells], in units
    sums: np.ndarray  # int32 [n given tokens]: posteriors of its links
    totals: np.ndarray  # float64 [n given words]: of sums
    nulls: np.ndarray  # uint16 [n made tokens]: posterior of NULL
    null_counts: np.ndarray  # float64 [n made words + 1]: of nulls; the last one is their sum
    jumps: np.ndarray  # float64 [2 n + 1]: weight of each jump width from -n to n


@njit(parallel=True)
def count(layout, row_offsets, cells, posteriors, counts):  # type: ignore[no-untyped-def]
    """Set the count of each cell to the sum of the posteriors of its links; pruned pairs have none."""
    for part in numba.prange(len(layout.parts) - 1):
        for e in layout.order[layout.parts[part] : layout.parts[part + 1]]:
            row = counts[row_offsets[e] : row_offsets[e + 1]]
            row[:] = 0
            for b in range(len(layout.tokens)):
                for link in range(layout.links[b, e], layout.links[b, e + 1]):
                    row[cells[link]] += posteriors[link]
            row[-1] = 0


@njit(nogil=True)
def expect(start, stop, text, table, forward, reverse, prior, exclude, hmm, join, jumps):  # type: ignore[no-untyped-def]
    """Replace the posteriors of the sentence pairs from ``start`` to ``stop``, in both directions.

    Args:
        hmm: by the HMM, not by Model 1.
        join: both directions get the product of their posteriors.
        jumps: statistics to be added to, float [2 directions, taken or possible, 2 n + 1]; see ``forward_backward``.

    Returns:
        The log-likelihood of these pairs, base e.
    """
    src_offsets, tgt_offsets, first = text[1], text[3], table[0]
    log_likelihood = 0.0
    for s in range(start, stop):
        a, b = src_offsets[s], tgt_offsets[s]
        to_tgt, to_src, null_tgt, null_src, of_pair = _posteriors(
            s, text, table, forward, reverse, prior, exclude, hmm, jumps
        )
        log_likelihood += of_pair
        forward.sums[a : src_offsets[s + 1]] = 0
        reverse.sums[b : tgt_offsets[s + 1]] = 0
        for j in range(len(null_tgt)):
            forward.nulls[b + j] = np.uint16(null_tgt[j] * UNIT + 0.5)
        for i in range(len(null_src)):
            reverse.nulls[a + i] = np.uint16(null_src[i] * UNIT + 0.5)
            for j in range(len(null_tgt)):
                ours, theirs = to_tgt[j, i], to_src[i, j]
                if join:
                    ours = theirs = ours * theirs
                forward.posteriors[first[a + i] + j] = np.uint16(ours * UNIT + 0.5)
                reverse.posteriors[first[a + i] + j] = np.uint16(theirs * UNIT + 0.5)
                forward.sums[a + i] += np.uint16(ours * UNIT + 0.5)
                reverse.sums[b + j] += np.uint16(theirs * UNIT + 0.5)
    return log_likelihood


@njit(nogil=True)
def link(start, stop, text, table, forward, reverse, prior, exclude, hmm, heuristic):  # type: ignore[no-untyped-def]
    """The links of the sentence pairs from ``start`` to ``stop``.

    Returns:
        Source and target position of each link, int32 [n links, 2], and where the links of each pair start and the last
        ones end, int64 [n pairs + 1].
    """
    src_offsets, tgt_offsets = text[1], text[3]
    jumps = np.zeros((2, 2, len(forward.jumps)))  # statistics that nobody asks for
    size = 0
    for s in range(start, stop):
        size += (src_offsets[s + 1] - src_offsets[s]) * (tgt_offsets[s + 1] - tgt_offsets[s])
    found, bounds = np.empty((size, 2), np.int32), np.zeros(stop - start + 1, np.int64)
    n = 0
    for s in range(start, stop):
        to_tgt, to_src, _, _, _ = _posteriors(s, text, table, forward, reverse, prior, exclude, hmm, jumps)
        links = symmetrize(to_tgt.T, to_src, heuristic)
        for i in range(links.shape[0]):
            for j in range(links.shape[1]):
                if links[i, j]:
                    found[n, 0], found[n, 1] = i, j
                    n += 1
        bounds[s - start + 1] = n
    return found[:n].copy(), bounds


@njit()
def _posteriors(s, text, table, forward, reverse, prior, exclude, hmm, jumps):  # type: ignore[no-untyped-def]
    """Posteriors of the links of one pair, [J, I] and [I, J], and of NULL, [J] and [I]; the log-likelihood."""
    src, src_offsets, tgt, tgt_offsets = text
    first, row_offsets, cells = table
    a, b = src_offsets[s], tgt_offsets[s]
    n_src, n_tgt = src_offsets[s + 1] - a, tgt_offsets[s + 1] - b
    smooth = prior * UNIT
    all_src, all_tgt = smooth * (len(reverse.null_counts) - 1), smooth * (len(forward.null_counts) - 1)

    to_tgt, to_src = np.empty((n_tgt, n_src)), np.empty((n_src, n_tgt))  # t(f_j | e_i) and t(e_i | f_j) at first
    total = np.empty(n_tgt)
    for j in range(n_tgt):
        total[j] = reverse.totals[tgt[b + j]] - exclude * reverse.sums[b + j] + all_src
    for i in range(n_src):
        link, row = first[a + i], row_offsets[src[a + i] + 1]
        own = forward.totals[src[a + i]] - exclude * forward.sums[a + i] + all_tgt
        for j in range(n_tgt):
            cell = row + cells[link + j]
            count = max(forward.counts[cell] - exclude * forward.posteriors[link + j], 0.0)
            to_tgt[j, i] = (count + smooth) / own if own > 0 else 0.0
            count = max(reverse.counts[cell] - exclude * reverse.posteriors[link + j], 0.0)
            to_src[i, j] = (count + smooth) / total[j] if total[j] > 0 else 0.0
    # At least 1e-30: a word all of whose pairs were pruned still has a source.
    null_tgt, null_src = np.empty(n_tgt), np.empty(n_src)
    for j in range(n_tgt):
        count = forward.null_counts[tgt[b + j]] - exclude * forward.nulls[b + j]
        null_tgt[j] = max((count + smooth) / max(forward.null_counts[-1] + all_tgt, 1.0), 1e-30)
    for i in range(n_src):
        count = reverse.null_counts[src[a + i]] - exclude * reverse.nulls[a + i]
        null_src[i] = max((count + smooth) / max(reverse.null_counts[-1] + all_src, 1.0), 1e-30)
    if hmm:
        log_likelihood = forward_backward(to_tgt, null_tgt, forward.jumps, jumps[0, 0], jumps[0, 1])
        log_likelihood += forward_backward(to_src, null_src, reverse.jumps, jumps[1, 0], jumps[1, 1])
    else:
        log_likelihood = _model1(to_tgt, null_tgt) + _model1(to_src, null_src)
    return to_tgt, to_src, null_tgt, null_src, log_likelihood


@njit()
def _model1(emission, null):  # type: ignore[no-untyped-def]
    """Replace t(f_j | e_i) [J, I] and t(f_j | NULL) [J] by posteriors of Model 1; return the log-likelihood."""
    log_likelihood = 0.0
    for j in range(len(null)):
        null[j] *= P_NULL
        prob = null[j]
        for i in range(emission.shape[1]):
            emission[j, i] *= (1 - P_NULL) / emission.shape[1]
            prob += emission[j, i]
        for i in range(emission.shape[1]):
            emission[j, i] /= prob
        null[j] /= prob
        log_likelihood += math.log(prob)
    return log_likelihood


@njit(fastmath={"reassoc", "contract"})
def forward_backward(emission, null, jumps, taken, possible):  # type: ignore[no-untyped-def]
    """Replace t(f_j | e_i) [J, I] and t(f_j | NULL) [J] by posteriors of the HMM; return the log-likelihood.

    A state is the position a of the last source word that was not NULL, 0 for none.

    Args:
        jumps: weights c(d) of d from -n to n, n > I + 1.
        taken: to be added to: for each d, the expected number of jumps, but for the factor c(d).
        possible: to be added to, as differences: for each d, the expected sum of 1 / sum_k c(k - a) over the moves from
            an a at which d was possible.
    """
    n_made, n_given = emission.shape
    zero = len(jumps) // 2
    leave = np.empty(n_given + 1)  # 1 / sum_k c(k - a)
    for a in range(n_given + 1):
        leave[a] = 1 / jumps[zero + 1 - a : zero + n_given + 2 - a].sum()

    ahead = np.zeros((n_made + 1, n_given + 1))  # p(state | words up to j)
    ahead[0, 0] = 1
    moves, arrived, scale = np.empty((n_made, n_given)), np.empty(n_given), np.empty(n_made)
    log_likelihood = 0.0
    for j in range(n_made):
        arrived[:] = 0
        for a in range(n_given + 1):
            start, move = zero + 1 - a, ahead[j, a] * leave[a] * (1 - P_NULL)
            for i in range(n_given):
                arrived[i] += move * jumps[start + i]
        prob = P_NULL * null[j] * ahead[j, 0]
        ahead[j + 1, 0] = prob
        for i in range(n_given):
            moves[j, i] = emission[j, i] * arrived[i]
            ahead[j + 1, i + 1] = moves[j, i] + P_NULL * null[j] * ahead[j, i + 1]
            prob += ahead[j + 1, i + 1]
        for i in range(n_given):
            moves[j, i] /= prob
        for a in range(n_given + 1):
            ahead[j + 1, a] /= prob
        scale[j] = prob
        log_likelihood += math.log(prob)

    behind = np.empty(n_given + 1)  # p(words after j, end | state), over the scales
    moved = np.empty(n_given + 1)  # expected number of moves from a
    prob = 0.0
    for a in range(n_given + 1):
        behind[a] = leave[a] * jumps[zero + n_given + 1 - a]
        prob += ahead[n_made, a] * behind[a]
    log_likelihood += math.log(prob)
    for a in range(n_given + 1):
        behind[a] /= prob
        moved[a] = ahead[n_made, a] * behind[a]
        taken[zero + n_given + 1 - a] += ahead[n_made, a] * leave[a] / prob

    made = arrived
    for j in range(n_made - 1, -1, -1):
        for i in range(n_given):
            made[i] = (1 - P_NULL) * emission[j, i] * behind[i + 1] / scale[j]
            emission[j, i] = moves[j, i] * behind[i + 1]
        stay, stayed = P_NULL * null[j] / scale[j], 0.0
        for a in range(n_given + 1):
            start, move, onward = zero + 1 - a, ahead[j, a] * leave[a], 0.0
            for i in range(n_given):
                onward += jumps[start + i] * made[i]
                taken[start + i] += move * made[i]
            moved[a] += move * onward
            stayed += ahead[j, a] * stay * behind[a]
            behind[a] = stay * behind[a] + leave[a] * onward
        null[j] = stayed
    for a in range(n_given + 1):
        possible[zero + 1 - a] += moved[a] * leave[a]
        possible[zero + n_given + 2 - a] -= moved[a] * leave[a]
    return log_likelihood
