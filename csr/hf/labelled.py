"""Labelled rows into examples for a classifier: words are switched in text, the labels go with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from csr.data.ner import Sentence
from csr.data.switched import LabelledSwitcher
from csr.errors import ConfigError, DataError
from csr.hf.rows import row_id
from csr.hf.tasks import IGNORED, Batch
from csr.switching.compiled_batch import Ragged

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_TEXTS = (("premise", "hypothesis"), ("text", "text_pair"), ("text",))
_LABELS = ("label", "labels", "ner_tags")


@dataclass(frozen=True)
class SequenceLabels:
    """Texts, or pairs of them, with a label: ``{"id": 7, "premise": "...", "hypothesis": "...", "label": 2}``.

    Attributes:
        max_length: tokens of an example; of a longer one, the longer text loses its end.
    """

    tokenizer: PreTrainedTokenizerBase
    switcher: LabelledSwitcher
    max_length: int

    def batch(self, rows: Sequence[Mapping[str, Any]], epoch: int) -> Batch:
        """An example for each row."""
        texts = [self.switcher.texts(_texts(row), epoch, row_id(row)) for row in rows]
        firsts, *seconds = zip(*texts, strict=True)
        made = self.tokenizer(*map(list, (firsts, *seconds)), truncation=True, max_length=self.max_length)
        return Batch({**_fields(made), "labels": np.array([_labels(row) for row in rows])})


@dataclass(frozen=True)
class TokenLabels:
    """Tokens with IOB2 tags, by their numbers: ``{"id": 7, "tokens": ["Anna", "lacht"], "labels": [1, 0]}``.

    Attributes:
        names: of the tags, in the order of their numbers.
    """

    tokenizer: PreTrainedTokenizerBase
    switcher: LabelledSwitcher
    max_length: int
    names: Sequence[str]

    def __post_init__(self) -> None:
        if not self.tokenizer.is_fast:
            name = type(self.tokenizer).__name__
            raise ConfigError(f"tokenizer: expected a fast one, which knows where its pieces are, found {name}")
        types = {name[2:] for name in self.names if name[:2] == "B-"}
        if set(self.names) != {"O", *(f"{mark}-{kind}" for kind in types for mark in "BI")}:
            raise ConfigError(
                "label_names: expected O and, for each type of entity, B-TYPE and I-TYPE, in the order of the labels' "
                f"numbers, found {', '.join(self.names) or 'none'}"
            )

    def batch(self, rows: Sequence[Mapping[str, Any]], epoch: int) -> Batch:
        """An example for each row: a label at the first piece of each token, -100 elsewhere."""
        number = {name: i for i, name in enumerate(self.names)}
        sentences = [self.switcher.sentence(self._sentence(row), epoch, row_id(row)) for row in rows]
        tokens = [list(sentence.tokens) for sentence in sentences]
        made = self.tokenizer(tokens, is_split_into_words=True, truncation=True, max_length=self.max_length)
        labels = []
        for i, sentence in enumerate(sentences):
            words = made.word_ids(i)
            before = [None, *words[:-1]]
            labels.append(
                [
                    IGNORED if word is None or word == last else number[sentence.tags[word]]
                    for last, word in zip(before, words, strict=True)
                ]
            )
        return Batch({**_fields(made), "labels": Ragged.of(list(map(np.array, labels)))})

    def _sentence(self, row: Mapping[str, Any]) -> Sentence:
        tokens, labels = row.get("tokens"), _labels(row)
        if tokens is None or len(tokens) != len(labels):
            found = "none" if tokens is None else f"{len(tokens)} and {len(labels)} labels"
            raise DataError(f"row {row_id(row)}: expected tokens with a label each, found {found}")
        if not all(0 <= label < len(self.names) for label in labels):
            raise DataError(f"row {row_id(row)}: expected labels from 0 to {len(self.names) - 1}, found {list(labels)}")
        return Sentence(tuple(tokens), tuple(self.names[label] for label in labels))


def _fields(made: Mapping[str, Any]) -> dict[str, Ragged | np.ndarray]:
    """What a tokenizer made of texts."""
    return {name: Ragged.of(list(map(np.array, made[name]))) for name in made if name != "attention_mask"}


def _texts(row: Mapping[str, Any]) -> list[str]:
    for names in _TEXTS:
        if all(isinstance(row.get(name), str) for name in names):
            return [row[name] for name in names]
    expected = " or ".join(" and ".join(names) for names in _TEXTS)
    raise DataError(f"row {row_id(row)}: expected {expected}, found {', '.join(row)}")


def _labels(row: Mapping[str, Any]) -> Any:
    for name in _LABELS:
        if row.get(name) is not None:
            return row[name]
    raise DataError(f"row {row_id(row)}: expected {' or '.join(_LABELS)}, found {', '.join(row)}")
