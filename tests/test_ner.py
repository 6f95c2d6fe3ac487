"""Named entities: the published formats, repair, bad lines, and long sentences cut without losing tokens."""

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csr.data import ner
from csr.data.ner import Sentence, read_ner, spans, windows
from csr.errors import DataError

DATA = Path(__file__).parents[2] / "shared/data"
ANNA = Sentence(("Anna", "lives", "in", "New", "York"), ("B-PER", "O", "O", "B-LOC", "I-LOC"))
SO = Sentence(("So", ":"), ("O", "O"))


def write(folder: Path, text: str, name: str = "ner.txt") -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    return path


@pytest.mark.parametrize(
    "text",
    [
        # XTREME's PAN-X: a language before each token, a colon among the tokens
        "en:Anna\tB-PER\nen:lives\tO\nen:in\tO\nen:New\tB-LOC\nen:York\tI-LOC\n\nen:So\tO\nen::\tO\n\n",
        # CoNLL-2003: four columns and documents; IOB1, where entities begin with I-
        "-DOCSTART- -X- -X- O\n\nAnna NNP I-NP I-PER\nlives VBZ I-VP O\nin IN I-PP O\nNew NNP I-NP I-LOC\n"
        "York NNP I-NP I-LOC\n\nSo RB O O\n: : O O\n",
        # MasakhaNER: one space; several empty lines, Windows line ends, none at the end
        "\n\nAnna B-PER\r\nlives O\r\nin O\r\nNew B-LOC\r\nYork I-LOC\r\n\r\n\r\nSo O\r\n: O",
    ],
)
@pytest.mark.parametrize("name", ["ner.txt", "ner.txt.gz"])
def test_published_formats_give_the_same_sentences(tmp_path: Path, text: str, name: str) -> None:
    sentences, counts = read_ner(write(tmp_path, text, name), ["PER", "LOC"])
    assert sentences == [ANNA, SO]
    assert counts["sentences"] == 2
    assert counts["tokens"] == 7
    assert counts["repaired"] == (2 if "DOCSTART" in text else 0)


def test_a_colon_alone_is_no_language(tmp_path: Path) -> None:
    sentences, _ = read_ner(write(tmp_path, "de:facto\tO\nruler\tO\n"))
    assert sentences[0].tokens == ("de:facto", "ruler")


def test_numbers_among_the_tokens_are_tokens(tmp_path: Path) -> None:
    sentences, _ = read_ner(write(tmp_path, "1998 CD O\n\nAnna NN B-PER\nwon VB O\n3 CD O\n"))
    assert [sentence.tokens for sentence in sentences] == [("1998",), ("Anna", "won", "3")]
    sentences, _ = read_ner(write(tmp_path, "-1 CD O\n\n-1 CD O\n\n-1 CD O\n"))
    assert [sentence.tokens for sentence in sentences] == [("-1",)] * 3


def test_types_that_a_head_lacks_are_refused_or_read_as_none(tmp_path: Path) -> None:
    path = write(tmp_path, "May\tB-DATE\n5\tI-DATE\nAnna\tB-PER\n")
    with pytest.raises(DataError, match=r"ner\.txt:1: expected an entity of type LOC, PER, found B-DATE"):
        read_ner(path, ["PER", "LOC"])
    sentences, counts = read_ner(path, ["PER", "LOC"], outside=["DATE"])
    assert sentences[0].tags == ("O", "O", "B-PER")
    assert counts["outside"] == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Anna\tB-PER\nlives\n", r"ner\.txt:2: expected a token and its tag, found 'lives'"),
        ("Anna\tB-PER\n\tO\n", r"ner\.txt:2: expected a token and its tag, found '\\tO'"),
        ("Anna\tPER\n", r"ner\.txt:1: expected the tag O, B-TYPE or I-TYPE, found 'PER'"),
        ("Anna\tS-PER\n", r"found 'S-PER'"),
        ("Anna\tB-\n", r"found 'B-'"),
        ("so\tO\n" * 1001, r"ner\.txt:1001: expected an empty line after each sentence, found more than 1,000 tokens"),
        ("\n\n-DOCSTART- O\n", r"ner\.txt: expected at least one sentence, found none"),
        ("", "found none"),
        ("1\tAnna\tB-PER\tO\n2\tlives\tO\tO\n\n1\tso\tO\tO\n", r"ner\.txt: .* the numbers of rows \(1, 2, \.\.\.\)"),
        ("0\tAnna\tB-PER\n1\tlives\tO\n\n0\tso\tO\n", r"the numbers of rows \(0, 1, \.\.\.\)"),
        ("7 Anna B-PER\n8 lives O\n\n9 so O\n", r"the numbers of rows \(7, 8, \.\.\.\)"),
        ("1 So O\n2 is O\n3 Anna B-PER\n\n1-2 vom O\n1 von O\n", r"the numbers of rows \(1, 2, 3, \.\.\.\)"),
    ],
)
def test_broken_lines_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_ner(write(tmp_path, text))


tags = st.lists(st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]), max_size=40)


@given(tags)
def test_repair_gives_iob2_and_leaves_it_alone(found: list[str]) -> None:
    fixed = ner.repaired(found)
    for last, tag in zip(("O", *fixed), fixed, strict=False):
        assert not tag.startswith("I-") or last[2:] == tag[2:]
    assert [tag[2:] for tag in fixed] == [tag[2:] for tag in found]
    assert ner.repaired(fixed) == fixed


@given(tags, st.data(), st.integers(1, 12))
def test_cutting_a_tagged_sentence_loses_no_token_and_tears_no_entity_that_fits(
    found: list[str], data: st.DataObject, limit: int
) -> None:
    fixed = ner.repaired(found)
    sizes = data.draw(st.lists(st.integers(1, 15), min_size=len(fixed), max_size=len(fixed)))
    runs = spans(sizes, fixed, limit)
    assert [i for start, end in runs for i in range(start, end)] == list(range(len(fixed)))
    for start, end in runs:
        assert sum(min(size, limit) for size in sizes[start:end]) <= limit
    for _, end in runs[:-1]:
        if fixed[end].startswith("I-"):  # then the entity was too long for a run of its own
            start = max(i for i in range(end) if not fixed[i].startswith("I-"))
            assert sum(min(size, limit) for size in sizes[start : end + 1]) > limit


@given(st.lists(st.integers(1, 15), max_size=60), st.integers(1, 12))
def test_windows_read_each_token_once_where_it_has_context(sizes: list[int], limit: int) -> None:
    runs = windows(sizes, limit)
    assert [i for *_, first, last in runs for i in range(first, last)] == list(range(len(sizes)))
    assert runs[-1][1] == len(sizes)
    for start, end, first, last in runs:
        assert start <= first <= last <= end
        assert sum(min(size, limit) for size in sizes[start:end]) <= limit


def test_windows_of_one_piece_words_give_a_quarter_of_the_length_as_context() -> None:
    for start, end, first, last in windows([1] * 500, 126):
        assert first - start >= 31 or start == 0
        assert end - last >= 31 or end == 500


def test_real_files() -> None:
    if not all((DATA / name).is_dir() for name in ("panx", "masakhaner2")):
        pytest.skip("needs the shared data")
    sentences, counts = read_ner(DATA / "panx/sw/test.txt.gz", ["LOC", "ORG", "PER"])
    # 771 sentences (the data's README); 4,615 lines that are not empty
    assert (len(sentences), counts["tokens"], counts["repaired"]) == (771, 4615, 0)
    _, counts = read_ner(DATA / "panx/zh/test.txt.gz", ["LOC", "ORG", "PER"])
    assert counts["repaired"] > 0  # "some I- tags without a B-"
    xhosa, _ = read_ner(DATA / "masakhaner2/xh/test.txt.gz")
    assert {tag[2:] for sentence in xhosa for tag in sentence.tags} == {"", "DATE", "LOC", "ORG", "PER"}
    assert len(xhosa) == 1633
