"""Distance and BLEU over updates: which checkpoints count, and the same translations as fairseq-generate."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from tiny_checkpoint import make_checkpoint, make_data

from csr.analysis.distance import distances
from csr.cli import main
from csr.errors import DataError
from csr.running.fairseq import plugin_folder
from fairseq_plugins.models import read_model
from fairseq_plugins.progress import measure_checkpoints, translate
from fairseq_plugins.representations import split_vectors


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with a finetuning stage of two checkpoints, one of them twice, and the stage before it."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "data").mkdir()
    data = make_data(folder / "data", n=8)
    start = Path("seed-1/restore/model.pt")
    make_checkpoint(folder / start, data, seed=1, updates=5, task="csr_restore")
    for name, seed, updates in (("checkpoint_1_10", 2, 10), ("checkpoint_2_20", 3, 20), ("checkpoint_last", 3, 20)):
        make_checkpoint(folder / f"seed-1/csr/checkpoints/{name}.pt", data, seed, updates, start=start)
    return folder


@pytest.mark.slow
def test_each_update_is_measured_once_from_the_start_on(run: Path) -> None:
    stage = run / "seed-1/csr"
    assert main(f"dynamics {stage} --sentences 6 --beam 1".split()) == 0
    written = json.loads((stage / "dynamics.json").read_text())
    points = written["points"]
    assert (written["split"], written["sentences"], written["beam"]) == ("valid", 6, 1)
    assert [(point["updates"], point["checkpoint"]) for point in points] == [
        (0, "model.pt"),
        (10, "checkpoint_1_10.pt"),
        (20, "checkpoint_2_20.pt"),
    ]
    for point, path in zip(points, ("restore/model.pt", "csr/checkpoints/checkpoint_1_10.pt"), strict=False):
        vectors = split_vectors(read_model(run / "seed-1" / path, run / "data/bin"), "valid", ["last_piece", "eos"], 6)
        assert point["distance"] == {feature: distances(*pair) for feature, pair in vectors.items()}
    assert ["bleu" in point for point in points] == [False, True, True]  # restoring is not translating


@pytest.mark.slow
def test_without_checkpoints_there_is_the_model_or_an_error(run: Path, tmp_path: Path) -> None:
    restored = measure_checkpoints(run / "seed-1/restore", run / "data/bin", sentences=3)
    assert [point["updates"] for point in restored] == [5]
    with pytest.raises(DataError, match=r"expected checkpoint\*\.pt"):
        measure_checkpoints(tmp_path, run / "data/bin")


@pytest.mark.slow
def test_translations_are_those_of_fairseq_generate(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from fairseq_cli import generate

    model = run / "seed-1/csr/checkpoints/checkpoint_1_10.pt"
    command = ["fairseq-generate", str(run / "data/bin"), "--user-dir", str(plugin_folder())]
    command += ["--task", "csr_translation", "--source-lang", "xx", "--target-lang", "yy", "--path", str(model)]
    command += ["--beam", "2", "--post-process", "sentencepiece", "--required-batch-size-multiple", "1", "--cpu"]
    monkeypatch.setattr(sys, "argv", command)
    generate.cli_main()
    printed = capsys.readouterr().out
    hyps = dict(re.findall(r"^D-(\d+)\t[^\t]*\t(.*)$", printed, re.MULTILINE))
    refs = dict(re.findall(r"^T-(\d+)\t(.*)$", printed, re.MULTILINE))
    found = list(translate(read_model(model, run / "data/bin"), "test", 100, beam=2))
    assert len(found) == 8
    assert sorted(found) == sorted((hyps[i], refs[i]) for i in hyps)
