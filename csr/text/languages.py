"""Language codes: one idea of which language a code names, whatever table it comes from.

Corpora, models and identifiers write codes of ISO 639-1 and -3 (``de``, ``deu``), BCP 47 (``zh-Hant``), mBART
(``zh_CN``), FLORES and NLLB (``zho_Hans``) and deprecated ones (``iw``). ``langcodes`` knows them all.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import langcodes

T = TypeVar("T")

logger = logging.getLogger(__name__)

# Bokmål is what the code of Norwegian stands for in corpora; Nynorsk has its own, and its own words.
_SAME = {"nb": "no"}


def _parsed(code: str) -> langcodes.Language | None:
    """The language of a code; None where it is not of a code's form, or of no language known."""
    import langcodes  # here, since its tables take a tenth of a second, and many a command is given no language

    try:
        found = langcodes.Language.get(code.replace("_", "-"))
    except langcodes.LanguageTagError:
        return None
    return found if langcodes.Language.make(found.language).is_valid() and found.language else None


@functools.cache
def _wider() -> dict[str, str]:
    """The macrolanguage of each language that has one."""
    from langcodes.data_dicts import MACROLANGUAGES

    return {code: _SAME.get(group, group) for code, group in MACROLANGUAGES.items()}


def is_known(code: str) -> bool:
    """Tell whether a code names a language, of those in use or for private use (``qaa``)."""
    return _parsed(code) is not None


@functools.lru_cache
def base(code: str) -> str:
    """The language of a code, without script and country, by its shortest code; an unknown code is warned of, once.

    >>> [base(code) for code in ("zh_CN", "zho_Hans", "cmn", "iw", "nob_Latn", "nn", "en_XX")]
    ['zh', 'zh', 'zh', 'he', 'no', 'nn', 'en']
    """
    found = _parsed(code)
    if found is None:
        logger.warning(
            f"language {code!r}: expected a code of ISO 639, BCP 47, FLORES or mBART such as de, deu_Latn or de_DE, "
            "found one that no table knows: its words are taken to stand between spaces, its case to be English"
        )
        return code.replace("-", "_").split("_")[0].lower()
    language = found.prefer_macrolanguage().language or ""
    return _SAME.get(language, language)


def same(code: str, other: str) -> bool:
    """Tell whether two codes name one language.

    >>> same("no", "nb_NO"), same("id", "in"), same("nn", "no")
    (True, True, False)
    """
    return base(code) == base(other)


def entry(table: Mapping[str, T], code: str) -> T | None:
    """What a table by ``base`` codes has for a language or, if nothing, for the wider one it is a part of.

    >>> entry({"zh": "jieba"}, "yue_Hant")
    'jieba'
    """
    language = base(code)
    return table.get(language, table.get(_wider().get(language, "")))


def match(code: str, codes: Collection[str]) -> list[str]:
    """Those of several codes that name the language of a code: the code itself if it is there, else all that fit.

    >>> match("deu_Latn", ["de_DE", "en_XX"]), match("pt_BR", ["pt_PT", "pt_BR"]), match("zh", ["zh_CN", "zh_TW"])
    (['de_DE'], ['pt_BR'], ['zh_CN', 'zh_TW'])
    """
    return [code] if code in codes else [other for other in codes if same(code, other)]
