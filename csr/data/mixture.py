"""From monolingual text to a folder that pretraining reads: a sample of each language, subwords, binary data."""

from __future__ import annotations

import platform
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import csr
from csr.data import subwords
from csr.data.rows import FIRST, UNKNOWN, Vocabulary
from csr.data.sampling import Source, sample
from csr.data.wordpiece_training import train as train_wordpiece
from csr.errors import ConfigError
from csr.files import PathLike, check_colons, read_lines, sha256, write_folder, write_json
from csr.text.words import segments

_UNITS = {"": 1, "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9}


def parse_bytes(text: str) -> int:
    """Read a number of bytes.

    Raises:
        ConfigError: it is none.

    >>> parse_bytes("1.5MB"), parse_bytes("2000")
    (1500000, 2000)
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(B|kB|MB|GB)?", text)
    if not match or not float(match[1]) * _UNITS[match[2] or ""] >= 1:
        raise ConfigError(f"expected a number of bytes such as 500kB, 100MB or 1.5GB, found {text!r}")
    return int(float(match[1]) * _UNITS[match[2] or ""])


def mixture(
    sources: Sequence[Source],
    out: PathLike,
    *,
    held_out: int = 1_000_000,
    seed: int = 1,
    by_line: bool = False,
    pieces: int = 30_000,
    vocabulary_bytes: int = 10_000_000,
    wordpiece: bool = False,
    sentencepiece_model: PathLike | None = None,
    dictionary: PathLike | None = None,
    workers: int = 1,
) -> dict[str, Any]:
    """Sample, encode and binarize text of several languages; return what ``mixture.json`` says about it.

    The folder ``out`` gets ``text/{train,valid}.LANG``, a sentence a line; ``spm.model`` and ``spm.vocab``; ``bin/``
    with ``dict.txt`` and ``LANG/{train,valid}.{bin,idx}`` and their word boundaries ``.words.{bin,idx}``; and, last of
    all, ``mixture.json``. fairseq's own masked_lm reads ``bin/`` too, a language at a time.

    Args:
        held_out: bytes of each language for ``valid``.
        by_line: drop lines, not only documents, that were read before.
        pieces: size of the vocabulary to train.
        vocabulary_bytes: to train it on, of each language; less if a language has less, since each gives as much.
        wordpiece: make a WordPiece vocabulary, ``tokenizer.json`` in place of ``spm.model`` and ``spm.vocab``.
        sentencepiece_model, dictionary: a backbone's own, instead of training them; the model may be a
            ``tokenizer.json``, too. Without a dictionary the model's order is taken, which is XLM-R's.
        workers: processes that encode.

    Raises:
        ConfigError: the options contradict one another, or a language's segmenter is not installed.
        DataError: a file is missing or damaged, or there is less text than asked for.
    """
    check_colons(out, "--out")
    _check(sources, sentencepiece_model, dictionary)
    if sentencepiece_model:
        wordpiece = subwords.is_wordpiece(sentencepiece_model)
        subwords.load(sentencepiece_model)  # if it is none, better stop now
    with write_folder(out, "mixture.json") as part:
        (part / "text").mkdir()
        counts = {}
        for source in sources:
            train, valid = (part / "text" / f"{split}.{source.language}" for split in ("train", "valid"))
            counts[source.language] = found = sample(source, held_out, train, valid, seed=seed, by_line=by_line)
            _say(
                f"{source.language}: {found['documents']:,} documents read, {found.get('duplicates', 0):,} duplicates "
                f"dropped; {found['train_bytes']:,} bytes to train on, {found['held_out_bytes']:,} held out"
            )
        model_file = part / (subwords.WORDPIECE if wordpiece else subwords.UNIGRAM)
        if sentencepiece_model:
            shutil.copyfile(sentencepiece_model, model_file)
        else:
            texts = [part / "text" / f"train.{source.language}" for source in sources]
            n_bytes = min(vocabulary_bytes, *(path.stat().st_size for path in texts))
            _train_vocabulary(texts, n_bytes, pieces, model_file)
        model = subwords.load(model_file)
        if not wordpiece:
            subwords.write_vocabulary(model, part / "spm.vocab")
        if sentencepiece_model and dictionary:
            vocabulary = Vocabulary.read(sentencepiece_model, dictionary)
        else:
            vocabulary = Vocabulary(model_file)
        seen = np.zeros(len(vocabulary.pieces) + FIRST, np.int64)
        tokens: dict[str, dict[str, int]] = {}
        for source in sources:
            (part / "bin" / source.language).mkdir(parents=True)
            tokens[source.language] = {}
            for split in ("train", "valid"):
                text, prefix = part / "text" / f"{split}.{source.language}", part / "bin" / source.language / split
                lines = tqdm(read_lines(text), f"encoding {text.name}", unit=" lines", disable=None)
                found_ids = vocabulary.write(lines, prefix, source.language, workers)
                tokens[source.language] |= {split: int(found_ids.sum()), f"{split} unknown": int(found_ids[UNKNOWN])}
                seen += found_ids if split == "train" else 0
        vocabulary.write_dictionary(seen, part / "bin" / "dict.txt")
        record = {
            "languages": [source.language for source in sources],
            "counts": counts,
            "tokens": tokens,
            "dictionary_size": len(vocabulary.pieces) + FIRST,
            "options": {
                "bytes": {source.language: source.n_bytes for source in sources},
                "held_out": held_out,
                "seed": seed,
                "by_line": by_line,
                "pieces": pieces,
                "wordpiece": wordpiece,
                "vocabulary_bytes": vocabulary_bytes,
            },
            "inputs": {source.language: [str(path) for path in source.files] for source in sources},
            "outputs": {
                path.relative_to(part).as_posix(): sha256(path) for path in sorted(part.rglob("*")) if path.is_file()
            },
            "versions": {
                "csr": csr.__version__,
                "python": platform.python_version(),
                "sentencepiece": version("sentencepiece"),
            },
        }
        write_json(part / "mixture.json", record)
    return record


def _check(sources: Sequence[Source], model: PathLike | None, dictionary: PathLike | None) -> None:
    languages = [source.language for source in sources]
    for language in languages:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", language):
            raise ConfigError(f"language code: expected letters, digits and _, as in de or de_DE, found {language!r}")
        segments("", language)  # without its segmenter, better stop now
    if len(set(languages)) < len(languages):
        raise ConfigError(f"languages: expected each once, found {', '.join(languages)}")
    if dictionary and not model:
        raise ConfigError("--dict: expected with --sentencepiece-model, whose pieces it lists")


def _train_vocabulary(texts: Sequence[Path], n_bytes: int, pieces: int, path: Path) -> None:
    # Deviation: Visser et al., section 3.2, take 100 MB of each language. SentencePiece needs some 20 bytes of memory a
    # character, so that less is the default.
    lines = [line for path in texts for line in _evenly(path, n_bytes)]
    train = train_wordpiece if subwords.is_wordpiece(path) else subwords.train_on
    train(lines, pieces, path)
    if (found := len(subwords.load(path))) < pieces:
        _say(f"{found:,} pieces instead of {pieces:,}: the text has no more")


def _evenly(path: Path, n_bytes: int) -> Iterator[str]:
    """Yield lines from all over a file, ``n_bytes`` of them."""
    share = n_bytes / path.stat().st_size
    read = taken = 0
    for line in read_lines(path):
        size = len(line.encode()) + 1
        read += size
        if taken + size <= read * share:
            taken += size
            yield line


def _say(message: str) -> None:
    print(message, file=sys.stderr)
