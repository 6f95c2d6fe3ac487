"""Words of languages whose writing does not show them: segmenters, each optional to install.

A segmenter takes text and returns its words in order. What it returns is laid on the text it was given; where the two
differ (some segmenters normalise), the text stays whole, so that nothing is ever lost.
"""

from __future__ import annotations

import functools
import importlib
import itertools
import warnings
from collections.abc import Callable
from dataclasses import dataclass

from csr.errors import ConfigError
from csr.text.languages import entry

Segments = list[tuple[str, bool]]  # (text, is a word)


@dataclass(frozen=True)
class Segmenter:
    """Which package cuts a language's text into words, and how it is called."""

    package: str  # as pip knows it
    module: str
    make: Callable[[object], Callable[[str], list[str]]]
    joins: bool = False  # words hold spaces: a word may be several syllables written apart


def _jieba(module) -> Callable[[str], list[str]]:  # type: ignore[no-untyped-def]
    module.setLogLevel("WARNING")
    # Without the hidden Markov model: only words of the dictionary, which a lexicon may hold too.
    return lambda text: module.lcut(text, HMM=False)


def _fugashi(module) -> Callable[[str], list[str]]:  # type: ignore[no-untyped-def]
    tagger = module.Tagger()
    return lambda text: [str(word) for word in tagger(text)]


def _pythainlp(module) -> Callable[[str], list[str]]:  # type: ignore[no-untyped-def]
    return lambda text: module.word_tokenize(text, engine="newmm")


def _underthesea(module) -> Callable[[str], list[str]]:  # type: ignore[no-untyped-def]
    return module.word_tokenize


def _icu(language: str) -> Callable[[object], Callable[[str], list[str]]]:
    def make(module) -> Callable[[str], list[str]]:  # type: ignore[no-untyped-def]
        breaks = module.BreakIterator.createWordInstance(module.Locale(language))

        def cut(text: str) -> list[str]:
            breaks.setText(text)
            # ICU counts UTF-16 units.
            units = text.encode("utf-16-le")
            edges = [0, *breaks]
            return [units[2 * a : 2 * b].decode("utf-16-le") for a, b in itertools.pairwise(edges)]

        return cut

    return make


SEGMENTERS = {
    "zh": Segmenter("jieba", "jieba", _jieba),
    "ja": Segmenter("fugashi[unidic-lite]", "fugashi", _fugashi),
    "th": Segmenter("pythainlp", "pythainlp", _pythainlp),
    "vi": Segmenter("underthesea", "underthesea", _underthesea, joins=True),
    "km": Segmenter("PyICU", "icu", _icu("km")),
    "lo": Segmenter("PyICU", "icu", _icu("lo")),
    "my": Segmenter("PyICU", "icu", _icu("my")),
}


def needs_segmenter(language: str) -> bool:
    """Tell whether a language's words do not show in its writing."""
    return entry(SEGMENTERS, language) is not None


@functools.lru_cache
def segmenter(language: str) -> Callable[[str], list[str]]:
    """What cuts text of a language that needs it, or of a part of one (``yue`` as ``zh``).

    Raises:
        ConfigError: its package is not installed.
    """
    found = entry(SEGMENTERS, language)
    if found is None:
        raise ValueError(f"language must need a segmenter, got {language!r}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # jieba's of the way it reads its dictionary
            module = importlib.import_module(found.module)
    except ImportError:
        raise ConfigError(
            f"language {language}: expected the package that cuts its text into words, found none: "
            f"pip install '{found.package}'"
        ) from None
    return found.make(module)


def recut(cut: Segments, language: str) -> Segments:
    """Cut, or join, the words of a line as the language's segmenter says; other languages' stay as they are."""
    found = entry(SEGMENTERS, language)
    if found is None:
        return cut
    words = segmenter(language)
    return joined(cut, words) if found.joins else split(cut, words)


def split(cut: Segments, words: Callable[[str], list[str]]) -> Segments:
    """Cut each word into the words a segmenter finds in it.

    >>> split([("我们今天", True), ("。", False)], lambda text: ["我们", "今天"])
    [('我们', True), ('今天', True), ('。', False)]
    """
    out: Segments = []
    for text, is_word in cut:
        parts = [part for part in words(text) if part] if is_word and not text.isascii() else [text]
        if "".join(parts) != text:
            parts = [text]
        out += [(part, is_word) for part in parts]
    return out


def joined(cut: Segments, words: Callable[[str], list[str]]) -> Segments:
    """Join words with one space between them that a segmenter takes for one.

    >>> joined([("sinh", True), (" ", False), ("viên", True), (".", False)], lambda text: ["sinh viên"])
    [('sinh viên', True), ('.', False)]
    """
    out: Segments = []
    run: Segments = []  # words and the single spaces between them
    for text, is_word in [*cut, ("\n", False)]:
        if is_word or (text == " " and run):
            run.append((text, is_word))
            continue
        out += _joined_run(run, words)
        run = []
        out.append((text, is_word))
    return out[:-1]


def _joined_run(run: Segments, words: Callable[[str], list[str]]) -> Segments:
    if not run:
        return []
    tail = run[-1:] if run[-1][0] == " " else []
    run = run[: len(run) - len(tail)]
    syllables = [text for text, is_word in run if is_word]
    out: Segments = []
    position = 0
    for word in words(" ".join(syllables)):
        n = len(word.split())
        if word.split() != syllables[position : position + n]:
            return [*run, *tail]
        if position:
            out.append((" ", False))
        out.append((" ".join(syllables[position : position + n]), True))
        position += n
    return [*(out if position == len(syllables) else run), *tail]
