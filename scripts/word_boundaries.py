"""Are the words of encoded text those of the text? The table of docs/switching.md.

    python scripts/word_boundaries.py LANGUAGE=FILE ...

For each language a vocabulary of 8,000 pieces is trained on the first 20,000 lines of the file, as ``csr prepare``
does, and another with the rules of mBART's (NFKC). Printed is, of the words with a letter of the first 1,000 lines (no
other is ever switched), the share that is a word of the pieces: by the boundaries that ``csr prepare`` writes, and by
the pieces alone, as with data of plain ``fairseq-preprocess``.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from csr.commands.options import named
from csr.data.subwords import load, piece_marks, texts_of, train_model, train_on
from csr.files import read_lines
from csr.switching.compiled_words import find_words, marked_words
from csr.switching.symbols import piece_roles
from csr.text.forms import normalized
from csr.text.words import segments, switchable

LINES, TRAINING_LINES, PIECES = 1000, 20_000, 8000
COLUMNS = ("ours, boundaries", "ours, pieces", "NFKC, boundaries", "NFKC, pieces")


def main(arguments: Sequence[str]) -> None:
    """Print a row for each language."""
    print(f"| language | words | {' | '.join(COLUMNS)} |\n| --- |{' ---: |' * 5}")
    for argument in arguments:
        language, path = named("LANGUAGE=FILE", argument)
        lines = [line for raw in itertools.islice(read_lines(path), TRAINING_LINES) if (line := normalized(raw))]
        with tempfile.TemporaryDirectory() as folder:
            ours, nfkc = Path(folder, "ours.model"), Path(folder, "nfkc.model")
            train_on(lines, PIECES, ours)
            nfkc.write_bytes(train_model(lines, len(set().union(*lines)), PIECES, byte_fallback=True))
            found = [measure(load(model), lines[:LINES], language) for model in (ours, nfkc)]
        shares = "".join(f" {100 * share / words:.2f} |" for words, *counts in found for share in counts)
        print(f"| {language} | {found[0][0]:,} |{shares}", flush=True)


def measure(model: Any, lines: Sequence[str], language: str) -> tuple[int, int, int]:
    """The number of words of a text, of those found by boundaries, and of those found by the pieces alone."""
    roles = piece_roles([model.id_to_piece(i) for i in range(len(model))], special=3)
    n_words = by_boundaries = by_pieces = 0
    for line, ids in zip(lines, model.encode(list(lines)), strict=True):
        texts = texts_of(model, line)
        edges = [0, *itertools.accumulate(map(len, texts))]
        words, position = set(), 0
        for text, is_word in segments(line, language):
            if is_word and switchable(text):
                words.add((position, position + len(text)))
            position += len(text)
        n_words += len(words)
        by_boundaries += len(words & places(line, edges, *marked_words(piece_marks(texts, language))))
        by_pieces += len(words & places(line, edges, *find_words(np.array(ids, np.int32), roles)))
    return n_words, by_boundaries, by_pieces


def places(line: str, edges: Sequence[int], starts: np.ndarray, ends: np.ndarray) -> set[tuple[int, int]]:
    """From where and up to where words stand in a line, without the space that their first piece begins with."""
    spans = ((edges[start], edges[end]) for start, end in zip(starts.tolist(), ends.tolist(), strict=True))
    return {(start + (line[start] == " "), end) for start, end in spans if start < end}


if __name__ == "__main__":
    main(sys.argv[1:])
