"""The settings of switching are declared once: YAML, command line and fairseq's fields agree, and each is checked."""

from __future__ import annotations

import argparse
import dataclasses
import math
import typing

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from csr.errors import ConfigError, DataError
from csr.lexicon import Lexicon
from csr.lexicon_record import KINDS
from csr.options import add_options, flags, plain_type, read_options
from csr.settings import as_mapping, build
from csr.switching.candidates import Source, drawable
from csr.switching.compiled import STATS, Switcher
from csr.switching.encoded import encode_lexicon
from csr.switching.lines import switch_line
from csr.switching.noise import FixedSpans, IndependentWords, PoissonSpans, Schedule
from csr.switching.settings import Noise
from csr.switching.streams import Stream
from csr.switching.symbols import Mark, piece_roles
from csr.text.forms import LOOKUPS, normalized, spellings
from csr.text.words import segments

DEFAULTS = Noise()
HINTS = typing.get_type_hints(Noise)


def values(item: dataclasses.Field) -> st.SearchStrategy:
    """Values of a setting within its range."""
    kind, is_open, choices = plain_type(HINTS[item.name])
    low, high = max(item.metadata["low"], 0), min(item.metadata["high"], 1000)
    found = {
        int: st.integers(math.ceil(low), math.floor(high)),
        float: st.floats(low, high),
        bool: st.booleans(),
        str: st.sampled_from(choices) if choices else st.sampled_from([("none",), ("de", "en"), ("none", "en")]),
    }[kind]
    if item.metadata["infinite"]:
        found |= st.just(math.inf)
    return found | st.none() if is_open else found


def effective(noise: Noise) -> Noise:
    """The settings with those that do nothing beside the others as by default."""
    idle = {
        item.name: getattr(DEFAULTS, item.name)
        for item in dataclasses.fields(noise)
        if (needs := item.metadata["needs"]) and getattr(noise, needs[0]) not in needs[1]
    }
    return dataclasses.replace(noise, **idle)


noises = st.builds(Noise, **{item.name: values(item) for item in dataclasses.fields(Noise)}).map(effective)


@given(noises)
def test_yaml_and_command_line_give_the_same_settings(noise):
    assert build(as_mapping(noise), Noise) == noise
    parser = argparse.ArgumentParser()
    add_options(parser, DEFAULTS)
    assert read_options(parser.parse_args(flags(noise, DEFAULTS)), DEFAULTS) == noise


@settings(max_examples=25)
@given(noises)
def test_a_fairseq_task_gets_the_same_settings(noise):
    """Through the options that fairseq makes of the task's fields."""
    from fairseq.dataclass.utils import gen_parser_from_dataclass

    from fairseq_plugins.restore import CsrRestoreConfig, CsrRestoreTask

    parser = argparse.ArgumentParser(allow_abbrev=False)
    gen_parser_from_dataclass(parser, CsrRestoreConfig())
    cfg = parser.parse_args(["data", *flags(noise, DEFAULTS)])
    assert CsrRestoreTask.noise.func(argparse.Namespace(cfg=cfg)) == noise


def test_fairseq_train_gives_its_task_the_settings():
    """Through the whole command line and omegaconf, once: they cost a second."""
    from fairseq import options
    from fairseq.dataclass.utils import convert_namespace_to_omegaconf

    from fairseq_plugins.restore import CsrRestoreTask

    noise = Noise(
        policy="independent", rate=0.2, gate=0.5, replace="mixture", mask_share=0.25, schedule="linear", rate_end=0.1,
        schedule_updates=9, temperature=math.inf, top_k=4, min_weight=0.05, stop_words=("de", "none"),
    )  # fmt: skip
    arguments = ["data", "--arch", "transformer", "--task", "csr_restore", *flags(noise, DEFAULTS)]
    parsed = options.parse_args_and_arch(options.get_training_parser(), arguments)
    task = argparse.Namespace(cfg=convert_namespace_to_omegaconf(parsed).task)
    assert CsrRestoreTask.noise.func(task) == noise


def test_every_setting_says_what_it_is():
    for item in dataclasses.fields(Noise):
        assert len(item.metadata["help"]) > 20, item.name
    shown = argparse.ArgumentParser()
    add_options(shown, DEFAULTS)
    assert "(default: 0.35)" in " ".join(shown.format_help().split())


def test_a_setting_that_would_do_nothing_is_named():
    for raw, message in (
        ({"span": 4}, r"noise\.span: expected with noise\.policy fixed alone, found poisson"),
        ({"policy": "fixed", "mean_span": 4}, r"noise\.mean_span: expected with noise\.policy poisson alone"),
        ({"mask_share": 0.2}, r"noise\.mask_share: expected with noise\.replace mixture alone, found translation"),
        ({"rate_end": 0.2}, r"noise\.rate_end: expected with noise\.schedule linear or cosine alone, found constant"),
        ({"stop_words": ["de"]}, r"noise\.stop_words: expected two, such as en,none, or none alone, found 1"),
        ({"temperature": 0}, r"noise\.temperature: expected at least 0\.01, found 0"),
    ):
        with pytest.raises(ConfigError, match=message):
            build({"noise": raw}, dataclasses.make_dataclass("Section", [("noise", Noise)], frozen=True))


def test_policies_and_schedules_are_made_of_the_settings():
    assert Noise().make_policy() == PoissonSpans(0.35, 3.5)
    assert Noise(zero_spans="insert").make_policy() == PoissonSpans(0.35, 3.5, insert=True)
    assert Noise(policy="fixed", rate=0.2, span=2).make_policy() == FixedSpans(0.2, 2)
    assert Noise(policy="independent", rate=0.03, gate=0.4).make_policy() == IndependentWords(0.03, 0.4)
    assert Noise().make_schedule() is None
    linear = Noise(schedule="linear", rate=0.5, rate_end=0.1, schedule_updates=200)
    assert linear.make_schedule() == Schedule("linear", 0.5, 0.1, 200)
    assert linear.rate_at(100) == pytest.approx(0.3)
    assert [Noise(replace=what).mask_probability for what in ("translation", "mask", "mixture")] == [0, 1, 0.5]


def test_what_is_left_open_goes_by_the_kind_of_the_lexicon():
    lexicon = Lexicon({"hund": {"dog": 0.5, "hund": 0.4, "hound": 0.3, "the": 0.1, "puppy": 0.01}, "taxi": {"Taxi": 1}})
    stops = ((), {"the"})
    # Never the word itself: "taxi" has no other candidate and is no entry.
    assert drawable(lexicon, Noise(), "similarities").probs("hund") == dict.fromkeys(("dog", "hound", "the"), 1 / 3)
    assert drawable(lexicon, Noise(), "dictionary").probs("hund") == dict.fromkeys(
        ("dog", "hound", "the", "puppy"), 0.25
    )
    # From 2 % on, without stop words, as likely as they are: 0.5 / 0.8 and 0.3 / 0.8.
    assert drawable(lexicon, Noise(), "probabilities", stops).entries == {"hund": {"dog": 0.5, "hound": 0.3}}
    kept = drawable(lexicon, Noise(keep_identical=True, top_k=2, temperature=0.5), "similarities").entries
    assert kept == {"hund": {"dog": 0.25, "hund": pytest.approx(0.16)}, "taxi": {"Taxi": 1}}


def test_languages_of_the_stop_words(tmp_path, caplog):
    path = tmp_path / "de-en.tsv"
    path.write_text("der\tthe\t0.9\nhund\tdog\t0.8\nhund\tthe\t0.2\n")
    assert Source(path, ("de_DE", "en")).read(Noise()).entries == {"hund": {"dog": 0.8}}
    assert Source(path).read(Noise(stop_words=("none", "en"))).entries == {"hund": {"dog": 0.8}}
    assert Source(path, ("de", "en")).read(Noise(stop_words=("none",))).entries["der"] == {"the": 0.9}
    assert not caplog.records
    assert set(Source(path).read(Noise()).entries) == {"der", "hund"}
    assert "its languages are not known" in caplog.text
    (tmp_path / "de-en.tsv.json").write_text('{"kind": "probabilities", "languages": ["de", "en"]}')
    assert Source(path).read(Noise()).entries == {"hund": {"dog": 0.8}}
    assert Source(path, ("xh", "en")).read(Noise()).entries == {"hund": {"dog": 0.8}}
    assert "stopwords-iso has no list of xh" in caplog.text


def test_probabilities_are_not_read_the_wrong_way_round(tmp_path):
    path = tmp_path / "de-en.tsv"
    path.write_text("hund\tdog\t0.8\n")
    with pytest.raises(ConfigError, match=r"holds probabilities, which go one way: expected a second lexicon"):
        Source(path, swapped=True).read(Noise())
    path.write_text("hund\tdog\nköter\tdog\n")
    assert Source(path, swapped=True).read(Noise()).entries == {"dog": {"hund": 1.0, "köter": 1.0}}


WORDS = ("haus", "Haus", "HAUS", "l'idée", "L’idée", "straße", "STRAẞE", "über", "Über", "ijs", "a1", "2024", "x")
# Of twenty languages in twelve scripts, as text has them: with their capitals, joiners and marks inside of words.
WORDS += (
    "col·lecció",
    "ışık",
    "İlk",
    "o‘zbek",
    "ọ̀rọ̀",
    "học",
    "οδός",
    "ΟΔΟΣ",
    "слово",
    "п'ять",
    "П’ЯТЬ",
    "სახლი",
    "ᲡᲐᲮᲚᲘ",
)
WORDS += (
    "արև",
    "ԱՐԵՎ",
    'ארה"ב',
    "ארה״ב",
    "צ'ק",
    "سڑک",
    "کتاب\u200cها",
    "सड़क",
    "ප්\u200dරශ්නය",
    "അവന്\u200d",
    "น้ำ",
    "학교",
    "学校",
    "ሰላም",
)
POOL = tuple(map(normalized, WORDS))
TARGETS = ("house", "House", "haus", "HAUS", "l'idée", "the", "Iris", "x", "strada", "ახალი", "ев", "ǆep", "γλώσσα")
LANGUAGES = (None, "de", "tr", "el", "nl", "ka")
texts = st.lists(
    st.tuples(st.sampled_from(POOL), st.sampled_from((" ", ", ", ". ", "-", " … "))), min_size=1, max_size=9
)
options = st.dictionaries(st.sampled_from(TARGETS), st.sampled_from((0.5, 1.0)), min_size=1)
tables = st.dictionaries(st.sampled_from(POOL), options, min_size=1)
FORMS = {
    form for case, _ in LOOKUPS for language in LANGUAGES for _, form in spellings((*POOL, *TARGETS), case, language)
}
CHARACTERS = sorted({c for form in FORMS for c in form} | set(",.-…"))
SYMBOLS = ["<s>", "<pad>", "</s>", "<unk>", "▁", *CHARACTERS]
IDS = {piece: i for i, piece in enumerate(SYMBOLS)}


def spelled(words, spaced):
    """Write a word as its characters, after a space sign or not; one with a character too many not at all."""
    return [[*[IDS["▁"]] * spaced, *(IDS[c] for c in word)] if all(c in IDS for c in word) else [] for word in words]


@given(
    texts,
    tables,
    st.sampled_from(KINDS),
    st.integers(1, 5),
    st.booleans(),
    st.sampled_from((None, 1)),
    st.tuples(st.sampled_from(LANGUAGES), st.sampled_from(LANGUAGES)),
)
def test_training_may_replace_what_csr_switch_may_replace(parts, table, kind, min_length, identical, top_k, languages):
    """For any text, lexicon and settings: with all words replaced, both give the same sentence."""
    noise = Noise(rate=1.0, min_length=min_length, keep_identical=identical, top_k=top_k)
    lexicon = drawable(Lexicon(table), noise, kind, (frozenset({"über"}), frozenset({"the"})), languages)
    assume(len(lexicon))
    line = "".join(word + after for word, after in parts).strip()
    cased, (language, other) = lexicon.cased(languages), languages
    expected = switch_line(line, cased, noise.make_policy(), Stream(1, 1, 5), language=language, target_language=other)

    ids, marks = [], []
    for text, is_word in segments(f" {line}"):
        for i, character in enumerate(text.replace(" ", "▁")):
            ids.append(IDS[character])
            marks.append((Mark.GO_ON if i or ids[-2:-1] == [IDS["▁"]] else Mark.BEGIN) if is_word else Mark.OUTSIDE)
        if is_word and len(ids) > len(text) and ids[-len(text) - 1] == IDS["▁"]:
            marks[-len(text) - 1] = Mark.BEGIN  # the space sign belongs to the word that follows
    try:
        encoded = encode_lexicon(lexicon, spelled, languages)
    except DataError:  # of numbers alone
        assert not expected.positions
        return
    switcher = Switcher(encoded, piece_roles(SYMBOLS), noise.make_policy(), 1, max_growth=20)
    out, counts = switcher(np.array(ids), 1, 5, np.array(marks, np.uint8))
    assert "".join(SYMBOLS[i] for i in out).replace("▁", " ").strip() == expected.text()
    assert counts[STATS.index("covered")] == expected.n_covered
    assert counts[STATS.index("switched")] == len(expected.positions)
