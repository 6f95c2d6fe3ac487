"""Summarisation scores: ROUGE-1, ROUGE-2 and ROUGE-L by rouge-score, with words that fit the script."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence

import numpy as np
import regex

from csr.errors import ConfigError, install
from csr.evaluation.significance import Statistics
from csr.evaluation.translation import Score, check_sides
from csr.text.forms import composed, lower
from csr.text.words import NO_SPACES

METRICS = ("rouge1", "rouge2", "rougeL")

# A letter with its marks in the scripts written without spaces; elsewhere a run of letters and digits, for English just
# what rouge-score itself takes as a word. rouge-score by itself drops every letter outside a-z.
_TOKEN = regex.compile(
    rf"(?V1)(?:(?=[{NO_SPACES}])[\p{{L}}\p{{N}}]\p{{M}}*)|[[\p{{L}}\p{{M}}\p{{N}}\u200c\u200d]--[{NO_SPACES}]]+"
)


def words(text: str) -> list[str]:
    """Composed text, cut into characters in scripts written without spaces, into lower-cased words elsewhere.

    >>> words("Die Straße, iPhone手机!")
    ['die', 'straße', 'iphone', '手', '机']
    """
    return _TOKEN.findall(lower(composed(text)))


def rouge(hyp: Sequence[str], ref: Sequence[str], recall: bool = False) -> dict[str, Score]:
    """ROUGE-1, ROUGE-2 and ROUGE-L (0 to 100, Lin 2004; no stemming, L over the whole summary).

    Args:
        recall: give Zan et al., Eq. 4, matching n-grams over reference n-grams of all summaries together, instead of
            the mean F1 of the summaries.
    """
    return {name: Score(found.value, signature(recall)) for name, found in statistics(hyp, ref, recall).items()}


def signature(recall: bool = False) -> str:
    """What the scores depend on."""
    return f"{'recall:pooled' if recall else 'f1:mean'}|tok:words+characters|stem:no|rouge-score:{_version()}"


def statistics(hyp: Sequence[str], ref: Sequence[str], recall: bool = False) -> dict[str, Statistics]:
    """The counts of each summary that the scores of ``rouge`` are computed from."""
    _version()
    from rouge_score.rouge_scorer import RougeScorer

    check_sides(hyp, ref)
    scorer = RougeScorer(list(METRICS), tokenizer=_Tokenizer())
    rows: dict[str, list[tuple[float, float]]] = {name: [] for name in METRICS}
    for summary, truth in zip(hyp, ref, strict=True):
        n_words = len(words(truth))
        for name, found in scorer.score(truth, summary).items():
            n_grams = max(n_words - (name == "rouge2"), 0)
            rows[name].append((found.recall * n_grams, n_grams) if recall else (found.fmeasure, 1))
    return {name: Statistics(np.array(row, dtype=float), _percent) for name, row in rows.items()}


class _Tokenizer:
    """What rouge-score calls."""

    def tokenize(self, text: str) -> list[str]:
        return words(text)


def _percent(sums: np.ndarray) -> float:
    # References without a single n-gram: nothing can be recalled.
    return 100 * float(sums[0] / sums[1]) if sums[1] else 0.0


def _version() -> str:
    try:
        return importlib.metadata.version("rouge-score")
    except importlib.metadata.PackageNotFoundError:
        raise ConfigError(f"ROUGE needs rouge-score: {install('eval')}") from None
