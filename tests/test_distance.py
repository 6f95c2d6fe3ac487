"""Representation distance: sums by hand, batches against single sentences, text against binary data, every layer."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tiny_checkpoint import make_checkpoint, make_data

from csr.analysis.distance import distances, retrieval_accuracy
from csr.cli import main
from csr.errors import ConfigError, DataError
from fairseq_plugins.models import Languages, Model, read_model
from fairseq_plugins.representations import Features, sentence_vectors, split_vectors, text_vectors

ALL = [Features(part, layer) for part in ("decoder", "encoder") for layer in (None, 0, 1, 2)]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_data(tmp_path_factory.mktemp("distance"))
    make_checkpoint(folder / "model.pt", folder, updates=7)
    return folder


@pytest.fixture(scope="module")
def model(data: Path) -> Model:
    return read_model(data / "model.pt", data / "bin", device="cpu")


def test_definitions_by_hand() -> None:
    source, target = np.array([[0.0, 0.0], [4.0, 3.0]]), np.array([[3.0, 4.0], [4.0, 15.0]])
    found = distances(source, target)
    assert found["root_sum_squares"] == pytest.approx(13)  # sqrt(5^2 + 12^2)
    assert found["mean_pairwise"] == pytest.approx(8.5)  # (5 + 12) / 2
    assert found["distance_of_means"] == pytest.approx(math.hypot(1.5, 8))  # (2, 1.5) and (3.5, 9.5)
    assert found["cosine"] == pytest.approx((0 + 61 / (5 * math.sqrt(241))) / 2)  # a zero vector is similar to none
    # (4, 3) and (3, 4) have cosine 24/25, (4, 3) and (4, 15) 61/77.6: both of the queries with a direction miss.
    assert retrieval_accuracy(source[1:], target[1:]) == 1


vectors_ = arrays.arrays(np.float64, (5, 3), elements=st.floats(-100, 100))


@given(vectors_, vectors_)
def test_how_the_definitions_are_related(source: np.ndarray, target: np.ndarray) -> None:
    """By Jensen and the triangle inequality: of the means <= mean pairwise <= D / sqrt(n); and both ways alike."""
    found, back = distances(source, target), distances(target, source)
    slack = 1e-9 + 1e-9 * found["root_sum_squares"]
    assert found["distance_of_means"] <= found["mean_pairwise"] + slack
    assert found["mean_pairwise"] <= found["root_sum_squares"] / math.sqrt(5) + slack
    assert found == pytest.approx(back)
    assert distances(source, source)["root_sum_squares"] == 0


def test_parallel_vectors_are_required() -> None:
    with pytest.raises(ValueError, match="expected parallel vectors"):
        distances(np.zeros((2, 3)), np.zeros((3, 3)))
    with pytest.raises(ValueError, match="expected parallel vectors"):
        distances(np.zeros((0, 3)), np.zeros((0, 3)))


@pytest.mark.parametrize("features", ALL, ids=str)
def test_batches_agree_with_the_models_own_forward_on_each_sentence(model: Model, features: Features) -> None:
    network, dictionary = model.model, model.task.tgt_dict
    sides = model.task.sides("test", 1)
    found = split_vectors(model, "test", 100, max_tokens=200, features=features)
    for side, ours in zip(sides, found, strict=True):
        assert ours.shape == (24, 16)
        for i in range(24):
            pieces = side.data[i].long()  # ends in </s>
            row = torch.cat([pieces, torch.tensor([side.symbol])]).unsqueeze(0)
            with torch.no_grad():
                encoded = network.encoder(row, return_all_hiddens=True)
                decoded, extra = network.decoder(row.roll(1), encoder_out=encoded, features_only=True)
            assert dictionary[row[0, -1]] in ("[xx]", "[yy]")
            if features.part == "decoder":
                states = decoded[0] if features.layer in (None, 2) else extra["inner_states"][features.layer][:, 0]
                # The decoder reads [lang] w1 ... wn </s>: at its last position it has seen all.
                expected = states[-1]
            else:
                whole = encoded["encoder_out"][0] if features.layer in (None, 2) else None
                states = encoded["encoder_states"][features.layer] if whole is None else whole
                expected = states[:-1, 0].mean(0)
            np.testing.assert_allclose(ours[i], expected, atol=2e-5)


def test_layer_0_is_the_embedding_alone(model: Model) -> None:
    """Before any layer, all sentences look alike at </s> if they have the same length."""
    vectors, _ = split_vectors(model, "test", 100, features=Features("decoder", 0))
    side = model.task.sides("test", 1)[0]
    lengths = np.array(side.sizes[:24])
    pairs = [(i, j) for i in range(24) for j in range(i) if lengths[i] == lengths[j]]
    assert pairs
    for i, j in pairs:
        np.testing.assert_allclose(vectors[i], vectors[j], atol=1e-6)


def test_text_and_binary_data_give_the_same_vectors(data: Path) -> None:
    texts = [(data / f"test.{language}").read_text().splitlines() for language in ("xx", "yy")]
    expected = sentence_vectors(data / "model.pt", data / "bin", sentences=10)
    for model in (
        read_model(data / "model.pt", sentencepiece_model=data / "spm.model"),
        read_model(data / "model.pt", data / "bin"),
    ):
        found = text_vectors(model, *texts, data / "spm.model", sentences=10)
        np.testing.assert_array_equal(found, expected)


def test_a_sentence_longer_than_the_models_positions_keeps_its_ends(model: Model, data: Path) -> None:
    side = model.text_side(["A man " * 3000, "A man"], "xx", data / "spm.model")
    rows = dict(
        pair
        for batch, found in model.batches(side, 2, 8192, "test")
        for pair in zip(batch.tolist(), found, strict=True)
    )
    assert len(rows[0]) == min(model.model.max_positions())
    assert rows[0][-2:].tolist() == rows[1][-2:].tolist() == [model.task.symbols.eos, side.symbol]


def test_a_model_of_another_task_needs_its_languages(data: Path, tmp_path: Path) -> None:
    foreign = make_checkpoint(tmp_path / "mbart.pt", data, task="translation")
    with pytest.raises(DataError, match="or to be told its languages, found one of translation"):
        read_model(foreign, data / "bin")
    with pytest.raises(DataError, match="expected a dictionary of"):
        read_model(foreign, data / "bin", languages=Languages("xx", "yy", ("xx", "yy", "zz")))
    model = read_model(foreign, data / "bin", languages=Languages("xx", "yy", ("xx", "yy")))
    np.testing.assert_array_equal(
        split_vectors(model, "test", 5), sentence_vectors(data / "model.pt", data / "bin", sentences=5)
    )


def test_wrong_requests_are_named(data: Path, model: Model) -> None:
    with pytest.raises(ConfigError, match=r"layer: expected 0 \(embeddings\) to 2, found 3"):
        split_vectors(model, "test", 5, features=Features("encoder", 3))
    with pytest.raises(ConfigError, match="sentences: expected at least 1, found 0"):
        split_vectors(model, "test", 0)
    with pytest.raises(DataError, match=r"expected nosuch\.xx-yy\.xx\.bin"):
        split_vectors(model, "nosuch", 5)
    for path, message in (
        (data / "spm.model", "expected a whole checkpoint"),
        (data / "no.pt", "no such file"),
    ):
        with pytest.raises(DataError, match=message):
            read_model(path, data / "bin")
    with pytest.raises(DataError, match=r"expected dict\.xx\.txt in it"):
        read_model(data / "model.pt", data)


def test_the_command_on_one_model_and_on_several(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = make_checkpoint(tmp_path / "other.pt", data, seed=2)
    one = f"distance --checkpoint {data / 'model.pt'} --data {data / 'bin'} --sentences 12"
    assert main(one.split()) == 0
    found = json.loads(capsys.readouterr().out)
    expected = distances(*sentence_vectors(data / "model.pt", data / "bin", sentences=12))
    assert found == {**expected, "features": "decoder, last token, last layer"}

    text = f"--text {data / 'test.xx'} {data / 'test.yy'} --sentencepiece-model {data / 'spm.model'} --sentences 12"
    several = f"distance --checkpoint before={data / 'model.pt'} after={other} --table --out {tmp_path / 'd.json'}"
    assert main(several.split() + text.split()) == 0
    table = capsys.readouterr().out
    assert "| before | " in table
    written = json.loads((tmp_path / "d.json").read_text())
    assert [row["model"] for row in written] == ["before", "after"]
    assert written[0]["root_sum_squares"] == pytest.approx(found["root_sum_squares"])
    assert f"{found['root_sum_squares']:.2f}" in table

    assert main([*one.split(), "--text", "a", "b"]) == 2
    assert "go together" in capsys.readouterr().err
