"""Natural language inference: premises, hypotheses and labels from the files in which the data sets are published."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from csr.errors import DataError
from csr.files import PathLike, parse_object, read_lines, write_text
from csr.text.languages import same

# In the order of XNLI's numbers, which files with 0, 1 and 2 for labels follow.
LABELS = ("entailment", "neutral", "contradiction")

_PREMISE = ("premise", "sentence1")
_HYPOTHESIS = ("hypothesis", "hypo", "sentence2")
_LABEL = ("gold_label", "label")
# MultiNLI: what each annotator said; the training file names five and has one.
_ANNOTATOR = re.compile(r"label\d")
# "contradictory": in XNLI's translated training files.
_NAMES = {name: name for name in LABELS} | {str(i): name for i, name in enumerate(LABELS)}
_NAMES |= {"contradictory": "contradiction"}


@dataclass(frozen=True)
class NliExample:
    """Whether the premise entails the hypothesis; the label is one of ``LABELS``."""

    premise: str
    hypothesis: str
    label: str


def read_nli(path: PathLike, language: str | None = None, counts: Counter[str] | None = None) -> list[NliExample]:
    """Read examples from a tab-separated file or from JSON lines, plain, .gz or .xz; quotes are text like any other.

    The first line tells the format: that of XNLI (``xnli.test.tsv``, ``.jsonl``), its translated training files,
    MultiNLI, GLUE, AfriXNLI, or ``premise<TAB>hypothesis<TAB>label`` with these names as a header or, as in XTREME and
    XGLUE, without. Rows without a label (``-``: the annotators did not agree) are left out, empty lines passed over.

    Args:
        language: the rows to read of a file that names a language in each (``de``); other files are all of one.
        counts: gets ``read`` and ``unlabelled``, the rows left out.

    Raises:
        DataError: a row is broken, the file holds none, or it holds several languages and none was asked for.
    """
    lines = ((number, line) for number, line in enumerate(read_lines(path), 1) if line.strip(" "))
    number, first = next(lines, (1, ""))
    rows = (_json_rows if first.lstrip(" ").startswith("{") else _table_rows)(
        path, itertools.chain([(number, first)], lines)
    )
    examples, languages, read = [], Counter[str](), Counter[str]()
    for number, row in rows:
        if "language" in row:
            languages[named := str(row["language"])] += 1
            if language is not None and named != language and not same(named, language):
                continue
        read["read"] += 1
        example = _example(f"{path}:{number}", row)
        if example is None:
            read["unlabelled"] += 1
        else:
            examples.append(example)
    if language is None and len(languages) > 1:
        raise DataError(f"{path}: expected to be told the language to read, found {', '.join(sorted(languages))}")
    if not examples:
        found = f"rows in {', '.join(sorted(languages))}" if languages and not read["read"] else "none"
        raise DataError(f"{path}: expected rows with a label{f' in {language}' if language else ''}, found {found}")
    if counts is not None:
        counts.update(read)
    return examples


def write_nli(examples: Iterable[NliExample], path: PathLike) -> None:
    """Write ``premise<TAB>hypothesis<TAB>label`` lines under that header."""
    with write_text(path) as stream:
        stream.write("premise\thypothesis\tlabel\n")
        for example in examples:
            sides = (" ".join(text.split()) for text in (example.premise, example.hypothesis))
            stream.write("\t".join((*sides, example.label)) + "\n")


def _table_rows(path: PathLike, lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, dict[str, str]]]:
    number, first = next(lines)
    head = first.split("\t")
    if not _named(head):
        if len(head) != 3 or head[2].strip() not in {*_NAMES, "-"}:
            raise DataError(
                f"{path}:{number}: expected a header with premise or sentence1, hypothesis, hypo or sentence2, and "
                f"label or gold_label, or premise<TAB>hypothesis<TAB>label, found {_shown(first)}"
            )
        lines, head = itertools.chain([(number, first)], lines), ["premise", "hypothesis", "label"]
    needed = max(i for i, name in enumerate(head) if not _ANNOTATOR.fullmatch(name)) + 1
    for number, line in lines:
        fields = line.split("\t")
        if not needed <= len(fields) <= len(head):
            raise DataError(f"{path}:{number}: expected {len(head)} tab-separated fields, found {len(fields)}")
        yield number, dict(zip(head, fields, strict=False))


def _json_rows(path: PathLike, lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in lines:
        row = parse_object(line, f"{path}:{number}")
        if not _named(list(row)):
            raise DataError(
                f"{path}:{number}: expected the keys premise or sentence1, hypothesis or sentence2, and label or "
                f"gold_label, found {_shown(line)}"
            )
        yield number, row


def _named(names: Sequence[str]) -> bool:
    return all(any(name in names for name in choices) for choices in (_PREMISE, _HYPOTHESIS, _LABEL))


def _example(place: str, row: Mapping[str, Any]) -> NliExample | None:
    """A row's example, None where the annotators did not agree."""
    premise, hypothesis, label = (
        next(row[name] for name in names if name in row) for names in (_PREMISE, _HYPOTHESIS, _LABEL)
    )
    if not isinstance(premise, str) or not isinstance(hypothesis, str):
        raise DataError(f"{place}: expected premise and hypothesis as text, found {_shown(f'{premise}, {hypothesis}')}")
    label = str(label).strip()
    if label in ("-", "-1"):
        return None
    if label not in _NAMES:
        raise DataError(f"{place}: expected the label {', '.join(LABELS)} or -, found {_shown(label)}")
    return NliExample(premise.strip(), hypothesis.strip(), _NAMES[label])


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:60] + "…")
