"""The compiled twin of ``csr.switching.noise``: the same draws in the same order, on piece ids, for training.

Without Python objects: a sentence is an int64 array, a lexicon the flat arrays of ``csr.switching.encoded``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from csr.jit import fixed
from csr.switching.compiled_choice import choose, policy_numbers
from csr.switching.compiled_streams import jit, permutation, random
from csr.switching.compiled_words import NO_MARKS, find_units, has_capital
from csr.switching.encoded import EncodedLexicon
from csr.switching.forms import find_form
from csr.switching.noise import IndependentWords, Policy, rarity
from csr.switching.streams import Stream
from csr.switching.symbols import Role, Unit

_FINAL = np.uint8(Role.FINAL)
NO_PIECES = np.empty(0, np.int64)


@jit
def _place(word, word_starts, word_pieces, ids, starts, ends):  # type: ignore[no-untyped-def]
    # Which of the words of a sentence a candidate is, in any of its six forms or in small letters; -1: none.
    small = (len(word_starts) - 1) // 2 + word * 6
    for i in range(len(starts)):
        for k in range(8):
            form = word * 6 + k if k < 6 else small + k - 6
            first = word_starts[form]
            n = word_starts[form + 1] - first
            if n == 0 or n != ends[i] - starts[i]:
                continue
            for j in range(n):
                if word_pieces[first + j] != ids[starts[i] + j]:
                    break
            else:
                return i
    return -1


@jit
def _draw(first, after, cumulative, places, state):  # type: ignore[no-untyped-def]
    # One uniform; candidates that stand in the aligned sentence, if there are any, share all of it.
    total = 0.0
    for c in range(first, after):
        if places[c - first] >= 0:
            total += cumulative[c] - (cumulative[c - 1] if c > first else 0.0)
    draw = random(state)
    if total == 0.0:
        c = first
        while c < after - 1 and cumulative[c] <= draw:
            c += 1
        return c
    done, last = 0.0, first
    for c in range(first, after):
        if places[c - first] >= 0:
            last = c
            done += (cumulative[c] - (cumulative[c - 1] if c > first else 0.0)) / total
            if done > draw:
                break
    return last


@jit
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


@jit
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
    for sentence in permutation(state, count):
        for j in range(edges[sentence], edges[sentence + 1]):
            out[write] = ids[j]
            write += 1
    return out


@jit
def noise(  # type: ignore[no-untyped-def]
    ids, marks, aligned, aligned_marks, rate, start, limit,
    roles, policy, length, gate, unit, mask_share, mask, permute, weights,
    slots, form_starts, form_pieces, form_entry, form_kind,
    entry_starts, cumulative, candidate, word_starts, word_pieces,
):  # fmt: skip
    """A noisy sentence and its ``STATS``, from arrays alone: the compiled twin of ``noise.add_noise``."""
    starts, ends = find_units(ids, marks, roles, unit)
    n = len(starts)
    forms = np.empty(n, np.int32)
    available = np.ones(n)  # what a policy that draws by weight goes by; 0 where there is no candidate
    n_available = n
    if mask_share < 1.0:
        n_available = 0
        for i in range(n):
            forms[i] = find_form(ids, starts[i], ends[i], slots, form_starts, form_pieces)
            n_available += forms[i] >= 0
            available[i] = 0.0 if forms[i] < 0 else weights[form_entry[forms[i]]] if len(weights) else 1.0
    state = np.array([start], np.uint64)
    chosen, inserted = choose(available, n_available, policy, rate, length, gate, len(weights) > 0, state)
    # What stands for a word: a form of a candidate, -1 for the mask of a run that starts here, -2 for nothing.
    picked = np.empty(n, np.int32)
    masking = False
    total = len(ids)
    aligned_starts, aligned_ends = find_units(aligned, aligned_marks, roles, unit)
    places = np.full(n, -1, np.int32)  # of what stands for a word, in the aligned sentence
    candidate_places = np.full(64, -1, np.int32)
    for i in range(n):
        total += inserted[i] and not (chosen[i] and masking and i > 0 and chosen[i - 1])
        if not chosen[i]:
            continue
        new_run = i == 0 or not chosen[i - 1]
        if new_run:
            masking = mask_share >= 1.0 or (mask_share > 0.0 and random(state) < mask_share)
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
    if n > 0 and chosen[0] and picked[0] >= 0 and picked[0] % 6 < 2 and has_capital(ids, starts[0], roles):
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


@jit
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


class Switcher:
    """Replaces words of encoded sentences by translations, or runs of words by a mask: ``noise.add_noise``.

    A sentence is piece ids without end-of-sentence or language ids. One that would grow past ``max_growth`` times
    its length, or past ``max_length`` pieces, is returned clean and counted.

    Args:
        lexicon: one, or several of which each sentence draws its own (``csr.switching.noise.one_of``).
        roles: of each piece of the vocabulary, ``csr.switching.symbols.piece_roles``.
        unit: what is replaced. The lexicon of ``Unit.PIECE`` holds pieces.
        mask: id of the mask, for policies that insert it and for ``mask_share``.
        mask_share: probability that a run of chosen words becomes one mask.
        counts: of each lexicon, how often a text has its words (``compiled_choice.entry_counts``): for a policy that
            chooses rare words first.
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
        counts: Sequence[np.ndarray] = (),
    ) -> None:
        if mask < 0 and (mask_share > 0 or getattr(policy, "insert", False)):
            raise ValueError(f"mask must be the id of the mask where one is put in, got {mask}")
        lexicons = [lexicon] if isinstance(lexicon, EncodedLexicon) else lexicon
        rare_first = isinstance(policy, IndependentWords) and policy.rare_first
        if rare_first and len(counts) != len(lexicons):
            raise ValueError(f"counts must be of {len(lexicons)} lexicons for rare words first, got {len(counts)}")
        number, length, gate = policy_numbers(policy)
        head = (fixed(roles), number, length, float(gate), int(unit), float(mask_share), mask, permute)
        weights = [rarity(of) for of in counts] if rare_first else [np.empty(0)] * len(lexicons)
        self.settings = [
            (*head, fixed(own), *map(fixed, one.arrays())) for one, own in zip(lexicons, weights, strict=True)
        ]
        self.rate = float(policy.rate)
        self.seed = seed
        self.max_length = max_length
        self.max_growth = max_growth

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
        """A noisy sentence and its ``STATS``; the input, int [n_pieces], stays as it is.

        Args:
            marks: the ``csr.switching.symbols.Mark`` of each piece; without them words are found by ``roles``.
            aligned, aligned_marks: the sentence's translation: candidates that stand in it go before the others.
            rate: the share to replace, if not the policy's.
        """
        stream = Stream(self.seed, epoch, index)
        settings = self.settings[stream.below(len(self.settings)) if len(self.settings) > 1 else 0]
        rate = self.rate if rate is None else float(rate)
        limit = min(self.max_length, int(self.max_growth * len(ids)))
        return noise(ids, marks, aligned, aligned_marks, rate, np.uint64(stream.state), limit, *settings)


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
        self.noise, self._share, self._seed = noise, share, seed

    def meets(self, epoch: int, index: int) -> bool:
        """Tell whether a sentence meets the noise."""
        return Stream(self._seed + 1, epoch, index).random() < self._share

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
        """The sentence as the noise leaves it, or as it is; see ``Switcher``."""
        if self.meets(epoch, index):
            return self.noise(ids, epoch, index, marks, aligned, aligned_marks, rate)
        return ids, np.zeros(len(STATS), np.int64)
