"""``csr distance``: how far apart checkpoints keep their two languages."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from csr.analysis.features import FEATURES
from csr.errors import ConfigError
from csr.files import read_parallel, write_json, write_text

if TYPE_CHECKING:
    from fairseq_plugins.models import Languages


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``csr distance``."""
    parser = subparsers.add_parser(
        "distance",
        description="Compare vectors of parallel sentences (Zan et al., Eq. 5) by several definitions of distance, "
        "each under its own name, with the share of D^2 that is one offset between the languages.",
    )
    add = parser.add_argument
    add(
        "--checkpoint",
        required=True,
        nargs="+",
        metavar="[NAME=]FILE",
        help="models trained by csr_restore or csr_translation; others with --langs",
    )
    add("--data", metavar="DIR", help="folder made by fairseq-preprocess")
    add("--split", default="test", help="split of the data (default: %(default)s)")
    add(
        "--text", nargs=2, metavar=("SRC", "TGT"), help="parallel text in place of the split; needs the model to cut it"
    )
    add("--sentencepiece-model", metavar="FILE", help="SentencePiece model of the checkpoints, for --text")
    add("--sentences", type=int, default=20_000, metavar="N", help="at most so many pairs (default: %(default)s)")
    add(
        "--features",
        nargs="+",
        choices=FEATURES,
        metavar="NAME",
        help="; ".join(f"{name}: {text}" for name, text in FEATURES.items())
        + " (default: last_piece, and eos where the model's decoder reads it)",
    )
    add("--layer", type=int, metavar="N", help="0: embeddings, N: after layer N (default: the last)")
    add("--max-tokens", type=int, metavar="N", help="pieces in a batch (default: 1024 on a CPU, 8192 on a GPU)")
    add("--device", choices=("cpu", "cuda"), help="(default: cuda if there is one)")
    add("--source-lang", help="source language of a model that another task trained, such as de_DE")
    add("--target-lang", help="its target language, such as en_XX")
    add("--langs", metavar="A,B,...", help="all languages of its pretraining in their order")
    add("--table", action="store_true", help="print a table; the JSON is then only written with --out")
    add("--out", metavar="FILE", help="where to write the JSON (default: stdout)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Write the distances of one model, or of several by name, as JSON; print them as a table on request."""
    from csr.report.tables import distance_table

    if bool(arguments.text) != bool(arguments.sentencepiece_model):
        raise ConfigError("--text and --sentencepiece-model go together: expected both or none, found one")
    named = [_named(text) for text in arguments.checkpoint]
    found = [(name, _distances(arguments, checkpoint)) for name, checkpoint in named]
    if arguments.table:
        with write_text("-") as stream:
            for feature in FEATURES:
                rows = [(name, measured) for name, measured in found if feature in measured]
                if rows:
                    stream.write(distance_table(rows, feature, arguments.layer).markdown() + "\n")
    if arguments.out or not arguments.table:
        several = [{"model": name, **measured} for name, measured in found]
        write_json(arguments.out or "-", several if len(found) > 1 else found[0][1])


def _named(text: str) -> tuple[str, str]:
    name, equals, checkpoint = text.partition("=")
    return (name, checkpoint) if equals and "/" not in name else (text, text)


def _distances(arguments: argparse.Namespace, checkpoint: str) -> dict[str, Any]:
    from csr.analysis.distance import distances
    from fairseq_plugins.models import read_model
    from fairseq_plugins.representations import decoder_features, split_vectors, text_vectors

    model = read_model(
        checkpoint, arguments.data, arguments.sentencepiece_model, _languages(arguments), arguments.device
    )
    features = arguments.features or decoder_features(model)
    limits = (features, arguments.sentences, arguments.max_tokens, arguments.layer)
    if arguments.text:
        source, target = zip(*read_parallel(*arguments.text), strict=True)
        vectors = text_vectors(model, source, target, arguments.sentencepiece_model, *limits)
    else:
        vectors = split_vectors(model, arguments.split, *limits)
    measured = {feature: distances(*pair) for feature, pair in vectors.items()}
    return {"layer": arguments.layer, **measured}


def _languages(arguments: argparse.Namespace) -> Languages | None:
    from fairseq_plugins.models import Languages

    given = (arguments.source_lang, arguments.target_lang, arguments.langs)
    if not any(given):
        return None
    if not all(given):
        raise ConfigError("--source-lang, --target-lang and --langs go together: expected all or none")
    return Languages(arguments.source_lang, arguments.target_lang, tuple(arguments.langs.split(",")))
