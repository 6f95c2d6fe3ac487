"""``--task csr_masked_lm``: masked language modelling on switched text of several languages (Visser et al.)."""

import logging
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Optional

import numpy as np
import torch
from fairseq import metrics, utils
from fairseq.criterions import FairseqCriterion, register_criterion
from fairseq.data import Dictionary, data_utils
from fairseq.dataclass import FairseqDataclass
from fairseq.tasks import FairseqTask, register_task
from omegaconf import II, MISSING

from csr.data.blocks import Blocks, pack
from csr.data.rows import read_rows
from csr.data.subwords import model_file
from csr.data.vocabulary import word_encoder
from csr.errors import ConfigError, DataError
from csr.files import several, sha256
from csr.switching.candidates import Source
from csr.switching.compiled_masking import STATS, MaskingSwitcher
from csr.switching.encoded import EncodedLexicon, encode_lexicon, encoded_lexicon
from csr.switching.masking import Masking, Symbols
from csr.switching.noise import IndependentWords
from csr.switching.settings import PRETRAINING, Noise
from csr.switching.symbols import piece_roles
from csr.text.stopwords import listed_or_none
from fairseq_plugins.datasets import NoisyDataset
from fairseq_plugins.fields import read_fields, settings_fields
from fairseq_plugins.layers import lighten
from fairseq_plugins.loss import smoothed_losses
from fairseq_plugins.precision import allow_bf16
from fairseq_plugins.shares import counts_of, log_shares

logger = logging.getLogger(__name__)

# Validation masks the same pieces in every run, whatever its seed and arm, and switches nothing.
VALID_SEED, VALID_EPOCH = 1, 0


@dataclass
@settings_fields(PRETRAINING)
class CsrMaskedLmConfig(FairseqDataclass):
    """Settings of ``csr_masked_lm``."""

    data: str = field(default=MISSING, metadata={"help": "folder bin/ of csr mixture: dict.txt, LANG/train.bin, ..."})
    languages: str = field(
        default=MISSING,
        metadata={"help": "comma-separated folders of it to train on; words of the first are switched into the second"},
    )
    lexicon: Optional[str] = field(
        default=None,
        metadata={
            "help": "from the first language to the second, TSV: source<TAB>target<TAB>weight: probabilities (IBM), or "
            "ones (MUSE), from which candidates are drawn uniformly (default: nothing is switched)"
        },
    )
    reverse_lexicon: Optional[str] = field(
        default=None, metadata={"help": "from the second language to the first, to switch its words too"}
    )
    sentencepiece_model: Optional[str] = field(
        default=None,
        metadata={"help": "SentencePiece model or tokenizer.json of the data (default: the one beside bin/)"},
    )
    mask_prob: float = field(default=0.15, metadata={"help": "share of the pieces to predict, 0 to 1"})
    random_token_prob: float = field(default=0.1, metadata={"help": "share of these that stand as a random piece"})
    leave_unmasked_prob: float = field(default=0.1, metadata={"help": "share of these that stand as they are"})
    mask_whole_words: bool = field(default=False, metadata={"help": "predict all pieces of a word, or none"})
    tokens_per_sample: int = field(
        default=128, metadata={"help": "longest block of whole sentences, in pieces, special symbols included"}
    )
    seed: int = II("common.seed")
    train_subset: str = II("dataset.train_subset")


@dataclass(frozen=True)
class Text:
    """A language's data as blocks."""

    tokens: np.ndarray  # [n_tokens], rows that end in </s>
    blocks: Blocks
    marks: np.ndarray | None  # csr.switching.symbols.Mark, uint8 [n_tokens - n_rows], if there are any

    def block(self, index: int, bos: int, eos: int) -> tuple[np.ndarray, np.ndarray]:
        """The ids of a block, int64, with ``<s>`` in front, and what each is to its words."""
        start, end = int(self.blocks.starts[index]), int(self.blocks.ends[index])
        ids = np.empty(end - start + 1, np.int64)
        ids[0] = bos
        ids[1:] = self.tokens[start:end]
        if self.marks is None:
            return ids, np.empty(0, np.uint8)
        marks = np.zeros(len(ids), np.uint8)
        inside = np.flatnonzero(ids[1:] != eos) + 1
        first = start - int(self.blocks.rows[index])
        marks[inside] = self.marks[first : first + len(inside)]
        return ids, marks


class MaskedLmDataset(NoisyDataset):
    """Blocks of several languages, one language after the other, each with its masker."""

    def __init__(
        self,
        texts: list[Text],
        maskers: list[MaskingSwitcher],
        dictionary: Dictionary,
        seed: int = 1,
        shuffle: bool = False,
        fixed_epoch: int | None = None,
    ) -> None:
        sizes = np.concatenate([text.blocks.ends - text.blocks.starts for text in texts])
        super().__init__(sizes + 1, seed, shuffle, fixed_epoch)
        self._texts, self._maskers = texts, maskers
        self._ends = np.cumsum([len(text.blocks) for text in texts]).tolist()
        self._pad, self._bos, self._eos = dictionary.pad(), dictionary.bos(), dictionary.eos()

    def __getitem__(self, index: int) -> dict:
        index = int(index)
        language = next(i for i, end in enumerate(self._ends) if index < end)
        text = self._texts[language]
        ids, marks = text.block(index - self._ends[language] + len(text.blocks), self._bos, self._eos)
        source, target, stats = self._maskers[language](ids, self.epoch, index, marks)
        return {
            "id": index,
            "source": torch.from_numpy(source),
            "target": torch.from_numpy(target),
            "language": language,
            "stats": stats,
        }

    def collater(self, samples: list[dict]) -> dict:
        """Pad blocks to a batch; ``switching`` sums their ``STATS`` by language, int64 [n_languages, n_stats]."""
        if not samples:
            return {}
        source = data_utils.collate_tokens([sample["source"] for sample in samples], self._pad)
        lengths = torch.tensor([len(sample["source"]) for sample in samples])
        switching = np.zeros((len(self._texts), len(STATS)), np.int64)
        for sample in samples:
            switching[sample["language"]] += sample["stats"]
        return {
            "id": torch.tensor([sample["id"] for sample in samples]),
            "nsentences": len(samples),
            "ntokens": int(lengths.sum()),
            "net_input": {"src_tokens": source, "src_lengths": lengths},
            "target": data_utils.collate_tokens([sample["target"] for sample in samples], self._pad),
            "switching": switching,
        }


SHARES = (
    ("switch_rate", "switched", "words"),  # share of words switched
    ("switch_coverage", "covered", "words"),  # share of words with a candidate
    ("switch_touched", "touched", "blocks"),  # share of blocks with a switched word
    ("switch_cut", "cut", "pieces"),  # pieces that blocks lost at their ends, per piece of text
    ("predicted", "predicted", "pieces"),  # share of pieces to predict
)


@register_task("csr_masked_lm", dataclass=CsrMaskedLmConfig)
class CsrMaskedLmTask(FairseqTask):
    """Pretraining: pieces are predicted among words some of which are switched (Visser et al., section 3.1)."""

    cfg: CsrMaskedLmConfig

    def __init__(self, cfg: CsrMaskedLmConfig, dictionary: Dictionary) -> None:
        super().__init__(cfg)
        self.dictionary = dictionary
        self.languages = cfg.languages.split(",")
        self.symbols = Symbols(dictionary.pad(), dictionary.nspecial, dictionary.add_symbol("<mask>"))
        self.roles = piece_roles(dictionary.symbols, dictionary.nspecial)
        try:
            self.masking = Masking(cfg.mask_prob, cfg.random_token_prob, cfg.leave_unmasked_prob, cfg.mask_whole_words)
        except ValueError as error:
            raise ConfigError(f"masking: {error}") from None
        self.noise = read_fields(cfg, PRETRAINING).noise
        self.policy = IndependentWords(self.noise.rate, self.noise.gate, self.noise.share_of)

    @classmethod
    def setup_task(cls, cfg: CsrMaskedLmConfig, **kwargs: object) -> "CsrMaskedLmTask":
        """Read the dictionary."""
        allow_bf16(cfg)
        path = Path(several(cfg.data, "DATA")[0], "dict.txt")
        if not path.is_file():
            raise DataError(f"{path}: expected the dictionary that csr mixture writes, found no such file")
        return cls(cfg, Dictionary.load(str(path)))

    @property
    def source_dictionary(self) -> Dictionary:
        """The dictionary."""
        return self.dictionary

    @property
    def target_dictionary(self) -> Dictionary:
        """The dictionary."""
        return self.dictionary

    def max_positions(self) -> int:
        """The length of the longest block."""
        return self.cfg.tokens_per_sample

    def build_model(self, cfg, from_checkpoint=False):  # type: ignore[no-untyped-def]
        """Build the model; its positions must hold a block."""
        model = super().build_model(cfg, from_checkpoint)
        if model.max_positions() < self.cfg.tokens_per_sample:
            raise ConfigError(
                f"--tokens-per-sample: expected at most the model's {model.max_positions()} positions, found "
                f"{self.cfg.tokens_per_sample}"
            )
        lighten(model)
        return model

    def load_dataset(self, split: str, epoch: int = 1, combine: bool = False, **kwargs: object) -> None:
        """Load the blocks of a split."""
        paths = utils.split_paths(self.cfg.data)
        train = split == self.cfg.train_subset
        folder = Path(paths[(epoch - 1) % len(paths)] if train else paths[0])
        texts = [self.text(folder / language / split) for language in self.languages]
        if train:
            maskers, seed = self.maskers(), self.cfg.seed
        else:
            maskers, seed = [self.masker(VALID_SEED)] * len(texts), VALID_SEED
        for language, text in zip(self.languages, texts, strict=True):
            logger.info(f"{split}: {len(text.blocks):,} blocks of {language}, {len(text.tokens):,} tokens")
        self.datasets[split] = MaskedLmDataset(
            texts, maskers, self.dictionary, seed, shuffle=train, fixed_epoch=None if train else VALID_EPOCH
        )

    def text(self, prefix: Path) -> Text:
        """The blocks of a language's split; ``<s>`` takes one of the pieces of each."""
        tokens, sizes = read_rows(prefix)
        if (largest := int(tokens.max())) >= self.symbols.mask:
            raise DataError(f"{prefix}.bin: expected ids below {self.symbols.mask:,} (dict.txt), found {largest:,}")
        marks = None
        if Path(f"{prefix}.words.idx").is_file():
            marks, mark_sizes = read_rows(f"{prefix}.words")
            if not np.array_equal(mark_sizes, sizes - 1):
                raise DataError(f"{prefix}.words: expected the word boundaries of {prefix}.bin, found another text's")
        return Text(tokens, pack(sizes, self.cfg.tokens_per_sample - 1), marks)

    def maskers(self) -> list[MaskingSwitcher]:
        """The masker of each language: the first switches its words, the second if it is asked to."""
        cfg = self.cfg
        found = [self.masker(cfg.seed)] * len(self.languages)
        for i, path in enumerate((cfg.lexicon, cfg.reverse_lexicon)):
            if path:
                found[i] = self.masker(cfg.seed, self.encoded_lexicon(path, self.noise_of(i), i))
        return found

    def masker(self, seed: int, lexicon: EncodedLexicon | None = None) -> MaskingSwitcher:
        """The noise that masks blocks and, with a lexicon, switches the words around."""
        limit = self.cfg.tokens_per_sample
        return MaskingSwitcher(self.roles, self.symbols, self.masking, seed, limit, lexicon, self.policy)

    def noise_of(self, side: int) -> Noise:
        """The settings for the words of the first or the second language.

        # Deviation: stop words are left out of any lexicon's words and candidates, as the paper has it, and not of
        # probabilities alone.
        """
        if len(self.languages) < 2:
            raise ConfigError(f"--languages: expected two with a lexicon, found {self.cfg.languages!r}")
        stops = self.noise.stop_words or tuple(map(listed_or_none, self.languages[:2]))
        noise = replace(self.noise, stop_words=stops)
        return noise.reversed if side else noise

    def encoded_lexicon(self, path: str, noise: Noise, side: int = 0) -> EncodedLexicon:
        """The words of a lexicon that may be switched, with the candidates that may be drawn."""
        words = self.dictionary.symbols[: self.symbols.mask]
        model = self.cfg.sentencepiece_model or str(model_file(Path(utils.split_paths(self.cfg.data)[0]).parent))
        source = Source(path, (self.languages[side], self.languages[1 - side]))
        settings = {**source.settings(noise), "sentencepiece_model": sha256(model) if Path(model).is_file() else None}

        def make() -> EncodedLexicon:
            return encode_lexicon(source.read(noise), word_encoder(words, self.dictionary.unk(), model))

        encoded = encoded_lexicon(path, settings, words, make)
        logger.info(
            f"lexicon {path}: {encoded.n_entries:,} words can be switched, {encoded.n_unencodable:,} candidates have "
            f"characters the vocabulary lacks, {encoded.nbytes / 2**20:.0f} MiB"
        )
        return encoded

    def reduce_metrics(self, logging_outputs, criterion):  # type: ignore[no-untyped-def]
        """Log, per language, shares over what was seen since the last line."""
        super().reduce_metrics(logging_outputs, criterion)
        log_shares(logging_outputs, self.languages, SHARES)


@register_criterion("csr_masked_lm", dataclass=FairseqDataclass)
class CsrMaskedLmCriterion(FairseqCriterion):
    """Cross-entropy of the pieces to predict, in bits, and how many of them are the likeliest piece."""

    def forward(self, model, sample, reduce=True):  # type: ignore[no-untyped-def]
        """The summed loss, the number of pieces to predict, and what to log."""
        predicted = sample["target"].ne(self.padding_idx)
        scores = model(**sample["net_input"], masked_tokens=predicted)[0]
        target = sample["target"][predicted]
        loss, _ = smoothed_losses(scores, target)
        log = {
            "loss": loss.data,
            "n_correct": (scores.argmax(-1) == target).sum().data,
            "sample_size": target.numel(),
            "ntokens": sample["ntokens"],
            "nsentences": sample["nsentences"],
        }
        return loss, target.numel(), log | counts_of(sample["switching"], STATS)

    @staticmethod
    def reduce_metrics(logging_outputs) -> None:  # type: ignore[no-untyped-def]
        """Log loss, perplexity and accuracy."""
        size = sum(log["sample_size"] for log in logging_outputs)
        if size:
            loss = sum(log["loss"] for log in logging_outputs)
            metrics.log_scalar("loss", loss / size / math.log(2), size, round=3)
            metrics.log_scalar("accuracy", sum(log["n_correct"] for log in logging_outputs) / size, size, round=4)
            metrics.log_derived("ppl", lambda meters: utils.get_perplexity(meters["loss"].avg))

    @staticmethod
    def logging_outputs_can_be_summed() -> bool:
        """Tell fairseq that counts of several processes may be added."""
        return True
