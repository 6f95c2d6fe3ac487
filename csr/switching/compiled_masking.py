"""The compiled twin of ``csr.switching.masking``: the same draws in the same order, for training."""

from __future__ import annotations

import numpy as np

from csr.jit import fixed
from csr.switching.compiled_choice import choose_words
from csr.switching.compiled_streams import jit, random
from csr.switching.compiled_words import NO_MARKS, find_words, marked_words
from csr.switching.encoded import EncodedLexicon
from csr.switching.forms import find_form
from csr.switching.masking import Masking, Symbols
from csr.switching.noise import IndependentWords
from csr.switching.streams import Stream

# What the masker reports of a block, int64 [8]; sums over blocks are as good:
# blocks, words, words with a candidate, words switched, blocks with a switched word, pieces to predict, pieces of text,
# pieces lost at the end because translations made the block too long.
STATS = ("blocks", "words", "covered", "switched", "touched", "predicted", "pieces", "cut")


@jit
def _units(ids, starts, ends, first, mask, whole_words):  # type: ignore[no-untyped-def]
    n = len(ids)
    unit_starts, unit_ends = np.empty(n, np.int32), np.empty(n, np.int32)
    count = 0
    word = 0
    i = 0
    while i < n:
        end = i + 1
        if whole_words:
            while word < len(starts) and starts[word] < i:
                word += 1
            if word < len(starts) and starts[word] == i:
                end = ends[word]
        text = True
        for j in range(i, end):
            text = text and first <= ids[j] and ids[j] < mask
        if text:
            unit_starts[count], unit_ends[count] = i, end
            count += 1
        i = end
    return unit_starts[:count], unit_ends[:count]


@jit
def mask_and_switch(  # type: ignore[no-untyped-def]
    ids, marks, start, limit,
    pad, first, mask, rate, random_share, keep, whole_words, switch_rate, gate, of_words, roles,
    slots, form_starts, form_pieces, form_entry, form_kind,
    entry_starts, cumulative, candidate, word_starts, word_pieces,
):  # fmt: skip
    """Source, target and ``STATS`` of a block: ``masking.mask_and_switch`` from a start state on."""
    state = np.array([start], np.uint64)
    n = len(ids)
    starts, ends = marked_words(marks) if len(marks) == n else find_words(ids, roles)

    unit_starts, unit_ends = _units(ids, starts, ends, first, mask, whole_words)
    n_units = len(unit_starts)
    n_text = 0
    for unit in range(n_units):
        n_text += unit_ends[unit] - unit_starts[unit]
    budget = int(rate * n_text + random(state))
    predicted = np.zeros(n, np.bool_)
    count = 0
    for i in range(n_units):
        if count == budget:
            break
        j = i + int(random(state) * (n_units - i))
        unit_starts[i], unit_starts[j] = unit_starts[j], unit_starts[i]
        unit_ends[i], unit_ends[j] = unit_ends[j], unit_ends[i]
        if count + unit_ends[i] - unit_starts[i] <= budget:
            predicted[unit_starts[i] : unit_ends[i]] = True
            count += unit_ends[i] - unit_starts[i]
    seen = ids.copy()
    for i in range(n):
        if predicted[i]:
            draw = random(state)
            if draw < 1 - random_share - keep:
                seen[i] = mask
            elif draw < 1 - keep:
                seen[i] = first + int(random(state) * (mask - first))

    forms = np.empty(len(starts), np.int32)
    available = np.empty(len(starts), np.bool_)
    for i in range(len(starts)):
        forms[i] = find_form(ids, starts[i], ends[i], slots, form_starts, form_pieces)
        available[i] = forms[i] >= 0 and not predicted[starts[i] : ends[i]].any()
    picked = np.full(len(starts), -1, np.int32)  # the form that stands for a word
    chosen = choose_words(available, switch_rate, gate, of_words, False, state)
    total = n
    for i in range(len(starts)):
        if chosen[i]:
            entry = form_entry[forms[i]]
            draw = random(state)
            c = entry_starts[entry]
            while c < entry_starts[entry + 1] - 1 and cumulative[c] <= draw:
                c += 1
            picked[i] = candidate[c] * 6 + form_kind[forms[i]]
            total += word_starts[picked[i] + 1] - word_starts[picked[i]] - (ends[i] - starts[i])

    source = np.empty(total, np.int64)
    target = np.full(total, pad, np.int64)
    switched = 0
    write = 0
    word = 0
    i = 0
    while i < n:
        while word < len(starts) and (picked[word] < 0 or starts[word] < i):
            word += 1
        if word < len(starts) and starts[word] == i:
            switched += write < limit
            for j in range(word_starts[picked[word]], word_starts[picked[word] + 1]):
                source[write] = word_pieces[j]
                write += 1
            i = ends[word]
            continue
        source[write] = seen[i]
        if predicted[i]:
            target[write] = ids[i]
        write += 1
        i += 1
    source, target = source[:limit], target[:limit]

    stats = np.zeros(8, np.int64)
    stats[0], stats[1], stats[2], stats[3], stats[4] = 1, len(starts), (forms >= 0).sum(), switched, switched > 0
    stats[5], stats[6], stats[7] = (target != pad).sum(), n_text, total - len(source)
    return source, target, stats


class MaskingSwitcher:
    """Masks blocks of encoded text and switches words around what is masked: ``csr.switching.masking.mask_and_switch``.

    Args:
        roles: of each piece of the vocabulary, ``csr.switching.symbols.piece_roles``.
        limit: pieces a block may have; one that switching makes longer loses its end.
        lexicon: of the blocks' language; without one nothing is switched.
    """

    def __init__(
        self,
        roles: np.ndarray,
        symbols: Symbols,
        masking: Masking,
        seed: int,
        limit: int,
        lexicon: EncodedLexicon | None = None,
        policy: IndependentWords | None = None,
    ) -> None:
        policy = policy or IndependentWords()
        self.seed, self.limit = seed, limit
        self.settings = (
            symbols.pad, symbols.first, symbols.mask, masking.rate, masking.random, masking.keep, masking.whole_words,
            policy.rate, policy.gate if lexicon else 0.0, policy.share_of == "words", fixed(roles),
            *map(fixed, (lexicon or EncodedLexicon.empty()).arrays()),
        )  # fmt: skip

    def __call__(
        self, ids: np.ndarray, epoch: int, index: int, marks: np.ndarray = NO_MARKS
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Source, target (padding where nothing is to be predicted) and ``STATS`` of a block.

        Args:
            ids: int64 [n_pieces], with its special symbols; stays as it is.
            marks: the ``csr.switching.symbols.Mark`` of each piece; without them words are found by ``roles``.
        """
        stream = Stream(self.seed, epoch, index)
        return mask_and_switch(ids, marks, np.uint64(stream.state), self.limit, *self.settings)
