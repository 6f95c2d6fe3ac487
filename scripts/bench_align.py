"""Lay ``csr lexicon align`` beside eflomal: alignment error rate, processor time and peak memory on the same text.

    bench_align.py --small [--peer VENV/bin/eflomal-align]
    bench_align.py --src multi30k/train.en.gz ntrex/test.en.gz xnli/dev.en.tsv.gz --tgt ... --gold align-en-fr/dev \\
        --languages en fr --peer VENV/bin/eflomal-align --runs 3 --json align.json

The gold standard's own sentences come first in the training text of both tools. Of a file of tab-separated values the
first two columns are taken, as sentences of their own. Text is cut at punctuation and lower-cased. Both tools read
files, train both directions and write links; eflomal (a package of that name; GPL, not part of this project) leaves
the joining of directions to others: it is done here. Its Gibbs sampling has no seed, so its figures differ by run.
Processor time is user and system time, all threads.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import regex
from alignments import Links, error_rate, gold_links, links_of
from bench_common import arguments_of, csr_command, measured, write_results

from csr.data import sample
from csr.files import read_lines, read_parallel, write_text
from csr.induction.links import HEURISTICS
from csr.induction.symmetrization import symmetrize

SMALL = 5000  # pairs of the sample


def main() -> None:
    """Run both tools some times, print a table and write the figures."""
    parser = arguments_of(__doc__)
    parser.add_argument("--src", nargs="+", metavar="FILE", help="source sides of the text")
    parser.add_argument("--tgt", nargs="+", metavar="FILE", help="target sides, in the same order")
    parser.add_argument("--gold", metavar="PREFIX", help="PREFIX.LANG.gz and PREFIX.gold.gz")
    parser.add_argument("--languages", nargs=2, metavar=("SRC", "TGT"), help="codes of both sides")
    parser.add_argument("--pairs", type=int, metavar="N", help="take the text again from the start, up to N pairs")
    parser.add_argument("--peer", metavar="PATH", help="eflomal-align; without it only csr runs")
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="of each tool, in turn (default: %(default)s)")
    parser.add_argument("--iterations", type=int, default=5, help="of csr (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="of csr (default: %(default)s)")
    arguments = parser.parse_args()
    if arguments.small:
        arguments.runs, arguments.pairs = 1, SMALL
    elif not (arguments.src and arguments.tgt and arguments.gold and arguments.languages):
        parser.error("expected --src, --tgt, --gold and --languages, or --small")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arguments.small:
            _write_small(arguments, folder)
        gold = gold_links(f"{arguments.gold}.gold.gz")
        n_pairs = _write_text(arguments, folder)
        runs: dict[str, list[dict[str, Any]]] = {"csr": [], "eflomal": []}
        environment = {"NUMBA_NUM_THREADS": str(arguments.threads)}
        for _ in range(arguments.runs):
            runs["csr"].append(_csr(arguments, folder, environment, gold, HEURISTICS[0]))
            if arguments.peer:
                runs["eflomal"].append(_eflomal(arguments.peer, folder, gold))
        # Links do not change between runs: one for each of the other heuristics is enough.
        runs["csr"] += [_csr(arguments, folder, environment, gold, heuristic) for heuristic in HEURISTICS[1:]]
    result: dict[str, Any] = {
        "text": "-".join(arguments.languages),
        "pairs": n_pairs,
        "gold": len(gold[0]),
        "runs": runs,
        "summary": {tool: _summary(found) for tool, found in runs.items() if found},
    }
    ours, theirs = result["summary"]["csr"], result["summary"].get("eflomal")
    print(f"{n_pairs:,} pairs; alignment error rate, processor seconds, MiB (medians)")
    for tool, found in result["summary"].items():
        print(f"{tool:8}", *(f"{name} {rate:.4f}" for name, rate in found["aer"].items()), end="  ")
        print(f"{found['cpu']:.1f} s  {found['mib']:.0f} MiB")
    if theirs:
        result["ratio"] = {"cpu": theirs["cpu"] / ours["cpu"]}
        print(f"eflomal takes {result['ratio']['cpu']:.1f} times the processor seconds")
    write_results(arguments.json, "align", result)


def _csr(
    arguments: argparse.Namespace, folder: Path, environment: dict[str, str], gold: tuple[Links, Links], heuristic: str
) -> dict[str, Any]:
    command = csr_command("lexicon", "align", "--tokenized", "--symmetrize", heuristic)
    command += ["--src", str(folder / "src"), "--tgt", str(folder / "tgt"), "--links", str(folder / "links")]
    found = measured([*command, "--iterations", str(arguments.iterations)], environment)
    return {
        "cpu": found.cpu,
        "mib": found.mib,
        "aer": {heuristic: error_rate(links_of(read_lines(folder / "links")), *gold)},
    }


def _eflomal(peer: str, folder: Path, gold: tuple[Links, Links]) -> dict[str, Any]:
    files = {"-s": "src", "-t": "tgt", "-f": "forward", "-r": "reverse"}
    command = [peer, "--overwrite", *(part for flag, name in files.items() for part in (flag, str(folder / name)))]
    found = measured(command, {"PATH": f"{Path(peer).parent}:{os.environ['PATH']}", "PYTHONPATH": ""})
    both = [links_of(read_lines(folder / name))[: len(gold[0])] for name in ("forward", "reverse")]
    rates = {
        name: error_rate([_joined(a, b, name) for a, b in zip(*both, strict=True)], *gold) for name in HEURISTICS[1:]
    }
    return {"cpu": found.cpu, "mib": found.mib, "aer": rates}


def _joined(forward: set[tuple[int, int]], reverse: set[tuple[int, int]], heuristic: str) -> set[tuple[int, int]]:
    shape = [max((link[side] for link in forward | reverse), default=0) + 1 for side in (0, 1)]
    matrices = np.zeros((2, *shape))
    for matrix, links in zip(matrices, (forward, reverse), strict=True):
        for link in links:
            matrix[link] = 1
    found = np.argwhere(symmetrize(*matrices, HEURISTICS.index(heuristic)))
    return {(int(i), int(j)) for i, j in found}


def _summary(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    names = [name for name in HEURISTICS if any(name in run["aer"] for run in runs)]
    return {
        "aer": {name: statistics.median(run["aer"][name] for run in runs if name in run["aer"]) for name in names},
        "cpu": statistics.median(run["cpu"] for run in runs),
        "mib": statistics.median(run["mib"] for run in runs),
    }


def _write_text(arguments: argparse.Namespace, folder: Path) -> int:
    """Write the training text of both tools, the gold sentences first; return the number of pairs."""
    names = [f"{arguments.gold}.{language}.gz" for language in arguments.languages]
    pairs = [(a.lower().split(), b.lower().split()) for a, b in read_parallel(*names)]
    for a, b in dict.fromkeys(_text(arguments)):
        cut = [regex.findall(r"\w+['’]?|[^\w\s]", side.lower()) for side in (a, b)]
        if all(cut):
            pairs.append((cut[0], cut[1]))
    n_pairs = arguments.pairs or len(pairs)
    for name, side in (("src", 0), ("tgt", 1)):
        with open(folder / name, "w", encoding="utf-8") as stream:
            stream.writelines(" ".join(pairs[k % len(pairs)][side]) + "\n" for k in range(n_pairs))
    return n_pairs


def _write_small(arguments: argparse.Namespace, folder: Path) -> None:
    """Write the sample as text and gold standard: the links of content words that stand once in their sentence."""
    drawn = list(itertools.islice(sample._drawn(1), SMALL))
    sides = [[regex.findall(r"\w+|[^\w\s]", pair[side].lower()) for pair, _ in drawn] for side in (0, 1)]
    arguments.gold, arguments.languages = str(folder / "gold"), list(sample.LANGUAGES)
    names = [f"{arguments.gold}.{language}.gz" for language in arguments.languages]
    for name, side in zip(names, sides, strict=True):
        with write_text(name) as stream:
            stream.writelines(" ".join(words) + "\n" for words in side)
    with write_text(f"{arguments.gold}.gold.gz") as stream:
        for a, b, (_, links) in zip(*sides, drawn, strict=True):
            once = {(i, j) for i, j in links if a.count(i) == b.count(j) == 1}
            stream.write(" ".join(f"{a.index(i)}-{b.index(j)}" for i, j in sorted(once)) + "\n")
    arguments.src, arguments.tgt = [], []


def _text(arguments: argparse.Namespace) -> Iterator[tuple[str, str]]:
    for src, tgt in zip(arguments.src, arguments.tgt, strict=True):
        for a, b in read_parallel(src, tgt):
            if ".tsv" in Path(src).suffixes:
                yield from zip(a.split("\t")[:2], b.split("\t")[:2], strict=True)
            else:
                yield a, b


if __name__ == "__main__":
    main()
