"""``csr prepare`` and ``csr prepare-text`` beside those of another checkout, such as an older one: time and memory.

    git worktree add ../before db6141f
    python scripts/bench_prepare.py --peer ../before --src de.txt.gz --tgt en.txt.gz --languages de en --json FILE

Each is measured with a SentencePiece model of its own to train, and with one that is given: then both must write the
same files, byte for byte. Commands run in turns, as whole processes; medians of the seconds by the clock and of the
processor. Where the model is trained, its quality is that of its pieces on the dev set: their number for a line, and
the log likelihood of a line under the model. Without ``--peer`` the figures are of this checkout alone.
"""

from __future__ import annotations

import argparse
import filecmp
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from bench_common import ROOT, Usage, arguments_of, csr_command, in_turns, measured, ratio, write_results

from csr.data import subwords
from csr.data.sample import write_sample
from csr.files import read_lines


def main() -> None:
    """Measure the commands, print and write the figures."""
    parser = arguments_of(__doc__)
    parser.add_argument("--src", metavar="FILE", help="source side (default: the sample corpus)")
    parser.add_argument("--tgt", metavar="FILE", help="target side")
    parser.add_argument("--languages", nargs=2, default=("qaa", "qab"), metavar=("SRC", "TGT"))
    parser.add_argument("--peer", type=Path, metavar="FOLDER", help="the other checkout")
    parser.add_argument("--rounds", type=int, default=3, help="of each command (default: %(default)s)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        texts = [arguments.src, arguments.tgt]
        if not arguments.src:
            write_sample(folder / "sample", n_train=3000 if arguments.small else 30_000)
            texts = [str(folder / f"sample/train.{language}") for language in arguments.languages]
        figures = compare(arguments, folder, texts)
    for row in figures["commands"]:
        print(row)
    write_results(arguments.json, "prepare", figures)


def compare(arguments: argparse.Namespace, folder: Path, texts: list[str]) -> dict[str, Any]:
    """The figures of all commands."""
    checkouts = {"csr": ROOT} | ({"peer": arguments.peer.resolve()} if arguments.peer else {})
    src, tgt = arguments.languages
    pair = ["--src", texts[0], "--tgt", texts[1], "--source-lang", src, "--target-lang", tgt]
    lone = [part for language, text in zip((src, tgt), texts, strict=True) for part in ("--text", f"{language}={text}")]
    made = folder / "csr-prepare"  # its model is the one that is given
    model = ["--sentencepiece-model", str(made / "spm.model"), "--dict", str(made / "dict.txt")]
    commands = {
        "prepare": ["prepare", *pair],
        "prepare, model given": ["prepare", *pair, *model],
        "prepare-text": ["prepare-text", *lone],
        "prepare-text, model given": ["prepare-text", *lone, *model],
    }
    rows = []
    for name, command in commands.items():
        outs = {who: folder / f"{who}-{name.replace(', ', '-').replace(' ', '-')}" for who in checkouts}
        works: dict[str, Callable[[], Usage]] = {
            who: partial(run, command, outs[who], checkout) for who, checkout in checkouts.items()
        }
        usages = in_turns(works, 1 if arguments.small else arguments.rounds)
        row: dict[str, Any] = {"command": name}
        for who, found in usages.items():
            row[who] = {
                part: sorted(getattr(usage, part) for usage in found)[len(found) // 2] for part in Usage._fields
            }
            if "given" not in name:
                row[who] |= quality(outs[who], arguments.languages)
        if arguments.peer:
            for part in ("seconds", "cpu"):
                row[f"ratio_{part}"] = ratio(
                    *([getattr(usage, part) for usage in usages[who]] for who in ("csr", "peer"))
                )
            if "given" in name:
                row["equal_files"] = equal(*(outs[who] for who in ("csr", "peer")))
        rows.append(row)
    n_pairs = sum(1 for _ in read_lines(texts[0]))
    text = "the sample corpus" if not arguments.src else f"{src}-{tgt}"
    return {"text": text, "pairs": n_pairs, "rounds": arguments.rounds, "commands": rows}


def run(command: list[str], out: Path, checkout: Path) -> Usage:
    """Run one command into an empty folder."""
    shutil.rmtree(out, ignore_errors=True)
    return measured([*csr_command(*command), "--out", str(out)], {"PYTHONPATH": str(checkout)}, checkout)


def quality(out: Path, languages: tuple[str, str]) -> dict[str, float]:
    """Pieces and log likelihood of a line of the text that was held out."""
    model = subwords.load(out / "spm.model")
    names = [out / f"text/{split}.{language}" for split in ("dev", "valid") for language in languages]
    rows = model.encode([line for name in names if name.exists() for line in read_lines(name)])
    scores = [model.get_score(i) for i in range(len(model))]
    return {
        "pieces_a_line": sum(map(len, rows)) / len(rows),
        "log_likelihood_a_line": sum(scores[piece] for row in rows for piece in row) / len(rows),
    }


def equal(a: Path, b: Path) -> bool:
    """Tell whether two folders hold the same files."""
    files = [sorted(path.relative_to(top) for path in top.rglob("*") if path.is_file()) for top in (a, b)]
    return files[0] == files[1] and all(filecmp.cmp(a / name, b / name, shallow=False) for name in files[0])


if __name__ == "__main__":
    main()
