"""Reference pages of the site, made as MkDocs builds it: commands from their parsers, settings from their classes."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import math
import os
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from csr.cli import GROUPS, whole_parser
from csr.experiments.kinds import EXPERIMENTS


def on_files(files: Any, config: Any) -> Any:
    """Add the pages to those of docs/, and all pages to the navigation; MkDocs calls this by its name."""
    from mkdocs.structure.files import File

    pages = {"commands": commands_page()} | {kind: settings_page(kind) for kind in EXPERIMENTS}
    for name, content in pages.items():
        files.append(File.generated(config, f"reference/{name}.md", content=content))
    guides, reference = (next(group[name] for group in config.nav if name in group) for name in ("Guides", "Reference"))
    for file in files.documentation_pages():
        if file.src_uri not in str(config.nav):
            (reference if file.src_uri.startswith("reference/") else guides).append(file.src_uri)
    return files


def commands_page() -> str:
    """The help of every command, by group."""
    os.environ["COLUMNS"] = "100"  # argparse asks for the width of the terminal
    (subparsers,) = _below(whole_parser())
    lines = ["# Commands", "", "Each command prints this with `--help`."]
    for group, commands in GROUPS.items():
        lines += ["", f"## {group}"]
        for name in commands:
            for command, parser in _leaves(name, subparsers.choices[name]):
                lines += ["", f"### csr {command}", "", "```text", parser.format_help().rstrip(), "```"]
    return "\n".join(lines) + "\n"


def settings_page(kind: str) -> str:
    """The settings of a kind of experiment: name, values, default, meaning and source, section by section."""
    config = importlib.import_module(EXPERIMENTS[kind]).Config
    lines = [f"# Settings: {kind}", "", _first_paragraph(config), ""]
    lines += ["What a file does not set has the default. `--set section.key=value` sets one on the command line."]
    sections: list[tuple[str, type]] = [("", config)]
    while sections:
        prefix, section = sections.pop(0)
        hints = typing.get_type_hints(section)
        rows, below = [], []
        for item in dataclasses.fields(section):
            name, inner = f"{prefix}{item.name}", _section(hints[item.name])
            if inner:
                below.append((f"{name}." if inner[1] else f"{name}[].", inner[0]))
            if not inner or not inner[1]:
                rows.append(f"| `{name}` | {_values(hints[item.name], item)} | {_default(item)} | {_told(item)} |")
        if rows:
            title = f"## `{prefix.rstrip('.')}`" if prefix else "## At the top"
            lines += ["", title, "", _first_paragraph(section) if prefix else "", ""]
            lines += ["| setting | values | default | what it is |", "|---|---|---|---|", *rows]
        sections = below + sections
    return "\n".join(lines) + "\n"


def _below(parser: argparse.ArgumentParser) -> list[argparse._SubParsersAction[argparse.ArgumentParser]]:
    return [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]


def _leaves(name: str, parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    if not (below := _below(parser)):
        yield name, parser
    for action in below:
        for child, found in action.choices.items():
            yield from _leaves(f"{name} {child}", found)


def _section(kind: Any) -> tuple[type, bool] | None:
    """The section that a setting is, and whether it is one alone rather than a list of them."""
    arguments = typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return typing.cast(type, kind), True
    if typing.get_origin(kind) in (tuple, types.UnionType, typing.Union):
        for argument in arguments:
            if found := _section(argument):
                return found[0], typing.get_origin(kind) is not tuple and found[1]
    return None


def _values(kind: Any, item: dataclasses.Field[Any]) -> str:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin is tuple:
        return "list of sections, below" if _section(kind) else f"list of: {_values(arguments[0], item)}"
    if origin in (types.UnionType, typing.Union):
        return ", or ".join("`null`" if part is type(None) else _values(part, item) for part in arguments)
    names = {int: "whole number", float: "number", str: "text", bool: "`true` or `false`", Path: "path"}
    low, high = (item.metadata.get(name, default) for name, default in (("low", -math.inf), ("high", math.inf)))
    bounds = [f"{word} {value:g}" for word, value in (("from", low), ("to", high)) if math.isfinite(value)]
    return " ".join([names.get(kind, getattr(kind, "__name__", str(kind))), *(bounds if kind in (int, float) else [])])


def _default(item: dataclasses.Field[Any]) -> str:
    if item.default is dataclasses.MISSING:
        return "**needed**" if item.default_factory is dataclasses.MISSING else "–"
    value = item.default
    if isinstance(value, tuple):
        value = "[" + ", ".join(map(str, value)) + "]"
    return f"`{'null' if value is None else str(value).lower() if isinstance(value, bool) else value}`"


def _told(item: dataclasses.Field[Any]) -> str:
    needs, source = item.metadata.get("needs"), item.metadata.get("source")
    parts = [item.metadata.get("help", "")]
    parts += [f"with `{needs[0]}: {' or '.join(needs[1])}` alone"] if needs else []
    told = "; ".join(filter(None, parts)) + (f" ({source})" if source else "")
    return told.replace("|", "\\|").replace("<", "&lt;")


def _first_paragraph(section: type) -> str:
    return " ".join((section.__doc__ or "").split("\n\n")[0].split()).replace("``", "`")
