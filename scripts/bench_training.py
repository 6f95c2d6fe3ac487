"""A step of training with ``csr_adam`` beside one with fairseq's Adam: processor time, losses on the same batches.

    python scripts/bench_training.py [--shapes quickstart multi30k] [--steps 40] [--json FILE]

Both models start alike and see the same random sentence pairs, in turns; all of a step counts, from the batch to the
new weights, with one thread. Ratios are medians over the steps. Losses are as fairseq logs them, to three places.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from fairseq.data import Dictionary
from fairseq.data.indexed_dataset import MMapIndexedDatasetBuilder

sys.path.insert(0, str(Path(__file__).parents[1]))

from csr.files import write_json


class Shape(NamedTuple):
    """A model and its batches."""

    layers: int
    dim: int
    ffn: int
    heads: int
    pieces: int
    max_tokens: int


SHAPES = {  # as in configs/
    "quickstart": Shape(2, 64, 256, 4, 2000, 1000),
    "multi30k": Shape(3, 256, 1024, 4, 8000, 2048),
}


class Training:
    """A training of ``csr_translation`` that goes on by a step at each call."""

    def __init__(self, folder: Path, shape: Shape, optimizer: str) -> None:
        from fairseq import options
        from fairseq.dataclass.utils import convert_namespace_to_omegaconf
        from fairseq.tasks import setup_task
        from fairseq.trainer import Trainer
        from fairseq.utils import import_user_module

        plugin = str(Path(__file__).parents[1] / "fairseq_plugins")
        import_user_module(argparse.Namespace(user_dir=plugin))
        command = [str(folder), "--user-dir", plugin, "--task", "csr_translation"]
        command += ["--source-lang", "xx", "--target-lang", "yy", "--arch", "mbart_large", "--share-all-embeddings"]
        for side in ("encoder", "decoder"):
            command += [f"--{side}-layers", str(shape.layers), f"--{side}-embed-dim", str(shape.dim)]
            command += [f"--{side}-ffn-embed-dim", str(shape.ffn), f"--{side}-attention-heads", str(shape.heads)]
            command += [f"--{side}-normalize-before"]
        command += ["--layernorm-embedding", "--criterion", "label_smoothed_cross_entropy", "--label-smoothing", "0.1"]
        command += ["--optimizer", optimizer, "--adam-betas", "(0.9, 0.98)", "--adam-eps", "1e-6", "--lr", "3e-4"]
        command += ["--max-tokens", str(shape.max_tokens), "--cpu", "--seed", "1", "--num-workers", "0"]
        command += ["--dropout", "0.1", "--no-progress-bar", "--log-format", "none", "--dataset-impl", "mmap"]
        config = convert_namespace_to_omegaconf(options.parse_args_and_arch(options.get_training_parser(), command))
        task = setup_task(config.task)
        task.load_dataset("train")
        torch.manual_seed(1)
        model = task.build_model(config.model)
        self._trainer = Trainer(config, task, model, task.build_criterion(config.criterion))
        self._batches = self._trainer.get_train_iterator(1, load_dataset=False).next_epoch_itr(shuffle=True)
        self._trainer.begin_epoch(1)
        self.losses: list[float] = []
        self.tokens = 0  # of targets

    def __call__(self) -> float:
        """The processor seconds of a step."""
        began = time.process_time()
        batch = next(self._batches)
        log = self._trainer.train_step([batch])
        seconds = time.process_time() - began
        self.losses.append(float(log["loss"]))
        self.tokens += int(batch["ntokens"])
        return seconds


def write_text(folder: Path, shape: Shape, n: int) -> None:
    """Random sentence pairs of some 20 pieces a side, as ``csr prepare`` leaves them."""
    rng = np.random.default_rng(1)
    dictionary = Dictionary()
    for number in range(shape.pieces - 7):
        dictionary.add_symbol(f"▁{number}")
    for symbol in ("[xx]", "[yy]", "<mask>"):
        dictionary.add_symbol(symbol)
    lengths = 2 + rng.poisson(16, n)
    for lang in ("xx", "yy"):
        dictionary.save(str(folder / f"dict.{lang}.txt"))
        builder = MMapIndexedDatasetBuilder(str(folder / f"train.xx-yy.{lang}.bin"), dtype=np.int32)
        for length in lengths + rng.integers(-1, 4, n):
            row = np.minimum(4 + rng.zipf(1.3, length), shape.pieces - 4)
            builder.add_item(torch.tensor([*row.tolist(), dictionary.eos()], dtype=torch.int32))
        builder.finalize(str(folder / f"train.xx-yy.{lang}.idx"))


def measure(shape: Shape, steps: int) -> dict[str, Any]:
    """Steps of both trainings, in turns, after three that are not counted."""
    with tempfile.TemporaryDirectory() as name:
        write_text(Path(name), shape, (steps + 3) * shape.max_tokens // 15)
        theirs, ours = (Training(Path(name), shape, optimizer) for optimizer in ("adam", "csr_adam"))
        pairs = [(theirs(), ours()) for _ in range(steps + 3)][3:]
    slow, fast = (statistics.median(column) for column in zip(*pairs, strict=True))
    apart = max(abs(a - b) / a for a, b in zip(theirs.losses, ours.losses, strict=True))
    return {
        "seconds": {"adam": slow, "csr_adam": fast},
        "target_tokens_a_step": ours.tokens / (steps + 3),
        "speed": statistics.median(a / b for a, b in pairs),
        "largest_difference_of_losses": apart,
    }


def main() -> None:
    """Measure the shapes, print a table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--steps", type=int, default=40, help="of each (default: %(default)s)")
    parser.add_argument("--json", metavar="FILE", help="write the figures here")
    arguments = parser.parse_args()
    logging.disable(logging.INFO)
    torch.set_num_threads(1)
    found = {name: measure(SHAPES[name], arguments.steps) for name in arguments.shapes}
    for name, figures in found.items():
        adam, ours = figures["seconds"].values()
        print(
            f"{name}: adam {adam * 1e3:.0f} ms a step, csr_adam {ours * 1e3:.0f} ms, {figures['speed']:.3f} times as "
            f"fast; losses within {figures['largest_difference_of_losses']:.1e}"
        )
    if arguments.json:
        write_json(arguments.json, {"torch": torch.__version__, "steps": arguments.steps, "shapes": found})


if __name__ == "__main__":
    main()
