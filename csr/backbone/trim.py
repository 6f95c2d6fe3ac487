"""Smaller vocabularies: a backbone with the pieces that a text and its lexicons need, and with their embeddings alone.

The other weights, the scores of the pieces and the order of both stay, so that a sentence that is cut into the same
pieces gets the same hidden states, and each kept piece the same logit.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import csr
from csr.backbone.checkpoints import (
    EMBEDDINGS,
    dictionary_hash,
    fingerprint,
    read_checkpoint,
    write_checkpoint,
)
from csr.backbone.encoder_hf import encoder_folder, export_encoder, import_encoder, is_encoder
from csr.backbone.estimate import Setup, Sizes, estimate, operations
from csr.backbone.families import EMBEDDING, MASK, OUTPUT, OUTPUT_BIAS, SPECIAL, Preset
from csr.backbone.huggingface import export_checkpoint, import_folder
from csr.backbone.pieces import PieceModel, changed
from csr.backbone.presets import CHECKPOINT, DICTIONARY, PRESETS, SENTENCEPIECE, check_rows, preset_of
from csr.backbone.saved_settings import model_settings, task_settings
from csr.backbone.strip import stripped
from csr.data import subwords
from csr.errors import DataError
from csr.files import PathLike, new_folder, read_object, sha256, write_json

if TYPE_CHECKING:
    import torch

_RECORD = "trim.json"
_SENTENCES, _LENGTH = 32, 128  # of the update that is said to become smaller


@dataclass(frozen=True)
class Use:
    """What a backbone is to be used for.

    Attributes:
        texts: files of either language, cleaned as ``csr prepare`` does.
        lexicons, reverse_lexicons: source to target and target to source; where the latter are missing, the former
            with their sides swapped, as in ``csr_restore``.
        top_k: candidates that a word has in training, if not those of the lexicon's kind.
        min_count: how often a piece must occur in the texts.
    """

    texts: Sequence[PathLike]
    lexicons: Sequence[PathLike] = ()
    reverse_lexicons: Sequence[PathLike] = ()
    top_k: int | None = None
    min_count: int = 1

    def kept(self, model: PieceModel) -> Kept:
        """The pieces of a model that stay, and why."""
        counts = sum((model.counts(text) for text in self.texts), np.zeros(len(model.texts), np.int64))
        switched = np.zeros(len(model.texts), bool)
        for path in (*self.lexicons, *self.reverse_lexicons):
            switched |= model.switched(path, inverted=False, top_k=self.top_k)
        if not self.reverse_lexicons:
            for path in self.lexicons:
                switched |= model.switched(path, inverted=True, top_k=self.top_k)
        return Kept(model, model.indispensable(), counts, counts >= self.min_count, switched)


@dataclass(frozen=True)
class Kept:
    """The pieces of a model that stay: those without which text is cut badly, those in the texts, those switched in."""

    model: PieceModel
    indispensable: np.ndarray  # bool [n_pieces]
    counts: np.ndarray  # int64 [n_pieces]: in the texts
    frequent: np.ndarray  # bool [n_pieces]
    switched: np.ndarray  # bool [n_pieces]

    @property
    def mask(self) -> np.ndarray:
        """A mark of the pieces that stay, bool [n_pieces]."""
        return self.indispensable | self.frequent | self.switched

    def frequencies(self) -> dict[str, int]:
        """The pieces that stay and how often each is in the texts."""
        return {self.model.texts[i]: int(self.counts[i]) for i in np.flatnonzero(self.mask)}


def trim(backbone: PathLike, out: PathLike, use: Use, held_out: Sequence[PathLike] = ()) -> dict[str, Any]:
    """Write a backbone without the pieces that are of no use into a new folder; return what its ``trim.json`` says.

    A folder with ``model.pt``, ``dict.txt`` and ``sentence.bpe.model`` or, of WordPiece, ``tokenizer.json`` gives
    another one, a Hugging Face folder a Hugging Face folder.

    Args:
        held_out: texts of which only is said how many of their tokens change.

    Raises:
        DataError: a file is missing or damaged, or the files of the backbone do not belong together.
        ConfigError: ``out`` is there already, and not empty.
    """
    backbone = Path(backbone)
    with new_folder(out) as result:
        if is_encoder(backbone):
            backbone = encoder_folder(backbone)
            layout = read_object(backbone / "config.json")["model_type"]
            with tempfile.TemporaryDirectory(dir=result.parent) as name:
                imported = import_encoder(backbone, Path(name, "imported"))
                record = _trim(Path(name, "imported"), Path(name, "trimmed"), use, held_out)
                export_encoder(Path(name, "trimmed", CHECKPOINT), result, layout=layout)
            record["changes"] = list(imported.changes)
        elif (backbone / "config.json").is_file():
            with tempfile.TemporaryDirectory(dir=result.parent) as name:
                work = Path(name)
                preset, sizes = import_folder(backbone, work / "imported")
                record = _trim(work / "imported", work / "trimmed", use, held_out)
                languages = _languages(backbone, preset, sizes.vocabulary or 0)
                export_checkpoint(work / "trimmed" / CHECKPOINT, result, languages=languages)
        else:
            record = _trim(backbone, result, use, held_out)
        files = [path for path in sorted(backbone.iterdir()) if path.is_file()]
        files += map(Path, (*use.texts, *use.lexicons, *use.reverse_lexicons, *held_out))
        record["inputs"] = {str(path): sha256(path) for path in files}
        write_json(result / _RECORD, record)
    return record


def _languages(folder: Path, preset: Preset, rows: int) -> tuple[str | None, str | None]:
    """The languages that a Hugging Face folder translates from and into, as far as it says."""
    files = ("tokenizer_config.json", "config.json", "generation_config.json")
    tokenizer, *settings = (read_object(folder / name) if (folder / name).is_file() else {} for name in files)
    ids = dict(enumerate(preset.languages, rows - len(preset.languages) - 1))
    given = (said.get(key) for said in settings for key in ("decoder_start_token_id", "forced_bos_token_id"))
    return tokenizer.get("src_lang"), next((ids[id_] for id_ in given if id_ in ids), None)


def _trim(backbone: Path, out: Path, use: Use, held_out: Sequence[PathLike]) -> dict[str, Any]:
    path = subwords.model_file(backbone)
    path = path if path.name == subwords.WORDPIECE else backbone / SENTENCEPIECE
    for file in (backbone / CHECKPOINT, backbone / DICTIONARY, path):
        if not file.is_file():
            raise DataError(f"{file}: no such file; expected a backbone or a Hugging Face folder")
    state = read_checkpoint(backbone / CHECKPOINT)
    symbols = [symbol for symbol in subwords.read_dictionary(backbone / DICTIONARY) if symbol != MASK]
    n_rows, last = _rows(state, symbols, backbone)
    model = PieceModel.read(path)
    if len(set(symbols).intersection(model.texts)) < len(symbols) / 2:
        raise DataError(f"{backbone / DICTIONARY}: expected the pieces of {path.name}, found mostly others")

    kept = use.kept(model)
    frequencies = kept.frequencies()
    ids = [i for i, symbol in enumerate(symbols, len(SPECIAL)) if symbol in frequencies]
    # Languages and <mask> are not in the dictionary's file; their embeddings are the last.
    rows = np.array([*range(len(SPECIAL)), *ids, *range(len(SPECIAL) + len(symbols), n_rows)])
    remaining = [symbols[i - len(SPECIAL)] for i in ids]
    weights = trimmed_weights(state["model"], rows)
    trimmed = {**stripped(state), "model": weights}
    known = dictionary_hash([*SPECIAL, *remaining, *last])
    if "vocabulary" in weights:
        weights["vocabulary"] = fingerprint(known)
    if (state.get("task_state") or {}).get("dictionary"):
        trimmed["task_state"] = {**state["task_state"], "dictionary": known}

    out.mkdir(exist_ok=True)
    write_checkpoint(trimmed, out / CHECKPOINT)
    subwords.write_dictionary(remaining, frequencies, out / DICTIONARY)
    (out / path.name).write_bytes(model.trimmed(kept.mask))
    smaller = PieceModel.read(out / path.name)
    before, after = (_sizes({**state, "model": part}) for part in (state["model"], weights))
    return {
        "pieces": {
            "before": len(symbols),
            "after": len(ids),
            "always kept": int(kept.indispensable.sum()),
            "in the texts": int(kept.frequent.sum()),
            "switched in": int(kept.switched.sum()),
        },
        "rows": {"before": n_rows, "after": len(rows)},
        "parameters": {"before": _n_parameters(state["model"]), "after": _n_parameters(weights)},
        "update": {
            "sentences": _SENTENCES,
            "length": _LENGTH,
            "memory": {"before": _memory(before), "after": _memory(after)},
            "operations": {"before": _operations(before), "after": _operations(after)},
        },
        "tokens": {
            str(text): dict(zip(("all", "changed"), changed(model, smaller, text), strict=True))
            for text in (*use.texts, *held_out)
        },
        "options": {"top_k": use.top_k, "min_count": use.min_count},
        "versions": {"csr": csr.__version__},
    }


def trimmed_weights(weights: Mapping[str, torch.Tensor], rows: np.ndarray) -> dict[str, torch.Tensor]:
    """The weights with some rows of the embeddings; embeddings that are one tensor stay one.

    Args:
        rows: ids of the symbols to keep, int64.
    """
    import torch

    index = torch.from_numpy(rows)
    made: dict[int, torch.Tensor] = {}
    out = dict(weights)
    for name in (*EMBEDDINGS, EMBEDDING, OUTPUT, OUTPUT_BIAS):
        if name in weights:
            key = weights[name].data_ptr()
            made[key] = out[name] = made[key] if key in made else weights[name].index_select(0, index)
    return out


def _rows(state: Mapping[str, Any], symbols: Sequence[str], backbone: Path) -> tuple[int, Sequence[str]]:
    """The number of embeddings of a checkpoint, and the symbols that come after those of the dictionary.

    Raises:
        DataError: embeddings and dictionary do not belong together.
    """
    if EMBEDDING in state["model"]:
        n_rows, expected = len(state["model"][EMBEDDING]), len(SPECIAL) + len(symbols) + 1
        if n_rows != expected:
            raise DataError(
                f"{backbone / CHECKPOINT}: expected {expected:,} embeddings ({len(symbols):,} lines of "
                f"{backbone / DICTIONARY} + {len(SPECIAL)} special symbols + {MASK}), found {n_rows:,}"
            )
        return n_rows, [MASK]
    if EMBEDDINGS[0] not in state["model"]:
        raise DataError(f"{backbone / CHECKPOINT}: expected an encoder or an encoder-decoder, found no {EMBEDDINGS[0]}")
    n_rows = len(state["model"][EMBEDDINGS[0]])
    task = task_settings(state)
    languages = (task.get("langs") or f"{task.get('source_lang')},{task.get('target_lang')}").split(",")
    if n_rows != len(SPECIAL) + len(symbols) + len(languages) + 1:
        preset = preset_of(n_rows, len(symbols))
        if preset is None:
            check_rows(PRESETS["cc25"], n_rows, len(symbols), backbone / CHECKPOINT, backbone / DICTIONARY)
        assert preset is not None  # check_rows has raised
        languages = list(preset.languages)
    return n_rows, [*(f"[{language}]" for language in languages), MASK]


def _sizes(state: Mapping[str, Any]) -> Sizes:
    """The sizes that an update's memory and arithmetic depend on, positions at most those of its sentences."""
    settings, weights = model_settings(state), state["model"]
    encoder = EMBEDDING in weights
    return Sizes(
        len(weights[EMBEDDING if encoder else EMBEDDINGS[0]]),
        settings["encoder_layers"],
        settings["encoder_embed_dim"],
        settings["encoder_ffn_embed_dim"],
        settings["encoder_attention_heads"],
        norms=1 if encoder else 2,
        decoder_layers=0 if encoder else settings["decoder_layers"],
    )


def _memory(sizes: Sizes) -> int:
    return estimate(sizes, Setup(), _SENTENCES * _LENGTH, _LENGTH).peak


def _operations(sizes: Sizes) -> int:
    return operations(sizes, _SENTENCES * _LENGTH, _LENGTH)


def _n_parameters(weights: Mapping[str, torch.Tensor]) -> int:
    """The number of parameters of a model, what has several names once; buffers such as versions are none."""
    named = {name: weight for name, weight in weights.items() if not name.endswith((".version", "vocabulary"))}
    return sum({weight.data_ptr(): weight.numel() for weight in named.values()}.values())
