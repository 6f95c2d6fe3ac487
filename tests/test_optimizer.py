"""Adam in one pass beside fairseq's; BERT's decay: the weights it spares, in every precision, after a restart."""

from __future__ import annotations

import argparse
import copy
from typing import Any

import pytest
import torch
from fairseq import optim
from fairseq.data import Dictionary
from omegaconf import OmegaConf

import fairseq_plugins  # noqa: F401
from csr.errors import ConfigError

SETTINGS = {"_name": "csr_adamw", "lr": [0.1], "adam_betas": "(0.9, 0.999)", "adam_eps": 1e-6, "weight_decay": 0.5}
SETTINGS |= {"use_old_adam": False, "fp16_adam_stats": False, "tpu": False}


def encoder() -> torch.nn.Module:
    """A BERT of two small layers."""
    from fairseq.models import ARCH_CONFIG_REGISTRY, ARCH_MODEL_REGISTRY

    arguments = argparse.Namespace(encoder_embed_dim=8, encoder_ffn_embed_dim=8, encoder_attention_heads=2)
    ARCH_CONFIG_REGISTRY["csr_bert_tiny"](arguments)
    dictionary = Dictionary()
    task: Any = argparse.Namespace(source_dictionary=dictionary, cfg=argparse.Namespace(tokens_per_sample=8))
    arguments.tokens_per_sample = 8
    return ARCH_MODEL_REGISTRY["csr_bert_tiny"].build_model(arguments, task)


def config(**common: bool) -> Any:
    """The settings as fairseq's trainer hands them on."""
    flags = dict.fromkeys(("fp16", "bf16", "fp16_no_flatten_grads", "amp"), False) | common
    numbers = {"fp16_scale_window": 1, "fp16_init_scale": 1, "fp16_scale_tolerance": 0.0, "min_loss_scale": 1e-4}
    numbers |= {"threshold_loss_scale": None}
    distributed = {"pipeline_model_parallel": False, "distributed_world_size": 1}
    return OmegaConf.create(
        {
            "optimizer": SETTINGS,
            "common": flags | numbers,
            "optimization": {"update_freq": [1]},
            "distributed_training": distributed,
        }
    )


def decayed_by(model: torch.nn.Module, optimizer: Any) -> dict[str, float]:
    """What a step without gradients makes of each weight, over what it was."""
    for weight in optimizer.params:
        weight.data.fill_(1.0)
        weight.grad = torch.zeros_like(weight)
    getattr(optimizer, "fp32_optimizer", optimizer).optimizer.step()
    if hasattr(optimizer, "_sync_fp32_params_to_fp16"):
        optimizer._sync_fp32_params_to_fp16()
    return {name: float(weight.flatten()[0]) for name, weight in model.named_parameters()}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_normalisation_and_biases_do_not_decay_and_all_else_does(precision: str) -> None:
    model = encoder()
    if precision == "fp32":
        optimizer = optim.build_optimizer(config().optimizer, list(model.parameters()))
    else:
        model.bfloat16()
        optimizer = optim.FP16Optimizer.build_optimizer(config(bf16=True), list(model.parameters()))
    found = decayed_by(model, optimizer)
    assert len(found) > 30
    for name, value in found.items():
        spared = "norm" in name or name.endswith("bias")
        assert value == pytest.approx(1.0 if spared else 1 - 0.1 * 0.5, rel=4e-3), name


def test_the_groups_survive_a_restart() -> None:
    models = encoder(), encoder()
    first, second = (optim.build_optimizer(config().optimizer, list(model.parameters())) for model in models)
    decayed_by(models[0], first)
    second.load_state_dict(first.state_dict())
    assert [group["weight_decay"] for group in second.param_groups] == [0.5, 0.0]
    assert decayed_by(models[1], second)["encoder.sentence_encoder.layernorm_embedding.bias"] == 1.0


def test_weights_in_one_tensor_are_refused() -> None:
    """As --fp16 flattens them."""
    with pytest.raises(ConfigError, match="add --fp16-no-flatten-grads"):
        optim.build_optimizer(config().optimizer, [torch.nn.Parameter(torch.zeros(10))])


def trained(name: str, dtype: torch.dtype = torch.float32) -> tuple[list[torch.Tensor], Any]:
    """Weights after 30 updates with the same gradients, small beside epsilon in one of them; and the optimizer."""
    draw = torch.Generator().manual_seed(1)
    weights = [torch.nn.Parameter(torch.randn(size, generator=draw).to(dtype)) for size in ((7, 5), (5,), (3, 2))]
    settings = OmegaConf.create(SETTINGS | {"_name": name, "lr": [0.01], "adam_betas": "(0.9, 0.98)"})
    optimizer = optim.build_optimizer(settings, weights)
    for update in range(30):
        if update == 15:  # a restart
            state = optimizer.state_dict()
            optimizer = optim.build_optimizer(settings, weights)
            optimizer.load_state_dict(state)
        for weight, scale in zip(weights, (1.0, 1e-6, 1e-3), strict=True):
            weight.grad = (torch.randn(weight.shape, generator=draw) * scale).to(dtype)
        optimizer.step()
    return [weight.detach() for weight in weights], optimizer


def test_one_pass_does_what_fairseq_does() -> None:
    (expected, _), (found, optimizer) = trained("adam"), trained("csr_adam")
    assert type(optimizer.optimizer).__name__ == "OnePassAdam"
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_weights_in_half_precision_are_left_to_fairseq() -> None:
    (expected, _), (found, optimizer) = trained("adam", torch.bfloat16), trained("csr_adam", torch.bfloat16)
    assert type(optimizer.optimizer).__name__ == "Adam"
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(found, expected, strict=True))


def test_a_restart_changes_nothing_in_half_precision() -> None:
    """The model has its weights rounded to eight bits; the state has them whole."""

    def updated(restart: bool) -> list[torch.Tensor]:
        draw = torch.Generator().manual_seed(1)
        weights = [torch.nn.Parameter(torch.randn(size, generator=draw).bfloat16()) for size in ((7, 5), (5,))]
        optimizer = optim.FP16Optimizer.build_optimizer(config(bf16=True), weights)
        for update in range(20):
            if restart and update == 10:
                state = copy.deepcopy(optimizer.state_dict())
                weights = [torch.nn.Parameter(weight.detach().clone()) for weight in weights]
                optimizer = optim.FP16Optimizer.build_optimizer(config(bf16=True), weights)
                optimizer.load_state_dict(state)
            optimizer.zero_grad()
            for weight in weights:
                weight.grad = torch.randn(weight.shape, generator=draw).bfloat16()
            optimizer._needs_sync = True
            optimizer.step()
        return [weight.detach() for weight in optimizer.fp32_params]

    once, again = updated(restart=False), updated(restart=True)
    assert all(torch.equal(one, other) for one, other in zip(once, again, strict=True))
    assert any(not torch.equal(weight, weight.bfloat16().float()) for weight in once)
