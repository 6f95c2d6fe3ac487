"""Words in running text: where they start and end, what counts as one, and carrying case from one to another."""

from __future__ import annotations

import regex

# Letters with their combining marks and digits; an apostrophe inside holds a word together (l'idée), a hyphen does not.
_WORD = regex.compile(r"[\p{L}\p{M}\p{N}]+(?:['’][\p{L}\p{M}\p{N}]+)*")
# Addresses stay whole and are never words.
_ADDRESS = regex.compile(r"(?:https?://|www\.)\S+|\S+@\S+\.\w+")
_LETTER = regex.compile(r"\p{L}")


def segments(line: str) -> list[tuple[str, bool]]:
    """Cut a line into (text, is a word) pieces whose texts join to the line again.

    >>> segments("He talks.")
    [('He', True), (' ', False), ('talks', True), ('.', False)]
    """
    out: list[tuple[str, bool]] = []
    done = 0
    for match in regex.finditer(rf"(?P<address>{_ADDRESS.pattern})|(?P<word>{_WORD.pattern})", line):
        if match.start() > done:
            out.append((line[done : match.start()], False))
        out.append((match.group(), match["word"] is not None))
        done = match.end()
    if done < len(line):
        out.append((line[done:], False))
    return out


def tokenize(line: str) -> list[str]:
    """Return the words of a line, lower-cased, without punctuation: the form lexicons are made and looked up in.

    >>> tokenize("It's 5 o'clock, (almost)!")
    ["it's", '5', "o'clock", 'almost']
    """
    return [text.lower() for text, is_word in segments(line) if is_word]


def switchable(word: str) -> bool:
    """Tell whether a word may be switched at all: it has a letter (numbers stay)."""
    return _LETTER.search(word) is not None


def carry_case(old: str, new: str) -> str:
    """Give ``new`` the case pattern of ``old``: UPPER (two letters or more), Title, else as it is.

    >>> carry_case("Haus", "house"), carry_case("HAUS", "house"), carry_case("haus", "Paris")
    ('House', 'HOUSE', 'Paris')
    """
    if old.isupper() and sum(map(str.isalpha, old)) > 1:
        return new.upper()
    if old[:1].isupper():
        return new[:1].upper() + new[1:]
    return new
