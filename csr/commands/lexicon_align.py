"""``csr lexicon align``: lexicons and word alignments by an HMM, from parallel text."""

from __future__ import annotations

import argparse
import sys

from csr.commands.lexicon_files import add_bitext, options_of, running_forms, write
from csr.commands.options import positive, positive_number
from csr.errors import ConfigError
from csr.files import write_json
from csr.induction.links import HEURISTICS, write_links
from csr.lexicon_record import Record, sidecar

OPTIONS = (
    "iterations", "alpha", "min_cooccurrence", "min_weight", "tokenized", "source_lang", "target_lang", "independent",
    "symmetrize",
)  # fmt: skip


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``csr lexicon align``."""
    parser = subparsers.add_parser(
        "align",
        help="an HMM word alignment of parallel text: better than ibm1, about three times as long",
        description="Align the words of parallel text by IBM Model 1 and an HMM (Vogel et al. 1996) whose directions "
        "train each other (Liang et al. 2006). A weight is the share of a word's links that go to one translation.",
        epilog="Example: csr lexicon align --src train.de --tgt train.en --out de-en.tsv --links de-en.links",
    )
    add = parser.add_argument
    add_bitext(parser)
    add("--out", metavar="TSV", help="lexicon from source to target; '-' is standard output")
    add("--reverse-out", metavar="TSV", help="lexicon from target to source")
    add(
        "--links",
        metavar="FILE",
        help="the alignment of each line: i-j for the source word i and the target word j, from 0 (Pharaoh format); "
        "words as csr cuts them, without punctuation, unless --tokenized",
    )
    add(
        "--symmetrize",
        choices=HEURISTICS,
        default=HEURISTICS[0],
        help="which links to write: posterior takes those whose posteriors in the two directions have a geometric mean "
        "of at least 0.3, the others join those of at least 0.5 in either direction (default: %(default)s)",
    )
    add(
        "--iterations",
        type=positive,
        default=5,
        metavar="N",
        help="EM iterations of Model 1, and then of the HMM (default: %(default)s)",
    )
    add(
        "--alpha",
        type=positive_number,
        default=0.001,
        metavar="A",
        help="Dirichlet prior of every row (default: %(default)s)",
    )
    add("--independent", action="store_true", help="train each direction by itself")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Align the text, write the lexicons and the links."""
    from csr.induction.aligner import Aligner
    from csr.induction.bitext import read_bitext

    outputs = [path for path in (arguments.out, arguments.reverse_out, arguments.links) if path]
    if not outputs:
        raise ConfigError("expected --out, --reverse-out or --links, found none: there is nothing to write")
    if len(set(outputs)) < len(outputs):
        raise ConfigError(f"--out, --reverse-out and --links: expected different files, found {outputs}")
    languages = arguments.source_lang, arguments.target_lang
    bitext = read_bitext(arguments.src, arguments.tgt, arguments.tokenized, *languages)
    aligner = Aligner(bitext, arguments.min_cooccurrence, arguments.alpha, not arguments.independent)
    log_likelihoods = aligner.fit(arguments.iterations)
    for number, log_likelihood in enumerate(log_likelihoods):
        name, iteration = ("HMM", "Model 1")[number < arguments.iterations], number % arguments.iterations + 1
        print(f"{name}, iteration {iteration}: log-likelihood {log_likelihood:.8g}", file=sys.stderr)

    corpus = {"pairs": len(bitext), "pairs_left_out": bitext.n_dropped, "log_likelihoods": log_likelihoods}
    options = options_of(arguments, *OPTIONS)
    inputs = [arguments.src, arguments.tgt]
    record = Record("probabilities", languages)
    if arguments.out or arguments.reverse_out:
        forms = running_forms(arguments)
        there, back = aligner.lexicons(arguments.min_weight)
        directions = (
            (there, arguments.out, "target | source", record, forms),
            (back, arguments.reverse_out, "source | target", record.reversed, forms[::-1]),
        )
        for lexicon, out, direction, of, cased in directions:
            if out:
                made = {"direction": direction, **options}
                write(lexicon.truecased(*cased), out, "align", inputs, made, of, corpus)
    if arguments.links:
        links = aligner.links(arguments.symmetrize)
        write_links(arguments.links, links, bitext.lines.tolist(), bitext.n_lines)
        write_json(sidecar(arguments.links), {"source": "align", "options": options, "quality": corpus})
