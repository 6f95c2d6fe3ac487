"""``csr switch``: look at the noise before training on it."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from csr.errors import ConfigError, install
from csr.files import read_lines, read_parallel, write_text, write_whole
from csr.lexicon import Lexicon
from csr.options import add_options, read_options
from csr.switching.candidates import Source
from csr.switching.code_mixing import code_mixing
from csr.switching.draws import Draws, RecordingStream
from csr.switching.lines import SwitchedLine, switch_line
from csr.switching.noise import one_of
from csr.switching.settings import Noise
from csr.text.forms import folded
from csr.text.words import tokenize, watched, words

# What needs the pieces of a vocabulary has no place here.
OPTIONS = tuple(
    field.name for field in dataclasses.fields(Noise) if field.name not in ("unit", "permute_sentences", "max_growth")
)
# The number of the example that training makes of line i, by the side it stands on: a i + b (RestoreDataset).
SIDES = {"source": (2, 0), "target": (2, 1), "alone": (1, 0)}

FEW = 0.2  # of the words with a translation are worth a warning

_GROUP = 10_000  # rows of Parquet that are written at a time
_COLOR = "\033[1;36m{}\033[0m"


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``csr switch``."""
    parser = subparsers.add_parser(
        "switch",
        description="Switch words of each line of text by their translations, as the restore task does. "
        "The draws are those of training for the same seed, epoch, side and line of data/text/train.*; only what a "
        "vocabulary decides is not known here, such as sentences that grow too long. Figures of the whole text go to "
        "stderr. Labelled files: csr switch-labels.",
    )
    add = parser.add_argument
    add(
        "--lexicon",
        nargs="+",
        default=[],
        metavar="TSV",
        help="source<TAB>target<TAB>weight; of several, each sentence draws one",
    )
    add("--input", default="-", metavar="FILE", help="text, a sentence a line (default: stdin)")
    add("--aligned", metavar="FILE", help="its translation, line by line: for --prefer-aligned and --statistics")
    add(
        "--language",
        metavar="CODE",
        help="language of the text: segmenter (zh, ja, th, vi, km, lo, my) and stop words",
    )
    add("--aligned-language", metavar="CODE", help="language of the translations, likewise")
    add(
        "--side",
        choices=tuple(SIDES),
        default="source",
        help="what the text is to training, which draws for each example: the source or the target side of a language "
        "pair, or a text of its own (--monolingual) (default: %(default)s)",
    )
    add("--output", default="-", metavar="FILE", help="where to write (default: stdout)")
    add("--update", type=int, default=0, help="update whose rate it is, from 0 (default: %(default)s)")
    add("--seed", type=int, default=1, help="seed of the draws (default: %(default)s)")
    add("--epoch", type=int, default=1, help="another epoch, other draws (default: %(default)s)")
    add_options(parser.add_argument_group("noise, as in training"), Noise(), OPTIONS)
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--side-by-side", action="store_true", help="print line<TAB>switched line, the replaced words in [brackets]"
    )
    form.add_argument("--tsv", action="store_true", help="print line<TAB>word<TAB>replacement for each replaced word")
    form.add_argument(
        "--statistics",
        action="store_true",
        help="print figures in place of text: the rate; with --aligned, how many candidates stand there; where the "
        "languages are known, how many become stop words; chi-square tests of span lengths and of candidates",
    )
    form.add_argument(
        "--jsonl",
        action="store_true",
        help="print an object a line, for any toolkit: id (the line, from 0), original, switched, positions (of the "
        "replaced words), replaced (word, replacement), n_words, language",
    )
    form.add_argument("--parquet", action="store_true", help="write the objects of --jsonl as rows of a Parquet file")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Switch the input line by line; a summary goes to stderr."""
    noise = read_options(arguments, Noise(), OPTIONS)
    sources = [Source(path, (arguments.language, arguments.aligned_language)) for path in arguments.lexicon]
    if noise.prefer_aligned and not arguments.aligned:
        raise ConfigError("--prefer-aligned: expected with --aligned, found it alone")
    if noise.replace != "mask" and not sources:
        raise ConfigError(f"--lexicon: expected a lexicon with --replace {noise.replace}, found none")
    lexicons = _lexicons(sources, noise)
    color = sys.stdout.isatty() and arguments.output == "-"
    draws = Draws(sources[0].stop_words(), sources[0].record().languages) if sources else Draws()
    counts: Counter[str] = Counter()
    targets = {folded(c) for lexicon in lexicons for options in lexicon.entries.values() for c in options}

    def written(write: Callable[[Any], object]) -> Iterator[tuple[int, Sequence[int]]]:
        for number, line in enumerate(_switched(arguments, noise, lexicons), 1):
            if arguments.statistics:
                draws.add(line.switched, line.lexicon, line.stream, line.opposite)
            else:
                write(_shown(number, line.text, line.switched, arguments, color))
            counts["covered"] += line.switched.n_covered
            counts["opposite"] += sum(folded(segment) in targets for segment in line.switched.segments)
            yield line.switched.n_words, line.switched.positions

    with _parquet(arguments.output) if arguments.parquet else _text(arguments.output) as write:
        mixed = code_mixing(written(write))
        if arguments.statistics:
            mean_span = noise.mean_span if noise.policy == "poisson" else None
            report = draws.report(noise.rate_at(arguments.update), mean_span)
            for name, value in report:
                write(f"{name:14}  {value}\n")
    n_words = max(mixed.n_words, 1)
    print(
        f"{mixed.n_words:,} words, {100 * counts['covered'] / n_words:.1f} % with a translation, "
        f"{100 * mixed.switch_rate:.1f} % switched, code-mixing index {mixed.index:.1f}, "
        f"switch points at {100 * mixed.point_rate:.1f} % of the word boundaries",
        file=sys.stderr,
    )
    if doubt := _doubt(counts["covered"] / n_words, counts["opposite"] / n_words if targets else None, mixed.n_words):
        print(f"warning: {doubt}", file=sys.stderr)


def _doubt(covered: float, opposite: float | None, n_words: int) -> str | None:
    """Why the lexicon may be a wrong one, from the shares of the words with a translation and among translations."""
    if opposite is None or not n_words:
        return None
    found = f"{100 * covered:.1f} % of the words have a translation"
    if opposite > 1.5 * covered:
        return (
            f"{found}, and {100 * opposite:.1f} % are among the translations: is the lexicon the other way round? csr "
            "lexicon transform --invert turns it"
        )
    if covered < FEW:
        return (
            f"{found}: is the lexicon of this language, and is this a language that needs --language to be cut into "
            "words?"
        )
    return None


class _Line(NamedTuple):
    """A line of the input, how it was switched, by what, and the words of its translation, folded."""

    text: str
    switched: SwitchedLine
    lexicon: Lexicon
    stream: RecordingStream
    opposite: set[str] | None


def _lexicons(sources: list[Source], noise: Noise) -> list[Lexicon]:
    """The lexicons that sentences draw from, cased: one where words draw, an empty one for masks."""
    lexicons = [source.read(noise) for source in sources] if noise.replace != "mask" else []
    if noise.lexicon_draw == "word" or not lexicons:
        lexicons = [Lexicon.equally(lexicons)] if len(lexicons) != 1 else lexicons
    languages = [source.record().languages for source in sources] or [(None, None)]
    return [lexicon.cased(known) for lexicon, known in zip(lexicons, languages, strict=False)]


def _switched(arguments: argparse.Namespace, noise: Noise, lexicons: list[Lexicon]) -> Iterator[_Line]:
    a = arguments
    policy, rate = noise.make_policy(), noise.rate_at(a.update)
    lines = (
        read_parallel(a.input, a.aligned)
        if a.aligned
        else ((line, "") for line in watched(read_lines(a.input), a.language, a.input))
    )
    step, first = SIDES[a.side]
    for number, (text, other) in enumerate(lines):
        stream = RecordingStream(a.seed, a.epoch, number * step + first)
        lexicon = one_of(lexicons, stream)
        switched = switch_line(
            text,
            lexicon,
            policy,
            stream,
            rate=rate,
            mask_share=noise.mask_probability,
            aligned=words(other, a.aligned_language) if noise.prefer_aligned else (),
            language=a.language,
            target_language=a.aligned_language,
        )
        yield _Line(text, switched, lexicon, stream, set(tokenize(other, a.aligned_language)) if a.aligned else None)


@contextlib.contextmanager
def _text(path: str) -> Iterator[Callable[[Any], object]]:
    """Yield what writes text."""
    with write_text(path) as out:
        yield out.write


@contextlib.contextmanager
def _parquet(path: str) -> Iterator[Callable[[Any], object]]:
    """Yield what writes objects, those of ``_record``, as rows of a Parquet file."""
    try:
        import pyarrow
        from pyarrow.parquet import ParquetWriter
    except ImportError as error:
        raise ConfigError(f"--parquet: expected pyarrow ({install('huggingface')}), found {error}") from None
    if path == "-" and sys.stdout.isatty():
        raise ConfigError("--output: expected a file for --parquet, found a terminal")
    number, text = pyarrow.int64(), pyarrow.string()
    kinds = {"id": number, "original": text, "switched": text, "positions": pyarrow.list_(number)}
    kinds |= {"replaced": pyarrow.list_(pyarrow.list_(text)), "n_words": number, "language": text}
    schema, rows = pyarrow.schema(list(kinds.items())), list[dict[str, Any]]()

    def flush() -> None:
        writer.write_table(pyarrow.Table.from_pylist(rows, schema))
        rows.clear()

    def write(row: dict[str, Any]) -> None:
        rows.append(row)
        if len(rows) == _GROUP:
            flush()

    opened = contextlib.nullcontext(sys.stdout.buffer) if path == "-" else write_whole(path)
    with opened as part, ParquetWriter(part, schema) as writer:
        yield write
        flush()


def _record(number: int, line: str, result: SwitchedLine, language: str | None) -> dict[str, Any]:
    """A line for other toolkits."""
    return {
        "id": number - 1,
        "original": line,
        "switched": result.text(),
        "positions": result.positions,
        "replaced": _replaced(result),
        "n_words": result.n_words,
        "language": language,
    }


def _replaced(result: SwitchedLine) -> list[tuple[str, str]]:
    return [(result.segments[i], new) for i, new in sorted(result.switched.items())]


def _shown(number: int, line: str, result: SwitchedLine, arguments: argparse.Namespace, color: bool) -> Any:
    if arguments.tsv:
        return "".join(f"{number}\t{word}\t{new}\n" for word, new in _replaced(result))
    if arguments.jsonl or arguments.parquet:
        record = _record(number, line, result, arguments.language)
        return record if arguments.parquet else json.dumps(record, ensure_ascii=False) + "\n"
    if arguments.side_by_side:
        return f"{line}\t{result.text(_COLOR if color else '[{}]')}\n"
    return result.text(_COLOR if color else "{}") + "\n"
