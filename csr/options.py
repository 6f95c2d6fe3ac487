"""Options of a command from a settings dataclass: declared there once, with help, range and default.

``add_options`` and ``read_options`` serve argparse and, through ``fairseq_plugins.fields``, fairseq's tasks; ``flags``
writes the command line that gives the same settings back. An option is named as its field: ``mean_span`` is
``--mean-span``. A list is one argument with commas between.
"""

from __future__ import annotations

import argparse
import dataclasses
import types
import typing
from collections.abc import Sequence
from typing import Any, Literal, TypeVar

from csr.settings import check_needs, name_of, typed

S = TypeVar("S")


def chosen(defaults: Any, names: Sequence[str] = ()) -> list[dataclasses.Field[Any]]:
    """The fields that become options, in the order of their declaration: those named, or all.

    Raises:
        ValueError: a name is none of a field.
    """
    fields = {item.name: item for item in dataclasses.fields(defaults)}
    if unknown := set(names) - set(fields):
        raise ValueError(f"expected names of settings, got {', '.join(sorted(unknown))}")
    return [item for name, item in fields.items() if name in names or not names]


def plain_type(kind: Any) -> tuple[type, bool, tuple[Any, ...]]:
    """The type of an option (a list is text), whether it may be left open (None), and its choices, if any."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return plain_type(arguments[0])[0], True, plain_type(arguments[0])[2]
    if origin is Literal:
        return str, False, arguments
    return (str if origin is tuple else kind), False, ()


def described(item: dataclasses.Field[Any], default: Any) -> str:
    """The help of an option, with its source and its default."""
    text = item.metadata["help"]
    text += f" ({item.metadata['source']})" if item.metadata["source"] else ""
    if default is None or isinstance(default, bool):
        return text
    return f"{text} (default: {_written(default)})"


def add_options(parser: Any, defaults: Any, names: Sequence[str] = ()) -> None:
    """Add an option for each setting, or for those named, to a parser or a group of one."""
    hints = typing.get_type_hints(type(defaults))
    for item in chosen(defaults, names):
        kind, _, choices = plain_type(hints[item.name])
        default = getattr(defaults, item.name)
        how: dict[str, Any] = {"help": described(item, default).replace("%", "%%"), "default": default}
        if kind is bool:
            how["action"] = argparse.BooleanOptionalAction if default else "store_true"
        elif choices:
            how["choices"] = choices
        else:
            how |= {"type": kind, "metavar": {int: "N", float: "X"}.get(kind, "TEXT")}
        parser.add_argument(name_of("--", item.name), **how)


def read_options(values: Any, defaults: S, names: Sequence[str] = ()) -> S:
    """The settings that parsed options (attributes of ``values``) give; those that are no options stay.

    Raises:
        ConfigError: a setting is of the wrong type, out of range, or at odds with another.
    """
    hints = typing.get_type_hints(type(defaults))
    found = {}
    for item in chosen(defaults, names):
        value, label = getattr(values, item.name), name_of("--", item.name)
        if isinstance(value, str) and plain_type(hints[item.name])[0] is str and _is_list(hints[item.name]):
            value = tuple(part for part in value.split(",") if part)
        found[item.name] = typed(value, hints[item.name], label, item.metadata)
    settings = dataclasses.replace(typing.cast(Any, defaults), **found)
    check_needs(settings, defaults, "--")
    if hasattr(settings, "check"):
        settings.check("--")
    return typing.cast(S, settings)


def flags(settings: S, defaults: S, names: Sequence[str] = ()) -> list[str]:
    """The options that give the settings to a command whose defaults are these; none where they agree.

    A setting that does nothing beside the others (``needs``) is left out.

    >>> from csr.switching.settings import Noise
    >>> flags(Noise(rate=0.5, policy="fixed", mean_span=9.0), Noise())
    ['--policy', 'fixed', '--rate', '0.5']
    """
    out: list[str] = []
    for item in chosen(settings, names):
        value, needs = getattr(settings, item.name), item.metadata.get("needs")
        if value == getattr(defaults, item.name) or (needs and getattr(settings, needs[0]) not in needs[1]):
            continue
        option = name_of("--", item.name)
        if isinstance(value, bool):
            out.append(option if value else name_of("--", f"no_{item.name}"))
        elif value is None:
            raise ValueError(f"{item.name}: the command's default is not open, got None")
        else:
            out += [option, _written(value)]
    return out


def _written(value: Any) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value).removesuffix(".0")


def _is_list(kind: Any) -> bool:
    return any(typing.get_origin(part) is tuple for part in (kind, *typing.get_args(kind)))
