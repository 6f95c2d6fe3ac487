"""A placebo lexicon: the same words and weights, but candidates that translate nothing.

What a model gains from switching with it, it gains from noise and foreign words in it, not from translations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

import numpy as np

from csr.lexicon import Lexicon
from csr.text.forms import folded


def placebo(
    lexicon: Lexicon,
    seed: int,
    frequencies: Mapping[str, float] | None = None,
    stop_words: Collection[str] = (),
    language: str | None = None,
) -> Lexicon:
    """Exchange the candidates of a lexicon one for one, each with another of about its frequency.

    Bands are octaves of frequency (1, 2 to 3, 4 to 7, ...), stop words apart; a band of one candidate joins the next.
    Within a band candidates move on by one place in a random order, so that none stays unless all bands have but one.
    Words, the number of their candidates and the weights stay.

    Args:
        frequencies: of the candidates, folded, in text; without them, the sums of their probabilities over all
            words, relative to the smallest.
        stop_words: candidates, folded, to be exchanged among themselves.
        language: of the candidates, which says how they are folded.
    """
    if frequencies is None:
        sums: Counter[str] = Counter()
        for word in lexicon.entries:
            sums.update(lexicon.probs(word))
        least = min(sums.values())
        counts = {candidate: total / least for candidate, total in sums.items()}
    else:
        candidates = dict.fromkeys(c for options in lexicon.entries.values() for c in options)
        counts = {candidate: frequencies.get(folded(candidate, language), 0.0) for candidate in candidates}
    rng = np.random.default_rng(seed)
    exchanged: dict[str, str] = {}
    for stop in (False, True):
        kind = {c: n for c, n in counts.items() if (folded(c, language) in stop_words) == stop}
        for band in _bands(kind):
            order = [band[i] for i in rng.permutation(len(band))]
            exchanged |= zip(order, [*order[1:], order[0]], strict=True)
    return lexicon.rewritten(str, exchanged.__getitem__)


def _bands(counts: Mapping[str, float]) -> list[list[str]]:
    """Part the candidates by octaves of frequency, rare ones first; no band but a lone last one has one member."""
    octaves: dict[int, list[str]] = {}
    for candidate in sorted(counts):
        octaves.setdefault(int(np.log2(max(counts[candidate], 0.5))), []).append(candidate)
    bands: list[list[str]] = []
    for _, members in sorted(octaves.items()):
        if bands and (len(members) < 2 or len(bands[-1]) < 2):
            bands[-1].extend(members)
        else:
            bands.append(members)
    return bands
