"""NLI files as they are published: formats told apart, labels, broken rows."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from csr.data.nli import LABELS, NliExample, read_nli, write_nli
from csr.errors import DataError

SHARED = Path(__file__).parents[2] / "shared/data"

MNLI_HEAD = "gold_label sentence1_binary_parse sentence2_binary_parse sentence1_parse sentence2_parse sentence1".split()
MNLI_HEAD += "sentence2 promptID pairID genre label1 label2 label3 label4 label5".split()


def write(path: Path, *rows: list[str]) -> Path:
    path.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")
    return path


def xnli_row(language: str, label: str, premise: str, hypothesis: str) -> list[str]:
    return [language, label, "", "", "", "", premise, hypothesis, "1", "1", "facetoface"]


XNLI_HEAD = ["language", "gold_label", *MNLI_HEAD[1:10]]


def test_xnli_as_published_is_read_by_language(tmp_path):
    path = write(
        tmp_path / "xnli.dev.tsv",
        XNLI_HEAD,
        xnli_row("ar", "neutral", "وقال", "اتصل"),
        xnli_row("de", "contradiction", 'und er hat "Mama" gesagt', "Er sagte kein Wort."),
        xnli_row("de", "entailment", "a", 'b"'),
    )
    # A quote that csv would take for the start of a field that spans lines is text.
    assert read_nli(path, "de") == [
        NliExample('und er hat "Mama" gesagt', "Er sagte kein Wort.", "contradiction"),
        NliExample("a", 'b"', "entailment"),
    ]
    with pytest.raises(DataError, match=r"xnli.dev.tsv: expected to be told the language to read, found ar, de"):
        read_nli(path)
    with pytest.raises(DataError, match=r"expected rows with a label in sw, found rows in ar, de"):
        read_nli(path, "sw")


def test_translated_training_files_say_contradictory(tmp_path):
    path = write(tmp_path / "multinli.train.de.tsv", ["premise", "hypo", "label"], ["p", "h", "contradictory"])
    assert read_nli(path, "de") == [NliExample("p", "h", "contradiction")]


def test_multinli_rows_without_agreement_are_left_out_and_counted(tmp_path):
    # The training file names five annotators and has one.
    row = ["neutral", "( a )", "( b )", "(ROOT a)", "(ROOT b)", "a", "b", "1", "1n", "fiction", "neutral"]
    path = write(tmp_path / "train.txt", MNLI_HEAD, row, ["-", *row[1:10], "neutral", "entailment", "", "", ""])
    counts: Counter[str] = Counter()
    assert read_nli(path, counts=counts) == [NliExample("a", "b", "neutral")]
    assert counts == {"read": 2, "unlabelled": 1}
    lines = [dict(zip(MNLI_HEAD[:7], row, strict=False)), {"gold_label": "-", "sentence1": "a", "sentence2": "b"}]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert read_nli(tmp_path / "train.jsonl") == [NliExample("a", "b", "neutral")]


def test_xtreme_and_xglue_have_no_header_and_numbers_are_xnlis(tmp_path):
    assert read_nli(write(tmp_path / "dev-de.tsv", ["p", "h", "neutral"])) == [NliExample("p", "h", "neutral")]
    numbered = write(tmp_path / "xho.tsv", ["\ufeffpremise", "hypothesis", "label"], ["p", "h", "0"], ["p", "i", "2"])
    assert [example.label for example in read_nli(numbered)] == ["entailment", "contradiction"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([["premise", "hypothesis", "label"], ["a", "b", "neutral"], ["a", "neutral"]], ":3: expected 3 .* found 2"),
        ([["premise", "hypothesis", "label"], ["a", "b", "c", "neutral"]], ":2: expected 3 .* found 4"),
        ([["premise", "hypothesis", "label"], ["a", "neutral", "b"]], ":2: expected the label entailment, .* 'b'"),
        ([XNLI_HEAD, xnli_row("de", "neutral", "a", "b")[:-2]], ":2: expected 11 .* found 9"),
        ([["a", "b"]], ":1: expected a header with premise or sentence1"),
        ([["premise", "hypothesis", "label"]], ": expected rows with a label, found none"),
        ([['{"premise": "a", "hypothesis": "b"}']], ":1: expected the keys premise"),
        ([['{"premise": "a", "hypothesis": "b", "label": 1}'], ['{"premise": ']], ":2: expected a JSON object"),
        ([['{"premise": {"de": "a"}, "hypothesis": "b", "label": 1}']], ":1: expected premise and hypothesis as text"),
    ],
)
def test_a_broken_row_is_named(tmp_path, rows, message):
    with pytest.raises(DataError, match=f"broken.tsv{message}"):
        read_nli(write(tmp_path / "broken.tsv", *rows))


texts = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=1)


@given(st.lists(st.builds(NliExample, texts, texts, st.sampled_from(LABELS)), min_size=1))
@example([NliExample("\ufeffA man sleeps.", "\ufeffA man rests.", "entailment")])
def test_what_is_written_is_read(tmp_path_factory, examples):
    """All but a byte-order mark where a line begins, which is no part of the text (``csr.files.read_lines``)."""
    path = tmp_path_factory.mktemp("nli") / "examples.tsv.gz"
    write_nli(examples, path)
    assert read_nli(path) == [replace(one, premise=one.premise.removeprefix("\ufeff")) for one in examples]


def test_real_files(tmp_path):
    if not (SHARED / "mnli").is_dir():
        pytest.skip("the data sets are not here")
    rows = {
        name: len(read_nli(SHARED / name))
        for name in ("mnli/train.en.tsv.gz", "xnli/test.sw.tsv.gz", "afrixnli/dev.xh.tsv.gz")
    }
    assert list(rows.values()) == [9888, 5010, 450]
    with gzip.open(SHARED / "mnli/train.en.tsv.gz", "rb") as whole:
        (tmp_path / "short.tsv.gz").write_bytes(gzip.compress(whole.read())[:5000])
    with pytest.raises(DataError, match="damaged or cut short"):
        read_nli(tmp_path / "short.tsv.gz")
