"""Switching: which words of a sentence are replaced, and by what.

This is the version to read and to test against; ``csr switch`` runs it. Training runs ``csr.switching.compiled``,
which makes the same draws in the same order: the same (seed, epoch, index) switches the same words.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, Protocol, get_args

from csr.lexicon import Lexicon
from csr.switching.streams import Stream
from csr.text.forms import CASES, lower, title
from csr.text.words import switchable


@dataclass(frozen=True)
class Chosen:
    """What a policy chose: words to replace, and words before which a ``<mask>`` goes, in order."""

    words: list[int]
    inserted: list[int]


class Policy(Protocol):
    """Chooses the words to replace."""

    def choose(self, available: Sequence[float], rate: float, stream: Stream) -> Chosen:
        """Choose among the words that are available (have a candidate), for a rate in [0, 1].

        A number above 0 says that a word is; to a policy that draws by weight it is the weight.
        """

    @property
    def rate(self) -> float:
        """The share of words to replace unless a schedule says otherwise."""


def _budget(rate: float, n_words: int) -> int:
    # The tolerance keeps 0.35 * 20 = 7.000000000000001 at 7.
    return math.ceil(rate * n_words - 1e-9)


@dataclass(frozen=True)
class PoissonSpans:
    """Spans of Poisson(mean_span) words at random starts, until a share of the words is replaced.

    Zan et al., Algorithm 1, lines 5-7, and section 4.2: "repeated until the total percentage of substituted words
    reaches 35 %". Only words really replaced count; a word without candidates stays and uses nothing up. Every
    word starts at most one span, so a sentence with too few candidates ends below the rate.

    A span of no words is drawn again or, with ``insert``, puts a ``<mask>`` before the word it starts at and uses
    nothing up but its start, as in the noise of BART (Lewis et al. 2020, section 2.2).
    """

    rate: float = 0.35  # section 4.2, footnote 3: the mask ratio of mBART
    mean_span: float = 3.5  # section 3.2
    insert: bool = False

    def __post_init__(self) -> None:
        _check_share("rate", self.rate)
        if not self.mean_span > 0:
            raise ValueError(f"mean_span must be positive, got {self.mean_span}")

    def choose(self, available: Sequence[float], rate: float, stream: Stream) -> Chosen:
        """Choose the words; see ``Policy``."""
        budget = min(_budget(rate, len(available)), sum(map(bool, available)))
        chosen: set[int] = set()
        inserted = []
        exp_minus_mean = math.exp(-self.mean_span)
        for start in stream.permutation(len(available)):
            if len(chosen) == budget:
                break
            length = stream.poisson(exp_minus_mean)
            while length == 0 and not self.insert:
                length = stream.poisson(exp_minus_mean)
            if length == 0:
                inserted.append(start)
            for i in range(start, min(start + length, len(available))):
                if available[i] and len(chosen) < budget:
                    chosen.add(i)
        return Chosen(sorted(chosen), sorted(inserted))


@dataclass(frozen=True)
class FixedSpans:
    """Spans of a fixed number of words at random starts, until a share of the words is replaced."""

    rate: float = 0.35
    span: int = 3

    def __post_init__(self) -> None:
        _check_share("rate", self.rate)
        if self.span < 1:
            raise ValueError(f"span must be at least 1, got {self.span}")

    def choose(self, available: Sequence[float], rate: float, stream: Stream) -> Chosen:
        """Choose the words; see ``Policy``."""
        budget = min(_budget(rate, len(available)), sum(map(bool, available)))
        chosen: set[int] = set()
        for start in stream.permutation(len(available)):
            if len(chosen) == budget:
                break
            for i in range(start, min(start + self.span, len(available))):
                if available[i] and len(chosen) < budget:
                    chosen.add(i)
        return Chosen(sorted(chosen), [])


ShareOf = Literal["words", "switchable"]


@dataclass(frozen=True)
class IndependentWords:
    """Single words, a share of them, in a share of the sentences.

    Visser et al., section 3.1: "Each instance has a 50 % probability of containing replacements, and if selected, each
    word has a 3 % probability of being replaced." Not every word can be replaced, so that the rate is read as a share

    * ``words``: of all words, taken from those that can be replaced;
    * ``switchable``: of those that can be replaced.

    The share is rounded up or down at random; a sentence that is drawn has one word replaced at least, if one can be.

    # Deviation: the paper leaves the reading open. With ``words`` both halves of its sentence hold, the rate means
    # what it means for spans, and a model sees as many replaced words whatever its lexicon covers.

    With ``rare_first`` the words are drawn by weight, one after another, instead of alike: ``rarity``.
    """

    rate: float = 0.03
    gate: float = 0.5
    share_of: ShareOf = "words"
    rare_first: bool = False

    def __post_init__(self) -> None:
        _check_share("rate", self.rate)
        _check_share("gate", self.gate)
        if self.share_of not in get_args(ShareOf):
            raise ValueError(f"share_of must be {' or '.join(get_args(ShareOf))}, got {self.share_of!r}")

    def choose(self, available: Sequence[float], rate: float, stream: Stream) -> Chosen:
        """Choose the words; see ``Policy``."""
        left = [i for i, can in enumerate(available) if can]
        if stream.random() >= self.gate or not left or rate == 0:
            return Chosen([], [])
        n_counted = len(available) if self.share_of == "words" else len(left)
        budget = min(max(1, int(rate * n_counted + stream.random())), len(left))
        for i in range(budget):
            if self.rare_first:
                j = i + _weighted([available[word] for word in left[i:]], stream)
            else:
                j = i + stream.below(len(left) - i)
            left[i], left[j] = left[j], left[i]
        return Chosen(sorted(left[:budget]), [])


def rarity(count: Any) -> Any:
    """The weight of a word that a text has so often: rare words first.

    >>> rarity(0), rarity(3)
    (1.0, 0.25)
    """
    return 1 / (1 + count)


def _weighted(weights: Sequence[float], stream: Stream) -> int:
    """The index of one of the weights, drawn by them."""
    total = 0.0
    for weight in weights:
        total += weight
    rest, j = stream.random() * total, 0
    while j < len(weights) - 1 and rest >= weights[j]:
        rest -= weights[j]
        j += 1
    return j


@dataclass(frozen=True)
class Schedule:
    """The rate at each update: from ``start`` at the first to ``end`` after ``updates`` of them, and from there on.

    >>> [round(Schedule("linear", 0.5, 0.1, 200).rate(update), 2) for update in (0, 100, 200, 300)]
    [0.5, 0.3, 0.1, 0.1]
    """

    shape: str  # constant, linear or cosine (half a wave)
    start: float
    end: float
    updates: int

    def __post_init__(self) -> None:
        _check_share("start", self.start)
        _check_share("end", self.end)
        if self.shape not in ("constant", "linear", "cosine"):
            raise ValueError(f"shape must be constant, linear or cosine, got {self.shape!r}")
        if self.updates < 1:
            raise ValueError(f"updates must be at least 1, got {self.updates}")

    def rate(self, update: int) -> float:
        """The rate of the batches of an update, counted from 0."""
        if self.shape == "constant":
            return self.start
        done = min(update / self.updates, 1.0)
        if self.shape == "cosine":
            done = (1 - math.cos(math.pi * done)) / 2
        return self.start + done * (self.end - self.start)


def _check_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must be a share in [0, 1], got {value}")


@dataclass(frozen=True)
class Noised:
    """What became of the words of a sentence."""

    words: dict[int, str]  # word -> the translation that stands for it
    masked: list[tuple[int, int]]  # runs of words, from and up to, that one mask stands for
    inserted: list[int]  # words before which a mask stands

    @property
    def n_replaced(self) -> int:
        """The number of words replaced."""
        return len(self.words) + sum(end - start for start, end in self.masked)


def add_noise(
    words: Sequence[str],
    lexicon: Lexicon,
    policy: Policy,
    stream: Stream,
    *,
    rate: float | None = None,
    mask_share: float = 0.0,
    aligned: Sequence[str] = (),
    target_language: str | None = None,
    counts: Mapping[str, int] = MappingProxyType({}),
) -> Noised:
    """Replace words of a sentence by candidates drawn by weight, or runs of words by a mask.

    Temper the lexicon first for another distribution: ``lexicon.top(3).tempered(math.inf)`` is uniform over the
    three best (Zan et al., section 4.1: "We randomly select one of the top-k nearest neighbors"); case it, so that
    a word is found in upper case too.

    Args:
        rate: the share to replace, if not the policy's.
        mask_share: probability that a run of chosen words becomes one mask; with 1, words need no candidate.
        aligned: words of the sentence's translation: candidates among them, in any case, go before the others. Where
            neighbouring words are replaced by neighbours there, these keep their order there: an aligned phrase.
        target_language: of candidates and aligned words; it says what the cases are.
        counts: how often a text has a word, for a policy that goes by it.
    """
    _check_share("mask_share", mask_share)
    available = [rarity(counts.get(w, 0)) if mask_share >= 1 or covered(w, lexicon) else 0.0 for w in words]
    chosen = policy.choose(available, policy.rate if rate is None else rate, stream)
    new: dict[int, str] = {}
    masked = []
    places: dict[str, int] = {}
    for place, word in enumerate(aligned):
        small = lower(word, target_language)
        for form in (word, *(case(small, target_language) for case in CASES)):
            places.setdefault(form, place)
    for start, end in runs(chosen.words):
        if mask_share >= 1 or (mask_share > 0 and stream.random() < mask_share):
            masked.append((start, end))
            continue
        for i in range(start, end):
            probs = lexicon.probs(words[i])
            new[i] = _draw({c: p for c, p in probs.items() if c in places} or probs, stream)
    for start, end in phrases([places.get(new.get(i, ""), -1) for i in range(len(words))]):
        in_order = sorted((new[i] for i in range(start, end)), key=lambda candidate: places[candidate])
        new.update(zip(range(start, end), in_order, strict=True))
    if 0 in new and words[0][:1] != words[0][:1].lower():
        # The first word of a sentence keeps its capital, whatever capitals its candidate has.
        new[0] = title(new[0], target_language)
    inside = {i for start, end in masked for i in range(start + 1, end)}
    return Noised(new, masked, [i for i in chosen.inserted if i not in inside])


def covered(word: str, lexicon: Lexicon) -> bool:
    """Tell whether a word can be switched: numbers stay, whatever the lexicon has for them."""
    return word in lexicon and switchable(word)


def switch(words: Sequence[str], lexicon: Lexicon, policy: Policy, stream: Stream) -> dict[int, str]:
    """The translations that replace words of a sentence, by position; see ``add_noise``."""
    return add_noise(words, lexicon, policy, stream).words


def one_of(lexicons: Sequence[Lexicon], stream: Stream) -> Lexicon:
    """Draw the lexicon of a sentence; a single one takes no draw.

    For a language drawn anew for each word, merge them: ``Lexicon.merged((lexicon, 1.0) for lexicon in lexicons)``.
    """
    return lexicons[stream.below(len(lexicons))] if len(lexicons) > 1 else lexicons[0]


def permuted(sentences: Sequence[str], stream: Stream) -> list[str]:
    """The sentences of an instance in random order (Liu et al. 2020, section 2.2); one takes no draw."""
    if len(sentences) < 2:
        return list(sentences)
    return [sentences[i] for i in stream.permutation(len(sentences))]


def runs(positions: Sequence[int]) -> list[tuple[int, int]]:
    """The runs of neighbouring positions, from and up to."""
    runs: list[tuple[int, int]] = []
    for i in positions:
        if runs and runs[-1][1] == i:
            runs[-1] = (runs[-1][0], i + 1)
        else:
            runs.append((i, i + 1))
    return runs


def phrases(places: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield the stretches, from and up to, that are neighbours in some order elsewhere; -1 has no place there.

    >>> list(phrases([3, 2, -1, 5, 7, 6, 6]))
    [(0, 2), (3, 6)]
    """
    start = 0
    while start < len(places):
        last = start
        for end in range(start, len(places)):
            if places[end] < 0 or places[end] in places[start:end]:
                break
            if max(places[start : end + 1]) - min(places[start : end + 1]) == end - start:
                last = end
        if last > start:
            yield start, last + 1
        start = last + 1


def _draw(probs: Mapping[str, float], stream: Stream) -> str:
    total = sum(probs.values())
    cumulative = list(itertools.accumulate(prob / total for prob in probs.values()))
    return list(probs)[min(bisect.bisect_right(cumulative, stream.random()), len(probs) - 1)]
