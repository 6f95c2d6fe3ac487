"""The kinds of pretrained models that are known, and the published ones among them by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from csr.backbone.bert import BERT, DISTILBERT, XLM_ROBERTA
from csr.backbone.families import MASK, SPECIAL, EncoderFamily, Family, Preset
from csr.backbone.mbart import MBART
from csr.errors import ConfigError, DataError
from csr.files import PathLike

__all__ = [
    "CHECKPOINT",
    "DICTIONARY",
    "ENCODERS",
    "FAMILIES",
    "MASK",
    "PRESETS",
    "SENTENCEPIECE",
    "SPECIAL",
    "Preset",
]

# The files of a model's folder: those of fairseq's own mBART archives.
CHECKPOINT, DICTIONARY, SENTENCEPIECE = "model.pt", "dict.txt", "sentence.bpe.model"

# By ``model_type`` in ``config.json``.
FAMILIES: dict[str, Family] = {family.model_type: family for family in (MBART,)}
ENCODERS: dict[str, EncoderFamily] = {family.model_type: family for family in (XLM_ROBERTA, BERT, DISTILBERT)}
PRESETS: dict[str, Preset] = {preset.name: preset for family in FAMILIES.values() for preset in family.presets}


# Why others are not: what fairseq's RoBERTa or csr has no place for.
_REASONS = {
    "albert": "its layers share their weights",
    "canine": "it reads characters",
    "deberta": "its attention reads relative positions",
    "deberta-v2": "its attention reads relative positions",
    "electra": "it has no head that predicts masked pieces",
    "eurobert": "its positions are rotations",
    "modernbert": "its positions are rotations",
    "mt5": "its attention reads relative positions",
    "rembert": "its output is another matrix than its embedding",
    "roberta": "its pieces are byte-level BPE",
    "t5": "its attention reads relative positions",
    "xlm": "its languages have embeddings",
    "xlm-roberta-xl": "its layers normalise what they read",
    "xmod": "its layers have a part for each language",
}


def unknown(config: Mapping[str, Any], path: PathLike) -> DataError:
    """What to say of a ``config.json`` of no kind that is known."""
    kind, classes = config.get("model_type"), config.get("architectures") or []
    classes = classes if isinstance(classes, list) else [classes]
    name = f"{kind} ({', '.join(map(str, classes))})" if classes else f"{kind}"
    reason = f": {_REASONS[kind]}" if isinstance(kind, str) and kind in _REASONS else ""
    return DataError(f"{path}: expected model_type to be {', '.join([*FAMILIES, *ENCODERS])}, found {name}{reason}")


def preset_named(name: str) -> Preset:
    """The preset of a name.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in PRESETS:
        raise ConfigError(f"preset: expected {' or '.join(PRESETS)}, found {name!r}")
    return PRESETS[name]


def preset_of(rows: int, pieces: int) -> Preset | None:
    """The preset of a model with that many embeddings and dictionary lines, if it is one's.

    >>> [preset_of(rows, 249_997).title for rows in (250_027, 250_054)]
    ['mBART-cc25', 'mBART-50']
    """
    return next((preset for preset in PRESETS.values() if preset.rows(pieces) == rows), None)


def family_of(preset: Preset) -> Family:
    """The family that a preset belongs to."""
    return next(family for family in FAMILIES.values() if preset in family.presets)


def check_rows(preset: Preset, rows: int, pieces: int, checkpoint: PathLike, dictionary: PathLike) -> None:
    """Raise DataError unless a checkpoint's embeddings go with a dictionary; says what is missing."""
    expected, languages = preset.rows(pieces), len(preset.languages)
    if rows == expected:
        return
    extra = rows - pieces - len(SPECIAL)
    other = [known for known in PRESETS.values() if extra == len(known.languages) + 1]
    if extra == languages:
        reason = f"{MASK} is missing from the checkpoint"
    elif extra in (0, 1):
        reason = f"the {languages} languages are missing from the checkpoint"
    elif other:
        reason = f"the {len(other[0].languages)} languages are those of the preset {other[0].name}"
    elif rows == preset.rows(preset.pieces):
        missing = preset.pieces - pieces
        reason = f"{abs(missing):,} lines {'are missing from' if missing > 0 else 'too many are in'} the dictionary"
    elif pieces == preset.pieces:
        reason = "the checkpoint is of a trimmed or of another model"
    else:
        reason = "checkpoint and dictionary are of different models"
    raise DataError(
        f"{checkpoint}: expected {expected:,} embeddings ({pieces:,} lines of {dictionary} + {len(SPECIAL)} special "
        f"symbols + {languages} languages + {MASK}), found {rows:,}: {reason}"
    )
