"""Checkpoints with random weights that are laid out as mBART-cc25's and mBART-50's archives, as narrow as you like."""

from __future__ import annotations

import shutil
import struct
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import sentencepiece
import torch
from evaluation_outputs import references

from csr.backbone.checkpoints import EMBEDDINGS, write_checkpoint
from csr.backbone.presets import PRESETS
from csr.data import subwords


def write_sentencepiece(path: Path, lines: Sequence[str], size: int) -> None:
    """Train a model on some lines and fill it up to ``size`` pieces, control symbols included, with unlikely ones.

    A model file is a protocol buffer, and pieces appended to one are pieces of it: ``ModelProto.pieces`` is field 1,
    with the text as field 1 and the score as field 2.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    characters = len(set("".join(lines)))
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_prefix=str(path.with_suffix("")),
        vocab_size=min(size, characters + 150),
        hard_vocab_limit=False,
        character_coverage=1.0,
        minloglevel=2,
    )
    path.with_suffix(".vocab").unlink()
    path.with_suffix(".model").replace(path)
    with open(path, "ab") as model:
        for i in range(size - len(subwords.load(path))):
            text = f"▁qx{i}".encode()
            piece = b"\x0a" + bytes([len(text)]) + text + b"\x15" + struct.pack("<f", -20 - i / size)
            model.write(b"\x0a" + bytes([len(piece)]) + piece)


def make_archive(
    folder: Path,
    preset: str = "cc25",
    pieces: int | None = None,
    lines: Sequence[str] | None = None,
    layers: int = 2,
    dim: int = 16,
    seed: int = 1,
    scale: float = 0.5,
) -> Path:
    """Write ``model.pt``, ``dict.txt`` and ``sentence.bpe.model``, the files of fairseq's archives.

    Args:
        pieces: lines of the dictionary; the published 249,997 if None.
        lines: text whose pieces the vocabulary has.
        scale: standard deviation of the weights, wide enough that outputs differ from sentence to sentence.
    """
    of = PRESETS[preset]
    pieces = of.pieces if pieces is None else pieces
    write_sentencepiece(folder / "sentence.bpe.model", references() if lines is None else lines, pieces + 3)
    model = subwords.load(folder / "sentence.bpe.model")
    subwords.write_dictionary(subwords.model_pieces(model), {}, folder / "dict.txt")
    write_checkpoint(make_state(of.rows(pieces), layers, dim, seed, scale), folder / "model.pt")
    return folder


def make_data(archive: Path, folder: Path, texts: Mapping[str, Sequence[str]]) -> Path:
    """Write what fairseq-preprocess does of the same lines as train, valid and test; ``texts`` by language, two."""
    from fairseq.data import Dictionary
    from fairseq.data.indexed_dataset import MMapIndexedDatasetBuilder

    folder.mkdir(parents=True)
    model, dictionary = subwords.load(archive / "sentence.bpe.model"), Dictionary.load(str(archive / "dict.txt"))
    for language, lines in texts.items():
        shutil.copyfile(archive / "dict.txt", folder / f"dict.{language}.txt")
        for split in ("train", "valid", "test"):
            prefix = folder / f"{split}.{'-'.join(texts)}.{language}"
            builder = MMapIndexedDatasetBuilder(f"{prefix}.bin", dtype=np.int32)
            for line in lines:
                builder.add_item(dictionary.encode_line(" ".join(model.encode(line, out_type=str)), append_eos=True))
            builder.finalize(f"{prefix}.idx")
    return folder


def make_state(rows: int, layers: int = 2, dim: int = 16, seed: int = 1, scale: float = 0.5) -> dict:
    """What fairseq wrote for mBART: ``args``, as before its version 0.11, and weights by name."""
    torch.manual_seed(seed)
    ffn = 2 * dim
    weights: dict[str, torch.Tensor] = {}

    def linear(name: str, rows: int, columns: int) -> None:
        weights[f"{name}.weight"] = torch.randn(rows, columns) * scale
        weights[f"{name}.bias"] = torch.randn(rows) * scale

    def norm(name: str) -> None:
        weights[f"{name}.weight"] = 1 + torch.randn(dim) * scale / 5
        weights[f"{name}.bias"] = torch.randn(dim) * scale / 5

    embedding = torch.randn(rows, dim) * dim**-0.5
    embedding[1] = 0  # <pad>
    for side in ("encoder", "decoder"):
        weights[f"{side}.version"] = torch.tensor([3.0])
        weights[f"{side}.embed_tokens.weight"] = embedding
        weights[f"{side}.embed_positions.weight"] = torch.randn(1026, dim) * scale
        for layer in (f"{side}.layers.{i}" for i in range(layers)):
            for attention in ("self_attn", "encoder_attn") if side == "decoder" else ("self_attn",):
                for part in ("k_proj", "v_proj", "q_proj", "out_proj"):
                    linear(f"{layer}.{attention}.{part}", dim, dim)
                norm(f"{layer}.{attention}_layer_norm")
            linear(f"{layer}.fc1", ffn, dim)
            linear(f"{layer}.fc2", dim, ffn)
            norm(f"{layer}.final_layer_norm")
        norm(f"{side}.layernorm_embedding")
        norm(f"{side}.layer_norm")
    weights[EMBEDDINGS[-1]] = embedding
    # </s> is about as likely as the best of the pieces: sentences end, at different lengths.
    bias = weights["decoder.layer_norm.bias"]
    bias += 1
    embedding[2] += 4 * bias / (bias @ bias)
    settings = {"arch": "mbart_large", "task": "multilingual_denoising", "activation_fn": "gelu"}
    settings |= {"train_subset": "train", "valid_subset": "valid"}
    settings |= {"max_source_positions": 1024, "max_target_positions": 1024, "layernorm_embedding": True}
    settings |= {"share_all_embeddings": True, "share_decoder_input_output_embed": True, "no_scale_embedding": False}
    for side in ("encoder", "decoder"):
        settings |= {f"{side}_layers": layers, f"{side}_embed_dim": dim, f"{side}_ffn_embed_dim": ffn}
        settings |= {f"{side}_attention_heads": 2, f"{side}_learned_pos": True, f"{side}_normalize_before": True}
    return {
        "args": Namespace(**settings),
        "model": weights,
        "optimizer_history": [{"num_updates": 500_000, "optimizer_name": "FairseqAdam", "lr_scheduler_state": {}}],
        "extra_state": {"train_iterator": {"epoch": 1, "iterations_in_epoch": 0}},
        "last_optimizer_state": None,
    }
