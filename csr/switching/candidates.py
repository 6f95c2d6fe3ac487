"""The candidates that take part in switching: a lexicon as it lies on disk, cut to what may be drawn and how."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from csr.errors import ConfigError, DataError
from csr.files import PathLike
from csr.lexicon import Lexicon, deduced_kind, read_lexicon
from csr.lexicon_record import Kind, Languages, Record, read_record
from csr.switching.settings import CANDIDATES, Noise
from csr.text.languages import base
from csr.text.stopwords import has_list, listed_or_none, stop_words

logger = logging.getLogger(__name__)

MANY = 0.1  # of a lexicon's words that stand for themselves are worth a warning


def drawable(
    lexicon: Lexicon,
    noise: Noise,
    kind: Kind,
    stops: tuple[Collection[str], Collection[str]] = ((), ()),
    languages: Languages = (None, None),
) -> Lexicon:
    """The words that may be switched, with the candidates that may be drawn; draw these by weight.

    Candidates equal to their word are left out, then those below ``min_weight``, stop words on either side and short
    words, then all but the ``top_k`` best; what is left is tempered.

    >>> drawable(Lexicon({"hund": {"dog": 0.6, "a": 0.3, "hund": 0.1}}), Noise(top_k=1), "similarities").entries
    {'hund': {'dog': 1.0}}
    """
    noise = noise.resolved(kind)
    if not noise.keep_identical:
        lexicon = lexicon.without_identical()
    lexicon = lexicon.filtered(noise.min_weight or 0.0, noise.min_length, *stops, languages)
    if noise.top_k:
        lexicon = lexicon.top(noise.top_k)
    return lexicon.tempered(noise.temperature or 1.0)


@dataclass(frozen=True)
class Source:
    """A lexicon file as a side of a text uses it: in its direction, or with its sides swapped.

    ``languages`` are those of the text's words and of their translations, where they are known; else the file's
    record may know them.
    """

    path: PathLike
    languages: Languages = (None, None)
    swapped: bool = False

    def record(self) -> Record:
        """The kind and the languages of the lexicon, in the direction that it is used in, so far as they are known."""
        record = read_record(self.path)
        record = record.reversed if self.swapped else record
        source, target = (own or known for own, known in zip(self.languages, record.languages, strict=True))
        return Record(record.kind, (source, target))

    def read(self, noise: Noise) -> Lexicon:
        """The candidates that take part: ``drawable``.

        Raises:
            ConfigError: the sides of probabilities would be swapped.
            DataError: nothing is left.
        """
        lexicon, record = read_lexicon(self.path), self.record()
        kind = record.kind or deduced_kind(lexicon)
        if self.swapped:
            if kind == "probabilities":
                raise ConfigError(
                    f"{self.path}: holds probabilities, which go one way: expected a second lexicon for the other "
                    "direction, from csr lexicon ibm1 --reverse-out, or from csr lexicon transform --invert "
                    "--frequencies with the text"
                )
            lexicon = lexicon.inverted()
        if not noise.keep_identical:
            n_lost = len(lexicon) - len(lexicon.without_identical())
            if n_lost > MANY * len(lexicon):
                logger.warning(
                    f"{self.path}: {n_lost:,} of its {len(lexicon):,} words have no translation but themselves and "
                    "stay; --keep-identical draws them"
                )
        stops = _stop_words(self.path, noise.resolved(kind), record.languages)
        left = drawable(lexicon, noise, kind, stops, record.languages)
        if not len(left):
            raise DataError(
                f"{self.path}: nothing is left to draw of its {len(lexicon):,} words: candidates equal to their word, "
                f"below --min-weight, stop words and words shorter than --min-length are left out"
            )
        return left

    def stop_words(self) -> tuple[Collection[str], Collection[str]] | None:
        """The stop words of both languages; None unless both are known and have a list."""
        languages = [base(language) for language in self.record().languages if language is not None]
        if len(languages) < 2 or not all(map(has_list, languages)):
            return None
        return stop_words(languages[0]), stop_words(languages[1])

    def settings(self, noise: Noise) -> dict[str, Any]:
        """All that decides what ``read`` gives, beside what the file holds, as JSON has it."""
        record = self.record()
        # Without a record the kind is seen in the file; stop words may take part in what follows from it.
        stops = _stop_words(self.path, noise.resolved(record.kind or "probabilities"), record.languages, quiet=True)
        chosen = {name: str(getattr(noise, name)) for name in CANDIDATES}
        return {
            **chosen,
            "swapped": self.swapped,
            "kind": record.kind,
            "languages": record.languages,
            "stops": [sorted(words) for words in stops],
        }


def _stop_words(
    path: PathLike, noise: Noise, languages: Languages, quiet: bool = False
) -> tuple[Collection[str], Collection[str]]:
    """The stop words of both sides, in the direction of ``languages``; none, with a warning, if unknown."""
    names = noise.stop_words
    if names is None:
        known = [base(language) for language in languages if language is not None]
        if len(known) < 2:
            if not quiet:
                logger.warning(
                    f"{path}: its languages are not known, so that stop words take part; name them with --stop-words "
                    "(such as de,en, or none)"
                )
            return (), ()
        names = tuple(listed_or_none(language, quiet) for language in known)
    first, second = (frozenset() if name == "none" else stop_words(name) for name in names)
    return first, second
