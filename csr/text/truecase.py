"""The form that a word has in running text: German nouns with a capital, names, the rest in small letters."""

from __future__ import annotations

import itertools
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from csr.files import PathLike, read_lines
from csr.text.forms import folded, lower, normalized
from csr.text.languages import base
from csr.text.sentences import opens_sentence
from csr.text.words import segments

logger = logging.getLogger(__name__)

_CAPITAL_NOUNS = ("de", "lb")


def capital_nouns(language: str | None) -> bool:
    """Tell whether a language writes all nouns with a capital."""
    return language is not None and base(language) in _CAPITAL_NOUNS


def running_forms(lines: Iterable[str], language: str | None = None) -> dict[str, str]:
    """The most frequent form of each word where no sentence starts, by the word as lexicons hold it.

    The first word of a line, and one after punctuation that may end a sentence or open one, counts only where more of
    it than its first letter is in capitals. Words never seen elsewhere have no form here. Of forms equally frequent
    the one seen first is taken.

    >>> running_forms(["Das Haus ist alt.", "Dann brennt das Haus. Das ist USA."])
    {'haus': 'Haus', 'ist': 'ist', 'alt': 'alt', 'brennt': 'brennt', 'das': 'das', 'usa': 'USA'}
    """
    counts: dict[str, Counter[str]] = {}
    for line in lines:
        starts = True
        for text, is_word in segments(normalized(line), language):
            if not is_word:
                starts = starts or opens_sentence(text)
                continue
            if not starts or text[1:] != lower(text[1:], language):
                counts.setdefault(folded(text, language), Counter())[text] += 1
            starts = False
    return {word: forms.most_common(1)[0][0] for word, forms in counts.items()}


def running_forms_of(paths: Sequence[PathLike], language: str | None = None) -> dict[str, str]:
    """The running forms of the words of files; of a pipe, which is read but once, none, with a warning."""
    files = []
    for path in paths:
        if Path(path).is_file():
            files.append(path)
        else:
            logger.warning(f"{path}: is no file that can be read again to learn capitals from; it is left out")
    return running_forms(itertools.chain.from_iterable(map(read_lines, files)), language)
