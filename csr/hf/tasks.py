"""Rows into examples: what each task gives a model to read, and to write or predict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from csr.data.examples import LanguageIds
from csr.errors import ConfigError, DataError
from csr.hf.rows import Row
from csr.hf.vocabulary import Vocabulary
from csr.switching import compiled, compiled_masking
from csr.switching.compiled import NO_PIECES, Sometimes, Switcher
from csr.switching.compiled_masking import MaskingSwitcher
from csr.switching.compiled_words import NO_MARKS
from csr.switching.masking import Symbols
from csr.switching.noise import IndependentWords
from csr.switching.settings import Noise

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IGNORED = -100  # the label of what is not to be predicted
Example = dict[str, np.ndarray]
# An example beside the words of it, and those of them that a lexicon has.
Counted = tuple[Example, int, int]


class Task(Protocol):
    """What a collator does with rows, encoded or as they are."""

    def examples(self, rows: Sequence[Any], epoch: int) -> Iterator[Counted]:
        """Yield the examples of rows, not padded."""


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

    def example(self, source: np.ndarray, source_side: int, target: np.ndarray, target_side: int) -> Example:
        """A source and a target, each in the language of a side.

        The decoder reads the target with its last id in front (``[lang] X </s>`` in mBART-cc25, ``</s> [lang] X`` in
        mBART-50 and NLLB), or after ``start`` where there are no language ids (T5).
        """
        labels = self._framed(target, target_side)
        read = np.roll(labels, 1)
        if self.language_ids is None:
            read[0] = self.start
        return {"input_ids": self._framed(source, source_side), "labels": labels, "decoder_input_ids": read}

    def _framed(self, ids: np.ndarray, side: int) -> np.ndarray:
        if self.language_ids is None:
            return np.append(ids, self.eos)
        return self.language_ids.frame(ids, self.eos, self.languages[side])


@dataclass(frozen=True)
class Restore:
    """Noisy sentences to restore, each into its own language (Zan et al., section 4.2): ``csr_restore``."""

    frame: Frame
    switchers: Sequence[Switcher]  # of each side
    parallel: bool  # candidates that stand on the other side go first

    def examples(self, rows: Sequence[Row], epoch: int) -> Iterator[Counted]:
        """Yield an example for each side of each row."""
        for row in rows:
            if self.parallel and not row.paired:
                raise ConfigError("noise.prefer_aligned: expected rows that are pairs, found a text")
            for side, (ids, marks) in row.sides.items():
                other = row.sides[1 - side] if self.parallel else (NO_PIECES, NO_MARKS)
                noisy, stats = self.switchers[side](ids, epoch, row.number(side), marks, *other)
                yield self.frame.example(noisy, side, ids, side), int(stats[_WORDS]), int(stats[_COVERED])


@dataclass(frozen=True)
class Translation:
    """Pairs as they are, or some of them with their source masked (Wang et al. 2022): ``csr_translation``."""

    frame: Frame
    noise: Sometimes | None

    def examples(self, rows: Sequence[Row], epoch: int) -> Iterator[Counted]:
        """Yield an example for each pair."""
        for row in rows:
            if not row.paired:
                raise DataError(f"row {row.id}: expected a pair to translate, found a text")
            (source, marks), (target, _) = row.sides[0], row.sides[1]
            if self.noise is not None:
                source, _ = self.noise(source, epoch, row.id, marks)
            yield self.frame.example(source, 0, target, 1), 0, 0


@dataclass(frozen=True)
class WordTranslation:
    """Sentences of the target language with their word-for-word translations as sources (Hu et al. 2019)."""

    frame: Frame
    switcher: Switcher

    def examples(self, rows: Sequence[Row], epoch: int) -> Iterator[Counted]:
        """Yield an example for each row, of a pair from its target side."""
        for row in rows:
            if 1 not in row.sides:
                raise DataError(f"row {row.id}: expected a text in the target language, found one in the source's")
            ids, marks = row.sides[1]
            words, stats = self.switcher(ids, epoch, row.number(1), marks)
            yield self.frame.example(words, 0, ids, 1), int(stats[_WORDS]), int(stats[_COVERED])


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

    def examples(self, rows: Sequence[Row], epoch: int) -> Iterator[Counted]:
        """Yield an example for each side of each row."""
        for row in rows:
            for side, (ids, marks) in row.sides.items():
                block = np.concatenate([[self._first], self._numbers[ids], [self._last]])
                around = np.concatenate([[0], marks, [0]]).astype(np.uint8)
                seen, target, stats = self.maskers[side](block, epoch, row.number(side), around)
                labels = np.where(target == self.symbols.pad, IGNORED, self._order[target])
                example = {"input_ids": self._order[seen], "labels": labels}
                yield example, int(stats[_MLM_WORDS]), int(stats[_MLM_COVERED])


_WORDS, _COVERED = map(compiled.STATS.index, ("words", "covered"))
_MLM_WORDS, _MLM_COVERED = map(compiled_masking.STATS.index, ("words", "covered"))
