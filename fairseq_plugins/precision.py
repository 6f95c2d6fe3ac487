"""bf16 on graphics cards and CPUs."""

import importlib.util
from typing import Any

from omegaconf import DictConfig


def allow_bf16(task: object) -> None:
    """Let ``--bf16`` be for any device, in the settings that a task's are a part of.

    # Deviation: fairseq takes it to mean a TPU, and fails where there is none; its trainer needs none for it.
    """
    settings: Any = task._get_root() if isinstance(task, DictConfig) else {}
    if "common" in settings and not importlib.util.find_spec("torch_xla"):
        settings.common.tpu = False
