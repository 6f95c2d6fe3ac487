"""Sentence vectors from a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from fairseq.data import data_utils

from csr.errors import ConfigError, DataError
from csr.files import PathLike
from fairseq_plugins.datasets import Side
from fairseq_plugins.models import Model, read_model


@dataclass(frozen=True)
class Features:
    """What stands for a sentence.

    Attributes:
        part: ``decoder``: its output at the last token (Zan et al., section 6.1); ``encoder``: the mean of its output
            over pieces and ``</s>``, without the language id.
        layer: 0 for the embeddings, i for layer i; None is the last one, with the normalisation that follows it.
    """

    part: Literal["decoder", "encoder"] = "decoder"
    layer: int | None = None

    def __str__(self) -> str:
        what = {"decoder": "decoder, last token", "encoder": "encoder, mean"}[self.part]
        return f"{what}, {'last layer' if self.layer is None else f'layer {self.layer}'}"


def sentence_vectors(
    checkpoint: PathLike, data: PathLike, split: str = "test", sentences: int = 20_000, max_tokens: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the decoder's output at the last token of both sides' sentences, float32 [n_sentences, dim] each."""
    return split_vectors(read_model(checkpoint, data), split, sentences, max_tokens)


def text_vectors(
    model: Model,
    source: Sequence[str],
    target: Sequence[str],
    sentencepiece_model: PathLike,
    sentences: int = 20_000,
    max_tokens: int | None = None,
    features: Features = Features(),
) -> tuple[np.ndarray, np.ndarray]:
    """Return the vectors of the first lines of two plain texts in the model's languages, as ``split_vectors``."""
    languages = (model.task.cfg.source_lang, model.task.cfg.target_lang)
    sides = (
        model.text_side(lines[:sentences], language, sentencepiece_model)
        for lines, language in zip((source, target), languages, strict=True)
    )
    first, second = (vectors(model, side, features, sentences, max_tokens) for side in sides)
    return first, second


def split_vectors(
    model: Model, split: str, sentences: int, max_tokens: int | None = None, features: Features = Features()
) -> tuple[np.ndarray, np.ndarray]:
    """Return the vectors of the first sentences of both sides of a split, float32 [n_sentences, dim] each."""
    try:
        source, target = model.task.sides(split, 1)
    except FileNotFoundError as error:
        raise DataError(str(error)) from None
    return (
        vectors(model, source, features, sentences, max_tokens),
        vectors(model, target, features, sentences, max_tokens),
    )


@torch.inference_mode()
def vectors(
    model: Model,
    side: Side,
    features: Features = Features(),
    sentences: int = 20_000,
    max_tokens: int | None = None,
) -> np.ndarray:
    """Return the vectors of the first sentences of one side, float32 [n_sentences, dim].

    Zan et al., section 6.1: "e_i is the output on the last token from the decoder". The sentence goes into the
    encoder and, as in restoring, into the decoder, with its own language id; it is read at its ``</s>``, where the
    decoder has seen all of it. In mBART-50's order of ids that is the last piece's position.
    """
    if sentences < 1 or not len(side.data):
        raise ConfigError(f"sentences: expected at least 1, found {min(sentences, len(side.data))}")
    found: np.ndarray | None = None
    for batch, rows in model.batches(side, sentences, max_tokens, "sentence vectors"):
        read = _decoder if features.part == "decoder" else _encoder
        read_rows = read(model, rows, side.symbol, features.layer).float().cpu().numpy()
        if found is None:
            found = np.empty((min(sentences, len(side.data)), read_rows.shape[1]), np.float32)
        found[batch] = read_rows
    assert found is not None
    if not np.isfinite(found).all():
        raise DataError("sentence vectors: expected numbers, found NaN or infinity: the model's weights are too large")
    return found


def _encoder(model: Model, rows: list[torch.Tensor], language: int, layer: int | None) -> torch.Tensor:
    network, pad = model.model, model.task.symbols.pad
    inner = _inner(layer, len(network.encoder.layers))
    tokens = data_utils.collate_tokens(rows, pad).to(model.device)
    out = network.encoder(tokens, return_all_hiddens=inner is not None)
    states = (out["encoder_out"][0] if inner is None else out["encoder_states"][inner]).transpose(0, 1)
    counted = (tokens.ne(pad) & tokens.ne(language)).unsqueeze(2)
    return (states * counted).sum(1) / counted.sum(1)


def _decoder(model: Model, rows: list[torch.Tensor], language: int, layer: int | None) -> torch.Tensor:
    network, pad = model.model, model.task.symbols.pad
    inner = _inner(layer, len(network.decoder.layers))
    tokens = data_utils.collate_tokens(rows, pad).to(model.device)
    decoder_input = data_utils.collate_tokens([row.roll(1) for row in rows], pad).to(model.device)
    states, extra = network.decoder(decoder_input, encoder_out=network.encoder(tokens), features_only=True)
    if inner is not None:
        states = extra["inner_states"][inner].transpose(0, 1)
    lengths = torch.tensor([len(row) for row in rows], device=model.device)
    return states[torch.arange(len(rows), device=model.device), lengths - 1]


def _inner(layer: int | None, last: int) -> int | None:
    """Return the layer as a number before the last one; None for the output."""
    if layer is not None and not 0 <= layer <= last:
        raise ConfigError(f"layer: expected 0 (embeddings) to {last}, found {layer}")
    return None if layer == last else layer
