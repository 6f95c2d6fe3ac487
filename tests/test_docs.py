"""The site is built as strictly as it is published, and its reference has every command and setting."""

from __future__ import annotations

import dataclasses
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from csr.cli import COMMANDS
from csr.experiments.translation import Config

ROOT = Path(__file__).parents[1]
pytest.importorskip("mkdocs")
pytest.importorskip("material")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built with warnings as errors."""
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


def test_every_page_is_in_the_navigation_and_loads_nothing_from_elsewhere(site: Path) -> None:
    start = (site / "index.html").read_text(encoding="utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        if page.stem != "index":
            assert f'href="{page.stem}/"' in start, page
    assert not re.search(r'(?:src|href)="(?:https?:)?//[^"]*\.(?:js|css|woff2?)', start)


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
