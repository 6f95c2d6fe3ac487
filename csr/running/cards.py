"""The cards of a machine, shared out among steps: one training a card, or as many as are asked for."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path


def cards() -> list[str]:
    """The cards that this process may use, by the names that CUDA_VISIBLE_DEVICES knows."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in map(str.strip, visible.split(",")) if name not in ("", "-1")]
    if not shutil.which("nvidia-smi"):
        return []
    listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, check=False)
    return [str(i) for i in range(listed.stdout.count("GPU "))] if listed.returncode == 0 else []


# How many steps share a card, for the steps of a run to read.
SHARED = "CSR_STEPS_PER_GPU"


def share_cards(steps: int) -> int:
    """Let so many steps at a time have a card; return how many may run at a time on all of them."""
    os.environ[SHARED] = str(steps)
    return steps * len(cards())


@contextlib.contextmanager
def one_card(folder: Path | None = None) -> Iterator[None]:
    """Show this process and its children one of several cards, which nobody else holds or others share; wait for it.

    fairseq would otherwise train on all of them, with as many times the batch. The kernel frees the card when this
    process is gone, however it ended.

    Args:
        folder: where the locks lie, by default one of this machine for this user.
    """
    names = cards()
    if len(names) < 2:
        yield
        return
    folder = folder or Path(tempfile.gettempdir(), f"csr-cards-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    name, descriptor = _held(names, folder)
    os.environ["CUDA_VISIBLE_DEVICES"] = name
    try:
        yield
    finally:
        os.close(descriptor)
        if before is None:
            del os.environ["CUDA_VISIBLE_DEVICES"]
        else:
            os.environ["CUDA_VISIBLE_DEVICES"] = before


def _held(names: list[str], folder: Path) -> tuple[str, int]:
    places = [(place, name) for place in range(int(os.environ.get(SHARED, "1"))) for name in names]
    while True:
        for place, name in places:
            file = f"{name.replace('/', '-')}{f'-{place}' if place else ''}.lock"
            descriptor = os.open(folder / file, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return name, descriptor
            except BlockingIOError:
                os.close(descriptor)
        time.sleep(1)
