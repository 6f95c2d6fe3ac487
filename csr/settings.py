"""Settings: a YAML file into a tree of dataclasses, each slip named; nothing here knows what the settings mean.

A section is a frozen dataclass. Its fields are annotated with ``int``, ``float``, ``str``, ``bool``, ``Path``, another
section, ``tuple[X, ...]``, ``Literal[...]`` or ``X | None``; ``setting`` gives a number its range. A section that has
a field ``folder`` finds its relative paths there, unless the field says ``root=False``; other relative paths start at
the current folder. A section that has a method ``check(prefix)`` raises ConfigError there for settings at odds with
each other; ``prefix`` goes before their names. ``csr.options`` makes the options of a command from the same
declaration.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import math
import os
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

from csr.errors import ConfigError
from csr.files import PathLike, write_text

T = TypeVar("T")


def setting(
    default: Any = dataclasses.MISSING,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    help: str = "",
    source: str = "",
    needs: tuple[str, tuple[str, ...]] | None = None,
    infinite: bool = False,
    root: bool = True,
    **kwargs: Any,
) -> Any:
    """A dataclass field: one setting, declared once.

    Args:
        low, high: its number, or its numbers, must lie within [low, high]; at infinity only if ``infinite``.
        help: what it is, with the unit: the help of the command line.
        source: paper and section of the default.
        needs: another setting and the values of it with which alone this one does something; see ``check_needs``.
        root: of a field ``folder``, whether the relative paths of its section start there.
    """
    metadata = {"low": low, "high": high, "help": help, "source": source, "needs": needs, "infinite": infinite}
    return field(default=default, metadata=metadata | {"root": root}, **kwargs)


def _rooted(section: type) -> bool:
    """Whether a section, by its class, has a field ``folder`` at which its relative paths start."""
    return any(item.name == "folder" and item.metadata.get("root", True) for item in dataclasses.fields(section))


def like(settings: Any, name: str) -> Any:
    """A dataclass field for a setting of another section, which these are of: its range, help and value there."""
    item = next(item for item in dataclasses.fields(settings) if item.name == name)
    return field(default=getattr(settings, name), metadata={**item.metadata, "needs": None})


def check_needs(settings: Any, defaults: Any, prefix: str) -> None:
    """Raise ConfigError for a setting that is not the default and does nothing beside the others."""
    for item in dataclasses.fields(settings):
        if item.metadata.get("needs") and getattr(settings, item.name) != getattr(defaults, item.name):
            other, values = item.metadata["needs"]
            if (found := getattr(settings, other)) not in values:
                needed = f"{name_of(prefix, other)} {' or '.join(values)}"
                raise ConfigError(f"{name_of(prefix, item.name)}: expected with {needed} alone, found {found}")


def expect_default(section: Any, names: Iterable[str], prefix: str, why: str) -> None:
    """Raise ConfigError for a setting that is not its default and does nothing; ``why`` ends the message."""
    fields = {item.name: item for item in dataclasses.fields(section)}
    for name in names:
        if getattr(section, name) != fields[name].default:
            raise ConfigError(f"{prefix}{name}: {why}")


def name_of(prefix: str, name: str) -> str:
    """A setting as a message names it: ``noise.mean_span``, or ``--mean-span`` where the prefix is ``--``."""
    return prefix + (name.replace("_", "-") if prefix == "--" else name)


def read_yaml(path: PathLike, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Read the sections of a YAML file; each override is ``section.key=value`` with a YAML value.

    Raises:
        ConfigError: the file is missing or no YAML, or an override has another form.
    """
    try:
        with open(path, encoding="utf-8") as stream:
            raw = parse_yaml(stream.read(), path)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: expected a YAML file, found a folder") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: expected UTF-8, found byte 0x{error.object[error.start]:02x}") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: expected sections such as data and restore, found {shown(raw)}")
    for override in overrides:
        _override(raw, override)
    return raw


def parse_yaml(text: str, place: PathLike) -> Any:
    """The value that a YAML text stands for.

    Raises:
        ConfigError: it is no YAML, or a key comes twice; says the place it came from.
    """
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{place}:{line}: expected YAML, found {error.problem}") from None
    except RecursionError:
        raise ConfigError(f"{place}: expected YAML, found values too deep in one another") from None
    except (yaml.YAMLError, ValueError) as error:  # such as a date that is none
        raise ConfigError(f"{place}: expected YAML, found {' '.join(str(error).split())}") from None


def build(raw: Mapping[str, Any], kind: type[T]) -> T:
    """Turn nested mappings, as YAML gives them, into the dataclass ``kind``.

    Raises:
        ConfigError: a setting is unknown, missing, of the wrong type or out of range.
    """
    return typing.cast(T, _section(raw, kind, "", None))


def as_mapping(settings: Any) -> dict[str, Any]:
    """The settings as nested plain values, paths as text: what ``build`` takes."""
    return _plain(dataclasses.asdict(settings))


def write_settings(settings: Any, path: PathLike) -> None:
    """Write every setting, defaults included, as YAML."""
    with write_text(path) as stream:
        yaml.safe_dump(as_mapping(settings), stream, sort_keys=False, allow_unicode=True)


def input_files(settings: Any, prefix: str = "") -> Iterator[tuple[str, Path]]:
    """Yield the files that the settings name, each after the name of its setting."""
    for item in dataclasses.fields(settings):
        value, name = getattr(settings, item.name), prefix + item.name
        if dataclasses.is_dataclass(value):
            yield from input_files(value, f"{name}.")
        elif isinstance(value, tuple):
            for i, part in enumerate(value):
                if dataclasses.is_dataclass(part):
                    yield from input_files(part, f"{name}[{i}].")
                elif isinstance(part, Path):
                    yield f"{name}[{i}]", part
        elif isinstance(value, Path) and item.name != "folder":
            yield name, value


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
    raw[key] = parse_yaml(value, f"--set {name}")


def typed(
    value: Any,
    kind: Any,
    name: str,
    bounds: Mapping[str, Any] | None = None,
    default: Any = None,
    folder: str = "",
) -> Any:
    """A raw value as the annotated type ``kind``; ``name`` is what messages call it.

    ``bounds`` is the metadata of its field (``setting``); ``default`` fills the keys that a section leaves out;
    relative paths start at ``folder``.
    """
    origin, choices = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):  # X | None; the second where X is a Literal
        return None if value is None else typed(value, choices[0], name, bounds, folder=folder)
    if dataclasses.is_dataclass(kind):
        return _section(value, typing.cast(type, kind), name, default, folder)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise ConfigError(f"{name}: expected a list, found {shown(value)}")
        return tuple(typed(item, choices[0], f"{name}[{i}]", bounds, folder=folder) for i, item in enumerate(value))
    if origin is Literal:
        if value not in choices:
            raise ConfigError(f"{name}: expected {' or '.join(choices)}, found {shown(value)}{hint(value, choices)}")
        return value
    if kind is float and isinstance(value, str):
        # YAML 1.1 reads 3e-5 as text: a number in that form needs a point (3.0e-5).
        try:
            value = float(value)
        except ValueError:
            raise ConfigError(f"{name}: expected a number, found {shown(value)}") from None
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if kind is Path and isinstance(value, str) and value:
        return Path(os.path.abspath(Path(folder, Path(value).expanduser())))
    if not isinstance(value, kind) or isinstance(value, bool) != (kind is bool) or value == "":
        wanted = {int: "a whole number", float: "a number", str: "text", Path: "a path", bool: "true or false"}[kind]
        quote = " (quote it if it is text)" if kind is str and not isinstance(value, (dict, list)) else ""
        raise ConfigError(f"{name}: expected {wanted}, found {shown(value)}{quote}")
    if isinstance(value, float) and not (math.isfinite(value) or (value == math.inf and bounds and bounds["infinite"])):
        raise ConfigError(f"{name}: expected a finite number, found {value}")
    if bounds and isinstance(value, (int, float)) and not bounds["low"] <= value <= bounds["high"]:
        limits = [f"at least {bounds['low']:g}"] if bounds["low"] > -math.inf else []
        limits += [f"at most {bounds['high']:g}"] if bounds["high"] < math.inf else []
        raise ConfigError(f"{name}: expected {' and '.join(limits)}, found {value}")
    return value


_hints = functools.cache(typing.get_type_hints)  # of a section's class, by field


def _section(raw: Any, kind: type, name: str, default: Any, folder: str = "") -> Any:
    if not isinstance(raw, Mapping):
        raise ConfigError(f"{name}: expected settings such as {name}: {{key: value}}, found {shown(raw)}")
    prefix = f"{name}." if name else ""
    hints = _hints(kind)
    for key in raw:
        if key not in hints:
            raise ConfigError(f"{prefix}{key}: unknown key{hint(key, hints)}")
    own = raw.get("folder") if _rooted(kind) else None
    inside = os.path.join(folder, own) if isinstance(own, str) else folder
    values = {}
    for item in dataclasses.fields(kind):
        fallback = getattr(default, item.name, item.default)
        if item.name in raw:
            start = folder if item.name == "folder" else inside
            label, bounds = prefix + item.name, item.metadata or None
            values[item.name] = typed(raw[item.name], hints[item.name], label, bounds, fallback, start)
        elif fallback is dataclasses.MISSING:
            raise ConfigError(f"{prefix}{item.name}: missing")
        else:
            values[item.name] = fallback
    section = kind(**values)
    if hasattr(section, "check"):
        section.check(prefix)
    return section


def expect_unique(name: str, values: Sequence[Any], least: int = 1) -> None:
    """Raise ConfigError unless a list has each value once, and at least one (or ``least`` = 0)."""
    if len(set(values)) < len(values):
        raise ConfigError(f"{name}: expected each once, found {list(values)}")
    if len(values) < least:
        raise ConfigError(f"{name}: expected at least one")


def hint(key: object, known: typing.Iterable[str]) -> str:
    """The known key nearest to an unknown one, as the end of a message: ``, did you mean …?``"""
    close = difflib.get_close_matches(str(key), list(known), n=1)
    return f", did you mean {close[0]}?" if close else ""


def shown(value: Any) -> str:
    """A value as a message names it."""
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
