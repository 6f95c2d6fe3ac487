"""Compare csr's VecMap with the published scripts (github.com/artetxem/vecmap), and tell how its cost grows.

    python scripts/bench_vecmap.py [step] --peer VECMAP_FOLDER --words 20000
    python scripts/bench_vecmap.py run --peer VECMAP_FOLDER src.vec tgt.vec gold.txt --vocabulary 5000 --seeds 1 2 3
    python scripts/bench_vecmap.py growth --words 20000 50000

``step`` times single steps of self-learning on random vectors, in turn, by the clock: sizes at which the published
scripts take hours to the end. ``run`` maps embeddings to the end with both, from files to files, and judges both by
CSLS retrieval over the gold words that have a vector; its seconds are of the processor, so that other work on the
machine does not lengthen them. ``growth`` times a step and the retrieval that follows, each size in a process of its
own. Both sides take as many threads as OMP_NUM_THREADS and NUMBA_NUM_THREADS say.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numba
import numpy as np
from bench_common import arguments_of, in_turns, peak_mib, ratio, write_results

from csr.induction import vecmap
from csr.induction.dictionaries import read_muse
from csr.induction.embeddings import Embeddings, read_embeddings, write_embeddings
from csr.induction.quality import gold_precision
from csr.induction.retrieval import neighbors, similarity
from csr.lexicon import Lexicon

ITERATION = re.compile(r"ITERATION \d+ \((.*)s\)")


def random_sides(n_words: int, dim: int) -> tuple[Embeddings, Embeddings]:
    """Two sides of vectors without structure: what a step costs hardly depends on it."""
    words = [f"w{i}" for i in range(n_words)]
    src, tgt = np.random.default_rng(1).normal(size=(2, n_words, dim)).astype(np.float32)
    return Embeddings(words, src), Embeddings(words, tgt)


def published(
    folder: Path, sides: Sequence[Path], options: Sequence[str], max_steps: int | None = None
) -> tuple[list[float], resource.struct_rusage]:
    """Run map_embeddings.py, writing ``*.mapped`` beside the sides; return the seconds of each step, what it used."""
    paths = [str(path.resolve()) for path in sides]
    command = [sys.executable, "map_embeddings.py", *options, "-v", *paths, *(f"{path}.mapped" for path in paths)]
    seconds = []
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if found := ITERATION.match(line):
            seconds.append(float(found[1]))
            if len(seconds) == max_steps:
                process.kill()
    _, status, usage = os.wait4(process.pid, 0)
    if max_steps is None and status:
        raise SystemExit(f"the published scripts ended with status {status}")
    return seconds, usage


def own_steps(src: Embeddings, tgt: Embeddings, keep: float, n_steps: int) -> list[float]:
    """The seconds of each step of self-learning."""
    x, z = vecmap.normalized(src.vectors), vecmap.normalized(tgt.vectors)
    pairs = vecmap.word_pairs(src.words, tgt.words, "identical")
    similarities = similarity(len(x), len(z))
    seconds = []
    for seed in range(n_steps):
        began = time.perf_counter()
        pairs, _ = vecmap.learn_step(x, z, pairs, similarities, keep, seed)
        seconds.append(time.perf_counter() - began)
    return seconds


def step(arguments: argparse.Namespace) -> None:
    """Time single steps of both, in turns, and print medians; the first step of a process only warms up."""
    sides = random_sides(arguments.words, arguments.dim)
    own_steps(*random_sides(50, 5), keep=0.5, n_steps=1)  # compiles
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / "src", Path(folder) / "tgt"]
        for side, path in zip(sides, paths, strict=True):
            write_embeddings(side, path)
        for keep in arguments.keep:
            works: dict[str, Callable[[], tuple[float, float]]] = {
                "csr": lambda keep=keep: (statistics.median(own_steps(*sides, keep, n_steps=4)[1:]), peak_mib())
            }
            if arguments.peer:
                options = ["--identical", "--stochastic_initial", str(keep)]
                works["peer"] = lambda options=options: one_step(arguments.peer, paths, options)
            found = in_turns(works, arguments.repeats)
            row: dict[str, Any] = {"keep": keep, "words": arguments.words, "dim": arguments.dim}
            for who, runs in found.items():
                row[who] = {
                    "seconds": statistics.median(seconds for seconds, _ in runs),
                    "mib": max(m for _, m in runs),
                }
            if arguments.peer:
                row["ratio"] = ratio(*([seconds for seconds, _ in found[who]] for who in ("csr", "peer")))
            rows.append(row)
            print(row, flush=True)
    threads = {"csr": numba.get_num_threads(), "peer": int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1))}
    write_results(arguments.json, "vecmap", {"repeats": arguments.repeats, "threads": threads, "steps": rows})


def one_step(folder: Path, paths: Sequence[Path], options: Sequence[str]) -> tuple[float, float]:
    """Seconds of the second step of the published scripts, and peak MiB."""
    steps, usage = published(folder, paths, options, max_steps=2)
    return steps[1], usage.ru_maxrss / 1024


def run(arguments: argparse.Namespace) -> None:
    """Map to the end with both and print a row per seed."""
    gold = read_muse(arguments.gold)
    vecmap.map_embeddings(*random_sides(50, 5), "identical")  # compiles
    rows = []
    print("seed\tby\tsteps\tprocessor s\tcoverage\tprecision@1")
    with tempfile.TemporaryDirectory() as folder:
        copies = [Path(folder) / "src.vec", Path(folder) / "tgt.vec"]
        mapped = [Path(f"{copy}.mapped") for copy in copies]
        for path, copy in zip((arguments.src, arguments.tgt), copies, strict=True):
            write_embeddings(read_embeddings(path), copy)
        for seed in arguments.seeds:
            began = time.process_time()
            src, tgt = map(read_embeddings, copies)
            found = vecmap.map_embeddings(src, tgt, arguments.start, seed, arguments.vocabulary)
            for side, path in ((found.src, mapped[0]), (found.tgt, mapped[1])):
                write_embeddings(side, path)
            ours = time.process_time() - began, *judged(mapped, gold)
            print(row(seed, "csr", found.steps, *ours), flush=True)
            if arguments.only_own:
                continue
            options = [f"--{arguments.start}", "--seed", str(seed), "--vocabulary_cutoff", str(arguments.vocabulary)]
            steps, usage = published(arguments.peer, copies, options)
            theirs = usage.ru_utime + usage.ru_stime, *judged(mapped, gold)
            print(row(seed, "published", len(steps), *theirs), flush=True)
            rows.append((theirs[0] / ours[0], ours[2], theirs[2]))
    if rows:
        ratio, ours_p, theirs_p = (statistics.mean(column) for column in zip(*rows, strict=True))
        print(f"mean: {ratio:.2f} times as fast, precision@1 {ours_p:.4f} against {theirs_p:.4f}")


def judged(mapped: Sequence[Path], gold: Lexicon) -> tuple[float, float]:
    """Coverage and precision@1 of the CSLS neighbors."""
    src, tgt = map(read_embeddings, mapped)
    lexicon = vecmap.induce(src, tgt, start="mapped", n_neighbors=1).forward
    found = gold_precision(lexicon, gold, (1,))
    return found["coverage"], found["precision@1"]


def row(seed: int, by: str, n_steps: int, seconds: float, coverage: float, precision: float) -> str:
    """A line of the table."""
    return f"{seed}\t{by}\t{n_steps}\t{seconds:.1f}\t{coverage:.4f}\t{precision:.4f}"


def growth(arguments: argparse.Namespace) -> None:
    """Print a row per size; each is measured by this script in a process of its own."""
    print("words a side\ts a step\ts retrieval\tpeak MiB", flush=True)
    for n_words in arguments.words:
        command = [sys.executable, __file__, "size", str(n_words), "--dim", str(arguments.dim)]
        subprocess.run([*command, *(["--rows", str(arguments.rows)] if arguments.rows else [])], check=True)


def size(arguments: argparse.Namespace) -> None:
    """Measure one size: a step at keep 0.1, and retrieval of the ten nearest in both directions."""
    src, tgt = random_sides(arguments.words, arguments.dim)
    own_steps(*random_sides(50, 5), keep=0.5, n_steps=1)  # compiles
    seconds = np.nan if arguments.rows else own_steps(src, tgt, keep=0.1, n_steps=2)[1]
    began = time.perf_counter()
    neighbors(src.vectors[: arguments.rows], tgt.vectors, 10)
    retrieval = time.perf_counter() - began
    print(f"{arguments.words:,}\t{seconds:.1f}\t{retrieval:.1f}\t{peak_mib():,.0f}")


def main() -> None:
    """Parse the command line."""
    if len(sys.argv) < 2 or (sys.argv[1].startswith("--") and sys.argv[1] not in ("-h", "--help")):
        sys.argv.insert(1, "step")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    single = commands.add_parser(
        "step", help="single steps of both (default)", parents=[arguments_of(None)], add_help=False
    )
    single.add_argument("--peer", type=Path, metavar="FOLDER", help="the published scripts")
    single.add_argument("--words", type=int, default=20_000, help="per side")
    single.add_argument("--dim", type=int, default=300)
    single.add_argument("--keep", type=float, nargs="+", default=[0.1, 1.0], help="keep probabilities")
    single.add_argument("--repeats", type=int, default=3)
    single.set_defaults(run=step)
    whole = commands.add_parser("run", help="both to the end")
    whole.add_argument("--peer", type=Path, required=True, metavar="FOLDER", help="the published scripts")
    whole.add_argument("src", type=Path, help="source embeddings")
    whole.add_argument("tgt", type=Path, help="target embeddings")
    whole.add_argument("gold", help="dictionary")
    whole.add_argument("--start", choices=("unsupervised", "identical"), default="unsupervised")
    whole.add_argument("--vocabulary", type=int, default=20_000, help="most frequent words per side that take part")
    whole.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    whole.add_argument("--only-own", action="store_true", help="leave the published scripts out")
    whole.set_defaults(run=run)
    sizes = commands.add_parser("growth", help="time and memory by size")
    sizes.add_argument("--words", type=int, nargs="+", default=[10_000, 20_000, 50_000], help="per side")
    sizes.add_argument("--dim", type=int, default=300)
    sizes.add_argument("--rows", type=int, help="no step, and retrieval between this many source words and all targets")
    sizes.set_defaults(run=growth)
    one = commands.add_parser("size", help="one row of growth")
    one.add_argument("words", type=int)
    one.add_argument("--dim", type=int, default=300)
    one.add_argument("--rows", type=int)
    one.set_defaults(run=size)
    arguments = parser.parse_args()
    if getattr(arguments, "small", False):
        arguments.words, arguments.repeats = 3000, 1
    arguments.run(arguments)


if __name__ == "__main__":
    main()
