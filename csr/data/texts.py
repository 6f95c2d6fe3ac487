"""Monolingual text of several languages: a common vocabulary, and rows for a backbone that is trained on masks."""

from __future__ import annotations

import itertools
import re
import shutil
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tqdm import tqdm

import csr
from csr.data import bitext, subwords
from csr.data.rows import Vocabulary, workers_for
from csr.errors import ConfigError, DataError
from csr.files import PathLike, check_colons, file_name, read_lines, sha256, write_folder, write_json, write_text
from csr.process import without_cycles
from csr.text.forms import normalized
from csr.text.words import segments

_NEITHER = re.compile(r"[\W_]+")  # letter or digit


@without_cycles()
def prepare_texts(
    texts: Mapping[str, Sequence[PathLike]],
    out: PathLike,
    *,
    pieces: int = 8000,
    valid_size: int = 500,
    max_words: int = 250,
    max_lines: int | None = None,
    without: Mapping[str, Sequence[PathLike]] = MappingProxyType({}),
    sentencepiece_model: PathLike | None = None,
    dictionary: PathLike | None = None,
) -> dict[str, Any]:
    """Clean text, train a vocabulary on the same number of lines of each language, and encode it for training.

    The folder ``out`` gets ``text/{train,valid}.LANG``, ``spm.model``, ``spm.vocab``, ``dict.txt``, the rows
    ``bin/{train,valid}.LANG.{bin,idx}`` that ``csr_restore --monolingual`` reads, and, last of all, ``prepare.json``.

    Args:
        texts: files of each language, one sentence a line.
        pieces: size of the vocabulary to train.
        valid_size: lines of each language to hold out; at most a tenth of them.
        max_lines: lines of each language to train on, drawn by a hash of the line (default: all).
        without: files of each language whose sentences are left out, whatever their case, spaces and punctuation.
        sentencepiece_model, dictionary: a backbone's own vocabulary, instead of training one.

    Raises:
        ConfigError: a language's segmenter is not installed, or one of model and dictionary is missing.
        DataError: a file is missing, not UTF-8 or without a line of text.
    """
    check_colons(out, "--out")
    if (sentencepiece_model is None) != (dictionary is None):
        raise ConfigError("a SentencePiece model and a dictionary go together: expected both or none, found one")
    for language in texts:
        file_name(language, "language code")
        segments("", language)  # without its segmenter, better stop now
    options = {"pieces": pieces, "valid_size": valid_size, "max_words": max_words}
    options |= {} if max_lines is None else {"max_lines": max_lines}
    sets: dict[tuple[str, str], list[str]] = {}
    counts = {}
    for language, files in texts.items():
        lines, counts[language] = _clean(files, max_words, language, sentence_keys(without.get(language, ())))
        n_held_out = min(valid_size, len(lines) // 10)
        n_drawn = n_held_out + (max_lines or 0)
        ranked = list(itertools.islice(bitext.in_order(lines, bitext.line_hash, n_drawn), n_drawn))
        held_out, drawn = set(ranked[:n_held_out]), set(ranked)
        sets["train", language] = [
            line for line in lines if line not in held_out and (max_lines is None or line in drawn)
        ]
        sets["valid", language] = sorted(held_out)
    with write_folder(out, "prepare.json") as part:
        for (split, language), lines in sets.items():
            with write_text(part / "text" / f"{split}.{language}") as stream:
                stream.writelines(f"{line}\n" for line in lines)
        if sentencepiece_model and dictionary:
            copy_vocabulary(sentencepiece_model, dictionary, part)
        else:
            subwords.train([sets["train", language] for language in texts], pieces, part / "spm.model")
            model = subwords.load(part / "spm.model")
            subwords.write_vocabulary(model, part / "spm.vocab")
            subwords.write_dictionary(subwords.model_pieces(model), {}, part / "dict.txt")
        vocabulary = Vocabulary.read(part / "spm.model", part / "dict.txt")
        for (split, language), lines in sets.items():
            shown = tqdm(lines, f"encoding {split}.{language}", disable=None)
            prefix = part / "bin" / f"{split}.{language}"
            vocabulary.write(shown, prefix, language, workers_for(lines))
        for language in texts:
            shutil.copyfile(part / "dict.txt", part / "bin" / f"dict.{language}.txt")
        record = {
            "languages": list(texts),
            "lines": {f"{split}.{language}": len(lines) for (split, language), lines in sets.items()},
            "counts": {language: dict(counted) for language, counted in counts.items()},
            "options": options,
            "inputs": {str(file): sha256(file) for files in (*texts.values(), *without.values()) for file in files},
            "versions": {"csr": csr.__version__},
        }
        write_json(part / "prepare.json", record)
    return record


def copy_vocabulary(sentencepiece_model: PathLike, dictionary: PathLike, folder: Path) -> None:
    """Copy a vocabulary to ``spm.model`` and ``dict.txt`` of a folder."""
    for source, name in ((sentencepiece_model, "spm.model"), (dictionary, "dict.txt")):
        if not Path(source).is_file():
            raise DataError(f"{source}: no such file")
        shutil.copyfile(source, folder / name)


def sentence_key(line: str) -> str:
    """What a line is compared by: its letters and digits, in lower case.

    >>> sentence_key("Two men talk.") == sentence_key("two men  talk")
    True
    """
    return _NEITHER.sub("", normalized(line).casefold())


def sentence_keys(files: Iterable[PathLike]) -> set[str]:
    """The keys of the lines of files that have any letter or digit."""
    return {key for file in files for line in read_lines(file) if (key := sentence_key(line))}


def _clean(
    files: Sequence[PathLike], max_words: int, language: str, without: Collection[str]
) -> tuple[list[str], Counter[str]]:
    """The lines of a language once each, in order, and what was dropped."""
    kept: dict[str, None] = {}
    counts: Counter[str] = Counter()
    for file in files:
        for raw in tqdm(read_lines(file), f"cleaning {language}", disable=None):
            counts["read"] += 1
            line = normalized(raw)
            if bitext.is_empty((line, line)):
                counts["empty"] += 1
            elif bitext.n_words(line) > max_words:
                counts["long"] += 1
            elif line in kept:
                counts["duplicate"] += 1
            elif without and sentence_key(line) in without:
                counts["left out"] += 1
            else:
                kept[line] = None
    if not kept:
        raise DataError(f"{files[0] if files else language}: expected lines of text, found none")
    return list(kept), counts
