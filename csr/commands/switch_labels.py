"""``csr switch-labels``: labelled files with words switched, for other toolkits to train on."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from csr.commands.options import positive
from csr.options import add_options, read_options
from csr.switching.settings import LABELLED
from csr.text.words import SAMPLE, warn_of_no_spaces


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``csr switch-labels``."""
    parser = subparsers.add_parser("switch-labels")
    parser.description = (
        "Switch words of labelled text into other languages, as csr zero-shot finetune does on the fly: the draws are "
        "those of its training for the same seed, epoch and example (it cuts long sentences of entities into several). "
        "Labels stay with their words; a translation of several words becomes as many tokens inside the same entity. "
        "Tokens and tags are written with a tab between, pairs and texts as tables with a header, texts as JSON lines "
        "where --output ends in .jsonl."
    )
    add = parser.add_argument
    add("task", choices=("ner", "nli", "text"), help="what is labelled: tokens, sentence pairs, or texts")
    add(
        "--lexicon",
        nargs="+",
        required=True,
        metavar="TSV",
        help="out of the language of the text, source<TAB>target<TAB>weight; of several, each example draws one",
    )
    add("--language", metavar="CODE", help="language of the text: segmenter and stop words")
    add("--input", default="-", metavar="FILE", help="tokens and tags, pairs, or text<TAB>label (default: stdin)")
    add("--output", default="-", metavar="FILE", help="where to write (default: stdout)")
    add("--seed", type=int, default=1, help="seed of the draws (default: %(default)s)")
    add(
        "--epochs",
        type=positive,
        default=1,
        metavar="N",
        help="write the whole file so many times, each with words drawn anew (default: %(default)s)",
    )
    add_options(parser.add_argument_group("switching, as in training"), LABELLED)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Write the file switched; a summary goes to stderr."""
    from csr.data.switched import labelled_switcher

    settings = read_options(arguments, LABELLED)
    settings.expect_task(arguments.task)
    switcher = labelled_switcher(arguments.lexicon, settings, arguments.seed, arguments.language)
    names = {"ner": (), "nli": ("premise", "hypothesis"), "text": ("text",)}[arguments.task]
    rows, write = _read(arguments.task, arguments.input)
    n_changed = 0

    def texts_of(row: Any) -> Sequence[str]:
        return row.tokens if arguments.task == "ner" else [getattr(row, name) for name in names]

    warn_of_no_spaces((text for row in rows[:SAMPLE] for text in texts_of(row)), arguments.language, arguments.input)

    def switched(row: Any, epoch: int, index: int) -> Any:
        if arguments.task == "ner":
            return switcher.sentence(row, epoch, index)
        texts = switcher.texts(texts_of(row), epoch, index)
        return dataclasses.replace(row, **dict(zip(names, texts, strict=True)))

    def written() -> Iterator[Any]:
        nonlocal n_changed
        for epoch in range(1, arguments.epochs + 1):
            for index, row in enumerate(rows):
                new = switched(row, epoch, index)
                n_changed += new != row
                yield new

    write(written(), arguments.output)
    covered = switcher.coverage(text for row in rows for text in texts_of(row))
    print(
        f"{len(rows) * arguments.epochs:,} examples, {n_changed:,} of them switched; translations of {covered:.1%} of "
        "the words",
        file=sys.stderr,
    )


def _read(task: str, path: str) -> tuple[Sequence[Any], Callable[[Iterable[Any], str], None]]:
    """The rows of a file and what writes such rows."""
    from csr.data.ner import read_ner, write_ner
    from csr.data.nli import read_nli, write_nli
    from csr.data.text_labels import read_texts, write_texts

    if task == "ner":
        return read_ner(path)[0], write_ner
    return (read_nli(path), write_nli) if task == "nli" else (read_texts(path), write_texts)
