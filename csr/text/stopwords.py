"""Stop words, so frequent and so loosely translated that switching them says little (Visser et al., section 3.1)."""

from __future__ import annotations

from pathlib import Path

from csr.errors import ConfigError
from csr.files import read_lines


def has_list(language: str) -> bool:
    """Tell whether stopwords-iso has a list of a language."""
    import stopwordsiso

    return stopwordsiso.has_lang(language)


def stop_words(language_or_file: str) -> frozenset[str]:
    """Return the stop words of a language (``de``, from stopwords-iso) or of a file of one word a line, lower-cased.

    stopwords-iso has every language of both papers but isiXhosa. Its English list is broad: it holds ``work``, a word
    that Visser et al. do switch (Table 1). A file replaces it.

    Raises:
        ConfigError: there is neither such a list nor such a file.
    """
    import stopwordsiso

    if stopwordsiso.has_lang(language_or_file):
        return frozenset(stopwordsiso.stopwords(language_or_file))
    if not Path(language_or_file).is_file():
        known = " ".join(sorted(stopwordsiso.langs()))
        raise ConfigError(f"stop words: {language_or_file}: expected a file or one of the languages {known}")
    return frozenset(line.strip().lower() for line in read_lines(language_or_file) if line.strip())
