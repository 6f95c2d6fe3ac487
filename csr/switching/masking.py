"""Masked language modelling on switched text: which pieces are to be predicted, and which words around them change.

This is the version to read and to test against. Training runs ``csr.switching.compiled_masking``, which
makes the same draws in the same order. A word is a tuple of piece ids here.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from csr.switching.noise import IndependentWords
from csr.switching.streams import Stream

Word = tuple[int, ...]
Span = tuple[int, int]  # pieces from and up to


@dataclass(frozen=True)
class Symbols:
    """The ids that masking needs. Pieces of text are those in [first, mask)."""

    pad: int
    first: int
    mask: int


@dataclass(frozen=True)
class Masking:
    """A share of the pieces is to be predicted: most stand as ``<mask>``, some as a random piece, some as they are.

    Devlin et al. 2019, section 3.1: 15 % of the pieces; 80 %, 10 % and 10 % of those. With ``whole_words`` a word is
    predicted as a whole or not at all; one that would bring more than the share is passed over.
    """

    rate: float = 0.15
    random: float = 0.1
    keep: float = 0.1
    whole_words: bool = False

    def __post_init__(self) -> None:
        for name in ("rate", "random", "keep"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be a share in [0, 1], got {getattr(self, name)}")
        if self.random + self.keep > 1:
            raise ValueError(f"random and keep must be at most 1 together, got {self.random + self.keep}")

    def units(self, ids: Sequence[int], words: Sequence[Span], symbols: Symbols) -> list[range]:
        """What is drawn among: positions of pieces, or of words and the pieces between them."""
        text = [symbols.first <= piece < symbols.mask for piece in ids]
        spans = dict(words) if self.whole_words else {}
        units, i = [], 0
        while i < len(ids):
            unit = range(i, spans.get(i, i + 1))
            if all(text[j] for j in unit):
                units.append(unit)
            i = unit.stop
        return units

    def choose(self, units: Sequence[range], stream: Stream) -> list[int]:
        """Positions to predict: the share of them, rounded up or down at random."""
        budget = int(self.rate * sum(map(len, units)) + stream.random())
        order = list(units)
        chosen: list[int] = []
        for i in range(len(order)):
            if len(chosen) == budget:
                break
            j = i + stream.below(len(order) - i)
            order[i], order[j] = order[j], order[i]
            if len(chosen) + len(order[i]) <= budget:
                chosen.extend(order[i])
        return sorted(chosen)

    def stand_in(self, piece: int, symbols: Symbols, stream: Stream) -> int:
        """The piece that the model sees in place of one that it is to predict."""
        draw = stream.random()
        if draw < 1 - self.random - self.keep:
            return symbols.mask
        if draw < 1 - self.keep:
            return symbols.first + stream.below(symbols.mask - symbols.first)
        return piece


@dataclass(frozen=True)
class Masked:
    """A block as the model sees it, and what it is to predict there: a piece, or the padding id for nothing."""

    source: list[int]
    target: list[int]
    switched: dict[int, Word]  # word -> the translation that stands for it, if the block's end did not lose it
    n_cut: int  # pieces that the block lost at its end


def mask_and_switch(
    ids: Sequence[int],
    words: Sequence[Span],
    candidates: Mapping[Word, Mapping[Word, float]],
    masking: Masking,
    policy: IndependentWords,
    symbols: Symbols,
    stream: Stream,
    limit: int,
) -> Masked:
    """Choose the pieces to predict, then switch words around them.

    Visser et al., section 2 and 3.1: "applying substitutions only to unmasked tokens"; "source words are predicted in
    the presence of a code-mixed context window". A word of which a piece is to be predicted is never switched, and no
    piece of a translation is ever predicted.

    Args:
        candidates: translations of a word with their probabilities, which sum to 1.
        limit: pieces the block may have. One that grows past them loses its end: to leave out the translations that
            do not fit would favour short ones.
    """
    chosen = set(masking.choose(masking.units(ids, words, symbols), stream))
    seen = [masking.stand_in(ids[i], symbols, stream) if i in chosen else ids[i] for i in range(len(ids))]

    forms = [tuple(ids[start:end]) for start, end in words]
    available = [
        form in candidates and chosen.isdisjoint(range(*span)) for form, span in zip(forms, words, strict=True)
    ]
    switched = {i: _draw(candidates[forms[i]], stream) for i in policy.choose(available, policy.rate, stream).words}

    source: list[int] = []
    target: list[int] = []
    done = 0
    starts = {}  # of the translations
    for i, new in switched.items():
        start, end = words[i]
        source += seen[done:start]
        starts[i] = len(source)
        source += new
        target += [ids[j] if j in chosen else symbols.pad for j in range(done, start)] + [symbols.pad] * len(new)
        done = end
    source += seen[done:]
    target += [ids[j] if j in chosen else symbols.pad for j in range(done, len(ids))]
    kept = {i: new for i, new in switched.items() if starts[i] < limit}
    return Masked(source[:limit], target[:limit], kept, max(0, len(source) - limit))


def _draw(probs: Mapping[Word, float], stream: Stream) -> Word:
    cumulative = list(itertools.accumulate(probs.values()))
    return list(probs)[min(bisect.bisect_right(cumulative, stream.random()), len(probs) - 1)]
