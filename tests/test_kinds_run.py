"""Inference and summarisation through ``csr run``, from text to the report, on a corpus of seconds."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import yaml

from csr.cli import main
from csr.data.nli import LABELS
from csr.files import read_json

pytestmark = pytest.mark.slow

NOUNS = "river mountain village bridge garden market window teacher doctor farmer sister brother".split()
STAGE = {"updates": 4, "lr": 1.0e-3, "warmup": 2, "max_tokens": 800, "save_every": 2}
SIZES = {"layers": 1, "dim": 32, "ffn": 64, "heads": 2}


def sentence(chance: random.Random) -> str:
    return "the {} saw a {} near the {} .".format(*chance.sample(NOUNS, 3))


def translated(text: str) -> str:
    """Reversed words make another language."""
    return " ".join(word[::-1] for word in text.split())


def run(folder: Path, settings: dict) -> Path:
    (folder / "run.yaml").write_text(yaml.safe_dump(settings))
    assert main(["run", str(folder / "run.yaml"), "--out", str(folder / "out"), "--cores", "1"]) == 0
    return folder / "out"


def texts(folder: Path, chance: random.Random) -> list[dict[str, str]]:
    lines = [sentence(chance) for _ in range(300)]
    (folder / "mono.en").write_text("".join(f"{line}\n" for line in lines))
    (folder / "mono.de").write_text("".join(f"{translated(line)}\n" for line in lines))
    return [{"lang": lang, "file": str(folder / f"mono.{lang}")} for lang in ("en", "de")]


def test_inference_ends_in_accuracies(tmp_path):
    chance = random.Random(1)
    for name, n, foreign in (("train", 60, False), ("dev", 12, False), ("test.en", 12, False), ("test.de", 12, True)):
        rows = ["premise\thypothesis\tlabel"]
        for i in range(n):
            pair = [sentence(chance) for _ in range(2)]
            rows.append("\t".join([*(map(translated, pair) if foreign else pair), LABELS[i % 3]]))
        (tmp_path / f"{name}.tsv").write_text("".join(f"{row}\n" for row in rows))
    (tmp_path / "en-de.txt").write_text("".join(f"{word}\t{word[::-1]}\n" for word in NOUNS))
    tests = [{"lang": lang, "file": str(tmp_path / f"test.{lang}.tsv")} for lang in ("en", "de")]
    out = run(
        tmp_path,
        {
            "experiment": "nli",
            "data": {"lang": "en", "train": "train.tsv", "dev": "dev.tsv", "tests": tests, "folder": str(tmp_path)},
            "lexicon": {"files": [{"lang": "de", "file": str(tmp_path / "en-de.txt")}]},
            "backbone": {"texts": texts(tmp_path, chance), "pieces": 120, "train": STAGE, **SIZES},
            "restore": STAGE,
            "finetune": {"epochs": 2, "batch": 10, "lr": 1.0e-3, "warmup": 2, "patience": 5},
            "arms": ["baseline", "csr"],
        },
    )
    for arm in ("baseline", "csr"):
        scores = read_json(out / f"seed-1/{arm}/scores.json")
        assert set(scores["accuracy"]) == {"en", "de"}
    # Equal updates: 2 epochs of 6, and for the arm without stage one its 4 updates more, in whole epochs.
    assert read_json(out / "seed-1/csr/timing.json")["updates"] == 12
    assert read_json(out / "seed-1/baseline/timing.json")["updates"] == 18
    assert "| CSR |" in (out / "table.md").read_text()
    assert "accuracy" in (out / "report.html").read_text()
    # The test set given anew gets the run's own labels.
    rows = [line.split("\t")[:2] for line in (out / "data/text/test.de.tsv").read_text().splitlines()[1:]]
    (tmp_path / "new.tsv").write_text("".join("\t".join(row) + "\n" for row in rows))
    command = ["classify", str(out), "--input", str(tmp_path / "new.tsv"), "--out", str(tmp_path / "labels")]
    assert main([*command, "--arm", "baseline", "--language", "de"]) == 0
    assert (tmp_path / "labels").read_text() == (out / "seed-1/baseline/test.de.hyp").read_text()
    # And from a folder for everybody, whose rows are of the language that it was written for.
    exported = ["export-hf", str(out), str(tmp_path / "exported"), "--arm", "baseline", "--source-lang", "de"]
    assert main(exported) == 0
    assert main(["classify", str(tmp_path / "exported"), *command[2:]]) == 0
    assert (tmp_path / "labels").read_text() == (out / "seed-1/baseline/test.de.hyp").read_text()
    shown = [f"{100 * scores['accuracy'][language]['value']:.2f}" for language in ("en", "de")]
    assert f"| CSR | 1 | {' | '.join(shown)} |" in (tmp_path / "exported/README.md").read_text()


def test_summaries_end_in_rouge(tmp_path):
    chance = random.Random(2)
    for split, n in (("train", 80), ("dev", 8), ("test", 8)):
        with open(tmp_path / f"{split}.jsonl", "w") as stream:
            for _ in range(n):
                document = [sentence(chance) for _ in range(3)]
                stream.write(json.dumps({"document": " ".join(document), "summary": translated(document[0])}) + "\n")
    out = run(
        tmp_path,
        {
            "experiment": "summarization",
            "data": {
                **{"source_lang": "en", "target_lang": "de", "folder": str(tmp_path), "pieces": 120},
                **{split: f"{split}.jsonl" for split in ("train", "dev", "test")},
            },
            "lexicon": {"method": "ibm1"},
            "backbone": {"train": STAGE, **SIZES},
            "restore": {**STAGE, "update_freq": 1},
            "finetune": {**STAGE, "update_freq": 1},
            "generate": {"beam": 2},
            "arms": ["baseline", "csr"],
        },
    )
    scores = read_json(out / "seed-1/csr/scores.json")
    assert 0 <= scores["rouge"]["rouge1"]["value"] <= 100
    assert len((out / "seed-1/csr/test.hyp").read_text().splitlines()) == 8
    assert "First sentence of the document" in (out / "table.md").read_text()
