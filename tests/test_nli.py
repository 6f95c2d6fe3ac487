"""Inference with mBART: rows and their ids, one checkpoint for every language, texts restored without a pair."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_training import fit, save, setup, text_of

from csr.cli import main
from csr.data.examples import joined_pair
from csr.data.nli import LABELS, NliExample, write_nli
from csr.data.prepare_nli import prepare_nli
from csr.data.texts import prepare_texts
from csr.errors import ConfigError, DataError
from csr.evaluation.classification import accuracy

NOUNS = {"en": "man woman dog cat child bird".split(), "de": "mann frau hund katze kind vogel".split()}
VERBS = {"en": "sleeps runs sings reads".split(), "de": "schläft rennt singt liest".split()}


def examples(language: str, n: int) -> list[NliExample]:
    rng, nouns, verbs = random.Random(1), NOUNS[language], VERBS[language]
    out = []
    for i in range(n):
        noun, verb = rng.choice(nouns), rng.choice(verbs)
        label = LABELS[i % 3]
        other = {"entailment": f"a {noun} {verb}", "contradiction": f"no {noun} {verb}", "neutral": rng.choice(nouns)}
        out.append(NliExample(f"the {noun} {verb} here {i}", other[label], label))
    return out


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """64 pairs to train on, pairs of two languages to test on, and their vocabulary."""
    folder = tmp_path_factory.mktemp("nli")
    for name, language, n in (("train", "en", 64), ("dev", "en", 12), ("test", "en", 12), ("test", "de", 9)):
        write_nli(examples(language, n), folder / f"{name}.{language}.tsv")
    for language in ("en", "de"):
        lines = [e.premise + " " + e.hypothesis for e in examples(language, 64)]
        (folder / f"text.{language}").write_text("".join(f"{line}\n" for line in lines))
    prepare_texts({code: [folder / f"text.{code}"] for code in ("en", "de")}, folder / "texts", pieces=90)
    prepare_nli(
        folder / "train.en.tsv",
        folder / "dev.en.tsv",
        {code: folder / f"test.{code}.tsv" for code in ("en", "de")},
        folder / "nli",
        language="en",
        sentencepiece_model=folder / "texts/spm.model",
        dictionary=folder / "texts/dict.txt",
        langs=("en", "de"),
    )
    (folder / "en-de.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in zip(NOUNS["en"], NOUNS["de"], strict=True)))
    return folder


def nli(data: Path, *options: str):
    return setup(
        data / "nli/bin", "--task=csr_nli", "--langs=en,de", "--source-lang=en",
        "--criterion=sentence_prediction", "--classification-head-name=nli", *options,
    )  # fmt: skip


def restore(folder: Path, *options: str):
    return setup(
        folder / "bin", "--task=csr_restore", "--langs=en,de",
        f"--sentencepiece-model={folder}/spm.model", *options,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("placement", "encoder", "decoder"),
    [
        ("append", "{p} </s> {h} </s> [de]", "[de] {p} </s> {h} </s>"),
        ("prepend", "[de] {p} </s> {h} </s>", "</s> [de] {p} </s> {h}"),
    ],
)
def test_a_batch_as_text(data, placement, encoder, decoder):
    _, task = nli(data, f"--language-ids={placement}")
    dataset = task.pairs(str(data / "nli/bin"), "test", "de")
    batch = dataset.collater([dataset[0], dataset[1]])
    first = examples("de", 9)[0]
    read = batch["net_input"]
    length = int(read["src_lengths"][0])
    for name, expected in (("src_tokens", encoder), ("prev_output_tokens", decoder)):
        assert text_of(task, read[name][0, :length]) == expected.format(p=first.premise, h=first.hypothesis)
    assert [LABELS[i] for i in batch["target"].tolist()] == [first.label, "neutral"]
    # The head reads the decoder where the encoder's row ends in </s>.
    assert read["src_tokens"][0].eq(task.symbols.eos).sum() == 2


@pytest.mark.slow
def test_training_pairs_are_switched_anew_each_epoch_and_keep_their_labels(data):
    """All words that the lexicon has, in half of the pairs; a pair goes into one language; validation stays clean."""
    words = [("en-de.tsv", dict(zip(NOUNS["en"], NOUNS["de"], strict=True)))]
    words.append(("en-xx.tsv", {noun: noun[::-1] for noun in NOUNS["en"]}))
    for name, pairs in words:
        (data / name).write_text("".join(f"{a}\t{b}\n" for a, b in pairs.items()))
    lexicon = ":".join(str(data / name) for name, _ in words)
    _, task = nli(data, f"--lexicon={lexicon}", f"--sentencepiece-model={data}/nli/spm.model")
    _, plain = nli(data)
    rows = {}
    for one, name in ((task, "switched"), (plain, "clean")):
        one.load_dataset("train")
        dataset = one.datasets["train"]
        for epoch in (1, 2):
            dataset.set_epoch(epoch)
            rows[name, epoch] = [text_of(one, dataset[i]["source"]) for i in range(len(dataset))]
    clean, first = rows["clean", 1], rows["switched", 1]
    assert rows["clean", 2] == clean
    assert rows["switched", 2] != first
    assert 16 <= sum(a == b for a, b in zip(clean, first, strict=True)) <= 48  # of 64, a half
    for a, b in zip(clean, first, strict=True):
        forms = [" ".join(pairs.get(word, word) for word in a.split()) for _, pairs in words]
        assert b in (a, *forms)
    assert task.datasets["train"].labels.tolist() == plain.datasets["train"].labels.tolist()
    task.load_dataset("valid")
    plain.load_dataset("valid")
    assert [task.datasets["valid"][i]["source"].tolist() for i in range(12)] == [
        plain.datasets["valid"][i]["source"].tolist() for i in range(12)
    ]


@pytest.mark.slow
def test_one_checkpoint_overfits_and_labels_every_language(data, tmp_path):
    from fairseq_plugins.models import read_model
    from fairseq_plugins.outputs import predict

    config, task = nli(data)
    model = fit(config, task, updates=100, lr=5e-3)
    read = read_model(save(config, model, tmp_path / "model.pt"), data / "nli/bin", device="cpu")
    truth = [example.label for example in examples("en", 64)]
    assert accuracy(predict(read, data / "nli/bin", "train", "en", max_tokens=100), truth).correct >= 62
    for language, n in (("en", 12), ("de", 9)):
        assert len(predict(read, data / "nli/bin", "test", language)) == n


def test_pairs_longer_than_the_model_are_cut_and_labelled(data, tmp_path):
    from fairseq_plugins.models import read_model
    from fairseq_plugins.outputs import predict

    long = [NliExample("the man runs " * 4000, "a man runs", "entailment"), NliExample("", "a man " * 900, "neutral")]
    write_nli(long, tmp_path / "long.tsv")
    vocabulary = {"sentencepiece_model": data / "nli/spm.model", "dictionary": data / "nli/dict.txt"}
    prepare_nli(
        data / "train.en.tsv", data / "dev.en.tsv", {"en": tmp_path / "long.tsv"}, tmp_path / "nli", language="en",
        **vocabulary,
    )  # fmt: skip
    config, task = nli(data)
    read = read_model(save(config, task.build_model(config.model), tmp_path / "m.pt"), tmp_path / "nli/bin")
    assert len(predict(read, tmp_path / "nli/bin", "test", "en")) == 2


@given(st.integers(0, 20), st.integers(0, 20), st.integers(3, 30))
def test_a_joined_pair_keeps_what_fits(n, m, limit):
    first, second = np.arange(100, 100 + n), np.arange(200, 200 + m)
    joined = joined_pair(first, second, 2, limit).tolist()
    cut = joined.index(2)
    assert joined[:cut] == first[:cut].tolist()
    assert joined[cut + 1 :] == second[: len(joined) - cut - 1].tolist()
    # Nothing is cut that need not be, and the shorter side is cut only to half.
    assert len(joined) == min(n + m + 1, limit)
    assert min(cut, len(joined) - cut - 1) >= min(n, m, (limit - 1) // 2)


def test_stage_one_restores_premises_and_hypotheses_switched_into_several_languages(data):
    (data / "en-xx.tsv").write_text("".join(f"{noun}\t{noun[::-1]}\n" for noun in NOUNS["en"]))
    lexicons = f"{data / 'en-de.tsv'}:{data / 'en-xx.tsv'}"
    _, task = restore(data / "nli", "--monolingual=en", f"--lexicon={lexicons}", "--max-growth=9")
    task.load_dataset("train")
    dataset = task.datasets["train"]
    texts = {text for e in examples("en", 64) for text in (e.premise, e.hypothesis)}
    assert len(dataset) == len(texts)
    switched = set()
    for i in range(len(dataset)):
        batch = dataset.collater([dataset[i]])
        target, source = (text_of(task, ids[0]) for ids in (batch["target"], batch["net_input"]["src_tokens"]))
        assert target.removesuffix(" </s> [en]") in texts
        assert source.endswith(" </s> [en]")
        assert text_of(task, batch["net_input"]["prev_output_tokens"][0]).startswith("[en] ")
        switched |= set(source.split()) - set(target.split())
    assert {noun[::-1] for noun in NOUNS["en"]} <= switched
    assert {"mann", "hund"} <= switched


@pytest.mark.slow
def test_a_backbone_restores_masks_in_several_languages(data):
    _, task = restore(data / "texts", "--monolingual=en,de", "--replace=mask")
    task.load_dataset("train")
    dataset = task.datasets["train"]
    ends = {text_of(task, dataset[i]["target"]).split()[-1] for i in range(len(dataset))}
    assert ends == {"[en]", "[de]"}
    assert any("<mask>" in text_of(task, dataset[i]["source"]) for i in range(len(dataset)))
    with pytest.raises(ConfigError, match="--monolingual: expected one language with --replace translation"):
        restore(data / "texts", "--monolingual=en,de", f"--lexicon={data / 'en-de.tsv'}")


def test_a_model_of_another_task_has_no_labels(data, tmp_path):
    from fairseq_plugins.models import read_model
    from fairseq_plugins.outputs import predict

    config, task = restore(data / "texts", "--monolingual=en,de", "--replace=mask")
    read = read_model(save(config, task.build_model(config.model), tmp_path / "m.pt"), data / "texts/bin")
    with pytest.raises(DataError, match="expected a model trained by csr_nli, found one of csr_restore"):
        predict(read, data / "nli/bin", "test", "de")


def test_accuracy_of_known_predictions():
    # 3 of 4: the second is wrong.
    found = accuracy(
        "neutral neutral entailment contradiction".split(), "neutral entailment entailment contradiction".split()
    )
    assert (found.correct, found.total, found.value) == (3, 4, 0.75)


def test_csr_inspect_prints_pairs_as_text(data, capsys):
    options = "--split valid --rows 1 --task csr_nli --langs en,de --source-lang en".split()
    assert main(["inspect", str(data / "nli/bin"), *options]) == 0
    printed = capsys.readouterr().out
    assert "label" in printed
    assert "entailment" in printed
    assert "decoder input" in printed
    assert "[en] " in printed
