"""How long the stages of a translation experiment train: the size of its texts, epochs, and updates that suit them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from csr.experiments.low_resource import restored_text
from csr.experiments.settings import Training
from csr.experiments.stages import STAGES, needed
from csr.files import read_lines, read_parallel

# Deviation: the papers' updates are for a hundred thousand pairs and more. A stage whose `updates` are not given goes
# over its text as often as this at most, stage one a fifth of it, as theirs does; but it makes at least FEWEST updates,
# a fifth of them in stage one. The other values of the schedule shrink in proportion.
EPOCHS = 60
FEWEST = 500
VALIDATIONS = 20  # of a stage that is shortened so


def characters(pieces: int) -> float:
    """The characters of a piece, by the size of the vocabulary.

    Fitted to text in de, en, sw and xh: 3.2 (2.8 to 3.6) with 2,000 pieces, 3.7 (3.2 to 4.1) with 4,000, 4.1 (3.5 to
    4.7) with 8,000. Larger vocabularies are of many languages.

    >>> round(characters(2000), 2), round(characters(250_000), 2)
    (3.18, 4.1)
    """
    return 4.1 + 0.46 * math.log2(min(pieces, 8000) / 8000)


@dataclass(frozen=True)
class Size:
    """The size of a text: its rows, and their tokens."""

    rows: int = 0
    tokens: float = 0.0

    def __add__(self, other: Size) -> Size:
        return Size(self.rows + other.rows, self.tokens + other.tokens)

    def cut(self, rows: int) -> Size:
        """The size of that many of its rows, or of all."""
        return self if rows >= self.rows else Size(rows, self.tokens * rows / self.rows)

    def updates(self, training: Training) -> float:
        """The updates of an epoch."""
        return max(1, math.ceil(self.tokens / training.max_tokens)) / training.update_freq

    @property
    def length(self) -> int:
        """The mean length of a row, in tokens."""
        return max(1, round(self.tokens / self.rows)) if self.rows else 1


@dataclass(frozen=True)
class Texts:
    """The texts of an experiment before cleaning, without what is held out of them.

    Attributes:
        pairs: a row is the longer side of a pair, which decides how many go into a batch.
        sides: both sides, each sentence a row.
        monolingual: of each language.
        backbone: the text that a backbone is trained on here.
    """

    pairs: Size
    sides: Size
    monolingual: Mapping[str, Size]
    backbone: Size


def read_texts(config: Any) -> Texts | None:
    """Measure the texts of an experiment; None if one is not there.

    Raises:
        DataError: one is damaged.
    """
    data = config.data
    listed = {text.file: text.lang for text in (*data.monolingual, *config.backbone.texts)}
    if not all(file.is_file() for file in (data.src, data.tgt, *listed)):
        return None
    backbone = config.backbone
    of = characters(data.pieces if not backbone.vocabulary else 8000 if backbone.checkpoint else backbone.pieces)
    n, longer, both = 0, 0.0, 0.0
    for src, tgt in read_parallel(data.src, data.tgt):
        lengths = _tokens(src, of), _tokens(tgt, of)
        n, longer, both = n + 1, longer + max(lengths), both + sum(lengths)
    pairs, sides = Size(n, longer), Size(2 * n, both)
    held_out = sum(getattr(data, f"{split}_size") for split in ("dev", "test") if not getattr(data, f"{split}_src"))
    pairs, sides = pairs.cut(max(1, pairs.rows - held_out)), sides.cut(max(1, sides.rows - 2 * held_out))
    sizes = {file: _total(Size(1, _tokens(line, of)) for line in read_lines(file)) for file in listed}
    monolingual: dict[str, Size] = {}
    for text in data.monolingual:
        monolingual[text.lang] = monolingual.get(text.lang, Size()) + sizes[text.file]
    if data.monolingual_lines:
        monolingual = {lang: size.cut(data.monolingual_lines) for lang, size in monolingual.items()}
    own = _total(sizes[text.file] for text in backbone.texts) if backbone.texts else sides
    return Texts(pairs, sides, monolingual, own)


def epoch(config: Any, stage: str, texts: Texts) -> Size:
    """What an epoch of a stage has."""
    spec = STAGES[stage]
    if stage == "backbone":
        return texts.backbone
    if spec.restore:
        text = restored_text(config, spec)
        unpaired = _total(texts.monolingual.values())
        return {"parallel": texts.sides, "monolingual": unpaired, "both": texts.sides + unpaired}[text]
    if spec.synthetic:
        wanted = round(config.synthetic.ratio * texts.pairs.rows)
        return texts.pairs + texts.monolingual[config.data.target_lang].cut(wanted)
    return texts.pairs


def suited(config: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that are to be laid over those given, so that the updates of the stages suit the size of the text.

    Args:
        config: the settings with their defaults.
        given: what the user has set, section by section: a stage whose ``updates`` are set stays as it is.
    """
    backbone = given.get("backbone") or {}
    sections: dict[str, tuple[Training, Mapping[str, Any], str | None]] = {
        "finetune": (config.finetune, given.get("finetune") or {}, "baseline"),
        "restore": (config.restore, given.get("restore") or {}, _stage_one(config)),
        "train": (config.backbone.train, backbone.get("train") or {}, _backbone(config)),
    }
    left = {name: one for name, one in sections.items() if one[2] and "updates" not in one[1]}
    texts = read_texts(config) if left else None
    found: dict[str, Any] = {}
    for name, (training, set_, stage) in left.items():
        if texts is None or stage is None:
            continue
        share = 0.2 if name == "restore" else 1.0
        most = max(FEWEST * share, EPOCHS * share * epoch(config, stage, texts).updates(training))
        if most >= training.updates:
            continue
        updates = math.ceil(most)
        values = {"updates": updates, "warmup": round(training.warmup * updates / training.updates)}
        values["save_every"] = config.dynamics.every or max(1, updates // VALIDATIONS)
        found[name] = {key: value for key, value in values.items() if key not in set_}
    if "train" in found:
        found["backbone"] = {"train": found.pop("train")}
    return found


def _stage_one(config: Any) -> str | None:
    """A stage that restores before finetuning, if an arm has one."""
    names = [stage for stage in needed(config) if STAGES[stage].restore and stage != "backbone"]
    return names[0] if names else None


def _backbone(config: Any) -> str | None:
    return "backbone" if "backbone" in needed(config) and not config.backbone.ready else None


def _tokens(line: str, characters: float) -> float:
    return len(line) / characters + 2  # with end and language id


def _total(sizes: Iterable[Size]) -> Size:
    rows, tokens = 0, 0.0
    for size in sizes:
        rows, tokens = rows + size.rows, tokens + size.tokens
    return Size(rows, tokens)
