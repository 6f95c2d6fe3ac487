"""Words in the pieces of a vocabulary: how the words of a lexicon are written in what a model reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from csr.data.subwords import load
from csr.errors import ConfigError
from csr.files import PathLike
from csr.switching.encoded import Encoder
from csr.switching.symbols import CONTINUED, MARK

# A private-use character, in no vocabulary: what follows it is cut as after another piece, without a space.
_STUB = "\ue000"


def piece_encoder(pieces: Sequence[str]) -> Encoder:
    """The encoder of a lexicon of pieces: each is itself, and one that the vocabulary lacks is nothing."""
    index = {piece: i for i, piece in enumerate(pieces)}
    return lambda words, spaced: [[index[word]] if word in index else [] for word in words]


def word_encoder(pieces: Sequence[str], unknown: int, sentencepiece_model: PathLike | None) -> Encoder:
    """The encoder of words into a vocabulary: by a SentencePiece model or, without one, each as one piece.

    Raises:
        ConfigError: the vocabulary is not of whole words and there is no model, or the model does not fit it.
    """
    index = {piece: i for i, piece in enumerate(pieces)}
    if sentencepiece_model is None:
        if any(piece.startswith(MARK) or piece.endswith(CONTINUED) for piece in pieces):
            raise ConfigError(
                "the dictionary holds pieces of words: expected --sentencepiece-model with the SentencePiece model the "
                "data was encoded with, found none"
            )
        return lambda words, spaced: [[index[word]] if spaced and word in index else [] for word in words]

    model = load(sentencepiece_model)
    ids = [index.get(model.id_to_piece(i), unknown) for i in range(len(model))]
    if (lacking := ids.count(unknown)) > len(ids) / 2:
        raise ConfigError(
            f"{sentencepiece_model}: expected the SentencePiece model of the dictionary, found one of whose "
            f"{len(ids):,} pieces the dictionary lacks {lacking:,}"
        )
    return cutting_encoder(lambda texts: [[ids[i] for i in row] for row in model.encode(texts)], unknown)


def cutting_encoder(cut: Callable[[list[str]], list[list[int]]], unknown: int) -> Encoder:
    """An encoder of words, made of what cuts texts into the ids of pieces."""
    n_stub = len(cut([_STUB])[0])

    def encode(words: Sequence[str], spaced: bool) -> list[list[int]]:
        rows = cut(list(words))
        known = [unknown not in row for row in rows]
        if not spaced:
            rows = [row[n_stub:] for row in cut([_STUB + word for word in words])]
        return [row if fine else [] for row, fine in zip(rows, known, strict=True)]

    return encode
