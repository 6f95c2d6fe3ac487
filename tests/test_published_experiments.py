"""The papers' experiments: every stage's command is one that fairseq takes, and a missing data set is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from csr.errors import ConfigError
from csr.experiments.kinds import check_files, kind_of, read_config
from csr.running.precision import with_precision

CONFIGS = Path(__file__).parents[1] / "configs"
CORPORA = {"vi": "iwslt15", "de": "iwslt14", "tr": "wmt17", "ko": "iwslt17", "it": "iwslt17", "lt": "wmt19"}
TABLE_4 = [f"{name}_{pair}" for lang, name in CORPORA.items() for pair in (f"{lang}_en", f"en_{lang}")]
PATHS = [CONFIGS / "restore" / f"{name}.yaml" for name in TABLE_4]
PATHS += [CONFIGS / "summarization" / f"ncls_{pair}.yaml" for pair in ("en_zh", "zh_en")]
PATHS += [CONFIGS / "nli/xnli_mbart.yaml", CONFIGS / "nli/xnli_small.yaml"]
PATHS += [CONFIGS / "summarization/captions_en_de.yaml", CONFIGS / "summarization/captions_de_en.yaml"]


@pytest.fixture(scope="module")
def parse():
    """What reads a command as fairseq does; hydra, which takes half a second, sees each option once."""
    from fairseq import options
    from fairseq.dataclass.utils import convert_namespace_to_omegaconf

    import fairseq_plugins  # noqa: F401

    seen: set[str] = set()

    def read(command):
        train = command[0] == "fairseq-train"
        parser = options.get_training_parser() if train else options.get_generation_parser()
        found = options.parse_args_and_arch(parser, command[1:])
        if not seen.issuperset(given := {word for word in command if word.startswith("--")}):
            seen.update(given)
            config = convert_namespace_to_omegaconf(found)
            assert (config.task._name, config.checkpoint.save_dir) == (found.task, found.save_dir)
        return found

    return read


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_fairseq_takes_every_stage(path, parse):
    config = read_config(path)
    kind = kind_of(config)
    starts = {kind.STAGES[arm].start for arm in config.arms} - {None}
    stages = [stage for stage in kind.STAGES if stage in starts or stage in config.arms]
    if config.backbone.checkpoint and "backbone" in stages:
        stages.remove("backbone")
    for stage in stages:
        command = with_precision(kind.job(config, stage, 1, Path("run")).command, "bf16")
        found = parse(command)
        assert found.task in ("csr_restore", "csr_translation", "csr_nli")
        assert (found.finetune_from_model is None) == (kind.STAGES[stage].start is None)
    command = kind.generate_command(config, config.arms[-1], 1, Path("run"))
    if command[0] == "fairseq-generate":
        assert parse(command).beam == config.generate.beam


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_missing_data_set_says_where_it_is_published(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"data\.\w+: .*: no such file .*the data set: https://"):
        check_files(read_config(path))


def test_summarization_has_the_papers_values():
    # Zan et al., section 5.4: 49k and 98k tokens, 5k + 50k updates, beam 6, 130 words and 160 of Chinese.
    en_zh, zh_en = (read_config(CONFIGS / f"summarization/ncls_{pair}.yaml") for pair in ("en_zh", "zh_en"))
    sizes = [config.finetune.max_tokens * config.finetune.update_freq for config in (en_zh, zh_en)]
    assert [round(size / 1000) for size in sizes] == [49, 98]
    assert (en_zh.restore.updates, en_zh.finetune.updates, en_zh.generate.beam) == (5000, 50000, 6)
    assert (en_zh.data.longest_summary, zh_en.data.longest_summary, zh_en.data.document_words) == (160, 130, 220)


def test_a_language_without_a_dictionary_is_named_before_training():
    settings = ["lexicon.files=[{lang: de, file: en-de.txt}]"]
    with pytest.raises(ConfigError, match=r"lexicon.files: expected a dictionary en-es, found none; name es in"):
        read_config(CONFIGS / "nli/xnli_mbart.yaml", settings)
    allowed = read_config(CONFIGS / "nli/xnli_mbart.yaml", [*settings, "lexicon.without=[es, fr, ru, tr, vi, zh]"])
    assert len(allowed.lexicon.files) == 1


def test_inference_asks_for_the_languages_of_the_model():
    with pytest.raises(ConfigError, match=r"data.tests: language 'sw': expected one of the model's languages"):
        read_config(CONFIGS / "nli/xnli_mbart.yaml", ["data.tests=[{lang: sw, file: x.tsv}]"])
