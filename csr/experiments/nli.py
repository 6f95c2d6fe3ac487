"""Cross-lingual inference (Zan et al., section 5.5): finetuned on English pairs, tested on every language."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from csr.errors import ConfigError
from csr.experiments import flags, tasks, translation
from csr.experiments.flags import number
from csr.experiments.settings import Noise, Training
from csr.experiments.tasks import Text
from csr.experiments.translation import Stage, stage_folder, start_model, trained_folders
from csr.files import read_json, write_json
from csr.running import fairseq
from csr.settings import expect_unique, setting

STAGES: dict[str, Stage] = {name: stage for name, stage in translation.STAGES.items() if not stage.noisy}
SNAKEFILE = Path(__file__).with_name("nli.smk")
STEPS = ("prepare", "lexicon", *STAGES, "generate", "score", "report")
ARMS = tuple(stage for stage, spec in STAGES.items() if not spec.restore)

NOISE, RESTORE = Noise(), Training()  # the paper's values


@dataclass(frozen=True)
class Data:
    """Files of labelled pairs: one language to train and validate on, and those to test on."""

    lang: str
    train: Path
    dev: Path
    tests: tuple[Text, ...]
    """The language to train on may be among them; the average is over the others."""
    folder: Path | None = None
    """Where the relative paths among the files of this section start."""
    origin: str | None = None
    """Where the data set is published; shown when a file is missing."""

    def check(self, prefix: str) -> None:
        """Raise ConfigError for a language that is tested twice, or none."""
        expect_unique(f"{prefix}tests", [test.lang for test in self.tests])


@dataclass(frozen=True)
class Lexicons:
    """Word translations out of the language to train on, such as MUSE's dictionaries: a file for each language."""

    files: tuple[Text, ...] = ()
    folder: Path | None = None
    """Where the relative paths among the files of this section start."""
    without: tuple[str, ...] = ()
    """Test languages that are not switched into; every other one needs a file."""


@dataclass(frozen=True)
class Finetuning:
    """Training of the classification head and all below it; the values of Zan et al., section 5.5."""

    epochs: int = setting(10, low=1)
    batch: int = setting(128, low=1)
    lr: float = setting(5e-6, low=0)
    warmup: int = setting(2500, low=0)
    """Updates until the learning rate is reached, which stays: the paper names no decay."""
    patience: int = setting(3, low=1)
    """Epochs without a better accuracy on the dev set until training ends; the best epoch's model is taken."""
    update_freq: int = setting(1, low=1)
    dropout: float = setting(0.3, low=0, high=1)
    attention_dropout: float = setting(0.1, low=0, high=1)
    precision: Literal["fp32", "fp16", "bf16", "auto"] = "fp32"
    """auto: bf16 on a card that has it, fp16 on another, fp32 without a card."""

    def check(self, prefix: str) -> None:
        """Raise ConfigError for a batch that cannot be made of equal parts."""
        if self.batch % self.update_freq:
            raise ConfigError(f"{prefix}batch: expected a multiple of {prefix}update_freq, found {self.batch}")


@dataclass(frozen=True)
class Config:
    """One experiment: its data, arms and seeds."""

    data: Data
    backbone: tasks.Backbone
    experiment: Literal["nli"] = "nli"
    lexicons: Lexicons = Lexicons()
    noise: Noise = NOISE
    restore: Training = RESTORE
    finetune: Finetuning = Finetuning()
    arms: tuple[Literal["random", "baseline", "csr", "mask_restore_ft"], ...] = ("baseline", "csr")
    seeds: tuple[int, ...] = setting((1,), low=0)
    threads: int = setting(1, low=1)
    """Threads of one training step; with 1, a CPU run repeats bit by bit."""
    workers: int = setting(0, low=0)
    """Loader processes of one training step; the batches do not depend on it."""

    def check(self, prefix: str) -> None:
        """Raise ConfigError for a language without a dictionary, or one that the model does not know."""
        languages = [self.data.lang, *(test.lang for test in self.data.tests)]
        tasks.expect_known("data.tests", languages, self.backbone.languages)
        expect_unique("arms", self.arms)
        expect_unique("seeds", self.seeds)
        switched = {text.lang for text in self.lexicons.files}
        if "csr" in self.arms:
            for language in languages:
                if language not in {self.data.lang, *switched, *self.lexicons.without}:
                    raise ConfigError(
                        f"lexicons.files: expected a dictionary {self.data.lang}-{language}, found none; name "
                        f"{language} in lexicons.without to leave it out of stage one"
                    )


def lexicon_files(config: Config) -> list[Path]:
    """Return the lexicons within the run folder, a language each."""
    return [Path(f"lexicon/{config.data.lang}-{text.lang}.tsv") for text in config.lexicons.files]


def output_files(config: Config, arm: str, seed: int) -> list[Path]:
    """Return the predicted labels of an arm, a file for each test language."""
    return [stage_folder(arm, seed) / f"test.{test.lang}.hyp" for test in config.data.tests]


def stage_inputs(config: Config, stage: str, seed: int) -> list[Path]:
    """Return the files a stage reads besides the binarised data, relative to the run folder if they are made there."""
    files = [Path("texts/prepare.json" if stage == "backbone" else "data/prepare.json")]
    if stage == "restore":
        files += lexicon_files(config)
    start = start_model(config, stage, seed)  # type: ignore[arg-type]
    return files + ([start] if start else [])


def train_command(config: Config, stage: str, seed: int, run: Path = Path()) -> list[str]:
    """Return the fairseq-train command of a stage; paths lie within the folder ``run``."""
    spec, folder = STAGES[stage], stage_folder(stage, seed)
    if stage == "backbone":
        return tasks.backbone_command(config, seed, folder, run)
    work = run / fairseq.save_dir(folder)
    command = ["fairseq-train", str(run / "data/bin"), "--user-dir", str(fairseq.plugin_folder())]
    command += flags.languages(config.backbone, config.backbone.languages)
    if spec.restore:
        command += ["--task", "csr_restore", "--monolingual", config.data.lang]
        command += ["--sentencepiece-model", str(run / "data/spm.model")]
        if not spec.mask:
            command += ["--lexicon", ":".join(str(run / file) for file in lexicon_files(config))]
        command += flags.noise(config.noise, spec.restore, spec.mask)
        command += flags.architecture(config.backbone)
        command += flags.generation(config.restore, seed, config.workers, work)
    else:
        command += ["--task", "csr_nli", "--source-lang", config.data.lang]
        command += flags.architecture(config.backbone) + _classification(config, seed, work)
    if start := start_model(config, stage, seed):  # type: ignore[arg-type]
        command += ["--finetune-from-model", str(run / start)]
    return command


def _classification(config: Config, seed: int, work: Path) -> list[str]:
    settings = config.finetune
    return [
        *flags.memory(Training(precision=settings.precision)),
        *("--criterion", "sentence_prediction", "--classification-head-name", "nli"),
        *("--dropout", number(settings.dropout), "--attention-dropout", number(settings.attention_dropout)),
        *(*flags.adam(), "--lr-scheduler", "fixed", "--lr", number(settings.lr)),
        *("--warmup-updates", str(settings.warmup), "--max-epoch", str(settings.epochs)),
        *("--batch-size", str(settings.batch // settings.update_freq), "--update-freq", str(settings.update_freq)),
        *("--seed", str(seed), "--num-workers", str(config.workers), "--save-dir", str(work)),
        *("--best-checkpoint-metric", "accuracy", "--maximize-best-checkpoint-metric"),
        *("--patience", str(settings.patience), "--no-epoch-checkpoints"),
        *("--log-format", "json", "--log-interval", "50"),
    ]


def generate_command(config: Config, arm: str, seed: int, run: Path = Path()) -> list[str]:
    """Return the csr command that labels the test sets with an arm's model."""
    folder = run / stage_folder(arm, seed)
    command = ["csr", "classify", "--checkpoint", str(folder / "model.pt"), "--data", str(run / "data/bin")]
    return [*command, "--out", str(folder)]


def train(config: Config, stage: str, seed: int, run: Path) -> None:
    """Run a stage to its end; see ``csr.running.fairseq.train``."""
    settings = config.backbone.train if stage == "backbone" else config.restore
    job = fairseq.Job(
        command=train_command(config, stage, seed),
        folder=stage_folder(stage, seed),
        updates=settings.updates if STAGES[stage].restore else None,
        inputs=stage_inputs(config, stage, seed),
        start=start_model(config, stage, seed),  # type: ignore[arg-type]
        data=Path("texts/bin" if stage == "backbone" else "data/bin"),
    )
    fairseq.train(job, run, config.threads)


def generate(config: Config, arm: str, seed: int, run: Path) -> None:
    """Write the labels of each test set to ``test.LANG.hyp``."""
    import torch

    from csr.evaluation.inference import classify

    torch.set_num_threads(config.threads)
    folder = run / stage_folder(arm, seed)
    classify(folder / "model.pt", run / "data/bin", folder, languages=[test.lang for test in config.data.tests])


def score(config: Config, arm: str, seed: int, run: Path) -> None:
    """Write ``scores.json``: the accuracy on each language, their average, and training seconds."""
    from csr.evaluation.inference import scored

    folder = run / stage_folder(arm, seed)
    outputs = {test.lang: folder / f"test.{test.lang}.hyp" for test in config.data.tests}
    found = scored(outputs, run / "data/bin", "test", config.data.lang)
    seconds = {
        path.name: read_json(run / path / "timing.json")["seconds"]
        for path in trained_folders(config, arm, seed)  # type: ignore[arg-type]
    }
    write_json(folder / "scores.json", {"arm": arm, "seed": seed, **found, "seconds": seconds})


def report(config: Config, run: Path) -> None:
    """Write the tables of a run, finished or not."""
    from csr.report.tasks import nli_table

    scores = tasks.read_scores(config, run)
    tests = [test.lang for test in config.data.tests]
    tasks.write_report(config, [nli_table(scores, tests, config.arms, config.data.lang)], scores, run)


def targets(config: Config, until: str) -> list[str]:
    """Return the files to make so that a step is done for every seed, and for every arm if it is about arms."""
    arms: list[tuple[str, int]] = [(arm, seed) for seed in config.seeds for arm in config.arms]
    scores = [stage_folder(arm, seed) / "scores.json" for arm, seed in arms]
    fixed: dict[str, list[Any]] = {
        "prepare": ["data/prepare.json"],
        "lexicon": lexicon_files(config),
        "generate": [file for arm, seed in arms for file in output_files(config, arm, seed)],
        "score": scores,
        "report": ["report.html", *scores],
    }
    if until in fixed:
        return [str(path) for path in fixed[until]]
    if until == "backbone" and config.backbone.checkpoint:
        raise ConfigError("--until backbone: nothing to train, backbone.checkpoint is given")
    return [str(stage_folder(until, seed) / "model.pt") for seed in config.seeds]
