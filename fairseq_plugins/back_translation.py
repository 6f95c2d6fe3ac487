"""``--task csr_back_translation``: finetuning on pairs beside synthetic ones, whose targets are real text.

The sources of the synthetic pairs are the targets word for word (Hu et al. 2019), the targets themselves (Currey et al.
2017), or what a model made of them (Sennrich et al. 2016), tagged or not (Caswell et al. 2019).
"""

import logging
import os
from dataclasses import dataclass, field
from typing import Optional

from fairseq.tasks import register_task

from csr.errors import ConfigError, DataError
from csr.files import several
from csr.switching.candidates import Source
from csr.switching.compiled import Switcher
from csr.switching.compiled_choice import entry_counts
from csr.switching.settings import CANDIDATES, WORD_FOR_WORD, TranslatedWords
from csr.switching.symbols import piece_roles
from fairseq_plugins.datasets import MixedDataset, TranslationDataset
from fairseq_plugins.fields import read_fields, settings_fields
from fairseq_plugins.lexicons import encoded
from fairseq_plugins.translation import CsrTranslationConfig, CsrTranslationTask

logger = logging.getLogger(__name__)


@dataclass
@settings_fields(WORD_FOR_WORD, CANDIDATES)
@settings_fields(TranslatedWords())
class CsrBackTranslationConfig(CsrTranslationConfig):
    """Settings of ``csr_back_translation``."""

    texts: Optional[str] = field(
        default=None,
        metadata={
            "help": "folder of text in the target language: train.LANG.bin, as csr prepare-text makes it with the "
            "vocabulary of the pairs"
        },
    )
    synthetic: str = field(
        default="words",
        metadata={
            "help": "the sources that go with it: words (its words, each replaced by a translation of --lexicon drawn "
            "anew each epoch, or kept where there is none), copy (the text itself) or model (--translations)"
        },
    )
    lexicon: Optional[str] = field(
        default=None,
        metadata={"help": "words: target-to-source lexicon, TSV: source<TAB>target<TAB>weight; several with : between"},
    )
    translations: Optional[str] = field(
        default=None,
        metadata={"help": "model: folder with the text in the source language, line by line: train.LANG.bin"},
    )
    ratio: float = field(
        default=1.0, metadata={"help": "synthetic pairs an epoch for each pair, drawn anew each epoch, above 0"}
    )
    tag: bool = field(
        default=False, metadata={"help": "begin the sources of synthetic pairs with <s>, which no other row has"}
    )
    sentencepiece_model: Optional[str] = field(
        default=None, metadata={"help": "SentencePiece model the data was encoded with"}
    )


@register_task("csr_back_translation", dataclass=CsrBackTranslationConfig)
class CsrBackTranslationTask(CsrTranslationTask):
    """Translation, trained on synthetic pairs too; everything else is as in ``csr_translation``."""

    cfg: CsrBackTranslationConfig

    @classmethod
    def setup_task(cls, cfg: CsrBackTranslationConfig, **kwargs: object) -> "CsrBackTranslationTask":
        """Load the dictionary, if the options go together."""
        needs = {"words": "lexicon", "copy": None, "model": "translations"}
        if cfg.synthetic not in needs:
            raise ConfigError(f"--synthetic: expected {' or '.join(needs)}, found {cfg.synthetic!r}")
        for name in ("lexicon", "translations"):
            if (getattr(cfg, name) is not None) != (name == needs[cfg.synthetic]):
                how = "missing beside" if name == needs[cfg.synthetic] else "given beside"
                raise ConfigError(f"--{name}: {how} --synthetic {cfg.synthetic}")
        if cfg.texts is None:
            raise ConfigError("--texts: expected a folder of csr prepare-text, found none")
        if not cfg.ratio > 0:
            raise ConfigError(f"--ratio: expected more than 0, found {cfg.ratio:g}")
        return super().setup_task(cfg, **kwargs)

    def load_dataset(self, split: str, epoch: int = 1, combine: bool = False, **kwargs: object) -> None:
        """Load a split as pairs; for training, with synthetic ones."""
        super().load_dataset(split, epoch, combine, **kwargs)
        if split == self.cfg.train_subset:
            pairs = self.datasets[split]
            others = self._synthetic(split, pairs)
            mixed = MixedDataset(pairs, others, self.cfg.ratio, self.cfg.seed)
            self.datasets[split] = mixed
            logger.info(
                f"an epoch: {len(pairs):,} pairs and {mixed.n_drawn:,} of {len(others):,} synthetic ones "
                f"({self.cfg.synthetic})"
            )

    def _synthetic(self, split: str, pairs: TranslationDataset) -> TranslationDataset:
        cfg = self.cfg
        target = self.side(f"{cfg.texts}/{split}.{cfg.target_lang}", cfg.target_lang)
        if cfg.synthetic == "model":
            source = self.side(f"{cfg.translations}/{split}.{cfg.source_lang}", cfg.source_lang)
            if len(source.sizes) != len(target.sizes):
                raise DataError(
                    f"{cfg.translations}: expected the {len(target.sizes):,} lines of "
                    f"{os.path.join(str(cfg.texts), split)}.{cfg.target_lang}, found {len(source.sizes):,}"
                )
        else:
            source = self.side(f"{cfg.texts}/{split}.{cfg.target_lang}", cfg.target_lang, as_language=cfg.source_lang)
        noise = self._word_for_word(pairs) if cfg.synthetic == "words" else None
        tag = self.src_dict.bos() if cfg.tag else None
        return TranslationDataset(source, target, self.symbols, cfg.seed, shuffle=True, noise=noise, tag=tag)

    def _word_for_word(self, pairs: TranslationDataset) -> Switcher:
        cfg = self.cfg
        settings, translated = read_fields(cfg, WORD_FOR_WORD, CANDIDATES), read_fields(cfg, TranslatedWords())
        sources = [Source(path, (cfg.target_lang, cfg.source_lang)) for path in several(str(cfg.lexicon), "--lexicon")]
        lexicons = encoded(sources, settings, self.src_dict, cfg.sentencepiece_model)
        roles = piece_roles(self.src_dict.symbols, self.src_dict.nspecial)
        limit = cfg.max_source_positions - 3  # end, language id and tag
        rare = lexicons if translated.rare_first else ()
        counts = [entry_counts(lexicon, pairs.targets(), roles) for lexicon in rare]
        growth = settings.max_growth
        return Switcher(lexicons, roles, translated.policy, cfg.seed, limit, growth, counts=counts)
