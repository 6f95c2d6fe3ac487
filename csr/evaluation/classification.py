"""Scores of predicted labels: accuracy for inference and masked words, entity F1 for named entities by seqeval."""

from __future__ import annotations

import importlib.util
import logging
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from csr.data.ner import read_columns
from csr.errors import ConfigError, DataError, install
from csr.evaluation.significance import Statistics
from csr.files import PathLike

logger = logging.getLogger(__name__)

_TAG = re.compile(r"O|[BI]-\S+")


@dataclass(frozen=True)
class Accuracy:
    """A share of right predictions: of labels, or of the masked tokens a language model predicts."""

    correct: int
    total: int

    @property
    def value(self) -> float | None:
        """The share in [0, 1]; None where nothing was predicted."""
        return self.correct / self.total if self.total else None


@dataclass(frozen=True)
class EntityScores:
    """Entity F1 in [0, 1]; None where neither outputs nor references hold an entity.

    Attributes:
        micro: over all entities.
        macro: mean over the types that occur in outputs or references.
        types: F1 of each type.
        n_entities: entities in the references.
    """

    micro: float | None
    macro: float | None
    types: Mapping[str, float]
    n_entities: int


def labelled(hyp: Sequence[str], ref: Sequence[str]) -> tuple[list[str], list[str]]:
    """The labels of the rows that have one in the references, and these; an empty label of the outputs is wrong.

    Both are warned of.
    """
    pairs = [(ours.strip(), truth.strip()) for ours, truth in zip(hyp, ref, strict=True) if truth.strip()]
    if len(pairs) < len(ref):
        logger.warning(
            f"{len(ref) - len(pairs):,} of {len(ref):,} references have no label and are left out: expected one a row, "
            "as test sets are published with and without them"
        )
    if n_empty := sum(not ours for ours, _ in pairs):
        logger.warning(f"{n_empty:,} of {len(pairs):,} outputs have no label and are wrong")
    if not pairs:
        raise DataError("expected labels to compare with, found none in the references")
    return [ours for ours, _ in pairs], [truth for _, truth in pairs]


def accuracy(hyp: Sequence[str], ref: Sequence[str]) -> Accuracy:
    """The share of equal labels.

    >>> accuracy(["neutral", "entailment"], ["neutral", "contradiction"]).value
    0.5
    """
    if len(hyp) != len(ref):
        raise DataError(f"expected a label for each reference, found {len(hyp)} labels and {len(ref)} references")
    return Accuracy(sum(a == b for a, b in zip(hyp, ref, strict=True)), len(ref))


def has_learned(score: Mapping[str, float | None]) -> bool:
    """Whether a model is better than no model, by its ``scores.json`` of one test set.

    Of labels: the accuracy is more than two standard errors above the share of the most frequent label. Of named
    entities: one of them is right.

    >>> has_learned({"accuracy": 0.35, "majority": 1 / 3, "total": 2490})
    False
    """
    if "majority" not in score:
        return bool(score["macro"])
    accuracy, majority, total = (score[name] or 0.0 for name in ("accuracy", "majority", "total"))
    return accuracy - majority > 2 * math.sqrt(majority * (1 - majority) / total)


def macro_f1(hyp: Sequence[str], ref: Sequence[str]) -> float:
    """The mean of the labels' F1, in [0, 1], over those that occur in outputs or references.

    >>> round(macro_f1(["a", "a", "b"], ["a", "b", "b"]), 4)  # F1 of a: 2/3, of b: 2/3
    0.6667
    """
    if importlib.util.find_spec("sklearn") is None:
        raise ConfigError(f"macro F1 needs scikit-learn: {install('eval')}")
    from sklearn.metrics import f1_score

    return float(f1_score(list(ref), list(hyp), average="macro", zero_division=0))


def entity_f1(hyp: Sequence[Sequence[str]], ref: Sequence[Sequence[str]]) -> EntityScores:
    """Entity-level F1 of BIO tags as conlleval and seqeval count: type and both ends must be right.

    As there, an ``I-`` tag that continues nothing begins an entity.
    """
    if importlib.util.find_spec("seqeval") is None:
        raise ConfigError(f"entity F1 needs seqeval: {install('eval')}")
    from seqeval.metrics import classification_report

    if len(hyp) != len(ref):
        raise DataError(f"expected tags for {len(ref)} sentences, found {len(hyp)}")
    for number, (ours, truth) in enumerate(zip(hyp, ref, strict=True), 1):
        if len(ours) != len(truth):
            raise DataError(f"sentence {number}: expected {len(truth)} tags, found {len(ours)}")
    if all(tag == "O" for tags in (*hyp, *ref) for tag in tags):
        return EntityScores(None, None, {}, 0)
    report = classification_report(list(map(list, ref)), list(map(list, hyp)), output_dict=True, zero_division=0)
    micro, macro, _ = report.pop("micro avg"), report.pop("macro avg"), report.pop("weighted avg")
    types = {name: float(found["f1-score"]) for name, found in report.items()}
    return EntityScores(float(micro["f1-score"]), float(macro["f1-score"]), types, int(micro["support"]))


def entity_statistics(hyp: Sequence[Sequence[str]], ref: Sequence[Sequence[str]]) -> Statistics:
    """The macro F1 of ``entity_f1`` as counts of each sentence, for tests of significance: 0 where there are none.

    Of each type: entities that are right, entities in the output, entities in the reference.
    """
    from seqeval.metrics.sequence_labeling import get_entities

    rows = [
        (set(get_entities(list(ours))), set(get_entities(list(truth)))) for ours, truth in zip(hyp, ref, strict=True)
    ]
    types = sorted({entity[0] for row in rows for entities in row for entity in entities})
    counts = [
        [sum(entity[0] == name for entity in found) for name in types for found in (ours & truth, ours, truth)]
        for ours, truth in rows
    ]

    def macro(sums: np.ndarray) -> float:
        right, found, there = sums.reshape(-1, 3).T
        occurs = found + there > 0
        return float(np.mean(2 * right[occurs] / (found + there)[occurs])) if occurs.any() else 0.0

    return Statistics(np.array(counts, dtype=float).reshape(len(rows), -1), macro)


def read_tags(path: PathLike) -> list[list[str]]:
    """Read the tags of lines of a token and its tag (or bare tags), an empty line after each sentence.

    Raises:
        DataError: a tag is not ``O``, ``B-TYPE`` or ``I-TYPE``, or there is none.
    """
    sentences: list[list[str]] = [[]]
    for number, columns in read_columns(path):
        if columns:
            tag = columns[-1]
            if not _TAG.fullmatch(tag):
                raise DataError(f"{path}:{number}: expected token<TAB>tag with tag O, B-TYPE or I-TYPE, found {tag!r}")
            sentences[-1].append(tag)
        elif sentences[-1]:
            sentences.append([])
    if not sentences[0]:
        raise DataError(f"{path}: expected at least one sentence, found none")
    return [tags for tags in sentences if tags]
