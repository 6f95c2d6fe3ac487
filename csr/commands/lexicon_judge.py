"""``csr lexicon stats`` and ``compare``: how good lexicons are."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from typing import Any

from csr.commands.options import add_languages
from csr.errors import ConfigError
from csr.induction import quality
from csr.lexicon import read_lexicon
from csr.options import add_options, read_options
from csr.switching.candidates import Source
from csr.switching.settings import CANDIDATES, Noise


def register_stats(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``csr lexicon stats``."""
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


def register_compare(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``csr lexicon compare``."""
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
        "precision, the share of source tokens with an entry whose best 1, 5 or 10 candidates meet a word opposite; "
        "and what switching draws: how much may be switched, how often a draw stands opposite, how often it does by "
        "chance, and how often another word becomes a stop word",
    )
    add_languages(parser)
    add("--gold", metavar="DICT", help="dictionary: precision@1, 5 and 10 over the gold words that have an entry")
    add("--json", action="store_true", help="print JSON, shares from 0 to 1")
    add_options(parser.add_argument_group("what switching draws, with --tgt"), Noise(), CANDIDATES)


def _judged(arguments: argparse.Namespace, path: str) -> dict[str, Any]:
    from csr.induction.dictionaries import read_gold

    if arguments.tgt and not arguments.src:
        raise ConfigError("--tgt needs --src")
    languages = arguments.source_lang, arguments.target_lang
    found = quality.stats(
        read_lexicon(path).lowered(languages),
        bitext=quality.read_bitext(arguments.src, arguments.tgt, *languages) if arguments.tgt else None,
        text=quality.read_text(arguments.src, arguments.source_lang) if arguments.src else None,
        gold=read_gold(arguments.gold).lowered(languages) if arguments.gold else None,
    )
    if arguments.tgt:
        source = Source(path, languages)
        candidates = source.read(read_options(arguments, Noise(), CANDIDATES))
        bitext = quality.read_bitext(arguments.src, arguments.tgt, *languages)
        found["drawn"] = quality.drawn(candidates, bitext, source.stop_words())
        for doubt in quality.doubts(found["drawn"]):
            print(f"warning: {path}: {doubt}", file=sys.stderr)
    return found


def _print(reports: Mapping[str, Any], as_json: Any, json_wanted: bool) -> None:
    print(json.dumps(as_json, ensure_ascii=False, indent=2) if json_wanted else quality.table(reports))
