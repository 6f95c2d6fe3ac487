"""``--optimizer csr_adamw``: fairseq's Adam, whose weight decay spares normalisation and biases, as BERT's does."""

from collections.abc import Iterable

import torch
from fairseq.optim import register_optimizer
from fairseq.optim.adam import FairseqAdam, FairseqAdamConfig

from csr.errors import ConfigError


@register_optimizer("csr_adamw", dataclass=FairseqAdamConfig)
class CsrAdamW(FairseqAdam):
    """Weights in two groups: matrices, which decay, and vectors (normalisation, biases), which do not.

    As the released code of Devlin et al. 2019 excludes them (``LayerNorm``, ``layer_norm``, ``bias``).
    """

    def __init__(self, cfg: FairseqAdamConfig, params: Iterable[torch.nn.Parameter]) -> None:
        weights = list(params)
        decayed = [weight for weight in weights if weight.dim() > 1]
        spared = [weight for weight in weights if weight.dim() <= 1]
        if not decayed:
            raise ConfigError(
                "--optimizer csr_adamw: expected the weights one by one, found them in one long tensor: add "
                "--fp16-no-flatten-grads"
            )
        groups = [{"params": decayed}, {"params": spared, "weight_decay": 0.0}]
        super().__init__(cfg, groups if spared else groups[:1])
