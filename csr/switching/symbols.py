"""Signs of pieces: what a piece of a vocabulary may do in a word, and what one is to the words of its sentence."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from enum import IntEnum
from typing import TYPE_CHECKING

from csr.text.sentences import ends_sentence
from csr.text.words import in_words, joins_words

if TYPE_CHECKING:
    import numpy as np

MARK = "▁"  # SentencePiece's sign for a space
CONTINUED = "@@"  # subword-nmt's sign that the word goes on in the next piece


class Role(IntEnum):
    """What a piece may do in a word. From ``START`` on these are flags on top of one of the others."""

    OUTSIDE = 0  # punctuation, special symbols, language ids: ends a word, belongs to none
    INSIDE = 1  # has letters or digits
    JOINER = 2  # an apostrophe, a middle dot: belongs to the word on both its sides
    BARE = 3  # the space sign alone: belongs to the word that follows
    START = 4  # follows a space
    CONTINUES = 8  # the next piece belongs to the same word
    FINAL = 16  # ends a sentence
    CAPITAL = 32  # begins with a capital letter


class Mark(IntEnum):
    """What a piece is to the words of its sentence, as ``csr prepare`` writes it down."""

    OUTSIDE = 0
    BEGIN = 1
    GO_ON = 2


class Unit(IntEnum):
    """What is replaced."""

    WORD = 0
    PIECE = 1  # as the public release does; the lexicon then holds pieces


def piece_roles(pieces: Sequence[str], special: int = 4) -> np.ndarray:
    """The role flags of each piece of a vocabulary, uint8 [n_pieces].

    A vocabulary with the space sign is SentencePiece's; else ``@@`` at a piece's end continues a word; else every
    piece is a word. The first ``special`` pieces and those in ``<>`` or ``[]`` are outside of words.
    """
    import numpy as np  # here: text is switched without it

    marked = any(piece.startswith(MARK) for piece in itertools.islice(pieces, special, None))
    roles = np.zeros(len(pieces), np.uint8)
    for i, piece in enumerate(pieces):
        text = piece.removeprefix(MARK) if marked else piece.removesuffix(CONTINUED)
        if i < special or (len(piece) > 2 and piece[0] + piece[-1] in ("<>", "[]")):
            roles[i] = Role.OUTSIDE | Role.START
            continue
        if in_words(text):
            role = Role.INSIDE
        elif joins_words(text):
            role = Role.JOINER
        elif marked and not text:
            role = Role.BARE
        else:
            role = Role.OUTSIDE
        roles[i] = role
        if ends_sentence(text):
            roles[i] |= Role.FINAL
        if text[:1] != text[:1].lower():
            roles[i] |= Role.CAPITAL
        if marked and piece.startswith(MARK):
            roles[i] |= Role.START
        if not marked and piece.endswith(CONTINUED) and piece != CONTINUED:
            roles[i] |= Role.CONTINUES
        if not marked:
            roles[i] |= Role.START  # unless the piece before continues: the scan looks at that
    return roles
