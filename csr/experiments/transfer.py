"""Zero-shot translation (Zan et al., section 5.3): models finetuned on one source language read the others."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from csr.errors import ConfigError, DataError
from csr.evaluation import translation
from csr.evaluation.comet import comet_segments
from csr.evaluation.comet import signature as comet_signature
from csr.evaluation.off_target import identifiable, off_target
from csr.evaluation.significance import Statistics, means
from csr.experiments.kinds import read_config
from csr.experiments.stages import stage_folder
from csr.files import PathLike, file_name, read_lines, read_parallel, write_text
from csr.report.matrix import OPTIONAL, REQUIRED, Output, Scored, against, matrix
from csr.report.table import Table

# What translates lines in a language with one model: (lines, language) -> translations.
Translator = Callable[[Sequence[str], str], list[str]]


@dataclass(frozen=True)
class Finetuned:
    """One model of a run."""

    arm: str
    lang: str  # the source language it was finetuned on
    seed: int
    checkpoint: Path
    sentencepiece_model: Path


@dataclass(frozen=True)
class Test:
    """Sentences in a language and their translations."""

    lang: str
    src: Path
    ref: Path


def models_of(runs: Sequence[PathLike]) -> tuple[list[Finetuned], list[Test], str]:
    """The models of translation runs, their test sets, and the target language.

    Raises:
        ConfigError: the runs have different target languages, or two have the same source language.
        DataError: a model or a test set is not there yet.
    """
    models: list[Finetuned] = []
    tests: dict[str, Test] = {}
    targets: dict[str, PathLike] = {}
    for run in map(Path, runs):
        config = read_config(run / "config.yaml")
        if config.experiment != "translation":
            raise ConfigError(f"{run}: expected a translation experiment, found {config.experiment}")
        src, tgt = config.data.source_lang, config.data.target_lang
        targets.setdefault(tgt, run)
        if src in tests:
            raise ConfigError(f"{run}: expected another source language than {src}, which a run before it has")
        text = run / "data/text"
        tests[src] = Test(src, text / f"test.{src}", text / f"test.{tgt}")
        for seed in config.seeds:
            for arm in config.arms:
                checkpoint = run / stage_folder(arm, seed) / "model.pt"
                models.append(Finetuned(arm, src, seed, checkpoint, run / "data/spm.model"))
    if len(targets) != 1:
        raise ConfigError(f"expected runs into one language, found {', '.join(targets) or 'no run'}")
    for path in (*(model.checkpoint for model in models), *(test.src for test in tests.values())):
        if not path.is_file():
            raise DataError(f"{path}: no such file; csr run makes it")
    return models, list(tests.values()), next(iter(targets))


def translate_all(
    models: Sequence[Finetuned], tests: Sequence[Test], out: PathLike, open_model: Callable[[Finetuned], Translator]
) -> list[Output]:
    """Translate every test set with every model and write ``out/ARM-LANG-SEED/TEST.hyp`` and ``out/outputs.tsv``.

    Translations that are newer than their model and test set are kept, so that an interrupted call goes on.
    """
    outputs = []
    for language in (*(model.lang for model in models), *(test.lang for test in tests)):
        file_name(language, "language code")
    for model in models:
        translator: Translator | None = None
        for test in tests:
            hyp = Path(out) / f"{model.arm}-{model.lang}-{model.seed}" / f"{test.lang}.hyp"
            made_from = max(path.stat().st_mtime for path in (model.checkpoint, test.src))
            if not hyp.is_file() or hyp.stat().st_mtime < made_from:
                translator = translator or open_model(model)
                lines = translator(list(read_lines(test.src)), test.lang)
                with write_text(hyp) as stream:
                    stream.writelines(f"{line}\n" for line in lines)
            outputs.append(
                Output(model.arm, model.lang, test.lang, str(hyp), str(test.ref), str(test.src), str(model.seed))
            )
    columns = (*REQUIRED, *OPTIONAL)
    with write_text(Path(out) / "outputs.tsv") as stream:
        stream.write("\t".join(columns) + "\n")
        stream.writelines("\t".join(getattr(output, name) for name in columns) + "\n" for output in outputs)
    return outputs


def open_model(beam: int, device: str | None) -> Callable[[Finetuned], Translator]:
    """A reader of models for ``translate_all``; the source carries the id of the language it is in."""

    def read(finetuned: Finetuned) -> Translator:
        from fairseq_plugins.models import read_model
        from fairseq_plugins.outputs import translate

        model = read_model(finetuned.checkpoint, None, finetuned.sentencepiece_model, device=device)
        return lambda lines, language: translate(model, lines, language, finetuned.sentencepiece_model, beam)

    return read


def tables(
    outputs: Sequence[Output], language: str, baseline: str, comet: str | None = None, samples: int = 1000
) -> list[Table]:
    """Matrices of test languages by models: BLEU, COMET if a model is named, and the off-target rate.

    BLEU and COMET are tested against the baseline's model of the same language and seed, where it is among the arms.
    """
    texts: Mapping[str, tuple[list[str], list[str]]] = {
        output.hyp: tuple(map(list, zip(*read_parallel(output.hyp, output.ref), strict=True)))  # type: ignore[misc]
        for output in outputs
    }
    scores = [translation.score_and_statistics("bleu", *texts[output.hyp], language) for output in outputs]
    found = [_tested(outputs, [s for _, s in scores], baseline, samples, "BLEU", 1, scores[0][0].signature)]
    if comet:
        sources = {output.src: list(read_lines(output.src)) for output in outputs}
        segments = [means(comet_segments(*texts[o.hyp], sources[o.src], comet)) for o in outputs]
        found.append(_tested(outputs, segments, baseline, samples, "COMET", 3, comet_signature(comet)))
    if identifiable(language):
        rates = [off_target(texts[output.hyp][0], language) for output in outputs]
        scored = [
            Scored(output, None if one.rate is None else 100 * one.rate)
            for output, one in zip(outputs, rates, strict=True)
        ]
        found.append(
            _named(matrix(scored, "Off-target rate, %, by model and test language", -1, 1, rates[0].signature))
        )
    return found


def _tested(
    outputs: Sequence[Output], statistics: Sequence[Statistics], baseline: str, samples: int, name: str, digits: int,
    signature: str,
) -> Table:  # fmt: skip
    note = signature
    if any(output.arm == baseline for output in outputs):
        scored = against(outputs, statistics, baseline, samples)
        note = f"Best arm in bold. * p < 0.05, ** p < 0.01 against {baseline}, paired bootstrap. {signature}"
    else:
        scored = [Scored(output, one.value) for output, one in zip(outputs, statistics, strict=True)]
    return _named(matrix(scored, f"{name} by model and test language", 1, digits, note))


def _named(table: Table) -> Table:
    """A matrix with its file's name taken from its title."""
    return dataclasses.replace(table, name=table.title.split(" by ")[0].split(",")[0].lower().replace(" ", "-"))


def write_results(found: Sequence[Table], outputs: Sequence[Output], out: PathLike) -> dict[str, Any]:
    """Write ``results.json``, ``table.md`` and ``tables/`` into the folder and return what the first one holds."""
    from csr.files import write_json
    from csr.report import write_table

    results = {"outputs": [dataclasses.asdict(o) for o in outputs], "tables": [table.as_dict() for table in found]}
    write_json(Path(out) / "results.json", results)
    for table in found:
        write_table(table, Path(out) / "tables")
    with write_text(Path(out) / "table.md") as stream:
        stream.write("\n".join(table.markdown() for table in found))
    return results
