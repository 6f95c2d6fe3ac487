"""What finetuned models say: labels of pairs, translations of text."""

from __future__ import annotations

import numpy as np
import torch
from tqdm import tqdm

from csr.data.nli import LABELS
from csr.errors import DataError
from csr.files import PathLike
from fairseq_plugins.models import MAX_TOKENS, Model
from fairseq_plugins.nli import HEAD, CsrNliTask


@torch.inference_mode()
def predict(model: Model, folder: PathLike, split: str, language: str, max_tokens: int | None = None) -> list[str]:
    """Return the label of each pair of a split in a language, by the most probable class.

    Args:
        model: of the task ``csr_nli``.
        max_tokens: in a batch, padding included; by default ``MAX_TOKENS``.

    Raises:
        DataError: the model was trained for another task.
    """
    if not isinstance(model.task, CsrNliTask):
        raise DataError(f"expected a model trained by csr_nli, found one of {model.trained_by}")
    dataset = model.task.pairs(str(folder), split, language)
    tokens = max(max_tokens or MAX_TOKENS[model.device.type], int(dataset.sizes.max()))
    found = np.empty(len(dataset), np.int64)
    batches = dataset.batch_by_size(dataset.ordered_indices(), max_tokens=tokens)
    for batch in tqdm(batches, desc=f"{split}.{language}", unit="batch", disable=None):
        sample = dataset.collater([dataset[i] for i in batch])
        inputs = {name: value.to(model.device) for name, value in sample["net_input"].items()}
        logits, _ = model.model(**inputs, classification_head_name=HEAD)
        found[batch] = logits.argmax(1).cpu().numpy()
    return [LABELS[i] for i in found]
