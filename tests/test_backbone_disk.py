"""Backbones on a full disk, and twice: one line and nothing half-written, and the same bytes each time."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
from backbones import make_archive
from evaluation_outputs import references

from csr.cli import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backbone as fairseq's archive and as a Hugging Face folder, and a text."""
    folder = tmp_path_factory.mktemp("disk")
    make_archive(folder / "archive", "cc25", 500, references())
    (folder / "text").write_text("".join(f"{line}\n" for line in references()))
    assert main(["export-hf", str(folder / "archive/model.pt"), str(folder / "hf")]) == 0
    return folder


COMMANDS = {
    "strip": "strip {0}/archive/model.pt {1}/small.pt",
    "import-hf": "import-hf {0}/hf {1}/imported",
    "export-hf": "export-hf {0}/archive/model.pt {1}/exported",
    "trim": "trim {0}/archive {1}/trimmed --text {0}/text",
    "trim a Hugging Face folder": "trim {0}/hf {1}/trimmed --text {0}/text",
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_is_one_line(
    name: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = COMMANDS[name].format(folder, tmp_path).split()
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, before[1]))  # the weights are larger, all else is smaller
    try:
        assert main(command) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith(f"csr {command[0]}: {tmp_path}/"), lines
    assert lines[-1].endswith(": File too large")
    assert not any("Traceback" in line for line in lines)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_same_backbone_has_the_same_bytes(name: str, folder: Path, tmp_path: Path) -> None:
    """Training is keyed by what its files hold: a backbone that is made again does not restart it."""
    found = []
    for again in ("first", "the second time"):
        out = tmp_path / again
        command = COMMANDS[name].split()
        assert main([part.format(folder, out) for part in command]) == 0
        files = {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}
        found.append({path: data for path, data in files.items() if path.name != "trim.json"})
    assert found[0] == found[1]
    assert any(path.suffix in (".pt", ".safetensors") for path in found[0])
