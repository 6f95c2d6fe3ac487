"""Tiny mBARTs on hand-made data, trained within the process."""

from __future__ import annotations

from pathlib import Path

import torch

ARCH = "--arch mbart_base --encoder-normalize-before --decoder-normalize-before --layernorm-embedding".split()
ARCH += ["--share-all-embeddings", "--dropout=0", "--attention-dropout=0", "--cpu"]
for side in ("encoder", "decoder"):
    ARCH += [
        f"--{side}-layers=1",
        f"--{side}-embed-dim=32",
        f"--{side}-ffn-embed-dim=64",
        f"--{side}-attention-heads=2",
    ]


def setup(data: Path, *options: str):
    """The configuration and the task of a fairseq-train command."""
    from fairseq import options as fairseq_options
    from fairseq.dataclass.utils import convert_namespace_to_omegaconf
    from fairseq.tasks import setup_task

    import fairseq_plugins  # noqa: F401

    parser = fairseq_options.get_training_parser()
    config = convert_namespace_to_omegaconf(fairseq_options.parse_args_and_arch(parser, [str(data), *ARCH, *options]))
    return config, setup_task(config.task)


def epochs(iterator, n: int = 1) -> list:
    """The batches of some epochs of fairseq's iterator, one after the other."""
    found = [batch for _ in range(n) for batch in iterator.next_epoch_itr(shuffle=True)]
    # Its workers end with it: those of a loader that the garbage collector finds are waited for, five seconds each.
    iterator.dataloader = iterator._cur_epoch_itr._itr = None
    return found


def fit(config, task, updates: int, lr: float = 3e-3, max_tokens: int = 4000, split: str = "train"):
    """Train a model on a split, the learning rate falling to 0; return it in evaluation mode."""
    torch.set_num_threads(1)
    torch.manual_seed(1)
    model, criterion = task.build_model(config.model), task.build_criterion(config.criterion)
    task.load_dataset(split)
    dataset = task.datasets[split]
    batches = dataset.batch_by_size(dataset.ordered_indices(), max_tokens=max_tokens)
    if callable(batches):  # of training: those of the first epoch
        batches = batches(dataset, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda update: 1 - update / updates)
    model.train()
    for update in range(updates):
        sample = dataset.collater([dataset[i] for i in batches[update % len(batches)]])
        loss, size, _ = criterion(model, sample)
        optimizer.zero_grad()
        (loss / size).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return model.eval()


def save(config, model, path: Path) -> Path:
    """Write a checkpoint as fairseq does."""
    from omegaconf import OmegaConf

    state = {"model": model.state_dict(), "optimizer_history": [{"num_updates": 1, "lr_scheduler_state": {}}]}
    state["extra_state"] = {"train_iterator": {"epoch": 1, "iterations_in_epoch": 0}, "val_loss": None}
    torch.save(state | {"cfg": OmegaConf.to_container(config)}, path)
    return path


def text_of(task, ids: torch.Tensor) -> str:
    """Ids as text: pieces joined to words, special symbols as they are."""
    symbols = [task.tgt_dict[int(i)] for i in ids]
    text = "".join(f" {s} " if s[0] + s[-1] in ("<>", "[]") else s.replace("▁", " ") for s in symbols)
    return " ".join(text.split())
