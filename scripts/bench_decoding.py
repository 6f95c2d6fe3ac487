"""Beam search by CTranslate2 beside fairseq's, with the model of a run on its test set: processor time and outputs.

    python scripts/bench_decoding.py RUN [--arm csr] [--seed 1] [--sentences 1000] [--repeat 3] [--json FILE]

Both search the same batches in turns, with one thread; reading the model into CTranslate2 counts. Ratios are medians.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import statistics
import sys
import time
from pathlib import Path
from unittest import mock

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from csr.evaluation.translation import score
from csr.experiments.trained import trained
from csr.files import read_lines, write_json
from fairseq_plugins import ctranslate, outputs
from fairseq_plugins.models import read_model


def main() -> None:
    """Print and write what both take and find."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("run", type=Path)
    add("--arm")
    add("--seed", type=int)
    add("--sentences", type=int, default=1000)
    add("--repeat", type=int, default=3)
    add("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found = trained(arguments.run, ["translation"], arguments.arm, arguments.seed)
    model = read_model(found.checkpoint, found.data, found.pieces, device="cpu")
    if not ctranslate.usable(model):
        parser.error("CTranslate2 is not installed, or has not the layers of this model")
    data, beam = found.config.data, found.config.generate.beam
    src, ref = (
        list(read_lines(arguments.run / f"data/text/test.{lang}"))[: arguments.sentences]
        for lang in (data.source_lang, data.target_lang)
    )

    def search(fast: bool) -> tuple[float, list[str]]:
        ctranslate.beam_of.cache_clear()
        start = time.process_time()
        with mock.patch.object(ctranslate, "usable", return_value=fast):
            texts = outputs.translate(model, src, data.source_lang, found.pieces, beam)
        return time.process_time() - start, texts

    runs = [(search(True), search(False)) for _ in range(arguments.repeat)]
    (_, ours), (_, theirs) = runs[0]
    result = {
        "sentences": len(src),
        "beam": beam,
        "seconds_ctranslate2": statistics.median(a for (a, _), _ in runs),
        "seconds_fairseq": statistics.median(b for _, (b, _) in runs),
        "ratio": statistics.median(b / a for (a, _), (b, _) in runs),
        "equal": sum(a == b for a, b in zip(ours, theirs, strict=True)) / len(src),
        "bleu": [score("bleu", texts, ref, data.target_lang).value for texts in (ours, theirs)],
        "versions": {name: importlib.metadata.version(name) for name in ("ctranslate2", "fairseq-fixed", "torch")},
    }
    for name, value in result.items():
        print(f"{name}: {value}")
    if arguments.json:
        write_json(arguments.json, result)


if __name__ == "__main__":
    main()
