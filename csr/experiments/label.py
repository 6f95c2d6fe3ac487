"""Labels of new text by a model that was trained here: of pairs (inference), of texts, or of tokens (entities)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from csr.backbone.generation import is_exported
from csr.backbone.labelling import ExportedLabeller, Label
from csr.data.nli import NliExample
from csr.data.text_labels import LabelledText
from csr.errors import ConfigError, DataError
from csr.experiments.kinds import read_config
from csr.experiments.trained import expect_run, trained
from csr.files import PathLike

_LINES = 2000  # read at a time: texts of like length are labelled together


@dataclass(frozen=True)
class _Model:
    """How a line is cut, into how many parts (none for tokens, which get a label each), and what labels such rows."""

    cut: Callable[[str], list[str]]
    parts: tuple[int, ...]
    find: Callable[[Sequence[Sequence[str]]], Sequence[Sequence[Label]]]


def label(
    folder: PathLike,
    lines: Iterable[str],
    arm: str | None = None,
    seed: int | None = None,
    language: str | None = None,
    device: str | None = None,
) -> Iterator[list[tuple[str | None, Label]]]:
    """Yield the labels of each line: each token with its own, or one for all of the line; none for an empty line.

    Args:
        folder: of ``csr run`` on inference, of ``csr zero-shot finetune``, or one of Hugging Face.
        lines: texts, pairs with a tab between them, or tokens with spaces between them, as the model was trained on.
        arm, seed: which model of a run, as in ``trained``.
        language: of the pairs, for a run on inference; by default the one it was trained on.

    Raises:
        ConfigError: the folder has no such arm, seed or language.
        DataError: the folder holds no such model, or a line is no pair where pairs are read.
    """
    folder = Path(folder)
    if (folder / "config.yaml").is_file():
        model = _of_run(folder, arm, seed, language, device)
    else:
        expect_run(folder, arm=arm, seed=seed, language=language)
        model = _exported(folder, device) if is_exported(folder) else _finetuned(folder, device)
    numbered = enumerate(lines, 1)
    while block := list(itertools.islice(numbered, _LINES)):
        rows = [_row(model, number, line) for number, line in block]
        found = iter(model.find([row for row in rows if row]))
        for row in rows:
            labels = next(found) if row else []
            yield list(zip([None] if model.parts else row, labels, strict=False))


def _row(model: _Model, number: int, line: str) -> list[str]:
    row = model.cut(line) if line.strip() else []
    if row and model.parts and len(row) not in model.parts:
        wanted = "premise<TAB>hypothesis" if 2 in model.parts else "a text without a tab"
        raise DataError(f"line {number}: expected {wanted}, found {len(row)} columns")
    return row


def _columns(line: str) -> list[str]:
    return line.split("\t")


def _of_run(folder: Path, arm: str | None, seed: int | None, language: str | None, device: str | None) -> _Model:
    from fairseq_plugins import models, outputs

    kind = read_config(folder / "config.yaml").experiment
    if kind in ("zero_shot", "pretraining"):
        models_of = sorted(path.parent.relative_to(folder) for path in folder.glob("seed-*/*/*/**/model.pt"))
        held = f"such as {models_of[0]}" if models_of else "which keep_models: true leaves there"
        raise ConfigError(f"{folder}: expected the folder of one of its models, {held}; found a run of {kind}")
    found = trained(folder, ["nli"], arm, seed)
    model = models.read_model(found.checkpoint, found.data, found.pieces, device=device)
    language = language or found.config.data.lang
    model.task.language_id(language)  # one that it does not know is told before anything is read
    return _Model(
        _columns, (2,), lambda rows: [[one] for one in outputs.label_pairs(model, rows, language, found.pieces)]
    )


def _exported(folder: Path, device: str | None) -> _Model:
    model = ExportedLabeller(folder, device)
    if model.tags:
        return _Model(str.split, (), model.tagged)
    return _Model(_columns, (1, 2), lambda rows: [[one] for one in model.labels(rows)])


def _finetuned(folder: Path, device: str | None) -> _Model:
    from fairseq_plugins.labeller import read_labeller

    model = read_labeller(folder / "model.pt", device=device)
    if model.kind == "ner":
        return _Model(str.split, (), model.tags)
    nli, name = model.kind == "nli", model.task.labels[0]  # of the label that a row has nobody asks

    def find(rows: Sequence[Sequence[str]]) -> list[list[Label]]:
        examples = [NliExample(row[0], row[1], name) if nli else LabelledText(row[0], name) for row in rows]
        return [[one] for one in model.labels(examples)]

    return _Model(_columns, (2,) if nli else (1,), find)
