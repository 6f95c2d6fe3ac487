"""Text classification (sentiment, topics): texts and labels from tables of two columns or JSON lines."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from csr.errors import DataError
from csr.files import PathLike, parse_object, read_lines, write_text
from csr.text.forms import is_visible

# Names of columns in published data sets: NusaX, SIB-200, AfriSenti, MASSIVE, Amazon reviews.
_TEXT = ("text", "sentence", "tweet", "utt", "review_body")
_LABEL = ("label", "category", "topic", "sentiment", "intent", "stars")


@dataclass(frozen=True)
class LabelledText:
    """A text and what it is about, or how it is meant."""

    text: str
    label: str


def read_texts(path: PathLike, labels: Iterable[str] | None = None) -> list[LabelledText]:
    """Read ``text<TAB>label`` lines, or JSON lines with these keys, plain, .gz, .xz or .zst; quotes are text.

    A table of more columns has a header that names them (text, sentence, tweet …; label, category, sentiment …). Empty
    lines are passed over.

    Args:
        labels: those there may be; None for any.

    Raises:
        DataError: a row has another number of fields, no text or no label, or another label than these; or there is no
            row.
    """
    known = None if labels is None else set(labels)
    lines = ((number, line) for number, line in enumerate(read_lines(path), 1) if line.strip(" "))
    start, first = next(lines, (1, ""))
    of_format = _json_rows if first.lstrip(" ").startswith("{") else _table_rows
    found = []
    for number, text, label in of_format(path, itertools.chain([(start, first)], lines)):
        if not is_visible(text) or not label:
            raise DataError(f"{path}:{number}: expected a text and its label, found an empty one")
        if "," in label:  # lists of labels have commas between
            raise DataError(f"{path}:{number}: expected a label without a comma, found {label[:80]!r}")
        if known is not None and label not in known:
            expected = ", ".join(sorted(known))
            raise DataError(f"{path}:{number}: expected a label of {expected}, found {label[:80]!r}")
        found.append(LabelledText(text, label))
    if not found:
        raise DataError(f"{path}: expected at least one text with a label, found none")
    return found


def label_names(texts: Iterable[LabelledText]) -> list[str]:
    """The labels of texts, sorted."""
    return sorted({text.label for text in texts})


def write_texts(texts: Iterable[LabelledText], path: PathLike) -> None:
    """Write ``text<TAB>label`` lines under that header, or JSON lines to a file that ends in .jsonl."""
    with write_text(path) as stream:
        if str(path).endswith(".jsonl"):
            stream.writelines(f"{json.dumps(vars(text), ensure_ascii=False)}\n" for text in texts)
            return
        stream.write("text\tlabel\n")
        stream.writelines(f"{' '.join(text.text.split())}\t{text.label}\n" for text in texts)


def _table_rows(path: PathLike, lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str, str]]:
    number, first = next(lines)
    head = [name.strip(" ").lower() for name in first.split("\t")]
    columns = _columns(head)
    if columns is None:
        if len(head) != 2:
            raise DataError(
                f"{path}:{number}: expected text<TAB>label, or a header with {' or '.join(_TEXT)} and "
                f"{' or '.join(_LABEL)}, found {first[:80]!r}"
            )
        lines, columns = itertools.chain([(number, first)], lines), ("0", "1")
        head = ["0", "1"]
    for number, line in lines:
        fields = line.split("\t")
        if len(fields) != len(head):
            raise DataError(f"{path}:{number}: expected {len(head)} tab-separated fields, found {len(fields)}")
        row = dict(zip(head, fields, strict=True))
        yield number, row[columns[0]].strip(" "), row[columns[1]].strip(" ")


def _json_rows(path: PathLike, lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str, str]]:
    for number, line in lines:
        row: Mapping[str, Any] = parse_object(line, f"{path}:{number}")
        columns = _columns(list(row))
        if columns is None:
            raise DataError(
                f"{path}:{number}: expected the keys {' or '.join(_TEXT)} and {' or '.join(_LABEL)}, found "
                f"{line[:80]!r}"
            )
        text, label = (row[name] for name in columns)
        if not isinstance(text, str) or isinstance(label, (dict, list)) or label is None:
            raise DataError(f"{path}:{number}: expected a text and its label, found {line[:80]!r}")
        yield number, text.strip(), str(label).strip()


def _columns(names: Sequence[str]) -> tuple[str, str] | None:
    """The names of the column of texts and of that of labels, if both are there."""
    text, label = (next((name for name in known if name in names), None) for known in (_TEXT, _LABEL))
    return None if text is None or label is None else (text, label)
