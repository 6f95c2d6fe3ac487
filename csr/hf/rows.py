"""Rows of data sets: numbered pairs or texts, encoded once or as they come."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from csr.errors import DataError
from csr.hf.vocabulary import Vocabulary
from csr.switching.compiled_batch import Ragged
from csr.text.languages import match, same

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Encoded = tuple[Sequence[bytes], Sequence[bytes]]  # the sentences of a row: their ids, and the marks of these
_ID, _MARK = np.dtype("<u4"), np.dtype("u1")  # what there is of each piece in those bytes

_IDS = 1 << 62  # what is drawn for twice a row's id and one fits in 64 bits

# What a pair and a text are, and what encoding makes of them.
_PAIR, _TEXT, _LANGUAGE, _PIECES, _MARKS = "translation", "text", "language", "pieces", "marks"
_WRITTEN = f"expected {_PIECES} and {_MARKS} as this collator's rows.encode writes them"


@dataclass(frozen=True)
class Sentences:
    """The sentences of rows, one after the other, without special symbols; of a pair, the source comes first.

    Attributes:
        ids: of their pieces, int64.
        marks: ``csr.switching.symbols.Mark`` of all pieces, uint8.
        rows: id of the row that each is of, int64 [n].
        sides: 0 for the source language, 1 for the target, int64 [n].
        paired: whether each is of a pair, whose sides are two examples to restore, bool [n].
    """

    ids: Ragged
    marks: np.ndarray
    rows: np.ndarray
    sides: np.ndarray
    paired: np.ndarray

    @property
    def numbers(self) -> np.ndarray:
        """The number of each as an example: as in ``csr_restore``, a pair gives two, one after the other."""
        return np.where(self.paired, 2 * self.rows + self.sides, self.rows)

    @property
    def translations(self) -> np.ndarray:
        """Which sentence is the other side of each of a pair."""
        return np.arange(len(self.sides)) + 1 - 2 * self.sides

    def of(self, side: int) -> np.ndarray:
        """Which are of a side."""
        return np.flatnonzero(self.sides == side)


def row_id(row: Mapping[str, Any]) -> int:
    """The number of a row.

    Raises:
        DataError: there is none, or it is no whole number from 0 to 2^62.
    """
    if type(found := row.get("id")) is int and 0 <= found < _IDS:
        return found
    if "id" not in row:
        raise DataError(
            f"row: expected an id, on which its draws depend, found {', '.join(map(str, row)) or 'nothing'}; number "
            'the rows (dataset.add_column("id", range(len(dataset)))), and let the trainer keep their columns '
            "(remove_unused_columns=False)"
        )
    if isinstance(found, bool) or not str(found).isdecimal() or int(str(found)) >= _IDS:
        raise DataError(f"row: expected an id that is a whole number from 0 to 2^62, found {found!r}")
    return int(str(found))


class Rows:
    """Reads rows; ``encode`` does the slow part of it once, for ``datasets.map``.

    A row is a pair, ``{"id": 7, "translation": {"de": "...", "en": "..."}}``, or a text in one of the languages,
    ``{"id": 7, "text": "...", "language": "de"}``; without its language, the source.

    Args:
        languages: of source and target; None for the target where rows are of one language.
        limit: pieces of a sentence that are read; the rest is left out.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        languages: tuple[str, str | None],
        limit: int,
        vocabulary: Vocabulary | None = None,
    ) -> None:
        self.tokenizer, self.languages, self.limit = tokenizer, languages, limit
        self._vocabulary = vocabulary or Vocabulary(tokenizer)
        self._keys: dict[tuple[str, ...], list[str]] = {}  # of the languages in pairs, by the keys these have

    def __getstate__(self) -> dict[str, Any]:
        return {"tokenizer": clean(self.tokenizer), "languages": self.languages, "limit": self.limit}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def encode(self, batch: Mapping[str, Sequence[Any]]) -> dict[str, list[Sequence[bytes]]]:
        """The columns ``pieces`` and ``marks`` of a batch of rows: ``dataset.map(collator.rows.encode, batched=True)``.

        They stand for the texts, which may then be dropped; ``id`` and ``language`` have to stay. A sentence is the ids
        of its pieces, 4 bytes each, and their marks, a byte each: many times as fast to read as lists of numbers.
        """
        found = self._encoded([dict(zip(batch, row, strict=True)) for row in zip(*batch.values(), strict=True)])
        return {_PIECES: [pieces for pieces, _ in found], _MARKS: [marks for _, marks in found]}

    def read(self, rows: Sequence[Mapping[str, Any]]) -> Sentences:
        """The sentences of rows, as they are trained on.

        Raises:
            DataError: a row lacks its id, its text, or a language of a pair, or was encoded by another tokenizer.
        """
        numbers = np.fromiter(map(row_id, rows), np.int64, len(rows))
        fresh = iter(self._encoded([row for row in rows if _PIECES not in row]))
        read = [(row[_PIECES], row[_MARKS]) if _PIECES in row else next(fresh) for row in rows]
        sides = [self._sides(row, len(pieces)) for row, (pieces, _) in zip(rows, read, strict=True)]
        counts = np.fromiter(map(len, sides), np.int64, len(sides))
        ids, marks = (
            self._joined([pieces for pieces, _ in read], _ID),
            self._joined([marks for _, marks in read], _MARK),
        )
        size = len(self._vocabulary.pieces)
        largest = ids.values.max(initial=0)
        alike = len(ids.lengths) == len(marks.lengths) and (ids.lengths == marks.lengths).all()
        if largest >= size or not alike:
            raise DataError(f"row: {_WRITTEN} for a vocabulary of {size:,}, found ids up to {largest:,}")
        return Sentences(
            Ragged(ids.values.astype(np.int64), ids.lengths),
            marks.values.copy(),  # compiled code takes arrays that may be written for another type
            np.repeat(numbers, counts),
            np.fromiter(itertools.chain.from_iterable(sides), np.int64, int(counts.sum())),
            np.repeat(counts == 2, counts),
        )

    def _joined(self, columns: Iterable[Sequence[bytes]], kind: np.dtype) -> Ragged:
        """Sentences one after the other, cut to the limit."""
        end = self.limit * kind.itemsize
        try:
            found = [sentence[:end] for sentences in columns for sentence in sentences]
            lengths = np.fromiter(map(len, found), np.int64, len(found)) // kind.itemsize
            return Ragged(np.frombuffer(b"".join(found), kind), lengths)
        except (TypeError, ValueError):  # no bytes, or not as many as a number has
            raise DataError(f"row: {_WRITTEN}, found other values") from None

    def _encoded(self, rows: Sequence[Mapping[str, Any]]) -> list[Encoded]:
        texts: tuple[list[str], list[str]] = ([], [])
        sides = []
        for row in rows:
            found = self._texts(row)
            sides.append(list(found))
            for side, text in found.items():
                texts[side].append(text)
        encoded = [
            iter(self._vocabulary.encode(lines, language)) if lines else iter(())
            for lines, language in zip(texts, self.languages, strict=True)
        ]
        cut = [[next(encoded[side]) for side in found] for found in sides]
        return [
            (
                [np.array(ids[: self.limit], _ID).tobytes() for ids, _ in row],
                [marks[: self.limit] for _, marks in row],
            )
            for row in cut
        ]

    def _sides(self, row: Mapping[str, Any], n_sentences: int) -> tuple[int, ...]:
        if n_sentences == 1:
            return (self._side(row),)
        if n_sentences != 2 or self.languages[1] is None:
            expected = "one sentence" if self.languages[1] is None else "one sentence or a pair"
            raise DataError(f"row {row['id']}: expected {_PIECES} of {expected}, found {n_sentences}")
        return (0, 1)

    def _texts(self, row: Mapping[str, Any]) -> dict[int, str]:
        if _PAIR in row:
            pair = row[_PAIR]
            texts = {side: pair[key] for side, key in enumerate(self._pair_keys(tuple(pair)))}
            if not all(isinstance(text, str) for text in texts.values()):
                raise DataError(f"row {row.get('id', '')}: expected two texts as {_PAIR}, found {pair}")
            return texts
        if not isinstance(row.get(_TEXT), str):
            raise DataError(
                f"row {row.get('id', '')}: expected {_PAIR} (a text by language) or {_TEXT}, found {', '.join(row)}"
            )
        return {self._side(row): row[_TEXT]}

    def _pair_keys(self, keys: tuple[str, ...]) -> list[str]:
        if keys not in self._keys:
            found = [match(language, keys) for language in self.languages if language is not None]
            if len(found) != 2 or any(len(matches) != 1 for matches in found):
                expected = " and ".join(language or "target_lang" for language in self.languages)
                raise DataError(f"row: expected {_PAIR} in {expected}, found {', '.join(keys)}")
            self._keys[keys] = [matches[0] for matches in found]
        return self._keys[keys]

    def _side(self, row: Mapping[str, Any]) -> int:
        language = row.get(_LANGUAGE)
        if language is None:
            return 0
        for side, own in enumerate(self.languages):
            if own is not None and (own == language or same(own, language)):
                return side
        raise DataError(
            f"row {row.get('id', '')}: expected a text in {' or '.join(filter(None, self.languages))}, found language "
            f"{language!r}"
        )


def clean(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """A tokenizer without the truncation and padding that its last call left in it: it pickles the same each time."""
    out = copy.deepcopy(tokenizer)
    if out.is_fast:
        out.backend_tokenizer.no_truncation()
        out.backend_tokenizer.no_padding()
    return out
