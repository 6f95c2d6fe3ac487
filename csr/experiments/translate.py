"""New text through a model that ``csr run`` has trained or ``csr export-hf`` has written."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from csr.backbone.generation import Hypothesis, hypotheses, is_exported, load
from csr.experiments.trained import expect_run, trained
from csr.files import PathLike
from csr.text.forms import normalized

_LINES = 2000  # read at a time: sentences of like length are translated together
_BEAM = 5  # of a folder that names none


def translate(
    folder: PathLike,
    lines: Iterable[str],
    arm: str | None = None,
    seed: int | None = None,
    beam: int | None = None,
    device: str | None = None,
) -> Iterator[list[Hypothesis]]:
    """Yield the translations of each line by a model, best first; one for a line that shows nothing.

    Lines are read as ``csr prepare`` reads them, so that a run's own test set gives the run's own outputs.

    Args:
        folder: of ``csr run``, or one of Hugging Face, which names its languages.
        arm, seed: which model of a run, as in ``trained``.
        beam: how many translations are searched and yielded; the run's or the folder's, by default.

    Raises:
        ConfigError: the run is no translation, or has no such arm or seed; or an exported folder is asked for one.
        DataError: the model is not there yet, or damaged.
    """
    if is_exported(folder):
        expect_run(folder, arm=arm, seed=seed)
        search = _exported(folder, beam, device)
    else:
        search = _of_run(folder, arm, seed, beam, device)
    lines = iter(lines)
    while block := list(map(normalized, itertools.islice(lines, _LINES))):
        found = iter(search([line for line in block if line]))
        for line in block:
            yield next(found) if line else [Hypothesis(0.0, "")]


def _exported(
    folder: PathLike, beam: int | None, device: str | None
) -> Callable[[Sequence[str]], list[list[Hypothesis]]]:
    tokenizer, model = load(folder, "AutoModelForSeq2SeqLM", device)
    return partial(hypotheses, tokenizer, model, beam=beam or max(model.generation_config.num_beams or 1, _BEAM))


def _of_run(
    folder: PathLike, arm: str | None, seed: int | None, beam: int | None, device: str | None
) -> Callable[[Sequence[str]], list[list[Hypothesis]]]:
    from fairseq_plugins import models, outputs

    found = trained(Path(folder), ["translation"], arm, seed)
    model = models.read_model(found.checkpoint, found.data, found.pieces, device=device)
    language, beam = found.config.data.source_lang, beam or found.config.generate.beam
    return lambda lines: outputs.hypotheses(model, lines, language, found.pieces, beam)
