"""``csr mixture``: monolingual text made ready for pretraining."""

from __future__ import annotations

import argparse
import os

from csr.commands.options import positive


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``csr mixture``."""
    parser = subparsers.add_parser("mixture")
    parser.description = (
        "Files are UTF-8, plain, .gz, .xz or .zst: a document a line or, if .json or .jsonl is in the name, JSON lines "
        "with a text (mC4). DIR gets text/, spm.model and spm.vocab or tokenizer.json, bin/ for fairseq-train "
        "--task csr_masked_lm, and, when all is done, mixture.json."
    )
    parser.epilog = "Example: csr mixture --text en 1GB c4-en.*.json.gz --text sw 100MB c4-sw.*.json.gz --out DIR"
    add = parser.add_argument
    add(
        "--text",
        action="append",
        nargs="+",
        required=True,
        metavar="X",
        help="language code, bytes to sample (500kB, 100MB, 1GB, all) and files; once for each language",
    )
    add("--out", required=True, metavar="DIR", help="folder to fill")
    add("--held-out", default="1MB", metavar="BYTES", help="of each language, for validation (default: %(default)s)")
    add("--seed", type=int, default=1, help="seed of the sample (default: %(default)s)")
    add(
        "--deduplicate",
        choices=("document", "line"),
        default="document",
        help="drop documents that were read before, or lines (default: %(default)s)",
    )
    add("--pieces", type=positive, default=30_000, metavar="N", help="size of the vocabulary (default: %(default)s)")
    add(
        "--vocabulary-bytes",
        default="10MB",
        metavar="BYTES",
        help="of each language, to train the vocabulary on (default: %(default)s)",
    )
    add("--wordpiece", action="store_true", help="make a cased WordPiece vocabulary, as BERT's, not SentencePiece's")
    add(
        "--sentencepiece-model",
        metavar="FILE",
        help="a backbone's, instead of training one; may be tokenizer.json, as csr import-hf writes it for mBERT",
    )
    add("--dict", metavar="FILE", help="the backbone's fairseq dictionary (default: the model's pieces in their order)")
    workers = len(os.sched_getaffinity(0))
    add("--workers", type=positive, default=workers, metavar="N", help="processes (default: the cores, %(default)s)")
    parser.set_defaults(run=mixture)


def mixture(arguments: argparse.Namespace) -> None:
    """Make the mixture."""
    from csr.data.mixture import mixture, parse_bytes
    from csr.data.sampling import Source
    from csr.errors import ConfigError

    sources = []
    for language, *rest in arguments.text:
        if len(rest) < 2:
            raise ConfigError(f"--text {' '.join([language, *rest])}: expected a language, bytes and files")
        sources.append(Source(language, None if rest[0] == "all" else parse_bytes(rest[0]), rest[1:]))
    record = mixture(
        sources,
        arguments.out,
        held_out=parse_bytes(arguments.held_out),
        seed=arguments.seed,
        by_line=arguments.deduplicate == "line",
        pieces=arguments.pieces,
        vocabulary_bytes=parse_bytes(arguments.vocabulary_bytes),
        wordpiece=arguments.wordpiece,
        sentencepiece_model=arguments.sentencepiece_model,
        dictionary=arguments.dict,
        workers=arguments.workers,
    )
    tokens = ", ".join(f"{counts['train']:,} {language}" for language, counts in record["tokens"].items())
    print(f"{arguments.out}: {tokens} tokens, {record['dictionary_size']:,} dictionary entries")
