"""Sentence vectors from a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from fairseq.data import data_utils

from csr.analysis.features import DEFAULT
from csr.data.examples import LanguageIds
from csr.errors import ConfigError, DataError
from csr.files import PathLike
from fairseq_plugins.datasets import Side
from fairseq_plugins.models import Model

Vectors = dict[str, np.ndarray]  # of each feature, float32 [n_sentences, dim]
Pairs = dict[str, tuple[np.ndarray, np.ndarray]]  # of each feature, the vectors of both sides


def decoder_features(model: Model) -> tuple[str, ...]:
    """Places at which a model's decoder is read by default, the default one first: all that it has."""
    return ("last_piece", "eos") if _reads_eos(model) else ("last_piece",)


def text_vectors(
    model: Model,
    source: Sequence[str],
    target: Sequence[str],
    sentencepiece_model: PathLike,
    features: Sequence[str] = (DEFAULT,),
    sentences: int = 20_000,
    max_tokens: int | None = None,
    layer: int | None = None,
) -> Pairs:
    """Vectors of the first lines of two plain texts in the model's languages."""
    languages = (model.task.cfg.source_lang, model.task.cfg.target_lang)
    first, second = (
        vectors(
            model,
            model.text_side(lines[:sentences], language, sentencepiece_model),
            features,
            sentences,
            max_tokens,
            layer,
        )
        for lines, language in zip((source, target), languages, strict=True)
    )
    return {feature: (first[feature], second[feature]) for feature in features}


def split_vectors(
    model: Model,
    split: str,
    features: Sequence[str] = (DEFAULT,),
    sentences: int = 20_000,
    max_tokens: int | None = None,
    layer: int | None = None,
) -> Pairs:
    """Vectors of the first sentences of both sides of a split."""
    try:
        source, target = model.task.sides(split, 1)
    except FileNotFoundError as error:
        raise DataError(str(error)) from None
    first, second = (vectors(model, side, features, sentences, max_tokens, layer) for side in (source, target))
    return {feature: (first[feature], second[feature]) for feature in features}


@torch.inference_mode()
def vectors(
    model: Model,
    side: Side,
    features: Sequence[str] = (DEFAULT,),
    sentences: int = 20_000,
    max_tokens: int | None = None,
    layer: int | None = None,
) -> Vectors:
    """Vectors of the first sentences of one side.

    Args:
        features: of ``csr.analysis.features.FEATURES``. The encoder's mean is over pieces and ``</s>``, without the
            language id, which would hold the languages apart by itself.
        layer: 0 for the embeddings, i for layer i; None is the last one, with the normalisation that follows it.

    Raises:
        ConfigError: the model has no such layer, or its decoder never reads ``</s>``.
    """
    if sentences < 1 or not len(side.data):
        raise ConfigError(f"sentences: expected at least 1, found {min(sentences, len(side.data))}")
    if "eos" in features and not _reads_eos(model):
        raise ConfigError("features: expected last_piece or encoder, found eos, which this model's decoder never reads")
    found: Vectors = {}
    for batch, rows in model.batches(side, sentences, max_tokens, "sentence vectors"):
        for feature, read in _read(model, rows, side.symbol, features, layer).items():
            if feature not in found:
                found[feature] = np.empty((min(sentences, len(side.data)), read.shape[1]), np.float32)
            found[feature][batch] = read.float().cpu().numpy()
    if not all(np.isfinite(one).all() for one in found.values()):
        raise DataError("sentence vectors: expected numbers, found NaN or infinity: the model's weights are too large")
    return found


def _reads_eos(model: Model) -> bool:
    """Tell whether the decoder reads ``</s>`` after a sentence: its input is a row with its last id in front."""
    return model.task.symbols.language_ids is LanguageIds.APPEND


def _read(
    model: Model, rows: list[torch.Tensor], language: int, features: Sequence[str], layer: int | None
) -> dict[str, torch.Tensor]:
    """Vectors [n_rows, dim] of a batch of rows."""
    network, pad = model.model, model.task.symbols.pad
    tokens = data_utils.collate_tokens(rows, pad).to(model.device)
    encoded = network.encoder(tokens, return_all_hiddens="encoder" in features and layer is not None)
    found = {}
    if "encoder" in features:
        inner = _inner(layer, len(network.encoder.layers))
        states = (encoded["encoder_out"][0] if inner is None else encoded["encoder_states"][inner]).transpose(0, 1)
        counted = (tokens.ne(pad) & tokens.ne(language)).unsqueeze(2)
        found["encoder"] = (states * counted).sum(1) / counted.sum(1)
    if set(features) - {"encoder"}:
        inner = _inner(layer, len(network.decoder.layers))
        decoder_input = data_utils.collate_tokens([row.roll(1) for row in rows], pad).to(model.device)
        states, extra = network.decoder(decoder_input, encoder_out=encoded, features_only=True)
        if inner is not None:
            states = extra["inner_states"][inner].transpose(0, 1)
        last = torch.tensor([len(row) - 1 for row in rows], device=model.device)
        numbers = torch.arange(len(rows), device=model.device)
        # [lang] X </s> is read, or </s> [lang] X.
        places = {"last_piece": last - 1 if _reads_eos(model) else last, "eos": last}
        found |= {feature: states[numbers, at] for feature, at in places.items() if feature in features}
    return found


def _inner(layer: int | None, last: int) -> int | None:
    """The layer as a number before the last one; None for the output."""
    if layer is not None and not 0 <= layer <= last:
        raise ConfigError(f"layer: expected 0 (embeddings) to {last}, found {layer}")
    return None if layer == last else layer
