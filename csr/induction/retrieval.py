"""Similarities between two sets of vectors, in blocks: mean similarity of the nearest neighbors, CSLS, retrieval."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Protocol, TypeVar

import numba
import numpy as np

from csr.errors import ConfigError
from csr.jit import njit
from csr.process import one_blas_thread

# Similarities that fit into this many bytes are computed once for both passes of a self-learning step.
HELD_BYTES = 2 << 30
_ROWS = 1024  # of one matrix product
_SLICE = 64  # rows of it that are read in both directions while they are in the cache
_PANEL = 512  # columns whose draws are held at once
_CHUNK = 64  # similarities compared with the worst of the k best at once

T = TypeVar("T")

_compiled = njit(nogil=True)


class Top(NamedTuple):
    """The k best similarities in each direction, best first: [n_src, k] and [n_tgt, k], with their row numbers."""

    src_values: np.ndarray
    src_indices: np.ndarray
    tgt_values: np.ndarray
    tgt_indices: np.ndarray


class Similarity(Protocol):
    """Similarities x z^T of unit vectors x [n_src, dim] and z [n_tgt, dim], never all of them in memory if many."""

    shape: tuple[int, int]  # n_src, n_tgt

    def update(self, x: np.ndarray, z: np.ndarray) -> None:
        """Take the vectors to compare; float32, of the same shapes as before."""

    def top(self, k: int, src_penalty: np.ndarray, tgt_penalty: np.ndarray) -> Top:
        """The k best of x_i z_j - tgt_penalty_j for each i, and of x_i z_j - src_penalty_i for each j."""

    def sample_best(
        self, src_penalty: np.ndarray, tgt_penalty: np.ndarray, keep: float, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """The best j for each i, and the best i for each j, minus penalties as in ``top``.

        Only similarities drawn with probability ``keep``, anew for each direction, take part.
        """


def similarity(n_src: int, n_tgt: int, device: str = "cpu") -> Similarity:
    """The implementation for a device: ``cpu`` (numba) or a device of torch."""
    return CompiledSimilarity(n_src, n_tgt) if device == "cpu" else TorchSimilarity(n_src, n_tgt, device)


def neighbors(
    src: np.ndarray, tgt: np.ndarray, k: int, csls: int = 10, device: str = "cpu"
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """(indices, similarities) of the k nearest targets of each source row, then of the sources of each target.

    Conneau et al. (2018), Eq. 3: CSLS(x, z) = 2 cos(x, z) - r_T(x) - r_S(z), where r_T(x) is the mean cosine of x and
    its ``csls`` nearest targets, and r_S(z) that of z and its nearest sources. ``csls`` = 0 gives the cosine.

    Args:
        src, tgt: vectors, float [n_src, dim] and [n_tgt, dim]; scaled to unit length here.
    """
    x, z = unit(src), unit(tgt)
    engine = similarity(len(x), len(z), device)
    engine.update(x, z)
    r_src, r_tgt = np.zeros(len(x), np.float32), np.zeros(len(z), np.float32)
    scale = 1
    if csls:
        r_src, r_tgt = mean_similarities(engine.top(csls, r_src, r_tgt))
        scale = 2
    top = engine.top(k, r_src / 2, r_tgt / 2)
    return (
        (top.src_indices, scale * top.src_values - r_src[:, None]),
        (top.tgt_indices, scale * top.tgt_values - r_tgt[:, None]),
    )


def mean_similarities(top: Top) -> tuple[np.ndarray, np.ndarray]:
    """R_T of each source row and r_S of each target row: the mean similarity of the nearest neighbors found."""
    return top.src_values.mean(axis=1), top.tgt_values.mean(axis=1)


def unit(vectors: np.ndarray) -> np.ndarray:
    """The rows scaled to length 1, float32; rows of zeros stay."""
    vectors = np.ascontiguousarray(vectors, np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


class CompiledSimilarity:
    """Similarities on the CPU: a thread multiplies a block of rows by BLAS and reads the product while it is new.

    As many threads as numba is set to, each with a BLAS of one: threads of BLAS wait busily, in the way of the others.
    """

    def __init__(self, n_src: int, n_tgt: int, held_bytes: int = HELD_BYTES) -> None:
        self.shape = n_src, n_tgt
        self._held = np.empty(self.shape, np.float32) if 4 * n_src * n_tgt <= held_bytes else None
        self._known: set[int] = set()
        self._n_threads = min(numba.get_num_threads(), -(-n_src // _ROWS))
        self._pool = ThreadPoolExecutor(self._n_threads)

    def update(self, x: np.ndarray, z: np.ndarray) -> None:
        self._x, self._z = x, z
        self._known.clear()

    def _in_threads(self, work: Callable[[Iterator[tuple[int, np.ndarray]]], T]) -> list[T]:
        """Call ``work`` in each thread with its share of the blocks, (first row, similarities); return the results."""
        n_src, n_tgt = self.shape
        starts = iter(range(0, n_src, _ROWS))

        def blocks() -> Iterator[tuple[int, np.ndarray]]:
            held = self._held
            room = np.empty((min(n_src, _ROWS), n_tgt), np.float32) if held is None else held
            for start in starts:  # the threads draw from one iterator
                rows = slice(start, min(start + _ROWS, n_src))
                block = room[: rows.stop - start] if held is None else held[rows]
                if start not in self._known:
                    np.matmul(self._x[rows], self._z.T, out=block)
                    if held is not None:
                        self._known.add(start)
                for first in range(0, len(block), _SLICE):
                    yield start + first, block[first : first + _SLICE]

        with one_blas_thread():
            return list(self._pool.map(work, (blocks() for _ in range(self._n_threads))))

    def top(self, k: int, src_penalty: np.ndarray, tgt_penalty: np.ndarray) -> Top:
        n_src, n_tgt = self.shape
        src_values, src_indices = _nothing(n_src, min(k, n_tgt))

        def work(blocks: Iterator[tuple[int, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
            tgt_values, tgt_indices = _nothing(n_tgt, min(k, n_src))
            for start, block in blocks:
                rows = slice(start, start + len(block))
                _top_of_rows(block, tgt_penalty, src_values[rows], src_indices[rows])
                _top_of_columns(block, src_penalty[rows], start, tgt_values, tgt_indices)
            return tgt_values, tgt_indices

        (tgt_values, tgt_indices), *others = self._in_threads(work)
        for other in others:
            _merge(*other, tgt_values, tgt_indices)
        return Top(src_values, src_indices, tgt_values, tgt_indices)

    def sample_best(
        self, src_penalty: np.ndarray, tgt_penalty: np.ndarray, keep: float, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        if keep >= 1:
            top = self.top(1, src_penalty, tgt_penalty)
            return top.src_indices[:, 0], top.tgt_indices[:, 0]
        n_src, n_tgt = self.shape
        src_values, src_indices = _nothing(n_src, 1)

        def work(blocks: Iterator[tuple[int, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
            tgt_values, tgt_indices = _nothing(n_tgt, 1)
            for start, block in blocks:
                rows = slice(start, start + len(block))
                _sample_best(
                    block, start, src_penalty[rows], tgt_penalty, round(keep * 65536), seed,
                    src_values[rows, 0], src_indices[rows, 0], tgt_values[:, 0], tgt_indices[:, 0],
                )  # fmt: skip
            return tgt_values, tgt_indices

        (tgt_values, tgt_indices), *others = self._in_threads(work)
        for other in others:
            _merge(*other, tgt_values, tgt_indices)
        return src_indices[:, 0], tgt_indices[:, 0]


def _nothing(n: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Values and indices of the k best of each of n, none found yet."""
    return np.full((n, k), -np.inf, np.float32), np.zeros((n, k), np.int32)


# The loops over one chunk or panel are functions of whole contiguous arrays, each doing one thing: so the compiler
# turns them into vector instructions.


@_compiled
def _count_above(row, minus, floor):  # type: ignore[no-untyped-def]
    count = 0
    for j in range(len(row)):
        count += row[j] - minus[j] > floor
    return count


@_compiled
def _insert(value, index, values, indices):  # type: ignore[no-untyped-def]
    """Insert into a list sorted from best to worst, of equals by index, dropping the last."""
    at = len(values)
    while at > 0 and (value > values[at - 1] or (value == values[at - 1] and index < indices[at - 1])):
        if at < len(values):
            values[at], indices[at] = values[at - 1], indices[at - 1]
        at -= 1
    if at < len(values):
        values[at], indices[at] = value, index


@_compiled
def _merge(values, indices, into_values, into_indices):  # type: ignore[no-untyped-def]
    """Insert the best that one thread found into those of another."""
    for i in range(values.shape[0]):
        for j in range(values.shape[1]):
            _insert(values[i, j], indices[i, j], into_values[i], into_indices[i])


@_compiled
def _top_of_rows(block, penalty, values, indices):  # type: ignore[no-untyped-def]
    """Keep the best of each row, minus the penalty of its column, in ``values`` (best first) and ``indices``."""
    for i in range(block.shape[0]):
        for start in range(0, block.shape[1], _CHUNK):
            row, minus = block[i][start : start + _CHUNK], penalty[start : start + _CHUNK]
            if _count_above(row, minus, values[i, -1]):
                for j in range(len(row)):
                    if row[j] - minus[j] > values[i, -1]:
                        _insert(row[j] - minus[j], start + j, values[i], indices[i])


@_compiled
def _top_of_columns(block, penalty, first, values, indices):  # type: ignore[no-untyped-def]
    """Keep the best of each column, minus the penalty of its row, going through the rows ``first`` and following."""
    n_rows, n_columns = block.shape
    worst = values[:, -1].copy()
    for i in range(n_rows):
        for start in range(0, n_columns, _CHUNK):
            row, floor = block[i][start : start + _CHUNK], worst[start : start + _CHUNK]
            if _count_above(row, floor, penalty[i]):
                for j in range(len(row)):
                    if row[j] - penalty[i] > floor[j]:
                        _insert(row[j] - penalty[i], first + i, values[start + j], indices[start + j])
                        floor[j] = values[start + j, -1]


@_compiled
def _mixed(h):  # type: ignore[no-untyped-def]
    """Scramble 32 bits: the finalizer of MurmurHash3."""
    h = np.uint32((h ^ (h >> np.uint32(16))) * np.uint32(0x85EBCA6B))
    h = np.uint32((h ^ (h >> np.uint32(13))) * np.uint32(0xC2B2AE35))
    return np.uint32(h ^ (h >> np.uint32(16)))


@_compiled
def _draw(key, first, out):  # type: ignore[no-untyped-def]
    for j in range(len(out)):
        out[j] = _mixed(np.uint32(key ^ np.uint32(np.uint32(first + j) * np.uint32(0x9E3779B1))))


@_compiled
def _kept_for_row(row, minus, draws, keep, out):  # type: ignore[no-untyped-def]
    for j in range(len(out)):
        out[j] = row[j] - minus[j] if np.uint32(draws[j] & np.uint32(0xFFFF)) < keep else np.float32(-np.inf)


@_compiled
def _kept_for_column(row, minus, draws, keep, out):  # type: ignore[no-untyped-def]
    for j in range(len(out)):
        out[j] = row[j] - minus if np.uint32(draws[j] >> np.uint32(16)) < keep else np.float32(-np.inf)


@_compiled
def _take_better(values, index, best_values, best_indices):  # type: ignore[no-untyped-def]
    for j in range(len(values)):
        better = values[j] > best_values[j]
        best_values[j] = values[j] if better else best_values[j]
        best_indices[j] = index if better else best_indices[j]


@_compiled
def _sample_best(  # type: ignore[no-untyped-def]
    block, first, row_penalty, column_penalty, keep, seed, row_values, row_indices, column_values, column_indices
):
    """Keep the best similarity of each row and of each column among those drawn.

    Whether (i, j) is drawn depends on (seed, i, j) alone: the low 16 bits of a hash decide for the row, the high 16
    for the column, each against ``keep`` of 65536.
    """
    n_rows, n_columns = block.shape
    draws, kept = np.empty(_PANEL, np.uint32), np.empty(_PANEL, np.float32)
    nothing = np.zeros(_CHUNK, np.float32)
    for i in range(n_rows):
        key = _mixed(np.uint32(np.uint32(seed) + _mixed(np.uint32(first + i))))
        for left in range(0, n_columns, _PANEL):
            panel = slice(left, min(left + _PANEL, n_columns))
            row = block[i][panel]
            drawn, values = draws[: len(row)], kept[: len(row)]
            _draw(key, left, drawn)
            _kept_for_row(row, column_penalty[panel], drawn, np.uint32(keep), values)
            for start in range(0, len(row), _CHUNK):
                part = values[start : start + _CHUNK]
                if _count_above(part, nothing[: len(part)], row_values[i]):
                    for j in range(len(part)):
                        if part[j] > row_values[i]:
                            row_values[i], row_indices[i] = part[j], left + start + j
            _kept_for_column(row, row_penalty[i], drawn, np.uint32(keep), values)
            _take_better(values, np.int32(first + i), column_values[panel], column_indices[panel])


class TorchSimilarity:
    """Similarities on a device of torch; blocks are computed anew for each pass."""

    def __init__(self, n_src: int, n_tgt: int, device: str, block_bytes: int = HELD_BYTES) -> None:
        import torch

        self.shape = n_src, n_tgt

        if device.startswith("cuda") and not torch.cuda.is_available():
            raise ConfigError(f"device {device}: torch finds no such device here; use cpu")
        self._torch, self._device, self._block_bytes = torch, torch.device(device), block_bytes

    def _tensor(self, array: np.ndarray):  # type: ignore[no-untyped-def]
        return self._torch.from_numpy(np.ascontiguousarray(array)).to(self._device)

    def update(self, x: np.ndarray, z: np.ndarray) -> None:
        self._x, self._z = self._tensor(x), self._tensor(z)
        self._rows = max(1, self._block_bytes // (4 * len(z)))

    def _blocks(self):  # type: ignore[no-untyped-def]
        for start in range(0, len(self._x), self._rows):
            yield start, self._x[start : start + self._rows] @ self._z.T

    def top(self, k: int, src_penalty: np.ndarray, tgt_penalty: np.ndarray) -> Top:
        torch, rows, columns = self._torch, [], None
        by_row, by_column = self._tensor(src_penalty), self._tensor(tgt_penalty)
        for start, block in self._blocks():
            rows.append((block - by_column).topk(min(k, len(self._z)), dim=1))
            best = (block - by_row[start : start + len(block), None]).topk(min(k, len(block)), dim=0)
            values, indices = best.values, best.indices + start
            if columns is not None:
                values, indices = torch.cat([columns[0], values]), torch.cat([columns[1], indices])
                values, order = values.topk(min(k, len(values)), dim=0)
                indices = indices.gather(0, order)
            columns = values, indices
        assert columns is not None
        found = torch.cat([r.values for r in rows]), torch.cat([r.indices for r in rows]), columns[0].T, columns[1].T
        return Top(*(part.cpu().numpy() for part in found))

    def sample_best(
        self, src_penalty: np.ndarray, tgt_penalty: np.ndarray, keep: float, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        torch, rows = self._torch, []
        generator = torch.Generator(self._device).manual_seed(seed)
        by_row, by_column = self._tensor(src_penalty), self._tensor(tgt_penalty)
        tgt_values = torch.full((len(self._z),), -torch.inf, device=self._device)
        tgt_best = torch.zeros(len(self._z), dtype=torch.long, device=self._device)

        def drop(values):  # type: ignore[no-untyped-def]
            draws = torch.rand(values.shape, generator=generator, device=self._device)
            return values.masked_fill_(draws >= keep, -torch.inf)

        for start, block in self._blocks():
            rows.append(drop(block - by_column).argmax(dim=1))
            values, indices = drop(block - by_row[start : start + len(block), None]).max(dim=0)
            tgt_best = torch.where(values > tgt_values, indices + start, tgt_best)
            tgt_values = torch.maximum(values, tgt_values)
        return torch.cat(rows).cpu().numpy(), tgt_best.cpu().numpy()
