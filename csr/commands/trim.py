"""``csr trim``: a backbone with the pieces that a text and its lexicons need."""

from __future__ import annotations

import argparse

from csr.errors import ConfigError
from csr.options import add_options, read_options
from csr.switching.settings import Noise


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``csr trim``."""
    parser = subparsers.add_parser("trim")
    parser.description = (
        "Write a smaller backbone: its dictionary, model of pieces and embeddings without the pieces that neither the "
        "texts nor the lexicons can produce. Special symbols, languages, <mask> and single characters stay. DIR gets "
        "trim.json, which says what was kept, what is lost and what an update saves."
    )
    add = parser.add_argument
    add(
        "backbone",
        metavar="BACKBONE",
        help="folder with model.pt, dict.txt and sentence.bpe.model or tokenizer.json, as csr import-hf writes it, or "
        "of Hugging Face; mBART or an encoder",
    )
    add("out", metavar="DIR", help="new folder, of the same kind")
    add(
        "--text",
        nargs="+",
        required=True,
        metavar="FILE",
        help="texts of either language or labelled tables, plain, .gz or .xz",
    )
    add("--lexicon", nargs="+", default=[], metavar="FILE", help="source-to-target lexicons, as for csr_restore")
    add(
        "--reverse-lexicon",
        nargs="+",
        default=[],
        metavar="FILE",
        help="target-to-source lexicons (default: --lexicon with its sides swapped)",
    )
    add_options(parser, Noise(), ("top_k",))
    add(
        "--min-count",
        type=int,
        default=1,
        metavar="N",
        help="how often a piece must occur in the texts; pieces of the lexicons always stay (default: %(default)s)",
    )
    add("--held-out", nargs="+", default=[], metavar="FILE", help="texts only to say how many of their tokens change")
    parser.set_defaults(run=trim)


def trim(arguments: argparse.Namespace) -> None:
    """Trim a backbone and say what is lost."""
    from csr.backbone.trim import Use, trim

    if arguments.reverse_lexicon and not arguments.lexicon:
        raise ConfigError("--reverse-lexicon: expected beside --lexicon, found alone")
    if arguments.min_count < 1:
        raise ConfigError(f"--min-count: expected at least 1, found {arguments.min_count}")
    top_k = read_options(arguments, Noise(), ("top_k",)).top_k
    use = Use(arguments.text, arguments.lexicon, arguments.reverse_lexicon, top_k, arguments.min_count)
    record = trim(arguments.backbone, arguments.out, use, arguments.held_out)
    pieces, rows, parameters = record["pieces"], record["rows"], record["parameters"]
    print(
        f"pieces: {pieces['after']:,} of {pieces['before']:,} ({pieces['always kept']:,} always kept, "
        f"{pieces['in the texts']:,} in the texts, {pieces['switched in']:,} switched in)"
    )
    print(f"embeddings: {rows['after']:,} of {rows['before']:,}")
    print(f"parameters: {parameters['after']:,} of {parameters['before']:,}")
    update = record["update"]
    memory, operations = update["memory"], update["operations"]
    print(
        f"an update in fp32, {update['sentences']} sentences of {update['length']} pieces, as csr estimate counts: "
        f"{memory['after'] / 2**30:.2f} of {memory['before'] / 2**30:.2f} GiB, "
        f"{operations['after'] / 1e12:.2f} of {operations['before'] / 1e12:.2f} trillion additions and multiplications"
    )
    for change in record.get("changes", ()):
        print(change)
    for path, tokens in record["tokens"].items():
        share = tokens["changed"] / max(1, tokens["all"])
        print(f"{path}: {tokens['changed']:,} of {tokens['all']:,} tokens change ({share:.2%})")
