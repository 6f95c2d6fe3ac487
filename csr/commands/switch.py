"""``csr switch``: look at the noise before training on it."""

from __future__ import annotations

import argparse
import math
import sys

from csr.files import read_lines, write_text
from csr.lexicon import read_lexicon
from csr.noise import PoissonSpans, switch_line
from csr.streams import Stream


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``csr switch``."""
    parser = subparsers.add_parser(
        "switch",
        help="print text with words switched, as stage one sees it",
        description="Switch words of each line of text by their translations, as the restore task does: "
        "Poisson spans until a share of the words is replaced.",
    )
    parser.add_argument("--lexicon", required=True, metavar="TSV", help="source<TAB>target<TAB>weight")
    parser.add_argument("--input", default="-", metavar="FILE", help="text, a sentence a line (default: stdin)")
    parser.add_argument("--output", default="-", metavar="FILE", help="where to write (default: stdout)")
    parser.add_argument("--rate", type=float, default=0.35, help="share of words replaced (default: %(default)s)")
    parser.add_argument("--mean-span", type=float, default=3.5, help="mean span length in words (default: %(default)s)")
    parser.add_argument("--top-k", type=int, default=3, help="candidates per word, best first (default: %(default)s)")
    parser.add_argument(
        "--temperature",
        type=float,
        default=math.inf,
        help="draw candidates by weight^(1/T); inf: uniformly (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of the draws (default: %(default)s)")
    parser.add_argument("--epoch", type=int, default=1, help="another epoch, other draws (default: %(default)s)")
    parser.add_argument(
        "--side-by-side", action="store_true", help="print line<TAB>switched line, the replaced words in [brackets]"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Switch the input line by line; a summary goes to stderr."""
    lexicon = read_lexicon(arguments.lexicon).top(arguments.top_k).tempered(arguments.temperature).cased()
    policy = PoissonSpans(arguments.rate, arguments.mean_span)
    n_words = n_covered = n_switched = 0
    with write_text(arguments.output) as out:
        for index, line in enumerate(read_lines(arguments.input)):
            result = switch_line(line, lexicon, policy, Stream(arguments.seed, arguments.epoch, index))
            n_words += result.n_words
            n_covered += result.n_covered
            n_switched += len(result.switched)
            if arguments.side_by_side:
                out.write(f"{line}\t{result.text('[{}]')}\n")
            else:
                out.write(f"{result.text()}\n")
    share = 100 / max(n_words, 1)
    print(
        f"{n_words:,} words, {n_covered * share:.1f} % with a translation, {n_switched * share:.1f} % switched",
        file=sys.stderr,
    )
