"""Lexicons: the candidate translations of each word, with weights, in memory and on disk."""

from __future__ import annotations

import contextlib
import functools
import logging
import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from csr.errors import DataError
from csr.files import PathLike, read_lines, write_text
from csr.lexicon_record import Kind, Languages
from csr.text.forms import CASES, LOOKUPS, folded, is_visible, normalized, spellings, upper

logger = logging.getLogger(__name__)

Words = Collection[str] | None


@dataclass(frozen=True)
class Lexicon:
    """Candidate translations of each word, with positive weights; words and candidates in order, best first.

    Weights stay as the tool gave them (a probability, a similarity, 1 for a dictionary) and are normalised
    when a candidate is drawn.
    """

    entries: Mapping[str, Mapping[str, float]]

    def __contains__(self, word: object) -> bool:
        return word in self.entries

    def __len__(self) -> int:
        return len(self.entries)

    def probs(self, word: str) -> dict[str, float]:
        """P(candidate | word): the weights of one word, scaled to sum to 1."""
        weights = self.entries[word]
        unit = max(weights.values()) if sum(weights.values()) == math.inf else 1.0
        total = sum(weight / unit for weight in weights.values())
        return {candidate: weight / unit / total for candidate, weight in weights.items()}

    def tempered(self, temperature: float) -> Lexicon:
        """Flatten (T > 1) or sharpen (T < 1) the choice between candidates; T = inf makes it uniform.

        Visser et al., section 3.1: P(x) = p_x^(1/T) / sum_j p_j^(1/T).

        >>> Lexicon({"work": {"travail": 0.64, "oeuvre": 0.04}}).tempered(2).probs("work")
        {'travail': 0.8, 'oeuvre': 0.2}
        """
        if not temperature > 0:
            raise ValueError(f"temperature must be positive, got {temperature}")
        return Lexicon({word: _powers(candidates, 1 / temperature) for word, candidates in self.entries.items()})

    def top(self, k: int) -> Lexicon:
        """Keep the k candidates of largest weight of each word."""
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}")
        return Lexicon(
            {
                word: dict(sorted(candidates.items(), key=lambda item: -item[1])[:k])
                for word, candidates in self.entries.items()
            }
        )

    def filtered(
        self,
        min_weight: float = 0.0,
        min_length: int = 1,
        stop_words: Collection[str] = (),
        target_stop_words: Collection[str] = (),
        languages: Languages = (None, None),
    ) -> Lexicon:
        """Drop candidates that weigh less than ``min_weight``, stop words on either side, and short source words.

        Visser et al., section 3.1: "we only sample translations with probabilities greater than 2 %"; "we exclude
        stopwords and words shorter than four characters from translation". Stop words are folded (``text.forms``).
        """
        (source, target), target_stops = languages, target_stop_words
        fold = functools.cache(functools.partial(folded, language=target))
        kept = {
            word: {c: w for c, w in candidates.items() if w >= min_weight and fold(c) not in target_stops}
            for word, candidates in self.entries.items()
            if len(word) >= min_length and folded(word, source) not in stop_words
        }
        return Lexicon({word: candidates for word, candidates in kept.items() if candidates})

    def restricted(self, words: Words = None, candidates: Words = None, languages: Languages = (None, None)) -> Lexicon:
        """Keep the entries whose word, and the candidates that, occur in the given vocabularies, also folded."""
        kept = {
            word: {c: w for c, w in options.items() if _among(c, candidates, languages[1])}
            for word, options in self.entries.items()
            if _among(word, words, languages[0])
        }
        return Lexicon({word: options for word, options in kept.items() if options})

    def without_identical(self) -> Lexicon:
        """Leave out candidates equal to their word but for case, and words that have no other.

        >>> Lexicon({"hotel": {"Hotel": 1.0}, "bank": {"Bank": 0.9, "Ufer": 0.1}}).without_identical().entries
        {'bank': {'Ufer': 0.1}}
        """
        fold = functools.cache(lambda word: folded(word).casefold())
        kept = {}
        for word, candidates in self.entries.items():
            own = fold(word)
            if others := {c: w for c, w in candidates.items() if fold(c) != own}:
                kept[word] = others
        return Lexicon(kept)

    def inverted(self, frequencies: Mapping[str, float] | None = None, language: str | None = None) -> Lexicon:
        """Swap the sides; candidates end up best first.

        Dictionaries and similarities hold both ways: each pair keeps its weight. Probabilities do not, and need the
        frequencies of the words, folded by their language, in text: by Bayes' rule p(word | candidate) =
        p(candidate | word) p(word) / p(candidate), where p(candidate) is the sum of the numerators. A word that is not
        in the text has no part in it.
        """
        swapped: dict[str, dict[str, float]] = {}
        for word, candidates in self.entries.items():
            prior = 1.0 if frequencies is None else frequencies.get(folded(word, language), 0.0)
            for candidate, weight in candidates.items():
                if prior:
                    swapped.setdefault(candidate, {})[word] = weight * prior
        if frequencies is not None:
            swapped = {word: Lexicon(swapped).probs(word) for word in swapped}
        return Lexicon({word: dict(sorted(c.items(), key=lambda item: -item[1])) for word, c in swapped.items()})

    def distinct(self, language: str | None = None) -> Lexicon:
        """Let candidates of a word that are the same in capitals be one, as the first is written; weights add up.

        >>> Lexicon({"weg": {"Straße": 0.5, "Pfad": 0.3, "strasse": 0.2}}).distinct().entries
        {'weg': {'Straße': 0.7, 'Pfad': 0.3}}
        """
        capitals = functools.cache(functools.partial(upper, language=language))
        entries: dict[str, dict[str, float]] = {}
        for word, candidates in self.entries.items():
            written: dict[str, str] = {}
            options = entries.setdefault(word, {})
            for candidate, weight in candidates.items():
                form = written.setdefault(capitals(candidate), candidate)
                options[form] = options.get(form, 0.0) + weight
        return Lexicon(entries)

    def cased(self, languages: Languages = (None, None)) -> Lexicon:
        """Add each word in Title and UPPER case, with its candidates in that case; words as written go first.

        A word written with capitals is added in small letters too, last, its candidates as written. Words are added as
        text may spell them (``text.forms.spellings``); the languages say what the cases are.

        >>> Lexicon({"rot": {"red": 1.0}}).cased().entries
        {'rot': {'red': 1.0}, 'Rot': {'Red': 1.0}, 'ROT': {'RED': 1.0}}
        >>> Lexicon({"Haus": {"house": 1.0}}).cased().entries
        {'Haus': {'house': 1.0}, 'HAUS': {'HOUSE': 1.0}, 'haus': {'house': 1.0}}
        """
        source, target = languages
        entries: dict[str, dict[str, float]] = {}
        options = self.distinct(target).entries
        words = list(options)
        for lookup, case in LOOKUPS:
            for i, form in spellings(words, lookup, source):
                if form not in entries:
                    entries[form] = {}
                    for candidate, weight in options[words[i]].items():
                        entries[form][CASES[case](candidate, target)] = weight
        return Lexicon(entries)

    def rewritten(self, word_form: Callable[[str], str], candidate_form: Callable[[str], str]) -> Lexicon:
        """Write words and candidates in other forms; of pairs that become one, the larger weight stays.

        >>> Lexicon({"haus": {"house": 0.5}}).rewritten({"haus": "Haus"}.get, str.upper).entries
        {'Haus': {'HOUSE': 0.5}}
        """
        entries: dict[str, dict[str, float]] = {}
        for word, candidates in self.entries.items():
            options = entries.setdefault(word_form(word), {})
            for candidate, weight in candidates.items():
                form = candidate_form(candidate)
                options[form] = max(weight, options.get(form, 0.0))
        return Lexicon(entries)

    def truecased(self, words: Mapping[str, str], candidates: Mapping[str, str]) -> Lexicon:
        """Write lower-case words and candidates as running text does, where it is known: ``text.truecase``."""
        return self.rewritten(lambda word: words.get(word, word), lambda word: candidates.get(word, word))

    def lowered(self, languages: Languages = (None, None)) -> Lexicon:
        """Write all folded, as ``text.words.tokenize`` does: the form in which lexicons are judged."""
        return self.rewritten(*(functools.partial(folded, language=language) for language in languages))

    @staticmethod
    def equally(lexicons: Iterable[Lexicon]) -> Lexicon:
        """Merge lexicons so that each word draws one of those that have it, then a candidate of that one."""
        return Lexicon.merged((lexicon, 1.0) for lexicon in lexicons)

    @staticmethod
    def merged(lexicons: Iterable[tuple[Lexicon, float]]) -> Lexicon:
        """Add up lexicons, each with a factor on its normalised weights: sum_i factor_i p_i(candidate | word).

        A word or a candidate that an earlier lexicon writes otherwise, but for case, is written as there.
        """
        total: dict[str, dict[str, float]] = {}
        words, targets = _Forms(), _Forms()
        for lexicon, factor in lexicons:
            if not factor > 0:
                raise ValueError(f"a factor must be positive, got {factor}")
            for word in lexicon.entries:
                options = total.setdefault(words.of(word), {})
                for candidate, prob in lexicon.probs(word).items():
                    form = targets.of(candidate)
                    options[form] = options.get(form, 0.0) + factor * prob
            words.close()
            targets.close()
        return Lexicon({word: dict(sorted(c.items(), key=lambda item: -item[1])) for word, c in total.items()})


def _among(word: str, vocabulary: Words, language: str | None) -> bool:
    return vocabulary is None or word in vocabulary or folded(word, language) in vocabulary


def _powers(weights: Mapping[str, float], power: float) -> dict[str, float]:
    """Weights to a power; relative to the largest where that would be too large or too small for a number."""
    largest = max(weights.values())
    with contextlib.suppress(OverflowError):
        if largest**power:
            return {c: w**power for c, w in weights.items()}
    return {c: (w / largest) ** power for c, w in weights.items()}


class _Forms:
    """How words are written that several lexicons write in different cases: as the first of them that has them."""

    def __init__(self) -> None:
        self._own: dict[str, str] = {}  # of the lexicon at hand, which may write several words that differ in case
        self._before: dict[str, str] = {}

    def of(self, word: str) -> str:
        self._own.setdefault(folded(word), word)
        return self._before.get(folded(word), word)

    def close(self) -> None:
        """End a lexicon."""
        self._before = {**self._own, **self._before}
        self._own = {}


def read_lexicon(path: PathLike) -> Lexicon:
    """Read ``source<TAB>target<TAB>weight`` lines; two columns read as weight 1.

    Words are composed, with one space for each run of white space in them. A pair that occurs twice keeps its larger
    weight. Lines whose word or candidate shows nothing are left out, with a warning.

    Raises:
        DataError: a line has another number of fields, an empty word or a weight that is not a positive number;
            or the file holds no entry.
    """
    entries: dict[str, dict[str, float]] = {}
    n_invisible = 0
    shown = functools.cache(_shown)  # words come again, as candidates of others
    for number, line in enumerate(read_lines(path), 1):
        if not line:
            continue
        fields = line.split("\t")
        if len(fields) not in (2, 3):
            raise DataError(f"{path}:{number}: expected source<TAB>target<TAB>weight, found {len(fields)} field(s)")
        if not all(field.strip(" ") for field in fields[:2]):
            raise DataError(f"{path}:{number}: expected a word on each side, found an empty one")
        word, candidate = map(shown, fields[:2])
        weight = 1.0
        if len(fields) == 3:
            try:
                weight = float(fields[2])
            except ValueError:
                weight = math.nan
            if not 0 < weight < math.inf:
                raise DataError(f"{path}:{number}: expected a positive weight, found {fields[2]!r}")
        if word is None or candidate is None:
            n_invisible += 1
            continue
        candidates = entries.setdefault(word, {})
        candidates[candidate] = max(weight, candidates.get(candidate, 0.0))
    if not entries:
        raise DataError(f"{path}: expected at least one entry, found none")
    if n_invisible:
        logger.warning(f"{path}: {n_invisible:,} entries left out, of whose words one shows nothing")
    return Lexicon(entries)


def _shown(word: str) -> str | None:
    """A word as it is compared; None if it shows nothing."""
    word = normalized(word)
    return word if is_visible(word) else None


def write_lexicon(lexicon: Lexicon, path: PathLike) -> None:
    """Write ``source<TAB>target<TAB>weight`` lines in the lexicon's order, weights with six significant digits.

    Entries that ``read_lexicon`` would leave out, such as a no-break space that embeddings have as a word, are left out
    here, with a warning.

    Raises:
        DataError: nothing is left, or a weight is too large for a number.
    """
    n_written = n_invisible = 0
    shown = functools.cache(_shown)
    with write_text(path) as stream:
        for word, candidates in lexicon.entries.items():
            source = shown(word)
            for candidate, weight in candidates.items():
                target = shown(candidate)
                if weight == math.inf:
                    raise DataError(f"{path}: expected weights that are numbers, found infinity for {normalized(word)}")
                if source is None or target is None:
                    n_invisible += 1
                else:
                    stream.write(f"{source}\t{target}\t{weight:.6g}\n")
                    n_written += 1
        if not n_written:
            raise DataError(f"{path}: expected words to write, found {n_invisible:,} entries of which none shows any")
    if n_invisible:
        logger.warning(f"{path}: {n_invisible:,} entries left out, of whose words one shows nothing")


def deduced_kind(lexicon: Lexicon) -> Kind:
    """The kind of the weights of a lexicon without a record, as they show it themselves.

    A dictionary where all weights are 1; probabilities where the weights of no word sum to more than 1 (rounding
    apart); similarities otherwise.
    """
    if all(weight == 1.0 for candidates in lexicon.entries.values() for weight in candidates.values()):
        return "dictionary"
    if all(sum(candidates.values()) <= 1.001 for candidates in lexicon.entries.values()):
        return "probabilities"
    return "similarities"
