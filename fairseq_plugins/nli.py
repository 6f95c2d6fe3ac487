"""``--task csr_nli``: natural language inference with mBART (Zan et al., section 5.5)."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import torch
from fairseq.data import data_utils
from fairseq.tasks import register_task

from csr.data.examples import joined_pair
from csr.data.nli import LABELS
from csr.errors import DataError
from csr.files import read_lines
from fairseq_plugins.datasets import ExampleDataset, Side, Symbols
from fairseq_plugins.translation import CsrTranslationConfig, CsrTranslationTask

HEAD = "nli"


@dataclass
class CsrNliConfig(CsrTranslationConfig):
    """``--source-lang`` is the language to train and validate on; there is no other side."""


class NliDataset(ExampleDataset):
    """Pairs as one row, ``premise </s> hypothesis </s> [lang]``, with the number of their label in ``LABELS``.

    The paper does not say how a pair is laid out; this is how mBART was pretrained on two sentences of a document. The
    decoder reads the row with its last id in front, and its output where the row ends in ``</s>`` is classified, as
    with BART (Lewis et al. 2020).
    """

    def __init__(
        self,
        premises: Side,
        hypotheses: Side,
        labels: np.ndarray,
        limit: int,
        symbols: Symbols,
        seed: int = 1,
        shuffle: bool = False,
    ) -> None:
        super().__init__(
            np.minimum(premises.sizes + hypotheses.sizes + 1, limit), symbols, seed, shuffle, fixed_epoch=None
        )
        self._premises, self._hypotheses = premises, hypotheses
        self.labels, self._limit = labels, limit

    def __getitem__(self, index: int) -> dict:
        premise, hypothesis = (self.sentence(side, index) for side in (self._premises, self._hypotheses))
        pair = joined_pair(premise, hypothesis, self.symbols.eos, self._limit - 2)
        return {"id": int(index), "source": self.row(pair, self._premises.symbol), "label": int(self.labels[index])}

    def collater(self, samples: list[dict]) -> dict:
        """Pad pairs to a batch; ``target`` holds their labels, int64 [n_pairs]."""
        batch = super().collater(samples)
        if batch:
            rows = [sample["source"].roll(1) for sample in samples]
            batch["net_input"]["prev_output_tokens"] = data_utils.collate_tokens(rows, self.symbols.pad)
            batch["target"] = torch.tensor([sample["label"] for sample in samples])
        return batch


@register_task("csr_nli", dataclass=CsrNliConfig)
class CsrNliTask(CsrTranslationTask):
    """Classification of sentence pairs by a head on the decoder's output; ``--criterion sentence_prediction``."""

    cfg: CsrNliConfig
    label_dictionary = None  # sentence_prediction asks for it, and uses it for other scores than accuracy

    @classmethod
    def setup_task(cls, cfg: CsrNliConfig, **kwargs: object) -> CsrNliTask:
        """Load the dictionary, which is that of both sides."""
        cfg.target_lang = cfg.source_lang
        return super().setup_task(cfg, **kwargs)

    def build_model(self, cfg, from_checkpoint=False):  # type: ignore[no-untyped-def]
        """Build mBART with a classification head."""
        model = super().build_model(cfg, from_checkpoint)
        model.register_classification_head(HEAD, num_classes=len(LABELS))
        return model

    def load_dataset(self, split: str, epoch: int = 1, combine: bool = False, **kwargs: object) -> None:
        """Load a split in the language to train on."""
        train = split == self.cfg.train_subset
        self.datasets[split] = self.pairs(self.folder(split, epoch), split, self.cfg.source_lang, train)

    def pairs(self, folder: str, split: str, language: str, shuffle: bool = False) -> NliDataset:
        """Return the pairs of a split in a language, as ``csr prepare-nli`` wrote them."""
        prefix = os.path.join(folder, f"{split}.{language}")
        sides = [self.side(f"{prefix}.{name}", language) for name in ("premise", "hypothesis")]
        labels = np.array([LABELS.index(label) for label in read_lines(f"{prefix}.labels")])
        for side in sides:
            if len(side.sizes) != len(labels):
                raise DataError(f"{prefix}.labels: expected {len(side.sizes):,} labels, found {len(labels):,}")
        limit = min(self.cfg.max_source_positions, self.cfg.max_target_positions)
        return NliDataset(sides[0], sides[1], labels, limit, self.symbols, self.cfg.seed, shuffle)
