"""Outputs of a sequence-to-sequence model in a Hugging Face folder, as ``csr export-hf`` writes one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from csr.errors import ConfigError, DataError, install
from csr.files import PathLike, read_object

if TYPE_CHECKING:
    import torch

# Tokens in a batch: on a CPU larger ones are slower, since they leave its caches.
MAX_TOKENS = {"cpu": 1024, "cuda": 8192}


class Hypothesis(NamedTuple):
    """What a model may write for a line."""

    score: float
    """The log probability by piece, in nats, as beam search ranks by."""
    text: str


def torch_device(name: str | None) -> torch.device:
    """The device of a name, CUDA if it is there and none is given.

    Raises:
        ConfigError: there is no such device.
    """
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device: expected cpu, found cuda, which is not available here")
    return torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))


def is_exported(folder: PathLike) -> bool:
    """Tell whether a folder is one of Hugging Face."""
    return Path(folder, "config.json").is_file()


def load(folder: PathLike, model_class: str, device: str | None) -> tuple[Any, Any]:
    """Tokenizer and model of a folder, in evaluation mode on a device; reading them runs no code of the folder's.

    Args:
        model_class: of the library, such as ``AutoModelForSeq2SeqLM``.

    Raises:
        DataError: a file is missing or damaged, or the model is another one.
        ConfigError: the library is not installed.
    """
    try:
        import transformers
    except ImportError:
        raise ConfigError(
            f"{folder}: expected the package transformers, found none; {install('huggingface')}"
        ) from None
    transformers.logging.set_verbosity_error()
    config = read_object(Path(folder, "config.json"))
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        kind = getattr(transformers, model_class)
        model = kind.from_pretrained(str(folder), local_files_only=True, use_safetensors=True)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        name = ", ".join(map(str, config.get("architectures") or [config.get("model_type")]))
        raise DataError(f"{folder}: expected a folder that {model_class} opens, found {name}: {error}") from None
    return tokenizer, model.to(torch_device(device)).eval()


def hypotheses(tokenizer: Any, model: Any, lines: Sequence[str], beam: int) -> list[list[Hypothesis]]:
    """What a model's beam holds for each line of text, best first; from and into the languages that the folder names.

    An output has at most twice the tokens of the longest source of its batch and ten, as in ``csr run``.
    """
    import torch
    from tqdm import tqdm

    rows = [ids[: model.config.max_position_embeddings] for ids in tokenizer(list(lines))["input_ids"]] if lines else []
    outputs: list[list[Hypothesis]] = [[] for _ in lines]
    wanted = list(batches(list(map(len, rows)), MAX_TOKENS[model.device.type]))
    for batch in tqdm(wanted, desc="translated", unit="batch", disable=None):
        inputs = tokenizer.pad({"input_ids": [rows[i] for i in batch]}, return_tensors="pt").to(model.device)
        longest = min(2 * inputs["input_ids"].shape[1] + 11, model.config.max_position_embeddings - 1)
        with torch.inference_mode():
            found = model.generate(
                **inputs,
                num_beams=beam,
                num_return_sequences=beam,
                early_stopping=beam > 1,
                max_length=None,
                max_new_tokens=longest,
                return_dict_in_generate=True,
                output_scores=True,
            )
            scores = found.sequences_scores if beam > 1 else _greedy_scores(model, found)
        texts = tokenizer.batch_decode(found.sequences, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        hyps = [Hypothesis(score, text.strip()) for score, text in zip(scores.tolist(), texts, strict=True)]
        for place, i in enumerate(batch):
            outputs[i] = hyps[place * beam : (place + 1) * beam]
    return outputs


def _greedy_scores(model: Any, found: Any) -> torch.Tensor:
    """The mean log probability of the tokens of each output, [n_outputs]; a language id that was given has none."""
    scores = model.compute_transition_scores(found.sequences, found.scores, normalize_logits=True)
    written = found.sequences[:, -scores.shape[1] :] != model.config.pad_token_id
    return scores.masked_fill(~written, 0.0).sum(1) / written.sum(1)


def batches(sizes: Sequence[int], limit: int) -> Iterator[list[int]]:
    """Yield the numbers of rows of like length, at most ``limit`` tokens of them at a time, padding included."""
    batch: list[int] = []
    for i in sorted(range(len(sizes)), key=sizes.__getitem__):
        if batch and (len(batch) + 1) * sizes[i] > limit:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch
