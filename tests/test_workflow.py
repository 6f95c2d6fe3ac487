"""The real commands on a tiny corpus: the whole path, a kill in stage two, changed settings, bad input."""

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml

from csr.cli import main
from csr.data.sample import write_sample
from csr.errors import DataError
from csr.experiments import translation
from csr.experiments.translation import Config, job
from csr.files import read_json
from csr.process import locked
from csr.running import fairseq, precision
from csr.settings import build, parse_yaml

UPDATES = 60


def _csr(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "csr.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def experiment(tmp_path_factory) -> Path:
    """A config of seconds: 400 pairs, one layer, a few updates a stage."""
    folder = tmp_path_factory.mktemp("workflow")
    write_sample(folder, 1, 400)
    data = {"source_lang": "qaa", "target_lang": "qab", "pieces": 300}
    for side, lang in (("src", "qaa"), ("tgt", "qab")):
        for split in ("train", "dev", "test"):
            path = folder / f"{split}.{lang}"
            path.write_text("".join(path.read_text().splitlines(keepends=True)[: 400 if split == "train" else 20]))
            data[side if split == "train" else f"{split}_{side}"] = str(path)
    stage = {"updates": 4, "lr": 1.0e-3, "warmup": 2, "max_tokens": 1000, "save_every": 2}
    config = {
        "data": data,
        "lexicon": {"method": "ibm1"},
        "backbone": {"layers": 1, "dim": 32, "ffn": 64, "heads": 2, "train": stage},
        "restore": stage,
        "finetune": {**stage, "updates": UPDATES, "save_every": 10},
        "generate": {"beam": 2},
        "dynamics": {"every": 20, "sentences": 8},
        "arms": ["csr"],
        "tensorboard": True,
    }
    (folder / "tiny.yaml").write_text(yaml.safe_dump(config))
    return folder


@pytest.fixture(scope="module")
def finished(experiment) -> Path:
    """The run folder of a finished experiment."""
    result = _csr("run", experiment / "tiny.yaml", "--out", experiment / "run", "--cores", "2")
    assert result.returncode == 0, result.stderr
    return experiment / "run"


def _weights(model: Path) -> dict[str, torch.Tensor]:
    return torch.load(model, weights_only=False)["model"]


@pytest.mark.slow
def test_run_leaves_what_the_report_is_made_of(finished):
    scores = read_json(finished / "seed-1/csr/scores.json")
    assert scores["bleu"]["signature"].startswith("nrefs:1|")
    assert all(scores["seconds"][stage] > 0 for stage in ("backbone", "restore", "finetune"))
    assert read_json(finished / "seed-1/csr/timing.json")["updates"] == UPDATES
    assert len((finished / "seed-1/csr/test.hyp").read_text().splitlines()) == 20
    environment = read_json(finished / "environment.json")
    assert set(environment) == {"versions", "command", "inputs", "machine"}
    assert len(environment["inputs"]) == 6
    assert "| CSR |" in (finished / "table.md").read_text()
    assert (finished / "report.html").is_file()
    assert list((finished / "seed-1/csr/tensorboard/train_inner").glob("events.out.tfevents.*"))
    # Every 20 updates of 60, and the start; of stage one's 4 updates only start and end.
    for stage, updates in (("csr", [0, 20, 40, 60]), ("restore", [0, 4])):
        points = read_json(finished / f"seed-1/{stage}/dynamics.json")["points"]
        assert [point["updates"] for point in points] == updates


@pytest.mark.slow
def test_translating_the_test_set_anew_gives_the_outputs_of_the_run(finished, tmp_path, capsys):
    hyps = (finished / "seed-1/csr/test.hyp").read_text().splitlines()
    source = tmp_path / "new.qaa"
    test = (finished / "data/text/test.qaa").read_text().splitlines()
    source.write_text("".join(f"{line}\n" for line in ["", *(f"  {line}\t" for line in test)]))
    command = ["translate", str(finished), "--input", str(source)]
    assert main([*command, "--out", str(tmp_path / "new.qab")]) == 0
    assert (tmp_path / "new.qab").read_text().splitlines() == ["", *hyps]
    assert main([*command, "--nbest", "2"]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rows] == ["1", *(str(i) for i in range(2, 22) for _ in range(2))]
    assert [row[2] for row in rows[1::2]] == hyps
    assert all(float(best[1]) >= float(second[1]) for best, second in zip(rows[1::2], rows[2::2], strict=True))
    assert main([*command, "--arm", "cst"]) == 2
    assert "--arm: expected csr, found 'cst', did you mean csr?" in capsys.readouterr().err
    assert main([*command, "--seed", "7"]) == 2
    assert "--seed: expected 1, found 7" in capsys.readouterr().err


@pytest.mark.slow
def test_an_exported_model_gives_the_outputs_of_the_run(finished, tmp_path, capsys):
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    out, hyps = tmp_path / "exported", (finished / "seed-1/csr/test.hyp").read_text().splitlines()
    assert main(["export-hf", str(finished), str(out), "--license", "cc-by-4.0"]) == 0
    assert "a model of qaa, qab, 3" in capsys.readouterr().out
    command = ["translate", str(out), "--input", str(finished / "data/text/test.qaa"), "--beam", "2"]
    assert main(command) == 0
    assert capsys.readouterr().out.splitlines() == hyps
    # Anybody's program reads it, and the language ids are where they were in training.
    tokenizer, model = AutoTokenizer.from_pretrained(out), AutoModelForSeq2SeqLM.from_pretrained(out)
    source = (finished / "data/text/test.qaa").read_text().splitlines()[0]
    assert tokenizer.convert_ids_to_tokens(tokenizer(source).input_ids)[-2:] == ["</s>", "[qaa]"]
    written = model.generate(**tokenizer([source], return_tensors="pt"), num_beams=2, max_length=200)
    assert tokenizer.convert_ids_to_tokens(int(written[0, 0])) == "[qab]"
    assert tokenizer.decode(written[0], skip_special_tokens=True).strip() == hyps[0]

    card = (out / "README.md").read_text()
    head = yaml.safe_load(card.split("---")[1])
    assert head["license"] == "cc-by-4.0"
    assert head["language"] == ["qaa", "qab"]
    bleu = read_json(finished / "seed-1/csr/scores.json")["bleu"]
    assert f"| CSR | 1 | {bleu['value']:.2f} |" in card
    assert f"BLEU: `{bleu['signature']}`" in card
    assert "400 train" in card
    assert str(finished.parent) not in card  # whose machine it was
    for digest in read_json(finished / "environment.json")["inputs"].values():
        assert digest in card
    assert main(["translate", str(out), "--arm", "csr"]) == 2
    assert f"--arm: expected with a folder of csr run, found {out}" in capsys.readouterr().err


@pytest.mark.slow
def test_two_cards_make_the_updates_of_one(finished, tmp_path):
    """Two processes, as two cards would have, end with the weights of one that takes their batches after each other."""
    stage = {"updates": 3, "lr": 1.0e-3, "warmup": 1, "max_tokens": 300, "update_freq": 2, "dropout": 0.0}
    raw = parse_yaml((finished / "config.yaml").read_text(), "config.yaml")
    raw |= {"finetune": {**stage, "save_every": 3, "attention_dropout": 0.0}, "dynamics": {}}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    models = []
    for n in (1, 2):
        config = build({**raw, "finetune": {**raw["finetune"], "gpus": n}}, Config)
        plain = precision.with_precision(job(config, "csr", 1, finished).command, "fp32")
        command = [*plain, "--cpu", "--save-dir", str(tmp_path / str(n))]
        if n > 1:
            command += ["--distributed-init-method", f"tcp://127.0.0.1:{port}", "--distributed-no-spawn"]
            command += ["--distributed-backend", "gloo", "--distributed-rank"]
        programs = [
            subprocess.Popen(
                [sys.executable, "-m", "fairseq_cli.train", *command[1:], *([str(rank)] if n > 1 else [])],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for rank in range(n)
        ]
        printed = [program.communicate(timeout=300)[0] for program in programs]
        assert [program.returncode for program in programs] == [0] * n, printed[-1][-2000:]
        models.append(_weights(tmp_path / str(n) / "checkpoint_last.pt"))
    before = _weights(finished / "seed-1/restore/model.pt")
    moved = max(float((models[0][name] - weight).abs().max()) for name, weight in before.items())
    assert moved > 1e-3
    for name, weight in models[0].items():
        torch.testing.assert_close(models[1][name], weight, atol=1e-5, rtol=0)


@pytest.mark.slow
def test_only_what_a_setting_touches_is_run_again(experiment, finished):
    def planned(*overrides):
        result = _csr("run", experiment / "tiny.yaml", "--out", finished, "--dry-run", *overrides)
        assert result.returncode == 0, result.stderr
        return {line.split(": ")[0]: line.split(": ")[1] for line in result.stdout.splitlines()}

    assert planned() == {}
    after = planned("--set", "finetune.lr=2.0e-3")
    assert after["csr seed 1"] == "settings have changed"
    steps = ("generate", "distance", "dynamics", "score")
    assert set(after) == {"csr seed 1", "report", *(f"{step} csr seed 1" for step in steps)}
    beam = planned("--set", "generate.beam=3")
    dynamics = {f"dynamics {stage} seed 1" for stage in ("restore", "csr")}
    assert set(beam) == {"generate csr seed 1", "score csr seed 1", "report", *dynamics}


@pytest.mark.slow
def test_kill_in_stage_two_costs_no_finished_work_and_changes_nothing(experiment, finished):
    folder = finished / "seed-1/csr"
    uninterrupted = _weights(folder / "model.pt")
    hyps = (folder / "test.hyp").read_bytes()
    for file in [folder / "model.pt", folder / "test.hyp", *(folder / "checkpoints").iterdir()]:
        file.unlink()
    arguments = ["run", experiment / "tiny.yaml", "--out", finished, "--until", "generate"]
    command = [sys.executable, "-m", "csr.cli", *arguments]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not (saved := list((folder / "checkpoints").glob("checkpoint_*_*.pt"))) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert saved
    time.sleep(0.2)
    process.kill()
    process.wait()
    with locked(finished), locked(folder):  # free: neither snakemake nor fairseq-train has survived
        assert not (folder / "model.pt").exists()
    last = folder / "checkpoints/checkpoint_last.pt"
    os.truncate(last, last.stat().st_size // 2)  # as if the kill had come while fairseq wrote it
    result = _csr(*arguments)
    assert result.returncode == 0, result.stderr
    assert "checkpoint_last.pt (epoch" in (folder / "train.log").read_text()  # resumed, from the one before
    resumed = _weights(folder / "model.pt")
    assert all(torch.equal(resumed[name], weight) for name, weight in uninterrupted.items())
    assert (folder / "test.hyp").read_bytes() == hyps


@pytest.mark.slow
def test_second_run_in_the_same_folder_is_refused(experiment, tmp_path, capsys):
    with locked(tmp_path):
        assert main(["run", str(experiment / "tiny.yaml"), "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"csr run: {tmp_path}: another csr command is at work in this folder\n"


@pytest.mark.slow
def test_ragged_corpus_is_one_clear_line_and_leaves_nothing(experiment, tmp_path):
    longer = tmp_path / "train.qaa"
    longer.write_text((experiment / "train.qaa").read_text() + "one more\n")
    result = _csr("run", experiment / "tiny.yaml", "--out", tmp_path / "run", "--set", f"data.src={longer}")
    assert result.returncode == 2
    assert f"train.qab:401: expected a line to go with {longer}:401, found the end" in result.stderr
    assert not (tmp_path / "run/data/prepare.json").exists()


def test_changed_settings_or_inputs_start_over(tmp_path):
    work, log = tmp_path / "checkpoints", tmp_path / "train.log"
    fairseq._claim(work, {"settings one": "fp32"}, log)
    (work / "checkpoint_last.pt").touch()
    log.touch()
    fairseq._claim(work, {"settings one": "fp32"}, log)
    assert (work / "checkpoint_last.pt").exists()
    fairseq._claim(work, {"settings two": "fp32"}, log)
    assert [path.name for path in work.iterdir()] == ["fingerprint"]
    assert not log.exists()


def test_missing_input_of_a_stage_names_what_makes_it(tmp_path):
    with pytest.raises(DataError, match=r"data/prepare\.json: no such file; an earlier step makes it"):
        _train(build(MINIMAL, Config), "random", tmp_path)


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 cut short"])
def test_damaged_checkpoint_to_start_from_is_named(tmp_path, content):
    (tmp_path / "data").mkdir()
    for name in ("data/prepare.json", "data/spm.model", "dict.txt"):
        (tmp_path / name).touch()
    model = tmp_path / "model.pt"
    model.write_bytes(content)
    files = {"checkpoint": model, "dictionary": tmp_path / "dict.txt", "sentencepiece": tmp_path / "data/spm.model"}
    config = build({**MINIMAL, "backbone": {name: str(path) for name, path in files.items()}}, Config)
    with pytest.raises(DataError, match=r"model\.pt: expected a whole checkpoint, found"):
        _train(config, "baseline", tmp_path)


@pytest.mark.parametrize(
    ("log", "status", "kind", "message"),
    [
        (
            "Traceback:\ncsr.errors.DataError: de-en.tsv:3: expected x, found y\n",
            1,
            DataError,
            "de-en.tsv:3: expected x",
        ),
        ("train.py: error: de-en.tsv:3: expected x, found y\n", 2, DataError, "de-en.tsv:3: expected x"),
        ("OSError: [Errno 28] No space left on device\n", 1, fairseq.StepError, "no space left on the disk"),
        ("RuntimeError: shapes\n", 1, fairseq.StepError, "train.log: fairseq-train failed: shapes"),
        ("begin training\n", -signal.SIGKILL, fairseq.StepError, "ended by SIGKILL; out of memory?"),
    ],
)
def test_failure_of_fairseq_is_one_line(tmp_path, log, status, kind, message):
    path = tmp_path / "train.log"
    path.write_text(log)
    error = fairseq._failure("fairseq-train", status, path)
    assert type(error) is kind
    assert message in str(error)


MINIMAL = {"data": {"source_lang": "de", "target_lang": "en", "src": "train.de", "tgt": "train.en"}}


def _command(config: Config, stage: str, seed: int) -> list[str]:
    return translation.job(config, stage, seed).command


def _train(config: Config, stage: str, run: Path) -> None:
    fairseq.train(translation.job(config, stage, 1), run, threads=1)


def _flag(command: list[str], name: str) -> str | None:
    return command[command.index(name) + 1] if name in command else None


def test_arms_get_equal_updates_and_their_own_start():
    # Zan et al., section 5.2: the baseline is finetuned for the updates of both stages, 5k + 25k.
    config = build({**MINIMAL, "arms": ["random", "baseline", "csr", "mask_restore_ft"]}, Config)
    found = {}
    for stage in translation.STAGES:
        command = _command(config, stage, 1)
        assert _flag(command, "--total-num-update") == _flag(command, "--max-update")
        found[stage] = tuple(_flag(command, name) for name in ("--max-update", "--finetune-from-model", "--replace"))
    assert found == {
        "backbone": ("20000", None, "mask"),
        "restore": ("5000", "seed-1/backbone/model.pt", None),
        "mask_restore": ("5000", "seed-1/backbone/model.pt", "mask"),
        "random": ("30000", None, None),
        "baseline": ("30000", "seed-1/backbone/model.pt", None),
        "iaft": ("30000", "seed-1/backbone/model.pt", None),
        "csr": ("25000", "seed-1/restore/model.pt", None),
        "mask_restore_ft": ("25000", "seed-1/mask_restore/model.pt", None),
        "placebo_restore": ("5000", "seed-1/backbone/model.pt", None),
        "placebo": ("25000", "seed-1/placebo_restore/model.pt", None),
        "mono_restore": ("5000", "seed-1/backbone/model.pt", None),
        "csr_mono": ("25000", "seed-1/mono_restore/model.pt", None),
        "reverse": ("30000", "seed-1/backbone/model.pt", None),
        "wbt": ("30000", "seed-1/backbone/model.pt", None),
        "bt": ("30000", "seed-1/backbone/model.pt", None),
        "copy": ("30000", "seed-1/backbone/model.pt", None),
        "wbt_csr": ("25000", "seed-1/restore/model.pt", None),
        "bt_csr": ("25000", "seed-1/restore/model.pt", None),
    }


def test_finetuning_differs_between_arms_in_start_and_updates_alone():
    config = build(MINIMAL, Config)
    own = {"--finetune-from-model", "--save-dir", "--max-update", "--total-num-update", "--log-interval"}

    def common(stage):
        command = _command(config, stage, 1)
        return [word for i, word in enumerate(command) if word not in own and command[i - 1] not in own]

    assert common("baseline") == common("csr") == common("random") == common("mask_restore_ft")


def test_noise_settings_are_those_of_stage_one_alone():
    noise = {"rate": 0.5, "unit": "piece", "replace": "mixture", "mask_share": 0.25, "prefer_aligned": True}
    plain, noisy = build(MINIMAL, Config), build({**MINIMAL, "noise": noise}, Config)
    for stage in translation.STAGES:
        command, usual = (_command(config, stage, 1) for config in (noisy, plain))
        if stage in ("restore", "placebo_restore", "mono_restore"):
            assert _flag(command, "--rate") == "0.5"
            assert _flag(command, "--unit") == "piece"
            assert (_flag(command, "--replace"), _flag(command, "--mask-share")) == ("mixture", "0.25")
            assert "--prefer-aligned" in command
        elif stage == "mask_restore":
            assert (_flag(command, "--rate"), _flag(command, "--replace")) == ("0.5", "mask")
            assert "--mask-share" not in command
        elif stage == "iaft":
            assert (_flag(command, "--rate"), _flag(command, "--noisy-sources")) == ("0.5", "0.1")
        else:
            assert command == usual


def test_restore_command_of_the_paper(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(precision, "of_machine", lambda: "fp32")
    path = tmp_path / "mbart.yaml"
    backbone = {"checkpoint": "model.pt", "dictionary": "dict.txt", "sentencepiece": "spm.model"}
    path.write_text(yaml.safe_dump({**MINIMAL, "backbone": backbone}))
    assert main(["args", str(path), "--stage", "restore", "--out", "my run"]) == 0
    command = shlex.split(capsys.readouterr().out)
    plugin = _flag(command, "--user-dir")
    assert Path(plugin, "restore.py").is_file()
    sizes = (
        "--{0}-layers 12 --{0}-embed-dim 1024 --{0}-ffn-embed-dim 4096 --{0}-attention-heads 16 --{0}-normalize-before"
    )
    assert shlex.join(command).replace(plugin, "PLUGIN") == (
        "fairseq-train 'my run/data/bin' --user-dir PLUGIN --task csr_restore --source-lang de --target-lang en "
        "--langs de,en --bpe sentencepiece --sentencepiece-model 'my run/data/spm.model' "
        "--lexicon 'my run/lexicon/de-en.tsv' "
        "--reverse-lexicon 'my run/lexicon/en-de.tsv' "
        f"{sizes.format('encoder')} {sizes.format('decoder')} --arch mbart_large --layernorm-embedding "
        "--share-all-embeddings --dropout 0.3 --attention-dropout 0.1 --criterion label_smoothed_cross_entropy "
        "--label-smoothing 0.2 --optimizer csr_adam --adam-betas '(0.9, 0.98)' --adam-eps 1e-06 "
        "--lr-scheduler polynomial_decay --lr 3e-05 --warmup-updates 2500 --total-num-update 5000 --max-update 5000 "
        "--max-tokens 4096 --update-freq 1 --seed 1 --num-workers 0 --distributed-world-size 1 "
        "--save-dir 'my run/seed-1/restore/checkpoints' --save-interval 1000000 "
        "--validate-interval 1000000 --save-interval-updates 500 --keep-interval-updates 1 "
        "--no-epoch-checkpoints --skip-invalid-size-inputs-valid-test --log-format json --log-interval 100 "
        f"--finetune-from-model {shlex.quote(str(Path.cwd() / 'model.pt'))}"
    )


def test_commands_of_a_preset(tmp_path):
    """With the folder that ``csr import-hf`` writes, nothing else need be said of the model."""
    config = build({**MINIMAL, "backbone": {"preset": "ml50", "folder": str(tmp_path)}}, Config)
    assert config.langs[:4] == ("ar_AR", "cs_CZ", "de_DE", "en_XX")
    for stage in ("restore", "baseline"):
        command = _command(config, stage, 1)
        assert _flag(command, "--preset") == "ml50"
        assert "--langs" not in command
        assert _flag(command, "--finetune-from-model") == str(tmp_path / "model.pt")
        assert _flag(command, "--encoder-layers") == "12"
        assert "--activation-fn" not in command
    assert (config.backbone.dictionary, config.backbone.sentencepiece) == (
        tmp_path / "dict.txt",
        tmp_path / "sentence.bpe.model",
    )
    assert _flag(translation.generate_command(config, "csr", 1), "--preset") == "ml50"
    named = build({**MINIMAL, "backbone": {"preset": "cc25", "folder": "b", "checkpoint": "other.pt"}}, Config)
    assert named.backbone.checkpoint == Path.cwd() / "b/other.pt"
    relu = build({**MINIMAL, "backbone": {"preset": "ml50", "folder": "b", "activation": "relu"}}, Config)
    assert _flag(_command(relu, "csr", 1), "--activation-fn") == "relu"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, ""),
        ({"precision": "auto"}, ""),
        ({"precision": "bf16"}, "--bf16"),
        ({"precision": "bf16", "memory_efficient": True}, "--bf16 --memory-efficient-bf16"),
        ({"precision": "fp16"}, "--fp16 --fp16-scale-window 256 --fp16-no-flatten-grads"),
        (
            {"freeze_embeddings": True, "checkpoint_activations": True},
            "--freeze-embeddings --checkpoint-activations",
        ),
    ],
)
def test_what_saves_memory(settings, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    plain, saving = ({**MINIMAL, "finetune": {"updates": 25000, **more}} for more in ({}, settings))
    before, after = (_command(build(raw, Config), "csr", 1) for raw in (plain, saving))
    assert shlex.join([flag for flag in after if flag not in before]) == expected
