"""The Lexicon: the printed numbers of Visser et al., what every operation must keep, and files there and back."""

from __future__ import annotations

import gzip
import json
import math
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csr.cli import main
from csr.errors import DataError
from csr.lexicon import Lexicon, deduced_kind, read_lexicon, write_lexicon
from csr.lexicon_record import Record, read_record, sidecar, write_sidecar
from csr.text.forms import composed

words = st.text(st.characters(categories=("L", "M", "N")), min_size=1, max_size=6).map(composed)
weights = st.floats(1e-6, 1e3)
lexicons = st.dictionaries(words, st.dictionaries(words, weights, min_size=1, max_size=5), min_size=1, max_size=6).map(
    Lexicon
)

small = lexicons.map(Lexicon.lowered)  # words that differ in case alone are one word where lexicons meet

# Visser et al., Table 1: translation, probability, "NL".
TABLE_1 = {
    "work": [
        ("travail", 0.3689, 0.717),
        ("travailler", 0.2252, 0.608),
        ("travaille", 0.0544, 0.379),
        ("travaillent", 0.0405, 0.343),
        ("de", 0.0312, 0.314),
        ("pour", 0.0244, 0.289),
        ("et", 0.0164, 0.254),
        ("les", 0.0154, 0.248),
        ("à", 0.0150, 0.246),
        ("le", 0.0136, 0.238),
        ("des", 0.0133, 0.236),
        ("travaillons", 0.0112, 0.223),
        ("fonctionnent", 0.0098, 0.214),
    ],
    "excited": [("excité", 0.1293, 0.5057), ("excités", 0.0950, 0.4563), ("très", 0.0748, 0.4214)],
    "wounds": [("blessures", 0.4156, 0.7463)],
}


def table_1() -> Lexicon:
    return Lexicon({word: {candidate: p for candidate, p, _ in rows} for word, rows in TABLE_1.items()})


@pytest.mark.parametrize("word", TABLE_1)
def test_tempering_gives_the_numbers_of_table_1(word: str) -> None:
    """The paper's column NL is t^(1/3) before normalisation; its last digit is cut, and p itself is rounded."""
    tempered = table_1().tempered(3).entries[word]
    last_digit = 1e-3 if word == "work" else 1e-4
    for candidate, _, printed in TABLE_1[word]:
        assert tempered[candidate] == pytest.approx(printed, abs=1.1 * last_digit)


def test_filters_of_section_3_1_leave_the_content_words_of_work() -> None:
    """Above 2 % remain travail, travailler, travaille, travaillent, de, pour; the last two are stop words.

    t^(1/3) = .717 .608 .379 .343, sum 2.047, so travail is drawn with probability .350.
    """
    lexicon = table_1().filtered(min_weight=0.02, min_length=4, target_stop_words={"de", "pour"}).tempered(3)
    assert list(lexicon.entries["work"]) == ["travail", "travailler", "travaille", "travaillent"]
    assert lexicon.probs("work")["travail"] == pytest.approx(0.350, abs=5e-4)


def test_filters_look_at_the_right_side() -> None:
    lexicon = Lexicon({"the": {"work": 0.9}, "work": {"the": 0.5, "ici": 0.02, "là": 0.019}, "cat": {"chat": 1.0}})
    assert lexicon.filtered(stop_words={"the"}).entries == {
        "work": {"the": 0.5, "ici": 0.02, "là": 0.019},
        "cat": {"chat": 1.0},
    }
    assert lexicon.filtered(target_stop_words={"the", "work"}, min_weight=0.02).entries == {
        "work": {"ici": 0.02},
        "cat": {"chat": 1.0},
    }
    assert set(lexicon.filtered(min_length=4).entries) == {"work"}


@given(lexicons, st.floats(0.2, 20))
def test_tempering_keeps_the_order_and_sums_to_one(lexicon: Lexicon, temperature: float) -> None:
    tempered = lexicon.tempered(temperature)
    for word, candidates in lexicon.entries.items():
        probs = tempered.probs(word)
        assert sum(probs.values()) == pytest.approx(1)
        order = sorted(candidates, key=candidates.__getitem__)
        assert all(probs[a] <= probs[b] * (1 + 1e-9) for a, b in pairwise(order))


@given(lexicons)
def test_temperature_one_changes_nothing_and_infinity_is_uniform(lexicon: Lexicon) -> None:
    assert lexicon.tempered(1) == lexicon
    for word, candidates in lexicon.entries.items():
        assert list(lexicon.tempered(math.inf).probs(word).values()) == pytest.approx(
            [1 / len(candidates)] * len(candidates)
        )


@given(lexicons, st.integers(1, 6))
def test_top_keeps_the_heaviest(lexicon: Lexicon, k: int) -> None:
    for word, kept in lexicon.top(k).entries.items():
        candidates = lexicon.entries[word]
        assert list(kept.values()) == sorted(candidates.values(), reverse=True)[:k]
        assert kept.items() <= candidates.items()


@given(lexicons)
def test_inverting_twice_changes_nothing_but_the_order(lexicon: Lexicon) -> None:
    assert lexicon.inverted().inverted() == lexicon
    assert all(list(c.values()) == sorted(c.values(), reverse=True) for c in lexicon.inverted().entries.values())


@given(small, small)
def test_restriction_keeps_what_occurs(lexicon: Lexicon, other: Lexicon) -> None:
    vocabulary = set(other.entries)
    pairs = {(w, c) for w, options in lexicon.restricted(vocabulary, vocabulary).entries.items() for c in options}
    assert pairs == {(w, c) for w, o in lexicon.entries.items() for c in o if w in vocabulary and c in vocabulary}


@given(small, small, st.floats(0.1, 10))
def test_a_merged_word_weighs_the_factors_of_the_lexicons_that_have_it(a: Lexicon, b: Lexicon, factor: float) -> None:
    merged = Lexicon.merged([(a, 1.0), (b, factor)])
    assert set(merged.entries) == {*a.entries, *b.entries}
    for word, candidates in merged.entries.items():
        assert sum(candidates.values()) == pytest.approx((word in a) + factor * (word in b))


def test_merging_by_hand() -> None:
    a, b = Lexicon({"work": {"travail": 3.0, "œuvre": 1.0}}), Lexicon({"work": {"travail": 1.0, "boulot": 1.0}})
    # .75 + 2 * .5, 2 * .5, .25
    assert Lexicon.merged([(a, 1), (b, 2)]).entries["work"] == {"travail": 1.75, "boulot": 1.0, "œuvre": 0.25}


@pytest.mark.parametrize("bad", [lambda x: x.tempered(0), lambda x: x.top(0), lambda x: Lexicon.merged([(x, 0)])])
def test_settings_out_of_range(bad: object) -> None:
    with pytest.raises(ValueError, match="must be"):
        bad(table_1())  # type: ignore[operator]


@given(lexicon=lexicons, suffix=st.sampled_from([".tsv", ".tsv.gz"]))
def test_written_then_read_is_the_same(tmp_path_factory: pytest.TempPathFactory, lexicon: Lexicon, suffix: str) -> None:
    path = tmp_path_factory.mktemp("lexicon") / f"x{suffix}"
    write_lexicon(lexicon, path)
    found = read_lexicon(path)
    assert [(w, list(c)) for w, c in found.entries.items()] == [(w, list(c)) for w, c in lexicon.entries.items()]
    for word, candidates in lexicon.entries.items():
        assert found.entries[word] == pytest.approx(candidates, rel=1e-5)
    again = path.with_name(f"y{suffix}")
    write_lexicon(found, again)
    assert again.read_bytes() == path.read_bytes()


def test_two_columns_weigh_one_and_a_repeated_pair_keeps_its_larger_weight(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_text("haus\thouse\nhaus\thome\t0.5\nhaus\thome\t0.25\n")
    assert read_lexicon(path).entries == {"haus": {"house": 1.0, "home": 0.5}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\tb\t1\na b 1\n", r"x.tsv:2: expected source<TAB>target<TAB>weight, found 1 field"),
        (b"a\tb\t1\t2\n", r"x.tsv:1: .* found 4 field"),
        (b"a\t\t1\n", r"x.tsv:1: expected a word on each side"),
        (b"a\tb\tmuch\n", r"x.tsv:1: expected a positive weight, found 'much'"),
        (b"a\tb\t0\n", r"x.tsv:1: expected a positive weight, found '0'"),
        (b"a\tb\tnan\n", r"x.tsv:1: expected a positive weight"),
        (b"a\tb\tinf\n", r"x.tsv:1: expected a positive weight"),
        (b"a\tb\n\xffa\tb\n", r"x.tsv:2: expected UTF-8, found byte 0xff at column 1"),
        (b"", r"x.tsv: expected at least one entry, found none"),
    ],
)
def test_bad_files(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "x.tsv").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_lexicon(tmp_path / "x.tsv")


def test_a_file_cut_short_and_a_missing_file(tmp_path: Path) -> None:
    (tmp_path / "x.tsv.gz").write_bytes(gzip.compress(b"a\tb\t1\n" * 1000)[:-10])
    with pytest.raises(DataError, match=r"damaged or cut short"):
        read_lexicon(tmp_path / "x.tsv.gz")
    with pytest.raises(DataError, match=r"no such file"):
        read_lexicon(tmp_path / "y.tsv")


def test_the_sidecar_names_the_inputs_by_hash(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"abc")
    write_sidecar(
        tmp_path / "x.tsv", "ibm1", [tmp_path / "text"], {"iterations": 5}, {"words": 1},
        kind="probabilities", languages=("de", None),
    )  # fmt: skip
    record = json.loads(sidecar(tmp_path / "x.tsv").read_text())
    # SHA-256 of "abc": the example of FIPS 180-2, appendix B.1
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert record["inputs"] == {str(tmp_path / "text"): expected}
    assert record["options"] == {"iterations": 5}
    assert read_record(tmp_path / "x.tsv") == Record("probabilities", ("de", None))
    write_sidecar("-", "ibm1", [], {}, kind="probabilities")
    assert not Path("-.json").exists()


def run(*arguments: str | Path) -> int:
    return main(["lexicon", *map(str, arguments)])


@pytest.fixture
def table(tmp_path: Path) -> Path:
    write_lexicon(table_1(), tmp_path / "en-fr.tsv")
    return tmp_path / "en-fr.tsv"


def test_transform_applies_the_filters_of_the_paper(table: Path, tmp_path: Path) -> None:
    (tmp_path / "stop").write_text("De\npour\n")
    (tmp_path / "text").write_text("We Work, excited.\n")
    out = tmp_path / "out.tsv"
    options = ["--src-vocabulary", tmp_path / "text", "--min-weight", "0.02", "--tgt-stop-words", tmp_path / "stop"]
    assert run("transform", table, *options, "--src-stop-words", "fr", "--top", "3", "--out", out) == 0
    assert {word: list(c) for word, c in read_lexicon(out).entries.items()} == {
        "work": ["travail", "travailler", "travaille"],
        "excited": ["excité", "excités", "très"],
    }
    assert json.loads(sidecar(out).read_text())["options"]["min_weight"] == 0.02
    assert run("transform", table, "--tgt-stop-words", "fr", "--src-stop-words", "en", "--out", out) == 0
    assert set(read_lexicon(out).entries) == {"excited", "wounds"}  # the English list holds "work"


def test_transform_inverts_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "en-fr.tsv").write_text("work\ttravail\nwork\ttravailler\n")
    assert run("transform", tmp_path / "en-fr.tsv", "--invert", "--min-length", "9", "--out", "-") == 0
    assert capsys.readouterr().out.splitlines() == ["travailler\twork\t1"]


def test_probabilities_are_turned_by_bayes_rule_or_not_at_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "en-de.tsv").write_text("Dog\thund\t0.8\nDog\ttier\t0.2\nanimal\ttier\t0.9\nelk\ttier\t1.0\n")
    assert run("transform", tmp_path / "en-de.tsv", "--invert", "--out", "-") == 2
    assert "holds probabilities, which go one way: expected --frequencies" in capsys.readouterr().err
    (tmp_path / "text").write_text("Dog, dog, dog!\nAn animal.\n")
    options = ["--invert", "--frequencies", tmp_path / "text", "--out", tmp_path / "de-en.tsv"]
    assert run("transform", tmp_path / "en-de.tsv", *options) == 0
    # p(dog | tier) = 0.2 * 3 / (0.2 * 3 + 0.9 * 1) = 0.4; elk is not in the text.
    assert read_lexicon(tmp_path / "de-en.tsv").entries == {"hund": {"Dog": 1.0}, "tier": {"animal": 0.6, "Dog": 0.4}}
    assert read_record(tmp_path / "de-en.tsv").kind == "probabilities"


@pytest.mark.parametrize(
    ("entries", "kind"),
    [
        ({"a": {"x": 1.0, "y": 1.0}, "b": {"x": 1.0}}, "dictionary"),
        ({"a": {"x": 0.7, "y": 0.3}, "b": {"x": 1.0}}, "probabilities"),
        ({"a": {"x": 0.7, "y": 0.6}, "b": {"x": 0.5}}, "similarities"),
    ],
)
def test_the_kind_of_a_lexicon_without_a_record_shows_in_its_weights(entries, kind) -> None:
    assert deduced_kind(Lexicon(entries)) == kind


def test_a_record_that_is_none_is_named(tmp_path: Path) -> None:
    for text, message in (
        ("[]", "expected the record"),
        ('{"kind": "dict"}', "kind: expected"),
        ("{", "expected JSON"),
    ):
        (tmp_path / "x.tsv.json").write_text(text)
        with pytest.raises(DataError, match=message):
            read_record(tmp_path / "x.tsv")


def test_merge_and_pivot(table: Path, tmp_path: Path) -> None:
    write_lexicon(Lexicon({"wounds": {"plaies": 1.0}}), tmp_path / "b.tsv")
    assert run("merge", table, tmp_path / "b.tsv", "--factors", "1", "3", "--out", tmp_path / "m.tsv") == 0
    assert read_lexicon(tmp_path / "m.tsv").entries["wounds"] == {"plaies": 3.0, "blessures": 1.0}
    write_lexicon(Lexicon({"wunden": {"wounds": 1.0}}), tmp_path / "de-en.tsv")
    assert run("pivot", tmp_path / "de-en.tsv", table, "--out", tmp_path / "de-fr.tsv") == 0
    assert read_lexicon(tmp_path / "de-fr.tsv").entries == {"wunden": {"blessures": 1.0}}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["transform", "en-fr.tsv", "--src-stop-words", "xh", "--out", "-"], "xh: expected a file or one of"),
        (["transform", "en-fr.tsv", "--min-weight", "2", "--out", "-"], "en-fr.tsv: nothing is left"),
        (["merge", "en-fr.tsv", "--factors", "1", "2", "--out", "-"], "--factors: expected 1"),
        (["pivot", "en-fr.tsv", "en-fr.tsv", "--out", "-"], "no candidate of the first lexicon has an entry"),
    ],
)
def test_commands_say_what_is_wrong(
    table: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(table.parent)
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


@pytest.mark.parametrize("weights", [{"a": 1.5e308, "b": 1.5e308}, {"a": 3e-320, "b": 3e-320}])
def test_weights_of_any_size(tmp_path, weights):
    """Their sum, or a power of them, would be infinite or nothing."""
    lexicon = Lexicon({"x": weights})
    assert lexicon.probs("x") == {"a": 0.5, "b": 0.5}
    assert lexicon.tempered(0.01).probs("x") == {"a": 0.5, "b": 0.5}
    merged = Lexicon.merged([(lexicon, 1.0), (lexicon, 1.0)])
    write_lexicon(merged, tmp_path / "l.tsv")
    assert read_lexicon(tmp_path / "l.tsv").entries == {"x": {"a": 1.0, "b": 1.0}}
    huge = Lexicon.merged([(lexicon, 1.7e308), (lexicon, 1.7e308), (lexicon, 1.7e308), (lexicon, 1.7e308)])
    with pytest.raises(DataError, match="expected weights that are numbers, found infinity"):
        write_lexicon(huge, tmp_path / "huge.tsv")
    assert not (tmp_path / "huge.tsv").exists()
