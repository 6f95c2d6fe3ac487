"""Parallel text: cleaning, and held-out sentences that occur in no other split."""

from __future__ import annotations

import hashlib
import heapq
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import regex

from csr.text.forms import is_visible, normalized
from csr.text.words import CHARACTERS, COMPLEX, NO_SPACES

Pair = tuple[str, str]
T = TypeVar("T")

# A word is what stands between spaces. Scripts written without spaces: a Chinese or Japanese character counts as a
# word, and so do up to four letters of the Southeast Asian ones.
_WORD = regex.compile(rf"[{CHARACTERS}]|[{COMPLEX}]{{1,4}}|[^\s{NO_SPACES}]+")
_UNSPACED = regex.compile(rf"[{NO_SPACES}]")


def is_empty(pair: Pair) -> bool:
    """Tell whether a side shows nothing: no character, or only spaces and control characters."""
    return not (is_visible(pair[0]) and is_visible(pair[1]))


def n_words(line: str) -> int:
    """Count the words of a line, for limits on length.

    >>> n_words("Two men talk."), n_words("两个人在说话。")
    (3, 7)
    """
    if line.isascii() or not _UNSPACED.search(line):
        return len(line.split())
    return sum(1 for _ in _WORD.finditer(line))


def clean(pairs: Iterable[Pair], max_words: int = 250, max_ratio: float = 9.0) -> tuple[list[Pair], Counter[str]]:
    """Normalize pairs and keep, once each, those that can be translations.

    Returns:
        The kept pairs in order, and counts: ``read``, and the first reason that dropped a pair: ``empty`` (a side),
        ``long`` (a side over ``max_words``), ``ratio`` (a side over ``max_ratio`` times as long as the other, in
        words; 9 is what Moses' corpus cleaner takes) or ``duplicate`` (the pair came before).
    """
    kept: dict[Pair, None] = {}
    counts: Counter[str] = Counter()
    for src, tgt in pairs:
        counts["read"] += 1
        pair = normalized(src), normalized(tgt)
        short, long = n_words(pair[0]), n_words(pair[1])
        if short > long:
            short, long = long, short
        if is_empty(pair):
            counts["empty"] += 1
        elif long > max_words:
            counts["long"] += 1
        elif long > max_ratio * short:
            counts["ratio"] += 1
        elif pair in kept:
            counts["duplicate"] += 1
        else:
            kept[pair] = None
    return list(kept), counts


def without_overlap(pairs: Sequence[Pair], held_out: Iterable[Pair]) -> list[Pair]:
    """Drop the pairs that have either side in common with a held-out pair."""
    held_out = list(held_out)
    if not held_out:
        return list(pairs)
    sources, targets = {src for src, _ in held_out}, {tgt for _, tgt in held_out}
    return [(src, tgt) for src, tgt in pairs if src not in sources and tgt not in targets]


def line_hash(line: str) -> bytes:
    """What lines are drawn by, so that neither their order nor a seed matters."""
    return hashlib.sha256(line.encode()).digest()


def in_order(items: Sequence[T], key: Callable[[T], Any], n: int) -> Iterator[T]:
    """Yield items sorted by a key, of which about the first n are wanted, without sorting all for them."""
    first = heapq.nsmallest(2 * n + 10, items, key)
    yield from first
    if len(first) < len(items):
        yield from itertools.islice(sorted(items, key=key), len(first), None)


def split(pairs: Sequence[Pair], sizes: Sequence[int]) -> list[list[Pair]]:
    """Take held-out sets of these sizes out of the pairs; the last list returned is what is left to train on.

    Pairs are taken in the order of a hash of their source sentence, so neither the order of the corpus nor a seed
    matters. No sentence of either side occurs in two of the lists, nor twice in a held-out one; pairs that would
    bring that about are dropped. A set comes out smaller only when the pairs run out.
    """
    ranked = in_order(pairs, lambda pair: (line_hash(pair[0]), pair[1]), sum(sizes))
    sources: set[str] = set()
    targets: set[str] = set()
    held_out: list[list[Pair]] = []
    for size in sizes:
        taken: list[Pair] = []
        while len(taken) < size and (pair := next(ranked, None)):
            if pair[0] not in sources and pair[1] not in targets:
                taken.append(pair)
                sources.add(pair[0])
                targets.add(pair[1])
        held_out.append(taken)
    return [*held_out, without_overlap(pairs, [pair for taken in held_out for pair in taken])]


def summary(counts: Counter[str]) -> str:
    """Say in one line what was read and why pairs were dropped.

    >>> summary(Counter(read=10000, empty=7, long=5))
    '10,000 pairs read, 12 dropped (7 empty, 5 long)'
    """
    dropped = {reason: n for reason, n in counts.items() if reason != "read" and n}
    reasons = ", ".join(f"{n:,} {reason}" for reason, n in dropped.items())
    return f"{counts['read']:,} pairs read, {sum(dropped.values()):,} dropped" + (f" ({reasons})" if reasons else "")
