"""A fast tokenizer as the switching core sees one: pieces by id, their roles, and where the words of a text are."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from csr.data.subwords import Marker
from csr.data.vocabulary import cutting_encoder, piece_encoder
from csr.data.wordpiece import CONTINUES
from csr.errors import ConfigError
from csr.switching.encoded import Encoder
from csr.switching.settings import Noise
from csr.switching.symbols import MARK, piece_roles
from csr.text.forms import normalized

if TYPE_CHECKING:
    from tokenizers import Encoding
    from transformers import PreTrainedTokenizerBase

_OUTSIDE = "<special>"  # any name of a symbol that is no text: csr.switching.symbols.piece_roles


class Vocabulary:
    """The pieces of a tokenizer, of SentencePiece (``▁``) or WordPiece (``##``), and the text that it cuts into them.

    Attributes:
        pieces: by id, each as SentencePiece would write it: ``▁`` where a space stands before it.
        special: bool [n_ids], symbols that are no text.
        roles: uint8 [n_ids], ``csr.switching.symbols.piece_roles``.
        fingerprint: hash of the tokenizer.

    Raises:
        ConfigError: the tokenizer cuts text in another way.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        from tokenizers import Tokenizer, models

        name = type(tokenizer).__name__
        # A copy, as the library keeps truncation and padding of the last call in the tokenizer itself.
        self._backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        self._backend.no_truncation()
        self._backend.no_padding()
        vocabulary = self._backend.get_vocab(with_added_tokens=True)
        by_id = {i: piece for piece, i in vocabulary.items()}
        size = max(by_id) + 1
        self.special = np.array([i not in by_id for i in range(size)])
        self.special[[i for i, token in self._backend.get_added_tokens_decoder().items() if token.special]] = True
        self.special[[i for i in tokenizer.all_special_ids if i < size]] = True
        names = [by_id.get(i, "") for i in range(size)]
        model = self._backend.model
        self._spaced = any(piece.startswith(MARK) for piece in names)  # SentencePiece's
        if isinstance(model, models.WordPiece) and model.continuing_subword_prefix == CONTINUES:
            names = [piece.removeprefix(CONTINUES) if piece.startswith(CONTINUES) else MARK + piece for piece in names]
        elif not self._spaced:
            raise ConfigError(
                f"tokenizer: expected pieces of SentencePiece ({MARK}) or WordPiece ({CONTINUES}), found those of "
                f"{name} ({type(model).__name__})"
            )
        self.pieces = names
        self.roles = piece_roles([_OUTSIDE if out else p for out, p in zip(self.special, names, strict=True)], 0)
        self.fingerprint = hashlib.sha256(self._backend.to_str().encode()).hexdigest()
        self._unknown = -1 if tokenizer.unk_token_id is None else int(tokenizer.unk_token_id)
        self._markers: dict[str | None, Marker] = {}

    def encode(self, texts: Sequence[str], language: str | None) -> list[tuple[list[int], bytes]]:
        """The ids of each text, without special symbols, and the mark of each piece, a byte each.

        Args:
            language: of the texts; it says how they are cut into words.
        """
        lines = list(map(normalized, texts))
        marker = self._markers.get(language)
        if marker is None:
            marker = self._markers[language] = Marker(self, self.pieces, language)
        rows = [encoding.ids for encoding in self._cut(lines)]
        sizes = np.fromiter(map(len, rows), np.int64, len(rows))
        pieces = np.fromiter(itertools.chain.from_iterable(rows), np.int64, int(sizes.sum()))
        marks, ends = marker(lines, pieces, sizes).tobytes(), np.cumsum(sizes)
        return [(row, marks[end - len(row) : end]) for row, end in zip(rows, ends.tolist(), strict=True)]

    def texts(self, line: str) -> list[str]:
        """What each piece of a line stands for in it, with what stands before it and belongs to none.

        The tokenizer's offsets say it; of several pieces of one character, the first has it.
        """
        ends = [end for _, end in self._cut([line])[0].offsets]
        texts = [line[start:end] for start, end in itertools.pairwise([0, *ends])]
        if texts and self._spaced:
            texts[0] = f" {texts[0]}"
        return texts

    def encoder(self, unit: str = Noise().unit) -> Encoder:
        """How words of a lexicon, or pieces, are written."""
        if unit == "piece":
            return piece_encoder(self.pieces)
        return cutting_encoder(lambda texts: [row.ids for row in self._cut(texts)], self._unknown)

    def _cut(self, texts: list[str]) -> list[Encoding]:
        return self._backend.encode_batch(texts, add_special_tokens=False)
