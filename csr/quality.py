"""How good a lexicon is: against parallel text, against a gold dictionary, and by itself."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from csr.errors import DataError
from csr.files import PathLike, read_parallel
from csr.lexicon import Lexicon
from csr.words import tokenize

Bitext = Iterable[tuple[Sequence[str], Sequence[str]]]

# Lower bounds of the frequency buckets; 100 and 1000 are the bounds of Zan et al., section 6.
BUCKETS = (1, 2, 5, 10, 100, 1000)
KS = (1, 5, 10)


def read_bitext(src: PathLike, tgt: PathLike) -> Iterable[tuple[list[str], list[str]]]:
    """Yield the words of each line pair of two files, lower-cased and without punctuation."""
    return ((tokenize(a), tokenize(b)) for a, b in read_parallel(src, tgt))


def cooccurrence_precision(lexicon: Lexicon, bitext: Bitext, k: int = 1) -> float:
    """Return the share of source tokens with an entry whose k best candidates meet a word of the aligned sentence.

    0 if no token has an entry.

    >>> cooccurrence_precision(Lexicon({"haus": {"house": 1.0}}), [(["das", "haus"], ["the", "house"])])
    1.0
    """
    counts, hits = cooccurrences(lexicon, bitext, (k,))
    covered = sum(n for word, n in counts.items() if word in lexicon)
    return hits[k].total() / covered if covered else 0.0


def cooccurrences(
    lexicon: Lexicon, bitext: Bitext, ks: Sequence[int] = KS
) -> tuple[Counter[str], dict[int, Counter[str]]]:
    """Count the tokens of each source word, and for each k those one of whose k best candidates stands opposite."""
    best = {word: tuple(candidates) for word, candidates in lexicon.top(max(ks)).entries.items()}
    counts: Counter[str] = Counter()
    hits: dict[int, Counter[str]] = {k: Counter() for k in ks}
    for source, target in bitext:
        counts.update(source)
        opposite = set(target)
        for word in source:
            rank = next((i for i, candidate in enumerate(best.get(word, ())) if candidate in opposite), math.inf)
            for k in ks:
                if rank < k:
                    hits[k][word] += 1
    return counts, hits


def gold_precision(lexicon: Lexicon, gold: Lexicon, ks: Sequence[int] = KS) -> dict[str, float]:
    """Return precision@k over the gold words that have an entry, and the share of gold words that have one.

    A word counts as right at k if one of its k best candidates is among its gold translations.

    Raises:
        DataError: no gold word has an entry.
    """
    covered = [word for word in gold.entries if word in lexicon]
    if not covered:
        raise DataError(f"none of the {len(gold):,} gold words has an entry; is the dictionary the other way round?")
    best = lexicon.restricted(words=set(covered)).top(max(ks)).entries
    found = {"coverage": len(covered) / len(gold)}
    for k in ks:
        right = sum(any(c in gold.entries[word] for c in list(best[word])[:k]) for word in covered)
        found[f"precision@{k}"] = right / len(covered)
    return found
