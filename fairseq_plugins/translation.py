"""``--task csr_translation``: ordinary finetuning on a language pair (Zan et al., section 4.3)."""

import os
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

import numpy as np
import torch
from fairseq import metrics, utils
from fairseq.criterions import FairseqCriterion, label_smoothed_cross_entropy
from fairseq.data import Dictionary, data_utils
from fairseq.models import BaseFairseqModel
from fairseq.sequence_generator import SequenceGenerator
from fairseq.tasks import register_task
from fairseq.tasks.translation import TranslationConfig, TranslationTask
from omegaconf import II, DictConfig
from sacrebleu.metrics import BLEU

from csr.backbone.checkpoints import check_start, dictionary_hash
from csr.backbone.presets import preset_named
from csr.data.examples import LanguageIds, language_symbol
from csr.errors import ConfigError, DataError
from csr.evaluation.translation import statistics, tokenizer_for
from csr.files import several
from csr.switching.compiled import Masker, Sometimes
from csr.switching.settings import WORDS, Noise
from csr.switching.symbols import Unit, piece_roles
from fairseq_plugins.datasets import Side, Symbols, TranslationDataset
from fairseq_plugins.fields import read_fields, settings_fields
from fairseq_plugins.layers import lighten
from fairseq_plugins.loss import LabelSmoothedCrossEntropyCriterion
from fairseq_plugins.precision import allow_bf16


@dataclass
@settings_fields(Noise(), WORDS)
class CsrTranslationConfig(TranslationConfig):
    """Settings of ``csr_translation``."""

    preset: Optional[str] = field(
        default=None,
        metadata={
            "help": "model whose languages and places for their ids these are: cc25 (mBART-cc25) or ml50 (mBART-50); "
            "instead of --langs and --language-ids"
        },
    )
    langs: Optional[str] = field(
        default=None,
        metadata={
            "help": "comma-separated languages of the model, in the order of its pretraining; their ids are added to "
            "the dictionary, then <mask> (default: source and target language)"
        },
    )
    language_ids: str = field(
        default="append",
        metadata={
            "help": "where a sentence carries its language id: append (mBART-cc25: X </s> [lang]) or prepend "
            "(mBART-50: [lang] X </s>)"
        },
    )
    noisy_sources: float = field(
        default=0.0,
        metadata={
            "help": "input-adaptation finetuning (Wang et al. 2022): share of the training pairs whose source is "
            "masked (--policy, --rate, ...), drawn anew each epoch, 0 to 1 (the paper: 0.1)"
        },
    )
    eval_chrf: bool = field(
        default=False, metadata={"help": "validate by chrF too, for --best-checkpoint-metric chrf; expects --eval-bleu"}
    )
    freeze_embeddings: bool = field(
        default=False, metadata={"help": "do not train the embeddings of the vocabulary, nor the output projection"}
    )
    seed: int = II("common.seed")
    save_dir: str = II("checkpoint.save_dir")
    restore_file: str = II("checkpoint.restore_file")
    finetune_from_model: Optional[str] = II("checkpoint.finetune_from_model")


class GivenLanguage(SequenceGenerator):
    """Beam search that starts with a given language id and does not count it.

    # Deviation: fairseq adds the logarithm of its probability to every hypothesis, which favors the longer ones.
    """

    def _prefix_tokens(self, step, lprobs, scores, tokens, prefix_tokens, beam_size):  # type: ignore[no-untyped-def]
        lprobs, tokens, scores = super()._prefix_tokens(step, lprobs, scores, tokens, prefix_tokens, beam_size)
        return lprobs.masked_fill(lprobs.isfinite(), 0.0) if step == 0 else lprobs, tokens, scores


@register_task("csr_translation", dataclass=CsrTranslationConfig)
class CsrTranslationTask(TranslationTask):
    """Translation with language ids as in mBART: trains, generates, scores without the ids."""

    cfg: CsrTranslationConfig

    def __init__(self, cfg: CsrTranslationConfig, src_dict: Dictionary, tgt_dict: Dictionary) -> None:
        super().__init__(cfg, src_dict, tgt_dict)
        preset = preset_named(cfg.preset) if cfg.preset else None
        if preset and cfg.langs:
            raise ConfigError(f"--langs: expected none beside --preset {cfg.preset}, which has its own")
        languages = cfg.langs.split(",") if cfg.langs else [cfg.source_lang, cfg.target_lang]
        if preset:
            languages = list(preset.languages)
        self.preset, self.n_pieces = preset, len(tgt_dict) - tgt_dict.nspecial
        for dictionary in (src_dict, tgt_dict):
            for language in languages:
                dictionary.add_symbol(f"[{language}]")
            dictionary.add_symbol("<mask>")
        if src_dict != tgt_dict:
            raise ConfigError(
                f"dict.{cfg.source_lang}.txt and dict.{cfg.target_lang}.txt: expected one dictionary for both sides, "
                "found two that differ; give fairseq-preprocess --joined-dictionary, or the model's dictionary "
                "with --srcdict and --tgtdict"
            )
        self.languages = languages
        language_ids = preset.language_ids if preset else LanguageIds(cfg.language_ids)
        self.symbols = Symbols(src_dict.pad(), src_dict.eos(), language_ids)

    @classmethod
    def setup_task(cls, cfg: CsrTranslationConfig, **kwargs: object) -> "CsrTranslationTask":
        """Load the dictionary."""
        if cfg.eval_chrf and not cfg.eval_bleu:
            raise ConfigError("--eval-chrf: expected beside --eval-bleu, which says how to generate")
        allow_bf16(cfg)
        several(cfg.data, "DATA")
        return super().setup_task(cfg, **kwargs)

    def build_model(self, cfg: Namespace, from_checkpoint: bool = False) -> BaseFairseqModel:
        """Build the model, if the checkpoint that training starts from fits it."""
        if not from_checkpoint and (start := self._start()):
            check_start(start, vars(cfg), self.tgt_dict.symbols, self.n_pieces, self.preset)
        model = super().build_model(cfg, from_checkpoint)
        lighten(model)
        if self.cfg.freeze_embeddings:
            for side in (model.encoder, model.decoder):
                side.embed_tokens.weight.requires_grad_(False)
        return model

    def build_criterion(self, cfg: DictConfig, from_checkpoint: bool = False) -> FairseqCriterion:
        """Build fairseq's criterion; that with label smoothing is counted in fewer passes."""
        found = super().build_criterion(cfg, from_checkpoint)
        if type(found) is label_smoothed_cross_entropy.LabelSmoothedCrossEntropyCriterion:
            return LabelSmoothedCrossEntropyCriterion.build_criterion(cfg, self)
        return found

    def _start(self) -> Path | None:
        """The checkpoint that fairseq will read: one to go on from, else one to finetune."""
        last = Path(self.cfg.save_dir, self.cfg.restore_file)
        if last.exists() or not self.cfg.finetune_from_model:
            return last if last.exists() else None
        return Path(self.cfg.finetune_from_model)

    def state_dict(self) -> dict[str, Any]:
        """The state of the task in a checkpoint: which dictionary its embeddings are of."""
        return {**super().state_dict(), "dictionary": dictionary_hash(self.tgt_dict.symbols)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take what a checkpoint says of its task; another dictionary's is an error."""
        if state_dict.get("dictionary", own := self.state_dict()["dictionary"]) != own:
            raise DataError(f"{self.cfg.data}: expected the dictionary that the model was trained with, found another")
        super().load_state_dict(state_dict)

    def language_id(self, language: str) -> int:
        """The id of a language; one the model does not know is an error, never ``<unk>``."""
        return self.tgt_dict.index(language_symbol(language, self.languages))

    def load_dataset(self, split: str, epoch: int = 1, combine: bool = False, **kwargs: object) -> None:
        """Load a split as pairs; of a text of its own (``csr prepare-text``), the lines, to translate them."""
        alone = f"{self.folder(split, epoch)}/{split}.{self.cfg.source_lang}"
        if os.path.exists(f"{alone}.idx"):
            self.datasets[split] = TranslationDataset(self.side(alone, self.cfg.source_lang), None, self.symbols)
            return
        source, target = self.sides(split, epoch)
        train = split == self.cfg.train_subset
        noise = None
        if train and self.cfg.noisy_sources > 0:
            roles = piece_roles(self.src_dict.symbols, self.src_dict.nspecial)
            words = read_fields(self.cfg, Noise(), WORDS)
            unit = Unit[words.unit.upper()]
            masker = Masker(self.src_dict.index("<mask>"), roles, words.make_policy(), self.cfg.seed, unit=unit)
            noise = Sometimes(masker, self.cfg.noisy_sources, self.cfg.seed)
        self.datasets[split] = TranslationDataset(source, target, self.symbols, self.cfg.seed, train, noise)

    def sides(self, split: str, epoch: int) -> tuple[Side, Side]:
        """Both sides of a split as fairseq-preprocess wrote it; an epoch reads its shard."""
        folder = self.folder(split, epoch)
        src, tgt = self.cfg.source_lang, self.cfg.target_lang
        sides = []
        for language in (src, tgt):
            paths = [os.path.join(folder, f"{split}.{pair}.{language}") for pair in (f"{src}-{tgt}", f"{tgt}-{src}")]
            there = [path for path in paths if os.path.exists(f"{path}.idx")]
            sides.append(self.side((there or paths)[0], language))
        if len(sides[0].sizes) != len(sides[1].sizes):
            raise ConfigError(
                f"{folder}: expected as many {src} as {tgt} sentences in {split}, found "
                f"{len(sides[0].sizes):,} and {len(sides[1].sizes):,}"
            )
        return sides[0], sides[1]

    def folder(self, split: str, epoch: int) -> str:
        """The folder of a split; an epoch of the training data reads its shard."""
        paths = utils.split_paths(self.cfg.data)
        return paths[(epoch - 1) % len(paths)] if split == self.cfg.train_subset else paths[0]

    def side(self, path: str, language: str, as_language: str | None = None) -> Side:
        """The sentences of ``path.{bin,idx}``, with ``--truncate-source`` cut to the model's positions.

        Args:
            as_language: the language that they are given out to be in, if it is not their own.
        """
        data = data_utils.load_indexed_dataset(path, self.tgt_dict, self.cfg.dataset_impl)
        if data is None:
            raise FileNotFoundError(
                f"{os.path.dirname(path)}: expected {os.path.basename(path)}.bin, found no such file"
            )
        sizes, limit = data.sizes, None
        if self.cfg.truncate_source:
            limit = min(self.cfg.max_source_positions, self.cfg.max_target_positions) - 2
            sizes = np.minimum(sizes, limit + 1)
        return Side(data, sizes, self.language_id(as_language or language), self._marks(path, data.sizes), limit)

    def _marks(self, path: str, sizes: np.ndarray) -> Sequence[torch.Tensor] | None:
        """The word boundaries that ``csr prepare`` wrote beside the data, if it did."""
        marks = data_utils.load_indexed_dataset(f"{path}.words", self.tgt_dict, "mmap")
        if marks is not None and not np.array_equal(marks.sizes, sizes - 1):
            raise DataError(f"{path}.words.bin: expected the word boundaries of {path}.bin, found another text's")
        return marks

    def build_dataset_for_inference(
        self, src_tokens: list[torch.Tensor], src_lengths: list[int], constraints: object = None
    ) -> TranslationDataset:
        """Sentences typed by a user, for fairseq-interactive."""
        source = Side(src_tokens, torch.as_tensor(src_lengths).numpy(), self.language_id(self.cfg.source_lang))
        return TranslationDataset(source, None, self.symbols)

    def build_generator(self, models, args, seq_gen_cls=None, extra_gen_cls_kwargs=None, prefix_allowed_tokens_fn=None):  # type: ignore[no-untyped-def]
        """Build fairseq's generator; language ids are stripped from what it returns."""
        if seq_gen_cls is None and self.symbols.language_ids is LanguageIds.PREPEND:
            seq_gen_cls = GivenLanguage
        if not getattr(args, "score_reference", False):
            ids = {self.tgt_dict.index(f"[{language}]") for language in self.languages}
            extra_gen_cls_kwargs = {"symbols_to_strip_from_output": ids, **(extra_gen_cls_kwargs or {})}
        return super().build_generator(models, args, seq_gen_cls, extra_gen_cls_kwargs, prefix_allowed_tokens_fn)

    def output_languages(self, sample: dict) -> torch.Tensor:
        """The language id each sentence of a batch is to be written in, int64 [n_sentences]."""
        source = sample["net_input"]["src_tokens"]
        return source.new_full((len(source),), self.language_id(self.cfg.target_lang))

    def inference_step(self, generator, models, sample, prefix_tokens=None, constraints=None):  # type: ignore[no-untyped-def]
        """Generate; the decoder starts as in training: with the language id, or with ``</s>`` and then the id."""
        languages = self.output_languages(sample)
        with torch.no_grad():
            if self.symbols.language_ids is LanguageIds.APPEND:
                start = languages.repeat_interleave(generator.beam_size)
            else:
                start = None
                forced = languages.unsqueeze(1)
                prefix_tokens = forced if prefix_tokens is None else torch.cat([forced, prefix_tokens], dim=1)
            return generator.generate(
                models, sample, prefix_tokens=prefix_tokens, constraints=constraints, bos_token=start
            )

    def valid_step(self, sample, model, criterion):  # type: ignore[no-untyped-def]
        """Validate on a batch: with ``--eval-bleu`` on what the model generates, with ``--eval-chrf`` by chrF too."""
        loss, size, log = super().valid_step(sample, model, criterion)
        if self.cfg.eval_chrf:
            log |= {f"_chrf_{i}": count for i, count in enumerate(self._chrf.rows.sum(axis=0))}
        return loss, size, log

    def reduce_metrics(self, logging_outputs, criterion):  # type: ignore[no-untyped-def]
        """Log BLEU, also of outputs without a word, and chrF.

        # Deviation: fairseq logs arrays of numpy, which end up in checkpoints; reading those would run code.
        """
        super(TranslationTask, self).reduce_metrics(logging_outputs, criterion)
        # A process without a batch left has none of these.
        counted = dict.fromkeys(key for log in logging_outputs for key in log if key.startswith(("_bleu_", "_chrf_")))
        for key in counted:
            metrics.log_scalar(key, float(sum(log.get(key, 0) for log in logging_outputs)))
        if "_bleu_sys_len" in counted:
            metrics.log_derived("bleu", _bleu)
        if "_chrf_0" in counted:
            score, keys = self._chrf.score, [key for key in counted if key.startswith("_chrf_")]
            metrics.log_derived("chrf", lambda meters: round(score(np.array([meters[key].sum for key in keys])), 2))

    def _inference_with_bleu(self, generator, sample, model):  # type: ignore[no-untyped-def]
        def text(ids: torch.Tensor, unknown: str) -> str:
            return self.tgt_dict.string(
                ids.int().cpu(),
                self.cfg.eval_bleu_remove_bpe,
                unk_string=unknown,
                extra_symbols_to_ignore=generator.symbols_to_strip_from_output,
            )

        best = [hyps[0]["tokens"] for hyps in self.inference_step(generator, [model], sample)]
        targets = [utils.strip_pad(target, self.tgt_dict.pad()) for target in sample["target"]]
        # Different strings for the unknown, so that one is never scored as a match.
        hyps = [text(ids, "UNKNOWN-HYP") for ids in best]
        refs = [text(ids, "UNKNOWN-REF") for ids in targets]
        if self.cfg.eval_chrf:
            self._chrf = statistics("chrf", hyps, refs, self.cfg.target_lang)
        tokenize = "none" if self.cfg.eval_tokenized_bleu else tokenizer_for(self.cfg.target_lang)
        return BLEU(tokenize=tokenize).corpus_score(hyps, [refs])


def _bleu(meters: Any) -> float:
    """BLEU of the counts that validation has summed up, as fairseq rounds it."""
    counts, totals = ([int(meters[f"_bleu_{name}_{i}"].sum) for i in range(4)] for name in ("counts", "totals"))
    sys_len, ref_len = (int(meters[f"_bleu_{name}"].sum) for name in ("sys_len", "ref_len"))
    return round(BLEU.compute_bleu(counts, totals, sys_len, ref_len, smooth_method="exp").score, 2)
