"""Parallel text as word ids: what the alignment models are trained on."""

from __future__ import annotations

import itertools
from array import array
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from csr.errors import DataError
from csr.files import PathLike, read_parallel
from csr.text.forms import composed
from csr.text.words import SAMPLE, tokenize, warn_of_no_spaces


@dataclass(frozen=True)
class Side:
    """One language of a bitext: its words, frequent ones first; sentence s is ``ids[offsets[s] : offsets[s + 1]]``."""

    words: list[str]
    ids: np.ndarray  # int32 [n_tokens]
    offsets: np.ndarray  # int64 [n_sentences + 1]


@dataclass(frozen=True)
class Bitext:
    """Sentence pairs as word ids; pairs with an empty side are left out and counted."""

    source: Side
    target: Side
    lines: np.ndarray  # int64 [n_pairs], from 0: where each pair stands in its files
    n_lines: int

    @property
    def n_dropped(self) -> int:
        """How many pairs were left out."""
        return self.n_lines - len(self)

    def __len__(self) -> int:
        return len(self.source.offsets) - 1

    def swapped(self) -> Bitext:
        """The bitext with its sides exchanged."""
        return Bitext(self.target, self.source, self.lines, self.n_lines)


def read_bitext(
    src: PathLike,
    tgt: PathLike,
    tokenized: bool = False,
    source_lang: str | None = None,
    target_lang: str | None = None,
) -> Bitext:
    """Read two aligned files, cut into words by ``csr.text.words.tokenize`` or, if tokenized, at spaces and tabs only.

    Raises:
        DataError: the files differ in length, or no pair has words on both sides.
    """
    source, target = _Encoder(), _Encoder()
    lines, n_lines = array("q"), 0
    pairs = read_parallel(src, tgt)
    first = list(itertools.islice(pairs, SAMPLE))
    if not tokenized:
        for side, language, path in zip(zip(*first, strict=True), (source_lang, target_lang), (src, tgt), strict=False):
            warn_of_no_spaces(side, language, path)
    for left, right in tqdm(itertools.chain(first, pairs), desc="reading", unit=" pairs", disable=None):
        if tokenized:
            # A no-break space is a part of its token.
            a, b = (composed(line).replace("\t", " ").split(" ") for line in (left, right))
            a, b = list(filter(None, a)), list(filter(None, b))
        else:
            a, b = tokenize(left, source_lang), tokenize(right, target_lang)
        if a and b:
            source.add(a)
            target.add(b)
            lines.append(n_lines)
        n_lines += 1
    if not lines:
        raise DataError(f"{src}: expected words, found none in any of the {n_lines:,} pairs with {tgt}")
    return Bitext(source.side(), target.side(), np.array(lines, dtype=np.int64), n_lines)


class _Encoder:
    def __init__(self) -> None:
        self._vocabulary: defaultdict[str, int] = defaultdict()
        self._vocabulary.default_factory = self._vocabulary.__len__
        self._ids = array("i")
        self._offsets = array("q", [0])

    def add(self, sentence: Sequence[str]) -> None:
        self._ids.extend(map(self._vocabulary.__getitem__, sentence))
        self._offsets.append(len(self._ids))

    def side(self) -> Side:
        ids = np.array(self._ids, dtype=np.int32)
        words = list(self._vocabulary)
        by_frequency = np.argsort(-np.bincount(ids, minlength=len(words)), kind="stable")
        rank = np.empty(len(words), np.int32)
        rank[by_frequency] = np.arange(len(words))
        return Side([words[i] for i in by_frequency], rank[ids], np.array(self._offsets, dtype=np.int64))
