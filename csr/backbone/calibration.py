"""The time of training, from what a layer of either side, the output and the optimizer take on this machine."""

from __future__ import annotations

import functools
import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

from csr.backbone.estimate import Setup, Sizes

_OPERATIONS = 5e9  # of a measurement on a processor; fewer tokens are taken of larger layers
_PIECES = 8192  # of the vocabulary there, at most
_LONGEST = 2.0  # seconds; then a part is not run again


@dataclass(frozen=True)
class Speed:
    """Seconds that parts of an update take: processor seconds of each thread, or on a card those that pass.

    Attributes:
        encoder_layer, decoder_layer: of one token, forward and backward.
        output: of one token and one piece of the vocabulary, the loss included.
        optimizer: of one weight.
        where: the processor or the card.
    """

    encoder_layer: float
    decoder_layer: float
    output: float
    optimizer: float
    where: str

    def seconds(self, sizes: Sizes, setup: Setup, tokens: int, update_freq: int = 1) -> float:
        """The seconds of an update of so many tokens a side, times ``update_freq``.

        >>> Speed(0.25, 0.5, 0.125, 0.0, "").seconds(Sizes(8, layers=2), Setup(), 10)
        25.0
        """
        layers = sizes.layers * self.encoder_layer + sizes.decoder * self.decoder_layer
        again = 1 / 3 if setup.checkpoint_activations else 0  # the forward pass, once more
        trained = sizes.parameters - (sizes.embedding if setup.freeze_embeddings else 0)
        batch = tokens * ((1 + again) * layers + sizes.vocabulary * self.output)
        return update_freq * batch + trained * self.optimizer


@functools.cache
def measure(sizes: Sizes, setup: Setup, tokens: int, length: int, threads: int) -> Speed | None:
    """Measure the speed of training a model of these sizes, on a card if there is one, without its weights.

    Args:
        tokens: of a batch, padding included.
        length: of its sentences.
        threads: of the processor.

    Returns:
        None where it cannot be measured: the card has no room left, or the processor no such numbers.
    """
    import torch

    given = (sizes, setup, tokens, length, threads)
    try:
        if not torch.cuda.is_available():
            return _measure(*given, card=False)
        # In a process of its own, which gives back what a card's libraries take of its memory.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            return pool.submit(_measure, *given, card=True).result()
    except (RuntimeError, OSError):
        return None


def _measure(sizes: Sizes, setup: Setup, tokens: int, length: int, threads: int, card: bool) -> Speed:
    import torch
    from torch import nn

    where = torch.device("cuda" if card else "cpu")
    kind = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[setup.precision]
    length = min(length, sizes.positions, tokens)
    if not card:
        tokens = min(tokens, int(_OPERATIONS / (6 * (4 * sizes.dim**2 + 2 * sizes.dim * sizes.ffn))))
    n_rows, pieces = max(1, tokens // length), min(sizes.vocabulary, _PIECES)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        options: Any = {"dropout": 0.1, "activation": "gelu", "norm_first": True, "device": where, "dtype": kind}
        encoder = nn.TransformerEncoderLayer(sizes.dim, sizes.heads, sizes.ffn, **options)
        decoder = nn.TransformerDecoderLayer(sizes.dim, sizes.heads, sizes.ffn, **options)
        output = torch.randn(pieces, sizes.dim, device=where, dtype=kind, requires_grad=True)
        read = torch.randn(length, n_rows, sizes.dim, device=where, dtype=kind, requires_grad=True)
        seen = torch.randn(length, n_rows, sizes.dim, device=where, dtype=kind, requires_grad=True)
        mask = nn.Transformer.generate_square_subsequent_mask(length, device=where, dtype=kind)
        target = torch.randint(pieces, (length * n_rows,), device=where)
        weight = torch.zeros(1_000_000, device=where, requires_grad=True)
        weight.grad = torch.ones_like(weight)
        adam = torch.optim.Adam([weight])

        def loss() -> Any:
            scores = (seen.flatten(0, 1) @ output.T).float()
            return nn.functional.cross_entropy(scores, target, label_smoothing=0.1)

        parts: list[Callable[[], object]] = [
            lambda: encoder(read).sum().backward(),
            lambda: decoder(seen, read, tgt_mask=mask).sum().backward(),
            lambda: loss().backward(),
            adam.step,
        ]
        one, other, head, update = (_seconds(part, torch.cuda.synchronize if card else None, threads) for part in parts)
    finally:
        torch.set_num_threads(before)
    n_tokens = length * n_rows
    name = torch.cuda.get_device_name() if card else f"{threads} thread{'s' * (threads > 1)} of the processor"
    return Speed(one / n_tokens, other / n_tokens, head / n_tokens / pieces, update / len(weight), name)


def _seconds(part: Callable[[], object], wait: Callable[[], None] | None, threads: int) -> float:
    """The least of up to three runs after one to warm up; of a processor its own time, whatever else it does."""
    found: list[float] = []
    while len(found) < 4 and sum(found) < _LONGEST:
        start = time.perf_counter() if wait else time.process_time()
        part()
        if wait:
            wait()
        found.append((time.perf_counter() if wait else time.process_time()) - start)
    return min(found[1:] or found) / (1 if wait else threads)
