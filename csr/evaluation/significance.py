"""Is the difference between two systems more than chance? Paired tests over sentences, and spread over seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import stdtrit

from csr.errors import ConfigError, DataError
from csr.process import one_blas_thread

SEED = 12345  # the seed of sacrebleu, so that p-values can be compared digit by digit


@dataclass(frozen=True)
class Statistics:
    """What a corpus score is made of: additive counts of each sentence, and the score of their sum.

    Attributes:
        rows: float64 [n_sentences, n_counts].
        score: maps a sum of rows, float64 [n_counts], to the corpus score.
    """

    rows: np.ndarray
    score: Callable[[np.ndarray], float]

    def __post_init__(self) -> None:
        if not len(self.rows):
            raise DataError("expected at least one sentence to score, found none")

    @property
    def value(self) -> float:
        """The score of the whole corpus."""
        return self.score(self.rows.sum(axis=0))


def means(segments: Sequence[float]) -> Statistics:
    """The statistics of a score that is the mean of sentence scores, such as COMET or ROUGE.

    >>> means([0.5, 1.0]).value
    0.75
    """
    scores = np.asarray(segments, dtype=float)
    return Statistics(np.column_stack([scores, np.ones_like(scores)]), _ratio)


def _ratio(sums: np.ndarray) -> float:
    return float(sums[0] / sums[1])


@dataclass(frozen=True)
class Interval:
    """Mean and 95 % interval of a score over bootstrap samples."""

    mean: float
    low: float
    high: float


def interval(scores: np.ndarray) -> Interval | None:
    """Mean and central 95 % of bootstrap scores [n_samples], leaving out NaN; None if nothing is left."""
    scores = np.sort(scores[~np.isnan(scores)])
    if not len(scores):
        return None
    cut = len(scores) // 40
    return Interval(float(scores.mean()), float(scores[cut]), float(scores[len(scores) - cut - 1]))


def resampled(rows: np.ndarray, samples: int, seed: int = SEED) -> np.ndarray:
    """The sums of bootstrap samples of the sentences, float64 [samples, n_counts].

    The draws are those of sacrebleu for the same seed.
    """
    _check_samples(samples)
    n = len(rows)
    draws = np.random.default_rng(seed).choice(n, size=(samples, n), replace=True)
    with one_blas_thread():
        return np.stack([np.bincount(draw, minlength=n) @ rows for draw in draws])


def bootstrap(system: Statistics, samples: int = 1000, seed: int = SEED) -> Interval:
    """Mean and 95 % interval of a score over bootstrap samples of the sentences (Koehn 2004)."""
    found = interval(_scores(system, resampled(system.rows, samples, seed)))
    assert found is not None  # a corpus score is always a number
    return found


@dataclass(frozen=True)
class Comparison:
    """A system against a baseline on the same sentences.

    Attributes:
        difference: the system's score minus the baseline's.
        p_value: probability of a difference at least as large if the systems were equally good.
        signature: test, number of samples and seed.
        interval: of the difference, over bootstrap samples of the sentences; None where the test draws none.
    """

    score: float
    baseline: float
    p_value: float
    signature: str
    interval: Interval | None = None

    @property
    def difference(self) -> float:
        """The system's score minus the baseline's."""
        return self.score - self.baseline

    @property
    def mark(self) -> str:
        """``**`` for p < 0.01, ``*`` for p < 0.05, for better and for worse (Zan et al., Table 4)."""
        return mark(self.p_value)

    def as_dict(self) -> dict[str, Any]:
        """The difference, its test and interval, as values that JSON can hold."""
        found = {"difference": self.difference, "p_value": self.p_value, "signature": self.signature}
        around = self.interval
        return found | {"low": around and around.low, "high": around and around.high}


def mark(p_value: float) -> str:
    """The mark of a p-value as in Zan et al., Table 4.

    >>> mark(0.2), mark(0.03), mark(0.001)
    ('', '*', '**')
    """
    return "**" if p_value < 0.01 else "*" if p_value < 0.05 else ""


@dataclass(frozen=True)
class Sampled:
    """What a system's score is made of, and its scores over bootstrap samples of the sentences, float64 [samples]."""

    statistics: Statistics
    scores: np.ndarray
    signature: str


def sampled(system: Statistics, samples: int = 1000, seed: int = SEED) -> Sampled:
    """The scores of a system over bootstrap samples; the same sentences are drawn for every system of a test set."""
    return Sampled(system, _scores(system, resampled(system.rows, samples, seed)), f"bs:{samples}|seed:{seed}")


def paired_bootstrap(system: Statistics, baseline: Statistics, samples: int = 1000, seed: int = SEED) -> Comparison:
    """Test by drawing sentences with replacement, the same ones for both systems (Koehn 2004).

    With d the difference of a sample and D that of the whole: p = (|{|d| - mean |d| > |D|}| + 1) / (samples + 1),
    as ``sacrebleu --paired-bs`` does.
    """
    _check_paired(system, baseline)
    return compared([(sampled(system, samples, seed), sampled(baseline, samples, seed))])


def paired_bootstrap_over_seeds(
    systems: Sequence[Statistics], baselines: Sequence[Statistics], samples: int = 1000, seed: int = SEED
) -> Comparison:
    """Test the mean over seeds by drawing sentences and seeds with replacement, the same for both systems.

    Args:
        systems, baselines: of each seed, in one order.
    """
    both = ([sampled(one, samples, seed) for one in side] for side in (systems, baselines))
    return compared(list(zip(*both, strict=True)), seed)


def compared(pairs: Sequence[tuple[Sampled, Sampled]], seed: int = SEED) -> Comparison:
    """The mean over seeds of a system against that of a baseline, from the samples of each seed's two models.

    Each sample draws seeds too, with replacement: a difference so counts only if it holds for other sentences and for
    other seeds. With few seeds their spread is estimated low, by the factor sqrt((n - 1) / n); with one, this is
    ``paired_bootstrap``.
    """
    for system, baseline in pairs:
        _check_paired(system.statistics, baseline.statistics)
    by_seed = np.stack([system.scores - baseline.scores for system, baseline in pairs])  # [n_seeds, samples]
    draws = np.random.default_rng(seed).integers(len(pairs), size=by_seed.shape)
    differences = np.take_along_axis(by_seed, draws, axis=0).mean(axis=0)
    absolute = np.abs(differences)
    signature = pairs[0][0].signature + (f"|seeds:{len(pairs)}" if len(pairs) > 1 else "")
    statistics = [(system.statistics, baseline.statistics) for system, baseline in pairs]
    return replace(_comparison(statistics, absolute - absolute.mean(), signature), interval=interval(differences))


def paired_approximate_randomization(
    system: Statistics, baseline: Statistics, samples: int = 10000, seed: int = SEED
) -> Comparison:
    """Test by swapping the outputs of random sentences between the systems (Riezler and Maxwell 2005).

    With d the difference after swapping: p = (|{|d| > |D|}| + 1) / (samples + 1), as ``sacrebleu --paired-ar`` does.
    """
    _check_samples(samples)
    _check_paired(system, baseline)
    swapped = np.random.default_rng(seed).integers(2, size=(samples, len(system.rows)), dtype=bool)
    change = baseline.rows - system.rows
    # In blocks: a float64 copy of all the masks together would take 8 bytes x samples x sentences.
    with one_blas_thread():
        moved = np.concatenate([block @ change for block in np.array_split(swapped, 1 + swapped.size // 10**7)])
    differences = _scores(system, system.rows.sum(axis=0) + moved) - _scores(
        baseline, baseline.rows.sum(axis=0) - moved
    )
    return _comparison([(system, baseline)], np.abs(differences), f"ar:{samples}|seed:{seed}")


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation (n - 1) of a score over seeds; no deviation for a single one."""

    mean: float
    deviation: float | None
    n: int

    def __str__(self) -> str:
        return f"{self.mean:.2f}" if self.deviation is None else f"{self.mean:.2f} ± {self.deviation:.2f}"


def over_seeds(values: Sequence[float]) -> Spread:
    """Mean ± standard deviation of one score from several runs.

    >>> str(over_seeds([30.0, 31.0, 32.0]))
    '31.00 ± 1.00'
    """
    if not values:
        raise DataError("expected the score of at least one seed, found none")
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Spread(float(np.mean(values)), deviation, len(values))


def seed_interval(differences: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % interval of a mean difference over seeds by Student's t; None for a single seed.

    >>> low, high = seed_interval([1.0, 2.0, 3.0])  # 2 ± 4.303 / √3
    >>> round(low, 2), round(high, 2)
    (-0.48, 4.48)
    """
    if len(differences) < 2:
        return None
    spread = over_seeds(differences)
    assert spread.deviation is not None
    # Student's quantile; scipy.stats has it too, and takes a second more to load.
    half = float(stdtrit(spread.n - 1, 0.975)) * spread.deviation / spread.n**0.5
    return spread.mean - half, spread.mean + half


def _scores(system: Statistics, sums: np.ndarray) -> np.ndarray:
    return np.array([system.score(row) for row in sums])


def _check_samples(samples: int) -> None:
    if samples < 1:
        raise ConfigError(f"samples: expected at least 1, found {samples}")


def _check_paired(system: Statistics, baseline: Statistics) -> None:
    if system.rows.shape != baseline.rows.shape:
        raise DataError(
            f"expected outputs for the baseline's {len(baseline.rows)} sentences, found {len(system.rows)} sentences"
        )


def _comparison(pairs: Sequence[tuple[Statistics, Statistics]], differences: np.ndarray, signature: str) -> Comparison:
    score, reference = (float(np.mean([pair[side].value for pair in pairs])) for side in (0, 1))
    p_value = (np.count_nonzero(differences > abs(score - reference)) + 1) / (len(differences) + 1)
    # Deviation: sacrebleu counts no ties, and so finds a system different from itself at p = 1 / (samples + 1).
    # Where k sentences differ no swapping test can go below 2^(1 - k); from 15 sentences on this changes nothing.
    differs = [(system.rows != baseline.rows).any(axis=1) for system, baseline in pairs]
    floor = 1.0 if score == reference else min(1.0, 2.0 ** (1 - int(np.any(differs, axis=0).sum())))
    return Comparison(score, reference, float(max(p_value, floor)), signature)
