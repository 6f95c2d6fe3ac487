"""Beam search by CTranslate2 beside fairseq's: time and outputs, of a run's model and of a larger one.

    python scripts/bench_decoding.py [RUN] [--arm csr] [--sentences 1000] [--repeat 3] [--small] [--json FILE]

*search*: both search the same batches of the run's test set in turns, with one thread and with two, by the clock;
reading the model into CTranslate2 counts. *step*: the whole process, ``csr generate`` as ``csr run`` starts it and the
fairseq-generate whose place it takes, with one thread, processor seconds. *random*: a model of mBART's layers whose
weights are random (6 + 6 layers of 512, 32,000 pieces; with --small 2 + 2 of 64), which writes as much as it may, 25
pieces. Without RUN that alone is measured. Ratios are medians.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from bench_common import arguments_of, csr_command, measured, paired, write_results

sys.path.insert(0, str(Path(__file__).parents[1]))

from csr.evaluation.translation import score
from csr.experiments.kinds import writing_kind_of
from csr.experiments.settings import Backbone
from csr.experiments.trained import Trained, trained
from csr.files import read_lines
from csr.running.fairseq import MEMORY
from fairseq_plugins import ctranslate, outputs
from fairseq_plugins.datasets import Side
from fairseq_plugins.models import Model, read_model

THREADS = (1, 2)
WRITTEN = 25  # pieces of an output of the random model


@dataclass(frozen=True)
class Random(Model):
    """A model with random weights, for lines that are ids."""

    def text_side(self, lines: Sequence[str], language: str, pieces: object) -> Side:
        """The ids of the lines."""
        rows = [torch.tensor([*map(int, line.split()), self.task.symbols.eos]) for line in lines]
        return Side(rows, np.array(list(map(len, rows))), self.task.language_id(language))


def random_model(sizes: Backbone, pieces: int) -> Random:
    """A model of the layers of mBART-cc25 and its task."""
    from fairseq import options
    from fairseq.dataclass.utils import convert_namespace_to_omegaconf
    from fairseq.tasks import setup_task

    from csr.experiments.commands import architecture

    with tempfile.TemporaryDirectory() as folder:
        for lang in ("xx", "yy"):
            Path(folder, f"dict.{lang}.txt").write_text("".join(f"▁{i} 1\n" for i in range(pieces)))
        command = [folder, "--task", "csr_translation", "--source-lang", "xx", "--target-lang", "yy"]
        arguments = options.parse_args_and_arch(options.get_training_parser(), [*command, *architecture(sizes)])
        config = convert_namespace_to_omegaconf(arguments)
        task = setup_task(config.task)
    torch.manual_seed(1)
    model = task.build_model(config.model).eval()
    return Random(model, task, torch.device("cpu"), "csr_translation", 0, None)


def search(
    model: Model,
    lines: Sequence[str],
    language: str,
    pieces: Any,
    beam: int,
    repeat: int,
    threads: int,
    longest: int | None = None,
) -> tuple[dict[str, Any], list[list[str]]]:
    """Seconds of both by the clock and the share of equal outputs; and what CTranslate2 and fairseq write."""
    found: dict[bool, list[str]] = {}

    def seconds(fast: bool) -> float:
        ctranslate.beam_of.cache_clear()
        start = time.perf_counter()
        with mock.patch.object(ctranslate, "usable", return_value=fast):
            found[fast] = outputs.translate(model, lines, language, pieces, beam, longest)
        return time.perf_counter() - start

    torch.set_num_threads(threads)
    ours, theirs, ratio = paired(lambda: seconds(True), lambda: seconds(False), repeat)
    torch.set_num_threads(1)
    equal = statistics.fmean(a == b for a, b in zip(found[True], found[False], strict=True))
    figures = {
        "threads": threads,
        "sentences": len(lines),
        "beam": beam,
        "seconds_ctranslate2": ours,
        "seconds_fairseq": theirs,
    }
    return {**figures, "ratio": ratio, "equal": equal}, [found[True], found[False]]


def of_run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Search alone, and the whole step, with the model of a run."""
    found = trained(arguments.run, ["translation"], arguments.arm, arguments.seed)
    model = read_model(found.checkpoint, found.data, found.pieces, device="cpu")
    if not ctranslate.usable(model):
        raise SystemExit("CTranslate2 is not installed, or has not the layers of this model")
    data, beam = found.config.data, found.config.generate.beam
    src, ref = (
        list(read_lines(arguments.run / f"data/text/test.{lang}"))[: arguments.sentences]
        for lang in (data.source_lang, data.target_lang)
    )
    made: dict[str, Any] = {}
    for threads in THREADS:
        figures, texts = search(model, src, data.source_lang, found.pieces, beam, arguments.repeat, threads)
        figures["bleu"] = [score("bleu", lines, ref, data.target_lang).value for lines in texts]
        made[f"search {threads}"] = figures
    return made | {"step": whole_step(found, arguments.repeat)}


def whole_step(found: Trained, repeat: int) -> dict[str, Any]:
    """Processor seconds of ``csr generate`` and of fairseq-generate, in a copy of the run of links."""
    with tempfile.TemporaryDirectory() as name:
        folder = found.checkpoint.parent.relative_to(found.run)
        Path(name, folder).mkdir(parents=True)
        for file in ("config.yaml", "data", folder / "model.pt"):
            Path(name, file).symlink_to((found.run / file).resolve())
        theirs = writing_kind_of(found.config).generate_command(found.config, found.arm, found.seed, Path(name))
        commands = (
            csr_command("generate", name, "--arm", found.arm, "--seed", str(found.seed)),
            [sys.executable, "-m", "fairseq_cli.generate", *theirs[1:]],
        )
        environment = MEMORY | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        fast, slow, ratio = paired(*(lambda c=c: measured(c, environment, name).cpu for c in commands), repeat)
    return {"threads": 1, "seconds_csr_generate": fast, "seconds_fairseq_generate": slow, "ratio": ratio}


def main() -> None:
    """Print and write what both take and find."""
    parser = arguments_of(__doc__)
    add = parser.add_argument
    add("run", type=Path, nargs="?")
    add("--arm")
    add("--seed", type=int)
    add("--sentences", type=int, default=1000)
    add("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    small = Backbone(layers=2, dim=64, ffn=256, heads=4), 2000, 100
    large = Backbone(layers=6, dim=512, ffn=2048, heads=8), 32000, 60
    sizes, pieces, n = small if arguments.small else large
    model, draw = random_model(sizes, pieces), np.random.default_rng(1)
    lines = [" ".join(map(str, draw.integers(4, pieces, 15 + i % 10))) for i in range(n)]
    shape = f"{sizes.layers} + {sizes.layers} layers of {sizes.dim}, {pieces:,} pieces"
    found: dict[str, Any] = {}
    for threads in THREADS:
        figures = search(model, lines, "xx", None, 5, arguments.repeat, threads, WRITTEN)[0]
        found[f"random {threads}"] = {"model": shape, **figures}
    if arguments.run:
        found |= of_run(arguments)
    for name, figures in found.items():
        print(f"{name}: {figures}")
    write_results(arguments.json, "decoding", found)


if __name__ == "__main__":
    main()
