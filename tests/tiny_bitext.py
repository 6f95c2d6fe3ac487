"""Small parallel texts, for the tests of what learns translations of words from them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numba
import pytest

from csr.induction.bitext import Bitext, read_bitext

Pairs = list[tuple[list[str], list[str]]]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Keep threads out of tiny loops, except where a test asks for them."""
    n_threads = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(n_threads)


def bitext(folder: Path, pairs: Pairs) -> Bitext:
    """Sentence pairs, by way of files."""
    for name, side in (("src", 0), ("tgt", 1)):
        (folder / name).write_text("".join(" ".join(pair[side]) + "\n" for pair in pairs))
    return read_bitext(folder / "src", folder / "tgt", tokenized=True)
