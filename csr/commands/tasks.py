"""``csr prepare-text``, ``prepare-nli`` and ``prepare-summaries``: data of tasks beyond translation."""

from __future__ import annotations

import argparse

from csr.commands.options import by_name, named, positive
from csr.errors import ConfigError


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands."""
    _register_text(subparsers.add_parser("prepare-text"))
    _register_nli(subparsers.add_parser("prepare-nli"))
    _register_summaries(subparsers.add_parser("prepare-summaries"))


def _register_text(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "DIR gets text/, spm.model, spm.vocab, dict.txt and bin/ for fairseq-train --task csr_restore --monolingual."
    )
    add = parser.add_argument
    add(
        "--text", required=True, action="append", metavar="LANG=FILE",
        help="a file, one sentence a line, plain or compressed; may be given several times, also for one language",
    )  # fmt: skip
    add("--out", required=True, metavar="DIR", help="folder to fill")
    add("--pieces", type=positive, default=8000, metavar="N", help="size of the vocabulary (default: %(default)s)")
    add("--max-words", type=positive, default=250, metavar="N", help="longest line, in words (default: %(default)s)")
    add("--valid-size", type=positive, default=500, metavar="N", help="lines to hold out (default: %(default)s)")
    add(
        "--lines", type=positive, metavar="N", help="lines of each language to train on, drawn by a hash (default: all)"
    )
    add(
        "--without", action="append", default=[], metavar="LANG=FILE",
        help="leave out the sentences of this file, such as a test set, whatever their case, spaces and punctuation; "
        "may be given several times",
    )  # fmt: skip
    _vocabulary(parser, required=False)
    parser.set_defaults(run=prepare_text)


def _register_nli(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Files as XNLI, MultiNLI, XTREME, XGLUE and AfriXNLI publish them, or premise, hypothesis and label with tabs "
        "between them. DIR gets text/, spm.model, dict.txt and bin/ for fairseq-train --task csr_nli."
    )
    add = parser.add_argument
    add("--train", required=True, metavar="FILE", help="pairs to train on")
    add("--dev", required=True, metavar="FILE", help="pairs to validate on, in the same language")
    add("--lang", required=True, metavar="CODE", help="language of both")
    add(
        "--test", action="append", default=[], metavar="LANG=FILE",
        help="pairs to test on; may be given several times, once for each language",
    )  # fmt: skip
    add("--out", required=True, metavar="DIR", help="folder to fill")
    add("--langs", metavar="CODES", help="language codes the backbone knows, with commas between them")
    _vocabulary(parser, required=True)
    parser.set_defaults(run=prepare_nli)


def _register_summaries(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Files are JSON lines with document, summary and perhaps source_lang and target_lang, or the text files of "
        "NCLS; plain or compressed. DIR gets what csr prepare makes, with </s> between the sentences of a document."
    )
    add = parser.add_argument
    add("--train", required=True, metavar="FILE", help="documents to train on")
    for name in ("dev", "test"):
        add(f"--{name}", metavar="FILE", help=f"documents for {name} (default: held out from train)")
        add(
            f"--{name}-size",
            type=positive,
            default=1000,
            metavar="N",
            help="documents to hold out (default: %(default)s)",
        )
    add("--source-lang", required=True, metavar="CODE", help="language of the documents")
    add("--target-lang", required=True, metavar="CODE", help="language of the summaries")
    add("--out", required=True, metavar="DIR", help="folder to fill")
    add("--document-words", type=positive, default=220, metavar="N", help="words to cut to (default: %(default)s)")
    add("--summary-words", type=positive, metavar="N", help="words to cut to (default: 130, Chinese 160)")
    add("--pieces", type=positive, default=8000, metavar="N", help="size of the vocabulary (default: %(default)s)")
    add("--langs", metavar="CODES", help="language codes the backbone knows, with commas between them")
    _vocabulary(parser, required=False)
    parser.set_defaults(run=prepare_summaries)


def _vocabulary(parser: argparse.ArgumentParser, required: bool) -> None:
    text = "the backbone's" if required else "the backbone's, instead of training one"
    parser.add_argument("--sentencepiece-model", required=required, metavar="FILE", help=text)
    parser.add_argument("--dict", required=required, metavar="FILE", help="the fairseq dictionary that goes with it")


def prepare_text(arguments: argparse.Namespace) -> None:
    """Prepare monolingual text."""
    from csr.data.texts import prepare_texts

    record = prepare_texts(
        by_name("--text", arguments.text),
        arguments.out,
        max_lines=arguments.lines,
        without=by_name("--without", arguments.without),
        pieces=arguments.pieces,
        valid_size=arguments.valid_size,
        max_words=arguments.max_words,
        sentencepiece_model=arguments.sentencepiece_model,
        dictionary=arguments.dict,
    )
    print(f"{arguments.out}: " + ", ".join(f"{n:,} {name}" for name, n in record["lines"].items()) + " lines")


def prepare_nli(arguments: argparse.Namespace) -> None:
    """Prepare inference data."""
    from csr.data.prepare_nli import prepare_nli

    tests = [named("--test", text) for text in arguments.test]
    if len(dict(tests)) < len(tests):
        raise ConfigError("--test: expected each language once")
    record = prepare_nli(
        arguments.train,
        arguments.dev,
        dict(tests),
        arguments.out,
        language=arguments.lang,
        sentencepiece_model=arguments.sentencepiece_model,
        dictionary=arguments.dict,
        langs=arguments.langs.split(",") if arguments.langs else (),
    )
    print(f"{arguments.out}: " + ", ".join(f"{n:,} {name}" for name, n in record["examples"].items()) + " pairs")


def prepare_summaries(arguments: argparse.Namespace) -> None:
    """Prepare documents with summaries."""
    from csr.data.summaries import prepare_summaries

    record = prepare_summaries(
        arguments.train,
        (arguments.source_lang, arguments.target_lang),
        arguments.out,
        dev=arguments.dev,
        test=arguments.test,
        dev_size=arguments.dev_size,
        test_size=arguments.test_size,
        document_words=arguments.document_words,
        summary_words=arguments.summary_words,
        pieces=arguments.pieces,
        langs=arguments.langs.split(",") if arguments.langs else (),
        sentencepiece_model=arguments.sentencepiece_model,
        dictionary=arguments.dict,
    )
    print(f"{arguments.out}: " + ", ".join(f"{n:,} {name}" for name, n in record["pairs"].items()) + " documents")
