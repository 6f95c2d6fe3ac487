"""A finetuned encoder, ready to tag tokens and to label sentence pairs and texts."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from fairseq.data import data_utils
from tqdm import tqdm

from csr.backbone.checkpoints import read_checkpoint
from csr.backbone.saved_settings import model_settings, task_settings
from csr.data.labelled import Example, unlabelled_examples
from csr.data.nli import NliExample
from csr.data.text_labels import LabelledText
from csr.errors import ConfigError, DataError
from csr.files import PathLike
from fairseq_plugins.checkpoints import check_finite, of_checkpoint
from fairseq_plugins.classification import ClassificationConfig, ClassificationTask, Classifier
from fairseq_plugins.models import MAX_TOKENS
from fairseq_plugins.sentence_pair import SentencePairTask
from fairseq_plugins.tagging import TaggingConfig, TaggingTask
from fairseq_plugins.text_labels import TextConfig, TextTask

_TASKS = ("csr_tagging", "csr_sentence_pair", "csr_text")


@dataclass(frozen=True)
class Labeller:
    """A model in evaluation mode on its device, with the task it was trained for."""

    model: Classifier
    task: ClassificationTask
    device: torch.device

    @property
    def kind(self) -> Literal["ner", "nli", "text"]:
        """What it labels: tokens, sentence pairs or texts."""
        return "ner" if isinstance(self.task, TaggingTask) else "text" if isinstance(self.task, TextTask) else "nli"

    def tag(self, sentences: Sequence[Sequence[str]]) -> list[list[str]]:
        """A tag for each token of each sentence; long ones are read in overlapping runs."""
        limit = self.task.cfg.max_length
        runs = [list(unlabelled_examples(tokens, self.task.pieces, limit)) for tokens in sentences]
        labels = iter(self._labels([run for of_sentence in runs for run in of_sentence]))
        return [[self.task.labels[i] for _ in of_sentence for i in next(labels)] for of_sentence in runs]

    def classify(self, rows: Sequence[NliExample | LabelledText]) -> list[str]:
        """A label for each pair or text; its own is not looked at."""
        return [self.task.labels[int(label[0])] for label in self._labels(self.task.encode(rows))]

    @torch.inference_mode()
    def _labels(self, examples: Sequence[Example]) -> list[np.ndarray]:
        """The most probable label at each position of each example."""
        dataset = self.task.as_dataset(examples)
        found: list[np.ndarray] = [np.zeros(0, np.int64)] * len(examples)
        limit = max(MAX_TOKENS[self.device.type], self.task.cfg.max_length)
        batches = data_utils.batch_by_size(
            dataset.ordered_indices(), dataset.num_tokens, dataset.sizes[dataset.ordered_indices()], max_tokens=limit
        )
        for batch in tqdm(batches, desc="labels", unit="batch", disable=None):
            collated = dataset.collater([dataset[i] for i in batch])["net_input"]
            logits = self.model(**{name: tensor.to(self.device) for name, tensor in collated.items()})
            counts = [len(examples[i].positions) for i in batch]
            for i, labels in zip(batch, logits.argmax(1).cpu().split(counts), strict=True):
                found[i] = labels.numpy()
        return found


def read_labeller(
    checkpoint: PathLike, data: PathLike, sentencepiece_model: PathLike, device: str | None = None
) -> Labeller:
    """Read a model that was trained by csr_tagging, csr_sentence_pair or csr_text.

    Args:
        data: folder with the encoder's ``dict.txt``.
        device: ``cpu``, ``cuda`` or None for CUDA if it is there.

    Raises:
        DataError: the checkpoint is missing, damaged, of another task or of another vocabulary.
        ConfigError: there is no such device.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device: expected cpu, found cuda, which is not available here")
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    state = read_checkpoint(checkpoint)
    trained = task_settings(state)
    name, max_length = trained.get("_name"), trained.get("max_length")
    if name not in _TASKS or not max_length:
        raise DataError(
            f"{checkpoint}: expected a model trained by {' or '.join(_TASKS)}, found one of {name or 'another program'}"
        )
    given: dict[str, Any] = {"data": str(data), "sentencepiece_model": str(sentencepiece_model), "seed": 1}
    given["max_length"] = max_length
    task: ClassificationTask
    if name == "csr_tagging":
        task = TaggingTask(TaggingConfig(**given, types=trained.get("types") or ""))
    elif name == "csr_text":
        task = TextTask(TextConfig(**given, labels=trained.get("labels") or ""))
    else:
        task = SentencePairTask(ClassificationConfig(**given))
    with of_checkpoint(checkpoint):
        model = task.build_model(Namespace(**model_settings(state)))
        try:
            model.load_state_dict(state["model"])
        except DataError as error:
            raise DataError(f"{checkpoint}: {error}") from None
        check_finite(model, checkpoint)
    return Labeller(model.to(place).eval(), task, place)
