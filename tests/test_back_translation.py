"""Synthetic pairs beside the bitext: real targets, sources word for word, copied or a model's, drawn by epoch alone."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from preprocessed import preprocess
from tiny_training import epochs

from csr.errors import ConfigError, DataError
from csr.experiments import commands
from csr.experiments.settings import Backbone, FinalTraining
from csr.running.precision import with_precision

SRC = [f"w{i} w{i % 7} w{i % 3} ." for i in range(12)]
TGT = [f"v{i} v{i % 7} v{i % 3} ." for i in range(12)]
MONO = [f"v{i % 12} v{(i + 1) % 12} !" for i in range(40)]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Pairs of two invented languages, text in the second, its translation, and a lexicon from second to first."""
    folder = tmp_path_factory.mktemp("data")
    lines = {"train.xx": SRC, "train.yy": TGT, "valid.xx": SRC[:4], "valid.yy": TGT[:4], "mono.yy": MONO}
    lines["mono.xx"] = [f"w{i % 12} w{i % 5}" for i in range(40)]
    for name, text in lines.items():
        (folder / name).write_text("".join(f"{line}\n" for line in [*text, "!"]))
    sides = ["--source-lang=xx", "--target-lang=yy", "--joined-dictionary"]
    preprocess(folder / "bin", *sides, f"--trainpref={folder}/train", f"--validpref={folder}/valid")
    given = [f"--{side}dict={folder}/bin/dict.xx.txt" for side in ("src", "tgt")]
    preprocess(folder / "made", *sides[:2], f"--trainpref={folder}/mono", *given)
    for language in ("xx", "yy"):
        (folder / f"texts-{language}").mkdir()
        for ending in ("bin", "idx"):
            name = f"train.{language}.{ending}"
            shutil.copy(folder / "made" / f"train.xx-yy.{language}.{ending}", folder / f"texts-{language}" / name)
        for side in ("xx", "yy"):
            shutil.copy(folder / "bin/dict.xx.txt", folder / f"texts-{language}/dict.{side}.txt")
    # v11 has no translation, and stays.
    (folder / "yy-xx.tsv").write_text("".join(f"v{i}\tw{i}\t1\nv{i}\tw{i + 1}\t1\n" for i in range(11)))
    return folder


def task_of(data: Path, name: str = "csr_back_translation", within: str = "bin", **settings: object):
    from fairseq.tasks import TASK_DATACLASS_REGISTRY, setup_task
    from omegaconf import OmegaConf

    import fairseq_plugins  # noqa: F401

    values: dict[str, object] = {"_name": name, "data": str(data / within), "source_lang": "xx", "target_lang": "yy"}
    values |= {"seed": 3, "train_subset": "train", "dataset_impl": None, "required_seq_len_multiple": 1}
    if name == "csr_back_translation":
        values |= {"texts": str(data / "texts-yy"), "lexicon": str(data / "yy-xx.tsv")}
    config = OmegaConf.structured(TASK_DATACLASS_REGISTRY[name])
    task = setup_task(OmegaConf.merge(config, values | settings))
    task.load_dataset("train")
    return task


def rows(task, epoch: int) -> dict[int, tuple[str, str]]:
    """Source and target of each example of an epoch, as text."""
    dataset = task.datasets["train"]
    dataset.set_epoch(epoch)
    batches = dataset.batch_by_size(dataset.ordered_indices(), max_tokens=40)(dataset, epoch)
    examples = [dataset[int(i)] for batch in batches for i in batch]
    return {
        e["id"]: tuple(" ".join(task.src_dict[int(i)] for i in e[s]) for s in ("source", "target")) for e in examples
    }


def test_an_epoch_has_all_pairs_and_a_share_of_the_text_drawn_anew(data):
    task = task_of(data, ratio=1.5)
    first, second = rows(task, 1), rows(task, 2)
    pairs = set(range(len(SRC) + 1))
    for found in (first, second):
        assert pairs <= found.keys()
        assert len(found) == 13 + 20  # 1.5 * 13 = 19.5
    assert first.keys() != second.keys()
    assert rows(task_of(data, ratio=1.5), 1) == first
    assert len(rows(task_of(data, ratio=9.0), 1)) == 13 + 41  # no more than there are


def test_word_for_word_replaces_every_word_that_it_can_and_draws_anew(data):
    task = task_of(data, ratio=9.0)
    first, second = rows(task, 1), rows(task, 2)
    for found in (first, second):
        for i, line in enumerate(MONO):
            source, target = found[13 + i]
            assert target == f"{line} </s> [yy]"
            *words, end, language = source.split()
            assert (end, language) == ("</s>", "[xx]")
            for word, real in zip(words, line.split(), strict=True):
                number = int(real[1:]) if real != "!" else -1
                assert word in ({f"w{number}", f"w{number + 1}"} if 0 <= number < 11 else {real})
    assert sum(first[13 + i] != second[13 + i] for i in range(40)) > 20
    assert first[0] == second[0] == ("w0 w0 w0 . </s> [xx]", "v0 v0 v0 . </s> [yy]")


def test_copied_and_translated_sources(data):
    copied = rows(task_of(data, ratio=9.0, synthetic="copy", lexicon=None), 1)
    assert copied[13] == ("v0 v1 ! </s> [xx]", "v0 v1 ! </s> [yy]")
    made = {"synthetic": "model", "lexicon": None, "translations": str(data / "texts-xx")}
    found = rows(task_of(data, ratio=9.0, tag=True, **made), 1)
    assert found[14] == ("<s> w1 w1 </s> [xx]", "v1 v2 ! </s> [yy]")
    assert found[1][0] == "w1 w1 w1 . </s> [xx]"  # pairs have no tag


def test_sizes_are_those_of_the_rows(data):
    dataset = task_of(data, ratio=9.0, tag=True, synthetic="copy", lexicon=None).datasets["train"]
    for index in range(len(dataset)):
        assert dataset.size(index) == max(len(dataset[index][side]) for side in ("source", "target"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"synthetic": "word"}, "--synthetic: expected words or copy or model, found 'word'"),
        ({"lexicon": None}, "--lexicon: missing beside --synthetic words"),
        ({"synthetic": "copy"}, "--lexicon: given beside --synthetic copy"),
        ({"synthetic": "model", "lexicon": None}, "--translations: missing beside --synthetic model"),
        ({"texts": None}, "--texts: expected a folder"),
        ({"ratio": 0.0}, "--ratio: expected more than 0"),
        ({"rare_first": True}, "--rare-first: expected with --word-rate below 1, found 1: all words"),
    ],
)
def test_wrong_choices_are_named(data, settings, message):
    with pytest.raises(ConfigError, match=message):
        task_of(data, **settings)


def test_rare_words_of_the_pairs_are_translated_first(data):
    # The pairs have v2 seven times and v3 three times: weights 1/8 and 1/4.
    shares = {}
    for rare_first in (False, True):
        task = task_of(data, word_rate=0.5, rare_first=rare_first)
        dataset = task.datasets["train"]
        row = 13 + MONO.index("v2 v3 !")
        n_rare = 0
        for epoch in range(1, 601):
            dataset.set_epoch(epoch)
            words = [task.src_dict[int(i)] for i in dataset[row]["source"][:2]]
            assert [word[0] for word in words] in (["w", "v"], ["v", "w"])
            n_rare += words[1][0] == "w"
        shares[rare_first] = n_rare / 600
    assert shares[False] == pytest.approx(1 / 2, abs=0.06)
    assert shares[True] == pytest.approx(2 / 3, abs=0.06)


@pytest.mark.slow
def test_every_checkpoint_is_validated_also_where_an_epoch_ends(data, tmp_path):
    settings = FinalTraining(updates=6, warmup=1, lr=1e-3, save_every=2, max_tokens=4000)  # one batch an epoch
    command = commands.fairseq(
        "fairseq-train",
        data / "bin",
        [*"--task csr_translation --source-lang xx --target-lang yy --cpu".split()],
        commands.architecture(Backbone(layers=1, dim=16, ffn=16, heads=2)),
        with_precision(commands.writing(settings, 1, 0, tmp_path), "fp32"),
        commands.validation("loss", settings.save_every, bleu=False),
    )
    done = subprocess.run(
        [sys.executable, "-m", "fairseq_cli.train", *command[1:]], check=True, capture_output=True, text=True
    )
    assert re.findall(r'"valid_num_updates": "(\d+)"', done.stdout) == ["2", "4", "6"]


def test_translations_of_another_text_are_named(data, tmp_path):
    for ending in ("bin", "idx"):
        shutil.copy(data / "bin" / f"train.xx-yy.xx.{ending}", tmp_path / f"train.xx.{ending}")
    with pytest.raises(DataError, match=r"expected the 41 lines of .*, found 13"):
        task_of(data, synthetic="model", lexicon=None, translations=str(tmp_path))


def test_a_text_of_its_own_is_there_to_be_translated(data):
    task = task_of(data, "csr_translation", "texts-yy", source_lang="yy", target_lang="xx")
    dataset = task.datasets["train"]
    assert len(dataset) == 41
    assert set(dataset[0]) == {"id", "source"}
    assert dataset.collater([dataset[0]])["target"] is None  # what fairseq-generate looks for


@pytest.mark.parametrize("only", [False, True])
def test_stage_one_restores_texts_beside_the_pairs_or_alone(data, only):
    (data / "xx-yy.tsv").write_text("".join(f"w{i}\tv{i}\t1\n" for i in range(12)))
    lexicons = {"lexicon": str(data / "xx-yy.tsv"), "reverse_lexicon": str(data / "yy-xx.tsv"), "update_freq": [1]}
    task = task_of(data, "csr_restore", texts=str(data / "texts-yy"), texts_only=only, rate=1.0, **lexicons)
    task.load_dataset("valid")
    dataset = task.datasets["train"]
    assert len(dataset) == 41 + (0 if only else 26)
    example = dataset[len(dataset) - 41]
    assert " ".join(task.src_dict[int(i)] for i in example["target"]) == "v0 v1 ! </s> [yy]"
    assert " ".join(task.src_dict[int(i)] for i in example["source"][:1]) in ("w0", "w1")
    assert example["side"] == 1
    counts = dataset.collater([dataset[i] for i in range(len(dataset))])["switching"]
    assert counts[:, 0].tolist() == ([0, 41] if only else [13, 54])  # sentences by language
    assert len(task.datasets["valid"]) == 10


def test_texts_that_are_not_there_are_named(data):
    with pytest.raises(DataError, match=r"expected train.xx.bin or train.yy.bin, found neither"):
        task_of(data, "csr_restore", texts=str(data), replace="mask", update_freq=[1])
    with pytest.raises(ConfigError, match="--texts-only: expected beside --texts alone"):
        task_of(data, "csr_restore", texts_only=True, replace="mask", update_freq=[1])


def test_batches_do_not_depend_on_the_workers(data):
    def batches(workers: int) -> list[list[list[int]]]:
        task = task_of(data, ratio=1.0)
        iterator = task.get_batch_iterator(
            task.datasets["train"], max_tokens=40, max_positions=(1024, 1024), seed=3, num_workers=workers
        )
        return [[b["id"].tolist(), *b["net_input"]["src_tokens"].tolist()] for b in epochs(iterator, 3)]

    expected = batches(0)
    assert batches(2) == expected
    ids = np.concatenate([batch[0] for batch in expected])
    assert (np.bincount(ids)[:13] == 3).all()
    assert len(ids) == 3 * 26
