"""Zero-shot translation: every model on every test set, the source with the id of the language it is in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from evaluation_outputs import references
from tiny_training import save, setup

from csr.cli import main
from csr.data import subwords
from csr.errors import ConfigError, DataError
from csr.experiments import transfer
from csr.files import read_lines

LANGUAGES = "aa,bb,yy"


def make_run(folder: Path, vocabulary: Path, source: str, arms: tuple[str, ...] = ("baseline", "csr")) -> Path:
    """Write a finished run of translation from ``source`` into yy, its models with random weights."""
    text = folder / "data/text"
    text.mkdir(parents=True)
    (folder / "data/spm.model").write_bytes((vocabulary / "spm.model").read_bytes())
    for language, lines in ((source, [line[::-1] for line in references(6)]), ("yy", references(6))):
        (text / f"test.{language}").write_text("".join(f"{line}\n" for line in lines))
    settings = {
        "data": {"source_lang": source, "target_lang": "yy", "src": "a", "tgt": "b"},
        "backbone": {"langs": LANGUAGES.split(",")} | dict.fromkeys(("checkpoint", "dictionary", "sentencepiece"), "x"),
        "arms": list(arms),
    }
    (folder / "config.yaml").write_text(json.dumps(settings))
    (folder / "bin").mkdir()
    for language in (source, "yy"):
        (folder / f"bin/dict.{language}.txt").write_bytes((vocabulary / "dict.txt").read_bytes())
    config, task = setup(
        folder / "bin", "--task=csr_translation", f"--source-lang={source}", "--target-lang=yy", f"--langs={LANGUAGES}"
    )
    for arm in arms:
        (folder / f"seed-1/{arm}").mkdir(parents=True)
        save(config, task.build_model(config.model), folder / f"seed-1/{arm}/model.pt")
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    subwords.train([references(24)], 90, folder / "spm.model")
    subwords.write_dictionary(subwords.model_pieces(subwords.load(folder / "spm.model")), {}, folder / "dict.txt")
    return [make_run(folder / f"{source}-yy", folder, source) for source in ("aa", "bb")]


def test_each_source_carries_the_id_of_its_own_language(runs, tmp_path):
    asked = []

    def open_model(model):
        def translator(lines, language):
            asked.append((model.arm, model.lang, language))
            return [f"{model.lang} reads {language}"] * len(lines)

        return translator

    models, tests, target = transfer.models_of(runs)
    assert target == "yy"
    outputs = transfer.translate_all(models, tests, tmp_path, open_model)
    expected = [(arm, lang, test) for lang in ("aa", "bb") for arm in ("baseline", "csr") for test in ("aa", "bb")]
    assert asked == expected
    assert next(iter(read_lines(tmp_path / "csr-aa-1/bb.hyp"))) == "aa reads bb"
    assert len(list(read_lines(tmp_path / "outputs.tsv"))) == 1 + len(expected) == 1 + len(outputs)
    # A second call translates nothing again.
    transfer.translate_all(models, tests, tmp_path, open_model)
    assert len(asked) == len(expected)


def test_a_models_source_ends_in_the_id_of_any_language_it_knows(runs):
    from fairseq_plugins.models import read_model

    pieces = runs[0] / "data/spm.model"
    model = read_model(runs[0] / "seed-1/csr/model.pt", None, pieces, device="cpu")
    for language in ("aa", "bb"):
        side = model.text_side(["a b"], language, pieces)
        ((_, (row,)),) = model.batches(side, 1, None, "")
        assert model.task.source_dictionary[int(row[-1])] == f"[{language}]"
    assert model.task.output_languages({"net_input": {"src_tokens": row[None]}}).tolist() == [
        model.task.language_id("yy")
    ]
    with pytest.raises(ConfigError, match="language 'cc': expected one of the model's languages"):
        model.text_side(["a"], "cc", pieces)


@pytest.mark.slow
def test_one_command_prints_the_matrices(runs, tmp_path, capsys):
    assert (
        main(["transfer", *map(str, runs), "--out", str(tmp_path), "--beam", "1", "--samples", "10", "--device", "cpu"])
        == 0
    )
    printed = capsys.readouterr().out
    assert "**BLEU by model and test language**" in printed
    results = json.loads((tmp_path / "results.json").read_text())
    bleu = results["tables"][0]
    assert bleu["columns"] == ["test", "arm", "aa", "bb"]
    assert [row["test"] for row in bleu["rows"]] == ["aa", "aa", "bb", "bb"]
    assert "paired bootstrap" in bleu["note"]
    assert (tmp_path / "tables/bleu.md").is_file()


def test_runs_that_do_not_go_together_are_named(runs, tmp_path):
    with pytest.raises(ConfigError, match="expected another source language than aa"):
        transfer.models_of([runs[0], runs[0]])
    (runs[1] / "seed-1/csr/model.pt").rename(tmp_path / "model.pt")
    try:
        with pytest.raises(DataError, match=r"bb-yy/seed-1/csr/model.pt: no such file; csr run makes it"):
            transfer.models_of(runs)
    finally:
        (tmp_path / "model.pt").rename(runs[1] / "seed-1/csr/model.pt")
