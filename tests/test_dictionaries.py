"""Tables of other tools: their formats, ways through English, and lines that are wrong."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from csr.cli import main
from csr.errors import DataError
from csr.induction.dictionaries import muse, pivoted, read_fast_align, read_gold, read_moses, read_muse
from csr.lexicon import Lexicon, read_lexicon
from csr.text.stopwords import stop_words

DATA = Path(__file__).parents[2] / "shared/data"
# Languages of both papers.
LANGUAGES = ("de", "en", "fi", "fr", "hu", "it", "ko", "lt", "pt", "ro", "sw", "tr", "vi", "xh", "zh")


def test_muse_takes_tabs_and_spaces(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("the die\nthe\tder\nice cream\teis\nthe die\n")
    assert read_muse(tmp_path / "x").entries == {"the": {"die": 1.0, "der": 1.0}, "ice cream": {"eis": 1.0}}


def test_fast_align_gives_log_probabilities(tmp_path: Path) -> None:
    """Lines of fast_align -p; the null word is <eps>, log 0.5 = -0.693147."""
    (tmp_path / "x").write_text(
        "<eps>\tthe\t-1.53773\nja\tyes\t-0.693147\nhaus\tsmall\t-2.32035\nhaus\thouse\t-0.208803\n"
    )
    entries = read_fast_align(tmp_path / "x").entries
    assert list(entries) == ["ja", "haus"]
    assert list(entries["haus"]) == ["house", "small"]
    assert entries["ja"]["yes"] == pytest.approx(0.5, abs=1e-6)


def test_moses_lists_the_given_word_second(tmp_path: Path) -> None:
    """lex.f2e for German f and English e as the Moses manual shows it: e, f, w(e | f)."""
    (tmp_path / "x").write_text("europe europa 0.8874152\nthe NULL 0.2\nNULL europa 0.01\neuropean europa 0.0542998\n")
    assert read_moses(tmp_path / "x").entries == {"europa": {"europe": 0.8874152, "european": 0.0542998}}


@pytest.mark.parametrize(
    ("read", "line", "message"),
    [
        (read_muse, "a b c", "expected 2 fields"),
        (read_muse, "a\t", "expected 2 fields"),
        (read_fast_align, "a\tb", "expected 3 fields"),
        (read_fast_align, "a\tb\t0.5", "expected a log probability, found 0.5"),
        (read_fast_align, "a\tb\tx", "expected a log probability, found 'x'"),
        (read_moses, "a b 1.5", "expected a probability, found 1.5"),
        (read_moses, "a b nan", "expected a probability, found 'nan'"),
    ],
)
def test_bad_lines(tmp_path: Path, read: object, line: str, message: str) -> None:
    (tmp_path / "x").write_text(f"\n{line}\n")
    with pytest.raises(DataError, match=f"x:2: {message}"):
        read(tmp_path / "x")  # type: ignore[operator]


def test_a_table_of_nothing_but_null_is_empty(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("<eps>\tthe\t-1\n")
    with pytest.raises(DataError, match="x: expected at least one entry"):
        read_fast_align(tmp_path / "x")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "en-de.txt").write_text("house haus\nhome haus\nhome heim\n")
    (tmp_path / "en-fr.txt").write_text("house maison\nhome maison\nhome foyer\n")
    return tmp_path


def test_a_folder_gives_the_direction_its_inverse_or_a_way_through_english(folder: Path) -> None:
    assert muse(folder, "en", "de")[0].entries["home"] == {"haus": 1.0, "heim": 1.0}
    assert muse(folder, "de", "en")[0].entries["haus"] == {"house": 1.0, "home": 1.0}
    lexicon, files = muse(folder, "de", "fr")
    # haus: house or home, half each; home: maison or foyer, half each
    assert lexicon.entries == {"haus": {"maison": 0.75, "foyer": 0.25}, "heim": {"maison": 0.5, "foyer": 0.5}}
    assert [file.name for file in files] == ["en-de.txt", "en-fr.txt"]
    with pytest.raises(DataError, match=r"expected de-ko\.txt, ko-de\.txt, or dictionaries to go through English"):
        muse(folder, "de", "ko")


def test_a_pivot_loses_words_without_a_way(folder: Path) -> None:
    first = Lexicon({"haus": {"house": 1.0}, "zug": {"train": 1.0}})
    assert set(pivoted(first, read_muse(folder / "en-fr.txt")).entries) == {"haus"}
    with pytest.raises(DataError, match="no candidate of the first"):
        pivoted(first, Lexicon({"dog": {"chien": 1.0}}))


def test_commands(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder / "de-fr.tsv"
    arguments = ["lexicon", "muse", str(folder), "--out", str(out)]
    assert main(arguments) == 2
    assert "a folder needs --source-lang and --target-lang" in capsys.readouterr().err
    assert main([*arguments, "--source-lang", "de", "--target-lang", "fr"]) == 0
    assert read_lexicon(out).entries["haus"] == {"maison": 0.75, "foyer": 0.25}
    record = json.loads((folder / "de-fr.tsv.json").read_text())
    assert len(record["inputs"]) == 2
    assert record["quality"]["words"] == 2
    (folder / "table").write_text(f"haus\thouse\t{math.log(0.25)}\n")
    assert main(["lexicon", "import", str(folder / "table"), "--format", "fast_align", "--out", str(out)]) == 0
    assert out.read_text() == "haus\thouse\t0.25\n"


def test_stop_words_cover_the_languages_of_both_papers_but_one(tmp_path: Path) -> None:
    for language in LANGUAGES:
        if language != "xh":
            assert len(stop_words(language)) > 50
    assert {"the", "of"} <= stop_words("en")
    (tmp_path / "xh").write_text("Kodwa\n\nukuba\n")
    assert stop_words(str(tmp_path / "xh")) == {"kodwa", "ukuba"}


def test_published_muse_dictionaries_are_read_whole() -> None:
    if not (DATA / "muse").is_dir():
        pytest.skip("no MUSE dictionaries")
    path = DATA / "muse/en-fr.0-5000.txt"
    lexicon = read_muse(path)
    assert len(lexicon) == 5000  # the first 5,000 distinct words
    assert sum(map(len, lexicon.entries.values())) == len(set(path.read_text(encoding="utf-8").splitlines()))


def test_a_gold_dictionary_may_be_a_lexicon_file(tmp_path):
    two, three = tmp_path / "two.txt", tmp_path / "three.tsv"
    two.write_text("haus house\nhaus home\n")
    three.write_text("haus\thouse\t198\nhaus\thome\t2\n")
    assert list(read_gold(two).entries["haus"]) == list(read_gold(three).entries["haus"]) == ["house", "home"]
