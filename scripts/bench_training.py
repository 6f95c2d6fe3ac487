"""A training step as experiments make it beside fairseq's own: processor time, losses on the same batches.

    python scripts/bench_training.py [--shapes quickstart multi30k encoder] [--steps 10] [--small] [--json FILE]

*fairseq*: in fp32, with its ``adam``, modules and loss. *ours*: in the numbers that ``precision: auto`` takes here,
with ``csr_adam`` and what our tasks put in the place of modules and loss; *ours in fp32*: the same without bf16. All
start alike and see the same random batches, in turns; all of a step counts, from the batch to the new weights, with
one thread. Ratios are medians over the steps. Losses differ by rounding and the draws of dropout. What of two further
steps is products of matrices, which no way of writing a step makes faster, torch's profiler says.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import torch
from bench_common import arguments_of, in_turns, ratio, write_results
from fairseq.data import Dictionary
from fairseq.data.indexed_dataset import MMapIndexedDatasetBuilder

sys.path.insert(0, str(Path(__file__).parents[1]))

from csr.running import precision
from csr.running.fairseq import MEMORY

_PLUGIN = Path(__file__).parents[1] / "fairseq_plugins"


class Shape(NamedTuple):
    """A model and its batches; one without a decoder predicts masked pieces."""

    layers: int
    dim: int
    ffn: int
    heads: int
    pieces: int
    max_tokens: int
    encoder: bool = False


SHAPES = {
    "quickstart": Shape(2, 64, 256, 4, 2000, 1000),
    "multi30k": Shape(3, 256, 1024, 4, 8000, 2048),
    "encoder": Shape(12, 384, 1536, 12, 76000, 2048, encoder=True),
}


class Way(NamedTuple):
    """A way to train."""

    optimizer: str
    numbers: str
    fairseq: bool = False  # its modules and loss


WAYS = {
    "fairseq": Way("adam", "fp32", fairseq=True),
    "ours": Way("csr_adam", "auto"),
    "ours in fp32": Way("csr_adam", "fp32"),
}


class Training:
    """A training that goes on by a step at each call."""

    def __init__(self, folder: Path, shape: Shape, way: Way, card: bool = False, more: Sequence[str] = ()) -> None:
        from fairseq import options
        from fairseq.dataclass.utils import convert_namespace_to_omegaconf
        from fairseq.tasks import setup_task
        from fairseq.trainer import Trainer
        from fairseq.utils import import_user_module

        import_user_module(argparse.Namespace(user_dir=str(_PLUGIN)))
        command = [str(folder), "--user-dir", str(_PLUGIN), *_model(shape)]
        command += ["--optimizer", way.optimizer, "--adam-betas", "(0.9, 0.98)", "--adam-eps", "1e-6", "--lr", "3e-4"]
        command += ["--max-tokens", str(shape.max_tokens), "--seed", "1", "--num-workers", "2" if card else "0"]
        command += ["--dropout", "0.1", "--attention-dropout", "0.1", "--no-progress-bar", "--log-format", "none"]
        command += precision.with_precision(precision.flags(precision.resolved(way.numbers)), "fp32")
        command += [*([] if card else ["--cpu"]), *more]
        config = convert_namespace_to_omegaconf(options.parse_args_and_arch(options.get_training_parser(), command))
        task = setup_task(config.task)
        task.load_dataset("train")
        torch.manual_seed(1)
        with fairseqs() if way.fairseq else contextlib.nullcontext():
            model = task.build_model(config.model)
            self.trainer = Trainer(config, task, model, task.build_criterion(config.criterion))
        self._plain = way.fairseq
        self.batches = self.trainer.get_train_iterator(1, load_dataset=False).next_epoch_itr(shuffle=True)
        self.trainer.begin_epoch(1)
        self.losses: list[float] = []
        self.tokens = 0

    def __call__(self) -> float:
        """The processor seconds of a step."""
        with fairseqs() if self._plain else contextlib.nullcontext():
            began = time.process_time()
            batch = next(self.batches)
            log = self.trainer.train_step([batch])
            seconds = time.process_time() - began
        self.losses.append(float(log["loss"]))
        self.tokens += int(batch["ntokens"])
        return seconds


_PRODUCTS = {f"aten::{name}" for name in ("mm", "addmm", "bmm", "baddbmm")}


def share_of_products(step: Callable[[], float]) -> float:
    """The share of two steps that is products of matrices."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        step()
        step()
    times = {event.key: event.self_cpu_time_total for event in profile.key_averages()}
    return sum(time for name, time in times.items() if name in _PRODUCTS) / sum(times.values())


@contextlib.contextmanager
def fairseqs() -> Iterator[None]:
    """Leave models and losses of our tasks as fairseq makes them."""
    from fairseq.criterions import FairseqCriterion, build_criterion

    from fairseq_plugins import masked_lm, translation

    def criterion(task: Any, config: Any, from_checkpoint: bool = False) -> FairseqCriterion:
        return build_criterion(config, task)

    def loss(scores: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, None]:
        return torch.nn.functional.cross_entropy(scores.float(), target, reduction="sum"), None

    with (
        mock.patch.object(translation, "lighten"),
        mock.patch.object(masked_lm, "lighten"),
        mock.patch.object(translation.CsrTranslationTask, "build_criterion", criterion),
        mock.patch.object(masked_lm, "smoothed_losses", loss),
    ):
        yield


_ENCODER = {"task": "csr_masked_lm", "criterion": "csr_masked_lm", "languages": "xx", "arch": "csr_bert_base"}
_PAIRS = {
    **{"task": "csr_translation", "source_lang": "xx", "target_lang": "yy", "dataset_impl": "mmap"},
    **{"criterion": "label_smoothed_cross_entropy", "label_smoothing": "0.1", "arch": "mbart_large"},
    **dict.fromkeys(("encoder_normalize_before", "decoder_normalize_before", "layernorm_embedding"), ""),
    "share_all_embeddings": "",
}


def _model(shape: Shape) -> list[str]:
    """The flags of task, model and loss."""
    sides = ("encoder",) if shape.encoder else ("encoder", "decoder")
    found = []
    for side in sides:
        found += [f"--{side}-layers", str(shape.layers), f"--{side}-embed-dim", str(shape.dim)]
        found += [f"--{side}-ffn-embed-dim", str(shape.ffn), f"--{side}-attention-heads", str(shape.heads)]
    for option, value in (_ENCODER if shape.encoder else _PAIRS).items():
        found += [f"--{option.replace('_', '-')}", *([value] if value else [])]
    return found


def write_text(folder: Path, shape: Shape, n: int) -> None:
    """Random sentences of some 20 pieces, for a model with a decoder in pairs, as our commands leave them."""
    rng = np.random.default_rng(1)
    dictionary = Dictionary()
    special = ("<mask>",) if shape.encoder else ("[xx]", "[yy]", "<mask>")
    for number in range(shape.pieces - 4 - len(special)):
        dictionary.add_symbol(f"w{number}")
    # Those of the task come last; the dictionary of an encoder has none of its own.
    for symbol in () if shape.encoder else special:
        dictionary.add_symbol(symbol)
    lengths = 2 + rng.poisson(16, n)
    (folder / "xx").mkdir()
    dictionary.save(str(folder / "dict.txt"))
    for lang in ("xx",) if shape.encoder else ("xx", "yy"):
        prefix = folder / ("xx/train" if shape.encoder else f"train.xx-yy.{lang}")
        dictionary.save(str(folder / f"dict.{lang}.txt"))
        builder = MMapIndexedDatasetBuilder(f"{prefix}.bin", dtype=np.int32)
        for length in lengths + rng.integers(-1, 4, n):
            row = np.minimum(4 + rng.zipf(1.3, length), shape.pieces - 4)
            builder.add_item(torch.tensor([*row.tolist(), dictionary.eos()], dtype=torch.int32))
        builder.finalize(f"{prefix}.idx")


def measure(shape: Shape, steps: int) -> dict[str, Any]:
    """Steps of each way, in turns, after two that are not counted."""
    with tempfile.TemporaryDirectory() as name:
        write_text(Path(name), shape, (steps + 6) * shape.max_tokens // 14)
        trainings = {way: Training(Path(name), shape, WAYS[way]) for way in WAYS}
        seconds = {way: found[2:] for way, found in in_turns(trainings, steps + 2).items()}
        products = {way: share_of_products(training) for way, training in trainings.items()}
    theirs = trainings["fairseq"]
    return {
        way: {
            "seconds": statistics.median(seconds[way]),
            "tokens_a_second": training.tokens / len(training.losses) / statistics.median(seconds[way]),
            "ratio": ratio(seconds[way], seconds["fairseq"]),
            "products": products[way],
            "numbers": precision.resolved(WAYS[way].numbers),
            "largest_difference_of_losses": max(
                abs(a - b) / a for a, b in zip(theirs.losses, training.losses, strict=True)
            ),
        }
        for way, training in trainings.items()
    }


def main() -> None:
    """Measure the shapes, print a table, write the figures."""
    parser = arguments_of(__doc__)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--steps", type=int, default=10, help="of each (default: %(default)s)")
    arguments = parser.parse_args()
    if not MEMORY.items() <= os.environ.items():  # as fairseq-train is started
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **MEMORY})
    shapes, steps = (["quickstart"], 6) if arguments.small else (arguments.shapes, arguments.steps)
    logging.disable(logging.INFO)
    torch.set_num_threads(1)
    found = {name: measure(SHAPES[name], max(2, steps // (5 if SHAPES[name].encoder else 1))) for name in shapes}
    for name, ways in found.items():
        for way, figures in ways.items():
            print(
                f"{name}, {way} ({figures['numbers']}): {figures['seconds'] * 1e3:.0f} ms a step, "
                f"{figures['tokens_a_second']:.0f} tokens/s, {figures['ratio']:.2f} times as fast, losses within "
                f"{figures['largest_difference_of_losses']:.1e}"
            )
    write_results(arguments.json, "training", found)


if __name__ == "__main__":
    main()
