"""Stripping: without the optimiser's state, a checkpoint still does what else it did."""

import pytest
import torch
from tiny_checkpoint import make_checkpoint, make_data

from csr.backbone.checkpoints import read_checkpoint
from csr.cli import main
from csr.files import sha256
from fairseq_plugins.models import read_model


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A checkpoint with an optimiser's state, and its data."""
    data = make_data(tmp_path_factory.mktemp("data"))
    path = make_checkpoint(data / "model.pt", data, updates=7)
    state = torch.load(path, weights_only=False)
    moments = {i: {"exp_avg": torch.ones(1000), "exp_avg_sq": torch.ones(1000), "step": 7} for i in range(20)}
    torch.save({**state, "last_optimizer_state": {"state": moments, "param_groups": []}}, path)
    return data


def test_all_but_the_optimizer_stays(trained, tmp_path, capsys):
    before = sha256(trained / "model.pt")
    assert main(["strip", str(trained / "model.pt"), str(tmp_path / "small.pt")]) == 0
    assert sha256(trained / "model.pt") == before
    assert (tmp_path / "small.pt").stat().st_size < (trained / "model.pt").stat().st_size - 20 * 2 * 4000
    full, small = read_checkpoint(trained / "model.pt"), read_checkpoint(tmp_path / "small.pt")
    assert small["last_optimizer_state"] is None
    assert {key: value for key, value in small.items() if key not in ("model", "last_optimizer_state")} == {
        key: value for key, value in full.items() if key not in ("model", "last_optimizer_state")
    }
    models = [read_model(path, trained / "bin") for path in (trained / "model.pt", tmp_path / "small.pt")]
    assert models[1].updates == 7
    for (name, weight), (other, copy) in zip(*(model.model.named_parameters() for model in models), strict=True):
        assert name == other
        assert torch.equal(weight, copy)


def test_finetuning_starts_from_it(trained, tmp_path, monkeypatch):
    from fairseq import checkpoint_utils, options
    from fairseq.dataclass.utils import convert_namespace_to_omegaconf
    from fairseq.tasks import setup_task
    from fairseq.trainer import Trainer

    assert main(["strip", str(trained / "model.pt"), str(tmp_path / "small.pt")]) == 0
    state = read_checkpoint(trained / "model.pt")
    command = [str(trained / "bin"), "--task", "csr_translation", "--arch", "mbart_large", "--cpu"]
    command += ["--source-lang", "xx", "--target-lang", "yy", "--layernorm-embedding", "--share-all-embeddings"]
    for side in ("encoder", "decoder"):
        command += [f"--{side}-layers", "2", f"--{side}-embed-dim", "16", f"--{side}-ffn-embed-dim", "16"]
        command += [f"--{side}-attention-heads", "2", f"--{side}-normalize-before"]
    command += ["--optimizer", "adam", "--lr", "1e-3", "--max-tokens", "100", "--save-dir", str(tmp_path / "run")]
    command += ["--finetune-from-model", str(tmp_path / "small.pt")]
    config = convert_namespace_to_omegaconf(options.parse_args_and_arch(options.get_training_parser(), command))
    task = setup_task(config.task)
    task.load_dataset("train")
    trainer = Trainer(config, task, task.build_model(config.model), task.build_criterion(config.criterion))
    checkpoint_utils.load_checkpoint(config.checkpoint, trainer)
    assert trainer.get_num_updates() == 0
    for name, weight in trainer.model.state_dict().items():
        assert torch.equal(weight, state["model"][name])


@pytest.mark.parametrize(
    ("checkpoint", "out", "message"),
    [
        ("model.pt", "model.pt", "expected another file than the checkpoint"),
        ("model.pt", "link.pt", "expected another file than the checkpoint"),
        ("model.pt", "bin", "expected the name of a file, found a folder"),
        ("bin", "x.pt", "expected a fairseq checkpoint, found a folder"),
        ("missing.pt", "x.pt", "no such file"),
        ("dict.txt", "x.pt", "expected a whole checkpoint"),
    ],
)
def test_refusals_are_one_line_and_nothing_is_written(trained, capsys, checkpoint, out, message):
    if out == "link.pt":
        (trained / "link.pt").symlink_to("model.pt")
    before = {path: path.stat().st_mtime_ns for path in trained.iterdir()}
    assert main(["strip", str(trained / checkpoint), str(trained / out)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert {path: path.stat().st_mtime_ns for path in trained.iterdir()} == before
