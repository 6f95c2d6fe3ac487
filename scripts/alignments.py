"""Word alignments of the benchmarks: read, and judged by their error rate."""

from __future__ import annotations

from collections.abc import Iterable

from csr.files import PathLike, read_lines

Links = list[set[tuple[int, int]]]


def links_of(lines: Iterable[str]) -> Links:
    """The links of each line, ``i-j`` in the Pharaoh format."""
    return [{(int(i), int(j)) for i, j in (link.split("-") for link in line.split())} for line in lines]


def gold_links(path: PathLike) -> tuple[Links, Links]:
    """Sure links, and possible links, which include the sure ones."""
    lines = list(read_lines(path))
    sure = links_of(" ".join(link for link in line.split() if "-" in link) for line in lines)
    return sure, links_of(line.replace("p", "-") for line in lines)


def error_rate(found: Links, sure: Links, possible: Links) -> float:
    """1 - (|A and S| + |A and P|) / (|A| + |S|), over the sentences that have gold links (Och and Ney 2003)."""
    hits = total = 0
    for a, s, p in zip(found, sure, possible, strict=False):
        hits += len(a & s) + len(a & p)
        total += len(a) + len(s)
    return 1 - hits / total
