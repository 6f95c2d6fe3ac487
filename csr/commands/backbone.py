"""``csr import-hf`` and ``csr export-hf``: backbones from and for the Hugging Face library."""

from __future__ import annotations

import argparse
from pathlib import Path

from csr.backbone.presets import ENCODERS
from csr.commands.options import positive
from csr.errors import ConfigError
from csr.files import write_folder


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``csr import-hf`` and ``csr export-hf``."""
    _register_import(subparsers.add_parser("import-hf"))
    _register_export(subparsers.add_parser("export-hf"))


def _register_import(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Convert mBART-cc25, mBART-50, or an encoder: XLM-R, BERT, DistilBERT, with or without heads, also of "
        "sentence-transformers; published or trimmed, safetensors or .bin, whole or in parts. OUT gets model.pt, "
        "dict.txt and sentence.bpe.model (tokenizer.json of WordPiece): what backbone.folder of csr run takes, or, of "
        "encoders, what csr_masked_lm and csr zero-shot start from. What is left out or made anew is said. Nothing is "
        "downloaded."
    )
    parser.add_argument("folder", metavar="FOLDER", help="with config.json, weights and the tokenizer's file")
    parser.add_argument("out", metavar="OUT", help="folder to write")
    group = parser.add_argument_group("a sequence-to-sequence model of an encoder (Rothe, Narayan and Severyn 2020)")
    group.add_argument(
        "--decoder-layers",
        type=positive,
        metavar="N",
        help="give the encoder a decoder whose N layers begin as layers of the encoder, evenly apart: what "
        "backbone.folder with backbone.family encoder takes. FOLDER may be one of csr import-hf or csr trim, too",
    )
    group.add_argument("--langs", metavar="CODE,...", help="its languages, such as en,xh; each gets an id")
    parser.set_defaults(run=import_hf)


def _register_export(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Convert a model of csr run, or a fairseq checkpoint: of mBART-cc25 or mBART-50, published or trimmed, trained "
        "or not, of a small mBART that was trained here, or of an encoder. OUT gets model.safetensors, config.json, "
        "generation_config.json of mBART, and the tokenizer: AutoModelForSeq2SeqLM, AutoModelForMaskedLM or the one "
        "of its labels and AutoTokenizer load it, and so do csr translate and csr classify. Of a run it gets a model "
        "card, README.md, too."
    )
    add = parser.add_argument
    add("checkpoint", metavar="RUN", help="folder of csr run, or a fairseq checkpoint")
    add("out", metavar="OUT", help="folder to write; must not hold files")
    add("--dict", metavar="FILE", help="the model's dictionary (default: dict.txt beside the checkpoint)")
    add(
        "--sentencepiece-model",
        metavar="FILE",
        help="the model's SentencePiece model, or tokenizer.json of WordPiece (default: the one beside the checkpoint)",
    )
    group = parser.add_argument_group("of a run")
    group.add_argument("--arm", metavar="NAME", help="which model (default: csr, or the last of the run's arms)")
    group.add_argument("--seed", type=int, metavar="N", help="of which training (default: the first)")
    group.add_argument("--license", metavar="NAME", help="of the weights, for the model card, such as cc-by-4.0")
    add("--source-lang", metavar="CODE", help="language to translate from (default: the one it was trained on)")
    add("--target-lang", metavar="CODE", help="language to translate into (default: the one it was trained on)")
    add(
        "--layout",
        choices=tuple(ENCODERS),
        help="what an encoder of csr_masked_lm becomes: the class that it names, ForMaskedLM (default: bert with "
        "WordPiece, xlm-roberta with SentencePiece)",
    )
    parser.set_defaults(run=export_hf)


def import_hf(arguments: argparse.Namespace) -> None:
    """Convert a Hugging Face folder."""
    from csr.backbone.encoder_hf import import_encoder, is_encoder
    from csr.backbone.huggingface import import_folder
    from csr.backbone.presets import CHECKPOINT
    from csr.backbone.seq2seq import import_seq2seq

    changes: tuple[str, ...] = ()
    if bool(arguments.decoder_layers) != bool(arguments.langs):
        raise ConfigError("--decoder-layers: expected with --langs, found one of them")
    with write_folder(arguments.out, CHECKPOINT) as part:
        if arguments.decoder_layers:
            languages = arguments.langs.split(",")
            made = import_seq2seq(arguments.folder, part, languages, arguments.decoder_layers)
            found, changes = str(made), made.changes
        elif is_encoder(arguments.folder):
            encoder = import_encoder(arguments.folder, part)
            found, changes = str(encoder), encoder.changes
        else:
            preset, sizes = import_folder(arguments.folder, part)
            found = f"{preset.title} (preset {preset.name}), {sizes}"
    print("\n".join([f"{arguments.out}: {found}", *changes]))


def export_hf(arguments: argparse.Namespace) -> None:
    """Convert a fairseq checkpoint."""
    from csr.backbone.encoder_hf import export_encoder, trained_encoder
    from csr.backbone.huggingface import export_checkpoint

    checkpoint, dictionary, pieces, card = arguments.checkpoint, arguments.dict, arguments.sentencepiece_model, None
    if Path(checkpoint, "config.yaml").is_file():
        from csr.experiments.card import model_card
        from csr.experiments.trained import trained

        model = trained(checkpoint, ["translation", "summarization", "nli"], arguments.arm, arguments.seed)
        checkpoint, card, data = model.checkpoint, model_card(model, arguments.license), model.config.data
        language = data.lang if model.config.experiment == "nli" else data.source_lang
        dictionary = dictionary or model.data / f"dict.{language}.txt"
        pieces = pieces or model.pieces
    elif given := [name for name in ("arm", "seed", "license") if getattr(arguments, name) is not None]:
        raise ConfigError(f"--{given[0]}: expected with a folder of csr run, found {checkpoint}")
    if trained_encoder(checkpoint):
        print(f"{arguments.out}: {export_encoder(checkpoint, arguments.out, dictionary, pieces, arguments.layout)}")
        return
    languages = arguments.source_lang, arguments.target_lang
    preset, sizes = export_checkpoint(checkpoint, arguments.out, dictionary, pieces, languages, card)
    print(f"{arguments.out}: {preset.title}, {sizes}")
