"""BERT encoders between Hugging Face folders and fairseq checkpoints: the same numbers under other names.

fairseq's RoBERTa is ``XLMRobertaForMaskedLM`` weight by weight. ``BertForMaskedLM`` counts positions from 0 where
RoBERTa counts from 2, and says of each piece which sentence it is of, which ours do not tell apart.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from csr.backbone.bert import BERT
from csr.backbone.checkpoints import read_checkpoint, write_checkpoint, write_safetensors
from csr.backbone.families import (
    EMBEDDING,
    ENCODER,
    MASK,
    OFFSET,
    OUTPUT,
    OUTPUT_BIAS,
    POSITIONS,
    SPECIAL,
    EncoderFamily,
)
from csr.backbone.presets import CHECKPOINT, DICTIONARY, ENCODERS, SENTENCEPIECE
from csr.backbone.saved_settings import model_settings
from csr.backbone.tokenizer import MODEL_FILE, aligned_pieces, unigram
from csr.data.subwords import WORDPIECE, is_wordpiece, model_file, model_pieces, read_dictionary, write_dictionary
from csr.data.wordpiece import WordPiece, read_vocabulary
from csr.data.wordpiece import read as read_wordpiece
from csr.errors import ConfigError, DataError
from csr.files import PathLike, new_folder, read_object, write_json, write_whole

if TYPE_CHECKING:
    import torch

Weights = Mapping[str, "torch.Tensor"]
_EPSILON = 1e-5  # of fairseq's normalisation, unless told otherwise


@dataclass(frozen=True)
class Sizes:
    """The sizes of an encoder."""

    vocabulary: int
    layers: int
    dim: int
    ffn: int
    heads: int
    positions: int

    def __str__(self) -> str:
        return f"{self.layers} layers of {self.dim}, {self.vocabulary:,} dictionary entries, {self.positions} positions"


def is_encoder(folder: PathLike) -> bool:
    """Tell whether a Hugging Face folder holds a model for ``import_encoder``."""
    config = Path(folder) / "config.json"
    return config.is_file() and str(read_object(config).get("model_type")) in ENCODERS


def trained_encoder(checkpoint: PathLike) -> bool:
    """Tell whether a fairseq checkpoint holds a model for ``export_encoder``."""
    return EMBEDDING in read_checkpoint(checkpoint)["model"]


def import_encoder(folder: PathLike, out: PathLike) -> Sizes:
    """Write a Hugging Face folder of XLM-R or a BERT as a fairseq checkpoint.

    ``out`` gets ``model.pt`` for ``--arch csr_bert_*``, ``dict.txt``, and ``sentence.bpe.model`` or, of a WordPiece
    vocabulary, ``tokenizer.json``.

    Raises:
        DataError: a file is missing or damaged, or the model is another one.
    """
    folder, out = Path(folder), Path(out)
    path = folder / "config.json"
    config = read_object(path)
    family = ENCODERS.get(str(config.get("model_type")))
    if family is None:
        raise DataError(f"{path}: expected model_type {' or '.join(ENCODERS)}, found {config.get('model_type')}")
    wordpiece = None if (folder / MODEL_FILE).is_file() else _wordpiece(folder, family)
    pieces = model_pieces(wordpiece) if wordpiece else aligned_pieces(folder / MODEL_FILE)
    sizes = _sizes(config, path, family, wordpiece)
    if sizes.vocabulary != len(pieces) + 5:
        raise DataError(
            f"{path}: expected a vocabulary of the {len(pieces):,} pieces of its tokenizer, 4 special symbols and "
            f"<mask>, found {sizes.vocabulary:,}"
        )
    weights = _our_weights(read_checkpoint(folder)["model"], sizes, family, folder)
    if wordpiece:
        rows = _rows(wordpiece, pieces)
        weights |= {name: weights[name][rows] for name in (EMBEDDING, OUTPUT_BIAS)}
        weights[OUTPUT] = weights[EMBEDDING]
    write_dictionary(pieces, {}, out / DICTIONARY)
    with write_whole(out / (WORDPIECE if wordpiece else SENTENCEPIECE)) as part:
        if wordpiece:
            wordpiece.tokenizer.save(str(part))
        else:
            shutil.copyfile(folder / MODEL_FILE, part)
    state = {
        "model": weights,
        "cfg": {"model": _model_settings(sizes, config), "task": {"_name": "csr_masked_lm"}},
        "optimizer_history": [{"num_updates": 0, "lr_scheduler_state": {}, "optimizer_name": "FairseqAdam"}],
        "extra_state": {"train_iterator": {"epoch": 1, "iterations_in_epoch": 0}},
    }
    write_checkpoint(state, out / CHECKPOINT)
    return sizes


def export_encoder(
    checkpoint: PathLike,
    out: PathLike,
    dictionary: PathLike | None = None,
    sentencepiece_model: PathLike | None = None,
    layout: str = "xlm-roberta",
) -> Sizes:
    """Write a fairseq checkpoint of csr_masked_lm as a Hugging Face folder: weights, configuration, tokenizer.

    Args:
        dictionary, sentencepiece_model: the model's; those beside the checkpoint if None. The latter may be the
            ``tokenizer.json`` of a WordPiece vocabulary, and the layout is then BERT's.
        layout: what it becomes, of ``ENCODERS``.

    Raises:
        DataError: a file is missing or damaged, the files do not belong together, or the model is no BERT encoder.
        ConfigError: the folder is there already, or a WordPiece vocabulary is to become XLM-R's.
    """
    with new_folder(out) as part:
        return _export(Path(checkpoint), part, dictionary, sentencepiece_model, ENCODERS[layout])


def _export(
    checkpoint: Path,
    out: Path,
    dictionary: PathLike | None,
    sentencepiece_model: PathLike | None,
    family: EncoderFamily,
) -> Sizes:
    dictionary = dictionary or checkpoint.parent / DICTIONARY
    sentencepiece_model = Path(sentencepiece_model or model_file(checkpoint.parent))
    wordpiece = read_wordpiece(sentencepiece_model) if is_wordpiece(sentencepiece_model) else None
    if wordpiece and family is not BERT:
        found = f"WordPiece as in {sentencepiece_model}, found {family.model_type}"
        raise ConfigError(f"--layout: expected {BERT.model_type}, for {found}")
    pieces = model_pieces(wordpiece) if wordpiece else aligned_pieces(sentencepiece_model)
    if [piece for piece in read_dictionary(dictionary) if piece != MASK] != pieces:
        raise DataError(f"{dictionary}: expected the pieces of {sentencepiece_model} in its order, found others")
    state = read_checkpoint(checkpoint)
    weights, settings = state["model"], model_settings(state)
    if EMBEDDING not in weights or OUTPUT not in weights:
        raise DataError(f"{checkpoint}: expected a BERT encoder such as csr_masked_lm trains, found another model")
    sizes = Sizes(
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
        rows = _rows(wordpiece, pieces)
        ours = sorted(range(len(rows)), key=rows.__getitem__)
        weights = {**weights, **{name: weights[name][ours] for name in (EMBEDDING, OUTPUT_BIAS)}}
    else:
        tokenizer = encoder_tokenizer(sentencepiece_model, sizes.positions)
    tokenizer.save_pretrained(out)
    dtype = str(weights[EMBEDDING].dtype).removeprefix("torch.")
    symbols = {
        "bos_token_id": tokenizer.cls_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.sep_token_id,
    }
    write_json(out / "config.json", _config(sizes, settings, family, dtype) | symbols)
    write_safetensors(out, _their_weights(weights, sizes, family))
    return sizes


def _wordpiece(folder: Path, family: EncoderFamily) -> WordPiece:
    """Return the WordPiece vocabulary of a folder; where there is ``vocab.txt`` alone, in lower case if none says."""
    if family is not BERT:
        raise DataError(f"{folder}: expected the SentencePiece model {MODEL_FILE}, found no such file")
    if (folder / WORDPIECE).is_file():
        return read_wordpiece(folder / WORDPIECE)
    if not (folder / "vocab.txt").is_file():
        raise DataError(f"{folder}: expected tokenizer.json, vocab.txt or {MODEL_FILE}, found none of them")
    said = folder / "tokenizer_config.json"
    lowercase = (read_object(said) if said.is_file() else {}).get("do_lower_case", True)
    return read_vocabulary(folder / "vocab.txt", lowercase)


def _rows(wordpiece: WordPiece, pieces: Sequence[str]) -> list[int]:
    """Return the id in a WordPiece vocabulary of each symbol of ours."""
    ids = {wordpiece.id_to_piece(i): i for i in range(len(wordpiece))}
    return [ids[symbol] for symbol in (*SPECIAL, *pieces, MASK)]


def _bert_tokenizer(wordpiece: WordPiece, positions: int) -> Any:
    """Return the ``transformers`` tokenizer of a WordPiece vocabulary, with the rows that our models are trained on."""
    from tokenizers.processors import TemplateProcessing
    from transformers import BertTokenizerFast

    made = wordpiece.tokenizer
    symbols = [(symbol, made.token_to_id(symbol)) for symbol in ("[CLS]", "[SEP]")]
    made.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] [SEP] $B [SEP]", special_tokens=symbols
    )
    lowercase = made.normalizer.lowercase
    names = ["input_ids", "attention_mask"]  # all pieces are of the first sentence
    return BertTokenizerFast(
        tokenizer_object=made, do_lower_case=lowercase, strip_accents=made.normalizer.strip_accents,
        model_max_length=positions, model_input_names=names,
    )  # fmt: skip


def encoder_tokenizer(sentencepiece_model: PathLike, positions: int) -> Any:
    """Return the ``transformers`` tokenizer of an encoder: XLM-R's rows of one sentence and of two."""
    from tokenizers.processors import TemplateProcessing
    from transformers import XLMRobertaTokenizerFast

    tokenizer = unigram(sentencepiece_model, [MASK])
    tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return XLMRobertaTokenizerFast(
        vocab_file=str(sentencepiece_model), tokenizer_object=tokenizer, model_max_length=positions
    )


def _their_weights(weights: Weights, sizes: Sizes, family: EncoderFamily) -> dict[str, torch.Tensor]:
    theirs = {name: weights[ours] for ours, name in family.names(sizes.layers).items()}
    positions = weights[POSITIONS]
    theirs[family.embedding("position")] = positions[OFFSET - family.first_position :]
    theirs[family.embedding("token_type")] = positions.new_zeros(1, sizes.dim)
    return theirs


def _our_weights(weights: Weights, sizes: Sizes, family: EncoderFamily, folder: Path) -> dict[str, torch.Tensor]:
    """Return the weights of a Hugging Face model by fairseq's names.

    Raises:
        DataError: a weight is missing or of another size, the output is not tied to the embedding, or fairseq's model
            has no place for a weight.
    """
    import torch

    names = family.names(sizes.layers)
    placed = {*names.values(), family.embedding("position"), family.embedding("token_type")}
    for name in placed:
        if name not in weights:
            raise DataError(f"{folder}: expected a weight {name}, found none")
    # The pooler and the prediction of the next sentence have no part in masked pieces.
    tied = {f"{family.output}.weight": names[EMBEDDING], f"{family.output}.bias": family.bias}
    ignored = (f"{family.stem}.embeddings.position_ids", f"{family.stem}.pooler.", "cls.seq_relationship.")
    for name in weights.keys() - placed:
        if name in tied and torch.equal(weights[name], weights[tied[name]]):
            continue
        if not name.startswith(ignored):
            raise DataError(f"{folder}: expected {family.model_class} with tied output, found a weight {name}")
    ours = {name: weights[given] for name, given in names.items()}
    # All pieces are of the first sentence: what is added to each is added to its position.
    positions = weights[family.embedding("position")] + weights[family.embedding("token_type")][0]
    positions = torch.cat([positions.new_zeros(OFFSET - family.first_position, sizes.dim), positions])
    ours |= {POSITIONS: positions, OUTPUT: ours[EMBEDDING], f"{ENCODER}.version": torch.tensor([3.0])}
    expected = {EMBEDDING: (sizes.vocabulary, sizes.dim), POSITIONS: (sizes.positions + OFFSET, sizes.dim)}
    for name, shape in expected.items():
        if tuple(ours[name].shape) != shape:
            raise DataError(f"{folder}: expected {name} of {shape}, found one of {tuple(ours[name].shape)}")
    return ours


def _sizes(config: Mapping[str, Any], path: Path, family: EncoderFamily, wordpiece: WordPiece | None) -> Sizes:
    """Return the sizes that a configuration names, if fairseq's model can be like that."""
    expected: dict[str, tuple[Any, ...]] = {
        "hidden_act": ("gelu",),
        "pad_token_id": (wordpiece.tokenizer.token_to_id("[PAD]") if wordpiece else 1,),
        "position_embedding_type": ("absolute", None),
        "is_decoder": (False, None),
        "tie_word_embeddings": (True, None),
    }
    # What the library takes where a configuration is silent.
    given = {
        "hidden_act": "gelu",
        "pad_token_id": family.pad,
        **config,
    }
    for key, values in expected.items():
        if given.get(key) not in values:
            raise DataError(f"{path}: expected {key} to be {values[0]}, found {given.get(key)}")

    def number(key: str) -> int:
        value = config.get(key)
        if not isinstance(value, int) or value < 1:
            raise DataError(f"{path}: expected a number for {key}, found {value}")
        return value

    return Sizes(
        vocabulary=number("vocab_size"),
        layers=number("num_hidden_layers"),
        dim=number("hidden_size"),
        ffn=number("intermediate_size"),
        heads=number("num_attention_heads"),
        positions=number("max_position_embeddings") - family.first_position,
    )


def _model_settings(sizes: Sizes, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of fairseq's model."""
    return {
        "_name": "csr_bert_base",
        "arch": "csr_bert_base",
        "encoder_layers": sizes.layers,
        "encoder_embed_dim": sizes.dim,
        "encoder_ffn_embed_dim": sizes.ffn,
        "encoder_attention_heads": sizes.heads,
        "max_positions": sizes.positions,
        "activation_fn": "gelu",
        "layer_norm_eps": config.get("layer_norm_eps", 1e-12),  # what the library takes where nothing is said
        "dropout": config.get("hidden_dropout_prob", 0.1),
        "attention_dropout": config.get("attention_probs_dropout_prob", 0.1),
    }


def _config(sizes: Sizes, settings: Mapping[str, Any], family: EncoderFamily, dtype: str) -> dict[str, Any]:
    """Return the configuration that ``transformers`` reads."""
    return {
        "architectures": [family.model_class],
        "model_type": family.model_type,
        "vocab_size": sizes.vocabulary,
        "hidden_size": sizes.dim,
        "num_hidden_layers": sizes.layers,
        "num_attention_heads": sizes.heads,
        "intermediate_size": sizes.ffn,
        "max_position_embeddings": sizes.positions + family.first_position,
        "type_vocab_size": 1,
        "hidden_act": settings.get("activation_fn", "gelu"),
        "hidden_dropout_prob": settings.get("dropout", 0.1),
        "attention_probs_dropout_prob": settings.get("attention_dropout", 0.1),
        "layer_norm_eps": settings.get("layer_norm_eps", _EPSILON),
        "position_embedding_type": "absolute",
        "tie_word_embeddings": True,
        "torch_dtype": dtype,
    }
