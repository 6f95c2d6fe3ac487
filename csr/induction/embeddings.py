"""Word embeddings: trained with word2vec, read from word2vec or fastText files, written as text."""

from __future__ import annotations

import contextlib
import gzip
import logging
import lzma
import re
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from csr.errors import DataError
from csr.files import PathLike, open_bytes, read_lines, write_text
from csr.text.forms import composed
from csr.text.words import tokenize, watched

log = logging.getLogger(__name__)

_HEADER = re.compile(rb"\s*(\d+)\s+(\d+)\s*")
# Control characters that text does not hold, and four bytes of a float often do.
_BYTES_OF_FLOATS = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_FASTTEXT_MODEL = (793712314).to_bytes(4, "little")
_DAMAGED = (EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error)


@dataclass(frozen=True)
class Embeddings:
    """Words, most frequent first, and their vectors, float32 [n_words, dim]."""

    words: list[str]
    vectors: np.ndarray

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2 or len(self.words) != len(self.vectors):
            raise ValueError(f"expected {len(self.words)} rows of vectors, got an array of {self.vectors.shape}")

    def __len__(self) -> int:
        return len(self.words)

    @property
    def dim(self) -> int:
        """The length of a vector."""
        return self.vectors.shape[1]


def train(
    paths: PathLike | Sequence[PathLike],
    dim: int = 300,
    window: int = 10,
    negative: int = 10,
    min_count: int = 5,
    epochs: int = 10,
    seed: int = 1,
    workers: int = 1,
    language: str | None = None,
) -> Embeddings:
    """Train word2vec skip-gram with negative sampling on text files, lower-cased and without punctuation.

    The text is cut into words once, into a temporary file, and streamed from there in every epoch. The same seed
    gives the same vectors with one worker; with more, gensim's threads update the vectors in no fixed order.

    Raises:
        DataError: no word occurs ``min_count`` times.
    """
    from gensim.models import Word2Vec
    from gensim.models.callbacks import CallbackAny2Vec

    files = [paths] if isinstance(paths, str) or not isinstance(paths, Sequence) else list(paths)
    name = ", ".join(map(str, files))

    class Progress(CallbackAny2Vec):
        def on_epoch_end(self, model: Word2Vec) -> None:
            bar.update()

    with tempfile.TemporaryDirectory() as folder, tqdm(total=epochs, desc=f"word2vec {name}", disable=None) as bar:
        corpus = Path(folder) / "words"
        with open(corpus, "w", encoding="utf-8") as stream:
            for file in files:
                for line in watched(read_lines(file), language, file):
                    # gensim parts words at white space; a word of several syllables is held together by what no
                    # word contains.
                    print(*(word.replace(" ", "_") for word in tokenize(line, language)), file=stream)
        model = Word2Vec(
            vector_size=dim,
            window=window,
            negative=negative,
            min_count=min_count,
            sg=1,
            seed=seed,
            workers=workers,
            epochs=epochs,
        )
        model.build_vocab(corpus_file=str(corpus))
        if not len(model.wv):
            raise DataError(f"{name}: expected a word that occurs at least {min_count} times, found none")
        model.train(
            corpus_file=str(corpus),
            total_examples=model.corpus_count,
            total_words=model.corpus_total_words,
            epochs=epochs,
            callbacks=[Progress()],
        )
    words = [word.replace("_", " ") for word in model.wv.index_to_key]
    return Embeddings(words, np.ascontiguousarray(model.wv.vectors, np.float32))


def read_embeddings(path: PathLike) -> Embeddings:
    """Read embeddings: word2vec text or binary, text without a header, or a fastText model; compressed by its suffix.

    A word may contain spaces; it is composed. The first of several rows for a word is kept. Duplicates and rows that
    do not hold a word and ``dim`` numbers are left out, counted and reported.

    Raises:
        DataError: a value is not finite, the vectors have another length than the header says, a binary file ends
            early, or no row is left.
    """
    try:
        with open_bytes(path) as stream:
            head = stream.read(4)
            if head == _FASTTEXT_MODEL:
                return _read_fasttext_model(path)
            first = head if head.endswith(b"\n") else head + stream.readline()
            header = _HEADER.fullmatch(first)
            sample = stream.read(4096)
            if header is None:
                rows = _text_rows(path, _trailing_numbers(first), n_skipped=0)
            elif _BYTES_OF_FLOATS.search(sample) is None:
                rows = _text_rows(path, int(header[2]), n_skipped=1)
            else:
                rows = _binary_rows(path, sample + stream.read(), int(header[1]), int(header[2]))
            return _collect(path, rows, int(header[1]) if header else None)
    except _DAMAGED as error:
        raise DataError(f"{path}: the compressed file is damaged or cut short ({error})") from None


def write_embeddings(embeddings: Embeddings, path: PathLike) -> None:
    """Write word2vec text with nine significant digits, which give back the same float32; gzipped by its suffix."""
    with write_text(path) as stream:
        stream.write(f"{len(embeddings)} {embeddings.dim}\n")
        for word, vector in zip(embeddings.words, embeddings.vectors.tolist(), strict=True):
            stream.write(f"{word} {' '.join(f'{value:.9g}' for value in vector)}\n")


# Line or row number, word, and vector; no vector if the row is malformed.
_Row = tuple[int, str, np.ndarray | None]


def _trailing_numbers(line: bytes) -> int:
    """The number of fields at the end of a row that are numbers; the first field is always the word's."""
    count = 0
    for field in reversed(line.split()[1:]):
        try:
            float(field)
        except ValueError:
            break
        count += 1
    return count


def _text_rows(path: PathLike, dim: int, n_skipped: int) -> Iterator[_Row]:
    for number, line in enumerate(read_lines(path), 1):
        if number <= n_skipped:
            continue
        if number == n_skipped + 1 and (found := _trailing_numbers(line.encode())) != max(dim, 1):
            raise DataError(f"{path}:{number}: expected a word and {dim or 'its'} numbers, found {found} numbers")
        # Only from the right, and only at spaces and tabs: a word may hold spaces of its own.
        word, *fields = line.replace("\t", " ").rstrip(" ").rsplit(" ", dim)
        vector = None
        if word and len(fields) == dim:
            # A field that is no number is malformed; one too large for float32 becomes infinite and is refused below.
            with contextlib.suppress(ValueError), np.errstate(over="ignore"):
                vector = np.array(fields, np.float32)
        yield number, word, vector


def _binary_rows(path: PathLike, data: bytes, n_rows: int, dim: int) -> Iterator[_Row]:
    size = 4 * dim
    # The original word2vec ends every row with a newline, gensim does not; the last byte of a float of usual size is
    # never a newline. Where there are newlines, a word that holds spaces shows: no newline follows its vector.
    newline = data.endswith(b"\n")
    start = 0
    for number in range(1, n_rows + 1):
        end = data.find(b" ", start)
        while newline and end >= 0 and data[end + 1 + size : end + 2 + size] not in (b"\n", b""):
            end = data.find(b" ", end + 1)
        if end < 0 or end + 1 + size > len(data):
            raise DataError(f"{path}: expected {n_rows:,} rows of {dim} numbers, found the end in row {number:,}")
        try:
            word = data[start:end].decode()
        except UnicodeDecodeError:
            word = ""
        yield number, word, np.frombuffer(data, "<f4", dim, end + 1) if word else None
        start = end + 1 + size + newline
    if start < len(data):
        raise DataError(f"{path}: expected the end after {n_rows:,} rows, found {len(data) - start:,} more bytes")


def _read_fasttext_model(path: PathLike) -> Embeddings:
    from gensim.models.fasttext import load_facebook_vectors

    try:
        vectors = load_facebook_vectors(str(path))
    except Exception as error:  # the library asserts, unpacks and allocates what the file says
        found = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(f"{path}: expected a fastText model, found a damaged or another one ({found})") from None
    rows = enumerate(zip(vectors.index_to_key, vectors.vectors, strict=True), 1)
    return _collect(path, ((number, word, vector) for number, (word, vector) in rows), len(vectors))


def _collect(path: PathLike, rows: Iterable[_Row], n_expected: int | None) -> Embeddings:
    kept: dict[str, np.ndarray] = {}
    n_read = n_duplicates = n_malformed = 0
    for number, word, vector in rows:
        n_read += 1
        word = composed(word)
        if vector is None or not word:
            n_malformed += 1
        elif not np.isfinite(vector).all():
            raise DataError(f"{path}:{number}: expected finite numbers, found {vector[~np.isfinite(vector)][0]}")
        elif word in kept:
            n_duplicates += 1
        else:
            kept[word] = vector
    if not kept:
        raise DataError(f"{path}: expected at least one word and its vector, found none in {n_read:,} rows")
    if n_duplicates or n_malformed or n_read != (n_expected or n_read):
        announced = f" of {n_expected:,} announced" if n_expected else ""
        log.warning(
            f"{path}: {n_read:,} rows read{announced}, {n_duplicates + n_malformed:,} dropped "
            f"({n_duplicates:,} duplicates, {n_malformed:,} malformed)"
        )
    return Embeddings(list(kept), np.array(list(kept.values()), np.float32))
