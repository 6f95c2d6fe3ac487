"""Word accuracy by training frequency: a hand-worked case, compare-mt on the same files, cases, empty buckets."""

from __future__ import annotations

import functools
import re
import subprocess
import sys
from collections import Counter

import pytest
from evaluation_outputs import outputs, references

from csr.errors import ConfigError, DataError
from csr.evaluation import frequency, translation
from csr.report import outputs as outputs_of_runs

COUNTS = {"the": 1500, "cat": 100, "sat": 3}


def test_words_are_grouped_by_what_can_know_them():
    counts, known, stops = {"dog": 2, "sees": 30}, {"dog", "harbour"}, {"the"}
    group_of = functools.partial(frequency.knowledge_group, counts=counts, known=known, stops=stops)
    names = frequency.knowledge_groups()
    hyp, ref = ["The dog sees a harbor ."], ["the dog sees the Harbour ."]
    found = {group.name: group for group in frequency.grouped_scores(hyp, ref, "none", group_of, names)}
    assert set(found) == set(names)
    assert (found["1–5, in lexicon"].f1, found["21–100, not in lexicon"].f1) == (1.0, 1.0)
    assert (found["0, in lexicon"].matches, found["0, in lexicon"].n_ref, found["0, in lexicon"].f1) == (0, 1, 0.0)
    assert found["0, not in lexicon"].n_hyp == 2  # a and harbor
    assert (found["stop words"].matches, found["stop words"].n_hyp, found["stop words"].n_ref) == (0, 1, 2)
    assert found["punctuation, numbers"].f1 == 1.0
    assert found[">100, in lexicon"].f1 is None
    assert sum(group.n_ref for group in found.values()) == 6


@pytest.mark.parametrize("lexicon", [("de-en.tsv", "hund\tdog\t1\nhafen\tharbour\t1\n"), ("en-de.tsv", None)])
def test_a_run_with_a_lexicon_of_either_direction_has_its_words_apart(tmp_path, lexicon):
    """A run with word-for-word back-translation alone makes the lexicon out of the target language, no other."""
    name, entries = lexicon
    files = {
        "data/text/train.en": "the dog\n",
        "data/text/test.en": "the dog and the harbour of Rome\n",
        "seed-1/wbt/test.hyp": "the dog was the harbour\n",
    }
    assert outputs_of_runs.word_groups(write_files(tmp_path, files), ["wbt"], [1], "de", "en") == []
    write_files(tmp_path, {f"lexicon/{name}": entries or "dog\thund\t1\nharbour\thafen\t1\n"})
    (found,) = outputs_of_runs.word_groups(tmp_path, ["wbt", "bt"], [1], "de", "en")
    assert (found["arm"], found["1–5, in lexicon"]) == ("wbt", {"f1": 1.0, "n_ref": 1})
    assert found["0, in lexicon"] == {"f1": 1.0, "n_ref": 1}
    assert found["0, not in lexicon"] == {"f1": 0.0, "n_ref": 1}


def write_files(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_word_scores_worked_by_hand():
    low, mid, high = frequency.word_scores(["the the cat"], ["the cat sat"], COUNTS, "none")
    assert (low.name, mid.name, high.name) == ("<100", "[100,1000)", ">=1000")
    assert (low.precision, low.recall, low.f1) == (None, 0, 0)  # "sat" is missing, nothing rare was said
    assert (mid.precision, mid.recall, mid.f1) == (1, 1, 1)  # 100 is not below 100
    assert (high.precision, high.recall) == (1 / 2, 1)  # the second "the" is one too many
    assert high.f1 == pytest.approx(2 / 3)


def test_a_bucket_without_words_has_no_score():
    low, *_ = frequency.word_scores(["the", "the"], ["the", "cat"], COUNTS, "none", samples=10)
    assert (low.precision, low.recall, low.f1, low.interval) == (None, None, None, None)


@pytest.mark.slow
def test_agrees_with_compare_mt_to_four_decimals(tmp_path):
    systems = {"a": outputs(0.2, 1), "b": outputs(0.1, 2)}
    files = {"ref": references(), "train": outputs(0.05, 3, n=400)} | systems
    for name, lines in files.items():
        words = translation.tokenize(lines, "13a")
        (tmp_path / name).write_text("".join(" ".join(line) + "\n" for line in words))
    options = f"bucket_type=freq,freq_corpus_file={tmp_path}/train,bucket_cutoffs=70:150,acc_type=prec+rec+fmeas"
    command = [sys.executable, "-c", "from compare_mt.compare_mt_main import main; main()"]
    command += [*(str(tmp_path / name) for name in ("ref", *systems)), "--compare_word_accuracies", options]
    printed = subprocess.run(command, capture_output=True, check=True, text=True, cwd=tmp_path).stdout

    counts = frequency.count_words(files["train"], "13a")
    found = [frequency.word_scores(hyp, references(), counts, "13a", (70, 150)) for hyp in systems.values()]
    tables = re.findall(r"--- word prec\+rec\+fmeas by .*\n.*\n((?:.+\n)+)", printed)
    # compare-mt 0.2.10 keeps (recall, precision, F) and looks up "prec" first: its table of "prec" holds the recall.
    for kind, table in zip(("recall", "precision", "f1"), tables, strict=True):
        for row, *buckets in zip(table.splitlines(), *found, strict=True):
            name, *values = row.split("\t")
            assert name == buckets[0].name
            assert values == [f"{getattr(bucket, kind):.4f}" for bucket in buckets]
            assert all(bucket.n_ref > 20 for bucket in buckets)


def test_interval_surrounds_the_score_and_is_reproducible():
    counts = Counter({"the": 150, "a": 150})
    first, second = (frequency.word_scores(outputs(0.2, 1), references(), counts, "13a", samples=200) for _ in "ab")
    assert first == second
    for bucket in first[:2]:
        assert bucket.interval.low < bucket.f1 < bucket.interval.high


def test_cases_mark_the_rare_words_that_only_one_system_has():
    hyp, baseline = ["the cat sat", "the cat"], ["the cat the", "the cat"]
    (case,) = frequency.cases(hyp, baseline, ["the cat sat", "the sat"], COUNTS, "none")
    assert (case.index, case.words) == (0, {"sat": 3})
    assert (case.hyp, case.baseline, case.ref) == ("the cat **sat**", "the cat the", "the cat **sat**")
    assert frequency.cases(baseline, hyp, ["the cat sat", "the sat"], COUNTS, "none") == []
    assert frequency.cases(hyp, baseline, ["the cat sat", "the sat"], COUNTS, "none", below=3) == []


def test_bad_settings_and_files_are_named(tmp_path):
    with pytest.raises(ConfigError, match="cutoffs"):
        frequency.word_scores(["a"], ["a"], {}, "none", (100, 100))
    with pytest.raises(ConfigError, match="tokenizer"):
        frequency.word_scores(["a"], ["a"], {}, "13b")
    with pytest.raises(DataError, match="2 outputs and 1 references"):
        frequency.word_scores(["a", "b"], ["a"], {}, "none")
    (tmp_path / "train").write_text("\n")
    with pytest.raises(DataError, match="train: expected training text"):
        frequency.read_counts(tmp_path / "train", "none")


def test_cases_are_of_words_that_carry_meaning():
    ref, hyp, baseline = ["The harbour , 12"], ["The harbour , 12"], ["A b c"]
    (case,) = frequency.cases(hyp, baseline, ref, {}, "none", frequency.content_words("en"))
    assert list(case.words) == ["harbour"]
