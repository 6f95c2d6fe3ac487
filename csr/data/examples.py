"""Training examples: where end-of-sentence and language ids go around the pieces of a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

import numpy as np

from csr.errors import ConfigError
from csr.text.languages import match


class LanguageIds(Enum):
    """Where a sentence carries its language id."""

    APPEND = "append"  # mBART-cc25: X </s> [lang]
    PREPEND = "prepend"  # mBART-50: [lang] X </s>

    def frame(self, ids: np.ndarray, eos: int, language: int) -> np.ndarray:
        """A sentence with its end and its language id.

        The decoder's input is this row with its last id moved to the front: ``[lang] X </s>`` in mBART-cc25,
        ``</s> [lang] X`` in mBART-50.
        """
        row = np.empty(len(ids) + 2, np.int64)
        if self is LanguageIds.APPEND:
            row[:-2], row[-2], row[-1] = ids, eos, language
        else:
            row[0], row[1:-1], row[-1] = language, ids, eos
        return row


def joined_pair(first: np.ndarray, second: np.ndarray, eos: int, limit: int) -> np.ndarray:
    """Two sentences as one, ``X </s> Y``; what is longer than ``limit`` ids loses the end of its longer part.

    >>> joined_pair(np.arange(10, 18), np.arange(20, 22), eos=2, limit=7).tolist()
    [10, 11, 12, 13, 2, 20, 21]
    """
    room = limit - 1
    first = first[: max(room - len(second), (room + 1) // 2)]
    return np.concatenate([first, [eos], second[: room - len(first)]])


def language_symbol(language: str, languages: Sequence[str]) -> str:
    """The dictionary symbol of a language among a model's languages: ``de`` -> ``[de_DE]``.

    A code is taken as it is if the model has it, else as the only one of that language.

    Raises:
        ConfigError: the model has no such language, or several.

    >>> language_symbol("de", ["de_DE", "en_XX"]), language_symbol("nob_Latn", ["nn_NO", "no_XX"])
    ('[de_DE]', '[no_XX]')
    """
    matches = match(language, languages)
    if len(matches) == 1:
        return f"[{matches[0]}]"
    raise ConfigError(
        f"language {language!r}: expected one of the model's languages ({', '.join(languages)}), found "
        + (f"several that fit ({', '.join(matches)})" if matches else "none that fits")
    )
