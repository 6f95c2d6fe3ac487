"""Off-target rate: how many outputs are in the wrong language, by the identifier py3langid (Lui and Baldwin 2012)."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from csr.errors import ConfigError, install
from csr.text.languages import base, entry


@dataclass(frozen=True)
class OffTarget:
    """Outputs by language.

    Attributes:
        rate: share in [0, 1] of the outputs with text that are not in the target language; None if all are empty.
        languages: number of outputs found in each language, most first.
        n_empty: outputs without text, which are in no language.
        signature: the identifier and its version.
    """

    rate: float | None
    languages: Mapping[str, int]
    n_empty: int
    signature: str


def identifiable(language: str) -> bool:
    """Tell whether the identifier is installed and knows a language (``de``, ``de_DE``)."""
    if importlib.util.find_spec("py3langid") is None:
        return False
    return entry(_known(), language) is not None


def off_target(lines: Sequence[str], language: str) -> OffTarget:
    """How many lines are in another language than ``language`` (``de``, ``de_DE``, ``deu_Latn``).

    The identifier errs too, most on short lines and between close languages: score the references as well to see by
    how much.
    """
    try:
        import py3langid
    except ImportError:
        raise ConfigError(f"the off-target rate needs py3langid: {install('eval')}") from None
    known = _known()
    target = entry(known, language)
    if target is None:
        raise ConfigError(f"language: py3langid knows {len(known)} languages such as de or zh, found {language!r}")
    full = [line for line in lines if line.strip()]
    found = Counter(str(py3langid.classify(line)[0]) for line in full)
    rate = 1 - sum(n for code, n in found.items() if base(code) == target) / len(full) if full else None
    signature = f"py3langid:{importlib.metadata.version('py3langid')}"
    return OffTarget(rate, {code: n for code, n in found.most_common() if n}, len(lines) - len(full), signature)


@functools.cache
def _known() -> dict[str, str]:
    """The languages that the identifier knows, each by itself: of ``no`` and ``nb``, which it tells apart, one."""
    import py3langid

    return {language: language for language in (base(str(code)) for code, _ in py3langid.rank(""))}
