"""How fast switching is, beside fairseq's own noise, and what it costs in training. Ratios within one run.

    python scripts/bench_switching.py speed      tokens/s of RestoreDataset and of fairseq's DenoisingDataset
    python scripts/bench_switching.py step       a training step of csr_restore and of csr_translation
    python scripts/bench_switching.py lexicon    size, time to load and sharing of 100k words x 10 candidates
    python scripts/bench_switching.py startup    10 M sentence pairs until the first batch

Without a measure all are taken; with --small, the first two. The text is invented: words of one to four syllables, as
frequent as Zipf has it, 16 to a sentence on average.
"""

from __future__ import annotations

import logging
import multiprocessing
import statistics
import struct
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench_common import arguments_of, paired, write_results
from fairseq.data import AppendTokenDataset, Dictionary, PrependTokenDataset, StripTokenDataset, TokenBlockDataset
from fairseq.data.denoising_dataset import DenoisingDataset
from fairseq.data.indexed_dataset import MMapIndexedDataset, MMapIndexedDatasetBuilder

from csr.data.examples import LanguageIds
from csr.lexicon import Lexicon, read_lexicon, write_lexicon
from csr.switching.compiled import Masker, Switcher
from csr.switching.encoded import EncodedLexicon, encode_lexicon, encoded_lexicon
from csr.switching.noise import PoissonSpans
from csr.switching.symbols import piece_roles
from fairseq_plugins.datasets import RestoreDataset, Side, Symbols

N_WORDS = 100_000  # of each language
FEW_WORDS = 5000  # in the small form
RATE, MEAN_SPAN = 0.35, 3.5


class Language:
    """Invented words, their pieces in a vocabulary, and the dictionary."""

    def __init__(self, n_pieces: int, n_words: int = N_WORDS) -> None:
        rng = np.random.default_rng(1)
        syllables = [a + b + c for a in "bdfgklmnprst" for b in "aeiouyäöü" for c in ("", *"bdfgklmnprstvwxz")]
        syllables = syllables[: min(1900, n_pieces // 4 - 4)]
        lengths = rng.choice([1, 2, 3, 4], 4 * n_words, p=[0.05, 0.4, 0.35, 0.2])
        drawn = iter(rng.integers(0, len(syllables), lengths.sum()).tolist())
        spelled = (tuple(syllables[next(drawn)] for _ in range(n)) for n in lengths.tolist())
        words = {"".join(word): word for word in spelled}
        self.words = list(words)[: 2 * n_words]
        self.n_words = n_words
        self.dictionary = Dictionary()
        pieces = [p for s in syllables for p in (f"▁{s}", s, f"▁{s.title()}", s.title())]
        pieces += [p for word in self.words if len(words[word]) > 1 for p in (f"▁{word}", word)]
        for piece in pieces[: n_pieces - 8]:
            self.dictionary.add_symbol(piece)
        for symbol in (".", "[xx]", "[yy]", "<mask>"):
            self.dictionary.add_symbol(symbol)
        self._syllables = words
        # Frequent words are whole pieces as far as the vocabulary goes, the others their syllables.
        self.pieces = [self._cut(word, True) for word in self.words]

    def _cut(self, word: str, spaced: bool) -> list[int]:
        index, mark = self.dictionary.indices, "▁" if spaced else ""
        if mark + word in index:
            return [index[mark + word]]
        parts = self._syllables.get(word.lower(), (word.lower(),))
        if word != word.lower():
            parts = (parts[0].title(), *parts[1:])
        row = [index.get(mark + parts[0]), *(index.get(part) for part in parts[1:])]
        return [] if None in row else [i for i in row if i is not None]

    def encode(self, words: Sequence[str], spaced: bool) -> list[list[int]]:
        """The pieces of words: an encoder as ``csr.data.vocabulary`` asks for."""
        return [self._cut(word, spaced) for word in words]

    def lexicon(self, n_candidates: int = 10) -> Lexicon:
        """A lexicon from the first half of the words to the second."""
        rng, n = np.random.default_rng(2), self.n_words
        rows = rng.integers(n, 2 * n, (n, n_candidates))
        weights = np.sort(rng.random((n, n_candidates)))[:, ::-1] + 0.01
        return Lexicon(
            {
                self.words[i]: {self.words[j]: w for j, w in zip(rows[i].tolist(), weights[i].tolist(), strict=True)}
                for i in range(n)
            }
        )

    def sentences(self, n: int, first_word: int = 0, seed: int = 3) -> list[torch.Tensor]:
        """Encoded sentences that end in a full stop and ``</s>``."""
        rng = np.random.default_rng(seed)
        lengths = 1 + rng.poisson(15, n)
        share = 1 / (np.arange(self.n_words) + 10.0)
        drawn = iter((rng.choice(self.n_words, lengths.sum(), p=share / share.sum()) + first_word).tolist())
        end = [self.dictionary.index("."), self.dictionary.eos()]
        return [
            torch.tensor([p for _ in range(length) for p in self.pieces[next(drawn)]] + end, dtype=torch.int32)
            for length in lengths
        ]


def write_mmap(path: Path, rows: list[torch.Tensor]) -> MMapIndexedDataset:
    """Write rows in fairseq's memory-mapped format and open them."""
    builder = MMapIndexedDatasetBuilder(f"{path}.bin", dtype=np.int32)
    for row in rows:
        builder.add_item(row)
    builder.finalize(f"{path}.idx")
    return MMapIndexedDataset(str(path))


def speed(small: bool) -> list[dict[str, Any]]:
    """Compare ``__getitem__`` to tensor, one process, on the same sentences."""
    n = 1000 if small else 4000
    found = []
    for n_pieces in (8_000,) if small else (8_000, 250_000):
        language = Language(n_pieces, FEW_WORDS if small else N_WORDS)
        with tempfile.TemporaryDirectory() as folder:
            data = write_mmap(Path(folder, "x"), language.sentences(n))
        dictionary = language.dictionary
        mask = dictionary.index("<mask>")
        roles = piece_roles(dictionary.symbols, dictionary.nspecial)
        policy = PoissonSpans(RATE, MEAN_SPAN)
        side = Side(data, data.sizes, dictionary.index("[xx]"))
        symbols = Symbols(dictionary.pad(), dictionary.eos(), LanguageIds.APPEND)
        switcher = Switcher(encode_lexicon(language.lexicon(), language.encode), roles, policy, 1)

        # As fairseq's denoising task stacks them.
        rows = TokenBlockDataset(
            StripTokenDataset(data, dictionary.eos()), data.sizes - 1, 510, dictionary.pad(), dictionary.eos(),
            break_mode="eos", document_sep_len=0,
        )  # fmt: skip
        rows = AppendTokenDataset(PrependTokenDataset(rows, dictionary.bos()), dictionary.eos())
        whole_words = torch.ByteTensor([p.startswith("▁") or i < 4 for i, p in enumerate(dictionary.symbols)])
        theirs = DenoisingDataset(
            rows, rows.sizes, dictionary, mask, whole_words, shuffle=False, seed=1, mask=RATE, mask_random=0.0,
            insert=0.0, rotate=0.0, permute_sentences=0.0, bpe="sentencepiece", replace_length=1,
            mask_length="span-poisson", poisson_lambda=MEAN_SPAN,
        )  # fmt: skip

        n_tokens = int(data.sizes.sum()) - n

        def tokens_per_second(dataset: torch.utils.data.Dataset, n_tokens: int = n_tokens) -> float:
            order = np.random.default_rng(1).permutation(n)
            started = time.perf_counter()
            for i in order:
                dataset[i]
            return n_tokens / (time.perf_counter() - started)

        print(f"{n_pieces:,} pieces, {(data.sizes - 1).mean():.1f} tokens a sentence, thousand tokens/s:")
        for name, noise in (("switched", switcher), ("masked", Masker(mask, roles, policy, 1))):
            ours = RestoreDataset([side], [noise], symbols, 1, shuffle=False, fixed_epoch=None)
            ours[0], theirs[0]
            slow, fast, ratio = paired(partial(tokens_per_second, theirs), partial(tokens_per_second, ours), 5)
            print(f"  DenoisingDataset {slow / 1e3:.0f}, RestoreDataset, {name} {fast / 1e3:.0f}: {ratio:.1f} times")
            row = {"pieces": n_pieces, "tokens_a_sentence": n_tokens / n, "noise": name, "ratio": ratio}
            found.append(row | {"tokens_a_second": {"fairseq": slow, "csr": fast}})
    return found


def task_arguments(folder: Path, task: str, *options: str) -> list[str]:
    """What fairseq-train gets: the smallest model of the quickstart."""
    command = [str(folder), "--task", task, "--source-lang", "xx", "--target-lang", "yy", *options]
    for side in ("encoder", "decoder"):
        command += [f"--{side}-layers", "2", f"--{side}-embed-dim", "64", f"--{side}-ffn-embed-dim", "256"]
        command += [f"--{side}-attention-heads", "4", f"--{side}-normalize-before"]
    command += ["--arch", "mbart_large", "--layernorm-embedding", "--share-all-embeddings", "--optimizer", "adam"]
    command += ["--criterion", "label_smoothed_cross_entropy", "--lr", "0.001", "--max-tokens", "1000", "--cpu"]
    return [*command, "--no-progress-bar", "--log-format", "none", "--dataset-impl", "mmap", "--seed", "1"]


def configured(arguments: list[str]) -> tuple[Any, Any]:
    """fairseq's configuration and the task, as fairseq-train makes them."""
    from fairseq import options
    from fairseq.dataclass.utils import convert_namespace_to_omegaconf
    from fairseq.tasks import setup_task

    config = convert_namespace_to_omegaconf(options.parse_args_and_arch(options.get_training_parser(), arguments))
    return config, setup_task(config.task)


def step(small: bool) -> list[dict[str, Any]]:
    """Compare training steps on the same clean batches, wall time: each sentence is its own translation there."""
    torch.set_num_threads(1)
    language = Language(2_000, FEW_WORDS if small else N_WORDS)
    sides = language.sentences(2500), language.sentences(2500, language.n_words, seed=4)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for data in ("restore", "translation"):
            (folder / data).mkdir()
            for lang in ("xx", "yy"):
                language.dictionary.save(str(folder / data / f"dict.{lang}.txt"))
        both = [row for pair in zip(*sides, strict=True) for row in pair]
        for lang, rows in zip(("xx", "yy"), sides, strict=True):
            write_mmap(folder / f"restore/train.xx-yy.{lang}", rows)
            write_mmap(folder / f"translation/train.xx-yy.{lang}", both)
        write_lexicon(language.lexicon(3), folder / "others.tsv")
        # Each word is its own translation: what is drawn and written costs as much, but the encoder reads no more.
        write_lexicon(Lexicon({word: {word: 1.0} for word in language.words}), folder / "itself.tsv")
        found = []
        measures = [(0, "itself"), (2, "itself"), (0, "others"), (2, "others")]
        for workers, candidates in measures[::2] if small else measures:
            trainings = [
                Training(folder / data, f"csr_{data}", workers, str(folder / f"{candidates}.tsv"), language)
                for data in ("translation", "restore")
            ]
            for training in trainings:
                training(3 if small else 20)  # the machine gets warm
                training.pieces_read = 0
            # In turns on the same batch: the two differ by what the switching adds.
            plain, switched, ratio = paired(trainings[0], trainings[1], 20 if small else 150)
            growth = trainings[1].pieces_read / trainings[0].pieces_read
            print(
                f"{workers} workers: csr_translation {plain * 1e3:.1f} ms a step, csr_restore {switched * 1e3:.1f} ms, "
                f"ratio {ratio:.3f} with sources {growth:.3f} times as long"
            )
            row = {"workers": workers, "translations": candidates, "ratio": ratio, "source_growth": growth}
            found.append(row | {"ms_a_step": {"csr_translation": plain * 1e3, "csr_restore": switched * 1e3}})
    return found


class Training:
    """A training that goes on by some steps at each call."""

    def __init__(self, folder: Path, task: str, workers: int, lexicon: str, language: Language) -> None:
        from fairseq.trainer import Trainer

        import fairseq_plugins.lexicons

        # The invented words have no SentencePiece model.
        fairseq_plugins.lexicons.word_encoder = lambda *_: language.encode
        options = ["--num-workers", str(workers), "--mean-span", "3.5", "--lexicon", lexicon, "--keep-identical"]
        config, task_ = configured(task_arguments(folder, task, *options[: 2 if "translation" in task else None]))
        task_.load_dataset("train")
        model = task_.build_model(config.model)
        self._trainer = Trainer(config, task_, model, task_.build_criterion(config.criterion))
        self._epochs = self._trainer.get_train_iterator(1, load_dataset=False)
        self._batches = self._forever()
        self.pieces_read = 0  # by the encoder, padding included

    def _forever(self) -> Iterator[list[dict]]:
        while True:
            for batch in self._epochs.next_epoch_itr(shuffle=True):
                yield [batch]

    def __call__(self, steps: int = 1) -> float:
        """The seconds of a step, loading included."""
        started = time.perf_counter()
        for _ in range(steps):
            batch = next(self._batches)
            self._trainer.train_step(batch)
            self.pieces_read += batch[0]["net_input"]["src_tokens"].numel()
        return (time.perf_counter() - started) / steps


def lexicon(small: bool) -> dict[str, Any]:
    """Measure loading and sharing of a lexicon of 100k words with 10 candidates each."""
    language = Language(250_000)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "xx-yy.tsv")
        write_lexicon(language.lexicon(), path)

        def load() -> EncodedLexicon:
            return encoded_lexicon(
                path, {"top_k": 10}, language.dictionary.symbols,
                lambda: encode_lexicon(read_lexicon(path), language.encode),
            )  # fmt: skip

        times = []
        for _ in range(4):
            started = time.perf_counter()
            encoded = load()
            times.append(time.perf_counter() - started)
        print(f"encoded and written in {times[0]:.1f} s, loaded in {statistics.median(times[1:]):.2f} s")
        figures = {"words": encoded.n_entries, "mib": encoded.nbytes / 2**20, "encoding": times[0]}
        figures |= {"loading": statistics.median(times[1:]), "workers": []}
        print(f"{encoded.n_entries:,} words, {encoded.nbytes / 2**20:.0f} MiB")
        roles = piece_roles(language.dictionary.symbols, language.dictionary.nspecial)
        data = write_mmap(Path(name, "x"), language.sentences(2000))
        side = Side(data, data.sizes, language.dictionary.index("[xx]"))
        symbols = Symbols(language.dictionary.pad(), language.dictionary.eos(), LanguageIds.APPEND)
        noise = Switcher(encoded, roles, PoissonSpans(RATE, MEAN_SPAN), 1)
        dataset = RestoreDataset([side], [noise], symbols, 1, shuffle=False, fixed_epoch=None)

        def read_all(worker: int) -> None:
            for array in encoded.arrays():
                array.sum()

        loader: torch.utils.data.DataLoader = torch.utils.data.DataLoader(
            dataset, 50, collate_fn=dataset.collater, num_workers=4, persistent_workers=True, worker_init_fn=read_all
        )
        n_batches = sum(1 for _ in loader)
        for number, worker in enumerate(multiprocessing.active_children(), 1):
            kilobytes = mapped_memory(worker.pid or 0, ".npy")
            row = {name: kilobytes[key] / 1024 for name, key in (("resident", "Rss"), ("share", "Pss"))}
            figures["workers"].append(row | {"own": kilobytes["Private_Dirty"] / 1024})
            print(
                f"worker {number} of 4, after {n_batches} batches: {kilobytes['Rss'] / 1024:.1f} MiB of the lexicon "
                f"resident, {kilobytes['Pss'] / 1024:.1f} its share (PSS), {kilobytes['Private_Dirty'] / 1024:.1f} "
                "its own"
            )
        return figures


def mapped_memory(pid: int, suffix: str) -> Counter[str]:
    """The kilobytes of a process in files whose names end so, by kind, as Linux tells them."""
    total: Counter[str] = Counter()
    mapped = False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        first, *rest = line.split()
        if not first.endswith(":"):
            mapped = line.endswith(suffix)
        elif mapped and rest[-1] == "kB":
            total[first[:-1]] += int(rest[0])
    return total


def startup(small: bool) -> dict[str, Any]:
    """Measure the time from the data on disk to the first batch: 10 M pairs of random lengths."""
    n = 100_000 if small else 10_000_000
    language = Language(8_000)
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for lang in ("xx", "yy"):
            language.dictionary.save(str(folder / f"dict.{lang}.txt"))
            sizes = (2 + rng.poisson(18, n)).astype(np.int32)
            pointers = np.concatenate([[0], np.cumsum(sizes[:-1], dtype=np.int64)]) * 2
            with open(folder / f"train.xx-yy.{lang}.idx", "wb") as stream:
                stream.write(b"MMIDIDX\x00\x00" + struct.pack("<QBQ", 1, 8, n))
                stream.write(sizes.tobytes() + pointers.tobytes())
            with open(folder / f"train.xx-yy.{lang}.bin", "wb") as stream:
                stream.truncate(2 * int(sizes.sum()))
        started = time.perf_counter()
        _, task = configured(task_arguments(folder, "csr_restore", "--replace", "mask"))
        task.load_dataset("train")
        loaded = time.perf_counter()
        batches = task.get_batch_iterator(task.datasets["train"], max_tokens=4000, max_positions=(1024, 1024), seed=1)
        ordered = time.perf_counter()
        next(batches.next_epoch_itr(shuffle=True))
        done = time.perf_counter()
        print(
            f"{n:,} pairs: data opened in {loaded - started:.1f} s, {len(batches):,} batches made in "
            f"{ordered - loaded:.1f} s, first batch after {done - started:.1f} s in all"
        )
        return {"pairs": n, "opening": loaded - started, "ordering": ordered - loaded, "first_batch": done - started}


COMMANDS = {"speed": speed, "step": step, "lexicon": lexicon, "startup": startup}

if __name__ == "__main__":
    parser = arguments_of(__doc__)
    parser.add_argument("measures", nargs="*", metavar="MEASURE", help=f"{', '.join(COMMANDS)} (default: all)")

    logging.disable(logging.WARNING)
    arguments = parser.parse_args()
    if wrong := set(arguments.measures) - set(COMMANDS):
        parser.error(f"expected {', '.join(COMMANDS)}, found {' '.join(wrong)}")
    names = arguments.measures or (["speed", "step"] if arguments.small else list(COMMANDS))
    write_results(arguments.json, "switching", {name: COMMANDS[name](arguments.small) for name in names})
