"""Where steps run and what is told of them: one card each, a batch system, the state of a run folder."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from fairseq.data import ListDataset
from fairseq.data.iterators import EpochBatchIterator, GroupedIterator

from csr.cli import main
from csr.errors import DataError
from csr.experiments import commands
from csr.files import write_json
from csr.process import locked
from csr.running.cards import SHARED, cards, held_cards, share_cards
from csr.running.engine import Batch
from csr.running.status import status
from csr.running.steps import EVENTS, STEPS, Step, as_config

TRAINED = ["fairseq-train", "data/bin", "--max-update", "300"]


def pretend_cards(folder: Path, n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put an nvidia-smi that lists ``n`` cards on PATH."""
    program = folder / "nvidia-smi"
    program.write_text("#!/bin/sh\n" + "".join(f"echo 'GPU {i}: Pretend (UUID: GPU-{i})'\n" for i in range(n)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_cards_are_those_that_may_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_cards(tmp_path, 3, monkeypatch)
    assert cards() == ["0", "1", "2"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5, 7")
    assert cards() == ["5", "7"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert cards() == []


def test_each_training_sees_a_card_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_cards(tmp_path, 2, monkeypatch)
    show = "import os; from pathlib import Path; from csr.running.cards import held_cards\n"
    show += f"with held_cards(1, Path({str(tmp_path / 'locks')!r})): print(os.environ['CUDA_VISIBLE_DEVICES'])"
    with held_cards(1, tmp_path / "locks"):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"
        other = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True)
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    # The child was shown card 0 alone, as the children of a step are, and so stays there.
    assert "KeyError" not in other.stderr
    assert other.stdout == "0\n"


def test_two_steps_at_once_share_no_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    with held_cards(1, tmp_path):
        first = os.environ["CUDA_VISIBLE_DEVICES"]
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")  # what another step starts from
        with held_cards(1, tmp_path):
            assert {first, os.environ["CUDA_VISIBLE_DEVICES"]} == {"4", "6"}


def test_steps_share_a_card_where_they_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SHARED, "1")
    seen = []
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
            assert share_cards(2) == 4
            stack.enter_context(held_cards(1, tmp_path))
            seen.append(os.environ["CUDA_VISIBLE_DEVICES"])
    assert seen == ["4", "6", "4", "6"]


def test_a_step_of_two_cards_waits_for_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of four cards one step holds one, so that another takes two of the rest, and a third step the last one."""
    seen = []
    with contextlib.ExitStack() as stack:
        for n in (1, 2, 1):
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
            stack.enter_context(held_cards(n, tmp_path))
            seen.append(os.environ["CUDA_VISIBLE_DEVICES"])
    assert seen == ["0", "1,2", "3"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")  # what a batch system gave: nobody else may have them
    with held_cards(1, tmp_path):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
        with held_cards(2, tmp_path):
            assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1"


@pytest.mark.slow
def test_more_cards_than_there_are_is_said_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend_cards(tmp_path, 2, monkeypatch)
    for name in "ab":
        (tmp_path / name).write_text("a\n")
    (tmp_path / "a.yaml").write_text(
        f"data: {{source_lang: de, target_lang: en, src: {tmp_path}/a, tgt: {tmp_path}/b}}\nrestore: {{gpus: 4}}\n"
    )
    assert main(["run", str(tmp_path / "a.yaml"), "--out", str(tmp_path / "run")]) == 2
    assert "csr run: restore seed 1: gpus: expected 4 cards, found 2" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("n", "update_freq"), [(2, 4), (3, 3), (8, 8)])
def test_cards_share_the_batches_of_each_update(n: int, update_freq: int) -> None:
    """An update sees the same batches whether one card takes them one after another, or each card its part."""
    dataset = ListDataset([torch.tensor(i) for i in range(96)], [1] * 96)
    batches = [[i, i + 1] for i in range(0, 96, 2)]

    def updates(card: int, of: int, each: int) -> list[list[int]]:
        epoch = EpochBatchIterator(
            dataset, lambda rows: [int(row) for row in rows], batches, seed=3, num_shards=of, shard_id=card
        )
        grouped = GroupedIterator(epoch.next_epoch_itr(shuffle=True), each)
        return [sorted(i for batch in update for i in batch) for update in grouped]

    each, size, _ = commands.cards(n, update_freq, 100)
    shared = zip(*(updates(card, n, each) for card in range(n)), strict=True)
    assert size == 100
    assert [sorted(itertools.chain(*parts)) for parts in shared] == updates(0, 1, update_freq)


def test_one_card_or_none_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-8932f937")
    with held_cards(1, tmp_path / "none"):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-8932f937"
    assert not (tmp_path / "none").exists()


def test_a_batch_system_is_named_to_snakemake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert Batch().options == []
    assert Batch("slurm", None, 20).options == ["--executor", "slurm", "--jobs", "20"]
    (tmp_path / "a.yaml").write_text("data: {source_lang: de, target_lang: en, src: a, tgt: b}\n")
    for name in "ab":
        (tmp_path / name).write_text("a\n")
    settings = [f"--set=data.{side}={tmp_path / name}" for side, name in (("src", "a"), ("tgt", "b"))]
    assert main(["run", str(tmp_path / "a.yaml"), *settings, "--jobs", "3", "--out", str(tmp_path / "run")]) == 2
    assert "--jobs: expected with --executor or --profile" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Of four steps one is done, one trains, one has failed, one waits."""
    steps = [
        Step("prepare", ["prepare"], [], ["data.json"]),
        Step("csr seed 1", ["train"], ["data.json"], ["seed-1/csr/model.pt"], settings=[TRAINED, None]),
        Step("distance", ["distance"], ["data.json"], ["distance.json"]),
        Step("report", ["report"], ["seed-1/csr/model.pt"], ["report.html"]),
    ]
    write_json(tmp_path / STEPS, as_config(steps))
    (tmp_path / "data.json").touch()
    events = [("prepare", None), ("prepare", 0), ("csr seed 1", None), ("distance", None), ("distance", 1)]
    (tmp_path / EVENTS).parent.mkdir()
    lines = [json.dumps({"step": step, "log": f"logs/{step}.log", "status": code}) for step, code in events]
    (tmp_path / EVENTS).write_text("\n".join(lines) + "\n")
    log = tmp_path / "seed-1/csr/train.log"
    log.parent.mkdir(parents=True)
    numbers = {"epoch": 2, "update": 1.5, "loss": "4.25", "ups": "0.5", "num_updates": "240", "lr": "0.001"}
    log.write_text(f"2026 | INFO | train_inner | {json.dumps(numbers)}\n2026 | INFO | saving\n")
    return tmp_path


def test_status_of_a_run_that_goes_on(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with locked(run):
        assert main(["status", str(run)]) == 0
    assert capsys.readouterr().out == (
        f"{run}: running; 1 of 4 steps done\n"
        "  runs: csr seed 1: update 240 of 300, loss 4.25, 0.5 updates/s, 2 min 0 s left\n"  # 60 updates
        f"  failed: distance; log: {run}/logs/distance.log\n"
    )


def test_status_of_a_run_that_was_killed(run: Path) -> None:
    found = status(run)
    assert (found.active, found.running, list(found.failed)) == (False, {}, ["distance"])


def test_a_temporary_step_is_done_with_its_readers(tmp_path: Path) -> None:
    steps = [Step("train", [], [], ["model.pt"], temporary=True), Step("score", [], ["model.pt"], ["scores.json"])]
    write_json(tmp_path / STEPS, as_config(steps))
    assert status(tmp_path).done == 0
    (tmp_path / "scores.json").touch()
    assert status(tmp_path).done == 2


def test_what_is_no_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected steps\.json, which csr run writes"):
        status(tmp_path)
