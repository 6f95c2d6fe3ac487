"""The folders of the quickstart: each corpus has its own, and none is another's. Nothing is trained here."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "quickstart.sh"


@pytest.fixture
def quickstart(tmp_path: Path):
    """The script in a folder of its own, with a csr that makes the folder it is given and prints its arguments."""
    root = tmp_path / "root"
    (root / "scripts").mkdir(parents=True)
    shutil.copy(SCRIPT, root / "scripts")
    (root / "scripts/setup.sh").write_text(f"root={root}\nexport PATH={root}/bin:$PATH\n")
    (root / "bin").mkdir()
    (root / "bin/csr").write_text('#!/bin/sh\nfor last; do :; done\nmkdir -p "$last"\necho "$@"\n')
    (root / "bin/csr").chmod(0o755)
    for name in ("a.vi", "a.en", "b.vi", "b.en"):
        (tmp_path / name).touch()

    def run(*arguments: str) -> subprocess.CompletedProcess:
        command = ["bash", str(root / "scripts/quickstart.sh"), *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env={"PATH": os.environ["PATH"]})

    return run


def folder(done: subprocess.CompletedProcess) -> str:
    """The run folder that csr was given."""
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[-1]


def test_each_corpus_has_its_own_folder(quickstart, tmp_path: Path):
    sample = folder(quickstart())
    assert sample == str(tmp_path / "root/runs/quickstart")
    first = ("a.vi", "a.en", "vi", "en")
    assert folder(quickstart(*first)) == "runs/quickstart-vi-en"
    assert folder(quickstart("b.vi", "b.en", "vi", "en")) == "runs/quickstart-vi-en-2"
    assert folder(quickstart("a.en", "a.vi", "en", "vi")) == "runs/quickstart-en-vi"
    # The same files, however they are named, go on where they were.
    assert folder(quickstart(*first)) == "runs/quickstart-vi-en"
    assert folder(quickstart(str(tmp_path / "b.vi"), "./b.en", "vi", "en")) == "runs/quickstart-vi-en-2"
    # What no corpus is known of may be any run.
    (tmp_path / "runs/quickstart-vi-de").mkdir()
    assert folder(quickstart("a.vi", "a.en", "vi", "de")) == "runs/quickstart-vi-de-2"


def test_a_named_folder_is_of_one_corpus(quickstart):
    assert folder(quickstart("a.vi", "a.en", "vi", "en", "mine")) == "mine"
    assert folder(quickstart("a.vi", "a.en", "vi", "en", "mine")) == "mine"
    other = quickstart("b.vi", "b.en", "vi", "en", "mine")
    assert other.returncode == 2
    assert "quickstart: mine: expected a new folder or one of these files, found one of" in other.stderr


def test_what_is_no_language_makes_no_folder(quickstart, tmp_path: Path):
    done = quickstart("a.vi", "a.en", "../vi", "en")
    assert done.returncode == 2
    assert "expected a language code, as in de or de_DE, found '../vi'" in done.stderr
    assert not (tmp_path / "runs").exists()
    assert quickstart("a.vi").returncode == 2
