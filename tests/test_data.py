"""Cleaning, splitting and encoding parallel text, and ``csr prepare`` from files to binary data."""

import errno
import json
import lzma
import os
import sys
import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from preprocessed import preprocess

from csr import cli
from csr.data import bitext, composition, subwords
from csr.data.prepare import _warn_of_rewriting, prepare
from csr.data.rows import Vocabulary
from csr.data.sample import sentences, write_sample
from csr.errors import ConfigError, DataError
from csr.switching.symbols import Mark
from csr.text.forms import normalized
from csr.text.words import segments, tokenize

SAMPLE = sentences(600, seed=3)[0]
CODES = ("qaa", "qab")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("spm") / "spm.model"
    subwords.train(list(zip(*SAMPLE, strict=True)), 300, path)
    return subwords.load(path)


@pytest.fixture
def text(tmp_path) -> tuple[Path, Path]:
    """Two files of 300 pairs."""
    for side, code in enumerate(CODES):
        (tmp_path / f"train.{code}").write_text("".join(f"{pair[side]}\n" for pair in SAMPLE[:300]), encoding="utf-8")
    return tmp_path / "train.qaa", tmp_path / "train.qab"


def csr(monkeypatch, *arguments: object) -> int:
    return cli.main([str(argument) for argument in arguments])


# --- cleaning


def test_cleaning_counts_the_first_reason() -> None:
    pairs = [
        (" Zwei  Männer\u00a0reden.\t", "Two men talk."),  # white space of all kinds
        ("Zwei Ma\u0308nner reden.", "Two men talk."),  # a + combining diaeresis is ä: the same pair
        ("Zwei Männer reden.", "Two men are talking."),  # another translation stays
        ("Paris", "Paris"),  # the same text on both sides stays
        ("", "Nothing."),
        ("Nichts.", "\u200b \ufeff"),  # nothing to see: zero-width space, byte-order mark
        ("a b c d e f", "a b c d e f g"),  # seven words
        ("Ja", "a b c d"),  # four times as long
    ]
    kept, counts = bitext.clean(pairs, max_words=6, max_ratio=3)
    assert kept == [
        ("Zwei Männer reden.", "Two men talk."),
        ("Zwei Männer reden.", "Two men are talking."),
        ("Paris", "Paris"),
    ]
    assert counts == {"read": 8, "empty": 2, "long": 1, "ratio": 1, "duplicate": 1}
    assert bitext.summary(counts) == "8 pairs read, 5 dropped (1 duplicate, 2 empty, 1 long, 1 ratio)"


def test_scripts_without_spaces_have_words_too() -> None:
    assert bitext.n_words("NATO 两个人说话。") == 7  # NATO, five characters, the full stop
    assert bitext.n_words("ผู้ชายสองคน") == 3  # 11 letters and marks: 4 + 4 + 3


lines = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)


@given(st.lists(st.tuples(lines, lines), max_size=20))
def test_cleaning_twice_is_cleaning_once(pairs: list[bitext.Pair]) -> None:
    kept, counts = bitext.clean(pairs)
    assert counts["read"] == len(pairs) == len(kept) + sum(counts.values()) - counts["read"]
    assert bitext.clean(kept)[0] == kept


# --- held-out sets

few = st.sampled_from("abcdefgh")  # few sentences, so that many are shared


@given(st.lists(st.tuples(few, few), unique=True), st.integers(0, 6), st.integers(0, 6))
def test_no_sentence_is_in_two_splits(pairs: list[bitext.Pair], n_dev: int, n_test: int) -> None:
    splits = bitext.split(pairs, [n_dev, n_test])
    assert len(splits[0]) <= n_dev
    assert len(splits[1]) <= n_test
    assert Counter(pair for taken in splits for pair in taken) <= Counter(pairs)
    for side in range(2):
        seen = Counter(sentence for taken in splits for sentence in {pair[side] for pair in taken})
        assert all(n == 1 for n in seen.values())
        for held_out in splits[:2]:
            assert len({pair[side] for pair in held_out}) == len(held_out)


@given(st.permutations(SAMPLE[:30]))
def test_held_out_sets_do_not_depend_on_the_order(pairs: list[bitext.Pair]) -> None:
    *held_out, left = bitext.split(pairs, [5, 5])
    *expected, expected_left = bitext.split(SAMPLE[:30], [5, 5])
    assert held_out == expected
    assert sorted(left) == sorted(expected_left)


# --- subwords


def test_encoding_loses_nothing(model) -> None:
    unseen = [src for src, _ in sentences(50, seed=4)[0]]
    assert model.decode(model.encode(unseen)) == unseen


def test_dictionary_follows_the_model(model, tmp_path) -> None:
    subwords.write_dictionary(subwords.model_pieces(model), {"▁ta": 7}, tmp_path / "dict.txt")
    pieces = subwords.read_dictionary(tmp_path / "dict.txt")
    assert "▁ta 7" in (tmp_path / "dict.txt").read_text(encoding="utf-8").splitlines()
    # fairseq: <s> <pad> </s> <unk>, then line i has id i + 4. SentencePiece: <unk> <s> </s>, then piece i has id i + 3.
    assert [model.piece_to_id(piece) for piece in pieces] == [i + 3 for i in range(len(model) - 3)]


def test_large_vocabularies_know_every_character(tmp_path) -> None:
    subwords.train([["ein Haus"] * 5, ["a house"] * 5], 2560, tmp_path / "spm.model")
    model = subwords.load(tmp_path / "spm.model")
    assert model.unk_id() not in model.encode("家 Ωmega")
    assert model.decode(model.encode("家 Ωmega", out_type=str)) == "家 Ωmega"


def test_too_few_pieces_for_the_characters(tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"pieces: 10 are too few for \d+ different characters"):
        subwords.train([[src for src, _ in SAMPLE]], 10, tmp_path / "spm.model")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "dict.txt: expected at least one piece, found an empty file"),
        ("a 1\nb\n", "dict.txt:2: expected a piece and its count, found 'b'"),
        ("a 1\na 1\n", "dict.txt:2: expected each piece once, found 'a' again"),
    ],
)
def test_bad_dictionaries(tmp_path, content: str, message: str) -> None:
    (tmp_path / "dict.txt").write_text(content)
    with pytest.raises(DataError) as error:
        subwords.read_dictionary(tmp_path / "dict.txt")
    assert str(error.value).endswith(message)


# --- csr prepare


def test_prepare_from_files_to_what_fairseq_reads(tmp_path, monkeypatch, capsys) -> None:
    write_sample(tmp_path, n_train=300, n_held_out=20)
    packed = lzma.compress((tmp_path / "train.qaa").read_bytes() + (tmp_path / "test.qaa").read_bytes())
    (tmp_path / "all.qaa.xz").write_bytes(packed)
    (tmp_path / "all.qab").write_bytes((tmp_path / "train.qab").read_bytes() + (tmp_path / "test.qab").read_bytes())
    out = tmp_path / "out"
    status = csr(
        monkeypatch,
        *("prepare", "--src", tmp_path / "all.qaa.xz", "--tgt", tmp_path / "all.qab", "--out", out),
        *("--source-lang", "qaa", "--target-lang", "qab", "--pieces", 400, "--dev-size", 25),
        *("--test-src", tmp_path / "test.qaa", "--test-tgt", tmp_path / "test.qab"),
    )
    captured = capsys.readouterr()
    assert (status, captured.out) == (0, f"{out}: 275 train, 25 dev, 20 test pairs, 401 dictionary entries\n")
    assert captured.err.splitlines() == [
        "train: 320 pairs read, 20 dropped (20 sharing a sentence with dev or test)",
        "test: 20 pairs read, 0 dropped",
        "kept: 275 train, 25 dev, 20 test",
    ]
    record = json.loads((out / "prepare.json").read_text())
    assert record["pairs"] == {"train": 275, "dev": 25, "test": 20}
    assert not [path for path in out.iterdir() if path.name.startswith(".")]

    from fairseq.data import Dictionary, data_utils

    model = subwords.load(out / "spm.model")
    for code in CODES:
        dictionary = Dictionary.load(str(out / "bin" / f"dict.{code}.txt"))
        assert len(dictionary) == record["dictionary_size"]
        for text, binary in (("train", "train"), ("dev", "valid"), ("test", "test")):
            data = data_utils.load_indexed_dataset(str(out / "bin" / f"{binary}.qaa-qab.{code}"), dictionary)
            expected = (out / "text" / f"{text}.{code}").read_text(encoding="utf-8").splitlines()
            # fairseq's id is SentencePiece's plus 1, with 2 for </s> at the end.
            assert [row.tolist() for row in data] == [[i + 1 for i in model.encode(line)] + [2] for line in expected]


def test_a_small_corpus_gives_small_held_out_sets(text, tmp_path, capsys) -> None:
    record = prepare(text, CODES, tmp_path / "out", pieces=32000)
    assert record["pairs"] == {"train": 240, "dev": 30, "test": 30}
    said = capsys.readouterr().err
    assert "dev: 30 pairs held out instead of 1,000: the corpus is small" in said
    assert f"{record['dictionary_size'] - 1:,} pieces instead of 32,000: the text has no more" in said


def test_the_same_text_gives_the_same_files(text, tmp_path) -> None:
    first, second = (prepare(text, CODES, tmp_path / name, pieces=300) for name in ("a", "b"))
    assert first == second


def test_a_given_vocabulary_is_kept(text, tmp_path, capsys) -> None:
    prepare(text, CODES, tmp_path / "a", pieces=300)
    given, own = tmp_path / "a", tmp_path / "dict.txt"
    pieces = subwords.read_dictionary(given / "dict.txt")
    subwords.write_dictionary([piece for piece in pieces if piece != "."], {}, own)  # a trimmed one
    options = {"sentencepiece_model": given / "spm.model", "langs": ("qaa", "xx", "qab")}
    record = prepare(text, CODES, tmp_path / "b", dictionary=own, **options)
    assert (tmp_path / "b" / "dict.txt").read_bytes() == own.read_bytes()
    assert record["langs"] == ["qaa", "xx", "qab"]
    assert 0 < record["unknown_pieces"]["train.qaa"] < 0.2
    assert "of the pieces are not in the dictionary" in capsys.readouterr().err

    subwords.write_dictionary([f"other{i}" for i in range(300)], {}, own)
    with pytest.raises(DataError, match=r"dict\.txt: expected the pieces of .*spm\.model, found mostly others"):
        prepare(text, CODES, tmp_path / "b", dictionary=own, **options)
    with pytest.raises(ConfigError, match=r"expected one of the model's languages \(en, fr\)"):
        prepare(text, CODES, tmp_path / "b", langs=("en", "fr"))


def test_references_that_the_vocabulary_writes_otherwise_are_counted(tmp_path, capsys) -> None:
    """SentencePiece's own rules, which mBART has, write ``A`` for ``Ａ`` and ``fi`` for ``ﬁ``."""
    lines = ["ab Ａb", "ab ab", "ﬁ ab", "b a"] * 30
    (tmp_path / "nfkc.model").write_bytes(subwords.train_model(lines, 8, 30))
    subwords.train_on(lines, 30, tmp_path / "ours.model")
    for name, message in (("nfkc", "test.b: 50.0% of the lines do not come back from the vocabulary"), ("ours", "")):
        _warn_of_rewriting(subwords.load(tmp_path / f"{name}.model"), lines, "test.b")
        assert capsys.readouterr().err.startswith(message)
        assert bool(message) == (name == "nfkc")


def test_a_failed_run_changes_nothing_and_a_killed_one_is_cleared(text, tmp_path, monkeypatch) -> None:
    out = tmp_path / "out"
    prepare(text, CODES, out, pieces=300)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    killed = out / f".prepare.json.{os.uname().nodename}.{2**22 + 1}.part.json"  # of a process that cannot be
    killed.mkdir()
    (killed / "dict.txt").write_text("half")

    def full(*_) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Vocabulary, "write", full)
    with pytest.raises(OSError, match="No space left"):
        prepare(text, CODES, out, pieces=200)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("src", "tgt", "options", "message"),
    [
        (b"", b"", (), "a: expected at least one line, found an empty file"),
        (b"x\ny\n", b"x\n", (), "b:2: expected a line to go with {}/a:2, found the end"),
        (b"x\n\xff\n", b"x\ny\n", (), "a:2: expected UTF-8, found byte 0xff at column 1"),
        (b"\n \n", b"x\ny\n", (), "a: expected pairs for train, found none after cleaning"),
        (None, b"x\n", (), "a: no such file"),
        (b"x\n", b"y\n", ("--dev-src", "f"), "--dev-tgt: expected with --dev-src, not given"),
        (b"x\n", b"y\n", ("--dict", "f"), "expected both or none, found one"),
        (b"x\n", b"y\n", ("--target-lang", "qaa"), "expected two different ones, found 'qaa' twice"),
        (b"x\n", b"y\n", ("--target-lang", "zh-cn"), "letters, digits and _, as in de or de_DE, found 'zh-cn'"),
        (
            b"x\n",
            b"y\n",
            ("--langs", "en_XX,de_DE"),
            "language 'qaa': expected one of the model's languages (en_XX, de_DE), found none that fits",
        ),
    ],
)
def test_bad_input_is_one_line(tmp_path, monkeypatch, capsys, src, tgt, options, message) -> None:
    for name, content in (("a", src), ("b", tgt)):
        if content is not None:
            (tmp_path / name).write_bytes(content)
    out = tmp_path / "out"
    fixed = ("--src", tmp_path / "a", "--tgt", tmp_path / "b", "--source-lang", "qaa", "--target-lang", "qab")
    assert csr(monkeypatch, "prepare", *fixed, "--out", out, *options) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("csr prepare: ")
    assert last.endswith(message.format(tmp_path))
    assert not out.exists()


def test_sample_command(tmp_path, monkeypatch, capsys) -> None:
    assert csr(monkeypatch, "sample", "--out", tmp_path, "--pairs", 30) == 0
    assert capsys.readouterr().out == f"{tmp_path}: 30 train, 500 dev, 500 test pairs\n"


# --- word boundaries


@given(st.sampled_from([line for pair in SAMPLE[:100] for line in pair]))
def test_marks_are_the_words_of_the_text(model, line) -> None:
    pieces = model.encode(line, out_type=str)
    marks = subwords.piece_marks(subwords.texts_of(model, line))
    found: list[str] = []
    for piece, mark in zip(pieces, marks, strict=True):
        if mark == 1:
            found.append("")
        if mark:
            found[-1] += piece
    assert [word.replace("▁", "") for word in found] == [text for text, is_word in segments(line) if is_word]


_ODD = [
    "taki.",
    "(kola)",
    "www.",
    "www.,",
    "mu-taki",
    "l'oma",
    "½",
    "a@b.de",
    '"',
    "12",
    "mail@taki.qa,",
    "他",
    "ta\u0301",
]


@settings(max_examples=50)
@given(st.lists(st.lists(st.sampled_from([*_ODD, *SAMPLE[0][0].split(), *SAMPLE[1][0].split()])), min_size=1))
def test_marks_of_many_lines_are_those_of_each(model, lines) -> None:
    """Words that were seen before included."""
    text = [normalized(" ".join(words)) for words in lines]
    cut = model.encode(text)
    pieces, sizes = np.array([piece for row in cut for piece in row], np.int64), np.array(list(map(len, cut)))
    names = [model.id_to_piece(i) for i in range(len(model))]
    expected = [mark for line in text for mark in subwords.piece_marks(subwords.texts_of(model, line)).tolist()]
    marker = subwords.Marker(model, names, None)
    for _ in range(2):
        assert marker(text, pieces, sizes).tolist() == expected


def test_letters_and_digits_are_words() -> None:
    """What ``Marker`` takes for one word without cutting it."""
    characters = [c for c in map(chr, range(sys.maxunicode + 1)) if c.isalnum()]
    assert [c for c in characters if segments(c) != [(c, True)]] == []


@pytest.mark.slow
def test_words_are_counted_alike_with_and_without_a_search() -> None:
    """Whatever parts words to the pattern parts them to str.split, and characters without spaces are all found."""
    given = (c for c in map(chr, range(sys.maxunicode + 1)) if unicodedata.category(c) not in ("Cn", "Co"))
    for c in ("\uffff", "\ue000", *given):  # of those that are no characters, or private, one
        line = normalized(f"a{c}b")
        assert bitext.n_words(line) == sum(1 for _ in bitext._WORD.finditer(line)), hex(ord(c))


def test_rules_are_of_all_characters_that_come_apart() -> None:
    apart = [code for code in range(sys.maxunicode + 1) if not unicodedata.is_normalized("NFD", chr(code))]
    assert max(apart) < composition._BEYOND


@pytest.mark.slow
def test_a_model_of_much_text_is_trained_on_counted_words(monkeypatch, tmp_path) -> None:
    """It has the same words to train on, so that it gives held-out text the same likelihood (here: within 1 %)."""
    lines = [side for pair in sentences(2000, seed=1)[0] for side in pair]
    held_out = [side for pair in sentences(200, seed=9)[0] for side in pair]
    found = []
    for many in (10**6, 10):
        monkeypatch.setattr(subwords, "_MANY", many)
        subwords.train_on([*lines, "odd ▅ \t sign"], 600, tmp_path / "spm.model")
        model = subwords.load(tmp_path / "spm.model")
        found.append(sum(model.get_score(piece) for row in model.encode(held_out) for piece in row))
    assert found[1] == pytest.approx(found[0], rel=0.01)


@given(st.lists(st.integers(0, 50)), st.integers(0, 20))
def test_the_first_in_order_are_those_of_all_sorted(numbers, n) -> None:
    assert list(bitext.in_order(numbers, lambda number: number % 7, n)) == sorted(
        numbers, key=lambda number: number % 7
    )


def test_words_that_share_a_piece_are_one_word_and_addresses_none() -> None:
    texts = ["He", " talk", "s", ".", " www", ".", "haus", ".", "de", " ", "haus", "ä", "", "n", "s.", " 12"]
    assert subwords.piece_marks(texts).tolist() == [1, 1, 2, 0, 0, 0, 0, 0, 0, 1, 2, 2, 2, 2, 2, 1]


def test_marks_of_scripts_without_spaces(monkeypatch) -> None:
    from csr.text import segmenters

    cut = {"我们今天去": ["我们", "今天", "去"], "sinh viên học": ["sinh viên", "học"]}
    monkeypatch.setattr(segmenters, "segmenter", lambda language: cut.__getitem__)
    assert subwords.piece_marks([" ", "我们", "今天", "去", "。"], "zh_CN").tolist() == [1, 2, 1, 1, 0]
    # The edge between 我们 and 今天 falls inside a piece: one word.
    assert subwords.piece_marks(["我", "们今", "天", "去"], "zh").tolist() == [1, 2, 2, 1]
    assert subwords.piece_marks(["sinh", " vi", "ên", " học"], "vi").tolist() == [1, 2, 2, 1]


def test_a_segmenter_that_is_not_installed_is_named_before_any_work(monkeypatch, text, tmp_path, capsys) -> None:
    from csr.text import segmenters

    segmenters.segmenter.cache_clear()
    monkeypatch.setitem(sys.modules, "jieba", None)
    options = ["--src", text[0], "--tgt", text[1], "--source-lang", "zh", "--target-lang", "qab"]
    assert csr(monkeypatch, "prepare", *options, "--out", tmp_path / "out") == 2
    assert "language zh: expected the package that cuts its text into words" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_rows_are_those_of_fairseq(model, tmp_path) -> None:
    """Byte for byte what fairseq-preprocess makes of the same pieces, an unknown one and an empty line included."""
    lines = [src for src, _ in sentences(40, seed=5)[0]] + [""]
    subwords.write_vocabulary(model, tmp_path / "spm.vocab")
    (tmp_path / "spm.model").write_bytes(model.serialized_model_proto())
    subwords.write_dictionary(subwords.model_pieces(model)[:-20], {}, tmp_path / "dict.txt")
    vocabulary = Vocabulary.read(tmp_path / "spm.model", tmp_path / "dict.txt")
    for split in ("train", "valid", "test"):
        vocabulary.write(lines, tmp_path / f"ours/{split}.qaa-qab.qaa")
        for code in CODES:
            text = "".join(" ".join(pieces) + "\n" for pieces in model.encode(lines, out_type=str))
            (tmp_path / f"{split}.{code}").write_text(text, encoding="utf-8")
    options = "--source-lang qaa --target-lang qab --srcdict {0}/dict.txt --tgtdict {0}/dict.txt --trainpref {0}/train "
    options += "--validpref {0}/valid --testpref {0}/test"
    preprocess(tmp_path / "theirs", *options.format(tmp_path).split())
    for file in (tmp_path / "ours").iterdir():
        assert file.read_bytes() == (tmp_path / "theirs" / file.name).read_bytes()


def test_fairseq_reads_the_marks(model, tmp_path) -> None:
    from fairseq.data.indexed_dataset import MMapIndexedDataset

    lines = ["taki.", "", sentences(1, seed=6)[0][0][0]]
    (tmp_path / "spm.model").write_bytes(model.serialized_model_proto())
    subwords.write_dictionary(subwords.model_pieces(model), {}, tmp_path / "dict.txt")
    Vocabulary.read(tmp_path / "spm.model", tmp_path / "dict.txt").write(lines, tmp_path / "train", "qaa")
    data = MMapIndexedDataset(str(tmp_path / "train.words"))
    for i, line in enumerate(lines):
        assert data[i].tolist() == subwords.piece_marks(subwords.texts_of(model, line), "qaa").tolist()
    assert sum(mark == Mark.BEGIN for mark in data[2].tolist()) == len(tokenize(lines[2]))
