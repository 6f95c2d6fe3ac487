"""Lexicons as piece ids: encoded once, at start-up; training never decodes text.

SentencePiece pieces do not cross a space, so a word alone is cut as inside a sentence.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from csr.errors import ConfigError, DataError
from csr.files import PathLike, new_folder, sha256
from csr.lexicon import Lexicon
from csr.lexicon_record import Languages
from csr.process import without_cycles
from csr.switching.forms import build_slots
from csr.text.forms import CASES, LOOKUPS, lower, spellings
from csr.text.words import switchable

logger = logging.getLogger(__name__)

_FORMAT = 5  # of the arrays on disk

# Encodes words to piece ids; the flag says whether the word follows a space (True) or another piece (False).
# A word that cannot be encoded without unknown pieces gives an empty list.
Encoder = Callable[[Sequence[str], bool], list[list[int]]]


@dataclass(frozen=True)
class EncodedLexicon:
    """A lexicon as flat arrays of piece ids, the form the compiled code reads and processes share.

    A *form* is a word in one of three cases (as written, Title, UPPER), after a space or not: six forms a word. A word
    written with capitals is found in small letters too, as its form as written.
    """

    slots: np.ndarray  # int32 [power of two]: hash table of forms; -1 is free
    form_starts: np.ndarray  # int32 [n_forms + 1]: where a form's pieces start in form_pieces
    form_pieces: np.ndarray  # int32
    form_entry: np.ndarray  # int32 [n_forms]: the entry a form belongs to
    form_kind: np.ndarray  # uint8 [n_forms]: 0 .. 5, case * 2 + (follows a space)
    entry_starts: np.ndarray  # int32 [n_entries + 1]: where an entry's candidates start
    cumulative: np.ndarray  # float64 [n_candidates]: cumulative probabilities within an entry
    candidate: np.ndarray  # int32 [n_candidates]: the candidate word
    # int32 [n_words * 12 + 1]: where form f of candidate word w starts, at w * 6 + f. At (n_words + w) * 6 + f, f < 2,
    # a word with capitals in small letters, in which it may stand in an aligned sentence.
    word_starts: np.ndarray
    word_pieces: np.ndarray  # int32
    n_unencodable: int  # candidates left out because the vocabulary lacks their characters

    def arrays(self) -> tuple[np.ndarray, ...]:
        """The arrays in the order above."""
        return tuple(array for array in vars(self).values() if isinstance(array, np.ndarray))

    @staticmethod
    def empty() -> EncodedLexicon:
        """A lexicon without words."""
        none, starts = np.empty(0, np.int32), np.zeros(1, np.int32)
        return EncodedLexicon(
            np.full(1, -1, np.int32), starts, none, none, np.empty(0, np.uint8), starts, np.empty(0, np.float64),
            none, starts, none, 0,
        )  # fmt: skip

    @property
    def n_entries(self) -> int:
        """The number of words that can be switched."""
        return len(self.entry_starts) - 1

    @property
    def nbytes(self) -> int:
        """The memory the arrays take, in bytes."""
        return sum(array.nbytes for array in self.arrays())


def encode_lexicon(lexicon: Lexicon, encode: Encoder, languages: Languages = (None, None)) -> EncodedLexicon:
    """Encode a lexicon's words and candidates; candidates with unknown pieces are left out and counted.

    Args:
        languages: of words and candidates; they say what the cases are, as in ``Lexicon.cased``.

    Raises:
        DataError: nothing is left: no word or no candidate can be written with this vocabulary.
    """
    lexicon = lexicon.distinct(languages[1])
    sources = [word for word in lexicon.entries if switchable(word)]
    targets = list(dict.fromkeys(c for word in sources for c in lexicon.entries[word]))
    target_forms = _encode_forms(targets, encode, languages[1])
    # Without capitals in the vocabulary, a candidate stays as written; a vocabulary of whole words has no forms that
    # follow another piece.
    for first in range(0, len(target_forms), 6):
        for kind in range(2, 6):
            target_forms[first + kind] = target_forms[first + kind] or target_forms[first + kind % 2]
    kinds = [kind for kind in range(2) if any(target_forms[kind::6])]
    usable = [bool(kinds) and all(target_forms[w * 6 + kind] for kind in kinds) for w in range(len(targets))]
    number = {word: w for w, word in enumerate(targets) if usable[w]}

    entry_starts, kept = [0], []
    cumulative: list[float] = []
    candidate: list[int] = []
    for word in sources:
        probs = {number[c]: p for c, p in lexicon.probs(word).items() if c in number}
        if not probs:
            continue
        kept.append(word)
        total = sum(probs.values())
        cumulative.extend(itertools.accumulate(p / total for p in probs.values()))
        candidate.extend(probs)
        entry_starts.append(len(candidate))

    forms, form_entry, form_kind = [], [], []
    written: set[str] = set()
    seen: set[tuple[int, ...]] = set()
    for lookup, case in LOOKUPS:
        # What is written as a form before it is that form.
        new = [(entry, text) for entry, text in spellings(kept, lookup, languages[0]) if text not in written]
        entries, texts = zip(*new, strict=True) if new else ((), ())
        written.update(texts)
        for kind in (case * 2, case * 2 + 1):
            for entry, pieces in zip(entries, encode(texts, bool(kind % 2)), strict=True):
                key = tuple(pieces)
                if key and key not in seen:
                    seen.add(key)
                    forms.append(pieces)
                    form_entry.append(entry)
                    form_kind.append(kind)
    if not forms:
        raise DataError(
            f"the lexicon covers nothing: none of its {len(lexicon)} words can be written in the model's vocabulary"
        )
    form_starts, form_pieces = _flatten(forms)
    word_starts, word_pieces = _flatten([*target_forms, *_encode_small(targets, encode, languages[1])])
    return EncodedLexicon(
        slots=build_slots(form_starts, form_pieces),
        form_starts=form_starts,
        form_pieces=form_pieces,
        form_entry=np.asarray(form_entry, np.int32),
        form_kind=np.asarray(form_kind, np.uint8),
        entry_starts=np.asarray(entry_starts, np.int32),
        cumulative=np.asarray(cumulative, np.float64),
        candidate=np.asarray(candidate, np.int32),
        word_starts=word_starts,
        word_pieces=word_pieces,
        n_unencodable=usable.count(False),
    )


def encoded_lexicon(
    path: PathLike, settings: Mapping[str, object], vocabulary: Sequence[str], make: Callable[[], EncodedLexicon]
) -> EncodedLexicon:
    """The lexicon at ``path`` encoded, kept beside it in ``<path>.encoded/<key>/`` from the first time on.

    The arrays are mapped from there, so that a run starts at once and all processes share one copy in memory. The key
    is a hash of the lexicon's bytes, the settings and the vocabulary: nothing stale is ever read. Where the folder
    cannot be written, the arrays are made anew each time.

    Args:
        settings: what the encoding depends on besides, as JSON has it.
        make: encodes the lexicon.
    """
    vocabulary_hash = hashlib.sha256("\n".join(vocabulary).encode()).hexdigest()
    key = hashlib.sha256(json.dumps([_FORMAT, sha256(path), vocabulary_hash, dict(settings)]).encode()).hexdigest()
    folder = Path(f"{path}.encoded", key[:20])
    names = [field.name for field in fields(EncodedLexicon)][:-1]
    if not folder.is_dir():
        with without_cycles():
            made = make()
        try:
            _write_arrays(folder, dict(zip(names, made.arrays(), strict=True)), made.n_unencodable)
        except OSError as error:
            logger.warning(f"{folder}: not written ({error.strerror}); the lexicon is encoded anew by each process")
            return made
    try:
        arrays: dict[str, Any] = {
            name: np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)) for name in names
        }
        return EncodedLexicon(**arrays, n_unencodable=int(np.load(folder / "n_unencodable.npy")))
    except (OSError, ValueError, TypeError, EOFError) as error:
        raise DataError(f"{folder}: expected an encoded lexicon, found a damaged one ({error}); delete it") from None


def _write_arrays(folder: Path, arrays: Mapping[str, np.ndarray], n_unencodable: int) -> None:
    try:
        with new_folder(folder) as part:
            for name, array in {**arrays, "n_unencodable": np.array(n_unencodable)}.items():
                np.save(part / f"{name}.npy", array, allow_pickle=False)
    except (ConfigError, OSError) as error:
        # Another process was first: its arrays are the same.
        if isinstance(error, OSError) and error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise


def _encode_forms(words: Sequence[str], encode: Encoder, language: str | None) -> list[list[int]]:
    """The six forms of each word, word by word."""
    columns = []
    for case in CASES:
        texts = [case(word, language) for word in words]
        # Many words have no other case.
        distinct = list(dict.fromkeys(texts))
        for spaced in (False, True):
            found = dict(zip(distinct, encode(distinct, spaced), strict=True))
            columns.append([found[text] for text in texts])
    return [form for forms in zip(*columns, strict=True) for form in forms]


def _encode_small(words: Sequence[str], encode: Encoder, language: str | None) -> list[list[int]]:
    """Two forms in small letters of each word that has capitals, and four or six empty ones."""
    small = {word: other for word in words if (other := lower(word, language)) != word}
    distinct = list(dict.fromkeys(small.values()))
    bare, spaced = (dict(zip(distinct, encode(distinct, after), strict=True)) for after in (False, True))
    none: list[list[int]] = [[]] * 6
    return [
        form
        for word in words
        for form in ((bare[small[word]], spaced[small[word]], *none[2:]) if word in small else none)
    ]


def _flatten(lists: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    starts = np.zeros(len(lists) + 1, np.int32)
    np.cumsum([len(item) for item in lists], out=starts[1:])
    return starts, np.fromiter(itertools.chain.from_iterable(lists), np.int32, int(starts[-1]))
