"""A finetuned encoder, ready to tag tokens and to label sentence pairs and texts."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from fairseq.data import data_utils
from tqdm import tqdm

from csr.backbone.checkpoints import read_checkpoint
from csr.backbone.generation import MAX_TOKENS, torch_device
from csr.backbone.labelling import Label, best_labels
from csr.backbone.saved_settings import model_settings, task_settings
from csr.data.labelled import Example, unlabelled_examples
from csr.data.nli import NliExample
from csr.data.text_labels import LabelledText
from csr.errors import DataError
from csr.files import PathLike
from fairseq_plugins.checkpoints import check_finite, of_checkpoint
from fairseq_plugins.classification import ClassificationConfig, ClassificationTask, Classifier
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
        return [[label.name for label in labels] for labels in self.tags(sentences)]

    def tags(self, sentences: Sequence[Sequence[str]]) -> list[list[Label]]:
        """The same with the probability of each tag."""
        limit = self.task.cfg.max_length
        runs = [list(unlabelled_examples(tokens, self.task.pieces, limit)) for tokens in sentences]
        labels = iter(self._labels([run for of_sentence in runs for run in of_sentence]))
        return [[label for _ in of_sentence for label in next(labels)] for of_sentence in runs]

    def classify(self, rows: Sequence[NliExample | LabelledText]) -> list[str]:
        """A label for each pair or text; its own is not looked at."""
        return [label.name for label in self.labels(rows)]

    def labels(self, rows: Sequence[NliExample | LabelledText]) -> list[Label]:
        """The same with the probability of each label."""
        return [label for (label,) in self._labels(self.task.encode(rows))]

    @torch.inference_mode()
    def _labels(self, examples: Sequence[Example]) -> list[list[Label]]:
        """The most probable label at each position of each example."""
        dataset = self.task.as_dataset(examples)
        found: list[list[Label]] = [[]] * len(examples)
        limit = max(MAX_TOKENS[self.device.type], self.task.cfg.max_length)
        batches = data_utils.batch_by_size(
            dataset.ordered_indices(), dataset.num_tokens, dataset.sizes[dataset.ordered_indices()], max_tokens=limit
        )
        for batch in tqdm(batches, desc="labels", unit="batch", disable=None):
            collated = dataset.collater([dataset[i] for i in batch])["net_input"]
            logits = self.model(**{name: tensor.to(self.device) for name, tensor in collated.items()})
            counts = [len(examples[i].positions) for i in batch]
            for i, part in zip(batch, logits.float().split(counts), strict=True):
                found[i] = best_labels(part, self.task.labels)
        return found


def read_labeller(
    checkpoint: PathLike,
    data: PathLike | None = None,
    sentencepiece_model: PathLike | None = None,
    device: str | None = None,
) -> Labeller:
    """Read a model that was trained by csr_tagging, csr_sentence_pair or csr_text.

    Args:
        data: folder with the encoder's ``dict.txt``; like the pieces, by default that it was trained with.
        device: ``cpu``, ``cuda`` or None for CUDA if it is there.

    Raises:
        DataError: the checkpoint is missing, damaged, of another task or of another vocabulary.
        ConfigError: there is no such device.
    """
    place = torch_device(device)
    state = read_checkpoint(checkpoint)
    trained = task_settings(state)
    name, max_length = trained.get("_name"), trained.get("max_length")
    if name not in _TASKS or not max_length:
        raise DataError(
            f"{checkpoint}: expected a model trained by {' or '.join(_TASKS)}, found one of {name or 'another program'}"
        )
    given: dict[str, Any] = {"data": str(data or trained["data"]), "seed": 1}
    given["sentencepiece_model"] = str(sentencepiece_model or trained["sentencepiece_model"])
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
