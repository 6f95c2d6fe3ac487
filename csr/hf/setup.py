"""From the arguments of a collator to what it does with rows: languages, lexicons and noise of each task."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

from csr.data.switched import LabelledSwitcher, labelled_switcher
from csr.errors import ConfigError
from csr.files import PathLike
from csr.hf.families import family_of, language_id
from csr.hf.labelled import SequenceLabels, TokenLabels
from csr.hf.rows import Rows
from csr.hf.tasks import Frame, MaskedLm, Restore, Task, Translation, WordTranslation
from csr.hf.vocabulary import Vocabulary
from csr.lexicon_record import Languages, read_record
from csr.switching.candidates import Source
from csr.switching.compiled import Sometimes, Switcher
from csr.switching.compiled_masking import MaskingSwitcher
from csr.switching.encoded import EncodedLexicon
from csr.switching.masking import Masking
from csr.switching.settings import LABELLED, PRETRAINING, WORD_FOR_WORD, Labelled, Noise, Pretraining
from csr.switching.sides import encoded_side, make_switcher
from csr.text.languages import same

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TaskName = Literal[
    "restore", "translation", "word_translation", "masked_lm", "sequence_classification", "token_classification"
]
Settings = Noise | Pretraining | Labelled
S = TypeVar("S", Noise, Pretraining, Labelled)


@dataclass(frozen=True)
class Lexicons:
    """The lexicons of a collator, and the languages of its rows.

    Attributes:
        forward, reverse: for words of the source language and of the target language.
        languages: of source and target.
    """

    forward: tuple[PathLike, ...]
    reverse: tuple[PathLike, ...]
    languages: tuple[str, str | None]

    def of(self, side: int) -> list[Source]:
        """The lexicons of the words of a side; for the target without its own, those of the source, swapped."""
        source, target = self.languages
        own: Languages = (target, source) if side else (source, target)
        if side and not self.reverse:
            return [Source(path, own, swapped=True) for path in self.forward]
        return [Source(path, own) for path in (self.reverse if side else self.forward)]


def find_lexicons(
    forward: tuple[PathLike, ...], reverse: tuple[PathLike, ...], source: str | None, target: str | None
) -> Lexicons:
    """The lexicons of rows in languages that are given or, if not, those that the lexicons' records name.

    Raises:
        ConfigError: a lexicon is of other languages, or nothing names the source language.
    """
    for argument, paths in (("lexicon", forward), ("reverse_lexicon", reverse)):
        for path in paths:
            record = read_record(path)
            known = record.languages if argument == "lexicon" else record.reversed.languages
            for own, other in ((source, known[0]), (target if len(paths) == 1 else None, known[1])):
                if own is not None and other is not None and not same(own, other):
                    found = " into ".join(language or "?" for language in record.languages)
                    raise ConfigError(f"{argument}: expected one of {source} and {target}, found {path}: {found}")
        if len(paths) == 1:
            source, target = source or known[0], target or known[1]
    if source is None:
        raise ConfigError("source_lang: expected the language of the rows, such as de; no lexicon's record names it")
    return Lexicons(forward, reverse, (source, target))


@dataclass(frozen=True)
class Setup:
    """What every task is made from.

    Attributes:
        max_length: tokens of an example.
    """

    tokenizer: PreTrainedTokenizerBase
    lexicons: Lexicons
    seed: int
    max_length: int

    def task(
        self,
        name: TaskName,
        noise: Settings | None,
        masking: Masking | None,
        noisy_sources: float,
        label_names: Sequence[str],
    ) -> tuple[Task, Rows | None]:
        """A task and what encodes its rows; None where it takes them as they are.

        Raises:
            ConfigError: the arguments do not go together.
        """
        for argument, value, only in (
            ("masking", masking, "masked_lm"),
            ("noisy_sources", noisy_sources, "translation"),
            ("label_names", label_names, "token_classification"),
        ):
            if value and name != only:
                raise ConfigError(f"{argument}: expected for {only} alone, found it for {name}")
        if name in ("sequence_classification", "token_classification"):
            switcher = self._labelled(_checked(noise, Labelled, name) or LABELLED)
            if name == "sequence_classification":
                return SequenceLabels(self.tokenizer, switcher, self.max_length), None
            return TokenLabels(self.tokenizer, switcher, self.max_length, label_names), None
        if name == "masked_lm":
            task = self._masked_lm(_checked(noise, Pretraining, name) or PRETRAINING, masking or Masking())
            return task, self._rows(2)
        settings = _checked(noise, Noise, name)
        frame = self._frame(needs_target=name != "restore")
        rows = self._rows(frame.size)
        if name == "translation":
            return self._translation(frame, settings, noisy_sources), rows
        if name == "word_translation":
            return self._word_translation(frame, settings or WORD_FOR_WORD), rows
        return self._restore(frame, settings or Noise()), rows

    @functools.cached_property
    def vocabulary(self) -> Vocabulary:
        """The pieces of the tokenizer."""
        return Vocabulary(self.tokenizer)

    def _rows(self, n_special: int) -> Rows:
        return Rows(self.tokenizer, self.lexicons.languages, self.max_length - n_special, self.vocabulary)

    def _labelled(self, settings: Labelled) -> LabelledSwitcher:
        if self.lexicons.reverse or not self.lexicons.forward:
            raise ConfigError(
                "lexicon: expected one out of the rows' language, and no reverse_lexicon, to switch labelled text"
            )
        return labelled_switcher(list(map(str, self.lexicons.forward)), settings, self.seed, self.lexicons.languages[0])

    def _frame(self, needs_target: bool) -> Frame:
        family = family_of(self.tokenizer, "encoder-decoder")
        source, target = self.lexicons.languages
        if target is None and needs_target:
            raise ConfigError("target_lang: expected the language of the targets, such as en, found none")
        languages = (0, 0)
        if family.language_ids is not None:
            first = language_id(self.tokenizer, "source_lang", source)
            languages = (first, first if target is None else language_id(self.tokenizer, "target_lang", target))
        return Frame(self.tokenizer.eos_token_id, self.tokenizer.pad_token_id, family.language_ids, languages)

    def _translation(self, frame: Frame, noise: Noise | None, share: float) -> Translation:
        if self.lexicons.forward or self.lexicons.reverse:
            raise ConfigError(
                "lexicon: expected none for translation, whose sources are as they are or masked, found one"
            )
        if share == 0:
            if noise is not None:
                raise ConfigError("noise: expected with noisy_sources alone for translation")
            return Translation(frame, None)
        masked = self._switcher([], dataclasses.replace(noise or Noise(), replace="mask"), frame)
        return Translation(frame, Sometimes(masked, share, self.seed))

    def _word_translation(self, frame: Frame, noise: Noise) -> WordTranslation:
        if self.lexicons.forward or not self.lexicons.reverse:
            raise ConfigError(
                "reverse_lexicon: expected one from the target language to the source, and no lexicon, for "
                "word_translation"
            )
        return WordTranslation(frame, self._switcher(self.lexicons.of(1), noise, frame))

    def _restore(self, frame: Frame, noise: Noise) -> Restore:
        if (noise.replace == "mask") == bool(self.lexicons.forward):
            expected, found = ("none", "one") if noise.replace == "mask" else ("one", "none")
            raise ConfigError(f"lexicon: expected {expected} for noise.replace {noise.replace}, found {found}")
        if noise.schedule != "constant":
            raise ConfigError(
                f"noise.schedule: expected constant, found {noise.schedule}: loader workers do not see updates"
            )
        switchers = [self._switcher(self.lexicons.of(0), noise, frame)]
        if self.lexicons.languages[1] is not None:
            switchers.append(self._switcher(self.lexicons.of(1), noise.reversed, frame))
        return Restore(frame, switchers, noise.prefer_aligned)

    def _switcher(self, sources: Sequence[Source], noise: Noise, frame: Frame) -> Switcher:
        vocabulary, mask = self.vocabulary, self.tokenizer.mask_token_id
        if mask is None and (noise.mask_probability or noise.zero_spans == "insert"):
            name = type(self.tokenizer).__name__
            raise ConfigError(f"tokenizer: expected one with a mask token where words become masks, found {name}")
        lexicons: list[EncodedLexicon] = []
        if noise.replace != "mask":
            make, key = functools.partial(vocabulary.encoder, noise.unit), {"tokenizer": vocabulary.fingerprint}
            lexicons = encoded_side(sources, noise, vocabulary.pieces, make, key)
        limit = self.max_length - frame.size
        return make_switcher(noise, lexicons, vocabulary.roles, self.seed, limit, -1 if mask is None else mask)

    def _masked_lm(self, settings: Pretraining, masking: Masking) -> MaskedLm:
        if max(len(self.lexicons.forward), len(self.lexicons.reverse)) > 1:
            raise ConfigError("lexicon: expected one for masked_lm, found several")
        family_of(self.tokenizer, "encoder")
        task = MaskedLm(self.tokenizer, self.vocabulary)
        task.maskers = [self._masker(task, side, settings, masking) for side in (0, 1)]
        return task

    def _masker(self, task: MaskedLm, side: int, settings: Pretraining, masking: Masking) -> MaskingSwitcher:
        encoded = policy = None
        if self.lexicons.reverse if side else self.lexicons.forward:
            source, target = self.lexicons.languages
            if target is None:
                raise ConfigError("target_lang: expected the language of the translations, such as sw, found none")
            # As in csr_masked_lm: stop words are left out of any lexicon.
            noise = dataclasses.replace(settings.noise, stop_words=settings.stop_words or (source, target))
            noise = noise.reversed if side else noise
            key = {"tokenizer": self.vocabulary.fingerprint}
            (encoded,) = encoded_side(self.lexicons.of(side), noise, task.pieces, lambda: task.encoder, key)
            policy = task.policy(noise)
        return MaskingSwitcher(task.roles, task.symbols, masking, self.seed, self.max_length, encoded, policy)


def _checked(noise: Settings | None, kind: type[S], task: str) -> S | None:
    """Settings of the kind that a task has."""
    if noise is None:
        return None
    if not isinstance(noise, kind):
        raise ConfigError(f"noise: expected {kind.__name__} for {task}, found {type(noise).__name__}")
    noise.check("noise.")
    return noise
