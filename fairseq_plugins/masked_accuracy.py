"""How well a pretrained encoder predicts masked pieces of held-out text (Visser et al., Table 3)."""

from __future__ import annotations

from argparse import Namespace

import numpy as np
import torch
from fairseq.data import data_utils
from tqdm import tqdm

from csr.backbone.checkpoints import read_checkpoint
from csr.backbone.generation import MAX_TOKENS
from csr.backbone.saved_settings import model_settings
from csr.errors import DataError
from csr.evaluation.classification import Accuracy
from csr.files import PathLike
from fairseq_plugins.checkpoints import check_finite, of_checkpoint
from fairseq_plugins.encoder import CsrBert
from fairseq_plugins.masked_lm import CsrMaskedLmConfig, CsrMaskedLmTask


@torch.inference_mode()
def masked_accuracy(
    checkpoint: PathLike, data: PathLike, language: str, split: str = "valid", length: int = 128
) -> Accuracy:
    """The accuracy on a split of one language; masked are the same pieces for every model of a vocabulary.

    Args:
        data: folder ``bin`` of ``csr mixture``.
        length: of a block, in pieces.

    Raises:
        DataError: the checkpoint holds no encoder of csr_masked_lm, or one of another vocabulary.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    settings = {"data": str(data), "languages": language, "tokens_per_sample": length}
    task = CsrMaskedLmTask.setup_task(CsrMaskedLmConfig(**settings, seed=1, train_subset="train"))  # type: ignore[arg-type]
    state = read_checkpoint(checkpoint)
    if "encoder.lm_head.bias" not in state["model"]:
        raise DataError(f"{checkpoint}: expected an encoder that csr_masked_lm trained, found another model")
    with of_checkpoint(checkpoint):
        model = CsrBert.build_model(Namespace(**model_settings(state)), task)
        try:
            model.load_state_dict(state["model"])
        except DataError as error:
            raise DataError(f"{checkpoint}: {error}") from None
        check_finite(model, checkpoint)
    model.to(device).eval()
    task.load_dataset(split)
    dataset, pad = task.datasets[split], task.dictionary.pad()
    order = np.arange(len(dataset))
    batches = data_utils.batch_by_size(
        order, dataset.num_tokens, dataset.sizes[order], max_tokens=max(MAX_TOKENS[device.type], length)
    )
    correct = total = 0
    for batch in tqdm(batches, desc=f"masked {language}", unit="batch", disable=None):
        sample = dataset.collater([dataset[i] for i in batch])
        predicted = sample["target"].ne(pad)
        tokens, target = sample["net_input"]["src_tokens"].to(device), sample["target"][predicted].to(device)
        logits, _ = model(tokens, masked_tokens=predicted.to(device))
        correct += int((logits.argmax(-1) == target).sum())
        total += len(target)
    return Accuracy(correct, total)
