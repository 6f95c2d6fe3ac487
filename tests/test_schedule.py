"""Updates that suit the size of the text, epochs of the stages, and the time that training is said to take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_estimate import _batch, _trainer
from torch.utils.flop_counter import FlopCounterMode

from csr.backbone import calibration
from csr.backbone.estimate import Setup, Sizes
from csr.cli import main
from csr.commands.run import forecast
from csr.experiments import plan, schedule, translation
from csr.experiments.kinds import read_config
from csr.running.status import duration
from csr.settings import write_settings

LINE = "abcdefghi " * 4 + "x\n"  # 41 characters: ten pieces of 4.1 characters, and two tokens that frame them


@pytest.fixture
def read(tmp_path):
    """Reads an experiment on 100 pairs, 12 tokens a sentence, and 1,000 lines of English."""
    for name, n in {"a.de": 100, "a.en": 100, "mono.en": 1000, "held.de": 5, "held.en": 5}.items():
        (tmp_path / name).write_text(LINE * n)
    data: dict[str, Any] = {"source_lang": "de", "target_lang": "en", "folder": str(tmp_path)}
    data |= {"src": "a.de", "tgt": "a.en", "monolingual": [{"lang": "en", "file": "mono.en"}]}
    data |= {
        f"{split}_{side}": f"held.{lang}" for split in ("dev", "test") for side, lang in (("src", "de"), ("tgt", "en"))
    }

    def of(*overrides: str, **sections: Any) -> Any:
        sizes = {"layers": 1, "dim": 16, "ffn": 32, "heads": 2} | sections.pop("backbone", {})
        (tmp_path / "x.yaml").write_text(yaml.safe_dump({"data": data, "backbone": sizes, **sections}))
        return read_config(tmp_path / "x.yaml", overrides)

    return of


def shape(training: Any) -> tuple[int, int, int]:
    return training.updates, training.warmup, training.save_every


def test_updates_suit_the_size_of_the_text(read):
    # 100 pairs of 12 tokens in batches of 100: 12 updates an epoch, 60 epochs; the paper's warm-up is a tenth.
    config = read(finetune={"max_tokens": 100}, restore={"max_tokens": 100})
    assert shape(config.finetune) == (720, 72, 36)
    # 200 sentences: 24 updates an epoch, 12 epochs; the paper's warm-up is half.
    assert shape(config.restore) == (288, 144, 14)
    # A backbone on the same 200 sentences: 60 epochs of one batch of 4,096 are 60 updates, less than the fewest.
    assert shape(config.backbone.train) == (500, 62, 25)
    assert shape(read().finetune) == (500, 50, 25)
    assert shape(read().restore) == (100, 50, 5)


def test_what_is_set_stays(read, tmp_path):
    config = read("finetune.updates=4000", restore={"updates": 3000}, backbone={"train": {"warmup": 7}})
    assert shape(config.finetune) == (4000, 2500, 500)
    assert shape(config.restore) == (3000, 2500, 500)
    assert shape(config.backbone.train) == (500, 7, 25)
    # A run folder keeps what was chosen at its start, whatever becomes of the text.
    config = read()
    write_settings(config, tmp_path / "config.yaml")
    (tmp_path / "a.de").unlink()
    assert read_config(tmp_path / "config.yaml") == config
    # Without the text nothing is known; that it is missing is said by csr run.
    assert shape(read().finetune) == (25000, 2500, 500)


def test_a_text_as_large_as_the_papers_has_their_schedule(read):
    config = read(finetune={"max_tokens": 2}, restore={"max_tokens": 2})
    assert shape(config.finetune) == (25000, 2500, 500)  # 600 updates an epoch
    assert shape(config.restore) == (5000, 2500, 500)


def test_checkpoints_to_measure_are_checkpoints(read):
    assert read(dynamics={"every": 500}).finetune.save_every == 500


def test_an_epoch_of_each_stage(read):
    config = read("restore.text=both", arms=["csr", "wbt", "bt"], synthetic={"ratio": 2.5})
    texts = schedule.read_texts(config)
    rows = {stage: schedule.epoch(config, stage, texts).rows for stage in ("backbone", "restore", "csr", "wbt", "bt")}
    assert rows == {"backbone": 200, "restore": 1200, "csr": 100, "wbt": 350, "bt": 350}
    assert schedule.epoch(config, "wbt", texts).tokens == pytest.approx(350 * 12)
    held_out = read("data.dev_src=null", "data.dev_tgt=null", "data.dev_size=30")
    assert schedule.read_texts(held_out).pairs.rows == 70
    assert schedule.read_texts(read("data.monolingual_lines=40")).monolingual["en"].rows == 40


def test_the_forecast_adds_up(read, monkeypatch, tmp_path, capsys):
    speed = calibration.Speed(0.0, 0.0, 0.0, 1e-6, "a processor")  # a microsecond for each weight, nothing else
    monkeypatch.setattr(calibration, "measure", lambda *arguments: speed)
    config = read(arms=["baseline", "csr"], seeds=[1, 2])
    weights = plan._full(config).parameters
    stages, _ = plan.forecasts(config)
    assert [(one.stage, one.updates) for one in stages] == [
        *[("backbone", 500), ("restore", 100)],
        *[("baseline", 600), ("csr", 500)],
    ]
    assert [one.epochs for one in stages] == [500, 100, 600, 500]  # a batch each
    assert stages[0].seconds == pytest.approx(500 * weights * 1e-6)
    assert main(["estimate", str(tmp_path / "x.yaml")]) == 0
    shown = capsys.readouterr().out
    assert "baseline      600     600" in shown
    assert f"{2 * 1700 * weights // 10**6 // 60} min" in shown
    assert "with 2 seeds, from the speed just measured on a processor" in shown
    # Of a run, what is still to do: here both seeds without their backbones, and one csr.
    steps, run = list(translation.steps(config)), tmp_path / "run"
    forecast(config, steps, run, "backbone seed 1")
    shown = capsys.readouterr().err
    assert "backbone" in shown
    assert "baseline" not in shown
    assert "with 2 seeds" not in shown
    for done in ("seed-1/backbone", "seed-2/backbone", "seed-1/restore", "seed-1/csr"):
        (run / done).mkdir(parents=True)
        (run / done / "model.pt").touch()
    forecast(config, steps, run)
    shown = capsys.readouterr().err
    assert "backbone" not in shown
    assert "baseline" in shown
    assert f": {duration(1800 * weights * 1e-6)} in all, 4 trainings, from" in shown


def test_the_weights_need_not_be_there(read, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(calibration, "measure", lambda *arguments: calibration.Speed(0.0, 0.0, 0.0, 1e-9, "it"))
    published = {
        "preset": "cc25",
        "folder": str(tmp_path / "none"),
        "layers": 12,
        "dim": 1024,
        "ffn": 4096,
        "heads": 16,
    }
    read(backbone=published)
    assert main(["estimate", str(tmp_path / "x.yaml")]) == 0
    assert "full vocabulary: 250,027 embeddings, 610,851,840 parameters" in capsys.readouterr().out


@pytest.mark.slow
def test_the_parts_that_are_timed_make_an_update(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Their operations in place of their seconds, which depend on the machine: in all, those of a step of fairseq."""

    def operations(part: Callable[[], object], *_: object) -> float:
        with FlopCounterMode(display=False) as counter:
            part()
        return float(counter.get_total_flops())

    sizes = Sizes(vocabulary=2000, layers=2, dim=64, ffn=256, heads=4)
    trainer, batch = _trainer(tmp_path, sizes, Setup(), dropout=0.1), _batch(sizes, 50, 20)
    monkeypatch.setattr(calibration, "_seconds", operations)
    speed = calibration._measure(sizes, Setup(), 1000, 20, threads=1, card=False)
    said = speed.seconds(sizes, Setup(), 1000)
    assert said == pytest.approx(operations(lambda: trainer.train_step([batch])), rel=0.05)
