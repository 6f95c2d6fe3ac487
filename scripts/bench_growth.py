"""How time and memory grow with the corpus: prepare, lexicons, and the loader of stage one.

    python scripts/bench_growth.py [--src FILE --tgt FILE --languages de en] [--pairs 30000 300000] [--json FILE]

A larger corpus is the text again and again; each time, in every pair one word of each side becomes an invented one, a
pair of words that belong together. There are a million of these, drawn as frequent and rare words are (the logarithm of
the rank is uniform), so that the vocabulary grows with the text. Commands are whole processes, measured once each;
memory is that of the largest process. The loader reads rows of ``csr_restore`` in random order, switched by the
lexicons of IBM Model 1, in one process; opening the data is not in its time.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import random
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench_common import arguments_of, csr_command, measured, peak_mib, write_results

from csr.data.sample import write_sample
from csr.files import read_parallel

INVENTED = 1_000_000  # pairs of words
ROWS = 20_000  # that the loader reads
# Above so many pairs the aligner needs more memory than it was allowed here.
MOST_ALIGNED = 1_000_000


def main() -> None:
    """Measure all sizes, print and write the figures."""
    parser = arguments_of(__doc__)
    parser.add_argument("--src", metavar="FILE", help="source side (default: the sample corpus)")
    parser.add_argument("--tgt", metavar="FILE", help="target side")
    parser.add_argument("--languages", nargs=2, default=("qaa", "qab"), metavar=("SRC", "TGT"))
    parser.add_argument("--pairs", type=int, nargs="+", default=[30_000, 300_000, 3_000_000], help="sizes")
    parser.add_argument("--folder", help="where the texts lie meanwhile (default: that of temporary files)")
    parser.add_argument("--loader", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.loader:
        loader(arguments.loader, *arguments.languages)
        return
    sizes = [1000, 4000] if arguments.small else arguments.pairs
    rows = []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        if not arguments.src:
            write_sample(folder / "sample", n_train=min(sizes))
            arguments.src, arguments.tgt = (str(folder / f"sample/train.{code}") for code in arguments.languages)
        pairs = list(read_parallel(arguments.src, arguments.tgt))
        for size in sizes:
            rows.append(measure(pairs, size, folder, arguments.languages))
            print(json.dumps(rows[-1]), flush=True)
            figures = {"text": "-".join(arguments.languages), "base": len(pairs), "sizes": rows}
            write_results(arguments.json, "growth", figures)  # each size takes ten times as long as the one before


def measure(pairs: list[tuple[str, str]], size: int, folder: Path, languages: tuple[str, str]) -> dict[str, Any]:
    """Processor seconds and memory of each command at one size."""
    files = [str(folder / f"text.{language}") for language in languages]
    words = 0
    with open(files[0], "w", encoding="utf-8") as src, open(files[1], "w", encoding="utf-8") as tgt:
        for a, b in grown(pairs, size):
            src.write(f"{a}\n")
            tgt.write(f"{b}\n")
            words += a.count(" ") + b.count(" ") + 2
    sides = ["--src", files[0], "--tgt", files[1]]
    codes = ["--source-lang", languages[0], "--target-lang", languages[1]]
    texts = [part for code, file in zip(languages, files, strict=True) for part in ("--text", f"{code}={file}")]
    commands = {
        "prepare": ["prepare", *sides, *codes, "--out", folder / "data"],
        "prepare-text": ["prepare-text", *texts, "--out", folder / "texts"],
        "lexicon ibm1": [
            "lexicon",
            "ibm1",
            *sides,
            *codes,
            "--out",
            folder / "lexicon.tsv",
            "--reverse-out",
            folder / "reverse.tsv",
        ],
        "lexicon align": ["lexicon", "align", *sides, *codes, "--out", folder / "aligned.tsv"],
    }
    row: dict[str, Any] = {"pairs": size, "words": words}
    for name, command in commands.items():
        if name == "lexicon align" and size > MOST_ALIGNED:
            continue
        usage = measured(csr_command(*command), folder=folder)
        row[name] = {"seconds": usage.seconds, "cpu": usage.cpu, "mib": usage.mib}
    told = subprocess.run(
        [sys.executable, __file__, "--loader", str(folder), "--languages", *languages],
        stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    row["loader"] = json.loads(told.stdout.splitlines()[-1])
    return row


def grown(pairs: list[tuple[str, str]], size: int) -> Iterator[tuple[str, str]]:
    """Yield so many pairs: the text as it is, then again with other words."""
    draw = random.Random(1)
    for i in range(size):
        pair = pairs[i % len(pairs)]
        if i >= len(pairs):
            word = int(math.exp(draw.random() * math.log(INVENTED)))
            pair = changed(pair[0], spelled(word, "bdfgklmn"), draw), changed(pair[1], spelled(word, "prstvzhj"), draw)
        yield pair


def changed(line: str, word: str, draw: random.Random) -> str:
    """A line with a word of it in place of another."""
    words = line.split(" ")
    words[int(draw.random() * len(words))] = word
    return " ".join(words)


def spelled(number: int, consonants: str) -> str:
    """A word for a number."""
    out = []
    number += 40
    while number:
        number, digit = divmod(number, 40)
        out.append(consonants[digit % 8] + "aeiou"[digit // 8])
    return "".join(out)


def loader(folder: Path, source: str, target: str) -> None:
    """Print what rows of stage one take, as JSON; in a process of its own, for its memory."""
    import numpy as np
    from bench_switching import configured, task_arguments

    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    options = ["--lexicon", str(folder / "lexicon.tsv"), "--reverse-lexicon", str(folder / "reverse.tsv")]
    options += ["--sentencepiece-model", str(folder / "data/spm.model")]
    command = task_arguments(folder / "data/bin", "csr_restore", *options)
    command[command.index("--source-lang") + 1], command[command.index("--target-lang") + 1] = source, target
    began = time.process_time()
    _, task = configured(command)
    task.load_dataset("train")
    dataset = task.datasets["train"]
    dataset[0]
    opened = time.process_time()
    order = np.random.default_rng(1).integers(0, len(dataset), ROWS)
    for i in order:
        dataset[int(i)]
    took = time.process_time() - opened
    print(
        json.dumps({"rows": len(dataset), "opening": opened - began, "us_a_row": 1e6 * took / ROWS, "mib": peak_mib()})
    )


if __name__ == "__main__":
    main()
