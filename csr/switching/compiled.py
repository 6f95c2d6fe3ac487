"""The compiled twin of ``csr.switching.noise``: the same draws in the same order, on piece ids, for training.

Numba keeps no Python objects here: a sentence is an int32 array, a lexicon the flat arrays of
``csr.switching.pieces.EncodedLexicon``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numba
import numpy as np

from csr.switching.noise import FixedSpans, IndependentWords, PoissonSpans, Policy
from csr.switching.pieces import EncodedLexicon, Mark, Role, Unit
from csr.switching.streams import MIX_1, MIX_2, STEP, Stream

_STEP, _MIX_1, _MIX_2 = np.uint64(STEP), np.uint64(MIX_1), np.uint64(MIX_2)
_S27, _S30, _S31, _S11 = np.uint64(27), np.uint64(30), np.uint64(31), np.uint64(11)
_FNV, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)

_OUTSIDE, _INSIDE, _JOINER, _BARE = (np.uint8(role) for role in (Role.OUTSIDE, Role.INSIDE, Role.JOINER, Role.BARE))
_KIND = np.uint8(3)
_START, _CONTINUES, _FINAL = np.uint8(Role.START), np.uint8(Role.CONTINUES), np.uint8(Role.FINAL)
_CAPITAL = np.uint8(Role.CAPITAL)
_BEGIN, _GO_ON = np.uint8(Mark.BEGIN), np.uint8(Mark.GO_ON)
_PIECE = int(Unit.PIECE)

_POISSON, _INSERT, _FIXED, _INDEPENDENT = range(4)
NO_MARKS = np.empty(0, np.uint8)
NO_PIECES = np.empty(0, np.int64)

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
def marked_words(marks):  # type: ignore[no-untyped-def]
    """Return where the words of a sentence start and end by its ``csr.switching.pieces.Mark`` of each piece."""
    n = len(marks)
    starts = np.empty(n, np.int32)
    ends = np.empty(n, np.int32)
    count = 0
    for i in range(n):
        if marks[i] == _BEGIN:
            starts[count] = i
            count += 1
        if marks[i] == _BEGIN or (marks[i] == _GO_ON and count > 0):
            ends[count - 1] = i + 1
    return starts[:count], ends[:count]


@_jit
def _units(ids, marks, roles, unit):  # type: ignore[no-untyped-def]
    if unit == _PIECE:
        starts = np.empty(len(ids), np.int32)
        count = 0
        for i in range(len(ids)):
            if roles[ids[i]] & _KIND == _INSIDE:
                starts[count] = i
                count += 1
        return starts[:count], starts[:count] + np.int32(1)
    # A row of marks that is not as long as its sentence is of another text: never trust it.
    if len(marks) == len(ids) and len(ids) > 0:
        return marked_words(marks)
    return find_words(ids, roles)


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
    inserted = np.zeros(n, np.bool_)
    if policy == _INDEPENDENT:
        if _random(state) < gate:
            for i in range(n):
                if available[i]:
                    chosen[i] = _random(state) < rate
        return chosen, inserted
    budget = min(math.ceil(rate * n - 1e-9), n_available)
    count = 0
    order = _permutation(state, n)
    for start in order:
        if count == budget:
            break
        span = int(length)
        if policy != _FIXED:
            span = _poisson(state, length)
            while span == 0 and policy == _POISSON:
                span = _poisson(state, length)
            inserted[start] = span == 0
        for i in range(start, min(start + span, n)):
            if available[i] and not chosen[i] and count < budget:
                chosen[i] = True
                count += 1
    return chosen, inserted


@_jit
def _place(word, word_starts, word_pieces, ids, starts, ends):  # type: ignore[no-untyped-def]
    # Which of the words of a sentence a candidate is, in any of its six forms; -1: none.
    for i in range(len(starts)):
        for form in range(word * 6, word * 6 + 6):
            first = word_starts[form]
            n = word_starts[form + 1] - first
            if n == 0 or n != ends[i] - starts[i]:
                continue
            same = True
            for j in range(n):
                if word_pieces[first + j] != ids[starts[i] + j]:
                    same = False
                    break
            if same:
                return i
    return -1


@_jit
def _draw(first, after, cumulative, places, state):  # type: ignore[no-untyped-def]
    # One uniform; candidates that stand in the aligned sentence, if there are any, share all of it.
    total = 0.0
    for c in range(first, after):
        if places[c - first] >= 0:
            total += cumulative[c] - (cumulative[c - 1] if c > first else 0.0)
    draw = _random(state)
    if total == 0.0:
        c = first
        while c < after - 1 and cumulative[c] <= draw:
            c += 1
        return c
    done = 0.0
    last = first
    for c in range(first, after):
        if places[c - first] >= 0:
            last = c
            done += (cumulative[c] - (cumulative[c - 1] if c > first else 0.0)) / total
            if done > draw:
                break
    return last


@_jit
def _order_phrases(picked, places):  # type: ignore[no-untyped-def]
    # As csr.switching.noise.phrases: their candidates go in the order of their places; the
    # space before each stays where it is.
    start = 0
    while start < len(places):
        last = start
        low = high = first = places[start]
        for end in range(start, len(places)):
            again = places[end] < 0
            for i in range(start, end):
                again |= places[i] == places[end]
            if again:
                break
            low, high = min(low, places[end]), max(high, places[end])
            if high - low == end - start:
                last, first = end, low
        words = picked[start : last + 1].copy()
        if last > start:
            for i in range(len(words)):
                to = places[start + i] - first
                picked[start + to] = words[i] - words[i] % 2 + words[to] % 2
        start = last + 1


@_jit
def _capital(ids, start, roles):  # type: ignore[no-untyped-def]
    if roles[ids[start]] & _KIND == _BARE and start + 1 < len(ids):
        start += 1
    return roles[ids[start]] & _CAPITAL != 0


@_jit
def _permuted(ids, roles, state):  # type: ignore[no-untyped-def]
    # Sentences end after a piece of final punctuation; what follows the last one is a sentence too.
    edges = np.zeros(len(ids) + 1, np.int64)
    count = 0
    for i in range(len(ids)):
        if roles[ids[i]] & _FINAL or i == len(ids) - 1:
            count += 1
            edges[count] = i + 1
    if count < 2:
        return ids
    out = np.empty_like(ids)
    write = 0
    for sentence in _permutation(state, count):
        for j in range(edges[sentence], edges[sentence + 1]):
            out[write] = ids[j]
            write += 1
    return out


@_jit
def _noise(  # type: ignore[no-untyped-def]
    ids, marks, aligned, aligned_marks, rate, start, limit,
    roles, policy, length, gate, unit, mask_share, mask, permute,
    slots, form_starts, form_pieces, form_entry, form_kind,
    entry_starts, cumulative, candidate, word_starts, word_pieces,
):  # fmt: skip
    starts, ends = _units(ids, marks, roles, unit)
    n = len(starts)
    forms = np.empty(n, np.int32)
    available = np.ones(n, np.bool_)
    n_available = n
    if mask_share < 1.0:
        n_available = 0
        for i in range(n):
            forms[i] = _find(ids, starts[i], ends[i], slots, form_starts, form_pieces)
            available[i] = forms[i] >= 0
            n_available += available[i]
    state = np.array([start], np.uint64)
    chosen, inserted = _choose(available, n_available, policy, rate, length, gate, state)
    # What stands for a word: a form of a candidate, -1 for the mask of a run that starts here, -2 for nothing.
    picked = np.empty(n, np.int32)
    masking = False
    total = len(ids)
    aligned_starts, aligned_ends = _units(aligned, aligned_marks, roles, unit)
    places = np.full(n, -1, np.int32)  # of what stands for a word, in the aligned sentence
    candidate_places = np.full(64, -1, np.int32)
    for i in range(n):
        total += inserted[i] and not (chosen[i] and masking and i > 0 and chosen[i - 1])
        if not chosen[i]:
            continue
        new_run = i == 0 or not chosen[i - 1]
        if new_run:
            masking = mask_share >= 1.0 or (mask_share > 0.0 and _random(state) < mask_share)
        if masking:
            picked[i] = -1 if new_run else -2
            # Punctuation within a run goes with it.
            total += 1 - (ends[i] - starts[i]) if new_run else ends[i - 1] - ends[i]
            continue
        form = forms[i]
        first = entry_starts[form_entry[form]]
        after = entry_starts[form_entry[form] + 1]
        if len(candidate_places) < after - first:
            candidate_places = np.full(after - first, -1, np.int32)
        if len(aligned):
            for c in range(first, after):
                candidate_places[c - first] = _place(
                    candidate[c], word_starts, word_pieces, aligned, aligned_starts, aligned_ends
                )
        # Words that touch, as in Chinese, get a space between their translations: kinds are odd after a space.
        touches = i > 0 and chosen[i - 1] and ends[i - 1] == starts[i]
        kind = form_kind[form] | np.uint8(touches)
        drawn = _draw(first, after, cumulative, candidate_places, state)
        picked[i] = candidate[drawn] * 6 + kind
        places[i] = candidate_places[drawn - first]
    if len(aligned):
        _order_phrases(picked, places)
    if n > 0 and chosen[0] and picked[0] >= 0 and picked[0] % 6 < 2 and _capital(ids, starts[0], roles):
        picked[0] += 2  # the first word of a sentence keeps its capital, whatever capitals its candidate has
    for i in range(n):
        if chosen[i] and picked[i] >= 0:
            total += (word_starts[picked[i] + 1] - word_starts[picked[i]]) - (ends[i] - starts[i])
    stats = _stats(chosen, n_available, len(ids), total, limit)
    if total > limit:
        return ids, stats
    out = np.empty(total, ids.dtype)
    read = 0
    write = 0
    for i in range(n):
        if not (chosen[i] or inserted[i]):
            continue
        if not (chosen[i] and picked[i] == -2):
            for j in range(read, starts[i]):
                out[write] = ids[j]
                write += 1
            read = starts[i]
            if inserted[i]:
                out[write] = mask
                write += 1
        if not chosen[i]:
            continue
        if picked[i] == -1:
            out[write] = mask
            write += 1
        elif picked[i] >= 0:
            for j in range(word_starts[picked[i]], word_starts[picked[i] + 1]):
                out[write] = word_pieces[j]
                write += 1
        read = ends[i]
    for j in range(read, len(ids)):
        out[write] = ids[j]
        write += 1
    return (_permuted(out, roles, state) if permute else out), stats


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


def _policy_numbers(policy: Policy) -> tuple[int, float, float]:
    match policy:
        case PoissonSpans(_, mean_span, insert):
            return (_INSERT if insert else _POISSON), math.exp(-mean_span), 1.0
        case FixedSpans(_, span):
            return _FIXED, float(span), 1.0
        case IndependentWords(_, gate):
            return _INDEPENDENT, 0.0, gate
    raise TypeError(f"no compiled twin of {type(policy).__name__}")


class Switcher:
    """Replaces words of encoded sentences by translations, or runs of words by a mask: ``noise.add_noise``.

    A sentence is piece ids without end-of-sentence or language ids. One that would grow past ``max_growth`` times
    its length, or past ``max_length`` pieces, is returned clean and counted.

    Args:
        lexicon: one, or several of which each sentence draws its own (``csr.switching.noise.one_of``).
        roles: of each piece of the vocabulary, ``csr.switching.pieces.piece_roles``.
        unit: what is replaced. The lexicon of ``Unit.PIECE`` holds pieces.
        mask: id of the mask, for policies that insert it and for ``mask_share``.
        mask_share: probability that a run of chosen words becomes one mask.
    """

    def __init__(
        self,
        lexicon: EncodedLexicon | Sequence[EncodedLexicon],
        roles: np.ndarray,
        policy: Policy,
        seed: int,
        max_length: int = 1024,
        max_growth: float = 2.0,
        *,
        unit: Unit = Unit.WORD,
        mask: int = -1,
        mask_share: float = 0.0,
        permute: bool = False,
    ) -> None:
        if mask < 0 and (mask_share > 0 or getattr(policy, "insert", False)):
            raise ValueError(f"mask must be the id of the mask where one is put in, got {mask}")
        lexicons = [lexicon] if isinstance(lexicon, EncodedLexicon) else lexicon
        number, length, gate = _policy_numbers(policy)
        head = (_fixed(roles), number, length, gate, int(unit), mask_share, mask, permute)
        self._settings = [(*head, *map(_fixed, one.arrays())) for one in lexicons]
        self._rate = policy.rate
        self._seed = seed
        self._max_length = max_length
        self._max_growth = max_growth

    def __call__(
        self,
        ids: np.ndarray,
        epoch: int,
        index: int,
        marks: np.ndarray = NO_MARKS,
        aligned: np.ndarray = NO_PIECES,
        aligned_marks: np.ndarray = NO_MARKS,
        rate: float | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return a noisy sentence and its ``STATS``; the input, int [n_pieces], stays as it is.

        Args:
            marks: the ``csr.switching.pieces.Mark`` of each piece; without them words are found by ``roles``.
            aligned, aligned_marks: the sentence's translation: candidates that stand in it go before the others.
            rate: the share to replace, if not the policy's.
        """
        stream = Stream(self._seed, epoch, index)
        settings = self._settings[stream.below(len(self._settings)) if len(self._settings) > 1 else 0]
        rate = self._rate if rate is None else rate
        limit = min(self._max_length, int(self._max_growth * len(ids)))
        return _noise(ids, marks, aligned, aligned_marks, rate, np.uint64(stream.state), limit, *settings)


class Masker(Switcher):
    """Replaces each run of chosen words by one ``<mask>``: mBART's denoising noise, with the same choice of words.

    Liu et al. 2020, section 2.2: "we remove spans of text and replace them with a mask token". Punctuation within a
    run goes with it; alone it is never masked. With ``permute``, the sentences of an instance change places.
    """

    def __init__(
        self,
        mask: int,
        roles: np.ndarray,
        policy: Policy,
        seed: int,
        max_length: int = 1024,
        *,
        unit: Unit = Unit.WORD,
        permute: bool = False,
    ) -> None:
        none = EncodedLexicon.empty()
        super().__init__(none, roles, policy, seed, max_length, unit=unit, mask=mask, mask_share=1.0, permute=permute)


class Sometimes:
    """Lets a noise meet a share of the sentences, drawn anew each epoch from a stream of its own."""

    def __init__(self, noise: Switcher, share: float, seed: int) -> None:
        if not 0 <= share <= 1:
            raise ValueError(f"share must be in [0, 1], got {share}")
        self._noise, self._share, self._seed = noise, share, seed

    def __call__(
        self,
        ids: np.ndarray,
        epoch: int,
        index: int,
        marks: np.ndarray = NO_MARKS,
        aligned: np.ndarray = NO_PIECES,
        aligned_marks: np.ndarray = NO_MARKS,
        rate: float | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the sentence as the noise leaves it, or as it is; see ``Switcher``."""
        if Stream(self._seed + 1, epoch, index).random() < self._share:
            return self._noise(ids, epoch, index, marks, aligned, aligned_marks, rate)
        return ids, np.zeros(len(STATS), np.int64)


def _fixed(array: np.ndarray) -> np.ndarray:
    """Return a view that cannot be written: arrays in memory and those mapped from disk share one compilation."""
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view
