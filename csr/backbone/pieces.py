"""Which pieces of a SentencePiece model a text and its lexicons need, and the model with those alone.

Unigram models cut a text into the pieces with the largest sum of scores (Kudo 2018), so a smaller vocabulary cuts it
in the same way if it still has all the pieces of the best cut.
"""

from __future__ import annotations

import functools
import itertools
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sentencepiece import SentencePieceProcessor
from tqdm import tqdm

from csr.data import subwords
from csr.data.protobuf import field, fields
from csr.data.vocabulary import word_encoder
from csr.errors import DataError
from csr.files import PathLike, read_lines
from csr.lexicon import deduced_kind, read_lexicon, read_record
from csr.switching.candidates import drawable
from csr.switching.encoded import encode_lexicon
from csr.switching.settings import Noise
from csr.text.forms import normalized

# Numbers of fields in SentencePiece's protocol buffer, and two of its enumerations' values.
_PIECES, _TRAINER = 1, 2
_TEXT, _SCORE, _TYPE = 1, 2, 3
_MODEL_TYPE, _UNIGRAM = 3, 1
_NORMAL = 1
_BATCH = 10_000


@dataclass(frozen=True)
class PieceModel:
    """The pieces of a SentencePiece unigram model, in the order of their ids."""

    path: PathLike
    message: bytes
    texts: list[str]
    scores: np.ndarray  # float64 [n_pieces]: log probabilities
    normal: np.ndarray  # bool [n_pieces]: not a control symbol, a byte or a symbol the user defined

    @staticmethod
    def read(path: PathLike) -> PieceModel:
        """Read a model.

        Raises:
            DataError: the file is missing, no model, or one of another kind than unigram.
        """
        message = subwords.load(path).serialized_model_proto()
        pieces, kind = [], _UNIGRAM
        for number, value in fields(message):
            if number == _PIECES:
                pieces.append(dict(fields(_message(value))))
            elif number == _TRAINER:
                kind = dict(fields(_message(value))).get(_MODEL_TYPE, _UNIGRAM)  # type: ignore[assignment]
        if kind != _UNIGRAM:
            raise DataError(f"{path}: expected a unigram model, found one of another kind")
        return PieceModel(
            path,
            message,
            texts=[_message(piece[_TEXT]).decode() for piece in pieces],
            scores=np.array([struct.unpack("<f", _message(piece.get(_SCORE, bytes(4))))[0] for piece in pieces]),
            normal=np.array([piece.get(_TYPE, _NORMAL) == _NORMAL for piece in pieces]),
        )

    @functools.cached_property
    def processor(self) -> SentencePieceProcessor:
        """Return what cuts text."""
        return subwords.load(self.path)

    def indispensable(self) -> np.ndarray:
        """Return the pieces without which a text could be cut worse than it has to, bool [n_pieces].

        Control symbols and bytes; single characters, and pieces with a character that is no piece itself, so that
        nothing becomes ``<unk>`` that was not; the most and the least likely piece, from whose scores SentencePiece
        derives those of symbols that the user defined and of unknown characters.
        """
        characters = {text for text in self.texts if len(text) == 1}
        keep = ~self.normal
        for i in np.flatnonzero(self.normal):
            text = self.texts[i]
            keep[i] = len(text) == 1 or not characters.issuperset(text)
        if self.normal.any():
            ordinary = np.flatnonzero(self.normal)
            keep[ordinary[self.scores[ordinary].argmin()]] = True
            keep[ordinary[self.scores[ordinary].argmax()]] = True
        return keep

    def counts(self, text: PathLike) -> np.ndarray:
        """Return how often each piece occurs in a text, cleaned as ``csr prepare`` does, int64 [n_pieces]."""
        counts = np.zeros(len(self.texts), np.int64)
        for batch in _batches(text, f"pieces of {Path(text).name}"):
            ids = self.processor.encode(batch)
            counts += np.bincount(np.fromiter(itertools.chain.from_iterable(ids), np.int64), minlength=len(counts))
        return counts

    def switched(self, lexicon: PathLike, inverted: bool, top_k: int | None) -> np.ndarray:
        """Return the pieces that switching by a lexicon can put into a text, bool [n_pieces].

        Of the candidates that take part (``csr.switching.candidates``, stop words too), as written, Title and UPPER,
        after a space and after another piece.

        Raises:
            DataError: the lexicon is damaged, or no word of it can be written in these pieces.
        """
        read = read_lexicon(lexicon)
        kind = read_record(lexicon).kind or deduced_kind(read)
        if inverted:  # with which weights is not known here
            read, kind = read.inverted(), "dictionary"
        candidates = drawable(read, Noise(top_k=top_k), kind)
        encoder = word_encoder(self.texts, self.processor.unk_id(), self.path)
        try:
            encoded = encode_lexicon(candidates, encoder)
        except DataError as error:
            raise DataError(f"{lexicon}: {error}") from None
        produced = np.zeros(len(self.texts), bool)
        produced[encoded.word_pieces] = True
        return produced

    def trimmed(self, keep: np.ndarray) -> bytes:
        """Return the model file with those pieces alone, all else as it is."""
        kept = iter(keep)
        return b"".join(
            field(number, _message(value)) for number, value in fields(self.message) if number != _PIECES or next(kept)
        )


def changed(before: SentencePieceProcessor, after: SentencePieceProcessor, text: PathLike) -> tuple[int, int]:
    """Return how many tokens a text has, and how many of them it loses with another model.

    A token is lost if the other model does not cut out the same characters at the same place.
    """
    tokens = lost = 0
    for batch in _batches(text, f"segmentation of {Path(text).name}"):
        for old, new in zip(before.encode(batch, out_type=str), after.encode(batch, out_type=str), strict=True):
            tokens += len(old)
            if old != new:
                lost += len(_spans(old) - _spans(new))
    return tokens, lost


def _spans(pieces: Iterable[str]) -> set[tuple[int, int]]:
    return set(itertools.pairwise(itertools.accumulate(map(len, pieces), initial=0)))


def _batches(text: PathLike, label: str) -> Iterator[list[str]]:
    lines = map(normalized, tqdm(read_lines(text), label, unit="line", disable=None))
    while batch := list(itertools.islice(lines, _BATCH)):
        yield batch


def _message(value: object) -> bytes:
    assert isinstance(value, bytes)
    return value
