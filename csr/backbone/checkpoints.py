"""Checkpoints in and out: read without running code, mapped from the disk, and told apart by what their weights say."""

from __future__ import annotations

import argparse
import hashlib
import pickle
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from csr.backbone.presets import Preset, check_rows
from csr.backbone.saved_settings import check_state, model_settings
from csr.errors import DataError
from csr.files import PathLike, read_object, write_whole

if TYPE_CHECKING:
    import torch

# Where the Hugging Face library keeps weights, best first; an index names the files of a model in parts.
_WEIGHT_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
# The tied embedding: one tensor in fairseq's model, three names in its checkpoint.
EMBEDDINGS = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "decoder.output_projection.weight")


@dataclass(frozen=True)
class Architecture:
    """The sizes of an encoder-decoder in fairseq; None where neither weights nor settings say."""

    vocabulary: int | None
    encoder_layers: int | None
    decoder_layers: int | None
    dim: int | None
    ffn: int | None
    positions: int | None
    embedding_norm: bool | None
    final_norm: bool | None
    heads: int | None = None
    activation: str | None = None

    def __str__(self) -> str:
        """The sizes as one reads them."""
        return (
            f"{self.vocabulary:,} embeddings, {self.encoder_layers} + {self.decoder_layers} layers, {self.dim} "
            f"dimensions, {self.ffn} in between, {self.heads} heads, {self.activation}"
        )

    def differences(self, other: Architecture) -> dict[str, tuple[Any, Any]]:
        """In what two models differ: this one's value and the other's; what either leaves open is the same."""
        pairs = {field.name: (getattr(self, field.name), getattr(other, field.name)) for field in fields(self)}
        return {name: pair for name, pair in pairs.items() if None not in pair and pair[0] != pair[1]}


def read_checkpoint(path: PathLike) -> dict[str, Any]:
    """Read a fairseq checkpoint or a Hugging Face folder; weights stay on the disk until they are used.

    Returns:
        ``model``: weights by name. Of a fairseq checkpoint also what else is in it, such as ``args`` or ``cfg``; of a
        folder ``config``: the content of its ``config.json``.

    Raises:
        DataError: nothing is there, it is damaged or cut short, no checkpoint, or it or fairseq would run code.
    """
    path = Path(path)
    if path.is_dir():
        return {"model": _folder_weights(path), "config": read_object(path / "config.json")}
    state = read_state(path)
    if not _is_weights(state.get("model")):
        raise DataError(f"{path}: expected a fairseq checkpoint with its model, found something else")
    check_state(state, path)
    return state


def write_checkpoint(state: Mapping[str, Any], path: PathLike) -> None:
    """Write a fairseq checkpoint, whole or not at all; tensors that share memory are written once.

    The same content gives the same bytes: with a path, torch would write the name of the file into it.
    """
    import torch

    with write_whole(path) as part, open(part, "wb") as stream:
        torch.save(dict(state), stream)


def described(settings: Mapping[str, Any]) -> Architecture:
    """The sizes that fairseq's settings of a model name, all but that of the vocabulary."""
    return Architecture(
        vocabulary=None,
        encoder_layers=settings.get("encoder_layers"),
        decoder_layers=settings.get("decoder_layers"),
        dim=settings.get("encoder_embed_dim"),
        ffn=settings.get("encoder_ffn_embed_dim"),
        positions=settings.get("max_source_positions"),
        embedding_norm=settings.get("layernorm_embedding"),
        final_norm=settings.get("encoder_normalize_before"),
        heads=settings.get("encoder_attention_heads"),
        activation=settings.get("activation_fn"),
    )


def architecture(state: Mapping[str, Any]) -> Architecture:
    """The sizes of the model in a fairseq checkpoint: what its weights say, the rest from its settings."""
    weights, settings = state["model"], model_settings(state)

    def size(name: str, axis: int = 0) -> int | None:
        return weights[name].shape[axis] if name in weights and weights[name].ndim > axis else None

    positions = size("encoder.embed_positions.weight")
    return Architecture(
        vocabulary=size("encoder.embed_tokens.weight"),
        encoder_layers=_layers(weights, "encoder"),
        decoder_layers=_layers(weights, "decoder"),
        dim=size("encoder.embed_tokens.weight", 1),
        ffn=size("encoder.layers.0.fc1.weight"),
        # fairseq counts from the id of <pad> on, which is 1; positions that are sines are no weights.
        positions=positions - 2 if positions else settings.get("max_source_positions"),
        embedding_norm="encoder.layernorm_embedding.weight" in weights,
        final_norm="encoder.layer_norm.weight" in weights,
        heads=settings.get("encoder_attention_heads"),
        activation=settings.get("activation_fn"),
    )


def check_start(
    path: PathLike,
    settings: Mapping[str, Any],
    symbols: Sequence[str],
    n_pieces: int,
    preset: Preset | None,
    dictionary: PathLike = "the dictionary",
) -> None:
    """Raise DataError unless a model can start from a fairseq checkpoint: one that is whole, of its sizes and pieces.

    Args:
        settings: fairseq's of the model to be built.
        symbols: the vocabulary with languages and <mask>; ``n_pieces`` of them are lines of ``dictionary``.
        preset: what the model is said to be, if anything.
    """
    state = read_checkpoint(path)
    found = architecture(state)
    if found.vocabulary is not None and found.vocabulary != len(symbols):
        if preset:
            check_rows(preset, found.vocabulary, n_pieces, path, dictionary)
        raise DataError(
            f"{path}: expected {len(symbols):,} embeddings ({n_pieces:,} lines of {dictionary}, special symbols, "
            f"languages and <mask>), found {found.vocabulary:,}"
        )
    for name, (is_, wanted) in found.differences(described(settings)).items():
        said = name.replace("_", " ")
        raise DataError(f"{path}: expected a model with {said} {wanted}, as the settings say, found {said} {is_}")
    known = (state.get("task_state") or {}).get("dictionary")
    if known is not None and known != dictionary_hash(symbols):
        raise DataError(f"{path}: expected a model of {dictionary}, found one of other pieces or in another order")


def dictionary_hash(symbols: Iterable[str]) -> str:
    """What tells one vocabulary from another: a hash of its symbols in the order of their ids."""
    return hashlib.sha256("\n".join(symbols).encode()).hexdigest()


def fingerprint(dictionary: str) -> torch.Tensor:
    """What an encoder's checkpoint keeps of ``dictionary_hash``: its first 8 bytes as a number, int64."""
    import torch

    return torch.tensor(int.from_bytes(bytes.fromhex(dictionary)[:8], "little", signed=True))


def _layers(weights: Mapping[str, Any], side: str) -> int:
    numbers = (re.match(rf"{side}\.layers\.(\d+)\.", name) for name in weights)
    return max((int(match[1]) + 1 for match in numbers if match), default=0)


def read_state(path: PathLike) -> dict[str, Any]:
    """Read a dictionary that ``torch.save`` wrote; what is in it is not looked at.

    Raises:
        DataError: the file is missing, damaged, holds something else, or reading it would run code.
    """
    state = _unpickled(Path(path))
    if not isinstance(state, dict):
        raise DataError(f"{path}: expected a fairseq checkpoint, found something else")
    return state


def _unpickled(path: Path) -> Any:
    """Read what torch.save wrote, the classes that fairseq needs and no others."""
    import torch

    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        # For good: what allows a class for a while takes it from those who have allowed it before, too.
        torch.serialization.add_safe_globals([argparse.Namespace])
        return torch.load(path, map_location="cpu", mmap=zipfile.is_zipfile(path), weights_only=True)
    except (RuntimeError, OSError, EOFError, LookupError, TypeError, ValueError, pickle.UnpicklingError) as error:
        raise unreadable(path, error) from None


def unreadable(path: PathLike, error: Exception) -> DataError:
    """What to say of a checkpoint that torch refuses: it would run code, or is damaged."""
    if code := re.search(r"GLOBAL `?([\w.]+)", str(error)):
        return DataError(
            f"{path}: refused: reading it would call {code[1]}, which is not needed for weights and settings; it "
            "comes from another program, or somebody has put code into it"
        )
    found = (str(error).splitlines() or [type(error).__name__])[0][:200]
    return DataError(f"{path}: expected a whole checkpoint, found a damaged file, a part of one or none ({found})")


def _folder_weights(folder: Path) -> dict[str, torch.Tensor]:
    """The weights of a Hugging Face folder, of one file or of several."""
    name = next((name for name in _WEIGHT_FILES if (folder / name).is_file()), None)
    if name is None:
        raise DataError(f"{folder}: expected {' or '.join(_WEIGHT_FILES[::2])} in it, found neither")
    if not name.endswith(".json"):
        return _weights_file(folder / name)
    index = read_object(folder / name)
    try:
        parts: dict[str, str] = index["weight_map"]
        files = sorted({Path(file).name for file in parts.values()})
    except (KeyError, TypeError, AttributeError):
        raise DataError(f"{folder / name}: expected a weight_map of names and files, found none") from None
    weights = {name: weight for file in files for name, weight in _weights_file(folder / file).items()}
    if missing := parts.keys() - weights.keys():
        raise DataError(f"{folder / name}: expected {min(missing)} in {parts[min(missing)]}, found no such weight")
    return weights


def _weights_file(path: Path) -> dict[str, torch.Tensor]:
    if path.suffix != ".safetensors":
        weights = _unpickled(path)
        if not _is_weights(weights):
            raise DataError(f"{path}: expected weights by name, found something else")
        return weights
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise unreadable(path, error) from None


def write_safetensors(folder: Path, weights: Mapping[str, torch.Tensor]) -> None:
    """Write weights as a Hugging Face folder has them."""
    from safetensors.torch import save_file

    path = folder / _WEIGHT_FILES[0]
    save_file({name: weight.contiguous() for name, weight in weights.items()}, path, {"format": "pt"})
    path.chmod((folder / "config.json").stat().st_mode)  # safetensors leaves it to the owner alone


def _is_weights(value: Any) -> bool:
    import torch

    return isinstance(value, Mapping) and bool(value) and all(isinstance(item, torch.Tensor) for item in value.values())
