"""Stop words, so frequent and so loosely translated that switching them says little (Visser et al., section 3.1)."""

from __future__ import annotations

import functools
import logging
from pathlib import Path

from csr.errors import ConfigError
from csr.files import read_lines
from csr.text.forms import composed, folded, normalized
from csr.text.languages import base, entry, is_known

logger = logging.getLogger(__name__)


def has_list(language: str) -> bool:
    """Tell whether stopwords-iso has a list of a language."""
    return is_known(language) and entry(_lists(), language) is not None


def listed_or_none(language: str, quiet: bool = False) -> str:
    """A language where stopwords-iso has a list of it, else ``none``, with a warning: its stop words take part."""
    if has_list(language):
        return language
    if not quiet:
        logger.warning(f"stopwords-iso has no list of {language}, whose stop words take part")
    return "none"


@functools.cache
def _lists() -> dict[str, str]:
    """stopwords-iso's code of each language."""
    import stopwordsiso

    return {base(code): code for code in stopwordsiso.langs()}


def stop_words(language_or_file: str) -> frozenset[str]:
    """The stop words of a language (``de``, from stopwords-iso) or of a file of one word a line, folded.

    stopwords-iso has every language of both papers but isiXhosa. Its English list is broad: it holds ``work``, a word
    that Visser et al. do switch (Table 1). A file replaces it.

    Raises:
        ConfigError: there is neither such a list nor such a file.
    """
    import stopwordsiso

    listed = entry(_lists(), language_or_file) if is_known(language_or_file) else None
    if listed is not None:
        return frozenset(folded(composed(word), language_or_file) for word in stopwordsiso.stopwords(listed))
    if not Path(language_or_file).is_file():
        known = " ".join(sorted(_lists().values()))
        raise ConfigError(f"stop words: {language_or_file}: expected a file or one of the languages {known}")
    return frozenset(folded(word) for line in read_lines(language_or_file) if (word := normalized(line)))
