"""Where pretraining text and downstream text lie: sentence features in two dimensions (Zan et al., Figure 1)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from csr.errors import ConfigError, DataError, install
from csr.files import PathLike, read_lines

PERPLEXITY = 30.0  # scikit-learn's, lowered for few sentences
DEVIATIONS = 2.0  # of an ellipse: 86 % of a normal distribution in two dimensions, 1 - exp(-2)


@dataclass(frozen=True)
class Ellipse:
    """Center, half axes, the longer first, and the longer one's angle in degrees against the x axis."""

    x: float
    y: float
    major: float
    minor: float
    angle: float


def sample(path: PathLike, sentences: int, seed: int) -> list[str]:
    """Some of a file's lines that are not empty, drawn without replacement, in the file's order.

    Raises:
        DataError: there are none.
    """
    lines = [line for line in read_lines(path) if line.strip()]
    if not lines:
        raise DataError(f"{path}: expected at least one sentence, found none")
    chosen = np.random.default_rng(seed).choice(len(lines), min(sentences, len(lines)), replace=False)
    return [lines[i] for i in sorted(chosen)]


def embed(groups: Sequence[np.ndarray], seed: int) -> list[np.ndarray]:
    """All groups' vectors, float [n_i, dim], as float [n_i, 2] by one t-SNE (Van der Maaten and Hinton 2008).

    Raises:
        ConfigError: scikit-learn is not installed.
        DataError: there are fewer than three sentences in all, or they all have the same vector.
    """
    try:
        from sklearn.manifold import TSNE
    except ImportError:
        raise ConfigError(f"the domain picture needs scikit-learn: {install('eval')}") from None
    vectors = np.concatenate(groups).astype(np.float64)
    if len(vectors) < 3 or np.ptp(vectors, axis=0).max() == 0:
        raise DataError(f"expected at least three sentences that differ, found {len(vectors)}")
    perplexity = min(PERPLEXITY, (len(vectors) - 1) / 3)
    points = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(vectors)
    return np.split(points, np.cumsum([len(group) for group in groups])[:-1])


def ellipse(points: np.ndarray) -> Ellipse:
    """The ellipse of two standard deviations along the principal axes of points, float [n, 2].

    One point has the covariance zero.
    """
    x, y = points.mean(axis=0)
    centered = points - (x, y)
    values, axes = np.linalg.eigh(centered.T @ centered / len(points))
    minor, major = DEVIATIONS * np.sqrt(np.maximum(values, 0))
    angle = math.degrees(math.atan2(axes[1, 1], axes[0, 1]))
    return Ellipse(float(x), float(y), float(major), float(minor), angle % 180)


def hugging_face_vectors(folder: PathLike, lines: Sequence[str], batch_size: int = 32) -> np.ndarray:
    """The mean of an encoder's last layer over the tokens of each line, float32 [n_lines, dim].

    Args:
        folder: a model such as XLM-R with its tokenizer, as ``save_pretrained`` writes them; nothing is downloaded.

    Raises:
        ConfigError: the folder holds no such model.
    """
    import torch
    from tqdm import tqdm
    from transformers import AutoModel, AutoTokenizer

    try:
        # Left open, the library asks whether to run the code that a folder brings.
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
        model = AutoModel.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{folder}: expected a Hugging Face model, found none: {str(error).splitlines()[0]}"
        ) from None
    model = (model.get_encoder() if model.config.is_encoder_decoder else model).eval()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model.to(device)
    order = sorted(range(len(lines)), key=lambda i: len(lines[i]))
    vectors = np.empty((len(lines), model.config.hidden_size), np.float32)
    for start in tqdm(range(0, len(order), batch_size), desc="sentence vectors", unit="batch", disable=None):
        batch = order[start : start + batch_size]
        tokens = tokenizer(
            [lines[i] for i in batch], padding=True, truncation=True, max_length=512, return_tensors="pt"
        )
        with torch.inference_mode():
            states = model(**tokens.to(device)).last_hidden_state
        counted = tokens["attention_mask"].unsqueeze(2)
        vectors[batch] = ((states * counted).sum(1) / counted.sum(1)).float().cpu().numpy()
    return vectors


def picture(names: Sequence[tuple[str, str]], groups: Sequence[np.ndarray], features: str, seed: int) -> dict[str, Any]:
    """The picture as values that JSON can hold: points and ellipse of each (corpus, language)."""
    drawn = []
    for (corpus, language), points in zip(names, embed(groups, seed), strict=True):
        drawn.append(
            {"corpus": corpus, "language": language, "ellipse": vars(ellipse(points)), "points": points.tolist()}
        )
    return {"features": features, "seed": seed, "groups": drawn}
