"""The settings in a fairseq checkpoint: data of known types, of known models and tasks, or the checkpoint is refused.

fairseq builds a model, and ``fairseq-validate`` a task and a criterion, from what the file says, and its builders pass
some of the texts in it to Python's ``eval``. Which ones differs by model, so that the rule is one for all of them: no
text of the settings may be an expression that calls something, nor be put together from others by OmegaConf.
"""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Iterator, Mapping
from typing import Any

from csr.errors import DataError
from csr.files import PathLike

# What may be built: Transformers and our encoders, of text. Others of fairseq read and write files of their own, start
# programs (audio_pretraining) or write where a setting says (the criterion sentence_ranking).
_MODELS = re.compile(r"(transformer|m?bart|roberta|csr_bert|csr_bart)(_\w+)?")
_TASKS = re.compile(
    r"csr_\w+|translation|translation_(from_pretrained_(bart|xlm)|multi_simple_epoch)|multilingual_translation"
    r"|(multilingual_)?(denoising|masked_lm|language_modeling)|sentence_prediction"
)
_CRITERIA = re.compile(
    r"csr_\w+|cross_entropy|label_smoothed_cross_entropy(_with_(alignment|rdrop))?|adaptive_loss|masked_lm"
    r"|sentence_prediction"
)
_KNOWN = {"model": _MODELS, "task": _TASKS, "criterion": _CRITERIA}

# The types of what we read ourselves; None is always allowed.
_WHOLE = ("layers", "embed_dim", "ffn_embed_dim", "attention_heads")
_TYPES: dict[str, tuple[type, ...]] = {
    **{f"{side}_{name}": (int,) for side in ("encoder", "decoder") for name in _WHOLE},
    **dict.fromkeys(("max_positions", "max_source_positions", "max_target_positions", "max_length"), (int,)),
    **dict.fromkeys(("layernorm_embedding", "encoder_normalize_before", "no_scale_embedding"), (bool,)),
    **dict.fromkeys(("layer_norm_eps", "dropout", "attention_dropout"), (int, float)),
    **dict.fromkeys(("source_lang", "target_lang", "monolingual", "language_ids", "preset", "types", "labels"), (str,)),
    **dict.fromkeys(("activation_fn", "finetune_from_model", "arch", "_name"), (str,)),
    "langs": (str, list),
}
# The rest of a checkpoint, as far as anybody looks into it before the weights are used.
_PARTS: dict[str, type] = {"task_state": dict, "extra_state": dict, "optimizer_history": list}
_NUMBERS: dict[str, tuple[type, ...]] = {"num_updates": (int,), "previous_training_time": (int, float)}
_DEEPEST, _MOST = 20, 100_000  # sections in one another, and values: a published model has 3 and some 300


def check_state(state: Mapping[str, Any], path: PathLike) -> None:
    """Raise DataError unless what a fairseq checkpoint holds besides its weights, above all its settings, is data."""
    for name, kind in _PARTS.items():
        if state.get(name) is not None and not isinstance(state[name], kind):
            raise DataError(f"{path}: expected a {kind.__name__} as {name}, found {type(state[name]).__name__}")
    for part in (*(state.get("optimizer_history") or ()), state.get("extra_state") or {}):
        for name, kinds in _NUMBERS.items():
            if not isinstance(part, dict) or not isinstance(part.get(name, 0), kinds):
                raise DataError(f"{path}: expected a history of numbers, found no number as {name}")
    for name in ("cfg", "args"):
        settings = state.get(name)
        if settings is not None and not isinstance(settings, (Mapping, argparse.Namespace)):
            raise DataError(f"{path}: expected settings by name in {name}, found {type(settings).__name__}")
        for number, found in enumerate(_values(settings, "", name, path)):
            if number == _MOST:
                raise DataError(f"{path}: expected at most {_MOST:,} settings, found more")
            _check_value(*found, path)
    sections, flat = _mapping(state.get("cfg")), _mapping(state.get("args"))
    for what, key in (("model", "arch"), ("task", "task"), ("criterion", "criterion")):
        section = sections.get(what)
        if section is not None and not isinstance(section, (Mapping, argparse.Namespace)):
            raise DataError(f"{path}: expected settings by name in cfg.{what}, found {type(section).__name__}")
        for settings, names in ((_mapping(section), ("_name", key)), (flat, (key,))):
            _check_names(settings, what, names, path)


def model_settings(state: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of the model in a fairseq checkpoint: of its ``cfg``, or ``args`` before fairseq 0.11."""
    return _mapping(_mapping(state.get("cfg")).get("model") or state.get("args"))


def task_settings(state: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of the task that a fairseq checkpoint was trained on; ``langs``, if any, with commas in between."""
    settings = _mapping(_mapping(state.get("cfg")).get("task") or state.get("args"))
    if isinstance(settings.get("langs"), list):
        settings["langs"] = ",".join(map(str, settings["langs"]))
    return settings


def _mapping(settings: Any) -> dict[str, Any]:
    return dict(vars(settings) if isinstance(settings, argparse.Namespace) else settings or {})


def _values(value: Any, name: str, place: str, path: PathLike, depth: int = 0) -> Iterator[tuple[str, str, Any]]:
    """Yield name, place and value of nested settings: of sections and lists, of what is in them, and of the names."""
    if depth > _DEEPEST:
        raise DataError(f"{path}: expected settings at most {_DEEPEST} sections deep, found more")
    yield name, place, value
    if isinstance(value, (Mapping, argparse.Namespace)):
        for key, item in _mapping(value).items():
            yield "", f"a name in {place}", key
            yield from _values(item, str(key), f"{place}.{str(key)[:40]}", path, depth + 1)
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from _values(item, "", f"{place}[{i}]", path, depth + 1)


def _check_value(name: str, place: str, value: Any, path: PathLike) -> None:
    if value is None:
        return
    kinds = _TYPES.get(name)
    # As in Python, true and false are whole numbers, but not here.
    if kinds and (not isinstance(value, kinds) or isinstance(value, bool) != (bool in kinds)):
        wanted = " or ".join(kind.__name__ for kind in kinds)
        raise DataError(f"{path}: expected {place} to be {wanted}, found {type(value).__name__}")
    if not isinstance(value, (bool, int, float, str, list, tuple, Mapping, argparse.Namespace)):
        raise DataError(f"{path}: expected {place} to be a number or text, found {type(value).__name__}")
    if isinstance(value, str) and ("${" in value or _calls(value)):
        raise DataError(
            f"{path}: refused: {place} is code that fairseq could run, expected data: {value.strip()[:60]!r}"
        )


def _calls(text: str) -> bool:
    """Tell whether Python's ``eval`` of a text would call something: without a call no foreign code can run.

    >>> _calls("__import__('os').system('rm')"), _calls("[(512, 3)] * 20"), _calls("/data/it's (old)")
    (True, False, False)
    """
    if "(" not in text:
        return False
    try:
        return any(isinstance(node, ast.Call) for node in ast.walk(ast.parse(text.strip(), mode="eval")))
    except (SyntaxError, ValueError):  # eval refuses it likewise
        return False
    except (RecursionError, MemoryError):  # eval, called at another depth, might not
        return True


def _check_names(settings: Mapping[str, Any], kind: str, keys: tuple[str, ...], path: PathLike) -> None:
    """Raise DataError unless what settings name is known; to fairseq the only setting of a model is its name too."""
    found = [settings[key] for key in keys if settings.get(key) is not None]
    if kind == "model" and len(settings) == 1:
        found += settings
    for name in found:
        if not isinstance(name, str) or not _KNOWN[kind].fullmatch(name):
            raise DataError(
                f"{path}: refused: expected a {kind} whose settings are known to be data, found {str(name)[:60]!r}"
            )
