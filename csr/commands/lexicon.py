"""``csr lexicon``: make, judge and edit word-translation tables."""

from __future__ import annotations

import argparse


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``csr lexicon`` and its subcommands."""
    parser = subparsers.add_parser("lexicon", help="make, judge and edit lexicons", description=__doc__)
    sub = parser.add_subparsers(dest="subcommand", metavar="SUBCOMMAND", required=True)
    _register_stats(sub)


def _register_stats(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = sub.add_parser("stats", help="say how good a lexicon is")
    parser.add_argument("lexicon", metavar="LEXICON", help="source<TAB>target<TAB>weight")
    parser.add_argument("--src", metavar="FILE", help="source side of parallel text")
    parser.add_argument("--tgt", metavar="FILE", help="target side of parallel text")
    parser.set_defaults(run=stats)


def stats(arguments: argparse.Namespace) -> None:
    """Print the co-occurrence precision of a lexicon."""
    from csr import quality
    from csr.lexicon import read_lexicon

    bitext = quality.read_bitext(arguments.src, arguments.tgt)
    print(f"{quality.cooccurrence_precision(read_lexicon(arguments.lexicon), bitext):.4f}")
