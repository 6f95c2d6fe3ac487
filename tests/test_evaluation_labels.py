"""ROUGE, accuracy, entity F1 and off-target rate: hand-worked values and the upstream tools."""

from __future__ import annotations

import pytest
from evaluation_outputs import outputs, references
from rouge_score.rouge_scorer import RougeScorer
from seqeval.metrics import f1_score

from csr.errors import ConfigError, DataError
from csr.evaluation import classification, off_target, significance, summarization


def test_english_rouge_is_that_of_rouge_score():
    scorer = RougeScorer(list(summarization.METRICS))
    hyp, ref = outputs(0.3, 1), references()
    upstream = [scorer.score(truth, summary) for truth, summary in zip(ref, hyp, strict=True)]
    for name, score in summarization.rouge(hyp, ref).items():
        assert score.value == pytest.approx(100 * sum(found[name].fmeasure for found in upstream) / len(upstream))


@pytest.mark.parametrize(
    ("hyp", "ref"), [("我喜欢猫", "我喜欢狗。"), ("ในนา", "ในน้ำ"), ("Ölçü über ça là", "ölçü ÜBER ça lô")]
)
def test_other_scripts_are_not_dropped(hyp, ref):
    # 3 of 4 tokens, 2 of 3 pairs; characters with their marks (Thai: ใ น น า against ใ น น้ ำ) or words.
    scores = summarization.rouge([hyp], [ref])
    expected = (50, 100 / 3, 50) if "น" in ref else (75, 200 / 3, 75)
    assert tuple(score.value for score in scores.values()) == pytest.approx(expected)


def test_recall_pools_the_summaries_as_equation_4():
    # Matching over reference n-grams: words (2 + 1) / (2 + 4), pairs (1 + 0) / (1 + 3), subsequence (2 + 1) / (2 + 4).
    scores = summarization.rouge(["a b c", "d x"], ["a b", "d e f g"], recall=True)
    assert [score.value for score in scores.values()] == pytest.approx([50, 25, 50])
    assert scores["rouge1"].signature.startswith("recall:pooled")
    # The mean F1: (2 * 2/3 * 1 / (2/3 + 1) + 2 * 1/2 * 1/4 / (1/2 + 1/4)) / 2 = (4/5 + 1/3) / 2.
    assert summarization.rouge(["a b c", "d x"], ["a b", "d e f g"])["rouge1"].value == pytest.approx(100 * 17 / 30)


def test_rouge_can_be_tested_for_significance():
    better, worse = (summarization.statistics(outputs(rate, 1), references()) for rate in (0.1, 0.4))
    assert significance.paired_bootstrap(better["rougeL"], worse["rougeL"]).mark == "**"


def test_accuracy_counts_equal_labels():
    found = classification.accuracy(["neutral", "neutral", "entailment"], ["neutral", "entailment", "entailment"])
    assert (found.correct, found.total, found.value) == (2, 3, 2 / 3)
    assert classification.Accuracy(0, 0).value is None
    with pytest.raises(DataError, match="1 labels and 2 references"):
        classification.accuracy(["a"], ["a", "b"])


REF = [["B-PER", "I-PER", "O", "B-LOC"], ["O", "B-LOC", "O"], ["B-ORG", "O"]]
HYP = [["B-PER", "O", "O", "B-LOC"], ["O", "I-LOC", "O"], ["B-LOC", "O"]]


def test_entity_f1_worked_by_hand():
    # PER: one wrong end, F1 0. ORG: missed, 0. LOC: both right (an I- that continues nothing begins an entity), one
    # too many: P 2/3, R 1, F1 4/5. Micro: 2 of 4 said, 2 of 4 there.
    found = classification.entity_f1(HYP, REF)
    assert found.types == pytest.approx({"LOC": 0.8, "ORG": 0, "PER": 0})
    assert (found.micro, found.macro, found.n_entities) == (pytest.approx(0.5), pytest.approx(0.8 / 3), 4)
    assert found.micro == f1_score(REF, HYP)
    assert found.macro == f1_score(REF, HYP, average="macro")


def test_text_without_entities_has_no_f1():
    found = classification.entity_f1([["O", "O"]], [["O", "O"]])
    assert (found.micro, found.macro, found.types) == (None, None, {})
    assert classification.entity_f1([["O", "B-PER"]], [["O", "O"]]).micro == 0


def test_tags_are_read_and_checked(tmp_path):
    path = tmp_path / "tags"
    path.write_text("Ada\tB-PER\nran\tO\n\n\nOslo\tB-LOC\n")
    assert classification.read_tags(path) == [["B-PER", "O"], ["B-LOC"]]
    path.write_text("Ada\tB-PER\nran\n")
    with pytest.raises(DataError, match=r"tags:2: .*found 'ran'"):
        classification.read_tags(path)
    with pytest.raises(DataError, match="sentence 2: expected 3 tags, found 1"):
        classification.entity_f1([HYP[0], ["O"], HYP[2]], REF)
    with pytest.raises(DataError, match="3 sentences, found 1"):
        classification.entity_f1(HYP[:1], REF)


GERMAN = ["Zwei Männer stehen am Herd und bereiten Essen zu.", "Ein kleines Kind klettert auf das Spielhaus."]


def test_off_target_counts_outputs_in_other_languages():
    found = off_target.off_target([*GERMAN, "Two men are standing at the stove and cook.", ""], "de_DE")
    assert found.rate == pytest.approx(1 / 3)
    assert (found.languages, found.n_empty) == ({"de": 2, "en": 1}, 1)
    assert found.signature.startswith("py3langid:")


def test_off_target_without_text_or_with_an_unknown_language():
    assert off_target.off_target(["", " "], "de").rate is None
    with pytest.raises(ConfigError, match="found 'xx_XX'"):
        off_target.off_target(GERMAN, "xx_XX")
