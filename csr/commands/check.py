"""``csr check``: whether texts and dictionaries are what they are said to be."""

from __future__ import annotations

import argparse
from pathlib import Path

from csr.commands.options import by_name, named
from csr.errors import ConfigError


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``csr check``."""
    parser = subparsers.add_parser("check", help="check monolingual texts and dictionaries before training with them")
    parser.description = (
        "Tell whether each text is in its language and without sentences of the test set, and whether each dictionary "
        "goes in its direction. A text's language is told by the words of --known texts and, where it is installed, by "
        "py3langid; test sentences by their letters and digits, whatever their case."
    )
    add = parser.add_argument
    for name, metavar, what in (
        ("text", "LANG=FILE", "text to check"),
        ("test", "LANG=FILE", "test sentences that it must not have"),
        ("known", "LANG=FILE", "text that is known to be in this language, such as a side of the training pairs"),
        ("lexicon", "SRC-TGT=FILE", "dictionary to check: source<TAB>target, with weights or without"),
    ):
        add(f"--{name}", action="append", default=[], metavar=metavar, help=f"{what}; may be given several times")
    add("--allow-overlap", action="store_true", help="count test sentences in the texts, and go on")
    add("--out", metavar="FILE", help="JSON with what was found")
    parser.set_defaults(run=check)


def check(arguments: argparse.Namespace) -> None:
    """Check texts and dictionaries."""
    from csr.data.texts import sentence_keys
    from csr.evaluation import assets
    from csr.files import write_json

    known = by_name("--known", arguments.known)
    texts = [(language, Path(path)) for language, path in (named("--text", text) for text in arguments.text)]
    lexicons = []
    for text in arguments.lexicon:
        languages, path = named("--lexicon", text, "SRC-TGT=FILE")
        source, _, target = languages.partition("-")
        for language in (source, target):
            if language not in known:
                raise ConfigError(f"--lexicon {languages}: expected a --known text in {language or 'both'}, found none")
        lexicons.append(((source, target), Path(path)))
    tests = {language: sentence_keys(files) for language, files in by_name("--test", arguments.test).items()}
    found = assets.check(texts, lexicons, known, tests, arguments.allow_overlap)
    if arguments.out:
        write_json(arguments.out, found)
    for one in found["texts"]:
        shares = ", ".join(
            f"{share:.0%} of its words known in {lang}" for lang, share in one.get("words_known", {}).items()
        )
        print(
            f"{one['file']}: {one['language']}, {one['test_sentences']:,} test sentences" + (shares and f"; {shares}")
        )
    for one in found["lexicons"]:
        said = assets.described_coverage(one["languages"], **one["coverage"])
        print(f"{one['file']}: {'-'.join(one['languages'])}, {said}")
