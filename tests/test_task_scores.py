"""What runs of inference and summarisation leave: scores worked by hand, tables, reports."""

from __future__ import annotations

from pathlib import Path

import pytest

from csr.cli import main
from csr.errors import DataError
from csr.experiments import nli, summarization
from csr.experiments.kinds import read_config
from csr.files import read_json, write_json
from csr.settings import write_settings

CONFIGS = Path(__file__).parents[1] / "configs"


def lines(path: Path, *rows: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{row}\n" for row in rows))


def test_accuracy_of_every_language_and_their_average(tmp_path, capsys):
    tests = "data.tests=[{lang: en, file: a}, {lang: de, file: b}, {lang: fr, file: c}]"
    config = read_config(CONFIGS / "nli/xnli_small.yaml", [tests, "arms=[baseline, csr]", "seeds=[1]"])
    write_settings(config, tmp_path / "config.yaml")
    lines(tmp_path / "data/bin/train.en.labels", "neutral", "neutral", "entailment")
    truth = ["neutral", "entailment", "contradiction", "neutral"]
    right = {"baseline": {"en": 4, "de": 2, "fr": 1}, "csr": {"en": 3, "de": 3, "fr": 2}}
    for arm, found in right.items():
        for language, n in found.items():
            lines(tmp_path / f"data/bin/test.{language}.labels", *truth)
            wrong = ["entailment" if label == "neutral" else "neutral" for label in truth]
            lines(tmp_path / f"seed-1/{arm}/test.{language}.hyp", *truth[:n], *wrong[n:])
        for stage in ("backbone", "restore", arm):
            write_json(tmp_path / f"seed-1/{stage}/timing.json", {"seconds": 2.0, "updates": 1})
        nli.score(config, arm, 1, tmp_path)
    scores = read_json(tmp_path / "seed-1/csr/scores.json")
    assert {language: found["correct"] for language, found in scores["accuracy"].items()} == right["csr"]
    # Not English, which it was trained on: (3 / 4 + 2 / 4) / 2. The commonest label, neutral, is right in 2 of 4.
    assert scores["average"] == 0.625
    assert scores["majority_average"] == 0.5
    assert scores["seconds"] == {"backbone": 2.0, "restore": 2.0, "csr": 2.0}
    assert main(["report", str(tmp_path)]) == 0
    table = capsys.readouterr().out
    assert "| Majority class | 50.0 | 50.0 | **50.0** | 50.0 |" in table
    assert "| CSR | 75.0 | **75.0** | **50.0** | **62.5** |" in table
    assert (tmp_path / "table.md").read_text() in table
    assert "Majority class" in (tmp_path / "report.html").read_text()


def test_rouge_of_an_arm_and_of_the_first_sentences(tmp_path, capsys):
    config = read_config(CONFIGS / "summarization/captions_de_en.yaml", ["arms=[baseline]", "seeds=[1]"])
    write_settings(config, tmp_path / "config.yaml")
    lines(tmp_path / "data/text/test.de", "Ein Mann.\tEr rennt.", "a dog\tx")
    lines(tmp_path / "data/text/test.en", "a man runs", "a dog")
    lines(tmp_path / "seed-1/baseline/test.hyp", "a man", "")
    for stage in ("backbone", "baseline"):
        write_json(tmp_path / f"seed-1/{stage}/timing.json", {"seconds": 1.0, "updates": 1})
    summarization.score(config, "baseline", 1, tmp_path)
    scores = read_json(tmp_path / "seed-1/baseline/scores.json")
    # "a man" for "a man runs": words F1 0.8, pairs of words F1 2/3; nothing for "a dog": 0.
    assert scores["rouge"]["rouge1"]["value"] == pytest.approx(40)
    assert scores["lead"]["rouge1"]["value"] == pytest.approx(50)
    assert scores["empty"] == 1
    assert main(["report", str(tmp_path)]) == 0
    assert "| Standard finetuning | 40.0 | 33.3 | 40.0 |" in capsys.readouterr().out.replace("**", "")


def test_a_run_without_scores_has_no_report(tmp_path):
    config = read_config(CONFIGS / "nli/xnli_small.yaml")
    write_settings(config, tmp_path / "config.yaml")
    with pytest.raises(DataError, match="expected scores of at least one arm, found none"):
        nli.report(config, tmp_path)
