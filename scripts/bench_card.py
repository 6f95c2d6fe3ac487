"""Stage one and translation on a card beside transformers: tokens/s, waiting for data, memory beside csr estimate.

    python scripts/bench_card.py [--steps 30] [--max-tokens 2048] [--small] [--json FILE]

All three train a model of mBART-large's sizes (12 + 12 layers of 1024, 250,027 pieces) with random weights on the same
batches, in what ``precision: auto`` takes: ``csr_translation``; ``csr_restore`` with a lexicon of random translations;
``MBartForConditionalGeneration`` with attention through SDPA, autocast and torch's fused AdamW. With --small the model
is tiny and trains on the processor, which proves that the script runs and nothing else. It has never run on a card.

Tokens are those written, pads not counted. *waiting* is the share of a step that passes until the batch is there.
*peak* is what torch has allocated at most, beside what ``csr estimate`` foretells for our model.
"""

from __future__ import annotations

import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench_common import arguments_of, write_results
from bench_training import Shape, Training, Way, write_text

sys.path.insert(0, str(Path(__file__).parents[1]))

from csr.backbone.estimate import Setup, Sizes, estimate
from csr.running import precision

LARGE, TINY = Shape(12, 1024, 4096, 16, 250_027, 2048), Shape(1, 32, 64, 2, 500, 400)


def peer(shape: Shape, device: torch.device, numbers: str) -> Callable[[dict[str, Any]], None]:
    """A step of transformers' mBART on a batch of fairseq."""
    from transformers import MBartConfig, MBartForConditionalGeneration

    config = MBartConfig(
        vocab_size=shape.pieces,
        d_model=shape.dim,
        **{f"{side}_layers": shape.layers for side in ("encoder", "decoder")},
        **{f"{side}_ffn_dim": shape.ffn for side in ("encoder", "decoder")},
        **{f"{side}_attention_heads": shape.heads for side in ("encoder", "decoder")},
        dropout=0.1,
        attention_dropout=0.1,
        scale_embedding=True,
        attn_implementation="sdpa",
    )
    model = MBartForConditionalGeneration(config).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, fused=True)
    kind = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[numbers]
    scaler = torch.amp.GradScaler(device.type, enabled=numbers == "fp16")

    def step(batch: dict[str, Any]) -> None:
        source = batch["net_input"]["src_tokens"].to(device)
        written = batch["target"].to(device)
        with torch.autocast(device.type, kind, enabled=numbers != "fp32"):
            found = model(
                input_ids=source,
                attention_mask=source.ne(1),
                decoder_input_ids=batch["net_input"]["prev_output_tokens"].to(device),
                labels=written.masked_fill(written.eq(1), -100),
            )
        scaler.scale(found.loss).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1e9)  # the norm is counted, as fairseq does
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad(set_to_none=True)

    return step


def timed(batches: Any, step: Callable[[dict[str, Any]], object], steps: int, device: torch.device) -> dict[str, Any]:
    """Tokens a second over the steps after three to warm up, the share of waiting, and the peak of memory."""
    tokens: list[int] = []
    waits: list[float] = []
    seconds: list[float] = []
    card = device.type == "cuda"
    if card:
        torch.cuda.reset_peak_memory_stats()
    for _ in range(steps + 3):
        start = time.perf_counter()
        batch = next(batches)
        waits.append(time.perf_counter() - start)
        step(batch)
        if card:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
        tokens.append(int(batch["ntokens"]))
    return {
        "tokens_a_second": sum(tokens[3:]) / sum(seconds[3:]),
        "ms_a_step": 1e3 * statistics.median(seconds[3:]),
        "waiting": sum(waits[3:]) / sum(seconds[3:]),
        "peak_gib": torch.cuda.max_memory_allocated() / 2**30 if card else None,
    }


def measure(shape: Shape, steps: int, device: torch.device) -> dict[str, Any]:
    """All three, one after the other: their models do not fit a card at the same time."""
    card, numbers, found = device.type == "cuda", precision.resolved("auto"), {}
    draw = np.random.default_rng(2)
    with tempfile.TemporaryDirectory() as name:
        write_text(Path(name), shape, (steps + 5) * shape.max_tokens // 14)
        pairs = draw.integers(0, shape.pieces - 7, (shape.pieces // 2, 2))
        lexicon = Path(name, "xx-yy.tsv")
        lexicon.write_text("".join(f"w{a}\tw{b}\t1.0\n" for a, b in pairs.tolist() if a != b))
        lines = {"translation": [], "restore": ["--task", "csr_restore", "--lexicon", str(lexicon)]}
        for task, more in lines.items():
            training = Training(Path(name), shape, Way("csr_adam", "auto"), card, more)
            found[task] = timed(
                training.batches, lambda batch, t=training: t.trainer.train_step([batch]), steps, device
            )
            if task == "translation":
                kept = Training(Path(name), shape, Way("csr_adam", "auto"), card=False)  # for its batches
            del training
            if card:
                torch.cuda.empty_cache()
        found["transformers"] = timed(kept.batches, peer(shape, device, numbers), steps, device)
    sizes = Sizes(shape.pieces, shape.layers, shape.dim, shape.ffn, shape.heads)
    peak = estimate(sizes, Setup(numbers), shape.max_tokens, 20).peak / 2**30
    ratio = {task: found[task]["tokens_a_second"] / found["transformers"]["tokens_a_second"] for task in lines}
    return {"numbers": numbers, "runs": found, "beside_transformers": ratio, "estimated_peak_gib": peak}


def main() -> None:
    """Measure, print, write the figures."""
    parser = arguments_of(__doc__)
    parser.add_argument("--steps", type=int, default=30, help="of each (default: %(default)s)")
    parser.add_argument("--max-tokens", type=int, default=LARGE.max_tokens, help="of a batch (default: %(default)s)")
    arguments = parser.parse_args()
    if not (arguments.small or torch.cuda.is_available()):
        parser.error("expected a card, found none; --small proves on a processor that the script runs")
    device = torch.device("cpu" if arguments.small else "cuda")
    logging.disable(logging.INFO)
    shape, steps = (TINY, 3) if arguments.small else (LARGE._replace(max_tokens=arguments.max_tokens), arguments.steps)
    where = "the processor" if arguments.small else torch.cuda.get_device_name()
    figures = {"device": where, "max_tokens": shape.max_tokens, **measure(shape, steps, device)}
    for name, run in figures["runs"].items():
        print(f"{name}: {run}")
    print({name: value for name, value in figures.items() if name != "runs"})
    write_results(arguments.json, "card", figures)


if __name__ == "__main__":
    main()
