"""Text without a pair, lexicons of several sources and translations that no model makes: the steps of translation."""

from __future__ import annotations

import dataclasses
import math
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from csr import options
from csr.data.rows import Vocabulary
from csr.errors import ConfigError
from csr.experiments import stages
from csr.experiments.commands import flags
from csr.experiments.decoding import decode
from csr.experiments.stages import PREPARED, SENTENCEPIECE, STAGES, Stage, lexicon_file, stage_folder
from csr.files import read_json, read_lines, write_json, write_text, write_whole
from csr.running import fairseq
from csr.running.fairseq import identity
from csr.running.steps import FilePath, Step
from csr.switching.settings import CANDIDATES, WORD_FOR_WORD, Noise, TranslatedWords

MONOLINGUAL = Path("monolingual/prepare.json")  # is written last
CHECKED = Path("check.json")
TRANSLATED = tuple(field.name for field in dataclasses.fields(TranslatedWords))
NEIGHBORS = 3  # of VecMap, in a mixture: Zan et al. draw among the nearest


def restored_text(config: Any, spec: Stage) -> str:
    """Which sentences a stage that restores is trained on: parallel, monolingual or both."""
    return "monolingual" if spec.monolingual else getattr(config.restore, "text", "parallel")


def check_arms(config: Any) -> None:
    """Raise ConfigError for an arm whose text is missing, and for two that are the same."""
    texts, target = {text.lang for text in config.data.monolingual}, config.data.target_lang
    for arm in config.arms:
        for stage in stages.lineage(config, arm):
            spec = STAGES[stage]
            if spec.synthetic and target not in texts:
                found = " and ".join(sorted(texts)) or "none"
                raise ConfigError(f"data.monolingual: expected text in {target} for the arm {arm}, found {found}")
            if spec.restore and spec.start and restored_text(config, spec) != "parallel" and not texts:
                raise ConfigError(f"data.monolingual: expected text for the stage {stage} of the arm {arm}, found none")
    if "csr_mono" in config.arms and config.restore.text == "monolingual":
        raise ConfigError(
            "arms: csr_mono is csr with restore.text parallel or both, found monolingual: the same as csr"
        )
    if config.restore.text != "parallel" and config.noise.prefer_aligned:
        raise ConfigError("noise.prefer_aligned: expected pairs alone, found restore.text " + config.restore.text)
    if "csr_mono" in config.arms and config.noise.prefer_aligned:
        raise ConfigError("noise.prefer_aligned: expected sentences with translations, which the arm csr_mono has not")


def check_step(config: Any) -> Step | None:
    """Whether texts and dictionaries are what they are said to be; None where there are none of the user's."""
    data, pair = config.data, (config.data.source_lang, config.data.target_lang)
    texts = [*data.monolingual, *(text for text in config.backbone.texts if text.lang in pair)]
    files = {text.file: text.lang for text in config.lexicon.files}
    files |= {
        source.file: source.lang
        for source in config.lexicon.sources
        if source.file and source.format in ("tsv", "muse")
    }
    if not texts and not files:
        return None
    command = ["check", "--out", str(CHECKED)]
    for text in texts:
        command += ["--text", f"{text.lang}={text.file}"]
    for file, lang in files.items():
        command += ["--lexicon", f"{pair[0] if lang == pair[1] else pair[1]}-{lang}={file}"]
    known = {lang: f"data/text/train.{lang}" for lang in pair}
    tests = {lang: f"data/text/test.{lang}" for lang in pair} if texts else {}
    for name, of in (("known", known), ("test", tests)):
        command += [part for lang, file in of.items() for part in (f"--{name}", f"{lang}={file}")]
    if data.test_overlap != "refuse":
        command.append("--allow-overlap")
    inputs: list[FilePath] = [PREPARED, *known.values(), *tests.values(), *(text.file for text in texts), *files]
    return Step("check", command, inputs, [CHECKED])


def monolingual_step(config: Any) -> Step:
    """The text without a pair, encoded with the vocabulary of the pairs; dev sentences are left out."""
    data = config.data
    langs = list(dict.fromkeys(text.lang for text in data.monolingual))
    command = ["prepare-text", "--out", "monolingual", *flags(lines=data.monolingual_lines, valid_size=1)]
    command += flags(max_words=data.max_words, sentencepiece_model=SENTENCEPIECE, dict="data/dict.txt")
    without = [f"data/text/dev.{lang}" for lang in langs]
    without += [f"data/text/test.{lang}" for lang in langs] if data.test_overlap == "drop" else []
    for text in data.monolingual:
        command += ["--text", f"{text.lang}={text.file}"]
    for file in without:
        command += ["--without", f"{file.rpartition('.')[2]}={file}"]
    inputs: list[FilePath] = [CHECKED, PREPARED, SENTENCEPIECE, *without, *(text.file for text in data.monolingual)]
    outputs: list[FilePath] = [MONOLINGUAL, *(f"monolingual/text/train.{lang}" for lang in langs)]
    return Step("monolingual", command, inputs, outputs)


def running_texts(config: Any, *languages: str) -> dict[str, list[FilePath]]:
    """The texts of each language that show how its words are written: the training pairs' and those without a pair."""
    unpaired = {text.lang for text in getattr(config.data, "monolingual", ())}
    return {
        lang: [f"data/text/train.{lang}", *([f"monolingual/text/train.{lang}"] if lang in unpaired else [])]
        for lang in languages
    }


def mixture_steps(config: Any, source: str, target: str) -> Iterator[Step]:
    """The lexicons of ``lexicon.sources`` in both directions, and their mixtures."""
    lexicon, pairs = config.lexicon, ((source, target), (target, source))
    texts = {text.lang for text in getattr(config.data, "monolingual", ())}

    def named(name: str) -> list[Path]:
        return [Path(f"lexicon/sources/{name}-{a}-{b}.tsv") for a, b in pairs]

    parts: list[list[Path]] = []
    for number, one in enumerate(lexicon.sources, 1):
        parts.append(named(one.method if one.method != "file" else f"file{number}"))
        if one.method == "file":
            given, other = parts[-1] if one.lang == target else parts[-1][::-1]
            assert one.file is not None  # LexiconSource.check
            known = source if one.lang == target else target
            sides = running_texts(config, known, one.lang)
            yield stages.dictionary_step(given.stem, one.file, given, "import", one.format, sides)
            yield stages.inverted_step(given, other, f"data/text/train.{known}")
        else:
            unpaired = one.method == "vecmap" and {source, target} <= texts
            extra = flags(neighbors=NEIGHBORS) if one.method == "vecmap" else []
            folder = "monolingual" if unpaired else "data"
            extra += flags(not_parallel=unpaired)
            yield stages.induced_step(lexicon, one.method, source, target, parts[-1], folder, extra)
    total = math.fsum(one.weight for one in lexicon.sources)
    factors = [f"{one.weight / total:.6g}" for one in lexicon.sources]
    for direction, (a, b) in enumerate(pairs):
        inputs, out = [part[direction] for part in parts], lexicon_file(a, b)
        command = ["lexicon", "merge", *map(str, inputs), "--factors", *factors, "--out", str(out)]
        yield Step(f"lexicon {out.stem}", command, inputs, [out])


def synthetic_folder(seed: int) -> Path:
    """Where the text is that the reverse model has made of the target language's."""
    return stage_folder("reverse", seed) / "synthetic"


def synthetic_files(config: Any, seed: int) -> list[Path]:
    """The rows of that text."""
    folder = synthetic_folder(seed)
    return [folder / f"train.{config.data.source_lang}.{ending}" for ending in ("bin", "idx")]


def synthetic_flags(config: Any, stage: str, seed: int, run: Path) -> tuple[list[str], list[Path]]:
    """Flags of ``csr_back_translation`` for a stage's synthetic pairs, and the files that they are made of."""
    kind, settings = STAGES[stage].synthetic, config.synthetic
    found = flags(texts=run / "monolingual/bin", synthetic=kind, ratio=settings.ratio, tag=settings.tag)
    inputs = [MONOLINGUAL]
    if kind == "model":
        found += flags(translations=run / synthetic_folder(seed))
        inputs += synthetic_files(config, seed)
    if kind == "words":
        lexicon = lexicon_file(config.data.target_lang, config.data.source_lang)
        names = [name for name in CANDIDATES if name not in ("stop_words", "min_length")]
        found += [*flags(lexicon=run / lexicon), *options.flags(config.noise, Noise(), names)]
        found += options.flags(settings, TranslatedWords(), TRANSLATED)
        inputs.append(lexicon)
    return found, inputs


def back_translation_step(config: Any, seed: int, command: Sequence[str]) -> Step:
    """Translation of the target language's text by the reverse model, whose fairseq command is given."""
    return Step(
        f"back-translation seed {seed}",
        ["back-translate", ".", "--seed", str(seed)],
        [stage_folder("reverse", seed) / "model.pt", MONOLINGUAL],
        [*synthetic_files(config, seed), synthetic_folder(seed) / "timing.json"],
        settings=identity(command),
        threads=config.threads,
        gpus=1,
    )


def back_translate(config: Any, seed: int, run: Path, command: Sequence[str]) -> None:
    """Translate the target language's text with the reverse model, and encode what comes out for training."""
    folder, language = stage_folder("reverse", seed), config.data.source_lang
    n_lines = read_json(run / MONOLINGUAL)["lines"][f"train.{config.data.target_lang}"]
    start = time.monotonic()
    # fairseq looks for the dictionary of both languages beside the text; of one alone, csr prepare-text writes its own.
    with write_whole(run / f"monolingual/bin/dict.{language}.txt") as part:
        shutil.copyfile(run / "data/dict.txt", part)
    if config.synthetic.decode == "beam":
        text, beam = Path(f"monolingual/text/train.{config.data.target_lang}"), config.generate.beam
        decode(command, "reverse", seed, run, text, config.data.target_lang, beam, config.threads, "synthetic.hyp")
    else:
        fairseq.generate(command, folder, n_lines, run, config.threads, "synthetic.hyp")
    out = run / synthetic_folder(seed)
    out.mkdir(exist_ok=True)
    vocabulary = Vocabulary.read(run / SENTENCEPIECE, run / "data/dict.txt")
    lines = list(read_lines(run / folder / "synthetic.hyp"))
    vocabulary.write(lines, out / f"train.{language}")  # without its words: they are not switched
    empty = sum(not line.strip() for line in lines)
    write_json(out / "timing.json", {"seconds": time.monotonic() - start, "lines": n_lines, "empty": empty})


def translate_untrained(config: Any, arm: str, seed: int, run: Path) -> None:
    """Write the translations of an arm without a model: by each word's best candidate, or the source as it is."""
    from csr.switching.candidates import Source
    from csr.switching.lines import switch_line
    from csr.switching.streams import Stream

    source, target = config.data.source_lang, config.data.target_lang
    lines = list(read_lines(run / f"data/text/test.{source}"))
    if arm == "lexicon_only":
        noise = dataclasses.replace(WORD_FOR_WORD, top_k=1, min_weight=0.0)
        candidates = Source(run / lexicon_file(source, target), (source, target)).read(noise).cased((source, target))
        policy = noise.make_policy()
        lines = [
            switch_line(line, candidates, policy, Stream(0, 0, i), language=source, target_language=target).text()
            for i, line in enumerate(lines)
        ]
    with write_text(run / stage_folder(arm, seed) / "test.hyp") as out:
        out.writelines(f"{line}\n" for line in lines)
