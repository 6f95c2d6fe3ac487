"""What is fixed by the pretraining of mBART-cc25 and mBART-50: languages and their order, where language ids go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from csr.data.examples import LanguageIds
from csr.errors import ConfigError, DataError
from csr.files import PathLike

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")  # ids 0 to 3, which fairseq puts before its dictionary
MASK = "<mask>"
# The files of a model's folder: those of fairseq's own mBART archives.
CHECKPOINT, DICTIONARY, SENTENCEPIECE = "model.pt", "dict.txt", "sentence.bpe.model"
_CC25 = (
    "ar_AR cs_CZ de_DE en_XX es_XX et_EE fi_FI fr_XX gu_IN hi_IN it_IT ja_XX kk_KZ ko_KR lt_LT lv_LV my_MM ne_NP nl_XX "
    "ro_RO ru_RU si_LK tr_TR vi_VN zh_CN"
)
_MORE = (
    "af_ZA az_AZ bn_IN fa_IR he_IL hr_HR id_ID ka_GE km_KH mk_MK ml_IN mn_MN mr_IN pl_PL ps_AF pt_XX sv_SE sw_KE ta_IN "
    "te_IN th_TH tl_XX uk_UA ur_PK xh_ZA gl_ES sl_SI"
)


@dataclass(frozen=True)
class Preset:
    """A published model: its vocabulary is 4 special symbols, the pieces, the languages in order and ``<mask>``."""

    name: str
    title: str
    languages: tuple[str, ...]
    language_ids: LanguageIds
    pieces: int = 249_997  # lines of the published dictionary; a trimmed model has fewer

    def vocabulary(self, pieces: Sequence[str]) -> list[str]:
        """Return fairseq's symbols in the order of their ids, for the pieces of a dictionary.

        >>> PRESETS["cc25"].vocabulary(["x"] * 249_997).index("[en_XX]")
        250004
        """
        return [*SPECIAL, *pieces, *(f"[{language}]" for language in self.languages), MASK]

    def rows(self, pieces: int) -> int:
        """Return how many embeddings a model with that many dictionary lines has.

        >>> [preset.rows(preset.pieces) for preset in PRESETS.values()]
        [250027, 250054]
        """
        return len(SPECIAL) + pieces + len(self.languages) + 1

    def check_rows(self, rows: int, pieces: int, checkpoint: PathLike, dictionary: PathLike) -> None:
        """Raise DataError unless a checkpoint's embeddings go with a dictionary; says what is missing."""
        expected = self.rows(pieces)
        if rows == expected:
            return
        extra = rows - pieces - len(SPECIAL)
        other = [preset for preset in PRESETS.values() if extra == len(preset.languages) + 1]
        if extra == len(self.languages):
            reason = f"{MASK} is missing from the checkpoint"
        elif extra in (0, 1):
            reason = f"the {len(self.languages)} languages are missing from the checkpoint"
        elif other:
            reason = f"the {len(other[0].languages)} languages are those of the preset {other[0].name}"
        elif rows == self.rows(self.pieces):
            missing = self.pieces - pieces
            reason = f"{abs(missing):,} lines {'are missing from' if missing > 0 else 'too many are in'} the dictionary"
        elif pieces == self.pieces:
            reason = "the checkpoint is of a trimmed or of another model"
        else:
            reason = "checkpoint and dictionary are of different models"
        raise DataError(
            f"{checkpoint}: expected {expected:,} embeddings ({pieces:,} lines of {dictionary} + {len(SPECIAL)} "
            f"special symbols + {len(self.languages)} languages + {MASK}), found {rows:,}: {reason}"
        )


PRESETS = {
    "cc25": Preset("cc25", "mBART-cc25", tuple(_CC25.split()), LanguageIds.APPEND),
    "ml50": Preset("ml50", "mBART-50", tuple(f"{_CC25} {_MORE}".split()), LanguageIds.PREPEND),
}


def preset_named(name: str) -> Preset:
    """Return a preset.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in PRESETS:
        raise ConfigError(f"preset: expected {' or '.join(PRESETS)}, found {name!r}")
    return PRESETS[name]


def preset_of(rows: int, pieces: int) -> Preset | None:
    """Return the preset of a model with that many embeddings and dictionary lines, if it is one's."""
    return next((preset for preset in PRESETS.values() if preset.rows(pieces) == rows), None)
