"""``csr domain``: the domains of pretraining and downstream text as a picture."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from csr.commands.options import named
from csr.errors import ConfigError
from csr.files import write_json, write_text

if TYPE_CHECKING:
    import numpy as np

    Reader = Callable[[Sequence[str], str], np.ndarray]


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``csr domain``."""
    parser = subparsers.add_parser(
        "domain",
        description="Draw sentence features by t-SNE, an ellipse of two standard deviations for each language of the "
        "pretraining text, dots for the downstream text (Zan et al., Figure 1). Writes domain.json, which csr report "
        "shows for a run folder, and domain.svg.",
    )
    add = parser.add_argument
    add("--pretraining", required=True, nargs="+", metavar="LANG=FILE", help="text such as that of pretraining")
    add("--downstream", required=True, nargs="+", metavar="LANG=FILE", help="text of the task")
    add("--checkpoint", metavar="FILE", help="features: mean encoder output of a model of csr_restore, csr_translation")
    add("--sentencepiece-model", metavar="FILE", help="the checkpoint's SentencePiece model")
    add("--hugging-face", metavar="DIR", help="features: mean output of this encoder, such as XLM-R, in place of those")
    add("--sentences", type=int, default=500, metavar="N", help="at most so many of each file (default: %(default)s)")
    add("--seed", type=int, default=1, help="of the sentences drawn and of t-SNE (default: %(default)s)")
    add("--out", required=True, type=Path, metavar="DIR", help="folder for domain.json and domain.svg, such as RUN")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Write the picture as data and as SVG."""
    from csr.analysis.domain import picture, sample
    from csr.report.plots import domain, standalone

    read, features = _reader(arguments)
    names, groups = [], []
    for corpus in ("pretraining", "downstream"):
        for text in getattr(arguments, corpus):
            language, path = named(f"--{corpus}", text)
            names.append((corpus, language))
            groups.append(read(sample(path, arguments.sentences, arguments.seed), language))
    drawn = picture(names, groups, features, arguments.seed)
    write_json(arguments.out / "domain.json", drawn)
    with write_text(arguments.out / "domain.svg") as stream:
        stream.write(standalone(domain(drawn)))


def _reader(arguments: argparse.Namespace) -> tuple[Reader, str]:
    """A function from lines of a language to vectors, and the name of the vectors."""
    ours = (arguments.checkpoint, arguments.sentencepiece_model)
    if all(ours) == bool(arguments.hugging_face) or any(ours) != all(ours):
        raise ConfigError("expected --checkpoint with --sentencepiece-model, or --hugging-face")
    if arguments.hugging_face:
        from csr.analysis.domain import hugging_face_vectors

        name = Path(arguments.hugging_face).resolve().name
        return lambda lines, language: hugging_face_vectors(arguments.hugging_face, lines), f"{name}, mean output"
    from csr.analysis.features import FEATURES
    from fairseq_plugins.models import read_model
    from fairseq_plugins.representations import vectors

    model, pieces = read_model(arguments.checkpoint, None, arguments.sentencepiece_model), arguments.sentencepiece_model
    return (
        lambda lines, language: vectors(model, model.text_side(lines, language, pieces), ["encoder"])["encoder"],
        FEATURES["encoder"],
    )
