"""Running fairseq so that a kill at any moment spoils nothing: one stage of training in one folder, resumable."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from csr.backbone import checkpoints
from csr.backbone.estimate import Precision
from csr.errors import DataError
from csr.files import read_object, sha256, write_json, write_text
from csr.process import die_with, locked
from csr.running.precision import UNSAID, choices, with_precision

# Left alone, glibc maps and unmaps the large tensors of every update: up to a fifth of a small model's time.
MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(1 << 30)}
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_SLURM = ("SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST")


class StepError(Exception):
    """A step failed for a reason that its own input does not explain; ``status`` is the exit status it calls for."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Job:
    """One run of fairseq-train; paths lie within the run folder, absolute ones anywhere."""

    command: Sequence[str]
    """The command, run in the run folder; its ``--save-dir`` is ``checkpoints`` in ``folder``, and its precision may be
    left open as ``csr.running.precision`` has it."""
    folder: Path
    updates: int | None
    """How many it is trained for; without a number the command itself says when to end."""
    inputs: Sequence[Path]
    """The files it reads besides those of ``data`` and ``start``."""
    start: Path | None = None
    """The checkpoint it starts from."""
    data: Path = Path("data/bin")
    gpus: int = 1
    """How many cards it needs, where the machine has any."""
    keep_every: int | None = None
    """Checkpoints at multiples of so many updates stay in ``checkpoints``; the command must keep them too."""
    best: bool = False
    """The best checkpoint on the dev set counts, not the last; the command says by what."""
    shown: Sequence[str] = ()
    """Flags beside the command that decide nothing: where else its curves are shown."""

    @property
    def files(self) -> list[Path]:
        """The files it reads besides those of ``data``."""
        return list(dict.fromkeys([*self.inputs, *([self.start] if self.start else [])]))


def save_dir(folder: Path) -> Path:
    """The folder of a stage's checkpoints while it is trained."""
    return folder / "checkpoints"


def train(job: Job, run: Path, threads: int) -> None:
    """Train to the end, from the last checkpoint if the command and what the inputs hold are still the same.

    Leaves ``model.pt``, ``train.log`` and ``timing.json`` (seconds and updates over all restarts, the updates of the
    chosen checkpoint, and the numbers that were counted in) in the folder. Where the command leaves these open, they
    are what training began in, on whatever machine, and this machine's choice for a new one.

    Raises:
        DataError: an input is missing, or fairseq rejects one.
        StepError: fairseq fails otherwise.
    """
    for file in job.files:
        if not (run / file).is_file():
            raise DataError(f"{run / file}: no such file; an earlier step makes it, see csr run")
    folder = run / job.folder
    work, log = save_dir(folder), folder / "train.log"
    # fairseq's clock goes on from the checkpoint that training starts from.
    before = read_checkpoint(run / job.start)["seconds"] if job.start else 0.0
    with locked(folder) as lock:
        precision = _claim(work, _fingerprints(job, run), log)
        state = _resume_point(work)
        if state is None or job.updates is None or state["updates"] < job.updates:
            with open(log, "a", encoding="utf-8") as stream:
                _run([*with_precision(job.command, precision), *job.shown], run, threads, log, stdout=stream, lock=lock)
            state = _resume_point(work)
        if state is None or state["updates"] < (job.updates or 1):
            raise StepError(f"{log}: fairseq-train ended before update {job.updates or 1}")
        name = "checkpoint_best.pt" if job.best else "checkpoint_last.pt"
        chosen = read_checkpoint(work / name)  # a kill may have cut the best one short, which is no more to be had then
        timing = {"seconds": state["seconds"] - before, "updates": state["updates"], "chosen": chosen["updates"]}
        write_json(folder / "timing.json", {**timing, "precision": precision})
        _publish(work / name, folder / "model.pt", job.keep_every)


def read_timing(path: Path) -> float:
    """The seconds of a ``timing.json``.

    Raises:
        DataError: the file is missing, damaged or says no seconds.
    """
    seconds = read_object(path).get("seconds")
    if not isinstance(seconds, (int, float)):
        raise DataError(f"{path}: expected the seconds of a training, found {seconds!r}")
    return seconds


def generate(
    command: Sequence[str], folder: Path, n_sentences: int, run: Path, threads: int, out: str = "test.hyp"
) -> None:
    """Run fairseq-generate with the folder's ``model.pt`` and leave the file ``out``, a line of text for each source.

    Raises:
        DataError: the model is missing, or fairseq rejects an input.
        StepError: fairseq fails otherwise or leaves out a sentence.
    """
    folder = run / folder
    if not (folder / "model.pt").is_file():
        raise DataError(f"{folder / 'model.pt'}: no such file; csr train makes it")
    log = folder / "generate.log"
    with open(log, "w", encoding="utf-8") as stream:
        _run(command, run, threads, log, stdout=stream)
    hyps: dict[int, str] = {}
    with open(log, encoding="utf-8") as lines:
        for line in lines:
            if match := re.match(r"D-(\d+)\t[^\t]*\t(.*)\n", line):
                hyps[int(match[1])] = match[2]
    if sorted(hyps) != list(range(n_sentences)):
        raise StepError(f"{log}: expected {n_sentences} outputs, found {len(hyps)}")
    with write_text(folder / out) as stream:
        stream.writelines(f"{hyps[i]}\n" for i in range(n_sentences))


def identity(command: Sequence[str]) -> list[str]:
    """The command without the plugin's path, which does not change the result, and without a precision left open."""
    return [argument for argument in command if argument not in (str(plugin_folder()), UNSAID)]


@functools.cache
def plugin_folder() -> Path:
    """The folder of the plugin, for ``--user-dir``."""
    spec = importlib.util.find_spec("fairseq_plugins")
    if spec is None or spec.origin is None:
        raise StepError("fairseq_plugins: not installed beside csr")
    return Path(spec.origin).parent


def _fingerprints(job: Job, run: Path) -> dict[str, Precision]:
    """Hashes of all that decides how a stage goes, its command and what its input files hold, by precision.

    The first is that of a new training.
    """
    files = sorted({run / file for file in job.files} | set(filter(Path.is_file, (run / job.data).glob("*"))))
    hashes = {os.path.relpath(file, run): sha256(file) for file in files if file.name != "preprocess.log"}
    found = {}
    for precision in choices(job.command):
        whole = json.dumps([identity(with_precision(job.command, precision)), hashes])
        found[hashlib.sha256(whole.encode()).hexdigest()] = precision
    return found


def _claim(work: Path, fingerprints: Mapping[str, Precision], log: Path) -> Precision:
    """Empty the checkpoint folder unless its checkpoints are of the same command and inputs; return their precision."""
    mark = work / "fingerprint"
    if mark.is_file() and (begun := fingerprints.get(mark.read_text())):
        return begun
    if work.exists():
        print(f"{work.parent}: settings or inputs have changed, starting over", file=sys.stderr)
        shutil.rmtree(work)
    log.unlink(missing_ok=True)
    fingerprint, precision = next(iter(fingerprints.items()))
    with write_text(mark) as stream:
        stream.write(fingerprint)
    return precision


def _resume_point(work: Path) -> dict[str, float] | None:
    """Updates and seconds of the last checkpoint that is whole, made ``checkpoint_last.pt``; None without one.

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
            state = read_checkpoint(file)
        except DataError as error:
            print(f"{error}; going back to the one before it", file=sys.stderr)
            file.unlink()
            continue
        if file != last:
            os.replace(file, last)
        return state
    return None


def read_checkpoint(path: Path) -> dict[str, float]:
    """The updates and the training seconds that a fairseq checkpoint records.

    Raises:
        DataError: the file is no whole checkpoint.
    """
    state = checkpoints.read_checkpoint(path)
    history = state.get("optimizer_history") or [{}]
    return {
        "updates": history[-1].get("num_updates", 0),
        "seconds": (state.get("extra_state") or {}).get("previous_training_time", 0.0),
    }


def _publish(checkpoint: Path, model: Path, keep_every: int | None) -> None:
    """Name a checkpoint ``model`` too, and drop the others that are not to be kept."""
    part = model.with_name(".model.pt.part")
    part.unlink(missing_ok=True)
    os.link(checkpoint, part)
    os.utime(part)
    os.replace(part, model)
    for file in checkpoint.parent.glob("checkpoint_*_*.pt"):
        updates = int(file.stem.rpartition("_")[2])
        if not keep_every or updates % keep_every:
            file.unlink()


def disk_full(folder: Path) -> bool:
    """Tell whether the disk of a folder has less than a MiB left."""
    return shutil.disk_usage(folder).free < 1 << 20


def _run(command: Sequence[str], run: Path, threads: int, log: Path, stdout: IO[str], lock: int | None = None) -> None:
    """Run a fairseq command in the run folder, its output in ``log``; it ends when this process does."""
    module = {"fairseq-train": "fairseq_cli.train", "fairseq-generate": "fairseq_cli.generate"}[command[0]]
    # Within a job of Slurm, fairseq would start as many processes as the job has tasks.
    ours = {name: value for name, value in os.environ.items() if name not in _SLURM}
    ours.setdefault("WANDB_NAME", os.path.relpath(log.parent, run.resolve().parent))
    parent = os.getpid()
    status = subprocess.run(
        [sys.executable, "-m", "csr.running.launch", module, *command[1:]],
        cwd=run,
        env=MEMORY | ours | dict.fromkeys(_THREADS, str(threads)),
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
    """The error that explains a failed fairseq command, from the last error line of its log."""
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
