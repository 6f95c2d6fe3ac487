"""What the page shows of the lexicons: size, coverage, entries from common to rare, sentences switched with them."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

from csr.data.subwords import load
from csr.files import read_object, read_parallel
from csr.induction import quality
from csr.lexicon import Lexicon, read_lexicon
from csr.lexicon_record import sidecar
from csr.settings import build
from csr.switching.candidates import Source
from csr.switching.lines import switch_line
from csr.switching.settings import Noise
from csr.switching.streams import Stream
from csr.text.words import words

_PAIRS = 50_000  # training pairs that coverage is counted on
_ENTRIES = 10
_CANDIDATES = 5  # shown of an entry
_SENTENCES = 24


def describe(run: Path, src: str, tgt: str, config: dict[str, Any]) -> dict[str, Any] | None:
    """Describe the lexicon from ``src`` to ``tgt`` of a run; None if there is none.

    Coverage, co-occurrence precision and what is drawn are those of ``csr.induction.quality``, over the first training
    pairs.
    """
    path, text = run / "lexicon" / f"{src}-{tgt}.tsv", run / "data" / "text"
    if not path.exists():
        return None
    lexicon = read_lexicon(path)
    noise, source = _noise(config, src), Source(path, (src, tgt))
    candidates = source.read(noise)
    record = read_object(sidecar(path)) if sidecar(path).exists() else {}
    corpus, drawn, examples = {}, {}, []
    if all((text / f"train.{language}").exists() for language in (src, tgt)):
        bitext = quality.read_bitext(text / f"train.{src}", text / f"train.{tgt}", src, tgt)
        pairs = itertools.islice(bitext, _PAIRS)
        counts, hits = quality.cooccurrences(lexicon, pairs, (1,))
        corpus = quality.coverage(lexicon, counts, hits)
        bitext = quality.read_bitext(text / f"train.{src}", text / f"train.{tgt}", src, tgt)
        drawn = quality.drawn(candidates, itertools.islice(bitext, _PAIRS), source.stop_words())
        switched = _switched(candidates.cased((src, tgt)), text, src, tgt, noise, config)
        model = load(run / "data/spm.model") if (run / "data/spm.model").exists() else None
        examples = [{"words": found, "pieces": _pieces(model, found) if model else []} for found in switched]
    words = list(lexicon.entries)
    sampled = dict.fromkeys(words[i * len(words) // _ENTRIES] for i in range(_ENTRIES))
    return {
        "source": record.get("source"),
        "words": len(words),
        "entries": sum(map(len, lexicon.entries.values())),
        "corpus": corpus,
        "drawn": drawn,
        "doubts": quality.doubts(drawn) if drawn else [],
        "quality": record.get("quality", {}),
        "sample": {word: dict(list(lexicon.entries[word].items())[:_CANDIDATES]) for word in sampled},
        "examples": examples,
    }


def _noise(config: dict[str, Any], src: str) -> Noise:
    """The settings of stage one for the words of a language."""
    names = {item.name for item in dataclasses.fields(Noise)}
    noise = build({name: value for name, value in config["noise"].items() if name in names}, Noise)
    return noise if src == config["data"]["source_lang"] else noise.reversed


def _switched(
    lexicon: Lexicon, text: Path, src: str, tgt: str, noise: Noise, config: dict[str, Any]
) -> list[list[tuple[str, str | None]]]:
    """Switch the first training sentences as stage one does; each is a list of (text, its replacement or None)."""
    side = int(src != config["data"]["source_lang"])
    pairs = itertools.islice(read_parallel(text / f"train.{src}", text / f"train.{tgt}"), _SENTENCES)
    results = [
        switch_line(
            line,
            lexicon,
            noise.make_policy(),
            Stream(config["seeds"][0], 1, 2 * i + side),
            mask_share=noise.mask_probability,
            aligned=words(other, tgt) if noise.prefer_aligned else (),
            language=src,
            target_language=tgt,
        )
        for i, (line, other) in enumerate(pairs)
    ]
    return [[(piece, line.switched.get(i)) for i, piece in enumerate(line.segments)] for line in results]


def _pieces(model: Any, line: list[tuple[str, str | None]]) -> list[tuple[str, bool]]:
    """The pieces that a switched sentence is cut into, and of each whether it is of a replacement."""
    text, spans = b"", []  # SentencePiece counts bytes
    for piece, new in line:
        start = len(text)
        text += (piece if new is None else new).encode()
        if new is not None:
            spans.append((start, len(text)))
    found = model.encode(text.decode(), return_type="proto").pieces
    return [(one.piece, any(start < one.end and one.begin < end for start, end in spans)) for one in found]
