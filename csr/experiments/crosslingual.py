"""Zero-shot transfer of published encoders, fine-tuned on switched text or on text as it is, under ``csr run``.

``seed-S/ENCODER/ARM/lr-L-epochs-E`` is one fine-tuned model's scores and predictions; the model itself goes once it is
scored. Every arm makes the same number of updates.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from csr import options
from csr.backbone.presets import CHECKPOINT, DICTIONARY
from csr.data.subwords import model_file
from csr.errors import ConfigError
from csr.evaluation.classification import has_learned
from csr.experiments import encoders, paired
from csr.experiments.commands import flags
from csr.experiments.encoders import TYPES, Finetuning, Grid, Task
from csr.experiments.settings import Experiment, Text
from csr.experiments.stages import dictionary_step
from csr.files import file_name, read_object
from csr.running.fairseq import Job
from csr.running.steps import Step
from csr.settings import as_mapping, expect_default, expect_unique, setting
from csr.switching.settings import LABELLED, Labelled

Arm = Literal["zero_shot", "switched", "switched_originals", "placebo"]
STAGES = ARMS = ("zero_shot", "switched", "switched_originals", "placebo")


@dataclass(frozen=True)
class PretrainedEncoder:
    """An encoder to fine-tune: what ``csr import-hf`` or ``csr trim`` wrote."""

    folder: Path = setting(root=False)
    checkpoint: Path | None = setting(
        None, help="in place of the folder's model.pt: a model that was pretrained further, of the same vocabulary"
    )
    name: str = setting("encoder", help="what tables and folders call it")

    def __post_init__(self) -> None:
        if self.checkpoint is None:
            object.__setattr__(self, "checkpoint", self.folder / CHECKPOINT)

    def check(self, prefix: str) -> None:
        """Raise ConfigError for a name that cannot be that of a folder."""
        file_name(self.name, f"{prefix}name")

    @property
    def model(self) -> Path:
        """The checkpoint."""
        assert self.checkpoint is not None
        return self.checkpoint

    @property
    def pieces(self) -> Path:
        """The model of its vocabulary."""
        return model_file(self.folder)


@dataclass(frozen=True)
class LabelledTest:
    """A test set in one language; ``name`` is what tables call it, the language if there is none."""

    lang: str
    file: Path
    name: str | None = None
    outside: tuple[str, ...] = setting((), help="types of entities that the model does not know, to be read as none")

    @property
    def label(self) -> str:
        """Its name in tables and files."""
        return self.name or self.lang


@dataclass(frozen=True)
class LabelledData:
    """Labelled text in one language to train on, and test sets in others."""

    lang: str
    train: Path
    dev: Path
    tests: tuple[LabelledTest, ...]
    types: tuple[str, ...] = setting(TYPES, help="ner: types of entities")
    examples: int | None = setting(None, low=1, help="train on the first so many examples (default: all)")
    folder: Path | None = setting(None, help="where the relative paths among the files of this section start")
    origin: str | None = setting(None, help="where the data set is published; shown when a file is missing")

    def check(self, prefix: str) -> None:
        """Raise ConfigError for two test sets of a name."""
        names = [test.label for test in self.tests]
        expect_unique(f"{prefix}tests", names)
        if "dev" in names:
            raise ConfigError(f"{prefix}tests: expected other names than dev, that of {prefix}dev")
        expect_unique(f"{prefix}types", self.types)


@dataclass(frozen=True)
class Dictionaries:
    """Word translations out of the language of training; an example draws one of the files."""

    files: tuple[Text, ...] = ()
    folder: Path | None = setting(None, help="where the relative paths among the files of this section start")


@dataclass(frozen=True, kw_only=True)
class Config(Experiment):
    """One task: its encoders, arms and languages; ``seeds`` are those of fine-tuning."""

    experiment: Literal["zero_shot"] = "zero_shot"
    task: Task
    encoders: tuple[PretrainedEncoder, ...]
    data: LabelledData
    lexicon: Dictionaries = Dictionaries()
    switching: Labelled = LABELLED
    finetune: Grid = Grid()
    arms: tuple[Arm, ...] = ("zero_shot", "switched", "switched_originals", "placebo")

    def check(self, prefix: str) -> None:
        """Raise ConfigError for an arm without lexicons, and for settings at odds with each other."""
        super().check(prefix)
        expect_unique("encoders", [encoder.name for encoder in self.encoders])
        switches = set(self.arms) - {"zero_shot"}
        expect_unique("lexicon.files", [text.lang for text in self.lexicon.files], least=0)
        if switches and not self.lexicon.files:
            raise ConfigError(f"lexicon.files: missing, arms has {sorted(switches)[0]}")
        if self.task != "ner":
            expect_default(self.data, ["types"], "data.", "expected with task ner alone")
            expect_default(self.switching, ["entities"], "switching.", "expected with task ner alone")
            for i, test in enumerate(self.data.tests):
                expect_default(test, ["outside"], f"data.tests[{i}].", "expected with task ner alone")


@dataclass(frozen=True)
class Run:
    """One fine-tuning: the encoder it starts from, its arm, seed and settings."""

    encoder: PretrainedEncoder
    arm: Arm
    seed: int
    settings: Finetuning

    @property
    def folder(self) -> Path:
        """Its folder within the run folder."""
        return Path(f"seed-{self.seed}", self.encoder.name, self.arm, self.grid)

    @property
    def grid(self) -> str:
        """The point of the grid."""
        return self.settings.point


def runs(config: Config) -> Iterator[Run]:
    """Every fine-tuning."""
    for settings in config.finetune.points(config.task):
        for encoder in config.encoders:
            for seed in config.seeds:
                yield from (Run(encoder, arm, seed, settings) for arm in config.arms)


def lexicons(config: Config, arm: Arm) -> list[Path]:
    """The lexicons of an arm within the run folder."""
    if arm == "zero_shot":
        return []
    stem = "placebo-" if arm == "placebo" else ""
    return [Path(f"lexicon/{stem}{config.data.lang}-{text.lang}.tsv") for text in config.lexicon.files]


def switching(config: Config, arm: Arm) -> Labelled:
    """How an arm switches; without originals for the arm that has none."""
    return dataclasses.replace(config.switching, originals=0.0) if arm == "switched" else config.switching


def job(config: Config, stage: Any, seed: int, run: Path = Path(), done: Path | None = None) -> Job:
    """The fairseq command of an arm, of the first encoder and point of the grid; it reads the data."""
    chosen = next(one for one in runs(config) if (one.arm, one.seed) == (stage, seed))
    encoder = encoders.Encoder(chosen.encoder.model, chosen.encoder.folder, chosen.encoder.pieces)
    files = tuple(run / file for file in lexicons(config, stage))
    switched = encoders.Switching(files, config.data.lang, switching(config, stage)) if files else None
    data = config.data
    return encoders.finetuning_job(
        config.task,
        encoder,
        data.train,
        chosen.settings,
        seed,
        data.types,
        switched,
        data.examples,
        config.workers,
        chosen.folder,
        run,
    )


def steps(config: Config) -> Iterator[Step]:
    """The steps of the experiment, the report last."""
    if set(config.arms) - {"zero_shot"}:
        for text, out in zip(config.lexicon.files, lexicons(config, "switched"), strict=True):
            yield dictionary_step(out.stem, text.file, out, "import")
    if "placebo" in config.arms:
        for file, out in zip(lexicons(config, "switched"), lexicons(config, "placebo"), strict=True):
            yield Step(f"lexicon {out.stem}", ["lexicon", "placebo", str(file), *flags(out=out)], [file], [out])
    scores = []
    for run in runs(config):
        yield from _finetuned(config, run)
        scores.append(run.folder / "scores.json")
    outputs = ["report.html", "table.md", "results.json"]
    yield Step("report", ["report", "."], scores, outputs, settings=as_mapping(config))


def _finetuned(config: Config, run: Run) -> Iterator[Step]:
    """Fine-tuning and scoring of one model."""
    data, encoder, model = config.data, run.encoder, run.folder / "model.pt"
    files = lexicons(config, run.arm)
    paths = [*flags(data=encoder.folder, sentencepiece_model=encoder.pieces)]
    name = f"{run.arm} {encoder.name} {run.grid} seed {run.seed}"
    command = ["zero-shot", "finetune", config.task, *flags(checkpoint=encoder.model), *paths]
    command += flags(train=data.train, out=run.folder, threads=config.threads, **run.settings.options)
    command += flags(examples=data.examples, types=",".join(data.types) if config.task == "ner" else None)
    command += flags(seed=run.seed, workers=config.workers)
    if files:
        command += ["--lexicon", *map(str, files), *flags(language=data.lang)]
        command += options.flags(switching(config, run.arm), LABELLED)
    dictionary = encoder.folder / DICTIONARY
    inputs = [encoder.model, dictionary, encoder.pieces, data.train, *files]
    yield Step(
        f"finetune {name}",
        command,
        inputs,
        [model],
        threads=config.threads,
        gpus=1,
        temporary=not config.finetune.keep_models,
    )
    outside = encoders.unknown_types(data.tests)
    tests = {f"{test.label}:{test.lang}": test.file for test in data.tests}
    keep = config.finetune.keep_models
    yield encoders.scoring_step(name, run.folder, paths, (data.lang, data.dev), tests, outside, config.threads, keep)


def report(config: Config, run: Path) -> None:
    """Write the tables of a run, finished or not; see ``csr.report.zero_shot``."""
    from csr.report.zero_shot import write_zero_shot_report

    found = list(runs(config))
    done = [one for one in found if (run / one.folder / "scores.json").is_file()]
    measure = "macro" if config.task == "ner" else "accuracy"
    scores = {one: read_object(run / one.folder / "scores.json") for one in done}
    points: dict[str, list[float]] = {}
    for one, score in scores.items():
        points.setdefault(one.grid, []).append(score["dev"][measure] or 0.0)
    best = max(points, key=lambda point: sum(points[point]) / len(points[point]), default=None)
    chosen = [one for one in done if one.grid == best]
    rows = [
        {"encoder": one.encoder.name, "arm": one.arm, "seed": one.seed, "test": name, "score": score[measure] or 0.0}
        for one in chosen
        for name, score in scores[one].items()
    ]
    missing = [str(one.folder / "scores.json") for one in found if one not in scores]
    compared = list(_comparisons(config, run, chosen))
    unlearned = [
        {"encoder": one.encoder.name, "arm": one.arm, "seed": one.seed}
        for one in chosen
        if not has_learned(scores[one]["dev"])
    ]
    grid = {point: sum(v) / len(v) for point, v in points.items()}
    write_zero_shot_report(run, rows, compared, grid, missing, unlearned)


def _comparisons(config: Config, run: Path, done: Sequence[Run]) -> Iterator[dict[str, Any]]:
    """Paired tests over examples and seeds, for each test set: of each arm against zero-shot and the placebo of its
    encoder, and against the same arm of the first encoder.
    """
    data, first = config.data, config.encoders[0].name
    outside = encoders.unknown_types(data.tests)
    found = dict.fromkeys((one.encoder.name, one.arm) for one in done)
    others: tuple[Arm, ...] = ("zero_shot", "placebo")
    pairs = [
        ((encoder, arm), (encoder, other))
        for encoder, arm in found
        for other in others
        if arm not in ("zero_shot", other)
    ]
    pairs += [((encoder, arm), (first, arm)) for encoder, arm in found if encoder != first]
    folders = {
        model: {one.seed: run / one.folder for one in done if (one.encoder.name, one.arm) == model} for model in found
    }
    tests = [("dev", data.lang, data.dev), *((test.label, test.lang, test.file) for test in data.tests)]
    for (encoder, arm), other, tested in paired.compared(config.task, tests, outside, folders, pairs):
        yield {"encoder": encoder, "arm": arm, "against": list(other)} | tested
