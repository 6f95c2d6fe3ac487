"""The plan of the house: imports run one way, no files or folders import each other in a circle, files stay short."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted([*ROOT.glob("csr/**/*.py"), *ROOT.glob("fairseq_plugins/*.py")])
# From the ground up: a folder may import those before it, and itself. csr's own modules stand at their places.
FLOORS = (
    ("errors",),
    ("process", "jit"),
    ("files",),
    ("settings",),
    ("options",),
    ("text",),
    ("lexicon_record",),
    ("lexicon",),
    ("switching",),
    ("data",),
    ("induction", "backbone"),
    ("evaluation", "analysis"),
    ("report", "running"),
    ("fairseq_plugins",),
    ("experiments",),
    ("commands", "hf"),
    ("cli",),
    ("step",),
)
# One idea each: longer than 400 lines all the same.
ONE_IDEA = {"csr.files"}


def module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


# The face, csr/__init__.py, hands names on when they are asked for: no arrows start there.
MODULES = {module(path): path for path in FILES if path != ROOT / "csr/__init__.py"}


def imports(path: Path) -> Iterator[str]:
    """Our modules that a file imports, at its top or when a function is called."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in MODULES else node.module for name in names]
        yield from (name for name in names if name in MODULES)


def room(name: str) -> str:
    """The folder of a module, or the module where it stands at the top."""
    parts = name.split(".")
    return parts[0] if parts[0] == "fairseq_plugins" else parts[1] if len(parts) > 1 else "__init__"


def floor(name: str) -> int:
    return next(i for i, rooms in enumerate(FLOORS) if room(name) in rooms)


@pytest.fixture(scope="module")
def arrows() -> dict[str, list[str]]:
    """The modules that each module imports."""
    return {name: list(imports(path)) for name, path in MODULES.items()}


def circle(arrows: dict[str, list[str]]) -> list[str]:
    """A circle of arrows, or nothing."""
    done: set[str] = set()

    def walk(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return []
        found = next((found for other in arrows.get(name, ()) if (found := walk(other, [*path, name]))), [])
        done.add(name)
        return found

    return next((found for name in arrows if (found := walk(name, []))), [])


def test_a_circle_is_found():
    assert circle({"a": ["b"], "b": ["c"], "c": ["b"]}) == ["b", "c", "b"]
    assert circle({"a": ["b", "c"], "b": ["c"], "c": []}) == []


def test_no_files_import_each_other(arrows):
    assert circle(arrows) == []


def test_imports_run_down(arrows):
    up = [(name, other) for name, found in arrows.items() for other in found if floor(other) > floor(name)]
    assert up == []


def test_no_two_folders_import_each_other(arrows):
    pairs = {
        (room(name), room(other)) for name, found in arrows.items() for other in found if room(name) != room(other)
    }
    assert sorted(pair for pair in pairs if pair[::-1] in pairs) == []


def test_files_are_short():
    long = {name for name, path in MODULES.items() if len(path.read_text(encoding="utf-8").splitlines()) > 400}
    assert long == ONE_IDEA
