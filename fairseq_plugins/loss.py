"""Cross-entropy of a vocabulary in two passes over the scores, one forward and one backward.

fairseq's makes nine: scores in fp32, their log-probabilities, the sum of these, and as much on the way back.
"""

from __future__ import annotations

from typing import Any

import torch
from fairseq.criterions import label_smoothed_cross_entropy
from fairseq.models.transformer import TransformerDecoderBase

_NUMBERS = 1 << 18  # of scores that are looked at together: a MiB in fp32 stays in a processor's cache
_ON_CARD = 1 << 24


def smoothed_losses(scores: torch.Tensor, target: torch.Tensor, smoothing: float = 0.0) -> torch.Tensor:
    """The loss with label smoothing and that without, each summed over rows: float32 [2].

    As fairseq counts it: of a vocabulary of V, (1 - s - s / (V - 1)) * -log p(target) + s / (V - 1) * sum_v -log p(v).

    Args:
        scores: of all pieces, any float type [n, V].
        target: int64 [n].
    """
    found: torch.Tensor = _Smoothed.apply(scores, target, smoothing)
    return found


class _Smoothed(torch.autograd.Function):
    """The gradient of a row is softmax(scores) - s / (V - 1), and at its target (1 - s - s / (V - 1)) less."""

    @staticmethod
    def forward(ctx: Any, scores: torch.Tensor, target: torch.Tensor, smoothing: float) -> torch.Tensor:
        n_pieces = scores.shape[1]
        rest = smoothing / (n_pieces - 1)
        norms, sums = (torch.empty(len(scores), device=scores.device) for _ in range(2))
        for start, rows in _parts(scores):
            part = rows.float()
            norms[start : start + len(part)] = part.logsumexp(1)
            sums[start : start + len(part)] = part.sum(1)
        nll = (norms - scores.gather(1, target[:, None])[:, 0].float()).sum()
        smooth = n_pieces * norms.sum() - sums.sum()
        ctx.save_for_backward(scores, target, norms)
        ctx.smoothing, ctx.rest = smoothing, rest
        return torch.stack([(1 - smoothing - rest) * nll + rest * smooth, nll])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        scores, target, norms = ctx.saved_tensors
        found = torch.empty_like(scores)
        # Of both losses: that without smoothing has a gradient of none of it.
        rest, chosen = gradient[0] * ctx.rest, gradient[0] * (1 - ctx.smoothing - ctx.rest) + gradient[1]
        for start, rows in _parts(scores):
            end = start + len(rows)
            part = (rows.float() - norms[start:end, None]).exp_().mul_(gradient.sum()).sub_(rest)
            part.scatter_add_(1, target[start:end, None], (-chosen).expand(len(rows), 1))
            found[start:end] = part
        return found, None, None


def _parts(scores: torch.Tensor) -> Any:
    """Rows of scores that fit the cache, with the number of the first."""
    size = max(1, (_ON_CARD if scores.is_cuda else _NUMBERS) // scores.shape[1])
    return ((start, scores[start : start + size]) for start in range(0, len(scores), size))


class LabelSmoothedCrossEntropyCriterion(label_smoothed_cross_entropy.LabelSmoothedCrossEntropyCriterion):
    """fairseq's of this name, which checkpoints hold: the same losses and gradients; pads get no scores."""

    def forward(
        self, model: Any, sample: dict[str, Any], reduce: bool = True
    ) -> tuple[torch.Tensor, int, dict[str, Any]]:
        """The summed loss, the number of targets, and what is logged."""
        usual = reduce and not self.report_accuracy and not self.ignore_prefix_size
        decoder = getattr(model, "decoder", None)
        if not usual or not isinstance(decoder, TransformerDecoderBase) or decoder.adaptive_softmax is not None:
            found: tuple[torch.Tensor, int, dict[str, Any]] = super().forward(model, sample, reduce)
            return found
        features, _ = model(**sample["net_input"], features_only=True)
        real = sample["target"].ne(self.padding_idx)
        loss, nll = smoothed_losses(decoder.output_layer(features[real]), sample["target"][real], self.eps)
        size = len(sample["target"]) if self.sentence_avg else sample["ntokens"]
        logged = {"loss": loss.data, "nll_loss": nll.data, "ntokens": sample["ntokens"], "sample_size": size}
        return loss, size, {**logged, "nsentences": len(sample["target"])}
