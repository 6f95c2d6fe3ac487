"""Translation on one language pair: the stages of each arm, their fairseq commands, and the steps of ``csr run``."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from csr.errors import ConfigError
from csr.experiments import flags
from csr.experiments.settings import Config, Training
from csr.running import fairseq


@dataclass(frozen=True)
class Stage:
    """One run of fairseq-train.

    The stage it starts from; whether it restores, and if so from masks or translations; whether it translates from
    sources with noise.
    """

    start: str | None
    restore: bool = False
    mask: bool = False
    noisy: bool = False


# The stages of method.md, sections 2 and 3, each after the one it starts from; those that do not restore are arms.
STAGES = {
    "backbone": Stage(start=None, restore=True, mask=True),
    "restore": Stage(start="backbone", restore=True),
    "mask_restore": Stage(start="backbone", restore=True, mask=True),
    "random": Stage(start=None),
    "baseline": Stage(start="backbone"),
    "iaft": Stage(start="backbone", noisy=True),
    "csr": Stage(start="restore"),
    "mask_restore_ft": Stage(start="mask_restore"),
}


SNAKEFILE = Path(__file__).with_name("translation.smk")
STEPS = ("prepare", "lexicon", *STAGES, "generate", "score", "report")
ARMS = tuple(stage for stage, spec in STAGES.items() if not spec.restore)


def stage_folder(stage: str, seed: int) -> Path:
    """Return where a stage's files lie within the run folder."""
    return Path(f"seed-{seed}", stage)


def stage_settings(config: Config, stage: str) -> Training:
    """Return the hyper-parameters of a stage.

    An arm without stage one is trained for the updates of both stages (Zan et al., section 5.2).
    """
    if stage == "backbone":
        return config.backbone.train
    if STAGES[stage].restore:
        return config.restore
    if (start := STAGES[stage].start) and STAGES[start].start:
        return config.finetune
    return dataclasses.replace(config.finetune, updates=config.restore.updates + config.finetune.updates)


def start_model(config: Config, stage: str, seed: int) -> Path | None:
    """Return the checkpoint a stage starts from, relative to the run folder if it is made there."""
    start = STAGES[stage].start
    if start == "backbone" and config.backbone.checkpoint:
        return config.backbone.checkpoint
    return stage_folder(start, seed) / "model.pt" if start else None


def trained_folders(config: Config, stage: str, seed: int) -> list[Path]:
    """Return the folders of a stage and of the stages before it that are trained in the run, first to last."""
    start = STAGES[stage].start
    if start is None or (start == "backbone" and config.backbone.checkpoint):
        return [stage_folder(stage, seed)]
    return [*trained_folders(config, start, seed), stage_folder(stage, seed)]


def lexicon_files(config: Config) -> tuple[Path, Path]:
    """Return the lexicons of both directions within the run folder."""
    src, tgt = config.data.source_lang, config.data.target_lang
    return Path(f"lexicon/{src}-{tgt}.tsv"), Path(f"lexicon/{tgt}-{src}.tsv")


def stage_inputs(config: Config, stage: str, seed: int) -> list[Path]:
    """Return the files a stage reads besides the binarised data, relative to the run folder if they are made there."""
    files = [Path("data/prepare.json"), Path("data/spm.model")]
    if _switches(stage):
        files += lexicon_files(config)
    start = start_model(config, stage, seed)
    return files + ([start] if start else [])


def train_command(config: Config, stage: str, seed: int, run: Path = Path()) -> list[str]:
    """Return the fairseq-train command of a stage; paths lie within the folder ``run``."""
    spec, settings = STAGES[stage], stage_settings(config, stage)
    work = fairseq.save_dir(run / stage_folder(stage, seed))
    command = ["fairseq-train", *_task(config, stage, run)]
    if _switches(stage):
        forward, backward = (run / file for file in lexicon_files(config))
        command += ["--lexicon", str(forward), "--reverse-lexicon", str(backward)]
    command += flags.noise(config.noise, spec.restore, spec.mask, spec.noisy, backbone=stage == "backbone")
    keep_every = config.dynamics.every if stage in measured_stages(config) else None
    command += flags.architecture(config.backbone)
    command += flags.generation(settings, seed, config.workers, work, keep_every)
    if start := start_model(config, stage, seed):
        command += ["--finetune-from-model", str(run / start)]
    return command


def generate_command(config: Config, arm: str, seed: int, run: Path = Path()) -> list[str]:
    """Return the fairseq-generate command of an arm; paths lie within the folder ``run``."""
    command = ["fairseq-generate", *_task(config, arm, run), "--gen-subset", "test"]
    command += ["--path", str(run / stage_folder(arm, seed) / "model.pt"), "--beam", str(config.generate.beam)]
    # Only runaway repetition is longer, and it takes a badly trained model minutes.
    command += ["--max-len-a", "2", "--max-len-b", "10"]
    return [*command, "--max-tokens", str(config.generate.max_tokens), "--num-workers", str(config.workers)]


def train(config: Config, stage: str, seed: int, run: Path) -> None:
    """Run a stage to its end; see ``csr.running.fairseq.train``."""
    job = fairseq.Job(
        command=train_command(config, stage, seed),
        folder=stage_folder(stage, seed),
        updates=stage_settings(config, stage).updates,
        inputs=stage_inputs(config, stage, seed),
        start=start_model(config, stage, seed),
        keep_every=config.dynamics.every if stage in measured_stages(config) else None,
    )
    fairseq.train(job, run, config.threads)


def generate(config: Config, arm: str, seed: int, run: Path) -> None:
    """Translate the test set with an arm's model into ``test.hyp``; see ``csr.running.fairseq.generate``."""
    with open(run / "data" / "text" / f"test.{config.data.source_lang}", "rb") as source:
        n_sentences = sum(1 for _ in source)
    fairseq.generate(generate_command(config, arm, seed), stage_folder(arm, seed), n_sentences, run, config.threads)


def score(config: Config, arm: str, seed: int, run: Path) -> None:
    """Write ``scores.json`` of an arm; see ``csr.experiments.scores``."""
    from csr.experiments.scores import write_scores

    write_scores(config, arm, seed, run)


def targets(config: Config, until: str) -> list[str]:
    """Return the files to make so that a step is done for every seed, and for every arm if it is about arms."""
    folders = [stage_folder(arm, seed) for seed in config.seeds for arm in config.arms]
    scores = [folder / "scores.json" for folder in folders]
    fixed = {
        "prepare": [Path("data/prepare.json")],
        "lexicon": list(lexicon_files(config)),
        "generate": [folder / "test.hyp" for folder in folders],
        "score": scores,
        # The scores too: an arm whose folder was deleted is done again, though the report is newer than all there is.
        "report": [Path("report.html"), *scores],
    }
    if until in fixed:
        return [str(path) for path in fixed[until]]
    if until == "backbone" and config.backbone.checkpoint:
        raise ConfigError("--until backbone: nothing to train, backbone.checkpoint is given")
    return [str(stage_folder(until, seed) / "model.pt") for seed in config.seeds]


def measured_stages(config: Config) -> list[str]:
    """Return the stages whose checkpoints are measured: the arms and the restore stages before them."""
    starts = {STAGES[arm].start for arm in config.arms} - {None, "backbone"}
    return [stage for stage in STAGES if stage in starts or stage in config.arms] if config.dynamics.every else []


def _switches(stage: str) -> bool:
    return STAGES[stage].restore and not STAGES[stage].mask


def _task(config: Config, stage: str, run: Path) -> list[str]:
    return [
        str(run / "data" / "bin"),
        *("--user-dir", str(fairseq.plugin_folder())),
        *("--task", "csr_restore" if STAGES[stage].restore else "csr_translation"),
        *("--source-lang", config.data.source_lang, "--target-lang", config.data.target_lang),
        *flags.languages(config.backbone, config.langs),
        *("--bpe", "sentencepiece", "--sentencepiece-model", str(run / "data" / "spm.model")),
    ]
