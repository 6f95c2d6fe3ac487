"""The settings of one experiment: a YAML file with the papers' values as defaults; every slip is named.

Relative paths in the file start at the current folder.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import os
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from csr.errors import ConfigError
from csr.files import PathLike, write_text

Arm = Literal["random", "baseline", "iaft", "csr", "mask_restore_ft"]


def _setting(default: Any = dataclasses.MISSING, low: float = -math.inf, high: float = math.inf, **kwargs: Any) -> Any:
    """Return a dataclass field whose number, or whose numbers, must lie within [low, high]."""
    return field(default=default, metadata={"low": low, "high": high}, **kwargs)


@dataclass(frozen=True)
class Data:
    """The parallel corpus. Where no dev or test files are given, they are taken out of the training pairs."""

    source_lang: str
    target_lang: str
    src: Path
    tgt: Path
    folder: Path | None = None
    """Where the relative paths among the files of this section start."""
    dev_src: Path | None = None
    dev_tgt: Path | None = None
    test_src: Path | None = None
    test_tgt: Path | None = None
    dev_size: int = _setting(1000, low=1)
    test_size: int = _setting(1000, low=1)
    pieces: int = _setting(8000, low=32)
    max_words: int = _setting(250, low=1)
    max_ratio: float = _setting(9.0, low=1)
    origin: str | None = None
    """Where the data set is published, or how to make it; shown when a file is missing."""


@dataclass(frozen=True)
class Lexicon:
    """Word translations: Zan et al., section 4.1, or IBM Model 1 as Visser et al., section 3.1, or the user's files."""

    method: Literal["vecmap", "ibm1", "file"] = "vecmap"
    # Deviation: the paper leaves the number of neighbors open; 3 as in its released code.
    neighbors: int = _setting(3, low=1)
    dim: int = _setting(512, low=1)
    window: int = _setting(10, low=1)
    min_count: int = _setting(5, low=1)
    epochs: int = _setting(10, low=1)
    iterations: int = _setting(5, low=1)
    forward: Path | None = None
    backward: Path | None = None


@dataclass(frozen=True)
class Noise:
    """Switching in stage one: Zan et al., sections 4.2 and 3.2."""

    rate: float = _setting(0.35, low=0, high=1)
    mean_span: float = _setting(3.5, low=0.01)
    sources: float = _setting(0.1, low=0, high=1)
    """Arm iaft: share of the pairs whose sources get noise, drawn anew each epoch (section 5.1)."""


@dataclass(frozen=True)
class Training:
    """One run of fairseq-train; the values of Zan et al., sections 5.1 and 5.2, unless a field says otherwise."""

    updates: int = _setting(5000, low=1)
    lr: float = _setting(3e-5, low=0)
    warmup: int = _setting(2500, low=0)
    max_tokens: int = _setting(4096, low=1)
    update_freq: int = _setting(1, low=1)
    dropout: float = _setting(0.3, low=0, high=1)
    attention_dropout: float = _setting(0.1, low=0, high=1)
    label_smoothing: float = _setting(0.2, low=0, high=1)
    save_every: int = _setting(500, low=1)


@dataclass(frozen=True)
class Backbone:
    """The pretrained model: a fairseq checkpoint with its vocabulary, or a small one trained here on masks.

    The sizes are mBART-cc25's; a checkpoint's own must be given here.
    """

    checkpoint: Path | None = None
    dictionary: Path | None = None
    sentencepiece: Path | None = None
    langs: tuple[str, ...] = ()
    """Language ids of the model in its order; the two of the data where there are none."""
    layers: int = _setting(12, low=1)
    dim: int = _setting(1024, low=2)
    ffn: int = _setting(4096, low=1)
    heads: int = _setting(16, low=1)
    train: Training = Training(updates=20000, lr=5e-4, dropout=0.1, label_smoothing=0.1)


@dataclass(frozen=True)
class Generate:
    """Beam search: Zan et al., section 5.1."""

    beam: int = _setting(5, low=1)
    max_tokens: int = _setting(4096, low=1)


@dataclass(frozen=True)
class Distance:
    """Representation distance: Zan et al., Eq. 5, over at most this many test pairs."""

    sentences: int = _setting(20000, low=1)


@dataclass(frozen=True)
class Scores:
    """What an arm is scored by besides BLEU, chrF, word F-measure, distance and, where it can be told, language."""

    comet: str | None = None
    """COMET model: a name on the Hugging Face hub, or the absolute path of a folder or ``.ckpt`` file."""


@dataclass(frozen=True)
class Config:
    """One experiment: a language pair, its arms and its seeds."""

    data: Data
    lexicon: Lexicon = Lexicon()
    noise: Noise = Noise()
    backbone: Backbone = Backbone()
    restore: Training = Training()
    finetune: Training = Training(updates=25000)
    generate: Generate = Generate()
    distance: Distance = Distance()
    scores: Scores = Scores()
    arms: tuple[Arm, ...] = ("random", "baseline", "csr")
    seeds: tuple[int, ...] = _setting((1,), low=0)
    threads: int = _setting(1, low=1)
    """Threads of one training step; with 1, a CPU run repeats bit by bit."""
    workers: int = _setting(0, low=0)
    """Loader processes of one training step; the batches do not depend on it."""

    @property
    def langs(self) -> tuple[str, ...]:
        """Return the model's language ids in order."""
        return self.backbone.langs or (self.data.source_lang, self.data.target_lang)


def read_config(path: PathLike, overrides: Sequence[str] = ()) -> Config:
    """Read an experiment; each override is ``section.key=value`` with a YAML value.

    Raises:
        ConfigError: the file is missing or no YAML, or a setting is unknown, missing, of the wrong type, out of
            range or at odds with another.
    """
    try:
        with open(path, encoding="utf-8") as stream:
            raw = yaml.load(stream, _Loader)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: expected a YAML file, found a folder") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: expected UTF-8, found byte 0x{error.object[error.start]:02x}") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{path}:{line}: expected YAML, found {error.problem}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: expected YAML, found {error}") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: expected sections such as data and restore, found {_shown(raw)}")
    for override in overrides:
        _override(raw, override)
    try:
        return build(raw)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def build(raw: Mapping[str, Any]) -> Config:
    """Turn nested mappings, as YAML gives them, into a checked ``Config``."""
    config: Config = _typed(_in_folder(raw), Config, "")
    _check(config)
    return config


def as_mapping(config: Any) -> dict[str, Any]:
    """Return the settings as nested plain values, paths as text: what ``build`` takes."""
    return _plain(dataclasses.asdict(config))


def write_config(config: Config, path: PathLike) -> None:
    """Write every setting, defaults included, as YAML."""
    with write_text(path) as stream:
        yaml.safe_dump(as_mapping(config), stream, sort_keys=False, allow_unicode=True)


def input_files(config: Config) -> dict[str, Path]:
    """Return the files that the settings name, by the name of the setting."""
    return {
        f"{section.name}.{setting.name}": value
        for section in dataclasses.fields(config)
        if dataclasses.is_dataclass(values := getattr(config, section.name))
        for setting in dataclasses.fields(values)
        if isinstance(value := getattr(values, setting.name), Path) and setting.name != "folder"
    }


def check_files(config: Config) -> None:
    """Raise ConfigError for the first file that the settings name and that is not there."""
    for name, path in input_files(config).items():
        if not path.is_file():
            found = "found a folder" if path.is_dir() else "no such file"
            origin = f"; the data set: {config.data.origin}" if name.startswith("data.") and config.data.origin else ""
            raise ConfigError(f"{name}: {path}: {found} (relative paths start at the current folder){origin}")


class _Loader(yaml.SafeLoader):
    """YAML without its silent traps: a key given twice is an error."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key.value} twice", key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def _override(raw: dict[str, Any], text: str) -> None:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ConfigError(f"--set: expected section.key=value, found {text!r}")
    *sections, key = name.split(".")
    for section in sections:
        raw = raw.setdefault(section, {})
        if not isinstance(raw, dict):
            raise ConfigError(f"--set {text}: {section} is no section")
    try:
        raw[key] = yaml.load(value, _Loader)
    except yaml.YAMLError:
        raise ConfigError(f"--set {text}: expected a YAML value, found {value!r}") from None


def _in_folder(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """Put ``data.folder`` in front of the corpus files."""
    data = raw.get("data")
    if not isinstance(data, Mapping) or not isinstance(data.get("folder"), str):
        return raw
    files = {name for name, kind in typing.get_type_hints(Data).items() if kind in (Path, Path | None)} - {"folder"}
    joined = {key: os.path.join(data["folder"], data[key]) for key in files if isinstance(data.get(key), str)}
    return {**raw, "data": {**data, **joined}}


def _typed(value: Any, kind: Any, name: str, bounds: Mapping[str, float] | None = None, default: Any = None) -> Any:
    """Return a raw value as the annotated type ``kind``; ``default`` fills the keys that a section leaves out."""
    origin, choices = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:  # X | None
        return None if value is None else _typed(value, choices[0], name, bounds)
    if dataclasses.is_dataclass(kind):
        return _section(value, typing.cast(type, kind), name, default)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise ConfigError(f"{name}: expected a list, found {_shown(value)}")
        return tuple(_typed(item, choices[0], f"{name}[{i}]", bounds) for i, item in enumerate(value))
    if origin is Literal:
        if value not in choices:
            raise ConfigError(f"{name}: expected {' or '.join(choices)}, found {_shown(value)}{_hint(value, choices)}")
        return value
    if kind is float and isinstance(value, str):
        # YAML 1.1 reads 3e-5 as text: a number in that form needs a point (3.0e-5).
        try:
            value = float(value)
        except ValueError:
            raise ConfigError(f"{name}: expected a number, found {_shown(value)}") from None
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if kind is Path and isinstance(value, str) and value:
        return Path(os.path.abspath(Path(value).expanduser()))
    if not isinstance(value, kind) or isinstance(value, bool) or value == "":
        wanted = {int: "a whole number", float: "a number", str: "text", Path: "a path"}[kind]
        quote = " (quote it if it is text)" if kind is str and not isinstance(value, (dict, list)) else ""
        raise ConfigError(f"{name}: expected {wanted}, found {_shown(value)}{quote}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{name}: expected a finite number, found {value}")
    if bounds and isinstance(value, (int, float)) and not bounds["low"] <= value <= bounds["high"]:
        limits = [f"at least {bounds['low']:g}"] if bounds["low"] > -math.inf else []
        limits += [f"at most {bounds['high']:g}"] if bounds["high"] < math.inf else []
        raise ConfigError(f"{name}: expected {' and '.join(limits)}, found {value}")
    return value


def _section(raw: Any, kind: type, name: str, default: Any) -> Any:
    if not isinstance(raw, Mapping):
        raise ConfigError(f"{name}: expected settings such as {name}: {{key: value}}, found {_shown(raw)}")
    prefix = f"{name}." if name else ""
    hints = typing.get_type_hints(kind)
    for key in raw:
        if key not in hints:
            raise ConfigError(f"{prefix}{key}: unknown key{_hint(key, hints)}")
    values = {}
    for setting in dataclasses.fields(kind):
        fallback = getattr(default, setting.name, setting.default)
        if setting.name in raw:
            values[setting.name] = _typed(
                raw[setting.name], hints[setting.name], prefix + setting.name, setting.metadata or None, fallback
            )
        elif fallback is dataclasses.MISSING:
            raise ConfigError(f"{prefix}{setting.name}: missing")
        else:
            values[setting.name] = fallback
    return kind(**values)


def _check(config: Config) -> None:
    """Raise ConfigError for settings that contradict each other."""
    data, lexicon, backbone = config.data, config.lexicon, config.backbone
    if data.source_lang == data.target_lang:
        raise ConfigError(f"data.target_lang: expected another language than the source, found {data.target_lang!r}")
    for split in ("dev", "test"):
        sides = [side for side in ("src", "tgt") if getattr(data, f"{split}_{side}") is None]
        if len(sides) == 1:
            raise ConfigError(f"data.{split}_{sides[0]}: missing, the other side is given")
    for side in ("forward", "backward"):
        if (lexicon.method == "file") != (getattr(lexicon, side) is not None):
            problem = "missing, lexicon.method is" if lexicon.method == "file" else "given, expected lexicon.method"
            raise ConfigError(f"lexicon.{side}: {problem} file")
    for name in ("dictionary", "sentencepiece"):
        if (backbone.checkpoint is None) != (getattr(backbone, name) is None):
            problem = "given without" if backbone.checkpoint is None else "missing beside"
            raise ConfigError(f"backbone.{name}: {problem} backbone.checkpoint")
    for lang in (data.source_lang, data.target_lang):
        if lang not in config.langs:
            raise ConfigError(f"backbone.langs: expected {lang} among them, found {', '.join(config.langs)}")
    if backbone.dim % backbone.heads:
        raise ConfigError(
            f"backbone.dim: expected a multiple of backbone.heads ({backbone.heads}), found {backbone.dim}"
        )
    for name, values in (("arms", config.arms), ("seeds", config.seeds), ("backbone.langs", backbone.langs)):
        if len(set(values)) < len(values):
            raise ConfigError(f"{name}: expected each once, found {list(values)}")
        if not values and name != "backbone.langs":
            raise ConfigError(f"{name}: expected at least one")
    for name, stage in (
        ("backbone.train", backbone.train),
        ("restore", config.restore),
        ("finetune", config.finetune),
    ):
        if stage.warmup > stage.updates:
            raise ConfigError(f"{name}.warmup: expected at most {name}.updates ({stage.updates}), found {stage.warmup}")
        if stage.lr <= 0:
            raise ConfigError(f"{name}.lr: expected more than 0, found {stage.lr:g}")


def _hint(key: object, known: typing.Iterable[str]) -> str:
    close = difflib.get_close_matches(str(key), list(known), n=1)
    return f", did you mean {close[0]}?" if close else ""


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return "a section"
    if isinstance(value, (list, tuple)):
        return "a list"
    return "nothing" if value is None else repr(value).lower() if isinstance(value, bool) else repr(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
