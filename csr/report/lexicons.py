"""What the page shows of the lexicons: size, coverage, entries from common to rare, sentences switched with them."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

from csr.files import read_json, read_lines
from csr.induction import quality
from csr.lexicon import Lexicon, read_lexicon, sidecar
from csr.switching.noise import PoissonSpans, switch_line
from csr.switching.streams import Stream

_PAIRS = 50_000  # training pairs that coverage is counted on
_ENTRIES = 10
_CANDIDATES = 5  # shown of an entry
_SENTENCES = 4


def describe(run: Path, src: str, tgt: str, config: dict[str, Any]) -> dict[str, Any] | None:
    """Describe the lexicon from ``src`` to ``tgt`` of a run; None if there is none.

    Coverage and co-occurrence precision are those of ``csr.induction.quality``, over the first training pairs.
    """
    path, text = run / "lexicon" / f"{src}-{tgt}.tsv", run / "data" / "text"
    if not path.exists():
        return None
    lexicon = read_lexicon(path)
    record = read_json(sidecar(path)) if sidecar(path).exists() else {}
    corpus, examples = {}, []
    if all((text / f"train.{language}").exists() for language in (src, tgt)):
        bitext = quality.read_bitext(text / f"train.{src}", text / f"train.{tgt}", src, tgt)
        pairs = itertools.islice(bitext, _PAIRS)
        counts, hits = quality.cooccurrences(lexicon, pairs, (1,))
        corpus = quality.coverage(lexicon, counts, hits)
        examples = _switched(lexicon, text / f"train.{src}", src, config)
    words = list(lexicon.entries)
    sampled = dict.fromkeys(words[i * len(words) // _ENTRIES] for i in range(_ENTRIES))
    return {
        "source": record.get("source"),
        "words": len(words),
        "entries": sum(map(len, lexicon.entries.values())),
        "corpus": corpus,
        "quality": record.get("quality", {}),
        "sample": {word: dict(list(lexicon.entries[word].items())[:_CANDIDATES]) for word in sampled},
        "examples": examples,
    }


def _switched(
    lexicon: Lexicon, text: Path, language: str, config: dict[str, Any]
) -> list[list[tuple[str, str | None]]]:
    """Switch the first training sentences as stage one does; each is a list of (text, its replacement or None)."""
    chosen = lexicon.top(config["lexicon"]["neighbors"]).tempered(math.inf).cased()
    policy = PoissonSpans(config["noise"]["rate"], config["noise"]["mean_span"])
    lines = itertools.islice(read_lines(text), _SENTENCES)
    results = [
        switch_line(line, chosen, policy, Stream(config["seeds"][0], 1, i), language=language)
        for i, line in enumerate(lines)
    ]
    return [[(piece, line.switched.get(i)) for i, piece in enumerate(line.segments)] for line in results]
