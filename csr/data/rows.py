"""Text into the binary rows that training reads, byte for byte those of fairseq-preprocess."""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from csr.data.subwords import EOS, Marker, load, model_pieces, pieces_of, read_dictionary, write_index
from csr.errors import DataError
from csr.files import PathLike, write_whole

_EOS_ID, _UNKNOWN_ID, _FIRST_ID = 2, 3, 4  # fairseq's; the dictionary's lines follow


class Vocabulary:
    """A SentencePiece model and the fairseq dictionary that goes with it."""

    def __init__(self, sentencepiece_model: PathLike, dictionary: PathLike) -> None:
        self._model = load(sentencepiece_model)
        self._ids = {piece: i for i, piece in enumerate(read_dictionary(dictionary), _FIRST_ID)}
        if not any(piece in self._ids for piece in model_pieces(self._model)):
            raise DataError(f"{dictionary}: expected the pieces of {sentencepiece_model}, found others")
        self._element = np.dtype(np.uint16 if len(self._ids) + _FIRST_ID < 65_500 else np.int32)  # as fairseq has it
        self._ids[EOS] = _EOS_ID

    def write(self, lines: Iterable[str], prefix: PathLike, language: str | None = None) -> Counter[str]:
        """Write ``prefix.{bin,idx}``; return how often each piece occurs. A tab in a line becomes ``</s>``.

        With a language, its words are found too and ``prefix.words.{bin,idx}`` say where they are.
        """
        counts: Counter[str] = Counter()
        with contextlib.ExitStack() as stack:
            add_ids = stack.enter_context(_rows(prefix, self._element))
            add_marks = language and stack.enter_context(_rows(f"{prefix}.words", np.dtype(np.uint8)))
            marker = Marker(self._model, language)
            source = iter(lines)
            while batch := list(itertools.islice(source, 10_000)):
                for line, pieces in zip(batch, pieces_of(self._model, batch), strict=True):
                    counts.update(piece for piece in pieces if piece != EOS)
                    ids = [self._ids.get(piece, _UNKNOWN_ID) for piece in pieces]
                    add_ids(np.array([*ids, _EOS_ID], self._element))
                    if add_marks:
                        add_marks(np.frombuffer(marker(line, pieces), np.uint8))
        return counts


@contextlib.contextmanager
def _rows(prefix: PathLike, element: np.dtype) -> Iterator[Callable[[np.ndarray], None]]:
    """Yield what adds a row to ``prefix.{bin,idx}``, fairseq's memory-mapped format."""
    sizes: list[int] = []
    with write_whole(f"{prefix}.bin") as part, open(part, "wb") as stream:

        def add(row: np.ndarray) -> None:
            stream.write(row.tobytes())
            sizes.append(len(row))

        yield add
    write_index(prefix, np.array(sizes, np.int64), element)
