"""Are texts and dictionaries what they are said to be: of their language and direction, without test sentences?"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from csr.data.texts import sentence_key
from csr.errors import DataError
from csr.evaluation.off_target import identifiable, off_target
from csr.files import PathLike, read_lines
from csr.induction.dictionaries import read_gold
from csr.lexicon import Lexicon
from csr.text.words import tokenize

_LINES = 2000  # of a text that its language is told by
_IDENTIFIED = 500  # of them that the identifier reads
_SHORT = 4  # words; the identifier errs too often on shorter lines
_WRONG = 0.5  # of the lines in another language are too many
# What says so in an experiment.
_TEXTS, _LEXICONS = "lang in data.monolingual or backbone.texts", "lang in lexicon.files or lexicon.sources"


def vocabulary(path: PathLike, language: str) -> Counter[str]:
    """How often each word occurs in a text, in lower case and without punctuation."""
    return Counter(word for line in read_lines(path) for word in tokenize(line, language))


def known_share(words: Mapping[str, int], known: Collection[str]) -> float:
    """The share of tokens that are among the known words; 0 without any.

    >>> known_share({"a": 3, "b": 1}, {"a"})
    0.75
    """
    total = sum(words.values())
    return sum(n for word, n in words.items() if word in known) / total if total else 0.0


def check_language(path: PathLike, language: str, known: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """Whether a text is in its language, told by the words of known texts and, if it can be, by py3langid.

    Args:
        known: words of a text in each language, this one among them.

    Returns:
        ``words_known``: the share of its tokens in the known text of each language; ``identified``: lines by language,
        where the identifier is installed and knows the language.

    Raises:
        DataError: more of its words are another language's, or most of its lines are found to be in another.
    """
    lines = list(itertools.islice(read_lines(path), _LINES))
    shares = {}
    for other, words in known.items():
        counts = Counter(word for line in lines for word in tokenize(line, other))
        shares[other] = known_share(counts, words)
    found: dict[str, Any] = {"words_known": shares}
    long = [line for line in lines if len(line.split()) >= _SHORT][:_IDENTIFIED]
    if long and identifiable(language):
        result = off_target(long, language)
        found["identified"] = dict(result.languages)
        if (result.rate or 0.0) > _WRONG:
            most = next(iter(result.languages))
            raise DataError(
                f"{path}: expected text in {language} ({_TEXTS}), found {result.rate:.0%} of {len(long)} lines in "
                f"others, most in {most} ({result.signature})"
            )
    nearest = max(shares, key=lambda other: (shares[other], other == language))
    if nearest != language:
        raise DataError(
            f"{path}: expected text in {language} ({_TEXTS}), found {nearest}: the training pairs' {language} side has "
            f"{shares[language]:.0%} of its words, their {nearest} side {shares[nearest]:.0%}"
        )
    return found


def overlap(path: PathLike, test: Collection[str]) -> tuple[int, int | None]:
    """How many lines of a text are sentences of a test set, given by ``sentence_key``, and the number of the first."""
    found = [number for number, line in enumerate(read_lines(path), 1) if sentence_key(line) in test]
    return len(found), (found[0] if found else None)


def check_overlap(path: PathLike, test: Collection[str], allowed: bool) -> int:
    """The number of lines of a text that are sentences of a test set.

    Raises:
        DataError: there are some, and they are not allowed.
    """
    n, first = overlap(path, test)
    if n and not allowed:
        lines = "line is a sentence" if n == 1 else "lines are sentences"
        raise DataError(
            f"{path}:{first}: expected no sentence of the test set, found one ({n:,} {lines} of it); "
            "data.test_overlap: drop leaves them out, allow keeps them"
        )
    return n


def check_direction(
    path: PathLike, languages: tuple[str, str], known: Mapping[str, Mapping[str, int]]
) -> dict[str, list[float]]:
    """The coverage of both texts, in the order of the languages, by a dictionary's columns, this way and the other.

    Raises:
        DataError: the columns fit the texts better the other way round.
    """
    columns = _columns(read_gold(path))
    source, target = (known[language] for language in languages)
    forward = [known_share(words, column) for words, column in zip((source, target), columns, strict=True)]
    backward = [known_share(words, column) for words, column in zip((target, source), columns, strict=True)]
    if sum(backward) > sum(forward):
        raise DataError(
            f"{path}: expected {languages[0]} words and their translations into {languages[1]} ({_LEXICONS}), found "
            f"the other direction: {described_coverage(languages, forward, backward[::-1])}"
        )
    return {"forward": forward, "backward": backward[::-1]}


def described_coverage(languages: Sequence[str], forward: Sequence[float], backward: Sequence[float]) -> str:
    """The coverage of both texts by the columns of a dictionary, this way and the other, in words."""
    (first, second), (a, b), (c, d) = languages, forward, backward
    return (
        f"its columns have {a:.0%} of the {first} and {b:.0%} of the {second} text's words, the other way round "
        f"{c:.0%} and {d:.0%}"
    )


def check(
    texts: Sequence[tuple[str, Path]],
    lexicons: Sequence[tuple[tuple[str, str], Path]],
    known: Mapping[str, Iterable[PathLike]],
    tests: Mapping[str, Collection[str]],
    allow_overlap: bool = False,
) -> dict[str, Any]:
    """All checks of an experiment's texts and dictionaries, as values that JSON can hold.

    Args:
        known: files of each language to compare with, such as both sides of the training pairs.
        tests: the test sentences of each language, by ``sentence_key``.

    Raises:
        DataError: one of them is not what it is said to be.
    """
    words: dict[str, Counter[str]] = {}
    for language, files in known.items():
        words[language] = sum((vocabulary(file, language) for file in files), Counter())
    return {
        "texts": [
            {
                "file": str(path),
                "language": language,
                "test_sentences": check_overlap(path, tests.get(language, ()), allow_overlap),
                **(check_language(path, language, words) if language in words else {}),
            }
            for language, path in texts
        ],
        "lexicons": [
            {"file": str(path), "languages": list(pair), "coverage": check_direction(path, pair, words)}
            for pair, path in lexicons
        ],
    }


def _columns(lexicon: Lexicon) -> tuple[set[str], set[str]]:
    """The words of both sides; of entries of several words, each."""
    sides = lexicon.entries, {candidate for options in lexicon.entries.values() for candidate in options}
    first, second = ({word for entry in side for word in tokenize(entry)} for side in sides)
    return first, second
