"""The settings of a translation experiment, with the papers' values as defaults; other experiments share sections."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from csr.backbone.presets import CHECKPOINT, DICTIONARY, PRESETS, SENTENCEPIECE
from csr.data.examples import language_symbol
from csr.errors import ConfigError
from csr.settings import expect_unique, setting
from csr.switching import settings as switching

Arm = Literal["random", "baseline", "iaft", "csr", "mask_restore_ft"]


@dataclass(frozen=True)
class Data:
    """The parallel corpus. Where no dev or test files are given, they are taken out of the training pairs."""

    source_lang: str
    target_lang: str
    src: Path
    tgt: Path
    folder: Path | None = None
    """Where the relative paths among the files of this section start."""
    dev_src: Path | None = None
    dev_tgt: Path | None = None
    test_src: Path | None = None
    test_tgt: Path | None = None
    dev_size: int = setting(1000, low=1)
    test_size: int = setting(1000, low=1)
    pieces: int = setting(8000, low=32)
    max_words: int = setting(250, low=1)
    max_ratio: float = setting(9.0, low=1)
    origin: str | None = None
    """Where the data set is published, or how to make it; shown when a file is missing."""

    def check(self, prefix: str) -> None:
        """Raise ConfigError for one language twice and for a dev or test set with one side."""
        if self.source_lang == self.target_lang:
            raise ConfigError(
                f"{prefix}target_lang: expected another language than the source, found {self.target_lang!r}"
            )
        for split in ("dev", "test"):
            sides = [side for side in ("src", "tgt") if getattr(self, f"{split}_{side}") is None]
            if len(sides) == 1:
                raise ConfigError(f"{prefix}{split}_{sides[0]}: missing, the other side is given")


@dataclass(frozen=True)
class Lexicon:
    """Word translations: Zan et al., section 4.1, or IBM Model 1 as Visser et al., section 3.1, or the user's files."""

    method: Literal["vecmap", "ibm1", "file"] = "vecmap"
    dim: int = setting(512, low=1)
    window: int = setting(10, low=1)
    min_count: int = setting(5, low=1)
    epochs: int = setting(10, low=1)
    iterations: int = setting(5, low=1)
    forward: Path | None = None
    backward: Path | None = None

    def check(self, prefix: str) -> None:
        """Raise ConfigError unless files are given where they are used, and there alone."""
        for side in ("forward", "backward"):
            if (self.method == "file") != (getattr(self, side) is not None):
                problem = f"missing, {prefix}method is" if self.method == "file" else f"given, expected {prefix}method"
                raise ConfigError(f"{prefix}{side}: {problem} file")


@dataclass(frozen=True)
class Noise(switching.Noise):
    """Switching in stage one, and the noise of the arm iaft."""

    sources: float = setting(
        0.1,
        low=0,
        high=1,
        help="arm iaft: share of the pairs whose sources get noise, drawn anew each epoch, 0 to 1",
        source="Zan et al., section 5.1",
    )


@dataclass(frozen=True)
class Training:
    """One run of fairseq-train; the values of Zan et al., sections 5.1 and 5.2, unless a field says otherwise."""

    updates: int = setting(5000, low=1)
    lr: float = setting(3e-5, low=0)
    warmup: int = setting(2500, low=0)
    max_tokens: int = setting(4096, low=1)
    update_freq: int = setting(1, low=1)
    dropout: float = setting(0.3, low=0, high=1)
    attention_dropout: float = setting(0.1, low=0, high=1)
    label_smoothing: float = setting(0.2, low=0, high=1)
    save_every: int = setting(500, low=1)
    precision: Literal["fp32", "fp16", "bf16", "auto"] = "fp32"
    """auto: bf16 on a card that has it, fp16 on another, fp32 without a card."""
    memory_efficient: bool = False
    """fp16 and bf16: no copy of the weights in fp32; updates that are small beside a weight are lost."""
    freeze_embeddings: bool = False
    checkpoint_activations: bool = False
    """Keep the inputs of the layers alone for the backward pass, and compute the rest again."""

    def check(self, prefix: str) -> None:
        """Raise ConfigError for a schedule that cannot be, and for fp32 without a copy in fp32."""
        if self.memory_efficient and self.precision == "fp32":
            raise ConfigError(f"{prefix}memory_efficient: expected with {prefix}precision fp16, bf16 or auto, not fp32")
        if self.warmup > self.updates:
            raise ConfigError(f"{prefix}warmup: expected at most {prefix}updates ({self.updates}), found {self.warmup}")
        if self.lr <= 0:
            raise ConfigError(f"{prefix}lr: expected more than 0, found {self.lr:g}")


@dataclass(frozen=True)
class Backbone:
    """The pretrained model: a fairseq checkpoint with its vocabulary, or a small one trained here on masks.

    The sizes are those of mBART-cc25 and mBART-50; a checkpoint's own must be given here.
    """

    preset: Literal["cc25", "ml50"] | None = None
    """The model is mBART-cc25 or mBART-50, published or trimmed: its languages, and where their ids go."""
    folder: Path | None = None
    """Where relative paths start; with a preset, ``csr import-hf`` has left there what else is to be named here."""
    checkpoint: Path | None = None
    dictionary: Path | None = None
    sentencepiece: Path | None = None
    langs: tuple[str, ...] = ()
    """Language ids of the model in its order; the two of the data where there are none."""
    layers: int = setting(12, low=1)
    dim: int = setting(1024, low=2)
    ffn: int = setting(4096, low=1)
    heads: int = setting(16, low=1)
    activation: Literal["gelu", "relu"] = "gelu"
    """relu: mBART-50 as published for translation."""
    train: Training = Training(updates=20000, lr=5e-4, dropout=0.1, label_smoothing=0.1)

    def __post_init__(self) -> None:
        if self.preset and self.folder:
            for name, file in (
                ("checkpoint", CHECKPOINT),
                ("dictionary", DICTIONARY),
                ("sentencepiece", SENTENCEPIECE),
            ):
                if getattr(self, name) is None:
                    object.__setattr__(self, name, self.folder / file)

    @property
    def languages(self) -> tuple[str, ...]:
        """Return the language ids of a model that is not trained here, in its order."""
        return PRESETS[self.preset].languages if self.preset else self.langs

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
        if self.dim % self.heads:
            raise ConfigError(f"{prefix}dim: expected a multiple of {prefix}heads ({self.heads}), found {self.dim}")
        if self.langs:
            expect_unique(f"{prefix}langs", self.langs)


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

    every: int | None = setting(None, low=1)
    """Updates between the checkpoints that are kept and measured; none are where this is not given."""
    sentences: int = setting(1000, low=1)


@dataclass(frozen=True)
class Scores:
    """What an arm is scored by besides BLEU, chrF, word F-measure, distance and, where it can be told, language."""

    comet: str | None = None
    """COMET model: a name on the Hugging Face hub, or the absolute path of a folder or ``.ckpt`` file."""


@dataclass(frozen=True)
class Config:
    """One experiment: a language pair, its arms and its seeds."""

    data: Data
    experiment: Literal["translation"] = "translation"
    lexicon: Lexicon = Lexicon()
    noise: Noise = Noise()
    backbone: Backbone = Backbone()
    restore: Training = Training()
    finetune: Training = Training(updates=25000)
    generate: Generate = Generate()
    distance: Distance = Distance()
    dynamics: Dynamics = Dynamics()
    scores: Scores = Scores()
    arms: tuple[Arm, ...] = ("random", "baseline", "csr")
    seeds: tuple[int, ...] = setting((1,), low=0)
    threads: int = setting(1, low=1)
    """Threads of one training step; with 1, a CPU run repeats bit by bit."""
    workers: int = setting(0, low=0)
    """Loader processes of one training step; the batches do not depend on it."""

    @property
    def langs(self) -> tuple[str, ...]:
        """Return the model's language ids in order."""
        return self.backbone.languages or (self.data.source_lang, self.data.target_lang)

    def check(self, prefix: str) -> None:
        """Raise ConfigError for a language that the model does not know, and for arms or seeds given twice."""
        for lang in (self.data.source_lang, self.data.target_lang):
            try:
                language_symbol(lang, self.langs)
            except ConfigError:
                found = ", ".join(self.langs)
                raise ConfigError(f"backbone.langs: expected {lang} among them, found {found}") from None
        every = self.dynamics.every
        for name, stage in (("restore", self.restore), ("finetune", self.finetune)):
            if every and every % stage.save_every:
                found = f"{every} and {stage.save_every}"
                raise ConfigError(f"dynamics.every: expected a multiple of {name}.save_every, found {found}")
        expect_unique("arms", self.arms)
        expect_unique("seeds", self.seeds)
