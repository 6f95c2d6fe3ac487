"""The HMM aligner: sums over all alignments beside it, a textbook's example, and what must hold for any text."""

from __future__ import annotations

import itertools
import json
import math
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_bitext import Pairs, bitext, one_thread  # noqa: F401

from csr.cli import main
from csr.induction.aligner import Aligner
from csr.induction.hmm import P_NULL, UNIT, forward_backward
from csr.induction.links import HEURISTICS
from csr.induction.symmetrization import symmetrize
from csr.lexicon import read_lexicon

sentences = st.lists(st.sampled_from("abc"), min_size=1, max_size=4)
corpora = st.lists(st.tuples(sentences, sentences), min_size=1, max_size=6)
TEXTBOOK = [tuple(side.split() for side in line.split("|")) for line in
            ("das haus|the house", "das buch|the book", "ein buch|a book")]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hmm")


def alignments(
    emission: np.ndarray, null: np.ndarray, jumps: np.ndarray
) -> Iterator[tuple[tuple[int, ...], float, list[tuple[int, float]]]]:
    """Every alignment (0 is NULL), its probability with the words, and its moves (width, sum of the weights)."""
    n_made, n_given = emission.shape
    zero = len(jumps) // 2
    for alignment in itertools.product(range(n_given + 1), repeat=n_made):
        prob, last, moves = 1.0, 0, []
        for j, position in enumerate([*alignment, n_given + 1]):
            if position == 0:
                prob *= P_NULL * null[j]
                continue
            total = sum(jumps[zero + k - last] for k in range(1, n_given + 2))
            prob *= jumps[zero + position - last] / total
            if position <= n_given:
                prob *= (1 - P_NULL) * emission[j, position - 1]
            moves.append((position - last, total))
            last = position
        yield alignment, prob, moves


@pytest.mark.slow
@settings(deadline=None, max_examples=25)
@given(n_made=st.integers(1, 4), n_given=st.integers(1, 3), seed=st.integers(0, 1000))
def test_posteriors_are_sums_over_all_alignments(n_made: int, n_given: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    emission, null = rng.random((n_made, n_given)), rng.random(n_made)
    jumps = rng.random(2 * (n_given + 2) + 1)
    zero = len(jumps) // 2
    total, nulls, links = 0.0, np.zeros(n_made), np.zeros((n_made, n_given))
    taken, possible = np.zeros(len(jumps)), np.zeros(len(jumps))
    for alignment, prob, moves in alignments(emission, null, jumps):
        total += prob
        for j, position in enumerate(alignment):
            if position:
                links[j, position - 1] += prob
            else:
                nulls[j] += prob
        last = 0
        for width, weights in moves:
            taken[zero + width] += prob
            possible[zero + 1 - last : zero + n_given + 2 - last] += prob / weights
            last += width
    found_taken, found_possible = np.zeros(len(jumps)), np.zeros(len(jumps))
    log_likelihood = forward_backward(emission, null, jumps, found_taken, found_possible)
    assert log_likelihood == pytest.approx(math.log(total), rel=1e-9)
    np.testing.assert_allclose(emission, links / total, rtol=1e-9)
    np.testing.assert_allclose(null, nulls / total, rtol=1e-9)
    np.testing.assert_allclose(found_taken * jumps, taken / total, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(np.cumsum(found_possible), possible / total, rtol=1e-9, atol=1e-12)


def plain(pairs: Pairs, iterations: int, alpha: float | None, agreement: bool) -> tuple[dict, list[float]]:
    """The whole training by enumeration, one dictionary entry at a time; the counts of links and the likelihoods."""
    sides = [pairs, [(target, source) for source, target in pairs]]
    n_words = [len({word for _, made in side for word in made}) for side in sides]
    n = max(len(side) for pair in pairs for side in pair) + 2
    jumps = [np.exp(-np.abs(np.arange(-n, n + 1) - 1) / 2) for _ in sides]
    posteriors: list[list[tuple[np.ndarray, np.ndarray]]] | None = None  # of links [made, given] and of NULL
    likelihoods = []
    for iteration in range(2 * iterations):
        hmm, prior = iteration >= iterations, 1.0 if posteriors is None else alpha or 0.0
        counts: list[defaultdict] = [defaultdict(float) for _ in sides]
        for d, side in enumerate(sides):
            for (given_, made), (links, nulls) in zip(side, posteriors[d] if posteriors else [], strict=False):
                for j, f in enumerate(made):
                    counts[d][None, f] += nulls[j]
                    counts[d][None] += nulls[j]
                    for i, e in enumerate(given_):
                        counts[d][e, f] += links[j, i]
                        counts[d][e] += links[j, i]
        fresh: list[list[tuple[np.ndarray, np.ndarray]]] = [[], []]
        log_likelihood = 0.0
        for d, side in enumerate(sides):
            taken, possible = np.zeros(len(jumps[d])), np.zeros(len(jumps[d]))
            for s, (given_, made) in enumerate(side):
                emission, null = np.zeros((len(made), len(given_))), np.zeros(len(made))
                own_links, own_nulls = posteriors[d][s] if posteriors and alpha else (emission * 0, null * 0)
                for j, f in enumerate(made):
                    above = counts[d][None, f] - own_nulls[j] + prior
                    null[j] = above / (counts[d][None] + prior * n_words[d])
                    for i, e in enumerate(given_):
                        above = counts[d][e, f] - own_links[j, i] + prior
                        emission[j, i] = above / (counts[d][e] - own_links[:, i].sum() + prior * n_words[d])
                if hmm:
                    log_likelihood += forward_backward(emission, null, jumps[d], taken, possible)
                else:
                    emission *= (1 - P_NULL) / len(given_)
                    null *= P_NULL
                    total = emission.sum(axis=1) + null
                    emission, null = emission / total[:, None], null / total
                    log_likelihood += float(np.log(total).sum())
                fresh[d].append((emission, null))
            if hmm:
                possible = np.cumsum(possible)
                new = np.where(possible > 0, taken * jumps[d] / np.where(possible > 0, possible, 1), 0)
                jumps[d] = np.maximum(new / new.max(), 1e-9)
        if hmm and agreement:
            joint = [ours[0] * theirs[0].T for ours, theirs in zip(*fresh, strict=True)]
            fresh[0] = [(links, null) for links, (_, null) in zip(joint, fresh[0], strict=True)]
            fresh[1] = [(links.T, null) for links, (_, null) in zip(joint, fresh[1], strict=True)]
        posteriors = fresh
        likelihoods.append(log_likelihood)
    totals: defaultdict = defaultdict(float)
    assert posteriors is not None
    for (source, target), (links, _) in zip(pairs, posteriors[0], strict=True):
        for j, f in enumerate(target):
            for i, e in enumerate(source):
                totals[e, f] += links[j, i]
    return totals, likelihoods


@pytest.mark.slow
@settings(deadline=None, max_examples=15)
@given(pairs=corpora, alpha=st.sampled_from([None, 0.01]), agreement=st.booleans())
def test_the_training_is_the_plain_one(folder: Path, pairs: Pairs, alpha: float | None, agreement: bool) -> None:
    aligner = Aligner(bitext(folder, pairs), alpha=alpha, agreement=agreement)
    likelihoods = aligner.fit(2)
    counts, expected = plain(pairs, 2, alpha, agreement)
    # Posteriors are rounded to 1/65535, and what is rounded is divided by counts from alpha on.
    assert likelihoods == pytest.approx(expected, abs=0.05)
    totals: defaultdict[str, float] = defaultdict(float)
    for (e, _), count in counts.items():
        totals[e] += count
    for e, row in aligner.lexicons(0.1)[0].entries.items():
        if totals[e] > 0.01:
            assert row == {f: pytest.approx(counts[e, f] / totals[e], abs=0.02) for f in row}


@pytest.mark.slow
@settings(deadline=None, max_examples=20)
@given(pairs=corpora)
def test_the_likelihood_never_falls_in_em(folder: Path, pairs: Pairs) -> None:
    likelihoods = Aligner(bitext(folder, pairs), alpha=None, agreement=False).fit(6)
    tolerance = 16 * 12 * len(pairs) / UNIT  # what rounding may cost: each link of each pair, half a unit and its log
    for stage in (likelihoods[:6], likelihoods[6:]):
        assert all(after >= before - tolerance for before, after in pairwise(stage))
    assert likelihoods[5] > likelihoods[0] - tolerance


@pytest.mark.slow
@settings(deadline=None, max_examples=10)
@given(pairs=corpora)
def test_the_number_of_threads_does_not_change_a_bit(folder: Path, pairs: Pairs) -> None:
    results = []
    most = numba.config.NUMBA_NUM_THREADS
    for n_threads in {1, most}:
        numba.set_num_threads(n_threads)
        aligner = Aligner(bitext(folder, pairs * 20))
        results.append((aligner.fit(2), aligner.lexicons(), list(aligner.links())))
    assert all(result == results[0] for result in results)


@pytest.mark.parametrize("heuristic", HEURISTICS)
def test_the_textbook_example(folder: Path, heuristic: str) -> None:
    """Koehn (2010), figure 4.4: das - the, haus - house, buch - book, ein - a."""
    aligner = Aligner(bitext(folder, TEXTBOOK))
    aligner.fit(5)
    assert list(aligner.links(heuristic)) == [[(0, 0), (1, 1)]] * 3
    forward, reverse = aligner.lexicons()
    assert {word: next(iter(row)) for word, row in forward.entries.items()} == {
        "das": "the", "buch": "book", "haus": "house", "ein": "a"
    }  # fmt: skip
    assert {word: next(iter(row)) for word, row in reverse.entries.items()} == {
        "the": "das", "book": "buch", "house": "haus", "a": "ein"
    }  # fmt: skip


def matrix(links: str, n_src: int, n_tgt: int, value: float = 1.0) -> np.ndarray:
    """Posteriors that are ``value`` for the given links."""
    found = np.zeros((n_src, n_tgt))
    for link in links.split():
        i, j = link.split("-")
        found[int(i), int(j)] = value
    return found


def joined(forward: str, reverse: str, heuristic: str, n_src: int, n_tgt: int) -> str:
    links = symmetrize(matrix(forward, n_src, n_tgt), matrix(reverse, n_src, n_tgt), HEURISTICS.index(heuristic))
    return " ".join(f"{i}-{j}" for i, j in np.argwhere(links))


def test_symmetrization_by_hand() -> None:
    """Forward 0-0 1-1 1-2 4-4, reverse 0-0 2-1 3-3 4-4 0-5, five source and six target words.

    Both have 0-0 and 4-4. Growing from 0-0: 1-1 touches it, and takes in source word 1. From 1-1: 1-2 takes in target
    word 2, 2-1 source word 2. From 4-4: 3-3 takes in both its words. 0-5 touches no link, and its source word
    has one, so that final-and leaves it out.
    """
    forward, reverse = "0-0 1-1 1-2 4-4", "0-0 2-1 3-3 4-4 0-5"
    cases = {
        "intersection": "0-0 4-4",
        "union": "0-0 0-5 1-1 1-2 2-1 3-3 4-4",
        "grow-diag": "0-0 1-1 1-2 2-1 3-3 4-4",
        "grow-diag-final-and": "0-0 1-1 1-2 2-1 3-3 4-4",
        "posterior": "0-0 4-4",
    }
    for heuristic, expected in cases.items():
        assert joined(forward, reverse, heuristic, 5, 6) == expected
    # 0-0 alone is common; 2-2 touches no link: only the final step takes it. Then 2-3 comes too late: 2 has a link.
    assert joined("0-0 2-2", "0-0 2-3", "grow-diag", 3, 4) == "0-0"
    assert joined("0-0 2-2", "0-0 2-3", "grow-diag-final-and", 3, 4) == "0-0 2-2"
    # 1-1 is common; 0-0 touches it and takes in both its words, after which 0-1 has nothing to take in.
    assert joined("0-0 1-1", "1-1 0-1", "grow-diag", 2, 2) == "0-0 1-1"


def test_posteriors_are_joined_by_their_geometric_mean() -> None:
    forward, reverse = np.array([[0.9, 0.3]]), np.array([[0.1, 0.31]])
    # sqrt(.9 * .1) = .3 and sqrt(.3 * .31) = .305; a half is asked for elsewhere
    assert symmetrize(forward + 1e-9, reverse, 0).tolist() == [[True, True]]
    assert symmetrize(forward - 0.01, reverse, 0).tolist() == [[False, False]]
    assert symmetrize(forward, reverse, HEURISTICS.index("union")).tolist() == [[True, False]]


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000))
def test_each_heuristic_adds_to_the_one_before(seed: int) -> None:
    forward, reverse = np.random.default_rng(seed).random((2, 5, 6))
    found = [symmetrize(forward, reverse, HEURISTICS.index(name)) for name in HEURISTICS[1:]]
    intersection, union, grow_diag, final = found
    for smaller, larger in ((intersection, grow_diag), (grow_diag, final), (final, union)):
        assert not (smaller & ~larger).any()


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "src").write_text("\nDas Haus\n...\nDas Buch\nein Buch!\n\n")
    (tmp_path / "tgt").write_text("empty\nthe house\nnothing\nthe book\nA book\n\n")
    names = {name: str(tmp_path / name) for name in ("src", "tgt", "de-en.tsv", "en-de.tsv.gz", "links")}
    command = ["lexicon", "align", "--src", names["src"], "--tgt", names["tgt"], "--links", names["links"]]
    assert main([*command, "--out", names["de-en.tsv"], "--reverse-out", names["en-de.tsv.gz"]]) == 0
    assert (tmp_path / "links").read_text() == "\n0-0 1-1\n\n0-0 1-1\n0-0 1-1\n\n"
    assert next(iter(read_lexicon(names["de-en.tsv"]).entries["Haus"])) == "house"
    assert next(iter(read_lexicon(names["en-de.tsv.gz"]).entries["book"])) == "Buch"
    record = json.loads(Path(names["de-en.tsv"] + ".json").read_text())
    assert record["options"]["symmetrize"] == "posterior"
    assert (record["quality"]["pairs"], record["quality"]["pairs_left_out"]) == (3, 3)
    assert "HMM, iteration 5: log-likelihood" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("src", "tgt", "options", "message"),
    [
        (b"a\nb\n", b"x\n", "--out o", "tgt:2: expected a line"),
        (b"!\n", b"x\n", "--out o", "src: expected words, found none in any of the 1 pairs"),
        (b"a\n", b"x\xff\n", "--links o", "tgt:1: expected UTF-8, found byte 0xff at column 2"),
        (b"a\n", b"x\n", "", "expected --out, --reverse-out or --links, found none"),
        (b"a\n", b"x\n", "--out o --links o", "expected different files"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    src: bytes, tgt: bytes, options: str, message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("src").write_bytes(src)
    Path("tgt").write_bytes(tgt)
    assert main(["lexicon", "align", "--src", "src", "--tgt", "tgt", *options.split()]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["src", "tgt"]
