"""Datasets: pairs of piece ids into padded batches, which depend on the seed and the epoch alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from fairseq.data import FairseqDataset, data_utils

from csr.data.examples import LanguageIds
from csr.switching.compiled import NO_PIECES, STATS
from csr.switching.compiled_words import NO_MARKS
from csr.switching.noise import Schedule

# (pieces, epoch, example, marks, the other side's pieces, its marks, rate) -> (noisy pieces, compiled.STATS)
AddNoise = Callable[
    [np.ndarray, int, int, np.ndarray, np.ndarray, np.ndarray, float | None], tuple[np.ndarray, np.ndarray]
]


@dataclass(frozen=True)
class Side:
    """One language's sentences: fairseq's indexed data, whose rows may end in ``</s>``."""

    data: Sequence[torch.Tensor]
    sizes: np.ndarray  # [n_sentences], with </s>
    symbol: int  # the language id
    marks: Sequence[torch.Tensor] | None = None  # csr.switching.symbols.Mark of each piece, if csr prepare wrote them
    limit: int | None = None  # pieces read of a row; ``sizes`` says so too


@dataclass(frozen=True)
class Symbols:
    """The special ids a row needs."""

    pad: int
    eos: int
    language_ids: LanguageIds


class NoisyDataset(FairseqDataset):
    """Examples drawn anew each epoch, in batches that depend on (seed, epoch) alone; subclasses say what they are.

    The epoch lies in shared memory, so that loader workers that outlive an epoch see the next one. With
    ``fixed_epoch`` it never changes: validation sees the same noise each time.
    """

    # One iterator, and its workers, for all epochs; it forms their batches as ``batch_by_size`` says.
    can_reuse_epoch_itr_across_epochs = True

    def __init__(self, sizes: np.ndarray, seed: int, shuffle: bool, fixed_epoch: int | None) -> None:
        self.sizes = sizes.astype(np.int64)  # [n_examples]: in tokens, the longer of source and target
        self._seed = seed
        self._shuffle = shuffle
        self._fixed = fixed_epoch is not None
        self._epoch = torch.full((1,), fixed_epoch or 1, dtype=torch.int64).share_memory_()

    @property
    def epoch(self) -> int:
        """The epoch the noise is drawn for."""
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Take note of a new epoch."""
        if not self._fixed:
            self._epoch[0] = epoch

    def __len__(self) -> int:
        return len(self.sizes)

    def num_tokens(self, index: int) -> int:
        """The length that ``--max-tokens`` counts."""
        return int(self.sizes[index])

    def num_tokens_vec(self, indices: np.ndarray) -> np.ndarray:
        """The lengths that ``--max-tokens`` counts."""
        return self.sizes[indices]

    def size(self, index: int) -> int:
        """The length that is checked against the model's positions."""
        return int(self.sizes[index])

    def ordered_indices(self, epoch: int | None = None) -> np.ndarray:
        """The examples by length; in training, equal lengths in an order drawn from (seed, epoch).

        # Deviation: fairseq draws the order from its global generator, seeded with the epoch in which a run starts, so
        # that a resumed run sees other batches than one that was never stopped.
        """
        order = np.arange(len(self))
        if self._shuffle:
            order = np.random.default_rng((self._seed, epoch or self.epoch)).permutation(len(self))
        sizes = self.sizes[order]
        if len(sizes) and sizes.max() < 2**16:
            sizes = sizes.astype(np.uint16)  # numpy sorts these by radix: ten times as fast
        return order[np.argsort(sizes, kind="stable")]

    def filter_indices_by_size(
        self, indices: np.ndarray, max_sizes: float | Sequence[float]
    ) -> tuple[np.ndarray, list[int]]:
        """The examples that fit the model's positions, and those that do not; fairseq asks one by one."""
        fits = self.sizes[indices] <= np.min(max_sizes)
        return indices[fits], indices[~fits].tolist()

    def batch_by_size(self, indices, max_tokens=None, max_sentences=None, required_batch_size_multiple=1):  # type: ignore[no-untyped-def]
        """Batches that hold every example; for training, the function that forms those of an epoch.

        fairseq calls it before each epoch. The lengths come in the same order every time, so that there are as many
        batches, of the same shapes, but an example meets others of its length.

        # Deviation: by default fairseq forms the batches once for all epochs. It drops a last batch whose size is not
        # a multiple of 8, which loses up to seven of the longest sentences, of a test set too.
        """

        def form(order: np.ndarray) -> Sequence[np.ndarray]:
            return FairseqDataset.batch_by_size(self, order, max_tokens, max_sentences, required_batch_size_multiple=1)

        if not self._shuffle:
            return form(indices)
        kept = np.zeros(len(self), np.bool_)  # those that fit the model
        kept[indices] = True

        def form_anew(dataset: NoisyDataset, epoch: int) -> Sequence[np.ndarray]:
            order = self.ordered_indices(epoch)
            return form(order[kept[order]])

        return form_anew


class ExampleDataset(NoisyDataset):
    """Examples with a source row and, in training, a target row, each with its ``</s>`` and language id."""

    def __init__(self, sizes: np.ndarray, symbols: Symbols, seed: int, shuffle: bool, fixed_epoch: int | None) -> None:
        super().__init__(sizes, seed, shuffle, fixed_epoch)
        self.symbols = symbols

    def row(self, ids: np.ndarray, language: int) -> torch.Tensor:
        """A sentence with its end and language id."""
        return torch.from_numpy(self.symbols.language_ids.frame(ids, self.symbols.eos, language))

    def sentence(self, side: Side, index: int) -> np.ndarray:
        """The pieces of a sentence, without its end."""
        ids = side.data[index].numpy()
        return (ids[:-1] if len(ids) and ids[-1] == self.symbols.eos else ids)[: side.limit]

    def marks(self, side: Side, index: int) -> np.ndarray:
        """The role of each piece of a sentence in its words; nothing where that is not known."""
        return NO_MARKS if side.marks is None else side.marks[index].numpy()[: side.limit].astype(np.uint8)

    def collater(self, samples: list[dict]) -> dict:
        """Pad examples to a batch in fairseq's form."""
        if not samples:
            return {}
        pad = self.symbols.pad
        source = data_utils.collate_tokens([s["source"] for s in samples], pad)
        lengths = torch.tensor([len(s["source"]) for s in samples])
        batch: dict = {
            "id": torch.tensor([s["id"] for s in samples]),
            "nsentences": len(samples),
            "ntokens": int(lengths.sum()),
            "net_input": {"src_tokens": source, "src_lengths": lengths},
            "target": None,  # fairseq-generate asks for it
        }
        if "target" in samples[0]:
            targets = [s["target"] for s in samples]
            # mBART's decoder input: the target with its last id in front.
            batch["net_input"]["prev_output_tokens"] = data_utils.collate_tokens([t.roll(1) for t in targets], pad)
            batch["target"] = data_utils.collate_tokens(targets, pad)
            batch["ntokens"] = sum(map(len, targets))
        return batch


class TranslationDataset(ExampleDataset):
    """Sentence pairs; without a target side, sources to translate.

    A noise, if there is one, meets the sources; a ``tag``, the id of a symbol, goes before them.
    """

    def __init__(
        self,
        source: Side,
        target: Side | None,
        symbols: Symbols,
        seed: int = 1,
        shuffle: bool = False,
        noise: AddNoise | None = None,
        tag: int | None = None,
    ) -> None:
        sources = source.sizes + (tag is not None)
        longest = sources if target is None else np.maximum(sources, target.sizes)
        super().__init__(longest + 1, symbols, seed, shuffle, fixed_epoch=None)
        self._source, self._target, self._noise, self._tag = source, target, noise, tag

    def __getitem__(self, index: int) -> dict:
        source = self.sentence(self._source, index)
        if self._noise is not None:
            marks = self.marks(self._source, index)
            source, _ = self._noise(source, self.epoch, int(index), marks, NO_PIECES, NO_MARKS, None)
        if self._tag is not None:
            source = np.concatenate([np.array([self._tag], source.dtype), source])
        example = {"id": int(index), "source": self.row(source, self._source.symbol)}
        if self._target is not None:
            example["target"] = self.row(self.sentence(self._target, index), self._target.symbol)
        return example

    def targets(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the pieces of each target sentence, and their marks, if they are known."""
        if self._target is not None:
            for index in range(len(self)):
                yield self.sentence(self._target, index), self.marks(self._target, index)


class MixedDataset(NoisyDataset):
    """Pairs, all of them each epoch, and beside them a share of others, drawn anew each epoch without replacement.

    Examples from ``len(pairs)`` on are those of ``others``.

    Args:
        ratio: others for each pair; at most all of them.
    """

    def __init__(self, pairs: TranslationDataset, others: TranslationDataset, ratio: float, seed: int) -> None:
        super().__init__(np.concatenate([pairs.sizes, others.sizes]), seed, shuffle=True, fixed_epoch=None)
        self._pairs, self._others = pairs, others
        self.n_drawn = min(round(ratio * len(pairs)), len(others))

    def set_epoch(self, epoch: int) -> None:
        """Take note of a new epoch."""
        super().set_epoch(epoch)
        self._others.set_epoch(epoch)

    def ordered_indices(self, epoch: int | None = None) -> np.ndarray:
        """The examples of an epoch by length; without one, all that may come, for fairseq to look at."""
        order = super().ordered_indices(epoch)
        if epoch is None:
            return order
        drawn = np.random.default_rng((self._seed, epoch, 1)).permutation(len(self._others))[: self.n_drawn]
        taken = np.zeros(len(self), np.bool_)
        taken[: len(self._pairs)] = True
        taken[len(self._pairs) + drawn] = True
        return order[taken[order]]

    def __getitem__(self, index: int) -> dict:
        own = index < len(self._pairs)
        example = self._pairs[index] if own else self._others[index - len(self._pairs)]
        return {**example, "id": int(index)}

    def collater(self, samples: list[dict]) -> dict:
        """Pad examples to a batch in fairseq's form."""
        return self._pairs.collater(samples)


class RestoreDataset(ExampleDataset):
    """Noisy sentences with their originals, each side in its own language (Zan et al., objective 3).

    Example ``2 i`` restores the source of pair ``i``, ``2 i + 1`` its target: each pair gives both each epoch. With
    ``parallel`` the noise sees the other side of the pair too. Sides that are not ``paired`` are texts of their own, of
    any lengths; they follow one another. ``numbers`` says which of the languages each side is of, where several are of
    one: by these, statistics are summed up. With a ``schedule`` the rate goes by the update that an example is part of
    (``place``), else it is the noise's own.
    """

    def __init__(
        self,
        sides: Sequence[Side],
        noises: Sequence[AddNoise],
        symbols: Symbols,
        seed: int,
        shuffle: bool,
        fixed_epoch: int | None,
        parallel: bool = False,
        schedule: Schedule | None = None,
        paired: bool = True,
        numbers: Sequence[int] | None = None,
    ) -> None:
        rows = [side.sizes for side in sides]
        sizes = 1 + (np.stack(rows, axis=1).reshape(-1) if paired else np.concatenate(rows))
        super().__init__(sizes, symbols, seed, shuffle, fixed_epoch)
        self._starts = None if paired else np.cumsum([0, *map(len, rows)])  # of each side, and the end
        self._sides, self._noises, self._parallel = sides, noises, parallel
        self._numbers = range(len(sides)) if numbers is None else numbers
        self.schedule = schedule
        # Shared, as the epoch is.
        self._updates = torch.zeros(len(sizes) if schedule else 1, dtype=torch.int32).share_memory_()

    def place(self, batches: Sequence[Sequence[int]], first_update: int, update_freq: int) -> None:
        """Note which update each example of an epoch is part of, given the batches of one process in their order.

        Loader workers fetch ahead, so that the trainer's count is no guide to them; the order of an epoch's batches is
        known before its first.
        """
        order = np.concatenate([np.asarray(batch, np.int64) for batch in batches])
        updates = first_update + np.arange(len(batches)) // update_freq
        self._updates[torch.from_numpy(order)] = torch.from_numpy(
            np.repeat(updates, [len(batch) for batch in batches]).astype(np.int32)
        )

    def _row(self, index: int) -> tuple[int, int]:
        """The row and the side of an example."""
        if self._starts is None:
            return divmod(index, len(self._sides))
        number = int(np.searchsorted(self._starts, index, "right")) - 1
        return index - int(self._starts[number]), number

    def __getitem__(self, index: int) -> dict:
        pair, number = self._row(int(index))
        side = self._sides[number]
        ids = self.sentence(side, pair)
        aligned, aligned_marks = NO_PIECES, NO_MARKS
        if self._parallel:
            other = self._sides[1 - number]
            aligned, aligned_marks = self.sentence(other, pair), self.marks(other, pair)
        rate = self.schedule.rate(int(self._updates[index])) if self.schedule else None
        marks = self.marks(side, pair)
        noisy, stats = self._noises[number](ids, self.epoch, int(index), marks, aligned, aligned_marks, rate)
        return {
            "id": int(index),
            "source": self.row(noisy, side.symbol),
            "target": self.row(ids, side.symbol),
            "side": self._numbers[number],
            "stats": stats,
        }

    def collater(self, samples: list[dict]) -> dict:
        """Pad examples to a batch; ``switching`` sums their ``compiled.STATS`` by language, int64 [n_languages, 9]."""
        batch = super().collater(samples)
        if batch:
            batch["switching"] = np.zeros((max(self._numbers) + 1, len(STATS)), np.int64)
            for sample in samples:
                batch["switching"][sample["side"]] += sample["stats"]
        return batch
