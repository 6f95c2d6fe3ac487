"""Documents and their summaries in another language: read, cut to a number of words and into sentences."""

from __future__ import annotations

import itertools
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import regex
from tqdm import tqdm

from csr.data import bitext
from csr.data.prepare import write_prepared
from csr.errors import DataError
from csr.files import PathLike, check_colons, parse_object, read_lines
from csr.text.forms import normalized
from csr.text.languages import base, entry, same
from csr.text.sentences import sentences
from csr.text.words import segments

SENTENCE_BREAK = "\t"  # between the sentences of a document, in text files; ``</s>`` in what the model reads

# Longer than words are, markup included: text is not looked at beyond so many characters a word.
_CHARACTERS_PER_WORD = 40


@dataclass(frozen=True)
class Summary:
    """A document and its summary."""

    document: str
    summary: str


def read_summaries(
    path: PathLike, source_lang: str, target_lang: str, counts: Counter[str] | None = None
) -> list[Summary]:
    """Read documents in one language with summaries in another, plain, .gz or .xz.

    The first line tells the format: JSON lines with ``document`` and ``summary``, and perhaps ``source_lang`` and
    ``target_lang``, or the text files of NCLS (``<doc>``, ``<Article>``, ``<ZH-REF1>``), of whose references in the
    target language those corrected by people are taken where there are such.

    Args:
        source_lang, target_lang: other directions in the file are left out.
        counts: gets ``read``, ``empty`` (a side) and ``direction`` (another one).

    Raises:
        DataError: a row is broken, or there is none in this direction.
    """
    lines = enumerate(read_lines(path), 1)
    first = next((pair for pair in lines if pair[1].strip()), (1, ""))
    rows = _ncls if first[1].strip().startswith("<doc") else _json
    found: Counter[str] = Counter()
    out = []
    for summary, direction in rows(path, itertools.chain([first], lines), base(target_lang)):
        found["read"] += 1
        if any(
            named and not same(named, code) for named, code in zip(direction, (source_lang, target_lang), strict=True)
        ):
            found["direction"] += 1
        elif not summary.document.strip() or not summary.summary.strip():
            found["empty"] += 1
        else:
            out.append(summary)
    if not out:
        raise DataError(
            f"{path}: expected documents in {source_lang} with summaries in {target_lang}, found none in "
            f"{found['read']:,} rows"
        )
    if counts is not None:
        counts.update(found)
    return out


def default_words(language: str) -> int:
    """The words of a summary: 130, of a Chinese one 160 (Zan et al., section 5.4)."""
    return entry({"zh": 160}, language) or 130


def truncated(text: str, language: str, words: int) -> str:
    """Text up to its first ``words`` words, as the language's segmenter counts them.

    >>> truncated("Two men, one dog.", "en", 3)
    'Two men, one'

    Raises:
        ConfigError: the segmenter is not installed.
    """
    text = text[: words * _CHARACTERS_PER_WORD]
    end = n = 0
    for part, is_word in segments(text, language):
        if is_word and n == words:
            return text[:end].rstrip()
        end += len(part)
        n += is_word
    return text


def as_line(text: str, language: str, words: int) -> str:
    """A text cut to ``words`` words as one line, its sentences apart by ``SENTENCE_BREAK``."""
    return SENTENCE_BREAK.join(sentences(truncated(normalized(text), language, words)))


def _json(
    path: PathLike, lines: Iterator[tuple[int, str]], target: str
) -> Iterator[tuple[Summary, tuple[str | None, str | None]]]:
    for number, line in lines:
        if not line.strip():
            continue
        row = parse_object(line, f"{path}:{number}")
        if not all(isinstance(row.get(key), str) for key in ("document", "summary")):
            raise DataError(f"{path}:{number}: expected a document and a summary as text, found {line[:60]!r}")
        direction = row.get("source_lang"), row.get("target_lang")
        if not all(isinstance(code, str | None) for code in direction):
            raise DataError(f"{path}:{number}: expected codes of languages as text, found {direction}")
        yield Summary(row["document"], row["summary"]), direction


def _ncls(
    path: PathLike, lines: Iterator[tuple[int, str]], target: str
) -> Iterator[tuple[Summary, tuple[str | None, str | None]]]:
    """Yield the documents of ``<doc>`` blocks; what stands between two tags belongs to the first."""
    parts: dict[str, list[str]] = {}
    tag, start = "", 1
    for number, raw in lines:
        line = raw.strip()
        if line.startswith("<doc"):
            parts, tag, start = {}, "", number
        elif line == "</doc>":
            named = {name: " ".join(text) for name, text in parts.items()}
            references = {name: text for name, text in named.items() if name.startswith(f"{target.upper()}-REF")}
            corrected = {name: text for name, text in references.items() if name.endswith("-human-corrected")}
            if "Article" not in named or not references:
                expected = f"<Article> and <{target.upper()}-REF...>"
                raise DataError(
                    f"{path}:{start}: expected {expected} in the document, found {', '.join(named) or 'none'}"
                )
            yield Summary(named["Article"], " ".join((corrected or references).values())), (None, None)
            parts, tag = {}, ""
        elif regex.fullmatch(r"</[\w-]+>", line):
            tag = ""
        elif match := regex.fullmatch(r"<([\w-]+)[^<>]*>", line):
            tag = match[1]
            parts[tag] = []
        elif line and tag:
            parts[tag].append(line)
        elif line:
            raise DataError(f"{path}:{number}: expected text inside of <Article> or <...-REF...>, found {line[:60]!r}")
    if parts:
        raise DataError(f"{path}:{start}: expected </doc> to the document, found the end of the file")


def prepare_summaries(
    train: PathLike,
    languages: tuple[str, str],
    out: PathLike,
    *,
    dev: PathLike | None = None,
    test: PathLike | None = None,
    dev_size: int = 1000,
    test_size: int = 1000,
    document_words: int = 220,
    summary_words: int | None = None,
    pieces: int = 8000,
    langs: Sequence[str] = (),
    sentencepiece_model: PathLike | None = None,
    dictionary: PathLike | None = None,
) -> dict[str, Any]:
    """Cut, clean, encode and binarize documents with summaries; return what ``prepare.json`` says about it.

    The folder ``out`` is that of ``csr.data.prepare.prepare``; in a document, ``</s>`` stands between sentences. A
    summary is one row, for its first ``</s>`` ends what a model writes. Documents that come twice in train, or in dev
    or test as well, are kept there once.

    Args:
        train, dev, test: files as ``read_summaries`` takes them; sets that are not given are held out from train.
        languages: codes of the documents and of the summaries.
        document_words, summary_words: lengths to cut to; summaries to 130 words by default, Chinese ones to 160
            (Zan et al., section 5.4).

    Raises:
        ConfigError: the options contradict one another, or a language's segmenter is not installed.
        DataError: a file is missing or broken, or too little is left of it.
    """
    check_colons(out, "--out")
    summary_words = summary_words or default_words(languages[1])
    sets: dict[str, list[bitext.Pair]] = {}
    counts: dict[str, Counter[str]] = {}
    given = {name: path for name, path in (("train", train), ("dev", dev), ("test", test)) if path}
    for name, path in given.items():
        counts[name] = Counter()
        read = read_summaries(path, *languages, counts[name])
        pairs = [
            (
                as_line(one.document, languages[0], document_words),
                truncated(normalized(one.summary), languages[1], summary_words),
            )
            for one in tqdm(read, f"cutting {name}", disable=None)
        ]
        sets[name] = list(dict.fromkeys(pairs)) if name == "train" else pairs
        counts[name]["duplicate"] = len(pairs) - len(sets[name])
    held_out = {document for name in ("dev", "test") for document, _ in sets.get(name, ())}
    left = [pair for pair in sets["train"] if pair[0] not in held_out]
    counts["train"]["in dev or test"] = len(sets["train"]) - len(left)
    missing = [name for name in ("dev", "test") if name not in given]
    sizes = [min({"dev": dev_size, "test": test_size}[name], len(left) // 10) for name in missing]
    *taken, sets["train"] = bitext.split(left, sizes) if missing else [left]
    sets.update(zip(missing, taken, strict=True))
    for name, kept in sets.items():
        print(f"{name}: {len(kept):,} documents", file=sys.stderr)
        if not kept:
            raise DataError(f"{given.get(name, train)}: expected documents for {name}, found none after cleaning")
    options = {"document_words": document_words, "summary_words": summary_words}
    return write_prepared(
        {name: sets[name] for name in ("train", "dev", "test")}, counts, languages, out, inputs=list(given.values()),
        options=options, pieces=pieces, langs=langs, sentencepiece_model=sentencepiece_model, dictionary=dictionary,
    )  # fmt: skip
