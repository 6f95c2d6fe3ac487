"""Text without a pair and dictionaries: what is checked of them, lexicons made of them, and arms without a model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from csr.cli import main
from csr.data.texts import prepare_texts, sentence_key
from csr.errors import ConfigError, DataError
from csr.evaluation import assets
from csr.experiments import low_resource, translation
from csr.experiments.translation import Config
from csr.lexicon import Lexicon, write_lexicon
from csr.lexicon_record import write_sidecar
from csr.report import curve, training
from csr.settings import build

DE = ["der Hund schläft .", "die Katze sieht den Hund", "ein Haus steht hier"] * 3
EN = ["the dog sleeps .", "the cat sees the dog", "a house stands here"] * 3
TEXTS = [{"lang": "de", "file": "mono.de"}, {"lang": "en", "file": "mono.en"}]
DATA = {"source_lang": "de", "target_lang": "en", "src": "a", "tgt": "b"}


def write(path: Path, lines: list[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


@pytest.fixture
def known(tmp_path) -> dict[str, list[Path]]:
    return {"de": [write(tmp_path / "train.de", DE)], "en": [write(tmp_path / "train.en", EN)]}


def test_a_sentence_is_known_by_its_letters_and_digits():
    assert sentence_key("The DOG  sleeps.") == sentence_key("the dog sleeps") == "thedogsleeps"
    assert sentence_key("...") == ""


def test_test_sentences_in_a_text_are_named_with_their_line(tmp_path, known):
    text = write(tmp_path / "mono.en", ["a cat sleeps", "The dog sleeps!", "...", "the dog sleeps"])
    test = {"en": {sentence_key("the dog sleeps.")}}
    with pytest.raises(DataError, match=r"mono\.en:2: expected no sentence of the test set, found one \(2 lines"):
        assets.check([("en", text)], [], known, test)
    assert assets.check([("en", text)], [], known, test, allow_overlap=True)["texts"][0]["test_sentences"] == 2


def test_a_text_in_the_other_language_is_named(tmp_path, known, monkeypatch):
    monkeypatch.setattr(assets, "identifiable", lambda language: False)
    text = write(tmp_path / "mono.en", ["der Hund sieht die Katze"])
    with pytest.raises(
        DataError,
        match=r"expected text in en \(lang in .*\), found de: .* en side has 0% of its words, .* de side 100%",
    ):
        assets.check([("en", text)], [], known, {})
    assert assets.check_language(text, "de", {"de": {"hund": 1}, "en": {}})["words_known"] == {"de": 0.2, "en": 0.0}


def test_a_text_in_a_third_language_is_identified(tmp_path):
    pytest.importorskip("py3langid")
    text = write(tmp_path / "mono.de", ["Le chien dort dans la maison et le chat regarde la rue."] * 5)
    with pytest.raises(
        DataError, match=r"expected text in de \(lang in .*\), found 100% of 5 lines in others, most in fr"
    ):
        assets.check_language(text, "de", {"de": {}, "en": {}})


def test_a_dictionary_the_wrong_way_round_is_named_with_its_coverage(tmp_path, known):
    right = write(tmp_path / "de-en.txt", ["hund\tdog", "katze\tcat", "haus house"])
    found = assets.check([], [(("de", "en"), right)], known, {})["lexicons"][0]["coverage"]
    assert found == {"forward": [1 / 3, 1 / 3], "backward": [0, 0]}
    message = (
        r"expected en words and their translations into de \(lang in .*\), found the other direction: .* 0% of the en "
    )
    message += r"and 0% of the de text's words, the other way round 33% and 33%"
    with pytest.raises(DataError, match=message):
        assets.check([], [(("en", "de"), right)], known, {})


def test_csr_check_prints_and_writes_what_it_found(tmp_path, known, capsys):
    text = write(tmp_path / "mono.en", ["the cat sleeps"])
    given = [f"--known={lang}={files[0]}" for lang, files in known.items()]
    assert (
        main(["check", f"--text=en={text}", f"--test=en={text}", *given, "--allow-overlap", f"--out={tmp_path}/x"]) == 0
    )
    assert (
        "mono.en: en, 1 test sentences; 0% of its words known in de, 100% of its words known in en"
        in capsys.readouterr().out
    )
    assert json.loads((tmp_path / "x").read_text())["texts"][0]["language"] == "en"
    assert main(["check", f"--lexicon=de-en={text}", *given[:1]]) == 2
    assert "--lexicon de-en: expected a --known text in en, found none" in capsys.readouterr().err


def test_lines_are_drawn_and_sentences_left_out(tmp_path):
    text = write(tmp_path / "mono.en", [f"line {i} of the text" for i in range(100)])
    out = write(tmp_path / "test.en", ["LINE 7 of the text.", "line 8 of the text"])

    def prepared(name: str, **options) -> list[str]:
        prepare_texts({"en": [text]}, tmp_path / name, pieces=60, valid_size=1, **options)
        return (tmp_path / name / "text/train.en").read_text().splitlines()

    without = prepared("without", without={"en": [out]})
    assert len(without) == 97
    assert not {"line 7 of the text", "line 8 of the text"} & set(without)
    few, more = prepared("few", max_lines=10), prepared("more", max_lines=20)
    assert len(few) == 10
    assert set(few) < set(more)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"arms": ["wbt"]}, "data.monolingual: expected text in en for the arm wbt, found none"),
        (
            {"arms": ["bt"], "data": {**DATA, "monolingual": TEXTS[:1]}},
            "data.monolingual: expected text in en for the arm",
        ),
        ({"arms": ["csr_mono"]}, "data.monolingual: expected text for the stage mono_restore of the arm csr_mono"),
        ({"arms": ["csr"], "restore": {"text": "both"}}, "data.monolingual: expected text for the stage restore"),
        (
            {"data": {**DATA, "monolingual": [{"lang": "fr", "file": "x"}]}},
            "data.monolingual[0].lang: expected de or en",
        ),
        ({"data": {**DATA, "monolingual_lines": 9}}, "data.monolingual_lines: given without data.monolingual"),
        ({"data": {**DATA, "test_overlap": "drop"}}, "data.test_overlap: given without text"),
        ({"lexicon": {"method": "mixture"}}, "lexicon.sources: expected with lexicon.method mixture"),
        ({"lexicon": {"method": "mixture", "sources": [{"lang": "en"}]}}, "lexicon.sources[0].file: missing"),
        (
            {"lexicon": {"method": "mixture", "sources": [{"method": "ibm1", "file": "x"}]}},
            "lexicon.sources[0].file: given beside lexicon.sources[0].method ibm1",
        ),
        (
            {"lexicon": {"method": "mixture", "dim": 9, "sources": [{"method": "ibm1"}]}},
            "lexicon.dim: expected beside a source of method vecmap alone",
        ),
        (
            {"lexicon": {"method": "file", "files": [{"lang": "fr", "file": "x"}]}},
            "lexicon.files: expected translations",
        ),
    ],
)
def test_missing_assets_are_named_by_their_key(settings, message):
    with pytest.raises(ConfigError) as error:
        build({"data": DATA, **settings}, Config)
    assert message in str(error.value)


def commands(**settings) -> dict[str, list[str]]:
    return {step.name: list(step.command) for step in translation.steps(build({"data": DATA, **settings}, Config))}


def test_one_direction_of_a_dictionary_suffices():
    found = commands(lexicon={"method": "file", "files": [{"lang": "en", "file": "/x"}]})
    assert found["lexicon de-en"][:5] == ["lexicon", "import", "/x", "--out", "lexicon/de-en.tsv"]
    wanted = ["lexicon", "transform", "lexicon/de-en.tsv", "--invert", "--frequencies", "data/text/train.de"]
    assert found["lexicon en-de"] == [*wanted, "--out", "lexicon/en-de.tsv"]


def test_nothing_is_trained_before_the_check():
    file = {"method": "file", "files": [{"lang": "en", "file": "/x"}]}
    for backbone in ({}, {"texts": TEXTS}, {"checkpoint": "/m", "dictionary": "/d", "sentencepiece": "/s"}):
        config = build({"data": DATA, "lexicon": file, "backbone": backbone, "arms": ["random", "baseline"]}, Config)
        steps = {step.name: list(map(str, step.inputs)) for step in translation.steps(config)}
        waits = {name for name, inputs in steps.items() if "check.json" in inputs and name != "report"}
        assert waits == {"random seed 1", "baseline seed 1" if "checkpoint" in backbone else "backbone seed 1"}


def test_a_mixture_has_its_sources_with_their_shares():
    sources = [{"lang": "de", "file": "/x", "format": "muse", "weight": 2}, {"method": "ibm1"}, {"method": "vecmap"}]
    found = commands(lexicon={"method": "mixture", "sources": sources}, data={**DATA, "monolingual": TEXTS})
    file = "lexicon/sources/file1-en-de.tsv"
    assert found["lexicon file1-en-de"][:7] == ["lexicon", "import", "/x", "--format", "muse", "--out", file]
    assert "--not-parallel" in found["lexicon vecmap"]
    assert found["lexicon vecmap"][3] == "monolingual/text/train.de"
    parts = [f"lexicon/sources/{name}-de-en.tsv" for name in ("file1", "ibm1", "vecmap")]
    shares = ["--factors", "0.5", "0.25", "0.25"]
    assert found["lexicon de-en"] == ["lexicon", "merge", *parts, *shares, "--out", "lexicon/de-en.tsv"]


def test_the_reverse_model_is_trained_once_for_all_arms_that_want_it():
    found = commands(data={**DATA, "monolingual": TEXTS}, arms=["baseline", "bt", "bt_csr"], seeds=[1, 2])
    assert [name for name in found if name.startswith(("reverse", "back-"))] == [
        "back-translation seed 1", "back-translation seed 2", "reverse seed 1", "reverse seed 2",
    ]  # fmt: skip
    config = build({"data": {**DATA, "monolingual": TEXTS}, "arms": ["bt"]}, Config)
    command = translation.job(config, "reverse", 1).command
    assert command[command.index("--source-lang") + 1] == "en"
    command = translation.job(config, "bt", 1).command
    assert command[command.index("--task") + 1] == "csr_back_translation"
    command = translation.generate_command(config, "bt", 1)
    assert command[command.index("--task") + 1] == "csr_translation"
    command = translation.back_translation_command(config, 1)
    assert [command[1], command[command.index("--target-lang") + 1]] == ["monolingual/bin", "de"]


def test_text_in_the_target_language_alone_is_back_translated(tmp_path, monkeypatch):
    config = build({"data": {**DATA, "monolingual": TEXTS[1:]}, "arms": ["bt"]}, Config)
    for folder in ("data", "monolingual/bin", "monolingual/text", "seed-1/reverse"):
        (tmp_path / folder).mkdir(parents=True)
    write(tmp_path / "monolingual/text/train.en", ["the dog", "a cat"])
    (tmp_path / "data/dict.txt").write_text("a 1\n")
    (tmp_path / low_resource.MONOLINGUAL).write_text('{"lines": {"train.en": 2}}')

    def generate(command: list[str], folder: Path, n_lines: int, run: Path, threads: int, out: str) -> None:
        assert n_lines == 2
        assert (run / "monolingual/bin/dict.de.txt").read_text() == "a 1\n"  # fairseq asks for it
        write(run / folder / out, ["der Hund", ""])

    class Rows:
        @classmethod
        def read(cls, *files: Path) -> Rows:
            return cls()

        def write(self, lines: list[str], prefix: Path) -> None:
            write(Path(f"{prefix}.bin"), lines)

    monkeypatch.setattr(low_resource.fairseq, "generate", generate)
    monkeypatch.setattr(low_resource, "Vocabulary", Rows)
    low_resource.back_translate(config, 1, tmp_path, [])
    made = tmp_path / "seed-1/reverse/synthetic"
    assert (made / "train.de.bin").read_text() == "der Hund\n\n"
    assert json.loads((made / "timing.json").read_text())["empty"] == 1


def test_arms_without_a_model_translate_by_the_best_candidate_or_copy(tmp_path):
    config = build({"data": DATA, "arms": ["lexicon_only", "source_only"]}, Config)
    for folder in ("data/text", "lexicon"):
        (tmp_path / folder).mkdir(parents=True)
    write(tmp_path / "data/text/test.de", ["Der Hund schläft.", "Berlin 1990"])
    path = tmp_path / "lexicon/de-en.tsv"
    write_lexicon(Lexicon({"der": {"the": 0.9, "of": 0.1}, "Hund": {"dog": 0.01}}), path)
    write_sidecar(path, "ibm1", [], {}, kind="probabilities", languages=("de", "en"))
    for arm, expected in (
        ("lexicon_only", "The dog schläft.\nBerlin 1990\n"),
        ("source_only", "Der Hund schläft.\nBerlin 1990\n"),
    ):
        low_resource.translate_untrained(config, arm, 1, tmp_path)
        assert (tmp_path / f"seed-1/{arm}/test.hyp").read_text() == expected


def test_patience_ends_training_and_is_the_same_for_every_arm():
    config = build({"data": DATA, "finetune": {"patience": 3, "select": "chrf"}}, Config)
    for stage in ("baseline", "csr", "restore"):
        job = translation.job(config, stage, 1)
        assert ("--patience" in job.command, job.updates is None) == ((stage != "restore",) * 2)
    assert "--eval-chrf" in translation.job(config, "csr", 1).command
    with pytest.raises(ConfigError, match=r"finetune\.patience: expected with finetune\.select loss, bleu or chrf"):
        build({"data": DATA, "finetune": {"patience": 3, "select": "last"}}, Config)


@pytest.mark.parametrize("rule", ["loss", "bleu", "chrf", "last"])
def test_every_arm_is_validated_by_bleu_and_chosen_by_the_rule(rule):
    assert build({"data": DATA, "finetune": {"updates": 7, "warmup": 1}}, Config).finetune.select == "bleu"
    config = build({"data": DATA, "finetune": {"select": rule}}, Config)
    command = translation.job(config, "csr", 1).command
    assert "--eval-bleu" in command
    assert command[command.index("--validate-interval-updates") + 1] == "500"
    metric = command[command.index("--best-checkpoint-metric") + 1] if rule in ("bleu", "chrf") else None
    assert metric == (rule if rule in ("bleu", "chrf") else None)
    assert ("--maximize-best-checkpoint-metric" in command) == (metric is not None)
    assert "--eval-bleu" not in translation.job(config, "restore", 1).command


def test_a_rising_dev_loss_is_a_warning():
    def run(*losses: float) -> dict:
        points = [(100 * (i + 1), loss) for i, loss in enumerate(losses)]
        logs = [{"arm": "csr", "seed": 1, "valid": {"loss": points}}]
        return {"arms": ["baseline", "csr"], "logs": logs, "config": {"finetune": {"select": "bleu"}}}

    (warning,) = training.warnings(run(3.0, 2.0, 2.5))
    assert warning.startswith(
        "CSR: the dev loss rises after its best, 2.000 at update 200, to 2.500 at 300 (in 1 of 1 seeds)"
    )
    assert training.warnings(run(3.0, 2.0, 2.01)) == []
    # Half of the seeds, or translations that get better all the same, are no reason to stop.
    found = run(3.0, 2.0, 2.5)
    found["logs"].append({"arm": "csr", "seed": 2, "valid": {"loss": [(100, 3.0), (200, 2.0), (300, 1.9)]}})
    assert training.warnings(found) == []
    found = run(3.0, 2.0, 2.5)
    found["logs"][0]["valid"]["bleu"] = [(100, 20.0), (200, 24.8), (300, 24.9)]
    assert len(training.warnings(found)) == 1
    found["logs"][0]["valid"]["bleu"] = [(100, 20.0), (200, 24.8), (225, 27.0), (300, 26.8)]
    assert training.warnings(found) == []


def test_arms_that_still_get_better_at_the_end_are_told():
    """After three quarters of 400 updates: by 0.9 and 0.3 BLEU in the mean over seeds, of which 0.5 are noise."""
    scores = {("baseline", 1): (20.0, 25.0, 26.0, 26.6), ("baseline", 2): (20.0, 26.0, 25.0, 25.5)}
    scores |= {("wbt", 1): (10.0, 20.0, 22.0, 23.2), ("wbt", 2): (10.0, 20.0, 23.0, 23.6)}
    logs = [
        {"arm": arm, "seed": seed, "valid": {"bleu": list(zip((100, 200, 300, 400), each, strict=True))}}
        for (arm, seed), each in scores.items()
    ]
    run = {"arms": ["baseline", "wbt"], "logs": logs, "config": {}}
    assert training.unfinished(run) == {"wbt": pytest.approx(0.9)}
    (warning,) = training.warnings(run)
    assert "still rose, word-for-word back-translation by 0.9; with more (finetune.updates)" in warning
    (of_curve,) = curve.warnings({300: {"arms": [], "logs": []}, 1000: run})
    assert "still rose with 1,000 pairs (1 of 2 arms)." in of_curve
    assert curve.warnings({300: {"arms": [], "logs": []}}) == []


def test_a_checkpoint_that_the_dev_loss_takes_too_early_is_a_warning():
    """The losses of standard finetuning on 100 pairs, and what it translates."""

    def warnings(rule: str, *scores: float) -> list[str]:
        losses = [(50, 6.04), (100, 6.05), (150, 6.06)]
        valid = {"loss": losses, "bleu": [(update, score) for (update, _), score in zip(losses, scores, strict=True)]}
        log = {"arm": "baseline", "seed": 1, "valid": valid}
        return training.warnings({"arms": ["baseline"], "logs": [log], "config": {"finetune": {"select": rule}}})

    (warning,) = warnings("loss", 8.43, 10.09, 10.48)
    assert warning.startswith(
        "Standard finetuning: the checkpoint with the lowest dev loss, update 50, has 8.4 BLEU on the dev set, update "
        "150 has 10.5 (in 1 of 1 seeds)"
    )
    assert warnings("loss", 10.0, 10.2, 10.4) == []
    assert warnings("bleu", 8.43, 10.09, 10.48) == []
