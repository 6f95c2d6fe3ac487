"""Monolingual text as binary data, made by several processes, and its blocks of whole sentences."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from csr.data.subwords import Marker, load, write_index
from csr.files import PathLike, write_whole
from csr.jit import njit

_CHUNK = 4 << 20  # bytes of text that a process encodes at a time
_BATCH = 2000  # lines of them
EOS, UNKNOWN = 2, 3  # in fairseq's dictionary, as in XLM-R's


class Encoder:
    """Lines to piece ids and ``csr.switching.symbols.Mark``; each process has its own.

    Args:
        sentencepiece_model: the file of the model, or of a WordPiece vocabulary.
        dictionary: the pieces of ``dict.txt``, of ids 4, 5, ...
    """

    def __init__(self, sentencepiece_model: PathLike, dictionary: Sequence[str], language: str) -> None:
        self._model = load(sentencepiece_model)
        index = {piece: i for i, piece in enumerate(dictionary, EOS + 2)}
        self._pieces = [self._model.id_to_piece(i) for i in range(len(self._model))]
        self._ids = np.array([index.get(piece, UNKNOWN) for piece in self._pieces], np.int32)
        self._marker = Marker(self._model, language)

    def __call__(self, lines: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The ids of all lines, each with its ``</s>``; the lines' sizes; the marks of all pieces but those."""
        rows = self._model.encode(list(lines), num_threads=1)
        lengths = np.fromiter(map(len, rows), np.int32, len(rows))
        pieces = np.fromiter(itertools.chain.from_iterable(rows), np.int32, int(lengths.sum()))
        ids = np.insert(self._ids[pieces], np.cumsum(lengths), EOS)
        marks = b"".join(
            self._marker(line, [self._pieces[i] for i in row]) for line, row in zip(lines, rows, strict=True)
        )
        return ids, lengths + 1, np.frombuffer(marks, np.uint8)


def binarize(
    text: Path, sentencepiece_model: PathLike, dictionary: Sequence[str], language: str, prefix: Path, workers: int
) -> np.ndarray:
    """Encode a text file, a sentence a line, to ``prefix.{bin,idx}`` and ``prefix.words.{bin,idx}``.

    These are rows of fairseq's memory-mapped format that end in ``</s>``, and their word boundaries as
    ``csr prepare`` writes them. The result does not depend on the number of processes.

    Returns:
        How often each id occurred, int64 [dictionary + 4].
    """
    n_ids = len(dictionary) + EOS + 2
    element = np.dtype(np.uint16 if n_ids < 65_500 else np.int32)  # <mask> and a few more may be added
    counts = np.zeros(n_ids, np.int64)
    sizes = []
    with (
        write_whole(f"{prefix}.bin") as ids_part,
        write_whole(f"{prefix}.words.bin") as marks_part,
        open(ids_part, "wb") as ids_stream,
        open(marks_part, "wb") as marks_stream,
        ProcessPoolExecutor(workers, initializer=_start, initargs=(sentencepiece_model, dictionary, language)) as pool,
        tqdm(desc=f"encoding {text.name}", total=text.stat().st_size, unit="B", unit_scale=True, disable=None) as bar,
    ):
        ranges = list(_ranges(text))
        encoded = pool.map(_encode, itertools.repeat(text), ranges)
        for (start, end), (ids, lengths, marks) in zip(ranges, encoded, strict=True):
            ids_stream.write(ids.astype(element).tobytes())
            marks_stream.write(marks.tobytes())
            sizes.append(lengths)
            counts += np.bincount(ids, minlength=n_ids)
            bar.update(end - start)
    rows = np.concatenate([np.zeros(0, np.int32), *sizes])
    write_index(prefix, rows, element)
    write_index(f"{prefix}.words", rows - 1, np.dtype(np.uint8))
    return counts


_encoder: Encoder


def _start(sentencepiece_model: PathLike, dictionary: Sequence[str], language: str) -> None:
    global _encoder
    _encoder = Encoder(sentencepiece_model, dictionary, language)


def _encode(text: Path, span: tuple[int, int]) -> tuple[np.ndarray, ...]:
    """Encode the lines of a span of bytes."""
    with open(text, "rb") as stream:
        stream.seek(span[0])
        lines = stream.read(span[1] - span[0]).decode().removesuffix("\n").split("\n")
    parts = [_encoder(lines[i : i + _BATCH]) for i in range(0, len(lines), _BATCH)]
    return tuple(map(np.concatenate, zip(*parts, strict=True)))


def _ranges(text: Path) -> Iterator[tuple[int, int]]:
    """Yield spans of bytes of whole lines."""
    start, size = 0, os.path.getsize(text)
    with open(text, "rb") as stream:
        while start < size:
            stream.seek(min(start + _CHUNK, size) - 1)
            stream.readline()
            yield start, stream.tell()
            start = stream.tell()


@dataclass(frozen=True)
class Blocks:
    """Runs of neighbouring rows, as tokens from and up to in the flat data, and the row that each starts in."""

    starts: np.ndarray  # int64 [n_blocks]
    ends: np.ndarray  # int64 [n_blocks]
    rows: np.ndarray  # int64 [n_blocks]

    def __len__(self) -> int:
        return len(self.starts)


def pack(sizes: np.ndarray, length: int) -> Blocks:
    """Put whole rows into blocks of at most ``length`` tokens, in order; a row that is longer is cut.

    >>> blocks = pack(np.array([3, 4, 2, 12]), 8)
    >>> blocks.starts.tolist(), blocks.ends.tolist(), blocks.rows.tolist()
    ([0, 7, 9, 17], [7, 9, 17, 21], [0, 2, 3, 3])
    """
    if length < 1:
        raise ValueError(f"length must be at least 1, got {length}")
    return Blocks(*_pack(sizes.astype(np.int64), length))


@njit()
def _pack(sizes, length):  # type: ignore[no-untyped-def]
    most = len(sizes) + sizes.sum() // length + 1
    starts, ends, rows = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.int64)
    n = 0
    at = 0  # the first token of the row
    for row in range(len(sizes)):
        size = sizes[row]
        if n > 0 and ends[n - 1] - starts[n - 1] + size <= length and size > 0:
            ends[n - 1] += size
        else:
            for start in range(at, at + size, length):
                starts[n], ends[n], rows[n] = start, min(start + length, at + size), row
                n += 1
        at += size
    return starts[:n], ends[:n], rows[:n]
