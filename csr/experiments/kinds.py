"""The kinds of experiment that ``csr run`` knows; ``experiment: NAME`` in the YAML file chooses one."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

from csr.backbone.checkpoints import check_start
from csr.backbone.presets import preset_named
from csr.data.subwords import read_dictionary
from csr.errors import ConfigError, install
from csr.experiments.commands import flags
from csr.experiments.settings import Backbone, StagedExperiment
from csr.files import PathLike
from csr.running.fairseq import Job
from csr.running.steps import Step
from csr.settings import build, hint, input_files, read_yaml, shown

# Each kind and the module that describes it; the first is what a file without the key means.
EXPERIMENTS = {
    "translation": "csr.experiments.translation",
    "summarization": "csr.experiments.summarization",
    "nli": "csr.experiments.nli",
    "pretraining": "csr.experiments.pretraining",
    "zero_shot": "csr.experiments.crosslingual",
}


class Kind(Protocol):
    """What a module says about its kind of experiment; paths lie within the run folder."""

    Config: type
    """The settings: a dataclass for ``csr.settings.build``, a ``csr.experiments.settings.Experiment``."""
    STAGES: Collection[str]
    """The runs of fairseq-train."""
    ARMS: Collection[str]
    """The stages whose models are compared."""

    def steps(self, config: Any) -> Iterator[Step]:
        """The steps of a run, the report last."""

    def job(self, config: Any, stage: str, seed: int, run: Path = Path(), done: Path | None = None) -> Job:
        """A stage's run of fairseq-train.

        Args:
            run: where the paths in its command start, to show it.
            done: the run folder, whose prepared data may be read for it.
        """

    def report(self, config: Any, run: Path) -> None:
        """Write the report of a run, finished or not."""


class WritingKind(Kind, Protocol):
    """A kind whose arms write files on the test sets, which ``csr generate`` makes and ``csr score`` scores."""

    def generate_command(self, config: Any, arm: str, seed: int, run: Path = Path()) -> list[str]:
        """The command that makes an arm's outputs."""

    def generate(self, config: Any, arm: str, seed: int, run: Path) -> None:
        """Make an arm's outputs on the test sets."""

    def score(self, config: Any, arm: str, seed: int, run: Path) -> None:
        """Write an arm's ``scores.json``."""


def kind_of(config: Any) -> Kind:
    """The module of an experiment's kind."""
    return _module(config.experiment)


def writing_kind_of(config: Any) -> WritingKind:
    """The module of an experiment's kind, one whose arms write outputs.

    Raises:
        ConfigError: it is a kind whose steps score models themselves.
    """
    kind = _module(config.experiment)
    if not hasattr(kind, "generate"):
        raise ConfigError(f"experiment: expected a kind whose arms write outputs, found {config.experiment}")
    return cast(WritingKind, kind)


def training_job(config: Any, stage: str, seed: int, run: Path = Path(), done: Path | None = None) -> Job:
    """A stage's run of fairseq-train with what the settings show of it; arguments as ``Kind.job`` has them."""
    job = kind_of(config).job(config, stage, seed, run, done)
    if not isinstance(config, StagedExperiment):
        return job
    curves = run / job.folder / "tensorboard" if config.tensorboard else None
    return dataclasses.replace(job, shown=flags(tensorboard_logdir=curves, wandb_project=config.wandb))


def check_packages(config: Any) -> None:
    """Raise ConfigError for a setting whose package is not installed; fairseq would pass over it in silence."""
    for name in ("tensorboard", "wandb"):
        if getattr(config, name, None) and importlib.util.find_spec(name) is None:
            raise ConfigError(f"{name}: expected the package {name}, found none; {install(name)}")


def read_config(path: PathLike, overrides: Sequence[str] = ()) -> Any:
    """Read the settings of an experiment of any kind.

    Raises:
        ConfigError: the file is missing or no YAML, or a setting is unknown, missing, of the wrong type, out of
            range or at odds with another.
    """
    raw = read_yaml(path, overrides)
    kind = raw.get("experiment", next(iter(EXPERIMENTS)))
    try:
        if not isinstance(kind, str) or kind not in EXPERIMENTS:
            expected = " or ".join(EXPERIMENTS)
            raise ConfigError(f"experiment: expected {expected}, found {shown(kind)}{hint(kind, EXPERIMENTS)}")
        module = _module(kind)
        config: Any = build(raw, module.Config)
        more: dict[str, Any] = module.suited(config, raw) if hasattr(module, "suited") else {}
        return build(_merged(raw, more), module.Config) if more else config
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _merged(raw: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with others laid over them, section by section."""
    inner = {key: _merged(raw.get(key) or {}, value) for key, value in more.items() if isinstance(value, Mapping)}
    return {**raw, **more, **inner}


def check_files(config: Any) -> None:
    """Raise ConfigError for the first file that the settings name and that is not there."""
    for name, path in input_files(config):
        if not path.is_file():
            found = "found a folder" if path.is_dir() else "no such file"
            start = _start(config, name, path)
            raise ConfigError(f"{name}: {path}: {found} (relative paths start at {start}){_way(config, name, path)}")
    backbone = getattr(config, "backbone", None)
    if isinstance(backbone, Backbone) and backbone.preset:
        _check_backbone(backbone)


def _start(config: Any, name: str, path: Path) -> str:
    """Where the relative path of a setting starts: at the folder of its section, if that has one."""
    section = name.partition(".")[0]
    folder = getattr(getattr(config, section, None), "folder", None)
    return f"{section}.folder, {folder}" if folder and path.is_relative_to(folder) else "the current folder"


def _way(config: Any, name: str, path: Path) -> str:
    """Where a missing file is to be had from, as the end of a message; nothing of a file that is the user's own."""
    if name.startswith("backbone.") and (path.parent / "config.json").is_file():
        return (
            f"; {path.parent} looks like a folder of Hugging Face: csr import-hf {path.parent} FOLDER makes a backbone"
        )
    origin, folder = (getattr(config.data, key, None) for key in ("origin", "folder"))
    if not name.startswith("data.") or not origin or (folder and not path.is_relative_to(folder)):
        return ""
    return f"; the data set: {origin}"


def _check_backbone(backbone: Backbone) -> None:
    """Raise DataError unless checkpoint, dictionary and sizes go together, now rather than after an hour of lexicon."""
    checkpoint, dictionary = backbone.checkpoint, backbone.dictionary
    assert checkpoint is not None
    assert dictionary is not None
    preset, pieces = preset_named(str(backbone.preset)), read_dictionary(dictionary)
    settings: dict[str, Any] = {"encoder_embed_dim": backbone.dim, "encoder_ffn_embed_dim": backbone.ffn}
    settings |= {"encoder_layers": backbone.layers, "decoder_layers": backbone.layers}
    settings |= {"encoder_attention_heads": backbone.heads, "activation_fn": backbone.activation}
    check_start(checkpoint, settings, preset.vocabulary(pieces), len(pieces), preset, dictionary)


def _module(kind: str) -> Kind:
    return cast(Kind, importlib.import_module(EXPERIMENTS[kind]))
