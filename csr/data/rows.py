"""Text into the binary rows that training reads, byte for byte those of fairseq-preprocess, and rows back from disk."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import struct
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import IO

import numpy as np

from csr.data.subwords import Marker, load, model_pieces, read_dictionary, write_dictionary
from csr.errors import DataError
from csr.files import PathLike, write_whole
from csr.switching.symbols import Mark
from csr.text.forms import normalized

EOS, UNKNOWN, FIRST = 2, 3, 4  # in fairseq's dictionary, as in XLM-R's; the pieces of dict.txt follow
_BATCH = 2000  # lines encoded at a time
_MANY = 20_000  # lines that several processes encode
_Encoded = tuple[np.ndarray, np.ndarray, np.ndarray]


class Vocabulary:
    """A model of subwords and the dictionary that goes with it: the way from text to ids.

    Args:
        sentencepiece_model: the file of the model, or of a WordPiece vocabulary.
        pieces: those of ``dict.txt``, which have the ids 4, 5, ... (default: the model's in its order).
    """

    def __init__(self, sentencepiece_model: PathLike, pieces: Sequence[str] | None = None) -> None:
        self._model = load(sentencepiece_model)
        self.pieces = model_pieces(self._model) if pieces is None else pieces
        self._names = [self._model.id_to_piece(i) for i in range(len(self._model))]
        index = {piece: i for i, piece in enumerate(self.pieces, FIRST)}
        self._ids = np.array([index.get(name, UNKNOWN) for name in self._names], np.int32)
        self._markers: dict[str, Marker] = {}

    @classmethod
    def read(cls, sentencepiece_model: PathLike, dictionary: PathLike) -> Vocabulary:
        """The vocabulary of a model and a file ``dict.txt``.

        Raises:
            DataError: a file is missing or damaged, or the model lacks most pieces of the dictionary.
        """
        vocabulary = cls(sentencepiece_model, read_dictionary(dictionary))
        if len(set(vocabulary.pieces).intersection(vocabulary._names)) < len(vocabulary.pieces) / 2:
            raise DataError(f"{dictionary}: expected the pieces of {sentencepiece_model}, found mostly others")
        return vocabulary

    def write_dictionary(self, counts: np.ndarray, path: PathLike) -> None:
        """Write ``dict.txt`` with how often each id occurs."""
        write_dictionary(self.pieces, dict(zip(self.pieces, counts[FIRST:].tolist(), strict=True)), path)

    def encode(self, lines: Iterable[str], language: str | None = None, threads: int = -1) -> _Encoded:
        """The ids of lines, their sizes and, with a language, what each piece is to its words.

        Args:
            lines: a tab in one parts sentences and becomes ``</s>``.
            threads: of SentencePiece; -1 is one a core.

        Returns:
            The ids of all lines, each ending in ``</s>``, int32 [n_ids]; how many ids each line has, int64 [n_lines];
            ``csr.switching.symbols.Mark`` of all pieces but that last one of each line, uint8 [n_ids - n_lines], or
            none.
        """
        sentences = [list(map(normalized, line.split("\t"))) for line in lines]
        texts = list(itertools.chain.from_iterable(sentences))
        cut = self._model.encode(texts, num_threads=threads)
        lengths = np.fromiter(map(len, cut), np.int64, len(cut))
        pieces = np.fromiter(itertools.chain.from_iterable(cut), np.int32, int(lengths.sum()))
        ids = np.insert(self._ids[pieces], np.cumsum(lengths), EOS)
        starts = np.cumsum([0, *map(len, sentences)])[:-1]  # of the lines among the sentences
        sizes = np.add.reduceat(lengths + 1, starts) if len(starts) else lengths
        marks = np.zeros(0, np.uint8)
        if language is not None:
            marker = self._markers.get(language)
            if marker is None:
                marker = self._markers[language] = Marker(self._model, self._names, language)
            # The end of a sentence belongs to no word; that of the line has no mark.
            marks = np.insert(marker(texts, pieces, lengths), np.cumsum(lengths), Mark.OUTSIDE)
            marks = np.delete(marks, np.cumsum(sizes) - 1)
        return ids, sizes, marks

    def write(
        self, lines: Iterable[str], prefix: PathLike, language: str | None = None, workers: int = 1
    ) -> np.ndarray:
        """Write ``prefix.{bin,idx}`` and, with a language, ``prefix.words.{bin,idx}``, which say where its words are.

        The files do not depend on the number of processes.

        Returns:
            How often each id occurs, int64 [len(pieces) + 4].
        """
        n_ids = len(self.pieces) + FIRST
        element = np.dtype(np.uint16 if n_ids < 65_500 else np.int32)  # as fairseq has it
        counts = np.zeros(n_ids, np.int64)
        sizes = [np.zeros(0, np.int64)]
        with contextlib.ExitStack() as stack:

            def binary(path: str) -> IO[bytes]:
                return stack.enter_context(open(stack.enter_context(write_whole(path)), "wb"))

            ids_stream = binary(f"{prefix}.bin")
            marks_stream = None if language is None else binary(f"{prefix}.words.bin")
            for ids, lengths, marks in self._encoded(lines, language, workers):
                ids_stream.write(ids.astype(element).tobytes())
                if marks_stream:
                    marks_stream.write(marks.tobytes())
                sizes.append(lengths)
                counts += np.bincount(ids, minlength=n_ids)
        rows = np.concatenate(sizes)
        write_index(prefix, rows, element)
        if language is not None:
            write_index(f"{prefix}.words", rows - 1, np.dtype(np.uint8))
        return counts

    def _encoded(self, lines: Iterable[str], language: str | None, workers: int) -> Iterator[_Encoded]:
        """Yield what batches of lines encode to, in order."""
        source = iter(lines)
        batches = iter(lambda: list(itertools.islice(source, _BATCH)), [])
        if workers == 1:
            for batch in batches:
                yield self.encode(batch, language)
            return
        # Forked, they have this vocabulary without reading it.
        fork = multiprocessing.get_context("fork")
        with ProcessPoolExecutor(workers, fork, initializer=_start, initargs=(self, language)) as pool:
            waiting: deque[Future[_Encoded]] = deque()
            for batch in batches:
                waiting.append(pool.submit(_encode, batch))
                if len(waiting) > 2 * workers:  # no more text in memory than keeps all busy
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()


_worker: tuple[Vocabulary, str | None]


def _start(vocabulary: Vocabulary, language: str | None) -> None:
    global _worker
    _worker = vocabulary, language


def _encode(lines: Sequence[str]) -> _Encoded:
    vocabulary, language = _worker
    return vocabulary.encode(lines, language, threads=1)


def workers_for(lines: Sequence[str]) -> int:
    """As many processes as there are cores, for text that is worth it."""
    return len(os.sched_getaffinity(0)) if len(lines) >= _MANY else 1


# fairseq's numbers of the element types.
_TYPES = {1: np.uint8, 4: np.int32, 5: np.int64, 8: np.uint16}
_HEAD = struct.Struct("<9sQBQ")  # name, version, type, rows


def write_index(prefix: PathLike, sizes: np.ndarray, element: np.dtype) -> None:
    """Write ``prefix.idx``, which makes fairseq's memory-mapped format of the rows in ``prefix.bin``."""
    number = next(number for number, kind in _TYPES.items() if kind == element)
    starts = np.cumsum(sizes, dtype=np.int64) - sizes
    with write_whole(f"{prefix}.idx") as part, open(part, "wb") as stream:
        stream.write(_HEAD.pack(b"MMIDIDX\x00\x00", 1, number, len(sizes)))
        stream.write(sizes.astype(np.int32).tobytes() + (starts * element.itemsize).tobytes())


def read_rows(prefix: PathLike) -> tuple[np.ndarray, np.ndarray]:
    """The elements of all rows one after the other, mapped from disk, and the size of each row, int32.

    Raises:
        DataError: the files are missing, of another format, or do not belong together.
    """
    for path in (f"{prefix}.idx", f"{prefix}.bin"):
        if not Path(path).is_file():
            raise DataError(f"{path}: no such file")
    head = np.fromfile(f"{prefix}.idx", np.uint8, _HEAD.size).tobytes()
    name, version, number, n_rows = _HEAD.unpack(head) if len(head) == _HEAD.size else (b"", 0, 0, 0)
    whole = n_rows <= (Path(f"{prefix}.idx").stat().st_size - _HEAD.size) // np.dtype(np.int32).itemsize
    sizes = np.fromfile(f"{prefix}.idx", np.int32, n_rows if whole else 0, offset=_HEAD.size)
    if (name, version) != (b"MMIDIDX\x00\x00", 1) or number not in _TYPES or not whole or (sizes < 0).any():
        raise DataError(f"{prefix}.idx: expected fairseq's memory-mapped format, found another or a part of it")
    expected, found = int(sizes.sum()) * np.dtype(_TYPES[number]).itemsize, Path(f"{prefix}.bin").stat().st_size
    if expected != found or not found:
        raise DataError(f"{prefix}.bin: expected the {expected:,} bytes of its .idx, found {found:,}")
    return np.memmap(f"{prefix}.bin", _TYPES[number], "r"), sizes
