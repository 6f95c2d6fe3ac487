"""A model that ``csr run`` has trained, found in its run folder by arm and seed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from csr.errors import ConfigError, DataError
from csr.experiments.kinds import read_config
from csr.experiments.stages import SENTENCEPIECE, UNTRAINED, stage_folder
from csr.files import PathLike
from csr.settings import hint


@dataclass(frozen=True)
class Trained:
    """A finished arm: its ``model.pt`` is the checkpoint that counts."""

    run: Path
    config: Any
    arm: str
    seed: int

    @property
    def folder(self) -> Path:
        """Its files."""
        return self.run / stage_folder(self.arm, self.seed)

    @property
    def checkpoint(self) -> Path:
        """The model."""
        return self.folder / "model.pt"

    @property
    def pieces(self) -> Path:
        """Its SentencePiece model."""
        return self.run / SENTENCEPIECE

    @property
    def data(self) -> Path:
        """The binarised text, with its dictionary."""
        return self.run / "data/bin"


def expect_run(folder: PathLike, **options: object) -> None:
    """Raise ConfigError for an option that says which model of a run, of a folder that is none."""
    for name, value in options.items():
        if value is not None:
            raise ConfigError(f"--{name}: expected with a folder of csr run, found {folder}, which holds one model")


def trained(run: PathLike, kinds: Collection[str], arm: str | None = None, seed: int | None = None) -> Trained:
    """An arm of a run of one of these kinds of experiment.

    Args:
        arm: CSR if it was trained, by default, else the last of the run's arms that have a model.
        seed: the first of the run's, by default.

    Raises:
        ConfigError: the run is of another kind, or has no such arm or seed.
        DataError: the model is not there yet.
    """
    run = Path(run)
    config = read_config(run / "config.yaml")
    if config.experiment not in kinds:
        raise ConfigError(f"{run}: expected a run of {' or '.join(kinds)}, found {config.experiment}")
    arms = [name for name in config.arms if name not in UNTRAINED]
    arm = arm or ("csr" if "csr" in arms or not arms else arms[-1])
    seed = config.seeds[0] if seed is None else seed
    if arm not in arms:
        raise ConfigError(
            f"--arm: expected {' or '.join(arms) or 'an arm with a model'}, found {arm!r}{hint(arm, arms)}"
        )
    if seed not in config.seeds:
        raise ConfigError(f"--seed: expected {' or '.join(map(str, config.seeds))}, found {seed}")
    found = Trained(run, config, arm, seed)
    if not found.checkpoint.is_file():
        raise DataError(f"{found.checkpoint}: no such file; csr run makes it")
    return found
