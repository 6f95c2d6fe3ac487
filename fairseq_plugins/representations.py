"""Sentence vectors from a checkpoint."""

from __future__ import annotations

import numpy as np
import torch
from fairseq import checkpoint_utils
from fairseq.data import data_utils
from tqdm import tqdm

from csr.errors import DataError
from csr.files import PathLike
from fairseq_plugins.datasets import Side, TranslationDataset
from fairseq_plugins.translation import CsrTranslationTask


def sentence_vectors(
    checkpoint: PathLike, data: PathLike, split: str = "test", sentences: int = 20_000, max_tokens: int = 8192
) -> tuple[np.ndarray, np.ndarray]:
    """Return the decoder's output at the last token of both sides' sentences, float32 [n_sentences, dim] each.

    Zan et al., section 6.1: "e_i is the output on the last token from the decoder". The sentence goes into the
    encoder and, as in restoring, into the decoder, with its own language id; it is read at its ``</s>``, where the
    decoder has seen all of it. In mBART-50's order of ids that is the last piece's position.
    """
    models, _, task = checkpoint_utils.load_model_ensemble_and_task(
        [str(checkpoint)], arg_overrides={"data": str(data)}
    )
    if not isinstance(task, CsrTranslationTask):
        raise DataError(f"{checkpoint}: expected a model trained by csr_restore or csr_translation")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = models[0].to(device).eval()
    source, target = (_vectors(model, task, side, sentences, max_tokens, device) for side in task.sides(split, 1))
    return source, target


@torch.inference_mode()
def _vectors(
    model: torch.nn.Module, task: CsrTranslationTask, side: Side, sentences: int, max_tokens: int, device: str
) -> np.ndarray:
    dataset = TranslationDataset(side, None, task.symbols)
    limit = min(task.max_positions())
    order = dataset.ordered_indices()
    order = order[order < sentences]
    batches = data_utils.batch_by_size(order, dataset.num_tokens, dataset.num_tokens_vec(order), max_tokens=max_tokens)
    vectors: np.ndarray | None = None
    for batch in tqdm(batches, desc="sentence vectors", disable=None):
        rows = [dataset[i]["source"] for i in batch]
        # A sentence longer than the model's positions keeps its start, its end and language id.
        rows = [row if len(row) <= limit else torch.cat([row[: limit - 2], row[-2:]]) for row in rows]
        lengths = torch.tensor([len(row) for row in rows], device=device)
        pad = task.symbols.pad
        tokens = data_utils.collate_tokens(rows, pad).to(device)
        decoder_input = data_utils.collate_tokens([row.roll(1) for row in rows], pad).to(device)
        features, _ = model(tokens, lengths, decoder_input, features_only=True)
        last = features[torch.arange(len(rows), device=device), lengths - 1].float().cpu().numpy()
        if vectors is None:
            vectors = np.empty((len(order), last.shape[1]), np.float32)
        vectors[batch] = last
    assert vectors is not None, "fairseq data holds at least one sentence"
    return vectors
