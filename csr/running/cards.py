"""The cards of a machine, shared out among steps: one training a card, or as many of either as are asked for."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from csr.errors import ConfigError


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
def held_cards(n: int = 1, folder: Path | None = None) -> Iterator[None]:
    """Show this process and its children ``n`` of the machine's cards, which nobody else holds or others share.

    Waits for them. fairseq would otherwise train on all cards, with as many times the batch. The kernel frees a card
    when this process is gone, however it ended.

    Args:
        folder: where the locks lie, by default one of this machine for this user.

    Raises:
        ConfigError: several are asked for, and there are not as many.
    """
    names, given = cards(), "CUDA_VISIBLE_DEVICES" in os.environ
    expect_cards(n, len(names), "gpus")
    if len(names) < 2 or (given and len(names) == n):  # such as those that a batch system has given to this step alone
        yield
        return
    folder = folder or Path(tempfile.gettempdir(), f"csr-cards-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    held = _held(n, names, folder)
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(held)
    try:
        yield
    finally:
        for descriptor in held.values():
            os.close(descriptor)
        if before is None:
            del os.environ["CUDA_VISIBLE_DEVICES"]
        else:
            os.environ["CUDA_VISIBLE_DEVICES"] = before


def expect_cards(n: int, found: int, who: str) -> None:
    """Raise ConfigError where a step shares its batches among more cards than there are; a step of one needs none."""
    if n > max(1, found):
        raise ConfigError(f"{who}: expected {n} cards, found {found or 'none'}")


def _held(n: int, names: list[str], folder: Path) -> dict[str, int]:
    """Names of ``n`` cards with the descriptors of their locks."""
    places = range(int(os.environ.get(SHARED, "1")))
    while True:
        held: dict[str, int] = {}
        # One process at a time looks for cards: two that hold a part each would wait for each other.
        with open(folder / "looking.lock", "w") as looking:
            fcntl.flock(looking, fcntl.LOCK_EX)
            for place, name in itertools.product(places, names):
                if len(held) < n and name not in held:
                    file = f"{name.replace('/', '-')}{f'-{place}' if place else ''}.lock"
                    descriptor = os.open(folder / file, os.O_RDWR | os.O_CREAT, 0o600)
                    try:
                        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        held[name] = descriptor
                    except BlockingIOError:
                        os.close(descriptor)
            if len(held) == n:
                return held
            for descriptor in held.values():
                os.close(descriptor)
        time.sleep(1)
