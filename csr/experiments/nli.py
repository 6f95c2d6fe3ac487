"""Cross-lingual inference (Zan et al., section 5.5): finetuned on English pairs, tested on every language."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from csr.errors import ConfigError, DataError
from csr.experiments import commands, stages
from csr.experiments.commands import flags
from csr.experiments.settings import PRECISION, Backbone, StagedExperiment, Text, Training, expect_known
from csr.experiments.stages import PREPARED, SENTENCEPIECE, Stage, lexicon_file, stage_folder, start_model
from csr.files import read_object, write_json
from csr.running import precision
from csr.running.fairseq import Job
from csr.running.precision import Wanted
from csr.running.steps import Step
from csr.settings import expect_unique, setting
from csr.switching.settings import Noise

STAGES: dict[str, Stage] = {
    name: stage for name, stage in stages.ON_PAIRS.items() if not stage.noisy and not name.startswith("placebo")
}
ARMS = stages.arms_of(STAGES)


@dataclass(frozen=True)
class LabelledPairs:
    """Files of labelled pairs: one language to train and validate on, and those to test on."""

    lang: str
    train: Path
    dev: Path
    tests: tuple[Text, ...] = setting(help="the language to train on may be among them; the average is over the others")
    folder: Path | None = setting(None, help="where the relative paths among the files of this section start")
    origin: str | None = setting(None, help="where the data set is published; shown when a file is missing")

    def check(self, prefix: str) -> None:
        """Raise ConfigError for a language that is tested twice, or none."""
        expect_unique(f"{prefix}tests", [test.lang for test in self.tests])


@dataclass(frozen=True)
class Dictionaries:
    """Word translations out of the language to train on, such as MUSE's dictionaries."""

    files: tuple[Text, ...] = ()
    folder: Path | None = setting(None, help="where the relative paths among the files of this section start")
    without: tuple[str, ...] = setting(
        (), help="test languages that are not switched into; every other one needs a file"
    )


@dataclass(frozen=True)
class Classification:
    """Training of the classification head and all below it; the values of Zan et al., section 5.5."""

    epochs: int = setting(10, low=1)
    batch: int = setting(128, low=1)
    lr: float = setting(5e-6, low=0)
    warmup: int = setting(
        2500, low=0, help="updates until the learning rate is reached, which stays: the paper names no decay"
    )
    patience: int = setting(
        3,
        low=1,
        help="epochs without a better accuracy on the dev set until training ends; the best epoch's model is taken",
    )
    update_freq: int = setting(1, low=1)
    dropout: float = setting(0.3, low=0, high=1)
    attention_dropout: float = setting(0.1, low=0, high=1)
    precision: Wanted = setting("auto", help=PRECISION)

    def check(self, prefix: str) -> None:
        """Raise ConfigError for a batch that cannot be made of equal parts."""
        if self.batch % self.update_freq:
            raise ConfigError(f"{prefix}batch: expected a multiple of {prefix}update_freq, found {self.batch}")


@dataclass(frozen=True, kw_only=True)
class Config(StagedExperiment):
    """One experiment: its data, arms and seeds."""

    experiment: Literal["nli"] = "nli"
    data: LabelledPairs
    backbone: Backbone
    lexicon: Dictionaries = Dictionaries()
    noise: Noise = Noise()
    restore: Training = Training()
    finetune: Classification = Classification()
    arms: tuple[Literal["random", "baseline", "csr", "mask_restore_ft"], ...] = ("baseline", "csr", "mask_restore_ft")

    def check(self, prefix: str) -> None:
        """Raise ConfigError for a language without a dictionary, or one that the model does not know."""
        super().check(prefix)
        if not self.backbone.checkpoint and not self.backbone.texts:
            raise ConfigError("backbone.texts: expected either backbone.checkpoint or texts to train on, found neither")
        if not self.backbone.languages:
            raise ConfigError("backbone.langs: missing beside backbone.checkpoint; backbone.preset may stand for them")
        if self.noise.prefer_aligned:
            raise ConfigError("noise.prefer_aligned: expected only where sentences have translations, not in nli")
        languages = [self.data.lang, *(test.lang for test in self.data.tests)]
        expect_known("data.tests", languages, self.backbone.languages)
        expect_unique("lexicon.files", [text.lang for text in self.lexicon.files], least=0)
        switched = {text.lang for text in self.lexicon.files}
        for language in self.lexicon.without:
            if language not in languages or language in switched:
                raise ConfigError(f"lexicon.without: expected test languages without a dictionary, found {language}")
        if "csr" in self.arms:
            for language in languages:
                if language not in {self.data.lang, *switched, *self.lexicon.without}:
                    raise ConfigError(
                        f"lexicon.files: expected a dictionary {self.data.lang}-{language}, found none; name "
                        f"{language} in lexicon.without to leave it out of stage one"
                    )


def outputs(config: Config, arm: str, seed: int) -> list[Path]:
    """The predicted labels of an arm, a file for each test language."""
    return [stage_folder(arm, seed) / f"test.{test.lang}.hyp" for test in config.data.tests]


def job(config: Config, stage: str, seed: int, run: Path = Path(), done: Path | None = None) -> Job:
    """A stage's run of fairseq-train; the paths in its command lie within the folder ``run``.

    An arm without stage one is trained for as many updates more; how many an epoch has is read in the run folder
    ``done``, once the data is prepared there.
    """
    if stage == "backbone":
        return stages.backbone_job(config, seed, run)
    spec, folder, start = STAGES[stage], stage_folder(stage, seed), start_model(config, stage, seed)
    inputs = [PREPARED]
    lexicons = [lexicon_file(config.data.lang, text.lang) for text in config.lexicon.files] if spec.switches else []
    if spec.restore:
        task = flags(task="csr_restore", monolingual=config.data.lang, sentencepiece_model=run / SENTENCEPIECE)
        task += stages.restore_flags(config.noise, spec, [run / file for file in lexicons])
        training = commands.writing(config.restore, seed, config.workers, run / folder)
    else:
        task = flags(task="csr_nli", source_lang=config.data.lang)
        training = _classification(config, seed, run / folder, _epochs(config, stage, done))
    command = commands.fairseq(
        "fairseq-train",
        run / "data/bin",
        commands.languages(config.backbone, config.backbone.languages),
        task,
        commands.architecture(config.backbone),
        training,
        flags(finetune_from_model=run / start if start else None),
    )
    updates, gpus = (config.restore.updates, config.restore.gpus) if spec.restore else (None, 1)
    return Job(command, folder, updates, [*inputs, *lexicons], start, gpus=gpus, best=not spec.restore)


def _epochs(config: Config, stage: str, done: Path | None) -> int:
    epochs = config.finetune.epochs
    if done and (done / PREPARED).is_file() and not stages.restores_first(stage):
        examples = read_object(done / PREPARED).get("examples")
        n_pairs = examples.get(f"train.{config.data.lang}") if isinstance(examples, dict) else None
        if not isinstance(n_pairs, int):
            raise DataError(f"{done / PREPARED}: expected how many pairs there are to train on, found {n_pairs!r}")
        epochs += math.ceil(config.restore.updates / math.ceil(n_pairs / config.finetune.batch))
    return epochs


def _classification(config: Config, seed: int, folder: Path, epochs: int) -> list[str]:
    settings = config.finetune
    return [
        *precision.flags(settings.precision),
        *flags(criterion="sentence_prediction", classification_head_name="nli"),
        *commands.dropouts(settings),
        *commands.adam(),
        *flags(lr_scheduler="fixed", lr=settings.lr, warmup_updates=settings.warmup, max_epoch=epochs),
        *flags(batch_size=settings.batch // settings.update_freq, update_freq=settings.update_freq),
        *flags(seed=seed, num_workers=config.workers),
        *commands.best_checkpoint(folder, "accuracy", settings.patience),
        *flags(log_format="json", log_interval=50),
    ]


def generate_command(config: Config, arm: str, seed: int, run: Path = Path()) -> list[str]:
    """The csr command that labels the test sets with an arm's model."""
    return ["csr", "generate", str(run), *flags(arm=arm, seed=seed)]


def generate(config: Config, arm: str, seed: int, run: Path) -> None:
    """Write the labels of each test set to ``test.LANG.hyp``."""
    import torch

    from csr.experiments.inference import classify

    torch.set_num_threads(config.threads)
    folder = run / stage_folder(arm, seed)
    classify(folder / "model.pt", run / "data/bin", folder, languages=[test.lang for test in config.data.tests])


def score(config: Config, arm: str, seed: int, run: Path) -> None:
    """Write ``scores.json``: the accuracy on each language, their average, and training seconds."""
    from csr.experiments.inference import scored

    folder = run / stage_folder(arm, seed)
    labels = {test.lang: folder / f"test.{test.lang}.hyp" for test in config.data.tests}
    found = scored(labels, run / "data/bin", "test", config.data.lang)
    seconds = stages.training_seconds(config, arm, seed, run)
    write_json(folder / "scores.json", {"arm": arm, "seed": seed, **found, "seconds": seconds})


def steps(config: Config) -> Iterator[Step]:
    """The steps of the experiment, the report last."""
    yield from stages.text_steps(config)
    yield _prepare(config)
    for text in config.lexicon.files:
        out = lexicon_file(config.data.lang, text.lang)
        yield stages.dictionary_step(out.stem, text.file, out)
    yield from stages.arm_steps(config, job, outputs, generate_command)
    yield stages.report_step(config)


def report(config: Config, run: Path) -> None:
    """Write the report of a run, finished or not."""
    from csr.report.tasks import nli_table, write_task_report

    tests = [test.lang for test in config.data.tests]
    write_task_report(run, lambda scores: [nli_table(scores, tests, config.arms, config.data.lang)])


def _prepare(config: Config) -> Step:
    data, vocabulary = config.data, config.backbone.vocabulary
    assert vocabulary is not None
    sentencepiece, dictionary = vocabulary
    command = ["prepare-nli", "--out", "data", *flags(train=data.train, dev=data.dev, lang=data.lang)]
    command += flags(langs=",".join(config.backbone.languages), sentencepiece_model=sentencepiece, dict=dictionary)
    command += [part for test in data.tests for part in ("--test", f"{test.lang}={test.file}")]
    inputs = [data.train, data.dev, *(test.file for test in data.tests), sentencepiece, dictionary]
    return Step("prepare", command, inputs, [PREPARED, SENTENCEPIECE])
