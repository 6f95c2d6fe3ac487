"""The fairseq tasks on data made by plain fairseq-preprocess: same batches everywhere, language ids in their places."""

from __future__ import annotations

import argparse
import math
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from preprocessed import preprocess
from tiny_training import epochs

from csr.data.examples import LanguageIds
from csr.errors import ConfigError, DataError

PLUGIN = Path(__file__).parents[1] / "fairseq_plugins"
SRC = [f"w{i} w{i % 7} w{i % 3} ." for i in range(60)]
TGT = [f"v{i % 3} v{i} v{i % 7} !" for i in range(60)]

# Registers the task under another name; it writes down each training batch it is given.
RECORDER = """
import json, os
from pathlib import Path
from fairseq.tasks import register_task
import sys; sys.path.insert(0, {plugin!r})
from fairseq_plugins.restore import CsrRestoreConfig, CsrRestoreTask
from dataclasses import dataclass

@dataclass
class RecorderConfig(CsrRestoreConfig):
    pass

@register_task("recorder", dataclass=RecorderConfig)
class Recorder(CsrRestoreTask):
    def train_step(self, sample, model, criterion, optimizer, update_num, ignore_grad=False):
        if not ignore_grad:
            rows = [sample["id"].tolist(), sample["net_input"]["src_tokens"].tolist(), sample["target"].tolist()]
            with open(os.environ["RECORD"], "a") as out:
                out.write(json.dumps([update_num, rows]) + "\\n")
        return super().train_step(sample, model, criterion, optimizer, update_num, ignore_grad)
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Binarized text of two invented languages of whole words, and a lexicon."""
    folder = tmp_path_factory.mktemp("data")
    for split, size in (("train", 60), ("valid", 8), ("test", 8)):
        (folder / f"{split}.xx").write_text("".join(f"{line}\n" for line in SRC[:size]))
        (folder / f"{split}.yy").write_text("".join(f"{line}\n" for line in TGT[:size]))
    (folder / "xx-yy.tsv").write_text("".join(f"w{i}\tv{i}\t1\nw{i}\tv{i + 1}\t1\n" for i in range(59)))
    prefixes = [f"--{name}pref={folder}/{split}" for name, split in
                (("train", "train"), ("valid", "valid"), ("test", "test"))]  # fmt: skip
    preprocess(folder / "bin", "--source-lang=xx", "--target-lang=yy", "--joined-dictionary", *prefixes)
    return folder


def task_of(data: Path, name: str = "csr_restore", **settings: object):
    """Set a task up as fairseq-train does."""
    from fairseq.tasks import TASK_DATACLASS_REGISTRY, setup_task
    from omegaconf import OmegaConf

    import fairseq_plugins  # noqa: F401

    config = OmegaConf.structured(TASK_DATACLASS_REGISTRY[name])
    values = {"_name": name, "data": str(data / "bin"), "source_lang": "xx", "target_lang": "yy", "seed": 3}
    values |= {"train_subset": "train", "dataset_impl": None, "required_seq_len_multiple": 1}
    if name == "csr_restore":
        values |= {"lexicon": str(data / "xx-yy.tsv"), "update_freq": [1]}
    task = setup_task(OmegaConf.merge(config, values | settings))
    task.load_dataset("train")
    return task


def batches(task, n_epochs: int = 2, **options) -> list:
    """The batches of some epochs, as plain values."""
    iterator = task.get_batch_iterator(
        task.datasets["train"], max_tokens=60, max_positions=(1024, 1024), seed=3, **options
    )
    return [plain(batch) for batch in epochs(iterator, n_epochs) if batch]


def plain(batch) -> list:
    return [batch["id"].tolist(), batch["net_input"]["src_tokens"].tolist(), batch["target"].tolist()]


@pytest.mark.slow
def test_same_batches_for_any_number_of_workers(data):
    expected = batches(task_of(data))
    assert len(expected) > 20
    for workers in (1, 4):
        assert batches(task_of(data), num_workers=workers) == expected


@pytest.mark.slow
def test_each_epoch_draws_anew_and_a_seed_repeats_itself(data):
    both = batches(task_of(data))
    half = len(both) // 2
    first, second = (
        {i: row for b in part for i, row in zip(b[0], b[1], strict=True)} for part in (both[:half], both[half:])
    )
    assert first.keys() == second.keys() == set(range(120))
    changed = sum(first[i] != second[i] for i in first)
    assert changed > 60
    assert batches(task_of(data, seed=4)) != both


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"schedule": "linear", "rate_end": 1.0, "schedule_updates": 50}])
def test_resuming_in_the_middle_of_an_epoch_gives_the_same_batches(data, options):
    expected = batches(task_of(data, **options), 3)
    task = task_of(data, **options)
    iterator = task.get_batch_iterator(task.datasets["train"], max_tokens=60, max_positions=(1024, 1024), seed=3)
    seen = [plain(b) for b in iterator.next_epoch_itr(shuffle=True)]
    second = iterator.next_epoch_itr(shuffle=True)
    seen += [plain(next(second)) for _ in range(3)]
    state = iterator.state_dict()

    # As fairseq does after a kill: a new task, its iterator made for the epoch it was stopped in.
    task = task_of(data, **options)
    again = task.get_batch_iterator(
        task.datasets["train"], max_tokens=60, max_positions=(1024, 1024), seed=3, epoch=state["epoch"], num_workers=1
    )
    again.load_state_dict(state)
    for _ in range(2):
        seen += [plain(b) for b in again.next_epoch_itr(shuffle=True)]
    assert seen == expected


@pytest.mark.slow
def test_shards_share_the_batches_of_one_process(data):
    for epoch in (1, 2):
        alone = batches(task_of(data), 1, epoch=epoch)
        shards = [batches(task_of(data), 1, epoch=epoch, num_shards=2, shard_id=rank) for rank in (0, 1)]
        assert sorted(shards[0] + shards[1]) == sorted(alone)
        assert min(map(len, shards)) >= len(alone) // 2


@pytest.mark.parametrize("name", ["csr_restore", "csr_translation"])
def test_each_epoch_forms_batches_anew(data, name):
    """Each example once an epoch, as many batches of the same shapes, but few of them with the same examples."""
    task = task_of(data, name)
    both = [[sorted(batch[0]) for batch in batches(task, 1, epoch=epoch)] for epoch in (1, 2)]
    for epoch in both:
        assert sorted(i for batch in epoch for i in batch) == list(range(len(task.datasets["train"])))
    assert sorted(map(len, both[0])) == sorted(map(len, both[1]))
    assert sum(batch in both[0] for batch in both[1]) < len(both[1]) / 2


def test_validation_has_the_same_batches_each_epoch(data):
    task = task_of(data, "csr_translation", train_subset="other")
    found = [task.get_batch_iterator(task.datasets["train"], max_tokens=60, epoch=epoch) for epoch in (1, 2)]
    assert [batch.tolist() for batch in found[0].frozen_batches] == [b.tolist() for b in found[1].frozen_batches]


def train(data: Path, folder: Path, *options: str, **environment: str) -> subprocess.Popen:
    """Start fairseq-train on the recorder task, with a model as small as can be."""
    (folder / "recorder").mkdir(exist_ok=True)
    (folder / "recorder/__init__.py").write_text(RECORDER.format(plugin=str(PLUGIN.parent)))
    command = [sys.executable, "-m", "fairseq_cli.train", str(data / "bin"), "--user-dir", str(folder / "recorder")]
    command += "--task recorder --source-lang xx --target-lang yy --arch transformer --share-all-embeddings".split()
    command += "--encoder-layers 1 --decoder-layers 1 --encoder-embed-dim 8 --decoder-embed-dim 8".split()
    command += "--encoder-ffn-embed-dim 8 --decoder-ffn-embed-dim 8 --encoder-attention-heads 1".split()
    command += "--decoder-attention-heads 1 --optimizer adam --lr 0.01 --max-tokens 60 --max-epoch 1 --cpu".split()
    command += ["--lexicon", str(data / "xx-yy.tsv"), "--no-save", "--disable-validation", "--seed", "3", *options]
    env = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    return subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.slow
def test_two_processes_on_gloo_see_the_batches_of_one(data, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = "--distributed-world-size 2 --distributed-backend gloo --distributed-no-spawn --ddp-backend no_c10d"
    common += f" --device-id 0 --distributed-init-method tcp://127.0.0.1:{port} --distributed-rank"
    ranks = [train(data, tmp_path, *common.split(), str(rank), RECORD=str(tmp_path / f"rank{rank}")) for rank in (0, 1)]
    alone = train(data, tmp_path, RECORD=str(tmp_path / "alone"))
    for process in (*ranks, alone):
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output[-2000:]

    def record(name: str) -> list[str]:
        return sorted(line.split("[", 2)[2] for line in (tmp_path / name).read_text().splitlines())

    assert sorted(record("rank0") + record("rank1")) == record("alone")
    assert record("rank0")
    assert record("rank1")


def test_rows_carry_their_own_language(data):
    task = task_of(data)
    dictionary = task.tgt_dict
    batch = task.datasets["train"].collater([task.datasets["train"][i] for i in (0, 1)])
    net = batch["net_input"]
    ends = [dictionary.string(row[-2:], include_eos=True) for row in net["src_tokens"]]
    assert ends == ["</s> [xx]", "</s> [yy]"]
    assert dictionary.string(batch["target"][0]) == "w0 w0 w0 . [xx]"
    assert dictionary.string(batch["target"][1]) == "v0 v0 v0 ! [yy]"
    assert [dictionary[row[0]] for row in net["prev_output_tokens"]] == ["[xx]", "[yy]"]
    assert torch.equal(net["prev_output_tokens"][:, 1:], batch["target"][:, :-1])
    assert batch["switching"].shape == (2, 9)
    assert task.output_languages(batch).tolist() == [dictionary.index("[xx]"), dictionary.index("[yy]")]


def test_no_sentence_is_dropped(data):
    dataset = task_of(data, "csr_translation").datasets["train"]
    some = dataset.ordered_indices()[:13]
    form = dataset.batch_by_size(some, max_sentences=5, required_batch_size_multiple=8)
    for epoch in (1, 2):
        assert sorted(i for batch in form(dataset, epoch) for i in batch) == sorted(some)


def test_language_ids_go_first_in_mbart_50():
    row = LanguageIds.PREPEND.frame(np.array([7, 8]), eos=2, language=9)
    assert row.tolist() == [9, 7, 8, 2]
    assert np.roll(row, 1).tolist() == [2, 9, 7, 8]  # </s> [lang] X: mBART-50's decoder input
    row = LanguageIds.APPEND.frame(np.array([7, 8]), eos=2, language=9)
    assert row.tolist() == [7, 8, 2, 9]
    assert np.roll(row, 1).tolist() == [9, 7, 8, 2]  # [lang] X </s>: mBART-cc25's


def test_a_language_the_model_lacks_is_an_error(data):
    with pytest.raises(ConfigError, match=r"language 'xx': expected one of the model's languages \(de_DE, en_XX\)"):
        task_of(data, langs="de_DE,en_XX")
    with pytest.raises(ConfigError, match="language 'xx'"):
        task_of(data, "csr_translation", langs="de_DE,en_XX")


def test_a_short_code_finds_the_models_language(data):
    task = task_of(data, "csr_translation", langs="xx_XX,yy_YY")
    assert task.tgt_dict[task.language_id("yy")] == "[yy_YY]"
    with pytest.raises(ConfigError, match="several that fit"):
        task_of(data, "csr_translation", langs="xx_XX,xx_AA,yy_YY")


def test_wrong_lexicons_and_dictionaries_are_named(data, tmp_path):
    nothing = tmp_path / "nothing.tsv"
    nothing.write_text("unseen\tunheard\t1\n")
    with pytest.raises(DataError, match="covers nothing"):
        task_of(data, lexicon=str(nothing))
    with pytest.raises(ConfigError, match="--lexicon: expected a lexicon"):
        task_of(data, lexicon=None)
    folder = tmp_path / "bin"
    folder.mkdir()
    for file in (data / "bin").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "dict.yy.txt").write_text("other 1\n")
    with pytest.raises(ConfigError, match="expected one dictionary for both sides"):
        task_of(tmp_path)


def test_translation_strips_language_ids_from_what_it_scores(data):
    task = task_of(data, "csr_translation", eval_bleu=True)
    dictionary = task.tgt_dict

    class Echo:
        """Generates the reference, language id and all."""

        symbols_to_strip_from_output = frozenset(dictionary.index(s) for s in ("[xx]", "[yy]", "</s>"))
        beam_size = 2

        def generate(self, models, sample, prefix_tokens, constraints, bos_token):
            assert prefix_tokens is None
            assert bos_token.tolist() == [dictionary.index("[yy]")] * 2 * len(sample["target"])
            return [[{"tokens": row}] for row in sample["target"]]

    dataset = task.datasets["train"]
    batch = dataset.collater([dataset[i] for i in (10, 11, 12)])
    score = task._inference_with_bleu(Echo(), batch, None)
    assert score.score == pytest.approx(100)
    assert score.ref_len == 12  # four words a sentence: neither </s> nor [yy] is counted


@pytest.mark.parametrize("silent", [False, True])
def test_validation_scores_what_a_model_writes_also_where_that_is_nothing(data, silent, monkeypatch):
    from fairseq import metrics
    from sacrebleu.metrics import BLEU, CHRF

    task = task_of(data, "csr_translation", eval_bleu=True, eval_chrf=True)
    task.load_dataset("valid")
    dataset, dictionary = task.datasets["valid"], task.tgt_dict
    ignored = frozenset(dictionary.index(symbol) for symbol in ("[xx]", "[yy]", "</s>"))
    task.sequence_generator = argparse.Namespace(symbols_to_strip_from_output=ignored)
    rows = [dictionary.encode_line("" if silent else "v0 v1 v2 !", add_if_not_exist=False) for _ in dataset]
    monkeypatch.setattr(task, "inference_step", lambda *_: [[{"tokens": rows.pop()}], [{"tokens": rows.pop()}]])
    criterion = type("Criterion", (), {"reduce_metrics": staticmethod(lambda logs: None)})()
    monkeypatch.setattr("fairseq.tasks.fairseq_task.FairseqTask.valid_step", lambda *_: (torch.zeros(1), 1, {}))
    with metrics.aggregate() as found:
        for first in range(0, len(dataset), 2):
            batch = dataset.collater([dataset[first], dataset[first + 1]])
            log = task.valid_step(batch, None, criterion)[2]
            task.reduce_metrics([log | {"ntokens": 1, "nsentences": 2}], criterion)
    hyps, refs = ["" if silent else "v0 v1 v2 !"] * len(dataset), TGT[: len(dataset)]
    for name, metric in (("bleu", BLEU(tokenize="13a")), ("chrf", CHRF())):
        expected = metric.corpus_score(hyps, [refs]).score
        assert (expected == 0) == silent
        assert found.get_smoothed_values()[name] == pytest.approx(expected, abs=0.01)
    # What is logged goes into checkpoints, which are read without running code.
    kept = found.state_dict()
    assert not any(isinstance(value, (np.ndarray, np.generic)) for *_, state in kept for value in state.values())


def sources(task) -> list[str]:
    """The encoder inputs of an epoch as text."""
    dataset = task.datasets["train"]
    return [task.tgt_dict.string(dataset[i]["source"][:-2]) for i in range(len(dataset))]


def test_an_encoded_lexicon_is_kept_and_read_from_disk(data):
    first = sources(task_of(data))
    folder = next((data / "xx-yy.tsv.encoded").iterdir())
    assert sources(task_of(data)) == first
    kept = set((data / "xx-yy.tsv.encoded").iterdir())
    task_of(data, top_k=1)  # another setting, another key
    assert set((data / "xx-yy.tsv.encoded").iterdir()) > kept
    entries = folder / "entry_starts.npy"
    whole = entries.read_bytes()
    for damaged in kept:
        (damaged / "entry_starts.npy").write_bytes(whole[:-4])
    with pytest.raises(DataError, match="damaged"):
        task_of(data)
    for damaged in kept:
        for file in damaged.iterdir():
            file.unlink()
        damaged.rmdir()


def test_two_lexicons_give_each_sentence_one_language(data, tmp_path):
    (tmp_path / "xx-zz.tsv").write_text("".join(f"w{i}\tv5{i % 7}\t1\n" for i in range(59)))
    both = f"{data / 'xx-yy.tsv'}:{tmp_path / 'xx-zz.tsv'}"
    (tmp_path / "yy-xx.tsv").write_text("v1\tw1\t1\n")
    options = {"lexicon": both, "reverse_lexicon": str(tmp_path / "yy-xx.tsv"), "rate": 1.0}
    by_sentence = sources(task_of(data, **options))[::2]
    by_word = sources(task_of(data, lexicon_draw="word", **options))[::2]
    assert by_sentence != by_word
    allowed = [{f"v5{i}" for i in range(7)}]
    second = [set(line.split()) - {"."} <= allowed[0] for line in by_sentence[:50]]
    assert 10 < sum(second) < 40  # half of the sentences are all in the second language


def test_the_rate_follows_the_updates_whatever_the_workers_and_processes(data):
    """Linear from 0 to 1: ceil(0.25 k) of three words in update k, two batches an update in epoch 1 and one after."""
    options = {"schedule": "linear", "rate": 0.0, "rate_end": 1.0, "schedule_updates": 20}

    def drawn(update_freq: list[int], **iterator: object) -> list:
        return batches(task_of(data, update_freq=update_freq, **options), **iterator)

    alone = drawn([2, 1])
    n = len(alone) // 2
    for number, (_, noisy, clean) in enumerate(alone):
        update = number // 2 if number < n else math.ceil(n / 2) + number - n
        switched = max(sum(a != b for a, b in zip(*rows, strict=True)) for rows in zip(noisy, clean, strict=True))
        assert switched == math.ceil(3 * min(update / 20, 1) - 1e-9)
    assert drawn([2, 1], num_workers=3) == alone
    shards = [drawn([1], num_shards=2, shard_id=rank) for rank in (0, 1)]  # the same updates as two batches each
    assert sorted(drawn([2])) == sorted(shards[0] + shards[1])


def test_candidates_of_the_translation_are_preferred(data):
    task = task_of(data, prefer_aligned=True, rate=1.0)
    aligned = task.datasets["train"]
    pair = task.tgt_dict.string(aligned[40]["source"][:-2]), task.tgt_dict.string(aligned[41]["target"][:-2])
    # w20 w6 w2 beside v2 v20 v6: each has one candidate that stands there, and one that does not; they are neighbours
    # there, hence in the order there.
    assert pair == ("v2 v20 v6 .", "v2 v20 v6 !")


def test_iaft_masks_some_sources_anew_each_epoch(data):
    dataset = task_of(data, "csr_translation", noisy_sources=0.3).datasets["train"]
    clean = task_of(data, "csr_translation").datasets["train"]
    changed = []
    for epoch in (1, 2):
        dataset.set_epoch(epoch)
        changed.append({i for i in range(60) if dataset[i]["source"].tolist() != clean[i]["source"].tolist()})
        assert all(torch.equal(dataset[i]["target"], clean[i]["target"]) for i in range(60))
    assert 8 < len(changed[0]) < 30
    assert changed[0] != changed[1]


def test_wrong_choices_are_named(data):
    for setting, message in (
        ({"replace": "none"}, "--replace: expected translation or mask or mixture, found 'none'"),
        ({"policy": "some"}, "--policy: expected poisson or fixed or independent"),
        ({"rate": 2.0}, "--rate: expected at least 0 and at most 1, found 2.0"),
        ({"span": 5}, "--span: expected with --policy fixed alone, found poisson"),
        ({"unit": "letter"}, "--unit: expected word or piece"),
    ):
        with pytest.raises(ConfigError, match=message):
            task_of(data, **setting)


@pytest.mark.slow
def test_csr_inspect_prints_rows_as_text(data, capsys):
    from csr.cli import main

    options = ["--task", "csr_restore", "--source-lang", "xx", "--target-lang", "yy", "--replace", "mask"]
    assert main(["inspect", "--rows", "1", str(data / "bin"), *options, "--rate", "1"]) == 0
    shown = capsys.readouterr().out
    assert main(["inspect", str(data / "bin"), *options, "--rows", "1", "--rate", "1"]) == 0
    assert capsys.readouterr().out == shown
    assert shown.splitlines() == [
        "encoder input  <mask> . </s> [xx]",
        "decoder input  [xx] w0 w0 w0 . </s>",
        "target         w0 w0 w0 . </s> [xx]",
        "",
    ]
    # In a process of its own, too, where libraries tell of their set-up and of their plans.
    command = [sys.executable, "-m", "csr.cli", "inspect", str(data / "bin"), *options, "--rows", "1", "--rate", "1"]
    usual = {name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"}  # fairseq's loaders set it
    alone = subprocess.run(command, capture_output=True, text=True, check=True, env=usual)
    assert (alone.stdout, alone.stderr) == (shown, "")


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--policy", "fixed", "--rate", "0.6", "--replace", "mixture", "--mask-share", "0.4"],
        ["--policy", "independent", "--rate", "0.8", "--gate", "0.7", "--prefer-aligned"],
        ["--zero-spans", "insert", "--mean-span", "0.7", "--top-k", "1"],
    ],
)
def test_csr_switch_draws_what_training_draws(data, capsys, options):
    """The lines of either side, for a seed and an epoch, as training sees them."""
    from csr.cli import main
    from csr.lexicon import read_lexicon, write_lexicon
    from csr.options import add_options, read_options
    from csr.switching.settings import Noise

    parser = argparse.ArgumentParser()
    add_options(parser, Noise())
    noise = read_options(parser.parse_args(options), Noise())
    task = task_of(data, **{name: value for name, value in vars(noise).items() if value is not None})
    dataset = task.datasets["train"]
    dataset.set_epoch(5)
    write_lexicon(read_lexicon(data / "xx-yy.tsv").inverted(), data / "yy-xx.tsv")
    for side, (own, other) in enumerate((("xx", "yy"), ("yy", "xx"))):
        command = ["switch", "--input", str(data / f"train.{own}"), "--aligned", str(data / f"train.{other}"), *options]
        command += ["--lexicon", str(data / f"{own}-{other}.tsv"), "--side", ("source", "target")[side]]
        assert main([*command, "--seed", "3", "--epoch", "5"]) == 0
        rows = [task.tgt_dict.string(dataset[i]["source"][:-2]) for i in range(side, len(dataset), 2)]
        shown = [line.replace("<mask>", " <mask> ").split() for line in capsys.readouterr().out.splitlines()]
        assert shown == [row.split() for row in rows]
        assert shown != [line.split() for line in (data / f"train.{own}").read_text().splitlines()]
