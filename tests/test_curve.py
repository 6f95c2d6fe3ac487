"""An experiment over sizes: nested subsets, the settings of each size, and where an arm stops paying."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from csr.cli import main
from csr.errors import ConfigError
from csr.experiments import curve as sizes_of
from csr.experiments.translation import Config
from csr.report import curve, plots
from csr.settings import build


def outcome(arm: str, against: str, difference: float, low: float, high: float, p: float) -> dict[str, Any]:
    """A test over the seeds as ``results.json`` has it."""
    shown = {"arm": arm, "against": against, "metric": "bleu", "seeds": [1, 2], "difference": difference}
    return shown | {"low": low, "high": high, "p_value": p, "signature": "bs:1000|seed:12345|seeds:2"}


def run_of(scores: dict[str, dict[int, float]], tests: list[dict[str, Any]]) -> dict[str, Any]:
    """What is read of ``results.json``; chrF is twice BLEU, and the backbone has no score."""
    listed: list[dict[str, Any]] = [
        {"arm": arm, "seed": seed, "bleu": {"value": value}, "chrf": {"value": 2 * value}}
        for arm, of in scores.items()
        for seed, value in of.items()
    ]
    return {"scores": [*listed, {"arm": "backbone", "seed": 1, "distance": {}}], "over_seeds": tests}


RUNS = {
    3000: run_of(
        {"baseline": {1: 20.0, 2: 21.0}, "csr": {1: 18.0, 2: 19.0}, "wbt": {1: 21.0}},
        [
            outcome("wbt", "baseline", 1.0, -0.4, 2.1, 0.08),
            outcome("csr", "baseline", -2.0, -3.0, -1.0, 0.001),
            outcome("wbt", "csr", 3.0, 1.0, 5.0, 0.001),  # of no interest
        ],
    ),
    300: run_of(
        {"baseline": {1: 10.0, 2: 12.0}, "csr": {1: 12.0, 2: 14.5}, "wbt": {1: 13.0}},
        [
            outcome("wbt", "baseline", 3.0, 2.0, 4.0, 0.001),
            outcome("csr", "baseline", 2.25, -0.01, 4.0, 0.04),
            outcome("csr", "placebo", 0.5, 0.1, 0.9, 0.02),
        ],
    ),
}


@pytest.fixture
def config(tmp_path) -> Config:
    """Forty pairs, of which one is there twice and one is in the test set."""
    for lang in ("de", "en"):
        lines = [f"{lang} {i} a b" for i in range(40)]
        (tmp_path / f"train.{lang}").write_text("".join(f"{line}\n" for line in [*lines, lines[0]]))
        (tmp_path / f"test.{lang}").write_text(f"{lines[7]}\n{lang} test\n")
    data = {"source_lang": "de", "target_lang": "en", "folder": str(tmp_path), "src": "train.de", "tgt": "train.en"}
    data |= {
        f"{split}_{side}": f"test.{lang}" for split in ("dev", "test") for side, lang in (("src", "de"), ("tgt", "en"))
    }
    return build({"data": data, "arms": ["baseline", "csr"]}, Config)


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_each_subset_lies_within_the_larger_ones_pair_by_pair(config, tmp_path):
    sizes_of.write_subsets(config, [5, 10, 39], tmp_path)
    found = {
        n: list(zip(*(lines(tmp_path / f"size-{n}.{lang}") for lang in ("de", "en")), strict=True)) for n in (5, 10, 39)
    }
    assert {n: len(pairs) for n, pairs in found.items()} == {5: 5, 10: 10, 39: 39}
    assert set(found[5]) < set(found[10]) < set(found[39])
    assert all(src.split()[1:] == tgt.split()[1:] for src, tgt in found[39])
    assert ("de 7 a b", "en 7 a b") not in found[39]
    times = {path: path.stat().st_mtime_ns for path in tmp_path.glob("size-*")}
    sizes_of.write_subsets(config, [5, 10, 39], tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("size-*")} == times
    sizes_of.write_subsets(config, [5], tmp_path / "other", seed=2)
    assert lines(tmp_path / "other/size-5.de") != lines(tmp_path / "size-5.de")


def test_what_has_no_curve_is_named(config, tmp_path):
    with pytest.raises(ConfigError, match=r"--sizes: expected at most the 39 pairs of .*train\.de that are left"):
        sizes_of.write_subsets(config, [5, 40], tmp_path)
    with pytest.raises(ConfigError, match="--sizes: expected each once, smallest first, found 10,5"):
        sizes_of.check(config, [10, 5])
    held_out = dataclasses.replace(config.data, test_src=None, test_tgt=None)
    with pytest.raises(ConfigError, match=r"data\.test_src: missing; all sizes are to be tested on the same sentences"):
        sizes_of.check(dataclasses.replace(config, data=held_out), [5])


def test_sizes_that_are_none_are_one_line(config, tmp_path, capsys):
    (tmp_path / "c.yaml").write_text(
        yaml.safe_dump({"data": {"source_lang": "de", "target_lang": "en", "src": "a", "tgt": "b"}})
    )
    for text in ("5,x", "0,5"):
        assert main(["curve", str(tmp_path / "c.yaml"), "--sizes", text]) == 2
        assert "--sizes: expected whole numbers from 1 with commas between" in capsys.readouterr().err


def test_sizes_share_a_backbone_of_texts(config, tmp_path):
    texts = [{"lang": "de", "file": "mono.de"}, {"lang": "en", "file": "mono.en"}]
    trained = {"texts": texts, "pieces": 100, "layers": 2, "train": {"updates": 7, "warmup": 1}}
    whole = build(sizes_of.as_mapping(config) | {"backbone": trained, "seeds": [3, 4]}, Config)
    one = sizes_of.with_subset(whole, 5, tmp_path)
    assert one.data.src == tmp_path / "text/size-5.de"
    assert one.backbone.checkpoint == tmp_path / "backbone/seed-3/backbone/model.pt"
    assert (one.backbone.layers, one.backbone.langs, one.backbone.texts) == (2, ("de", "en"), ())
    assert one.seeds == (3, 4)
    backbone = sizes_of.backbone_config(whole)
    assert backbone.seeds == (3,)
    assert sizes_of.backbone_until(backbone) == ["check", "backbone seed 3"]
    assert sizes_of.backbone_config(config) is None


def test_the_crossing_is_interpolated_on_the_logarithm_of_sizes():
    end = curve.crossing({3000: -2.0, 300: 2.25})  # 2.25 / (2.25 + 2) of the way from log 300 to log 3000
    assert end.size == pytest.approx(300 * 10 ** (2.25 / 4.25))
    assert end.text == "about 1,000 pairs (between 300 and 3,000)"
    assert curve.crossing({300: 3.0, 3000: 1.0}).text == "none seen: above up to 3,000 pairs"
    assert curve.crossing({300: -1.0, 900: 0.0}).text == "none seen: never above, from 300 pairs on"
    assert curve.crossing({300: -1.0, 900: 1.0}).text.startswith("none seen: above at 900 pairs, but not at all")
    assert curve.crossing({300: 1.0, 900: -1.0, 2700: 1.0, 8100: -1.0}).size == pytest.approx(2700 * 3**0.5)
    assert curve.crossing({}).text == "not measured"


def test_results_are_read_by_size():
    scores, tests = curve.read_scores(RUNS, "bleu"), curve.read_tests(RUNS, "bleu")
    assert list(scores) == [300, 3000]
    assert scores[300] == {"baseline": {1: 10.0, 2: 12.0}, "csr": {1: 12.0, 2: 14.5}, "wbt": {1: 13.0}}
    assert curve.read_scores(RUNS, "chrf")[3000]["csr"] == {1: 36.0, 2: 38.0}
    assert {pair: list(of) for pair, of in tests.items()} == {
        ("csr", "baseline"): [300, 3000],
        ("csr", "placebo"): [300],
        ("wbt", "baseline"): [300, 3000],
    }
    assert list(tests) == sorted(tests)  # CSR first, against standard finetuning first
    assert curve.read_tests(RUNS, "chrf") == {}


def test_table_and_picture_of_the_curve(tmp_path):
    arms = ["baseline", "csr", "wbt"]
    read, tests = curve.read_scores(RUNS, "bleu"), curve.read_tests(RUNS, "bleu")
    scores, differences = curve.tables(read, tests, arms, "bleu", "de→en")
    assert "| Standard finetuning | 11.0 ± 1.4 | 20.5 ± 0.7 |" in scores.markdown()
    assert differences.markdown().splitlines()[4:7] == [
        # Below 0.05, but 0 is within the interval: not bold.
        "| CSR − standard finetuning | +2.2 (+0.0 to +4.0, p = 0.040) | **−2.0** (−3.0 to −1.0, p = 0.001) "
        "| none seen: no gain is told apart |",
        "| CSR − the placebo lexicon | **+0.5** (+0.1 to +0.9, p = 0.020) | – | none seen: above up to 300 pairs |",
        "| Word-for-word back-translation − standard finetuning | **+3.0** (+2.0 to +4.0, p = 0.001) "
        "| +1.0 (−0.4 to +2.1, p = 0.080) | none seen: above up to 3,000 pairs |",
    ]
    assert "(bs:1000|seed:12345|seeds:2)" in differences.note
    gained = {("csr", "baseline"): {**tests["csr", "baseline"], 300: outcome("csr", "baseline", 2.25, 0.01, 4.0, 0.04)}}
    _, differences = curve.tables(read, gained, arms, "bleu", "de→en")
    assert "**+2.2** (+0.0 to +4.0, p = 0.040)" in differences.markdown()
    assert "| about 1,000 pairs (between 300 and 3,000) |" in differences.markdown()
    assert [table.name for table in curve.tables(read, {}, arms, "bleu", "de→en")] == ["curve"]
    curve.picture(read, arms, "bleu", "de→en", tmp_path / "c.svg")
    tree = ElementTree.fromstring((tmp_path / "c.svg").read_text())
    texts = [one.text for one in tree.iter("{http://www.w3.org/2000/svg}text")]
    assert texts[0] == "de→en: BLEU over the size of the bitext"
    assert {"300", "3,000", "training pairs", "Standard finetuning", "CSR"} <= set(texts)
    # The marks and the colors of the report: a mark for each point and one in the legend.
    classes = Counter(one.get("class") for one in tree.iter("{http://www.w3.org/2000/svg}path"))
    assert [classes[f"{part} arm-csr"] for part in ("mark", "mean", "band")] == [3, 2, 1]
    shapes = {one.get("d") for one in tree.iter() if one.get("class") == "mark arm-baseline"}
    assert shapes == {plots.MARKS["arm-baseline"]}
    style = tree.find("{http://www.w3.org/2000/svg}style").text
    assert ".mean.arm-csr { stroke: #d0551f; stroke-width: 2;" in style
    assert "var(" not in style
    # Sizes a tenth of each other are equally far apart.
    assert plots.bands([plots.Band("arm-csr", "CSR", [(n, 1.0, 0.0, 2.0) for n in (10, 100, 1000)])], "t", "x").count(
        'text x="240.0"'
    )
    shown = json.loads(json.dumps(curve.as_dict(read, tests, "bleu")))
    assert shown["scores"]["300"]["wbt"] == {"1": 13.0}
    assert {"size": 300, **RUNS[300]["over_seeds"][2]} in shown["differences"]
    assert {"arm": "csr", "against": "placebo", "size": None, "text": "none seen: above up to 300 pairs"} in shown[
        "crossings"
    ]
