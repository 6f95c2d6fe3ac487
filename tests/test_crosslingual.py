"""Zero-shot transfer of an encoder under ``csr run``: its arms, its tests over examples and seeds, its tables."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from csr.cli import main
from csr.data import subwords
from csr.errors import ConfigError
from csr.evaluation.classification import entity_f1, entity_statistics, has_learned
from csr.evaluation.significance import means, paired_bootstrap, paired_bootstrap_over_seeds
from csr.experiments import crosslingual
from csr.experiments.kinds import read_config
from csr.files import read_json
from csr.report.zero_shot import arms_table, verdicts

NOUNS = "river mountain village bridge garden market window teacher doctor farmer".split()
NAMES = "Anna Berlin Nairobi Joseph Kampala Maria".split()
ZERO, PLACEBO = ("tiny", "zero_shot"), ("tiny", "placebo")
VERBS = {"good": ("loves", "praises", "admires", "trusts"), "bad": ("hates", "blames", "insults", "fears")}


def test_a_test_over_one_seed_is_that_over_examples() -> None:
    draw = np.random.default_rng(1)
    ours, theirs = (means(draw.integers(2, size=200).astype(float)) for _ in range(2))
    one, plain = paired_bootstrap_over_seeds([ours], [theirs]), paired_bootstrap(ours, theirs)
    assert (one.score, one.baseline, one.p_value) == (plain.score, plain.baseline, plain.p_value)


def test_a_gain_of_one_seed_out_of_three_is_no_gain() -> None:
    """0.3 more in one seed and nothing in the others: a draw has that seed not at all in 8 of 27 cases.

    The same 0.1 in each of three seeds is one.
    """
    base = means([0.0] * 70 + [1.0] * 30)
    much, some = means([0.0] * 40 + [1.0] * 60), means([0.0] * 60 + [1.0] * 40)
    uneven = paired_bootstrap_over_seeds([much, base, base], [base] * 3)
    even = paired_bootstrap_over_seeds([some] * 3, [base] * 3)
    assert uneven.difference == pytest.approx(even.difference) == pytest.approx(0.1)
    assert even.p_value < 0.01
    assert uneven.p_value > 0.05
    assert paired_bootstrap_over_seeds([base] * 2, [base] * 2).p_value == 1.0


TAGS = st.lists(st.sampled_from(["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]), min_size=1, max_size=6)


@given(st.lists(st.tuples(TAGS, TAGS), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_entity_statistics_sum_to_the_macro_f1_of_seqeval(pairs: list[tuple[list[str], list[str]]]) -> None:
    pairs = [(ours[: len(truth)], truth[: len(ours)]) for ours, truth in pairs]
    hyp, ref = ([list(side) for side in sides] for sides in zip(*pairs, strict=True))
    assert entity_statistics(hyp, ref).value == pytest.approx(entity_f1(hyp, ref).macro or 0.0)


def test_what_does_not_go_together_is_named(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(
        "experiment: zero_shot\ntask: nli\nencoders: [{folder: e}]\n"
        "data: {lang: en, train: t, dev: d, tests: [{lang: de, file: x}]}\n"
    )
    for changed, message in (
        ([], "lexicon.files: missing, arms has placebo"),
        (["arms=[zero_shot]", "switching.entities=switch"], "switching.entities: expected with task ner alone"),
        (["arms=[zero_shot]", "data.tests=[{lang: dev, file: x}]"], "data.tests: expected other names than dev"),
        (["arms=[zero_shot]", "encoders=[{folder: e, name: a/b}]"], "name: expected a name that can be part of a file"),
    ):
        with pytest.raises(ConfigError, match=message):
            read_config(path, changed)
    assert read_config(path, ["arms=[zero_shot]"]).encoders[0].model.name == "model.pt"


def test_a_model_pretrained_further_lies_where_its_path_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in docs/zero-shot.md: relative to the current folder, and not to that of the encoder."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "run.yaml"
    path.write_text(
        "experiment: zero_shot\ntask: nli\narms: [zero_shot]\n"
        "encoders: [{folder: e, name: a}, {folder: e, name: b, checkpoint: runs/x/model.pt}]\n"
        "data: {lang: en, train: t, dev: d, tests: [{lang: de, file: x}]}\n"
    )
    assert [encoder.model for encoder in read_config(path).encoders] == [
        tmp_path / "e/model.pt",
        tmp_path / "runs/x/model.pt",
    ]


def _texts(n: int, seed: int) -> list[tuple[list[str], str]]:
    chance = random.Random(seed)
    found = []
    for i in range(n):
        label = ("good", "bad")[i % 2]
        found.append((["the", chance.choice(NOUNS), chance.choice(VERBS[label]), chance.choice(NAMES), "."], label))
    return found


def _translated(words: list[str]) -> list[str]:
    """Reversed words make another language; names stay."""
    return [word if word in (*NAMES, ".") else word[::-1] for word in words]


def _compared(
    test: str, each: Sequence[float], p_value: float = 0.001, arm: str = "switched", against: tuple[str, str] = ZERO
) -> dict[str, Any]:
    """A row of ``comparisons``; points of 100."""
    mean = sum(each) / len(each) / 100
    low, high = (mean / 2, 2 * mean) if p_value < 0.05 else (-1.0, 1.0)
    row = {"encoder": "tiny", "arm": arm, "against": list(against), "test": test, "seeds": [*range(len(each))]}
    tested = {"difference": mean, "p_value": p_value, "low": min(low, high), "high": max(low, high)}
    return row | tested | {"each": [value / 100 for value in each], "signature": "bs:1000"}


def test_a_gain_that_the_placebo_has_too_is_not_the_lexicons() -> None:
    gains = [_compared("sw", [2, 3]), _compared("xh", [4, 4]), _compared("de", [0.1, 0.3], 0.4)]
    rows = [*gains, _compared("sw", [2, 2], against=PLACEBO), _compared("xh", [0, 0], 0.9, against=PLACEBO)]
    first, second = verdicts({"comparisons": rows}, "nli")
    assert first.outcome == second.outcome == "better"
    assert first.headline == "Switched against zero-shot: better on sw (+2.5), xh (+4.0); not told apart on de (+0.2)."
    assert first.next.endswith("The placebo lexicon did as well on xh: do not credit the lexicon there.")
    assert second.headline == "Switched against the placebo lexicon: better on sw (+2.0); not told apart on xh (+0.0)."
    assert second.next == ""
    (alone,) = verdicts({"comparisons": gains}, "nli")
    assert "train the arm placebo too" in alone.next


def test_seeds_that_point_both_ways_tell_nothing_apart() -> None:
    (found,) = verdicts({"comparisons": [_compared("sw", [-1, 5])]}, "ner")
    assert found.outcome == "not told apart"
    assert found.headline.endswith("not told apart on sw (+2.0).")
    assert "more seeds" in found.next


def test_an_arm_that_learns_the_task_less_well_is_told_to_train_longer() -> None:
    rows = [_compared("sw", [-4, -3]), _compared("dev", [-8, -7])]
    (found,) = verdicts({"comparisons": rows}, "nli")
    assert found.outcome == "worse"
    assert "On dev, in the language of training: −7.5 (p = 0.001)." in found.details
    assert "train longer (finetune.epochs)" in found.next
    (found,) = verdicts({"comparisons": [rows[0], _compared("dev", [-0.1, 0.2], 0.8)]}, "nli")
    assert "use zero-shot there" in found.next


def test_a_gain_in_one_language_and_a_loss_in_another_are_both_told() -> None:
    (found,) = verdicts({"comparisons": [_compared("sw", [3, 3]), _compared("de", [-2, -2])]}, "nli")
    assert (found.outcome, found.headline) == (
        "not told apart",
        "Switched against zero-shot: better on sw (+3.0); worse on de (−2.0).",
    )
    rows = [_compared("sw", [3, 3]), _compared("de", [-2, -2]), _compared("sw", [0, 0.2], 0.7, against=PLACEBO)]
    assert "The placebo lexicon did as well on sw" in verdicts({"comparisons": rows}, "nli")[0].next


def test_a_placebo_that_has_not_learned_the_task_proves_no_lexicon() -> None:
    """Half of what an arm gains over the placebo, or more, is there in the language of training, too."""
    gains = [_compared("sw", [2, 3]), _compared("sw", [4, 4], against=PLACEBO)]
    equal, ahead = ([*gains, _compared("dev", [lead, lead], 0.07, against=PLACEBO)] for lead in (1, 4.6))
    assert verdicts({"comparisons": equal}, "nli")[0].next == "Next: use it. It is the translations that help."
    assert verdicts({"comparisons": ahead}, "nli")[0].next == (
        "Next: use it. How much of it the translations bring is not known: with the placebo lexicon the task itself "
        "was learned less well, in the language of training by 4.6."
    )


def test_models_that_have_learned_nothing_are_named() -> None:
    rows = [
        {"encoder": name, "arm": "zero_shot", "seed": seed, "test": test, "score": 1 / 3}
        for name in ("a", "b")
        for seed in (1, 2)
        for test in ("dev", "sw")
    ]
    results: dict[str, Any] = {"scores": rows, "arms": ["zero_shot"], "missing": [], "unlearned": []}
    assert "Not learned" not in arms_table(results, "nli").note
    results["unlearned"] = [{"encoder": "b", "arm": "zero_shot", "seed": seed} for seed in (1, 2)]
    assert arms_table(results, "nli").note.endswith(
        "Not learned, no better than the most frequent label on dev: Zero-shot (b): seeds 1, 2. "
        "Try a lower rate (finetune.lrs) before you compare them."
    )


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        ({"accuracy": 0.3339, "majority": 1 / 3, "total": 2490}, False),
        ({"accuracy": 0.351, "majority": 1 / 3, "total": 2490}, False),  # two standard errors are 0.0189
        ({"accuracy": 0.353, "majority": 1 / 3, "total": 2490}, True),
        ({"accuracy": 1.0, "majority": 1.0, "total": 10}, False),
        ({"micro": None, "macro": None}, False),
        ({"micro": 0.1, "macro": 0.05}, True),
    ],
)
def test_what_is_no_better_than_no_model_has_learned_nothing(score: dict[str, float | None], expected: bool) -> None:
    assert has_learned(score) is expected


def test_an_encoder_is_compared_with_the_first() -> None:
    row = _compared("xh", [6, 7], arm="zero_shot", against=("e5", "zero_shot"))
    (found,) = verdicts({"comparisons": [row]}, "ner")
    assert found.headline == "Zero-shot (tiny) against the same of e5: better on xh (+6.5)."


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run: sentiment, told by a verb, in English and in a language unknown."""
    from argparse import Namespace

    from encoders import Task

    from fairseq_plugins.encoder import CsrBert

    folder = tmp_path_factory.mktemp("crosslingual")
    encoder = folder / "encoder"
    encoder.mkdir()
    train, dev = _texts(192, 1), _texts(20, 2)
    lines = [" ".join(words) for words, _ in train] + [" ".join(_translated(words)) for words, _ in train]
    subwords.train([lines * 5], 150, encoder / "sentence.bpe.model")
    model = subwords.load(encoder / "sentence.bpe.model")
    subwords.write_dictionary(subwords.model_pieces(model), {}, encoder / "dict.txt")
    sizes = {"encoder_layers": 1, "encoder_embed_dim": 64, "encoder_ffn_embed_dim": 64, "encoder_attention_heads": 2}
    given = {"_name": "csr_bert_base", **sizes, "max_positions": 64, "activation_fn": "gelu", "dropout": 0.0}
    torch.manual_seed(1)
    start = CsrBert.build_model(Namespace(**given), Task(encoder / "dict.txt"))
    state = {"model": start.state_dict(), "cfg": {"model": given, "task": {"_name": "csr_masked_lm"}}}
    history = [{"num_updates": 0, "lr_scheduler_state": {}, "optimizer_name": "FairseqAdam"}]
    extra = {"train_iterator": {"epoch": 1, "iterations_in_epoch": 0}}
    torch.save(state | {"optimizer_history": history, "extra_state": extra}, encoder / "model.pt")
    for name, rows, foreign in (("train", train, False), ("dev", dev, False), ("test", dev, True)):
        written = [f"{' '.join(_translated(words) if foreign else words)}\t{label}\n" for words, label in rows]
        (folder / f"{name}.tsv").write_text("".join(written))
    words = {word for sentence, _ in train for word in sentence if word not in (*NAMES, ".")}
    (folder / "en-xx.txt").write_text("".join(f"{word}\t{word[::-1]}\n" for word in sorted(words)))
    (folder / "run.yaml").write_text(
        f"""
experiment: zero_shot
task: text
encoders: [{{folder: "{encoder}", name: tiny}}]
data:
  folder: "{folder}"
  lang: en
  train: train.tsv
  dev: dev.tsv
  tests: [{{lang: xx, file: test.tsv}}]
lexicon: {{folder: "{folder}", files: [{{lang: xx, file: en-xx.txt}}]}}
finetune: {{lrs: [3.0e-3], epochs: [12], batch: 16, max_length: 32, keep_models: true}}
arms: [zero_shot, switched_originals]
"""
    )
    assert main(["run", str(folder / "run.yaml"), "--out", str(folder / "out"), "--cores", "1"]) == 0
    return folder / "out"


@pytest.mark.slow
def test_switched_words_teach_a_language_that_the_encoder_does_not_know(finished: Path) -> None:
    """Four verbs of each label in a language that is not in the text: only the lexicon says which is which."""
    results = read_json(finished / "results.json")
    scores = {(row["arm"], row["test"]): row["score"] for row in results["scores"]}
    assert scores["zero_shot", "dev"] == scores["switched_originals", "dev"] == 1.0
    assert scores["switched_originals", "xx"] == 1.0
    assert scores["zero_shot", "xx"] < 1.0
    (found,) = [row for row in results["comparisons"] if row["test"] == "xx"]
    assert found["difference"] == pytest.approx(1.0 - scores["zero_shot", "xx"])
    table = (finished / "table.md").read_text()
    assert "| tiny | Switched and originals |" in table
    assert "against" in table
    assert results["missing"] == []
    told = f"Switched and originals against zero-shot: better on xx ({100 * found['difference']:+.1f})."
    assert f"* {told} Points of accuracy, 1 seed" in table
    assert told in (finished / "report.html").read_text()


@pytest.mark.slow
def test_the_command_of_an_arm_is_shown(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = finished.parent / "run.yaml"
    assert main(["args", str(config), "--out", str(finished), "--stage", "switched_originals"]) == 0
    command = capsys.readouterr().out
    assert f"--lexicon {finished}/lexicon/en-xx.tsv" in command
    assert "--task csr_text" in command
    assert "--labels bad,good" in command


@pytest.mark.slow
def test_a_kept_model_labels_new_text_there_and_exported(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = finished / "seed-1/tiny/switched_originals/lr-0.003-epochs-12"
    texts = [line.partition("\t")[0] for line in (finished.parent / "test.tsv").read_text().splitlines()]
    (tmp_path / "new").write_text("".join(f"{text}\n" for text in texts))
    assert main(["export-hf", str(model / "model.pt"), str(tmp_path / "exported")]) == 0
    for folder in (model, tmp_path / "exported"):
        command = ["classify", str(folder), "--input", str(tmp_path / "new"), "--out", str(tmp_path / "labels")]
        assert main(command) == 0
        assert (tmp_path / "labels").read_text() == (model / "predictions/xx.txt").read_text()
    assert main(["classify", str(finished)]) == 2
    inside = "seed-1/tiny/switched_originals/lr-0.003-epochs-12"
    assert f"expected the folder of one of its models, such as {inside}" in capsys.readouterr().err


def test_arms_differ_in_lexicon_and_originals_alone(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(
        "experiment: zero_shot\ntask: ner\nencoders: [{folder: e}]\nlexicon: {files: [{lang: de, file: l}]}\n"
        "data: {lang: en, train: t, dev: d, tests: [{lang: de, file: x}]}\n"
    )
    config = read_config(path)
    found = {step.name.split()[1]: list(step.command) for step in crosslingual.steps(config) if "finetune" in step.name}
    plain = [part.replace("zero_shot", "ARM") for part in found["zero_shot"]]
    for arm, more in (
        ("switched", ["--lexicon", "lexicon/en-de.tsv", "--language", "en", "--originals", "0"]),
        ("switched_originals", ["--lexicon", "lexicon/en-de.tsv", "--language", "en"]),
        ("placebo", ["--lexicon", "lexicon/placebo-en-de.tsv", "--language", "en"]),
    ):
        assert [part.replace(f"/{arm}/", "/ARM/") for part in found[arm]] == plain + more
