"""BLEU, chrF and TER: hand-worked values, the sacrebleu command, tokenizers by language, degenerate text."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import pytest
from evaluation_outputs import outputs, references
from hypothesis import given, settings
from hypothesis import strategies as st

from csr.errors import ConfigError, DataError
from csr.evaluation import frequency, summarization, translation


def test_bleu_worked_by_hand():
    # 5 of 6 words, 3 of 5 bigrams, 1 of 4 trigrams, 0 of 3 four-grams (exponential smoothing: 1/2 of one); no brevity
    # penalty.
    expected = 100 * (5 / 6 * 3 / 5 * 1 / 4 * (1 / 2) / 3) ** (1 / 4)
    found = translation.bleu(["the cat sat on the mat"], ["the cat is on the mat"], "en")
    assert found.value == pytest.approx(expected)
    assert "tok:13a" in found.signature


def test_chinese_bleu_counts_characters():
    # 3 of 4 characters, 2 of 3 bigrams, 1 of 2 trigrams, 0 of 1 four-grams (smoothed to 1/2).
    found = translation.bleu(["我喜欢猫"], ["我喜欢狗"], "zh_CN")
    assert found.value == pytest.approx(100 * (3 / 4 * 2 / 3 * 1 / 2 * 1 / 2) ** (1 / 4))
    assert "tok:zh" in found.signature


def test_chrf_worked_by_hand():
    # Precision and recall 1/2 for characters and 0 for bigrams, mean 1/4 each; longer n-grams do not exist.
    assert translation.chrf(["ab"], ["ac"], "en").value == pytest.approx(25)


def test_ter_worked_by_hand():
    assert translation.ter(["a b x d"], ["a b c d"], "en").value == pytest.approx(25)  # one substitution in four words
    assert translation.ter(["b c a"], ["a b c"], "en").value == pytest.approx(100 / 3)  # one shift
    for language, hyp, ref in (("zh", "我喜欢猫", "我喜欢狗"), ("th_TH", "กขคง", "กขคจ")):  # one character in four
        assert translation.ter([hyp], [ref], language).value == pytest.approx(25)


def test_scores_are_those_of_the_sacrebleu_command(tmp_path):
    hyp, ref = tmp_path / "hyp", tmp_path / "ref"
    hyp.write_text("\n".join(outputs(0.2, 1)) + "\n")
    ref.write_text("\n".join(references()) + "\n")
    command = [sys.executable, "-m", "sacrebleu", ref, "-i", hyp, "-m", *translation.METRICS, "-w", "10"]
    printed = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    for metric, upstream in zip(translation.METRICS, json.loads(printed), strict=True):
        found = translation.score(metric, outputs(0.2, 1), references(), "de_DE")
        assert found.value == pytest.approx(upstream["score"], abs=1e-9)
        assert found.signature == upstream["signature"]


@pytest.mark.parametrize(("language", "name"), [("de", "13a"), ("de_DE", "13a"), ("zh-TW", "zh"), ("th_TH", "char")])
def test_tokenizer_follows_the_language(language, name):
    assert translation.tokenizer_for(language) == name


@pytest.mark.parametrize(("language", "name", "line"), [("ja", "ja-mecab", "猫が好き"), ("ko", "ko-mecab", "고양이를")])
def test_japanese_and_korean_are_cut_by_mecab(language, name, line):
    pytest.importorskip({"ja": "MeCab", "ko": "mecab_ko"}[language])
    assert translation.tokenizer_for(language) == name
    (words,) = translation.tokenize([line], name)
    assert len(words) > 1
    assert "".join(words) == line


def test_missing_mecab_is_said_and_not_replaced(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"sacrebleu\[ko\]"):
        translation.tokenizer_for("ko_KR")
    assert "tok:char" in translation.bleu(["가나"], ["가나"], "ko", tokenizer="char").signature
    with pytest.raises(ConfigError, match="expected none for chrf"):
        translation.statistics("chrf", ["a"], ["a"], "ko", tokenizer="char")


@pytest.mark.parametrize("metric", translation.METRICS)
def test_unequal_or_empty_sides_are_errors(metric):
    with pytest.raises(DataError, match="2 outputs and 1 references"):
        translation.score(metric, ["a", "b"], ["a"], "en")
    with pytest.raises(DataError, match="0 outputs"):
        translation.score(metric, [], [], "en")


_LINES = st.text(alphabet="ab .,\u3000我เก", max_size=6)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(_LINES, _LINES), min_size=1, max_size=3))
def test_any_text_has_a_finite_score(pairs):
    hyp, ref = map(list, zip(*pairs, strict=True))
    for metric in translation.METRICS:
        assert math.isfinite(translation.score(metric, hyp, ref, "en").value)
    for recall in (False, True):
        assert all(math.isfinite(score.value) for score in summarization.rouge(hyp, ref, recall).values())
    for bucket in frequency.word_scores(hyp, ref, {"a": 5}, "13a", (1, 10), samples=5):
        assert (bucket.f1 is None) == (bucket.n_hyp + bucket.n_ref == 0) == (bucket.interval is None)
