"""Which pieces of a vocabulary a text and its lexicons need, and its model with those alone.

Unigram models cut a text into the pieces with the largest sum of scores (Kudo 2018), WordPiece takes the longest piece
again and again: a smaller vocabulary cuts a text in the same way if it still has all the pieces that the larger took.
"""

from __future__ import annotations

import itertools
import json
import struct
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from csr.data import subwords
from csr.data.protobuf import field, fields
from csr.data.vocabulary import word_encoder
from csr.data.wordpiece import SYMBOLS
from csr.errors import DataError
from csr.files import PathLike, read_lines
from csr.lexicon import deduced_kind, read_lexicon
from csr.lexicon_record import read_record
from csr.switching.candidates import drawable
from csr.switching.encoded import encode_lexicon
from csr.switching.settings import Noise
from csr.switching.symbols import MARK
from csr.text.forms import normalized

# Numbers of fields in SentencePiece's protocol buffer, and two of its enumerations' values.
_PIECES, _TRAINER = 1, 2
_TEXT, _SCORE, _TYPE = 1, 2, 3
_MODEL_TYPE, _UNIGRAM = 3, 1
_NORMAL = 1
_BATCH = 10_000
Span = tuple[int, int]  # where a piece starts in a text, and where it ends


class PieceModel(ABC):
    """The pieces of a model, in the order of their ids.

    Attributes:
        texts: the pieces, the space sign before each that begins a word.
        unknown: the id of ``<unk>``.
        processor: what cuts text.
    """

    path: PathLike
    unknown: int
    texts: Sequence[str]
    processor: Any

    @staticmethod
    def read(path: PathLike) -> PieceModel:
        """Read a SentencePiece model, or the ``tokenizer.json`` of a WordPiece vocabulary.

        Raises:
            DataError: the file is missing, no model, or one of another kind than unigram or WordPiece.
        """
        return WordPieces(path) if subwords.is_wordpiece(path) else Unigram(path)

    @abstractmethod
    def indispensable(self) -> np.ndarray:
        """The pieces without which a text could be cut worse than it has to, bool [n_pieces]."""

    @abstractmethod
    def trimmed(self, keep: np.ndarray) -> bytes:
        """The model file with those pieces alone, all else as it is."""

    @abstractmethod
    def spans(self, lines: Sequence[str]) -> list[list[Span]]:
        """The places of the pieces in each line, or in what the model makes of it before it cuts."""

    def counts(self, text: PathLike) -> np.ndarray:
        """The count of each piece in a text, cleaned as ``csr prepare`` does, int64 [n_pieces]."""
        counts = np.zeros(len(self.texts), np.int64)
        for batch in _batches(text, f"pieces of {Path(text).name}"):
            ids = self.processor.encode(batch)
            counts += np.bincount(np.fromiter(itertools.chain.from_iterable(ids), np.int64), minlength=len(counts))
        return counts

    def switched(self, lexicon: PathLike, inverted: bool, top_k: int | None) -> np.ndarray:
        """The pieces that switching by a lexicon can put into a text, bool [n_pieces].

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
        encoder = word_encoder(self.texts, self.unknown, self.path)
        try:
            encoded = encode_lexicon(candidates, encoder)
        except DataError as error:
            raise DataError(f"{lexicon}: {error}") from None
        produced = np.zeros(len(self.texts), bool)
        produced[encoded.word_pieces] = True
        return produced


class Unigram(PieceModel):
    """The pieces of a SentencePiece unigram model.

    Attributes:
        scores: log probabilities, float64 [n_pieces].
        normal: no control symbol, byte or symbol the user defined, bool [n_pieces].
    """

    def __init__(self, path: PathLike) -> None:
        self.path = path
        self.processor = subwords.load(path)
        self.unknown = self.processor.unk_id()
        self.message = self.processor.serialized_model_proto()
        pieces, kind = [], _UNIGRAM
        try:
            for number, value in fields(self.message):
                if number == _PIECES:
                    pieces.append(dict(fields(_message(value))))
                elif number == _TRAINER:
                    kind = dict(fields(_message(value))).get(_MODEL_TYPE, _UNIGRAM)  # type: ignore[assignment]
        except ValueError as error:  # in a part that SentencePiece itself does not look at
            raise DataError(f"{path}: expected a SentencePiece model, found a damaged one ({error})") from None
        if kind != _UNIGRAM:
            raise DataError(f"{path}: expected a unigram model, found one of another kind")
        self.texts = [_message(piece[_TEXT]).decode() for piece in pieces]
        self.scores = np.array([struct.unpack("<f", _message(piece.get(_SCORE, bytes(4))))[0] for piece in pieces])
        self.normal = np.array([piece.get(_TYPE, _NORMAL) == _NORMAL for piece in pieces])

    def indispensable(self) -> np.ndarray:
        """The pieces without which a text could be cut worse than it has to, bool [n_pieces].

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

    def trimmed(self, keep: np.ndarray) -> bytes:
        """The model file with those pieces alone, all else as it is."""
        kept = iter(keep)
        return b"".join(
            field(number, _message(value)) for number, value in fields(self.message) if number != _PIECES or next(kept)
        )

    def spans(self, lines: Sequence[str]) -> list[list[Span]]:
        """The places of the pieces of each line in the text that the model has normalised."""
        cut = self.processor.encode(lines, out_type=str)
        return [list(itertools.pairwise(itertools.accumulate(map(len, pieces), initial=0))) for pieces in cut]


class WordPieces(PieceModel):
    """The pieces of a WordPiece vocabulary."""

    def __init__(self, path: PathLike) -> None:
        self.path = path
        self.processor = subwords.load(path)
        self.texts = [self.processor.id_to_piece(i) for i in range(len(self.processor))]
        self.unknown = self.texts.index("<unk>")
        self.described = json.loads(self.processor.tokenizer.to_str())

    def indispensable(self) -> np.ndarray:
        """The pieces without which a text could be cut worse than it has to, bool [n_pieces].

        Special symbols; single characters; and pieces with a character that is no piece itself where it stands, first
        or later in a word.
        """
        characters = {text for text in self.texts if len(text.removeprefix(MARK)) == 1}
        special = {i for i, text in enumerate(self.texts) if text in SYMBOLS.values()}
        special |= {token["id"] for token in self.described["added_tokens"] if token["special"]}
        keep = np.zeros(len(self.texts), bool)
        for i, text in enumerate(self.texts):
            first = text[:2] if text.startswith(MARK) else text[:1]
            parts = {first, *text.removeprefix(first)}
            keep[i] = i in special or text in characters or not characters.issuperset(parts)
        return keep

    def trimmed(self, keep: np.ndarray) -> bytes:
        """The ``tokenizer.json`` with those pieces alone, all else as it is; rows get no special symbols."""
        ids = {int(old): new for new, old in enumerate(np.flatnonzero(keep))}
        vocabulary = sorted(self.described["model"]["vocab"].items(), key=lambda item: item[1])
        model = {**self.described["model"], "vocab": {piece: ids[i] for piece, i in vocabulary if i in ids}}
        added = [{**token, "id": ids[token["id"]]} for token in self.described["added_tokens"] if token["id"] in ids]
        made = {**self.described, "model": model, "added_tokens": added, "post_processor": None}
        return (json.dumps(made, ensure_ascii=False, indent=2) + "\n").encode()

    def spans(self, lines: Sequence[str]) -> list[list[Span]]:
        """The places of the pieces in each line."""
        return [found.offsets for found in self.processor.tokenizer.encode_batch(list(lines), add_special_tokens=False)]


def changed(before: PieceModel, after: PieceModel, text: PathLike) -> tuple[int, int]:
    """The tokens of a text, and those among them that it loses with another model.

    A token is lost if the other model does not cut out the same characters at the same place.
    """
    tokens = lost = 0
    for batch in _batches(text, f"segmentation of {Path(text).name}"):
        for old, new in zip(before.spans(batch), after.spans(batch), strict=True):
            tokens += len(old)
            lost += len(set(old) - set(new))
    return tokens, lost


def _batches(text: PathLike, label: str) -> Iterator[list[str]]:
    lines = map(normalized, tqdm(read_lines(text), label, unit="line", disable=None))
    while batch := list(itertools.islice(lines, _BATCH)):
        yield batch


def _message(value: object) -> bytes:
    assert isinstance(value, bytes)
    return value
