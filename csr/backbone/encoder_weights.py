"""The weights of an encoder under fairseq's names and under those of ``transformers``: the same numbers.

All pieces are of the first sentence here: what BERT adds to each for that is added to its position.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from csr.backbone.estimate import Sizes
from csr.backbone.families import (
    EMBEDDING,
    ENCODER,
    HEAD_DENSE,
    HEAD_OUT,
    OFFSET,
    OUTPUT,
    OUTPUT_BIAS,
    POSITIONS,
    EncoderFamily,
)
from csr.errors import DataError

if TYPE_CHECKING:
    import torch

_HEAD = "encoder.lm_head."
_OLD = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}  # in BERT as first published


def our_weights(
    weights: Mapping[str, torch.Tensor], family: EncoderFamily, sizes: Sizes, ids: Sequence[int], folder: Path
) -> tuple[dict[str, torch.Tensor], list[str]]:
    """The weights of a Hugging Face model by fairseq's names, and what of them was left out or made anew.

    Args:
        ids: theirs of each symbol of ours.

    Raises:
        DataError: a weight is missing or of another size, the output is not tied to the embedding, or fairseq's model
            has no place for a weight of the encoder.
    """
    import torch

    weights = _renamed(weights, family)
    names = family.names(sizes.layers)
    head = {ours: theirs for ours, theirs in names.items() if ours.startswith(_HEAD)}
    new_head = not any(theirs in weights for theirs in head.values())
    if new_head:
        names = {ours: theirs for ours, theirs in names.items() if ours not in head}
    added = [family.embedding(kind) for kind in ("position", *(["token_type"] if family.token_types else []))]
    placed = {*names.values(), *added}
    for name in placed:
        if name not in weights:
            raise DataError(f"{folder}: expected a weight {name}, found none")
    changes = _left_out(weights, family, placed, folder)
    ours = {name: weights[theirs] for name, theirs in names.items()}
    positions = weights[added[0]]
    if family.token_types:
        positions = positions + weights[added[1]][0]
    ours[POSITIONS] = torch.cat([positions.new_zeros(OFFSET - family.first_position, sizes.dim), positions])
    ours[f"{ENCODER}.version"] = torch.tensor([3.0])
    if (rows := len(ours[EMBEDDING])) <= max(ids):
        raise DataError(
            f"{folder}: expected embeddings of the {max(ids) + 1:,} tokens of its tokenizer, found {rows:,}"
        )
    if list(ids) != list(range(rows)):
        index = torch.tensor(ids)
        ours |= {name: ours[name].index_select(0, index) for name in (EMBEDDING, OUTPUT_BIAS) if name in ours}
    if len(ids) < rows:
        changes.append(f"left out: {rows - len(ids):,} of {rows:,} embeddings, of no piece")
    if new_head:
        ours |= _new_head(ours[EMBEDDING])
        changes.append("made anew, at random: the head that predicts masked pieces")
    expected = {EMBEDDING: (sizes.vocabulary, sizes.dim), POSITIONS: (sizes.positions + OFFSET, sizes.dim)}
    for name, shape in expected.items():
        if tuple(ours[name].shape) != shape:
            raise DataError(f"{folder}: expected {name} of {shape}, found one of {tuple(ours[name].shape)}")
    return {**ours, OUTPUT: ours[EMBEDDING]}, changes


def their_weights(weights: Mapping[str, torch.Tensor], family: EncoderFamily, sizes: Sizes) -> dict[str, torch.Tensor]:
    """The weights of a fairseq model by the names of ``transformers``; the tied output is not among them.

    Those of a model with a head of labels, if it has one.
    """
    labels, pooled = (f"{name}.weight" in weights for name in (HEAD_OUT, HEAD_DENSE))
    names = family.label_names(sizes.layers, pooled) if labels else family.names(sizes.layers)
    theirs = {name: weights[ours] for ours, name in names.items()}
    positions = weights[POSITIONS]
    theirs[family.embedding("position")] = positions[OFFSET - family.first_position :]
    if family.token_types:
        theirs[family.embedding("token_type")] = positions.new_zeros(1, sizes.dim)
    return theirs


def _renamed(weights: Mapping[str, torch.Tensor], family: EncoderFamily) -> dict[str, torch.Tensor]:
    """Weights by the names that ``transformers`` gives them in a model with a head."""
    renamed = {}
    for name, weight in weights.items():
        for old, new in _OLD.items():
            name = name.replace(old, new)
        renamed[name] = weight
    if any(name.startswith(f"{family.stem}.") for name in renamed):
        return renamed
    own = ("embeddings.", f"{family.layers}.", "pooler.")
    return {f"{family.stem}.{name}" if name.startswith(own) else name: weight for name, weight in renamed.items()}


def _left_out(weights: Mapping[str, torch.Tensor], family: EncoderFamily, placed: set[str], folder: Path) -> list[str]:
    """What of a model is not an encoder's, nor the head's that predicts masked pieces."""
    import torch

    tied = {f"{family.output}.weight": family.embedding("word"), f"{family.output}.bias": family.bias}
    stem = f"{family.stem}."
    other = []
    for name in weights.keys() - placed:
        if name in tied:
            if tied[name] not in weights or not torch.equal(weights[name], weights[tied[name]]):
                raise DataError(f"{folder}: expected {family.model_class} with tied output, found a weight {name}")
        elif name.startswith(f"{stem}pooler."):
            other.append("pooler")
        elif not name.startswith(stem):
            other.append(name.rpartition(".")[0])
        elif name not in (f"{stem}embeddings.position_ids", f"{stem}embeddings.token_type_ids"):
            raise DataError(f"{folder}: expected an encoder such as {family.model_class}, found a weight {name}")
    return [f"left out: {', '.join(sorted(set(other)))}"] if other else []


def _new_head(embedding: torch.Tensor) -> dict[str, torch.Tensor]:
    """A head as BERT's begins: weights of a standard deviation of 0.02, the same each time (Devlin et al. 2019)."""
    import torch

    rows, dim = embedding.shape
    dense = torch.empty(dim, dim).normal_(0, 0.02, generator=torch.Generator().manual_seed(1)).to(embedding.dtype)
    return {
        f"{_HEAD}dense.weight": dense,
        f"{_HEAD}dense.bias": embedding.new_zeros(dim),
        f"{_HEAD}layer_norm.weight": embedding.new_ones(dim),
        f"{_HEAD}layer_norm.bias": embedding.new_zeros(dim),
        OUTPUT_BIAS: embedding.new_zeros(rows),
    }
