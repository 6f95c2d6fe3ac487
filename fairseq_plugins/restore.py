"""``--task csr_restore``: restore code-switched (or masked) sentences, both sides (Zan et al., section 4.2)."""

import functools
import math
import os
from dataclasses import dataclass, field
from typing import Any, Optional

import torch
from fairseq.tasks import register_task
from omegaconf import II

from csr.errors import ConfigError, DataError
from csr.files import several
from csr.lexicon_record import Languages
from csr.switching.candidates import Source
from csr.switching.compiled import STATS, Switcher
from csr.switching.encoded import EncodedLexicon
from csr.switching.settings import Noise
from csr.switching.sides import make_switcher
from csr.switching.symbols import piece_roles
from fairseq_plugins.datasets import AddNoise, RestoreDataset, Side
from fairseq_plugins.fields import read_fields, settings_fields
from fairseq_plugins.lexicons import encoded
from fairseq_plugins.shares import counts_of, log_shares
from fairseq_plugins.translation import CsrTranslationConfig, CsrTranslationTask

DEFAULTS = Noise()  # the papers'
VALID_EPOCH = 0  # validation draws its noise once, for an epoch no training has


@dataclass
@settings_fields(DEFAULTS)
class CsrRestoreConfig(CsrTranslationConfig):
    """Settings of ``csr_restore``; those of the noise come from ``csr.switching.settings.Noise``."""

    lexicon: Optional[str] = field(
        default=None,
        metadata={
            "help": "source-to-target lexicon, TSV: source<TAB>target<TAB>weight; several, with : between them, to "
            "switch into several languages"
        },
    )
    reverse_lexicon: Optional[str] = field(
        default=None,
        metadata={
            "help": "target-to-source lexicons (default: --lexicon with its sides swapped, "
            "unless it holds probabilities)"
        },
    )
    monolingual: Optional[str] = field(
        default=None,
        metadata={
            "help": "instead of a language pair: comma-separated languages, each with a text of its own, in "
            "SPLIT.LANG.bin; several can be restored from masks alone"
        },
    )
    texts: Optional[str] = field(
        default=None,
        metadata={
            "help": "folder of texts without a pair, in the source or the target language or both (train.LANG.bin, as "
            "csr prepare-text makes them with the vocabulary of the pairs), to restore beside the training pairs"
        },
    )
    texts_only: bool = field(default=False, metadata={"help": "train on the texts of --texts, not on the pairs"})
    sentencepiece_model: Optional[str] = field(
        default=None, metadata={"help": "SentencePiece model the data was encoded with"}
    )
    update_freq: Any = field(default=II("optimization.update_freq"))


SHARES = (
    ("switch_rate", "switched", "words"),  # share of words replaced
    ("switch_coverage", "covered", "words"),  # share of words with a candidate
    ("switch_touched", "touched", "sentences"),  # share of sentences with a replaced word
    ("switch_span", "switched", "spans"),  # mean run of replaced words
    ("switch_growth", "pieces_after", "pieces_before"),  # length in pieces, times the clean one
    ("switch_fallback", "fell_back", "sentences"),  # share left clean because it would have grown too long
)


@register_task("csr_restore", dataclass=CsrRestoreConfig)
class CsrRestoreTask(CsrTranslationTask):
    """Stage one: the model sees a switched sentence and restores the original, in the sentence's own language."""

    cfg: CsrRestoreConfig

    @classmethod
    def setup_task(cls, cfg: CsrRestoreConfig, **kwargs: object) -> "CsrRestoreTask":
        """Load the dictionary; texts without a pair have that of the first one on both sides."""
        if cfg.monolingual:
            first, *others = cfg.monolingual.split(",")
            noise = read_fields(cfg, DEFAULTS)
            if noise.replace != "mask" and others:
                raise ConfigError(f"--monolingual: expected one language with --replace {noise.replace}, found several")
            if noise.prefer_aligned:
                raise ConfigError("--prefer-aligned: expected pairs, found --monolingual")
            if cfg.texts:
                raise ConfigError("--texts: expected beside pairs, found --monolingual")
            cfg.source_lang = cfg.target_lang = first
        if cfg.texts_only and not cfg.texts:
            raise ConfigError("--texts-only: expected beside --texts alone")
        if cfg.texts and cfg.prefer_aligned:
            raise ConfigError("--prefer-aligned: expected pairs alone, found --texts")
        return super().setup_task(cfg, **kwargs)

    @property
    def side_languages(self) -> list[str]:
        """The languages that are restored, those of the two sides of a pair first."""
        cfg = self.cfg
        return cfg.monolingual.split(",") if cfg.monolingual else [cfg.source_lang, cfg.target_lang]

    def load_dataset(self, split: str, epoch: int = 1, combine: bool = False, **kwargs: object) -> None:
        """Load a split as sentences to restore."""
        train = split == self.cfg.train_subset
        if self.cfg.monolingual:
            folder = self.folder(split, epoch)
            sides = [self.side(f"{folder}/{split}.{language}", language) for language in self.side_languages]
        else:
            sides = list(self.sides(split, epoch))
        numbers = list(range(len(sides)))
        if train and self.cfg.texts:
            texts = self._texts(self.cfg.texts, split)
            sides = [*([] if self.cfg.texts_only else sides), *texts.values()]
            numbers = [*([] if self.cfg.texts_only else numbers), *texts]
        self.datasets[split] = RestoreDataset(
            sides,
            [self.noises[number] for number in numbers],
            self.symbols,
            self.cfg.seed,
            shuffle=train,
            fixed_epoch=None if train else VALID_EPOCH,
            parallel=self.noise.prefer_aligned,
            schedule=self.noise.make_schedule() if train else None,
            paired=not (self.cfg.monolingual or (train and self.cfg.texts)),
            numbers=numbers,
        )

    def _texts(self, folder: str, split: str) -> dict[int, Side]:
        """The texts of ``--texts``, by the number of their language among the two of the pairs."""
        paths = {number: f"{folder}/{split}.{language}" for number, language in enumerate(self.side_languages)}
        found = {
            n: self.side(path, self.side_languages[n]) for n, path in paths.items() if os.path.exists(path + ".idx")
        }
        if not found:
            expected = " or ".join(f"{os.path.basename(path)}.bin" for path in paths.values())
            raise DataError(f"{folder}: expected {expected}, found neither")
        return found

    def get_batch_iterator(self, dataset, *args, **kwargs):  # type: ignore[no-untyped-def]
        """Fairseq's iterator of batches; where the rate has a schedule, they are placed in it epoch by epoch."""
        new = dataset not in self.dataset_to_epoch_iter
        batches = super().get_batch_iterator(dataset, *args, **kwargs)
        if new and getattr(dataset, "schedule", None):
            ordered = batches.ordered_batches

            def placed(epoch: int, fix_batches_to_gpus: bool, shuffle: bool) -> list[list[int]]:
                order = ordered(epoch, fix_batches_to_gpus, shuffle)
                freqs = [self._update_freq(before) for before in range(1, epoch + 1)]
                dataset.place(order, sum(math.ceil(len(order) / freq) for freq in freqs[:-1]), freqs[-1])
                return order

            batches.ordered_batches = placed
        return batches

    def _update_freq(self, epoch: int) -> int:
        freqs = self.cfg.update_freq
        return freqs[min(epoch, len(freqs)) - 1]

    @functools.cached_property
    def noise(self) -> Noise:
        """The settings of switching, checked."""
        return read_fields(self.cfg, DEFAULTS)

    @functools.cached_property
    def noises(self) -> list[AddNoise]:
        """The noise of each side."""
        if self.noise.replace == "mask":
            return [self._switcher([])] * len(self.side_languages)
        return [self._switcher(lexicons) for lexicons in self._lexicons()]

    def _lexicons(self) -> list[list[EncodedLexicon]]:
        """The lexicons of each side."""
        cfg = self.cfg
        if cfg.lexicon is None:
            raise ConfigError("--lexicon: expected a lexicon (source<TAB>target<TAB>weight), found none")
        forward = several(cfg.lexicon, "--lexicon")
        if cfg.monolingual:
            return [self._encoded([Source(path, (cfg.monolingual, None)) for path in forward], self.noise)]
        there: Languages = (cfg.source_lang, cfg.target_lang)
        back: Languages = (cfg.target_lang, cfg.source_lang)
        if cfg.reverse_lexicon:
            backward = [Source(path, back) for path in several(cfg.reverse_lexicon, "--reverse-lexicon")]
        else:
            backward = [Source(path, back, swapped=True) for path in forward]
        return [
            self._encoded([Source(path, there) for path in forward], self.noise),
            self._encoded(backward, self.noise.reversed),
        ]

    def _encoded(self, sources: list[Source], noise: Noise) -> list[EncodedLexicon]:
        return encoded(sources, noise, self.src_dict, self.cfg.sentencepiece_model)

    def _switcher(self, lexicons: list[EncodedLexicon]) -> Switcher:
        words, limit = self.src_dict, self.cfg.max_source_positions - 2
        roles = piece_roles(words.symbols, words.nspecial)
        return make_switcher(self.noise, lexicons, roles, self.cfg.seed, limit, words.index("<mask>"))

    def output_languages(self, sample: dict) -> torch.Tensor:
        """The language id that each sentence carries: it is restored into its own language."""
        source = sample["net_input"]["src_tokens"]
        ids = torch.tensor([self.tgt_dict.index(f"[{language}]") for language in self.languages], device=source.device)
        found = torch.isin(source, ids)
        return source[found]

    def train_step(self, sample, model, criterion, optimizer, update_num, ignore_grad=False):  # type: ignore[no-untyped-def]
        """Train on a batch; its switching statistics go where the loss goes."""
        loss, size, log = super().train_step(sample, model, criterion, optimizer, update_num, ignore_grad)
        return loss, size, {**log, **counts_of(sample["switching"], STATS)}

    def valid_step(self, sample, model, criterion):  # type: ignore[no-untyped-def]
        """Validate on a batch, with its switching statistics."""
        loss, size, log = super().valid_step(sample, model, criterion)
        return loss, size, {**log, **counts_of(sample["switching"], STATS)}

    def reduce_metrics(self, logging_outputs, criterion):  # type: ignore[no-untyped-def]
        """Log, per side, shares over what was seen since the last line."""
        super().reduce_metrics(logging_outputs, criterion)
        log_shares(logging_outputs, self.side_languages, SHARES)
