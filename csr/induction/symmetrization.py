"""One set of links from the alignments of two directions (Och and Ney 2003; Koehn, Och and Marcu 2003)."""

from __future__ import annotations

import math

import numpy as np

from csr.jit import njit

THRESHOLD = 0.3  # of the geometric mean of both posteriors; between .2 and .4 little changes


@njit()
def symmetrize(forward, reverse, heuristic):  # type: ignore[no-untyped-def]
    """Join the posteriors of two directions to links.

    ``posterior`` keeps the links whose posteriors have a geometric mean of at least THRESHOLD. The other heuristics
    join the links of the two directions, which are those with a posterior of at least 1/2.

    Args:
        forward, reverse: posterior of a link in each direction, float [n source words, n target words].
        heuristic: index in ``csr.induction.links.HEURISTICS``.

    Returns:
        bool [n source words, n target words]
    """
    links, union = np.empty(reverse.shape, np.bool_), np.empty(reverse.shape, np.bool_)
    for i in range(links.shape[0]):
        for j in range(links.shape[1]):
            ours, theirs = forward[i, j] >= 0.5, reverse[i, j] >= 0.5
            links[i, j], union[i, j] = ours and theirs, ours or theirs
            if heuristic == 0:
                links[i, j] = math.sqrt(forward[i, j] * reverse[i, j]) >= THRESHOLD
    if heuristic == 2:
        return union
    if heuristic >= 3:
        _grow_diag(links, union)
    if heuristic == 4:
        _final_and(links, forward)
        _final_and(links, reverse)
    return links


@njit()
def _grow_diag(links, union):  # type: ignore[no-untyped-def]
    """Add links of the union that touch a link, also at a corner, and take in a word without links, until none is."""
    n_src, n_tgt = links.shape
    grown = True
    while grown:
        grown = False
        for i in range(n_src):
            for j in range(n_tgt):
                if not links[i, j]:
                    continue
                for k in range(max(i - 1, 0), min(i + 2, n_src)):
                    for m in range(max(j - 1, 0), min(j + 2, n_tgt)):
                        if union[k, m] and not links[k, m] and not (links[k].any() and links[:, m].any()):
                            links[k, m] = grown = True


@njit()
def _final_and(links, posteriors):  # type: ignore[no-untyped-def]
    """Add links of one direction between two words without links."""
    for i in range(links.shape[0]):
        for j in range(links.shape[1]):
            if posteriors[i, j] >= 0.5 and not links[i].any() and not links[:, j].any():
                links[i, j] = True
