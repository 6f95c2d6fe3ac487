"""Where sentences end, by Unicode's list of the marks that end them in any script."""

from __future__ import annotations

import itertools

import regex

_ENDS = r"\p{Sentence_Terminal}…"
_CLOSES = r"\p{Pe}\p{Pf}"
_OPENS = r"\p{Ps}¿¡"
_QUOTES = r"\p{Pi}\p{Pf}\"'"  # “ opens in English and closes in German
# Marks that also stand inside sentences and numbers (3.5, www.a.org) end one only before a space and what may begin the
# next; "Mr. Smith" is cut too. The marks of other scripts have no second use, and often no space after them. Text
# without capitals has none to begin a sentence with either.
_WEAK = r"[.!?…․﹒‼⁇⁈⁉]"
# Only from the first of several marks on, so that a row of dots takes no more time than other text.
_END = (
    rf"(?V1)(?<![{_ENDS}])(?:{_WEAK}*+(?!．\p{{N}})[[{_ENDS}]--{_WEAK}][{_ENDS}]*+[{_CLOSES}]*+"
    rf"|[{_ENDS}]++[{_CLOSES}{_QUOTES}]*+(?=\s++[{_OPENS}{_QUOTES}]*+[%s]))"
)
_CASED = regex.compile(_END % r"\p{Lu}\p{Lt}\p{Lo}\p{N}")
_LOWERCASED = regex.compile(_END % r"\p{L}\p{N}")
_CAPITAL = regex.compile(r"[\p{Lu}\p{Lt}]")
_OPENING = regex.compile(rf"[{_ENDS}{_OPENS}{_CLOSES}{_QUOTES}:;\-]")
_FINAL = regex.compile(rf"[{_ENDS}]+")


def sentences(text: str) -> list[str]:
    """Text cut into sentences, without the spaces between them.

    >>> sentences("He won 3.5 points. “Why?” The end. 他来了。她走了！")
    ['He won 3.5 points.', '“Why?”', 'The end.', '他来了。', '她走了！']
    """
    end = _CASED if _CAPITAL.search(text) else _LOWERCASED
    edges = [0, *(match.end() for match in end.finditer(text)), len(text)]
    return [part for a, b in itertools.pairwise(edges) if (part := text[a:b].strip())]


def opens_sentence(text: str) -> bool:
    """Tell whether a sentence may start after what stands between two words, and with it a capital not the word's own.

    >>> opens_sentence(", "), opens_sentence(": „")
    (False, True)
    """
    return _OPENING.search(text) is not None


def ends_sentence(piece: str) -> bool:
    """Tell whether a piece of text is nothing but marks that end a sentence."""
    return _FINAL.fullmatch(piece) is not None
