"""The scripts in examples/ run: a few updates of models as small as can be, with trainers of transformers."""

from __future__ import annotations

import importlib.util
import io
import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from hf_models import DE, EN, LEXICON, make_model, make_tokenizer, write_lexicon

pytest.importorskip("transformers")
pytest.importorskip("accelerate")
EXAMPLES = Path(__file__).parents[1] / "examples"
PAIRS = [{"id": i, "translation": {"de": DE[i % 3], "en": EN[i % 3]}} for i in range(20)]


def example(name: str):
    """A script as a module."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_rows(path: Path, rows: list[dict]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mbart50", "nllb"])
def test_translation_in_two_stages(tmp_path, kind, monkeypatch):
    """Killed in the second epoch of stage one and started again, a run sees the batches of one that was not."""
    translate = example("translate")
    lexicon = write_lexicon(tmp_path / "de-en.tsv")
    rows, dev = write_rows(tmp_path / "rows.jsonl", PAIRS), write_rows(tmp_path / "dev.jsonl", PAIRS[:2])
    model = make_model(kind, tmp_path / "model")
    seen: list[list] = []

    class Recorder(translate.Seq2SeqTrainer):
        def training_step(self, model, inputs, *rest):
            seen.append(inputs["input_ids"].tolist())
            return super().training_step(model, inputs, *rest)

    monkeypatch.setattr(translate, "Seq2SeqTrainer", Recorder)
    command = ["--model", model, "--pairs", rows, "--dev", dev, "--source", "de", "--target", "en", "--workers", "0"]
    command += ["--lexicon", str(lexicon), "--restore-updates", "6", "--updates", "2", "--batch", "5"]
    out = tmp_path / "out"
    score = translate.main([*command, "--out", str(out), "--save-steps", "1"])
    assert 0 <= score <= 100
    whole = [*seen]
    assert len(whole) == 8  # four batches an epoch: one and a half in stage one
    assert len(whole[0]) == 10  # both sides of five pairs
    assert len(whole[7]) == 5
    assert (out / "model/config.json").is_file()

    seen.clear()
    shutil.rmtree(out / "restore/checkpoint-6")  # what is left is of update 5, the first of the second epoch
    shutil.rmtree(out / "translate")
    translate.main([*command, "--out", str(out), "--save-steps", "1"])
    assert seen == whole[5:]
    assert whole[0] != whole[4]


@pytest.mark.slow
@pytest.mark.parametrize("task", ["nli", "ner"])
def test_zero_shot_classification(tmp_path, task):
    write_lexicon(tmp_path / "de-en.tsv")
    if task == "nli":
        rows = [{"id": i, "premise": DE[i % 3], "hypothesis": DE[i // 3 % 3], "label": i % 2} for i in range(12)]
        labels = "yes,no"
    else:
        rows = [
            {"id": i, "tokens": (words := DE[i % 3].split()), "labels": [0] * (len(words) - 1) + [1]} for i in range(12)
        ]
        labels = "O,B-X,I-X"
    files = write_rows(tmp_path / "train.jsonl", rows), write_rows(tmp_path / "test.jsonl", rows[:6])
    command = [task, "--model", make_model("xlmr", tmp_path / "model"), "--train", files[0], "--test", files[1]]
    command += ["--lexicon", str(tmp_path / "de-en.tsv"), "--language", "de", "--labels", labels]
    score = example("classify").main([*command, "--out", str(tmp_path / "out"), "--epochs", "1", "--batch", "6"])
    assert 0 <= score <= 1


def test_a_curriculum_for_decoders_switches_words_then_sentences(tmp_path):
    (tmp_path / "de").write_text("Der Hund sieht.\nDie Katze trinkt.\n\nEin Kind liest.\n")
    (tmp_path / "en").write_text("The dog sees.\nThe cat drinks.\n\nA child reads.\n")
    lexicon = write_lexicon(tmp_path / "de-en.tsv")
    command = ["--source", str(tmp_path / "de"), "--target", str(tmp_path / "en"), "--languages", "de,en"]
    example("curriculum").main([*command, "--lexicon", str(lexicon), "--out", str(tmp_path / "out"), "--rate", "1"])
    rows = {
        stage: [json.loads(line)["text"] for line in (tmp_path / f"out/{stage}.jsonl").read_text().splitlines()]
        for stage in ("word", "sentence", "plain")
    }
    assert rows == {
        "word": ["Der Dog sees.\nDie Cat trinkt.", "Ein Child reads."],
        "sentence": [
            "Der Hund sieht.\nThe cat drinks.", "The dog sees.\nDie Katze trinkt.", "Ein Kind liest.", "A child reads.",
        ],
        "plain": [
            "Der Hund sieht.\nDie Katze trinkt.", "The dog sees.\nThe cat drinks.", "Ein Kind liest.", "A child reads.",
        ],
    }  # fmt: skip


def test_a_decoder_goes_through_the_curriculum(tmp_path):
    """The rows are what trl reads: a stage after the other, an update each."""
    trl = pytest.importorskip("trl")
    from datasets import load_dataset
    from transformers import LlamaConfig, LlamaForCausalLM

    (tmp_path / "de").write_text("\n".join(DE) + "\n")
    (tmp_path / "en").write_text("\n".join(EN) + "\n")
    command = ["--source", str(tmp_path / "de"), "--target", str(tmp_path / "en"), "--languages", "de,en"]
    command += ["--lexicon", str(write_lexicon(tmp_path / "de-en.tsv")), "--out", str(tmp_path / "out")]
    example("curriculum").main(command)
    tokenizer = make_tokenizer("mt5", tmp_path / "tokenizer")
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **sizes))
    for stage in ("word", "sentence", "plain"):
        settings = trl.SFTConfig(str(tmp_path / "run"), max_steps=1, use_cpu=True, bf16=False, report_to=[])
        rows = load_dataset("json", data_files=str(tmp_path / f"out/{stage}.jsonl"), split="train")
        trainer = trl.SFTTrainer(model, settings, train_dataset=rows, processing_class=tokenizer)
        assert trainer.train().global_step == 1


def test_a_filter_has_the_draws_of_csr_switch(tmp_path, capsys, monkeypatch):
    from csr.cli import main

    lexicon = write_lexicon(tmp_path / "de-en.tsv", [*LEXICON, ("hund", "hund"), ("der", "der"), ("und", "and")])
    reverse = write_lexicon(tmp_path / "en-de.tsv", [(english, german) for german, english in LEXICON])
    expected = []
    for language, other, path, side in (("de", "en", lexicon, "source"), ("en", "de", reverse, "target")):
        (tmp_path / language).write_text("".join(f"{line}\n" for line in (DE if side == "source" else EN) * 5))
        command = ["switch", "--input", str(tmp_path / language), "--lexicon", str(path), "--side", side, "--seed", "3"]
        assert main([*command, "--language", language, "--aligned-language", other]) == 0
        expected.append(capsys.readouterr().out.splitlines())
    pairs = "".join(f"{de}\t{en}\n" for de, en in zip(DE, EN, strict=True)) * 5
    command = ["--languages", "de,en", "--lexicon", str(lexicon), "--seed", "3"]
    monkeypatch.setattr(sys, "stdin", io.StringIO(pairs))
    example("filter").main(command)
    found = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert found == [list(pair) for pair in zip(expected[0], EN * 5, strict=True)]
    assert expected[0] != DE * 5
    monkeypatch.setattr(sys, "stdin", io.StringIO(pairs))
    example("filter").main([*command, "--reverse-lexicon", str(reverse)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0::2] == [f"<2de> {new}\t{old}" for new, old in zip(expected[0], DE * 5, strict=True)]
    assert lines[1::2] == [f"<2en> {new}\t{old}" for new, old in zip(expected[1], EN * 5, strict=True)]
    monkeypatch.setattr(sys, "stdin", io.StringIO("ein Feld\n"))
    with pytest.raises(SystemExit, match="line 1: expected source<TAB>target, found 1 fields"):
        example("filter").main(command)


def test_eole_reads_other_words_each_epoch(tmp_path, capsys):
    """What its iterator gives of a corpus, transformed, is what csr switch prints for that epoch."""
    pytest.importorskip("eole")
    from types import SimpleNamespace

    from csr.cli import main

    lexicon = write_lexicon(tmp_path / "de-en.tsv", [*LEXICON, ("hund", "hund"), ("der", "der"), ("und", "and")])
    for language, lines in (("de", DE), ("en", EN)):
        (tmp_path / language).write_text("".join(f"{line}\n" for line in lines * 4))
    switch = example("eole_switch")
    from eole.inputters.text_corpus import ParallelCorpus, ParallelCorpusIterator
    from eole.inputters.text_utils import CorpusTask, transform_bucket

    settings = {"lexicon": str(lexicon), "language": "de", "target_language": "en"}
    configs = SimpleNamespace(csr_switch=switch.SwitchConfig(**settings))
    transform = switch.Switch(SimpleNamespace(transforms_configs=configs, seed=3))
    transform.warm_up()
    corpus = ParallelCorpus("corpus", str(tmp_path / "de"), str(tmp_path / "en"))
    command = ["switch", "--input", str(tmp_path / "de"), "--lexicon", str(lexicon), "--seed", "3"]
    command += ["--language", "de", "--aligned-language", "en", "--epoch"]
    for epoch in ("1", "2"):
        assert main([*command, epoch]) == 0
        expected = capsys.readouterr().out.splitlines()
        rows = transform_bucket(CorpusTask.TRAIN, list(ParallelCorpusIterator(corpus, transform, is_train=True)))
        assert [" ".join(row["src"]["src"]) if isinstance(row["src"], dict) else row["src"] for row in rows] == expected
