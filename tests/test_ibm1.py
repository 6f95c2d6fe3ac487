"""IBM Model 1: two sentences by hand, a plain EM beside it, and what must hold for any text."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import digamma
from tiny_bitext import Pairs, bitext, one_thread  # noqa: F401

from csr.cli import main
from csr.errors import DataError
from csr.induction.ibm1 import Model1, _digamma, train
from csr.lexicon import read_lexicon

sentences = st.lists(st.sampled_from("abcde"), min_size=1, max_size=6)
corpora = st.lists(st.tuples(sentences, sentences), min_size=1, max_size=12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ibm1")


def model(folder: Path, pairs: Pairs, min_cooccurrence: int = 1) -> Model1:
    """Model 1 of sentence pairs."""
    return Model1(bitext(folder, pairs), min_cooccurrence)


def plain_em(pairs: Pairs, iterations: int, alpha: float | None = None) -> dict[str, dict[str, float]]:
    """t(f | e) by the equations of Brown et al., one dictionary entry at a time; the word "" is NULL."""
    n_words = len({f for _, target in pairs for f in target})
    t: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(lambda: 1 / n_words))
    for _ in range(iterations):
        counts: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
        for source, target in pairs:
            for f in target:
                total = sum(t[e][f] for e in ["", *source])
                for e in ["", *source]:
                    counts[e][f] += t[e][f] / total
        for e, row in counts.items():
            total = sum(row.values())
            for f, count in row.items():
                if alpha is None:
                    t[e][f] = count / total
                else:
                    t[e][f] = math.exp(digamma(count + alpha) - digamma(total + alpha * len(row)))
    return {e: dict(row) for e, row in t.items()}


def test_two_sentences_by_hand(folder: Path) -> None:
    """das haus / the house; das buch / the book.

    t = 1/3 at first, so each of NULL, das, haus takes 1/3 of each target word of its sentence. Counts of das: the 2/3,
    house 1/3, book 1/3, normalised 1/2, 1/4, 1/4; NULL the same; haus: the 1/2, house 1/2.
    Second iteration, first sentence: sum for the = 1/2 + 1/2 + 1/2, a third to each; for house = 1/4 + 1/4 + 1/2, so
    haus takes 1/2. Counts of haus: the 1/3, house 1/2, normalised 2/5, 3/5; of das: the 2/3, house 1/4, book 1/4,
    normalised 4/7, 3/14, 3/14.
    """
    found = model(folder, [(["das", "haus"], ["the", "house"]), (["das", "buch"], ["the", "book"])])
    # each target word has probability 1/(2+1) (1/3 + 1/3 + 1/3) = 1/3
    assert found.iterate() == pytest.approx(4 * math.log(1 / 3))
    assert found.lexicon().entries["das"] == pytest.approx({"the": 1 / 2, "house": 1 / 4, "book": 1 / 4})
    assert found.lexicon().entries["haus"] == pytest.approx({"the": 1 / 2, "house": 1 / 2})
    # the: 1/3 * 3/2 = 1/2; house, book: 1/3 * 1 = 1/3
    assert found.iterate() == pytest.approx(2 * math.log(1 / 2) + 2 * math.log(1 / 3))
    entries = found.lexicon().entries
    assert entries["das"] == pytest.approx({"the": 4 / 7, "house": 3 / 14, "book": 3 / 14})
    assert entries["haus"] == pytest.approx({"house": 3 / 5, "the": 2 / 5})
    assert list(entries) == ["das", "haus", "buch"]  # by frequency
    assert list(entries["haus"]) == ["house", "the"]  # best first
    # NULL ties with das for "the", and NULL comes first; house and book go to haus and buch
    assert found.alignments() == [[(1, 1)], [(1, 1)]]


def test_fast_align_says_the_same(folder: Path) -> None:
    """Log t and log-likelihoods printed by fast_align -I 5 -p, which updates the table four times and then aligns."""
    text = "das haus|the house\ndas buch|the book\nein buch|a book\nein kleines haus|a small house\nja|yes indeed"
    found = model(folder, [tuple(side.split() for side in line.split("|")) for line in text.split("\n")])
    likelihoods = [*found.fit(4), found.log_likelihood()]
    assert likelihoods[1:] == pytest.approx([-13.9208, -13.2094, -12.6723, -12.3058], rel=1e-5)
    entries = found.lexicon().entries
    for source, target, log_prob in (
        ("das", "the", -0.135786),
        ("haus", "small", -2.32035),
        ("kleines", "small", -0.487911),
        ("ein", "book", -2.82492),
        ("ja", "yes", -0.693147),
    ):
        assert math.log(entries[source][target]) == pytest.approx(log_prob, rel=1e-5)
    alignments = [[(0, 0), (1, 1)]] * 3 + [[(0, 0), (1, 1), (2, 2)], [(0, 0), (0, 1)]]
    assert found.alignments() == alignments


@settings(deadline=None, max_examples=30)
@given(pairs=corpora, iterations=st.integers(1, 4), alpha=st.sampled_from([None, 0.01, 1.0]))
def test_the_table_is_that_of_a_plain_em(folder: Path, pairs: Pairs, iterations: int, alpha: float | None) -> None:
    found = model(folder, pairs)
    found.fit(iterations, alpha)
    expected = plain_em(pairs, iterations, alpha)
    entries = found.lexicon(1e-300).entries
    assert {*entries, ""} == set(expected)
    for word, row in entries.items():
        assert row == pytest.approx(expected[word], rel=1e-9)


@settings(deadline=None, max_examples=30)
@given(pairs=corpora, min_cooccurrence=st.integers(1, 3))
def test_the_likelihood_never_falls_and_rows_sum_to_one(folder: Path, pairs: Pairs, min_cooccurrence: int) -> None:
    found = model(folder, pairs, min_cooccurrence)
    likelihoods = [*found.fit(8), found.log_likelihood()]
    assert all(b >= a - 1e-9 * abs(a) for a, b in pairwise(likelihoods))
    for row in found.lexicon(1e-300).entries.values():
        assert sum(row.values()) == pytest.approx(1)


@given(pairs=st.lists(st.tuples(sentences, sentences), min_size=5, max_size=30))
@settings(deadline=None, max_examples=20)
def test_the_number_of_threads_does_not_change_a_bit(folder: Path, pairs: Pairs) -> None:
    results = []
    most = numba.config.NUMBA_NUM_THREADS
    for n_threads in {1, min(2, most), most}:
        numba.set_num_threads(n_threads)
        found = model(folder, pairs)
        results.append((found.fit(3), found.lexicon(), found.alignments()))
    assert all(result == results[0] for result in results)


def test_pruning_drops_rare_pairs_of_frequent_words_and_keeps_rare_words(folder: Path) -> None:
    # b and y occur four times and meet once; r and s occur once.
    pairs = [(["a", "b"], ["x", "z"])] * 3 + [(["a"], ["y"])] * 3 + [(["b", "r"], ["y", "s"])]
    found = model(folder, pairs, min_cooccurrence=2)
    found.fit(1)
    entries = found.lexicon(1e-300).entries
    assert set(entries["b"]) == {"x", "z", "s"}
    assert set(entries["r"]) == {"y", "s"}
    assert set(model(folder, pairs).lexicon(1e-300).entries["b"]) == {"x", "y", "z", "s"}


def test_digamma() -> None:
    x = np.geomspace(1e-3, 1e6, 200)
    np.testing.assert_allclose([_digamma(value) for value in x], digamma(x), rtol=1e-9, atol=1e-9)


def test_words_are_lower_cased_unless_the_text_is_tokenized(tmp_path: Path) -> None:
    (tmp_path / "src").write_text("Haus,\n")
    (tmp_path / "tgt").write_text("The house.\n")
    assert train(tmp_path / "src", tmp_path / "tgt")[0].entries == {"haus": pytest.approx({"the": 0.5, "house": 0.5})}
    assert list(train(tmp_path / "src", tmp_path / "tgt", tokenized=True)[0].entries) == ["Haus,"]


@pytest.mark.parametrize(
    ("src", "tgt", "message"),
    [
        ("a\nb\n", "x\n", "tgt:2: expected a line"),
        ("", "", "src: expected at least one line"),
        ("!\n", "x\n", "src: expected words, found none in any of the 1 pairs"),
        ("a\n", "x\xff\n", "tgt:1: expected UTF-8, found byte 0xff at column 2"),
    ],
)
def test_bad_text(tmp_path: Path, src: str, tgt: str, message: str) -> None:
    (tmp_path / "src").write_bytes(src.encode("latin-1"))
    (tmp_path / "tgt").write_bytes(tgt.encode("latin-1"))
    with pytest.raises(DataError, match=message):
        train(tmp_path / "src", tmp_path / "tgt")


def test_command_writes_both_directions_and_says_how(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "src").write_text("Das Haus\n\nDas Buch\n")
    (tmp_path / "tgt").write_text("the house\nempty\nthe book\n")
    names = {name: str(tmp_path / name) for name in ("src", "tgt", "de-en.tsv", "en-de.tsv.gz")}
    command = ["lexicon", "ibm1", "--src", names["src"], "--tgt", names["tgt"], "--iterations", "2"]
    assert main([*command, "--out", names["de-en.tsv"], "--reverse-out", names["en-de.tsv.gz"]]) == 0
    assert read_lexicon(names["de-en.tsv"]).entries["Haus"] == pytest.approx({"house": 3 / 5, "the": 2 / 5})
    assert read_lexicon(names["en-de.tsv.gz"]).entries["house"] == pytest.approx({"Haus": 3 / 5, "das": 2 / 5})
    record = json.loads(Path(names["de-en.tsv"] + ".json").read_text())
    assert record["options"]["iterations"] == 2
    assert record["quality"]["pairs"] == 2
    assert record["quality"]["pairs_left_out"] == 1
    assert record["quality"]["log_likelihoods"][0] == pytest.approx(4 * math.log(1 / 3))
    assert "iteration 2: log-likelihood" in capsys.readouterr().err
