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
from csr.backbone.checkpoints import EMBEDDINGS, dictionary_hash, read_checkpoint, write_checkpoint
from csr.backbone.huggingface import export_checkpoint, import_folder
from csr.backbone.pieces import PieceModel, changed
from csr.backbone.presets import (
    CHECKPOINT,
    DICTIONARY,
    MASK,
    PRESETS,
    SENTENCEPIECE,
    SPECIAL,
    Preset,
    check_rows,
    preset_of,
)
from csr.backbone.saved_settings import task_settings
from csr.backbone.strip import stripped
from csr.data import subwords
from csr.errors import DataError
from csr.files import PathLike, new_folder, read_object, sha256, write_json

if TYPE_CHECKING:
    import torch

_RECORD = "trim.json"


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
        """Return which pieces of a model stay, and why."""
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
        """Return whether each piece stays, bool [n_pieces]."""
        return self.indispensable | self.frequent | self.switched

    def frequencies(self) -> dict[str, int]:
        """Return the pieces that stay and how often each is in the texts."""
        return {self.model.texts[i]: int(self.counts[i]) for i in np.flatnonzero(self.mask)}


def trim(backbone: PathLike, out: PathLike, use: Use, held_out: Sequence[PathLike] = ()) -> dict[str, Any]:
    """Write a backbone without the pieces that are of no use into a new folder; return what its ``trim.json`` says.

    A folder with ``model.pt``, ``dict.txt`` and ``sentence.bpe.model`` gives another one, a Hugging Face folder a
    Hugging Face folder.

    Args:
        held_out: texts of which only is said how many of their tokens change.

    Raises:
        DataError: a file is missing or damaged, or the files of the backbone do not belong together.
        ConfigError: ``out`` is there already, and not empty.
    """
    backbone = Path(backbone)
    with new_folder(out) as result:
        if (backbone / "config.json").is_file():
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
    """Return the languages that a Hugging Face folder translates from and into, as far as it says."""
    files = ("tokenizer_config.json", "config.json", "generation_config.json")
    tokenizer, *settings = (read_object(folder / name) if (folder / name).is_file() else {} for name in files)
    ids = dict(enumerate(preset.languages, rows - len(preset.languages) - 1))
    given = (said.get(key) for said in settings for key in ("decoder_start_token_id", "forced_bos_token_id"))
    return tokenizer.get("src_lang"), next((ids[id_] for id_ in given if id_ in ids), None)


def _trim(backbone: Path, out: Path, use: Use, held_out: Sequence[PathLike]) -> dict[str, Any]:
    for name in (CHECKPOINT, DICTIONARY, SENTENCEPIECE):
        if not (backbone / name).is_file():
            raise DataError(f"{backbone / name}: no such file; expected a backbone or a Hugging Face folder")
    state = read_checkpoint(backbone / CHECKPOINT)
    symbols = subwords.read_dictionary(backbone / DICTIONARY)
    n_rows, languages = _rows(state, symbols, backbone)
    model = PieceModel.read(backbone / SENTENCEPIECE)
    if len(set(symbols).intersection(model.texts)) < len(symbols) / 2:
        raise DataError(f"{backbone / DICTIONARY}: expected the pieces of {SENTENCEPIECE}, found mostly others")

    kept = use.kept(model)
    frequencies = kept.frequencies()
    ids = [i for i, symbol in enumerate(symbols, len(SPECIAL)) if symbol in frequencies]
    # Languages and <mask> are not in the dictionary's file; their embeddings are the last.
    rows = np.array([*range(len(SPECIAL)), *ids, *range(len(SPECIAL) + len(symbols), n_rows)])
    remaining = [symbols[i - len(SPECIAL)] for i in ids]
    weights = trimmed_weights(state["model"], rows)
    trimmed = {**stripped(state), "model": weights}
    if (state.get("task_state") or {}).get("dictionary"):
        trimmed["task_state"] = {**state["task_state"], "dictionary": _hash(remaining, languages)}

    out.mkdir(exist_ok=True)
    write_checkpoint(trimmed, out / CHECKPOINT)
    subwords.write_dictionary(remaining, frequencies, out / DICTIONARY)
    (out / SENTENCEPIECE).write_bytes(model.trimmed(kept.mask))
    smaller = subwords.load(out / SENTENCEPIECE)
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
        "tokens": {
            str(path): dict(zip(("all", "changed"), changed(model.processor, smaller, path), strict=True))
            for path in (*use.texts, *held_out)
        },
        "options": {"top_k": use.top_k, "min_count": use.min_count},
        "versions": {"csr": csr.__version__},
    }


def trimmed_weights(weights: Mapping[str, torch.Tensor], rows: np.ndarray) -> dict[str, torch.Tensor]:
    """Return the weights with some rows of the embeddings; embeddings that are one tensor stay one.

    Args:
        rows: ids of the symbols to keep, int64.
    """
    import torch

    index = torch.from_numpy(rows)
    made: dict[int, torch.Tensor] = {}
    out = dict(weights)
    for name in EMBEDDINGS:
        if name in weights:
            key = weights[name].data_ptr()
            made[key] = out[name] = made[key] if key in made else weights[name].index_select(0, index)
    return out


def _rows(state: Mapping[str, Any], symbols: Sequence[str], backbone: Path) -> tuple[int, Sequence[str]]:
    """Return how many embeddings a checkpoint has, and the languages that come after the symbols of the dictionary.

    Raises:
        DataError: embeddings and dictionary do not belong together.
    """
    if EMBEDDINGS[0] not in state["model"]:
        raise DataError(f"{backbone / CHECKPOINT}: expected an encoder-decoder, found no {EMBEDDINGS[0]}")
    n_rows = len(state["model"][EMBEDDINGS[0]])
    task = task_settings(state)
    trained = (task.get("langs") or f"{task.get('source_lang')},{task.get('target_lang')}").split(",")
    if n_rows == len(SPECIAL) + len(symbols) + len(trained) + 1:
        return n_rows, trained
    preset = preset_of(n_rows, len(symbols))
    if preset is None:
        check_rows(PRESETS["cc25"], n_rows, len(symbols), backbone / CHECKPOINT, backbone / DICTIONARY)
    assert preset is not None  # check_rows has raised
    return n_rows, preset.languages


def _hash(symbols: Sequence[str], languages: Sequence[str]) -> str:
    return dictionary_hash([*SPECIAL, *symbols, *(f"[{language}]" for language in languages), MASK])


def _n_parameters(weights: Mapping[str, torch.Tensor]) -> int:
    """Return how many parameters a model has, what has several names once; the version of a stack of layers is none."""
    named = {name: weight for name, weight in weights.items() if not name.endswith(".version")}
    return sum({weight.data_ptr(): weight.numel() for weight in named.values()}.values())
