"""Processes that end with their parent, folders that one process works in at a time, threads, and work on much text."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import functools
import gc
import os
import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from threadpoolctl import ThreadpoolController

from csr.errors import ConfigError

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent, the process ``parent``, ends in any way (Linux)."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the call
        os._exit(1)


@contextlib.contextmanager
def locked(folder: Path, patience: float = 2.0) -> Iterator[int]:
    """Hold a folder's lock and yield its file descriptor.

    The kernel frees the lock once this process and the children that were passed the descriptor are gone, however
    they ended. A holder that was just killed gets ``patience`` seconds to go.

    Raises:
        ConfigError: another process holds the lock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        deadline = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ConfigError(f"{folder}: another csr command is at work in this folder") from None
                time.sleep(0.1)
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def without_cycles() -> Iterator[None]:
    """Do not look for cycles among objects: much text is millions of them, looked through again and again, and none."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def one_blas_thread() -> AbstractContextManager[object]:
    """A context in which a matrix product of numpy takes one thread; contexts of several threads go inside another.

    Two threads wait for each other: beside other programs many small products take a hundred times as long as in one.
    """
    return _blas().limit(limits=1, user_api="blas")


@functools.cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()  # of what is loaded by now: numpy's library
