"""What is handed out: one name, every file the code reads, extras that messages name, one version."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import yaml

import csr
from csr.errors import DISTRIBUTION

ROOT = Path(__file__).parents[1]


def packaged() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def test_one_name() -> None:
    assert packaged()["metadata"]["name"] == DISTRIBUTION
    other = re.compile(r"pip install '?csr\b")
    text = {path: path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *ROOT.glob("docs/*.md")]}
    text |= {path: path.read_text(encoding="utf-8") for path in ROOT.glob("csr/**/*.py")}
    assert not [path for path, content in text.items() if other.search(content)]


def test_extras_that_messages_name_are_there() -> None:
    extras = packaged()["options.extras_require"]
    named = {
        name for path in ROOT.glob("csr/**/*.py") for name in re.findall(r"\binstall\('(\w+)'\)", path.read_text())
    }
    assert {"eval", "zstd"} <= named <= set(extras)


def test_files_beside_the_code_are_packaged() -> None:
    patterns = packaged()["options.package_data"]["csr"].split(",")
    kept = {path for pattern in patterns for path in (ROOT / "csr").glob(pattern.strip())}
    there = [path for path in (ROOT / "csr").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    beside = {path for path in there if path.suffix != ".py"}
    assert beside == kept


def test_one_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    heading = re.search(r"^## ([\d.]+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert heading
    assert citation["version"] == heading[1] == csr.__version__


def test_the_image_is_given_what_it_copies() -> None:
    let_in = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = [
        name
        for line in re.findall(r"^COPY (.*)", (ROOT / "Dockerfile").read_text(), re.M)
        for name in line.split()[:-1]
    ]
    assert sorted(copied) == sorted(let_in)
    assert all((ROOT / name).exists() for name in copied)
