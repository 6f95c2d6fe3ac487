"""Are the draws what they should be? Chi-square tests of span lengths and of candidates on real text."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from csr.lexicon import Lexicon
from csr.lexicon_record import Languages
from csr.switching.lines import SwitchedLine
from csr.switching.noise import runs
from csr.switching.streams import Stream
from csr.text.forms import folded, title

_LONGEST = 10  # spans this long or longer share a cell
_ENOUGH = 5.0  # expected in each cell, the usual condition of the test


class RecordingStream(Stream):
    """A stream that remembers the Poisson numbers drawn from it."""

    def __init__(self, seed: int, epoch: int, index: int) -> None:
        super().__init__(seed, epoch, index)
        self.lengths: list[int] = []

    def poisson(self, exp_minus_mean: float) -> int:
        """A Poisson number; see ``Stream``."""
        self.lengths.append(super().poisson(exp_minus_mean))
        return self.lengths[-1]


@dataclass(frozen=True)
class ChiSquare:
    """Pearson's statistic, sum (observed - expected)^2 / expected, and its degrees of freedom."""

    statistic: float
    degrees: int

    @property
    def p(self) -> float:
        """The probability of a statistic as large or larger if the draws are right."""
        from scipy.stats import chi2

        return float(chi2.sf(self.statistic, self.degrees)) if self.degrees else 1.0

    def __str__(self) -> str:
        return f"{self.statistic:.1f} with {self.degrees} degrees of freedom, p = {self.p:.2f}"


def chi_square(cells: Iterable[tuple[float, float]], degrees: int) -> ChiSquare:
    """The test of cells (observed, expected)."""
    return ChiSquare(sum((observed - expected) ** 2 / expected for observed, expected in cells), degrees)


def span_cells(lengths: Mapping[int, int], mean: float) -> list[tuple[int, float]]:
    """The number of spans of 1, 2, ... and ten or more words, observed and expected, given how many had a length.

    Spans of no words are drawn again, so lengths follow P(k) = mean^k e^-mean / (k! (1 - e^-mean)), k >= 1.

    >>> [(observed, round(expected, 2)) for observed, expected in span_cells({0: 1, 1: 2, 12: 1}, 1.0)][:2]
    [(2, 1.75), (0, 0.87)]
    """
    counts: Counter[int] = Counter()
    for length, n in lengths.items():
        if length:
            counts[min(length, _LONGEST)] += n
    if not counts:
        return []
    probs = [mean**k * math.exp(-mean) / math.factorial(k) / -math.expm1(-mean) for k in range(1, _LONGEST)]
    expected = [prob * counts.total() for prob in (*probs, 1 - sum(probs))]
    return [(counts[k], number) for k, number in enumerate(expected, 1)]


def candidate_cells(drawn: Mapping[str, Counter[str]], lexicon: Lexicon) -> tuple[list[tuple[int, float]], int]:
    """How often candidates were drawn and should have been, of words drawn often enough; degrees of freedom."""
    cells = []
    degrees = 0
    for word, counts in drawn.items():
        expected = {candidate: prob * counts.total() for candidate, prob in lexicon.probs(word).items()}
        if len(expected) > 1 and min(expected.values()) >= _ENOUGH:
            cells += [(counts[candidate], number) for candidate, number in expected.items()]
            degrees += len(expected) - 1
    return cells, degrees


class Draws:
    """What was drawn over a text, counted line by line; the memory it takes does not grow with the text.

    Args:
        stop_words: of the text's language and of its translations, folded, if they are known.
        languages: these two, which say how words are folded.
    """

    def __init__(
        self,
        stop_words: tuple[Collection[str], Collection[str]] | None = None,
        languages: Languages = (None, None),
    ) -> None:
        self._stop_words, self._languages = stop_words, languages
        self._lengths: Counter[int] = Counter()  # of the spans drawn
        self._lines: Counter[int] = Counter()  # by their number of words
        self._n_replaced = self._n_runs = 0
        self._drawn: dict[int, tuple[Lexicon, dict[str, Counter[str]]]] = {}  # by the identity of the lexicon
        self._n_compared = self._n_opposite = self._n_content = self._n_stops = 0

    def add(
        self, line: SwitchedLine, lexicon: Lexicon, stream: RecordingStream, opposite: Collection[str] | None = None
    ) -> None:
        """Count a line, the lexicon it was switched by and the stream that it took its numbers from.

        Args:
            opposite: words of its translation, folded, if there is one.
        """
        self._lengths.update(stream.lengths)
        self._lines[line.n_words] += 1
        self._n_replaced += len(line.positions)
        self._n_runs += len(runs(line.positions))
        _, drawn = self._drawn.setdefault(id(lexicon), (lexicon, {}))
        for i, new in line.switched.items():
            word = line.segments[i]
            # A first word has the capital of the sentence, whatever its candidate has.
            candidates = [c for c in lexicon.entries.get(word, ()) if new in (c, title(c))]
            if not candidates:
                continue
            drawn.setdefault(word, Counter())[candidates[0]] += 1
            word, new = map(folded, (word, new), self._languages)
            if opposite is not None:
                self._n_compared += 1
                self._n_opposite += new in opposite
            if self._stop_words and word not in self._stop_words[0]:
                self._n_content += 1
                self._n_stops += new in self._stop_words[1]

    def report(self, rate: float, mean_span: float | None) -> Iterator[tuple[str, str]]:
        """Yield figures by name, given the rate that was asked for and the mean of the Poisson, if there is one."""
        n_words = max(sum(n * lines for n, lines in self._lines.items()), 1)
        yield "words replaced", f"{100 * self._n_replaced / n_words:.2f} %"
        budget = sum(lines * math.ceil(rate * n - 1e-9) for n, lines in self._lines.items())
        yield "rate asked for", f"{100 * rate:.2f} %, {100 * budget / n_words:.2f} % rounded up in each sentence"
        if self._n_compared:
            share = self._n_opposite / self._n_compared
            yield "in translation", f"{100 * share:.2f} % of the candidates drawn ({self._n_compared:,})"
        if self._n_content:
            share = self._n_stops / self._n_content
            yield "to stop words", f"{100 * share:.2f} % of the other words replaced ({self._n_content:,})"
        yield "mean run", f"{self._n_replaced / max(self._n_runs, 1):.2f} words"
        if mean_span is not None and (spans := span_cells(self._lengths, mean_span)):
            yield "spans drawn", " ".join(str(observed) for observed, _ in spans) + " of 1, 2, ... 10 and more words"
            yield "expected", " ".join(f"{expected:.0f}" for _, expected in spans)
            yield "chi-square", str(chi_square(spans, len(spans) - 1))
        tested = [candidate_cells(drawn, lexicon) for lexicon, drawn in self._drawn.values()]
        candidates = [cell for cells, _ in tested for cell in cells]
        yield (
            "candidates",
            f"{chi_square(candidates, sum(degrees for _, degrees in tested))}, {len(candidates)} of them",
        )
