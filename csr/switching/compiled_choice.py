"""Which words are replaced, compiled: the policies of ``csr.switching.noise`` with the same draws in the same order."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from csr.jit import fixed
from csr.switching.compiled_streams import jit, permutation, poisson, random
from csr.switching.compiled_words import NO_MARKS, find_units
from csr.switching.encoded import EncodedLexicon
from csr.switching.forms import find_form
from csr.switching.noise import FixedSpans, IndependentWords, PoissonSpans, Policy
from csr.switching.symbols import Unit

_POISSON, _INSERT, _FIXED, _OF_WORDS, _OF_SWITCHABLE = range(5)


@jit
def choose_words(available, rate, gate, of_words, by_weight, state):  # type: ignore[no-untyped-def]
    """Which words ``noise.IndependentWords`` chooses, bool [n_words]; ``by_weight`` as its ``rare_first``."""
    n = len(available)
    left = np.empty(n, np.int32)
    n_left = 0
    for i in range(n):
        if available[i]:
            left[n_left] = i
            n_left += 1
    chosen = np.zeros(n, np.bool_)
    if random(state) >= gate or n_left == 0 or rate == 0:
        return chosen
    budget = min(max(1, int(rate * (n if of_words else n_left) + random(state))), n_left)
    for i in range(budget):
        j = i
        if by_weight:
            total = 0.0
            for k in range(i, n_left):
                total += available[left[k]]
            rest = random(state) * total
            while j < n_left - 1 and rest >= available[left[j]]:
                rest -= available[left[j]]
                j += 1
        else:
            j = i + int(random(state) * (n_left - i))
        left[i], left[j] = left[j], left[i]
        chosen[left[i]] = True
    return chosen


@jit
def choose(available, n_available, policy, rate, length, gate, by_weight, state):  # type: ignore[no-untyped-def]
    """Which words a policy (``policy_numbers``) chooses, and before which it puts a mask, bool [n_words] each."""
    n = len(available)
    chosen = np.zeros(n, np.bool_)
    inserted = np.zeros(n, np.bool_)
    if policy in (_OF_WORDS, _OF_SWITCHABLE):
        return choose_words(available, rate, gate, policy == _OF_WORDS, by_weight, state), inserted
    budget = min(math.ceil(rate * n - 1e-9), n_available)
    count = 0
    order = permutation(state, n)
    for start in order:
        if count == budget:
            break
        span = int(length)
        if policy != _FIXED:
            span = poisson(state, length)
            while span == 0 and policy == _POISSON:
                span = poisson(state, length)
            inserted[start] = span == 0
        for i in range(start, min(start + span, n)):
            if available[i] and not chosen[i] and count < budget:
                chosen[i] = True
                count += 1
    return chosen, inserted


def policy_numbers(policy: Policy) -> tuple[int, float, float]:
    """A policy as ``choose`` has it: which, the length of its spans, and its gate."""
    match policy:
        case PoissonSpans(_, mean_span, insert):
            return (_INSERT if insert else _POISSON), math.exp(-mean_span), 1.0
        case FixedSpans(_, span):
            return _FIXED, float(span), 1.0
        case IndependentWords(_, gate, share_of):
            return (_OF_WORDS if share_of == "words" else _OF_SWITCHABLE), 0.0, gate
    raise TypeError(f"no compiled twin of {type(policy).__name__}")


@jit
def _count(ids, marks, roles, unit, slots, form_starts, form_pieces, form_entry, counts):  # type: ignore[no-untyped-def]
    starts, ends = find_units(ids, marks, roles, unit)
    for i in range(len(starts)):
        form = find_form(ids, starts[i], ends[i], slots, form_starts, form_pieces)
        if form >= 0:
            counts[form_entry[form]] += 1


def entry_counts(
    lexicon: EncodedLexicon,
    sentences: Iterable[tuple[np.ndarray, np.ndarray]],
    roles: np.ndarray,
    unit: Unit = Unit.WORD,
) -> np.ndarray:
    """How often each word of a lexicon occurs in a text, in any of its forms, int64 [n_entries].

    Args:
        sentences: the piece ids and the ``csr.switching.symbols.Mark`` of each; without marks (none) words are found
            by the roles.
        roles: of each piece of the vocabulary, ``csr.switching.symbols.piece_roles``.
    """
    counts = np.zeros(lexicon.n_entries, np.int64)
    tables = (roles, lexicon.slots, lexicon.form_starts, lexicon.form_pieces, lexicon.form_entry)
    roles, slots, starts, pieces, entry = map(fixed, tables)
    for ids, marks in sentences:
        _count(ids, marks if len(marks) else NO_MARKS, roles, int(unit), slots, starts, pieces, entry, counts)
    return counts
