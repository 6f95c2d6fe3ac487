"""``csr lexicon vecmap``: lexicons from two texts, through word embeddings mapped into one space."""

from __future__ import annotations

import argparse
import sys

from csr.commands.options import add_languages, positive
from csr.errors import ConfigError
from csr.induction import quality
from csr.lexicon import read_lexicon, write_lexicon
from csr.lexicon_record import write_sidecar
from csr.text.truecase import running_forms_of

OPTIONS = (
    "source_lang", "target_lang", "dim", "window", "negative", "min_count",
    "epochs", "neighbors", "seed", "workers", "mapped", "device",
)  # fmt: skip


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``csr lexicon vecmap``."""
    parser = subparsers.add_parser(
        "vecmap",
        help="nearest neighbors of word embeddings, from two texts or from embeddings",
        description="Train word2vec on each text (or read embeddings), map both into one space (Artetxe et al., ACL "
        "2018) and list the nearest neighbors of each word by CSLS. The weight is exp(CSLS).",
        epilog="The same seed gives the same lexicon with --workers 1. Embeddings are word2vec "
        "text or binary, or fastText, gzipped or not.",
    )
    add = parser.add_argument
    add("--src", metavar="FILE", help="source text, one sentence a line; also scores the starts")
    add("--tgt", metavar="FILE", help="target text, aligned with --src line by line unless --not-parallel")
    add_languages(parser)
    add("--not-parallel", action="store_true", help="the lines of the two texts do not correspond")
    add("--out", required=True, metavar="TSV", help="lexicon from source to target")
    add("--reverse-out", metavar="TSV", help="lexicon from target to source")
    add(
        "--start",
        choices=("auto", "unsupervised", "identical", "numerals", "seed"),
        default="auto",
        help="the first dictionary: similar similarities to other words, words written alike, numbers, or "
        "--seed-dictionary; auto tries the first three and keeps the best (default: %(default)s)",
    )
    add("--seed-dictionary", metavar="TSV", help="source<TAB>target lines for --start seed")
    add("--dim", type=positive, default=300, metavar="N", help="length of a vector; 512 on large texts (default: 300)")
    add("--window", type=positive, default=10, metavar="N", help="context words on each side (default: %(default)s)")
    add(
        "--negative",
        type=positive,
        default=10,
        metavar="N",
        help="negative samples for each word (default: %(default)s)",
    )
    add("--min-count", type=positive, default=5, metavar="N", help="leave out rarer words (default: %(default)s)")
    add("--epochs", type=positive, default=10, metavar="N", help="passes over the text (default: %(default)s)")
    add("--neighbors", type=positive, default=10, metavar="K", help="candidates of each word (default: %(default)s)")
    add("--seed", type=int, default=1, metavar="N", help="seed of every draw (default: %(default)s)")
    add(
        "--workers", type=positive, default=1, metavar="N", help="word2vec threads for each text (default: %(default)s)"
    )
    add("--src-embeddings", metavar="FILE", help="use these vectors instead of training on --src")
    add("--tgt-embeddings", metavar="FILE", help="use these vectors instead of training on --tgt")
    add("--mapped", action="store_true", help="the embeddings are in one space already: only list neighbors")
    add("--device", default="cpu", help="cpu, or cuda for the similarities through torch (default: %(default)s)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Induce the lexicons, write them and print the scores of the starts."""
    from csr.induction.vecmap import induce_lexicon

    if (arguments.start == "seed") != bool(arguments.seed_dictionary):
        raise ConfigError("--start seed and --seed-dictionary go together")
    if arguments.mapped and not (arguments.src_embeddings and arguments.tgt_embeddings):
        raise ConfigError("--mapped needs --src-embeddings and --tgt-embeddings")
    start = "mapped" if arguments.mapped else arguments.start
    if start == "seed":
        seeds = read_lexicon(arguments.seed_dictionary).entries
        start = [(word, candidate) for word, candidates in seeds.items() for candidate in candidates]
    induced = induce_lexicon(
        arguments.src,
        arguments.tgt,
        arguments.src_embeddings,
        arguments.tgt_embeddings,
        parallel=not arguments.not_parallel,
        start=start,
        n_neighbors=arguments.neighbors,
        seed=arguments.seed,
        device=arguments.device,
        dim=arguments.dim,
        window=arguments.window,
        negative=arguments.negative,
        min_count=arguments.min_count,
        epochs=arguments.epochs,
        workers=arguments.workers,
        source_lang=arguments.source_lang,
        target_lang=arguments.target_lang,
    )
    inputs = [
        path
        for path in (
            arguments.src,
            arguments.tgt,
            arguments.src_embeddings,
            arguments.tgt_embeddings,
            arguments.seed_dictionary,
        )
        if path
    ]
    options = {"start": arguments.start} | {name: getattr(arguments, name) for name in OPTIONS}
    languages = arguments.source_lang, arguments.target_lang
    source, target = (
        running_forms_of([path], language) if path else {}
        for path, language in zip((arguments.src, arguments.tgt), languages, strict=True)
    )
    forward, reverse = induced.forward.truecased(source, target), induced.reverse.truecased(target, source)
    for lexicon, out in ((forward, arguments.out), (reverse, arguments.reverse_out)):
        if out:
            write_lexicon(lexicon, out)
            figures = {"start": induced.start, **induced.scores, "starts": induced.tried, "warning": induced.warning}
            write_sidecar(
                out,
                "vecmap",
                inputs,
                options,
                {**quality.summary(lexicon), **figures},
                kind="similarities",
                languages=languages if out == arguments.out else languages[::-1],
            )
    for name, scores in [*induced.tried.items(), (f"result, from {induced.start}", induced.scores)]:
        print(f"{name}: " + ", ".join(f"{key} {value:.4g}" for key, value in scores.items()), file=sys.stderr)
    if induced.warning:
        print(f"warning: {induced.warning}", file=sys.stderr)
