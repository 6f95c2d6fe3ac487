"""``--task csr_nli``: natural language inference with mBART (Zan et al., section 5.5)."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Optional

import numpy as np
import torch
from fairseq.data import data_utils
from fairseq.tasks import register_task

from csr.data.examples import joined_pair
from csr.data.nli import LABELS
from csr.data.vocabulary import word_encoder
from csr.errors import DataError
from csr.files import read_lines
from csr.lexicon import Lexicon
from csr.switching.candidates import Source
from csr.switching.compiled import Switcher
from csr.switching.encoded import encode_lexicon
from csr.switching.settings import LABELLED
from csr.switching.streams import Stream
from csr.switching.symbols import piece_roles
from fairseq_plugins.classification import SWITCHING
from fairseq_plugins.datasets import ExampleDataset, Side, Symbols
from fairseq_plugins.fields import read_fields, settings_fields
from fairseq_plugins.translation import CsrTranslationConfig, CsrTranslationTask

HEAD = "nli"


@dataclass
@settings_fields(LABELLED, SWITCHING)
class CsrNliConfig(CsrTranslationConfig):
    """``--source-lang`` is the language to train and validate on; there is no other side."""

    lexicon: Optional[str] = field(
        default=None,
        metadata={
            "help": "lexicon out of that language, TSV: source<TAB>target<TAB>weight; several, with : between them, to "
            "switch words of the pairs to train on into several languages (default: nothing is switched)"
        },
    )
    sentencepiece_model: Optional[str] = field(
        default=None, metadata={"help": "SentencePiece model the data was encoded with; for --lexicon"}
    )


class PairSwitcher:
    """Switches words of encoded pairs, both sentences into one language, by draws of (seed, epoch, example) alone.

    Args:
        switchers: one for each language; an example draws one.
        originals: share of the pairs that stay as they are.
    """

    def __init__(self, switchers: Sequence[Switcher], originals: float, seed: int) -> None:
        self._switchers, self._originals, self._seed = switchers, originals, seed

    def __call__(
        self, pair: Sequence[np.ndarray], marks: Sequence[np.ndarray], epoch: int, index: int
    ) -> list[np.ndarray]:
        """Both sentences; ``marks`` are those of ``Switcher``."""
        stream = Stream(self._seed, epoch, index)
        if stream.random() < self._originals:
            return list(pair)
        switch = self._switchers[stream.below(len(self._switchers))]
        return [switch(pair[side], epoch, 2 * index + side, marks[side])[0] for side in range(2)]


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
        switch: PairSwitcher | None = None,
    ) -> None:
        super().__init__(
            np.minimum(premises.sizes + hypotheses.sizes + 1, limit), symbols, seed, shuffle, fixed_epoch=None
        )
        self._premises, self._hypotheses = premises, hypotheses
        self.labels, self._limit, self._switch = labels, limit, switch

    def __getitem__(self, index: int) -> dict:
        sides = (self._premises, self._hypotheses)
        premise, hypothesis = (self.sentence(side, index) for side in sides)
        if self._switch:
            marks = [self.marks(side, index) for side in sides]
            premise, hypothesis = self._switch((premise, hypothesis), marks, self.epoch, int(index))
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
    def setup_task(cls, cfg: CsrNliConfig, **kwargs: object) -> "CsrNliTask":
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
        """The pairs of a split in a language, as ``csr prepare-nli`` wrote them."""
        prefix = os.path.join(folder, f"{split}.{language}")
        sides = [self.side(f"{prefix}.{name}", language) for name in ("premise", "hypothesis")]
        labels = np.array([LABELS.index(label) for label in read_lines(f"{prefix}.labels")])
        for side in sides:
            if len(side.sizes) != len(labels):
                raise DataError(f"{prefix}.labels: expected {len(side.sizes):,} labels, found {len(labels):,}")
        limit = min(self.cfg.max_source_positions, self.cfg.max_target_positions)
        switch = self.switcher() if shuffle and self.cfg.lexicon else None
        return NliDataset(sides[0], sides[1], labels, limit, self.symbols, self.cfg.seed, shuffle, switch)

    def switcher(self) -> PairSwitcher:
        """The switcher of words of the pairs to train on."""
        assert self.cfg.lexicon is not None
        settings = read_fields(self.cfg, LABELLED, SWITCHING)
        sources = [Source(path, (self.cfg.source_lang, None)) for path in self.cfg.lexicon.split(":")]
        lexicons = [source.read(settings.noise) for source in sources]
        languages = [source.record().languages for source in sources]
        if settings.lexicon_draw == "word" and len(lexicons) > 1:
            lexicons, languages = [Lexicon.equally(lexicons)], [(languages[0][0], None)]
        words = self.src_dict.symbols
        encode = word_encoder(words, self.src_dict.unk(), self.cfg.sentencepiece_model)
        roles, policy = piece_roles(words, self.src_dict.nspecial), settings.noise.make_policy()
        limit = self.cfg.max_source_positions - 2
        switchers = [
            # However much a sentence grows: a pair is cut to the model's positions.
            Switcher(encode_lexicon(lexicon, encode, known), roles, policy, self.cfg.seed, limit, max_growth=limit)
            for lexicon, known in zip(lexicons, languages, strict=True)
        ]
        return PairSwitcher(switchers, settings.originals, self.cfg.seed)
