"""Zero-shot transfer: the labels that a finetuned encoder gives to the test sets of several languages."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from csr.data.ner import Sentence, read_ner, write_ner
from csr.data.nli import NliExample, read_nli
from csr.data.text_labels import LabelledText, read_texts
from csr.evaluation.classification import accuracy, entity_f1, macro_f1
from csr.files import PathLike, file_name, write_json, write_text

if TYPE_CHECKING:
    from fairseq_plugins.labeller import Labeller


@dataclass(frozen=True)
class TestSet:
    """A file of labelled text, and which of its languages is to be read where its rows name one."""

    __test__ = False  # no test of pytest's

    file: Path
    language: str


def evaluate(
    labeller: Labeller, tests: Mapping[str, TestSet], out: PathLike, outside: Collection[str] = ()
) -> dict[str, Any]:
    """Write ``predictions/NAME.txt`` for each test set and ``scores.json``; return the scores by name.

    Args:
        tests: by name, such as the language.
        outside: types of entities that the model does not know, to be read as none.

    Raises:
        DataError: a test set is broken, or holds an entity of a type that the model does not know.
        ConfigError: a name cannot be that of a file.
    """
    for name in tests:
        file_name(name, "--test")
    folder = Path(out) / "predictions"
    scores = {
        name: _tagged(labeller, test.file, outside, folder / f"{name}.txt")
        if labeller.kind == "ner"
        else _classified(labeller, test, folder / f"{name}.txt")
        for name, test in tests.items()
    }
    write_json(Path(out) / "scores.json", scores)
    return scores


def _tagged(labeller: Labeller, path: PathLike, outside: Collection[str], out: Path) -> dict[str, Any]:
    types = {label[2:] for label in labeller.task.labels if label != "O"}
    sentences, counts = read_ner(path, types, outside)
    tags = labeller.tag([sentence.tokens for sentence in sentences])
    write_ner((Sentence(s.tokens, tuple(found)) for s, found in zip(sentences, tags, strict=True)), out)
    scores = entity_f1(tags, [sentence.tags for sentence in sentences])
    return dataclasses.asdict(scores) | {"sentences": len(sentences), "repaired": counts["repaired"]}


def _classified(labeller: Labeller, test: TestSet, out: Path) -> dict[str, Any]:
    rows: Sequence[NliExample | LabelledText]
    rows = read_nli(test.file, test.language) if labeller.kind == "nli" else read_texts(test.file, labeller.task.labels)
    labels = labeller.classify(rows)
    with write_text(out) as stream:
        stream.writelines(f"{label}\n" for label in labels)
    truth = [row.label for row in rows]
    found = accuracy(labels, truth)
    majority = Counter(truth).most_common(1)[0][1] / len(truth)
    scores = {"accuracy": found.value, **dataclasses.asdict(found), "majority": majority}
    return scores | ({"macro": macro_f1(labels, truth)} if labeller.kind == "text" else {})
