"""What experiments with several languages share: texts for a backbone, stages, and the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from csr.data.examples import language_symbol
from csr.errors import ConfigError, DataError
from csr.experiments import config, flags
from csr.experiments.translation import stage_folder
from csr.files import read_json, write_json, write_text
from csr.report import write_table
from csr.report.collect import collect_task
from csr.report.html import task_page
from csr.report.table import Table
from csr.running import fairseq
from csr.settings import as_mapping, setting


@dataclass(frozen=True)
class Text:
    """A file in one language."""

    lang: str
    file: Path


@dataclass(frozen=True)
class Backbone(config.Backbone):
    """The pretrained model: a fairseq checkpoint with its vocabulary, or a small one trained on texts from masks."""

    texts: tuple[Text, ...] = ()
    pieces: int = setting(8000, low=32)
    max_words: int = setting(250, low=1)

    def check(self, prefix: str) -> None:
        """Raise ConfigError unless there is either a checkpoint with its languages or texts."""
        super().check(prefix)
        if (self.checkpoint is None) != bool(self.texts):
            found = "both" if self.texts else "neither"
            raise ConfigError(f"{prefix}texts: expected either {prefix}checkpoint or texts to train on, found {found}")
        if not self.languages:
            raise ConfigError(f"{prefix}langs: missing beside {prefix}checkpoint; {prefix}preset may stand for them")

    @property
    def languages(self) -> tuple[str, ...]:
        """Return the model's language ids in order."""
        return super().languages or tuple(dict.fromkeys(text.lang for text in self.texts))

    def vocabulary(self, run: Path = Path()) -> tuple[Path, Path]:
        """Return SentencePiece model and dictionary."""
        if self.sentencepiece and self.dictionary:
            return self.sentencepiece, self.dictionary
        return run / "texts/spm.model", run / "texts/dict.txt"

    def text_flags(self) -> list[str]:
        """Return the flags of ``csr prepare-text``."""
        named = [part for text in self.texts for part in ("--text", f"{text.lang}={text.file}")]
        return [*named, "--pieces", str(self.pieces), "--max-words", str(self.max_words)]


def expect_known(name: str, languages: Sequence[str], known: Sequence[str]) -> None:
    """Raise ConfigError for a language that a model does not know."""
    for language in languages:
        try:
            language_symbol(language, known)
        except ConfigError as error:
            raise ConfigError(f"{name}: {error}") from None


def backbone_command(settings: Any, seed: int, folder: Path, run: Path) -> list[str]:
    """Return the fairseq-train command of a backbone on the texts, in the stage's folder."""
    languages = ",".join(settings.backbone.languages)
    return [
        *("fairseq-train", str(run / "texts/bin"), "--user-dir", str(fairseq.plugin_folder())),
        *("--task", "csr_restore", "--monolingual", languages, "--langs", languages, "--replace", "mask"),
        *("--sentencepiece-model", str(run / "texts/spm.model")),
        *flags.architecture(settings.backbone),
        *flags.generation(settings.backbone.train, seed, settings.workers, run / fairseq.save_dir(folder)),
    ]


def read_scores(settings: Any, run: Path) -> list[dict[str, Any]]:
    """Return what ``scores.json`` of each arm and seed says, so far as they are there.

    Raises:
        DataError: none is.
    """
    folders = [stage_folder(arm, seed) for seed in settings.seeds for arm in settings.arms]
    found = [read_json(path) for folder in folders if (path := run / folder / "scores.json").is_file()]
    if not found:
        raise DataError(f"{run}: expected scores of at least one arm, found none; csr run makes them")
    return found


def write_report(settings: Any, tables: Sequence[Table], scores: Sequence[dict[str, Any]], run: Path) -> None:
    """Write ``results.json``, ``table.md`` (the first table), ``tables/`` and ``report.html`` of a run."""
    write_json(run / "results.json", {"config": as_mapping(settings), "scores": list(scores)})
    for table in tables:
        write_table(table, run / "tables")
    with write_text(run / "report.html") as stream:
        stream.write(task_page(run.resolve().name, tables, collect_task(as_mapping(settings), run)))
    with write_text(run / "table.md") as stream:
        stream.write(tables[0].markdown())
