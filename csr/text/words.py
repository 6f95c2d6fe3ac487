"""Words in running text: where they start and end, and what counts as one."""

from __future__ import annotations

import itertools
import logging
from collections import Counter
from collections.abc import Iterable, Iterator

import regex

from csr.text.forms import folded, normalized
from csr.text.segmenters import Segments, recut

logger = logging.getLogger(__name__)

# Scripts written without spaces, as the content of a set: a Chinese or Japanese character is about a word or a part of
# one; of the others (Thai, Lao, Khmer, Burmese ...: Unicode's line breaks of complex context) only a dictionary knows.
CHARACTERS = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}"
COMPLEX = r"\p{Line_Break=SA}"
NO_SPACES = CHARACTERS + COMPLEX

# A word is what Unicode's word boundaries (UAX 29) keep together, but for full stops and colons, which are more often
# ends. Zero-width joiners are part of it; the zero-width non-joiner, soft hyphens and other signs without a width hold
# together what stands on their two sides; and so do these marks between letters: apostrophes (l'idée, o‘zbek), the
# Catalan middle dot (col·lecció), gershayim (צה״ל), Armenian stress and questions (ինչո՞ւ). A hyphen does not.
_START = r"[\p{L}\p{N}׳]"
_REST = r"[\p{L}\p{M}\p{N}׳\u200d]"
_MARKS = "'’‘＇·\u0387‧״՚՛՜՞՟"
_SPACED = rf"[[\p{{L}}\p{{M}}\p{{N}}׳]--[{NO_SPACES}]]"
_JOINER = (
    rf"(?:[\p{{Word_Break=Format}}\u200c]+|(?<={_SPACED})[{_MARKS}](?={_SPACED})|(?<=\p{{Hebrew}})\"(?=\p{{Hebrew}}))"
)
_WORD = regex.compile(rf"(?V1){_START}{_REST}*+(?:{_JOINER}{_START}{_REST}*+)*+")
# Addresses stay whole and are never words. They go on as far as ASCII and letters of scripts with spaces do, so that
# what stands around them in text without spaces is no part of them. Before an @ stand at most 64 characters (RFC 5321),
# and in a part of a domain 63; without bounds, a long run would be read to its end from each of its places.
_LETTER = rf"[[\p{{L}}\p{{M}}\p{{N}}]--[\p{{Hangul}}{NO_SPACES}]]"
_LINK = rf"(?V1)(?<![A-Za-z0-9])(?:https?://|www\.)[[!-~]||{_LETTER}]+"
_MAIL = rf"[[!#$%&'*+\-./=?^_`{{|}}]||{_LETTER}]{{1,64}}+@(?:[-||{_LETTER}]{{1,63}}+\.)+{_LETTER}+"
_LINKS = regex.compile(_LINK)
_LINKS_AND_MAILS = regex.compile(f"{_LINK}|{_MAIL}")
_ALPHABETIC = regex.compile(r"\p{L}")
_LETTERS = regex.compile(rf"(?V1)(?P<unspaced>[\p{{L}}&&[{NO_SPACES}]])|\p{{L}}")
SAMPLE = 1000  # lines of a text that tell its script
_IN_WORDS = regex.compile(rf"{_REST}|\u200c")
_JOINS = regex.compile(rf"[{_MARKS}]")


def segments(line: str, language: str | None = None) -> Segments:
    """A line cut into texts, each a word or not, that join to the line again; it is expected normalized.

    Without a language a word is a run of letters and digits; with one of ``csr.text.segmenters``, it is what that
    language's segmenter says, which may cut such a run (Chinese) or join several (Vietnamese).

    Raises:
        ConfigError: the language's segmenter is not installed.

    >>> segments("He talks.")
    [('He', True), (' ', False), ('talks', True), ('.', False)]
    """
    out: Segments = []
    done = 0
    for address in (_LINKS_AND_MAILS if "@" in line else _LINKS).finditer(line):
        _cut(line, done, address.start(), out)
        out.append((address.group(), False))
        done = address.end()
    _cut(line, done, len(line), out)
    return out if language is None else recut(out, language)


def _cut(line: str, start: int, end: int, out: Segments) -> None:
    """Add the words of a part of a line, and what stands between them."""
    for word in _WORD.finditer(line, start, end):
        if word.start() > start:
            out.append((line[start : word.start()], False))
        out.append((word.group(), True))
        start = word.end()
    if start < end:
        out.append((line[start:end], False))


def words(line: str, language: str | None = None) -> list[str]:
    """The words of a line, normalized, as written.

    >>> words("It's 5 o'clock.")
    ["It's", '5', "o'clock"]
    """
    return [text for text, is_word in segments(normalized(line), language) if is_word]


def tokenize(line: str, language: str | None = None) -> list[str]:
    """The words of a line, normalized and folded (lower case, one apostrophe): what lexicons are made of and judged by.

    >>> tokenize("It's 5 o'clock, (almost)!")
    ["it's", '5', "o'clock", 'almost']
    """
    return [folded(word, language) for word in words(line, language)]


def share_without_spaces(lines: Iterable[str]) -> float:
    """The share of the letters of a text that are of scripts written without spaces, from 0 to 1.

    >>> share_without_spaces(["北京 ok"])
    0.5
    """
    counts = Counter(bool(letter["unspaced"]) for line in lines for letter in _LETTERS.finditer(line))
    return counts[True] / counts.total() if counts else 0.0


def watched(lines: Iterable[str], language: str | None, place: object) -> Iterator[str]:
    """Lines as they are, the first thousand of them looked at: ``warn_of_no_spaces``."""
    lines = iter(lines)
    first = list(itertools.islice(lines, SAMPLE))
    warn_of_no_spaces(first, language, place)
    yield from first
    yield from lines


def warn_of_no_spaces(lines: Iterable[str], language: str | None, place: object) -> None:
    """Warn of text in scripts without spaces whose language is not named, so that it has few words."""
    if language is None and (share := share_without_spaces(lines)) > 0.5:
        logger.warning(
            f"{place}: {100 * share:.0f} % of the letters are of scripts written without spaces, and words are taken "
            "to stand between spaces: name the language (zh, ja, th ...)"
        )


def in_words(piece: str) -> bool:
    """Tell whether a piece of text has a character that stands in words alone."""
    return _IN_WORDS.search(piece) is not None


def joins_words(piece: str) -> bool:
    """Tell whether a piece of text is a mark that belongs to a word where letters stand on both its sides."""
    return _JOINS.fullmatch(piece) is not None


def switchable(word: str) -> bool:
    """Tell whether a word may be switched at all: it has a letter (numbers stay)."""
    return _ALPHABETIC.search(word) is not None
