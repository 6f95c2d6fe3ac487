"""Sections of settings that the kinds of experiment share, with the papers' values as defaults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from csr.backbone.presets import CHECKPOINT, DICTIONARY, PRESETS, SENTENCEPIECE
from csr.data.examples import language_symbol
from csr.errors import ConfigError
from csr.running.precision import Wanted
from csr.settings import check_needs, expect_default, expect_unique, setting
from csr.switching import settings as switching


@dataclass(frozen=True)
class Text:
    """A file in one language; among the files of a lexicon, the translations into that language."""

    lang: str
    file: Path


VECMAP = ("method", ("vecmap", "mixture"))
# Of which methods the settings are that a mixture has beside them.
_OF_METHODS = {("vecmap",): ("dim", "window", "min_count", "epochs"), ("ibm1", "align"): ("iterations",)}


@dataclass(frozen=True)
class LexiconSource:
    """One lexicon of a mixture, both ways; of a file for one way, the other is got by Bayes' rule or by inversion."""

    method: Literal["file", "ibm1", "align", "vecmap"] = setting(
        "file",
        help="a file, IBM Model 1 or an HMM (align) on the training pairs, or VecMap: on data.monolingual where it has "
        "both languages, else on the training pairs",
    )
    weight: float = setting(1.0, low=0.001, help="share of this lexicon in the mixture, relative to the others'")
    lang: str | None = setting(None, help="file: the language of its translations, in the second column")
    file: Path | None = None
    format: Literal["tsv", "muse", "fast_align", "moses"] = setting(
        "tsv", needs=("method", ("file",)), help="file: as csr lexicon import has it"
    )

    def check(self, prefix: str) -> None:
        """Raise ConfigError unless a file and its language are given where they are used, and there alone."""
        check_needs(self, type(self)(), prefix)
        for name in ("lang", "file"):
            if (getattr(self, name) is None) == (self.method == "file"):
                how = "missing" if self.method == "file" else f"given beside {prefix}method {self.method}"
                raise ConfigError(f"{prefix}{name}: {how}")


@dataclass(frozen=True)
class Lexicon:
    """Word translations: Zan et al., section 4.1; IBM Model 1 as Visser et al., section 3.1; an HMM; or files.

    Of one method, or of several added up with weights.
    """

    method: Literal["vecmap", "ibm1", "align", "file", "mixture"] = "vecmap"
    dim: int = setting(512, low=1, needs=VECMAP, help="word2vec: dimensions of the vectors")
    window: int = setting(10, low=1, needs=VECMAP, help="word2vec: words of context on either side")
    min_count: int = setting(5, low=1, needs=VECMAP, help="word2vec: rarer words are left out")
    epochs: int = setting(10, low=1, needs=VECMAP, help="word2vec: passes over the text")
    iterations: int = setting(
        5,
        low=1,
        needs=("method", ("ibm1", "align", "mixture")),
        help="IBM Model 1, and the HMM of align: iterations of EM of each",
    )
    files: tuple[Text, ...] = setting(
        (), help="method file: the translations into each of the two languages; one is inverted for the other"
    )
    sources: tuple[LexiconSource, ...] = setting(
        (), help="method mixture: its lexicons; the weight of a candidate is the sum of its probabilities in them"
    )
    folder: Path | None = setting(None, help="where the relative paths among the files of this section start")

    def check(self, prefix: str) -> None:
        """Raise ConfigError unless files and sources are given where they are used, and there alone."""
        check_needs(self, type(self)(), prefix)
        expect_unique(f"{prefix}files", [text.lang for text in self.files], least=0)
        for name, method in (("files", "file"), ("sources", "mixture")):
            if (self.method == method) != bool(getattr(self, name)):
                found = "none" if self.method == method else f"{name} beside {prefix}method {self.method}"
                raise ConfigError(
                    f"{prefix}{name}: expected with {prefix}method {method}, and there alone; found {found}"
                )
        used: list[str] = [source.method for source in self.sources if source.method != "file"]
        expect_unique(f"{prefix}sources", used, least=0)
        for methods, names in _OF_METHODS.items():
            if self.method == "mixture" and not set(methods) & set(used):
                expect_default(self, names, prefix, f"expected beside a source of method {' or '.join(methods)} alone")


@dataclass(frozen=True)
class SourceNoise(switching.Noise):
    """The noise of stage one, and of the sources of the arm iaft."""

    sources: float = setting(
        0.1,
        low=0,
        high=1,
        help="arm iaft: share of the pairs whose sources get noise, drawn anew each epoch, 0 to 1",
        source="Zan et al., section 5.1",
    )


PRECISION = (
    "auto: bf16 on a card or a processor that multiplies in it, fp16 on another card, else fp32; a training ends in "
    "what it began in, on any machine"
)


@dataclass(frozen=True)
class Training:
    """One run of fairseq-train; the values of Zan et al., sections 5.1 and 5.2, unless a field says otherwise."""

    updates: int = setting(5000, low=1)
    lr: float = setting(3e-5, low=0)
    warmup: int = setting(2500, low=0)
    max_tokens: int = setting(4096, low=1)
    update_freq: int = setting(1, low=1)
    gpus: int = setting(
        1, low=1, help="cards that share the batches of an update: update_freq, then max_tokens are of them together"
    )
    dropout: float = setting(0.3, low=0, high=1)
    attention_dropout: float = setting(0.1, low=0, high=1)
    label_smoothing: float = setting(0.2, low=0, high=1)
    save_every: int = setting(500, low=1, help="updates between checkpoints, each of which is validated")
    precision: Wanted = setting("auto", help=PRECISION)
    memory_efficient: bool = setting(
        False, help="fp16 and bf16: no copy of the weights in fp32; updates that are small beside a weight are lost"
    )
    freeze_embeddings: bool = False
    checkpoint_activations: bool = setting(
        False, help="keep the inputs of the layers alone for the backward pass, and compute the rest again"
    )

    def check(self, prefix: str) -> None:
        """Raise ConfigError for a schedule that cannot be, and for fp32 without a copy in fp32."""
        if self.memory_efficient and self.precision == "fp32":
            raise ConfigError(f"{prefix}memory_efficient: expected with {prefix}precision fp16, bf16 or auto, not fp32")
        if self.warmup > self.updates:
            raise ConfigError(f"{prefix}warmup: expected at most {prefix}updates ({self.updates}), found {self.warmup}")
        if self.lr <= 0:
            raise ConfigError(f"{prefix}lr: expected more than 0, found {self.lr:g}")


@dataclass(frozen=True)
class Restoring(Training):
    """Stage one, and which sentences it restores."""

    text: Literal["parallel", "monolingual", "both"] = setting(
        "parallel", help="the training pairs, data.monolingual, or both"
    )


@dataclass(frozen=True)
class Synthetic(switching.TranslatedWords):
    """Synthetic pairs, whose targets are lines of data.monolingual: arms wbt, bt, copy, wbt_csr, bt_csr."""

    ratio: float = setting(1.0, low=0.01, help="synthetic pairs for each training pair, drawn anew each epoch")
    tag: bool = setting(True, help="their sources begin with <s>, which no other row has", source="Caswell et al. 2019")
    decode: Literal["beam", "sampling"] = setting(
        "beam",
        help="model back-translation: beam search as generate has it, or a draw from the model at each step",
        source="beam: Sennrich et al. 2016; sampling: Edunov et al. 2018",
    )


@dataclass(frozen=True)
class FinalTraining(Training):
    """The last stage, whose checkpoint an arm is scored by; every arm is chosen by the same rule."""

    updates: int = setting(25000, low=1)
    select: Literal["loss", "bleu", "chrf", "last"] = setting(
        "loss", help="the best checkpoint on the dev set by loss, or by BLEU or chrF of greedy search, or the last"
    )
    patience: int | None = setting(
        None, low=1, help="validations (save_every) without a better one until training ends; by default at its updates"
    )

    def check(self, prefix: str) -> None:
        """Raise ConfigError for patience without a rule, and as every training does."""
        super().check(prefix)
        if self.patience and self.select == "last":
            raise ConfigError(f"{prefix}patience: expected with {prefix}select loss, bleu or chrf, found last")


@dataclass(frozen=True)
class Backbone:
    """The pretrained model: a fairseq checkpoint with its vocabulary, or a small one trained here on masks.

    The sizes are those of mBART-cc25 and mBART-50; a checkpoint's own must be given here.
    """

    family: Literal["mbart", "encoder"] = setting(
        "mbart",
        help="encoder: the model in folder is one of csr import-hf --decoder-layers, whose sizes it knows; with texts, "
        "it is first trained on them",
    )
    preset: Literal["cc25", "ml50"] | None = setting(
        None, help="the model is mBART-cc25 or mBART-50, published or trimmed: its languages, and where their ids go"
    )
    folder: Path | None = setting(
        None,
        help="where relative paths start; with a preset or family encoder, csr import-hf has left there what else is "
        "to be named here",
    )
    checkpoint: Path | None = None
    dictionary: Path | None = None
    sentencepiece: Path | None = None
    langs: tuple[str, ...] = setting(
        (), help="language ids of the model in its order; the two of the data where there are none"
    )
    layers: int = setting(12, low=1)
    dim: int = setting(1024, low=2)
    ffn: int = setting(4096, low=1)
    heads: int = setting(16, low=1)
    activation: Literal["gelu", "relu"] = setting("gelu", help="relu: mBART-50 as published for translation")
    train: Training = Training(updates=20000, lr=5e-4, dropout=0.1, label_smoothing=0.1)
    texts: tuple[Text, ...] = setting(
        (), help="text to train a small model on, a file a language; without it and a checkpoint, the text of the task"
    )
    pieces: int = setting(8000, low=32, help="of the vocabulary that is made from the texts")
    max_words: int = setting(250, low=1, help="longer lines of the texts are left out")

    def __post_init__(self) -> None:
        # Older runs have written down fp32, which was the default, also for a training that there is none of.
        if self.checkpoint and not self.texts and self.train == replace(type(self).train, precision="fp32"):
            object.__setattr__(self, "train", type(self).train)
        if (self.preset or self.family == "encoder") and self.folder:
            for name, file in (
                ("checkpoint", CHECKPOINT),
                ("dictionary", DICTIONARY),
                ("sentencepiece", SENTENCEPIECE),
            ):
                if getattr(self, name) is None:
                    object.__setattr__(self, name, self.folder / file)

    @property
    def languages(self) -> tuple[str, ...]:
        """The language ids of the model in its order; none where those of the task's languages are all."""
        if self.preset:
            return PRESETS[self.preset].languages
        return self.langs or tuple(dict.fromkeys(text.lang for text in self.texts))

    @property
    def ready(self) -> bool:
        """Whether the checkpoint is the pretrained model, and not what it is first made from."""
        return self.checkpoint is not None and not self.texts

    @property
    def vocabulary(self) -> tuple[Path, Path] | None:
        """SentencePiece model and dictionary of the checkpoint or the texts; None where the task's text gives them."""
        if self.sentencepiece and self.dictionary:
            return self.sentencepiece, self.dictionary
        return (Path("texts/spm.model"), Path("texts/dict.txt")) if self.texts else None

    def check(self, prefix: str) -> None:
        """Raise ConfigError for a checkpoint without its vocabulary, or the reverse, and for sizes that cannot be."""
        if self.preset and self.langs:
            raise ConfigError(f"{prefix}langs: given beside {prefix}preset, which has its own")
        if self.preset and not self.checkpoint:
            raise ConfigError(f"{prefix}checkpoint: missing beside {prefix}preset; {prefix}folder may say where it is")
        for name in ("dictionary", "sentencepiece"):
            if (self.checkpoint is None) != (getattr(self, name) is None):
                problem = "given without" if self.checkpoint is None else "missing beside"
                raise ConfigError(f"{prefix}{name}: {problem} {prefix}checkpoint")
        if self.family == "encoder":
            self._check_encoder(prefix)
        elif self.checkpoint:
            expect_default(
                self, ("texts", "train"), prefix, f"given beside {prefix}checkpoint, which is trained already"
            )
        if not self.texts:
            expect_default(self, ("pieces", "max_words"), prefix, f"expected beside {prefix}texts alone")
        if self.dim % self.heads:
            raise ConfigError(f"{prefix}dim: expected a multiple of {prefix}heads ({self.heads}), found {self.dim}")
        if self.langs:
            expect_unique(f"{prefix}langs", self.langs)

    def _check_encoder(self, prefix: str) -> None:
        """Raise ConfigError for what a model made of an encoder lacks, or has itself."""
        if self.preset or not self.checkpoint or not self.langs:
            raise ConfigError(f"{prefix}family: expected {prefix}folder and {prefix}langs with encoder, and no preset")
        own = ("layers", "dim", "ffn", "heads", "activation", "pieces")
        expect_default(self, own, prefix, f"given beside {prefix}family encoder, whose checkpoint knows it")
        if not self.texts:
            expect_default(self, ("train",), prefix, f"expected beside {prefix}texts alone")
        for text in self.texts:
            expect_known(f"{prefix}texts", [text.lang], self.langs)


@dataclass(frozen=True)
class Generate:
    """Beam search: Zan et al., section 5.1."""

    beam: int = setting(5, low=1)
    max_tokens: int = setting(4096, low=1)


@dataclass(frozen=True)
class Distance:
    """Representation distance: Zan et al., Eq. 5, over at most this many test pairs."""

    sentences: int = setting(20000, low=1)


@dataclass(frozen=True)
class Dynamics:
    """Distance and BLEU over updates: Zan et al., Figures 2 and 6, on the dev set."""

    every: int | None = setting(
        None, low=1, help="updates between the checkpoints that are kept and measured; none are where this is not given"
    )
    sentences: int = setting(1000, low=1)


@dataclass(frozen=True)
class Scores:
    """What an arm is scored by besides BLEU, chrF, word F-measure, distance and, where it can be told, language."""

    comet: str | None = setting(
        None, help="COMET model: a name on the Hugging Face hub, or the absolute path of a folder or .ckpt file"
    )


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """What experiments of every kind have; each kind adds its sections, and ``arms``."""

    seeds: tuple[int, ...] = setting((1,), low=0)
    threads: int = setting(1, low=1, help="threads of one training step; with 1, a CPU run repeats bit by bit")
    workers: int = setting(0, low=0, help="loader processes of one training step; the batches do not depend on it")

    def check(self, prefix: str) -> None:
        """Raise ConfigError for arms or seeds given twice, or none."""
        expect_unique(f"{prefix}arms", getattr(self, "arms"))  # noqa: B009
        expect_unique(f"{prefix}seeds", self.seeds)


@dataclass(frozen=True, kw_only=True)
class StagedExperiment(Experiment):
    """What experiments have whose stages ``csr train`` trains; neither changes a result, nor does anything again."""

    tensorboard: bool = setting(False, help="write the curves of each stage to tensorboard/ in its folder")
    wandb: str | None = setting(None, help="project of Weights & Biases that gets the curves of each stage")


def expect_known(name: str, languages: Sequence[str], known: Sequence[str]) -> None:
    """Raise ConfigError for a language that a model does not know."""
    for language in languages:
        try:
            language_symbol(language, known)
        except ConfigError as error:
            raise ConfigError(f"{name}: {error}") from None
