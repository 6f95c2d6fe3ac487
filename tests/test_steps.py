"""A run as a list of steps: what ``--until`` selects, what is made for it, and that every setting does something."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import json
import math
import os
import shlex
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from fairseq import options as fairseq_options

from csr.errors import ConfigError
from csr.experiments import translation
from csr.experiments.kinds import EXPERIMENTS, check_packages, kind_of, training_job
from csr.running.steps import Step, as_config, from_config, leading_to, selected, targets
from csr.settings import as_mapping, build

STEPS = [
    Step("prepare", ["prepare"], ["in.txt"], ["data.json"]),
    Step("csr seed 1", ["train"], ["data.json"], ["seed-1/model.pt"]),
    Step("csr seed 2", ["train"], ["data.json"], ["seed-2/model.pt"], temporary=True),
    Step("score csr seed 1", ["score"], ["seed-1/model.pt"], ["seed-1/scores.json"]),
    Step("score csr seed 2", ["score"], ["seed-2/model.pt"], ["seed-2/scores.json"]),
    Step("report", ["report"], ["seed-1/scores.json", "seed-2/scores.json"], ["report.html"]),
]


def test_until_selects_by_the_first_words_of_a_name():
    assert [step.name for step in selected(STEPS, "csr")] == ["csr seed 1", "csr seed 2"]
    assert [step.name for step in selected(STEPS, "score csr seed 2")] == ["score csr seed 2"]
    with pytest.raises(ConfigError, match="--until: expected prepare or csr or score or report, found 'prepar', did"):
        selected(STEPS, "prepar")
    with pytest.raises(ConfigError, match="found ''"):
        selected(STEPS, "")


def test_steps_lead_to_a_target_through_all_that_they_read():
    assert sorted(step.name for step in leading_to(STEPS, "score csr seed 2")) == [
        *["csr seed 2", "prepare", "score csr seed 2"]
    ]
    assert {step.name for step in leading_to(STEPS, "report")} == {step.name for step in STEPS}


def test_targets_are_what_is_made_and_what_it_is_made_of():
    assert targets(STEPS, "report") == ["report.html", "seed-1/scores.json", "seed-2/scores.json"]
    assert targets(STEPS, "prepare") == ["data.json"]
    # In place of the model that is deleted, the scores that it is needed for.
    assert targets(STEPS, "csr") == ["seed-1/model.pt", "data.json", "seed-2/scores.json"]


def test_steps_pass_through_json():
    steps = [Step("a b", ["c"], [Path("d")], [Path("e")], settings=[["--x"], None], threads=2, gpus=1), *STEPS]
    found = from_config(json.loads(json.dumps(as_config(steps))))
    assert as_config(found) == as_config(steps)
    assert found[0].log == "logs/a-b.log"


def test_infinity_among_settings_is_text_in_json():
    step = Step("a", ["c"], [], ["e"], settings={"noise": [{"temperature": math.inf}, 1.5]})
    assert json.loads(json.dumps(as_config([step]), allow_nan=False))["steps"][0]["settings"] == {
        "noise": [{"temperature": "inf"}, 1.5]
    }


def test_dictionaries_learn_capitals_from_the_texts_of_the_run():
    data = {"source_lang": "de", "target_lang": "en", "src": "a.de", "tgt": "a.en"}
    data |= {"monolingual": [{"lang": "en", "file": "m.en"}]}
    dictionary = {"lang": "en", "file": "de-en.txt"}
    lexicons = [{"method": "file", "files": [dictionary]}, {"method": "mixture", "sources": [dictionary]}]
    for lexicon in lexicons:
        steps = list(translation.steps(build({"data": data, "lexicon": lexicon}, translation.Config)))
        command = next(shlex.join(step.command) for step in steps if step.command[1] == "import")
        assert "--source-lang de --truecase-src data/text/train.de --target-lang en" in command
        assert command.endswith("--truecase-tgt data/text/train.en monolingual/text/train.en")


def test_files_with_braces_in_their_paths_are_told_by_their_time(tmp_path):
    """Snakemake would take ``{x}`` for a wildcard."""
    paths = [str(tmp_path / name) for name in ("{x}", "x", "a{b}c")]
    for number, path in enumerate(paths, 1):
        Path(path).touch()
        os.utime(path, ns=(0, number))
    (step,) = from_config(as_config([Step("a", ["b"], paths, ["out"], settings={"c": 1})]))
    assert step.inputs == [paths[1]]
    assert step.settings == [{"c": 1}, {paths[0]: 1, paths[2]: 3}]


TEXTS = [{"lang": "de", "file": "mono.de"}, {"lang": "en", "file": "mono.en"}]
FILES = [{"lang": "en", "file": "de-en.tsv"}, {"lang": "de", "file": "en-de.tsv"}]
PAIR = {"source_lang": "de", "target_lang": "en"}
SHORT = {"warmup": 0}
HALF = {"precision": "bf16"}
TASK = {"train": "t", "dev": "d", "tests": [{"lang": "de", "file": "x"}]}
ARMS = ["random", "baseline", "csr", "mask_restore_ft"]
WITH_TEXT = ["wbt", "bt", "bt_csr", "wbt_csr", "copy", "lexicon_only", "source_only"]
# Of each kind an experiment in which every arm is there, and variants of it: some settings go with some others alone.
WHOLE: dict[str, dict[str, Any]] = {
    "translation": {
        "data": {**PAIR, "src": "a", "tgt": "b", "monolingual": TEXTS},
        "dynamics": {"every": 500},
        "arms": [*ARMS, "iaft", "placebo", *WITH_TEXT],
    },
    "summarization": {"data": {**PAIR, "train": "a"}, "arms": [*ARMS, "iaft"]},
    "nli": {
        "data": {"lang": "en", "train": "a", "dev": "b", "tests": [{"lang": "de", "file": "c"}]},
        "lexicon": {"files": FILES[1:]},
        "backbone": {"texts": TEXTS},
        "arms": ARMS,
    },
    "pretraining": {
        "data": {"source_lang": "en", "target_lang": "de", "src": ["a"], "tgt": ["b"]},
        "lexicon": {"src": "c", "tgt": "d", "files": FILES[1:]},
        "nli": TASK,
        "ner": TASK,
    },
    "zero_shot": {
        "task": "ner",
        "encoders": [{"folder": "e"}],
        "data": {"lang": "en", **TASK},
        "lexicon": {"files": FILES[1:]},
    },
}
GIVEN = {
    "checkpoint": "m.pt",
    "dictionary": "d.txt",
    "sentencepiece": "s.model",
    "langs": ["de", "en", "fr"],
    "texts": [],
}
VARIANTS: list[dict[str, Any]] = [
    {},
    {"noise": {"policy": "fixed"}},
    {"noise": {"policy": "independent"}},
    {"noise": {"schedule": "linear"}},
    {"synthetic": {"word_rate": 0.5}},
    {"noise": {"replace": "mixture"}},
    {"lexicon": {"method": "ibm1"}},
    {"lexicon": {"method": "align"}},
    {"lexicon": {"method": "file", "files": FILES}},
    {"lexicon": {"method": "file", "files": FILES[:1]}},
    {
        "lexicon": {
            "method": "mixture",
            "sources": [{"lang": "en", "file": "x"}, {"method": "ibm1"}, {"method": "vecmap"}],
        }
    },
    {"lexicon": {"method": "mixture", "sources": [{"lang": "en", "file": "x"}, {"lang": "de", "file": "y"}]}},
    {"arms": ["csr", "csr_mono"], "restore": {"text": "both"}},
    {"data": {"monolingual": []}, "arms": ARMS},
    {"backbone": {"texts": TEXTS}},
    {"backbone": GIVEN},
    {"backbone": {"family": "encoder", "folder": "m", "langs": ["de", "en", "fr"], "texts": TEXTS}},
    {"backbone": {"preset": "cc25", "folder": "m", "texts": []}},
    {"backbone": {"train": HALF}, "restore": HALF, "finetune": HALF},
    {"data": {"dev_src": "e", "dev_tgt": "f", "test_src": "g", "test_tgt": "h"}},
    {"data": {"dev": "e", "test": "f"}},
    {"arms": ["none", "ibm"], "lexicon": {"files": []}},
    {"pretrain": {"warmup": 0}},
    {"pretrain": {"start": "e"}},
    {"restore": SHORT, "finetune": SHORT, "backbone": {"train": SHORT}},
]
# What a person reads, and nothing else: shown where a file is missing, printed below a table, drawn as curves.
FOR_PEOPLE = {"data.origin", "notes", "tensorboard", "wandb"}
# In nli: without the one a missing dictionary is refused; the other, which needs translations, always is.
REFUSING = {"lexicon.without", "noise.prefer_aligned"}


def leaves(settings: Any, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Name, type and value of every setting that is no section."""
    hints = typing.get_type_hints(type(settings))
    for field in dataclasses.fields(settings):
        value, name = getattr(settings, field.name), prefix + field.name
        if dataclasses.is_dataclass(value):
            yield from leaves(value, f"{name}.")
        elif name not in ("experiment", *FOR_PEOPLE):
            yield name, hints[field.name], value


def others(kind: Any, value: Any, name: str) -> Iterator[Any]:
    """Other values of a setting, as YAML has them; the first that is accepted will do."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        yield from others(arguments[0], value, name)
    elif origin is Literal:
        yield from (choice for choice in arguments if choice != value)
    elif kind is bool:
        yield not value
    elif kind in (int, float):
        yield from (number for number in (1, 2, 4, 500, 1000, 0.5, 0.25, 64) if number != value)
    elif kind is Path:
        yield "another"
    elif kind is str:
        yield from ("fr", "2MB")
    elif origin is tuple and value and dataclasses.is_dataclass(value[0]):
        yield [*_plain(value), {**_plain(value)[0], "lang": "fr"}]
        yield [{**item, "file": "another"} for item in _plain(value)]
        yield [{**item, "checkpoint": "another"} for item in _plain(value)]
    elif origin is tuple:
        items = list(value or ())
        yield from (items[:-1], [*items, 7], ["fr", "none"], ["fr"], ["de", "en", "fr"], [0.5])


def _plain(value: Any) -> Any:
    return [as_mapping(item) for item in value]


def changed(raw: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
    """Settings with one of them set."""
    head, _, rest = name.partition(".")
    return {**raw, head: changed(raw.get(head) or {}, rest, value) if rest else value}


def merged(raw: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Settings with those of a variant laid over them, section by section."""
    both = {**raw, **more}
    return {key: {**raw.get(key, {}), **value} if isinstance(value, dict) else value for key, value in both.items()}


def shown(settings: Any) -> list[Any]:
    """All that decides a run's results but the report, which shows every setting."""
    return as_config(step for step in kind_of(settings).steps(settings) if step.name != "report")["steps"]


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=pytest.mark.slow) if kind in ("translation", "summarization") else kind
        for kind in EXPERIMENTS
    ],
)
def test_every_setting_that_is_accepted_does_something(kind):
    """Each leaf of each variant is changed: the change is refused with its name, or some step changes."""
    whole = {"experiment": kind, **WHOLE[kind]}
    config = importlib.import_module(EXPERIMENTS[kind]).Config
    effective: set[str] = set()
    for variant in VARIANTS:
        try:
            raw = merged(whole, variant)
            settings = build(raw, config)
        except ConfigError:
            continue  # a variant of another kind
        before = shown(settings)
        # What a section of the variant may turn off stands in it, or is the task's data.
        near = {*variant, "data"} if variant else set(raw) | {field.name for field in dataclasses.fields(settings)}
        for name, hint, value in leaves(settings):
            if name.partition(".")[0] not in near:
                continue
            for other in others(hint, value, name):
                try:
                    after = build(changed(raw, name, other), config)
                except ConfigError:
                    continue
                if after == settings or (name.endswith("folder") and shown(after) == before):
                    continue  # a folder does something where there are relative paths
                assert shown(after) != before, f"{name}: {other!r} does nothing beside {variant}"
                effective.add(name)
                break
    assert {name for name, _, _ in leaves(build(whole, config))} - effective - (
        REFUSING if kind == "nli" else set()
    ) == set()


@pytest.mark.parametrize("kind", [kind for kind in EXPERIMENTS if kind != "zero_shot"])
def test_curves_are_asked_for_on_the_command_line_and_do_nothing_again(kind):
    whole = {"experiment": kind, **WHOLE[kind]}
    config = importlib.import_module(EXPERIMENTS[kind]).Config
    plain = build(whole, config)
    drawn = build({**whole, "tensorboard": True, "wandb": "mt"}, config)
    assert shown(drawn) == shown(plain)
    stage = kind_of(plain).ARMS[0]
    one, other = (training_job(settings, stage, 1, Path("r")) for settings in (plain, drawn))
    assert (one.command, one.shown) == (other.command, [])
    assert other.shown == ["--tensorboard-logdir", f"r/seed-1/{stage}/tensorboard", "--wandb-project", "mt"]
    parser = fairseq_options.get_training_parser()  # fairseq has these
    read = parser.parse_known_args(["data", *other.shown])[0]
    assert (read.tensorboard_logdir, read.wandb_project) == (f"r/seed-1/{stage}/tensorboard", "mt")


def test_a_package_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    settings = build({**WHOLE["translation"], "wandb": "mt"}, translation.Config)
    with pytest.raises(ConfigError, match=r"wandb: expected the package wandb, found none; pip install '.*\[wandb\]'"):
        check_packages(settings)
