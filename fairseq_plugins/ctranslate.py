"""Beam search by CTranslate2 for models of the mBART family: the outputs of fairseq's, in a fraction of the time."""

from __future__ import annotations

import functools
import importlib.util
import tempfile
from collections.abc import Sequence
from typing import Any

import torch
from fairseq import utils
from fairseq.modules import LearnedPositionalEmbedding
from torch import nn

from csr.data.examples import LanguageIds
from fairseq_plugins.models import Model


def installed() -> bool:
    """Tell whether CTranslate2 is there."""
    return importlib.util.find_spec("ctranslate2") is not None


def usable(model: Model) -> bool:
    """Tell whether CTranslate2 is installed and has a model's layers, those of mBART; on a card fairseq is taken.

    Not where outputs begin with the id of their language, as mBART-50's do: the two count it differently in the length
    that scores are divided by.
    """
    sides = model.model.encoder, model.model.decoder
    norms = [part for part in model.model.modules() if isinstance(part, nn.LayerNorm)]
    activations = {layer.activation_fn for side in sides for layer in side.layers}
    return (
        installed()
        and model.device.type == "cpu"
        and model.task.symbols.language_ids is LanguageIds.APPEND
        and all(isinstance(side.embed_positions, LearnedPositionalEmbedding) for side in sides)
        and all(side.layernorm_embedding is not None and side.layer_norm is not None for side in sides)
        and all(norm.eps == 1e-5 for norm in norms)
        and activations in ({utils.get_activation_fn("gelu")}, {utils.get_activation_fn("relu")})
    )


class Beam:
    """Beam search with a model that is ``usable``; ``beam_of`` makes one for all texts that a model is given.

    Args:
        beam: translations searched.
        threads: of the processor, each of which searches a part of a batch.
    """

    def __init__(self, model: Model, beam: int, threads: int) -> None:
        import ctranslate2

        self._symbols = list(model.task.target_dictionary.symbols)
        self._index, self._beam = model.task.target_dictionary.index, beam
        self._positions, self._threads = model.model.max_positions()[1], threads
        language = self._symbols[model.task.language_id(model.task.cfg.target_lang)]
        spec = _spec(model, self._symbols, language)
        with tempfile.TemporaryDirectory() as folder:
            spec.save(folder)
            before = torch.get_num_threads()
            self._translator = ctranslate2.Translator(folder, device="cpu", inter_threads=threads, intra_threads=1)
            torch.set_num_threads(before)  # of which it has made one

    def search(
        self, rows: Sequence[torch.Tensor], max_length: int | None = None, wanted: int | None = None
    ) -> list[list[dict[str, Any]]]:
        """What is found for each row of ids with language id, as fairseq's generator returns it, best first.

        Args:
            wanted: how much of the beam, by default all of it.
        """
        sources = [[self._symbols[i] for i in row.tolist()] for row in rows]
        longest = max_length or 2 * max(map(len, sources)) + 10
        found = self._translator.translate_batch(
            sources,
            max_batch_size=-(-len(sources) // self._threads),
            beam_size=self._beam,
            num_hypotheses=wanted or self._beam,
            length_penalty=1,
            max_decoding_length=min(longest, self._positions - 1),
            return_scores=True,
        )
        return [
            [
                {"tokens": torch.tensor([self._index(symbol) for symbol in tokens], dtype=torch.int), "score": score}
                for tokens, score in zip(one.hypotheses, one.scores, strict=True)
            ]
            for one in found
        ]


@functools.lru_cache(maxsize=1)  # a text comes in blocks
def beam_of(model: Model, beam: int, threads: int) -> Beam:
    """The search of a model; the last one made is kept."""
    return Beam(model, beam, threads)


def _spec(model: Model, symbols: list[str], start: str) -> Any:
    """The model in CTranslate2's terms; ``start`` is what its decoder reads first."""
    from ctranslate2.specs import common_spec, transformer_spec

    encoder, decoder = model.model.encoder, model.model.decoder
    first = encoder.layers[0]
    relu = first.activation_fn is utils.get_activation_fn("relu")
    spec = transformer_spec.TransformerSpec.from_config(
        (len(encoder.layers), len(decoder.layers)),
        first.self_attn.num_heads,
        pre_norm=True,
        activation=common_spec.Activation.RELU if relu else common_spec.Activation.GELU,
        layernorm_embedding=True,
    )
    for part, side, embeddings in (
        (spec.encoder, encoder, spec.encoder.embeddings[0]),
        (spec.decoder, decoder, spec.decoder.embeddings),
    ):
        embeddings.weight = side.embed_tokens.weight.detach()
        part.scale_embeddings = side.embed_scale != 1
        part.position_encodings.encodings = side.embed_positions.weight.detach()[side.padding_idx + 1 :]
        _norm(part.layernorm_embedding, side.layernorm_embedding)
        _norm(part.layer_norm, side.layer_norm)
        for inner, layer in zip(part.layer, side.layers, strict=True):
            attention = layer.self_attn
            _linear(inner.self_attention.linear[0], attention.q_proj, attention.k_proj, attention.v_proj)
            _linear(inner.self_attention.linear[1], attention.out_proj)
            _norm(inner.self_attention.layer_norm, layer.self_attn_layer_norm)
            if side is decoder:
                attention = layer.encoder_attn
                _linear(inner.attention.linear[0], attention.q_proj)
                _linear(inner.attention.linear[1], attention.k_proj, attention.v_proj)
                _linear(inner.attention.linear[2], attention.out_proj)
                _norm(inner.attention.layer_norm, layer.encoder_attn_layer_norm)
            _linear(inner.ffn.linear_0, layer.fc1)
            _linear(inner.ffn.linear_1, layer.fc2)
            _norm(inner.ffn.layer_norm, layer.final_layer_norm)
    spec.decoder.projection.weight = decoder.output_projection.weight.detach()
    spec.register_source_vocabulary(symbols)
    spec.register_target_vocabulary(symbols)
    spec.config.bos_token, spec.config.eos_token, spec.config.unk_token = "<s>", "</s>", "<unk>"
    spec.config.decoder_start_token = start
    spec.config.add_source_bos = spec.config.add_source_eos = False
    spec.validate()
    spec.optimize()
    return spec


def _linear(spec: Any, *layers: nn.Linear) -> None:
    """Set a linear layer, or several that read the same as one."""
    spec.weight = torch.cat([layer.weight.detach() for layer in layers])
    spec.bias = torch.cat([layer.bias.detach() for layer in layers])


def _norm(spec: Any, layer: Any) -> None:
    spec.gamma, spec.beta = layer.weight.detach(), layer.bias.detach()
