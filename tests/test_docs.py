"""The site is built as strictly as it is published, and its reference has every command and setting."""

from __future__ import annotations

import dataclasses
import importlib
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from csr.cli import COMMANDS, whole_parser
from csr.experiments.translation import Config
from csr.settings import build, parse_yaml

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
BLOCK = re.compile(r"^```(?:ba)?sh\n(.*?)^```", re.DOTALL | re.MULTILINE)


def commands(text: str) -> Iterator[str]:
    """The csr commands of a page's shell blocks, those that are whole: without an ellipsis."""
    for block in BLOCK.findall(text):
        quoted = re.sub(r'"[^"]*"', lambda found: found[0].replace("\n", " "), block)  # may go over several lines
        for line in quoted.replace("\\\n", " ").splitlines():
            for part in re.split(r" \| | && ", line.partition(" #")[0]):
                if part.startswith("csr ") and "…" not in part:
                    yield re.split(r" [<>]", part)[0]


def test_the_commands_of_the_guides_are_those_of_the_parsers() -> None:
    root = whole_parser()
    found = [(page, command) for page in (ROOT / "README.md", *PAGES) for command in commands(page.read_text("utf-8"))]
    assert len(found) > 40
    for page, command in found:
        words = shlex.split(command)[1:]
        if "--help" in words:
            continue
        try:
            assert root.parse_args(words).command == words[0]
        except SystemExit:
            pytest.fail(f"{page}: {command}")


def test_the_configuration_of_own_files_is_one() -> None:
    (text,) = re.findall(
        r"^```yaml\n(.*?)^```", (ROOT / "docs/own-files.md").read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    assert build(parse_yaml(text, "mine.yaml"), Config).arms == ("baseline", "csr", "mask_restore_ft", "placebo")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built with warnings as errors."""
    pytest.importorskip("mkdocs")
    pytest.importorskip("material")
    out = tmp_path_factory.mktemp("site")
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "-q",
        "-f",
        str(ROOT / "mkdocs.yml"),
        "-d",
        str(out),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.mark.slow
def test_every_page_is_in_the_navigation_and_loads_nothing_from_elsewhere(site: Path) -> None:
    start = (site / "index.html").read_text(encoding="utf-8")
    for page in PAGES:
        if page.stem != "index":
            assert f'href="{page.stem}/"' in start, page
    assert not re.search(r'(?:src|href)="(?:https?:)?//[^"]*\.(?:js|css|woff2?)', start)


@pytest.mark.slow
def test_the_reference_has_every_command_and_setting(site: Path) -> None:
    commands = (site / "reference/commands/index.html").read_text(encoding="utf-8")
    assert all(f"usage: csr {name}" in commands for name in COMMANDS)
    settings = (site / "reference/translation/index.html").read_text(encoding="utf-8")
    for section in ("data", "lexicon", "noise", "backbone", "restore", "finetune", "generate", "scores"):
        kind = {item.name: item for item in dataclasses.fields(Config)}[section].type
        for item in dataclasses.fields(getattr(importlib.import_module("csr.experiments.translation"), str(kind))):
            if item.name != "train":
                assert f"<code>{section}.{item.name}</code>" in settings or f"{section}.{item.name}[]" in settings
    rate = re.search(r"<code>noise.rate</code></td>.*?</tr>", settings, re.DOTALL)
    assert rate
    assert "number from 0 to 1" in rate[0]
    assert "<code>0.35</code>" in rate[0]
    assert "Zan et al." in rate[0]
