"""New text through a model that ``csr run`` has trained."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from csr.errors import ConfigError, DataError
from csr.experiments.kinds import read_config
from csr.experiments.stages import SENTENCEPIECE, stage_folder
from csr.files import PathLike
from csr.settings import hint
from csr.text.forms import normalized

if TYPE_CHECKING:
    from fairseq_plugins.outputs import Hypothesis

_LINES = 2000  # read at a time: sentences of like length are translated together


def translate(
    run: PathLike,
    lines: Iterable[str],
    arm: str | None = None,
    seed: int | None = None,
    beam: int | None = None,
    device: str | None = None,
) -> Iterator[list[Hypothesis]]:
    """Yield the translations of each line by a model of a run, best first; one for a line that shows nothing.

    The model is an arm's ``model.pt``, the checkpoint that counts. Lines are read as ``csr prepare`` reads them, so
    that the run's own test set gives the run's own outputs.

    Args:
        arm: CSR if it was trained, by default, else the last of the run's arms.
        seed: the first of the run's, by default.
        beam: how many translations are searched and yielded; the run's, by default.

    Raises:
        ConfigError: the run is no translation, or has no such arm or seed.
        DataError: the model is not there yet, or damaged.
    """
    run = Path(run)
    config = read_config(run / "config.yaml")
    if config.experiment != "translation":
        raise ConfigError(f"{run}: expected a run of translation, found {config.experiment}")
    arm = arm or ("csr" if "csr" in config.arms else config.arms[-1])
    seed = config.seeds[0] if seed is None else seed
    if arm not in config.arms:
        raise ConfigError(f"--arm: expected {' or '.join(config.arms)}, found {arm!r}{hint(arm, config.arms)}")
    if seed not in config.seeds:
        raise ConfigError(f"--seed: expected {' or '.join(map(str, config.seeds))}, found {seed}")
    checkpoint, pieces = run / stage_folder(arm, seed) / "model.pt", run / SENTENCEPIECE
    if not checkpoint.is_file():
        raise DataError(f"{checkpoint}: no such file; csr run makes it")

    from fairseq_plugins.models import read_model
    from fairseq_plugins.outputs import Hypothesis, hypotheses

    model, beam = read_model(checkpoint, run / "data/bin", pieces, device=device), beam or config.generate.beam
    lines = iter(lines)
    while block := list(map(normalized, itertools.islice(lines, _LINES))):
        texts = [line for line in block if line]
        found = iter(hypotheses(model, texts, config.data.source_lang, pieces, beam))
        for line in block:
            yield next(found) if line else [Hypothesis(0.0, "")]
