"""Which tokenizers are known, and where a sentence of theirs carries its language."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from csr.data.examples import LanguageIds
from csr.errors import ConfigError
from csr.text.languages import match

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# mBART's and NLLB's codes, among other special tokens.
_CODE = re.compile(r"[a-z]{2,3}_[A-Z][A-Za-z]{1,3}")


@dataclass(frozen=True)
class Family:
    """A kind of tokenizer.

    Attributes:
        title: the models it is known from.
        kind: of those models.
        language_ids: where a sentence carries its language id; None where it has none.
    """

    title: str
    kind: Literal["encoder-decoder", "encoder"]
    language_ids: LanguageIds | None = None


# By the name of the tokenizer's class, less Tokenizer or TokenizerFast.
FAMILIES = {
    "MBart": Family("mBART-cc25", "encoder-decoder", LanguageIds.APPEND),
    "MBart50": Family("mBART-50", "encoder-decoder", LanguageIds.PREPEND),
    "Nllb": Family("NLLB-200", "encoder-decoder", LanguageIds.PREPEND),
    "T5": Family("mT5", "encoder-decoder"),
    "Bert": Family("BERT", "encoder"),
    "XLMRoberta": Family("XLM-R", "encoder"),
}


def family_of(tokenizer: PreTrainedTokenizerBase, kind: Literal["encoder-decoder", "encoder"]) -> Family:
    """The family of a tokenizer, for a task of that kind of models.

    Raises:
        ConfigError: it is slow, or none of that kind.
    """
    name = type(tokenizer).__name__
    if not tokenizer.is_fast:
        raise ConfigError(
            "tokenizer: expected a fast one (tokenizer.json), which knows where its pieces are in the text, found "
            f"{name}; csr switch prepares text for any tokenizer"
        )
    found = FAMILIES.get(name.removesuffix("Fast").removesuffix("Tokenizer"))
    if found is None or found.kind != kind:
        expected = ", ".join(f"{known}Tokenizer ({of.title})" for known, of in FAMILIES.items() if of.kind == kind)
        raise ConfigError(f"tokenizer: expected one of an {kind}: {expected}; found {name}")
    return found


def language_codes(tokenizer: PreTrainedTokenizerBase) -> dict[str, int]:
    """The languages among a tokenizer's special tokens, with their ids: ``de_DE``, ``deu_Latn``."""
    added = tokenizer.added_tokens_decoder.items()
    return {token.content: i for i, token in added if token.special and _CODE.fullmatch(token.content)}


def language_id(tokenizer: PreTrainedTokenizerBase, argument: str, language: str) -> int:
    """The id of a language, by its code there or by any other of its codes: ``de`` finds ``deu_Latn``.

    Args:
        argument: what named the language, for the error.

    Raises:
        ConfigError: the tokenizer lacks it, or has several that fit.
    """
    codes = language_codes(tokenizer)
    found = match(language, codes)
    if len(found) != 1:
        some = ", ".join(found or list(codes)[:5])
        raise ConfigError(
            f"{argument}: expected one of the tokenizer's {len(codes)} languages"
            f"{f' ({some}, ...)' if codes and not found else ''}, found {language!r}"
            + (f", which several fit ({some})" if found else "")
        )
    return codes[found[0]]
