"""``--task csr_restore``: restore code-switched (or masked) sentences, both sides (Zan et al., section 4.2)."""

import logging
import math
from dataclasses import dataclass, field
from typing import Optional

import numpy as np
import torch
from fairseq import metrics
from fairseq.tasks import register_task

from csr.compiled import STATS, Masker, Switcher
from csr.errors import ConfigError
from csr.lexicon import Lexicon, read_lexicon
from csr.noise import PoissonSpans
from csr.pieces import encode_lexicon, piece_roles, word_encoder
from fairseq_plugins.datasets import Noise, RestoreDataset
from fairseq_plugins.translation import CsrTranslationConfig, CsrTranslationTask

logger = logging.getLogger(__name__)

VALID_EPOCH = 0  # validation draws its noise once, for an epoch no training has


@dataclass
class CsrRestoreConfig(CsrTranslationConfig):
    lexicon: Optional[str] = field(
        default=None, metadata={"help": "source-to-target lexicon, TSV: source<TAB>target<TAB>weight"}
    )
    reverse_lexicon: Optional[str] = field(
        default=None, metadata={"help": "target-to-source lexicon (default: --lexicon with its sides swapped)"}
    )
    sentencepiece_model: Optional[str] = field(
        default=None, metadata={"help": "SentencePiece model the data was encoded with"}
    )
    replace: str = field(
        default="translation", metadata={"help": "what stands for a replaced span: translation or mask"}
    )
    switch_rate: float = field(default=0.35, metadata={"help": "share of words replaced, 0 to 1"})
    mean_span: float = field(default=3.5, metadata={"help": "mean length of a span in words (Poisson)"})
    top_k: int = field(default=3, metadata={"help": "candidates per word, best first"})
    temperature: float = field(default=math.inf, metadata={"help": "draw candidates by weight^(1/T); inf: uniformly"})
    max_growth: float = field(
        default=2.0,
        metadata={
            "help": "a sentence that would grow past this many times its pieces stays clean; a batch exceeds "
            "--max-tokens by at most this factor"
        },
    )


@register_task("csr_restore", dataclass=CsrRestoreConfig)
class CsrRestoreTask(CsrTranslationTask):
    """Stage one: the model sees a switched sentence and restores the original, in the sentence's own language."""

    cfg: CsrRestoreConfig

    def load_dataset(self, split: str, epoch: int = 1, combine: bool = False, **kwargs: object) -> None:
        """Load a split as sentences to restore."""
        train = split == self.cfg.train_subset
        self.datasets[split] = RestoreDataset(
            self.sides(split, epoch),
            self.noises(),
            self.symbols,
            self.cfg.seed,
            shuffle=train,
            fixed_epoch=None if train else VALID_EPOCH,
        )

    def noises(self) -> tuple[Noise, Noise]:
        """Return the noise of the source and of the target side, made once."""
        if not hasattr(self, "_noises"):
            cfg = self.cfg
            roles = piece_roles(self.src_dict.symbols, self.src_dict.nspecial)
            policy = PoissonSpans(cfg.switch_rate, cfg.mean_span)
            if cfg.replace == "mask":
                masker = Masker(self.src_dict.index("<mask>"), roles, policy, cfg.seed)
                self._noises: tuple[Noise, Noise] = (masker, masker)
            elif cfg.replace == "translation":
                forward, reverse = self._lexicons()
                self._noises = (self._switcher(forward, roles, policy), self._switcher(reverse, roles, policy))
            else:
                raise ConfigError(f"--replace: expected translation or mask, found {cfg.replace!r}")
        return self._noises

    def _lexicons(self) -> tuple[Lexicon, Lexicon]:
        if self.cfg.lexicon is None:
            raise ConfigError("--lexicon: expected a lexicon (source<TAB>target<TAB>weight), found none")
        forward = read_lexicon(self.cfg.lexicon)
        reverse = read_lexicon(self.cfg.reverse_lexicon) if self.cfg.reverse_lexicon else forward.inverted()
        return forward, reverse

    def _switcher(self, lexicon: Lexicon, roles: np.ndarray, policy: PoissonSpans) -> Switcher:
        cfg = self.cfg
        encoder = word_encoder(self.src_dict.symbols, self.src_dict.unk(), cfg.sentencepiece_model)
        encoded = encode_lexicon(lexicon.top(cfg.top_k).tempered(cfg.temperature), encoder)
        logger.info(
            f"lexicon: {encoded.n_entries:,} of {len(lexicon):,} words can be switched, {encoded.n_unencodable:,} "
            f"candidates have characters the vocabulary lacks, {encoded.nbytes / 2**20:.0f} MiB"
        )
        return Switcher(encoded, roles, policy, cfg.seed, cfg.max_source_positions - 2, cfg.max_growth)

    def output_languages(self, sample: dict) -> torch.Tensor:
        """Return the language id that each sentence carries: it is restored into its own language."""
        source = sample["net_input"]["src_tokens"]
        ids = torch.tensor([self.tgt_dict.index(f"[{language}]") for language in self.languages], device=source.device)
        found = torch.isin(source, ids)
        return source[found]

    def train_step(self, sample, model, criterion, optimizer, update_num, ignore_grad=False):  # type: ignore[no-untyped-def]
        """Train on a batch; its switching statistics go where the loss goes."""
        loss, size, log = super().train_step(sample, model, criterion, optimizer, update_num, ignore_grad)
        return loss, size, {**log, **self._switching(sample)}

    def valid_step(self, sample, model, criterion):  # type: ignore[no-untyped-def]
        """Validate on a batch, with its switching statistics."""
        loss, size, log = super().valid_step(sample, model, criterion)
        return loss, size, {**log, **self._switching(sample)}

    def _switching(self, sample: dict) -> dict[str, int]:
        # Every key, also of a side the batch has no row of: processes sum their logs key by key.
        return {
            f"_switching_{side}_{name}": int(count)
            for side, counts in enumerate(sample["switching"])
            for name, count in zip(STATS, counts, strict=True)
        }

    def reduce_metrics(self, logging_outputs, criterion):  # type: ignore[no-untyped-def]
        """Log, per side, shares over what was seen since the last line."""
        super().reduce_metrics(logging_outputs, criterion)
        for side, language in enumerate((self.cfg.source_lang, self.cfg.target_lang)):
            total = {name: sum(log.get(f"_switching_{side}_{name}", 0) for log in logging_outputs) for name in STATS}
            for name, part, whole in (
                ("rate", "switched", "words"),  # share of words replaced
                ("coverage", "covered", "words"),  # share of words with a candidate
                ("touched", "touched", "sentences"),  # share of sentences with a replaced word
                ("span", "switched", "spans"),  # mean run of replaced words
                ("growth", "pieces_after", "pieces_before"),  # length in pieces, times the clean one
                ("fallback", "fell_back", "sentences"),  # share left clean because it would have grown too long
            ):
                if total[whole]:
                    metrics.log_scalar(f"switch_{name}_{language}", total[part] / total[whole], total[whole], round=4)
