"""The commands of experiments: every flag of fairseq-train and fairseq-generate that they use is spelled here, once."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from csr.backbone.mbart import MBART
from csr.backbone.presets import PRESETS, family_of
from csr.experiments.settings import Backbone, Training
from csr.running import precision
from csr.running.fairseq import plugin_folder, save_dir


def number(value: float) -> str:
    """A number as a command line takes it."""
    return f"{value:g}"


def flags(**options: object) -> list[str]:
    """Command-line flags; those without a value are left out, true ones stand alone.

    >>> flags(source_lang="de", dev_src=None, lr=3e-5, reset=True, quiet=False)
    ['--source-lang', 'de', '--lr', '3e-05', '--reset']
    """
    found = []
    for name, value in options.items():
        if value is None or value is False:
            continue
        found.append(f"--{name.replace('_', '-')}")
        if value is not True:
            found.append(number(value) if isinstance(value, float) else str(value))
    return found


def fairseq(program: str, data: Path, *parts: Sequence[str]) -> list[str]:
    """A command of fairseq on the folder of binarised text ``data``, with the flags of task, model and training."""
    return [program, str(data), "--user-dir", str(plugin_folder()), *itertools.chain(*parts)]


def architecture(sizes: Backbone) -> list[str]:
    """Flags of a model of the given sizes: of the preset's family, or an mBART; one of an encoder has its own."""
    if sizes.family == "encoder":
        return flags(arch="csr_bart", sizes_of=sizes.checkpoint, share_all_embeddings=True)
    family = family_of(PRESETS[sizes.preset]) if sizes.preset else MBART
    return family.flags(sizes.layers, sizes.dim, sizes.ffn, sizes.heads, sizes.activation)


def languages(backbone: Backbone, codes: Sequence[str]) -> list[str]:
    """Flags of the model's languages, ``codes`` in its order, and of where their ids go."""
    if backbone.family == "encoder":
        return flags(langs=",".join(codes), language_ids="prepend")
    return flags(preset=backbone.preset) if backbone.preset else flags(langs=",".join(codes))


def dropouts(settings: Any) -> list[str]:
    """Flags of both dropouts."""
    return flags(dropout=settings.dropout, attention_dropout=settings.attention_dropout)


def adam() -> list[str]:
    """Flags of the optimizer of Zan et al., section 5.1."""
    return flags(optimizer="csr_adam", adam_betas="(0.9, 0.98)", adam_eps=1e-6)


def bert_adam(weight_decay: float, eps: float) -> list[str]:
    """Flags of BERT's optimizer: weight decay that spares normalisation and biases, gradients clipped at norm 1."""
    return flags(optimizer="csr_adamw", adam_betas="(0.9, 0.999)", adam_eps=eps, clip_norm="1.0") + flags(
        weight_decay=weight_decay
    )


def memory(settings: Training) -> list[str]:
    """Flags that say in which numbers to train, and what to give up for less memory."""
    found = precision.flags(settings.precision, settings.memory_efficient)
    return found + flags(
        freeze_embeddings=settings.freeze_embeddings, checkpoint_activations=settings.checkpoint_activations
    )


def polynomial(lr: float, warmup: int, updates: int) -> list[str]:
    """Flags of a learning rate that rises for ``warmup`` updates and falls to 0 at ``updates``, the last."""
    return flags(
        lr_scheduler="polynomial_decay", lr=lr, warmup_updates=warmup, total_num_update=updates, max_update=updates
    )


def checkpoints(folder: Path, every: int, keep_every: int | None = None, validate: bool = True) -> list[str]:
    """Flags that keep a stage's last checkpoint, and those at multiples of ``keep_every`` updates, in its folder."""
    # By updates alone: an epoch of a small corpus takes seconds.
    found = flags(save_dir=save_dir(folder), save_interval=1000000)
    found += flags(validate_interval=1000000) if validate else flags(disable_validation=True)
    return found + flags(
        save_interval_updates=every,
        keep_interval_updates=1,
        keep_interval_updates_pattern=keep_every,
        no_epoch_checkpoints=True,
    )


def best_checkpoint(folder: Path, metric: str, patience: int) -> list[str]:
    """Flags that keep the checkpoint of the epoch with the largest ``metric``, in the stage's folder.

    Args:
        patience: epochs without a better one until training ends.
    """
    found = flags(save_dir=save_dir(folder), best_checkpoint_metric=metric, maximize_best_checkpoint_metric=True)
    return found + flags(patience=patience, no_epoch_checkpoints=True)


def cards(n: int, update_freq: int, size: int) -> tuple[int, int, list[str]]:
    """What each of ``n`` cards takes of an update, so that it is that of one card: its batches, their size, and flags.

    The cards share the batches, the same ones if ``n`` divides their number; else batches are smaller.

    >>> cards(4, 8, 4096)[:2], cards(4, 2, 4096)[:2]
    ((2, 4096), (1, 2048))
    """
    shared = math.gcd(n, update_freq)
    # fairseq's default backend needs a use of every weight on every card, and activations that stay; and it sends a
    # checkpoint to the other cards as data that torch refuses to read there.
    several = flags(ddp_backend="legacy_ddp", load_checkpoint_on_all_dp_ranks=True) if n > 1 else []
    found = [*flags(distributed_world_size=n), *several]
    return update_freq // shared, size * shared // n, found


def log(updates: int) -> list[str]:
    """Flags of the log: some fifty lines, at least one in a hundred updates."""
    return flags(log_format="json", log_interval=max(1, min(100, updates // 50)))


def validation(rule: str, every: int, bleu: bool) -> list[str]:
    """Flags of an arm's validation, and of the rule that tells the best checkpoint; the loss is fairseq's own.

    Args:
        every: updates between validations. Of a checkpoint that is saved where an epoch ends, fairseq makes none unless
            told so, and a small corpus has few others.
        bleu: validate by BLEU too, of greedy search, whatever the rule.
    """
    scored, at = rule in ("bleu", "chrf"), flags(validate_interval_updates=every)
    if not (scored or bleu):
        return at
    found = at + flags(eval_bleu=True, eval_bleu_args='{"beam": 1, "max_len_a": 2, "max_len_b": 10}')
    found += flags(eval_bleu_remove_bpe="sentencepiece", best_checkpoint_metric=rule if scored else None)
    return found + flags(eval_chrf=rule == "chrf", maximize_best_checkpoint_metric=scored)


def writing(settings: Training, seed: int, workers: int, folder: Path, keep_every: int | None = None) -> list[str]:
    """Flags of training to write text: loss, schedule, batches, and checkpoints in the stage's folder."""
    update_freq, max_tokens, shared = cards(settings.gpus, settings.update_freq, settings.max_tokens)
    return [
        *memory(settings),
        *dropouts(settings),
        *flags(criterion="label_smoothed_cross_entropy", label_smoothing=settings.label_smoothing),
        *adam(),
        *polynomial(settings.lr, settings.warmup, settings.updates),
        *flags(max_tokens=max_tokens, update_freq=update_freq, seed=seed, num_workers=workers),
        *shared,
        *checkpoints(folder, settings.save_every, keep_every),
        *flags(skip_invalid_size_inputs_valid_test=True),
        *log(settings.updates),
    ]
