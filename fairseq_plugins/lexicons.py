"""Lexicons as tasks use them: read, cut to what may be drawn, and encoded with the vocabulary of the model."""

from __future__ import annotations

from collections.abc import Sequence

from fairseq.data import Dictionary

from csr.data.vocabulary import piece_encoder, word_encoder
from csr.files import sha256
from csr.switching.candidates import Source
from csr.switching.encoded import EncodedLexicon, Encoder
from csr.switching.settings import Noise
from csr.switching.sides import encoded_side


def encoded(
    sources: Sequence[Source], noise: Noise, dictionary: Dictionary, sentencepiece_model: str | None
) -> list[EncodedLexicon]:
    """The lexicons of a side, each encoded; one of all of them where each word draws its own (``lexicon_draw``)."""
    words = dictionary.symbols

    def make_encoder() -> Encoder:
        if noise.unit == "piece":
            return piece_encoder(words)
        return word_encoder(words, dictionary.unk(), sentencepiece_model)

    model = sha256(sentencepiece_model) if sentencepiece_model else None
    return encoded_side(sources, noise, words, make_encoder, {"sentencepiece_model": model})
