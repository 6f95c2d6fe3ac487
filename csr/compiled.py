"""The compiled twin of ``csr.noise``: the same draws in the same order, on piece ids, for training.

Numba keeps no Python objects here: a sentence is an int32 array, a lexicon the flat arrays of
``csr.pieces.EncodedLexicon``.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from csr.noise import FixedSpans, IndependentWords, PoissonSpans
from csr.pieces import EncodedLexicon, Role
from csr.streams import MIX_1, MIX_2, STEP, start_state

_STEP, _MIX_1, _MIX_2 = np.uint64(STEP), np.uint64(MIX_1), np.uint64(MIX_2)
_S27, _S30, _S31, _S11 = np.uint64(27), np.uint64(30), np.uint64(31), np.uint64(11)
_FNV, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)

_OUTSIDE, _INSIDE, _JOINER, _BARE = (np.uint8(role) for role in (Role.OUTSIDE, Role.INSIDE, Role.JOINER, Role.BARE))
_KIND = np.uint8(3)
_START, _CONTINUES = np.uint8(Role.START), np.uint8(Role.CONTINUES)

POISSON, FIXED, INDEPENDENT = range(3)

_jit = numba.njit(cache=True, nogil=True, boundscheck=False)


@_jit
def _mix(z):  # type: ignore[no-untyped-def]
    z = (z ^ (z >> _S30)) * _MIX_1
    z = (z ^ (z >> _S27)) * _MIX_2
    return z ^ (z >> _S31)


@_jit
def _random(state):  # type: ignore[no-untyped-def]
    state[0] += _STEP
    return (_mix(state[0]) >> _S11) * 2.0**-53


@_jit
def _poisson(state, exp_minus_mean):  # type: ignore[no-untyped-def]
    count = 0
    product = _random(state)
    while product > exp_minus_mean:
        count += 1
        product *= _random(state)
    return count


@_jit
def _permutation(state, n):  # type: ignore[no-untyped-def]
    order = np.arange(n)
    for i in range(n - 1, 0, -1):
        j = int(_random(state) * (i + 1))
        order[i], order[j] = order[j], order[i]
    return order


@_jit
def _hash(pieces, start, end):  # type: ignore[no-untyped-def]
    h = _FNV
    for i in range(start, end):
        h = (h ^ np.uint64(pieces[i])) * _PRIME
    return _mix(h)


@_jit
def build_slots(form_starts, form_pieces):  # type: ignore[no-untyped-def]
    """Return an open-addressing hash table of the forms, at most half full."""
    n = len(form_starts) - 1
    size = 16
    while size < 2 * n:
        size *= 2
    slots = np.full(size, -1, np.int32)
    mask = np.uint64(size - 1)
    for form in range(n):
        slot = _hash(form_pieces, form_starts[form], form_starts[form + 1]) & mask
        while slots[slot] >= 0:
            slot = (slot + np.uint64(1)) & mask
        slots[slot] = form
    return slots


@_jit
def _find(pieces, start, end, slots, form_starts, form_pieces):  # type: ignore[no-untyped-def]
    mask = np.uint64(len(slots) - 1)
    slot = _hash(pieces, start, end) & mask
    while slots[slot] >= 0:
        form = slots[slot]
        first = form_starts[form]
        if form_starts[form + 1] - first == end - start:
            same = True
            for i in range(end - start):
                if form_pieces[first + i] != pieces[start + i]:
                    same = False
                    break
            if same:
                return form
        slot = (slot + np.uint64(1)) & mask
    return -1


@_jit
def find_words(ids, roles):  # type: ignore[no-untyped-def]
    """Return where the words of a sentence start and end, int32 [n_words] each.

    A word is a run of pieces with letters or digits that follows a space or punctuation; an apostrophe between two
    such pieces belongs to it.
    """
    n = len(ids)
    starts = np.empty(n, np.int32)
    ends = np.empty(n, np.int32)
    count = 0
    open_at = -1  # where the open word starts
    close_at = -1  # where it ends if nothing follows
    bare_at = -1
    continues = False
    for i in range(n):
        role = roles[ids[i]]
        kind = role & _KIND
        starts_word = (role & _START) != 0 and not continues
        continues = (role & _CONTINUES) != 0
        if open_at >= 0 and (starts_word or kind in (_OUTSIDE, _BARE) or (kind == _JOINER and close_at < i)):
            starts[count], ends[count] = open_at, close_at
            count += 1
            open_at = -1
        if kind == _INSIDE:
            if open_at < 0:
                open_at = bare_at if bare_at >= 0 and not starts_word else i
            close_at = i + 1
        bare_at = i if kind == _BARE else -1
    if open_at >= 0:
        starts[count], ends[count] = open_at, close_at
        count += 1
    return starts[:count], ends[:count]


@_jit
def _choose(available, n_available, policy, rate, length, gate, state):  # type: ignore[no-untyped-def]
    n = len(available)
    chosen = np.zeros(n, np.bool_)
    if policy == INDEPENDENT:
        if _random(state) < gate:
            for i in range(n):
                if available[i]:
                    chosen[i] = _random(state) < rate
        return chosen
    budget = min(math.ceil(rate * n - 1e-9), n_available)
    count = 0
    order = _permutation(state, n)
    for start in order:
        if count == budget:
            break
        span = int(length)
        if policy == POISSON:
            span = 0
            while span == 0:
                span = _poisson(state, length)
        for i in range(start, min(start + span, n)):
            if available[i] and not chosen[i] and count < budget:
                chosen[i] = True
                count += 1
    return chosen


@_jit
def _switch(  # type: ignore[no-untyped-def]
    ids, roles, policy, rate, length, gate, start, limit,
    slots, form_starts, form_pieces, form_entry, form_kind,
    entry_starts, cumulative, candidate, word_starts, word_pieces,
):  # fmt: skip
    starts, ends = find_words(ids, roles)
    n = len(starts)
    forms = np.empty(n, np.int32)
    available = np.empty(n, np.bool_)
    n_available = 0
    for i in range(n):
        forms[i] = _find(ids, starts[i], ends[i], slots, form_starts, form_pieces)
        available[i] = forms[i] >= 0
        n_available += available[i]
    state = np.array([start], np.uint64)
    chosen = _choose(available, n_available, policy, rate, length, gate, state)
    picked = np.empty(n, np.int32)
    total = len(ids)
    for i in range(n):
        if not chosen[i]:
            continue
        form = forms[i]
        c = entry_starts[form_entry[form]]
        last = entry_starts[form_entry[form] + 1] - 1
        draw = _random(state)
        while c < last and cumulative[c] <= draw:
            c += 1
        w = candidate[c] * 6 + form_kind[form]
        picked[i] = w
        total += (word_starts[w + 1] - word_starts[w]) - (ends[i] - starts[i])
    stats = _stats(chosen, n_available, len(ids), total, limit)
    if total > limit:
        return ids, stats
    out = np.empty(total, ids.dtype)
    read = 0
    write = 0
    for i in range(n):
        if not chosen[i]:
            continue
        for j in range(read, starts[i]):
            out[write] = ids[j]
            write += 1
        for j in range(word_starts[picked[i]], word_starts[picked[i] + 1]):
            out[write] = word_pieces[j]
            write += 1
        read = ends[i]
    for j in range(read, len(ids)):
        out[write] = ids[j]
        write += 1
    return out, stats


@_jit
def _mask(ids, roles, policy, rate, length, gate, start, mask):  # type: ignore[no-untyped-def]
    starts, ends = find_words(ids, roles)
    n = len(starts)
    state = np.array([start], np.uint64)
    chosen = _choose(np.ones(n, np.bool_), n, policy, rate, length, gate, state)
    out = np.empty(len(ids), ids.dtype)
    read = 0
    write = 0
    for i in range(n):
        if not chosen[i]:
            continue
        if i == 0 or not chosen[i - 1]:
            for j in range(read, starts[i]):
                out[write] = ids[j]
                write += 1
            out[write] = mask
            write += 1
        read = ends[i]
    for j in range(read, len(ids)):
        out[write] = ids[j]
        write += 1
    return out[:write], _stats(chosen, n, len(ids), write, len(ids))


@_jit
def _stats(chosen, n_available, before, after, limit):  # type: ignore[no-untyped-def]
    stats = np.zeros(9, np.int64)
    stats[0], stats[1], stats[2] = 1, len(chosen), n_available
    stats[7], stats[8] = before, after
    if after > limit:
        stats[6], stats[8] = 1, before
        return stats
    for i in range(len(chosen)):
        stats[3] += chosen[i]
        stats[4] += chosen[i] and (i == 0 or not chosen[i - 1])
    stats[5] = stats[3] > 0
    return stats


# What the noise reports of a sentence, int64 [9]; sums over sentences are as good:
# sentences, words, words with a candidate, words replaced, runs of neighbouring replaced words, sentences with a
# replaced word, sentences left clean because they would have grown too long, pieces before and after.
STATS = ("sentences", "words", "covered", "switched", "spans", "touched", "fell_back", "pieces_before", "pieces_after")


CompiledPolicy = PoissonSpans | FixedSpans | IndependentWords


def _policy_numbers(policy: CompiledPolicy) -> tuple[int, float, float, float]:
    match policy:
        case PoissonSpans(rate, mean_span):
            return POISSON, rate, math.exp(-mean_span), 1.0
        case FixedSpans(rate, span):
            return FIXED, rate, float(span), 1.0
        case IndependentWords(rate, gate):
            return INDEPENDENT, rate, 0.0, gate
    raise TypeError(f"no compiled twin of {type(policy).__name__}")


class Switcher:
    """Replaces words of encoded sentences by translations, by a lexicon and a policy.

    A sentence is piece ids without end-of-sentence or language ids. One that would grow past ``max_growth`` times
    its length, or past ``max_length`` pieces, is returned clean and counted.
    """

    def __init__(
        self,
        lexicon: EncodedLexicon,
        roles: np.ndarray,
        policy: CompiledPolicy,
        seed: int,
        max_length: int = 1024,
        max_growth: float = 2.0,
    ) -> None:
        self._head = (roles, *_policy_numbers(policy))
        self._tail = (
            lexicon.slots, lexicon.form_starts, lexicon.form_pieces, lexicon.form_entry, lexicon.form_kind,
            lexicon.entry_starts, lexicon.cumulative, lexicon.candidate, lexicon.word_starts, lexicon.word_pieces,
        )  # fmt: skip
        self._seed = seed
        self._max_length = max_length
        self._max_growth = max_growth

    def __call__(self, ids: np.ndarray, epoch: int, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return a switched sentence and its ``STATS``; the input, int [n_pieces], stays as it is."""
        limit = min(self._max_length, int(self._max_growth * len(ids)))
        return _switch(ids, *self._head, np.uint64(start_state(self._seed, epoch, index)), limit, *self._tail)


class Masker:
    """Replaces each run of chosen words by one ``<mask>``: mBART's denoising noise, with the same choice of words.

    Liu et al. 2020, section 2.2: "we remove spans of text and replace them with a mask token". Punctuation within a
    run goes with it; alone it is never masked.
    """

    def __init__(self, mask: int, roles: np.ndarray, policy: CompiledPolicy, seed: int) -> None:
        self._head = (roles, *_policy_numbers(policy))
        self._mask = mask
        self._seed = seed

    def __call__(self, ids: np.ndarray, epoch: int, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return a masked sentence and its ``STATS``; the input, int [n_pieces], stays as it is."""
        return _mask(ids, *self._head, np.uint64(start_state(self._seed, epoch, index)), self._mask)
