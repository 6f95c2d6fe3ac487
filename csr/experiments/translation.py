"""Translation on one language pair: its settings, the runs of fairseq, and the steps of ``csr run``."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from csr import options
from csr.errors import ConfigError
from csr.experiments import commands, low_resource, stages
from csr.experiments.commands import flags
from csr.experiments.decoding import decode
from csr.experiments.schedule import suited
from csr.experiments.settings import (
    Backbone,
    Distance,
    Dynamics,
    FinalTraining,
    Generate,
    Lexicon,
    Restoring,
    Scores,
    SourceNoise,
    StagedExperiment,
    Synthetic,
    Text,
    expect_known,
)
from csr.experiments.stages import (
    ARMS,
    PREPARED,
    SENTENCEPIECE,
    STAGES,
    UNTRAINED,
    lexicon_file,
    stage_folder,
    start_model,
)
from csr.running.fairseq import Job
from csr.running.steps import Step
from csr.settings import expect_default, setting
from csr.switching.settings import WORDS

__all__ = ["ARMS", "STAGES", "Config", "generate", "generate_command", "job", "report", "score", "steps", "suited"]

Arm = Literal[
    "random", "baseline", "iaft", "csr", "mask_restore_ft", "placebo", "csr_mono", "wbt", "bt", "wbt_csr", "bt_csr",
    "copy", "lexicon_only", "source_only",
]  # fmt: skip


@dataclass(frozen=True)
class Bitext:
    """The parallel corpus. Where no dev or test files are given, they are taken out of the training pairs."""

    source_lang: str
    target_lang: str
    src: Path
    tgt: Path
    folder: Path | None = setting(None, help="where the relative paths among the files of this section start")
    dev_src: Path | None = None
    dev_tgt: Path | None = None
    test_src: Path | None = None
    test_tgt: Path | None = None
    dev_size: int = setting(1000, low=1)
    test_size: int = setting(1000, low=1)
    pieces: int = setting(8000, low=32)
    max_words: int = setting(250, low=1)
    max_ratio: float = setting(9.0, low=1)
    monolingual: tuple[Text, ...] = setting(
        (), help="text without a pair in the source or the target language, one sentence a line; several files of one"
    )
    monolingual_lines: int | None = setting(
        None, low=1, help="lines of each language that are used, drawn by a hash; all where this is not given"
    )
    test_overlap: Literal["refuse", "drop", "allow"] = setting(
        "refuse", help="what becomes of test sentences among monolingual text: an error, left out, or kept"
    )
    origin: str | None = setting(
        None, help="where the data set is published, or how to make it; shown when a file is missing"
    )

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
            if not sides:
                expect_default(self, [f"{split}_size"], prefix, f"given beside {prefix}{split}_src")
        if not self.monolingual:
            expect_default(self, ["monolingual_lines"], prefix, f"given without {prefix}monolingual")
        for i, text in enumerate(self.monolingual):
            if text.lang not in (self.source_lang, self.target_lang):
                expected = f"{self.source_lang} or {self.target_lang}"
                raise ConfigError(f"{prefix}monolingual[{i}].lang: expected {expected}, found {text.lang!r}")


@dataclass(frozen=True, kw_only=True)
class Config(StagedExperiment):
    """One experiment: a language pair, its arms and its seeds."""

    experiment: Literal["translation"] = "translation"
    data: Bitext
    lexicon: Lexicon = Lexicon()
    noise: SourceNoise = SourceNoise()
    backbone: Backbone = Backbone()
    restore: Restoring = Restoring()
    synthetic: Synthetic = Synthetic()
    finetune: FinalTraining = FinalTraining(select="bleu")
    generate: Generate = Generate()
    distance: Distance = Distance()
    dynamics: Dynamics = Dynamics()
    scores: Scores = Scores()
    arms: tuple[Arm, ...] = ("random", "baseline", "csr")

    @property
    def langs(self) -> tuple[str, ...]:
        """The model's language ids in order."""
        return self.backbone.languages or (self.data.source_lang, self.data.target_lang)

    def check(self, prefix: str) -> None:
        """Raise ConfigError for a language that the model does not know, and for settings at odds with each other."""
        super().check(prefix)
        sides = (self.data.source_lang, self.data.target_lang)
        expect_known("backbone.langs", sides, self.langs)
        expect_lexicons(self.lexicon, sides)
        if self.backbone.vocabulary:
            expect_default(self.data, ["pieces"], "data.", "given beside a backbone that has its vocabulary")
        every = self.dynamics.every
        for name, stage in (("restore", self.restore), ("finetune", self.finetune)):
            if every and every % stage.save_every:
                found = f"{every} and {stage.save_every}"
                raise ConfigError(f"dynamics.every: expected a multiple of {name}.save_every, found {found}")
        low_resource.check_arms(self)
        texts = [*self.data.monolingual, *(text for text in self.backbone.texts if text.lang in sides)]
        if not texts:
            expect_default(self.data, ["test_overlap"], "data.", "given without text of which it could be said")
        if self.data.test_overlap == "drop" and self.backbone.texts and not self.data.test_src:
            raise ConfigError(
                "data.test_overlap: drop expects data.test_src beside backbone.texts, which are read before a test set "
                "is held out"
            )


def expect_lexicons(lexicon: Lexicon, languages: tuple[str, str]) -> None:
    """Raise ConfigError unless the files of a lexicon are those into one or both of the languages."""
    found = [*(text.lang for text in lexicon.files), *(source.lang for source in lexicon.sources if source.lang)]
    if not set(found) <= set(languages):
        name = "files" if lexicon.files else "sources"
        wanted = " or ".join(languages)
        raise ConfigError(f"lexicon.{name}: expected translations into {wanted}, found {' and '.join(found)}")


def job(
    config: Config, stage: str, seed: int, run: Path = Path(), done: Path | None = None, extra: Sequence[str] = ()
) -> Job:
    """A stage's run of fairseq-train; the paths in its command lie within the folder ``run``.

    Args:
        extra: flags that another kind of experiment adds.
    """
    if stage == "backbone" and config.backbone.texts:
        return stages.backbone_job(config, seed, run)
    spec, training, folder = STAGES[stage], stages.training(config, stage), stage_folder(stage, seed)
    start, keep_every = start_model(config, stage, seed), config.dynamics.every if stage in measured(config) else None
    src, tgt, rule = config.data.source_lang, config.data.target_lang, stages.selection(config, stage)
    named = stages.placebo_file if spec.placebo else lexicon_file
    inputs = [PREPARED, SENTENCEPIECE, *([named(src, tgt), named(tgt, src)] if spec.switches else [])]
    noise: list[str] = []
    if spec.restore:
        noise = stages.restore_flags(config.noise, spec, *([run / file] for file in inputs[2:]))
        text = low_resource.restored_text(config, spec)
        if spec.start and text != "parallel":
            noise += flags(texts=run / "monolingual/bin", texts_only=text == "monolingual")
            inputs.append(low_resource.MONOLINGUAL)
    elif spec.synthetic:
        noise, more = low_resource.synthetic_flags(config, stage, seed, run)
        inputs += more
    elif spec.noisy:
        noise = [*options.flags(config.noise, SourceNoise(), WORDS), *flags(noisy_sources=config.noise.sources)]
    command = commands.fairseq(
        "fairseq-train",
        run / "data/bin",
        _task(config, stage, run, _training_task(stage)),
        noise,
        commands.architecture(config.backbone),
        commands.writing(training, seed, config.workers, run / folder, keep_every),
        # BLEU of summaries, which are long, only where it is asked for.
        [] if spec.restore else commands.validation(rule, training.save_every, config.experiment == "translation"),
        flags(patience=None if rule == "last" else config.finetune.patience),
        flags(finetune_from_model=run / start if start else None),
        extra,
    )
    updates = None if rule != "last" and config.finetune.patience else training.updates
    best, gpus = rule != "last", training.gpus
    return Job(command, folder, updates, inputs, start, gpus=gpus, keep_every=keep_every, best=best)


def generate_command(config: Config, arm: str, seed: int, run: Path = Path()) -> list[str]:
    """The fairseq-generate command of an arm; paths lie within the folder ``run``.

    Raises:
        ConfigError: the arm has no model.
    """
    if arm in UNTRAINED:
        raise ConfigError(f"the arm {arm} has no model: expected another to generate from")
    return commands.fairseq(
        "fairseq-generate",
        run / "data/bin",
        _task(config, arm, run),
        flags(gen_subset="test", path=run / stage_folder(arm, seed) / "model.pt", beam=config.generate.beam),
        # Only runaway repetition is longer, and it takes a badly trained model minutes.
        flags(max_len_a=2, max_len_b=10, max_tokens=config.generate.max_tokens, num_workers=config.workers),
    )


def generate(config: Config, arm: str, seed: int, run: Path) -> None:
    """Translate the test set into ``test.hyp``, with an arm's model or without; see ``decoding.decode``."""
    if arm in UNTRAINED:
        return low_resource.translate_untrained(config, arm, seed, run)
    language, beam = config.data.source_lang, config.generate.beam
    text = Path(f"data/text/test.{language}")
    decode(generate_command(config, arm, seed), arm, seed, run, text, language, beam, config.threads)


def back_translation_command(config: Config, seed: int, run: Path = Path()) -> list[str]:
    """The fairseq-generate command of the reverse model, on the text in the target language."""
    sampling = config.synthetic.decode == "sampling"
    search = flags(sampling=True, beam=1, seed=seed) if sampling else flags(beam=config.generate.beam)
    return commands.fairseq(
        "fairseq-generate",
        run / "monolingual/bin",
        _task(config, "reverse", run),
        flags(gen_subset="train", path=run / stage_folder("reverse", seed) / "model.pt"),
        search,
        flags(max_len_a=2, max_len_b=10, max_tokens=config.generate.max_tokens, num_workers=config.workers),
    )


def back_translate(config: Config, seed: int, run: Path) -> None:
    """Make the synthetic sources of a seed's arms of model back-translation."""
    low_resource.back_translate(config, seed, run, back_translation_command(config, seed))


def outputs(config: Config, arm: str, seed: int) -> list[Path]:
    """The translations of an arm."""
    return [stage_folder(arm, seed) / "test.hyp"]


def score(config: Config, arm: str, seed: int, run: Path) -> None:
    """Write ``scores.json`` of an arm; see ``csr.experiments.scores``."""
    from csr.experiments.scores import write_scores

    write_scores(config, arm, seed, run)


def measured(config: Config) -> list[str]:
    """The stages whose checkpoints are measured: the arms and the restore stages before them."""
    left_out = ("backbone", "reverse")
    return [stage for stage in stages.needed(config) if stage not in left_out] if config.dynamics.every else []


def steps(config: Config) -> Iterator[Step]:
    """The steps of the experiment, the report last."""
    yield from stages.text_steps(config, _tests(config) if config.data.test_overlap == "drop" else {})
    yield _prepare(config)
    checked = low_resource.check_step(config)
    if checked:
        yield checked
    if config.data.monolingual:
        yield low_resource.monolingual_step(config)
    yield from lexicon_steps(config, config.data.source_lang, config.data.target_lang)
    distances: dict[tuple[str, int], Path] = {
        (arm, seed): stage_folder(arm, seed) / "distance.json"
        for seed in config.seeds
        for arm in config.arms
        if arm not in UNTRAINED
    }
    if "reverse" in stages.needed(config):
        for seed in config.seeds:
            yield low_resource.back_translation_step(config, seed, back_translation_command(config, seed))
    roots = [stage for stage in stages.needed(config) if stages.lineage(config, stage) == [stage]]
    first = {f"{stage} seed {seed}" for stage in roots for seed in config.seeds}
    for step in stages.arm_steps(
        config,
        job,
        outputs,
        generate_command,
        lambda arm, seed: [distances[arm, seed]] if (arm, seed) in distances else [],
        config.scores.comet,
    ):
        # What starts from no model made here waits for the check, which else might fail after hours of training.
        waits = checked.outputs if checked and step.name in first else ()
        yield dataclasses.replace(step, inputs=[*step.inputs, *waits])
    # The backbone's own distance is worth a line only where it is trained here and used.
    pretrained = [] if config.backbone.ready or "backbone" not in stages.needed(config) else config.seeds
    distances |= {("backbone", seed): stage_folder("backbone", seed) / "distance.json" for seed in pretrained}
    for (stage, seed), out in distances.items():
        model = stage_folder(stage, seed) / "model.pt"
        command = ["distance", *flags(checkpoint=model, data="data/bin", out=out, sentences=config.distance.sentences)]
        if stage == "backbone" and config.backbone.texts:  # which says nothing of pairs
            pair = flags(source_lang=config.data.source_lang, target_lang=config.data.target_lang)
            command += [*pair, *flags(langs=",".join(config.langs))]
        yield Step(f"distance {stage} seed {seed}", command, [model, PREPARED], [out])
    dynamics = [stage_folder(stage, seed) / "dynamics.json" for seed in config.seeds for stage in measured(config)]
    for out in dynamics:
        command = ["dynamics", str(out.parent), *flags(sentences=config.dynamics.sentences, beam=config.generate.beam)]
        name = f"dynamics {out.parent.name} {out.parent.parent.name.replace('-', ' ')}"
        yield Step(name, command, [out.parent / "model.pt", PREPARED], [out])
    yield stages.report_step(config, [*distances.values(), *dynamics, *(checked.outputs if checked else [])])


def lexicon_steps(config: Any, source: str, target: str) -> Iterator[Step]:
    """The lexicons of both directions, induced from text or the user's files or both, and their placebos."""
    method = config.lexicon.method
    if method == "mixture":
        yield from low_resource.mixture_steps(config, source, target)
    elif method != "file":
        yield stages.induced_step(config.lexicon, method, source, target)
    for text in config.lexicon.files:
        other = source if text.lang == target else target
        out, sides = lexicon_file(other, text.lang), low_resource.running_texts(config, other, text.lang)
        yield stages.dictionary_step(out.stem, text.file, out, "import", sides=sides)
        if len(config.lexicon.files) == 1:
            yield stages.inverted_step(out, lexicon_file(text.lang, other), f"data/text/train.{other}")
    if "placebo" in config.arms:
        for pair in ((source, target), (target, source)):
            yield stages.placebo_step(*pair, config.seeds[0])


def report(config: Config, run: Path) -> None:
    """Write the report of a run, finished or not; see ``csr.report``."""
    from csr.report import write_report

    write_report([run], run / "report.html")


def _prepare(config: Config) -> Step:
    data, vocabulary = config.data, config.backbone.vocabulary
    sentencepiece, dictionary = vocabulary or (None, None)
    text = [data.src, data.tgt, data.dev_src, data.dev_tgt, data.test_src, data.test_tgt]
    command = ["prepare", "--out", "data", *flags(src=data.src, tgt=data.tgt, source_lang=data.source_lang)]
    command += flags(target_lang=data.target_lang, pieces=None if vocabulary else data.pieces)
    command += flags(max_words=data.max_words, max_ratio=data.max_ratio, langs=",".join(config.langs))
    for split in ("dev", "test"):
        src, tgt, size = (getattr(data, f"{split}_{name}") for name in ("src", "tgt", "size"))
        command += flags(**{f"{split}_src": src, f"{split}_tgt": tgt, f"{split}_size": None if src else size})
    command += flags(sentencepiece_model=sentencepiece, dict=dictionary)
    splits = [
        f"data/text/{split}.{lang}"
        for split in ("train", "dev", "test")
        for lang in (data.source_lang, data.target_lang)
    ]
    inputs = [file for file in [*text, sentencepiece, dictionary] if file]
    return Step("prepare", command, inputs, [PREPARED, SENTENCEPIECE, *splits])


def _tests(config: Config) -> dict[str, Path]:
    """The files of the test set by language, where they are given."""
    files = {config.data.source_lang: config.data.test_src, config.data.target_lang: config.data.test_tgt}
    return {lang: file for lang, file in files.items() if file}


def _training_task(stage: str) -> str:
    spec = STAGES[stage]
    return "csr_restore" if spec.restore else "csr_back_translation" if spec.synthetic else "csr_translation"


def _task(config: Config, stage: str, run: Path, name: str = "csr_translation") -> list[str]:
    pair = (config.data.source_lang, config.data.target_lang)
    source, target = pair[::-1] if STAGES[stage].reverse else pair
    return [
        *flags(task=name, source_lang=source, target_lang=target),
        *commands.languages(config.backbone, config.langs),
        *flags(bpe="sentencepiece", sentencepiece_model=run / SENTENCEPIECE),
    ]
