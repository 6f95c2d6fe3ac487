"""Rows into examples: what each task gives a model to read, and to write or predict."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from csr.data.examples import LanguageIds
from csr.errors import ConfigError
from csr.hf.rows import Row, check_pairs
from csr.hf.vocabulary import Vocabulary
from csr.switching import compiled, compiled_masking
from csr.switching.compiled import NO_PIECES, Switcher
from csr.switching.compiled_masking import MaskingSwitcher
from csr.switching.compiled_words import NO_MARKS
from csr.switching.masking import Symbols

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IGNORED = -100  # the label of what is not to be predicted
Example = dict[str, np.ndarray]
# An example beside the words of it, and those of them that a lexicon has.
Counted = tuple[Example, int, int]


class Task(Protocol):
    """What a collator does with rows."""

    def examples(self, rows: Sequence[Row], epoch: int) -> Iterator[Counted]:
        """Yield the examples of rows, not padded."""


@dataclass(frozen=True)
class Frame:
    """The special symbols around sentences of an encoder-decoder.

    Attributes:
        sources, targets: where a sentence has its language id, as a source and as a target; None: nowhere.
        languages: ids of the languages of the two sides.
        start: what the decoder starts with, where sentences have no language id.
    """

    eos: int
    start: int
    sources: LanguageIds | None
    targets: LanguageIds | None
    languages: tuple[int, int]

    @property
    def size(self) -> int:
        """How many special symbols a sentence gets."""
        return 1 if self.targets is None else 2

    def example(self, source: np.ndarray, source_side: int, target: np.ndarray, target_side: int) -> Example:
        """A source and a target, each in the language of a side.

        The decoder reads the target with its last id in front (``[lang] X </s>`` in mBART-cc25, ``</s> [lang] X`` in
        mBART-50 and NLLB), or after ``start`` where there are no language ids (T5).
        """
        labels = self._framed(target, self.targets, target_side)
        read = np.roll(labels, 1)
        if self.targets is None:
            read[0] = self.start
        return {
            "input_ids": self._framed(source, self.sources, source_side),
            "labels": labels,
            "decoder_input_ids": read,
        }

    def _framed(self, ids: np.ndarray, language_ids: LanguageIds | None, side: int) -> np.ndarray:
        if language_ids is None:
            return np.append(ids, self.eos)
        return language_ids.frame(ids, self.eos, self.languages[side])


@dataclass(frozen=True)
class Restore:
    """Noisy sentences to restore, each into its own language (Zan et al., section 4.2): ``csr_restore``."""

    frame: Frame
    switchers: Sequence[Switcher]
    parallel: bool  # candidates of the other side go first

    def examples(self, rows: Sequence[Row], epoch: int) -> Iterator[Counted]:
        """Yield an example for each side of each row."""
        if self.parallel:
            check_pairs(rows, "noise.prefer_aligned")
        for row in rows:
            for side, (ids, marks) in row.sides.items():
                other = row.sides[1 - side] if self.parallel else (NO_PIECES, NO_MARKS)
                noisy, stats = self.switchers[side](ids, epoch, row.number(side), marks, *other)
                yield self.frame.example(noisy, side, ids, side), int(stats[_WORDS]), int(stats[_COVERED])


@dataclass(frozen=True)
class WordTranslation:
    """Sentences of the target language with their word-for-word translations as sources (Hu et al. 2019)."""

    frame: Frame
    switcher: Switcher

    def examples(self, rows: Sequence[Row], epoch: int) -> Iterator[Counted]:
        """Yield an example for each row, of a pair from its target side."""
        for row in rows:
            if 1 not in row.sides:
                raise ConfigError("task: word_translation expects texts in the target language, found one in the source")
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
        self.switchers: Sequence[MaskingSwitcher] = ()
        self._encoder = vocabulary.encoder()

    def encoder(self, words: Sequence[str], spaced: bool) -> list[list[int]]:
        """How words are written, in the order of the draws: ``csr.switching.encoded.Encoder``."""
        return [self._numbers[row].tolist() if row else [] for row in self._encoder(words, spaced)]

    def examples(self, rows: Sequence[Row], epoch: int) -> Iterator[Counted]:
        """Yield an example for each row."""
        for row in rows:
            for side, (ids, marks) in row.sides.items():
                block = np.concatenate([[self._first], self._numbers[ids], [self._last]])
                around = np.concatenate([[0], marks, [0]]).astype(np.uint8)
                seen, target, stats = self.switchers[side](block, epoch, row.number(side), around)
                labels = np.where(target == self.symbols.pad, IGNORED, self._order[target])
                example = {"input_ids": self._order[seen], "labels": labels}
                yield example, int(stats[_MLM_WORDS]), int(stats[_MLM_COVERED])


_WORDS, _COVERED = map(compiled.STATS.index, ("words", "covered"))
_MLM_WORDS, _MLM_COVERED = map(compiled_masking.STATS.index, ("words", "covered"))
