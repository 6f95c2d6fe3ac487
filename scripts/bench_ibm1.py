"""Lay ``csr lexicon ibm1`` beside fast_align's Model 1: time and memory, tables, alignment error rate.

fast_align (Dyer, Chahuneau and Smith 2013) is not part of this project; give the path of its binary. Its ``-I n``
updates the table n - 1 times and aligns in the last pass, so n iterations here go with ``-I n+1`` there. No diagonal,
no prior.

    bench_ibm1.py growth --peer fast_align --src A.de B.de --tgt A.en B.en
    bench_ibm1.py tables --peer fast_align --src A.de --tgt A.en
    bench_ibm1.py aer --peer fast_align --src A.en --tgt A.fr --gold-src G.en --gold-tgt G.fr --gold-links G.gold
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
import statistics
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import regex
from alignments import error_rate, gold_links, links_of
from bench_common import Usage, arguments_of, csr_command, in_turns, measured, ratio, write_results

from csr.data.sample import write_sample
from csr.files import read_lines, read_parallel
from csr.induction.bitext import read_bitext
from csr.induction.ibm1 import Model1
from csr.text.words import tokenize

SIZES = (50_000, 100_000, 200_000, 400_000)


def main() -> None:
    """Run one comparison and print a table."""
    parser = arguments_of(__doc__)
    parser.add_argument("what", choices=("growth", "tables", "aer"), nargs="?", default="growth")
    parser.add_argument("--peer", type=Path, metavar="FILE", help="the binary; atools lies beside it")
    parser.add_argument("--src", nargs="+", metavar="FILE", help="source sides of the text (default: the sample)")
    parser.add_argument("--tgt", nargs="+", metavar="FILE", help="target sides, in the same order")
    parser.add_argument("--iterations", type=int, default=5, help="updates of the table (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="threads of both tools (default: %(default)s)")
    parser.add_argument("--pairs", type=int, nargs="+", default=SIZES, help="growth: sizes (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="growth: runs of each, in turn (default: %(default)s)")
    parser.add_argument("--gold-src", metavar="FILE", help="aer: tokenised sentences")
    parser.add_argument("--gold-tgt", metavar="FILE", help="aer: tokenised sentences")
    parser.add_argument("--gold-links", metavar="FILE", help="aer: i-j sure and ipj possible links, from 0")
    arguments = parser.parse_args()
    if arguments.what != "growth" and not arguments.peer:
        parser.error("--peer: expected the binary")
    if arguments.small:
        arguments.pairs, arguments.repeats = (20_000,), 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if not arguments.src:
            write_sample(folder / "sample", n_train=8000)
            arguments.src, arguments.tgt = ([str(folder / f"sample/train.{code}")] for code in ("qaa", "qab"))
        {"growth": growth, "tables": tables, "aer": aer}[arguments.what](arguments, folder)


def growth(arguments: argparse.Namespace, folder: Path) -> None:
    """Print seconds and peak memory of both tools, from tokenised text to table, as the text grows."""
    corpus = [(tokenize(a), tokenize(b)) for a, b in _text(arguments)]
    corpus = [pair for pair in corpus if all(pair)]
    print(
        f"{len(corpus):,} pairs of text, taken again from the start where more are asked for; medians of "
        f"{arguments.repeats} runs; {arguments.threads} threads"
    )
    print(
        "pairs, words a side; for each tool seconds by the clock, of the processor, peak MiB; ratios of the first two"
    )
    rows = []
    for n_pairs in (1000, *arguments.pairs):  # the first fills caches, that of the compiled kernels above all
        pairs = list(itertools.islice(itertools.cycle(corpus), n_pairs))
        files = _written(pairs, folder)
        works = {"csr": lambda files=files: _run(_csr(arguments, files), arguments)}
        if arguments.peer:
            works["peer"] = lambda files=files: _run(_fast_align(arguments, files), arguments)
        runs = in_turns(works, arguments.repeats if n_pairs > 1000 else 1)
        if n_pairs == 1000:
            continue
        row: dict[str, Any] = {"pairs": n_pairs, "words": sum(len(a) + len(b) for a, b in pairs) / n_pairs / 2}
        for tool, found in runs.items():
            row[tool] = dict(zip(Usage._fields, np.median(found, axis=0).tolist(), strict=True))
        if arguments.peer:
            for part in ("seconds", "cpu"):
                row[f"ratio_{part}"] = ratio(*([getattr(run, part) for run in runs[tool]] for tool in ("csr", "peer")))
        rows.append(row)
        print(row, flush=True)
    write_results(arguments.json, "ibm1", {"repeats": arguments.repeats, "threads": arguments.threads, "growth": rows})


def tables(arguments: argparse.Namespace, folder: Path) -> None:
    """Print by how much the two tables differ where either says more than 5 %."""
    files = _written([pair for a, b in _text(arguments) if all(pair := (tokenize(a), tokenize(b)))], folder)
    # One thread: fast_align's threads race for its counts. A low threshold: it drops by the square root of the best.
    arguments.threads = 1
    _run([*_fast_align(arguments, files), "-t", "-10000"], arguments)
    model = Model1(read_bitext(files["src"], files["tgt"], tokenized=True))
    model.fit(arguments.iterations)
    ours = {(e, f): p for e, options in model.lexicon(1e-6).entries.items() for f, p in options.items()}
    theirs = {}
    for line in read_lines(files["table"]):
        e, f, log_prob = line.split("\t")
        if e != "<eps>":
            theirs[e, f] = math.exp(float(log_prob))
    large = {pair for table in (ours, theirs) for pair, p in table.items() if p > 0.05}
    gaps = [abs(ours.get(pair, 0.0) - theirs.get(pair, 0.0)) for pair in large]
    print(
        f"{len(large):,} entries above 5 %: {sum(gap > 0.01 for gap in gaps):,} differ by more than 0.01, "
        f"largest difference {max(gaps):.2g}, mean {statistics.mean(gaps):.2g}"
    )


def aer(arguments: argparse.Namespace, folder: Path) -> None:
    """Print the alignment error rate of both tools in both directions and symmetrised."""
    gold = [(a.split(), b.split()) for a, b in read_parallel(arguments.gold_src, arguments.gold_tgt)]
    text = [(_pieces(a), _pieces(b)) for a, b in _text(arguments)]
    pairs = [([w.lower() for w in a], [w.lower() for w in b]) for a, b in gold + text if a and b]
    files = _written(pairs, folder)
    sure, possible = gold_links(arguments.gold_links)
    bitext = read_bitext(files["src"], files["tgt"], tokenized=True)
    print(f"{len(gold)} sentences with gold links, {len(bitext):,} pairs of text in all")
    print("tool         source-target  target-source  grow-diag-final-and")
    ours = []
    for side in (bitext, bitext.swapped()):
        model = Model1(side)
        model.fit(arguments.iterations)
        ours.append(model.alignments())
    ours[1] = [[(j, i) for i, j in links] for links in ours[1]]
    for name, direction in (("f", ours[0]), ("r", ours[1])):
        (folder / f"csr.{name}").write_text("".join(" ".join(f"{i}-{j}" for i, j in s) + "\n" for s in direction))
    for name, flags in (("f", []), ("r", ["-r"])):
        with open(folder / f"fast_align.{name}", "w") as out:
            command = [*_fast_align(arguments, files), *flags]
            subprocess.run(command, stdout=out, stderr=subprocess.DEVNULL, check=True, env=_environment(arguments))
    for tool in ("csr", "fast_align"):
        both = [folder / f"{tool}.f", folder / f"{tool}.r"]
        joined = subprocess.run(
            [arguments.peer.parent / "atools", "-i", both[0], "-j", both[1], "-c", "grow-diag-final-and"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        rates = [
            error_rate(links_of(lines), sure, possible)
            for lines in (*(p.read_text().splitlines() for p in both), joined)
        ]
        print(f"{tool:12}" + "".join(f"{100 * rate:13.1f} %" for rate in rates))


def _pieces(line: str) -> list[str]:
    return regex.findall(r"\w+['’]?|[^\w\s]", line)


def _text(arguments: argparse.Namespace) -> Iterator[tuple[str, str]]:
    for src, tgt in zip(arguments.src, arguments.tgt, strict=True):
        yield from read_parallel(src, tgt)


def _written(pairs: Sequence[tuple[Sequence[str], Sequence[str]]], folder: Path) -> dict[str, Path]:
    """Write the text as each tool wants it, and return the names, those of the outputs included."""
    files = {name: folder / name for name in ("src", "tgt", "both", "lexicon", "table")}
    files["src"].write_text("".join(" ".join(a) + "\n" for a, _ in pairs))
    files["tgt"].write_text("".join(" ".join(b) + "\n" for _, b in pairs))
    files["both"].write_text("".join(f"{' '.join(a)} ||| {' '.join(b)}\n" for a, b in pairs))
    return files


def _csr(arguments: argparse.Namespace, files: dict[str, Path]) -> list[str]:
    options = ["--src", files["src"], "--tgt", files["tgt"], "--out", files["lexicon"], "--tokenized"]
    return csr_command("lexicon", "ibm1", *options, "--iterations", str(arguments.iterations))


def _fast_align(arguments: argparse.Namespace, files: dict[str, Path]) -> list[str]:
    return [
        str(arguments.peer),
        "-i",
        str(files["both"]),
        "-I",
        str(arguments.iterations + 1),
        "-p",
        str(files["table"]),
    ]


def _environment(arguments: argparse.Namespace) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": str(arguments.threads), "NUMBA_NUM_THREADS": str(arguments.threads)}


def _run(command: list[str], arguments: argparse.Namespace) -> Usage:
    threads = str(arguments.threads)
    return measured(command, {"OMP_NUM_THREADS": threads, "NUMBA_NUM_THREADS": threads})


if __name__ == "__main__":
    main()
