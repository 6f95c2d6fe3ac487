"""Words in running text: where they start and end, what counts as one, and carrying case from one to another."""

from __future__ import annotations

from collections.abc import Callable

import regex

# Letters with their combining marks and digits; an apostrophe inside holds a word together (l'idée), a hyphen does not.
_WORD = regex.compile(r"[\p{L}\p{M}\p{N}]+(?:['’][\p{L}\p{M}\p{N}]+)*")
# Addresses stay whole and are never words.
_ADDRESS = regex.compile(r"(?:https?://|www\.)\S+|\S+@\S+\.\w+")
_LETTER = regex.compile(r"\p{L}")


def segments(line: str, language: str | None = None) -> list[tuple[str, bool]]:
    """Cut a line into (text, is a word) pieces whose texts join to the line again.

    Without a language a word is a run of letters and digits; with one of ``csr.text.segmenters``, it is what that
    language's segmenter says, which may cut such a run (Chinese) or join several (Vietnamese).

    Raises:
        ConfigError: the language's segmenter is not installed.

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
    if language is not None:
        from csr.text.segmenters import recut

        return recut(out, language)
    return out


def words(line: str, language: str | None = None) -> list[str]:
    """Return the words of a line as written.

    >>> words("It's 5 o'clock.")
    ["It's", '5', "o'clock"]
    """
    return [text for text, is_word in segments(line, language) if is_word]


def tokenize(line: str, language: str | None = None) -> list[str]:
    """Return the words of a line, lower-cased, without punctuation: the form lexicons are made and looked up in.

    >>> tokenize("It's 5 o'clock, (almost)!")
    ["it's", '5', "o'clock", 'almost']
    """
    return [word.lower() for word in words(line, language)]


def switchable(word: str) -> bool:
    """Tell whether a word may be switched at all: it has a letter (numbers stay)."""
    return _LETTER.search(word) is not None


def title(word: str) -> str:
    """Return a word with its first letter in upper case."""
    return word[:1].upper() + word[1:]


# The cases a word is looked up in, and its translation is written in: as it is, Title, UPPER.
CASES: tuple[Callable[[str], str], ...] = (str, title, str.upper)
