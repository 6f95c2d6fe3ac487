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
from csr.analysis.features import FEATURES
from csr.cli import main
from csr.errors import ConfigError, DataError
from fairseq_plugins.models import Languages, Model, read_model
from fairseq_plugins.representations import decoder_features, split_vectors, text_vectors


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
    assert found["per_pair"] == pytest.approx(13 / math.sqrt(2))
    # The mean difference is (-1.5, -8): 2 * (1.5^2 + 8^2) of the 169 = 13^2 are one offset.
    assert found["offset_share"] == pytest.approx(2 * (1.5**2 + 8**2) / 169)
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
    assert found["mean_pairwise"] <= found["per_pair"] + slack
    assert found["per_pair"] == pytest.approx(found["root_sum_squares"] / math.sqrt(5))
    assert found["offset_share"] * found["root_sum_squares"] ** 2 == pytest.approx(
        5 * found["distance_of_means"] ** 2, abs=1e-6
    )
    assert 0 <= found["offset_share"] <= 1 + 1e-9
    assert found == pytest.approx(back)
    same = distances(source, source)
    assert same["root_sum_squares"] == same["offset_share"] == 0


@given(vectors_, arrays.arrays(np.float64, 3, elements=st.floats(1, 100)))
def test_a_constant_between_the_languages_is_all_offset(source: np.ndarray, constant: np.ndarray) -> None:
    found = distances(source, source + constant)
    assert found["offset_share"] == pytest.approx(1)
    assert found["per_pair"] == pytest.approx(float(np.linalg.norm(constant)))


@given(vectors_, vectors_, st.integers(2, 5))
def test_per_pair_does_not_grow_with_the_number_of_pairs(source: np.ndarray, target: np.ndarray, times: int) -> None:
    once, again = distances(source, target), distances(np.tile(source, (times, 1)), np.tile(target, (times, 1)))
    assert again["root_sum_squares"] == pytest.approx(math.sqrt(times) * once["root_sum_squares"])
    for name in ("per_pair", "offset_share", "mean_pairwise", "distance_of_means"):
        assert again[name] == pytest.approx(once[name], abs=1e-9)


def test_parallel_vectors_are_required() -> None:
    with pytest.raises(ValueError, match="expected parallel vectors"):
        distances(np.zeros((2, 3)), np.zeros((3, 3)))
    with pytest.raises(ValueError, match="expected parallel vectors"):
        distances(np.zeros((0, 3)), np.zeros((0, 3)))


@pytest.fixture(scope="module")
def prepending(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A model with mBART-50's order of ids."""
    path = tmp_path_factory.mktemp("ml50") / "model.pt"
    make_checkpoint(path, data, language_ids="prepend")
    return read_model(path, data / "bin", device="cpu")


@pytest.mark.parametrize("layer", [None, 0, 1, 2])
@pytest.mark.parametrize("order", ["model", "prepending"])
def test_batches_agree_with_the_models_own_forward_on_each_sentence(
    order: str, layer: int | None, request: pytest.FixtureRequest
) -> None:
    model = request.getfixturevalue(order)
    network, dictionary = model.model, model.task.tgt_dict
    features = [*decoder_features(model), "encoder"]
    assert features == (["last_piece", "eos", "encoder"] if order == "model" else ["last_piece", "encoder"])
    found = split_vectors(model, "test", features, 100, max_tokens=200, layer=layer)
    for number, side in enumerate(model.task.sides("test", 1)):
        for i in range(24):
            pieces = side.data[i].long()  # ends in </s>
            language = torch.tensor([side.symbol])
            if order == "model":
                row, read, last = [pieces, language], [language, pieces], len(pieces) - 1
            else:
                row, read, last = [language, pieces], [pieces[-1:], language, pieces[:-1]], len(pieces)
            row, read = torch.cat(row).unsqueeze(0), torch.cat(read).unsqueeze(0)
            assert len(pieces) == 1 or read[0, last] == pieces[-2]  # one sentence is empty
            with torch.no_grad():
                encoded = network.encoder(row, return_all_hiddens=True)
                decoded, extra = network.decoder(read, encoder_out=encoded, features_only=True)
            assert dictionary[side.symbol] in ("[xx]", "[yy]")
            states = decoded[0] if layer in (None, 2) else extra["inner_states"][layer][:, 0]
            whole = encoded["encoder_out"][0] if layer in (None, 2) else encoded["encoder_states"][layer]
            expected = {"last_piece": states[last], "encoder": whole[row[0] != side.symbol, 0].mean(0)}
            if order == "model":
                assert read[0, -1] == dictionary.eos()
                expected["eos"] = states[-1]
            for feature in features:
                assert found[feature][number].shape == (24, 16)
                np.testing.assert_allclose(found[feature][number][i], expected[feature], atol=2e-5)


def test_layer_0_is_the_embedding_alone(model: Model) -> None:
    """Before any layer, all sentences look alike at </s> if they have the same length."""
    vectors, _ = split_vectors(model, "test", ["eos"], 100, layer=0)["eos"]
    side = model.task.sides("test", 1)[0]
    lengths = np.array(side.sizes[:24])
    pairs = [(i, j) for i in range(24) for j in range(i) if lengths[i] == lengths[j]]
    assert pairs
    for i, j in pairs:
        np.testing.assert_allclose(vectors[i], vectors[j], atol=1e-6)


def test_text_and_binary_data_give_the_same_vectors(data: Path) -> None:
    texts = [(data / f"test.{language}").read_text().splitlines() for language in ("xx", "yy")]
    expected = split_vectors(read_model(data / "model.pt", data / "bin"), "test", list(FEATURES), sentences=10)
    for model in (
        read_model(data / "model.pt", sentencepiece_model=data / "spm.model"),
        read_model(data / "model.pt", data / "bin"),
    ):
        found = text_vectors(model, *texts, data / "spm.model", list(FEATURES), sentences=10)
        for feature in FEATURES:
            np.testing.assert_array_equal(found[feature], expected[feature])


def test_a_sentence_longer_than_the_models_positions_keeps_its_ends(model: Model, data: Path) -> None:
    side = model.text_side(["A man " * 3000, "A man"], "xx", data / "spm.model")
    rows = dict(
        pair
        for batch, found in model.batches(side, 2, 8192, "test")
        for pair in zip(batch.tolist(), found, strict=True)
    )
    assert len(rows[0]) == min(model.model.max_positions())
    assert rows[0][-2:].tolist() == rows[1][-2:].tolist() == [model.task.symbols.eos, side.symbol]


@pytest.mark.slow
def test_a_model_of_another_task_needs_its_languages(data: Path, tmp_path: Path) -> None:
    foreign = make_checkpoint(tmp_path / "mbart.pt", data, task="translation")
    with pytest.raises(DataError, match="or to be told its languages, found one of translation"):
        read_model(foreign, data / "bin")
    with pytest.raises(DataError, match="expected a dictionary of"):
        read_model(foreign, data / "bin", languages=Languages("xx", "yy", ("xx", "yy", "zz")))
    model = read_model(foreign, data / "bin", languages=Languages("xx", "yy", ("xx", "yy")))
    known = read_model(data / "model.pt", data / "bin")
    np.testing.assert_array_equal(
        split_vectors(model, "test", sentences=5)["last_piece"], split_vectors(known, "test", sentences=5)["last_piece"]
    )


def test_wrong_requests_are_named(data: Path, model: Model, prepending: Model) -> None:
    with pytest.raises(ConfigError, match=r"layer: expected 0 \(embeddings\) to 2, found 3"):
        split_vectors(model, "test", ["encoder"], 5, layer=3)
    with pytest.raises(ConfigError, match="sentences: expected at least 1, found 0"):
        split_vectors(model, "test", sentences=0)
    with pytest.raises(ConfigError, match="found eos, which this model's decoder never reads"):
        split_vectors(prepending, "test", ["eos"], 5)
    with pytest.raises(DataError, match=r"expected nosuch\.xx-yy\.xx\.bin"):
        split_vectors(model, "nosuch", sentences=5)
    for path, message in (
        (data / "spm.model", "expected a whole checkpoint"),
        (data / "no.pt", "no such file"),
    ):
        with pytest.raises(DataError, match=message):
            read_model(path, data / "bin")
    with pytest.raises(DataError, match=r"expected dict\.xx\.txt in it"):
        read_model(data / "model.pt", data)


@pytest.mark.slow
def test_the_command_on_one_model_and_on_several(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = make_checkpoint(tmp_path / "other.pt", data, seed=2)
    one = f"distance --checkpoint {data / 'model.pt'} --data {data / 'bin'} --sentences 12"
    assert main(one.split()) == 0
    found = json.loads(capsys.readouterr().out)
    vectors = split_vectors(read_model(data / "model.pt", data / "bin"), "test", ["last_piece", "eos"], 12)
    assert found == {"layer": None, **{feature: distances(*pair) for feature, pair in vectors.items()}}
    assert found["last_piece"] != found["eos"]

    text = f"--text {data / 'test.xx'} {data / 'test.yy'} --sentencepiece-model {data / 'spm.model'} --sentences 12"
    several = f"distance --checkpoint before={data / 'model.pt'} after={other} --table --out {tmp_path / 'd.json'}"
    assert main(several.split() + text.split()) == 0
    table = capsys.readouterr().out
    assert table.count("| before | ") == 2
    assert "decoder output at the last piece, last layer" in table
    assert "decoder output at </s>, last layer" in table
    written = json.loads((tmp_path / "d.json").read_text())
    assert [row["model"] for row in written] == ["before", "after"]
    for feature in ("last_piece", "eos"):
        assert written[0][feature] == pytest.approx(found[feature])
        assert f"{found[feature]['root_sum_squares']:.2f}" in table

    assert main([*one.split(), "--text", "a", "b"]) == 2
    assert "go together" in capsys.readouterr().err
