"""``csr lexicon transform``, ``placebo``, ``merge`` and ``pivot``: lexicons made of others."""

from __future__ import annotations

import argparse
from collections import Counter

from csr.commands.lexicon_files import add_out, add_truecasing, options_of, record_of, truecased, write
from csr.commands.options import positive, positive_number
from csr.errors import ConfigError
from csr.induction import quality
from csr.lexicon import Lexicon, read_lexicon
from csr.lexicon_record import Record, read_record
from csr.text.languages import base


def register_transform(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``csr lexicon transform``."""
    parser.description = "What is asked for happens in the order of the options below. Weights stay as they are."
    add = parser.add_argument
    add("lexicon", metavar="LEXICON", help="the lexicon")
    add_out(parser)
    add("--invert", action="store_true", help="swap the sides; the options below see the new ones")
    add(
        "--frequencies",
        metavar="FILE",
        help="text in the language that the words were in before --invert: turns probabilities by Bayes' rule; other "
        "weights hold both ways",
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
    add_truecasing(parser)
    parser.set_defaults(run=transform)


def transform(arguments: argparse.Namespace) -> None:
    """Edit a lexicon."""
    from csr.text.stopwords import stop_words

    lexicon = read_lexicon(arguments.lexicon)
    record = record_of(arguments.lexicon, lexicon)
    if arguments.frequencies and not arguments.invert:
        raise ConfigError("--frequencies: expected with --invert alone")
    if arguments.invert:
        if record.kind == "probabilities" and not arguments.frequencies:
            raise ConfigError(
                f"{arguments.lexicon}: holds probabilities, which go one way: expected --frequencies with text in the "
                "language of its words"
            )
        frequencies = None
        if arguments.frequencies and record.kind == "probabilities":
            texts = quality.read_text(arguments.frequencies, record.languages[0])
            frequencies = Counter(word for words in texts for word in words)
        lexicon, record = lexicon.inverted(frequencies, record.languages[0]), record.reversed
    vocabularies = [
        path and {word for words in quality.read_text(path, language) for word in words}
        for path, language in zip((arguments.src_vocabulary, arguments.tgt_vocabulary), record.languages, strict=True)
    ]
    names = arguments.src_stop_words, arguments.tgt_stop_words
    stops = [stop_words(name) if name else frozenset() for name in names]
    lexicon = lexicon.restricted(vocabularies[0], vocabularies[1], record.languages)
    lexicon = lexicon.filtered(arguments.min_weight, arguments.min_length, stops[0], stops[1], record.languages)
    if arguments.top:
        lexicon = lexicon.top(arguments.top)
    lexicon = truecased(lexicon, arguments, record)
    if not lexicon:
        raise ConfigError(f"{arguments.lexicon}: nothing is left")
    options = (
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
    write(lexicon, arguments.out, "transform", [arguments.lexicon], options_of(arguments, *options, "top"), record)


def register_placebo(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``csr lexicon placebo``."""
    parser.description = (
        "Exchange candidates for others of about the same frequency, one for one over the whole lexicon: a control "
        "that switches the same words, as often, by words of the same language that translate nothing."
    )
    add = parser.add_argument
    add("lexicon", metavar="LEXICON", help="the lexicon")
    add_out(parser)
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

    # Switching leaves out words equal to their translation: exchanged, they would be switched.
    lexicon = read_lexicon(arguments.lexicon).without_identical()
    record = record_of(arguments.lexicon, lexicon)
    language = record.languages[1]
    stops = arguments.tgt_stop_words or (language and base(language))
    if not arguments.tgt_stop_words and not (stops and has_list(stops)):
        stops = None
    frequencies = None
    if arguments.text:
        frequencies = Counter(word for words in quality.read_text(arguments.text, language) for word in words)
    made = exchange.placebo(lexicon, arguments.seed, frequencies, stop_words(stops) if stops else (), language)
    options = options_of(arguments, "seed", "text") | {"tgt_stop_words": stops}
    write(made, arguments.out, "placebo", [arguments.lexicon], options, record)


def register_merge(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``csr lexicon merge``."""
    parser.description = "The weight of a candidate is sum_i factor_i p_i(candidate | word)."
    parser.add_argument("lexicons", metavar="LEXICON", nargs="+", help="the lexicons")
    parser.add_argument("--factors", metavar="F", type=positive_number, nargs="+", help="one for each (default: 1)")
    add_out(parser)
    parser.set_defaults(run=merge)


def merge(arguments: argparse.Namespace) -> None:
    """Mix lexicons."""
    factors = arguments.factors or [1.0] * len(arguments.lexicons)
    if len(factors) != len(arguments.lexicons):
        raise ConfigError(f"--factors: expected {len(arguments.lexicons)}, one for each lexicon, found {len(factors)}")
    lexicons = zip(map(read_lexicon, arguments.lexicons), factors, strict=True)
    record = Record("probabilities", read_record(arguments.lexicons[0]).languages)
    write(Lexicon.merged(lexicons), arguments.out, "merge", arguments.lexicons, {"factors": factors}, record)


def register_pivot(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``csr lexicon pivot``."""
    parser.description = "p(z | x) = sum_y p(z | y) p(y | x)"
    parser.add_argument("first", metavar="X-Y", help="lexicon into the language between")
    parser.add_argument("second", metavar="Y-Z", help="lexicon out of it")
    add_out(parser)
    parser.set_defaults(run=pivot)


def pivot(arguments: argparse.Namespace) -> None:
    """Join two lexicons."""
    from csr.induction.dictionaries import pivoted

    lexicon = pivoted(read_lexicon(arguments.first), read_lexicon(arguments.second))
    languages = read_record(arguments.first).languages[0], read_record(arguments.second).languages[1]
    inputs = [arguments.first, arguments.second]
    write(lexicon, arguments.out, "pivot", inputs, {}, Record("probabilities", languages))
