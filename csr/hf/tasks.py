"""Rows into examples: what each task gives a model to read, and to write or predict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from csr.data.examples import LanguageIds
from csr.errors import ConfigError, DataError
from csr.hf.rows import Sentences
from csr.hf.vocabulary import Vocabulary
from csr.switching.compiled import NO_PIECES, STATS, Sometimes, Switcher
from csr.switching.compiled_batch import Ragged, mask_rows, noise_rows
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

    def batch(self, rows: Any, epoch: int) -> Batch:
        """The examples of rows: of ``Sentences``, or of labelled rows as they are."""


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
        self, sources: Ragged, source_sides: np.ndarray, targets: Ragged, target_sides: np.ndarray
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

    def _framed(self, rows: Ragged, sides: np.ndarray) -> Ragged:
        """As ``LanguageIds.frame`` of each row."""
        languages = np.array(self.languages)[sides]
        match self.language_ids:
            case LanguageIds.APPEND:
                return rows.between((), (self.eos, languages))
            case LanguageIds.PREPEND:
                return rows.between((languages,), (self.eos,))
        return rows.between((), (self.eos,))


@dataclass(frozen=True)
class Restore:
    """Noisy sentences to restore, each into its own language (Zan et al., section 4.2): ``csr_restore``."""

    frame: Frame
    switchers: Sequence[Switcher]  # of each side
    parallel: bool  # candidates that stand on the other side go first

    def batch(self, rows: Sentences, epoch: int) -> Batch:
        """An example for each side of each row."""
        if self.parallel and not rows.paired.all():
            raise ConfigError("noise.prefer_aligned: expected rows that are pairs, found a text")
        parts, counts, numbers = [], np.zeros(len(STATS), np.int64), rows.numbers
        for side, switcher in enumerate(self.switchers):
            if len(own := rows.of(side)):
                aligned = rows.translations[own] if self.parallel else NO_PIECES
                noisy, stats = noise_rows(switcher, rows.ids, rows.marks, epoch, own, numbers[own], aligned)
                parts.append((own, noisy))
                counts += stats
        return _counted(self.frame.fields(Ragged.merged(parts), rows.sides, rows.ids, rows.sides), counts)


@dataclass(frozen=True)
class Translation:
    """Pairs as they are, or some of them with their source masked (Wang et al. 2022): ``csr_translation``."""

    frame: Frame
    noise: Sometimes | None

    def batch(self, rows: Sentences, epoch: int) -> Batch:
        """An example for each pair."""
        if not rows.paired.all():
            raise DataError(f"row {rows.rows[~rows.paired][0]}: expected a pair to translate, found a text")
        first, second = rows.of(0), rows.of(1)
        sources = rows.ids.take(first)
        if self.noise is not None:
            met = np.array([self.noise.meets(epoch, number) for number in rows.rows[first].tolist()])
            masked = first[met]
            noisy, _ = noise_rows(self.noise.noise, rows.ids, rows.marks, epoch, masked, rows.rows[masked])
            sources = Ragged.merged([(masked, noisy), (first[~met], sources.take(np.flatnonzero(~met)))])
        targets = rows.ids.take(second)
        return Batch(self.frame.fields(sources, rows.sides[first], targets, rows.sides[second]))


@dataclass(frozen=True)
class WordTranslation:
    """Sentences of the target language with their word-for-word translations as sources (Hu et al. 2019)."""

    frame: Frame
    switcher: Switcher

    def batch(self, rows: Sentences, epoch: int) -> Batch:
        """An example for each row, of a pair from its target side."""
        texts = (rows.sides == 0) & ~rows.paired
        if texts.any():
            raise DataError(f"row {rows.rows[texts][0]}: expected a text in the target language, found the source's")
        own = rows.of(1)
        words, counts = noise_rows(self.switcher, rows.ids, rows.marks, epoch, own, rows.numbers[own])
        return _counted(self.frame.fields(words, 0 * own, rows.ids.take(own), rows.sides[own]), counts)


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

    def batch(self, rows: Sentences, epoch: int) -> Batch:
        """An example for each side of each row."""
        blocks = Ragged(self._numbers[rows.ids.values], rows.ids.lengths).between((self._first,), (self._last,))
        marks = Ragged(rows.marks, rows.ids.lengths).between((0,), (0,)).values
        seen, targets, counts, numbers = [], [], np.zeros(len(MLM_STATS), np.int64), rows.numbers
        for side, masker in enumerate(self.maskers):
            if len(own := rows.of(side)):
                source, target, stats = mask_rows(masker, blocks, marks, epoch, own, numbers[own])
                seen.append((own, source))
                targets.append((own, target))
                counts += stats
        inputs, labels = Ragged.merged(seen), Ragged.merged(targets)
        predicted = np.where(labels.values == self.symbols.pad, IGNORED, self._order[labels.values])
        fields: dict[str, Ragged | np.ndarray] = {
            "input_ids": Ragged(self._order[inputs.values], inputs.lengths),
            "labels": Ragged(predicted, labels.lengths),
        }
        return Batch(fields, int(counts[MLM_STATS.index("words")]), int(counts[MLM_STATS.index("covered")]))
