"""A sequence-to-sequence model from a published encoder (Rothe, Narayan and Severyn 2020): weights in both halves.

The encoder is as it was. Layers of the decoder begin as layers of the encoder, attention to the source is new, one
embedding serves both sides and the output. Sentences are ``[lang] X </s>``: each language id begins as ``<s>``, which
stood there in pretraining, so that the encoder's hidden states are the same.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from csr.backbone.checkpoints import EMBEDDINGS, dictionary_hash, read_checkpoint, write_checkpoint
from csr.backbone.encoder_hf import import_encoder
from csr.backbone.families import EMBEDDING, ENCODER, MASK, POSITIONS, SPECIAL
from csr.backbone.presets import CHECKPOINT, DICTIONARY, SENTENCEPIECE
from csr.backbone.saved_settings import model_settings
from csr.data.subwords import read_dictionary, write_dictionary
from csr.errors import ConfigError, DataError
from csr.files import PathLike, write_whole

if TYPE_CHECKING:
    import torch

_SIZES = ("layers", "embed_dim", "ffn_embed_dim", "attention_heads")


@dataclass(frozen=True)
class Seq2Seq:
    """A model that was made of an encoder.

    Attributes:
        decoder_from: the layer of the encoder that each layer of the decoder began as.
        changes: what was left out of the encoder.
    """

    encoder_layers: int
    dim: int
    vocabulary: int
    decoder_from: tuple[int, ...]
    changes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return (
            f"an encoder of {self.encoder_layers} and a decoder of {len(self.decoder_from)} layers of {self.dim} (from "
            f"layers {', '.join(map(str, self.decoder_from))} of the encoder), {self.vocabulary:,} embeddings"
        )


def spread(layers: int, wanted: int) -> tuple[int, ...]:
    """So many layers of an encoder, the first and the last among them, evenly apart; one is the last.

    >>> spread(12, 3), spread(12, 1)
    ((0, 6, 11), (11,))
    """
    if not 1 <= wanted <= layers:
        raise ConfigError(f"--decoder-layers: expected 1 to the encoder's {layers}, found {wanted}")
    return tuple(
        (2 * i * (layers - 1) + wanted - 1) // (2 * (wanted - 1)) if wanted > 1 else layers - 1 for i in range(wanted)
    )


def import_seq2seq(folder: PathLike, out: PathLike, languages: Sequence[str], decoder_layers: int) -> Seq2Seq:
    """Write an encoder's folder as a fairseq checkpoint of ``--arch csr_bart``, with ``dict.txt`` and pieces.

    Args:
        folder: of Hugging Face or sentence-transformers, or what ``csr import-hf`` or ``csr trim`` wrote.
        languages: of the model, in order.

    Raises:
        DataError: a file is missing or damaged, or the model is no encoder with SentencePiece's pieces.
        ConfigError: the encoder has fewer layers, or a language comes twice.
    """
    import torch

    folder, out = Path(folder), Path(out)
    if len(set(languages)) < len(languages) or not all(languages):
        raise ConfigError(f"--langs: expected each language once, found {','.join(languages)}")
    with tempfile.TemporaryDirectory(dir=out) as part:
        changes: tuple[str, ...] = ()
        if not (folder / CHECKPOINT).is_file():
            changes = import_encoder(folder, part).changes
            folder = Path(part)
        if not (folder / SENTENCEPIECE).is_file():
            raise DataError(f"{folder}: expected the pieces of SentencePiece ({SENTENCEPIECE}), found none")
        state = read_checkpoint(folder / CHECKPOINT)
        weights, settings = state["model"], model_settings(state)
        pieces = [piece for piece in read_dictionary(folder / DICTIONARY) if piece != MASK]
        symbols = [*SPECIAL, *pieces, *(f"[{language}]" for language in languages), MASK]
        if EMBEDDING not in weights or len(weights[EMBEDDING]) != len(symbols) - len(languages):
            raise DataError(f"{folder / CHECKPOINT}: expected an encoder of the pieces of {folder / DICTIONARY}")
        chosen = spread(settings["encoder_layers"], decoder_layers)
        embedding = weights[EMBEDDING]
        embedding = torch.cat([embedding[:-1], embedding[:1].expand(len(languages), -1), embedding[-1:]])
        sizes = {f"encoder_{name}": settings[f"encoder_{name}"] for name in _SIZES}
        sizes |= {f"decoder_{name}": settings[f"encoder_{name}"] for name in _SIZES} | {
            "decoder_layers": decoder_layers
        }
        positions = dict.fromkeys(("max_source_positions", "max_target_positions"), settings["max_positions"])
        model = {
            "_name": "csr_bart",
            "arch": "csr_bart",
            **sizes,
            **positions,
            "layer_norm_eps": settings.get("layer_norm_eps", 1e-5),
        }
        task = {"_name": "denoising", "langs": ",".join(languages), "language_ids": "prepend"}
        made = {
            "model": {**dict.fromkeys(EMBEDDINGS, embedding), **_halves(weights, chosen)},
            "cfg": {"model": model, "task": task},
            "optimizer_history": [{"num_updates": 0, "lr_scheduler_state": {}, "optimizer_name": "FairseqAdam"}],
            "extra_state": {"train_iterator": {"epoch": 1, "iterations_in_epoch": 0}},
            "task_state": {"dictionary": dictionary_hash(symbols)},
        }
        write_dictionary(pieces, {}, out / DICTIONARY)
        with write_whole(out / SENTENCEPIECE) as whole:
            whole.write_bytes((folder / SENTENCEPIECE).read_bytes())
        write_checkpoint(made, out / CHECKPOINT)
    return Seq2Seq(settings["encoder_layers"], embedding.shape[1], len(symbols), chosen, changes)


def _halves(weights: dict[str, torch.Tensor], chosen: Sequence[int]) -> dict[str, torch.Tensor]:
    """The weights of both halves but the embedding, by fairseq's names."""
    import torch

    found = {"encoder.version": torch.tensor([3.0]), "decoder.version": torch.tensor([3.0])}
    for name in ("layernorm_embedding.weight", "layernorm_embedding.bias"):
        found |= {f"{side}.{name}": weights[f"{ENCODER}.{name}"] for side in ("encoder", "decoder")}
    found |= {f"{side}.embed_positions.weight": weights[POSITIONS] for side in ("encoder", "decoder")}
    stem = f"{ENCODER}.layers."
    layers = {name: weight for name, weight in weights.items() if name.startswith(stem)}
    found |= {name.replace(ENCODER, "encoder", 1): weight for name, weight in layers.items()}
    chance = torch.Generator().manual_seed(1)
    for number, source in enumerate(chosen):
        own = f"{stem}{source}."
        parts = {name.removeprefix(own): weight for name, weight in layers.items() if name.startswith(own)}
        found |= {f"decoder.layers.{number}.{name}": weight for name, weight in parts.items()}
        # New: as BERT's weights begin (Devlin et al. 2019).
        for name, weight in parts.items():
            kind, _, part = name.partition(".")
            place = f"decoder.layers.{number}.encoder_attn"
            if kind == "self_attn" and name.endswith(".weight"):
                new = torch.empty(weight.shape).normal_(0, 0.02, generator=chance)
                found[f"{place}.{part}"] = new.to(weight.dtype)
            elif kind == "self_attn":
                found[f"{place}.{part}"] = torch.zeros_like(weight)
            elif kind == "self_attn_layer_norm":
                found[f"{place}_layer_norm.{part}"] = (torch.ones_like if part == "weight" else torch.zeros_like)(
                    weight
                )
    return found
