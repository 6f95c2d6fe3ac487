"""``csr switch``: look at the noise before training on it."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator

from csr.errors import ConfigError
from csr.files import read_lines, read_parallel, write_text
from csr.lexicon import Lexicon, read_lexicon
from csr.switching.code_mixing import code_mixing
from csr.switching.draws import Draws, RecordingStream
from csr.switching.noise import Schedule, SwitchedLine, one_of, policy_named, switch_line
from csr.text.words import segments

_COLOR = "\033[1;36m{}\033[0m"


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``csr switch``."""
    parser = subparsers.add_parser(
        "switch",
        help="print text with words switched, as stage one sees it",
        description="Switch words of each line of text by their translations, as the restore task does. "
        "Figures of the whole text go to stderr.",
    )
    add = parser.add_argument
    add(
        "--lexicon",
        required=True,
        nargs="+",
        metavar="TSV",
        help="source<TAB>target<TAB>weight; of several, each sentence draws one",
    )
    add(
        "--draw", choices=("sentence", "word"), default="sentence", help="draw the lexicon for each (default: sentence)"
    )
    add("--input", default="-", metavar="FILE", help="text, a sentence a line (default: stdin)")
    add("--aligned", metavar="FILE", help="its translation, line by line: candidates that stand there go first")
    add("--language", metavar="CODE", help="cut words by this language's segmenter (zh, ja, th, vi, km, lo, my)")
    add("--aligned-language", metavar="CODE", help="cut the words of --aligned by this language's segmenter")
    add("--output", default="-", metavar="FILE", help="where to write (default: stdout)")
    add("--policy", choices=("poisson", "fixed", "independent"), default="poisson", help="(default: %(default)s)")
    add("--rate", type=float, default=0.35, help="share of words replaced (default: %(default)s)")
    add("--mean-span", type=float, default=3.5, help="poisson: mean span length in words (default: %(default)s)")
    add("--insert", action="store_true", help="poisson: a span of no words inserts <mask> (default: drawn again)")
    add("--span", type=int, default=3, help="fixed: span length in words (default: %(default)s)")
    add("--gate", type=float, default=0.5, help="independent: share of sentences touched (default: %(default)s)")
    add("--schedule", choices=("constant", "linear", "cosine"), default="constant", help="(default: %(default)s)")
    add("--rate-end", type=float, default=0.35, help="rate at the end of the schedule (default: %(default)s)")
    add("--schedule-updates", type=int, default=5000, help="updates until then (default: %(default)s)")
    add("--update", type=int, default=0, help="update whose rate it is, from 0 (default: %(default)s)")
    add("--mask-share", type=float, default=0.0, help="runs of words that become <mask>, 0 to 1 (default: %(default)s)")
    add("--top-k", type=int, default=3, help="candidates per word, best first (default: %(default)s)")
    add(
        "--temperature",
        type=float,
        default=math.inf,
        help="draw candidates by weight^(1/T); inf: uniformly (default: %(default)s)",
    )
    add("--seed", type=int, default=1, help="seed of the draws (default: %(default)s)")
    add("--epoch", type=int, default=1, help="another epoch, other draws (default: %(default)s)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--side-by-side", action="store_true", help="print line<TAB>switched line, the replaced words in [brackets]"
    )
    form.add_argument("--tsv", action="store_true", help="print line<TAB>word<TAB>replacement for each replaced word")
    form.add_argument(
        "--statistics",
        action="store_true",
        help="print figures in place of text: the rate, and chi-square tests of span lengths and of candidates",
    )
    form.add_argument("--json", action="store_true", help="print an object a line, with what was replaced by what")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Switch the input line by line; a summary goes to stderr."""
    seen = []
    n_covered = 0
    color = sys.stdout.isatty() and arguments.output == "-"
    draws = Draws()
    with write_text(arguments.output) as out:
        for number, (line, switched, lexicon, stream) in enumerate(_switched(arguments), 1):
            if arguments.statistics:
                draws.add(switched, lexicon, stream)
            else:
                out.write(_shown(number, line, switched, arguments, color))
            seen.append((switched.n_words, switched.positions))
            n_covered += switched.n_covered
        if arguments.statistics:
            out.writelines(f"{name:14}  {value}\n" for name, value in draws.report(arguments.rate, arguments.mean_span))
    mixed = code_mixing(seen)
    print(
        f"{mixed.n_words:,} words, {100 * n_covered / max(mixed.n_words, 1):.1f} % with a translation, "
        f"{100 * mixed.switch_rate:.1f} % switched, code-mixing index {mixed.index:.1f}, "
        f"switch points at {100 * mixed.point_rate:.1f} % of the word boundaries",
        file=sys.stderr,
    )


def _switched(arguments: argparse.Namespace) -> Iterator[tuple[str, SwitchedLine, Lexicon, RecordingStream]]:
    a = arguments
    lexicons = [read_lexicon(path).top(a.top_k).tempered(a.temperature) for path in a.lexicon]
    if a.draw == "word":
        lexicons = [Lexicon.merged((lexicon, 1.0) for lexicon in lexicons)] if len(lexicons) > 1 else lexicons
    lexicons = [lexicon.cased() for lexicon in lexicons]
    if not 0 <= a.mask_share <= 1:
        raise ConfigError(f"--mask-share: expected a share in [0, 1], found {a.mask_share}")
    try:
        policy = policy_named(a.policy, a.rate, a.mean_span, a.span, a.gate, a.insert)
        rate = Schedule(a.schedule, a.rate, a.rate_end, a.schedule_updates).rate(a.update)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    lines = read_parallel(a.input, a.aligned) if a.aligned else ((line, "") for line in read_lines(a.input))
    for index, (line, other) in enumerate(lines):
        stream = RecordingStream(a.seed, a.epoch, index)
        lexicon = one_of(lexicons, stream)
        aligned = [text for text, is_word in segments(other, a.aligned_language) if is_word]
        switched = switch_line(
            line, lexicon, policy, stream, rate=rate, mask_share=a.mask_share, aligned=aligned, language=a.language
        )
        yield line, switched, lexicon, stream


def _shown(number: int, line: str, result: SwitchedLine, arguments: argparse.Namespace, color: bool) -> str:
    replaced = [(result.segments[i], new) for i, new in sorted(result.switched.items())]
    if arguments.tsv:
        return "".join(f"{number}\t{word}\t{new}\n" for word, new in replaced)
    if arguments.json:
        record = {"line": line, "switched": result.text(), "replaced": replaced, "n_words": result.n_words}
        return json.dumps(record, ensure_ascii=False) + "\n"
    if arguments.side_by_side:
        return f"{line}\t{result.text(_COLOR if color else '[{}]')}\n"
    return result.text(_COLOR if color else "{}") + "\n"
