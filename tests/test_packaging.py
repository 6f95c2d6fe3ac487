"""What is handed out: one name, every file the code reads, extras that messages name, one version."""

from __future__ import annotations

import configparser
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
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


@pytest.mark.slow
def test_the_wheel_runs_the_steps_of_the_readme(tmp_path: Path) -> None:
    """The wheel alone, put where nothing else of ours is, with the packages that are installed here beside it."""
    source, place = tmp_path / "source", tmp_path / "installed"
    source.mkdir()  # so that nothing is built in the repository
    for name in ("csr", "fairseq_plugins", "setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", tmp_path, source], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--target", place, wheel], check=True)
    assert wheel.name.startswith(f"{DISTRIBUTION.replace('-', '_')}-{csr.__version__}-")
    (found,) = importlib.metadata.distributions(name=DISTRIBUTION, path=[str(place)])
    assert set(found.metadata.get_all("Provides-Extra")) == set(packaged()["options.extras_require"])
    environment = os.environ | {"PYTHONPATH": str(place), "PATH": f"{place}/bin:{os.environ['PATH']}"}
    environment |= {"OMP_NUM_THREADS": "1"}

    def run(commands: str) -> str:
        command = ["bash", "-euo", "pipefail", "-c", commands]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{commands}\n{done.stderr[-3000:]}"
        return done.stdout

    assert run("python -c 'import csr; print(csr.__file__)'").startswith(f"{place}/")
    readme = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## Step by step\n")[2]
    prepare, train, *_ = re.findall(r"^```bash\n(.*?)^```", readme, re.DOTALL | re.MULTILINE)
    assert "switch" in prepare
    printed = run(prepare.replace("export PATH=$PWD/.venv/bin:$PATH", "").replace("| head ", "| head -n 1 "))
    assert "[qaa]" in printed  # of csr inspect
    train = re.sub(r"update (200|800)\b", "update 4", train).replace("--warmup-updates 50", "--warmup-updates 2")
    train = train.replace("--user-dir fairseq_plugins", f"--user-dir {place}/fairseq_plugins")
    assert "BLEU = " in run(train)


def test_the_image_is_given_what_it_copies() -> None:
    let_in = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = [
        name
        for line in re.findall(r"^COPY (.*)", (ROOT / "Dockerfile").read_text(), re.M)
        for name in line.split()[:-1]
    ]
    assert sorted(copied) == sorted(let_in)
    assert all((ROOT / name).exists() for name in copied)
