"""Labels from a BERT encoder: the head, its loss, and what csr_tagging, csr_sentence_pair and csr_text share."""

import abc
import functools
import itertools
import logging
import os
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Optional

import numpy as np
import torch
from fairseq.criterions import FairseqCriterion, register_criterion
from fairseq.data import Dictionary, data_utils
from fairseq.dataclass import FairseqDataclass
from fairseq.logging import metrics
from fairseq.models.roberta import RobertaEncoder
from fairseq.modules.transformer_sentence_encoder import init_bert_params
from fairseq.tasks import FairseqTask
from omegaconf import II, MISSING
from torch import nn

from csr.data.labelled import Example, Pieces
from csr.data.switched import LabelledSwitcher, labelled_switcher
from csr.errors import ConfigError, DataError
from csr.switching.settings import LABELLED, Labelled
from fairseq_plugins.datasets import NoisyDataset
from fairseq_plugins.encoder import CsrBert
from fairseq_plugins.fields import read_fields, settings_fields
from fairseq_plugins.layers import lighten
from fairseq_plugins.precision import allow_bf16

logger = logging.getLogger(__name__)

# The settings of switching that every task has; csr_tagging has one more.
SWITCHING = tuple(item.name for item in fields(Labelled) if item.name != "entities")
_SEEN = 1000  # examples that tell how many words a lexicon has


class LabelDataset(NoisyDataset):
    """Rows of ids with the positions that get a label."""

    def __init__(self, examples: Sequence[Example], pad: int, seed: int, shuffle: bool) -> None:
        sizes = np.array([len(example.ids) for example in examples], np.int64)
        super().__init__(sizes, seed, shuffle, fixed_epoch=None)
        self._examples, self._pad = examples, pad

    def __getitem__(self, index: int) -> tuple[int, Example]:
        return int(index), self._examples[index]

    def collater(self, samples: list[tuple[int, Example]]) -> dict[str, Any]:
        """Pad rows to a batch; ``positions`` [n_labels] count through its rows, ``target`` are their labels."""
        if not samples:
            return {}
        numbers, examples = zip(*samples, strict=True)
        rows = data_utils.collate_tokens([torch.from_numpy(example.ids) for example in examples], self._pad)
        positions = [example.positions + i * rows.shape[1] for i, example in enumerate(examples)]
        return {
            "id": torch.tensor(numbers),
            "nsentences": len(examples),
            "ntokens": sum(len(example.ids) for example in examples),
            "net_input": {"src_tokens": rows, "positions": torch.from_numpy(np.concatenate(positions))},
            "target": torch.from_numpy(np.concatenate([example.labels for example in examples])),
        }


class SwitchedDataset(LabelDataset):
    """Examples that are made anew each epoch, from (epoch, number); their lengths count as those given."""

    def __init__(
        self, examples: Sequence[Example], make: Callable[[int, int], Example], pad: int, seed: int, shuffle: bool
    ) -> None:
        super().__init__(examples, pad, seed, shuffle)
        self._make = make

    def __getitem__(self, index: int) -> tuple[int, Example]:
        return int(index), self._make(self.epoch, int(index))


class Head(nn.Module):
    """Dropout and a linear layer; ``pooled`` puts BERT's dense layer with tanh before them, as for sentences."""

    def __init__(self, dim: int, labels: int, dropout: float, pooled: bool) -> None:
        super().__init__()
        self.dense = nn.Linear(dim, dim) if pooled else None
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(dim, labels)
        self.apply(init_bert_params)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """The logits of vectors [n, dim] as [n, labels]."""
        if self.dense is not None:
            vectors = torch.tanh(self.dense(vectors))
        return self.out(self.dropout(vectors))


class Classifier(CsrBert):
    """An encoder with a head in place of the one that predicts masked pieces; its task gives it that head."""

    head: Head

    def __init__(self, args: Namespace, encoder: RobertaEncoder) -> None:
        super().__init__(args, encoder)
        encoder.lm_head = None

    def forward(self, src_tokens: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """The logits at positions [n] of a batch [n_rows, length], counted row by row: [n, labels]."""
        features, _ = super().forward(src_tokens, features_only=True)
        return self.head(features.flatten(0, 1)[positions])

    def upgrade_state_dict_named(self, state_dict: dict[str, torch.Tensor], name: str) -> None:
        """Take the encoder of a pretrained checkpoint, the head staying random, or both of a finetuned one.

        Raises:
            DataError: the checkpoint holds no BERT encoder, one of another vocabulary, or a head of other labels.
        """
        if "encoder.sentence_encoder.embed_tokens.weight" not in state_dict:
            raise DataError("checkpoint: expected a BERT encoder such as csr_masked_lm trains, found another model")
        super().upgrade_state_dict_named(state_dict, name)
        for key in [key for key in state_dict if key.startswith("encoder.lm_head.")]:
            del state_dict[key]
        for key, value in self.head.state_dict(prefix="head.").items():
            if state_dict.setdefault(key, value).shape != value.shape:
                raise DataError(
                    f"checkpoint: expected a head of {self.head.out.out_features} labels, found one of "
                    f"{len(state_dict['head.out.weight'])}"
                )


@register_criterion("csr_classification", dataclass=FairseqDataclass)
class ClassificationCriterion(FairseqCriterion):
    """Cross-entropy of the labels, and how many are right."""

    def forward(self, model: nn.Module, sample: dict[str, Any], reduce: bool = True) -> tuple[Any, int, dict[str, Any]]:
        """The loss summed over labels, their number, and what is logged."""
        logits, target = model(**sample["net_input"]), sample["target"]
        loss = nn.functional.cross_entropy(logits.float(), target, reduction="sum")
        logged = {"ntokens": sample["ntokens"], "nsentences": sample["nsentences"], "sample_size": len(target)}
        return loss, len(target), logged | {"loss": loss.data, "correct": logits.argmax(1).eq(target).sum()}

    @staticmethod
    def reduce_metrics(logging_outputs: list[dict[str, Any]]) -> None:
        """Log the loss in nats and the accuracy in percent."""
        loss, correct, n = (sum(log[key] for log in logging_outputs) for key in ("loss", "correct", "sample_size"))
        metrics.log_scalar("loss", loss / n, n, round=4)
        metrics.log_scalar("accuracy", 100 * correct / n, n, round=2)

    @staticmethod
    def logging_outputs_can_be_summed() -> bool:
        """Say that logs of several processes may be added up."""
        return True


@dataclass
@settings_fields(LABELLED, SWITCHING)
class ClassificationConfig(FairseqDataclass):
    """Settings that all tasks on labelled text have."""

    data: str = field(default=MISSING, metadata={"help": "folder with the encoder's dictionary, dict.txt"})
    sentencepiece_model: str = field(
        default=MISSING, metadata={"help": "SentencePiece model or tokenizer.json of that dictionary"}
    )
    train: Optional[str] = field(default=None, metadata={"help": "file to train on"})
    valid: Optional[str] = field(default=None, metadata={"help": "file to validate on"})
    examples: Optional[int] = field(default=None, metadata={"help": "train on the first so many examples"})
    max_length: int = field(default=128, metadata={"help": "ids of an example (Visser et al., Table 2)"})
    lexicon: Optional[str] = field(
        default=None,
        metadata={
            "help": "lexicon out of the language of the training file, TSV: source<TAB>target<TAB>weight; several, "
            "with : between them, to switch into several languages (default: nothing is switched)"
        },
    )
    language: Optional[str] = field(
        default=None, metadata={"help": "language of the training file, for segmenter (zh, ja, th ...) and stop words"}
    )
    seed: int = II("common.seed")


class ClassificationTask(FairseqTask, abc.ABC):
    """Fine-tuning on labelled text that is read as it is; subclasses say what is labelled."""

    cfg: ClassificationConfig
    labels: Sequence[str]
    pooled: bool

    def __init__(self, cfg: ClassificationConfig) -> None:
        super().__init__(cfg)
        allow_bf16(cfg)
        path = os.path.join(cfg.data, "dict.txt")
        self.pieces = Pieces(cfg.sentencepiece_model, path)
        self.dictionary = Dictionary.load(path)
        self.dictionary.add_symbol("<mask>")

    @property
    def source_dictionary(self) -> Dictionary:
        """The encoder's dictionary."""
        return self.dictionary

    @property
    def target_dictionary(self) -> None:
        """Labels have no dictionary."""
        return None

    def max_positions(self) -> int:
        """The longest example."""
        return self.cfg.max_length

    def build_model(self, cfg: Namespace, from_checkpoint: bool = False) -> Classifier:
        """An encoder of any ``--arch csr_bert_*`` with a new head."""
        model = Classifier.build_model(cfg, self)
        if self.cfg.max_length > model.max_positions():
            raise ConfigError(f"--max-length: expected at most {model.max_positions()} positions of the encoder")
        lighten(model)
        model.head = Head(cfg.encoder_embed_dim, len(self.labels), cfg.dropout, self.pooled)
        return model

    def load_dataset(self, split: str, **kwargs: object) -> None:
        """Read a split's file; an encoder sees its examples in another order with each seed."""
        path = {"train": self.cfg.train, "valid": self.cfg.valid}.get(split)
        if path is None:
            raise ConfigError(f"--{split}: expected a file, found none")
        rows = self.rows(path)[: self.cfg.examples if split == "train" else None]
        examples = self.encode(rows)
        if split != "train" or self.cfg.lexicon is None:
            self.datasets[split] = self.as_dataset(examples, split == "train")
            return

        def make(epoch: int, index: int) -> Example:
            found = self.encode([self.switched(rows[index], epoch, index)])
            # A sentence that grows past the limit would be cut: it stays.
            return found[0] if len(found) == 1 else examples[index]

        seen = itertools.islice(rows, _SEEN)
        share = self.switcher.coverage(text for row in seen for text in self.texts_of(row))
        logger.info(f"{self.cfg.lexicon}: translations of {share:.1%} of the words of {path}")
        self.datasets[split] = SwitchedDataset(examples, make, self.dictionary.pad(), self.cfg.seed, shuffle=True)

    @functools.cached_property
    def switcher(self) -> LabelledSwitcher:
        """The switcher of the words of examples."""
        assert self.cfg.lexicon is not None
        return labelled_switcher(self.cfg.lexicon.split(":"), self.switching, self.cfg.seed, self.cfg.language)

    @property
    def switching(self) -> Labelled:
        """The settings of switching, checked."""
        return read_fields(self.cfg, LABELLED, SWITCHING)

    def as_dataset(self, examples: Sequence[Example], shuffle: bool = False) -> LabelDataset:
        """Examples as fairseq takes them."""
        return LabelDataset(examples, self.dictionary.pad(), self.cfg.seed, shuffle)

    @abc.abstractmethod
    def rows(self, path: str) -> Sequence[Any]:
        """Read a file of labelled text; each row gives one example."""

    @abc.abstractmethod
    def encode(self, rows: Sequence[Any]) -> list[Example]:
        """The examples of rows."""

    @abc.abstractmethod
    def switched(self, row: Any, epoch: int, index: int) -> Any:
        """A row with words switched, its labels with them."""

    @abc.abstractmethod
    def texts_of(self, row: Any) -> Sequence[str]:
        """The texts of a row."""
