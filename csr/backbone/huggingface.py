"""Encoder-decoders such as mBART between Hugging Face folders and fairseq: the same numbers under other names."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from csr.backbone.bart import BART, EPSILON
from csr.backbone.checkpoints import (
    EMBEDDINGS,
    Architecture,
    architecture,
    described,
    dictionary_hash,
    read_checkpoint,
    write_checkpoint,
    write_safetensors,
)
from csr.backbone.families import Family
from csr.backbone.mbart import MBART
from csr.backbone.presets import CHECKPOINT, DICTIONARY, FAMILIES, SENTENCEPIECE, Preset, family_of, preset_of, unknown
from csr.backbone.saved_settings import model_settings, task_settings
from csr.backbone.tokenizer import MODEL_FILE, aligned_pieces, fast_tokenizer, own_tokenizer
from csr.data.examples import LanguageIds, language_symbol
from csr.data.nli import LABELS
from csr.data.subwords import read_dictionary, write_dictionary
from csr.errors import ConfigError, DataError
from csr.files import PathLike, new_folder, read_object, write_json, write_whole

if TYPE_CHECKING:
    import torch

_SHARED = "model.shared.weight"
_TIED = {_SHARED, "model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight", "lm_head.weight"}
_BIAS = "final_logits_bias"
# The head of csr_nli, and what a configuration says of a model that has it.
_HEAD = "classification_heads.nli."
_LABELLING: dict[str, Any] = {
    "architectures": ["MBartForSequenceClassification"],
    "tokenizer_class": "PreTrainedTokenizerFast",
    "id2label": dict(enumerate(LABELS)),
    "label2id": {label: i for i, label in enumerate(LABELS)},
}
# fairseq writes the version of a stack of layers into its checkpoints; below 2 it drops the last normalisation.
_VERSIONS = {"encoder.version": 3.0, "decoder.version": 3.0}


def import_folder(folder: PathLike, out: PathLike) -> tuple[Preset, Architecture]:
    """Write a Hugging Face mBART folder as a backbone's: checkpoint, dictionary and SentencePiece model.

    Returns what the model is.

    Raises:
        DataError: a file is missing or damaged, or the model is neither mBART-cc25 nor mBART-50.
    """
    import torch

    folder, out = Path(folder), Path(out)
    if not folder.is_dir():
        raise DataError(f"{folder}: expected a Hugging Face folder, found none")
    family = _family(read_object(folder / "config.json"), folder / "config.json")
    pieces = aligned_pieces(folder / MODEL_FILE)
    read = read_checkpoint(folder)
    settings = _settings(read["config"], family, folder / "config.json")
    weights, embedding = _our_weights(read["model"], folder)
    preset = _preset(len(embedding), pieces, folder, folder / MODEL_FILE)
    state = {
        "args": argparse.Namespace(**settings, langs=",".join(preset.languages)),
        "model": {
            **{name: torch.tensor([version]) for name, version in _VERSIONS.items()},
            **dict.fromkeys(EMBEDDINGS, embedding),
            **weights,
        },
        "optimizer_history": [{"num_updates": 0, "lr_scheduler_state": {}}],
        "extra_state": {"train_iterator": {"epoch": 1, "iterations_in_epoch": 0}},
        "task_state": {"dictionary": dictionary_hash(preset.vocabulary(pieces))},
    }
    sizes = _checked(state, family, weights, folder)
    write_dictionary(pieces, {}, out / DICTIONARY)
    with write_whole(out / SENTENCEPIECE) as part:
        shutil.copyfile(folder / MODEL_FILE, part)
    write_checkpoint(state, out / CHECKPOINT)
    return preset, sizes


def export_checkpoint(
    checkpoint: PathLike,
    out: PathLike,
    dictionary: PathLike | None = None,
    sentencepiece_model: PathLike | None = None,
    languages: tuple[str | None, str | None] = (None, None),
    card: str | None = None,
) -> tuple[Preset, Architecture]:
    """Write a fairseq mBART checkpoint as a Hugging Face folder: weights, configuration, tokenizer.

    A model that was trained here from nothing, or made of an encoder, is an mBART or BART with languages of its own,
    which the tokenizer of no class in ``transformers`` has: its folder translates from one language into one. One of
    csr_nli labels pairs of one language.

    Args:
        dictionary, sentencepiece_model: the model's; those beside the checkpoint if None.
        languages: source and target that the folder translates unless told otherwise; those of the checkpoint's task
            where they are None.
        card: what ``README.md`` says of it, if anything.

    Raises:
        DataError: a file is missing or damaged, the files do not belong together, or the model is no mBART.
        ConfigError: the model has no such language, or the folder is there already.
    """
    with new_folder(out) as part:
        found = _export(Path(checkpoint), part, dictionary, sentencepiece_model, languages)
        if card:
            (part / "README.md").write_text(card, encoding="utf-8")
        return found


def _export(
    checkpoint: Path,
    out: Path,
    dictionary: PathLike | None,
    sentencepiece_model: PathLike | None,
    languages: tuple[str | None, str | None],
) -> tuple[Preset, Architecture]:
    dictionary = dictionary or checkpoint.parent / DICTIONARY
    sentencepiece_model = sentencepiece_model or checkpoint.parent / SENTENCEPIECE
    pieces = aligned_pieces(sentencepiece_model)
    _check_dictionary(dictionary, pieces, sentencepiece_model)
    state = read_checkpoint(checkpoint)
    if "config" in state:
        raise DataError(f"{checkpoint}: expected a fairseq checkpoint, found a folder")
    weights = {k: v for k, v in state["model"].items() if k not in EMBEDDINGS and k not in _VERSIONS}
    head = {name: weights.pop(name) for name in list(weights) if name.startswith(_HEAD)}
    rows = len(state["model"].get(EMBEDDINGS[0], ()))
    task = task_settings(state)
    own = _own_preset(task, rows, len(pieces))
    preset = own or _preset(rows, pieces, checkpoint, dictionary)
    family = _own_family(state, checkpoint) if own else family_of(preset)
    sizes = _checked(state, family, weights, checkpoint)
    embedding = state["model"][EMBEDDINGS[0]]
    _check_languages(task, preset, checkpoint)
    source, target = (
        code and language_symbol(code, preset.languages)[1:-1]
        for code in (languages[0] or task.get("source_lang"), languages[1] or task.get("target_lang"))
    )
    config = _config(sizes, family, preset, str(embedding.dtype).removeprefix("torch."))
    theirs = {_SHARED: embedding, **{f"model.{key}": weight for key, weight in weights.items()}}
    if head:
        own_tokenizer(sentencepiece_model, preset, str(source)).save_pretrained(out)
        write_json(out / "config.json", config | _LABELLING)
        write_safetensors(out, theirs | {name.replace(_HEAD, "classification_head."): head[name] for name in head})
        return preset, sizes
    if own and not (source and target):
        known, side = ", ".join(own.languages), "target" if source else "source"
        raise ConfigError(f"--{side}-lang: expected one of {known}, found none, nor in {checkpoint}")
    if own:
        tokenizer = own_tokenizer(sentencepiece_model, own, str(source))
    else:
        tokenizer = fast_tokenizer(sentencepiece_model, preset, source, target)
    tokenizer.save_pretrained(out)
    write_json(out / "config.json", config)
    language = None if target is None else tokenizer.convert_tokens_to_ids(f"[{target}]" if own else target)
    write_json(out / "generation_config.json", _generation(preset, language))
    write_safetensors(out, {_BIAS: embedding.new_zeros(1, len(embedding)), **theirs})
    return preset, sizes


def _family(config: Mapping[str, Any], path: Path) -> Family:
    """The family of a Hugging Face configuration, which must say what all of the family do."""
    family = FAMILIES.get(str(config.get("model_type")))
    if family is None:
        raise unknown(config, path)
    for key, value in {**family.config, "pad_token_id": 1}.items():
        if (found := config.get(key, family.assumed.get(key, value))) != value:
            raise DataError(f"{path}: expected {key} to be {value}, found {found}")
    return family


def _settings(config: Mapping[str, Any], family: Family, path: Path) -> dict[str, Any]:
    """The settings of fairseq's model that a Hugging Face configuration stands for."""
    # What the library leaves out has these values.
    given = {"activation_function": family.activations[0], "max_position_embeddings": 1024, **config}
    if given["activation_function"] not in family.activations:
        expected = " or ".join(family.activations)
        raise DataError(f"{path}: expected activation_function to be {expected}, found {given['activation_function']}")
    settings = {
        **family.settings(),
        "task": "multilingual_denoising",
        "train_subset": "train",  # without these two fairseq cannot read the settings of that task
        "valid_subset": "valid",
        "activation_fn": given["activation_function"],
    }
    sizes = {"layers": "layers", "ffn_embed_dim": "ffn_dim", "attention_heads": "attention_heads"}
    for side, text in (("encoder", "source"), ("decoder", "target")):
        settings[f"{side}_embed_dim"] = _whole(given, "d_model", path)
        settings[f"max_{text}_positions"] = _whole(given, "max_position_embeddings", path)
        for ours, theirs in sizes.items():
            settings[f"{side}_{ours}"] = _whole(given, f"{side}_{theirs}", path)
    return settings


def _whole(config: Mapping[str, Any], key: str, path: Path) -> int:
    value = config.get(key)
    if not isinstance(value, int) or value < 1:
        raise DataError(f"{path}: expected a number for {key}, found {value}")
    return value


def _our_weights(weights: Mapping[str, torch.Tensor], folder: Path) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """The weights of a Hugging Face mBART by fairseq's names, and the embedding.

    Raises:
        DataError: fairseq's model has no place for a weight.
    """
    import torch

    embeddings = [weights[name] for name in sorted(_TIED & weights.keys(), reverse=True)]
    if not embeddings:
        raise DataError(f"{folder}: expected the weights {_SHARED}, found none")
    if not all(weight is embeddings[0] or torch.equal(weight, embeddings[0]) for weight in embeddings):
        raise DataError(f"{folder}: expected one embedding for both sides and the output, found several")
    if _BIAS in weights and weights[_BIAS].any():
        raise DataError(f"{folder}: expected a {_BIAS} of zeros, found others, for which fairseq has no place")
    ours = {name.removeprefix("model."): weight for name, weight in weights.items() if name not in {*_TIED, _BIAS}}
    return ours, embeddings[0]


def _checked(state: Mapping[str, Any], family: Family, weights: Mapping[str, torch.Tensor], path: Path) -> Architecture:
    """The sizes of a fairseq model, all of whose weights but the embedding are there and of these sizes."""
    settings, sizes = model_settings(state), architecture(state)
    for name, (found, expected) in sizes.differences(described(settings)).items():
        said = name.replace("_", " ")
        raise DataError(f"{path}: expected {said} {expected}, as its settings say, found weights of {found}")
    if None in (sizes.heads, sizes.activation) or settings.get("no_scale_embedding", False) is family.scaled:
        scaled = "scaled" if family.scaled else "unscaled"
        raise DataError(
            f"{path}: expected the settings of {family.model_type}, with heads, activation and {scaled} embeddings"
        )
    numbers = (sizes.encoder_layers, sizes.decoder_layers, sizes.dim, sizes.ffn, sizes.positions)
    expected_shapes = family.shapes(*(number or 0 for number in numbers))
    for name, shape in expected_shapes.items():
        if name not in weights or tuple(weights[name].shape) != shape:
            found = f"one of {tuple(weights[name].shape)}" if name in weights else "none"
            raise DataError(f"{path}: expected a weight {name} of {shape}, found {found}")
    if more := weights.keys() - expected_shapes.keys():
        raise DataError(f"{path}: expected the weights of {family.model_type} and no others, found {min(more)}")
    return sizes


def _preset(rows: int, pieces: list[str], model: Path, vocabulary: PathLike) -> Preset:
    preset = preset_of(rows, len(pieces))
    if preset is None:
        raise DataError(
            f"{model}: expected the embeddings of mBART-cc25 or mBART-50, {len(pieces):,} pieces of {vocabulary} + 4 "
            f"special symbols + 25 or 52 languages + <mask>, found {rows:,}"
        )
    return preset


def _own_preset(task: Mapping[str, Any], rows: int, n_pieces: int) -> Preset | None:
    """What a model is that a task of ours trained from nothing: the languages are the task's; None for another one."""
    if preset_of(rows, n_pieces) or not str(task.get("_name")).startswith("csr_"):
        return None
    languages = task.get("langs") or f"{task.get('source_lang')},{task.get('target_lang')}"
    ids = LanguageIds(task.get("language_ids") or LanguageIds.APPEND.value)
    own = Preset("own", "a model of " + languages.replace(",", ", "), tuple(languages.split(",")), ids, "", n_pieces)
    return own if own.rows(n_pieces) == rows else None


def _own_family(state: Mapping[str, Any], path: Path) -> Family:
    """The family of a model of ours: BART, where it was made of an encoder, or else mBART.

    Raises:
        DataError: it was made of an encoder that normalises as no BART does.
    """
    settings = model_settings(state)
    if settings.get("arch") != BART.arch:
        return MBART
    if (epsilon := settings.get("layer_norm_eps", EPSILON)) != EPSILON:
        raise DataError(f"{path}: expected normalisation with {EPSILON:g}, as BART has it, found {epsilon:g}")
    return BART


def _check_dictionary(path: PathLike, pieces: list[str], model: PathLike) -> None:
    """Raise DataError unless a dictionary has the pieces of a SentencePiece model in its order."""
    lines = read_dictionary(path)
    for number, (found, expected) in enumerate(zip(lines, pieces, strict=False), 1):
        if found != expected:
            raise DataError(f"{path}:{number}: expected {expected!r}, as in {model}, found {found!r}")
    if len(lines) != len(pieces):
        raise DataError(f"{path}: expected the {len(pieces):,} pieces of {model}, found {len(lines):,}")


def _check_languages(task: Mapping[str, Any], preset: Preset, path: Path) -> None:
    """Raise DataError unless the languages of the task that a checkpoint was trained on, if named, are the preset's."""
    languages = task.get("langs")
    if languages and tuple(languages.split(",")) != preset.languages:
        raise DataError(f"{path}: expected the languages of {preset.title} in its order, found {languages}")


def _config(sizes: Architecture, family: Family, preset: Preset, dtype: str) -> dict[str, Any]:
    """The configuration that ``transformers`` reads."""
    return {
        "architectures": [family.model_class],
        "model_type": family.model_type,
        "tokenizer_class": preset.tokenizer or "PreTrainedTokenizerFast",
        "vocab_size": sizes.vocabulary,
        "d_model": sizes.dim,
        "encoder_layers": sizes.encoder_layers,
        "decoder_layers": sizes.decoder_layers,
        "num_hidden_layers": sizes.encoder_layers,
        "encoder_ffn_dim": sizes.ffn,
        "decoder_ffn_dim": sizes.ffn,
        "encoder_attention_heads": sizes.heads,
        "decoder_attention_heads": sizes.heads,
        "max_position_embeddings": sizes.positions,
        "activation_function": sizes.activation,
        **family.config,
        "dropout": 0.1,
        "attention_dropout": 0.0,
        "activation_dropout": 0.0,
        "is_encoder_decoder": True,
        "tie_word_embeddings": True,
        "bos_token_id": 0,
        "pad_token_id": 1,
        "eos_token_id": 2,
        "torch_dtype": dtype,
        # Without a version, or with a later one, the library warns of a fault of other models' tokenizers.
        "transformers_version": "4.57.2",
    }


def _generation(preset: Preset, language: int | None) -> dict[str, Any]:
    """The settings that ``transformers`` generates by: as fairseq, into the language with that id if there is one."""
    config: dict[str, Any] = {
        "bos_token_id": 0,
        "pad_token_id": 1,
        "eos_token_id": 2,
        "forced_eos_token_id": 2,
        "decoder_start_token_id": 2,
        "num_beams": 5,
        "early_stopping": True,  # once there are as many hypotheses as beams
        "max_length": 200,
        "min_length": 2,  # with the token it starts from: fairseq never writes an empty sentence
        "suppress_tokens": [1],  # fairseq never writes <pad>
    }
    if language is not None:
        key = "decoder_start_token_id" if preset.language_ids is LanguageIds.APPEND else "forced_bos_token_id"
        config[key] = language
    elif preset.language_ids is LanguageIds.APPEND:
        del config["decoder_start_token_id"]
    return config
