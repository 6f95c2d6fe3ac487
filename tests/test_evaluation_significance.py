"""Paired tests and intervals: sacrebleu's numbers on the same outputs, an exact test, systems that hardly differ."""

from __future__ import annotations

import numpy as np
import pytest
import sacrebleu.significance as upstream
from evaluation_outputs import outputs, references
from sacrebleu.metrics import BLEU, CHRF, TER
from scipy.stats import permutation_test

from csr.errors import DataError
from csr.evaluation import significance, translation

TESTS = [(significance.paired_bootstrap, "bs", 1000), (significance.paired_approximate_randomization, "ar", 500)]


@pytest.mark.slow
@pytest.mark.parametrize(("test", "name", "samples"), TESTS)
def test_p_values_are_those_of_sacrebleu(test, name, samples):
    baseline, system = outputs(0.2, 1), outputs(0.17, 2)
    metrics = {"bleu": BLEU(), "chrf": CHRF(), "ter": TER()}
    named = [("Baseline: base", baseline), ("system", system)]
    _, results = upstream.PairedTest(named, metrics, [references()], name, samples)()
    p_values = []
    for metric, found in zip(metrics, list(results.values())[1:], strict=True):
        ours, theirs = (translation.statistics(metric, hyp, references(), "en") for hyp in (system, baseline))
        comparison = test(ours, theirs, samples)
        assert comparison.p_value == found[1].p_value
        assert comparison.score == pytest.approx(found[1].score)
        assert comparison.baseline == pytest.approx(found[0].score)
        p_values.append(comparison.p_value)
    assert any(0.002 < p < 0.9 for p in p_values)  # not an agreement of extremes


def test_interval_is_that_of_sacrebleu():
    metric = BLEU()
    score = metric.corpus_score(outputs(0.2, 1), [references()], n_bootstrap=1000)
    found = significance.bootstrap(translation.statistics("bleu", outputs(0.2, 1), references(), "en"))
    assert found.mean == pytest.approx(score._mean)
    assert (found.high - found.low) / 2 == pytest.approx(score._ci)


def test_randomization_approaches_the_exact_test():
    rng = np.random.default_rng(3)
    baseline = rng.normal(0.5, 0.1, 12)
    system = baseline + rng.normal(0.02, 0.1, 12)
    exact = permutation_test(
        (system, baseline), lambda a, b: np.mean(a) - np.mean(b), permutation_type="samples", n_resamples=np.inf
    )
    found = significance.paired_approximate_randomization(significance.means(system), significance.means(baseline))
    assert found.p_value == pytest.approx(exact.pvalue, abs=0.015)
    assert 0.02 < found.p_value < 0.9


@pytest.mark.parametrize(("test", "name", "samples"), TESTS)
def test_systems_that_hardly_differ_are_not_significant(test, name, samples):
    ref = references(30)
    same = translation.statistics("bleu", ref, ref, "en")
    assert test(same, same, samples).p_value == 1  # sacrebleu says 1 / (samples + 1)
    one = translation.statistics("bleu", ["wrong", *ref[1:]], ref, "en")
    assert test(one, same, samples).p_value == 1  # swapping the only different sentence changes nothing but the sign
    three = translation.statistics("bleu", ["wrong"] * 3 + ref[3:], ref, "en")
    assert test(three, same, samples).p_value >= 1 / 4
    empty = translation.statistics("bleu", [""] * 30, ref, "en")
    assert test(empty, empty, samples).mark == ""


@pytest.mark.parametrize(("test", "name", "samples"), TESTS)
def test_a_clear_difference_gets_two_stars_in_both_directions(test, name, samples):
    good, bad = significance.means([0.9, 0.8] * 20), significance.means([0.1, 0.3] * 20)
    for system, baseline in ((good, bad), (bad, good)):
        found = test(system, baseline, samples)
        assert found.mark == "**"
        assert found.difference == pytest.approx(system.value - baseline.value)
    assert found.signature == f"{name}:{samples}|seed:12345"


def test_different_sentences_cannot_be_paired():
    with pytest.raises(DataError, match="2 sentences, found 1"):
        significance.paired_bootstrap(significance.means([1.0]), significance.means([1.0, 2.0]))
    with pytest.raises(DataError, match="at least one sentence"):
        significance.means([])


def test_spread_over_seeds():
    assert str(significance.over_seeds([1.0, 3.0])) == "2.00 ± 1.41"  # sqrt(((1-2)^2 + (3-2)^2) / (2-1))
    assert significance.over_seeds([1.0]) == significance.Spread(1.0, None, 1)
    with pytest.raises(DataError):
        significance.over_seeds([])
