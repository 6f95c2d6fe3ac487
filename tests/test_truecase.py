"""Case: candidates are written as running text writes them, in text and in pieces alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from csr.cli import main
from csr.induction.placebo import placebo
from csr.lexicon import Lexicon, read_lexicon
from csr.switching.compiled import Switcher
from csr.switching.encoded import encode_lexicon
from csr.switching.lines import switch_line
from csr.switching.noise import PoissonSpans
from csr.switching.streams import Stream
from csr.switching.symbols import piece_roles
from csr.text.truecase import running_forms

LEXICON = Lexicon({"Haus": {"house": 1.0}, "rot": {"red": 1.0}, "Paris": {"Paris": 1.0}, "ich": {"I": 1.0}})
BOTH = Lexicon({"Haus": {"house": 1.0, "Paris": 1.0}, "rot": {"red": 1.0, "I": 1.0}, "ich": {"I": 1.0, "house": 1.0}})
WORDS = ("Haus", "haus", "HAUS", "rot", "Rot", "ROT", "Paris", "PARIS", "paris", "ich", "Ich", "zwei")


def test_the_form_of_running_text_is_learned_where_no_sentence_starts():
    lines = ["Das alte Haus. Rot ist das Haus: Alt!", "Wir sahen ein haus", "HAUS und USA", "(Kinder) sind", "L'Haÿ"]
    forms = running_forms(lines)
    assert forms["haus"] == "Haus"  # twice, "haus" and "HAUS" once each
    assert forms["das"] == "das"
    assert forms["usa"] == "USA"
    assert not {"kinder", "rot", "wir"} & set(forms)  # seen at starts alone


@pytest.mark.parametrize(
    ("line", "switched"),
    [
        ("Das Haus ist rot.", "Das house ist red."),  # German's capital is no English one
        ("Haus und Rot", "House und Red"),  # a first word keeps its capital; "Rot" is "rot" in Title
        ("DAS HAUS", "DAS HOUSE"),
        ("das haus", "das house"),  # looked up in any case
        ("ich mag Paris", "I mag Paris"),
    ],
)
def test_case_in_text(line, switched):
    assert switch_line(line, LEXICON.cased(), PoissonSpans(1.0), Stream(1, 1, 1)).text() == switched


LETTERS = sorted({c for w in (*WORDS, "house", "red", "I") for c in w + w.upper() + w.lower()})
PIECES = ["<s>", "<pad>", "</s>", "<unk>", *[f"▁{c}" for c in LETTERS], *LETTERS, "▁"]
INDEX = {piece: i for i, piece in enumerate(PIECES)}


def encoder(bare):
    """Write a word as its letters; with ``bare`` the space before a capital is a piece of its own."""

    def first(letter, spaced):
        if not spaced:
            return [letter]
        return ["▁", letter] if bare and letter.isupper() else [f"▁{letter}"]

    def encode(words, spaced):
        rows = [[INDEX.get(piece) for piece in (*first(word[0], spaced), *word[1:])] for word in words]
        return [[] if None in row else row for row in rows]

    return encode


@given(
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=8),
    st.lists(st.sampled_from(("house", "House", "HOUSE", "paris", "Paris", "i", "I", "red")), max_size=4),
    st.booleans(),
    st.integers(0, 2**40),
)
def test_case_in_pieces_is_that_of_text(words, aligned, bare, index):
    policy = PoissonSpans(0.5)
    expected = switch_line(" ".join(words), BOTH.cased(), policy, Stream(1, 1, index), aligned=aligned).text()
    ids = [i for row in encoder(bare)(words, True) for i in row]
    encoded = encode_lexicon(BOTH, encoder(bare))
    other = np.array([i for row in encoder(bare)(aligned, True) for i in row], np.int64)
    switcher = Switcher(encoded, piece_roles(PIECES), policy, seed=1, max_growth=9)
    out, _ = switcher(np.array(ids), 1, index, aligned=other)
    assert "".join(PIECES[i] for i in out).replace("▁", " ").split() == expected.split()


def run(*arguments: str | Path) -> int:
    return main(["lexicon", *map(str, arguments)])


def test_lexicons_are_made_and_edited_in_the_form_of_text(tmp_path: Path, capsys) -> None:
    (tmp_path / "de").write_text("Das Haus ist da\nEin Haus ist da\n" * 3)
    (tmp_path / "en").write_text("The house is there\nA house is there\n" * 3)
    assert run("ibm1", "--src", tmp_path / "en", "--tgt", tmp_path / "de", "--out", tmp_path / "en-de.tsv") == 0
    assert "Haus" in read_lexicon(tmp_path / "en-de.tsv").entries["house"]
    (tmp_path / "muse.txt").write_text("house\thaus\nhouse\theim\n")
    command = ["muse", tmp_path / "muse.txt", "--truecase-tgt", tmp_path / "de", "--out", tmp_path / "muse.tsv"]
    assert run(*command) == 0
    assert read_lexicon(tmp_path / "muse.tsv").entries == {"house": {"Haus": 1.0, "heim": 1.0}}
    # Turned round, a cased word is found and judged all the same.
    assert run("transform", tmp_path / "muse.tsv", "--invert", "--out", tmp_path / "back.tsv") == 0
    (tmp_path / "gold").write_text("haus house\n")
    capsys.readouterr()
    assert run("stats", tmp_path / "back.tsv", "--src", tmp_path / "de", "--gold", tmp_path / "gold") == 0
    assert "gold precision@1" in capsys.readouterr().out


def test_a_german_noun_that_no_text_has_does_not_hand_on_its_capital(tmp_path: Path) -> None:
    (tmp_path / "de").write_text("Da ist ein Haus\n")
    (tmp_path / "more").write_text("Das ist alt\n")
    (tmp_path / "tsv").write_text("haus\thouse\nhut\that\nalt\told\n")
    texts = "--truecase-src", tmp_path / "de", tmp_path / "more"
    made = {}
    for language in ("de", "nl"):
        assert run("import", tmp_path / "tsv", "--source-lang", language, *texts, "--out", tmp_path / "out.tsv") == 0
        made[language] = read_lexicon(tmp_path / "out.tsv").cased((language, "en")).entries
    assert list(made["de"]["Hut"]) == ["hat"]
    assert list(made["de"]["hut"]) == ["hat"]
    assert list(made["nl"]["Hut"]) == ["Hat"]  # begins a sentence
    for entries in made.values():
        assert list(entries["Haus"]) == ["house"]
        assert list(entries["Alt"]) == ["Old"]


def test_cases_of_two_lexicons_are_one_word() -> None:
    a, b = Lexicon({"Haus": {"house": 1.0}}), Lexicon({"haus": {"House": 3.0, "home": 1.0}})
    assert Lexicon.merged([(a, 1.0), (b, 1.0)]).entries == {"Haus": {"house": 1.75, "home": 0.25}}
    polish = Lexicon({"polish": {"polieren": 1.0}, "Polish": {"polnisch": 1.0}})
    assert Lexicon.merged([(polish, 1.0)]) == polish


candidates = st.sampled_from([f"c{i}" for i in range(30)])
lexicons = st.dictionaries(
    st.sampled_from("abcdefgh"), st.dictionaries(candidates, st.floats(0.01, 1), min_size=1), min_size=1
).map(Lexicon)


@given(lexicons, st.integers(0, 5), st.booleans())
def test_a_placebo_has_the_same_words_and_weights_and_no_candidate_stays(lexicon, seed, counted):
    frequencies = {f"c{i}": i * i for i in range(30)} if counted else None
    made = placebo(lexicon, seed, frequencies)
    assert made == placebo(lexicon, seed, frequencies)
    exchanged: dict[str, str] = {}
    for word, options in lexicon.entries.items():
        assert list(made.entries[word].values()) == list(options.values())
        for old, new in zip(options, made.entries[word], strict=True):
            assert exchanged.setdefault(old, new) == new
    assert set(exchanged.values()) == set(exchanged)
    assert len(exchanged) == 1 or all(old != new for old, new in exchanged.items())


def test_a_placebo_exchanges_within_bands_of_frequency(tmp_path: Path) -> None:
    rare, frequent, stops = [f"r{i}" for i in range(8)], [f"f{i}" for i in range(8)], ["und", "oder"]
    rows = [f"w{i}\t{c}\t0.{i % 9 + 1}\n" for i, c in enumerate((*rare, *frequent, *stops))]
    (tmp_path / "a.tsv").write_text("".join(rows))
    (tmp_path / "text").write_text(" ".join([*rare, *frequent * 100, *stops * 100]) + "\n")
    command = ["placebo", tmp_path / "a.tsv", "--text", tmp_path / "text", "--tgt-stop-words", "de"]
    assert run(*command, "--seed", "3", "--out", tmp_path / "b.tsv") == 0
    new = {next(iter(c)) for w, c in read_lexicon(tmp_path / "b.tsv").entries.items() if int(w[1:]) < 8}
    assert new == set(rare)
    new = {next(iter(c)) for w, c in read_lexicon(tmp_path / "b.tsv").entries.items() if int(w[1:]) > 15}
    assert new == set(stops)
