"""``SwitchingCollator``: rows of data sets into batches with words switched, for trainers of ``transformers``."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from multiprocessing.context import get_spawning_popen
from typing import Any, Literal, get_args

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase, TrainerCallback

from csr.errors import ConfigError, DataError
from csr.files import PathLike, sha256
from csr.hf.rows import Rows, clean, row_id
from csr.hf.setup import Settings, Setup, TaskName, find_lexicons
from csr.hf.tasks import IGNORED
from csr.switching.compiled_batch import Ragged
from csr.switching.masking import Masking

logger = logging.getLogger(__name__)

_LONGEST = 1024  # tokens of an example, where the tokenizer does not say what its model takes
_MANY = 1000  # words without a single translation are of another language
Paths = PathLike | Sequence[PathLike]


class SwitchingCollator(TrainerCallback):
    """Batches of rows with words switched, anew each epoch: ``data_collator`` and one of ``callbacks`` of a trainer.

    What is drawn for a row depends on (seed, epoch, the row's id) alone: batches are the same with any number of
    workers or processes and after a restart, and those of the fairseq plugin for the same rows, seed and epoch. Rows
    are those of ``csr.hf.rows.Rows``, and labelled ones those of ``csr.hf.labelled``; a pair to restore gives two
    examples, one a side.

    Args:
        tokenizer: a fast one of mBART-cc25, mBART-50, NLLB-200 or mT5; for masked_lm of BERT or XLM-R; of any model for
            classification.
        task: restore (stage one of Zan et al.: sentences of both sides from what noise made of them), translation
            (stage two), word_translation (target sentences from their word-for-word translations: Hu et al. 2019),
            masked_lm (Visser et al.: pieces are predicted, words around them switched), sequence_classification or
            token_classification (words are switched, labels stay theirs).
        lexicon: from the source language to the target, TSV: source<TAB>target<TAB>weight; several to switch into
            several languages. None where words become masks, or nothing is switched.
        reverse_lexicon: from the target language to the source. Default: for restore the lexicon with its sides
            swapped, unless it holds probabilities; for masked_lm none, so that words of the target language stay.
        source_lang, target_lang: of the rows, by any code (de, deu_Latn, de_DE). Default: those that the record beside
            the lexicon names. Without a target, rows to restore or to mask are of one language.
        seed: of the draws.
        noise: which words are switched, how many, and by what. Default: the papers' ``Noise()``; for masked_lm
            ``Pretraining()``; for classification ``Labelled()``, every word in half of the examples.
        masking: which pieces masked_lm predicts. Default: 15 % of them.
        noisy_sources: for translation, share of the pairs whose source is masked (Wang et al. 2022: 0.1).
        label_names: for token_classification, the IOB2 tags in the order of the labels' numbers.
        max_length: tokens of an example; of a longer one the end is left out. Default: what the tokenizer says that its
            model takes, at most 1,024.
        pad_to_multiple_of: lengths of batches are multiples of this.
        return_tensors: ``pt`` or ``np``.

    Raises:
        ConfigError: the arguments do not go together, or the tokenizer is of another kind or lacks a language.
        DataError: a lexicon is broken, or none of it can be written in the tokenizer's pieces.
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
        noise: Settings | None = None,
        masking: Masking | None = None,
        noisy_sources: float = 0.0,
        label_names: Sequence[str] = (),
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        return_tensors: Literal["pt", "np"] = "pt",
    ) -> None:
        self._arguments = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        for argument, value, expected in (
            ("task", task, get_args(TaskName)),
            ("return_tensors", return_tensors, ("pt", "np")),
        ):
            if value not in expected:
                raise ConfigError(f"{argument}: expected {' or '.join(expected)}, found {value!r}")
        self.tokenizer = tokenizer
        self._multiple, self._tensors = pad_to_multiple_of or 1, return_tensors
        pad, self._left = tokenizer.pad_token_id, tokenizer.padding_side == "left"
        self._padding = {"input_ids": pad, "labels": IGNORED, "decoder_input_ids": pad}
        self._lexicons = find_lexicons(_paths(lexicon), _paths(reverse_lexicon), source_lang, target_lang)
        setup = Setup(tokenizer, self._lexicons, seed, max_length or min(tokenizer.model_max_length, _LONGEST))
        self._task, self._rows = setup.task(task, noise, masking, noisy_sources, label_names)
        # In memory that loader workers share, so that those that outlive an epoch see the next one.
        self._epoch = torch.ones(1, dtype=torch.int64).share_memory_()
        self._next = 0  # the trainer's epoch to come
        self._first: int | None = None  # the first row, until someone counts the epochs
        self._counts_epochs = False
        self._n_words = self._n_covered = 0

    def __getstate__(self) -> dict[str, Any]:
        # All that the draws depend on, the lexicons' bytes too, so that data sets know when to map anew.
        content = [sha256(path) for path in (*self._lexicons.forward, *self._lexicons.reverse)]
        arguments = {**self._arguments, "tokenizer": clean(self.tokenizer)}
        # A loader worker that is being started shares the epoch; any other copy has its own.
        epoch = int(self._epoch) if get_spawning_popen() is None else self._epoch
        return {"arguments": arguments, "epoch": epoch, "content": content}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state["arguments"])  # type: ignore[misc]
        if isinstance(state["epoch"], int):
            self._epoch[0] = state["epoch"]
        else:
            self._epoch = state["epoch"]

    @property
    def rows(self) -> Rows:
        """What encodes rows; its ``encode`` does so once, for ``datasets.map``.

        Raises:
            ConfigError: labelled text is switched before it is encoded.
        """
        if self._rows is None:
            raise ConfigError(
                "rows: expected a task whose rows can be encoded before they are switched, found classification"
            )
        return self._rows

    @property
    def epoch(self) -> int:
        """The epoch that draws are for, from 0."""
        return int(self._epoch) - 1

    def set_epoch(self, epoch: int) -> None:
        """Take note of a new epoch, from 0; the first is epoch 1 of fairseq and of ``csr switch``."""
        self._epoch[0] = epoch + 1
        self._counts_epochs = True

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Take note of where a trainer starts, or goes on."""
        self._next = int(state.epoch or 0)

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Take note of a trainer's next epoch."""
        self.set_epoch(self._next)
        self._next += 1

    def __call__(self, rows: Sequence[Mapping[str, Any]], return_tensors: str | None = None) -> dict[str, Any]:
        """A batch of rows: ``input_ids``, ``attention_mask`` and ``labels``, int64 [n_examples, length].

        Labels are -100 where there is nothing to predict; texts have one each, [n_examples]. An encoder-decoder gets
        ``decoder_input_ids`` too, those that its model would make of the labels; they let a trainer smooth labels.

        Raises:
            DataError: a row lacks its id or its text, or the lexicon has none of the words.
        """
        batch = {
            name: field.padded(self._padding.get(name, 0), self._multiple, self._left)
            if isinstance(field, Ragged)
            else field
            for name, field in self._fields(rows).items()
        }
        as_torch = (return_tensors or self._tensors) == "pt"
        return {name: torch.from_numpy(array) for name, array in batch.items()} if as_torch else batch

    def transform(self, batch: Mapping[str, Sequence[Any]]) -> dict[str, list[np.ndarray]]:
        """Switched examples of a batch of rows, not padded: ``dataset.map(collator.transform, batched=True)``.

        With ``with_transform`` they are drawn when they are asked for, for the epoch of ``set_epoch``.
        """
        fields = self._fields([dict(zip(batch, row, strict=True)) for row in zip(*batch.values(), strict=True)])
        return {name: field.rows() if isinstance(field, Ragged) else list(field) for name, field in fields.items()}

    def _fields(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Ragged | np.ndarray]:
        self._expect_new_epochs(row_id(rows[0]))
        read = rows if self._rows is None else self._rows.read(rows)
        fields, n_words, n_covered = self._task.batch(read, int(self._epoch))
        self._n_words += n_words
        self._n_covered += n_covered
        paths = self._lexicons.forward or self._lexicons.reverse
        if paths and self._n_words >= _MANY and not self._n_covered:
            raise DataError(
                f"lexicon: expected one with words of the rows, found not one of their first {self._n_words:,} in "
                f"{paths[0]}: is it the other way round, or of another language?"
            )
        inputs = fields["input_ids"]
        assert isinstance(inputs, Ragged)
        return {**fields, "attention_mask": Ragged(np.ones(len(inputs.values), np.int64), inputs.lengths)}

    def _expect_new_epochs(self, number: int) -> None:
        """Warn, once, of a row that comes again where nobody counts epochs."""
        if self._counts_epochs:
            return
        if self._first is None:
            self._first = number
        elif self._first == number:
            self._counts_epochs = True
            logger.warning(
                f"row {number} came again and will have the same draws: give the trainer callbacks=[collator], or call "
                "set_epoch"
            )


def _paths(given: Paths | None) -> tuple[PathLike, ...]:
    if given is None:
        return ()
    return tuple(given) if isinstance(given, Sequence) and not isinstance(given, str) else (given,)
