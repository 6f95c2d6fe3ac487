"""The embedded corpus: the same for the same seed, and like text where it matters."""

from collections import Counter

import numpy as np
import pytest

from csr.data import sample
from csr.data.sample import Clause, NounPhrase, Word
from csr.data.texts import sentence_key, sentence_keys
from csr.files import read_lines
from csr.lexicon import Lexicon, read_lexicon
from csr.text.words import tokenize

Pairs = list[tuple[str, str]]


@pytest.fixture(scope="module")
def corpus() -> tuple[Pairs, Lexicon]:
    """What ``csr sample`` writes by default: 8,000 pairs to train on, 500 to develop and 500 to test."""
    return sample.sentences(9000, seed=1)


def test_a_meaning_is_said_in_both_languages() -> None:
    dog, cat, old, house = Word("hund", "susi"), Word("kat", "kissä"), Word("gor", "vank"), Word("haus", "talo")
    see, anna, snow = Word("se", "näke", "accusative"), Word("Anna", "Anna"), Word("sno", "lum")
    meaning = Clause(
        subject=NounPhrase(dog, "3pl", "ta", adjective=old, owner=NounPhrase(anna)),
        predicate=see,
        is_verb=True,
        object=NounPhrase(cat, article="ta", modifier=snow),
        tense="past",
        negative=True,
        place=("wod", NounPhrase(house, article="ta")),
        adverb=None,
    )
    said = [form for form, _ in sample.qaa_clause(meaning)]
    # the old dog-s of Anna not see-past the snow cat with the house
    assert " ".join(said) == "ta gor hundis do Anna no seod ta sno kat wod ta haus"
    said = [form for form, _ in sample.qab_clause(meaning)]
    # house-gen with Anna-gen dog-pl old-pl snow+cat-acc not see-past-3pl. Vowel harmony: susi has the back u, so
    # -tu; näke has the front ä, so -dü and -lär. An e parts the k of vank from the t of -tu.
    assert " ".join(said) == "talono kera Annano susitu vanketu lumokissäm mat näkedülär"


def test_the_seed_decides_every_byte(tmp_path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert sample.write_sample(tmp_path / name, seed, n_train=50, n_held_out=5) == {
            "train": 50,
            "dev": 5,
            "test": 5,
        }
    names = {path.name for path in (tmp_path / "a").iterdir()}
    assert names == {f"{s}.{x}" for s in ("train", "dev", "test") for x in ("qaa", "qab")} | {"lexicon.qaa-qab.tsv"}
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
        assert (tmp_path / "a" / name).read_bytes() != (tmp_path / "c" / name).read_bytes()
    assert len(list(read_lines(tmp_path / "a" / "train.qab"))) == 50
    assert len(read_lexicon(tmp_path / "a" / "lexicon.qaa-qab.tsv")) > 50


@pytest.mark.slow
def test_unpaired_text_has_no_pair_and_no_sentence_of_dev_and_test(tmp_path) -> None:
    sizes = {"train": 100, "dev": 100, "test": 100}
    assert sample.write_sample(tmp_path / "a", 1, 100, 100, n_unpaired=3000) == {**sizes, "mono": 3000}
    assert sample.write_sample(tmp_path / "b", 1, 100, 100) == sizes
    for path in (tmp_path / "b").iterdir():
        assert path.read_bytes() == (tmp_path / "a" / path.name).read_bytes()
    held_out = sentence_keys(tmp_path / "a" / f"{split}.{x}" for split in ("dev", "test") for x in sample.LANGUAGES)
    text = {}
    for language in sample.LANGUAGES:
        lines = list(read_lines(tmp_path / "a" / f"mono.{language}"))
        assert len(set(lines)) == 3000
        assert held_out.isdisjoint(map(sentence_key, lines))
        text[language] = set(lines)
    drawn, _ = sample.sentences(7000, seed=1)
    assert not [pair for pair in drawn if pair[0] in text["qaa"] and pair[1] in text["qab"]]
    # A dictionary, a translation a line, of words that stand in the text to look at.
    known = [line.split("\t") for line in read_lines(tmp_path / "a/dictionary.qaa-qab.txt")]
    assert len(set(map(tuple, known))) == len(known)
    for side, language in enumerate(sample.LANGUAGES):
        words = {word for line in text[language] for word in tokenize(line)}
        assert len(words.intersection(entry[side] for entry in known)) / len(words) > 0.5


def test_no_sentence_comes_twice_on_either_side(corpus: tuple[Pairs, Lexicon]) -> None:
    for side in zip(*corpus[0], strict=True):
        assert len(set(side)) == 9000  # so none is in two splits


@pytest.mark.parametrize("side", [0, 1])
def test_word_frequencies_are_zipfian(corpus: tuple[Pairs, Lexicon], side: int) -> None:
    counts = Counter(word for pair in corpus[0][:8000] for word in tokenize(pair[side]))
    frequencies = np.array(sorted(counts.values(), reverse=True))
    assert len(frequencies) >= 1500
    # Zipf's law: log frequency falls with log rank, with a slope near -1.
    ranks = np.arange(10, 1000)
    slope, _ = np.polyfit(np.log(ranks), np.log(frequencies[ranks - 1]), 1)
    assert -1.2 < slope < -0.7
    assert np.mean(frequencies < 5) > 0.3  # rare words exist
    unseen = [word not in counts for pair in corpus[0][8500:] for word in tokenize(pair[side])]
    assert 0 < np.mean(unseen) < 0.1


def test_sentences_look_like_text(corpus: tuple[Pairs, Lexicon]) -> None:
    for qaa, qab in corpus[0]:
        assert 4 <= len(qaa.split()) <= 16
        assert 3 <= len(qab.replace(",", " ,").split()) <= 16
        assert qaa[-1] == qab[-1]
        assert qaa[-1] in ".?!"
        assert qaa[0] == qaa[0].upper()
        assert qab[0] == qab[0].upper()


@pytest.mark.slow
def test_gold_lexicon_is_what_the_text_does() -> None:
    pairs, gold = sample.sentences(3000, seed=1)
    together: Counter[tuple[str, str]] = Counter()
    for qaa, qab in pairs:
        together.update((a, b) for a in set(tokenize(qaa)) for b in set(tokenize(qab)))
    links = [(a, b, n) for a, candidates in gold.entries.items() for b, n in candidates.items()]
    # A word drawn twice in a sentence is linked twice, hence the factor.
    assert all(n <= 4 * together[a, b] for a, b, n in links)
    assert len(gold) >= 1000
    several_stems = sum(len({b[:3] for b in candidates}) > 1 for candidates in gold.entries.values())
    assert several_stems > 100  # synonyms and forms with two meanings
