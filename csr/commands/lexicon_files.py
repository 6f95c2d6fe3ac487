"""What the commands that make or edit lexicons share: writing one with its record, in the case of running text."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from csr.commands.options import add_languages, positive, positive_number
from csr.files import PathLike
from csr.induction import quality
from csr.lexicon import Lexicon, deduced_kind, write_lexicon
from csr.lexicon_record import Record, read_record, write_sidecar
from csr.text.forms import Case, folded, title
from csr.text.truecase import capital_nouns, running_forms_of


def add_truecasing(parser: argparse.ArgumentParser) -> None:
    """Add ``--truecase-src`` and ``--truecase-tgt``."""
    for side, words in (("src", "source words"), ("tgt", "candidates")):
        parser.add_argument(
            f"--truecase-{side}",
            metavar="FILE",
            nargs="+",
            help=f"write {words} as these texts do where no sentence starts, such as German nouns with a capital",
        )


def truecased(lexicon: Lexicon, arguments: argparse.Namespace, record: Record) -> Lexicon:
    """Write a lexicon as the texts of ``add_truecasing`` do; a word that they do not have stays as it is.

    But for words to be looked up, of a language that writes nouns with a capital: what its text lacks is a noun more
    often than not, and the capital of ``Hut`` says nothing of ``hat``.
    """
    source, target = record.languages
    words = _as_written(arguments.truecase_src, source, title if capital_nouns(source) else None)
    return lexicon.rewritten(words, _as_written(arguments.truecase_tgt, target))


def _as_written(
    paths: Sequence[PathLike] | None, language: str | None, unknown: Case | None = None
) -> Callable[[str], str]:
    """The form of a word in running text; what the texts lack is written as it is or, given a case, in that."""
    if not paths:
        return lambda word: word
    forms = running_forms_of(paths, language)

    def form(word: str) -> str:
        return forms.get(folded(word, language)) or (unknown(word, language) if unknown else word)

    return form


def add_bitext(parser: argparse.ArgumentParser) -> None:
    """Add the parallel text that a lexicon is learned from, how it is cut, and how rare words and pairs may be."""
    add = parser.add_argument
    add("--src", required=True, metavar="FILE", help="source side of the parallel text, one sentence a line")
    add("--tgt", required=True, metavar="FILE", help="target side, aligned with --src line by line")
    add(
        "--min-cooccurrence",
        type=positive,
        default=1,
        metavar="N",
        help="leave out two words that stand opposite each other fewer than N times, unless one of them is that rare; "
        "saves memory (default: %(default)s)",
    )
    add(
        "--min-weight",
        type=positive_number,
        default=0.001,
        metavar="P",
        help="smallest probability to write (default: %(default)s)",
    )
    add_languages(parser)
    add(
        "--tokenized",
        action="store_true",
        help="cut at spaces and tabs alone, as it stands (default: words, lower-cased)",
    )


def running_forms(arguments: argparse.Namespace) -> list[dict[str, str]]:
    """How the words of each side of ``add_bitext`` stand in running text; nothing of text that is cut as it stands."""
    if arguments.tokenized:
        return [{}, {}]
    sides = (arguments.src, arguments.source_lang), (arguments.tgt, arguments.target_lang)
    return [running_forms_of([path], language) for path, language in sides]


def add_out(parser: argparse.ArgumentParser, what: str = "lexicon to write") -> None:
    """Add ``--out``."""
    parser.add_argument("--out", required=True, metavar="TSV", help=f"{what}; '-' is standard output")


def options_of(arguments: argparse.Namespace, *names: str) -> dict[str, Any]:
    """Options by name, as the record of a lexicon keeps them."""
    return {name: getattr(arguments, name) for name in names}


def write(
    lexicon: Lexicon,
    out: str,
    source: str,
    inputs: Iterable[PathLike],
    options: Mapping[str, Any],
    record: Record,
    figures: Mapping[str, Any] | None = None,
) -> None:
    """Write a lexicon and its record, with its size and ``figures``."""
    write_lexicon(lexicon, out)
    write_sidecar(
        out,
        source,
        inputs,
        options,
        {**quality.summary(lexicon), **(figures or {})},
        kind=record.kind or deduced_kind(lexicon),
        languages=record.languages,
    )


def record_of(path: PathLike, lexicon: Lexicon) -> Record:
    """The kind and the languages of a lexicon that was read from ``path``."""
    record = read_record(path)
    return Record(record.kind or deduced_kind(lexicon), record.languages)
