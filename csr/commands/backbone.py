"""``csr import-hf`` and ``csr export-hf``: backbones from and for the Hugging Face library."""

from __future__ import annotations

import argparse


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``csr import-hf`` and ``csr export-hf``."""
    _register_import(subparsers.add_parser("import-hf", help="make a backbone of a Hugging Face mBART folder"))
    _register_export(subparsers.add_parser("export-hf", help="make a Hugging Face folder of a trained mBART"))


def _register_import(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Convert mBART-cc25 or mBART-50, published or trimmed, safetensors or .bin, in one file or several. OUT gets "
        "model.pt, dict.txt and sentence.bpe.model, what backbone.folder of csr run takes. Nothing is downloaded."
    )
    parser.add_argument("folder", metavar="FOLDER", help="with config.json, weights and sentencepiece.bpe.model")
    parser.add_argument("out", metavar="OUT", help="folder to write")
    parser.set_defaults(run=import_hf)


def _register_export(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Convert a fairseq checkpoint of mBART-cc25 or mBART-50, published or trimmed, trained or not. OUT gets "
        "model.safetensors, config.json, generation_config.json and the tokenizer: AutoModelForSeq2SeqLM and "
        "AutoTokenizer load it."
    )
    add = parser.add_argument
    add("checkpoint", metavar="CHECKPOINT", help="fairseq checkpoint")
    add("out", metavar="OUT", help="folder to write; must not hold files")
    add("--dict", metavar="FILE", help="the model's dictionary (default: dict.txt beside the checkpoint)")
    add(
        "--sentencepiece-model",
        metavar="FILE",
        help="the model's SentencePiece model (default: sentence.bpe.model beside the checkpoint)",
    )
    add("--source-lang", metavar="CODE", help="language to translate from (default: the one it was trained on)")
    add("--target-lang", metavar="CODE", help="language to translate into (default: the one it was trained on)")
    parser.set_defaults(run=export_hf)


def import_hf(arguments: argparse.Namespace) -> None:
    """Convert a Hugging Face folder."""
    from csr.backbone.huggingface import import_folder

    preset, sizes = import_folder(arguments.folder, arguments.out)
    print(f"{arguments.out}: {preset.title} (preset {preset.name}), {sizes}")


def export_hf(arguments: argparse.Namespace) -> None:
    """Convert a fairseq checkpoint."""
    from csr.backbone.huggingface import export_checkpoint

    languages = arguments.source_lang, arguments.target_lang
    preset, sizes = export_checkpoint(
        arguments.checkpoint, arguments.out, arguments.dict, arguments.sentencepiece_model, languages
    )
    print(f"{arguments.out}: {preset.title}, {sizes}")
