"""How good a lexicon is: by itself, on text, against the other side of parallel text, and against a gold dictionary."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from csr.errors import ConfigError, DataError
from csr.files import PathLike, read_lines, read_parallel, write_whole
from csr.lexicon import Lexicon
from csr.text.words import tokenize, watched

Bitext = Iterable[tuple[Sequence[str], Sequence[str]]]

KS = (1, 5, 10)
# Where the frequency buckets start; Zan et al. part at 100 and 1000 (section 6).
BUCKETS = (1, 2, 5, 10, 100, 1000)

# Of what is drawn: less than so much above chance is poor; of content words, more than so many stop words are many.
# Measured (docs/switching.md): dictionaries .17 to .53 above chance, a placebo below .01; stop words up to .29.
POOR, MANY_STOPS = 0.1, 0.25


def read_bitext(src: PathLike, tgt: PathLike, source_lang: str | None = None, target_lang: str | None = None) -> Bitext:
    """Yield the words of each line pair, lower-cased and without punctuation."""
    return ((tokenize(a, source_lang), tokenize(b, target_lang)) for a, b in read_parallel(src, tgt))


def read_text(path: PathLike, language: str | None = None) -> Iterable[list[str]]:
    """Yield the words of each line, lower-cased and without punctuation."""
    return (tokenize(line, language) for line in watched(read_lines(path), language, path))


def cooccurrence_precision(lexicon: Lexicon, bitext: Bitext, k: int = 1) -> float:
    """The share of source tokens with an entry whose k best candidates meet a word of the aligned sentence.

    0 if no token has an entry.

    >>> cooccurrence_precision(Lexicon({"haus": {"house": 1.0}}), [(["das", "haus"], ["the", "house"])])
    1.0
    """
    counts, hits = cooccurrences(lexicon, bitext, (k,))
    lexicon = lexicon.lowered()
    covered = sum(n for word, n in counts.items() if word in lexicon)
    return hits[k].total() / covered if covered else 0.0


def cooccurrences(
    lexicon: Lexicon, bitext: Bitext, ks: Sequence[int] = KS
) -> tuple[Counter[str], dict[int, Counter[str]]]:
    """Count the tokens of each source word, and for each k those with one of its k best candidates opposite them."""
    best = {word: tuple(candidates) for word, candidates in lexicon.lowered().top(max(ks)).entries.items()}
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
    """The share of gold words that have an entry, and precision@k over those.

    A word is right at k if one of its k best candidates is one of its gold translations.

    Raises:
        DataError: no gold word has an entry.
    """
    lexicon, gold = lexicon.lowered(), gold.lowered()
    covered = [word for word in gold.entries if word in lexicon]
    if not covered:
        raise DataError(f"none of the {len(gold):,} gold words has an entry; is the dictionary the other way round?")
    best = lexicon.restricted(words=set(covered)).top(max(ks)).entries
    found = {"coverage": len(covered) / len(gold)}
    for k in ks:
        right = sum(any(c in gold.entries[word] for c in list(best[word])[:k]) for word in covered)
        found[f"precision@{k}"] = right / len(covered)
    return found


def summary(lexicon: Lexicon) -> dict[str, float]:
    """The figures of a lexicon by itself.

    Words and entries; the mean number of candidates; the share of entries that translate a word by itself, in any case;
    the mean entropy in bits of p(candidate | word).
    """
    n_entries = sum(map(len, lexicon.entries.values()))
    n_identical = n_entries - sum(map(len, lexicon.without_identical().entries.values()))
    return {
        "words": len(lexicon),
        "entries": n_entries,
        "candidates_per_word": n_entries / len(lexicon) if lexicon else 0.0,
        "identity_share": n_identical / n_entries if n_entries else 0.0,
        "entropy_bits": float(np.mean([_entropy(lexicon.probs(word)) for word in lexicon.entries])) if lexicon else 0.0,
    }


def _entropy(probs: Mapping[str, float]) -> float:
    return -sum(p * math.log2(p) for p in probs.values() if p)


def coverage(
    lexicon: Lexicon, counts: Mapping[str, int], hits: Mapping[int, Mapping[str, int]] | None = None
) -> dict[str, float]:
    """The share of types and of tokens with an entry and, with hits, co-occurrence precision over those tokens.

    Args:
        counts: tokens of each word.
        hits: for each k, tokens of each word that have one of their k best candidates opposite them.
    """
    lexicon = lexicon.lowered()
    covered = [word for word in counts if word in lexicon]
    n_tokens, n_covered = sum(counts.values()), sum(counts[word] for word in covered)
    found: dict[str, float] = {
        "types": len(counts),
        "tokens": n_tokens,
        "type_coverage": len(covered) / len(counts) if counts else 0.0,
        "token_coverage": n_covered / n_tokens if n_tokens else 0.0,
    }
    for k, tokens in (hits or {}).items():
        found[f"precision@{k}"] = sum(tokens.get(word, 0) for word in covered) / n_covered if n_covered else 0.0
    return found


def drawn(
    lexicon: Lexicon, bitext: Bitext, stop_words: tuple[Collection[str], Collection[str]] | None = None
) -> dict[str, float]:
    """The figures of what switching puts into a text, in expectation over all draws.

    Of the source tokens, the share that may be switched; of these, the probability that the candidate drawn stands in
    the aligned sentence, and that it stands in the one after it (chance); of those that are no stop word, the
    probability that it is one.

    Args:
        lexicon: the candidates that may be drawn, with their weights: ``csr.switching.candidates``.
        stop_words: of both languages, in lower case; without them the last figure is left out.
    """
    lexicon = lexicon.lowered()
    probs = {word: lexicon.probs(word) for word in lexicon.entries}
    n_tokens = n_covered = n_content = 0
    hits = chance = to_stop = 0.0
    before: list[Mapping[str, float]] = []
    for source, target in bitext:
        opposite = set(target)
        chance += sum(prob for options in before for c, prob in options.items() if c in opposite)
        before = [probs[word] for word in source if word in probs]
        hits += sum(prob for options in before for c, prob in options.items() if c in opposite)
        n_tokens, n_covered = n_tokens + len(source), n_covered + len(before)
        if stop_words:
            content = [probs[word] for word in source if word in probs and word not in stop_words[0]]
            n_content += len(content)
            to_stop += sum(prob for options in content for c, prob in options.items() if c in stop_words[1])
    found = {
        "switchable": n_covered / n_tokens if n_tokens else 0.0,
        "in_translation": hits / n_covered if n_covered else 0.0,
        "by_chance": chance / n_covered if n_covered else 0.0,
    }
    return found | ({"content_to_stop": to_stop / n_content if n_content else 0.0} if stop_words else {})


def doubts(found: Mapping[str, float]) -> list[str]:
    """Reasons to doubt what is ``drawn``, each with its figure."""
    doubts = []
    if found["in_translation"] - found["by_chance"] < POOR:
        doubts.append(
            f"a candidate drawn stands in the other side of the pair in {100 * found['in_translation']:.1f} % of the "
            f"draws, by chance in {100 * found['by_chance']:.1f} %: hardly a translation; is it of these languages, in "
            "this direction?"
        )
    if found.get("content_to_stop", 0.0) > MANY_STOPS:
        doubts.append(
            f"of the words that are no stop words, {100 * found['content_to_stop']:.1f} % are replaced by one; "
            "--stop-words leaves these out"
        )
    return doubts


def stats(
    lexicon: Lexicon,
    bitext: Bitext | None = None,
    text: Iterable[Sequence[str]] | None = None,
    gold: Lexicon | None = None,
    ks: Sequence[int] = KS,
    n_samples: int = 20,
    seed: int = 1,
) -> dict[str, Any]:
    """All figures of a lexicon, as JSON writes them.

    Args:
        bitext: gives coverage and co-occurrence precision, ``text`` coverage alone; both also by frequency in them.
        gold: a dictionary for ``gold_precision``.
        seed: of the sampled entries.

    Raises:
        DataError: no word of the text, or of the gold dictionary, has an entry.
    """
    found: dict[str, Any] = {"lexicon": summary(lexicon)}
    counts, hits = None, None
    if bitext is not None:
        counts, hits = cooccurrences(lexicon, bitext, ks)
    elif text is not None:
        counts = Counter(word for words in text for word in words)
    if counts is not None:
        found["corpus"] = coverage(lexicon, counts, hits)
        if not found["corpus"]["type_coverage"]:
            raise DataError(f"none of the {len(counts):,} words of the text has an entry; is it the source language?")
        found["by_frequency"] = [
            {"frequency": label, **coverage(lexicon, words, hits)} for label, words in _by_frequency(counts).items()
        ]
    if gold is not None:
        found["gold"] = gold_precision(lexicon, gold, ks)
    words = list(lexicon.entries)
    chosen = np.random.default_rng(seed).choice(len(words), min(n_samples, len(words)), replace=False)
    found["sample"] = {words[i]: dict(lexicon.entries[words[i]]) for i in sorted(chosen)}
    return found


def _by_frequency(counts: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """Part the words by frequency; empty buckets are left out."""
    buckets = {}
    for low, high in pairwise((*BUCKETS, math.inf)):
        words = {word: n for word, n in counts.items() if low <= n < high}
        if words:
            buckets[f"{low}+" if high == math.inf else f"{low}" if high == low + 1 else f"{low}-{high - 1}"] = words
    return buckets


def table(reports: Mapping[str, Mapping[str, Any]]) -> str:
    """Lay the numbers of several ``stats`` side by side, one column for each named report."""
    columns = {name: _flat(report) for name, report in reports.items()}
    labels = list(dict.fromkeys(label for column in columns.values() for label in column))
    rows = [["", *columns], *([label, *(_shown(column.get(label)) for column in columns.values())] for label in labels)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(n) for cell, n in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    )


def _flat(report: Mapping[str, Any]) -> dict[str, float]:
    flat = {
        f"{part} {key}": value
        for part in ("lexicon", "corpus", "drawn", "gold")
        for key, value in report.get(part, {}).items()
    }
    for bucket in report.get("by_frequency", ()):
        for key in ("types", "type_coverage", "precision@1"):
            if key in bucket:
                flat[f"frequency {bucket['frequency']} {key}"] = bucket[key]
    return flat


def _shown(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def samples(report: Mapping[str, Any], n_candidates: int = 5) -> str:
    """The sampled entries of a ``stats`` as text, the best candidates of each."""
    return "\n".join(
        f"{word}: " + ", ".join(f"{c} {w:.3g}" for c, w in list(candidates.items())[:n_candidates])
        for word, candidates in report["sample"].items()
    )


def picture(report: Mapping[str, Any], path: PathLike) -> None:
    """Draw coverage and, where the text was parallel, co-occurrence precision@1 by frequency; format by the suffix.

    Raises:
        ConfigError: the report has no frequencies, or the suffix is of no known picture format.
    """
    from matplotlib.figure import Figure

    if "by_frequency" not in report:
        raise ConfigError("a picture by frequency needs text, and the statistics were made without")
    buckets = report["by_frequency"]
    figure = Figure(figsize=(5, 3.2), layout="constrained")
    formats = figure.canvas.get_supported_filetypes()
    if Path(path).suffix[1:] not in formats:
        raise ConfigError(f"{path}: expected a picture named .{', .'.join(sorted(formats))}")
    axes = figure.subplots()
    for key, label in (("type_coverage", "words with an entry"), ("precision@1", "co-occurrence precision@1")):
        if key in buckets[0]:
            axes.plot([b["frequency"] for b in buckets], [100 * b[key] for b in buckets], marker="o", label=label)
    axes.set(xlabel="frequency of the source word in the text", ylabel="%", ylim=(0, 102))
    axes.legend(frameon=False)
    with write_whole(path) as part:
        figure.savefig(part)
