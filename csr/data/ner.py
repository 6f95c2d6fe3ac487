"""Named entities: token and tag columns, as in PAN-X, CoNLL-2003 and MasakhaNER, read into IOB2 sentences."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from csr.errors import DataError
from csr.files import PathLike, read_lines, write_text

# More tokens than any sentence of the three has (732, Chinese by characters): the empty lines are missing.
MAX_TOKENS = 1000
_TAG = re.compile(r"O|[BI]-\S+")
# XTREME's release of PAN-X writes de:Berlin, and WikiANN has codes such as zh-classical and be-x-old.
_LANGUAGE = re.compile(r"[a-z]{2,}(-[a-z]+)*:")


@dataclass(frozen=True)
class Sentence:
    """Tokens and their IOB2 tags: ``O``, ``B-TYPE`` or ``I-TYPE``."""

    tokens: tuple[str, ...]
    tags: tuple[str, ...]


def read_ner(
    path: PathLike, types: Collection[str] | None = None, outside: Collection[str] = (), max_tokens: int = MAX_TOKENS
) -> tuple[list[Sentence], Counter[str]]:
    """Read lines whose first column is a token and whose last one its tag; an empty line ends a sentence.

    A no-break space is a part of its token. ``-DOCSTART-`` lines are left out, and so is a language in front of the
    tokens (``de:Berlin``). An ``I-`` tag that continues nothing becomes ``B-``, as seqeval and conlleval read it.

    Args:
        types: the entity types there may be; None for any.
        outside: types whose entities become ``O``.
        max_tokens: of a sentence.

    Returns:
        The sentences, and counts: ``sentences``, ``tokens``, ``repaired`` tags and tags made ``outside``.

    Raises:
        DataError: a line has no token or tag, a tag is not IOB2 or of another type, a sentence is too long, there is
            none, most tokens but not all have a language in front, or the first column numbers them.
    """
    found: list[tuple[list[str], list[str]]] = [([], [])]
    numbers: list[int] = []  # of the lines that hold a token
    counts: Counter[str] = Counter()
    has_others = True
    for number, columns in read_columns(path):
        if not columns:
            if found[-1][0]:
                found.append(([], []))
            continue
        token, tag = columns[0], columns[-1]
        has_others = has_others and len(columns) > 2
        if len(columns) < 2 or not token:
            raise DataError(f"{path}:{number}: expected a token and its tag, found {chr(9).join(columns)[:80]!r}")
        if not _TAG.fullmatch(tag):
            raise DataError(f"{path}:{number}: expected the tag O, B-TYPE or I-TYPE, found {tag[:80]!r}")
        if tag[2:] in outside:
            tag = "O"
            counts["outside"] += 1
        elif types is not None and tag != "O" and tag[2:] not in types:
            raise DataError(f"{path}:{number}: expected an entity of type {', '.join(sorted(types))}, found {tag}")
        if len(found[-1][0]) == max_tokens:
            raise DataError(
                f"{path}:{number}: expected an empty line after each sentence, found more than {max_tokens:,} tokens"
            )
        found[-1][0].append(token)
        found[-1][1].append(tag)
        numbers.append(number)
    if not found[-1][0]:
        found.pop()
    if not found:
        raise DataError(f"{path}: expected at least one sentence, found none")
    if has_others and 2 * sum(len(tokens) for tokens, _ in found if _counts(tokens)) > max(len(numbers), 2):
        rows = ", ".join(found[0][0][:3])
        raise DataError(f"{path}: expected tokens in the first column, found the numbers of rows ({rows}, ...)")
    cut = _language_width(path, [token for tokens, _ in found for token in tokens], numbers)
    sentences = [
        # A token that is nothing but the language stays: it stands for itself.
        Sentence(tuple(token[cut:] or token for token in tokens), repaired(tags))
        for tokens, tags in found
    ]
    counts["sentences"], counts["tokens"] = len(sentences), sum(len(sentence.tokens) for sentence in sentences)
    counts["repaired"] = sum(
        old != new
        for (_, tags), sentence in zip(found, sentences, strict=True)
        for old, new in zip(tags, sentence.tags, strict=True)
    )
    return sentences, counts


def read_columns(path: PathLike) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of each line and its columns; none where a sentence ends.

    Columns stand between tabs or, in a line without one, between spaces.
    """
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip(" \t") or line.startswith("-DOCSTART-"):
            yield number, []
        elif "\t" in line:
            yield number, [column.strip(" ") for column in line.split("\t")]
        else:
            yield number, re.split(" +", line.strip(" "))


def repaired(tags: Sequence[str]) -> tuple[str, ...]:
    """Tags as IOB2: an ``I-`` tag that does not continue an entity of its type begins one.

    >>> repaired(["I-PER", "I-PER", "O", "B-LOC", "I-ORG"])
    ('B-PER', 'I-PER', 'O', 'B-LOC', 'B-ORG')
    """
    before = ("O", *tags)
    return tuple(
        f"B-{tag[2:]}" if tag.startswith("I-") and last[2:] != tag[2:] else tag
        for last, tag in zip(before, tags, strict=False)
    )


def write_ner(sentences: Iterable[Sentence], path: PathLike) -> None:
    """Write ``token<TAB>tag`` lines, an empty line after each sentence."""
    with write_text(path) as stream:
        for sentence in sentences:
            stream.writelines(f"{token}\t{tag}\n" for token, tag in zip(sentence.tokens, sentence.tags, strict=True))
            stream.write("\n")


def spans(sizes: Sequence[int], tags: Sequence[str], limit: int) -> list[tuple[int, int]]:
    """Cut a sentence with tags into runs of at most ``limit`` pieces, for training: between entities where possible.

    Args:
        sizes: pieces of each token; a longer one counts as ``limit``.
        tags: IOB2.

    Returns:
        (start, end) tokens of each run, in order, without gaps.

    >>> spans([1, 1, 1, 1, 1], ["O", "O", "B-PER", "I-PER", "O"], 3)
    [(0, 2), (2, 5)]
    """
    runs, start, used = [], 0, 0
    for i, size in enumerate(min(size, limit) for size in sizes):
        while used + size > limit:
            # The last token before which no entity goes on; inside an entity that is longer than the limit, here.
            cut = next((j for j in range(i, start, -1) if not tags[j].startswith("I-")), i)
            runs.append((start, cut))
            start, used = cut, sum(min(size, limit) for size in sizes[cut:i])
        used += size
    return [*runs, (start, len(sizes))]


def windows(sizes: Sequence[int], limit: int) -> list[tuple[int, int, int, int]]:
    """Cut a sentence without tags into overlapping runs of at most ``limit`` pieces, for prediction.

    A token is read in the run where it is farthest from an end that the sentence itself has not, so that cutting
    tears no entity.

    Args:
        sizes: pieces of each token; a longer one counts as ``limit``.

    Returns:
        (start, end, first, last) of each run: its tokens are [start, end), and [first, last) are read in it. The
        latter cover the sentence in order, each token once.

    >>> windows([1] * 6, 4)
    [(0, 4, 0, 3), (2, 6, 3, 6)]
    """
    sizes = [min(size, limit) for size in sizes]
    runs: list[tuple[int, int]] = []
    start = 0
    while True:
        end, used = start, 0
        while end < len(sizes) and used + sizes[end] <= limit:
            used += sizes[end]
            end += 1
        runs.append((start, end))
        if end == len(sizes):
            break
        room, start = min(limit // 2, limit - sizes[end]), end
        while start - 1 > runs[-1][0] and sizes[start - 1] <= room:
            start -= 1
            room -= sizes[start]
    borders = [0, *((left[1] + right[0]) // 2 for left, right in itertools.pairwise(runs)), len(sizes)]
    return [(*run, first, last) for run, (first, last) in zip(runs, itertools.pairwise(borders), strict=True)]


def _counts(tokens: Sequence[str]) -> bool:
    """Whether they are whole numbers that rise by one, from 0, from 1 or from where the last sentence ended."""
    if not re.fullmatch("[0-9]{1,9}", tokens[0]):
        return False
    first = int(tokens[0])
    return list(tokens) == [str(i) for i in range(first, first + len(tokens))]


def _language_width(path: PathLike, tokens: Sequence[str], numbers: Sequence[int]) -> int:
    """The length of the language in front of the tokens; 0 where most have none, or another."""
    languages = Counter(match[0] for token in tokens if (match := _LANGUAGE.match(token)))
    if 2 * languages.total() <= len(tokens):
        return 0
    language, n = languages.most_common(1)[0]
    if n < len(tokens):
        odd = next(i for i, token in enumerate(tokens) if not token.startswith(language))
        raise DataError(
            f"{path}:{numbers[odd]}: expected the language {language} in front of the token, as {n:,} of the file's "
            f"{len(tokens):,} tokens have it, found {tokens[odd]!r}"
        )
    return len(language)
