"""Dropout and attention of training on a processor: what fairseq's modules compute, with fewer passes over memory."""

from __future__ import annotations

from typing import Any

import torch
from fairseq.modules import MultiheadAttention
from fairseq.modules.fairseq_dropout import FairseqDropout
from torch import Tensor, nn

_VALUES = 1 << 16  # of a draw


def lighten(model: nn.Module) -> None:
    """Let the modules of a model train as those here do; weights and what a checkpoint holds stay as they are."""
    for module in model.modules():
        if type(module) is FairseqDropout:
            module.__class__ = Dropout
        elif type(module) is MultiheadAttention:
            module.__class__ = Attention


class _Dropped(torch.autograd.Function):
    """Values times noise, of which fewer are kept."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, p: float) -> Tensor:
        # Four draws of 16 bits from one of 64: torch draws one of 32 for each value, and makes a float of it.
        bits = torch.empty((values.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None).view(torch.int16)
        kept = bits[: values.numel()].view(values.shape) >= round(p * _VALUES) - _VALUES // 2
        noise = kept.to(values.dtype).mul_(1 / (1 - p))
        ctx.save_for_backward(noise)
        return values * noise

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (noise,) = ctx.saved_tensors
        return gradient * noise, None


def dropout(values: Tensor, p: float) -> Tensor:
    """Values, a share ``p`` of which are 0 and the others 1 / (1 - p) times as large.

    # Deviation: p is rounded to a multiple of 1/65,536.
    """
    if values.device.type != "cpu" or not 0 < p < 1:
        return nn.functional.dropout(values, p)
    found: Tensor = _Dropped.apply(values, p)
    return found


class Dropout(FairseqDropout):
    """fairseq's dropout."""

    def forward(self, x: Tensor, inplace: bool = False) -> Tensor:
        """Values with noise in training, else as they are."""
        if self.training and self.p > 0:
            return dropout(x, self.p)
        found: Tensor = super().forward(x, inplace)
        return found


class Attention(MultiheadAttention):
    """fairseq's attention."""

    def forward(  # type: ignore[no-untyped-def]
        self,
        query,
        key,
        value,
        key_padding_mask=None,
        incremental_state=None,
        need_weights=True,
        static_kv=False,
        attn_mask=None,
        **rare,
    ):
        """Attend; arguments and results are fairseq's, ``query`` [length, sentences, dim]."""
        usual = self.training and query.device.type == "cpu" and incremental_state is None
        if not usual or any(rare.values()) or self.bias_k is not None or self.add_zero_attn:
            masks = key_padding_mask, incremental_state, need_weights, static_kv, attn_mask
            return super().forward(query, key, value, *masks, **rare)
        length, n_rows, dim = query.shape

        def heads(projected: Tensor) -> Tensor:
            return projected.view(-1, n_rows * self.num_heads, self.head_dim).transpose(0, 1)

        queries, keys = heads(self.q_proj(query) * self.scaling), heads(self.k_proj(key))
        if attn_mask is None:
            scores = torch.bmm(queries, keys.transpose(1, 2))
        else:
            scores = torch.baddbmm(attn_mask.to(queries.dtype), queries, keys.transpose(1, 2))
        if key_padding_mask is not None:
            apart = scores.view(n_rows, self.num_heads, length, -1)
            # Of a row that is all pads the weights are numbers too.
            apart.masked_fill_(key_padding_mask.to(torch.bool)[:, None, None], torch.finfo(scores.dtype).min)
        weights = scores.softmax(-1)
        found = torch.bmm(dropout(weights, self.dropout_module.p), heads(self.v_proj(value)))
        found = self.out_proj(found.transpose(0, 1).reshape(length, n_rows, dim))
        return found, weights.view(n_rows, self.num_heads, length, -1).mean(1) if need_weights else None
