"""How far apart a model keeps two languages (Zan et al., Eq. 5, Figure 2 and Table 8)."""

from __future__ import annotations

import numpy as np


def root_sum_squares(source: np.ndarray, target: np.ndarray) -> float:
    """Root of the summed squared distances of parallel sentences, D; it grows with the root of their number.

    Zan et al., Eq. 5: D = (sum_i ||e_i^source - e_i^target||^2)^(1/2).

    Args:
        source, target: sentence vectors, float [n_sentences, dim]; row i is sentence i in both.

    Raises:
        ValueError: the shapes differ.

    >>> root_sum_squares(np.array([[0.0, 0.0], [1.0, 1.0]]), np.array([[3.0, 4.0], [1.0, 1.0]]))
    5.0
    """
    return float(np.sqrt(np.sum(_differences(source, target) ** 2)))


def per_pair(source: np.ndarray, target: np.ndarray) -> float:
    """Root of the mean squared distance of parallel sentences, D / sqrt(n): for tests of different sizes.

    >>> round(per_pair(np.array([[0.0, 0.0], [1.0, 1.0]]), np.array([[3.0, 4.0], [1.0, 1.0]])), 3)
    3.536
    """
    return float(np.sqrt(np.mean(np.sum(_differences(source, target) ** 2, axis=1))))


def offset_share(source: np.ndarray, target: np.ndarray) -> float:
    """Share of D^2 that is one offset between the languages, the same for all sentences.

    With d_i = e_i^source - e_i^target, D^2 = n ||mean d||^2 + sum_i ||d_i - mean d||^2: the first term over both. A
    constant that tells the languages apart, such as the direction of a language id to be predicted, makes it 1. It is
    0 where nothing lies apart.

    >>> offset_share(np.array([[0.0, 0.0], [1.0, 1.0]]), np.array([[3.0, 4.0], [1.0, 1.0]]))
    0.5
    """
    differences = _differences(source, target)
    total = float(np.sum(differences**2))
    return len(differences) * float(np.sum(differences.mean(axis=0) ** 2)) / total if total else 0.0


def mean_pairwise(source: np.ndarray, target: np.ndarray) -> float:
    """Mean distance of parallel sentences (Zan et al., section 1: "averaging the Euclidean distances").

    >>> mean_pairwise(np.array([[0.0, 0.0], [1.0, 1.0]]), np.array([[3.0, 4.0], [1.0, 1.0]]))
    2.5
    """
    return float(np.mean(np.linalg.norm(_differences(source, target), axis=1)))


def distance_of_means(source: np.ndarray, target: np.ndarray) -> float:
    """Distance of the languages' mean vectors; the sentences need not be parallel.

    Zan et al., section 6.1: "we take the average sentence embedding to represent each language".

    >>> distance_of_means(np.array([[0.0, 0.0], [2.0, 0.0]]), np.array([[1.0, 1.0]]))
    1.0
    """
    return float(np.linalg.norm(source.mean(axis=0) - target.mean(axis=0)))


def mean_cosine(source: np.ndarray, target: np.ndarray) -> float:
    """Mean cosine similarity of parallel sentences; scale does not matter.

    >>> mean_cosine(np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([[3.0, 0.0], [1.0, 0.0]]))
    0.5
    """
    _differences(source, target)
    return float(np.mean(np.sum(_unit(source) * _unit(target), axis=1)))


def retrieval_accuracy(source: np.ndarray, target: np.ndarray, block: int = 1024) -> float:
    """Share of the sentences, in both directions, whose nearest one of the other language by cosine is the translation.

    >>> retrieval_accuracy(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[0.9, 0.1], [0.8, 0.2]]))
    0.75
    """
    _differences(source, target)
    correct = 0
    source, target = _unit(source), _unit(target)
    for queries, keys in ((source, target), (target, source)):
        for start in range(0, len(queries), block):
            nearest = np.argmax(queries[start : start + block] @ keys.T, axis=1)
            correct += int(np.sum(nearest == np.arange(start, start + len(nearest))))
    return correct / (2 * len(source))


def distances(source: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """All measures of two languages' parallel sentence vectors, float [n_sentences, dim] each, by name."""
    return {
        "sentences": len(source),
        "root_sum_squares": root_sum_squares(source, target),
        "per_pair": per_pair(source, target),
        "offset_share": offset_share(source, target),
        "mean_pairwise": mean_pairwise(source, target),
        "distance_of_means": distance_of_means(source, target),
        "cosine": mean_cosine(source, target),
        "retrieval_accuracy": retrieval_accuracy(source, target),
    }


def _differences(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    if source.shape != target.shape or source.ndim != 2 or not len(source):
        raise ValueError(f"expected parallel vectors [n_sentences, dim], found shapes {source.shape}, {target.shape}")
    return source - target


def _unit(vectors: np.ndarray) -> np.ndarray:
    # An all-zero vector has no direction: it stays zero and is similar to nothing.
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(vectors.dtype).tiny)
