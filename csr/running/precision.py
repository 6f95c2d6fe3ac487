"""The numbers that a training counts in: asked for in its command, chosen where it runs, kept until it ends.

fairseq-train has flags for bf16 and fp16 and none for fp32 or a choice. A command of ours holds a mark in their place,
which ``with_precision`` replaces before fairseq sees it: what a run is to do is then the same on every machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, get_args

from csr.backbone.estimate import Precision
from csr.running.processor import CPUINFO, described

Wanted = Literal["fp32", "fp16", "bf16", "auto"]
_MARK = re.compile("precision=(auto|fp32)(,memory-efficient)?")
# The default, which is no part of what a run is to do: one made when the default was fp32 is the same run.
UNSAID = "precision=auto"


def flags(wanted: Wanted, memory_efficient: bool = False) -> list[str]:
    """The flags of fairseq-train for numbers, or the mark for ``auto`` and ``fp32``.

    >>> flags("bf16", memory_efficient=True), flags("auto")
    (['--bf16', '--memory-efficient-bf16'], ['precision=auto'])
    """
    if wanted in ("auto", "fp32"):
        return [f"precision={wanted}" + (",memory-efficient" if memory_efficient else "")]
    found = [f"--{wanted}"] + ([f"--memory-efficient-{wanted}"] if memory_efficient else [])
    # Deviation: fairseq raises the scale of the loss after 16,384 updates, more than a stage has. A copy of the
    # weights tensor by tensor, as bf16 has it, needs less memory than one long one.
    return [*found, "--fp16-scale-window", "256", "--fp16-no-flatten-grads"] if wanted == "fp16" else found


def with_precision(command: Sequence[str], chosen: Precision) -> list[str]:
    """A command as fairseq takes it, in the chosen numbers where it leaves the choice open.

    >>> with_precision(["fairseq-train", "data", "precision=auto", "--lr", "1"], "bf16")
    ['fairseq-train', 'data', '--bf16', '--lr', '1']
    """
    found: list[str] = []
    for argument in command:
        if not (mark := _MARK.fullmatch(argument)):
            found.append(argument)
        elif mark[1] == "auto" and chosen != "fp32":
            found += flags(chosen, bool(mark[2]))
    return found


def choices(command: Sequence[str]) -> Iterator[Precision]:
    """The numbers that a command may be run in, this machine's first; one where it names them."""
    marks = filter(None, map(_MARK.fullmatch, command))
    if any(mark[1] == "auto" for mark in marks):
        yield (here := of_machine())
        yield from (other for other in get_args(Precision) if other != here)
    else:
        yield next((name for name in ("bf16", "fp16") if f"--{name}" in command), "fp32")


def resolved(wanted: Wanted) -> Precision:
    """The numbers that a training which asks for them begins in on this machine."""
    return of_machine() if wanted == "auto" else wanted


def of_machine() -> Precision:
    """What a card or processor multiplies fastest with the range of fp32: bf16 where it has it; else fp16 on a card."""
    import torch

    if torch.cuda.is_available():
        return "bf16" if torch.cuda.get_device_capability()[0] >= 8 else "fp16"
    # torch's own test is true also where bf16 is emulated, which is slower than fp32.
    return "bf16" if torch.backends.mkldnn.is_available() and processor_has_bf16() else "fp32"


def processor_has_bf16(cpuinfo: Path = CPUINFO) -> bool:
    """Tell whether a processor has instructions that multiply in bf16 (AVX-512 BF16 or AMX), by what Linux says."""
    return not {"avx512_bf16", "amx_bf16"}.isdisjoint(described("flags", cpuinfo).split())
