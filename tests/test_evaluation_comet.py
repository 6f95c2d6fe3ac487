"""COMET through unbabel-comet with a tiny model made here, without a network."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from evaluation_outputs import outputs, references

from csr.errors import ConfigError, DataError
from csr.evaluation import comet, significance


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    def refuse(*arguments: object) -> None:
        raise OSError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """Write a COMET folder whose encoder has two layers of eight units."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("comet")
    import yaml
    from comet.models import RegressionMetric
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("comet")
    encoder = folder / "encoder"
    encoder.mkdir()
    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,!'"
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{c}" for c in letters)]
    (encoder / "vocab.txt").write_text("\n".join(pieces))
    BertTokenizerFast(str(encoder / "vocab.txt")).save_pretrained(encoder)
    config = BertConfig(len(pieces), hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=8)
    BertModel(config).save_pretrained(encoder)

    torch.manual_seed(1)
    settings = {"encoder_model": "BERT", "pretrained_model": str(encoder), "hidden_sizes": [8, 4]}
    metric = RegressionMetric(**settings, load_pretrained_weights=False, local_files_only=True)
    (folder / "checkpoints").mkdir()
    torch.save(
        {
            "state_dict": metric.state_dict(),
            "hyper_parameters": dict(metric.hparams),
            "pytorch-lightning_version": "2.0.0",
        },
        folder / "checkpoints" / "model.ckpt",
    )
    (folder / "hparams.yaml").write_text(yaml.safe_dump({"class_identifier": "regression_metric"} | settings))
    return folder


def test_local_model_scores_batches_like_single_sentences(model):
    hyp, ref = outputs(0.3, 1, n=6), references(6)
    batch = comet.comet_segments(hyp, ref, ref, str(model), batch_size=4)
    single = comet.comet_segments(hyp, ref, ref, str(model / "checkpoints" / "model.ckpt"), batch_size=1)
    assert batch == pytest.approx(single, abs=1e-5)
    assert len(set(batch)) > 1

    score = comet.comet(hyp, ref, ref, str(model))
    assert score.value == pytest.approx(significance.means(batch).value)
    assert score.signature.startswith(f"model:{model}|unbabel-comet:")


def test_missing_and_broken_models_are_one_clear_line(model, tmp_path):
    lines = ["a"]
    with pytest.raises(ConfigError, match="No/such-model': expected a local folder"):
        comet.comet(lines, lines, lines, "No/such-model")
    with pytest.raises(ConfigError, match=r"expected one file checkpoints/\*.ckpt, found 0"):
        comet.comet(lines, lines, lines, str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "model.ckpt").write_bytes(b"cut short")
    with pytest.raises(ConfigError, match=r"cannot be loaded: .*hparams\.yaml"):
        comet.comet(lines, lines, lines, str(tmp_path))
    (tmp_path / "hparams.yaml").write_bytes((model / "hparams.yaml").read_bytes())
    with pytest.raises(ConfigError, match="cannot be loaded") as caught:
        comet.comet(lines, lines, lines, str(tmp_path))
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="found 1, 1 and 2"):
        comet.comet(lines, lines, ["a", "b"], str(model))
