"""Labelled text as examples for a BERT encoder: ids between <s> and </s>, and the positions that get a label.

Rows are RoBERTa's: ``<s> premise </s></s> hypothesis </s>`` or ``<s> text </s>`` with the label at ``<s>``, and
``<s> sentence </s>`` with a tag at the first piece of each token.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from csr.data.ner import Sentence, spans, windows
from csr.data.nli import LABELS, NliExample
from csr.data.rows import EOS, UNKNOWN, Vocabulary
from csr.data.text_labels import LabelledText
from csr.files import PathLike
from csr.text.forms import normalized

BOS = 0  # as in fairseq's dictionary and XLM-R's


@dataclass(frozen=True)
class Example:
    """One row for the encoder.

    Attributes:
        ids: int64 [n_ids].
        positions: of the ids whose vectors get a label, int64 [n_labels].
        labels: int64 [n_labels]; -1 where none is known.
    """

    ids: np.ndarray
    positions: np.ndarray
    labels: np.ndarray


class Pieces:
    """Text into the ids of an encoder: a SentencePiece or WordPiece model and the dictionary that was made with it."""

    def __init__(self, sentencepiece_model: PathLike, dictionary: PathLike) -> None:
        self._vocabulary = Vocabulary.read(sentencepiece_model, dictionary)

    def __call__(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The ids of each text, int64 [n_pieces]; what shows nothing is one unknown piece."""
        ids, sizes, _ = self._vocabulary.encode(map(normalized, texts))
        ends = np.cumsum(sizes) - 1
        rows = (ids[start:end] for start, end in zip(ends + 1 - sizes, ends, strict=True))
        return [row.astype(np.int64) if len(row) else np.array([UNKNOWN]) for row in rows]


def pair_examples(pairs: Sequence[NliExample], pieces: Pieces, limit: int) -> list[Example]:
    """The example of each pair; of one that is longer than ``limit`` ids, the longer side loses its end."""
    sides = zip(pieces([p.premise for p in pairs]), pieces([p.hypothesis for p in pairs]), strict=True)
    examples = []
    for pair, (premise, hypothesis) in zip(pairs, sides, strict=True):
        room = limit - 4
        premise = premise[: max(room - len(hypothesis), (room + 1) // 2)]
        hypothesis = hypothesis[: room - len(premise)]
        ids = np.concatenate([[BOS], premise, [EOS, EOS], hypothesis, [EOS]])
        examples.append(Example(ids, np.zeros(1, np.int64), np.array([LABELS.index(pair.label)])))
    return examples


def text_examples(texts: Sequence[LabelledText], pieces: Pieces, names: Sequence[str], limit: int) -> list[Example]:
    """The example of each text; one of more than ``limit`` ids loses its end."""
    number = {name: i for i, name in enumerate(names)}
    return [
        Example(np.concatenate([[BOS], ids[: limit - 2], [EOS]]), np.zeros(1, np.int64), np.array([number[text.label]]))
        for text, ids in zip(texts, pieces([text.text for text in texts]), strict=True)
    ]


def tag_names(types: Iterable[str]) -> list[str]:
    """The tags of a head, in its order.

    >>> tag_names(["LOC", "PER"])
    ['O', 'B-LOC', 'I-LOC', 'B-PER', 'I-PER']
    """
    return ["O", *(f"{mark}-{name}" for name in types for mark in "BI")]


def cut_sentences(sentences: Iterable[Sentence], pieces: Pieces, limit: int) -> list[Sentence]:
    """Sentences to train on: one of more than ``limit`` ids gives several, cut between entities."""
    return [
        Sentence(sentence.tokens[start:end], sentence.tags[start:end])
        for sentence in sentences
        for start, end in spans(list(map(len, pieces(sentence.tokens))), sentence.tags, limit - 2)
    ]


def tag_examples(sentences: Iterable[Sentence], pieces: Pieces, names: Sequence[str], limit: int) -> list[Example]:
    """Examples to train on: a sentence of more than ``limit`` ids gives several, cut between entities."""
    number = {name: i for i, name in enumerate(names)}
    examples = []
    for sentence in sentences:
        tokens = pieces(sentence.tokens)
        labels = np.array([number[tag] for tag in sentence.tags])
        for start, end in spans(list(map(len, tokens)), sentence.tags, limit - 2):
            examples.append(_tokens(tokens[start:end], labels[start:end], limit))
    return examples


def unlabelled_examples(tokens: Sequence[str], pieces: Pieces, limit: int) -> Iterator[Example]:
    """Yield the overlapping runs of a sentence whose tags are wanted; in order, they name each token once."""
    ids = pieces(tokens)
    for start, end, first, last in windows(list(map(len, ids)), limit - 2):
        whole = _tokens(ids[start:end], np.full(end - start, -1), limit)
        yield Example(
            whole.ids, whole.positions[first - start : last - start], whole.labels[first - start : last - start]
        )


def _tokens(tokens: Sequence[np.ndarray], labels: np.ndarray, limit: int) -> Example:
    """The row of tokens that fit, each with its label at its first piece."""
    tokens = [token[: limit - 2] for token in tokens]
    starts = 1 + np.cumsum([0, *map(len, tokens)])[:-1]
    return Example(np.concatenate([[BOS], *tokens, [EOS]]), starts, labels)
