"""Mixtures of monolingual text: the sample, its held-out part, and the data that pretraining reads."""

from __future__ import annotations

import gzip
import json
import lzma
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from csr.cli import main
from csr.data import rows
from csr.data.mixture import mixture
from csr.data.rows import Vocabulary, read_rows
from csr.data.sampling import Seen, Source, documents, sample, sentences
from csr.data.subwords import load, model_pieces, piece_marks, read_dictionary, texts_of, train_on
from csr.errors import ConfigError, DataError
from csr.text.forms import normalized

DATA = Path(__file__).parents[2] / "shared/data"
WORDS = [a + b for a in ("ka", "lo", "mi", "zu", "tre", "bo") for b in ("ne", "sta", "ri", "mo", "du", "")]


def text(n: int, seed: int) -> list[str]:
    """Sentences of invented words, all different."""
    draw = random.Random(seed)
    return [f"{' '.join(draw.choices(WORDS, k=6)).title()} {seed}{i}." for i in range(n)]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """The same 3,000 sentences plain, as JSON lines of three sentences and in several compressed files."""
    folder = tmp_path_factory.mktemp("corpus")
    lines = text(3000, 1)
    (folder / "plain.txt").write_text("\n".join(lines) + "\n")
    records = [json.dumps({"text": "\n".join(lines[i : i + 3]), "url": i}) + "\n" for i in range(0, 3000, 3)]
    (folder / "c4-xx.00000.json").write_text("".join(records))
    with gzip.open(folder / "a.txt.gz", "wt") as one, lzma.open(folder / "b.txt.xz", "wt") as other:
        one.write("\n".join(lines[:1000]))
        other.write("\n".join(lines[1000:]))
    (folder / "other.txt").write_text("\n".join(text(800, 2)) + "\n")
    return folder


def sampled(folder: Path, *files: Path, n_bytes: int | None = 40_000, held_out: int = 5000, **options) -> tuple:
    train, valid = folder / "train", folder / "valid"
    options = {"seed": 1, "by_line": False} | options
    counts = sample(Source("xx", n_bytes, files), held_out, train, valid, **options)
    return train.read_text().splitlines(), valid.read_text().splitlines(), counts


def test_the_sample_depends_on_the_text_not_on_its_files(corpus, tmp_path):
    one = sampled(tmp_path, corpus / "plain.txt")
    other = sampled(tmp_path, corpus / "a.txt.gz", corpus / "b.txt.xz")
    twice = sampled(tmp_path, corpus / "plain.txt", corpus / "plain.txt")
    assert one == other
    assert one[:2] == twice[:2]
    assert twice[2]["duplicates"] > 0
    assert set(one[0]) != set(sampled(tmp_path, corpus / "plain.txt", seed=2)[0])


@pytest.mark.parametrize("by_line", [False, True])
@pytest.mark.parametrize("name", ["plain.txt", "c4-xx.00000.json"])
def test_as_many_bytes_as_asked_for_and_no_line_in_both_parts(corpus, tmp_path, name, by_line):
    train, valid, counts = sampled(tmp_path, corpus / name, by_line=by_line)
    assert not set(train) & set(valid)
    assert len(set(train)) == len(train)
    longest = 3 * 80
    assert 0 <= sum(len(line) + 1 for line in train) - 40_000 < longest
    assert 0 <= sum(len(line) + 1 for line in valid) - 5000 < longest
    assert counts["train_bytes"] == sum(len(line) + 1 for line in train)
    # All over the file: the mean place of a line is its middle.
    place = {line: i for i, line in enumerate(text(3000, 1))}
    assert np.mean([place[line] for line in train]) == pytest.approx(1500, abs=120)
    assert [place[line] for line in train] == sorted(place[line] for line in train)


@pytest.mark.parametrize("by_line", [False, True])
def test_what_documents_share_is_not_held_out(tmp_path, by_line):
    file = tmp_path / "shared.jsonl"
    records = [{"text": f"Read on.\n{line} So much for \ud800."} for line in text(600, 3)]
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    train, valid, _ = sampled(tmp_path, file, n_bytes=15_000, held_out=2000, by_line=by_line)
    # Equal lines are dropped by line alone; equal sentences are held out in no case.
    assert train.count("So much for \ufffd.") > 100
    assert train.count("Read on.") > 100 or by_line
    assert (train + valid).count("Read on.") <= 1 or not by_line
    assert not set(train) & set(valid)


@given(st.lists(st.integers(0, 2**64 - 1), max_size=200), st.integers(0, 30))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_seen_is_a_set(values, repeat):
    seen, known = Seen(), set()
    seen._slots = seen._slots[:4].copy()  # small enough to grow
    for value in [*values, *values[:repeat]]:
        assert seen.add(value) == ((value or 1) not in known)
        known.add(value or 1)


def test_sentences_end_at_final_punctuation():
    assert sentences("Er kam um 3.30 Uhr. „Gut.“ Dann (spät) ging er! „So?“ etc. usw.") == [
        "Er kam um 3.30 Uhr.", "„Gut.“", "Dann (spät) ging er!", "„So?“ etc. usw.",
    ]  # fmt: skip
    assert sentences("他来了。“好！”然后走了。") == ["他来了。", "“好！”", "然后走了。"]


@pytest.fixture(scope="module")
def made(corpus, tmp_path_factory) -> Path:
    """The folder of a mixture of two languages."""
    out = tmp_path_factory.mktemp("made") / "mixture"
    sources = [Source("xx", 50_000, [corpus / "plain.txt"]), Source("yy", None, [corpus / "other.txt"])]
    mixture(sources, out, held_out=5000, pieces=300, workers=1)
    return out


def test_marks_by_word_are_those_of_the_whole_line(tmp_path):
    path = DATA / "mono/de.txt.gz"
    if not path.is_file():
        pytest.skip("no data")
    with gzip.open(path, "rt") as stream:
        lines = [normalized(line) for line in stream][:1000]
    train_on(lines, 2000, tmp_path / "spm.model")
    model = load(tmp_path / "spm.model")
    ids, sizes, marks = Vocabulary(tmp_path / "spm.model").encode(lines, "de")
    cut = model.encode(lines, out_type=str)
    assert sizes.tolist() == [len(row) + 1 for row in cut]
    assert marks.tolist() == [mark for line in lines for mark in piece_marks(texts_of(model, line), "de").tolist()]
    known = ["<s>", "<pad>", "</s>", "<unk>", *model_pieces(model)]
    assert [known[i] for i in ids] == [piece for row in cut for piece in [*row, "</s>"]]


def test_binary_data_is_the_text_whatever_the_processes(made, tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "_BATCH", 100)
    known = read_dictionary(made / "bin/dict.txt")
    lines = (made / "text/train.xx").read_text().splitlines()
    counts = Vocabulary(made / "spm.model", known).write(lines, tmp_path / "train", "xx", workers=2)
    for name in ("train.bin", "train.idx", "train.words.bin", "train.words.idx"):
        assert (tmp_path / name).read_bytes() == (made / "bin/xx" / name).read_bytes()
    tokens, sizes = read_rows(tmp_path / "train")
    assert counts.tolist() == np.bincount(tokens, minlength=len(known) + 4).tolist()
    model, symbols = load(made / "spm.model"), ["<s>", "<pad>", "</s>", "<unk>", *known]
    found = np.split([symbols[i] for i in tokens], np.cumsum(sizes)[:-1])
    assert all(row[-1] == "</s>" for row in found)
    assert model.decode([row[:-1].tolist() for row in found]) == lines


def test_fairseq_reads_the_data(made):
    from fairseq.data import Dictionary, data_utils

    dictionary = Dictionary.load(str(made / "bin/dict.txt"))
    data = data_utils.load_indexed_dataset(str(made / "bin/yy/train"), dictionary, "mmap")
    tokens, sizes = read_rows(made / "bin/yy/train")
    assert np.array_equal(np.concatenate([data[i] for i in range(len(data))]), tokens)
    assert np.array_equal(data.sizes, sizes)


def test_the_record_counts_what_is_there(made):
    record = json.loads((made / "mixture.json").read_text())
    assert record["languages"] == ["xx", "yy"]
    assert record["counts"]["yy"]["documents"] == 800
    for language, tokens in record["tokens"].items():
        assert tokens["train"] == len(read_rows(made / "bin" / language / "train")[0])
    assert set(record["outputs"]) == {
        path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file() and path.name != "mixture.json"
    }


def run(*arguments: object) -> int:
    return main(["mixture", *map(str, arguments)])


def test_bad_input_is_one_line(corpus, tmp_path, capsys):
    plain = corpus / "plain.txt"
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"text": "a"}\n{"txt": "b"}\n')
    for arguments, said in [
        (
            ["--text", "xx", "1GB", plain],
            "xx: expected 1,000,000 bytes to hold out and 1,000,000,000 to train on, found",
        ),
        (["--text", "xx", "all", plain], "expected 1,000,000 bytes to hold out and more to train on"),
        (["--text", "xx", "10 potatoes", plain], "expected a number of bytes such as"),
        (["--text", "xx", "1kB"], "--text xx 1kB: expected a language, bytes and files"),
        (["--text", "xx", "1kB", tmp_path / "none"], "no such file"),
        (["--text", "xx", "1kB", broken], 'broken.jsonl:2: expected a JSON object with a "text"'),
        (["--text", "xx", "1kB", plain, "--dict", plain], "--dict: expected with --sentencepiece-model"),
        (["--text", "xx", "1kB", plain, "--text", "xx", "1kB", plain], "expected each once, found xx, xx"),
        (["--text", "x-x", "1kB", plain], "language code: expected letters"),
    ]:
        assert run(*arguments, "--out", tmp_path / "out") == 2
        error = capsys.readouterr().err
        assert said in error
        assert len(error.strip().splitlines()) == 1
        assert not (tmp_path / "out/mixture.json").exists()


def test_a_zstd_file_is_read_or_its_package_asked_for(corpus, tmp_path):
    file = tmp_path / "plain.txt.zst"
    try:
        import zstandard
    except ImportError:
        file.write_bytes(b"")
        with pytest.raises(ConfigError, match=r"pip install 'code-switching-training\[zstd\]'"):
            list(documents(file))
        return
    lines = (corpus / "plain.txt").read_bytes()
    file.write_bytes(zstandard.compress(lines[:5000]) + zstandard.compress(lines[5000:]))
    assert list(documents(file)) == text(3000, 1)
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(DataError, match="damaged or cut short"):
        list(documents(file))
