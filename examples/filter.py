"""Pairs on standard input to pairs with words switched on standard output: for Marian, OpusTrainer and their like.

    python examples/filter.py --languages de,en --lexicon de-en.tsv < pairs.tsv | marian --tsv --train-sets stdin ...
    opustrainer-train --config config.yml sh -c "python examples/filter.py ... | marian --tsv --train-sets stdin ..."

A line is source<TAB>target; the source is switched, the target stays. With --reverse-lexicon, each pair gives the two
examples of stage one: switched source<TAB>source and switched target<TAB>target, after tags such as <2de> that tell the
model which language to write. Lines are numbered as they come, so that a pair that comes again has other draws.
"""

from __future__ import annotations

import argparse
import signal
import sys

from csr import Noise, PoissonSpans, Stream, switch_line
from csr.switching.candidates import Source


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--languages", required=True, help="of source and target, such as de,en")
    parser.add_argument("--lexicon", required=True, help="from the source language to the target")
    parser.add_argument("--reverse-lexicon", help="from the target language to the source")
    parser.add_argument("--rate", type=float, default=0.35, help="share of words switched")
    parser.add_argument("--seed", type=int, default=1)
    a = parser.parse_args(arguments)
    first, second = a.languages.split(",")
    sides = [(a.lexicon, (first, second)), (a.reverse_lexicon, (second, first))][: 2 if a.reverse_lexicon else 1]
    lexicons = [Source(path, languages).read(Noise()).cased(languages) for path, languages in sides]
    policy = PoissonSpans(a.rate)
    for number, line in enumerate(sys.stdin):
        fields = line.rstrip("\n").split("\t")
        if len(fields) != 2:
            raise SystemExit(f"line {number + 1}: expected source<TAB>target, found {len(fields)} fields")
        for side, lexicon in enumerate(lexicons):
            own, other = sides[side][1]
            stream = Stream(a.seed, 1, 2 * number + side)  # as csr switch draws
            switched = switch_line(fields[side], lexicon, policy, stream, language=own, target_language=other).text()
            print(f"<2{own}> {switched}\t{fields[side]}" if a.reverse_lexicon else f"{switched}\t{fields[1]}")


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # a trainer may stop before the pairs do
    main()
