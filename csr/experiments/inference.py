"""Inference in several languages by one model: the labels it gives and their accuracy."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from csr.errors import DataError
from csr.evaluation.classification import accuracy
from csr.files import PathLike, file_name, read_lines, write_text


def classify(
    checkpoint: PathLike,
    data: PathLike,
    out: PathLike,
    split: str = "test",
    languages: Sequence[str] = (),
    device: str | None = None,
) -> dict[str, Path]:
    """Label a split in each language and write ``out/SPLIT.LANG.hyp``, a label a line; return these files.

    Args:
        checkpoint: a model trained by ``csr_nli``.
        data: folder ``bin`` of ``csr prepare-nli``.
        languages: all that the split has, by default.
    """
    from fairseq_plugins.models import read_model
    from fairseq_plugins.outputs import predict

    languages = languages or languages_of(data, file_name(split, "--split"))
    model = read_model(checkpoint, data, device=device)
    outputs = {}
    for language in languages:
        outputs[language] = Path(out) / f"{split}.{language}.hyp"
        with write_text(outputs[language]) as stream:
            stream.writelines(f"{label}\n" for label in predict(model, data, split, language))
    return outputs


def languages_of(data: PathLike, split: str) -> list[str]:
    """The languages that a split has labels in.

    Raises:
        DataError: there are none.
    """
    found = [path.name.split(".")[1] for path in sorted(Path(data).glob(f"{split}.*.labels"))]
    if not found:
        raise DataError(f"{data}: expected {split}.LANG.labels of csr prepare-nli, found none")
    return found


def scored(outputs: Mapping[str, PathLike], data: PathLike, split: str, trained: str) -> dict[str, Any]:
    """The accuracy in each language, that of the commonest training label, and their averages.

    The averages are over the languages that the model was not trained on, if there are such.
    """
    common = Counter(read_lines(Path(data) / f"train.{trained}.labels")).most_common(1)[0][0]
    found: dict[str, Any] = {}
    majority: dict[str, Any] = {}
    for language, path in outputs.items():
        truth = list(read_lines(Path(data) / f"{split}.{language}.labels"))
        result = accuracy(list(read_lines(path)), truth)
        found[language] = dataclasses.asdict(result) | {"value": result.value}
        majority[language] = accuracy([common] * len(truth), truth).value
    others = [language for language in found if language != trained] or list(found)
    return {
        "accuracy": found,
        "average": fmean(found[language]["value"] for language in others),
        "majority": majority,
        "majority_average": fmean(majority[language] for language in others),
    }
