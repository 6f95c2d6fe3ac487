"""Paired tests of fine-tuned encoders on a test set, over its examples and over seeds."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from csr.data.ner import read_ner
from csr.data.nli import read_nli
from csr.data.text_labels import read_texts
from csr.evaluation.classification import entity_statistics, read_tags
from csr.evaluation.significance import Statistics, means, paired_bootstrap_over_seeds
from csr.experiments.encoders import Task
from csr.files import read_lines

Model = TypeVar("Model", bound=Hashable)


def compared(
    task: Task,
    tests: Iterable[tuple[str, str, Path]],
    outside: Iterable[str],
    folders: Mapping[Model, Mapping[Any, Path]],
    pairs: Sequence[tuple[Model, Model]],
) -> Iterator[tuple[Model, Model, dict[str, Any]]]:
    """Yield each pair of models on each test set with the difference of their scores, by the seeds that both have.

    Pairs without such seeds are left out. The score is accuracy, of named entities the macro F1, 0 to 1.

    Args:
        tests: name, language and file of each test set.
        outside: types of entities that are read as none.
        folders: of each model, by seed, with its ``predictions/NAME.txt``.
    """
    for name, language, file in tests:
        labels = _truth(task, file, language, outside)
        counts = {
            model: {
                seed: _statistics(task, folder / "predictions" / f"{name}.txt", labels)
                for seed, folder in by_seed.items()
            }
            for model, by_seed in folders.items()
        }
        for model, other in pairs:
            seeds = sorted(counts.get(model, {}).keys() & counts.get(other, {}).keys())
            if seeds:
                ours, theirs = ([counts[one][seed] for seed in seeds] for one in (model, other))
                each = [one.value - another.value for one, another in zip(ours, theirs, strict=True)]
                tested = {"test": name, "seeds": seeds, "each": each}
                yield model, other, tested | paired_bootstrap_over_seeds(ours, theirs).as_dict()


def _truth(task: Task, file: Path, language: str, outside: Iterable[str]) -> list[Any]:
    """The labels of a test set: one of each row, or the tags of each sentence."""
    if task == "ner":
        return [list(sentence.tags) for sentence in read_ner(file, outside=set(outside))[0]]
    rows = read_nli(file, language) if task == "nli" else read_texts(file)
    return [row.label for row in rows]


def _statistics(task: Task, predictions: Path, labels: Sequence[Any]) -> Statistics:
    if task == "ner":
        return entity_statistics(read_tags(predictions), labels)
    return means([float(ours == label) for ours, label in zip(read_lines(predictions), labels, strict=True)])
