"""Are rare words translated right? Word precision, recall and F1 by frequency in the training text."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from csr.errors import ConfigError, DataError
from csr.evaluation.significance import SEED, Interval, interval, resampled
from csr.evaluation.translation import check_sides, tokenize
from csr.files import PathLike, read_lines
from csr.text.forms import lower
from csr.text.stopwords import has_list, stop_words
from csr.text.words import switchable

CUTOFFS = (100, 1000)  # Zan et al., section 6.2: low below 100, high from 1,000 on


@dataclass(frozen=True)
class Bucket:
    """Word accuracy within one range of training frequencies; a score without words to judge is None.

    Attributes:
        low, high: training frequencies of the bucket, low <= count < high; high is None for the last one.
        matches, n_hyp, n_ref: words right, words in the outputs, words in the references.
        interval: 95 % interval of F1 over bootstrap samples of the sentences.
    """

    low: int
    high: int | None
    matches: int
    n_hyp: int
    n_ref: int
    interval: Interval | None = None

    @property
    def name(self) -> str:
        """The range as compare-mt writes it: ``<100``, ``[100,1000)``, ``>=1000``."""
        if self.high is None:
            return f">={self.low}"
        return f"[{self.low},{self.high})" if self.low else f"<{self.high}"

    @property
    def precision(self) -> float | None:
        """Share of the output words that are right."""
        return self.matches / self.n_hyp if self.n_hyp else None

    @property
    def recall(self) -> float | None:
        """Share of the reference words that the outputs have."""
        return self.matches / self.n_ref if self.n_ref else None

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall."""
        return 2 * self.matches / (self.n_hyp + self.n_ref) if self.n_hyp + self.n_ref else None


@dataclass(frozen=True)
class Case:
    """A sentence where the system has rare reference words that the baseline lacks (Zan et al., Table 9).

    Attributes:
        index: the sentence's number, from 0.
        words: those words with their training frequency.
        hyp, baseline, ref: the tokenized sentences, the words marked as ``**word**`` where they occur.
    """

    index: int
    words: Mapping[str, int]
    hyp: str
    baseline: str
    ref: str


def count_words(lines: Iterable[str], tokenizer: str) -> Counter[str]:
    """Count the words of the training text, cut by the tokenizer that cuts the outputs."""
    counts: Counter[str] = Counter()
    for words in tokenize(lines, tokenizer):
        counts.update(words)
    return counts


def read_counts(path: PathLike, tokenizer: str) -> Counter[str]:
    """Count the words of a training file."""
    counts = count_words(read_lines(path), tokenizer)
    if not counts:
        raise DataError(f"{path}: expected training text to count words in, found none")
    return counts


def content_words(language: str) -> Callable[[str], bool]:
    """What tells words that carry meaning from punctuation, numbers and the language's stop words, in any case.

    >>> [word for word in ("The", "harbour", ",", "1998") if content_words("en")(word)]
    ['harbour']
    """
    listed = stop_words(language) if has_list(language) else frozenset()
    return lambda token: switchable(token) and lower(token, language) not in listed


def word_scores(
    hyp: Sequence[str],
    ref: Sequence[str],
    counts: Mapping[str, int],
    tokenizer: str,
    cutoffs: Sequence[int] = CUTOFFS,
    samples: int = 0,
    seed: int = SEED,
) -> list[Bucket]:
    """Word accuracy by training frequency, as compare-mt does (Neubig et al. 2019; case-sensitive).

    A word of a sentence is right as often as it occurs in both output and reference: min(c_hyp, c_ref).

    Args:
        counts: training frequency of each word; other words have frequency 0.
        tokenizer: one of sacrebleu's, ``translation.tokenizer_for(language)``; ``none`` for tokenized text.
        cutoffs: where one bucket ends and the next begins, increasing.
        samples: bootstrap samples for the intervals, 0 for none.
    """
    check_sides(hyp, ref)
    edges = _checked(cutoffs)
    rows = np.stack(
        [_row(*sides, counts, edges) for sides in zip(tokenize(hyp, tokenizer), tokenize(ref, tokenizer), strict=True)]
    )
    intervals: list[Interval | None] = [None] * len(rows[0])
    if samples:
        intervals = _f1_intervals(resampled(rows.reshape(len(rows), -1), samples, seed))
    return [
        Bucket(low, high, int(matches), int(n_hyp), int(n_ref), around)
        for low, high, (matches, n_hyp, n_ref), around in zip(
            (0, *cutoffs), (*cutoffs, None), rows.sum(axis=0), intervals, strict=True
        )
    ]


@dataclass(frozen=True)
class Group:
    """Word accuracy within one group of words: see ``grouped_scores``."""

    name: str
    matches: int
    n_hyp: int
    n_ref: int

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall; None without words to judge."""
        return 2 * self.matches / (self.n_hyp + self.n_ref) if self.n_hyp + self.n_ref else None


def grouped_scores(
    hyp: Sequence[str], ref: Sequence[str], tokenizer: str, group_of: Callable[[str], str], names: Sequence[str]
) -> list[Group]:
    """Word accuracy of groups of words, counted as ``word_scores`` counts.

    Args:
        group_of: the group of a word.
        names: all groups, in the order of the result.

    >>> grouped_scores(["a dog !"], ["the dog !"], "none", lambda word: "word" if word.isalpha() else "other", ["word"])
    [Group(name='word', matches=1, n_hyp=2, n_ref=2)]
    """
    check_sides(hyp, ref)
    sums = {name: [0, 0, 0] for name in names}
    for ours, truth in zip(tokenize(hyp, tokenizer), tokenize(ref, tokenizer), strict=True):
        found, wanted = Counter(ours), Counter(truth)
        for word in found.keys() | wanted.keys():
            if (name := group_of(word)) in sums:
                counts = min(found[word], wanted[word]), found[word], wanted[word]
                sums[name] = [total + count for total, count in zip(sums[name], counts, strict=True)]
    return [Group(name, *sums[name]) for name in names]


# How often a word is in the bitext: where it is not, only a dictionary or other text can know it.
SEEN = ((0, "0"), (5, "1–5"), (20, "6–20"), (100, "21–100"))
OFTEN = ">100"
PLAIN = ("stop words", "punctuation, numbers")


def knowledge_groups() -> list[str]:
    """The names of ``knowledge_group``, in order."""
    seen = [name for _, name in SEEN] + [OFTEN]
    return [f"{name}, {known} lexicon" for name in seen for known in ("in", "not in")] + list(PLAIN)


def knowledge_group(word: str, counts: Mapping[str, int], known: Collection[str], stops: Collection[str]) -> str:
    """Where a model could know a word from: how often the bitext has it, and whether the lexicon does.

    Args:
        counts: occurrences in the bitext, of words in lower case.
        known, stops: the lexicon's words and stop words, in lower case.

    >>> knowledge_group("Dog", {"dog": 3}, {"cat"}, {"the"})
    '1–5, not in lexicon'
    """
    word = word.lower()
    if not switchable(word):
        return PLAIN[1]
    if word in stops:
        return PLAIN[0]
    seen = next((name for most, name in SEEN if counts.get(word, 0) <= most), OFTEN)
    return f"{seen}, {'in' if word in known else 'not in'} lexicon"


def cases(
    hyp: Sequence[str],
    baseline: Sequence[str],
    ref: Sequence[str],
    counts: Mapping[str, int],
    tokenizer: str,
    counts_as_word: Callable[[str], bool] = lambda token: True,
    below: int = CUTOFFS[0],
) -> list[Case]:
    """The sentences where ``hyp`` has low-frequency words right that ``baseline`` has wrong, most words first.

    Args:
        counts_as_word: what to look at of the tokenizer's tokens, such as ``content_words``.
        below: words with a smaller training frequency count as low-frequency.
    """
    check_sides(hyp, ref)
    check_sides(baseline, ref)
    found = []

    def rare(token: str) -> bool:
        return counts.get(token, 0) < below and counts_as_word(token)

    sides = (tokenize(lines, tokenizer) for lines in (hyp, baseline, ref))
    for index, (ours, theirs, truth) in enumerate(zip(*sides, strict=True)):
        gained = (Counter(ours) & Counter(truth)) - Counter(theirs)
        words = {word: counts.get(word, 0) for word in sorted(gained) if rare(word)}
        if words:
            found.append(Case(index, words, *(_marked(side, words) for side in (ours, theirs, truth))))
    return sorted(found, key=lambda case: (-len(case.words), case.index))


def _row(hyp: list[str], ref: list[str], counts: Mapping[str, int], cutoffs: np.ndarray) -> np.ndarray:
    """Matches, output words and reference words of a sentence in each bucket, float64 [n_buckets, 3]."""
    row = np.zeros((len(cutoffs) + 1, 3))
    ours, truth = Counter(hyp), Counter(ref)
    for word in ours.keys() | truth.keys():
        bucket = np.searchsorted(cutoffs, counts.get(word, 0), side="right")
        row[bucket] += min(ours[word], truth[word]), ours[word], truth[word]
    return row


def _f1_intervals(sums: np.ndarray) -> list[Interval | None]:
    matches, n_hyp, n_ref = np.moveaxis(sums.reshape(len(sums), -1, 3), -1, 0)
    n_words = n_hyp + n_ref
    f1 = np.divide(2 * matches, n_words, out=np.full_like(matches, np.nan), where=n_words > 0)
    return [interval(column) for column in f1.T]


def _checked(cutoffs: Sequence[int]) -> np.ndarray:
    if not cutoffs or cutoffs[0] < 1 or any(a >= b for a, b in itertools.pairwise(cutoffs)):
        raise ConfigError(f"cutoffs: expected increasing positive counts, found {list(cutoffs)}")
    return np.asarray(cutoffs)


def _marked(words: Sequence[str], chosen: Mapping[str, int]) -> str:
    return " ".join(f"**{word}**" if word in chosen else word for word in words)
