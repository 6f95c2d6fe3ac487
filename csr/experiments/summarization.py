"""Cross-lingual summarisation (Zan et al., section 5.4): the stages of translation on documents and summaries."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from csr.data.summaries import SENTENCE_BREAK
from csr.experiments import tasks, translation
from csr.experiments.settings import Arm, Backbone, Dynamics, Generate, Lexicon, Noise, Training
from csr.experiments.translation import stage_folder, stage_inputs, start_model, trained_folders
from csr.files import read_json, read_lines, write_json
from csr.running import fairseq
from csr.settings import expect_unique, setting
from csr.text.segmenters import base

STAGES, STEPS, ARMS = translation.STAGES, translation.STEPS, translation.ARMS
SNAKEFILE = Path(__file__).with_name("summarization.smk")
# The values of the paper.
LEXICON, NOISE, BACKBONE, BEAM = Lexicon(), Noise(), Backbone(), Generate(beam=6)
RESTORE, FINETUNE = Training(update_freq=12), Training(updates=50000, update_freq=12)


@dataclass(frozen=True)
class Data:
    """Documents with summaries; where no dev or test file is given, it is taken out of train."""

    source_lang: str
    target_lang: str
    train: Path
    folder: Path | None = None
    """Where the relative paths among the files of this section start."""
    dev: Path | None = None
    test: Path | None = None
    dev_size: int = setting(1000, low=1)
    test_size: int = setting(1000, low=1)
    document_words: int = setting(220, low=1)
    summary_words: int | None = setting(None, low=1)
    """By default 130, and 160 for Chinese."""
    pieces: int = setting(8000, low=32)
    origin: str | None = None
    """Where the data set is published; shown when a file is missing."""

    @property
    def longest_summary(self) -> int:
        """Return how many words a summary has at most."""
        return self.summary_words or (160 if base(self.target_lang) == "zh" else 130)


@dataclass(frozen=True)
class Config:
    """One experiment: a direction, its arms and its seeds."""

    data: Data
    experiment: Literal["summarization"] = "summarization"
    lexicon: Lexicon = LEXICON
    noise: Noise = NOISE
    backbone: Backbone = BACKBONE
    restore: Training = RESTORE
    finetune: Training = FINETUNE
    generate: Generate = BEAM
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

    @property
    def dynamics(self) -> Dynamics:
        """Return that no checkpoints are kept on the way."""
        return Dynamics()

    def check(self, prefix: str) -> None:
        """Raise ConfigError for a language that the model does not know, and for arms or seeds given twice."""
        tasks.expect_known("backbone.langs", (self.data.source_lang, self.data.target_lang), self.langs)
        expect_unique("arms", self.arms)
        expect_unique("seeds", self.seeds)


def output_files(config: Config, arm: str, seed: int) -> list[Path]:
    """Return the summaries of an arm."""
    return [stage_folder(arm, seed) / "test.hyp"]


def train_command(config: Config, stage: str, seed: int, run: Path = Path()) -> list[str]:
    """Return the fairseq-train command of a stage: that of translation, with documents cut to the positions."""
    return [*translation.train_command(config, stage, seed, run), "--truncate-source"]  # type: ignore[arg-type]


def generate_command(config: Config, arm: str, seed: int, run: Path = Path()) -> list[str]:
    """Return the fairseq-generate command of an arm; a summary has at most two pieces for each word it may have."""
    command = translation.generate_command(config, arm, seed, run)  # type: ignore[arg-type]
    limits = ["--max-len-a", "0", "--max-len-b", str(2 * config.data.longest_summary)]
    return [*command, *limits, "--truncate-source", "--skip-invalid-size-inputs-valid-test"]


def train(config: Config, stage: str, seed: int, run: Path) -> None:
    """Run a stage to its end; see ``csr.running.fairseq.train``."""
    job = fairseq.Job(
        command=train_command(config, stage, seed),
        folder=stage_folder(stage, seed),
        updates=translation.stage_settings(config, stage).updates,  # type: ignore[arg-type]
        inputs=stage_inputs(config, stage, seed),  # type: ignore[arg-type]
        start=start_model(config, stage, seed),  # type: ignore[arg-type]
    )
    fairseq.train(job, run, config.threads)


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
    outputs = {"rouge": list(read_lines(folder / "test.hyp")), "lead": lead}
    found: dict[str, Any] = {
        name: {metric: dataclasses.asdict(score) for metric, score in rouge(hyp, ref).items()}
        for name, hyp in outputs.items()
    }
    found["empty"] = sum(not line.strip() for line in outputs["rouge"])
    found["seconds"] = {
        path.name: read_json(run / path / "timing.json")["seconds"]
        for path in trained_folders(config, arm, seed)  # type: ignore[arg-type]
    }
    write_json(folder / "scores.json", {"arm": arm, "seed": seed, **found})


def report(config: Config, run: Path) -> None:
    """Write the tables of a run, finished or not."""
    from csr.report.tasks import rouge_table

    scores = tasks.read_scores(config, run)
    direction = f"{config.data.source_lang}→{config.data.target_lang}"
    tasks.write_report(config, [rouge_table(scores, config.arms, direction)], scores, run)


def targets(config: Config, until: str) -> list[str]:
    """Return the files to make so that a step is done for every seed, and for every arm if it is about arms."""
    return translation.targets(config, until)  # type: ignore[arg-type]
