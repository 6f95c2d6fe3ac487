"""The model card of an exported model: what it was trained on and how, all arms with their scores, and its licence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

import csr
from csr.experiments.stages import lineage, stage_folder
from csr.experiments.trained import Trained
from csr.files import read_object
from csr.report.html import without_folders
from csr.report.measures import arm_name
from csr.settings import as_mapping

_SCORES = {"bleu": "BLEU", "chrf": "chrF", "comet": "COMET"}
_TRANSLATES = """`csr translate FOLDER < source > target`, or:

```python
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

tokenizer, model = AutoTokenizer.from_pretrained(FOLDER), AutoModelForSeq2SeqLM.from_pretrained(FOLDER)
output = model.generate(**tokenizer(["..."], return_tensors="pt"))
print(tokenizer.batch_decode(output, skip_special_tokens=True))
```"""
_LABELS = """`csr classify FOLDER < pairs` (premise<TAB>hypothesis), or:

```python
from transformers import AutoModelForSequenceClassification, AutoTokenizer

tokenizer, model = AutoTokenizer.from_pretrained(FOLDER), AutoModelForSequenceClassification.from_pretrained(FOLDER)
logits = model(**tokenizer("premise", "hypothesis", return_tensors="pt")).logits
print(model.config.id2label[int(logits.argmax())])
```"""


def model_card(model: Trained, license: str | None = None) -> str:
    """The text of ``README.md`` for a model of translation, summarisation or inference, as model hubs read it.

    Args:
        license: of the weights, by the name that hubs have for it; without one the card says that it is to be named.

    Raises:
        DataError: a file of the run is damaged.
    """
    data, kind = model.config.data, model.config.experiment
    if kind == "nli":
        kind, title, use = "text-classification", f"inference in {data.lang}", _LABELS
        languages = list(dict.fromkeys([data.lang, *(test.lang for test in data.tests)]))
    else:
        languages = [data.source_lang, data.target_lang]
        title, use = "→".join(languages), f"It writes {'→'.join(languages)} and nothing else. {_TRANSLATES}"
    head: dict[str, Any] = {"language": languages, **({"license": license} if license else {})}
    head |= {"library_name": "transformers", "pipeline_tag": kind, "tags": ["code-switching"]}
    parts = [
        f"---\n{yaml.safe_dump(head, sort_keys=False, allow_unicode=True)}---",
        f"# {arm_name(model.arm)}, {title}",
        f"The arm `{model.arm}`, seed {model.seed}, of the run `{model.run.resolve().name}`, trained with CSR "
        f"{csr.__version__} (code-switching training).",
        f"## Use\n\n{use}",
        "## Training\n\n" + "\n".join(_stages(model)),
        "## Data\n\n" + "\n".join(_data(model)),
        "## Scores\n\n" + "\n".join(_scores(model)),
        _license(license),
    ]
    return "\n\n".join(parts) + "\n"


def _stages(model: Trained) -> Iterator[str]:
    """A line for each stage that the model came from, first to last, and its settings."""
    backbone = model.config.backbone
    if backbone.ready:
        yield f"* starts from the checkpoint `{backbone.checkpoint.name}` ({backbone.preset or backbone.family})"
    for stage in lineage(model.config, model.arm):
        timing = read_object(model.run / stage_folder(stage, model.seed) / "timing.json")
        numbers = f" in {timing['precision']}" if timing.get("precision") else ""
        yield f"* {stage}: {timing.get('updates')} updates{numbers}, the model is that of update {timing.get('chosen')}"
    settings = without_folders(as_mapping(model.config))
    shown = {name: settings[name] for name in ("lexicon", "noise", "restore", "finetune") if name in settings}
    yield f"\n```yaml\n{yaml.safe_dump(shown, sort_keys=False, allow_unicode=True)}```"


def _data(model: Trained) -> Iterator[str]:
    """How many pairs, and the files they came from with their hashes."""
    prepared = read_object(model.run / "data/prepare.json")
    counts = prepared.get("pairs", prepared.get("examples"))
    if isinstance(counts, Mapping):
        yield "Pairs: " + ", ".join(f"{n:,} {name}" for name, n in counts.items()) + ".\n"
    if model.config.data.origin:
        yield f"Published: {model.config.data.origin}\n"
    yield "| file | sha256 |\n|---|---|"
    for name, digest in read_object(model.run / "environment.json").get("inputs", {}).items():
        yield f"| {Path(name).name} | `{digest}` |"


def _scores(model: Trained) -> Iterator[str]:
    """A table of all arms of the run over its seeds, on its test set, and how each score was counted."""
    found: dict[tuple[str, int], dict[str, tuple[float, str]]] = {}
    for arm in model.config.arms:
        for seed in model.config.seeds:
            path = model.run / stage_folder(arm, seed) / "scores.json"
            found[arm, seed] = _named(read_object(path)) if path.is_file() else {}
    names = dict.fromkeys(name for scores in found.values() for name in scores)
    yield "| arm | seed | " + " | ".join(names) + " |"
    yield "|---|---|" + "---|" * len(names)
    for (arm, seed), scores in found.items():
        cells = [f"{scores[name][0]:.2f}" if name in scores else "–" for name in names]
        yield "| " + " | ".join([arm_name(arm), str(seed), *cells]) + " |"
    signed = {name: scores[name][1] for name in names for scores in found.values() if name in scores}
    yield "\n" + "\n".join(f"{name}: `{signature}`  " for name, signature in signed.items() if signature)


def _named(scores: Mapping[str, Any]) -> dict[str, tuple[float, str]]:
    """The scores of ``scores.json`` as tables call them, with their signatures, if they have one."""
    found = {label: scores[name] for name, label in _SCORES.items() if scores.get(name)} | scores.get("rouge", {})
    named = {name: (score["value"], score.get("signature", "")) for name, score in found.items()}
    accuracies = scores.get("accuracy", {}).items()
    return named | {f"accuracy {language}, %": (100 * score["value"], "") for language, score in accuracies}


def _license(license: str | None) -> str:
    named = (
        f"Of the weights: {license}."
        if license
        else (
            "Of the weights: **to be named** here and in the head of this file (`license:`), by whoever publishes them."
        )
    )
    return (
        f"## Licence\n\n{named} It depends on the licences of the data above, of its dictionaries and of the backbone, "
        "which are not repeated here. CSR itself is under the MIT licence."
    )
