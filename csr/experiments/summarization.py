"""Cross-lingual summarisation (Zan et al., section 5.4): the stages of translation on documents and summaries."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from csr.data.summaries import SENTENCE_BREAK, default_words
from csr.experiments import stages, translation
from csr.experiments.commands import flags
from csr.experiments.settings import (
    Backbone,
    Dynamics,
    FinalTraining,
    Generate,
    Lexicon,
    SourceNoise,
    StagedExperiment,
    Training,
    expect_known,
)
from csr.experiments.stages import PREPARED, SENTENCEPIECE, stage_folder
from csr.experiments.translation import expect_lexicons, outputs
from csr.files import read_lines, write_json
from csr.running import fairseq
from csr.running.fairseq import Job
from csr.running.steps import Step
from csr.settings import expect_default, setting

__all__ = ["ARMS", "STAGES", "Config", "generate", "generate_command", "job", "report", "score", "steps"]

STAGES = stages.ON_PAIRS
ARMS = stages.arms_of(STAGES)
Arm = Literal["random", "baseline", "iaft", "csr", "mask_restore_ft", "placebo"]

# The values of the paper.
BEAM, RESTORE = Generate(beam=6), Training(update_freq=12)
FINETUNE = FinalTraining(updates=50000, update_freq=12)


@dataclass(frozen=True)
class Documents:
    """Documents with summaries; where no dev or test file is given, it is taken out of train."""

    source_lang: str
    target_lang: str
    train: Path
    folder: Path | None = setting(None, help="where the relative paths among the files of this section start")
    dev: Path | None = None
    test: Path | None = None
    dev_size: int = setting(1000, low=1)
    test_size: int = setting(1000, low=1)
    document_words: int = setting(220, low=1)
    summary_words: int | None = setting(None, low=1, help="by default 130, and 160 for Chinese")
    pieces: int = setting(8000, low=32)
    origin: str | None = setting(None, help="where the data set is published; shown when a file is missing")

    def check(self, prefix: str) -> None:
        """Raise ConfigError for the size of a set that is given."""
        for split in ("dev", "test"):
            if getattr(self, split):
                expect_default(self, [f"{split}_size"], prefix, f"given beside {prefix}{split}")

    @property
    def longest_summary(self) -> int:
        """How many words a summary has at most."""
        return self.summary_words or default_words(self.target_lang)


@dataclass(frozen=True, kw_only=True)
class Config(StagedExperiment):
    """One experiment: a direction, its arms and its seeds."""

    experiment: Literal["summarization"] = "summarization"
    data: Documents
    lexicon: Lexicon = Lexicon()
    noise: SourceNoise = SourceNoise()
    backbone: Backbone = Backbone()
    restore: Training = RESTORE
    finetune: FinalTraining = FINETUNE
    generate: Generate = BEAM
    arms: tuple[Arm, ...] = ("random", "baseline", "csr")

    @property
    def langs(self) -> tuple[str, ...]:
        """The model's language ids in order."""
        return self.backbone.languages or (self.data.source_lang, self.data.target_lang)

    @property
    def dynamics(self) -> Dynamics:
        """No checkpoints are kept on the way."""
        return Dynamics()

    def check(self, prefix: str) -> None:
        """Raise ConfigError for a language that the model does not know, and for settings at odds with each other."""
        super().check(prefix)
        sides = (self.data.source_lang, self.data.target_lang)
        expect_known("backbone.langs", sides, self.langs)
        expect_lexicons(self.lexicon, sides)
        if self.backbone.vocabulary:
            expect_default(self.data, ["pieces"], "data.", "given beside a backbone that has its vocabulary")


def job(config: Config, stage: str, seed: int, run: Path = Path(), done: Path | None = None) -> Job:
    """A stage's run of fairseq-train: that of translation, with documents cut to the positions."""
    return translation.job(config, stage, seed, run, done, ["--truncate-source"])  # type: ignore[arg-type]


def generate_command(config: Config, arm: str, seed: int, run: Path = Path()) -> list[str]:
    """The fairseq-generate command of an arm; a summary has at most two pieces for each word it may have."""
    command = translation.generate_command(config, arm, seed, run)  # type: ignore[arg-type]
    limits = flags(max_len_a=0, max_len_b=2 * config.data.longest_summary)
    return [*command, *limits, "--truncate-source", "--skip-invalid-size-inputs-valid-test"]


def generate(config: Config, arm: str, seed: int, run: Path) -> None:
    """Write the summaries of the test documents to ``test.hyp``."""
    n_documents = sum(1 for _ in read_lines(run / "data" / "text" / f"test.{config.data.source_lang}"))
    fairseq.generate(generate_command(config, arm, seed), stage_folder(arm, seed), n_documents, run, config.threads)


def score(config: Config, arm: str, seed: int, run: Path) -> None:
    """Write ``scores.json``: ROUGE of the arm and of the documents' first sentences, and training seconds."""
    from csr.evaluation.summarization import rouge

    folder, text = run / stage_folder(arm, seed), run / "data" / "text"
    ref = list(read_lines(text / f"test.{config.data.target_lang}"))
    lead = [line.partition(SENTENCE_BREAK)[0] for line in read_lines(text / f"test.{config.data.source_lang}")]
    hyps = {"rouge": list(read_lines(folder / "test.hyp")), "lead": lead}
    found: dict[str, Any] = {
        name: {metric: dataclasses.asdict(score) for metric, score in rouge(hyp, ref).items()}
        for name, hyp in hyps.items()
    }
    found["empty"] = sum(not line.strip() for line in hyps["rouge"])
    found["seconds"] = stages.training_seconds(config, arm, seed, run)
    write_json(folder / "scores.json", {"arm": arm, "seed": seed, **found})


def steps(config: Config) -> Iterator[Step]:
    """The steps of the experiment, the report last."""
    yield from stages.text_steps(config)
    yield _prepare(config)
    yield from translation.lexicon_steps(config, config.data.source_lang, config.data.target_lang)
    yield from stages.arm_steps(config, job, outputs, generate_command)
    yield stages.report_step(config)


def report(config: Config, run: Path) -> None:
    """Write the report of a run, finished or not."""
    from csr.report.tasks import rouge_table, write_task_report

    direction = f"{config.data.source_lang}→{config.data.target_lang}"
    write_task_report(run, lambda scores: [rouge_table(scores, config.arms, direction)])


def _prepare(config: Config) -> Step:
    data, vocabulary = config.data, config.backbone.vocabulary
    sentencepiece, dictionary = vocabulary or (None, None)
    command = ["prepare-summaries", "--out", "data", *flags(train=data.train, dev=data.dev, test=data.test)]
    command += flags(dev_size=None if data.dev else data.dev_size, test_size=None if data.test else data.test_size)
    command += flags(source_lang=data.source_lang, target_lang=data.target_lang, document_words=data.document_words)
    command += flags(summary_words=data.summary_words, pieces=None if vocabulary else data.pieces)
    command += flags(langs=",".join(config.langs), sentencepiece_model=sentencepiece, dict=dictionary)
    inputs = [file for file in (data.train, data.dev, data.test, dictionary, sentencepiece) if file]
    splits = [
        f"data/text/{split}.{lang}"
        for split in ("train", "dev", "test")
        for lang in (data.source_lang, data.target_lang)
    ]
    return Step("prepare", command, inputs, [PREPARED, SENTENCEPIECE, *splits])
