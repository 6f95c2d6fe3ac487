"""``--optimizer csr_adam`` and ``csr_adamw``: fairseq's Adam in one pass; with BERT's weight decay."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from fairseq.optim import register_optimizer
from fairseq.optim.adam import FairseqAdam, FairseqAdamConfig

from csr.errors import ConfigError


class OnePassAdam(torch.optim.AdamW):
    """torch's fused AdamW, with epsilon where fairseq has it.

    Kingma and Ba 2015 divide by sqrt(v_t / (1 - beta_2^t)) + eps; fairseq, as the end of their section 2 allows, adds
    eps to sqrt(v_t) itself, which is torch's rule with eps / sqrt(1 - beta_2^t).
    """

    supports_flat_params = True

    def __init__(self, params: Iterable[Any], eps: float, **options: Any) -> None:
        super().__init__(params, eps=eps, fused=True, **options)
        self._eps = eps
        self._updates: int | None = None  # made so far; None: not counted yet

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state of this class."""
        super().load_state_dict(state_dict)
        self._updates = None

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the weights that have gradients."""
        if self._updates is None:
            self._updates = max((int(state["step"]) for state in self.state.values()), default=0)
        self._updates += 1
        for group in self.param_groups:
            group["eps"] = self._eps / math.sqrt(1 - group["betas"][1] ** self._updates)
        return super().step(closure)


@register_optimizer("csr_adam", dataclass=FairseqAdamConfig)
class CsrAdam(FairseqAdam):
    """fairseq's Adam, whose steps make one pass over the weights instead of ten.

    Weights in half precision (``--memory-efficient-bf16``) are left to fairseq, which has the averages in fp32.

    # Deviation: of a model in half precision fairseq saves the weights rounded, and not those in fp32 that they are
    # rounded from, so that a training that goes on from a checkpoint is another than one that was never stopped.
    """

    def __init__(self, cfg: FairseqAdamConfig, params: Iterable[Any]) -> None:
        groups = list(params)
        super().__init__(cfg, groups)
        weights = [weight for group in self.param_groups for weight in group["params"]]
        # Those in fp32 that a model in half precision is rounded from have room for gradients from the start.
        self._rounded = all(weight.grad is not None for weight in weights)
        if all(weight.dtype == torch.float32 for weight in weights):
            self._optimizer = OnePassAdam(groups, **self.optimizer_config)

    def state_dict(self) -> dict[str, Any]:
        """The state of the optimizer, with the weights in fp32 where the model has them rounded."""
        found = super().state_dict()
        return {**found, "weights": [weight.detach() for weight in self.params]} if self._rounded else found

    def load_state_dict(self, state_dict: dict[str, Any], optimizer_overrides: dict[str, Any] | None = None) -> None:
        """Go on from a state; from one without weights, with those of the model."""
        super().load_state_dict(state_dict, optimizer_overrides)
        if self._rounded and "weights" in state_dict:
            for weight, saved in zip(self.params, state_dict["weights"], strict=True):
                weight.data.copy_(saved)


@register_optimizer("csr_adamw", dataclass=FairseqAdamConfig)
class CsrAdamW(CsrAdam):
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
