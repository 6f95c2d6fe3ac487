"""Similarities between two sets of vectors, in blocks: mean similarity of the nearest neighbors, CSLS, retrieval."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numba
import numpy as np

from csr.errors import ConfigError

# Similarities that fit into this many bytes are computed once for both passes of a self-learning step.
HELD_BYTES = 2 << 30
_ROWS = 512  # of one matrix product
_PANEL = 512  # columns that one thread takes
_CHUNK = 64  # similarities compared with the worst of the k best at once

_outer = numba.njit(parallel=True, cache=True)
_inner = numba.njit(cache=True)


class Top(NamedTuple):
    """The k best similarities in each direction, best first: [n_src, k] and [n_tgt, k], with their row numbers."""

    src_values: np.ndarray
    src_indices: np.ndarray
    tgt_values: np.ndarray
    tgt_indices: np.ndarray


class Similarity(Protocol):
    """Similarities x z^T of unit vectors x [n_src, dim] and z [n_tgt, dim], never all of them in memory if many."""

    def update(self, x: np.ndarray, z: np.ndarray) -> None:
        """Take the vectors to compare; float32, of the same shapes as before."""

    def top(self, k: int, src_penalty: np.ndarray, tgt_penalty: np.ndarray) -> Top:
        """Return the k best of x_i z_j - tgt_penalty_j for each i, and of x_i z_j - src_penalty_i for each j."""

    def sample_best(
        self, src_penalty: np.ndarray, tgt_penalty: np.ndarray, keep: float, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the best j for each i, and the best i for each j, minus penalties as in ``top``.

        Only similarities drawn with probability ``keep``, anew for each direction, take part.
        """


def similarity(n_src: int, n_tgt: int, device: str = "cpu") -> Similarity:
    """Return the implementation for a device: ``cpu`` (numba) or a device of torch."""
    return CompiledSimilarity(n_src, n_tgt) if device == "cpu" else TorchSimilarity(device)


def neighbors(
    src: np.ndarray, tgt: np.ndarray, k: int, csls: int = 10, device: str = "cpu"
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return (indices, similarities) of the k nearest targets of each source row, then of the sources of each target.

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
    """Return r_T of each source row and r_S of each target row: the mean similarity of the nearest neighbors found."""
    return top.src_values.mean(axis=1), top.tgt_values.mean(axis=1)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Return the rows scaled to length 1, float32; rows of zeros stay."""
    vectors = np.ascontiguousarray(vectors, np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


class CompiledSimilarity:
    """Similarities on the CPU: BLAS for the products, compiled loops that read each product once."""

    def __init__(self, n_src: int, n_tgt: int, held_bytes: int = HELD_BYTES) -> None:
        self._held = 4 * n_src * n_tgt <= held_bytes
        self._products = np.empty((n_src if self._held else min(n_src, _ROWS), n_tgt), np.float32)
        self._n_known = 0

    def update(self, x: np.ndarray, z: np.ndarray) -> None:
        self._x, self._z = x, z
        self._n_known = 0

    def _blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (first row, similarities) of consecutive rows."""
        for start in range(0, len(self._x), _ROWS):
            stop = min(start + _ROWS, len(self._x))
            block = self._products[start:stop] if self._held else self._products[: stop - start]
            if not self._held or self._n_known < stop:
                np.matmul(self._x[start:stop], self._z.T, out=block)
                self._n_known = stop
            yield start, block

    def top(self, k: int, src_penalty: np.ndarray, tgt_penalty: np.ndarray) -> Top:
        n_src, n_tgt = len(self._x), len(self._z)
        src_shape, tgt_shape = (n_src, min(k, n_tgt)), (n_tgt, min(k, n_src))
        found = Top(
            np.full(src_shape, -np.inf, np.float32),
            np.zeros(src_shape, np.int32),
            np.full(tgt_shape, -np.inf, np.float32),
            np.zeros(tgt_shape, np.int32),
        )
        for start, block in self._blocks():
            rows = slice(start, start + len(block))
            _top_of_rows(block, tgt_penalty, found.src_values[rows], found.src_indices[rows])
            _top_of_columns(block, src_penalty[rows], start, found.tgt_values, found.tgt_indices)
        return found

    def sample_best(
        self, src_penalty: np.ndarray, tgt_penalty: np.ndarray, keep: float, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        n_src, n_tgt = len(self._x), len(self._z)
        n_panels = -(-n_tgt // _PANEL)
        src_best = np.empty(n_src, np.int32)
        tgt_values, tgt_best = np.full(n_tgt, -np.inf, np.float32), np.zeros(n_tgt, np.int32)
        for start, block in self._blocks():
            rows = slice(start, start + len(block))
            values = np.full((n_panels, len(block)), -np.inf, np.float32)
            indices = np.zeros((n_panels, len(block)), np.int32)
            _sample_best(
                block, start, src_penalty[rows], tgt_penalty, round(keep * 65536), seed, values, indices,
                tgt_values, tgt_best,
            )  # fmt: skip
            src_best[rows] = np.take_along_axis(indices, values.argmax(axis=0)[None], axis=0)[0]
        return src_best, tgt_best


# The loops over one chunk or panel are functions of whole contiguous arrays, each doing one thing: so the compiler
# turns them into vector instructions.


@_inner
def _count_above(row, minus, floor):  # type: ignore[no-untyped-def]
    count = 0
    for j in range(len(row)):
        count += row[j] - minus[j] > floor
    return count


@_inner
def _insert(value, index, values, indices):  # type: ignore[no-untyped-def]
    """Insert into a list sorted from best to worst, dropping the worst; earlier of equals first."""
    if value > values[-1]:
        at = len(values) - 1
        while at > 0 and value > values[at - 1]:
            values[at], indices[at] = values[at - 1], indices[at - 1]
            at -= 1
        values[at], indices[at] = value, index


@_outer
def _top_of_rows(block, penalty, values, indices):  # type: ignore[no-untyped-def]
    """Keep the best of each row, minus the penalty of its column, in ``values`` (best first) and ``indices``."""
    for i in numba.prange(block.shape[0]):
        for start in range(0, block.shape[1], _CHUNK):
            row, minus = block[i][start : start + _CHUNK], penalty[start : start + _CHUNK]
            if _count_above(row, minus, values[i, -1]):
                for j in range(len(row)):
                    _insert(row[j] - minus[j], start + j, values[i], indices[i])


@_outer
def _top_of_columns(block, penalty, first, values, indices):  # type: ignore[no-untyped-def]
    """Keep the best of each column, minus the penalty of its row, going through the rows ``first`` and following."""
    n_rows, n_columns = block.shape
    for panel in numba.prange(-(-n_columns // _PANEL)):
        left, right = panel * _PANEL, min((panel + 1) * _PANEL, n_columns)
        worst = values[left:right, -1].copy()
        for i in range(n_rows):
            for start in range(left, right, _CHUNK):
                row = block[i][start : min(start + _CHUNK, right)]
                floor = worst[start - left : start - left + len(row)]
                if _count_above(row, floor, penalty[i]):
                    for j in range(len(row)):
                        _insert(row[j] - penalty[i], first + i, values[start + j], indices[start + j])
                        floor[j] = values[start + j, -1]


@_inner
def _mixed(h):  # type: ignore[no-untyped-def]
    """Scramble 32 bits: the finalizer of MurmurHash3."""
    h = np.uint32((h ^ (h >> np.uint32(16))) * np.uint32(0x85EBCA6B))
    h = np.uint32((h ^ (h >> np.uint32(13))) * np.uint32(0xC2B2AE35))
    return np.uint32(h ^ (h >> np.uint32(16)))


@_inner
def _draw(key, first, out):  # type: ignore[no-untyped-def]
    for j in range(len(out)):
        out[j] = _mixed(np.uint32(key ^ np.uint32(np.uint32(first + j) * np.uint32(0x9E3779B1))))


@_inner
def _kept_for_row(row, minus, draws, keep, out):  # type: ignore[no-untyped-def]
    for j in range(len(out)):
        out[j] = row[j] - minus[j] if np.uint32(draws[j] & np.uint32(0xFFFF)) < keep else np.float32(-np.inf)


@_inner
def _kept_for_column(row, minus, draws, keep, out):  # type: ignore[no-untyped-def]
    for j in range(len(out)):
        out[j] = row[j] - minus if np.uint32(draws[j] >> np.uint32(16)) < keep else np.float32(-np.inf)


@_inner
def _take_better(values, index, best_values, best_indices):  # type: ignore[no-untyped-def]
    for j in range(len(values)):
        better = values[j] > best_values[j]
        best_values[j] = values[j] if better else best_values[j]
        best_indices[j] = index if better else best_indices[j]


@_outer
def _sample_best(  # type: ignore[no-untyped-def]
    block, first, row_penalty, column_penalty, keep, seed, row_values, row_indices, column_values, column_indices
):
    """Keep the best similarity of each row within each panel of columns, and of each column, among those drawn.

    Whether (i, j) is drawn depends on (seed, i, j) alone: the low 16 bits of a hash decide for the row, the high 16
    for the column, each against ``keep`` of 65536.
    """
    n_rows, n_columns = block.shape
    for panel in numba.prange(row_values.shape[0]):
        left, right = panel * _PANEL, min((panel + 1) * _PANEL, n_columns)
        draws, kept = np.empty(right - left, np.uint32), np.empty(right - left, np.float32)
        nothing = np.zeros(_CHUNK, np.float32)
        for i in range(n_rows):
            row = block[i][left:right]
            _draw(_mixed(np.uint32(np.uint32(seed) + _mixed(np.uint32(first + i)))), left, draws)
            _kept_for_row(row, column_penalty[left:right], draws, np.uint32(keep), kept)
            for start in range(0, len(kept), _CHUNK):
                part = kept[start : start + _CHUNK]
                if _count_above(part, nothing[: len(part)], row_values[panel, i]):
                    for j in range(len(part)):
                        if part[j] > row_values[panel, i]:
                            row_values[panel, i], row_indices[panel, i] = part[j], left + start + j
            _kept_for_column(row, row_penalty[i], draws, np.uint32(keep), kept)
            _take_better(kept, np.int32(first + i), column_values[left:right], column_indices[left:right])


class TorchSimilarity:
    """Similarities on a device of torch; blocks are computed anew for each pass."""

    def __init__(self, device: str, block_bytes: int = HELD_BYTES) -> None:
        import torch

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
