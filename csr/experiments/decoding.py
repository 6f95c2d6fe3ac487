"""Beam search over a text of a run with a stage's model: by CTranslate2 where it can be, else by fairseq-generate."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path

from csr.experiments.stages import SENTENCEPIECE, stage_folder
from csr.files import read_lines, write_text
from csr.running import fairseq


def decode(
    command: Sequence[str],
    stage: str,
    seed: int,
    run: Path,
    text: Path,
    language: str,
    beam: int,
    threads: int,
    out: str = "test.hyp",
) -> None:
    """Write the translation of each line of a text in a language to the file ``out`` in a stage's folder.

    ``generate.log`` says what searched: on a processor, with a model whose layers it has, CTranslate2, and else the
    ``command``, fairseq-generate's, on the same text. An output has at most twice the pieces of the longest source of
    its batch and ten, a runaway repetition that is cut off at another length with each of the two.

    Raises:
        DataError: the model is missing, or fairseq rejects an input.
        StepError: fairseq fails otherwise or leaves out a sentence.
    """
    folder, lines = stage_folder(stage, seed), list(read_lines(run / text))
    model = run / folder / "model.pt"
    if not (model.is_file() and _by_ctranslate(model, run, folder / out, lines, language, beam, threads)):
        fairseq.generate(command, folder, len(lines), run, threads, out)


def _by_ctranslate(
    model: Path, run: Path, out: Path, lines: Sequence[str], language: str, beam: int, threads: int
) -> bool:
    """Translate by CTranslate2, if it is installed and has the model's layers; whether it has been done."""
    import torch

    from fairseq_plugins import ctranslate, outputs
    from fairseq_plugins.models import read_model

    if not ctranslate.installed() or torch.cuda.is_available():  # fairseq takes the card, and reads the model itself
        return False
    torch.set_num_threads(threads)
    read = read_model(model, run / "data/bin", run / SENTENCEPIECE)
    if not ctranslate.usable(read):
        return False
    found = outputs.translate(read, lines, language, run / SENTENCEPIECE, beam)
    with write_text(run / out.parent / "generate.log") as log:
        log.write(f"ctranslate2 {importlib.metadata.version('ctranslate2')}\n")
    with write_text(run / out) as stream:
        stream.writelines(f"{line}\n" for line in found)
    return True
