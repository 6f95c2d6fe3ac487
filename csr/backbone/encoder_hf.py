"""BERT encoders between Hugging Face folders and fairseq checkpoints.

fairseq's RoBERTa is ``XLMRobertaForMaskedLM`` weight by weight. BERT and DistilBERT count positions from 0 where
RoBERTa counts from 2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from csr.backbone.bert import BERT, XLM_ROBERTA
from csr.backbone.checkpoints import read_checkpoint, write_checkpoint, write_safetensors
from csr.backbone.encoder_vocabulary import ids_of, read_vocabulary
from csr.backbone.encoder_weights import our_weights, their_weights
from csr.backbone.estimate import Sizes
from csr.backbone.families import (
    EMBEDDING,
    HEAD_DENSE,
    MASK,
    OFFSET,
    OUTPUT,
    OUTPUT_BIAS,
    POSITIONS,
    EncoderFamily,
)
from csr.backbone.presets import CHECKPOINT, DICTIONARY, ENCODERS, unknown
from csr.backbone.saved_settings import model_settings, task_settings
from csr.backbone.tokenizer import aligned_pieces, unigram
from csr.data.labelled import tag_names
from csr.data.nli import LABELS
from csr.data.subwords import is_wordpiece, model_file, model_pieces, read_dictionary, write_dictionary
from csr.data.wordpiece import SYMBOLS, WordPiece
from csr.data.wordpiece import read as read_wordpiece
from csr.errors import ConfigError, DataError
from csr.files import PathLike, new_folder, read_json, read_object, write_json, write_whole

_EPSILON = 1e-5  # of fairseq's normalisation, unless told otherwise


@dataclass(frozen=True)
class Encoder:
    """An encoder that was read or written.

    Attributes:
        changes: what was left out of it, and what was made anew.
    """

    sizes: Sizes
    changes: tuple[str, ...] = ()

    def __str__(self) -> str:
        sizes = self.sizes
        return (
            f"an encoder, {sizes.layers} layers of {sizes.dim}, {sizes.vocabulary:,} dictionary entries, "
            f"{sizes.positions} positions"
        )


def is_encoder(folder: PathLike) -> bool:
    """Tell whether a Hugging Face folder holds a model for ``import_encoder``."""
    config = encoder_folder(folder) / "config.json"
    return config.is_file() and str(read_object(config).get("model_type")) in ENCODERS


def trained_encoder(checkpoint: PathLike) -> bool:
    """Tell whether a fairseq checkpoint holds a model for ``export_encoder``."""
    return EMBEDDING in read_checkpoint(checkpoint)["model"]


def labels_of(state: Mapping[str, Any]) -> Sequence[str]:
    """The labels of the head in a fairseq checkpoint, in its order; none of a model without such a head."""
    task = task_settings(state)
    if task.get("_name") == "csr_tagging":
        return tag_names(str(task.get("types")).split(","))
    if task.get("_name") == "csr_text":
        return str(task.get("labels")).split(",")
    return LABELS if task.get("_name") == "csr_sentence_pair" else ()


def encoder_folder(folder: PathLike) -> Path:
    """Where a sentence-transformers folder keeps its encoder, if it is one: itself, or a folder in it.

    Raises:
        DataError: it names a place outside of it.
    """
    folder = Path(folder)
    if (folder / "config.json").is_file() or not (folder / "modules.json").is_file():
        return folder
    modules = read_json(folder / "modules.json")
    for module in modules if isinstance(modules, list) else []:
        if isinstance(module, dict) and str(module.get("type")).endswith(".Transformer"):
            inside = folder / str(module.get("path", ""))
            if not inside.resolve().is_relative_to(folder.resolve()):
                raise DataError(f"{folder / 'modules.json'}: expected a folder inside it, found {module['path']}")
            return inside
    return folder


def import_encoder(folder: PathLike, out: PathLike) -> Encoder:
    """Write a Hugging Face or sentence-transformers folder of an encoder as a fairseq checkpoint.

    ``out`` gets ``model.pt`` for ``--arch csr_bert_*``, ``dict.txt``, and ``sentence.bpe.model`` or, of a WordPiece
    vocabulary, ``tokenizer.json``.

    Raises:
        DataError: a file is missing or damaged, or the model is another one.
    """
    folder, out = encoder_folder(folder), Path(out)
    path = folder / "config.json"
    config = read_object(path)
    family = ENCODERS.get(str(config.get("model_type")))
    if family is None:
        raise unknown(config, path)
    vocabulary = read_vocabulary(folder, config)
    sizes = _sizes(config, path, family, len(vocabulary.ids))
    weights, changes = our_weights(read_checkpoint(folder)["model"], family, sizes, vocabulary.ids, folder)
    write_dictionary(vocabulary.pieces, {}, out / DICTIONARY)
    with write_whole(out / vocabulary.file) as part:
        part.write_bytes(vocabulary.content)
    state = {
        "model": weights,
        "cfg": {"model": _model_settings(sizes, config, family), "task": {"_name": "csr_masked_lm"}},
        "optimizer_history": [{"num_updates": 0, "lr_scheduler_state": {}, "optimizer_name": "FairseqAdam"}],
        "extra_state": {"train_iterator": {"epoch": 1, "iterations_in_epoch": 0}},
    }
    write_checkpoint(state, out / CHECKPOINT)
    return Encoder(sizes, (*vocabulary.lost, *changes))


def export_encoder(
    checkpoint: PathLike,
    out: PathLike,
    dictionary: PathLike | None = None,
    sentencepiece_model: PathLike | None = None,
    layout: str | None = None,
) -> Encoder:
    """Write a fairseq checkpoint of an encoder as a Hugging Face folder: weights, configuration, tokenizer.

    One of csr_masked_lm predicts masked pieces; one that csr_tagging, csr_sentence_pair or csr_text fine-tuned labels
    tokens or texts there, too.

    Args:
        dictionary, sentencepiece_model: the model's; those beside the checkpoint if None, and where there are none,
            those it was trained with. The latter may be the ``tokenizer.json`` of a WordPiece vocabulary.
        layout: what it becomes, of ``ENCODERS``; BERT with WordPiece, XLM-R with SentencePiece if None.

    Raises:
        DataError: a file is missing or damaged, the files do not belong together, or the model is no BERT encoder.
        ConfigError: the folder is there already, or a WordPiece vocabulary is to become XLM-R's.
    """
    with new_folder(out) as part:
        return _export(Path(checkpoint), part, dictionary, sentencepiece_model, layout)


def _export(
    checkpoint: Path,
    out: Path,
    dictionary: PathLike | None,
    sentencepiece_model: PathLike | None,
    layout: str | None,
) -> Encoder:
    state = read_checkpoint(checkpoint)
    task, labels = task_settings(state), labels_of(state)
    beside = checkpoint.parent if (checkpoint.parent / DICTIONARY).is_file() or not labels else Path(task["data"])
    dictionary = dictionary or beside / DICTIONARY
    sentencepiece_model = Path(
        sentencepiece_model or (task["sentencepiece_model"] if labels else model_file(checkpoint.parent))
    )
    wordpiece = read_wordpiece(sentencepiece_model) if is_wordpiece(sentencepiece_model) else None
    family = ENCODERS[layout] if layout else BERT if wordpiece else XLM_ROBERTA
    if wordpiece and family is XLM_ROBERTA:
        raise ConfigError(f"--layout: expected bert, for WordPiece as in {sentencepiece_model}, found {layout}")
    pieces = model_pieces(wordpiece) if wordpiece else aligned_pieces(sentencepiece_model)
    if [piece for piece in read_dictionary(dictionary) if piece != MASK] != pieces:
        raise DataError(f"{dictionary}: expected the pieces of {sentencepiece_model} in its order, found others")
    weights, settings = state["model"], model_settings(state)
    if EMBEDDING not in weights or not (labels or OUTPUT in weights):
        raise DataError(f"{checkpoint}: expected a BERT encoder such as csr_masked_lm trains, found another model")
    epsilon = settings.get("layer_norm_eps", _EPSILON)
    if family.epsilon not in (None, epsilon):
        raise ConfigError(f"--layout: expected bert, for normalisation with {epsilon:g}, found {family.model_type}")
    pooled = f"{HEAD_DENSE}.weight" in weights
    if pooled and family.pooler is None:
        raise ConfigError(f"--layout: expected bert or xlm-roberta, for a head with tanh, found {family.model_type}")
    sizes = family.sizes(
        len(weights[EMBEDDING]),
        settings["encoder_layers"],
        settings["encoder_embed_dim"],
        settings["encoder_ffn_embed_dim"],
        settings["encoder_attention_heads"],
        len(weights[POSITIONS]) - OFFSET,
    )
    if sizes.vocabulary != len(pieces) + 5:
        raise DataError(
            f"{checkpoint}: expected embeddings of the {len(pieces):,} pieces of {dictionary}, 4 special symbols and "
            f"<mask>, found {sizes.vocabulary:,}"
        )
    if wordpiece:
        tokenizer = _bert_tokenizer(wordpiece, sizes.positions)
        rows = ids_of(wordpiece, pieces)
        ours = sorted(range(len(rows)), key=rows.__getitem__)
        weights = {**weights, **{name: weights[name][ours] for name in (EMBEDDING, OUTPUT_BIAS) if name in weights}}
    else:
        tokenizer = encoder_tokenizer(sentencepiece_model, sizes.positions)
    tokenizer.model_max_length = task.get("max_length") or sizes.positions
    tokenizer.save_pretrained(out)
    dtype = str(weights[EMBEDDING].dtype).removeprefix("torch.")
    symbols = {
        "bos_token_id": tokenizer.cls_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.sep_token_id,
    }
    config = _config(sizes, settings, family, dtype) | symbols
    if labels:
        kind = "SequenceClassification" if pooled else "TokenClassification"
        config["architectures"] = [family.model_class.replace("MaskedLM", kind)]
        config |= {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
    write_json(out / "config.json", config)
    write_safetensors(out, their_weights(weights, family, sizes))
    return Encoder(sizes)


def _bert_tokenizer(wordpiece: WordPiece, positions: int) -> Any:
    """The ``transformers`` tokenizer of a WordPiece vocabulary, with the rows that our models are trained on."""
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.processors import TemplateProcessing
    from transformers import BertTokenizerFast, PreTrainedTokenizerFast

    made = wordpiece.tokenizer
    symbols = [(symbol, made.token_to_id(symbol)) for symbol in ("[CLS]", "[SEP]")]
    made.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] [SEP] $B [SEP]", special_tokens=symbols
    )
    # All pieces are of the first sentence.
    settings = {"model_max_length": positions, "model_input_names": ["input_ids", "attention_mask"]}
    normalizer = made.normalizer
    if isinstance(normalizer, BertNormalizer):  # BertTokenizerFast would put its own defaults over it
        settings |= {"do_lower_case": normalizer.lowercase, "strip_accents": normalizer.strip_accents}
        settings["tokenize_chinese_chars"] = normalizer.handle_chinese_chars
        return BertTokenizerFast(tokenizer_object=made, **settings)
    names = ("cls_token", "pad_token", "sep_token", "unk_token", "mask_token")
    return PreTrainedTokenizerFast(tokenizer_object=made, **dict(zip(names, SYMBOLS, strict=True)), **settings)


def encoder_tokenizer(sentencepiece_model: PathLike, positions: int) -> Any:
    """The ``transformers`` tokenizer of an encoder: XLM-R's rows of one sentence and of two."""
    from tokenizers.processors import TemplateProcessing
    from transformers import XLMRobertaTokenizerFast

    tokenizer = unigram(sentencepiece_model, [MASK])
    tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return XLMRobertaTokenizerFast(
        vocab_file=str(sentencepiece_model), tokenizer_object=tokenizer, model_max_length=positions
    )


def _sizes(config: Mapping[str, Any], path: Path, family: EncoderFamily, n_symbols: int) -> Sizes:
    """The sizes that a configuration names, if fairseq's model can be like that."""
    expected: dict[str, tuple[Any, ...]] = {
        family.config["activation"]: ("gelu",),
        "position_embedding_type": ("absolute", None),
        "is_decoder": (False, None),
        "tie_word_embeddings": (True, None),
    }
    # What the library takes where a configuration is silent.
    given = {family.config["activation"]: "gelu", **config}
    if family.first_position:
        expected["pad_token_id"] = (1, None)  # positions are counted from it on
    for key, values in expected.items():
        if given.get(key) not in values:
            raise DataError(f"{path}: expected {key} to be {values[0]}, found {given.get(key)}")

    def number(key: str) -> int:
        value = config.get(key)
        if not isinstance(value, int) or value < 1:
            raise DataError(f"{path}: expected a number for {key}, found {value}")
        return value

    if (rows := number("vocab_size")) < n_symbols:
        raise DataError(f"{path}: expected a vocabulary of the {n_symbols:,} symbols of its tokenizer, found {rows:,}")
    sizes = {name: number(family.config[name]) for name in ("layers", "dim", "ffn", "heads")}
    return family.sizes(n_symbols, **sizes, positions=number("max_position_embeddings") - family.first_position)


def _model_settings(sizes: Sizes, config: Mapping[str, Any], family: EncoderFamily) -> dict[str, Any]:
    """The settings of fairseq's model."""
    return {
        "_name": "csr_bert_base",
        "arch": "csr_bert_base",
        "encoder_layers": sizes.layers,
        "encoder_embed_dim": sizes.dim,
        "encoder_ffn_embed_dim": sizes.ffn,
        "encoder_attention_heads": sizes.heads,
        "max_positions": sizes.positions,
        "activation_fn": "gelu",
        "layer_norm_eps": family.epsilon or config.get("layer_norm_eps", 1e-12),  # the library's own
        **{name: config.get(family.config[name], 0.1) for name in ("dropout", "attention_dropout")},
    }


def _config(sizes: Sizes, settings: Mapping[str, Any], family: EncoderFamily, dtype: str) -> dict[str, Any]:
    """The configuration that ``transformers`` reads."""
    ours = {
        "layers": sizes.layers,
        "dim": sizes.dim,
        "ffn": sizes.ffn,
        "heads": sizes.heads,
        "activation": settings.get("activation_fn", "gelu"),
        "dropout": settings.get("dropout", 0.1),
        "attention_dropout": settings.get("attention_dropout", 0.1),
    }
    return {
        "architectures": [family.model_class],
        "model_type": family.model_type,
        "vocab_size": sizes.vocabulary,
        **{family.config[name]: value for name, value in ours.items()},
        "max_position_embeddings": sizes.positions + family.first_position,
        "type_vocab_size": 1,
        "layer_norm_eps": settings.get("layer_norm_eps", _EPSILON),
        "position_embedding_type": "absolute",
        "tie_word_embeddings": True,
        "torch_dtype": dtype,
    }
