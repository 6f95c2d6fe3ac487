"""The zero-shot matrix: best and marks cell by cell, gaps as gaps, agreement with single scores; spread over runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from evaluation_outputs import outputs, references

from csr import cli
from csr.errors import DataError
from csr.evaluation.significance import Comparison
from csr.evaluation.translation import bleu
from csr.files import write_json
from csr.report.matrix import Output, Scored, matrix, read_outputs


def cell(arm: str, model: str, test: str, value: float | None, p: float | None = None, seed: str = "1") -> Scored:
    better = 1.0 if p is not None and p > 0 else -1.0  # a negative p: worse than the baseline
    compared = None if p is None else Comparison(better, 0.0, abs(p), "bs")
    return Scored(Output(arm, model, test, "h", "r", seed=seed), value, compared)


def test_zan_table_5_upper_left() -> None:
    """Vi and De models on Vi and De: 28.3, 29.2*, 15.4, 15.4; 22.1, 22.0, 37.8, 39.2** as printed."""
    scored = [
        cell("baseline", "vi", "vi", 28.3),
        cell("csr", "vi", "vi", 29.2, 0.03),
        cell("baseline", "de", "vi", 15.4),
        cell("csr", "de", "vi", 15.4, 0.7),
        cell("baseline", "vi", "de", 22.1),
        cell("csr", "vi", "de", 22.0, -0.6),
        cell("baseline", "de", "de", 37.8),
        cell("csr", "de", "de", 39.2, 0.001),
    ]
    text = matrix(scored, "BLEU").markdown()
    assert "| vi | Standard finetuning | 28.3 | **15.4** |" in text
    assert "| vi | CSR | **29.2*** | **15.4** |" in text
    assert "| de | Standard finetuning | **22.1** | 37.8 |" in text
    assert "| de | CSR | 22.0 | **39.2**** |" in text


def test_seeds_make_mean_and_deviation_and_must_agree_for_a_mark() -> None:
    scored = [
        cell("baseline", "de", "de", 30.0, seed="1"),
        cell("baseline", "de", "de", 32.0, seed="2"),
        cell("csr", "de", "de", 33.0, 0.001, seed="1"),
        cell("csr", "de", "de", 35.0, 0.04, seed="2"),
    ]
    assert "**34.0** ± 1.4*" in matrix(scored, "BLEU").markdown()
    scored[3] = cell("csr", "de", "de", 31.0, -0.04, seed="2")
    assert "**32.0** ± 1.4 |" in matrix(scored, "BLEU").markdown()


def test_less_is_better_on_request_and_what_is_not_there_is_a_dash() -> None:
    scored = [cell("a", "de", "de", 5.0), cell("b", "de", "de", 2.0), cell("a", "vi", "de", None)]
    text = matrix(scored, "TER", better=-1).markdown()
    assert "| de | A | 5.0 | – |" in text
    assert "| de | B | **2.0** | – |" in text


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A list of two arms of one model on two test sets, the second arm better on the first."""
    monkeypatch.chdir(tmp_path)
    texts = {"base": outputs(0.3, 2), "csr": outputs(0.1, 1), "same": outputs(0.3, 2), "ref": references()}
    for name, lines in texts.items():
        Path(name).write_text("".join(f"{line}\n" for line in lines))
    rows = ["arm model test hyp ref", "baseline de de base ref", "csr de de csr ref"]
    rows += ["baseline de vi base ref", "csr de vi same ref"]
    Path("list.tsv").write_text("".join(row.replace(" ", "\t") + "\n" for row in rows))
    return tmp_path / "list.tsv"


def test_the_command_scores_and_marks_each_cell(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main("evaluate matrix list.tsv --samples 200 --json".split()) == 0
    found = json.loads(capsys.readouterr().out)
    expected = {name: bleu(outputs(rate, seed), references(), "en").value for name, rate, seed in
                (("base", 0.3, 2), ("csr", 0.1, 1))}  # fmt: skip
    assert [(row["test"], row["arm"]) for row in found["rows"]] == [
        ("de", "Standard finetuning"),
        ("de", "CSR"),
        ("vi", "Standard finetuning"),
        ("vi", "CSR"),
    ]
    assert [row["de"]["mean"] for row in found["rows"]] == pytest.approx(
        [expected["base"], expected["csr"], expected["base"], expected["base"]]
    )
    assert [row["de"]["mark"] for row in found["rows"]] == ["", "**", "", ""]
    assert "nrefs:1" in found["note"]
    assert "bs:200" in found["note"]
    assert cli.main("evaluate matrix list.tsv --score off-target".split()) == 0
    assert "Off-target rate" in capsys.readouterr().out


def test_mistakes_in_the_list_are_named(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = files.read_text()
    for text, message in (
        (
            good.replace("\tref\n", "\n", 1),
            r":1: expected the columns arm, model, test, hyp, ref and perhaps src, seed",
        ),
        (good + "csr\tde\n", ":6: expected 5 tab-separated fields, found 2"),
        (good + "csr\tde\tde\tcsr\tref\n", ":6: expected each output once, found csr de de again"),
        (good.splitlines()[0], "expected at least one output, found none"),
    ):
        files.write_text(text)
        with pytest.raises(DataError, match=message):
            read_outputs(files)
    files.write_text(good)
    for options, message in (
        ("--baseline random", "baseline: expected one of the arms baseline, csr, found 'random'"),
        ("--score comet", "--src: COMET needs the source sentences (in a list: column src)"),
    ):
        assert cli.main(f"evaluate matrix list.tsv {options}".split()) == 2
        assert capsys.readouterr().err == f"csr evaluate: {message}\n"


def test_spread_over_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """30, 31, 33: mean 31.333, sum of squared deviations 4.667, over n - 1 = 2: 1.528."""
    paths = [str(tmp_path / f"{seed}.json") for seed in range(3)]
    for path, value in zip(paths, (30, 31.0, 33.0), strict=True):
        write_json(path, {"bleu": {"value": value, "signature": "s"}})
    assert cli.main(["evaluate", "seeds", *paths]) == 0
    assert capsys.readouterr().out == "31.33 ± 1.53\t3 runs\n"
    assert cli.main(["evaluate", "seeds", paths[0], "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"mean": 30.0, "deviation": None, "n": 1, "values": [30.0]}
    assert cli.main(["evaluate", "seeds", paths[0], "--key", "bleu.signature"]) == 2
    assert 'expected a number at bleu.signature, found "s"' in capsys.readouterr().err
