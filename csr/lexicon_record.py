"""The record of a lexicon, in a file beside it: how it was made, what its weights are, and its languages."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import csr
from csr.errors import DataError
from csr.files import PathLike, is_stream, read_json, sha256, write_json

Kind = Literal["similarities", "probabilities", "dictionary"]
KINDS: tuple[Kind, ...] = ("similarities", "probabilities", "dictionary")
Languages = tuple[str | None, str | None]  # of the words and of their candidates, where they are known


def sidecar(path: PathLike) -> Path:
    """The file with the record of how a lexicon was made: ``en-fr.tsv`` -> ``en-fr.tsv.json``."""
    return Path(f"{path}.json")


def write_sidecar(
    path: PathLike,
    source: str,
    inputs: Iterable[PathLike],
    options: Mapping[str, Any],
    quality: Mapping[str, Any] | None = None,
    *,
    kind: Kind,
    languages: Languages = (None, None),
) -> None:
    """Record how the lexicon at ``path`` was made: method, input hashes, options, versions, quality figures.

    And what its weights are (``kind``) and its languages, from and to, by which switching chooses its defaults.
    What is written through, such as standard output, gets no sidecar, and standard input no hash.
    """
    if is_stream(path):
        return
    import numpy as np  # here: a lexicon is read without it, in half the time

    write_json(
        sidecar(path),
        {
            "source": source,
            "kind": kind,
            "languages": list(languages),
            "inputs": {str(name): None if str(name) == "-" else sha256(name) for name in inputs},
            "options": dict(options),
            "versions": {"csr": csr.__version__, "python": platform.python_version(), "numpy": np.__version__},
            "quality": dict(quality or {}),
        },
    )


@dataclass(frozen=True)
class Record:
    """What the sidecar of a lexicon says of it: the kind of its weights and its languages, None where it does not."""

    kind: Kind | None = None
    languages: Languages = (None, None)

    @property
    def reversed(self) -> Record:
        """The record of the lexicon with its sides swapped."""
        return Record(self.kind, (self.languages[1], self.languages[0]))


def read_record(path: PathLike) -> Record:
    """The record of the lexicon at ``path``; an empty one where no sidecar lies beside it.

    Raises:
        DataError: the sidecar is not what ``write_sidecar`` writes.
    """
    file = sidecar(path)
    if not file.is_file():
        return Record()
    found = read_json(file)
    if not isinstance(found, dict):
        raise DataError(f"{file}: expected the record of a lexicon, found {type(found).__name__}")
    kind, languages = found.get("kind"), found.get("languages") or [None, None]
    if kind is not None and kind not in KINDS:
        raise DataError(f"{file}: kind: expected {', '.join(KINDS[:-1])} or {KINDS[-1]}, found {kind!r}")
    if not (isinstance(languages, list) and len(languages) == 2 and all(isinstance(x, str | None) for x in languages)):
        raise DataError(f"{file}: languages: expected two, found {languages!r}")
    return Record(kind, (languages[0], languages[1]))
