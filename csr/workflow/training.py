"""The fairseq commands of each stage, and running them so that a kill at any moment spoils nothing."""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import importlib.util
import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from csr.config import Config, Training
from csr.errors import DataError
from csr.files import sha256, write_json, write_text
from csr.workflow.process import die_with, locked


class StepError(Exception):
    """A step failed for a reason that its own input does not explain; ``status`` is the exit status it calls for."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Stage:
    """One run of fairseq-train.

    The stage it starts from; whether it restores, and if so from masks or translations; whether it translates from
    sources with noise.
    """

    start: str | None
    restore: bool = False
    mask: bool = False
    noisy: bool = False


# The stages of method.md, sections 2 and 3, each after the one it starts from; those that do not restore are arms.
STAGES = {
    "backbone": Stage(start=None, restore=True, mask=True),
    "restore": Stage(start="backbone", restore=True),
    "mask_restore": Stage(start="backbone", restore=True, mask=True),
    "random": Stage(start=None),
    "baseline": Stage(start="backbone"),
    "iaft": Stage(start="backbone", noisy=True),
    "csr": Stage(start="restore"),
    "mask_restore_ft": Stage(start="mask_restore"),
}


def stage_folder(stage: str, seed: int) -> Path:
    """Return where a stage's files lie within the run folder."""
    return Path(f"seed-{seed}", stage)


def stage_settings(config: Config, stage: str) -> Training:
    """Return the hyper-parameters of a stage.

    An arm without stage one is trained for the updates of both stages (Zan et al., section 5.2).
    """
    if stage == "backbone":
        return config.backbone.train
    if STAGES[stage].restore:
        return config.restore
    if (start := STAGES[stage].start) and STAGES[start].start:
        return config.finetune
    return dataclasses.replace(config.finetune, updates=config.restore.updates + config.finetune.updates)


def start_model(config: Config, stage: str, seed: int) -> Path | None:
    """Return the checkpoint a stage starts from, relative to the run folder if it is made there."""
    start = STAGES[stage].start
    if start == "backbone" and config.backbone.checkpoint:
        return config.backbone.checkpoint
    return stage_folder(start, seed) / "model.pt" if start else None


def trained_folders(config: Config, stage: str, seed: int) -> list[Path]:
    """Return the folders of a stage and of the stages before it that are trained in the run, first to last."""
    start = STAGES[stage].start
    if start is None or (start == "backbone" and config.backbone.checkpoint):
        return [stage_folder(stage, seed)]
    return [*trained_folders(config, start, seed), stage_folder(stage, seed)]


def lexicon_files(config: Config) -> tuple[Path, Path]:
    """Return the lexicons of both directions within the run folder."""
    src, tgt = config.data.source_lang, config.data.target_lang
    return Path(f"lexicon/{src}-{tgt}.tsv"), Path(f"lexicon/{tgt}-{src}.tsv")


def stage_inputs(config: Config, stage: str, seed: int) -> list[Path]:
    """Return the files a stage reads besides the binarised data, relative to the run folder if they are made there."""
    files = [Path("data/prepare.json"), Path("data/spm.model")]
    if _switches(stage):
        files += lexicon_files(config)
    start = start_model(config, stage, seed)
    return files + ([start] if start else [])


def train_command(config: Config, stage: str, seed: int, run: Path = Path()) -> list[str]:
    """Return the fairseq-train command of a stage; paths lie within the folder ``run``."""
    spec, settings = STAGES[stage], stage_settings(config, stage)
    work = run / stage_folder(stage, seed) / "checkpoints"
    command = ["fairseq-train", *_task(config, stage, run)]
    if spec.restore and spec.mask:
        command += ["--replace", "mask"]
    if _switches(stage):
        forward, backward = (run / file for file in lexicon_files(config))
        command += ["--lexicon", str(forward), "--reverse-lexicon", str(backward)]
        command += ["--top-k", str(config.lexicon.neighbors)]
    if spec.restore:
        command += ["--switch-rate", _number(config.noise.rate), "--mean-span", _number(config.noise.mean_span)]
    if spec.noisy:
        command += ["--noisy-sources", _number(config.noise.sources)]
    sizes = config.backbone
    for side in ("encoder", "decoder"):
        command += [f"--{side}-layers", str(sizes.layers), f"--{side}-embed-dim", str(sizes.dim)]
        command += [f"--{side}-ffn-embed-dim", str(sizes.ffn), f"--{side}-attention-heads", str(sizes.heads)]
        command += [f"--{side}-normalize-before"]
    # mBART: one embedding for both sides and the output, normalised and scaled (Liu et al. 2020).
    command += ["--arch", "mbart_large", "--layernorm-embedding", "--share-all-embeddings"]
    command += ["--dropout", _number(settings.dropout), "--attention-dropout", _number(settings.attention_dropout)]
    command += ["--criterion", "label_smoothed_cross_entropy", "--label-smoothing", _number(settings.label_smoothing)]
    command += ["--optimizer", "adam", "--adam-betas", "(0.9, 0.98)", "--adam-eps", "1e-06"]
    command += ["--lr-scheduler", "polynomial_decay", "--lr", _number(settings.lr)]
    command += ["--warmup-updates", str(settings.warmup), "--total-num-update", str(settings.updates)]
    command += ["--max-update", str(settings.updates), "--max-tokens", str(settings.max_tokens)]
    command += ["--update-freq", str(settings.update_freq), "--seed", str(seed), "--num-workers", str(config.workers)]
    # Checkpoints by updates alone: an epoch of a small corpus takes seconds.
    command += ["--save-dir", str(work), "--save-interval", "1000000", "--validate-interval", "1000000"]
    command += ["--save-interval-updates", str(settings.save_every), "--keep-interval-updates", "1"]
    command += ["--no-epoch-checkpoints", "--skip-invalid-size-inputs-valid-test"]
    command += ["--log-format", "json", "--log-interval", str(max(1, min(100, settings.updates // 50)))]
    if start := start_model(config, stage, seed):
        command += ["--finetune-from-model", str(run / start)]
    return command


def generate_command(config: Config, arm: str, seed: int, run: Path = Path()) -> list[str]:
    """Return the fairseq-generate command of an arm; paths lie within the folder ``run``."""
    command = ["fairseq-generate", *_task(config, arm, run), "--gen-subset", "test"]
    command += ["--path", str(run / stage_folder(arm, seed) / "model.pt"), "--beam", str(config.generate.beam)]
    # Only runaway repetition is longer, and it takes a badly trained model minutes.
    command += ["--max-len-a", "2", "--max-len-b", "10"]
    return [*command, "--max-tokens", str(config.generate.max_tokens), "--num-workers", str(config.workers)]


def identity(command: Sequence[str]) -> list[str]:
    """Return what of a command decides its result: all but where the plugin is installed."""
    return [argument for argument in command if argument != str(_plugin_folder())]


def train(config: Config, stage: str, seed: int, run: Path) -> None:
    """Run a stage to its end, from its last checkpoint if its settings and inputs are still the same.

    Leaves ``model.pt``, ``train.log`` and ``timing.json`` (seconds and updates, over all restarts) in its folder.

    Raises:
        DataError: an input is missing, or fairseq rejects one.
        StepError: fairseq fails otherwise.
    """
    for file in stage_inputs(config, stage, seed):
        if not (run / file).is_file():
            raise DataError(f"{run / file}: no such file; an earlier step makes it, see csr run")
    folder = run / stage_folder(stage, seed)
    work, log = folder / "checkpoints", folder / "train.log"
    settings, command = stage_settings(config, stage), train_command(config, stage, seed)
    start = start_model(config, stage, seed)
    # fairseq's clock goes on from the checkpoint that training starts from.
    before = _read_checkpoint(run / start)["seconds"] if start else 0.0
    with locked(folder) as lock:
        _claim(work, _fingerprint(command, stage_inputs(config, stage, seed), run), log)
        state = _resume_point(work)
        if state is None or state["updates"] < settings.updates:
            with open(log, "a", encoding="utf-8") as stream:
                _run_fairseq(command, run, config.threads, log, stdout=stream, lock=lock)
            state = _resume_point(work)
        if state is None or state["updates"] < settings.updates:
            raise StepError(f"{log}: fairseq-train ended before update {settings.updates}")
        write_json(folder / "timing.json", {"seconds": state["seconds"] - before, "updates": state["updates"]})
        _publish(work, folder / "model.pt")


def generate(config: Config, arm: str, seed: int, run: Path) -> None:
    """Translate the test set with an arm's model into ``test.hyp``: raw text, a line for each source line.

    Raises:
        DataError: the model is missing, or fairseq rejects an input.
        StepError: fairseq fails otherwise or leaves out a sentence.
    """
    folder = run / stage_folder(arm, seed)
    if not (folder / "model.pt").is_file():
        raise DataError(f"{folder / 'model.pt'}: no such file; csr train makes it")
    log = folder / "generate.log"
    with open(log, "w", encoding="utf-8") as stream:
        _run_fairseq(generate_command(config, arm, seed), run, config.threads, log, stdout=stream)
    hyps: dict[int, str] = {}
    with open(log, encoding="utf-8") as lines:
        for line in lines:
            if match := re.match(r"D-(\d+)\t[^\t]*\t(.*)\n", line):
                hyps[int(match[1])] = match[2]
    with open(run / "data" / "text" / f"test.{config.data.source_lang}", "rb") as source:
        n_sentences = sum(1 for _ in source)
    if sorted(hyps) != list(range(n_sentences)):
        raise StepError(f"{log}: expected {n_sentences} translations, found {len(hyps)}")
    with write_text(folder / "test.hyp") as out:
        out.writelines(f"{hyps[i]}\n" for i in range(n_sentences))


def _switches(stage: str) -> bool:
    return STAGES[stage].restore and not STAGES[stage].mask


def _task(config: Config, stage: str, run: Path) -> list[str]:
    return [
        str(run / "data" / "bin"),
        *("--user-dir", str(_plugin_folder())),
        *("--task", "csr_restore" if STAGES[stage].restore else "csr_translation"),
        *("--source-lang", config.data.source_lang, "--target-lang", config.data.target_lang),
        *("--langs", ",".join(config.langs)),
        *("--bpe", "sentencepiece", "--sentencepiece-model", str(run / "data" / "spm.model")),
        # fairseq-fixed drops what remains of the longest sentences over a multiple of this, 8 by default.
        *("--required-batch-size-multiple", "1"),
    ]


def _plugin_folder() -> Path:
    spec = importlib.util.find_spec("fairseq_plugins")
    if spec is None or spec.origin is None:
        raise StepError("fairseq_plugins: not installed beside csr")
    return Path(spec.origin).parent


def _number(value: float) -> str:
    return f"{value:g}"


def _fingerprint(command: Sequence[str], inputs: Sequence[Path], run: Path) -> str:
    """Return a hash of all that decides how a stage goes: its command and what its input files hold."""
    files = sorted({run / file for file in inputs} | set((run / "data" / "bin").glob("*")))
    hashes = {os.path.relpath(file, run): sha256(file) for file in files if file.name != "preprocess.log"}
    return hashlib.sha256(json.dumps([identity(command), hashes]).encode()).hexdigest()


def _claim(work: Path, fingerprint: str, log: Path) -> None:
    """Empty the checkpoint folder unless its checkpoints are of the same command and inputs."""
    mark = work / "fingerprint"
    if mark.is_file() and mark.read_text() == fingerprint:
        return
    if work.exists():
        print(f"{work.parent}: settings or inputs have changed, starting over", file=sys.stderr)
        shutil.rmtree(work)
    log.unlink(missing_ok=True)
    with write_text(mark) as stream:
        stream.write(fingerprint)


def _resume_point(work: Path) -> dict[str, float] | None:
    """Return updates and seconds of the last checkpoint that is whole, made ``checkpoint_last.pt``; None without one.

    fairseq writes ``checkpoint_E_U.pt`` under another name first, but copies it to ``checkpoint_last.pt`` in place.
    """
    for file in work.glob("*.tmp"):
        file.unlink()
    last = work / "checkpoint_last.pt"
    older = sorted(work.glob("checkpoint_[0-9]*.pt"), key=lambda file: file.stat().st_mtime, reverse=True)
    for file in [last, *older]:
        if not file.exists():
            continue
        try:
            state = _read_checkpoint(file)
        except DataError as error:
            print(f"{error}; going back to the one before it", file=sys.stderr)
            file.unlink()
            continue
        if file != last:
            os.replace(file, last)
        return state
    return None


def _read_checkpoint(path: Path) -> dict[str, float]:
    """Return the updates and the training seconds that a fairseq checkpoint records.

    Raises:
        DataError: the file is no whole checkpoint.
    """
    import torch

    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            state = torch.load(path, map_location="cpu", mmap=zipfile.is_zipfile(path), weights_only=True)
        history = state["optimizer_history"] or [{}]
        return {
            "updates": history[-1].get("num_updates", 0),
            "seconds": (state.get("extra_state") or {}).get("previous_training_time", 0.0),
        }
    except (RuntimeError, OSError, EOFError, KeyError, IndexError, TypeError, pickle.UnpicklingError) as error:
        found = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise DataError(f"{path}: expected a whole fairseq checkpoint, found {found}") from None


def _publish(work: Path, model: Path) -> None:
    """Name the last checkpoint ``model`` too, and drop the others."""
    part = model.with_name(".model.pt.part")
    part.unlink(missing_ok=True)
    os.link(work / "checkpoint_last.pt", part)
    os.utime(part)
    os.replace(part, model)
    for file in work.glob("checkpoint*.pt"):
        if file.name != "checkpoint_last.pt":
            file.unlink()


def disk_full(folder: Path) -> bool:
    """Tell whether the disk of a folder has less than a MiB left."""
    return shutil.disk_usage(folder).free < 1 << 20


def _run_fairseq(
    command: Sequence[str], run: Path, threads: int, log: Path, stdout: IO[str], lock: int | None = None
) -> None:
    """Run a fairseq command in the run folder, its output in ``log``; it ends when this process does."""
    module = {"fairseq-train": "fairseq_cli.train", "fairseq-generate": "fairseq_cli.generate"}[command[0]]
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    parent = os.getpid()
    status = subprocess.run(
        [sys.executable, "-m", module, *command[1:]],
        cwd=run,
        env=os.environ | dict.fromkeys(names, str(threads)),
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.STDOUT,
        pass_fds=() if lock is None else (lock,),  # the folder stays locked until fairseq is gone
        preexec_fn=lambda: die_with(parent),
        check=False,
    ).returncode
    if status:
        raise _failure(command[0], status, log)


def _failure(program: str, status: int, log: Path) -> Exception:
    """Return the error that explains a failed fairseq command, from the last error line of its log."""
    text = log.read_text(encoding="utf-8", errors="replace")
    if "No space left on device" in text[-20000:] or disk_full(log.parent):
        return StepError(f"{log.parent}: no space left on the disk", 2)
    if status < 0:
        return StepError(f"{log}: {program} was ended by {signal.Signals(-status).name}; out of memory?")
    found = re.findall(
        r"^(?:csr\.errors\.(\w+): |[\w.]*?(?:Error|Exception): |[\w.-]+: error: )(.*)$", text, re.MULTILINE
    )
    if not found:
        return StepError(f"{log}: {program} failed with status {status}")
    own, message = found[-1]
    return DataError(message) if own or status == 2 else StepError(f"{log}: {program} failed: {message}")
