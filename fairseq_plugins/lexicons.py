"""Lexicons as tasks use them: read, cut to what may be drawn, and encoded with the vocabulary of the model."""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence

from fairseq.data import Dictionary

from csr.data.vocabulary import piece_encoder, word_encoder
from csr.files import sha256
from csr.lexicon import Lexicon
from csr.switching.candidates import Source
from csr.switching.encoded import EncodedLexicon, encode_lexicon, encoded_lexicon
from csr.switching.settings import Noise

logger = logging.getLogger(__name__)


def encoded(
    sources: Sequence[Source], noise: Noise, dictionary: Dictionary, sentencepiece_model: str | None
) -> list[EncodedLexicon]:
    """The lexicons of a side, each encoded; one of all of them where each word draws its own (``lexicon_draw``)."""
    words = dictionary.symbols

    def make(group: Sequence[Source]) -> EncodedLexicon:
        lexicons = [source.read(noise) for source in group]
        by_word = noise.unit == "word"
        encode = word_encoder(words, dictionary.unk(), sentencepiece_model) if by_word else piece_encoder(words)
        lexicon = lexicons[0] if len(lexicons) == 1 else Lexicon.equally(lexicons)
        return encode_lexicon(lexicon, encode, group[0].record().languages)

    out = []
    for group in [sources] if noise.lexicon_draw == "word" else [[source] for source in sources]:
        settings: dict[str, object] = {
            "sources": [source.settings(noise) for source in group],
            "with": [sha256(source.path) for source in group[1:]],
            "unit": noise.unit,
            "sentencepiece_model": sha256(sentencepiece_model) if sentencepiece_model else None,
        }
        found = encoded_lexicon(group[0].path, settings, words, functools.partial(make, group))
        logger.info(
            f"lexicon {':'.join(str(source.path) for source in group)}: {found.n_entries:,} words can be "
            f"switched, {found.n_unencodable:,} candidates have characters the vocabulary lacks, "
            f"{found.nbytes / 2**20:.0f} MiB"
        )
        out.append(found)
    return out
