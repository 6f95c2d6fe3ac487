"""How fast the collator of Hugging Face is, beside a denoising collator in plain Python, and what it costs in a step.

    python scripts/bench_hf.py      tokens/s of processor time, ratios within one run; the share of a training step

The text is the sample corpus. The plain collator does what scripts on the web do: in rows that are encoded, it looks
each piece up to find words, draws Poisson spans and puts a mask for each.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench_common import arguments_of, in_turns, ratio, write_results

from csr.backbone.presets import PRESETS
from csr.backbone.tokenizer import fast_tokenizer
from csr.data import subwords
from csr.data.sample import write_sample
from csr.files import read_lines
from csr.hf import SwitchingCollator
from csr.switching.settings import Noise

BATCH, ROUNDS = 32, 7  # pairs; turns that the medians are of


class PlainDenoising:
    """Masks Poisson spans of words in encoded sentences: mBART's noise as one writes it without a compiler."""

    def __init__(self, tokenizer: Any, rate: float = 0.35, mean_span: float = 3.5) -> None:
        self.tokenizer, self.rate, self.mean_span = tokenizer, rate, mean_span
        self.rng = np.random.default_rng(1)

    def __call__(self, rows: Sequence[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
        noisy = [self.noise(row["ids"]) for row in rows]
        batch = self.tokenizer.pad({"input_ids": noisy}, return_tensors="pt")
        labels = self.tokenizer.pad({"input_ids": [row["ids"] for row in rows]}, return_tensors="pt")["input_ids"]
        return {**batch, "labels": labels.masked_fill(labels == self.tokenizer.pad_token_id, -100)}

    def noise(self, ids: list[int]) -> list[int]:
        words: list[list[int]] = []
        for i, piece in zip(ids, self.tokenizer.convert_ids_to_tokens(ids), strict=True):
            if piece.startswith("▁") or not words:
                words.append([])
            words[-1].append(i)
        budget = round(self.rate * len(words))
        masked: set[int] = set()
        while len(masked) < budget:
            start, length = self.rng.integers(len(words)), self.rng.poisson(self.mean_span)
            masked.update(range(start, min(start + max(length, 1), len(words))))
        out: list[int] = []
        for i, word in enumerate(words):
            if i not in masked:
                out += word
            elif i - 1 not in masked:
                out.append(self.tokenizer.mask_token_id)
        return out


def seconds(work: Callable[[], object]) -> float:
    """Processor time of some work."""
    start = time.process_time()
    work()
    return time.process_time() - start


def make_rows(folder: Path, n: int, join: int = 1) -> tuple[Any, Path, list[dict[str, Any]]]:
    """A tokenizer of mBART-50's kind for the sample corpus, its gold lexicon, and rows of pairs."""
    write_sample(folder, n_train=n * join)
    sides = [list(read_lines(folder / f"train.{language}")) for language in ("qaa", "qab")]
    subwords.train(sides, 2000, folder / "spm.model")
    tokenizer = fast_tokenizer(folder / "spm.model", PRESETS["ml50"], "de_DE", "en_XX")
    sides = [[" ".join(side[i : i + join]) for i in range(0, len(side), join)] for side in sides]
    rows = [{"id": i, "translation": {"de": a, "en": b}} for i, (a, b) in enumerate(zip(*sides, strict=True))]
    return tokenizer, folder / "lexicon.qaa-qab.tsv", rows


def main() -> None:
    """Print medians over the rounds."""
    parser = arguments_of(__doc__)
    parser.add_argument("--pairs", type=int, default=3200, help="pairs of a round (default: %(default)s)")
    parser.add_argument("--join", type=int, default=2, help="sentences of the corpus in a row (default: %(default)s)")
    parser.add_argument("--dim", type=int, default=128, help="width of the model (default: %(default)s)")
    parser.add_argument("--layers", type=int, default=2, help="layers of each side (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=40, help="of the trainer (default: %(default)s)")
    a = parser.parse_args()
    rounds = ROUNDS
    if a.small:
        a.pairs, a.steps, rounds = 800, 5, 1
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        tokenizer, lexicon, rows = make_rows(Path(name), a.pairs, a.join)
        collator = SwitchingCollator(
            tokenizer, "restore", lexicon, source_lang="de", target_lang="en", noise=Noise(), max_length=1024
        )
        collator.set_epoch(0)
        columns = {key: [row[key] for row in rows] for key in rows[0]}
        encoded = collator.rows.encode(columns)
        ready = [
            {"id": row["id"], "pieces": encoded["pieces"][i], "marks": encoded["marks"][i]}
            for i, row in enumerate(rows)
        ]
        plain_rows = [{"ids": np.frombuffer(ids, "<i4").tolist()} for pieces in encoded["pieces"] for ids in pieces]
        n_tokens = sum(len(row["ids"]) for row in plain_rows)
        plain = PlainDenoising(tokenizer)

        def over(collate: Callable[[Any], Any], data: list[Any], size: int) -> float:
            def work() -> None:  # batches are dropped, as in training
                for i in range(0, len(data), size):
                    collate(data[i : i + size])

            return seconds(work)

        works: dict[str, Callable[[], float]] = {
            "plain Python, encoded rows": lambda: over(plain, plain_rows, 2 * BATCH),
            "SwitchingCollator, encoded rows": lambda: over(collator, ready, BATCH),
            "SwitchingCollator, text": lambda: over(collator, rows, BATCH),
            "collator without noise, encoded rows": lambda: over(clean, ready, BATCH),
        }
        clean = SwitchingCollator(
            tokenizer, "restore", lexicon, source_lang="de", target_lang="en", noise=Noise(rate=0.0), max_length=1024
        )
        clean.set_epoch(0)
        for work in works.values():
            work()  # compiled and warm
        print(f"{n_tokens / len(plain_rows):.1f} tokens a sentence")
        times = in_turns(works, rounds)
        figures: dict[str, Any] = {"tokens_a_sentence": n_tokens / len(plain_rows), "rounds": rounds, "collators": []}
        for label, found in times.items():
            speed = n_tokens / statistics.median(found)
            times_first = ratio(found, times["plain Python, encoded rows"])
            figures["collators"].append({"collator": label, "tokens_a_second": speed, "ratio": times_first})
            print(f"{label:38} {speed:12,.0f} tokens/s {times_first:6.1f} times the first")
        data = {"encoded rows": ready, "text": rows}
        print(f"a model of {a.layers}+{a.layers} layers of {a.dim}, batches of {BATCH} pairs:")
        figures["model"] = f"{a.layers}+{a.layers} layers of {a.dim}, batches of {BATCH} pairs"
        figures["shares"] = trainer_shares(tokenizer, collator, data, a)
        print(*figures["shares"], sep="\n")
    write_results(a.json, "hf", figures)


def trainer_shares(
    tokenizer: Any, collator: SwitchingCollator, rows: dict[str, list[Any]], a: Any
) -> list[dict[str, Any]]:
    """What getting batches takes of the processor time of a trainer's process, without loader workers and with two."""
    from torch.utils.data.dataloader import _BaseDataLoaderIter
    from transformers import MBartConfig, MBartForConditionalGeneration, Seq2SeqTrainer, Seq2SeqTrainingArguments

    sizes = {f"{side}_{part}": n for side in ("encoder", "decoder")
             for part, n in (("layers", a.layers), ("ffn_dim", 4 * a.dim), ("attention_heads", 4))}  # fmt: skip
    model = MBartForConditionalGeneration(MBartConfig(vocab_size=len(tokenizer), d_model=a.dim, **sizes))
    fetching: list[float] = []
    fetch = _BaseDataLoaderIter.__next__

    def timed(self: Any) -> Any:
        start = time.process_time()
        try:
            return fetch(self)
        finally:
            fetching.append(time.process_time() - start)

    _BaseDataLoaderIter.__next__ = timed
    found = []
    for kind, data in rows.items():
        for workers in (0, 2):
            with tempfile.TemporaryDirectory() as folder:
                arguments = Seq2SeqTrainingArguments(
                    folder, max_steps=a.steps, per_device_train_batch_size=BATCH, dataloader_num_workers=workers,
                    remove_unused_columns=False, save_strategy="no", logging_strategy="no", use_cpu=True, report_to=[],
                    disable_tqdm=True,
                )  # fmt: skip
                trainer = Seq2SeqTrainer(
                    model, arguments, train_dataset=data, data_collator=collator, callbacks=[collator]
                )
                fetching.clear()
                whole = seconds(trainer.train)
            share = statistics.median(fetching) * len(fetching) / whole
            found.append({"rows": kind, "workers": workers, "share_of_step": share})
    _BaseDataLoaderIter.__next__ = fetch
    return found


if __name__ == "__main__":
    main()
