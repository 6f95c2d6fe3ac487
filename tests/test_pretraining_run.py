"""``csr run`` of an experiment in pretraining, from text to the report, on text made here."""

import random
from pathlib import Path

import pytest

from csr.cli import main
from csr.files import read_json

pytestmark = pytest.mark.slow

_RANDOM = random.Random(1)
SETTINGS = """
experiment: pretraining
data:
  folder: {folder}
  source_lang: en
  target_lang: sw
  src: [en.txt]
  tgt: [sw.txt]
  src_bytes: 20kB
  tgt_bytes: 20kB
  held_out: 2kB
  pieces: 150
  wordpiece: true
lexicon: {{folder: "{folder}", src: bitext.en, tgt: bitext.sw}}
switching: {{stop_words: [none, none]}}
pretrain: {{size: tiny, updates: 60, lr: 2.0e-3, warmup: 10, batch: 8, update_freq: 1, length: 64, precision: bf16}}
ner:
  folder: {folder}
  train: train
  dev: dev
  tests: [{{lang: sw, file: test}}]
  types: [PER]
  lrs: [1.0e-3]
  epochs: [3]
  seeds: [1]
  batch: 8
arms: [none, ibm]
"""
NOUNS = "river mountain village bridge garden market window teacher doctor farmer sister".split()
NAMES = "Anna Berlin Nairobi Joseph Kampala Maria".split()
TEMPLATES = ("the {} saw a {} near {} .", "{2} has a {0} and no {1} .", "when the {} fell the {} went to {} .")


def sentences(n: int) -> list[list[str]]:
    return [
        _RANDOM.choice(TEMPLATES).format(*_RANDOM.sample(NOUNS, 2), _RANDOM.choice(NAMES)).split() for _ in range(n)
    ]


def translated(sentence: list[str]) -> list[str]:
    """Reversed words make another language; names stay."""
    return [word if word in (*NAMES, ".") else word[::-1] for word in sentence]


def text(lines: list[list[str]]) -> str:
    return "".join(" ".join(line) + "\n" for line in lines)


def tagged(lines: list[list[str]]) -> str:
    rows = ("".join(f"{word}\t{'B-PER' if word in NAMES else 'O'}\n" for word in line) for line in lines)
    return "\n".join(rows) + "\n"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pretraining")
    en, bitext, train, dev = (sentences(n) for n in (1500, 400, 200, 40))
    files = {
        "en.txt": text(en),
        "sw.txt": text([translated(line) for line in sentences(1500)]),
        "bitext.en": text(bitext),
        "bitext.sw": text([translated(line) for line in bitext]),
        "train": tagged(train),
        "dev": tagged(dev),
        "test": tagged([translated(line) for line in dev]),
    }
    for name, content in files.items():
        (folder / name).write_text(content)
    (folder / "run.yaml").write_text(SETTINGS.format(folder=folder))
    assert main(["run", str(folder / "run.yaml"), "--out", str(folder / "out"), "--cores", "1"]) == 0
    return folder / "out"


def test_a_language_pair_ends_in_tables(finished: Path) -> None:
    results = read_json(finished / "results.json")
    assert results["missing"] == []
    masked, ner = results["scores"]["masked"], results["scores"]["ner"]
    assert {language: set(arms) for language, arms in masked.items()} == {key: {"none", "ibm"} for key in ("en", "sw")}
    # One of 149 pieces would be right by chance.
    assert min(value for arms in masked.values() for values in arms.values() for value in values) > 0.03
    assert [len(values) for values in ner["sw"].values()] == [1, 1]
    assert min(ner["dev"]["none"]) > 0.95
    (tested,) = [row for row in results["comparisons"] if row["test"] == "sw"]
    assert tested["difference"] == pytest.approx(ner["sw"]["ibm"][0] - ner["sw"]["none"][0])
    table = (finished / "table.md").read_text()
    assert "Zero-shot named entities" in table
    page = (finished / "report.html").read_text()
    assert "Accuracy of masked pieces in training" in page
    assert "label smoothing" not in page


def test_the_arms_differ_in_switching_alone(finished: Path) -> None:
    from csr.settings import read_yaml

    logs = {arm: (finished / f"seed-1/{arm}/train.log").read_text() for arm in ("none", "ibm")}
    assert '"switch_rate_en": "0"' in logs["none"]
    assert '"switch_coverage_en": "0"' not in logs["ibm"]
    assert all('"predicted_en": "0.15' in log for log in logs.values())
    assert read_yaml(finished / "config.yaml")["data"]["wordpiece"]
    assert not (finished / "data/spm.model").exists()


def test_what_is_done_is_not_done_again(finished: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = (finished / "seed-1/ibm/model.pt").stat().st_mtime_ns
    assert main(["run", str(finished.parent / "run.yaml"), "--out", str(finished), "--cores", "1"]) == 0
    assert (finished / "seed-1/ibm/model.pt").stat().st_mtime_ns == before
