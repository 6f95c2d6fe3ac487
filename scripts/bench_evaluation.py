"""Time BLEU with 1,000 bootstrap samples against the sacrebleu command on the same 3,000 sentences.

Both are run as a user would, one process each, in turn. What counts is the processor time, start-up included, of the
fastest round: both are single-threaded, and other work on the machine hardly disturbs it. Exits 1 if csr is slower.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

SENTENCES = 3000
SAMPLES = 1000


def main() -> int:
    """Print both times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="runs of each (default: %(default)s)")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        hyp, ref = Path(folder, "hyp"), Path(folder, "ref")
        _write(hyp, ref)
        commands = {
            "csr": ["csr", "evaluate", "bleu", "--hyp", hyp, "--ref", ref, "--samples", str(SAMPLES)],
            "sacrebleu": ["sacrebleu", ref, "-i", hyp, "--confidence", "--confidence-n", str(SAMPLES)],
        }
        seconds = {name: float("inf") for name in commands}
        for _ in range(rounds):
            for name, command in commands.items():
                started = _children_seconds()
                program = Path(sys.executable).with_name(command[0])
                subprocess.run(
                    [program, *command[1:]],
                    check=True,
                    stdout=subprocess.DEVNULL,
                    env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
                )
                seconds[name] = min(seconds[name], _children_seconds() - started)
    ratio = seconds["csr"] / seconds["sacrebleu"]
    print(f"BLEU, {SENTENCES} sentences, {SAMPLES} bootstrap samples, best of {rounds}")
    print(f"csr {seconds['csr']:.2f} s, sacrebleu {seconds['sacrebleu']:.2f} s of processor time, ratio {ratio:.2f}")
    return int(ratio > 1)


def _children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _write(hyp: Path, ref: Path) -> None:
    """Write sentences of 20 words from a vocabulary of 5,000 and outputs with every eighth word wrong."""
    rng = random.Random(1)
    vocabulary = [f"w{i}" for i in range(5000)]
    with open(hyp, "w") as outputs, open(ref, "w") as references:
        for _ in range(SENTENCES):
            words = rng.choices(vocabulary, k=20)
            references.write(" ".join(words) + ".\n")
            outputs.write(" ".join(rng.choice(vocabulary) if rng.random() < 1 / 8 else word for word in words) + ".\n")


if __name__ == "__main__":
    sys.exit(main())
