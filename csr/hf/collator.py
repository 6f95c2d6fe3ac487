"""``SwitchingCollator``: rows of data sets into batches with words switched, for trainers of ``transformers``."""

from __future__ import annotations

import dataclasses
import functools
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase, TrainerCallback

from csr.errors import ConfigError, DataError
from csr.files import PathLike, sha256
from csr.hf.families import Family, family_of, language_id
from csr.hf.rows import Rows, clean
from csr.hf.tasks import IGNORED, Example, Frame, MaskedLm, Restore, Task, WordTranslation
from csr.hf.vocabulary import Vocabulary
from csr.lexicon import Languages, read_record
from csr.switching.candidates import Source
from csr.switching.compiled import Switcher
from csr.switching.compiled_masking import MaskingSwitcher
from csr.switching.encoded import EncodedLexicon
from csr.switching.masking import Masking
from csr.switching.settings import PRETRAINING, WORD_FOR_WORD, Noise, Pretraining
from csr.switching.sides import encoded_side, make_switcher
from csr.text.languages import same

logger = logging.getLogger(__name__)

TaskName = Literal["restore", "word_translation", "masked_lm"]
_LONGEST = 1024  # pieces of a row, where the tokenizer does not say what its model takes
_MANY = 1000  # words without a single translation are of another language
Paths = PathLike | Sequence[PathLike]


class SwitchingCollator(TrainerCallback):
    """Makes batches of rows, with words switched anew each epoch: ``data_collator`` and one of ``callbacks`` of a trainer.

    What is drawn for a row depends on (seed, epoch, the row's id) alone: batches are the same with any number of
    workers or processes and after a restart, and those of the fairseq plugin for the same rows, seed and epoch. Rows
    are those of ``csr.hf.rows.Rows``: pairs to restore give two examples each, one a side.

    Args:
        tokenizer: a fast one of mBART-cc25, mBART-50, NLLB-200 or mT5; for masked_lm of BERT or XLM-R.
        task: restore (stage one of Zan et al.: a sentence from what noise made of it, in its own language),
            word_translation (a target sentence from its word-for-word translation: Hu et al. 2019) or masked_lm (Visser
            et al.: pieces are predicted, and words around them switched).
        lexicon: from the source language to the target, TSV: source<TAB>target<TAB>weight; several to switch into
            several languages. For word_translation from the target language to the source. Not needed where words
            become masks (``noise.replace``) or are only predicted.
        reverse_lexicon: from the target language to the source. Default: for restore the lexicon with its sides
            swapped, unless it holds probabilities; for masked_lm none, so that the target's words stay.
        source_lang, target_lang: of the rows, by any code (de, deu_Latn, de_DE). Default: what the record beside the
            lexicon says.
        seed: of the draws.
        noise: which words are switched, how many, and by what. Default: the papers' (``Noise()``, ``Pretraining()``).
        masking: which pieces masked_lm predicts. Default: 15 % of them.
        max_length: tokens of an example before its words are switched. Default: what the tokenizer says its model
            takes, at most 1,024.
        pad_to_multiple_of: lengths of batches are multiples of this.
        return_tensors: ``pt`` or ``np``.

    Raises:
        ConfigError: the arguments do not go together, or the tokenizer is of another kind or lacks a language.
        DataError: a lexicon is broken, or of other languages.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        task: TaskName,
        lexicon: Paths | None = None,
        *,
        reverse_lexicon: Paths | None = None,
        source_lang: str | None = None,
        target_lang: str | None = None,
        seed: int = 1,
        noise: Noise | Pretraining | None = None,
        masking: Masking | None = None,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        return_tensors: Literal["pt", "np"] = "pt",
    ) -> None:
        self._arguments = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        if task not in get_args(TaskName):
            raise ConfigError(f"task: expected {' or '.join(get_args(TaskName))}, found {task!r}")
        if return_tensors not in ("pt", "np"):
            raise ConfigError(f"return_tensors: expected pt or np, found {return_tensors!r}")
        if (task == "masked_lm") != isinstance(noise, Pretraining) and noise is not None:
            expected = "Pretraining" if task == "masked_lm" else "Noise"
            raise ConfigError(f"noise: expected {expected} for {task}, found {type(noise).__name__}")
        if masking is not None and task != "masked_lm":
            raise ConfigError(f"masking: expected for masked_lm alone, found task {task}")
        self.tokenizer, self.task, self.seed = tokenizer, task, seed
        self.max_length = max_length or min(tokenizer.model_max_length, _LONGEST)
        self._multiple, self._return = pad_to_multiple_of or 1, return_tensors
        self._lexicons = (_paths(lexicon), _paths(reverse_lexicon))
        self._languages = self._named(source_lang, target_lang)
        self._vocabulary = Vocabulary(tokenizer)
        if task == "masked_lm":
            self._task, n_special = self._masked_lm(noise or PRETRAINING, masking or Masking()), 2
        else:
            default = WORD_FOR_WORD if task == "word_translation" else Noise()
            self._task, n_special = self._sequences(noise or default)
        self.rows = Rows(tokenizer, self._languages, self.max_length - n_special, self._vocabulary)
        # In memory that loader workers share, so that those that outlive an epoch see the next one.
        self._epoch = torch.ones(1, dtype=torch.int64).share_memory_()
        self._told = False  # whether someone counts the epochs
        self._first: int | None = None  # the first row since then
        self._n_words = self._n_covered = 0

    def __getstate__(self) -> dict[str, Any]:
        # What the draws depend on, so that data sets know when to map anew.
        content = [sha256(path) for path in (*self._lexicons[0], *self._lexicons[1])]
        arguments = {**self._arguments, "tokenizer": clean(self.tokenizer)}
        return {"arguments": arguments, "epoch": self._epoch, "content": content}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state["arguments"])  # type: ignore[misc]
        self._epoch = state["epoch"].share_memory_()

    @property
    def epoch(self) -> int:
        """The epoch that draws are for, from 0."""
        return int(self._epoch) - 1

    def set_epoch(self, epoch: int) -> None:
        """Take note of a new epoch, from 0; the first is epoch 1 of fairseq and ``csr switch``."""
        self._epoch[0] = epoch + 1
        self._told, self._first = True, None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Take note of where a trainer starts, or goes on."""
        self._next = int(state.epoch or 0)

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Take note of an epoch of a trainer."""
        self.set_epoch(self._next)
        self._next += 1

    def __call__(self, rows: Sequence[Mapping[str, Any]], return_tensors: str | None = None) -> dict[str, Any]:
        """A batch of rows: ``input_ids`` and ``attention_mask`` [n, length], ``labels`` [n, length], -100 where none.

        An encoder-decoder gets ``decoder_input_ids`` too, those that its model would make of the labels.

        Raises:
            DataError: a row lacks its id or its text, or the lexicon has none of the words.
        """
        examples = self._examples(rows)
        pad = self.tokenizer.pad_token_id
        values = {"input_ids": pad, "attention_mask": 0, "labels": IGNORED, "decoder_input_ids": pad}
        batch = {
            name: self._padded([example[name] for example in examples], values[name]) for name in examples[0]
        }
        tensors = return_tensors or self._return
        return {name: torch.from_numpy(array) for name, array in batch.items()} if tensors == "pt" else batch

    def transform(self, batch: Mapping[str, Sequence[Any]]) -> dict[str, list[np.ndarray]]:
        """Switched examples of a batch of rows, not padded: ``dataset.map(collator.transform, batched=True)``.

        With ``with_transform`` they are drawn when they are asked for, for the epoch of ``set_epoch``.
        """
        rows = [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]
        examples = self._examples(rows)
        return {name: [example[name] for example in examples] for name in examples[0]} if examples else {}

    def _examples(self, rows: Sequence[Mapping[str, Any]]) -> list[Example]:
        read = list(self.rows.read(rows))
        if read:
            self._check_epoch(read[0].id)
        epoch, examples = int(self._epoch), []
        for example, n_words, n_covered in self._task.examples(read, epoch):
            examples.append({**example, "attention_mask": np.ones(len(example["input_ids"]), np.int64)})
            self._n_words += n_words
            self._n_covered += n_covered
        if self._n_words >= _MANY and not self._n_covered and self._lexicons[0]:
            raise DataError(
                f"lexicon: expected words of the rows' language in {self._lexicons[0][0]}, found not one of their first "
                f"{self._n_words:,}; is it the other way round, or of another language?"
            )
        return examples

    def _check_epoch(self, number: int) -> None:
        if not self._told and number == self._first:
            self._told = True
            logger.warning(
                f"row {number} came again, but no new epoch: give the trainer callbacks=[collator], or call set_epoch, "
                "so that each epoch has draws of its own"
            )
        elif self._first is None:
            self._first = number

    def _padded(self, rows: Sequence[np.ndarray], value: int) -> np.ndarray:
        length = -(-max(map(len, rows)) // self._multiple) * self._multiple
        out = np.full((len(rows), length), value, np.int64)
        for number, row in enumerate(rows):
            if self.tokenizer.padding_side == "left":
                out[number, length - len(row) :] = row
            else:
                out[number, : len(row)] = row
        return out

    def _named(self, source: str | None, target: str | None) -> tuple[str, str | None]:
        """The languages of the rows: those given or, if not, what the lexicons' records say."""
        towards_target = self.task != "word_translation"
        for argument, paths, forward in (("lexicon", self._lexicons[0], True), ("reverse_lexicon", self._lexicons[1], False)):
            for path in paths[:1]:
                record = read_record(path)
                known = record.languages if forward == towards_target else record.reversed.languages
                for own, other in ((source, known[0]), (target, known[1])):
                    if own is not None and other is not None and not same(own, other):
                        expected = f"{source or '?'} and {target or '?'}"
                        found = f"from {record.languages[0]} into {record.languages[1]}"
                        raise ConfigError(f"{argument}: expected one of {expected}, found {path} {found}")
                source, target = source or known[0], target or known[1]
        needed = {"source_lang": source, "target_lang": target}
        for argument, language in needed.items():
            if language is None and not (argument == "target_lang" and self.task == "masked_lm" and not self._lexicons[0]):
                raise ConfigError(f"{argument}: expected the language of the rows, such as de; no lexicon's record says it")
        return str(source), target

    def _sources(self, side: int) -> list[Source]:
        """The lexicons of the words of a side."""
        source, target = self._languages
        own: Languages = (source, target) if side == 0 else (target, source)
        if self.task == "word_translation":
            return [Source(path, own) for path in self._lexicons[0]]
        if side == 0 or self._lexicons[1]:
            return [Source(path, own) for path in self._lexicons[side]]
        return [Source(path, own, swapped=True) for path in self._lexicons[0]]

    def _sequences(self, noise: Noise) -> tuple[Task, int]:
        noise.check("noise.")
        family = family_of(self.tokenizer, "encoder-decoder")
        if noise.schedule != "constant":
            raise ConfigError(f"noise.schedule: expected constant, found {noise.schedule}; workers do not see updates")
        if noise.replace == "mask":
            if self._lexicons[0]:
                raise ConfigError("lexicon: expected none with noise.replace mask, found one")
        elif not self._lexicons[0]:
            raise ConfigError(f"lexicon: expected one for noise.replace {noise.replace}, found none")
        if self.tokenizer.mask_token_id is None and (noise.mask_probability or noise.zero_spans == "insert"):
            raise ConfigError(f"tokenizer: expected one with a mask token for masks, found {_name(self.tokenizer)} without")
        frame = self._frame(family)
        limit = self.max_length - frame.size
        if self.task == "word_translation":
            return WordTranslation(frame, self._switcher(1, noise, limit)), frame.size
        switchers = [self._switcher(0, noise, limit), self._switcher(1, noise.reversed, limit)]
        return Restore(frame, switchers, noise.prefer_aligned), frame.size

    def _frame(self, family: Family) -> Frame:
        source, target = self._languages
        where, languages = family.language_ids, (0, 0)
        if where is not None:
            languages = (
                language_id(self.tokenizer, "source_lang", source),
                language_id(self.tokenizer, "target_lang", str(target)),
            )
        ids = self.tokenizer
        return Frame(ids.eos_token_id, ids.pad_token_id, where, where, languages)

    def _switcher(self, side: int, noise: Noise, limit: int) -> Switcher:
        vocabulary, mask = self._vocabulary, self.tokenizer.mask_token_id
        lexicons: list[EncodedLexicon] = []
        if noise.replace != "mask":
            make, key = functools.partial(vocabulary.encoder, noise.unit), {"tokenizer": vocabulary.fingerprint}
            lexicons = encoded_side(self._sources(side), noise, vocabulary.pieces, make, key)
        return make_switcher(noise, lexicons, vocabulary.roles, self.seed, limit, -1 if mask is None else mask)

    def _masked_lm(self, settings: Pretraining, masking: Masking) -> Task:
        settings.check("noise.")
        family_of(self.tokenizer, "encoder")
        task = MaskedLm(self.tokenizer, self._vocabulary)
        task.switchers = [self._masker(task, side, settings, masking) for side in (0, 1)]
        return task

    def _masker(self, task: MaskedLm, side: int, settings: Pretraining, masking: Masking) -> MaskingSwitcher:
        source, target = self._languages
        encoded = policy = None
        if self._lexicons[side]:
            # As in csr_masked_lm: stop words are left out of any lexicon.
            noise = dataclasses.replace(settings.noise, stop_words=settings.stop_words or (source, str(target)))
            noise = noise.reversed if side else noise
            key = {"tokenizer": self._vocabulary.fingerprint}
            (encoded,) = encoded_side(self._sources(side), noise, task.pieces, lambda: task.encoder, key)
            policy = noise.make_policy()
        return MaskingSwitcher(
            task.roles, task.symbols, masking, self.seed, self.max_length, encoded, policy  # type: ignore[arg-type]
        )


def _paths(given: Paths | None) -> tuple[PathLike, ...]:
    if given is None:
        return ()
    return tuple(given) if isinstance(given, Sequence) and not isinstance(given, str) else (given,)


def _name(tokenizer: PreTrainedTokenizerBase) -> str:
    return type(tokenizer).__name__
