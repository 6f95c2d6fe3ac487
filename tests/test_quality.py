"""Figures on a lexicon, worked by hand on three sentences."""

from __future__ import annotations

import json
import math
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csr.cli import main
from csr.errors import ConfigError, DataError
from csr.induction import quality
from csr.lexicon import Lexicon, write_lexicon

BITEXT = [
    (["das", "haus", "brennt"], ["the", "house", "burns"]),
    (["das", "heim"], ["the", "home"]),
    (["ein", "haus"], ["a", "home"]),
]
LEXICON = Lexicon({"das": {"that": 0.6, "the": 0.4}, "haus": {"house": 0.5, "home": 0.5}, "ein": {"ein": 1.0}})
sentences = st.lists(st.sampled_from("abcd"), max_size=5)


def test_cooccurrence_precision_by_hand() -> None:
    """Tokens with an entry: das, haus; das; ein, haus. At 1: house once. At 2: the twice, house, home."""
    assert quality.cooccurrence_precision(LEXICON, BITEXT) == 1 / 5
    assert quality.cooccurrence_precision(LEXICON, BITEXT, k=2) == 4 / 5
    assert quality.cooccurrence_precision(LEXICON, [(["hund"], ["dog"])]) == 0


def test_best_candidates_go_by_weight_not_by_order() -> None:
    lexicon = Lexicon({"das": {"that": 0.1, "the": 0.9}})
    assert quality.cooccurrence_precision(lexicon, BITEXT) == 1


@given(st.lists(st.tuples(sentences, sentences), max_size=8))
def test_precision_grows_with_k_and_a_full_lexicon_is_always_right(bitext: quality.Bitext) -> None:
    everything = Lexicon({word: dict.fromkeys("abcd", 1.0) for word in "abcd"})
    shares = [quality.cooccurrence_precision(everything, bitext, k) for k in (1, 2, 3, 4)]
    assert shares == sorted(shares)
    tokens = sum(len(a) for a, _ in bitext)
    assert shares[-1] == pytest.approx(sum(len(a) for a, b in bitext if b) / tokens if tokens else 0)


def test_gold_precision_by_hand() -> None:
    """Of das, haus, heim two have an entry; at 1 haus is right, at 5 das too."""
    gold = Lexicon({"das": {"the": 1.0}, "haus": {"house": 1.0, "building": 1.0}, "heim": {"home": 1.0}})
    found = quality.gold_precision(LEXICON, gold, (1, 5))
    assert found == {"coverage": 2 / 3, "precision@1": 1 / 2, "precision@5": 1.0}
    with pytest.raises(DataError, match="none of the 1 gold words has an entry"):
        quality.gold_precision(LEXICON, Lexicon({"house": {"haus": 1.0}}))


def test_stats_by_hand() -> None:
    """Types das, haus, brennt, heim, ein; das and haus twice. Entropies .971, 1 and 0 bits; 5 entries, 1 identical."""
    report = quality.stats(LEXICON, bitext=BITEXT, ks=(1, 2))
    entropy = -(0.6 * math.log2(0.6) + 0.4 * math.log2(0.4))
    assert report["lexicon"] == {
        "words": 3,
        "entries": 5,
        "candidates_per_word": 5 / 3,
        "identity_share": 1 / 5,
        "entropy_bits": pytest.approx((entropy + 1) / 3),
    }
    assert report["corpus"] == {
        "types": 5,
        "tokens": 7,
        "type_coverage": 3 / 5,
        "token_coverage": 5 / 7,
        "precision@1": 1 / 5,
        "precision@2": 4 / 5,
    }
    once, twice = report["by_frequency"]
    assert (once["frequency"], once["types"], once["type_coverage"], once["precision@1"]) == ("1", 3, 1 / 3, 0)
    assert (twice["frequency"], twice["types"], twice["type_coverage"], twice["precision@2"]) == ("2-4", 2, 1, 1)
    assert report["sample"] == LEXICON.entries


def test_buckets_part_the_words() -> None:
    counts = {f"w{n}": n for n in (1, 2, 4, 5, 9, 10, 99, 100, 999, 1000, 12345)}
    bitext = [([word] * n, ["x"]) for word, n in counts.items()]
    report = quality.stats(Lexicon({word: {"x": 1.0} for word in counts}), bitext=bitext)
    buckets = {bucket["frequency"]: bucket["types"] for bucket in report["by_frequency"]}
    assert buckets == {"1": 1, "2-4": 2, "5-9": 2, "10-99": 2, "100-999": 2, "1000+": 2}


def test_samples_are_twenty_and_depend_on_the_seed() -> None:
    lexicon = Lexicon({str(i): {"x": 1.0} for i in range(100)})
    first, again, other = (quality.stats(lexicon, seed=seed)["sample"] for seed in (1, 1, 2))
    assert len(first) == 20
    assert first == again != other


def test_text_without_any_entry_is_said_so() -> None:
    with pytest.raises(DataError, match="none of the 2 words of the text has an entry; is it the source language"):
        quality.stats(LEXICON, text=[["the", "house"]])


def test_picture_shows_what_there_is(tmp_path: Path) -> None:
    quality.picture(quality.stats(LEXICON, bitext=BITEXT), tmp_path / "x.svg")
    assert ElementTree.parse(tmp_path / "x.svg").getroot().tag.endswith("svg")
    quality.picture(quality.stats(LEXICON, text=[a for a, _ in BITEXT]), tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ConfigError, match="needs text"):
        quality.picture(quality.stats(LEXICON), tmp_path / "y.svg")
    with pytest.raises(ConfigError, match=r"y\.txt: expected a picture named"):
        quality.picture(quality.stats(LEXICON, bitext=BITEXT), tmp_path / "y.txt")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    write_lexicon(LEXICON, tmp_path / "a.tsv")
    write_lexicon(Lexicon({"haus": {"home": 1.0}}), tmp_path / "b.tsv")
    for name, side in (("src", 0), ("tgt", 1)):
        (tmp_path / name).write_text("".join(" ".join(pair[side]).capitalize() + ".\n" for pair in BITEXT))
    (tmp_path / "gold").write_text("haus house\n")
    return tmp_path


def run(files: Path, *arguments: str) -> int:
    return main(["lexicon", *(str(files / a) if (files / a).exists() else a for a in arguments)])


def test_stats_command(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(files, "stats", "a.tsv", "--src", "src", "--tgt", "tgt", "--gold", "gold", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["corpus"]["precision@1"] == 1 / 5
    assert report["gold"] == {"coverage": 1.0, "precision@1": 1.0, "precision@5": 1.0, "precision@10": 1.0}
    assert run(files, "stats", "a.tsv", "--src", "src", "--picture", str(files / "p.svg")) == 0
    text = capsys.readouterr().out
    assert "corpus token_coverage" in text
    assert "haus: house 0.5, home 0.5" in text
    assert (files / "p.svg").exists()


def test_compare_command_lays_lexicons_side_by_side(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(files, "compare", "a.tsv", "b.tsv", "--src", "src", "--tgt", "tgt") == 0
    rows = {line.rsplit(maxsplit=2)[0]: line.split()[-2:] for line in capsys.readouterr().out.splitlines()[1:]}
    assert rows["lexicon words"] == ["3", "1"]
    assert rows["corpus precision@1"] == ["0.2000", "0.5000"]


def test_commands_say_what_is_wrong(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(files, "stats", "a.tsv", "--tgt", "tgt") == 2
    assert run(files, "stats", "a.tsv", "--src", "tgt") == 2
    (files / "tgt").write_text("the\n")
    assert run(files, "stats", "a.tsv", "--src", "src", "--tgt", "tgt") == 2
    first, second, third = capsys.readouterr().err.splitlines()
    assert first == "csr lexicon: --tgt needs --src"
    assert "none of the 5 words" in second
    assert "tgt:2: expected a line to go with" in third


def test_what_is_drawn_by_hand():
    # "das" draws the (0.75) or house (0.25), "haus" house or home: 0.75, 0.5, then 0.25, 0.5 in the second pair.
    lexicon = Lexicon({"das": {"the": 3.0, "House": 1.0}, "Haus": {"house": 1.0, "home": 1.0}})
    bitext = [(["das", "haus", "da"], ["the", "home"]), (["das", "haus"], ["house"])]
    found = quality.drawn(lexicon, bitext, ({"das"}, {"the", "home"}))
    assert found == {
        "switchable": 4 / 5,
        "in_translation": (0.75 + 0.5 + 0.25 + 0.5) / 4,
        "by_chance": (0.25 + 0.5) / 4,  # of the first pair's draws, in the second's translation
        "content_to_stop": 0.5,
    }
    assert [doubt.partition(",")[0] for doubt in quality.doubts(found)] == ["of the words that are no stop words"]
    poor = {**found, "in_translation": 0.2, "content_to_stop": 0.0}
    assert "20.0 % of the draws, by chance in 18.8 %" in quality.doubts(poor)[0]


def test_stats_show_what_is_drawn_and_warn(tmp_path, capsys):
    (tmp_path / "de-en.tsv").write_text("haus\thouse\t0.5\nhaus\tthe\t0.5\n")
    (tmp_path / "de").write_text("Das Haus\nEin Haus\n")
    (tmp_path / "en").write_text("The house\nA house\n")
    command = ["lexicon", "stats", tmp_path / "de-en.tsv", "--src", tmp_path / "de", "--tgt", tmp_path / "en", "--json"]
    command += ["--source-lang", "de", "--target-lang", "en"]
    assert main([str(part) for part in command]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["drawn"]["content_to_stop"] == 0.0  # probabilities: stop words are left out
    assert not err
    assert main([str(part) for part in (*command, "--stop-words", "none")]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["drawn"]["in_translation"] == 0.75
    assert "50.0 % are replaced by one; --stop-words leaves these out" in err
