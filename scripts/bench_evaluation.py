"""Time BLEU with bootstrap samples against the sacrebleu command, and sentence vectors in batches against one by one.

BLEU: 1,000 bootstrap samples on the same 3,000 sentences, both run as a user would, one process each, in turn. Vectors:
a model of the Multi30k configuration's size with random weights on the CPU, with all cores, as a user runs it. For BLEU
the medians of processor time count: both commands are single-threaded; for vectors the clock.
"""

from __future__ import annotations

import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench_common import arguments_of, in_turns, measured, ratio, write_results

SENTENCES = 3000
SAMPLES = 1000
# The score in what csr prints, and in sacrebleu's JSON.
_SCORE = re.compile(r'(?:"score":|bleu\b\D*?)\s*(\d+\.\d+)', re.IGNORECASE)


def main() -> None:
    """Print both times and their ratio for each."""
    parser = arguments_of(__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="runs of each (default: %(default)s)")
    parser.add_argument("--sentences", type=int, default=20_000, help="to read in batches (default: %(default)s)")
    parser.add_argument("--single", type=int, default=500, help="to read one by one (default: %(default)s)")
    parser.add_argument("--only", choices=("bleu", "distance"), help="(default: both)")
    arguments = parser.parse_args()
    if arguments.small:
        arguments.rounds, arguments.sentences, arguments.single = 1, 3000, 100
    figures: dict[str, Any] = {}
    if arguments.only != "distance":
        figures["bleu"] = _bleu(arguments.rounds)
    if arguments.only != "bleu":
        figures["vectors"] = _distance(arguments.sentences, arguments.single)
    write_results(arguments.json, "evaluation", figures)


def _bleu(rounds: int) -> dict[str, Any]:
    """What csr and sacrebleu take and find."""
    with tempfile.TemporaryDirectory() as folder:
        hyp, ref = Path(folder, "hyp"), Path(folder, "ref")
        _write(hyp, ref)
        commands = {
            "csr": ["csr", "evaluate", "bleu", "--hyp", hyp, "--ref", ref, "--samples", str(SAMPLES)],
            "sacrebleu": ["sacrebleu", ref, "-i", hyp, "--width", "2", "--confidence", "--confidence-n", str(SAMPLES)],
        }
        programs = {
            name: [Path(sys.executable).with_name(command[0]), *command[1:]] for name, command in commands.items()
        }
        single = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        works = {name: lambda command=command: measured(command, single).cpu for name, command in programs.items()}
        found = in_turns(works, rounds)
        told = {
            name: subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            for name, command in programs.items()
        }
    scores = {name: float(_SCORE.search(text)[1]) for name, text in told.items()}  # type: ignore[index]
    figures = {
        "sentences": SENTENCES,
        "samples": SAMPLES,
        "rounds": rounds,
        "cpu": {name: statistics.median(seconds) for name, seconds in found.items()},
        "ratio": ratio(found["csr"], found["sacrebleu"]),
        "bleu": scores,
    }
    print(f"BLEU, {SENTENCES} sentences, {SAMPLES} bootstrap samples: {figures}")
    return figures


def _distance(sentences: int, single: int) -> dict[str, Any]:
    """What a sentence takes in batches and one by one."""
    import numpy as np
    import torch
    from fairseq import options
    from fairseq.data import Dictionary
    from fairseq.dataclass.utils import convert_namespace_to_omegaconf

    from csr.analysis.features import DEFAULT
    from fairseq_plugins.datasets import Side
    from fairseq_plugins.models import Model
    from fairseq_plugins.representations import vectors
    from fairseq_plugins.translation import CsrTranslationTask

    layers, dim, pieces = 2, 128, 4000
    command = ["data", "--task", "csr_translation", "--source-lang", "xx", "--target-lang", "yy", "--cpu"]
    command += ["--arch", "mbart_large", "--layernorm-embedding", "--share-all-embeddings"]
    for side in ("encoder", "decoder"):
        command += [f"--{side}-layers", str(layers), f"--{side}-embed-dim", str(dim), f"--{side}-normalize-before"]
        command += [f"--{side}-ffn-embed-dim", str(4 * dim), f"--{side}-attention-heads", "4"]
    config = convert_namespace_to_omegaconf(options.parse_args_and_arch(options.get_training_parser(), command))
    dictionary = Dictionary()
    for i in range(pieces):
        dictionary.add_symbol(f"p{i}")
    task = CsrTranslationTask(config.task, dictionary, dictionary)
    network = task.build_model(config.model).eval()
    model = Model(network, task, torch.device("cpu"), "csr_translation", 0, None)

    rng = np.random.default_rng(1)
    lengths = np.clip(rng.lognormal(2.8, 0.4, sentences).astype(int), 3, 80)  # about 17 pieces, as captions have
    rows = [torch.from_numpy(rng.integers(4, pieces, length)) for length in lengths]
    language = task.language_id("xx")
    started = time.perf_counter()
    together = vectors(model, Side(rows, lengths, language), sentences=sentences)[DEFAULT]
    batched = (time.perf_counter() - started) / sentences
    started = time.perf_counter()
    alone = [vectors(model, Side([rows[i]], lengths[i : i + 1], language))[DEFAULT] for i in range(single)]
    one_by_one = (time.perf_counter() - started) / single
    difference = float(np.abs(together[:single] - np.concatenate(alone)).max())
    size = f"{layers}+{layers} layers, {dim} dimensions, {torch.get_num_threads()} threads"
    print(f"sentence vectors of {sentences} sentences, {size}")
    print(
        f"in batches {1e3 * batched:.2f} ms, one by one {1e3 * one_by_one:.2f} ms a sentence, "
        f"{one_by_one / batched:.1f} times faster, largest difference {difference:.1e}"
    )
    return {
        "sentences": sentences,
        "model": size,
        "batched_ms": 1e3 * batched,
        "single_ms": 1e3 * one_by_one,
        "ratio": one_by_one / batched,
        "largest_difference": difference,
    }


def _write(hyp: Path, ref: Path) -> None:
    """Write sentences of 20 words from a vocabulary of 5,000 and outputs with every eighth word wrong."""
    rng = random.Random(1)
    vocabulary = [f"w{i}" for i in range(5000)]
    with open(hyp, "w") as outputs, open(ref, "w") as references:
        for _ in range(SENTENCES):
            words = rng.choices(vocabulary, k=20)
            references.write(" ".join(words) + ".\n")
            outputs.write(" ".join(rng.choice(vocabulary) if rng.random() < 1 / 8 else word for word in words) + ".\n")


if __name__ == "__main__":
    main()
