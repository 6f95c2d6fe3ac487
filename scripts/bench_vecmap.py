"""Compare csr's VecMap with the published scripts (github.com/artetxem/vecmap) on the same embeddings.

    python scripts/bench_vecmap.py run VECMAP_FOLDER src.vec tgt.vec gold.txt --start identical --seeds 3
    python scripts/bench_vecmap.py step VECMAP_FOLDER --words 20000 --dim 300

``run`` maps the embeddings to the end with both, once per seed, and prints seconds, steps and precision@1 (CSLS
retrieval, gold words that have a vector). ``step`` times single self-learning steps on random vectors, in turn, which
tells the ratio for sizes at which the published scripts take hours. Seconds are of the processor, summed over threads:
set OMP_NUM_THREADS=1 and NUMBA_NUM_THREADS=1, so that no thread waits busily for another.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from csr.induction import vecmap
from csr.induction.dictionaries import read_muse
from csr.induction.embeddings import Embeddings, read_embeddings, write_embeddings
from csr.quality import gold_precision


def published(folder: Path, src: Path, tgt: Path, start: str, seed: int, max_steps: int | None = None) -> list[float]:
    """Run map_embeddings.py, writing ``src.mapped`` and ``tgt.mapped``; return the processor seconds at each step."""
    command = [sys.executable, "map_embeddings.py", f"--{start}", "--seed", str(seed), "-v"]
    paths = [str(path.resolve()) for path in (src, tgt)]
    seconds = []
    with subprocess.Popen(
        [*command, *paths, *(f"{path}.mapped" for path in paths)], cwd=folder, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("ITERATION"):
                seconds.append(processor_seconds(process.pid))
                if len(seconds) == max_steps:
                    process.kill()
    if max_steps is None and process.returncode:
        raise SystemExit(f"the published scripts ended with status {process.returncode}")
    return seconds


def processor_seconds(pid: int | str) -> float:
    """Return the user and system time that a process of Linux has taken so far, over all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run(arguments: argparse.Namespace) -> None:
    """Map to the end with both and print a row per seed."""
    gold = read_muse(arguments.gold)
    warm_up()
    rows = []
    print("seed\tsteps\tseconds\tprecision@1\tpublished steps\tseconds\tprecision@1")
    with tempfile.TemporaryDirectory() as folder:
        copies = [Path(folder) / "src.vec", Path(folder) / "tgt.vec"]
        for path, copy in zip((arguments.src, arguments.tgt), copies, strict=True):
            write_embeddings(read_embeddings(path), copy)
        for seed in range(1, arguments.seeds + 1):
            began = processor_seconds("self")
            mapped = vecmap.map_embeddings(*map(read_embeddings, copies), arguments.start, seed)
            ours = processor_seconds("self") - began, precision(mapped.src, mapped.tgt, gold)
            steps = published(arguments.vecmap, *copies, arguments.start, seed)
            theirs = steps[-1], precision(*(read_embeddings(f"{c}.mapped") for c in copies), gold)
            rows.append((*ours, *theirs))
            cells = seed, mapped.steps, *ours, len(steps), *theirs
            print(*(f"{cell:.4g}" for cell in cells), sep="\t", flush=True)
    ours_s, ours_p, theirs_s, theirs_p = (statistics.mean(column) for column in zip(*rows, strict=True))
    print(f"mean: {theirs_s / ours_s:.2f} times as fast, precision@1 {ours_p:.4f} against {theirs_p:.4f}")


def warm_up() -> None:
    """Compile the loops before any clock runs."""
    side = Embeddings([f"w{i}" for i in range(50)], np.random.default_rng(1).normal(size=(50, 5)).astype(np.float32))
    vecmap.map_embeddings(side, side, "identical")


def precision(src: Embeddings, tgt: Embeddings, gold: vecmap.Lexicon) -> float:
    """Return precision@1 of the CSLS neighbors."""
    return gold_precision(vecmap.induce(src, tgt, start="mapped", n_neighbors=1).forward, gold, (1,))["precision@1"]


def step(arguments: argparse.Namespace) -> None:
    """Time single steps of both on random vectors."""
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        sides = []
        for name in ("src", "tgt"):
            vectors = rng.normal(size=(arguments.words, arguments.dim)).astype(np.float32)
            sides.append(Embeddings([f"w{i}" for i in range(arguments.words)], vectors))
            write_embeddings(sides[-1], Path(folder) / name)
        rows = []
        warm_up()
        for _ in range(arguments.repeats):
            x, z = (vecmap.normalized(side.vectors) for side in sides)
            pairs = vecmap.word_pairs(sides[0].words, sides[1].words, "identical")
            began = processor_seconds("self")
            # A threshold that no step after the first reaches: two steps for each of five keep probabilities.
            n_steps = vecmap.self_learn(x, z, pairs, rng, arguments.words, patience=1, threshold=1.0)[1]
            ours = (processor_seconds("self") - began) / n_steps
            steps = published(arguments.vecmap, Path(folder) / "src", Path(folder) / "tgt", "identical", 1, max_steps=2)
            theirs = steps[1] - steps[0]
            rows.append(theirs / ours)
            print(f"{ours:.2f} s a step, published {theirs:.2f} s: {theirs / ours:.2f} times as fast", flush=True)
    print(f"median: {statistics.median(rows):.2f} times as fast")


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    whole = commands.add_parser("run", help="both to the end")
    whole.add_argument("vecmap", type=Path, help="folder of the published scripts")
    whole.add_argument("src", type=Path, help="source embeddings")
    whole.add_argument("tgt", type=Path, help="target embeddings")
    whole.add_argument("gold", help="dictionary")
    whole.add_argument("--start", choices=("unsupervised", "identical"), default="unsupervised")
    whole.add_argument("--seeds", type=int, default=3)
    whole.set_defaults(run=run)
    single = commands.add_parser("step", help="single steps of both")
    single.add_argument("vecmap", type=Path, help="folder of the published scripts")
    single.add_argument("--words", type=int, default=20_000, help="per side")
    single.add_argument("--dim", type=int, default=300)
    single.add_argument("--repeats", type=int, default=3)
    single.set_defaults(run=step)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
