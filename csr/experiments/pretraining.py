"""Code-switched pretraining on one language pair and its zero-shot evaluation (Visser et al.), under ``csr run``.

Each arm of each seed is pretrained once, in ``seed-S/ARM``; below it ``TASK/lr-L-epochs-E/run-R`` is a fine-tuned
model with its scores, for every point of a task's grid and every seed of fine-tuning.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn

from csr.data.mixture import parse_bytes
from csr.data.subwords import UNIGRAM, WORDPIECE
from csr.errors import ConfigError
from csr.experiments.encoders import PAPER, TYPES, Finetuning, Task
from csr.experiments.flags import number
from csr.running import fairseq
from csr.settings import expect_unique, setting

Arm = Literal["none", "ibm", "muse"]

SNAKEFILE = Path(__file__).with_name("pretraining.smk")
STEPS = ("mixture", "lexicon", "none", "ibm", "muse", "finetune", "report")
STAGES = ARMS = ("none", "ibm", "muse")


@dataclass(frozen=True)
class Data:
    """Monolingual text: Visser et al., section 3.2."""

    source_lang: str
    target_lang: str
    source: tuple[Path, ...]
    target: tuple[Path, ...]
    folder: Path | None = None
    """Where the relative paths among the files of this section start."""
    source_bytes: str = "1GB"
    target_bytes: str = "100MB"
    held_out: str = "1MB"
    """Of each language, for the accuracy of masked pieces; the paper has 50 MB."""
    deduplicate: Literal["document", "line"] = "document"
    pieces: int = setting(30_000, low=32)
    wordpiece: bool = False
    """Make a WordPiece vocabulary, as BERT's, in place of SentencePiece's."""
    vocabulary_bytes: str = "100MB"
    origin: str | None = None
    """Where the data set is published, or how to make it; shown when a file is missing."""

    def check(self, prefix: str) -> None:
        """Raise ConfigError for one language twice, and for sizes that are none."""
        if self.source_lang == self.target_lang:
            raise ConfigError(f"{prefix}target_lang: expected another language, found {self.target_lang!r}")
        for name in ("source", "target"):
            expect_unique(f"{prefix}{name}", getattr(self, name))
        for name in ("source_bytes", "target_bytes", "held_out", "vocabulary_bytes"):
            try:
                if getattr(self, name) != "all":
                    parse_bytes(getattr(self, name))
            except ConfigError as error:
                raise ConfigError(f"{prefix}{name}: {error}") from None

    @property
    def model(self) -> Path:
        """Return the model of the vocabulary within the run folder."""
        return Path("data", WORDPIECE if self.wordpiece else UNIGRAM)


@dataclass(frozen=True)
class Lexicon:
    """What the arms ibm and muse switch words by: parallel text for IBM Model 1, and a dictionary (section 3.1)."""

    folder: Path | None = None
    ibm_src: Path | None = None
    ibm_tgt: Path | None = None
    iterations: int = setting(5, low=1)
    muse: Path | None = None

    def check(self, prefix: str) -> None:
        """Raise ConfigError for parallel text with one side."""
        if (self.ibm_src is None) != (self.ibm_tgt is None):
            raise ConfigError(f"{prefix}{'ibm_src' if self.ibm_src is None else 'ibm_tgt'}: missing")


@dataclass(frozen=True)
class Switching:
    """Which words are switched: Visser et al., section 3.1."""

    gate: float = setting(0.5, low=0, high=1)
    """Share of the blocks that have switched words."""
    rate: float = setting(0.03, low=0, high=1)
    temperature: float = setting(3.0, low=0.01)
    min_weight: float = setting(0.02, low=0)
    min_length: int = setting(4, low=1)
    stop_words: tuple[str, ...] = ()
    """Of either language: its code in stopwords-iso, the absolute path of a file, or none (default: the languages)."""

    def check(self, prefix: str) -> None:
        """Raise ConfigError for stop words of one language alone."""
        if len(self.stop_words) not in (0, 2):
            raise ConfigError(f"{prefix}stop_words: expected two, such as [en, none], found {len(self.stop_words)}")


@dataclass(frozen=True)
class Pretrain:
    """Pretraining: Visser et al., section 3.3, otherwise Devlin et al. 2019, appendix A.2."""

    size: Literal["tiny", "mini", "small", "base", "large"] = "base"
    updates: int = setting(1_000_000, low=1)
    lr: float = setting(1e-4, low=0)
    warmup: int = setting(10_000, low=0)
    batch: int = setting(64, low=1)
    """Blocks of a step; the paper's batch of 512 are eight steps."""
    update_freq: int = setting(8, low=1)
    length: int = setting(128, low=8)
    dropout: float = setting(0.1, low=0, high=1)
    weight_decay: float = setting(0.01, low=0)
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    save_every: int = setting(10_000, low=1)

    def check(self, prefix: str) -> None:
        """Raise ConfigError for a schedule that cannot be."""
        if self.warmup > self.updates:
            raise ConfigError(f"{prefix}warmup: expected at most {prefix}updates ({self.updates}), found {self.warmup}")


@dataclass(frozen=True)
class TestSet:
    """Labelled text in one language."""

    __test__ = False  # no test of pytest's

    language: str
    file: Path
    outside: tuple[str, ...] = ()
    """Types of entities that the model does not know, to be read as none."""


@dataclass(frozen=True)
class Zeroshot:
    """Fine-tuning on one language and testing on others; every pair of a rate and a number of epochs is tried.

    The pair whose scores on the dev set, in the language of training, are best on average serves every arm.
    """

    train: Path
    dev: Path
    tests: tuple[TestSet, ...]
    folder: Path | None = None
    lrs: tuple[float, ...] = setting((Finetuning.lr,), low=0)
    epochs: tuple[int, ...] = setting((Finetuning.epochs,), low=1)
    seeds: tuple[int, ...] = setting((1, 2, 3, 4, 5), low=0)
    batch: int = setting(Finetuning.batch, low=1)
    warmup_ratio: float = setting(Finetuning.warmup_ratio, low=0, high=1)
    weight_decay: float = setting(Finetuning.weight_decay, low=0)
    max_length: int = setting(Finetuning.max_length, low=8)
    types: tuple[str, ...] = TYPES
    """Types of the entities, for ner."""

    def check(self, prefix: str) -> None:
        """Raise ConfigError for lists that name something twice or nothing."""
        for name in ("lrs", "epochs", "seeds", "types"):
            expect_unique(f"{prefix}{name}", getattr(self, name))
        expect_unique(f"{prefix}tests", [test.language for test in self.tests])


@dataclass(frozen=True)
class Config:
    """One language pair: its arms, what they are tested on."""

    data: Data
    experiment: Literal["pretraining"] = "pretraining"
    lexicon: Lexicon = Lexicon()
    switching: Switching = Switching()
    pretrain: Pretrain = Pretrain()
    nli: Zeroshot | None = None
    ner: Zeroshot | None = None
    arms: tuple[Arm, ...] = ("none", "ibm", "muse")
    seeds: tuple[int, ...] = setting((1,), low=0)
    """Seeds of pretraining; the paper has one."""
    notes: tuple[str, ...] = ()
    """What the tables lack and why, to be printed below them."""
    threads: int = setting(1, low=1)
    """Threads of one training step; with 1, a CPU run repeats bit by bit."""
    workers: int = setting(0, low=0)
    """Loader processes of one training step; the batches do not depend on it."""

    def check(self, prefix: str) -> None:
        """Raise ConfigError for an arm without its lexicon, and for arms or seeds given twice."""
        expect_unique("arms", self.arms)
        expect_unique("seeds", self.seeds)
        for arm, name in (("ibm", "ibm_src"), ("muse", "muse")):
            if arm in self.arms and getattr(self.lexicon, name) is None:
                raise ConfigError(f"lexicon.{name}: missing, arms has {arm}")


@dataclass(frozen=True)
class Run:
    """One fine-tuning: where it goes, the model it starts from, and its settings."""

    task: Task
    arm: Arm
    seed: int  # of pretraining
    run: int  # the seed of fine-tuning
    settings: Finetuning

    @property
    def folder(self) -> Path:
        """Return its folder within the run folder."""
        return Path(f"seed-{self.seed}", self.arm, self.task, self.grid, f"run-{self.run}")

    @property
    def grid(self) -> str:
        """Return the point of the grid."""
        return f"lr-{number(self.settings.lr)}-epochs-{self.settings.epochs}"


def tasks(config: Config) -> dict[Task, Zeroshot]:
    """Return the tasks that there is data for."""
    given: dict[Task, Zeroshot | None] = {"nli": config.nli, "ner": config.ner}
    return {name: task for name, task in given.items() if task is not None}


def finetunings(config: Config) -> Iterator[Run]:
    """Yield every fine-tuning."""
    for name, task in tasks(config).items():
        shared = {key: getattr(task, key) for key in ("batch", "warmup_ratio", "weight_decay", "max_length")}
        for lr in task.lrs:
            for epochs in task.epochs:
                settings = dataclasses.replace(PAPER[name], lr=lr, epochs=epochs, **shared)
                for seed in config.seeds:
                    for arm in config.arms:
                        yield from (Run(name, arm, seed, run, settings) for run in task.seeds)


def stage_folder(arm: str, seed: int) -> Path:
    """Return where a pretrained model lies within the run folder."""
    return Path(f"seed-{seed}", arm)


def lexicon_file(arm: str) -> Path | None:
    """Return the lexicon of an arm within the run folder."""
    return None if arm == "none" else Path(f"lexicon/{arm}.tsv")


def train_command(config: Config, stage: str, seed: int, run: Path = Path()) -> list[str]:
    """Return the fairseq-train command of an arm's pretraining; paths lie within the folder ``run``."""
    settings, switching = config.pretrain, config.switching
    command = ["fairseq-train", str(run / "data/bin"), "--user-dir", str(fairseq.plugin_folder())]
    command += ["--task", "csr_masked_lm", "--criterion", "csr_masked_lm"]
    command += ["--languages", f"{config.data.source_lang},{config.data.target_lang}"]
    command += ["--sentencepiece-model", str(run / config.data.model), "--tokens-per-sample", str(settings.length)]
    if lexicon := lexicon_file(stage):
        command += ["--lexicon", str(run / lexicon)]
        command += ["--gate", number(switching.gate), "--switch-rate", number(switching.rate)]
        command += ["--temperature", number(switching.temperature), "--min-weight", number(switching.min_weight)]
        command += ["--min-length", str(switching.min_length)]
        if switching.stop_words:
            command += ["--stop-words", ",".join(switching.stop_words)]
    command += ["--arch", f"csr_bert_{settings.size}", "--dropout", number(settings.dropout)]
    command += ["--attention-dropout", number(settings.dropout)]
    command += ["--optimizer", "adam", "--adam-betas", "(0.9, 0.999)", "--adam-eps", "1e-06", "--clip-norm", "1.0"]
    command += ["--weight-decay", number(settings.weight_decay), "--lr-scheduler", "polynomial_decay"]
    command += ["--lr", number(settings.lr), "--warmup-updates", str(settings.warmup)]
    command += ["--total-num-update", str(settings.updates), "--max-update", str(settings.updates)]
    command += ["--batch-size", str(settings.batch), "--update-freq", str(settings.update_freq)]
    if settings.precision != "fp32":
        command += [f"--{settings.precision}"]
    command += ["--seed", str(seed), "--num-workers", str(config.workers)]
    work = fairseq.save_dir(run / stage_folder(stage, seed))
    command += ["--save-dir", str(work), "--save-interval", "1000000", "--validate-interval", "1000000"]
    command += ["--save-interval-updates", str(settings.save_every), "--keep-interval-updates", "1"]
    command += ["--no-epoch-checkpoints"]
    return [*command, "--log-format", "json", "--log-interval", str(max(1, min(100, settings.updates // 50)))]


def train(config: Config, stage: str, seed: int, run: Path) -> None:
    """Pretrain an arm to its end; see ``csr.running.fairseq.train``."""
    inputs = [Path("data/mixture.json"), config.data.model]
    if lexicon := lexicon_file(stage):
        inputs.append(lexicon)
    job = fairseq.Job(
        command=train_command(config, stage, seed),
        folder=stage_folder(stage, seed),
        updates=config.pretrain.updates,
        inputs=inputs,
    )
    fairseq.train(job, run, config.threads)


def targets(config: Config, until: str) -> list[str]:
    """Return the files to make so that a step is done."""
    if until in ARMS:
        if until not in config.arms:
            raise ConfigError(f"--until {until}: expected an arm of the settings ({', '.join(config.arms)})")
        return [str(stage_folder(until, seed) / "model.pt") for seed in config.seeds]
    scores = [str(run.folder / "scores.json") for run in finetunings(config)]
    accuracies = [str(stage_folder(arm, seed) / "accuracy.json") for seed in config.seeds for arm in config.arms]
    return {
        "mixture": ["data/mixture.json"],
        "lexicon": [str(lexicon) for arm in config.arms if (lexicon := lexicon_file(arm))],
        "finetune": scores,
        "report": ["report.html", *accuracies, *scores],
    }[until]


def report(config: Config, run: Path) -> None:
    """Write the tables of a run; see ``csr.report.pretraining``."""
    from csr.report.pretraining import write_report

    write_report(config, run)


def generate_command(config: Config, arm: str, seed: int, run: Path = Path()) -> NoReturn:
    """Raise ConfigError: encoders write no text."""
    raise ConfigError("generate: an experiment of pretraining writes no text; see csr zero-shot")


def generate(config: Config, arm: str, seed: int, run: Path) -> NoReturn:
    """Raise ConfigError: encoders write no text."""
    generate_command(config, arm, seed, run)


def score(config: Config, arm: str, seed: int, run: Path) -> NoReturn:
    """Raise ConfigError: ``csr zero-shot evaluate`` scores."""
    raise ConfigError("score: expected csr zero-shot evaluate, for an experiment of pretraining")
