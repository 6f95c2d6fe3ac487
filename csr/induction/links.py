"""Word alignments as text: the Pharaoh format, ``i-j`` for source word i and target word j, from 0."""

from __future__ import annotations

from collections.abc import Iterable

from csr.files import PathLike, write_text

Links = list[tuple[int, int]]

# How the alignments of two directions become one, see csr.induction.symmetrization.
HEURISTICS = ("posterior", "intersection", "union", "grow-diag", "grow-diag-final-and")


def write_links(path: PathLike, links: Iterable[Links], lines: Iterable[int], n_lines: int) -> None:
    """Write the links of sentence pairs to the lines that they come from, of ``n_lines``; the others stay empty."""
    with write_text(path) as stream:
        number = 0
        for line, pair in zip(lines, links, strict=True):
            stream.write("\n" * (line - number) + " ".join(f"{i}-{j}" for i, j in pair) + "\n")
            number = line + 1
        stream.write("\n" * (n_lines - number))
