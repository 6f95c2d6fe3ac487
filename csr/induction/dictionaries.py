"""Word-translation tables made by other tools: MUSE dictionaries, fast_align and Moses tables."""

from __future__ import annotations

import functools
import logging
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from csr.errors import DataError
from csr.files import PathLike, read_lines
from csr.lexicon import Lexicon, read_lexicon
from csr.text.forms import folded, is_visible, normalized
from csr.text.languages import base

FAST_ALIGN_NULL = "<eps>"
MOSES_NULL = "NULL"
# In the order in which the Moses detokenizer undoes them: the ampersand last.
_MOSES_ESCAPES = {
    "&bar;": "|", "&#124;": "|", "&lt;": "<", "&gt;": ">", "&bra;": "[", "&ket;": "]", "&#91;": "[", "&#93;": "]",
    "&quot;": '"', "&apos;": "'", "&amp;": "&",
}  # fmt: skip

_Row = tuple[str, str, float]  # word, candidate, weight

logger = logging.getLogger(__name__)


def read_muse(path: PathLike) -> Lexicon:
    """Read a MUSE dictionary: a word and one translation a line, between them a tab or a space; every weight is 1."""
    return _collected(path, ((word, candidate, 1.0) for _, (word, candidate) in _rows(path, 2)))


def read_gold(path: PathLike) -> Lexicon:
    """Read a dictionary to judge by: MUSE's two columns, and a lexicon's weights where there is a third."""
    return _collected(path, _gold(path))


def _gold(path: PathLike) -> Iterator[_Row]:
    for number, (word, candidate, *weight) in _rows(path, 2, 3):
        yield word, candidate, _number(path, number, weight[0], "a weight") if weight else 1.0


def read_fast_align(path: PathLike) -> Lexicon:
    """Read a table of ``fast_align -p``: source, target, log t(target | source); the null word is left out."""
    return _collected(path, _fast_align(path))


def _fast_align(path: PathLike) -> Iterator[_Row]:
    for number, (word, candidate, log_prob) in _rows(path, 3):
        value = _number(path, number, log_prob, "a log probability")
        if value > 0:
            raise DataError(f"{path}:{number}: expected a log probability, found {log_prob}")
        if word != FAST_ALIGN_NULL:
            yield _unescaped(word), _unescaped(candidate), math.exp(value)


def read_moses(path: PathLike) -> Lexicon:
    """Read a Moses ``lex.e2f`` or ``lex.f2e``: target, source, w(target | source); the null word is left out.

    ``lex.e2f`` gives a lexicon from e to f, ``lex.f2e`` one from f to e: the given word comes second in both.
    """
    return _collected(path, _moses(path))


def _moses(path: PathLike) -> Iterator[_Row]:
    for number, (candidate, word, prob) in _rows(path, 3):
        weight = _number(path, number, prob, "a probability")
        if not 0 <= weight <= 1:
            raise DataError(f"{path}:{number}: expected a probability, found {prob}")
        if MOSES_NULL not in (word, candidate):
            yield _unescaped(word), _unescaped(candidate), weight


def _unescaped(word: str) -> str:
    """A word without what the Moses tokenizer writes for the signs that its tables use."""
    return functools.reduce(lambda text, pair: text.replace(*pair), _MOSES_ESCAPES.items(), word)


FORMATS = {"tsv": read_lexicon, "muse": read_muse, "fast_align": read_fast_align, "moses": read_moses}


def muse(path: PathLike, source_lang: str, target_lang: str) -> tuple[Lexicon, list[Path]]:
    """The MUSE lexicon from one language to another, and the files it was read from.

    ``path`` is the dictionary itself or a folder of ``xx-yy.txt``, named by the codes given or the shortest. There,
    a missing direction is the opposite one inverted, and a missing pair goes through English.

    Raises:
        DataError: the folder has no file to start from.
    """
    path = Path(path)
    if not path.is_dir():
        return read_muse(path), [path]
    direct = _muse_direct(path, source_lang, target_lang)
    if direct:
        return direct
    first, second = _muse_direct(path, source_lang, "en"), _muse_direct(path, "en", target_lang)
    if first is None or second is None:
        pair, back = f"{source_lang}-{target_lang}.txt", f"{target_lang}-{source_lang}.txt"
        raise DataError(f"{path}: expected {pair}, {back}, or dictionaries to go through English; found none of them")
    return pivoted(first[0], second[0]), first[1] + second[1]


def _muse_direct(folder: Path, source_lang: str, target_lang: str) -> tuple[Lexicon, list[Path]] | None:
    for source, target in ((source_lang, target_lang), (base(source_lang), base(target_lang))):
        forward, backward = folder / f"{source}-{target}.txt", folder / f"{target}-{source}.txt"
        if forward.is_file():
            return read_muse(forward), [forward]
        if backward.is_file():
            return read_muse(backward).inverted(), [backward]
    return None


def pivoted(first: Lexicon, second: Lexicon) -> Lexicon:
    """Join a lexicon x to y and one y to z: p(z | x) = sum_y p(z | y) p(y | x), over the y that have an entry.

    A y that the lexicons write in different cases, or with other apostrophes, is one word.

    Raises:
        DataError: the lexicons have no word in common to go through.

    >>> pivoted(Lexicon({"haus": {"house": 1.0}}), Lexicon({"house": {"maison": 3.0, "foyer": 1.0}}))
    Lexicon(entries={'haus': {'maison': 0.75, 'foyer': 0.25}})
    """
    second = second.rewritten(folded, str)
    onward = {word: second.probs(word) for word in second.entries}
    entries: dict[str, dict[str, float]] = {}
    for word in first.entries:
        total: dict[str, float] = {}
        for middle, prob in first.probs(word).items():
            for candidate, next_prob in onward.get(folded(middle), {}).items():
                total[candidate] = total.get(candidate, 0.0) + prob * next_prob
        if total:
            entries[word] = _best_first(total)
    if not entries:
        raise DataError("no candidate of the first lexicon has an entry in the second")
    return Lexicon(entries)


def _rows(path: PathLike, *n_fields: int) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, fields) of lines of non-empty fields.

    Between them are tabs or, in lines without tab, spaces; a no-break space or any other white space is a part of a
    field.
    """
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip(" "):
            continue
        fields = [field.strip(" ") for field in line.split("\t")] if "\t" in line else line.strip(" ").split(" ")
        if len(fields) not in n_fields or not all(fields):
            expected = " or ".join(map(str, n_fields))
            raise DataError(f"{path}:{number}: expected {expected} fields, found {line!r}")
        yield number, fields


def _number(path: PathLike, number: int, text: str, expected: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if math.isnan(value) or value == math.inf:
        raise DataError(f"{path}:{number}: expected {expected}, found {text!r}")
    return value


def _collected(path: PathLike, rows: Iterator[_Row]) -> Lexicon:
    """Gather the rows of a file; a pair that occurs twice keeps its larger weight.

    Rows without a weight above 0, and those of whose words one shows nothing, are left out, with a warning.
    """
    entries: dict[str, dict[str, float]] = {}
    left_out: Counter[str] = Counter()
    for first, second, weight in rows:
        word, candidate = normalized(first), normalized(second)
        if not (is_visible(word) and is_visible(candidate)):
            left_out["with a word that shows nothing"] += 1
        elif not weight > 0:
            left_out["without a weight above 0"] += 1
        else:
            candidates = entries.setdefault(word, {})
            candidates[candidate] = max(weight, candidates.get(candidate, 0.0))
    reasons = ", ".join(f"{n:,} {reason}" for reason, n in left_out.items())
    if not entries:
        raise DataError(f"{path}: expected at least one entry, found none" + (f" but {reasons}" if reasons else ""))
    if reasons:
        logger.warning(f"{path}: {left_out.total():,} rows left out: {reasons}")
    return Lexicon({word: _best_first(candidates) for word, candidates in entries.items()})


def _best_first(candidates: dict[str, float]) -> dict[str, float]:
    return dict(sorted(candidates.items(), key=lambda item: -item[1]))
