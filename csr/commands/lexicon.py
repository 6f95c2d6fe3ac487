"""``csr lexicon``: make, judge and edit word-translation tables."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from csr.commands import lexicon_vecmap
from csr.commands.options import add_languages, positive, positive_number
from csr.errors import ConfigError
from csr.files import PathLike
from csr.induction import quality
from csr.lexicon import Lexicon, Record, deduced_kind, read_lexicon, read_record, write_lexicon, write_sidecar
from csr.text.segmenters import base
from csr.text.truecase import running_forms_of

Subparsers = argparse._SubParsersAction  # its type parameter exists for type checkers only


def register(subparsers: Subparsers[argparse.ArgumentParser]) -> None:
    """Add ``csr lexicon`` and its subcommands."""
    parser = subparsers.add_parser(
        "lexicon",
        help="make, judge and edit lexicons",
        description=__doc__,
        epilog="A lexicon is UTF-8 text, source<TAB>target<TAB>weight, gzipped if its name ends in .gz. Every command "
        "that makes one writes FILE.json beside it: how it was made, from what, and how good it is.",
    )
    sub = parser.add_subparsers(dest="subcommand", metavar="SUBCOMMAND", required=True)
    lexicon_vecmap.register(sub)
    _register_ibm1(sub.add_parser("ibm1", help="IBM Model 1 from parallel text"))
    _register_muse(sub.add_parser("muse", help="a MUSE dictionary, from a file or a folder of them"))
    _register_import(sub.add_parser("import", help="a table made by another tool"))
    _register_stats(sub.add_parser("stats", help="how good a lexicon is"))
    _register_compare(sub.add_parser("compare", help="the statistics of several lexicons side by side"))
    _register_transform(sub.add_parser("transform", help="invert, restrict, filter and cut a lexicon"))
    _register_placebo(sub.add_parser("placebo", help="the same words and weights with candidates that fit nothing"))
    _register_merge(sub.add_parser("merge", help="mix lexicons of the same two languages"))
    _register_pivot(sub.add_parser("pivot", help="join a lexicon x-y and one y-z to one x-z"))


def _register_ibm1(parser: argparse.ArgumentParser) -> None:
    parser.description = "Word-translation probabilities t(target | source) by EM over parallel text, with a NULL word."
    add = parser.add_argument
    add("--src", required=True, metavar="FILE", help="source side of the parallel text, one sentence a line")
    add("--tgt", required=True, metavar="FILE", help="target side, aligned with --src line by line")
    _out(parser, "lexicon from source to target")
    add("--reverse-out", metavar="TSV", help="lexicon from target to source, trained in that direction")
    add("--iterations", type=positive, default=5, metavar="N", help="EM iterations (default: %(default)s)")
    add("--alpha", type=positive_number, metavar="A", help="Dirichlet prior of every row, such as 0.01 (default: none)")
    add(
        "--min-cooccurrence",
        type=positive,
        default=1,
        metavar="N",
        help="leave out two words that stand opposite each other fewer than N times, unless one of them is that rare; "
        "saves memory (default: %(default)s)",
    )
    add(
        "--min-weight",
        type=positive_number,
        default=0.001,
        metavar="P",
        help="smallest probability to write (default: %(default)s)",
    )
    add_languages(parser)
    add("--tokenized", action="store_true", help="cut at white space as it stands (default: words, lower-cased)")
    parser.set_defaults(run=ibm1)


def ibm1(arguments: argparse.Namespace) -> None:
    """Train Model 1 in one direction or both."""
    from csr.induction.ibm1 import Model1, read_bitext

    languages = arguments.source_lang, arguments.target_lang
    bitext = read_bitext(arguments.src, arguments.tgt, arguments.tokenized, *languages)
    inputs = arguments.src, arguments.tgt
    record = Record("probabilities", languages)
    forms: list[dict[str, str]] = [{}, {}]
    if not arguments.tokenized:
        forms = [running_forms_of(path, language) for path, language in zip(inputs, languages, strict=True)]
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
            **_options(arguments, "iterations", "alpha", "min_cooccurrence", "min_weight", "tokenized"),
            **_options(arguments, "source_lang", "target_lang"),
        }
        corpus = {"pairs": len(bitext), "pairs_left_out": bitext.n_dropped, "log_likelihoods": log_likelihoods}
        _write(model.lexicon(arguments.min_weight).truecased(*forms), out, "ibm1", inputs, options, record, corpus)


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
    _truecasing(parser)
    _out(parser)
    parser.set_defaults(run=muse)


def muse(arguments: argparse.Namespace) -> None:
    """Import a MUSE dictionary."""
    from csr.induction import dictionaries

    if Path(arguments.path).is_dir() and not (arguments.source_lang and arguments.target_lang):
        raise ConfigError(f"{arguments.path}: a folder needs --source-lang and --target-lang")
    lexicon, files = dictionaries.muse(arguments.path, arguments.source_lang, arguments.target_lang)
    record = Record(deduced_kind(lexicon), (arguments.source_lang, arguments.target_lang))
    lexicon = _truecased(lexicon, arguments, record)
    options = _options(arguments, "source_lang", "target_lang", "truecase_src", "truecase_tgt")
    _write(lexicon, arguments.out, "muse", files, options, record)


def _register_import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="FILE", help="the table")
    parser.add_argument(
        "--format",
        choices=("tsv", "fast_align", "moses", "muse"),
        default="tsv",
        help="tsv: source, target and, if there is one, weight; fast_align: what its -p writes (log probabilities); "
        "moses: lex.e2f or lex.f2e (target, source, probability); muse: source and target (default: %(default)s)",
    )
    _truecasing(parser)
    _out(parser)
    parser.set_defaults(run=import_)


def import_(arguments: argparse.Namespace) -> None:
    """Import a table of another tool."""
    from csr.induction.dictionaries import FORMATS

    lexicon = FORMATS[arguments.format](arguments.path)
    record = Record("dictionary" if arguments.format == "muse" else "probabilities")
    if arguments.format == "tsv":
        record = _record(arguments.path, lexicon)
    lexicon = _truecased(lexicon, arguments, record)
    options = _options(arguments, "format", "truecase_src", "truecase_tgt")
    _write(lexicon, arguments.out, arguments.format, [arguments.path], options, record)


def _register_stats(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("lexicon", metavar="LEXICON", help="the lexicon")
    _judging(parser)
    parser.add_argument("--picture", metavar="FILE", help="coverage and precision by frequency, .svg, .png or .pdf")
    parser.set_defaults(run=stats)


def stats(arguments: argparse.Namespace) -> None:
    """Print the statistics of one lexicon."""
    report = _judged(arguments, arguments.lexicon)
    if arguments.picture:
        quality.picture(report, arguments.picture)
    _print({arguments.lexicon: report}, report, arguments.json)
    if not arguments.json:
        print(f"\n{len(report['sample'])} entries drawn at random:\n{quality.samples(report)}")


def _register_compare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("lexicons", metavar="LEXICON", nargs="+", help="the lexicons")
    _judging(parser)
    parser.set_defaults(run=compare)


def compare(arguments: argparse.Namespace) -> None:
    """Print the statistics of several lexicons."""
    reports = {path: _judged(arguments, path) for path in arguments.lexicons}
    _print(reports, reports, arguments.json)


def _judging(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--src", metavar="FILE", help="text in the source language: coverage")
    add(
        "--tgt",
        metavar="FILE",
        help="its translation, aligned line by line, better not what the lexicon was made from: co-occurrence "
        "precision, the share of source tokens with an entry whose best 1, 5 or 10 candidates meet a word opposite",
    )
    add_languages(parser)
    add("--gold", metavar="DICT", help="dictionary: precision@1, 5 and 10 over the gold words that have an entry")
    add("--json", action="store_true", help="print JSON, shares from 0 to 1")


def _judged(arguments: argparse.Namespace, path: str) -> dict[str, Any]:
    from csr.induction.dictionaries import read_gold

    if arguments.tgt and not arguments.src:
        raise ConfigError("--tgt needs --src")
    languages = arguments.source_lang, arguments.target_lang
    return quality.stats(
        read_lexicon(path),
        bitext=quality.read_bitext(arguments.src, arguments.tgt, *languages) if arguments.tgt else None,
        text=quality.read_text(arguments.src, arguments.source_lang) if arguments.src else None,
        gold=read_gold(arguments.gold) if arguments.gold else None,
    )


def _print(reports: Mapping[str, Any], as_json: Any, json_wanted: bool) -> None:
    print(json.dumps(as_json, ensure_ascii=False, indent=2) if json_wanted else quality.table(reports))


def _register_transform(parser: argparse.ArgumentParser) -> None:
    parser.description = "What is asked for happens in the order of the options below. Weights stay as they are."
    add = parser.add_argument
    add("lexicon", metavar="LEXICON", help="the lexicon")
    _out(parser)
    add("--invert", action="store_true", help="swap the sides; the options below see the new ones")
    add(
        "--frequencies",
        metavar="FILE",
        help="text in the language that the words were in before --invert: turns probabilities by Bayes' rule",
    )
    add("--src-vocabulary", metavar="FILE", help="keep source words that occur in this text")
    add("--tgt-vocabulary", metavar="FILE", help="keep candidates that occur in this text")
    add("--min-weight", type=positive_number, default=0.0, metavar="W", help="drop candidates below (the papers: 0.02)")
    add(
        "--min-length",
        type=positive,
        default=1,
        metavar="N",
        help="drop source words of fewer characters (the papers: 4)",
    )
    add("--src-stop-words", metavar="LANG|FILE", help="drop these source words: a language code or a file, one a line")
    add("--tgt-stop-words", metavar="LANG|FILE", help="drop these candidates")
    add("--top", type=positive, metavar="K", help="keep the K best candidates of each word")
    _truecasing(parser)
    parser.set_defaults(run=transform)


def transform(arguments: argparse.Namespace) -> None:
    """Edit a lexicon."""
    from csr.text.stopwords import stop_words

    lexicon = read_lexicon(arguments.lexicon)
    record = _record(arguments.lexicon, lexicon)
    if arguments.frequencies and not (arguments.invert and record.kind == "probabilities"):
        raise ConfigError("--frequencies: expected with --invert and a lexicon of probabilities alone")
    if arguments.invert:
        if record.kind == "probabilities" and not arguments.frequencies:
            raise ConfigError(
                f"{arguments.lexicon}: holds probabilities, which go one way: expected --frequencies with text in the "
                "language of its words"
            )
        frequencies = None
        if arguments.frequencies:
            texts = quality.read_text(arguments.frequencies, record.languages[0])
            frequencies = Counter(word for words in texts for word in words)
        lexicon, record = lexicon.inverted(frequencies), record.reversed
    vocabularies = [
        path and {word for words in quality.read_text(path) for word in words}
        for path in (arguments.src_vocabulary, arguments.tgt_vocabulary)
    ]
    lexicon = lexicon.restricted(*vocabularies).filtered(
        arguments.min_weight,
        arguments.min_length,
        *(stop_words(name) if name else () for name in (arguments.src_stop_words, arguments.tgt_stop_words)),
    )
    if arguments.top:
        lexicon = lexicon.top(arguments.top)
    lexicon = _truecased(lexicon, arguments, record)
    if not lexicon:
        raise ConfigError(f"{arguments.lexicon}: nothing is left")
    names = (
        "invert",
        "frequencies",
        "src_vocabulary",
        "tgt_vocabulary",
        "min_weight",
        "min_length",
        "src_stop_words",
        "tgt_stop_words",
        "truecase_src",
        "truecase_tgt",
    )
    _write(lexicon, arguments.out, "transform", [arguments.lexicon], _options(arguments, *names, "top"), record)


def _register_placebo(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Exchange candidates for others of about the same frequency, one for one over the whole lexicon: a control "
        "that switches the same words, as often, by words of the same language that translate nothing."
    )
    add = parser.add_argument
    add("lexicon", metavar="LEXICON", help="the lexicon")
    _out(parser)
    add("--seed", type=int, default=1, metavar="N", help="seed of the exchange (default: %(default)s)")
    add(
        "--text",
        metavar="FILE",
        help="text in the candidates' language, for their frequencies (default: their weights in the lexicon)",
    )
    add(
        "--tgt-stop-words",
        metavar="LANG|FILE",
        help="stop words are exchanged among themselves (default: of the lexicon's own language, if it is known)",
    )
    parser.set_defaults(run=placebo)


def placebo(arguments: argparse.Namespace) -> None:
    """Make a placebo of a lexicon."""
    from csr.induction import placebo as exchange
    from csr.text.stopwords import has_list, stop_words

    lexicon = read_lexicon(arguments.lexicon)
    record = _record(arguments.lexicon, lexicon)
    language = record.languages[1]
    stops = arguments.tgt_stop_words or (language and base(language))
    if not arguments.tgt_stop_words and not (stops and has_list(stops)):
        stops = None
    frequencies = None
    if arguments.text:
        frequencies = Counter(word for words in quality.read_text(arguments.text, language) for word in words)
    made = exchange.placebo(lexicon, arguments.seed, frequencies, stop_words(stops) if stops else ())
    options = _options(arguments, "seed", "text") | {"tgt_stop_words": stops}
    _write(made, arguments.out, "placebo", [arguments.lexicon], options, record)


def _register_merge(parser: argparse.ArgumentParser) -> None:
    parser.description = "The weight of a candidate is sum_i factor_i p_i(candidate | word)."
    parser.add_argument("lexicons", metavar="LEXICON", nargs="+", help="the lexicons")
    parser.add_argument("--factors", metavar="F", type=positive_number, nargs="+", help="one for each (default: 1)")
    _out(parser)
    parser.set_defaults(run=merge)


def merge(arguments: argparse.Namespace) -> None:
    """Mix lexicons."""
    factors = arguments.factors or [1.0] * len(arguments.lexicons)
    if len(factors) != len(arguments.lexicons):
        raise ConfigError(f"--factors: expected {len(arguments.lexicons)}, one for each lexicon, found {len(factors)}")
    lexicons = zip(map(read_lexicon, arguments.lexicons), factors, strict=True)
    record = Record("probabilities", read_record(arguments.lexicons[0]).languages)
    _write(Lexicon.merged(lexicons), arguments.out, "merge", arguments.lexicons, {"factors": factors}, record)


def _register_pivot(parser: argparse.ArgumentParser) -> None:
    parser.description = "p(z | x) = sum_y p(z | y) p(y | x)"
    parser.add_argument("first", metavar="X-Y", help="lexicon into the language between")
    parser.add_argument("second", metavar="Y-Z", help="lexicon out of it")
    _out(parser)
    parser.set_defaults(run=pivot)


def pivot(arguments: argparse.Namespace) -> None:
    """Join two lexicons."""
    from csr.induction.dictionaries import pivoted

    lexicon = pivoted(read_lexicon(arguments.first), read_lexicon(arguments.second))
    languages = read_record(arguments.first).languages[0], read_record(arguments.second).languages[1]
    inputs = [arguments.first, arguments.second]
    _write(lexicon, arguments.out, "pivot", inputs, {}, Record("probabilities", languages))


def _out(parser: argparse.ArgumentParser, what: str = "lexicon to write") -> None:
    parser.add_argument("--out", required=True, metavar="TSV", help=f"{what}; '-' is standard output")


def _truecasing(parser: argparse.ArgumentParser) -> None:
    for side, words in (("src", "source words"), ("tgt", "candidates")):
        parser.add_argument(
            f"--truecase-{side}",
            metavar="FILE",
            help=f"write {words} as this text does where no sentence starts, such as German nouns with a capital",
        )


def _truecased(lexicon: Lexicon, arguments: argparse.Namespace, record: Record) -> Lexicon:
    """Write a lexicon as the texts of ``_truecasing`` do; a word that they do not have stays as it is."""
    sides = zip((arguments.truecase_src, arguments.truecase_tgt), record.languages, strict=True)
    source, target = (running_forms_of(path, language) if path else {} for path, language in sides)
    return lexicon.rewritten(*(lambda word, forms=forms: forms.get(word.lower(), word) for forms in (source, target)))


def _options(arguments: argparse.Namespace, *names: str) -> dict[str, Any]:
    return {name: getattr(arguments, name) for name in names}


def _write(
    lexicon: Lexicon,
    out: str,
    source: str,
    inputs: Iterable[PathLike],
    options: Mapping[str, Any],
    record: Record,
    figures: Mapping[str, Any] | None = None,
) -> None:
    write_lexicon(lexicon, out)
    write_sidecar(
        out,
        source,
        inputs,
        options,
        {**quality.summary(lexicon), **(figures or {})},
        kind=record.kind or deduced_kind(lexicon),
        languages=record.languages,
    )


def _record(path: PathLike, lexicon: Lexicon) -> Record:
    """Return the kind and the languages of a lexicon that was read from ``path``."""
    record = read_record(path)
    return Record(record.kind or deduced_kind(lexicon), record.languages)
