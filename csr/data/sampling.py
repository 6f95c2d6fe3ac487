"""A number of bytes of distinct documents, drawn at random in one pass over text of any size.

Documents are ranked by a 64-bit hash of their text, and those of smallest hash are taken: a uniform sample that depends
on the seed and the documents, not on the files they come in, and in which equal documents meet. Memory holds hashes of
what is sampled, not text; documents wait in a temporary file, in the order they were read.
"""

from __future__ import annotations

import hashlib
import struct
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from tqdm import tqdm

from csr.errors import DataError
from csr.files import PathLike, read_lines, read_objects, write_text
from csr.jit import njit
from csr.text.forms import normalized
from csr.text.sentences import sentences

_BUCKETS = 1 << 16  # of hashes, by their first 16 bits
_HEAD = struct.Struct("<QI")  # of a waiting document: its hash and its length in bytes


@dataclass(frozen=True)
class Source:
    """Text of a language: how many bytes to sample from which files, or all of them."""

    language: str
    n_bytes: int | None  # UTF-8, line ends included
    files: Sequence[PathLike]


def documents(path: PathLike) -> Iterator[str]:
    """Yield the documents of a file: ``text`` of each record of JSON lines (mC4's form), of other text each line.

    Raises:
        DataError: a line of a ``.json`` or ``.jsonl`` file is not an object with a string ``text``.
    """
    if not {".json", ".jsonl"}.intersection(Path(path).suffixes):
        yield from read_lines(path)
        return
    for number, record in read_objects(path):
        if not isinstance(text := record.get("text"), str):
            found = ", ".join(record) or "an empty one"
            raise DataError(f'{path}:{number}: expected a JSON object with a "text", found {found}')
        yield text


class Seen:
    """The 64-bit hashes met so far, in a table of 11 to 22 bytes each."""

    def __init__(self) -> None:
        self._slots = np.zeros(1 << 12, np.uint64)
        self._n = 0

    def add(self, value: int) -> bool:
        """Take note of a hash and tell whether it is new."""
        if 4 * self._n > 3 * len(self._slots):
            slots = np.zeros(2 * len(self._slots), np.uint64)
            _insert_all(slots, self._slots)
            self._slots = slots
        new = bool(_insert(self._slots, np.uint64(value or 1)))  # 0 is a free slot
        self._n += new
        return new


@njit(nogil=True)
def _insert(slots, value):  # type: ignore[no-untyped-def]
    mask = np.uint64(len(slots) - 1)
    slot = value & mask
    while slots[slot] != 0:
        if slots[slot] == value:
            return False
        slot = (slot + np.uint64(1)) & mask
    slots[slot] = value
    return True


@njit(nogil=True)
def _insert_all(slots, values):  # type: ignore[no-untyped-def]
    for value in values:
        if value != 0:
            _insert(slots, value)


class _Ranking:
    """Bytes by first 16 bits of the hash, and the bucket up to which documents are kept."""

    def __init__(self, need: int | None) -> None:
        self.need = need
        self.longest = 0  # document: the held-out part may end up to this late
        self.bytes = [0] * _BUCKETS
        self.total = 0  # in the buckets that are kept
        self.last = _BUCKETS - 1

    def add(self, bucket: int, size: int) -> None:
        """Count a document; the kept buckets shrink to those that are needed."""
        self.bytes[bucket] += size
        self.total += size
        self.longest = max(self.longest, size)
        while self.need is not None and self.total - self.bytes[self.last] >= self.need + self.longest:
            self.total -= self.bytes[self.last]
            self.last -= 1


def sample(source: Source, held_out: int, train: Path, valid: Path, *, seed: int, by_line: bool) -> dict[str, int]:
    """Write a sample of a language's text, one sentence a line, and a held-out part that shares none with it.

    Lines are in Unicode's composed form, runs of white space made one space. The held-out part is taken first, then
    the training part: the bytes asked for and the rest of their last document. Sentences of the held-out part that the
    training part has too are left out.

    Args:
        held_out: bytes to hold out.
        seed: of the ranking.
        by_line: a line that was read before is dropped from its document; otherwise whole documents are compared.

    Returns:
        Counts for the record.

    Raises:
        DataError: a file is missing or damaged, or there is less text than asked for.
    """
    key = seed.to_bytes(8, "little", signed=True)
    counts: Counter[str] = Counter()
    need = None if source.n_bytes is None else source.n_bytes + held_out
    with tempfile.TemporaryFile(dir=train.parent) as spill:
        ranking = _collect(source, need, spill, key, by_line, counts)
        found = sum(ranking.bytes[: ranking.last + 1])
        if found < (2 * held_out if need is None else need):
            asked = "more to train on" if source.n_bytes is None else f"{source.n_bytes:,} to train on"
            raise DataError(
                f"{source.language}: expected {held_out:,} bytes to hold out and {asked}, found {found:,} bytes of "
                f"distinct text ({counts['documents']:,} documents, {counts['duplicates']:,} duplicates dropped)"
            )
        kept = bytearray(_parts(spill, ranking, held_out, source.n_bytes))
        held = {_hash(sentence, key) for text in _texts(spill, kept, _HELD) for sentence in _sentences_of(text)}
        common: set[int] = set()
        with write_text(train) as stream:
            for text in tqdm(_texts(spill, kept, _TRAIN), f"writing {train.name}", unit="docs", disable=None):
                counts["train_documents"] += 1
                counts["train_bytes"] += len(text.encode()) + 1
                for sentence in _sentences_of(text):
                    stream.write(f"{sentence}\n")
                    if (value := _hash(sentence, key)) in held:
                        common.add(value)
        with write_text(valid) as stream:
            for text in _texts(spill, kept, _HELD):
                counts["held_out_documents"] += 1
                for sentence in _sentences_of(text):
                    if _hash(sentence, key) not in common:
                        stream.write(f"{sentence}\n")
                        counts["held_out_bytes"] += len(sentence.encode()) + 1
    if not counts["held_out_bytes"]:
        raise DataError(f"{source.language}: expected sentences to hold out that come once, found none; hold out more")
    return dict(counts)


_LEFT, _TRAIN, _HELD = range(3)


def _hash(text: str, key: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8, key=key).digest(), "little")


def _sentences_of(document: str) -> list[str]:
    return [sentence for line in document.split("\n") for sentence in sentences(line)]


def _collect(
    source: Source, need: int | None, spill: IO[bytes], key: bytes, by_line: bool, counts: Counter[str]
) -> _Ranking:
    """Write to ``spill`` the distinct documents that may be in the sample."""
    ranking, seen = _Ranking(need), Seen()
    with tqdm(desc=f"reading {source.language}", unit="B", unit_scale=True, disable=None) as bar:
        for path in source.files:
            for document in documents(path):
                counts["documents"] += 1
                bar.update(len(document))
                lines = [text for line in document.split("\n") if (text := normalized(line))]
                text = "\n".join(lines)
                value = _hash(text, key)
                if not text or value >> 48 > ranking.last:
                    continue
                if by_line:
                    lines = [line for line in lines if seen.add(_hash(line, key))]
                    text = "\n".join(lines)
                if not lines or not (by_line or seen.add(value)):
                    counts["duplicates"] += 1
                    continue
                data = text.encode()
                spill.write(_HEAD.pack(value, len(data)) + data)
                ranking.add(value >> 48, len(data) + 1)
    return ranking


def _parts(spill: IO[bytes], ranking: _Ranking, held_out: int, n_bytes: int | None) -> Iterator[int]:
    """Say of each waiting document which part it goes to: the smallest hashes are held out."""
    edge, before = 0, 0
    while edge < ranking.last and before + ranking.bytes[edge] < held_out:
        before += ranking.bytes[edge]
        edge += 1
    held = before  # documents of the edge's bucket fill up what is left, in the order they were read
    train = sum(ranking.bytes[edge + 1 : ranking.last])
    for value, data in _records(spill):
        bucket, size = value >> 48, len(data) + 1
        if bucket < edge:
            yield _HELD
        elif bucket == edge and held < held_out:
            held += size
            yield _HELD
        elif edge < bucket < ranking.last:
            yield _TRAIN
        elif bucket <= ranking.last and (n_bytes is None or train < n_bytes):
            train += size
            yield _TRAIN
        else:
            yield _LEFT


def _texts(spill: IO[bytes], parts: Sequence[int], wanted: int) -> Iterator[str]:
    for part, (_, data) in zip(parts, _records(spill), strict=True):
        if part == wanted:
            yield data.decode()


def _records(spill: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    spill.seek(0)
    while head := spill.read(_HEAD.size):
        value, size = _HEAD.unpack(head)
        yield value, spill.read(size)
