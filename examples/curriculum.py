"""Data for a decoder-only model that is to learn a language: words switched, then sentences, then none.

    python examples/curriculum.py --source train.en --target train.sw --languages en,sw --lexicon en-sw.tsv --out stages

Writes word.jsonl, sentence.jsonl and plain.jsonl, rows of {"text": "..."} to train on one after the other, as trl's
SFTTrainer reads them. The texts are parallel, a sentence a line; an empty line ends a document.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from csr import IndependentWords, Noise, Stream, switch_line
from csr.switching.candidates import Source


def documents(source: str, target: str) -> Iterator[list[tuple[str, str]]]:
    """Yield documents as pairs of sentences."""
    with open(source, encoding="utf-8") as first, open(target, encoding="utf-8") as second:
        pairs = zip(map(str.strip, first), map(str.strip, second), strict=True)
        for ended, group in itertools.groupby(pairs, key=lambda pair: pair == ("", "")):
            if not ended:
                yield list(group)


def write(rows: Iterable[list[str]], path: Path) -> None:
    with open(path, "w", encoding="utf-8") as out:
        out.writelines(json.dumps({"text": "\n".join(lines)}, ensure_ascii=False) + "\n" for lines in rows)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("source", "target", "languages", "lexicon", "out"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--rate", type=float, default=0.3, help="share of words switched")
    parser.add_argument("--seed", type=int, default=1)
    a = parser.parse_args(arguments)
    own, other = a.languages.split(",")
    lexicon = Source(a.lexicon, (own, other)).read(Noise()).cased((own, other))
    policy = IndependentWords(a.rate, gate=1.0)
    texts, out = list(documents(a.source, a.target)), Path(a.out)
    out.mkdir(parents=True, exist_ok=True)
    number = itertools.count()

    def switched(line: str) -> str:
        stream = Stream(a.seed, 1, next(number))
        return switch_line(line, lexicon, policy, stream, language=own, target_language=other).text()

    write(([switched(src) for src, _ in text] for text in texts), out / "word.jsonl")
    # Every sentence in the language that the one before it is not in; each document begins in either language.
    turns = ([pair[(i + first) % 2] for i, pair in enumerate(text)] for text in texts for first in (0, 1))
    write(turns, out / "sentence.jsonl")
    write(([pair[side] for pair in text] for text in texts for side in (0, 1)), out / "plain.jsonl")


if __name__ == "__main__":
    main()
