"""Rules by which a SentencePiece model composes its text (``text.forms.composed``) and changes nothing else.

SentencePiece's own rules (NFKC) cannot be undone: a model trained with them writes ASCII for full-width ，！？ and two
letters for Thai ำ, and its best output differs from the reference. With these, decode(encode(text)) is the text.
"""

from __future__ import annotations

import functools
import itertools
import unicodedata
from collections.abc import Iterator

from csr.data.protobuf import field, fields
from csr.text.forms import composed

# Numbers of fields in SentencePiece's protocol buffer: of the model, and of its normalizer.
_NORMALIZER = 3
_NAME, _TABLE = 1, 2
_BEYOND = 0x30000  # no character from here on comes apart


@functools.lru_cache
def rules() -> str:
    """SentencePiece's ``normalization_rule_tsv``: the ways to write each composed character, and the character."""
    apart = (chr(code) for code in range(_BEYOND) if not unicodedata.is_normalized("NFD", chr(code)))
    found = {way: composed(way) for character in apart for way in _ways(character)}
    found |= {way: composed(way) for am in ("\u0e4d\u0e32", "\u0ecd\u0eb2") for way in _with_tones(am)}
    return "".join(f"{_codes(way)}\t{_codes(form)}\n" for way, form in found.items() if way != form)


def named(model: bytes) -> bytes:
    """A model file whose rules have the name ``nfc``, and not that of the file of rules that it was made with."""
    return b"".join(
        field(number, field(_NAME, b"nfc") + field(_TABLE, _table(content)) if number == _NORMALIZER else content)
        for number, content in _messages(model)
    )


def _ways(character: str) -> Iterator[str]:
    """Yield a character that comes apart, and its parts, their marks in any order, joined or not."""
    parts = unicodedata.normalize("NFD", character)
    yield character
    composed = unicodedata.normalize("NFC", character)
    for order in itertools.permutations(parts[1:]):
        way = "".join((parts[0], *order))
        if unicodedata.normalize("NFC", way) == composed:
            yield from (unicodedata.normalize("NFC", way[:n]) + way[n:] for n in range(1, len(way)))


def _with_tones(am: str) -> Iterator[str]:
    """Yield Thai or Lao am in two signs, alone and with each tone mark between them."""
    yield am
    yield from (f"{am[0]}{chr((ord(am[0]) & ~0x7F) | 0x48 + tone)}{am[1]}" for tone in range(4))


def _codes(text: str) -> str:
    return " ".join(f"{ord(character):X}" for character in text)


def _table(normalizer: bytes) -> bytes:
    return dict(_messages(normalizer))[_TABLE]


def _messages(message: bytes) -> Iterator[tuple[int, bytes]]:
    return ((number, content) for number, content in fields(message) if isinstance(content, bytes))
