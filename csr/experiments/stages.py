"""The stages of mBART experiments, each a run of fairseq-train, and the steps that the kinds of experiment share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from csr import options
from csr.experiments.commands import architecture, fairseq, flags, languages, writing
from csr.experiments.settings import Lexicon, Training
from csr.running.fairseq import Job, identity, read_timing
from csr.running.steps import FilePath, Step
from csr.settings import as_mapping
from csr.switching.settings import Noise

NOISE = tuple(field.name for field in dataclasses.fields(Noise))  # what csr_restore has
PREPARED = Path("data/prepare.json")  # is written last
SENTENCEPIECE = Path("data/spm.model")
TEXTS_PREPARED = Path("texts/prepare.json")


@dataclass(frozen=True)
class Stage:
    """What one run of fairseq-train does.

    Attributes:
        start: the stage it starts from.
        restore: it restores sentences, from translations or, with ``mask``, from masks; otherwise it is finetuning.
        placebo: the translations are those of a lexicon that knows nothing.
        noisy: it finetunes on sources with noise.
        monolingual: it restores text without a pair, whatever the settings say.
        synthetic: it finetunes on synthetic pairs too, whose sources are word for word, copied or a model's.
        reverse: it finetunes in the other direction, and is no arm.
    """

    start: str | None
    restore: bool = False
    mask: bool = False
    placebo: bool = False
    noisy: bool = False
    monolingual: bool = False
    synthetic: Literal["words", "copy", "model"] | None = None
    reverse: bool = False

    @property
    def switches(self) -> bool:
        """Whether it restores by lexicons."""
        return self.restore and not self.mask


# The stages of method.md, sections 2 and 3, each after the one it starts from; those that do not restore are arms.
ON_PAIRS = {
    "backbone": Stage(start=None, restore=True, mask=True),
    "restore": Stage(start="backbone", restore=True),
    "mask_restore": Stage(start="backbone", restore=True, mask=True),
    "placebo_restore": Stage(start="backbone", restore=True, placebo=True),
    "random": Stage(start=None),
    "baseline": Stage(start="backbone"),
    "iaft": Stage(start="backbone", noisy=True),
    "csr": Stage(start="restore"),
    "mask_restore_ft": Stage(start="mask_restore"),
    "placebo": Stage(start="placebo_restore"),
}
# With text that has no pair (section 7).
STAGES = ON_PAIRS | {
    "mono_restore": Stage(start="backbone", restore=True, monolingual=True),
    "reverse": Stage(start="backbone", reverse=True),
    "csr_mono": Stage(start="mono_restore"),
    "wbt": Stage(start="backbone", synthetic="words"),
    "bt": Stage(start="backbone", synthetic="model"),
    "wbt_csr": Stage(start="restore", synthetic="words"),
    "bt_csr": Stage(start="restore", synthetic="model"),
    "copy": Stage(start="backbone", synthetic="copy"),
}
# Translations that no model makes: by the lexicon, word for word, and the source as it is.
UNTRAINED = ("lexicon_only", "source_only")


def arms_of(stages: Mapping[str, Stage]) -> tuple[str, ...]:
    """The stages whose models are compared."""
    return tuple(stage for stage, spec in stages.items() if not (spec.restore or spec.reverse))


ARMS = (*arms_of(STAGES), *UNTRAINED)


def stage_folder(stage: str, seed: int) -> Path:
    """Where a stage's files lie within the run folder."""
    return Path(f"seed-{seed}", stage)


def restores_first(stage: str) -> bool:
    """Whether a stage comes after a stage one."""
    start = STAGES[stage].start
    return start is not None and STAGES[start].start is not None


def selection(config: Any, stage: str) -> str:
    """Which checkpoint of a stage counts: the last, or that of an arm as its settings say."""
    return "last" if STAGES[stage].restore else config.finetune.select


def training(config: Any, stage: str) -> Training:
    """The hyper-parameters of a stage.

    An arm without stage one is trained for the updates of both stages (Zan et al., section 5.2).
    """
    if stage == "backbone":
        return config.backbone.train
    if STAGES[stage].restore:
        return config.restore
    if restores_first(stage):
        return config.finetune
    return dataclasses.replace(config.finetune, updates=config.restore.updates + config.finetune.updates)


def lineage(config: Any, stage: str) -> list[str]:
    """A stage after those before it that are trained in the run, first to last; nothing for an arm without a model."""
    if stage in UNTRAINED:
        return []
    spec = STAGES[stage]
    if spec.start is None or (spec.start == "backbone" and config.backbone.ready):
        before: list[str] = []
    else:
        before = lineage(config, spec.start)
    if spec.synthetic == "model":
        before = list(dict.fromkeys([*before, *lineage(config, "reverse")]))
    return [*before, stage]


def needed(config: Any) -> list[str]:
    """The stages that the arms are made of, each after the one it starts from."""
    found = {stage for arm in config.arms for stage in lineage(config, arm)}
    return [stage for stage in STAGES if stage in found]


def start_model(config: Any, stage: str, seed: int) -> Path | None:
    """The checkpoint a stage starts from, relative to the run folder if it is made there."""
    start = STAGES[stage].start
    if start == "backbone" and config.backbone.ready:
        return config.backbone.checkpoint
    return stage_folder(start, seed) / "model.pt" if start else None


def training_seconds(config: Any, arm: str, seed: int, run: Path) -> dict[str, float]:
    """The seconds that each stage of an arm took to train, by the stage's name."""
    timings = {stage: run / stage_folder(stage, seed) / "timing.json" for stage in lineage(config, arm)}
    return {stage: read_timing(path) for stage, path in timings.items()}


def backbone_job(config: Any, seed: int, run: Path = Path()) -> Job:
    """Training of a backbone on its texts, from masks."""
    backbone, folder = config.backbone, stage_folder("backbone", seed)
    texts = ",".join(dict.fromkeys(text.lang for text in backbone.texts))
    command = fairseq(
        "fairseq-train",
        run / "texts/bin",
        flags(task="csr_restore", monolingual=texts),
        languages(backbone, backbone.languages),
        flags(replace="mask"),
        flags(sentencepiece_model=run / "texts/spm.model"),
        architecture(backbone),
        flags(finetune_from_model=backbone.checkpoint),
        writing(backbone.train, seed, config.workers, run / folder),
    )
    updates = backbone.train.updates
    return Job(command, folder, updates, [TEXTS_PREPARED], backbone.checkpoint, Path("texts/bin"), backbone.train.gpus)


def restore_flags(noise: Noise, spec: Stage, lexicons: Sequence[Path] = (), reverse: Sequence[Path] = ()) -> list[str]:
    """Flags of the noise of a stage that restores, with lexicons or, from masks, without; mBART's for a backbone."""
    if spec.mask:
        noise = dataclasses.replace(noise if spec.start else Noise(), replace="mask")
    given = {"lexicon": lexicons, "reverse_lexicon": reverse}
    found = flags(**{name: ":".join(map(str, files)) or None for name, files in given.items()})
    return found + options.flags(noise, Noise(), NOISE)


def train_step(config: Any, job: Job, stage: str, seed: int, settings: Any = None) -> Step:
    """The step that trains a stage; besides its command, ``settings`` decide the result."""
    return Step(
        f"{stage} seed {seed}",
        ["train", ".", "--stage", stage, "--seed", str(seed)],
        job.files,
        [job.folder / "model.pt", job.folder / "timing.json"],
        settings=[identity(job.command), settings],
        threads=config.threads,
        gpus=job.gpus,
    )


def arm_steps(
    config: Any,
    job: Callable[[Any, str, int], Job],
    outputs: Callable[[Any, str, int], Sequence[Path]],
    generate: Callable[[Any, str, int], list[str]],
    scored: Callable[[str, int], Sequence[FilePath]] = lambda arm, seed: (),
    settings: Any = None,
) -> Iterator[Step]:
    """Training, outputs and scores of every arm and seed.

    Args:
        outputs: the files that ``csr generate`` writes for an arm and seed.
        generate: the command that decides them.
        scored: what else is read for the scores.
        settings: what else decides the scores.
    """
    for seed in config.seeds:
        for stage in needed(config):
            yield train_step(config, job(config, stage, seed), stage, seed)
        for arm in config.arms:
            folder, which = stage_folder(arm, seed), ["--arm", arm, "--seed", str(seed)]
            command = ["generate", ".", *which]
            if arm in UNTRAINED:
                yield untrained_step(config, arm, seed, command, outputs(config, arm, seed))
            else:
                yield Step(
                    f"generate {arm} seed {seed}",
                    command,
                    [folder / "model.pt", PREPARED],
                    outputs(config, arm, seed),
                    settings=identity(generate(config, arm, seed)),
                    threads=config.threads,
                    gpus=1,
                )
            timings = [stage_folder(stage, seed) / "timing.json" for stage in lineage(config, arm)]
            inputs = [*outputs(config, arm, seed), *scored(arm, seed), PREPARED, *timings]
            output = folder / "scores.json"
            yield Step(f"score {arm} seed {seed}", ["score", ".", *which], inputs, [output], settings)


def untrained_step(config: Any, arm: str, seed: int, command: Sequence[str], outputs: Sequence[FilePath]) -> Step:
    """The translations of an arm without a model."""
    source, target = config.data.source_lang, config.data.target_lang
    inputs: list[FilePath] = [f"data/text/test.{source}"]
    if arm == "lexicon_only":
        inputs.append(lexicon_file(source, target))
    return Step(f"generate {arm} seed {seed}", command, inputs, outputs)


def report_step(config: Any, inputs: Sequence[FilePath] = ()) -> Step:
    """The report, from the scores of all arms and what else is given; it shows all settings."""
    scores = [stage_folder(arm, seed) / "scores.json" for seed in config.seeds for arm in config.arms]
    outputs = ["report.html", "table.md", "results.json"]
    return Step("report", ["report", "."], [*scores, *inputs], outputs, settings=as_mapping(config))


def text_steps(config: Any, without: Mapping[str, Path] = MappingProxyType({})) -> Iterator[Step]:
    """The preparation of a backbone's texts, where there are some.

    Args:
        without: a file of each language whose sentences are left out.
    """
    backbone = config.backbone
    if backbone.texts:
        named = [part for text in backbone.texts for part in ("--text", f"{text.lang}={text.file}")]
        command = ["prepare-text", "--out", "texts", *named]
        command += flags(max_words=backbone.max_words)
        inputs: list[FilePath] = [text.file for text in backbone.texts]
        if backbone.checkpoint:
            command += flags(sentencepiece_model=backbone.sentencepiece, dict=backbone.dictionary)
            inputs += [backbone.sentencepiece, backbone.dictionary]
        else:
            command += flags(pieces=backbone.pieces)
        command += [part for lang, file in without.items() for part in ("--without", f"{lang}={file}")]
        inputs += without.values()
        outputs: list[FilePath] = [TEXTS_PREPARED, "texts/spm.model", "texts/dict.txt"]
        yield Step("texts", command, inputs, outputs)


def lexicon_file(source: str, target: str) -> Path:
    """The lexicon of a direction within the run folder."""
    return Path(f"lexicon/{source}-{target}.tsv")


def dictionary_step(
    name: str,
    file: Path,
    out: Path,
    form: str = "muse",
    table: str | None = None,
    sides: Mapping[str, Sequence[FilePath]] = MappingProxyType({}),
) -> Step:
    """A dictionary of the user's, read by ``csr lexicon FORM``.

    Args:
        table: the format of one for ``import``.
        sides: the languages of its words and of its candidates, each with texts that show their capitals.
    """
    command = ["lexicon", form, str(file), *flags(format=table, out=out)]
    texts: list[FilePath] = []
    options = ("--source-lang", "--truecase-src"), ("--target-lang", "--truecase-tgt")
    for (lang_option, text_option), (language, written) in zip(options, sides.items(), strict=False):
        command += [lang_option, language, text_option, *map(str, written)]
        texts += written
    return Step(f"lexicon {name}", command, [file, *texts], [out])


def placebo_file(source: str, target: str) -> Path:
    """The placebo of a direction's lexicon within the run folder."""
    return Path(f"lexicon/placebo-{source}-{target}.tsv")


def placebo_step(source: str, target: str, seed: int) -> Step:
    """The lexicon of a direction with its candidates exchanged, by the training text's frequencies."""
    lexicon, text, out = lexicon_file(source, target), f"data/text/train.{target}", placebo_file(source, target)
    command = ["lexicon", "placebo", str(lexicon), *flags(out=out, seed=seed, text=text)]
    return Step(f"lexicon placebo {source}-{target}", command, [lexicon, text], [out])


def inverted_step(lexicon: FilePath, out: FilePath, text: FilePath) -> Step:
    """A lexicon with its sides swapped; probabilities by Bayes' rule, with text in the language of its words."""
    command = ["lexicon", "transform", str(lexicon), "--invert", *flags(frequencies=text, out=out)]
    return Step(f"lexicon {Path(out).stem}", command, [lexicon, text], [out])


def induced_step(
    lexicon: Lexicon,
    method: str,
    source: str,
    target: str,
    outputs: Sequence[FilePath] = (),
    folder: str = "data",
    extra: Sequence[str] = (),
) -> Step:
    """The lexicons of both directions, made from text.

    Args:
        outputs: where they go, if not where the stages look for them.
        folder: of ``text/train.LANG``: the training pairs.
        extra: further flags.
    """
    inputs: list[FilePath] = [f"{folder}/text/train.{source}", f"{folder}/text/train.{target}"]
    outputs = list(outputs) or [lexicon_file(source, target), lexicon_file(target, source)]
    names = ("dim", "window", "min_count", "epochs") if method == "vecmap" else ("iterations",)
    command = ["lexicon", method, *flags(src=inputs[0], tgt=inputs[1], source_lang=source, target_lang=target)]
    command += flags(out=outputs[0], reverse_out=outputs[1], **{name: getattr(lexicon, name) for name in names})
    return Step(f"lexicon {method}", [*command, *extra], inputs, outputs)
