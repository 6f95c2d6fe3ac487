"""Switching: the readable version keeps its rules, the compiled twin makes the same draws."""

from __future__ import annotations

import json
import math
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csr.jit import fixed
from csr.lexicon import Lexicon
from csr.switching import compiled_streams
from csr.switching.compiled import STATS, Masker, Switcher
from csr.switching.compiled_choice import entry_counts
from csr.switching.compiled_words import find_words
from csr.switching.draws import candidate_cells, chi_square, span_cells
from csr.switching.encoded import encode_lexicon
from csr.switching.lines import switch_line
from csr.switching.noise import (
    FixedSpans,
    IndependentWords,
    PoissonSpans,
    Schedule,
    add_noise,
    one_of,
    permuted,
    switch,
)
from csr.switching.streams import Stream, start_state
from csr.switching.symbols import Mark, Unit, piece_roles
from csr.text import segmenters

WORDS = ["aa", "bb", "cc", "dd", "ee", "ff"]
sentences = st.lists(st.sampled_from([*WORDS, "zz", "qq"]), min_size=1, max_size=30)
rates = st.floats(0, 1)
indices = st.integers(0, 2**40)
lexicons = st.dictionaries(
    st.sampled_from(WORDS),
    st.dictionaries(st.sampled_from([w.upper()[::-1] + "x" for w in WORDS]), st.floats(0.01, 1), min_size=1),
    min_size=1,
).map(Lexicon)
policies = st.one_of(
    st.builds(PoissonSpans, rates, st.floats(0.1, 8)),
    st.builds(PoissonSpans, rates, st.floats(0.1, 8), st.just(True)),
    st.builds(FixedSpans, rates, st.integers(1, 5)),
    st.builds(IndependentWords, rates, rates),
)

# A vocabulary in which a word is "▁" and its letters: every word can be written, after a space or not.
LETTERS = sorted({c for w in WORDS for c in w} | {c for w in WORDS for c in w.upper()} | set("xzqZQX"))
PIECES = ["<s>", "<pad>", "</s>", "<unk>", *[f"▁{c}" for c in LETTERS], *LETTERS, ".", "'", "▁", "[de]", "<mask>"]
INDEX = {piece: i for i, piece in enumerate(PIECES)}
ROLES = fixed(piece_roles(PIECES))


def encode(words, spaced):
    return [[INDEX[("▁" if spaced else "") + w[0]], *(INDEX[c] for c in w[1:])] for w in words]


def ids_of(words):
    return np.array([i for row in encode(words, True) for i in row], np.int64)


def text(ids):
    return "".join(PIECES[i] for i in ids).replace("▁", " ").strip()


@given(sentences, lexicons, policies, indices)
def test_only_words_with_candidates_change_and_only_to_them(words, lexicon, policy, index):
    before = list(words)
    new = switch(words, lexicon, policy, Stream(1, 1, index))
    assert words == before
    assert all(candidate in lexicon.entries[words[i]] for i, candidate in new.items())
    if not isinstance(policy, IndependentWords):
        covered = sum(word in lexicon for word in words)
        budget = min(math.ceil(policy.rate * len(words) - 1e-9), covered)
        assert len(new) <= budget
        # It is used up unless the lexicon covers too little, or spans of no words were starts too.
        assert len(new) == budget or getattr(policy, "insert", False)


@given(sentences, lexicons, policies, indices)
def test_compiled_twin_makes_the_same_draws(words, lexicon, policy, index):
    new = switch(words, lexicon, policy, Stream(7, 3, index))
    expected = [new.get(i, word) for i, word in enumerate(words)]
    switcher = Switcher(encode_lexicon(lexicon, encode), ROLES, policy, seed=7, max_growth=10, mask=INDEX["<mask>"])
    ids = ids_of(words)
    clean = ids.copy()
    out, stats = switcher(ids, 3, index)
    assert text(out[out != INDEX["<mask>"]]) == " ".join(expected)
    assert (ids == clean).all()
    counts = dict(zip(STATS, stats.tolist(), strict=True))
    assert counts == {
        "sentences": 1,
        "words": len(words),
        "covered": sum(word in lexicon for word in words),
        "switched": len(new),
        "spans": sum(i - 1 not in new for i in new),
        "touched": bool(new),
        "fell_back": 0,
        "pieces_before": len(ids),
        "pieces_after": len(out),
    }


@given(sentences, lexicons, rates, rates, st.sampled_from(["words", "switchable"]), sentences, indices)
def test_compiled_twin_draws_rare_words_first_alike(words, lexicon, rate, gate, share_of, corpus, index):
    encoded = encode_lexicon(lexicon, encode)
    written = [ids_of(corpus), ids_of([word.upper() for word in corpus])]
    found = entry_counts(encoded, [(ids, np.empty(0, np.uint8)) for ids in written], ROLES)
    assert found.tolist() == [2 * corpus.count(word) for word in lexicon.entries]
    policy = IndependentWords(rate, gate, share_of, rare_first=True)
    new = add_noise(words, lexicon, policy, Stream(7, 3, index), counts=Counter(corpus * 2)).words
    out, stats = Switcher(encoded, ROLES, policy, 7, max_growth=10, counts=[found])(ids_of(words), 3, index)
    assert text(out) == " ".join(new.get(i, word) for i, word in enumerate(words))
    # Which words are drawn changes, how many does not.
    _, other = Switcher(encoded, ROLES, IndependentWords(rate, gate, share_of), 7, max_growth=10)(
        ids_of(words), 3, index
    )
    assert stats[STATS.index("switched")] == other[STATS.index("switched")]


def test_rare_words_are_drawn_by_the_inverse_of_their_counts():
    # Seen 0, 1 and 3 times: weights 1, 1/2, 1/4. Two of three, one after the other: a and b with probability
    # 4/7 * 2/3 + 2/7 * 4/5 = 64/105, a and c with 4/7 * 1/3 + 1/7 * 2/3 = 30/105, b and c with 11/105.
    lexicon = Lexicon({word: {"x": 1.0} for word in ("aa", "bb", "cc")})
    policy, counts = IndependentWords(2 / 3, 1.0, "switchable", rare_first=True), {"bb": 1, "cc": 3}
    drawn = Counter(
        "".join(map(str, sorted(add_noise(["aa", "bb", "cc"], lexicon, policy, Stream(1, 1, i), counts=counts).words)))
        for i in range(20_000)
    )
    expected = {"01": 64 / 105, "02": 30 / 105, "12": 11 / 105}
    assert sum((drawn[k] - p * 20_000) ** 2 / (p * 20_000) for k, p in expected.items()) < 13.8  # 2 df, p = 0.001
    with pytest.raises(ValueError, match="counts must be of 1 lexicons for rare words first, got 0"):
        Switcher(encode_lexicon(lexicon, encode), ROLES, policy, 1)


@given(
    sentences,
    st.lists(lexicons, min_size=1, max_size=3),
    policies,
    st.sampled_from([0.0, 0.4, 1.0]),
    st.lists(st.sampled_from([w.upper()[::-1] + "x" for w in WORDS]), max_size=8),
    st.booleans(),
    indices,
)
def test_compiled_twin_masks_inserts_aligns_and_follows_a_schedule(
    words, several, policy, mask_share, aligned, marked, index
):
    rate = Schedule("cosine", policy.rate, 0.2, 5).rate(3)
    stream = Stream(7, 3, index)
    new = add_noise(
        words, one_of(several, stream), policy, stream,
        rate=rate, mask_share=mask_share, aligned=aligned,
    )  # fmt: skip
    expected = [[new.words.get(i, word)] for i, word in enumerate(words)]
    for start, end in new.masked:
        expected[start:end] = [["<mask>"], *[[] for _ in range(start + 1, end)]]
    for i in new.inserted:
        expected[i].insert(0, "<mask>")
    switcher = Switcher(
        [encode_lexicon(lexicon, encode) for lexicon in several], ROLES, policy, seed=7, max_growth=10,
        mask=INDEX["<mask>"], mask_share=mask_share,
    )  # fmt: skip
    marks = [mark for row in encode(words, True) for mark in (Mark.BEGIN, *[Mark.GO_ON] * (len(row) - 1))]
    out, _ = switcher(ids_of(words), 3, index, np.array(marks if marked else [], np.uint8), ids_of(aligned), rate=rate)
    assert text(out).replace("<mask>", " <mask>").split() == [word for row in expected for word in row]


@settings(max_examples=40)
@given(st.lists(sentences, min_size=1, max_size=4), indices)
def test_sentences_of_an_instance_change_places(several, index):
    dot = [INDEX["."]]
    ids = np.concatenate([np.concatenate([ids_of(words), dot]) for words in several]).astype(np.int64)
    out, _ = Masker(INDEX["<mask>"], ROLES, PoissonSpans(0), 7, permute=True)(ids, 3, index)
    stream = Stream(7, 3, index)
    PoissonSpans(0).choose([True] * sum(map(len, several)), 0.0, stream)
    expected = permuted([" ".join(words) + "." for words in several], stream)
    assert text(out) == " ".join(expected)


def test_units_of_pieces_take_a_lexicon_of_pieces():
    lexicon = Lexicon({"▁a": {"▁b": 1.0}, "a": {"c": 1.0}, "b": {"unseen": 1.0}})
    encoded = encode_lexicon(lexicon, lambda words, spaced: [[INDEX[w]] if w in INDEX else [] for w in words])
    out, stats = Switcher(encoded, ROLES, PoissonSpans(1.0), 1, unit=Unit.PIECE)(ids_of(["aa", "bb"]), 1, 0)
    assert [PIECES[i] for i in out] == ["▁b", "c", "▁b", "b"]
    assert stats[STATS.index("words")] == 4


def test_words_are_where_the_marks_say():
    # 我们今天, cut into 我们 and 今天 where no space shows it; marks of another length are of another text.
    lexicon = Lexicon({"aa": {"bb": 1.0}})
    switcher = Switcher(encode_lexicon(lexicon, encode), ROLES, PoissonSpans(1.0), 1)
    ids = np.array([INDEX["▁a"], INDEX["a"], INDEX["a"], INDEX["a"]])
    assert switcher(ids, 1, 0)[0].tolist() == ids.tolist()
    out, _ = switcher(ids, 1, 0, np.array([1, 2, 1, 2], np.uint8))
    assert [PIECES[i] for i in out] == ["▁b", "b", "▁b", "b"]  # a space keeps the translations apart
    assert switcher(ids, 1, 0, np.array([1, 2, 1], np.uint8))[0].tolist() == ids.tolist()


def test_translations_of_words_that_touch_are_kept_apart(monkeypatch):
    monkeypatch.setattr(segmenters, "segmenter", lambda language: lambda text: re.findall("..", text))
    lexicon = Lexicon({"我们": {"we": 1.0}, "今天": {"today": 1.0}})
    line = switch_line("我们今天我们。", lexicon, PoissonSpans(1.0), Stream(1, 1, 1), language="zh")
    assert line.text() == "we today we。"
    assert "".join(line.segments) == "我们今天我们。"
    line = switch_line("我们昨天今天", lexicon, PoissonSpans(1.0), Stream(1, 1, 1), language="zh")
    assert line.text("[{}]") == "[we]昨天[today]"


def test_a_candidate_that_stands_in_the_translation_goes_first():
    lexicon = Lexicon({"bank": {"ufer": 0.9, "bank": 0.05, "geldhaus": 0.05}}).cased()
    for index in range(20):
        line = switch_line("BANK", lexicon, PoissonSpans(1.0), Stream(1, 1, index), aligned=["die", "Bank"])
        assert line.text() == "BANK"
        assert line.switched == {0: "BANK"}


def test_an_aligned_phrase_keeps_its_order():
    """rotes Auto beside "la voiture rouge": its words, in its order, though rotes goes first."""
    lexicon = Lexicon({"rotes": {"rouge": 0.5, "vif": 0.5}, "auto": {"voiture": 0.2, "char": 0.8}, "ein": {"un": 1.0}})
    words = ["ein", "rotes", "auto"]
    new = add_noise(words, lexicon, PoissonSpans(1.0), Stream(1, 1, 1), aligned=["la", "voiture", "rouge"])
    assert new.words == {0: "un", 1: "voiture", 2: "rouge"}
    new = add_noise(words, lexicon, PoissonSpans(1.0), Stream(1, 1, 1), aligned=["rouge", "la", "voiture"])
    assert new.words == {0: "un", 1: "rouge", 2: "voiture"}  # no neighbours there: each stays where it is


@given(sentences, lexicons, indices)
def test_rate_zero_is_the_identity(words, lexicon, index):
    line = ". ".join(words) + "!"
    assert switch_line(line, lexicon, PoissonSpans(0), Stream(1, 1, index)).text() == line
    out, stats = Switcher(encode_lexicon(lexicon, encode), ROLES, PoissonSpans(0), 1)(ids_of(words), 1, index)
    assert (out == ids_of(words)).all()
    assert stats[STATS.index("switched")] == 0


@given(st.integers(0, 2**63), st.integers(0, 1000), indices)
def test_numba_repeats_the_stream_bit_by_bit(seed, epoch, index):
    stream = Stream(seed, epoch, index)
    state = np.array([start_state(seed, epoch, index)], np.uint64)
    assert [stream.random() for _ in range(5)] == [compiled_streams.random(state) for _ in range(5)]
    assert stream.poisson(math.exp(-3.5)) == compiled_streams.poisson(state, math.exp(-3.5))
    assert stream.permutation(9) == list(compiled_streams.permutation(state, 9))


def test_the_stream_is_splitmix64():
    # Vigna's splitmix64.c, state 1234567: the first outputs as published in test vectors.
    stream = Stream(0, 0, 0)
    stream.state = 1234567
    first = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert [stream.random() for _ in first] == [(x >> 11) * 2.0**-53 for x in first]


def test_streams_of_neighbouring_sentences_and_epochs_do_not_collide():
    # fairseq folds (seed, epoch, index) into a million seeds: a million sentences then share 34 thousand.
    states = {start_state(1, epoch, index) for epoch in (1, 2) for index in range(100_000)}
    assert len(states) == 200_000


def test_spans_follow_the_poisson_and_candidates_their_weights():
    stream = Stream(1, 1, 1)
    lengths = np.array([stream.poisson(math.exp(-3.5)) for _ in range(20_000)])
    expected = np.array([math.exp(-3.5) * 3.5**k / math.factorial(k) for k in range(9)]) * len(lengths)
    observed = np.bincount(lengths, minlength=9)[:9]
    assert ((observed - expected) ** 2 / expected).sum() < 27.9  # chi-square, 9 degrees of freedom, p = 0.001

    lexicon = Lexicon({"work": {"travail": 0.717, "travailler": 0.608, "travaille": 0.379, "travaillent": 0.343}})
    drawn = [switch(["work"], lexicon, PoissonSpans(1.0), Stream(1, 1, i))[0] for i in range(20_000)]
    probs = lexicon.probs("work")
    assert probs["travail"] == pytest.approx(0.350, abs=5e-4)  # 0.717 / 2.047
    chi = sum((drawn.count(c) - p * len(drawn)) ** 2 / (p * len(drawn)) for c, p in probs.items())
    assert chi < 16.3  # 3 degrees of freedom, p = 0.001


def test_case_and_punctuation_are_carried_over():
    lexicon = Lexicon({"haus": {"house": 1.0}, "l'idée": {"the_idea": 1.0}, "2024": {"2025": 1.0}}).cased()
    line = 'Das "Haus", HAUS-haus: L\'idée 2024 haus@haus.de http://haus.de/haus'
    switched = switch_line(line, lexicon, PoissonSpans(1.0), Stream(1, 1, 1))
    assert switched.text() == 'Das "House", HOUSE-house: The_idea 2024 haus@haus.de http://haus.de/haus'


def test_a_word_after_punctuation_is_written_without_a_space():
    lexicon = Lexicon({"aa": {"bb": 1.0}})
    switcher = Switcher(encode_lexicon(lexicon, encode), ROLES, PoissonSpans(1.0), 1)
    pieces = ["▁a", "a", ".", "a", "a", "▁", "a", "a", "'", "[de]", "▁A", "A", "▁a", "'", "a"]
    ids = np.array([INDEX[p] for p in pieces])
    assert [pieces[a:b] for a, b in zip(*find_words(ids, ROLES), strict=True)] == [
        ["▁a", "a"],
        ["a", "a"],
        ["▁", "a", "a"],
        ["▁A", "A"],
        ["▁a", "'", "a"],
    ]
    out, _ = switcher(ids, 1, 0)
    assert [PIECES[i] for i in out] == [
        *("▁b", "b", ".", "b", "b", "▁", "a", "a", "'", "[de]", "▁B", "B", "▁a", "'", "a")
    ]


def test_subword_nmt_and_whole_word_vocabularies():
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "ha@@", "us", "house", "."]
    starts, ends = find_words(np.array([4, 5, 7, 6]), fixed(piece_roles(pieces)))
    assert list(zip(starts, ends, strict=True)) == [(0, 2), (3, 4)]
    lexicon = Lexicon({"us": {"house": 1.0}})
    index = {p: i for i, p in enumerate(pieces)}
    encoded = encode_lexicon(lexicon, lambda ws, spaced: [[index[w]] if spaced and w in index else [] for w in ws])
    out, _ = Switcher(encoded, piece_roles(pieces), PoissonSpans(1.0), 1)(np.array([4, 5, 5]), 1, 0)
    assert out.tolist() == [4, 5, 6]  # "haus" is another word than "us"


def test_growth_past_the_limit_falls_back_to_the_clean_sentence_and_is_counted():
    lexicon = Lexicon({"aa": {"bbbbbbbb": 1.0}})
    encoded = encode_lexicon(lexicon, encode)
    ids = ids_of(["aa", "cc"])
    out, stats = Switcher(encoded, ROLES, PoissonSpans(0.5), 1, max_growth=2.5)(ids, 1, 0)
    assert len(out) == 10
    assert stats[STATS.index("fell_back")] == 0
    out, stats = Switcher(encoded, ROLES, PoissonSpans(0.5), 1, max_growth=2.4)(ids, 1, 0)
    assert (out == ids).all()
    assert dict(zip(STATS, stats.tolist(), strict=True))["fell_back"] == 1


def test_inserted_masks_never_pass_the_models_positions():
    ids = ids_of(["aa"] * 10)
    policy = PoissonSpans(0.1, 0.1, insert=True)  # nearly all spans have no words
    longer = [Masker(INDEX["<mask>"], ROLES, policy, 1)(ids, 1, index)[0] for index in range(50)]
    assert max(map(len, longer)) > 22
    for index, out in enumerate(longer):
        bounded, stats = Masker(INDEX["<mask>"], ROLES, policy, 1, max_length=22)(ids, 1, index)
        assert bounded.tolist() == (out if len(out) <= 22 else ids).tolist()
        assert stats[STATS.index("fell_back")] == (len(out) > 22)


@given(sentences, rates, indices)
def test_masks_stand_for_whole_runs_of_words(words, rate, index):
    ids = ids_of(words)
    out, stats = Masker(INDEX["<mask>"], ROLES, PoissonSpans(rate), 1)(ids, 1, index)
    counts = dict(zip(STATS, stats.tolist(), strict=True))
    kept = [w for w in text(out).replace("<mask>", " <mask> ").split() if w != "<mask>"]
    assert len(kept) + counts["switched"] == len(words)
    assert (out == INDEX["<mask>"]).sum() == counts["spans"]
    assert counts["switched"] == math.ceil(rate * len(words) - 1e-9)


@pytest.mark.parametrize(
    "policy", [lambda: PoissonSpans(1.5), lambda: PoissonSpans(0.3, 0), lambda: FixedSpans(0.3, 0)]
)
def test_impossible_settings_are_named(policy):
    with pytest.raises(ValueError, match="must be"):
        policy()


def test_csr_switch_prints_what_it_did(tmp_path, capsys):
    from csr.cli import main

    (tmp_path / "lexicon.tsv").write_text("haus\thouse\t1\n")
    (tmp_path / "in.de").write_text("Das Haus.\n")
    command = ["switch", "--lexicon", str(tmp_path / "lexicon.tsv"), "--input", str(tmp_path / "in.de"), "--rate", "1"]
    shown = []
    for form in ([], ["--side-by-side"], ["--tsv"], ["--jsonl"], ["--replace", "mask"]):
        assert main([*command, *form]) == 0
        shown.append(capsys.readouterr())
    record = (
        '{"id": 0, "original": "Das Haus.", "switched": "Das House.", "positions": [1], '
        '"replaced": [["Haus", "House"]], "n_words": 2, "language": null}\n'
    )
    assert [out for out, _ in shown] == [
        "Das House.\n", "Das Haus.\tDas [House].\n", "1\tHaus\tHouse\n", record, "<mask>.\n",
    ]  # fmt: skip
    assert shown[0].err == (
        "2 words, 50.0 % with a translation, 50.0 % switched, code-mixing index 50.0, "
        "switch points at 100.0 % of the word boundaries\n"
    )
    assert main([*command, "--replace", "mixture", "--mask-share", "2"]) == 2


def test_parquet_holds_the_rows_of_jsonl(tmp_path, capsys, monkeypatch):
    from csr.cli import main

    parquet = pytest.importorskip("pyarrow.parquet")
    (tmp_path / "lexicon.tsv").write_text("haus\thouse\t1\n")
    (tmp_path / "in.de").write_text("Das Haus.\n\nEin Hund\n")
    command = ["switch", "--lexicon", str(tmp_path / "lexicon.tsv"), "--input", str(tmp_path / "in.de"), "--rate", "1"]
    command += ["--language", "de"]
    assert main([*command, "--jsonl"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    monkeypatch.setattr("csr.commands.switch._GROUP", 2)
    out = tmp_path / "out.parquet"
    assert main([*command, "--parquet", "--output", str(out)]) == 0
    assert parquet.read_table(out).to_pylist() == rows
    assert parquet.ParquetFile(out).metadata.num_row_groups == 2
    (tmp_path / "in.de").write_bytes(b"Das Haus.\n\xff\n")
    assert main([*command, "--parquet", "--output", str(tmp_path / "no.parquet")]) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.de", "lexicon.tsv", "out.parquet"]


def test_statistics_accept_right_draws_and_reject_wrong_ones(tmp_path, capsys):
    from csr.cli import main

    (tmp_path / "lexicon.tsv").write_text("".join(f"{w}\t{w}1\t3\n{w}\t{w}2\t1\n" for w in WORDS))
    words = [WORDS[(i * i) % 6] for i in range(20)]
    (tmp_path / "in.txt").write_text(f"{' '.join(words)}\n" * 300)
    command = ["switch", "--lexicon", str(tmp_path / "lexicon.tsv"), "--input", str(tmp_path / "in.txt")]
    (tmp_path / "in.tgt").write_text(f"{' '.join(f'{word}1' for word in words)}\n" * 300)
    command += ["--aligned", str(tmp_path / "in.tgt")]
    assert main([*command, "--temperature", "1", "--statistics"]) == 0
    shown = dict(line.split("  ", 1) for line in capsys.readouterr().out.splitlines())
    assert shown["words replaced"].strip() == "35.00 %"  # 7 of 20 words in each sentence
    assert shown["rate asked for"].strip() == "35.00 %, 35.00 % rounded up in each sentence"
    assert float(shown["in translation"].split("%")[0]) == pytest.approx(75, abs=2)
    assert float(shown["chi-square"].split("p = ")[1]) > 0.01
    assert float(shown["candidates"].split("p = ")[1].split(",")[0]) > 0.01

    lengths = dict.fromkeys([1, 2, 3, 4, 5, 6], 300)
    assert chi_square(span_cells(lengths, 3.5), 9).p < 1e-6
    assert sum(expected for _, expected in span_cells(lengths, 3.5)) == pytest.approx(1800)
    even = {"aa": Counter({"aa1": 60, "aa2": 60})}
    cells, degrees = candidate_cells(even, Lexicon({"aa": {"aa1": 3.0, "aa2": 1.0}}))
    # (60 - 90)^2 / 90 + (60 - 30)^2 / 30 = 40
    assert (chi_square(cells, degrees).statistic, degrees) == (40.0, 1)


def test_csr_switch_warns_of_a_lexicon_that_does_not_fit(tmp_path, capsys, caplog):
    from csr.cli import main

    (tmp_path / "lexicon.tsv").write_text("haus\thouse\nalt\told\nhotel\thotel\n")
    for name, text in {"de": "Haus, alt", "en": "An old house", "sv": "Ett gammalt hus i staden"}.items():
        (tmp_path / name).write_text(f"{text}\n")
        command = ["switch", "--lexicon", str(tmp_path / "lexicon.tsv"), "--input", str(tmp_path / name)]
        assert main(command) == 0
    err = capsys.readouterr().err.splitlines()
    assert err[0].startswith("2 words, 100.0 % with a translation")
    assert err[2].startswith("warning: 0.0 % of the words have a translation, and 66.7 % are among the translations")
    assert err[4].startswith("warning: 0.0 % of the words have a translation: is the lexicon of this language")
    assert len(err) == 5
    assert caplog.messages[0].endswith(
        "1 of its 3 words have no translation but themselves and stay; --keep-identical draws them"
    )
