"""Documents and summaries: files as published, words and sentences, rows, and documents longer than any model."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_training import fit, save, setup, text_of

from csr.data.summaries import Summary, as_line, prepare_summaries, read_summaries, sentences, truncated
from csr.errors import DataError
from csr.files import read_json, read_lines

NOUNS, VERBS = "man woman dog cat child bird".split(), "sleeps runs sings reads".split()


def documents(n: int) -> list[dict[str, str]]:
    rng = random.Random(1)
    rows = []
    for i in range(n):
        noun, verb = rng.choice(NOUNS), rng.choice(VERBS)
        text = f"A {noun} {verb}. Number {i}! He waits."
        rows.append(
            {"document": text, "summary": f"{noun[::-1]} {verb[::-1]}", "source_lang": "en", "target_lang": "de"}
        )
    return rows


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """64 documents to train on, one of 10,000 words among those to test on."""
    folder = tmp_path_factory.mktemp("summaries")
    long = {
        "document": "The dog runs. " * 3400 + "x" * 50_000,
        "summary": "god",
        "source_lang": "en",
        "target_lang": "de",
    }
    files = {
        name: write(folder / f"{name}.jsonl", rows)
        for name, rows in (
            ("train", documents(64)),
            ("dev", documents(70)[64:67]),
            ("test", [*documents(70)[67:], long]),
        )
    }
    prepare_summaries(files["train"], ("en", "de"), folder / "data", dev=files["dev"], test=files["test"], pieces=90)
    return folder


def task_of(data: Path, *options: str):
    arguments = "--task=csr_translation --source-lang=en --target-lang=de --langs=en,de --truncate-source".split()
    arguments += ["--criterion=label_smoothed_cross_entropy", *options]
    return setup(data / "data/bin", *arguments)


def test_a_batch_as_text(data):
    _, task = task_of(data)
    task.load_dataset("train")
    dataset = task.datasets["train"]
    batch, row = dataset.collater([dataset[0]]), documents(1)[0]
    first, second, third = sentences(row["document"])
    read = batch["net_input"]
    assert text_of(task, read["src_tokens"][0]) == f"{first} </s> {second} </s> {third} </s> [en]"
    assert text_of(task, read["prev_output_tokens"][0]) == f"[de] {row['summary']} </s>"
    assert text_of(task, batch["target"][0]) == f"{row['summary']} </s> [de]"


def test_stage_one_restores_documents_and_summaries_and_leaves_sentence_ends(data):
    (data / "lexicon.tsv").write_text("".join(f"{noun}\t{noun[::-1]}\n" for noun in NOUNS))
    _, task = setup(
        data / "data/bin", "--task=csr_restore", "--source-lang=en", "--target-lang=de", "--langs=en,de",
        f"--lexicon={data}/lexicon.tsv", f"--sentencepiece-model={data}/data/spm.model", "--max-growth=9",
    )  # fmt: skip
    task.load_dataset("train")
    dataset, row = task.datasets["train"], documents(1)[0]
    source, target = (text_of(task, dataset[0][name]) for name in ("source", "target"))
    assert target == " </s> ".join([*sentences(row["document"]), "[en]"])
    assert source.count("</s>") == 3
    assert text_of(task, dataset[1]["target"]) == f"{row['summary']} </s> [de]"


@pytest.mark.slow
def test_64_documents_are_learnt_by_heart_and_10000_words_are_summarised(data, tmp_path):
    from fairseq_plugins.models import read_model
    from fairseq_plugins.outputs import translate

    config, task = task_of(data)
    read = read_model(save(config, fit(config, task, 240, lr=5e-3), tmp_path / "model.pt"), data / "data/bin")
    lines = list(read_lines(data / "data/text/train.en"))
    hyps = translate(read, lines, "en", data / "data/spm.model", beam=2, max_length=20)
    right = sum(hyp == row["summary"] for hyp, row in zip(hyps, documents(64), strict=True))
    assert right >= 60
    document = "\t".join(["The dog runs."] * 4000)
    assert len(translate(read, [document, ""], "en", data / "data/spm.model", beam=2, max_length=5)) == 2


def test_what_was_prepared(data):
    record = read_json(data / "data/prepare.json")
    assert record["pairs"] == {"train": 64, "dev": 3, "test": 4}
    assert record["options"]["summary_words"] == 130
    *_, long = read_lines(data / "data/text/test.en")
    assert len(long.split()) == 220


def test_longer_rows_than_the_model_has_positions_are_cut(data):
    _, task = task_of(data, "--max-source-positions=16", "--max-target-positions=16")
    task.load_dataset("test")
    dataset = task.datasets["test"]
    rows = [dataset[i]["source"] for i in range(len(dataset))]
    assert max(map(len, rows)) == 16 == dataset.sizes.max()
    assert all(text_of(task, row).endswith("</s> [en]") for row in rows)
    kept, dropped = dataset.filter_indices_by_size(dataset.ordered_indices(), (16, 16))
    assert (len(kept), dropped) == (4, [])


def test_other_directions_and_empty_sides_are_left_out_and_counted(tmp_path):
    rows = [
        *documents(2),
        {"document": "x", "summary": " "},
        {"document": "Ein Hund.", "summary": "dog", "source_lang": "de", "target_lang": "en"},
    ]
    path = write(tmp_path / "d.jsonl", rows)
    counts: Counter[str] = Counter()
    assert len(read_summaries(path, "en_XX", "de_DE", counts)) == 2
    assert counts == {"read": 4, "empty": 1, "direction": 1}
    with pytest.raises(
        DataError, match=r"d.jsonl: expected documents in fr with summaries in de, found none in 4 rows"
    ):
        read_summaries(path, "fr", "de")


NCLS = """<doc id=1>
<Article>
two men talk .
they part .
</Article>
<EN-REF1>
men talk .
</EN-REF1>
<ZH-REF1>
两人谈话。
</ZH-REF1>
<ZH-REF1-human-corrected>
两个人谈话。
</ZH-REF1-human-corrected>
<ZH-REF2-human-corrected>
他们分手。
</ZH-REF2-human-corrected>
</doc>
"""


def test_ncls_as_published(tmp_path):
    (tmp_path / "EN2ZHSUM_test.txt").write_text(NCLS)
    (tmp_path / "EN2ZHSUM_train.txt").write_text(NCLS.replace("-human-corrected", ""))
    test, train = (read_summaries(tmp_path / f"EN2ZHSUM_{name}.txt", "en", "zh") for name in ("test", "train"))
    assert test == [Summary("two men talk . they part .", "两个人谈话。 他们分手。")]
    assert train == [Summary("two men talk . they part .", "两个人谈话。 他们分手。")]
    (tmp_path / "cut.txt").write_text(NCLS * 2 + NCLS.removesuffix("</doc>\n"))
    with pytest.raises(DataError, match=r"cut.txt:37: expected </doc> to the document, found the end"):
        read_summaries(tmp_path / "cut.txt", "en", "zh")


@pytest.mark.parametrize("line", ['{"document": "a"}', '{"document": 1, "summary": "b"}', "[]", "{"])
def test_a_broken_row_is_named(tmp_path, line):
    (tmp_path / "d.jsonl").write_text(json.dumps(documents(1)[0]) + f"\n{line}\n")
    with pytest.raises(DataError, match=r"d.jsonl:2: expected a "):
        read_summaries(tmp_path / "d.jsonl", "en", "de")


def test_words_are_counted_by_the_segmenter():
    pytest.importorskip("jieba")
    # 我们 | 今天 | 去 | 北京: three words are five characters.
    assert truncated("我们今天去北京。", "zh", 3) == "我们今天去"
    assert as_line("他来了。她走了！", "zh", 160) == "他来了。\t她走了！"


@given(st.text(st.characters(codec="utf-8"), max_size=80), st.integers(1, 12))
def test_cutting_keeps_the_start_and_splitting_keeps_every_character(text, n):
    cut = truncated(text, "en", n)
    assert text.startswith(cut)
    assert "".join("".join(sentences(text)).split()) == "".join(text.split())
