"""The parts of a fairseq-train command that several kinds of experiment share."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from csr.backbone.estimate import Precision
from csr.backbone.mbart import MBART
from csr.backbone.presets import PRESETS, family_of
from csr.experiments.settings import Backbone, Noise, Training
from csr.options import flags
from csr.switching import settings as switching

RESTORE = tuple(item.name for item in dataclasses.fields(switching.Noise))  # settings of the task that restores


def number(value: float) -> str:
    """Return a number as a command line takes it."""
    return f"{value:g}"


def architecture(sizes: Backbone) -> list[str]:
    """Return the flags of a model of the given sizes: of the preset's family, or an mBART."""
    family = family_of(PRESETS[sizes.preset]) if sizes.preset else MBART
    return family.flags(sizes.layers, sizes.dim, sizes.ffn, sizes.heads, sizes.activation)


def languages(backbone: Backbone, codes: Sequence[str]) -> list[str]:
    """Return the flags of the model's languages, ``codes`` in its order, and of where their ids go."""
    return ["--preset", backbone.preset] if backbone.preset else ["--langs", ",".join(codes)]


def dropouts(settings: Training) -> list[str]:
    """Return the flags of both dropouts."""
    return ["--dropout", number(settings.dropout), "--attention-dropout", number(settings.attention_dropout)]


def adam() -> list[str]:
    """Return the flags of the optimizer (Zan et al., section 5.1)."""
    return ["--optimizer", "adam", "--adam-betas", "(0.9, 0.98)", "--adam-eps", "1e-06"]


def memory(settings: Training) -> list[str]:
    """Return the flags that say in which numbers to train, and what to give up for less memory."""
    numbers = precision(settings)
    flags: list[str] = []
    if numbers != "fp32":
        flags += [f"--{numbers}"] + ([f"--memory-efficient-{numbers}"] if settings.memory_efficient else [])
    if numbers == "fp16":
        # Deviation: fairseq raises the scale of the loss after 16,384 updates, more than a stage has. A copy of the
        # weights tensor by tensor, as bf16 has it, needs less memory than one long one.
        flags += ["--fp16-scale-window", "256", "--fp16-no-flatten-grads"]
    flags += ["--freeze-embeddings"] if settings.freeze_embeddings else []
    return flags + (["--checkpoint-activations"] if settings.checkpoint_activations else [])


def precision(settings: Training) -> Precision:
    """Return the numbers that are trained in on this machine."""
    if settings.precision != "auto":
        return settings.precision
    import torch

    if not torch.cuda.is_available():
        return "fp32"
    return "bf16" if torch.cuda.get_device_capability()[0] >= 8 else "fp16"


def generation(settings: Training, seed: int, workers: int, work: Path, keep_every: int | None = None) -> list[str]:
    """Return the flags of training to write text: loss, schedule, batches, and checkpoints in the folder ``work``."""
    flags = [*memory(settings), *dropouts(settings)]
    flags += ["--criterion", "label_smoothed_cross_entropy", "--label-smoothing", number(settings.label_smoothing)]
    flags += [*adam(), "--lr-scheduler", "polynomial_decay", "--lr", number(settings.lr)]
    flags += ["--warmup-updates", str(settings.warmup), "--total-num-update", str(settings.updates)]
    flags += ["--max-update", str(settings.updates), "--max-tokens", str(settings.max_tokens)]
    flags += ["--update-freq", str(settings.update_freq), "--seed", str(seed), "--num-workers", str(workers)]
    # Checkpoints by updates alone: an epoch of a small corpus takes seconds.
    flags += ["--save-dir", str(work), "--save-interval", "1000000", "--validate-interval", "1000000"]
    flags += ["--save-interval-updates", str(settings.save_every), "--keep-interval-updates", "1"]
    if keep_every:
        flags += ["--keep-interval-updates-pattern", str(keep_every)]
    flags += ["--no-epoch-checkpoints", "--skip-invalid-size-inputs-valid-test"]
    return [*flags, "--log-format", "json", "--log-interval", str(max(1, min(100, settings.updates // 50)))]


def noise(settings: Noise, restore: bool, mask: bool, noisy: bool = False, backbone: bool = False) -> list[str]:
    """Return the flags of the noise of a stage that restores, or that translates from noisy sources.

    A backbone is trained from masks with mBART's noise, whatever the settings: these are of stage one.
    """
    if restore and backbone:
        return flags(switching.Noise(replace="mask"), switching.Noise())
    if restore:
        return flags(dataclasses.replace(settings, replace="mask") if mask else settings, Noise(), RESTORE)
    if noisy:
        return [*flags(settings, Noise(), switching.WORDS), "--noisy-sources", number(settings.sources)]
    return []
