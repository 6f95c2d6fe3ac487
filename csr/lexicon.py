"""Lexicons: the candidate translations of each word, with weights, in memory and on disk."""

from __future__ import annotations

import math
import platform
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import csr
from csr.errors import DataError
from csr.files import PathLike, read_lines, sha256, write_json, write_text
from csr.text.words import CASES


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
        """Return p(candidate | word): the weights of one word, scaled to sum to 1."""
        total = sum(self.entries[word].values())
        return {candidate: weight / total for candidate, weight in self.entries[word].items()}

    def tempered(self, temperature: float) -> Lexicon:
        """Flatten (T > 1) or sharpen (T < 1) the choice between candidates; T = inf makes it uniform.

        Visser et al., section 3.1: P(x) = p_x^(1/T) / sum_j p_j^(1/T).

        >>> Lexicon({"work": {"travail": 0.64, "oeuvre": 0.04}}).tempered(2).probs("work")
        {'travail': 0.8, 'oeuvre': 0.2}
        """
        if not temperature > 0:
            raise ValueError(f"temperature must be positive, got {temperature}")
        return Lexicon(
            {
                word: {c: w ** (1 / temperature) for c, w in candidates.items()}
                for word, candidates in self.entries.items()
            }
        )

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
    ) -> Lexicon:
        """Drop candidates that weigh less than ``min_weight``, stop words on either side, and short source words.

        Visser et al., section 3.1: "we only sample translations with probabilities greater than 2 %"; "we exclude
        stopwords and words shorter than four characters from translation".
        """
        kept = {
            word: {c: w for c, w in candidates.items() if w >= min_weight and c not in target_stop_words}
            for word, candidates in self.entries.items()
            if len(word) >= min_length and word not in stop_words
        }
        return Lexicon({word: candidates for word, candidates in kept.items() if candidates})

    def restricted(self, words: Collection[str] | None = None, candidates: Collection[str] | None = None) -> Lexicon:
        """Keep the entries whose word, and the candidates that, occur in the given vocabularies."""
        kept = {
            word: {c: w for c, w in options.items() if candidates is None or c in candidates}
            for word, options in self.entries.items()
            if words is None or word in words
        }
        return Lexicon({word: options for word, options in kept.items() if options})

    def inverted(self) -> Lexicon:
        """Swap the sides, keeping the weight of each pair; candidates end up best first."""
        swapped: dict[str, dict[str, float]] = {}
        for word, candidates in self.entries.items():
            for candidate, weight in candidates.items():
                swapped.setdefault(candidate, {})[word] = weight
        return Lexicon({word: dict(sorted(c.items(), key=lambda item: -item[1])) for word, c in swapped.items()})

    def cased(self) -> Lexicon:
        """Add each word in Title and UPPER case, with its candidates in that case; words as written go first.

        >>> Lexicon({"haus": {"house": 1.0}}).cased().entries
        {'haus': {'house': 1.0}, 'Haus': {'House': 1.0}, 'HAUS': {'HOUSE': 1.0}}
        """
        entries: dict[str, dict[str, float]] = {}
        for case in CASES:
            for word, candidates in self.entries.items():
                if (form := case(word)) not in entries:
                    entries[form] = {}
                    for candidate, weight in candidates.items():
                        entries[form][case(candidate)] = entries[form].get(case(candidate), 0.0) + weight
        return Lexicon(entries)

    @staticmethod
    def merged(lexicons: Iterable[tuple[Lexicon, float]]) -> Lexicon:
        """Add up lexicons, each with a factor on its normalised weights: sum_i factor_i p_i(candidate | word)."""
        total: dict[str, dict[str, float]] = {}
        for lexicon, factor in lexicons:
            if not factor > 0:
                raise ValueError(f"a factor must be positive, got {factor}")
            for word in lexicon.entries:
                options = total.setdefault(word, {})
                for candidate, prob in lexicon.probs(word).items():
                    options[candidate] = options.get(candidate, 0.0) + factor * prob
        return Lexicon({word: dict(sorted(c.items(), key=lambda item: -item[1])) for word, c in total.items()})


def read_lexicon(path: PathLike) -> Lexicon:
    """Read ``source<TAB>target<TAB>weight`` lines; two columns read as weight 1.

    A pair that occurs twice keeps its larger weight.

    Raises:
        DataError: a line has another number of fields, an empty word or a weight that is not a positive number;
            or the file holds no entry.
    """
    entries: dict[str, dict[str, float]] = {}
    for number, line in enumerate(read_lines(path), 1):
        if not line:
            continue
        fields = line.split("\t")
        if len(fields) not in (2, 3):
            raise DataError(f"{path}:{number}: expected source<TAB>target<TAB>weight, found {len(fields)} field(s)")
        word, candidate = fields[0].strip(), fields[1].strip()
        if not word or not candidate:
            raise DataError(f"{path}:{number}: expected a word on each side, found an empty one")
        weight = 1.0
        if len(fields) == 3:
            try:
                weight = float(fields[2])
            except ValueError:
                weight = math.nan
            if not 0 < weight < math.inf:
                raise DataError(f"{path}:{number}: expected a positive weight, found {fields[2]!r}")
        candidates = entries.setdefault(word, {})
        candidates[candidate] = max(weight, candidates.get(candidate, 0.0))
    if not entries:
        raise DataError(f"{path}: expected at least one entry, found none")
    return Lexicon(entries)


def write_lexicon(lexicon: Lexicon, path: PathLike) -> None:
    """Write ``source<TAB>target<TAB>weight`` lines in the lexicon's order, weights with six significant digits."""
    with write_text(path) as stream:
        for word, candidates in lexicon.entries.items():
            for candidate, weight in candidates.items():
                stream.write(f"{word}\t{candidate}\t{weight:.6g}\n")


def sidecar(path: PathLike) -> Path:
    """Return where the record of how a lexicon was made lies: ``en-fr.tsv`` -> ``en-fr.tsv.json``."""
    return Path(f"{path}.json")


def write_sidecar(
    path: PathLike,
    source: str,
    inputs: Iterable[PathLike],
    options: Mapping[str, Any],
    quality: Mapping[str, Any] | None = None,
) -> None:
    """Record how the lexicon at ``path`` was made: method, input hashes, options, versions, quality figures.

    Standard output gets no sidecar, and standard input no hash.
    """
    if str(path) == "-":
        return
    write_json(
        sidecar(path),
        {
            "source": source,
            "inputs": {str(name): None if str(name) == "-" else sha256(name) for name in inputs},
            "options": dict(options),
            "versions": {"csr": csr.__version__, "python": platform.python_version(), "numpy": np.__version__},
            "quality": dict(quality or {}),
        },
    )
