"""Figures of code-mixed text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class CodeMixing:
    """How mixed a text is; each figure counts words, not sentences."""

    n_words: int
    n_switched: int
    n_points: int  # places between two words where the language changes
    n_pairs: int  # neighbouring words
    index: float

    @property
    def switch_rate(self) -> float:
        """The share of words replaced."""
        return self.n_switched / max(self.n_words, 1)

    @property
    def point_rate(self) -> float:
        """The share of neighbouring words of two languages."""
        return self.n_points / max(self.n_pairs, 1)


def code_mixing(sentences: Iterable[tuple[int, Sequence[int]]]) -> CodeMixing:
    """The figures of sentences, each its number of words and the positions of the switched ones.

    The code-mixing index of a sentence is 100 (1 - n_most / n), the share of its words that are not in its most
    frequent language (Das and Gambäck 2014, where every word has a language); that of a text is their mean.

    >>> code_mixing([(4, [1, 2])])
    CodeMixing(n_words=4, n_switched=2, n_points=2, n_pairs=3, index=50.0)
    """
    n_words = n_switched = n_points = n_pairs = n_sentences = 0
    total = 0.0
    for length, positions in sentences:
        switched = set(positions)
        n_words += length
        n_switched += len(switched)
        n_pairs += max(length - 1, 0)
        n_points += sum((i in switched) != (i + 1 in switched) for i in range(length - 1))
        if length:
            n_sentences += 1
            total += 1 - max(len(switched), length - len(switched)) / length
    return CodeMixing(n_words, n_switched, n_points, n_pairs, 100 * total / max(n_sentences, 1))
