"""Switching: which words of a sentence are replaced, and by what.

This is the version to read and to test against; ``csr switch`` runs it. Training runs ``csr.compiled``, which makes
the same draws in the same order: the same (seed, epoch, index) switches the same words.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from csr.lexicon import Lexicon
from csr.streams import Stream
from csr.words import segments


class Policy(Protocol):
    """Chooses the words to replace."""

    def choose(self, available: Sequence[bool], stream: Stream) -> list[int]:
        """Return the positions to replace, among those that are available (have a candidate), in order."""


def _budget(rate: float, n_words: int) -> int:
    # The tolerance keeps 0.35 * 20 = 7.000000000000001 at 7.
    return math.ceil(rate * n_words - 1e-9)


@dataclass(frozen=True)
class PoissonSpans:
    """Spans of Poisson(mean_span) words at random starts, until a share of the words is replaced.

    Zan et al., Algorithm 1, lines 5-7, and section 4.2: "repeated until the total percentage of substituted words
    reaches 35 %". Only words really replaced count; a word without candidates stays and uses nothing up. Every
    word starts at most one span, so a sentence with too few candidates ends below the rate.
    """

    rate: float = 0.35  # section 4.2, footnote 3: the mask ratio of mBART
    mean_span: float = 3.5  # section 3.2

    def __post_init__(self) -> None:
        _check_share("rate", self.rate)
        if not self.mean_span > 0:
            raise ValueError(f"mean_span must be positive, got {self.mean_span}")

    def choose(self, available: Sequence[bool], stream: Stream) -> list[int]:
        """Return the positions to replace."""
        budget = min(_budget(self.rate, len(available)), sum(available))
        chosen: set[int] = set()
        exp_minus_mean = math.exp(-self.mean_span)
        for start in stream.permutation(len(available)):
            if len(chosen) == budget:
                break
            length = 0
            while length == 0:  # zero-length spans are drawn again
                length = stream.poisson(exp_minus_mean)
            for i in range(start, min(start + length, len(available))):
                if available[i] and len(chosen) < budget:
                    chosen.add(i)
        return sorted(chosen)


@dataclass(frozen=True)
class FixedSpans:
    """Spans of a fixed number of words at random starts, until a share of the words is replaced."""

    rate: float = 0.35
    span: int = 3

    def __post_init__(self) -> None:
        _check_share("rate", self.rate)
        if self.span < 1:
            raise ValueError(f"span must be at least 1, got {self.span}")

    def choose(self, available: Sequence[bool], stream: Stream) -> list[int]:
        """Return the positions to replace."""
        budget = min(_budget(self.rate, len(available)), sum(available))
        chosen: set[int] = set()
        for start in stream.permutation(len(available)):
            if len(chosen) == budget:
                break
            for i in range(start, min(start + self.span, len(available))):
                if available[i] and len(chosen) < budget:
                    chosen.add(i)
        return sorted(chosen)


@dataclass(frozen=True)
class IndependentWords:
    """A sentence is touched with probability ``gate``; in it, each word with candidates with probability ``rate``.

    Visser et al., section 3.1: "Each instance has a 50 % probability of containing replacements, and if selected,
    each word has a 3 % probability of being replaced."
    """

    rate: float = 0.03
    gate: float = 0.5

    def __post_init__(self) -> None:
        _check_share("rate", self.rate)
        _check_share("gate", self.gate)

    def choose(self, available: Sequence[bool], stream: Stream) -> list[int]:
        """Return the positions to replace."""
        if stream.random() >= self.gate:
            return []
        return [i for i, can in enumerate(available) if can and stream.random() < self.rate]


def _check_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must be a share in [0, 1], got {value}")


def switch(words: Sequence[str], lexicon: Lexicon, policy: Policy, stream: Stream) -> dict[int, str]:
    """Return the replacements of some words of a sentence, by position, drawn from their candidates by weight.

    Temper the lexicon first for another distribution: ``lexicon.top(3).tempered(math.inf)`` is uniform over the
    three best (Zan et al., section 4.1: "We randomly select one of the top-k nearest neighbors"); case it, so that
    a word is found in upper case too.
    """
    positions = policy.choose([word in lexicon for word in words], stream)
    return {i: _draw(lexicon, words[i], stream) for i in positions}


def _draw(lexicon: Lexicon, word: str, stream: Stream) -> str:
    probs = lexicon.probs(word)
    cumulative = list(itertools.accumulate(probs.values()))
    return list(probs)[min(bisect.bisect_right(cumulative, stream.random()), len(probs) - 1)]


@dataclass(frozen=True)
class SwitchedLine:
    """A line of text as segments, and the replacement of some of them."""

    segments: list[str]
    switched: dict[int, str]  # segment -> its replacement
    n_words: int
    n_covered: int

    def text(self, pattern: str = "{}") -> str:
        """Return the switched line, each replacement written into a pattern."""
        return "".join(
            pattern.format(self.switched[i]) if i in self.switched else segment
            for i, segment in enumerate(self.segments)
        )


def switch_line(line: str, lexicon: Lexicon, policy: Policy, stream: Stream) -> SwitchedLine:
    """Switch words of a line of text; punctuation, spaces, numbers and addresses stay.

    The lexicon is expected with its words in every case (``Lexicon.cased``).
    """
    cut = segments(line)
    at = [i for i, (_, is_word) in enumerate(cut) if is_word]
    words = [cut[i][0] for i in at]
    new = switch(words, lexicon, policy, stream)
    return SwitchedLine(
        [text for text, _ in cut],
        {at[i]: candidate for i, candidate in new.items()},
        len(words),
        sum(word in lexicon for word in words),
    )
