"""The passes that training is spared: losses, attention and gradients are fairseq's, dropout is dropout."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from fairseq.criterions import label_smoothed_cross_entropy
from fairseq.modules import MultiheadAttention
from tiny_training import setup

from fairseq_plugins import layers, loss


@pytest.mark.parametrize(("n", "pieces"), [(1, 5), (9, 7), (700, 1000), (3, 300_000)])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_losses_and_gradients_are_fairseqs(n, pieces, smoothing):
    """Also where the rows are looked at in several parts: 262 of 1,000 scores, or one of 300,000."""
    draw = torch.Generator().manual_seed(1)
    scores, target = 3 * torch.randn(n, pieces, generator=draw), torch.randint(pieces, (n,), generator=draw)
    theirs, ours = scores.double().requires_grad_(), scores.clone().requires_grad_()
    counted = label_smoothed_cross_entropy.label_smoothed_nll_loss
    expected = torch.stack(counted(theirs.log_softmax(-1), target, smoothing, ignore_index=-1))
    found = loss.smoothed_losses(ours, target, smoothing)
    torch.testing.assert_close(found, expected.float(), rtol=1e-5, atol=1e-5)
    for weights in ((1.0, 0.0), (0.5, 2.0)):
        grads = [
            torch.autograd.grad(side @ torch.tensor(weights, dtype=side.dtype), leaf, retain_graph=True)[0].float()
            for side, leaf in ((expected, theirs), (found, ours))
        ]
        torch.testing.assert_close(grads[1], grads[0], rtol=1e-5, atol=1e-6)


def test_small_gradients_are_scaled_before_they_are_rounded():
    """Probabilities of a large vocabulary are below what fp16 can say; fairseq scales losses for that."""
    scores = torch.zeros(1, 100_000_000 // 1000, dtype=torch.float16, requires_grad=True)
    (loss.smoothed_losses(scores, torch.tensor([0]))[0] * 2.0**12).backward()
    assert scores.grad is not None
    assert float(scores.grad[0, 1]) == pytest.approx(2.0**12 / 100_000, rel=1e-3)


@pytest.fixture
def model(tmp_path) -> tuple[Any, Any]:
    """A task and its configuration."""
    for language in ("xx", "yy"):
        (tmp_path / f"dict.{language}.txt").write_text("".join(f"p{i} 1\n" for i in range(40)))
    sides = ["--source-lang", "xx", "--target-lang", "yy", "--label-smoothing", "0.1"]
    return setup(Path(tmp_path), "--task", "csr_translation", "--criterion", "label_smoothed_cross_entropy", *sides)


def batch() -> dict[str, Any]:
    """Three pairs of different lengths, padded."""
    rows, lengths = torch.randint(4, 40, (3, 7), generator=torch.Generator().manual_seed(2)), torch.tensor([7, 5, 3])
    padded = rows.masked_fill(torch.arange(7) >= lengths[:, None], 1)
    inputs = {
        "src_tokens": padded.flip(1),
        "src_lengths": lengths,
        "prev_output_tokens": padded.roll(1, 1).index_fill(1, torch.tensor([0]), 2),
    }
    return {"net_input": inputs, "target": padded, "ntokens": 15, "nsentences": 3}


def test_a_model_trains_as_fairseqs(model):
    """One of the task, and the same with fairseq's own modules and criterion: losses, logs and gradients."""
    config, task = model
    torch.manual_seed(1)
    ours = task.build_model(config.model).train()
    theirs = copy.deepcopy(ours)
    for module in theirs.modules():
        if type(module) in (layers.Attention, layers.Dropout):
            module.__class__ = type(module).__mro__[1]
    criteria = task.build_criterion(config.criterion), super(type(task), task).build_criterion(config.criterion)
    assert isinstance(criteria[0], loss.LabelSmoothedCrossEntropyCriterion)
    assert type(criteria[0]).__name__ == type(criteria[1]).__name__  # the trainer compares names when it resumes
    results = []
    for made, criterion in zip((ours, theirs), criteria, strict=True):
        total, size, log = criterion(made, batch())
        total.backward()
        logged = {name: float(value) for name, value in log.items()}
        results.append((total.detach(), size, logged, {name: w.grad for name, w in made.named_parameters()}))
    torch.testing.assert_close(results[0][0], results[1][0], rtol=1e-5, atol=1e-5)
    assert results[0][1] == results[1][1]
    assert results[0][2] == pytest.approx(results[1][2], rel=1e-5)
    for name, gradient in results[1][3].items():
        torch.testing.assert_close(results[0][3][name], gradient, rtol=1e-5, atol=1e-5, msg=name)
    ours.eval(), theirs.eval()
    for made, criterion in ((ours, criteria[0]), (theirs, criteria[1])):
        results.append(float(criterion(made, batch())[0]))
    assert results[-2] == pytest.approx(results[-1], rel=1e-5)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_attention_is_fairseqs(causal, padded):
    torch.manual_seed(1)
    theirs = MultiheadAttention(12, 3, dropout=0.0, self_attention=True).train()
    ours = copy.deepcopy(theirs)
    layers.lighten(ours)
    assert type(ours) is layers.Attention
    values = torch.randn(5, 2, 12)
    mask = torch.full((5, 5), -torch.inf).triu(1) if causal else None
    pads = torch.tensor([[False] * 5, [False] * 3 + [True] * 2]) if padded else None
    found = [made(values, values, values, key_padding_mask=pads, attn_mask=mask) for made in (ours, theirs)]
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_dropout_keeps_the_mean_and_repeats_by_seed():
    values = torch.ones(400, 1001, requires_grad=True)
    torch.manual_seed(1)
    found = layers.dropout(values, 0.3)
    found.sum().backward()
    assert found.detach().unique().tolist() == pytest.approx([0, 1 / 0.7])
    assert float((found == 0).float().mean()) == pytest.approx(0.3, abs=0.003)  # 4 standard deviations
    assert torch.equal(values.grad, found.detach())
    # Neighbours, of which four come from one draw, are independent.
    kept = (found.detach() > 0).float() - 0.7
    assert float((kept[:, 1:] * kept[:, :-1]).mean()) == pytest.approx(0, abs=0.0014)
    torch.manual_seed(1)
    assert torch.equal(layers.dropout(values, 0.3), found)
    assert not torch.equal(layers.dropout(values, 0.3), found)
    for p, expected in ((0.0, 1.0), (1.0, 0.0)):
        assert torch.equal(layers.dropout(values, p).detach(), torch.full_like(values, expected))
