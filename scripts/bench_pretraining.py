"""Pretraining data: what switching does to real text, and how fast mixtures are made and blocks are loaded.

    python scripts/bench_pretraining.py statistics DATA LANG,LANG LEXICON   rates and candidates over a million pieces
    python scripts/bench_pretraining.py loader [DATA LANG,LANG LEXICON]     items/s beside fairseq's MaskTokensDataset
    python scripts/bench_pretraining.py mixture OUT MEGABYTES FILE          csr mixture on permuted text: time, memory

DATA is bin/ of csr mixture; without it, one is made of the sample corpus. Ratios are taken within one run. Without a
measure it is the loader, with --small on fewer blocks.
"""

from __future__ import annotations

import itertools
import logging
import random
import resource
import statistics
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
from bench_common import arguments_of, write_results

from csr.switching.compiled_masking import STATS, MaskingSwitcher
from csr.switching.compiled_words import find_words, marked_words
from csr.switching.encoded import EncodedLexicon
from csr.switching.masking import Word, mask_and_switch
from csr.switching.noise import IndependentWords, ShareOf
from csr.switching.streams import Stream

N_PIECES = 1_000_000


def task_on(data: str, languages: str, **settings: Any) -> Any:
    """The task with its training data."""
    from fairseq.tasks import setup_task
    from omegaconf import OmegaConf

    from fairseq_plugins.masked_lm import CsrMaskedLmConfig

    values = {"_name": "csr_masked_lm", "data": data, "languages": languages, "seed": 1, "train_subset": "train"}
    task = setup_task(OmegaConf.merge(OmegaConf.structured(CsrMaskedLmConfig), values | settings))
    task.load_dataset("train")
    return task


def candidates_of(lexicon: EncodedLexicon) -> dict[Word, dict[Word, float]]:
    """An encoded lexicon as the readable version takes it: every form of a word, its candidates in that form."""
    found: dict[Word, dict[Word, float]] = {}
    for f, (entry, kind) in enumerate(zip(lexicon.form_entry.tolist(), lexicon.form_kind.tolist(), strict=True)):
        span = slice(*lexicon.entry_starts[entry : entry + 2])
        probs = np.diff(lexicon.cumulative[span], prepend=0.0).tolist()
        options: dict[Word, float] = defaultdict(float)
        for word, prob in zip(lexicon.candidate[span].tolist(), probs, strict=True):
            at = word * 6 + kind
            options[tuple(lexicon.word_pieces[slice(*lexicon.word_starts[at : at + 2])].tolist())] += prob
        found[tuple(lexicon.form_pieces[slice(*lexicon.form_starts[f : f + 2])].tolist())] = dict(options)
    return found


def blocks_of(task: Any, n_pieces: int) -> Iterator[tuple[int, int, np.ndarray, np.ndarray]]:
    """Yield epoch, number, ids and marks of the first language's blocks, epoch after epoch, for so many pieces."""
    text = task.text(Path(task.cfg.data, task.languages[0], "train"))
    for epoch in itertools.count(1):
        for index in range(len(text.blocks)):
            ids, marks = text.block(index, task.dictionary.bos(), task.dictionary.eos())
            n_pieces -= len(ids)
            yield epoch, index, ids, marks
            if n_pieces <= 0:
                return


def words_in(task: Any, ids: np.ndarray, marks: np.ndarray) -> list[tuple[int, int]]:
    """Where the words of a block are."""
    starts, ends = marked_words(marks) if len(marks) else find_words(ids, task.roles)
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


def measure(task: Any, path: str, n_pieces: int) -> dict[str, float]:
    """Mask and switch blocks of the first language and count what happened.

    Raises:
        AssertionError: a switched word had a piece to predict, or a piece of a translation is to be predicted.
    """
    lexicon = task.encoded_lexicon(path, task.noise_of(0))
    masker, clean, pad = task.masker(1, lexicon), task.masker(1), task.dictionary.pad()
    candidates = candidates_of(lexicon)
    counts: Counter[str] = Counter()
    for epoch, index, ids, marks in blocks_of(task, n_pieces):
        source, target, stats = masker(ids, epoch, index, marks)
        plain, expected, _ = clean(ids, epoch, index, marks)
        # As without switching, the same pieces are to be predicted and stand as the same, up to where the block is cut:
        # no switched word had one, and no translation brought one.
        at, was = target != pad, expected != pad
        n_left = at.sum()
        assert np.array_equal(target[at], expected[was][:n_left])
        assert np.array_equal(source[at], plain[was][:n_left])
        before = np.concatenate([[0], np.cumsum(was)])
        words = words_in(task, ids, marks)
        available = [a for a, b in words if tuple(ids[a:b].tolist()) in candidates and before[a] == before[b]]
        of_block = dict(zip(STATS, stats.tolist(), strict=True))
        counts.update(of_block)
        counts["all pieces"] += len(ids)
        counts["can be switched"] += len(available)
        counts["blocks with such words"] += bool(available)
        counts["words of switched blocks"] += len(words) * of_block["touched"]
        counts["lost to predict"] += int(was.sum() - n_left)
    return {
        **counts,
        "pieces to predict / pieces of text": counts["predicted"] / counts["pieces"],
        "words with a candidate / words": counts["covered"] / counts["words"],
        "blocks switched / blocks": counts["touched"] / counts["blocks"],
        "words switched / words": counts["switched"] / counts["words"],
        "words switched / words that can be": counts["switched"] / counts["can be switched"],
        "words switched / words of switched blocks": counts["switched"] / counts["words of switched blocks"],
        "pieces lost / pieces": counts["cut"] / counts["all pieces"],
        "pieces to predict lost / pieces to predict": counts["lost to predict"] / counts["predicted"],
    }


def measure_candidates(task: Any, path: str, n_pieces: int) -> dict[str, float]:
    """Switch every word that can be, and compare how often candidates came with their tempered probabilities.

    Counted are words with several candidates of which each was to come five times or more.

    Raises:
        AssertionError: the compiled and the readable version drew something else.
    """
    from scipy.stats import chi2

    lexicon = task.encoded_lexicon(path, task.noise_of(0))
    candidates, policy, limit = candidates_of(lexicon), IndependentWords(1.0, 1.0), 100 * task.cfg.tokens_per_sample
    masker = MaskingSwitcher(task.roles, task.symbols, task.masking, 1, limit, lexicon, policy)
    drawn: dict[Word, Counter[Word]] = defaultdict(Counter)
    for epoch, index, ids, marks in blocks_of(task, n_pieces):
        words, stream = words_in(task, ids, marks), Stream(1, epoch, index)
        found = mask_and_switch(
            ids.tolist(), words, candidates, task.masking, policy, task.symbols, stream, limit
        )  # fmt: skip
        assert found.source == masker(ids, epoch, index, marks)[0].tolist()
        for i, new in found.switched.items():
            drawn[tuple(ids[slice(*words[i])].tolist())][new] += 1
    statistic, degrees, n_words = 0.0, 0, 0
    for word, seen in drawn.items():
        expected = {new: prob * seen.total() for new, prob in candidates[word].items()}
        if len(expected) > 1 and min(expected.values()) >= 5:
            statistic += sum((seen[new] - n) ** 2 / n for new, n in expected.items())
            degrees, n_words = degrees + len(expected) - 1, n_words + 1
    return {
        "words compared": n_words,
        "chi-square": statistic,
        "degrees of freedom": degrees,
        "p": float(chi2.sf(statistic, degrees)),
    }


def print_statistics(data: str, languages: str, path: str) -> dict[str, Any]:
    """Print what is measured over a million pieces, for every reading of the rate with and without the filters."""
    for filters, all_words in (
        ("paper's filters", {}),
        ("no stop words, any length", {"min_length": 1, "stop_words": "none"}),
    ):
        for share_of in get_args(ShareOf):
            task = task_on(data, languages, share_of=share_of, **all_words)
            found = measure(task, path, N_PIECES)
            print(f"3 % of {share_of}, {filters}: " + ", ".join(f"{name} {_text(found[name])}" for name in found))
    candidates = measure_candidates(task_on(data, languages), path, N_PIECES)
    for name, value in candidates.items():
        print(f"{name}: {_text(value)}")
    return {"candidates": candidates}


def _text(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.5f}"


def sample_loader(small: bool) -> dict[str, Any]:
    """``loader`` on a mixture of the sample corpus and its own lexicon."""
    from csr.data.mixture import mixture
    from csr.data.sample import write_sample
    from csr.data.sampling import Source

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_sample(folder, n_train=3000 if small else 30_000)
        sources = [Source(code, None, [folder / f"train.{code}"]) for code in ("qaa", "qab")]
        mixture(sources, folder / "mixture", held_out=20_000, pieces=2000, workers=1)
        return loader(str(folder / "mixture/bin"), "qaa,qab", str(folder / "lexicon.qaa-qab.tsv"))


def loader(data: str, languages: str, path: str) -> dict[str, Any]:
    """Compare blocks to tensors a second, one process, the same blocks of the first language in the same order.

    fairseq's dataset finds them ready in memory; ours reads them from the mapped file.
    """
    import torch
    from fairseq.data.mask_tokens_dataset import MaskTokensDataset

    task = task_on(data, languages, lexicon=path)
    dataset, dictionary = task.datasets["train"], task.dictionary
    text = task.text(Path(data, languages.split(",")[0], "train"))
    n = min(4000, len(text.blocks))
    rows = [torch.from_numpy(text.block(i, dictionary.bos(), dictionary.eos())[0]) for i in range(n)]
    whole = torch.ByteTensor([piece.startswith("▁") or i < 4 for i, piece in enumerate(dictionary.symbols)])

    class Rows(torch.utils.data.Dataset):
        def __getitem__(self, index: int) -> torch.Tensor:
            return rows[index]

        def __len__(self) -> int:
            return n

    def items_per_second(get: Callable[[int], object]) -> float:
        order = np.random.default_rng(1).permutation(n)
        started = time.perf_counter()
        for i in order:
            get(int(i))
        return n / (time.perf_counter() - started)

    figures = []
    for name, mask_whole_words in (("pieces", None), ("whole words", whole)):
        source, target = MaskTokensDataset.apply_mask(
            Rows(), dictionary, pad_idx=dictionary.pad(), mask_idx=task.symbols.mask, seed=1,
            mask_whole_words=mask_whole_words,
        )  # fmt: skip
        if mask_whole_words is not None:
            dataset = task_on(data, languages, lexicon=path, mask_whole_words=True).datasets["train"]
        dataset[0]
        pairs = []
        for epoch in range(1, 6):
            for one in (source, target, dataset):
                one.set_epoch(epoch)
            both = items_per_second(lambda i, one=source, other=target: (one[i], other[i]))  # type: ignore[misc]
            pairs.append((both, items_per_second(dataset.__getitem__)))
        theirs, ours = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(b / a for a, b in pairs)
        print(f"{name}: MaskTokensDataset {theirs:,.0f} items/s, csr_masked_lm {ours:,.0f}, {ratio:.1f} times")
        speeds = {"fairseq": theirs, "csr": ours}
        figures.append({"masks": name, "blocks": n, "items_a_second": speeds, "ratio": ratio})
    return {"loader": figures}


def permuted(path: str, n_bytes: int) -> Iterator[str]:
    """Yield lines of a file over and over, their words in new orders."""
    from csr.files import read_lines

    draw, done = random.Random(1), 0
    lines = list(read_lines(path))
    for line in itertools.cycle(lines):
        words = line.split(" ")
        draw.shuffle(words)
        text = " ".join(words) + "\n"
        yield text
        done += len(text.encode())
        if done > n_bytes:
            return


def make_mixture(out: str, megabytes: str, path: str) -> dict[str, Any]:
    """Make a mixture of a tenth of a language, and all of it, of permuted text; print time and memory."""
    from csr.data.mixture import mixture
    from csr.data.sampling import Source

    n_bytes = int(megabytes) * 10**6
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder, "text.txt")
        with open(text, "w", encoding="utf-8") as stream:
            stream.writelines(permuted(path, n_bytes + n_bytes // 8))
        started = time.perf_counter()
        mixture(
            [Source("xx", n_bytes, [text]), Source("yy", n_bytes // 10, [text])], out, held_out=n_bytes // 100,
            pieces=8000, vocabulary_bytes=2_000_000, workers=2,
        )  # fmt: skip
        took = time.perf_counter() - started
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    memory = [one.ru_maxrss / 1024 for one in usage]
    processor = sum(one.ru_utime + one.ru_stime for one in usage)
    total = 1.1 * int(megabytes)
    print(
        f"{total:.0f} MB in {took:.0f} s: {total / took:.2f} MB/s, {total / processor:.2f} MB/s of processor time; "
        f"at most {memory[0]:.0f} MiB in the process and {memory[1]:.0f} MiB in one that encodes"
    )
    figures = {"megabytes": total, "seconds": took, "cpu": processor, "mib": memory[0], "mib_encoding": memory[1]}
    return {"mixture": figures}


COMMANDS = {"statistics": print_statistics, "loader": loader, "mixture": make_mixture}

if __name__ == "__main__":
    parser = arguments_of(__doc__)
    parser.add_argument("measure", choices=COMMANDS, nargs="?", default="loader")
    parser.add_argument("arguments", nargs="*")

    logging.disable(logging.WARNING)
    given = parser.parse_args()
    if given.measure == "loader" and not given.arguments:
        found = sample_loader(given.small)
    elif len(given.arguments) == 3:
        found = COMMANDS[given.measure](*given.arguments)
    else:
        parser.error(f"{given.measure}: expected three arguments, found {len(given.arguments)}")
    write_results(given.json, "pretraining", found)
