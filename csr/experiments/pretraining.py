"""Code-switched pretraining on one language pair and its zero-shot evaluation (Visser et al.), under ``csr run``.

Each arm of each seed is pretrained once, in ``seed-S/ARM``; below it ``TASK/lr-L-epochs-E/run-R`` is a fine-tuned
model with its scores, for every point of a task's grid and every seed of fine-tuning.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from csr import options
from csr.backbone.presets import CHECKPOINT, DICTIONARY
from csr.data.mixture import parse_bytes
from csr.data.subwords import UNIGRAM, WORDPIECE, is_wordpiece, model_file
from csr.errors import ConfigError
from csr.experiments import commands, paired
from csr.experiments.commands import flags
from csr.experiments.encoders import TYPES, Finetuning, Grid, Task, encoder_sizes, scoring_step, unknown_types
from csr.experiments.settings import PRECISION, StagedExperiment, Text
from csr.experiments.stages import dictionary_step, stage_folder, train_step
from csr.running import precision
from csr.running.fairseq import Job
from csr.running.precision import Wanted
from csr.running.steps import Step
from csr.settings import as_mapping, expect_default, expect_unique, setting
from csr.switching.settings import PRETRAINING, Pretraining

Arm = Literal["none", "ibm", "muse"]

STAGES = ARMS = ("none", "ibm", "muse")
MIXED = Path("data/mixture.json")  # is written last
BEFORE = Path("start/accuracy.json")  # of the model that pretraining starts from


@dataclass(frozen=True)
class Mixture:
    """Monolingual text: Visser et al., section 3.2."""

    source_lang: str
    target_lang: str
    src: tuple[Path, ...]
    tgt: tuple[Path, ...]
    folder: Path | None = setting(None, help="where the relative paths among the files of this section start")
    src_bytes: str = "1GB"
    tgt_bytes: str = "100MB"
    held_out: str = setting("1MB", help="of each language, for the accuracy of masked pieces; the paper has 50 MB")
    deduplicate: Literal["document", "line"] = "document"
    pieces: int = setting(30_000, low=32)
    wordpiece: bool = setting(False, help="make a WordPiece vocabulary, as BERT's, in place of SentencePiece's")
    vocabulary_bytes: str = "100MB"
    origin: str | None = setting(
        None, help="where the data set is published, or how to make it; shown when a file is missing"
    )

    def check(self, prefix: str) -> None:
        """Raise ConfigError for one language twice, and for sizes that are none."""
        if self.source_lang == self.target_lang:
            raise ConfigError(f"{prefix}target_lang: expected another language, found {self.target_lang!r}")
        for name in ("src", "tgt"):
            expect_unique(f"{prefix}{name}", getattr(self, name))
        for name in ("src_bytes", "tgt_bytes", "held_out", "vocabulary_bytes"):
            try:
                if getattr(self, name) != "all":
                    parse_bytes(getattr(self, name))
            except ConfigError as error:
                raise ConfigError(f"{prefix}{name}: {error}") from None


@dataclass(frozen=True)
class Lexicons:
    """What the arms ibm and muse switch words by: parallel text for IBM Model 1, and a dictionary (section 3.1)."""

    src: Path | None = None
    tgt: Path | None = None
    iterations: int = setting(5, low=1)
    files: tuple[Text, ...] = setting((), help="dictionaries such as MUSE's, into the target language")
    folder: Path | None = setting(None, help="where the relative paths among the files of this section start")

    def check(self, prefix: str) -> None:
        """Raise ConfigError for parallel text with one side."""
        if (self.src is None) != (self.tgt is None):
            raise ConfigError(f"{prefix}{'src' if self.src is None else 'tgt'}: missing, the other side is given")


class Schedule(NamedTuple):
    """How long a model is trained, and how fast."""

    updates: int
    lr: float
    warmup: int
    save_every: int


_FROM_NOTHING = Schedule(1_000_000, 1e-4, 10_000, 10_000)
_FURTHER = Schedule(10_000, 5e-5, 500, 1_000)


@dataclass(frozen=True)
class Pretrain:
    """Pretraining: Visser et al., section 3.3, otherwise Devlin et al. 2019, appendix A.2.

    With ``start`` a published encoder is pretrained further: a hundredth of the updates, at half the learning rate.
    """

    start: Path | None = setting(
        None, help="folder of csr import-hf or csr trim: an encoder to go on from, with its vocabulary and sizes"
    )
    size: Literal["tiny", "mini", "small", "base", "large"] = "base"
    updates: int | None = setting(None, low=1, help="(default: 1,000,000; 10,000 with start)")
    lr: float | None = setting(None, low=0, help="(default: 1e-4; 5e-5 with start)")
    warmup: int | None = setting(None, low=0, help="updates (default: 10,000; 500 with start)")
    batch: int = setting(64, low=1, help="blocks of a step; the paper's batch of 512 are eight steps")
    update_freq: int = setting(8, low=1)
    gpus: int = setting(
        1, low=1, help="cards that share the blocks of an update: update_freq, then batch are of them together"
    )
    length: int = setting(128, low=8)
    dropout: float = setting(0.1, low=0, high=1)
    weight_decay: float = setting(0.01, low=0)
    precision: Wanted = setting("auto", help=PRECISION)
    save_every: int | None = setting(
        None, low=1, help="updates between checkpoints (default: 10,000; 1,000 with start)"
    )

    def __post_init__(self) -> None:
        if self.start and self.start.suffix != ".pt":
            object.__setattr__(self, "start", self.start / CHECKPOINT)

    @property
    def schedule(self) -> Schedule:
        """How long, how fast; what is left open goes by what it starts from."""
        defaults = _FURTHER if self.start else _FROM_NOTHING
        given = {name: value for name in Schedule._fields if (value := getattr(self, name)) is not None}
        return defaults._replace(**given)

    def check(self, prefix: str) -> None:
        """Raise ConfigError for a schedule that cannot be, and for a size beside a start, which has its own."""
        schedule = self.schedule
        if schedule.warmup > schedule.updates:
            found = f"({schedule.updates}), found {schedule.warmup}"
            raise ConfigError(f"{prefix}warmup: expected at most {prefix}updates {found}")
        if (blocks := self.batch * self.update_freq) % self.gpus:
            raise ConfigError(f"{prefix}gpus: expected a part of the {blocks} blocks of an update, found {self.gpus}")
        if self.start:
            expect_default(self, ["size"], prefix, f"given beside {prefix}start, which has its own")


@dataclass(frozen=True)
class EntityTest:
    """Named entities in one language."""

    lang: str
    file: Path
    outside: tuple[str, ...] = setting((), help="types of entities that the model does not know, to be read as none")


@dataclass(frozen=True, kw_only=True)
class Zeroshot(Grid):
    """Fine-tuning on one language and testing on others."""

    train: Path
    dev: Path
    tests: tuple[Text, ...]
    folder: Path | None = None
    seeds: tuple[int, ...] = setting((1, 2, 3, 4, 5), low=0)

    def check(self, prefix: str) -> None:
        """Raise ConfigError for lists that name something twice or nothing."""
        super().check(prefix)
        expect_unique(f"{prefix}seeds", self.seeds)
        expect_unique(f"{prefix}tests", [test.lang for test in self.tests])


@dataclass(frozen=True, kw_only=True)
class Entities(Zeroshot):
    """The same for named entities."""

    tests: tuple[EntityTest, ...]  # type: ignore[assignment]
    types: tuple[str, ...] = TYPES

    def check(self, prefix: str) -> None:
        """Raise ConfigError for lists that name something twice or nothing."""
        super().check(prefix)
        expect_unique(f"{prefix}types", self.types)


@dataclass(frozen=True, kw_only=True)
class Config(StagedExperiment):
    """One language pair: its arms, what they are tested on; ``seeds`` are those of pretraining (the paper has one)."""

    experiment: Literal["pretraining"] = "pretraining"
    data: Mixture
    lexicon: Lexicons = Lexicons()
    switching: Pretraining = PRETRAINING
    pretrain: Pretrain = Pretrain()
    nli: Zeroshot | None = None
    ner: Entities | None = None
    arms: tuple[Arm, ...] = ("none", "ibm", "muse")
    notes: tuple[str, ...] = setting((), help="what the tables lack and why, to be printed below them")

    def check(self, prefix: str) -> None:
        """Raise ConfigError for an arm without its lexicon, and for settings at odds with each other."""
        super().check(prefix)
        if self.pretrain.start:
            names = ("pieces", "wordpiece", "vocabulary_bytes")
            expect_default(self.data, names, "data.", "given beside pretrain.start, which has its vocabulary")
        if "ibm" in self.arms and self.lexicon.src is None:
            raise ConfigError("lexicon.src: missing, arms has ibm")
        found = [text.lang for text in self.lexicon.files]
        if "muse" in self.arms and found != [self.data.target_lang]:
            shown = ", ".join(found) or "none"
            raise ConfigError(
                f"lexicon.files: expected a dictionary into {self.data.target_lang}, arms has muse; found {shown}"
            )


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
        """Its folder within the run folder."""
        return Path(f"seed-{self.seed}", self.arm, self.task, self.grid, f"run-{self.run}")

    @property
    def grid(self) -> str:
        """The point of the grid."""
        return self.settings.point


def tasks(config: Config) -> dict[Task, Zeroshot]:
    """The tasks that there is data for."""
    given: dict[Task, Zeroshot | None] = {"nli": config.nli, "ner": config.ner}
    return {name: task for name, task in given.items() if task is not None}


def finetunings(config: Config) -> Iterator[Run]:
    """Yield every fine-tuning."""
    for name, task in tasks(config).items():
        for settings in task.points(name):
            for seed in config.seeds:
                for arm in config.arms:
                    yield from (Run(name, arm, seed, run, settings) for run in task.seeds)


def lexicon_of(arm: str) -> Path | None:
    """The lexicon of an arm within the run folder."""
    return None if arm == "none" else Path(f"lexicon/{arm}.tsv")


def vocabulary(config: Config) -> Path:
    """The model of the vocabulary within the run folder."""
    start = config.pretrain.start
    wordpiece = is_wordpiece(model_file(start.parent)) if start else config.data.wordpiece
    return Path("data", WORDPIECE if wordpiece else UNIGRAM)


def job(config: Config, stage: str, seed: int, run: Path = Path(), done: Path | None = None) -> Job:
    """The pretraining of an arm; the paths in its command lie within the folder ``run``.

    The sizes of a model to go on from are read, in its checkpoint, once there is a run folder ``done``.
    """
    settings, folder, lexicon = config.pretrain, stage_folder(stage, seed), lexicon_of(stage)
    start, schedule, model = settings.start, settings.schedule, vocabulary(config)
    update_freq, batch, shared = commands.cards(settings.gpus, settings.update_freq, settings.batch)
    architecture = flags(arch=f"csr_bert_{settings.size}")
    if start:
        sizes = encoder_sizes(start, start.parent / DICTIONARY) if done else {}
        architecture = flags(arch="csr_bert_base", finetune_from_model=start, **sizes)
    command = commands.fairseq(
        "fairseq-train",
        run / "data/bin",
        flags(task="csr_masked_lm", criterion="csr_masked_lm"),
        flags(languages=f"{config.data.source_lang},{config.data.target_lang}"),
        flags(sentencepiece_model=run / model, tokens_per_sample=settings.length),
        flags(lexicon=run / lexicon) + options.flags(config.switching, PRETRAINING) if lexicon else [],
        architecture,
        flags(dropout=settings.dropout, attention_dropout=settings.dropout),
        commands.bert_adam(settings.weight_decay, 1e-6),
        commands.polynomial(schedule.lr, schedule.warmup, schedule.updates),
        flags(batch_size=batch, update_freq=update_freq),
        shared,
        precision.flags(settings.precision),
        flags(seed=seed, num_workers=config.workers),
        commands.checkpoints(run / folder, schedule.save_every),
        commands.log(schedule.updates),
    )
    inputs = [MIXED, model, *([lexicon] if lexicon else [])]
    return Job(command, folder, schedule.updates, inputs, start, gpus=settings.gpus)


def steps(config: Config) -> Iterator[Step]:
    """The steps of the experiment, the report last."""
    yield _mixture(config)
    yield from _lexicons(config)
    accuracies = []
    if start := config.pretrain.start:
        accuracies.append(BEFORE)
        yield _masked(config, "masked start", start, BEFORE)
    for seed in config.seeds:
        for arm in config.arms:
            folder = stage_folder(arm, seed)
            yield train_step(config, job(config, arm, seed), arm, seed)
            accuracies.append(folder / "accuracy.json")
            yield _masked(config, f"masked {arm} seed {seed}", folder / "model.pt", accuracies[-1])
    scores = []
    for run in finetunings(config):
        yield from _finetuned(config, run)
        scores.append(run.folder / "scores.json")
    outputs = ["report.html", "table.md", "results.json"]
    yield Step("report", ["report", "."], [*accuracies, *scores], outputs, settings=as_mapping(config))


def _masked(config: Config, name: str, model: Path, out: Path) -> Step:
    """The accuracy of masked pieces in the held-out text."""
    command = ["zero-shot", "masked", *flags(checkpoint=model, data="data/bin")]
    command += flags(languages=f"{config.data.source_lang},{config.data.target_lang}", out=out)
    return Step(name, command, [model, MIXED], [out], threads=config.threads, gpus=1)


def _mixture(config: Config) -> Step:
    data, start = config.data, config.pretrain.start
    command = ["mixture", "--out", "data"]
    for lang, size, files in (
        (data.source_lang, data.src_bytes, data.src),
        (data.target_lang, data.tgt_bytes, data.tgt),
    ):
        command += ["--text", lang, size, *map(str, files)]
    command += flags(held_out=data.held_out, deduplicate=data.deduplicate)
    inputs = [*data.src, *data.tgt]
    if start:
        own = [model_file(start.parent), start.parent / DICTIONARY]
        command += flags(sentencepiece_model=own[0], dict=own[1])
        inputs += own
    else:
        command += flags(pieces=data.pieces, vocabulary_bytes=data.vocabulary_bytes, wordpiece=data.wordpiece)
    return Step("mixture", command, inputs, [MIXED, vocabulary(config), "data/bin/dict.txt"])


def _lexicons(config: Config) -> Iterator[Step]:
    source, target, lexicon = config.data.source_lang, config.data.target_lang, config.lexicon
    if lexicon.src and lexicon.tgt:
        out = Path("lexicon/ibm.tsv")
        command = ["lexicon", "ibm1", *flags(src=lexicon.src, tgt=lexicon.tgt, source_lang=source, target_lang=target)]
        command += flags(iterations=lexicon.iterations, out=out)
        yield Step("lexicon ibm", command, [lexicon.src, lexicon.tgt], [out])
    texts = {source: [lexicon.src], target: [lexicon.tgt]} if lexicon.src and lexicon.tgt else {}
    for text in lexicon.files:
        yield dictionary_step("muse", text.file, Path("lexicon/muse.tsv"), sides=texts)


def _finetuned(config: Config, run: Run) -> Iterator[Step]:
    """Fine-tuning and scoring of one model."""
    task, pretrained = tasks(config)[run.task], stage_folder(run.arm, run.seed) / "model.pt"
    entities = task if isinstance(task, Entities) else None
    encoder = flags(data="data/bin", sentencepiece_model=vocabulary(config))
    name, model = f"{run.task} {run.arm} {run.grid} seed {run.seed} run {run.run}", run.folder / "model.pt"
    command = ["zero-shot", "finetune", run.task, *flags(checkpoint=pretrained), *encoder, *flags(train=task.train)]
    command += flags(out=run.folder, threads=config.threads, **run.settings.options)
    command += flags(types=",".join(entities.types) if entities else None, seed=run.run)
    inputs = [pretrained, task.train]
    yield Step(
        f"finetune {name}", command, inputs, [model], threads=config.threads, gpus=1, temporary=not task.keep_models
    )
    outside = unknown_types(task.tests)
    tests = {test.lang: test.file for test in task.tests}
    dev = config.data.source_lang, task.dev
    yield scoring_step(name, run.folder, encoder, dev, tests, outside, config.threads, task.keep_models)


def report(config: Config, run: Path) -> None:
    """Write the tables of a run; see ``csr.report.pretraining``."""
    from csr.report.pretraining import write_report

    write_report(run, list(finetunings(config)), lambda chosen: _comparisons(config, run, chosen))


def _comparisons(config: Config, run: Path, chosen: Sequence[Run]) -> Iterator[dict[str, Any]]:
    """Paired tests of the arms' models, over examples and both seeds, on each test set of each task."""
    pairs: list[tuple[Arm, Arm]] = [("ibm", "none"), ("muse", "none"), ("muse", "ibm")]
    for name, task in tasks(config).items():
        folders = {
            arm: {(one.seed, one.run): run / one.folder for one in chosen if (one.task, one.arm) == (name, arm)}
            for arm in config.arms
        }
        tests = [(test.lang, test.lang, test.file) for test in task.tests]
        tests.insert(0, ("dev", config.data.source_lang, task.dev))
        for arm, other, tested in paired.compared(name, tests, unknown_types(task.tests), folders, pairs):
            yield {"task": name, "arm": arm, "against": other} | tested
