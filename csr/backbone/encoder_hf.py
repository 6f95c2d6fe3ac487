"""BERT encoders between Hugging Face folders and fairseq checkpoints: the same numbers under other names.

fairseq's RoBERTa is ``XLMRobertaForMaskedLM`` weight by weight. ``BertForMaskedLM`` counts positions from 0 where
RoBERTa counts from 2, and says of each piece which sentence it is of, which ours do not tell apart.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from csr.backbone.checkpoints import model_settings, read_checkpoint, write_checkpoint, write_safetensors
from csr.backbone.huggingface import CHECKPOINT, DICTIONARY, SENTENCEPIECE
from csr.backbone.presets import MASK, SPECIAL
from csr.backbone.tokenizer import MODEL_FILE, aligned_pieces, unigram
from csr.data.subwords import WORDPIECE, is_wordpiece, model_file, model_pieces, read_dictionary, write_dictionary
from csr.data.wordpiece import WordPiece, read_vocabulary
from csr.data.wordpiece import read as read_wordpiece
from csr.errors import ConfigError, DataError
from csr.files import PathLike, new_folder, read_json, write_json, write_whole

if TYPE_CHECKING:
    import torch

Weights = Mapping[str, "torch.Tensor"]
Layout = Literal["xlm-roberta", "bert"]
LAYOUTS: tuple[Layout, ...] = ("xlm-roberta", "bert")

_OURS = "encoder.sentence_encoder"
_EMBEDDING = f"{_OURS}.embed_tokens.weight"
_POSITIONS = f"{_OURS}.embed_positions.weight"
_OUTPUT = "encoder.lm_head.weight"  # tied to the embedding
_BIAS = "encoder.lm_head.bias"
# RoBERTa's positions start after the id of <pad>, which is 1: two rows that are never read.
_OFFSET = 2
_EPSILON = 1e-5  # of fairseq's normalisation, unless told otherwise

# (ours, theirs) of each layer, both followed by .weight and .bias.
_LAYER = (
    *(
        (f"self_attn.{short}_proj", f"attention.self.{name}")
        for short, name in zip("qkv", ("query", "key", "value"), strict=True)
    ),
    ("self_attn.out_proj", "attention.output.dense"),
    ("self_attn_layer_norm", "attention.output.LayerNorm"),
    ("fc1", "intermediate.dense"),
    ("fc2", "output.dense"),
    ("final_layer_norm", "output.LayerNorm"),
)


@dataclass(frozen=True)
class _Names:
    """What a layout calls the parts around the layers."""

    stem: str
    dense: str
    norm: str
    bias: str
    output: str
    architecture: str


_NAMES: dict[Layout, _Names] = {
    "xlm-roberta": _Names(
        "roberta", "lm_head.dense", "lm_head.layer_norm", "lm_head.bias", "lm_head.decoder", "XLMRobertaForMaskedLM"
    ),
    "bert": _Names(
        "bert",
        "cls.predictions.transform.dense",
        "cls.predictions.transform.LayerNorm",
        "cls.predictions.bias",
        "cls.predictions.decoder",
        "BertForMaskedLM",
    ),
}


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
    return config.is_file() and read_json(config).get("model_type") in LAYOUTS


def trained_encoder(checkpoint: PathLike) -> bool:
    """Tell whether a fairseq checkpoint holds a model for ``export_encoder``."""
    return _EMBEDDING in read_checkpoint(checkpoint)["model"]


def import_encoder(folder: PathLike, out: PathLike) -> Sizes:
    """Write a Hugging Face folder of XLM-R or a BERT as a fairseq checkpoint.

    ``out`` gets ``model.pt`` for ``--arch csr_bert_*``, ``dict.txt``, and ``sentence.bpe.model`` or, of a WordPiece
    vocabulary, ``tokenizer.json``.

    Raises:
        DataError: a file is missing or damaged, or the model is another one.
    """
    folder, out = Path(folder), Path(out)
    path = folder / "config.json"
    config = read_json(path)
    layout = config.get("model_type")
    if layout not in LAYOUTS:
        raise DataError(f"{path}: expected model_type {' or '.join(LAYOUTS)}, found {layout}")
    wordpiece = None if (folder / MODEL_FILE).is_file() else _wordpiece(folder, layout)
    pieces = model_pieces(wordpiece) if wordpiece else aligned_pieces(folder / MODEL_FILE)
    sizes = _sizes(config, path, layout, wordpiece)
    if sizes.vocabulary != len(pieces) + 5:
        raise DataError(
            f"{path}: expected a vocabulary of the {len(pieces):,} pieces of its tokenizer, 4 special symbols and "
            f"<mask>, found {sizes.vocabulary:,}"
        )
    weights = _our_weights(read_checkpoint(folder)["model"], sizes, layout, folder)
    if wordpiece:
        rows = _rows(wordpiece, pieces)
        weights |= {name: weights[name][rows] for name in (_EMBEDDING, _BIAS)}
        weights[_OUTPUT] = weights[_EMBEDDING]
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
    layout: Layout = "xlm-roberta",
) -> Sizes:
    """Write a fairseq checkpoint of csr_masked_lm as a Hugging Face folder: weights, configuration, tokenizer.

    Args:
        dictionary, sentencepiece_model: the model's; those beside the checkpoint if None. The latter may be the
            ``tokenizer.json`` of a WordPiece vocabulary, and the layout is then BERT's.

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
    layout: Layout,
) -> Sizes:
    dictionary = dictionary or checkpoint.parent / DICTIONARY
    sentencepiece_model = Path(sentencepiece_model or model_file(checkpoint.parent))
    wordpiece = read_wordpiece(sentencepiece_model) if is_wordpiece(sentencepiece_model) else None
    if wordpiece and layout != "bert":
        raise ConfigError(f"--layout: expected bert, for WordPiece as in {sentencepiece_model}, found {layout}")
    pieces = model_pieces(wordpiece) if wordpiece else aligned_pieces(sentencepiece_model)
    if [piece for piece in read_dictionary(dictionary) if piece != MASK] != pieces:
        raise DataError(f"{dictionary}: expected the pieces of {sentencepiece_model} in its order, found others")
    state = read_checkpoint(checkpoint)
    weights, settings = state["model"], model_settings(state)
    if _EMBEDDING not in weights or _OUTPUT not in weights:
        raise DataError(f"{checkpoint}: expected a BERT encoder such as csr_masked_lm trains, found another model")
    sizes = Sizes(
        len(weights[_EMBEDDING]),
        settings["encoder_layers"],
        settings["encoder_embed_dim"],
        settings["encoder_ffn_embed_dim"],
        settings["encoder_attention_heads"],
        len(weights[_POSITIONS]) - _OFFSET,
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
        weights = {**weights, **{name: weights[name][ours] for name in (_EMBEDDING, _BIAS)}}
    else:
        tokenizer = encoder_tokenizer(sentencepiece_model, sizes.positions)
    tokenizer.save_pretrained(out)
    dtype = str(weights[_EMBEDDING].dtype).removeprefix("torch.")
    symbols = {
        "bos_token_id": tokenizer.cls_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.sep_token_id,
    }
    write_json(out / "config.json", _config(sizes, settings, layout, dtype) | symbols)
    write_safetensors(out, _their_weights(weights, sizes, layout))
    return sizes


def _wordpiece(folder: Path, layout: Layout) -> WordPiece:
    """Return the WordPiece vocabulary of a folder; where there is ``vocab.txt`` alone, in lower case if none says."""
    if layout != "bert":
        raise DataError(f"{folder}: expected the SentencePiece model {MODEL_FILE}, found no such file")
    if (folder / WORDPIECE).is_file():
        return read_wordpiece(folder / WORDPIECE)
    if not (folder / "vocab.txt").is_file():
        raise DataError(f"{folder}: expected tokenizer.json, vocab.txt or {MODEL_FILE}, found none of them")
    said = folder / "tokenizer_config.json"
    lowercase = (read_json(said) if said.is_file() else {}).get("do_lower_case", True)
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


def _names(sizes: Sizes, layout: Layout) -> dict[str, str]:
    """Return their name of each weight of ours but the positions and the tied output."""
    theirs = _NAMES[layout]
    parts = {f"{_OURS}.layernorm_embedding": f"{theirs.stem}.embeddings.LayerNorm"}
    parts |= {"encoder.lm_head.dense": theirs.dense, "encoder.lm_head.layer_norm": theirs.norm}
    for i in range(sizes.layers):
        parts |= {f"{_OURS}.layers.{i}.{a}": f"{theirs.stem}.encoder.layer.{i}.{b}" for a, b in _LAYER}
    names = {f"{a}.{kind}": f"{b}.{kind}" for a, b in parts.items() for kind in ("weight", "bias")}
    return names | {_EMBEDDING: f"{theirs.stem}.embeddings.word_embeddings.weight", _BIAS: theirs.bias}


def _their_weights(weights: Weights, sizes: Sizes, layout: Layout) -> dict[str, torch.Tensor]:
    stem = f"{_NAMES[layout].stem}.embeddings"
    theirs = {name: weights[ours] for ours, name in _names(sizes, layout).items()}
    positions = weights[_POSITIONS]
    theirs[f"{stem}.position_embeddings.weight"] = positions if layout == "xlm-roberta" else positions[_OFFSET:]
    theirs[f"{stem}.token_type_embeddings.weight"] = positions.new_zeros(1, sizes.dim)
    return theirs


def _our_weights(weights: Weights, sizes: Sizes, layout: Layout, folder: Path) -> dict[str, torch.Tensor]:
    """Return the weights of a Hugging Face model by fairseq's names.

    Raises:
        DataError: a weight is missing or of another size, the output is not tied to the embedding, or fairseq's model
            has no place for a weight.
    """
    import torch

    theirs = _NAMES[layout]
    names = _names(sizes, layout)
    stem = f"{theirs.stem}.embeddings"
    placed = {*names.values(), f"{stem}.position_embeddings.weight", f"{stem}.token_type_embeddings.weight"}
    for name in placed:
        if name not in weights:
            raise DataError(f"{folder}: expected a weight {name}, found none")
    # The pooler and the prediction of the next sentence have no part in masked pieces.
    tied = {f"{theirs.output}.weight": names[_EMBEDDING], f"{theirs.output}.bias": theirs.bias}
    ignored = (f"{stem}.position_ids", f"{theirs.stem}.pooler.", "cls.seq_relationship.")
    for name in weights.keys() - placed:
        if name in tied and torch.equal(weights[name], weights[tied[name]]):
            continue
        if not name.startswith(ignored):
            raise DataError(f"{folder}: expected {theirs.architecture} with tied output, found a weight {name}")
    ours = {name: weights[given] for name, given in names.items()}
    # All pieces are of the first sentence: what is added to each is added to its position.
    positions = weights[f"{stem}.position_embeddings.weight"] + weights[f"{stem}.token_type_embeddings.weight"][0]
    if layout == "bert":
        positions = torch.cat([positions.new_zeros(_OFFSET, sizes.dim), positions])
    ours |= {_POSITIONS: positions, _OUTPUT: ours[_EMBEDDING], f"{_OURS}.version": torch.tensor([3.0])}
    expected = {_EMBEDDING: (sizes.vocabulary, sizes.dim), _POSITIONS: (sizes.positions + _OFFSET, sizes.dim)}
    for name, shape in expected.items():
        if tuple(ours[name].shape) != shape:
            raise DataError(f"{folder}: expected {name} of {shape}, found one of {tuple(ours[name].shape)}")
    return ours


def _sizes(config: Mapping[str, Any], path: Path, layout: Layout, wordpiece: WordPiece | None) -> Sizes:
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
        "pad_token_id": 1 if layout == "xlm-roberta" else 0,
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
        positions=number("max_position_embeddings") - (_OFFSET if layout == "xlm-roberta" else 0),
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


def _config(sizes: Sizes, settings: Mapping[str, Any], layout: Layout, dtype: str) -> dict[str, Any]:
    """Return the configuration that ``transformers`` reads."""
    return {
        "architectures": [_NAMES[layout].architecture],
        "model_type": layout,
        "vocab_size": sizes.vocabulary,
        "hidden_size": sizes.dim,
        "num_hidden_layers": sizes.layers,
        "num_attention_heads": sizes.heads,
        "intermediate_size": sizes.ffn,
        "max_position_embeddings": sizes.positions + (_OFFSET if layout == "xlm-roberta" else 0),
        "type_vocab_size": 1,
        "hidden_act": settings.get("activation_fn", "gelu"),
        "hidden_dropout_prob": settings.get("dropout", 0.1),
        "attention_probs_dropout_prob": settings.get("attention_dropout", 0.1),
        "layer_norm_eps": settings.get("layer_norm_eps", _EPSILON),
        "position_embedding_type": "absolute",
        "tie_word_embeddings": True,
        "torch_dtype": dtype,
    }
