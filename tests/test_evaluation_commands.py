"""``csr evaluate`` from files to printed numbers and one-line errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from evaluation_outputs import outputs, references

from csr import cli


@pytest.fixture
def evaluate(tmp_path, monkeypatch, capsys):
    """Run ``csr evaluate`` in a folder with hyp, base, ref and train; return exit status, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    files = {"hyp": outputs(0.1, 1), "base": outputs(0.3, 2), "ref": references(), "train": references(300)}
    for name, lines in files.items():
        write(name, lines)

    def run(command: str) -> tuple[int, str, str]:
        status = cli.main(["evaluate", *command.split()])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def write(name: str, lines: list[str]) -> None:
    Path(name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


@pytest.mark.parametrize("metric", ["bleu", "chrf", "ter"])
def test_translation_scores_as_text_and_json(evaluate, metric):
    status, out, _ = evaluate(f"{metric} --hyp hyp --ref ref --samples 100 --json")
    found = json.loads(out)
    assert status == 0
    assert found["interval"]["low"] < found[metric] < found["interval"]["high"]
    _, out, _ = evaluate(f"{metric} --hyp hyp --ref ref")
    assert f"{found[metric]:.2f}\t{found['signature']}" in out


def test_words_prints_buckets_and_cases(evaluate):
    status, out, _ = evaluate("words --hyp hyp --baseline base --ref ref --train train --cutoffs 5,60 --samples 50")
    assert status == 0
    rows = out.splitlines()
    assert rows[1].startswith("<5\t0.0000\t-\t")  # no such word in the references: no recall, rather than one of zero
    assert [row.split("\t")[0] for row in rows[1:4]] == ["<5", "[5,60)", ">=60"]
    _, out, _ = evaluate("words --hyp hyp --baseline base --ref ref --train train --cutoffs 60 --cases 2 --json")
    found = json.loads(out)
    assert found["buckets"][0]["f1"] > 0.5
    assert len(found["cases"]) == 2
    assert "**" in found["cases"][0]["hyp"]


def test_rouge_nli_ner_and_off_target(evaluate):
    _, out, _ = evaluate("rouge --hyp ref --ref ref")
    assert out.startswith("ROUGE-1/2/L 100.00 / 100.00 / 100.00\t")
    write("labels", ["neutral", "entailment"])
    assert evaluate("nli --hyp labels --ref labels")[1] == "accuracy 1.0000 (2 of 2)\n"
    write("tags", ["Ada\tB-PER", "ran\tO", ""])
    assert evaluate("ner --hyp tags --ref tags")[1] == "micro F1 1.0000\nmacro F1 1.0000\nPER F1 1.0000\n"
    write("plain", ["ran\tO"])
    assert evaluate("ner --hyp plain --ref plain")[1] == "micro F1 -\nmacro F1 -\n"
    found = json.loads(evaluate("off-target --hyp hyp --ref ref --language en --json")[1])
    assert found["hyp"]["rate"] < 0.2
    assert set(found) == {"hyp", "ref"}


@pytest.mark.parametrize("score", ["bleu", "rougeL"])
@pytest.mark.parametrize("test", ["bootstrap", "randomization"])
def test_significance_marks_systems_that_differ(evaluate, score, test):
    status, out, _ = evaluate(
        f"significance --score {score} --hyp hyp base --baseline base --ref ref --test {test} --samples 300"
    )
    _, baseline, better, same, signature = out.splitlines()
    assert status == 0
    assert baseline.startswith("base\t")
    assert "**\t+" in better
    assert same.endswith("\t+0.00\t1.0000")
    assert "seed:12345" in signature


def test_mistakes_are_one_line(evaluate):
    write("short", ["one line"])
    for command, line in (
        ("bleu --hyp short --ref ref", "csr evaluate: short:2: expected a line to go with ref:2, found the end"),
        ("bleu --hyp nowhere --ref ref", "csr evaluate: nowhere: no such file"),
        ("words --hyp hyp --ref ref --train train --cutoffs low", "csr evaluate: --cutoffs: expected counts"),
        ("words --hyp hyp --ref ref --train train --cutoffs 9,3", "csr evaluate: cutoffs: expected increasing"),
        ("significance --score comet --hyp hyp --baseline base --ref ref", "csr evaluate: --src: COMET needs"),
        ("bleu --hyp hyp --ref ref --tokenizer 13b", "csr evaluate: tokenizer: expected one of"),
        ("bleu --hyp hyp --ref ref --samples -1", "csr evaluate: samples: expected"),
    ):
        status, out, err = evaluate(command)
        assert (status, out) == (2, "")
        assert err.startswith(line)
        assert err.count("\n") == 1


def test_degenerate_outputs_give_numbers_or_dashes(evaluate):
    write("empty", [""] * 200)
    write("same", ["A man is reading."] * 200)
    for hyp in ("empty", "same"):
        for command in (
            f"bleu --hyp {hyp} --ref ref --samples 20",
            f"chrf --hyp {hyp} --ref ref --samples 20",
            f"rouge --hyp {hyp} --ref ref",
            f"words --hyp {hyp} --ref ref --train train --samples 20",
            f"off-target --hyp {hyp} --language en",
            f"significance --hyp {hyp} --baseline {hyp} --ref ref",
        ):
            status, out, _ = evaluate(command)
            assert status == 0
            assert "nan" not in out.lower()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["translation hyp ref en base", "words hyp ref en train base"])
def test_ready_lines_run(evaluate, kind):
    script = Path(__file__).parents[1] / "scripts" / "evaluate.sh"
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", script, *kind.split()], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) >= 1
