"""``csr sample`` and ``csr prepare``: text to start from, and text made ready for training."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from csr.backbone.presets import PRESETS
from csr.commands.options import positive
from csr.errors import ConfigError


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``csr sample`` and ``csr prepare``."""
    _register_sample(subparsers.add_parser("sample"))
    _register_prepare(subparsers.add_parser("prepare"))


def _register_sample(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Write a small corpus of two invented languages, qaa and qab: train, dev and test text without common "
        "sentences, and the lexicon that the text follows; with --unpaired, text without a pair and a dictionary too. "
        "The same seed gives the same files."
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for {train,dev,test}.{qaa,qab} and lexicon")
    parser.add_argument("--seed", type=int, default=1, help="seed of words and sentences (default: %(default)s)")
    parser.add_argument("--pairs", type=positive, default=8000, help="training pairs (default: %(default)s)")
    parser.add_argument(
        "--unpaired",
        type=positive,
        default=0,
        metavar="N",
        help="lines of each language without a pair, for mono.{qaa,qab}, and dictionary.qaa-qab.txt (default: none)",
    )
    parser.set_defaults(run=sample)


def _register_prepare(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Files may be plain, .gz or .xz, UTF-8, one sentence a line. DIR gets text/, spm.model, spm.vocab, dict.txt, "
        "bin/ for fairseq-train, and, when all is done, prepare.json."
    )
    add = parser.add_argument
    add("--src", required=True, metavar="FILE", help="source side of the training text")
    add("--tgt", required=True, metavar="FILE", help="target side of the training text")
    add("--source-lang", required=True, metavar="CODE", help="code of the source language, such as de or de_DE")
    add("--target-lang", required=True, metavar="CODE", help="code of the target language")
    add("--out", required=True, metavar="DIR", help="folder to fill")
    for name in ("dev", "test"):
        add(f"--{name}-src", metavar="FILE", help=f"source side of the {name} text (default: held out from training)")
        add(f"--{name}-tgt", metavar="FILE", help=f"target side of the {name} text")
        add(f"--{name}-size", type=positive, default=1000, metavar="N", help="pairs to hold out (default: %(default)s)")
    add("--pieces", type=positive, default=8000, metavar="N", help="size of the vocabulary (default: %(default)s)")
    add("--max-words", type=positive, default=250, metavar="N", help="longest side, in words (default: %(default)s)")
    add(
        "--max-ratio",
        type=float,
        default=9.0,
        metavar="R",
        help="longer side / shorter, in words (default: %(default)s)",
    )
    known = parser.add_mutually_exclusive_group()
    known.add_argument("--langs", metavar="CODES", help="language codes the backbone knows, with commas between them")
    known.add_argument("--preset", choices=PRESETS, help="the backbone is mBART-cc25 or mBART-50, published or trimmed")
    add("--sentencepiece-model", metavar="FILE", help="the backbone's, instead of training one")
    add("--dict", metavar="FILE", help="the backbone's fairseq dictionary, to go with its SentencePiece model")
    add(
        "--no-word-boundaries",
        dest="word_boundaries",
        action="store_false",
        help="do not write where words are; words are then found at spaces, which zh, ja, th, km, lo, my and vi "
        "do not show",
    )
    parser.set_defaults(run=prepare)


def sample(arguments: argparse.Namespace) -> None:
    """Write the embedded corpus."""
    from csr.data.sample import write_sample

    sizes = write_sample(arguments.out, arguments.seed, arguments.pairs, n_unpaired=arguments.unpaired)
    unpaired = sizes.pop("mono", 0)
    pairs = ", ".join(f"{size:,} {name}" for name, size in sizes.items()) + " pairs"
    print(f"{arguments.out}: {pairs}" + (f", {unpaired:,} lines of each language without one" if unpaired else ""))


def prepare(arguments: argparse.Namespace) -> None:
    """Prepare a parallel corpus."""
    from csr.data.prepare import prepare

    record = prepare(
        (arguments.src, arguments.tgt),
        (arguments.source_lang, arguments.target_lang),
        arguments.out,
        dev=_both(arguments.dev_src, arguments.dev_tgt, "dev"),
        test=_both(arguments.test_src, arguments.test_tgt, "test"),
        dev_size=arguments.dev_size,
        test_size=arguments.test_size,
        pieces=arguments.pieces,
        max_words=arguments.max_words,
        max_ratio=arguments.max_ratio,
        langs=_languages(arguments),
        sentencepiece_model=arguments.sentencepiece_model,
        dictionary=arguments.dict,
        word_boundaries=arguments.word_boundaries,
    )
    pairs = ", ".join(f"{n:,} {name}" for name, n in record["pairs"].items())
    print(f"{arguments.out}: {pairs} pairs, {record['dictionary_size']:,} dictionary entries")


def _languages(arguments: argparse.Namespace) -> Sequence[str]:
    if arguments.preset:
        return PRESETS[arguments.preset].languages
    return arguments.langs.split(",") if arguments.langs else ()


def _both(src: str | None, tgt: str | None, name: str) -> tuple[str, str] | None:
    if src and tgt:
        return src, tgt
    if src or tgt:
        raise ConfigError(
            f"--{name}-{'tgt' if src else 'src'}: expected with --{name}-{'src' if src else 'tgt'}, not given"
        )
    return None
