"""Rows of data sets: numbered pairs or texts, encoded once or as they come."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from csr.errors import DataError
from csr.hf.vocabulary import Vocabulary
from csr.switching.compiled_batch import Ragged
from csr.text.languages import match, same

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Encoded = tuple[np.ndarray, np.ndarray]  # ids, int64, and csr.switching.symbols.Mark of each, uint8

# What a pair and a text are, and what encoding makes of them.
_PAIR, _TEXT, _LANGUAGE, _PIECES, _MARKS = "translation", "text", "language", "pieces", "marks"


@dataclass(frozen=True)
class Row:
    """A row with its sentences encoded, without special symbols: by side, 0 for the source language, 1 for the target.

    Attributes:
        id: which row it is; all that is drawn for it depends on this number.
        paired: whether it is a pair, whose sides are two examples to restore.
    """

    id: int
    sides: dict[int, Encoded]
    paired: bool

    def number(self, side: int) -> int:
        """The number of the example that a side is: as in ``csr_restore``, a pair gives two, one after the other."""
        return 2 * self.id + side if self.paired else self.id


def row_id(row: Mapping[str, Any]) -> int:
    """The number of a row.

    Raises:
        DataError: there is none, or it is no whole number from 0 on.
    """
    if "id" not in row:
        raise DataError(
            f"row: expected an id, on which its draws depend, found {', '.join(map(str, row)) or 'nothing'}; number "
            'the rows (dataset.add_column("id", range(len(dataset)))), and let the trainer keep their columns '
            "(remove_unused_columns=False)"
        )
    found = row["id"]
    if isinstance(found, bool) or not str(found).isdecimal():
        raise DataError(f"row: expected an id that is a whole number from 0 on, found {found!r}")
    return int(found)


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

    def encode(self, batch: Mapping[str, Sequence[Any]]) -> dict[str, list[list[Any]]]:
        """The columns ``pieces`` and ``marks`` of a batch of rows: ``dataset.map(collator.rows.encode, batched=True)``.

        They stand for the texts, which may then be dropped; ``id`` and ``language`` have to stay.
        """
        rows = [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]
        found = self._encoded(rows)
        return {
            _PIECES: [[ids.tolist() for ids, _ in sides.values()] for sides in found],
            _MARKS: [[marks.tolist() for _, marks in sides.values()] for sides in found],
        }

    def read(self, rows: Sequence[Mapping[str, Any]]) -> Iterator[Row]:
        """Yield rows as they are trained on.

        Raises:
            DataError: a row lacks its id, its text, or a language of a pair.
        """
        numbers = list(map(row_id, rows))
        fresh = iter(self._encoded([row for row in rows if _PIECES not in row]))
        known = iter(_sentences([row for row in rows if _PIECES in row]))
        for number, row in zip(numbers, rows, strict=True):
            if _PIECES not in row:
                yield Row(number, next(fresh), _PAIR in row)
            elif len(row[_PIECES]) == 2:
                yield Row(number, {0: next(known), 1: next(known)}, paired=True)
            else:
                yield Row(number, {self._side(row): next(known)}, paired=False)

    def _encoded(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[int, Encoded]]:
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
        return [{side: self._cut(next(encoded[side])) for side in found} for found in sides]

    def _cut(self, encoded: Encoded) -> Encoded:
        return encoded[0][: self.limit], encoded[1][: self.limit]

    def _texts(self, row: Mapping[str, Any]) -> dict[int, str]:
        if _PAIR in row:
            pair = row[_PAIR]
            return {side: pair[key] for side, key in enumerate(self._pair_keys(tuple(pair)))}
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


def _sentences(rows: Sequence[Mapping[str, Any]]) -> list[Encoded]:
    """The sentences of rows that are encoded, one after the other."""
    columns = []
    for name, kind in ((_PIECES, np.int64), (_MARKS, np.uint8)):
        found = [sentence for row in rows for sentence in row[name]]
        values = np.fromiter(itertools.chain.from_iterable(found), kind)
        columns.append(Ragged(values, np.fromiter(map(len, found), np.int64, len(found))).rows())
    return list(zip(*columns, strict=True))
