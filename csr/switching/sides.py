"""The noise of one side of a text: settings, lexicons and vocabulary put together."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from csr.files import sha256
from csr.lexicon import Lexicon
from csr.switching.candidates import Source
from csr.switching.compiled import Masker, Switcher
from csr.switching.encoded import EncodedLexicon, Encoder, encode_lexicon, encoded_lexicon
from csr.switching.settings import Noise
from csr.switching.symbols import Unit

logger = logging.getLogger(__name__)


def encoded_side(
    sources: Sequence[Source],
    noise: Noise,
    pieces: Sequence[str],
    make_encoder: Callable[[], Encoder],
    settings: Mapping[str, object],
) -> list[EncodedLexicon]:
    """The lexicons of a side, each encoded; one of all of them where each word draws its own (``lexicon_draw``).

    Args:
        pieces: the vocabulary, by id.
        make_encoder: called if a lexicon has to be encoded and is not kept on disk.
        settings: what the encoder depends on beside the pieces.
    """

    def make(group: Sequence[Source]) -> EncodedLexicon:
        lexicons = [source.read(noise) for source in group]
        lexicon = lexicons[0] if len(lexicons) == 1 else Lexicon.equally(lexicons)
        return encode_lexicon(lexicon, make_encoder(), group[0].record().languages)

    out = []
    for group in [sources] if noise.lexicon_draw == "word" else [[source] for source in sources]:
        key: dict[str, object] = {
            "sources": [source.settings(noise) for source in group],
            "with": [sha256(source.path) for source in group[1:]],
            "unit": noise.unit,
            **settings,
        }
        encoded = encoded_lexicon(group[0].path, key, pieces, functools.partial(make, group))
        logger.info(
            f"lexicon {':'.join(str(source.path) for source in group)}: {encoded.n_entries:,} words can be "
            f"switched, {encoded.n_unencodable:,} candidates have characters the vocabulary lacks, "
            f"{encoded.nbytes / 2**20:.0f} MiB"
        )
        out.append(encoded)
    return out


def make_switcher(
    noise: Noise, lexicons: Sequence[EncodedLexicon], roles: np.ndarray, seed: int, max_length: int, mask: int = -1
) -> Switcher:
    """What the settings do to the encoded sentences of a side.

    Args:
        lexicons: none where runs of words become masks.
        roles: of each piece of the vocabulary, ``csr.switching.symbols.piece_roles``.
        max_length: pieces a sentence may have.
        mask: id of the mask, -1 where the vocabulary has none.
    """
    policy, unit = noise.make_policy(), Unit[noise.unit.upper()]
    if noise.replace == "mask":
        return Masker(mask, roles, policy, seed, max_length, unit=unit, permute=noise.permute_sentences)
    return Switcher(
        lexicons,
        roles,
        policy,
        seed,
        max_length,
        noise.max_growth,
        unit=unit,
        mask=mask,
        mask_share=noise.mask_probability,
        permute=noise.permute_sentences,
    )
