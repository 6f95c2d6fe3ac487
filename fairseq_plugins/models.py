"""A checkpoint's model with its task, ready to read and to translate sentences."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fairseq import checkpoint_utils
from fairseq.data import data_utils
from fairseq.models import FairseqEncoderDecoderModel
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from csr.backbone.generation import MAX_TOKENS, torch_device
from csr.backbone.presets import PRESETS
from csr.data.rows import FIRST, Vocabulary
from csr.data.subwords import load, model_pieces, write_dictionary
from csr.errors import ConfigError, DataError
from csr.files import PathLike, file_name
from fairseq_plugins.checkpoints import check_finite, of_checkpoint
from fairseq_plugins.datasets import Side, TranslationDataset
from fairseq_plugins.nli import CsrNliConfig, CsrNliTask
from fairseq_plugins.translation import CsrTranslationConfig, CsrTranslationTask

# Settings of the task a model was trained with that still hold when it is used.
_OF_THE_MODEL = ("source_lang", "target_lang", "langs", "language_ids", "max_source_positions", "max_target_positions")
# Whose checkpoints say what languages their models have.
_TASKS = ("csr_restore", "csr_translation", "csr_back_translation", "csr_nli")


@dataclass(frozen=True)
class Languages:
    """What to say of a model that another task trained, such as mBART as it was published."""

    source: str
    target: str
    all: tuple[str, ...]  # in the order of its pretraining


@dataclass(frozen=True)
class Model:
    """A model in evaluation mode on its device.

    Attributes:
        trained_by: the task it was trained with.
        updates: how many it was trained for, in its last stage.
        start: the checkpoint that this stage started from, as fairseq was told.
    """

    model: FairseqEncoderDecoderModel
    task: CsrTranslationTask
    device: torch.device
    trained_by: str
    updates: int
    start: str | None

    def batches(
        self, side: Side, sentences: int, max_tokens: int | None, label: str
    ) -> Iterator[tuple[np.ndarray, list[torch.Tensor]]]:
        """Yield the first ``sentences`` of a side by length, as their numbers and their rows with language id.

        A batch has at most ``max_tokens`` (default: ``MAX_TOKENS``), padding included, but always a sentence. One that
        is longer than the model's positions keeps its start, its end and language id.
        """
        dataset = TranslationDataset(side, None, self.task.symbols)
        limit = min(self.model.max_positions())
        order = dataset.ordered_indices()
        order = order[order < sentences]
        lengths = np.minimum(dataset.sizes, limit)
        max_tokens = max_tokens or MAX_TOKENS[self.device.type]
        batches = data_utils.batch_by_size(
            order, lengths.__getitem__, lengths[order], max_tokens=max(max_tokens, lengths.max())
        )
        for batch in tqdm(batches, desc=label, unit="batch", disable=None):
            rows = [dataset[i]["source"] for i in batch]
            yield batch, [row if len(row) <= limit else torch.cat([row[: limit - 2], row[-2:]]) for row in rows]

    def text_side(self, lines: Sequence[str], language: str, pieces: PathLike) -> Side:
        """Plain text as a side, cut by a SentencePiece model; a tab in a line becomes ``</s>``."""
        ids, sizes, _ = Vocabulary(pieces, self.task.source_dictionary.symbols[FIRST:]).encode(lines)
        rows = torch.from_numpy(ids).long().split(sizes.tolist())
        return Side(rows, sizes, self.task.language_id(language))


def read_model(
    checkpoint: PathLike,
    data: PathLike | None = None,
    sentencepiece_model: PathLike | None = None,
    languages: Languages | None = None,
    device: str | None = None,
) -> Model:
    """Read a checkpoint, the dictionary from a folder of fairseq-preprocess or in the order of SentencePiece's pieces.

    Args:
        data: folder with ``dict.LANG.txt``; without one, the dictionary is that of ``sentencepiece_model``, as with
            ``csr prepare`` and mBART.
        languages: needed where the model was not trained by a task of ours.
        device: ``cpu``, ``cuda`` or None for CUDA if it is there.

    Raises:
        DataError: the checkpoint is missing, damaged, of another task or of another vocabulary, or has diverged.
        ConfigError: there is neither data nor SentencePiece model, or no such device.
    """
    if data is None and sentencepiece_model is None:
        raise ConfigError("expected a folder of binary data or a SentencePiece model, found neither")
    place = torch_device(device)
    state = _state(checkpoint)
    trained, history = state["cfg"].get("task") or {}, state["optimizer_history"][-1]
    with tempfile.TemporaryDirectory() as folder:
        with of_checkpoint(checkpoint):
            settings = _settings(trained, languages, checkpoint)
        for language in (settings.source_lang, settings.target_lang):
            file_name(language, f"{checkpoint}: language")
        if data is None:
            for language in {settings.source_lang, settings.target_lang}:
                assert sentencepiece_model is not None
                write_dictionary(model_pieces(load(sentencepiece_model)), {}, Path(folder, f"dict.{language}.txt"))
        settings.data = folder if data is None else str(data)
        for language in (settings.source_lang, settings.target_lang):
            if not Path(settings.data, f"dict.{language}.txt").is_file():
                raise DataError(f"{data}: expected dict.{language}.txt in it, found no such file")
        kind: Any = CsrNliTask if trained.get("_name") == "csr_nli" else CsrTranslationTask
        task = kind.setup_task(settings)
    expected, found = len(state["model"]["encoder.embed_tokens.weight"]), len(task.source_dictionary)
    if expected != found:
        raise DataError(f"{checkpoint}: expected a dictionary of {expected:,} with language ids, found {found:,}")
    start = (state["cfg"].get("checkpoint") or {}).get("finetune_from_model")
    (model,), _, _ = checkpoint_utils.load_model_ensemble_and_task([str(checkpoint)], task=task, state=state)
    check_finite(model, checkpoint)
    return Model(model.to(place).eval(), task, place, str(trained.get("_name")), history["num_updates"], start)


def _state(checkpoint: PathLike) -> dict:
    if not Path(checkpoint).is_file():
        raise DataError(f"{checkpoint}: no such file")
    state = checkpoint_utils.load_checkpoint_to_cpu(str(checkpoint))
    whole = state.get("cfg") and state["cfg"].get("model") and state["optimizer_history"]
    if not whole or getattr(state["model"].get("encoder.embed_tokens.weight"), "ndim", 0) != 2:
        raise DataError(f"{checkpoint}: expected a whole fairseq checkpoint of a translation model")
    return state


def _settings(trained: Mapping[str, Any], languages: Languages | None, checkpoint: PathLike) -> DictConfig:
    """The settings of a translation task for the languages a model was trained with, or is said to know."""
    values: dict[str, Any] = {"dataset_impl": None, "seed": 1, "train_subset": "train", "required_seq_len_multiple": 1}
    if languages:
        values |= {"source_lang": languages.source, "target_lang": languages.target, "langs": ",".join(languages.all)}
        if published := [preset for preset in PRESETS.values() if preset.languages == languages.all]:
            values["language_ids"] = published[0].language_ids.value
    elif trained.get("_name") in _TASKS:
        values |= {key: trained[key] for key in _OF_THE_MODEL}
        values["preset"] = trained.get("preset")  # checkpoints from before there were presets have none
        # Tasks without pairs fill these in after fairseq has noted its settings.
        values["source_lang"] = values["source_lang"] or trained["monolingual"].split(",")[0]
        values["target_lang"] = values["target_lang"] or values["source_lang"]
    else:
        raise DataError(
            f"{checkpoint}: expected a model trained by {' or '.join(_TASKS)}, or to be told its languages, found one "
            f"of {trained.get('_name')}"
        )
    config = CsrNliConfig if trained.get("_name") == "csr_nli" else CsrTranslationConfig
    return DictConfig(OmegaConf.merge(OmegaConf.structured(config), values))
