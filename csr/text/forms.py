"""The form in which words meet: composed, one space between them, and their case as their language writes it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Protocol

import regex

from csr.text.languages import base

# Soft hyphens, word joiners, byte-order marks and invisible operators.
_MEANINGLESS = re.compile("[\u00ad\u2060-\u2064\ufeff]+")
_VISIBLE = regex.compile(r"[^\p{Cc}\p{Cf}\p{Z}]")
# i and ı are two letters, with the capitals İ and I.
_DOTTED = ("tr", "az", "crh", "gag", "tt")
_DOTTED_UPPER = str.maketrans({"i": "İ"})
_DOTTED_LOWER = str.maketrans({"İ": "i", "I": "ı"})
# Ι and Υ after a vowel that loses its accent are letters of their own: Μάιος, ΜΑΪΟΣ.
_GREEK_HIATUS = regex.compile(r"(?<=[αεοΑΕΟ]\u0301)[ιυΙΥ](?!\u0308)")
_GREEK_ACCENTS = regex.compile(r"(?<=[\p{Greek}\u0308])[\u0300\u0301\u0313\u0314\u0342]+")
_GREEK = regex.compile(r"\p{Greek}")
_GEORGIAN = regex.compile(r"\p{Georgian}")
# What one word is written with in one text and another: l'idée, l’idée; o‘zbek, oʻzbek; צה״ל, צה"ל.
_APOSTROPHES, _GERSHAYIM, _GERESH = "'’‘ʼʻ", '"״', "׳"
_SIGNS = {ord(sign): signs[0] for signs in (_APOSTROPHES + _GERESH, _GERSHAYIM) for sign in signs[1:]}
_HEBREW = regex.compile(r"\p{Hebrew}")
# Thai and Lao am in two signs, with the tone mark anywhere: น้ํา, นํ้า for น้ำ. Unicode keeps them apart.
_AM = regex.compile("\u0e4d([\u0e48-\u0e4b]?)\u0e32|\u0ecd([\u0ec8-\u0ecb]?)\u0eb2")


def composed(text: str) -> str:
    """Text in Unicode's composed form (NFC), without signs that show and mean nothing: what words are compared in.

    Such are byte-order marks, soft hyphens, word joiners and the like; joiners that shape letters are none of them.

    >>> composed("Vie\\u0323\\u0302t") == "Việt", composed("Schiff\\u00adfahrt")
    (True, 'Schifffahrt')
    """
    if text.isascii():
        return text
    text = unicodedata.normalize("NFC", _MEANINGLESS.sub("", text))
    if "\u0e4d" in text or "\u0ecd" in text:
        text = _AM.sub(lambda am: am[1] + "\u0e33" if am[2] is None else am[2] + "\u0eb3", text)
    return text


def normalized(line: str) -> str:
    """A line composed, with one space for each run of white space and none at its ends.

    Nothing else changes: the models read raw text.
    """
    return " ".join(composed(line).split())


def is_visible(text: str) -> bool:
    """Tell whether a text shows anything: more than white space, control characters and signs without a width."""
    if text.isascii() and text.isprintable():
        return text != "" and not text.isspace()
    return _VISIBLE.search(text) is not None


def lower(text: str, language: str | None = None) -> str:
    """Text in lower case, as the language has it.

    >>> lower("DIŞ İÇ", "tr"), lower("İSTANBUL")
    ('dış iç', 'istanbul')
    """
    if _dotted(language):
        return text.translate(_DOTTED_LOWER).lower()
    # Unicode's own lower case of İ, i and a combining dot, is in no text.
    return text.replace("İ", "i").lower()


def folded(word: str, language: str | None = None) -> str:
    """A word as words are compared and counted: in lower case, with one sign for all apostrophes, one for gershayim.

    >>> folded("L’Eau") == folded("l'eau"), folded("Irak", "tr")
    (True, 'ırak')
    """
    return lower(word if word.isascii() else word.translate(_SIGNS), language)


def title(word: str, language: str | None = None) -> str:
    """A word with its first letter as titles and sentences begin: ``ǆep`` -> ``ǅep``; Georgian has no such form.

    >>> title("iyi", "tr"), title("ijs", "nl"), title("ახალი")
    ('İyi', 'IJs', 'ახალი')
    """
    first = 2 if word.startswith("ij") and language and base(language) == "nl" else 1
    if first == 2:
        return word[:2].upper() + word[2:]
    return (word[:1].translate(_DOTTED_UPPER) if _dotted(language) else word[:1]).title() + word[1:]


def upper(word: str, language: str | None = None) -> str:
    """A word as text all in capitals has it: Greek without accents; Georgian, which has none in sentences, as it is.

    >>> upper("iyi", "tr"), upper("οδός"), upper("արև"), upper("ახალი")
    ('İYİ', 'ΟΔΟΣ', 'ԱՐԵՎ', 'ახალი')
    """
    if _GEORGIAN.search(word):
        return word
    if _GREEK.search(word):
        marked = _GREEK_HIATUS.sub(lambda vowel: f"{vowel[0]}\u0308", unicodedata.normalize("NFD", word))
        word = unicodedata.normalize("NFC", _GREEK_ACCENTS.sub("", marked))
    # Unicode's capitals of the ligature և are those of the old spelling, ԵՒ.
    return (word.translate(_DOTTED_UPPER) if _dotted(language) else word).replace("և", "եվ").upper()


class Case(Protocol):
    """A case, as a function of a word and its language."""

    def __call__(self, word: str, language: str | None = None, /) -> str: ...


def _as_written(word: str, language: str | None = None) -> str:
    return word


# The cases a word is looked up in, and its translation is written in: as it is, Title, UPPER.
CASES: tuple[Case, ...] = (_as_written, title, upper)
# How text may have a word of a lexicon, and which of CASES its translation then has. As written goes before Title
# before UPPER: a lexicon's own "Polish" goes before the Title form of "polish". Last a word written with capitals
# ("Haus") in small letters, for translations as written.
LOOKUPS: tuple[tuple[Case, int], ...] = (*((case, number) for number, case in enumerate(CASES)), (lower, 0))


def spellings(words: Sequence[str], case: Case, language: str | None = None) -> list[tuple[int, str]]:
    """How text may write words of a lexicon in a case of ``LOOKUPS``, each with the number of its word.

    First each word as the case has it, then what else there is: apostrophes and gershayim have several signs; capitals
    of Greek, Georgian, Armenian and ß have other forms too; and where no language is given, ``i`` may have the capital
    İ, which no other language has.

    >>> spellings(["l'eau", "iyi"], title)
    [(0, "L'eau"), (1, 'Iyi'), (0, 'L’eau'), (0, 'L‘eau'), (0, 'Lʼeau'), (0, 'Lʻeau'), (1, 'İyi')]
    """
    first = [(i, case(word, language)) for i, word in enumerate(words)]
    return first + [(i, form) for i, word in enumerate(words) for form in _others(word, case, language)]


def _others(word: str, case: Case, language: str | None) -> Iterator[str]:
    for number, written in enumerate(_signs(word)):
        if number:
            yield case(written, language)
        if case is upper and written.upper() != upper(written, language):
            yield written.upper()
        if case is upper and "ß" in written:
            yield upper(written.replace("ß", "ẞ"), language)
        if language is None and "i" in written and case(written, _DOTTED[0]) != case(written):
            yield case(written, _DOTTED[0])


def _signs(word: str) -> Iterator[str]:
    yield word
    for signs in (_APOSTROPHES + _GERESH if _HEBREW.search(word) else _APOSTROPHES, _GERSHAYIM):
        if used := next((sign for sign in signs if sign in word), None):
            yield from (word.replace(used, sign) for sign in signs if sign != used)


def _dotted(language: str | None) -> bool:
    return language is not None and (language in _DOTTED or base(language) in _DOTTED)
