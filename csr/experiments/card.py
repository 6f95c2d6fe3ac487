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
from csr.report.measures import arm_name
from csr.settings import as_mapping

_SCORES = {"bleu": "BLEU", "chrf": "chrF", "comet": "COMET", "rouge": "ROUGE-L"}


def model_card(model: Trained, license: str | None = None) -> str:
    """The text of ``README.md`` for a model of translation or summarisation, as model hubs read it.

    Args:
        license: of the weights, by the name that hubs have for it; without one the card says that it is to be named.

    Raises:
        DataError: a file of the run is damaged.
    """
    data = model.config.data
    pair = f"{data.source_lang}→{data.target_lang}"
    head: dict[str, Any] = {"language": [data.source_lang, data.target_lang]}
    head |= {"license": license} if license else {}
    head |= {"library_name": "transformers", "pipeline_tag": model.config.experiment, "tags": ["code-switching"]}
    parts = [
        f"---\n{yaml.safe_dump(head, sort_keys=False, allow_unicode=True)}---",
        f"# {arm_name(model.arm)}, {pair}",
        f"The arm `{model.arm}`, seed {model.seed}, of the run `{model.run.resolve().name}`, trained with CSR "
        f"{csr.__version__} (code-switching training).",
        _use(pair),
        "## Training\n\n" + "\n".join(_stages(model)),
        "## Data\n\n" + "\n".join(_data(model)),
        "## Scores\n\n" + "\n".join(_scores(model)),
        _license(license),
    ]
    return "\n\n".join(parts) + "\n"


def _use(pair: str) -> str:
    return f"""## Use

It writes {pair} and nothing else. `csr translate FOLDER < source > target`, or:

```python
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

tokenizer, model = AutoTokenizer.from_pretrained(FOLDER), AutoModelForSeq2SeqLM.from_pretrained(FOLDER)
output = model.generate(**tokenizer(["..."], return_tensors="pt"))
print(tokenizer.batch_decode(output, skip_special_tokens=True))
```"""


def _stages(model: Trained) -> Iterator[str]:
    """A line for each stage that the model came from, first to last, and its settings."""
    backbone = model.config.backbone
    if backbone.ready:
        yield f"* starts from the checkpoint `{backbone.checkpoint.name}` ({backbone.preset or backbone.family})"
    for stage in lineage(model.config, model.arm):
        timing = read_object(model.run / stage_folder(stage, model.seed) / "timing.json")
        yield f"* {stage}: {timing.get('updates')} updates, the model is that of update {timing.get('chosen')}"
    settings = as_mapping(model.config)
    shown = {name: settings[name] for name in ("lexicon", "noise", "restore", "finetune") if name in settings}
    yield f"\n```yaml\n{yaml.safe_dump(shown, sort_keys=False, allow_unicode=True)}```"


def _data(model: Trained) -> Iterator[str]:
    """How many pairs, and the files they came from with their hashes."""
    prepared = read_object(model.run / "data/prepare.json")
    counts = prepared.get("pairs")
    if isinstance(counts, Mapping):
        yield "Pairs: " + ", ".join(f"{n:,} {name}" for name, n in counts.items()) + ".\n"
    if model.config.data.origin:
        yield f"Published: {model.config.data.origin}\n"
    yield "| file | sha256 |\n|---|---|"
    for name, digest in read_object(model.run / "environment.json").get("inputs", {}).items():
        yield f"| {Path(name).name} | `{digest}` |"


def _scores(model: Trained) -> Iterator[str]:
    """A table of all arms of the run over its seeds, on its test set, and how each score was counted."""
    rows: list[list[str]] = []
    names: dict[str, str] = {}
    for arm in model.config.arms:
        for seed in model.config.seeds:
            path = model.run / stage_folder(arm, seed) / "scores.json"
            found = {name: _value(value) for name, value in read_object(path).items()} if path.is_file() else {}
            names |= {name: signature for name, (_, signature) in found.items() if name in _SCORES and signature}
            cells = [f"{found[name][0]:.2f}" if name in found and found[name][1] else "–" for name in _SCORES]
            rows.append([arm_name(arm), str(seed), *cells])
    shown = [i for i, name in enumerate(_SCORES) if name in names]
    yield "| arm | seed | " + " | ".join(list(_SCORES.values())[i] for i in shown) + " |"
    yield "|---|---|" + "---|" * len(shown)
    for row in rows:
        yield "| " + " | ".join([*row[:2], *(row[2 + i] for i in shown)]) + " |"
    yield "\n" + "\n".join(f"{_SCORES[name]}: `{names[name]}`  " for name in _SCORES if name in names)


def _value(found: Any) -> tuple[float, str]:
    """Value and signature of a score as ``scores.json`` has it; no signature of what is none."""
    if isinstance(found, dict) and {"value", "signature"} <= set(found):
        return float(found["value"]), str(found["signature"])
    return 0.0, ""


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
