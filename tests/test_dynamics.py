"""Reading fairseq's logs: both of its forms, restarts, and the updates to a given loss."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csr.analysis.dynamics import curve, read_log, updates_to_reach

INNER = '{"epoch": 1, "update": 0.5, "loss": "7.1", "ppl": "137.2", "num_updates": "100", "lr": "1e-05", "wall": "12"}'
VALID = '{"epoch": 1, "valid_loss": "6.5", "valid_num_updates": "100", "valid_bleu": "1.2", "valid_best_loss": "None"}'
EPOCH = '{"epoch": 1, "train_loss": "6.9", "train_num_updates": "100"}'


@pytest.mark.parametrize("stamp", ["", "2026-11-21 23:00:00 | INFO | train_inner | "])
def test_lines_with_and_without_time_stamps_are_read_and_everything_else_is_passed_over(
    tmp_path: Path, stamp: str
) -> None:
    path = tmp_path / "train.log"
    path.write_text(
        f"{{'_name': None}}\nNamespace()\n{stamp}{INNER}\n{stamp}{EPOCH}\n{stamp}{VALID}\n{stamp}{INNER[:40]}"
    )
    log = read_log(path)
    assert curve(log.train, "loss") == [(100, 7.1)]
    assert log.train[0]["lr"] == 1e-5
    assert curve(log.valid, "bleu") == [(100, 1.2)]
    assert "best_loss" not in log.valid[0]


def test_epochs_stand_in_where_no_interval_was_logged(tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    path.write_text(f"{EPOCH}\n{VALID}\n")
    assert curve(read_log(path).train, "loss") == [(100, 6.9)]


def test_a_log_without_updates_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    path.write_text("")
    assert read_log(path).train == read_log(path).valid == []


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 20)), min_size=1, max_size=5))
def test_after_restarts_the_log_reads_as_one_run(
    tmp_path_factory: pytest.TempPathFactory, tries: list[tuple[int, int]]
) -> None:
    """Each try starts from an update already reached and logs every update, its number as the loss' fraction."""
    path = tmp_path_factory.mktemp("log") / "train.log"
    reached, expected = 0, []
    with open(path, "w", encoding="utf-8") as stream:
        for number, (back, forward) in enumerate(tries):
            start = max(0, reached - back)
            reached = start + forward
            new = [(update, float(number)) for update in range(start + 1, reached + 1)]
            expected = expected[:start] + new
            for update, loss in new:
                line = json.dumps({"loss": f"{loss}", "num_updates": f"{update}"})
                stream.write(f"{line}\n{line}\n")  # fairseq adds a handler each epoch, and so repeats lines
    assert curve(read_log(path).train, "loss") == expected


def test_updates_to_reach_counts_equal_as_reached_and_may_be_never() -> None:
    losses = [(1000.0, 5.0), (2000.0, 4.0), (3000.0, 4.5)]
    assert updates_to_reach(losses, 4.0) == 2000
    assert updates_to_reach(losses, 3.9) is None
    assert updates_to_reach([], 4.0) is None
