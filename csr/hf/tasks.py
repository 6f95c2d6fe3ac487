"""Rows into examples: what each task gives a model to read, and to write or predict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from csr.data.examples import LanguageIds
from csr.errors import ConfigError, DataError
from csr.hf.rows import Encoded, Row
from csr.hf.vocabulary import Vocabulary
from csr.switching.compiled import NO_PIECES, STATS, Sometimes, Switcher
from csr.switching.compiled_batch import Ragged, noise_rows
from csr.switching.compiled_masking import STATS as MLM_STATS
from csr.switching.compiled_masking import MaskingSwitcher
from csr.switching.masking import Symbols
from csr.switching.noise import IndependentWords
from csr.switching.settings import Noise

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IGNORED = -100  # the label of what is not to be predicted


class Batch(NamedTuple):
    """Examples that are not padded, how many words they had, and how many of those a lexicon has."""

    fields: dict[str, Ragged | np.ndarray]
    n_words: int = 0
    n_covered: int = 0


class Task(Protocol):
    """What a collator does with rows, encoded or as they are."""

    def batch(self, rows: Sequence[Any], epoch: int) -> Batch:
        """The examples of rows."""


@dataclass(frozen=True)
class Frame:
    """The special symbols around sentences of an encoder-decoder.

    Attributes:
        start: what the decoder starts with, where sentences have no language id.
        language_ids: where they have one; None: nowhere.
        languages: ids of the languages of the two sides.
    """

    eos: int
    start: int
    language_ids: LanguageIds | None
    languages: tuple[int, int]

    @property
    def size(self) -> int:
        """How many special symbols a sentence gets."""
        return 1 if self.language_ids is None else 2

    def fields(
        self, sources: Ragged, source_sides: Sequence[int], targets: Ragged, target_sides: Sequence[int]
    ) -> dict[str, Ragged | np.ndarray]:
        """The fields of sources and targets, each in the language of a side.

        The decoder reads the target with its last id in front (``[lang] X </s>`` in mBART-cc25, ``</s> [lang] X`` in
        mBART-50 and NLLB), or after ``start`` where there are no language ids (T5).
        """
        labels = self._framed(targets, target_sides)
        read, ends = np.roll(labels.values, 1), labels.ends
        read[ends - labels.lengths] = self.start if self.language_ids is None else labels.values[ends - 1]
        return {
            "input_ids": self._framed(sources, source_sides),
            "labels": labels,
            "decoder_input_ids": Ragged(read, labels.lengths),
        }

    def _framed(self, rows: Ragged, sides: Sequence[int]) -> Ragged:
        """As ``LanguageIds.frame`` of each row."""
        lengths = rows.lengths + self.size
        out = Ragged(np.empty(int(lengths.sum()), np.int64), lengths)
        inside = np.ones(len(out.values), np.bool_)
        first, last = out.ends - lengths, out.ends - 1
        eos, language = {
            None: (last, last[:0]),
            LanguageIds.APPEND: (last - 1, last),
            LanguageIds.PREPEND: (last, first),
        }[self.language_ids]
        inside[eos] = inside[language] = False
        out.values[inside], out.values[eos] = rows.values, self.eos
        if self.language_ids is not None:
            out.values[language] = np.array(self.languages)[sides]
        return out


@dataclass(frozen=True)
class Restore:
    """Noisy sentences to restore, each into its own language (Zan et al., section 4.2): ``csr_restore``."""

    frame: Frame
    switchers: Sequence[Switcher]  # of each side
    parallel: bool  # candidates that stand on the other side go first

    def batch(self, rows: Sequence[Row], epoch: int) -> Batch:
        """An example for each side of each row."""
        if self.parallel and not all(row.paired for row in rows):
            raise ConfigError("noise.prefer_aligned: expected rows that are pairs, found a text")
        sides = [side for row in rows for side in row.sides]
        noisy: list[np.ndarray] = [NO_PIECES] * len(sides)
        counts = np.zeros(len(STATS), np.int64)
        for side in sorted(set(sides)):
            own = [row for row in rows if side in row.sides]
            other = [row.sides[1 - side] for row in own] if self.parallel else []
            new, stats = _switched(self.switchers[side], own, side, epoch, other)
            counts += stats
            places = (place for place, where in enumerate(sides) if where == side)
            for place, ids in zip(places, new.rows(), strict=True):
                noisy[place] = ids
        clean = Ragged.of([ids for row in rows for ids, _ in row.sides.values()])
        return _counted(self.frame.fields(Ragged.of(noisy), sides, clean, sides), counts)


@dataclass(frozen=True)
class Translation:
    """Pairs as they are, or some of them with their source masked (Wang et al. 2022): ``csr_translation``."""

    frame: Frame
    noise: Sometimes | None

    def batch(self, rows: Sequence[Row], epoch: int) -> Batch:
        """An example for each pair."""
        if texts := [row.id for row in rows if not row.paired]:
            raise DataError(f"row {texts[0]}: expected a pair to translate, found a text")
        sources = [row.sides[0][0] for row in rows]
        if self.noise is not None:
            sources = [self.noise(ids, epoch, row.id, marks)[0] for row in rows for ids, marks in [row.sides[0]]]
        targets = [row.sides[1][0] for row in rows]
        return Batch(self.frame.fields(Ragged.of(sources), [0] * len(rows), Ragged.of(targets), [1] * len(rows)))


@dataclass(frozen=True)
class WordTranslation:
    """Sentences of the target language with their word-for-word translations as sources (Hu et al. 2019)."""

    frame: Frame
    switcher: Switcher

    def batch(self, rows: Sequence[Row], epoch: int) -> Batch:
        """An example for each row, of a pair from its target side."""
        if others := [row.id for row in rows if 1 not in row.sides]:
            raise DataError(f"row {others[0]}: expected a text in the target language, found one in the source's")
        words, counts = _switched(self.switcher, rows, 1, epoch)
        targets = Ragged.of([row.sides[1][0] for row in rows])
        return _counted(self.frame.fields(words, [0] * len(rows), targets, [1] * len(rows)), counts)


def _switched(
    switcher: Switcher, rows: Sequence[Row], side: int, epoch: int, other: Sequence[Encoded] = ()
) -> tuple[Ragged, np.ndarray]:
    """The sentences of a side, switched; and the sum of their ``STATS``."""
    ids, marks = zip(*(row.sides[side] for row in rows), strict=True)
    aligned: tuple[Any, ...] = ()
    if other:
        aligned_ids, aligned_marks = zip(*other, strict=True)
        aligned = (Ragged.of(aligned_ids), np.concatenate(aligned_marks))
    numbers = [row.number(side) for row in rows]
    return noise_rows(switcher, Ragged.of(ids), np.concatenate(marks), epoch, numbers, *aligned)


def _counted(fields: dict[str, Ragged | np.ndarray], counts: np.ndarray) -> Batch:
    return Batch(fields, int(counts[STATS.index("words")]), int(counts[STATS.index("covered")]))


class MaskedLm:
    """Text with pieces to predict and words switched around them (Visser et al., section 3.1): ``csr_masked_lm``.

    Pieces of text lie between the special symbols and the mask there. Other vocabularies are put into that order for
    the draws, and back.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, vocabulary: Vocabulary) -> None:
        name = type(tokenizer).__name__
        for symbol in ("cls", "sep", "mask"):
            if getattr(tokenizer, f"{symbol}_token_id") is None:
                raise ConfigError(f"tokenizer: expected one with a {symbol} token for masked_lm, found {name} without")
        mask = int(tokenizer.mask_token_id)
        special = vocabulary.special.copy()
        special[mask] = False
        text = ~special
        text[mask] = False
        self._order = np.concatenate([np.flatnonzero(special), np.flatnonzero(text), [mask]])  # number -> id
        self._numbers = np.argsort(self._order)  # id -> number
        self.roles = vocabulary.roles[self._order]
        self.pieces = [vocabulary.pieces[i] for i in self._order.tolist()]
        ends = self._numbers[[tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id]]
        self._first, self._last, pad = map(int, ends)
        self.symbols = Symbols(pad, int(special.sum()), len(self._order) - 1)
        self.maskers: Sequence[MaskingSwitcher] = ()  # of each side
        self._encoder = vocabulary.encoder()

    def encoder(self, words: Sequence[str], spaced: bool) -> list[list[int]]:
        """How words are written, in the order of the draws: ``csr.switching.encoded.Encoder``."""
        return [self._numbers[row].tolist() if row else [] for row in self._encoder(words, spaced)]

    def policy(self, noise: Noise) -> IndependentWords:
        """What chooses the words to switch."""
        return IndependentWords(noise.rate, noise.gate, noise.share_of)

    def batch(self, rows: Sequence[Row], epoch: int) -> Batch:
        """An example for each side of each row."""
        seen, targets, counts = [], [], np.zeros(len(MLM_STATS), np.int64)
        for row in rows:
            for side, (ids, marks) in row.sides.items():
                block = np.concatenate([[self._first], self._numbers[ids], [self._last]])
                around = np.concatenate([[0], marks, [0]]).astype(np.uint8)
                source, target, stats = self.maskers[side](block, epoch, row.number(side), around)
                seen.append(source)
                targets.append(target)
                counts += stats
        inputs, labels = Ragged.of(seen), Ragged.of(targets)
        predicted = np.where(labels.values == self.symbols.pad, IGNORED, self._order[labels.values])
        fields: dict[str, Ragged | np.ndarray] = {
            "input_ids": Ragged(self._order[inputs.values], inputs.lengths),
            "labels": Ragged(predicted, labels.lengths),
        }
        return Batch(fields, int(counts[MLM_STATS.index("words")]), int(counts[MLM_STATS.index("covered")]))
