"""The numbers that are trained in: what a machine has, what a run keeps to, and that every task trains in them."""

from __future__ import annotations

import hashlib
import json
import math
import random
from pathlib import Path

import pytest
import torch
from test_steps import WHOLE

from csr.cli import main
from csr.data.ner import Sentence, write_ner
from csr.data.nli import NliExample, write_nli
from csr.experiments import translation
from csr.files import sha256
from csr.running import fairseq, precision
from csr.running.fairseq import Job
from csr.settings import as_mapping, build

AMD = "processor\t: 0\nflags\t\t: fpu avx512f avx512_bf16 clzero\n"


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        (AMD, True),
        ("flags : avx2 amx_bf16 amx_tile\n", True),
        ("flags\t\t: fpu avx512f avx512_vnni\n", False),  # there torch emulates bf16
        ("Features\t: fp asimd bf16\n", False),  # another processor, never measured
        ("bugs\t: avx512_bf16\n", False),
        (None, False),
    ],
)
def test_a_processor_with_bf16_is_known_by_its_flags(cpuinfo, expected, tmp_path):
    if cpuinfo:
        (tmp_path / "cpuinfo").write_text(cpuinfo)
    assert precision.processor_has_bf16(tmp_path / "cpuinfo") is expected


def test_numbers_of_a_machine(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for there, expected in ((True, "bf16"), (False, "fp32")):
        monkeypatch.setattr(precision, "processor_has_bf16", lambda there=there: there)
        assert precision.resolved("auto") == expected
        assert precision.resolved("fp16") == "fp16"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for capability, expected in (((7, 5), "fp16"), ((8, 0), "bf16")):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda found=capability: found)
        assert precision.resolved("auto") == expected


def test_a_mark_becomes_the_flags_of_the_chosen_numbers():
    auto, efficient, plain = precision.flags("auto"), precision.flags("auto", memory_efficient=True), ["--lr", "1"]
    assert precision.with_precision([*auto, *plain], "fp32") == plain
    assert precision.with_precision([*auto, *plain], "bf16") == ["--bf16", *plain]
    assert precision.with_precision([*efficient, *plain], "bf16") == ["--bf16", "--memory-efficient-bf16", *plain]
    assert precision.with_precision([*precision.flags("fp32"), *plain], "bf16") == plain
    assert precision.with_precision([*precision.flags("bf16"), *plain], "fp32") == ["--bf16", *plain]
    assert [list(precision.choices(precision.flags(name))) for name in ("fp32", "fp16", "bf16")] == [
        ["fp32"],
        ["fp16"],
        ["bf16"],
    ]


def test_the_default_leaves_the_steps_of_older_runs_as_they_are():
    """They said nothing of precision, and trained in fp32; what is asked for by name is part of a step."""

    def settings(**more: object) -> str:
        raw = {**WHOLE["translation"], "finetune": more}
        steps = translation.steps(build(raw, translation.Config))
        return json.dumps(next(step.settings for step in steps if step.name == "csr seed 1"))

    assert "precision" not in settings()
    assert settings() == settings(precision="auto")
    assert len({settings(**{"precision": name}) for name in ("auto", "fp32", "fp16", "bf16")}) == 4
    assert settings(memory_efficient=True) != settings()


def test_settings_that_older_runs_have_written_down_are_read():
    """All of them, fp32 also for a backbone that is not trained there."""
    given = {"checkpoint": "m.pt", "dictionary": "d.txt", "sentencepiece": "s.model", "langs": ["de", "en"]}
    old = as_mapping(build({**WHOLE["translation"], "backbone": given}, translation.Config))
    for section in (old["restore"], old["finetune"], old["backbone"]["train"]):
        section["precision"] = "fp32"
    read = build(old, translation.Config)
    assert (read.finetune.precision, read.backbone.train) == ("fp32", type(read.backbone).train)


def test_a_training_goes_on_in_what_it_began_in(tmp_path, monkeypatch):
    """In fp32 also one that began before there was a choice: its fingerprint is of the plain command."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/text").write_text("a\n")

    def job(wanted: str) -> Job:
        command = ["fairseq-train", "data", *precision.flags(wanted), "--lr", "1"]
        return Job(command, Path("stage"), 10, [Path("data/text")], data=Path("data"))

    def begun(wanted: str, machine: str) -> tuple[str, bool]:
        """The numbers it is trained in on a machine, and whether it goes on from its checkpoint."""
        monkeypatch.setattr(precision, "of_machine", lambda: machine)
        checkpoint = tmp_path / "work/checkpoint_last.pt"
        checkpoint.parent.mkdir(exist_ok=True)
        checkpoint.touch()
        found = fairseq._claim(checkpoint.parent, fairseq._fingerprints(job(wanted), tmp_path), tmp_path / "log")
        return found, checkpoint.exists()

    inputs = {"data/text": sha256(tmp_path / "data/text")}
    old = json.dumps([["fairseq-train", "data", "--lr", "1"], inputs])
    (tmp_path / "work").mkdir()
    (tmp_path / "work/fingerprint").write_text(hashlib.sha256(old.encode()).hexdigest())
    assert begun("auto", "bf16") == ("fp32", True)
    assert begun("fp32", "bf16") == ("fp32", True)
    assert begun("bf16", "bf16") == ("bf16", False)
    assert begun("auto", "fp32") == ("bf16", True)  # moved to a machine without it
    assert begun("fp32", "bf16") == ("fp32", False)
    (tmp_path / "data/text").write_text("b\n")
    assert begun("auto", "bf16") == ("bf16", False)


NAMES = "Anna Ben Cara Oslo Rome Paris".split()
VERBS = {"entailment": "liked", "neutral": "saw", "contradiction": "left"}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Text of two languages, pairs of it, and text with labels of every kind."""
    folder, chance = tmp_path_factory.mktemp("data"), random.Random(1)

    def line() -> str:
        first, verb, second, third = (chance.choice(words) for words in (NAMES, list(VERBS.values()), NAMES, NAMES))
        return f"{first} {verb} {second} and {third} ."

    en = [line() for _ in range(300)]
    for lang, lines in (("en", en), ("de", [text[::-1] for text in en])):
        (folder / lang).write_text("".join(f"{text}\n" for text in lines))
    write_nli([NliExample(line(), line(), label) for label in VERBS for _ in range(8)], folder / "nli.tsv")
    (folder / "texts.tsv").write_text("".join(f"{text}\t{'ab'[i % 2]}\n" for i, text in enumerate(en[:30])))
    write_ner([Sentence(tuple(text.split()), ("B-PER", *"OOOOO")) for text in en[:30]], folder / "ner.txt")
    known = f"--sentencepiece-model {folder}/pairs/spm.model --dict {folder}/pairs/dict.txt"
    for command in (
        f"prepare --src {folder}/en --tgt {folder}/de --source-lang en --target-lang de --out {folder}/pairs "
        "--pieces 60 --dev-size 10 --test-size 10",
        f"prepare-text --text en={folder}/en --text de={folder}/de --out {folder}/texts {known} --valid-size 10",
        f"prepare-nli --train {folder}/nli.tsv --dev {folder}/nli.tsv --lang en --langs en,de {known} "
        f"--out {folder}/nli",
        f"mixture --text en 5kB {folder}/en --text de 5kB {folder}/de --held-out 1kB --out {folder}/mix --pieces 60",
    ):
        assert main(command.split()) == 0
    return folder


MBART = "--arch mbart_base --layernorm-embedding --share-all-embeddings --encoder-normalize-before".split()
MBART += "--decoder-normalize-before --encoder-layers 1 --decoder-layers 1".split()
for side in ("encoder", "decoder"):
    MBART += f"--{side}-embed-dim 32 --{side}-ffn-embed-dim 64 --{side}-attention-heads 2".split()
BERT = "--arch csr_bert_tiny --encoder-layers 1 --encoder-embed-dim 32 --encoder-ffn-embed-dim 64".split()
BERT += "--encoder-attention-heads 2".split()
SMOOTHED = "--criterion label_smoothed_cross_entropy --label-smoothing 0.1".split()
LABELLED = "{0}/mix/bin --criterion csr_classification --sentencepiece-model {0}/mix/spm.model".split()
BLEU = ["--eval-bleu", "--eval-bleu-remove-bpe", "sentencepiece", "--eval-bleu-args", '{"beam": 1, "max_len_b": 9}']
PAIRS = "{0}/pairs/bin --source-lang en --target-lang de".split()
NLI = (
    "{0}/nli/bin --source-lang en --langs en,de --criterion sentence_prediction --classification-head-name nli".split()
)
TASKS = {
    "csr_restore": [*PAIRS, "--replace", "mask", *MBART, *SMOOTHED],
    "csr_translation": [*PAIRS, *BLEU, "--eval-chrf", *MBART, *SMOOTHED],
    "csr_back_translation": [*PAIRS, *"--texts {0}/texts/bin --synthetic copy".split(), *BLEU, *MBART, *SMOOTHED],
    "csr_nli": [*NLI, *MBART],
    "csr_masked_lm": [*"{0}/mix/bin --languages en,de --criterion csr_masked_lm".split(), *BERT],
    "csr_tagging": [*LABELLED, *"--types PER --train {0}/ner.txt --valid {0}/ner.txt".split(), *BERT],
    "csr_sentence_pair": [*LABELLED, *"--train {0}/nli.tsv --valid {0}/nli.tsv".split(), *BERT],
    "csr_text": [*LABELLED, *"--labels a,b --train {0}/texts.tsv --valid {0}/texts.tsv".split(), *BERT],
}


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_every_task_trains_and_validates_in_bf16_on_a_processor(task, data):
    """As in fp32, within what bf16 rounds; and the loss falls."""
    from fairseq import options
    from fairseq.dataclass.utils import convert_namespace_to_omegaconf
    from fairseq.tasks import setup_task
    from fairseq.trainer import Trainer

    import fairseq_plugins  # noqa: F401

    optimizer = "--optimizer csr_adam --lr 0.005 --max-tokens 300 --cpu --dropout 0.1 --attention-dropout 0.1".split()
    optimizer += ["--num-workers", "0"]  # the garbage collector waits for others, five seconds each
    torch.set_num_threads(1)
    losses = {}
    for numbers in ("fp32", "bf16"):
        command = [part.replace("{0}", str(data)) for part in TASKS[task]]
        command += ["--task", task, *optimizer, *precision.with_precision(precision.flags(numbers), "fp32")]
        config = convert_namespace_to_omegaconf(options.parse_args_and_arch(options.get_training_parser(), command))
        made = setup_task(config.task)
        for split in ("train", "valid"):
            made.load_dataset(split)
        torch.manual_seed(1)
        trainer = Trainer(config, made, made.build_model(config.model), made.build_criterion(config.criterion))
        batches = trainer.get_train_iterator(1, load_dataset=False).next_epoch_itr(shuffle=True)
        trainer.begin_epoch(1)
        first = [trainer.train_step([next(batches)])["loss"] for _ in range(3)]
        held_out = trainer.get_valid_iterator("valid").next_epoch_itr(shuffle=False)
        found = trainer.valid_step(next(held_out))
        assert {weight.dtype for weight in trainer.model.parameters()} == {
            torch.bfloat16 if numbers == "bf16" else torch.float32
        }
        assert all(map(math.isfinite, first))
        assert "--eval-bleu" not in command or found["bleu"] >= 0
        losses[numbers] = [*first, found["loss"]]
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.02)
