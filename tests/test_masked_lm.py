"""Masked language modelling on switched text: the rules, the compiled twin, the task, and figures on real text."""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from csr.compiled import find_words
from csr.compiled_masking import STATS, MaskingSwitcher
from csr.data.blocks import pack
from csr.errors import ConfigError, DataError
from csr.lexicon import Lexicon
from csr.masking import Masking, Symbols, mask_and_switch
from csr.noise import IndependentWords
from csr.pieces import encode_lexicon, piece_roles
from csr.streams import Stream

DATA = Path(__file__).parents[2] / "shared/data"
WORDS = ["aa", "bbb", "c", "dd", "eea"]
TRANSLATIONS = ["x", "xy", "yxyx", "yy"]
# Every word can be written: "▁" and its letters.
PIECES = ["<s>", "<pad>", "</s>", "<unk>", *[f"▁{c}" for c in "abcdexy"], *"abcdexy", ".", "<mask>"]
INDEX = {piece: i for i, piece in enumerate(PIECES)}
ROLES = piece_roles(PIECES)
PAD, EOS, MASK = 1, 2, INDEX["<mask>"]
SYMBOLS = Symbols(PAD, 4, MASK)

shares = st.floats(0, 1)
maskings = st.builds(Masking, shares, st.floats(0, 0.5), st.floats(0, 0.5), st.booleans())
lexicons = st.dictionaries(
    st.sampled_from(WORDS), st.dictionaries(st.sampled_from(TRANSLATIONS), st.floats(0.01, 1), min_size=1), min_size=1
).map(Lexicon)


@st.composite
def blocks(draw):
    """Words, full stops and unknown pieces in rows that end in </s>, after a <s>."""
    rows = draw(st.lists(st.lists(st.sampled_from([*WORDS, ".", "<unk>"]), max_size=12), min_size=1, max_size=3))
    ids = [INDEX["<s>"]]
    for row in rows:
        for word in row:
            ids += [INDEX[word]] if word in (".", "<unk>") else encode([word], True)[0]
        ids.append(EOS)
    return ids


def encode(words, spaced):
    rows = [["▁" * spaced + word[0], *word[1:]] for word in words]
    return [[INDEX[piece] for piece in row] if INDEX.keys() >= set(row) else [] for row in rows]


def word_spans(ids):
    return list(zip(*(edges.tolist() for edges in find_words(np.array(ids), ROLES)), strict=True))


def candidates(lexicon):
    """The lexicon as the readable version takes it: pieces of words after a space."""
    return {
        tuple(encode([word], True)[0]): {tuple(encode([c], True)[0]): p for c, p in lexicon.probs(word).items()}
        for word in lexicon.entries
    }


@given(blocks(), lexicons, maskings, st.builds(IndependentWords, shares, shares), st.integers(0, 2**40), shares)
def test_compiled_twin_makes_the_same_draws(ids, lexicon, masking, policy, index, room):
    limit = len(ids) + int(10 * room)
    words = word_spans(ids)
    expected = mask_and_switch(
        ids, words, candidates(lexicon), masking, policy, SYMBOLS, Stream(7, 3, index), limit
    )  # fmt: skip
    masker = MaskingSwitcher(ROLES, SYMBOLS, masking, 7, limit, encode_lexicon(lexicon, encode), policy)
    block = np.array(ids)
    source, target, stats = masker(block, 3, index)
    assert (source.tolist(), target.tolist()) == (expected.source, expected.target)
    assert block.tolist() == ids
    assert dict(zip(STATS, stats.tolist(), strict=True)) == {
        "blocks": 1,
        "words": len(words),
        "covered": sum(tuple(ids[a:b]) in candidates(lexicon) for a, b in words),
        "switched": len(expected.switched),
        "touched": bool(expected.switched),
        "unfit": expected.n_unfit,
        "predicted": sum(piece != PAD for piece in expected.target),
        "pieces": sum(len(unit) for unit in masking.units(ids, words, SYMBOLS)),
    }


@given(blocks(), lexicons, maskings, shares, st.integers(0, 2**40), st.integers(0, 10))
def test_only_words_without_predicted_piece_are_switched(ids, lexicon, masking, rate, index, room):
    words, limit = word_spans(ids), len(ids) + room
    found = mask_and_switch(
        ids, words, candidates(lexicon), masking, IndependentWords(rate, 1.0), SYMBOLS, Stream(1, 1, index), limit
    )  # fmt: skip
    assert len(found.source) == len(found.target) <= limit
    # Undoing the switches and filling in what was predicted gives the block back: nothing else changed.
    back, at, done = [], 0, 0
    spans = [(i, *words[i], len(new)) for i, new in found.switched.items()]
    for _, start, end, length in [*spans, (None, len(ids), len(ids), 0)]:
        for i in range(done, start):
            piece, target = found.source[at], found.target[at]
            back.append(piece if target == PAD else target)
            assert target in (PAD, ids[i])
            at += 1
        assert found.target[at : at + length] == [PAD] * length
        back += ids[start:end]
        at, done = at + length, end
    assert back == ids
    for i, new in found.switched.items():
        assert new in candidates(lexicon)[tuple(ids[slice(*words[i])])]
    if masking.whole_words:
        predicted = {i for i in range(len(ids)) if masking.rate and not found.switched and found.target[i] != PAD}
        assert all(len(predicted.intersection(range(*word))) in (0, word[1] - word[0]) for word in words)


@given(maskings, st.integers(4, 200), st.integers(0, 2**40))
def test_the_share_to_predict_is_rounded_at_random(masking, n, index):
    units = [range(i, i + 1) for i in range(n)]
    chosen = masking.choose(units, Stream(1, 1, index))
    assert len(set(chosen)) == len(chosen)
    assert abs(len(chosen) - masking.rate * n) < 1


def test_eight_tenths_are_masked_one_tenth_random_one_tenth_kept():
    """Devlin et al. 2019, section 3.1. Of 20,000 pieces, more than 1.5 % off is over five standard deviations."""
    masking, stream = Masking(), Stream(1, 1, 1)
    seen = [masking.stand_in(INDEX["a"], SYMBOLS, stream) for _ in range(20_000)]
    others = len(range(4, MASK))
    assert seen.count(MASK) / len(seen) == pytest.approx(0.8, abs=0.015)
    assert seen.count(INDEX["a"]) / len(seen) == pytest.approx(0.1 + 0.1 / others, abs=0.015)
    assert set(seen) == {MASK, *range(4, MASK)}


@given(st.lists(st.integers(1, 40), max_size=40), st.integers(1, 30))
def test_blocks_hold_whole_rows_and_lose_nothing(sizes, length):
    found = pack(np.array(sizes, np.int64), length)
    edges = [0, *itertools.accumulate(sizes)]
    assert [*found.starts, edges[-1]][: len(found)] == [0, *found.ends][: len(found)]  # one after the other
    assert (found.ends[-1] if sizes else 0) == edges[-1]
    for start, end, row in zip(found.starts, found.ends, found.rows, strict=True):
        assert 0 < end - start <= length
        assert edges[row] <= start < edges[row + 1]
        # A block starts inside a row only if that row is longer than a block.
        assert start in edges or sizes[row] > length
