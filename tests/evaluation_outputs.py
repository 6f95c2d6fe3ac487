"""Outputs of two made-up systems with realistic errors: words dropped, doubled, swapped and replaced."""

from __future__ import annotations

import random

_SUBJECTS = ["A man", "The old woman", "Two children", "A brown dog", "Maria's sister", "Mr. Smith, 42,"]
_VERBS = ["is reading", "looks at", "doesn't like", "painted", "sells"]
_OBJECTS = ["a newspaper", "the blue house", "three guitars", "U.S. stamps", "some half-ripe apples"]
_PLACES = ["in the park.", "near the station!", "on a rainy day...", "(again).", "at 5:30 p.m."]
_WRONG = ["something", "the", "green", "guitar", "in"]


def references(n: int = 200) -> list[str]:
    """``n`` sentences of a small grammar; some repeat."""
    rng = random.Random(1)
    return [" ".join(rng.choice(part) for part in (_SUBJECTS, _VERBS, _OBJECTS, _PLACES)) for _ in range(n)]


def outputs(rate: float, seed: int, n: int = 200) -> list[str]:
    """What a system that errs on ``rate`` of the words might have said."""
    rng = random.Random(seed)
    return [_noised(sentence.split(), rate, rng) for sentence in references(n)]


def _noised(words: list[str], rate: float, rng: random.Random) -> str:
    out: list[str] = []
    for word in words:
        if rng.random() >= rate:
            out.append(word)
        else:
            out += rng.choice([[], [word, word], [rng.choice(_WRONG)]])
    if rng.random() < rate and len(out) > 1:
        i = rng.randrange(len(out) - 1)
        out[i], out[i + 1] = out[i + 1], out[i]
    return " ".join(out)
