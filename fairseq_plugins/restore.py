"""``--task csr_restore``: restore code-switched (or masked) sentences, both sides (Zan et al., section 4.2)."""

import functools
import logging
import math
from dataclasses import dataclass, field
from typing import Any, Optional

import numpy as np
import torch
from fairseq import metrics
from fairseq.tasks import register_task
from omegaconf import II

from csr.errors import ConfigError
from csr.files import sha256
from csr.lexicon import Lexicon, read_lexicon
from csr.switching.compiled import STATS, Masker, Switcher
from csr.switching.noise import Policy, Schedule, policy_named
from csr.switching.pieces import (
    EncodedLexicon,
    Unit,
    encode_lexicon,
    encoded_lexicon,
    piece_encoder,
    piece_roles,
    word_encoder,
)
from fairseq_plugins.datasets import Noise, RestoreDataset
from fairseq_plugins.translation import CsrTranslationConfig, CsrTranslationTask

logger = logging.getLogger(__name__)

VALID_EPOCH = 0  # validation draws its noise once, for an epoch no training has


@dataclass
class CsrRestoreConfig(CsrTranslationConfig):
    lexicon: Optional[str] = field(
        default=None,
        metadata={
            "help": "source-to-target lexicon, TSV: source<TAB>target<TAB>weight; several, with : between them, to "
            "switch into several languages"
        },
    )
    reverse_lexicon: Optional[str] = field(
        default=None, metadata={"help": "target-to-source lexicons (default: --lexicon with its sides swapped)"}
    )
    monolingual: Optional[str] = field(
        default=None,
        metadata={
            "help": "instead of a language pair: comma-separated languages, each with a text of its own, in "
            "SPLIT.LANG.bin; several can be restored from masks alone"
        },
    )
    lexicon_draw: str = field(
        default="sentence",
        metadata={"help": "of several lexicons, one is drawn for each sentence, or for each word: sentence or word"},
    )
    sentencepiece_model: Optional[str] = field(
        default=None, metadata={"help": "SentencePiece model the data was encoded with"}
    )
    replace: str = field(
        default="translation",
        metadata={"help": "what stands for a replaced span: translation, mask or mixture (see --mask-share)"},
    )
    mask_share: float = field(
        default=0.5, metadata={"help": "mixture: probability that a run of words becomes a <mask>"}
    )
    permute_sentences: bool = field(
        default=False, metadata={"help": "put the sentences of an instance in random order too (mBART)"}
    )
    policy: str = field(
        default="poisson",
        metadata={"help": "which words: poisson (spans), fixed (spans) or independent (each by itself)"},
    )
    unit: str = field(
        default="word",
        metadata={"help": "what is replaced, counted and looked up: word, or piece (the lexicon then holds pieces)"},
    )
    switch_rate: float = field(default=0.35, metadata={"help": "share of words replaced, 0 to 1"})
    mean_span: float = field(default=3.5, metadata={"help": "poisson: mean length of a span in words"})
    zero_spans: str = field(
        default="redraw", metadata={"help": "poisson: a span of no words is drawn again (redraw) or inserts a <mask>"}
    )
    span: int = field(default=3, metadata={"help": "fixed: length of a span in words"})
    gate: float = field(default=0.5, metadata={"help": "independent: probability that a sentence is touched, 0 to 1"})
    rate_schedule: str = field(
        default="constant",
        metadata={"help": "how the rate moves from --switch-rate to --rate-end: constant, linear or cosine"},
    )
    rate_end: float = field(default=0.35, metadata={"help": "share of words replaced at the end of the schedule"})
    schedule_updates: int = field(default=5000, metadata={"help": "updates until the rate is at --rate-end"})
    update_freq: Any = field(default=II("optimization.update_freq"))
    prefer_aligned: bool = field(
        default=False,
        metadata={"help": "draw among the candidates that stand in the other side of the pair, if there are any"},
    )
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

    @classmethod
    def setup_task(cls, cfg: CsrRestoreConfig, **kwargs: object) -> "CsrRestoreTask":
        """Load the dictionary; texts without a pair have that of the first one on both sides."""
        if cfg.monolingual:
            first, *others = cfg.monolingual.split(",")
            if cfg.replace != "mask" and others:
                raise ConfigError(f"--monolingual: expected one language with --replace {cfg.replace}, found several")
            if cfg.prefer_aligned:
                raise ConfigError("--prefer-aligned: expected pairs, found --monolingual")
            cfg.source_lang = cfg.target_lang = first
        return super().setup_task(cfg, **kwargs)

    @property
    def side_languages(self) -> list[str]:
        """Return the language of each side of an example."""
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
        self.datasets[split] = RestoreDataset(
            sides,
            self.noises(),
            self.symbols,
            self.cfg.seed,
            shuffle=train,
            fixed_epoch=None if train else VALID_EPOCH,
            parallel=self.cfg.prefer_aligned,
            schedule=self.schedule() if train else None,
            paired=not self.cfg.monolingual,
        )

    def get_batch_iterator(self, dataset, *args, **kwargs):  # type: ignore[no-untyped-def]
        """Return fairseq's iterator of batches; where the rate has a schedule, they are placed in it epoch by epoch."""
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

    def schedule(self) -> Schedule | None:
        """Return how the rate moves; nothing where it stays."""
        cfg = self.cfg
        try:
            schedule = Schedule(cfg.rate_schedule, cfg.switch_rate, cfg.rate_end, cfg.schedule_updates)
        except ValueError as error:
            raise ConfigError(f"noise: {error}") from None
        return None if schedule.shape == "constant" else schedule

    def noises(self) -> list[Noise]:
        """Return the noise of each side, made once."""
        if not hasattr(self, "_noises"):
            cfg = self.cfg
            _check_choice("--unit", cfg.unit, ("word", "piece"))
            _check_choice("--replace", cfg.replace, ("translation", "mask", "mixture"))
            _check_choice("--zero-spans", cfg.zero_spans, ("redraw", "insert"))
            _check_choice("--lexicon-draw", cfg.lexicon_draw, ("sentence", "word"))
            roles = piece_roles(self.src_dict.symbols, self.src_dict.nspecial)
            insert = cfg.zero_spans == "insert"
            try:
                policy = policy_named(cfg.policy, cfg.switch_rate, cfg.mean_span, cfg.span, cfg.gate, insert)
            except ValueError as error:
                raise ConfigError(f"noise: {error}") from None
            unit = Unit[cfg.unit.upper()]
            if cfg.replace == "mask":
                mask = self.src_dict.index("<mask>")
                masker = Masker(
                    mask,
                    roles,
                    policy,
                    cfg.seed,
                    cfg.max_source_positions - 2,
                    unit=unit,
                    permute=cfg.permute_sentences,
                )
                self._noises: list[Noise] = [masker] * len(self.side_languages)
            else:
                self._noises = [self._switcher(lexicons, roles, policy) for lexicons in self._lexicons()]
        return self._noises

    def _lexicons(self) -> list[list[EncodedLexicon]]:
        """Return the lexicons of each side."""
        cfg = self.cfg
        if cfg.lexicon is None:
            raise ConfigError("--lexicon: expected a lexicon (source<TAB>target<TAB>weight), found none")
        forward = cfg.lexicon.split(":")
        sides = [self._encoded(forward, inverted=False)]
        if cfg.reverse_lexicon and not cfg.monolingual:
            sides.append(self._encoded(cfg.reverse_lexicon.split(":"), inverted=False))
        elif not cfg.monolingual:
            sides.append(self._encoded(forward, inverted=True))
        return sides

    def _encoded(self, paths: list[str], inverted: bool) -> list[EncodedLexicon]:
        cfg = self.cfg
        words = self.src_dict.symbols
        model = cfg.sentencepiece_model

        def lexicon(path: str) -> Lexicon:
            read = read_lexicon(path)
            return (read.inverted() if inverted else read).top(cfg.top_k).tempered(cfg.temperature)

        def make(group: list[str]) -> EncodedLexicon:
            lexicons = [lexicon(path) for path in group]
            encode = word_encoder(words, self.src_dict.unk(), model) if cfg.unit == "word" else piece_encoder(words)
            return encode_lexicon(lexicons[0] if len(lexicons) == 1 else _mixed(lexicons), encode)

        settings: dict[str, object] = {
            "top_k": cfg.top_k,
            "temperature": cfg.temperature,
            "inverted": inverted,
            "unit": cfg.unit,
            "sentencepiece_model": sha256(model) if model else None,
        }
        if cfg.lexicon_draw == "word" and len(paths) > 1:
            settings["with"] = [sha256(path) for path in paths[1:]]
            groups = [paths]
        else:
            groups = [[path] for path in paths]
        out = []
        for group in groups:
            encoded = encoded_lexicon(group[0], settings, words, functools.partial(make, group))
            logger.info(
                f"lexicon {':'.join(group)}: {encoded.n_entries:,} words can be switched, {encoded.n_unencodable:,} "
                f"candidates have characters the vocabulary lacks, {encoded.nbytes / 2**20:.0f} MiB"
            )
            out.append(encoded)
        return out

    def _switcher(self, lexicons: list[EncodedLexicon], roles: np.ndarray, policy: Policy) -> Switcher:
        cfg = self.cfg
        return Switcher(
            lexicons,
            roles,
            policy,
            cfg.seed,
            cfg.max_source_positions - 2,
            cfg.max_growth,
            unit=Unit[cfg.unit.upper()],
            mask=self.src_dict.index("<mask>"),
            mask_share=cfg.mask_share if cfg.replace == "mixture" else 0.0,
            permute=cfg.permute_sentences,
        )

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
        for side, language in enumerate(self.side_languages):
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


def _mixed(lexicons: list[Lexicon]) -> Lexicon:
    """Return the lexicon that draws a language for each word, among those that have it."""
    return Lexicon.merged((lexicon, 1.0) for lexicon in lexicons)


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigError(f"{name}: expected {', '.join(choices[:-1])} or {choices[-1]}, found {value!r}")
