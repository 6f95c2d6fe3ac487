"""The domain picture: ellipses by hand, clusters that stay together, features in batches, a file that opens."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from tiny_checkpoint import make_checkpoint, make_data

from csr.analysis.domain import ellipse, embed, hugging_face_vectors, picture, sample
from csr.cli import main
from csr.errors import ConfigError, DataError
from csr.report.plots import HEIGHT, domain, standalone


def test_ellipse_by_hand() -> None:
    """Variances (9 + 9) / 4 = 4.5 and (1 + 1) / 4 = 0.5 along the axes, of which two deviations."""
    points = np.array([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    flat = ellipse(points + np.array([5.0, 7.0]))
    assert (flat.x, flat.y) == (5, 7)
    assert (flat.major, flat.minor) == pytest.approx((2 * math.sqrt(4.5), 2 * math.sqrt(0.5)))
    assert flat.angle % 180 == pytest.approx(0)
    turn = np.array([[math.cos(0.5), math.sin(0.5)], [-math.sin(0.5), math.cos(0.5)]])
    assert ellipse(points @ turn).angle == pytest.approx(math.degrees(0.5))
    assert vars(ellipse(points[:1])) == {"x": 3, "y": 0, "major": 0, "minor": 0, "angle": pytest.approx(90, abs=90)}


def test_an_ellipse_holds_86_percent_of_a_normal_distribution() -> None:
    points = np.random.default_rng(1).normal(size=(20000, 2)) @ np.array([[2.0, 1.0], [0.0, 0.5]])
    found = ellipse(points)
    angle = math.radians(found.angle)
    axes = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    along = (points - (found.x, found.y)) @ axes
    inside = np.mean((along[:, 0] / found.major) ** 2 + (along[:, 1] / found.minor) ** 2 <= 1)
    assert inside == pytest.approx(1 - math.exp(-2), abs=0.01)


def test_a_seed_repeats_itself_and_clusters_stay_together() -> None:
    rng = np.random.default_rng(1)
    groups = [rng.normal(center, 0.1, (20, 8)) for center in (0.0, 5.0)]
    first, again = embed(groups, seed=3), embed(groups, seed=3)
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    left, right = first
    spread = max(np.linalg.norm(group - group.mean(0), axis=1).max() for group in first)
    assert np.linalg.norm(left.mean(0) - right.mean(0)) > spread


def test_too_little_to_draw() -> None:
    for groups in ([np.zeros((1, 4)), np.ones((1, 4))], [np.ones((5, 4))]):
        with pytest.raises(DataError, match="at least three sentences that differ"):
            embed(groups, seed=1)
    assert [len(group) for group in embed([np.eye(4)[:1], np.eye(4)[1:]], seed=1)] == [1, 3]


def test_a_sample_has_no_empty_lines_and_depends_on_the_seed(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("".join(f"line {i}\n\n" for i in range(50)))
    first = sample(path, 10, seed=1)
    assert first == sample(path, 10, seed=1) != sample(path, 10, seed=2)
    assert len(set(first)) == 10
    assert len(sample(path, 100, seed=1)) == 50
    path.write_text("\n \n")
    with pytest.raises(DataError, match="expected at least one sentence, found none"):
        sample(path, 10, seed=1)


def test_hugging_face_features_are_means_over_tokens(tmp_path: Path) -> None:
    """Batches against each line alone, padding aside, from a folder and without a network."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path / "encoder"
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c"]))
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(1)
    settings = BertConfig(vocab_size=8, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    model = BertModel(settings).eval()
    model.save_pretrained(folder)
    lines = ["a b c a b", "c", "b a"]
    found = hugging_face_vectors(folder, lines, batch_size=2)
    for line, ours in zip(lines, found, strict=True):
        ids = torch.tensor([[2, *(5 + "abc".index(word) for word in line.split()), 3]])
        with torch.no_grad():
            expected = model(ids).last_hidden_state[0].mean(0)
        np.testing.assert_allclose(ours, expected, atol=1e-6)
    with pytest.raises(ConfigError, match="expected a Hugging Face model, found none"):
        hugging_face_vectors(tmp_path, lines)


def test_all_dots_are_in_the_frame_and_the_file_is_an_svg() -> None:
    rng = np.random.default_rng(2)
    names = [(corpus, language) for corpus in ("pretraining", "downstream") for language in ("en", "de")]
    groups = [rng.normal(i, 1, (12, 5)) for i in range(4)]
    tree = ElementTree.fromstring(standalone(domain(picture(names, groups, "made up", seed=1))))
    svg = "{http://www.w3.org/2000/svg}"
    assert tree.tag == f"{svg}svg"
    width = float(tree.attrib["viewBox"].split()[2])
    dots = [path.attrib["d"].removesuffix("h0").split("h0") for path in tree.iter(f"{svg}path")]
    assert [len(part) for part in dots] == [12, 12]
    for x, y in (map(float, dot.removeprefix("M").split()) for part in dots for dot in part):
        assert 0 <= x <= width
        assert 0 <= y <= HEIGHT - 30
    labels = [text.text for text in tree.iter(f"{svg}text")]
    assert labels == ["en pretraining", "de pretraining", "en downstream", "de downstream"]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data").mkdir()
    data = make_data(tmp_path / "data", n=8)
    make_checkpoint(tmp_path / "model.pt", data)
    texts = f"xx={data / 'test.xx'} yy={data / 'test.yy'}"
    command = f"domain --pretraining {texts} --downstream {texts} --sentences 5 --out {tmp_path}"
    model = f"--checkpoint {tmp_path / 'model.pt'} --sentencepiece-model {data / 'spm.model'}"
    assert main([*command.split(), *model.split()]) == 0
    drawn = json.loads((tmp_path / "domain.json").read_text())
    assert [len(group["points"]) for group in drawn["groups"]] == [5] * 4
    assert drawn["features"] == "mean of the encoder output"
    ElementTree.parse(tmp_path / "domain.svg")
    for options, message in (("", "expected --checkpoint with"), ("--checkpoint x", "expected --checkpoint with")):
        assert main([*command.split(), *options.split()]) == 2
        assert message in capsys.readouterr().err
