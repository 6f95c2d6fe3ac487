"""``csr lexicon``: make, judge and edit word-translation tables."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from csr.commands import lexicon_align, lexicon_edit, lexicon_judge, lexicon_vecmap
from csr.commands.lexicon_files import (
    add_bitext,
    add_out,
    add_truecasing,
    options_of,
    record_of,
    running_forms,
    truecased,
    write,
)
from csr.commands.options import add_languages, positive, positive_number
from csr.errors import ConfigError
from csr.lexicon import deduced_kind
from csr.lexicon_record import Record

Subparsers = argparse._SubParsersAction  # its type parameter exists for type checkers only


def register(subparsers: Subparsers[argparse.ArgumentParser]) -> None:
    """Add ``csr lexicon`` and its subcommands."""
    parser = subparsers.add_parser(
        "lexicon",
        description="Make, judge and edit word-translation tables.",
        epilog="A lexicon is UTF-8 text, source<TAB>target<TAB>weight, gzipped if its name ends in .gz. Every command "
        "that makes one writes FILE.json beside it: how it was made, from what, and how good it is.",
    )
    sub = parser.add_subparsers(dest="subcommand", metavar="SUBCOMMAND", required=True)
    lexicon_vecmap.register(sub)
    _register_ibm1(sub.add_parser("ibm1", help="IBM Model 1 from parallel text"))
    lexicon_align.register(sub)
    _register_muse(sub.add_parser("muse", help="a MUSE dictionary, from a file or a folder of them"))
    _register_import(sub.add_parser("import", help="a table made by another tool"))
    lexicon_judge.register_stats(sub.add_parser("stats", help="how good a lexicon is"))
    lexicon_judge.register_compare(sub.add_parser("compare", help="the statistics of several lexicons side by side"))
    lexicon_edit.register_transform(sub.add_parser("transform", help="invert, restrict, filter and cut a lexicon"))
    lexicon_edit.register_placebo(
        sub.add_parser("placebo", help="the same words and weights with candidates that fit nothing")
    )
    lexicon_edit.register_merge(sub.add_parser("merge", help="mix lexicons of the same two languages"))
    lexicon_edit.register_pivot(sub.add_parser("pivot", help="join a lexicon x-y and one y-z to one x-z"))


def _register_ibm1(parser: argparse.ArgumentParser) -> None:
    parser.description = "Word-translation probabilities t(target | source) by EM over parallel text, with a NULL word."
    add = parser.add_argument
    add_bitext(parser)
    add_out(parser, "lexicon from source to target")
    add("--reverse-out", metavar="TSV", help="lexicon from target to source, trained in that direction")
    add("--iterations", type=positive, default=5, metavar="N", help="EM iterations (default: %(default)s)")
    add("--alpha", type=positive_number, metavar="A", help="Dirichlet prior of every row, such as 0.01 (default: none)")
    parser.set_defaults(run=ibm1)


def ibm1(arguments: argparse.Namespace) -> None:
    """Train Model 1 in one direction or both."""
    from csr.induction.bitext import read_bitext
    from csr.induction.ibm1 import Model1

    languages = arguments.source_lang, arguments.target_lang
    bitext = read_bitext(arguments.src, arguments.tgt, arguments.tokenized, *languages)
    inputs = arguments.src, arguments.tgt
    record = Record("probabilities", languages)
    forms = running_forms(arguments)
    directions = [(arguments.out, bitext, "target | source", record, forms)]
    if arguments.reverse_out:
        directions.append((arguments.reverse_out, bitext.swapped(), "source | target", record.reversed, forms[::-1]))
    for out, pairs, direction, record, forms in directions:
        model = Model1(pairs, arguments.min_cooccurrence)
        log_likelihoods = model.fit(arguments.iterations, arguments.alpha)
        for number, log_likelihood in enumerate(log_likelihoods, 1):
            print(f"{out}: iteration {number}: log-likelihood {log_likelihood:.8g}", file=sys.stderr)
        options = {
            "direction": direction,
            **options_of(arguments, "iterations", "alpha", "min_cooccurrence", "min_weight", "tokenized"),
            **options_of(arguments, "source_lang", "target_lang"),
        }
        corpus = {"pairs": len(bitext), "pairs_left_out": bitext.n_dropped, "log_likelihoods": log_likelihoods}
        write(model.lexicon(arguments.min_weight).truecased(*forms), out, "ibm1", inputs, options, record, corpus)


def _register_muse(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Every listed translation, with weight 1. In a folder of xx-yy.txt, a missing direction is the opposite one "
        "inverted, and a missing pair goes through English."
    )
    parser.add_argument(
        "path", metavar="PATH", help="dictionary (a tab or a space in each line), or folder of xx-yy.txt"
    )
    parser.add_argument("--source-lang", metavar="CODE", help="language to translate from: en, de, ...; for a folder")
    parser.add_argument("--target-lang", metavar="CODE", help="language to translate to; for a folder")
    add_truecasing(parser)
    add_out(parser)
    parser.set_defaults(run=muse)


def muse(arguments: argparse.Namespace) -> None:
    """Import a MUSE dictionary."""
    from csr.induction import dictionaries

    if Path(arguments.path).is_dir() and not (arguments.source_lang and arguments.target_lang):
        raise ConfigError(f"{arguments.path}: a folder needs --source-lang and --target-lang")
    lexicon, files = dictionaries.muse(arguments.path, arguments.source_lang, arguments.target_lang)
    record = Record(deduced_kind(lexicon), (arguments.source_lang, arguments.target_lang))
    lexicon = truecased(lexicon, arguments, record)
    options = options_of(arguments, "source_lang", "target_lang", "truecase_src", "truecase_tgt")
    write(lexicon, arguments.out, "muse", files, options, record)


def _register_import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="FILE", help="the table")
    parser.add_argument(
        "--format",
        choices=("tsv", "fast_align", "moses", "muse"),
        default="tsv",
        help="tsv: source, target and, if there is one, weight; fast_align: what its -p writes (log probabilities); "
        "moses: lex.e2f or lex.f2e (target, source, probability); muse: source and target (default: %(default)s)",
    )
    add_languages(parser)
    add_truecasing(parser)
    add_out(parser)
    parser.set_defaults(run=import_)


def import_(arguments: argparse.Namespace) -> None:
    """Import a table of another tool."""
    from csr.induction.dictionaries import FORMATS

    lexicon = FORMATS[arguments.format](arguments.path)
    record = Record("dictionary" if arguments.format == "muse" else "probabilities")
    if arguments.format == "tsv":
        record = record_of(arguments.path, lexicon)
    source, target = record.languages
    record = Record(record.kind, (arguments.source_lang or source, arguments.target_lang or target))
    lexicon = truecased(lexicon, arguments, record)
    options = options_of(arguments, "format", "source_lang", "target_lang", "truecase_src", "truecase_tgt")
    write(lexicon, arguments.out, arguments.format, [arguments.path], options, record)
