"""A slip in a config is named, with a suggestion where there is one; the defaults are the paper's values."""

import dataclasses
from pathlib import Path

import pytest
import yaml

from csr.cli import main
from csr.errors import ConfigError
from csr.experiments.kinds import check_files, read_config
from csr.experiments.translation import Config
from csr.settings import as_mapping, build, write_settings

CONFIGS = Path(__file__).parents[1] / "configs"
MINIMAL = {"data": {"source_lang": "de", "target_lang": "en", "src": "train.de", "tgt": "train.en"}}


def _with(**sections):
    return {**MINIMAL, **sections}


def test_defaults_are_the_papers_values():
    config = build(MINIMAL, Config)
    # Zan et al., sections 3.2, 4.2, 5.1 and 5.2.
    assert (config.noise.rate, config.noise.mean_span) == (0.35, 3.5)
    assert (config.restore.updates, config.finetune.updates) == (5000, 25000)
    for stage in (config.restore, config.finetune):
        assert (stage.lr, stage.warmup, stage.dropout) == (3e-5, 2500, 0.3)
        assert (stage.attention_dropout, stage.label_smoothing) == (0.1, 0.2)
    assert config.generate.beam == 5


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (_with(noise={"mean_spam": 3}), "noise.mean_spam: unknown key, did you mean mean_span?"),
        (_with(nois={}), "nois: unknown key, did you mean noise?"),
        (_with(backbone={"train": {"update": 5}}), "backbone.train.update: unknown key, did you mean updates?"),
        (_with(restore={"lr": "fast"}), "restore.lr: expected a number, found 'fast'"),
        (_with(restore={"updates": 2.5}), "restore.updates: expected a whole number, found 2.5"),
        (_with(restore={"updates": True}), "restore.updates: expected a whole number, found true"),
        (_with(restore={"updates": 100}), "restore.warmup: expected at most restore.updates (100), found 2500"),
        (_with(restore={"lr": float("nan")}), "restore.lr: expected a finite number, found nan"),
        (_with(finetune={"lr": 0}), "finetune.lr: expected more than 0, found 0"),
        (_with(noise={"rate": 1.5}), "noise.rate: expected at least 0 and at most 1, found 1.5"),
        (_with(noise=None), "noise: expected settings such as noise: {key: value}, found nothing"),
        (
            _with(lexicon={"method": "vecmpa"}),
            "expected vecmap or ibm1 or align or file or mixture, found 'vecmpa', did you mean vecmap?",
        ),
        (
            _with(lexicon={"method": "file"}),
            "lexicon.files: expected with lexicon.method file, and there alone; found none",
        ),
        (
            _with(arms=["csr", "basline"]),
            "arms[1]: expected random or baseline or iaft or csr or mask_restore_ft or placebo",
        ),
        (_with(arms=[]), "arms: expected at least one"),
        (_with(seeds=[1, 1]), "seeds: expected each once, found [1, 1]"),
        (_with(seeds=3), "seeds: expected a list, found 3"),
        (_with(backbone={"checkpoint": "model.pt"}), "backbone.dictionary: missing beside backbone.checkpoint"),
        (
            _with(backbone={"langs": ["fr_XX", "en_XX"]}),
            "backbone.langs: language 'de': expected one of the model's languages (fr_XX, en_XX), found none that fits",
        ),
        (_with(backbone={"preset": "cc25"}), "backbone.checkpoint: missing beside backbone.preset"),
        (_with(backbone={"preset": "cc52"}), "backbone.preset: expected cc25 or ml50, found 'cc52', did you mean cc25"),
        (_with(backbone={"preset": "ml50", "folder": "x", "langs": ["de"]}), "backbone.langs: given beside"),
        (_with(backbone={"dim": 100}), "backbone.dim: expected a multiple of backbone.heads (16), found 100"),
        ({"data": {"source_lang": "de"}}, "data.target_lang: missing"),
        # YAML 1.1 reads the code of Norwegian as false.
        ({"data": {**MINIMAL["data"], "source_lang": False}}, "data.source_lang: expected text, found false (quote it"),
        ({"data": {**MINIMAL["data"], "target_lang": "de"}}, "data.target_lang: expected another language"),
        ({"data": {**MINIMAL["data"], "dev_src": "dev.de"}}, "data.dev_tgt: missing, the other side is given"),
    ],
)
def test_slip_is_named(raw, message):
    with pytest.raises(ConfigError) as error:
        build(raw, Config)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data: {src: [}", ":1: expected YAML, found"),
        ("seeds: [1]\nseeds: [2]", ":2: expected YAML, found the key seeds twice"),
        ("- a list", ": expected sections such as data and restore, found a list"),
        ("", ": expected sections such as data and restore, found nothing"),
    ],
)
def test_broken_yaml_is_named_with_its_line(tmp_path, text, message):
    path = tmp_path / "experiment.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        read_config(path)
    assert str(error.value).startswith(f"{path}{message}")


def test_number_that_yaml_reads_as_text_is_a_number():
    assert yaml.safe_load("3e-5") == "3e-5"
    assert build(_with(restore={"lr": "3e-5"}), Config).restore.lr == 3e-5


def test_a_part_of_a_nested_section_keeps_the_other_defaults():
    train = build(_with(backbone={"train": {"updates": 3000}}), Config).backbone.train
    assert train == dataclasses.replace(build(MINIMAL, Config).backbone.train, updates=3000)


def test_overrides_from_the_command_line(tmp_path):
    path = tmp_path / "experiment.yaml"
    path.write_text(yaml.safe_dump(MINIMAL))
    config = read_config(path, ["restore.lr=1e-4", "seeds=[1, 2]", "backbone.train.updates=9000"])
    assert (config.restore.lr, config.seeds, config.backbone.train.updates) == (1e-4, (1, 2), 9000)
    for override, message in (("restore.lr", "--set: expected section.key=value"), ("seeds.a=1", "seeds.a=1: seeds")):
        with pytest.raises(ConfigError, match=message):
            read_config(path, ["seeds=[1]", override])


def test_resolved_config_reads_back(tmp_path):
    config = build(_with(arms=["csr"], restore={"lr": 1.0e-4}), Config)
    write_settings(config, tmp_path / "config.yaml")
    assert read_config(tmp_path / "config.yaml") == config
    assert as_mapping(config)["data"]["src"] == str(Path.cwd() / "train.de")


def test_files_of_the_corpus_lie_in_its_folder(tmp_path):
    config = build({"data": {**MINIMAL["data"], "folder": "corpus", "tgt": "/elsewhere/train.en"}}, Config)
    assert (config.data.src, config.data.tgt) == (Path.cwd() / "corpus/train.de", Path("/elsewhere/train.en"))
    assert build(as_mapping(config), Config) == config


def test_missing_file_says_where_the_data_comes_from(tmp_path):
    config = build(
        {"data": {**MINIMAL["data"], "src": str(tmp_path / "no.de"), "origin": "https://example.org/set"}}, Config
    )
    with pytest.raises(ConfigError, match=r"data\.src: .*no\.de: no such file .*https://example\.org/set"):
        check_files(config)
    own = {**MINIMAL["data"], "folder": "published", "src": "/mine/no.de", "origin": "https://example.org/set"}
    with pytest.raises(ConfigError, match=r"no\.de: no such file \(relative paths start at the current folder\)$"):
        check_files(build({"data": own}, Config))


def test_a_folder_of_hugging_face_is_told_how_to_come_in(tmp_path):
    corpus = {side: str(tmp_path / side) for side in ("src", "tgt")}
    for name in ("src", "tgt", "config.json", "pytorch_model.bin"):
        (tmp_path / name).touch()
    config = build({"data": MINIMAL["data"] | corpus, "backbone": {"preset": "cc25", "folder": str(tmp_path)}}, Config)
    with pytest.raises(ConfigError, match=rf"csr import-hf {tmp_path} FOLDER makes a backbone"):
        check_files(config)


def test_every_config_loads():
    paths = sorted(CONFIGS.rglob("*.yaml"))
    assert paths
    for path in paths:
        assert read_config(path).data.origin, f"{path}: data.origin says where the data is"


def test_unknown_kind_of_experiment_is_named(tmp_path):
    path = tmp_path / "experiment.yaml"
    path.write_text(yaml.safe_dump(_with(experiment="translatoin")))
    with pytest.raises(ConfigError, match=r"experiment: expected translation.*did you mean translation\?"):
        read_config(path)


def test_typo_is_one_line_and_status_2(tmp_path, capsys):
    path = tmp_path / "experiment.yaml"
    path.write_text(yaml.safe_dump(_with(noise={"mean_spam": 3})))
    assert main(["run", str(path)]) == 2
    assert capsys.readouterr().err == f"csr run: {path}: noise.mean_spam: unknown key, did you mean mean_span?\n"
