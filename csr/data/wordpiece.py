"""WordPiece vocabularies, BERT's way to cut text into pieces."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from csr.errors import DataError
from csr.files import PathLike, read_lines
from csr.switching.symbols import MARK

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# What BERT calls fairseq's first symbols, in fairseq's order, and the mask.
SYMBOLS = {"[CLS]": "<s>", "[PAD]": "<pad>", "[SEP]": "</s>", "[UNK]": "<unk>", "[MASK]": "<mask>"}
BERT = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")  # the order of its own vocabularies
UNKNOWN = "[UNK]"
CONTINUES = "##"


class WordPiece:
    """A WordPiece tokenizer with SentencePiece's names of pieces and those of its methods that encoders need.

    BERT writes ``##x`` for a piece inside a word and ``x`` for any other; here these are ``x`` and ``▁x``, so that
    whatever looks at words reads vocabularies of both kinds. BERT parts punctuation from words, and Chinese characters
    from one another, as if spaces stood between; so each is a word of its own.

    Args:
        path: the file that it was read from, for errors.

    Raises:
        DataError: the tokenizer is another one, or lacks one of BERT's symbols.
    """

    def __init__(self, tokenizer: Tokenizer, path: PathLike) -> None:
        from tokenizers import models

        # Data is encoded in forked processes; where threads were used before, the library warns in each of them.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        self.tokenizer = tokenizer
        model = tokenizer.model
        if not isinstance(model, models.WordPiece) or model.continuing_subword_prefix != CONTINUES:
            raise DataError(f"{path}: expected WordPiece with {CONTINUES}, found {type(model).__name__}")
        if model.unk_token != UNKNOWN or model.token_to_id(UNKNOWN) is None:
            raise DataError(f"{path}: expected the piece {UNKNOWN} for what is unknown, found {model.unk_token!r}")
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        pieces = [tokenizer.id_to_token(i) for i in range(tokenizer.get_vocab_size())]
        if None in pieces:
            raise DataError(f"{path}: expected ids from 0 to {len(pieces) - 1}, found no {pieces.index(None)}")
        self._names = list(map(_name, pieces))
        if missing := [symbol for symbol, name in SYMBOLS.items() if name not in self._names]:
            raise DataError(f"{path}: expected {', '.join(SYMBOLS)} among the pieces, found no {', '.join(missing)}")
        if len(set(self._names)) < len(pieces):
            raise DataError(
                f"{path}: expected pieces that differ without {CONTINUES} and {MARK}, found two that do not"
            )

    def __len__(self) -> int:
        return len(self._names)

    def id_to_piece(self, i: int) -> str:
        """The name of a piece."""
        return self._names[i]

    def encode(self, texts: Sequence[str], num_threads: int = 1) -> list[list[int]]:
        """The ids of each text, by one thread."""
        return [row.ids for row in self.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]

    def texts(self, text: str) -> list[str]:
        """What each piece of a text stands for in it, with what stands before it and belongs to none."""
        ends = [end for _, end in self.tokenizer.encode(text, add_special_tokens=False).offsets]
        return [text[start:end] for start, end in itertools.pairwise([0, *ends])]


def _name(piece: str) -> str:
    if piece.startswith(CONTINUES) and piece != CONTINUES:
        return piece.removeprefix(CONTINUES)
    return SYMBOLS.get(piece, MARK + piece)


def read(path: PathLike) -> WordPiece:
    """Read the ``tokenizer.json`` of a WordPiece vocabulary.

    Raises:
        DataError: the file is missing, or of another kind.
    """
    return WordPiece(read_tokenizer(path), path)


def read_tokenizer(path: PathLike) -> Tokenizer:
    """Read a ``tokenizer.json`` of any kind.

    Raises:
        DataError: the file is missing or damaged.
    """
    from tokenizers import Tokenizer

    if not Path(path).is_file():
        raise DataError(f"{path}: no such file")
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing more precise
        raise DataError(f"{path}: expected a tokenizer.json, found something else ({error})") from None


def tokenizer(vocabulary: Mapping[str, int], lowercase: bool) -> Tokenizer:
    """BERT's tokenizer of a vocabulary; as in BERT, lower case has no accents either."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    made = Tokenizer(models.WordPiece(dict(vocabulary), unk_token=UNKNOWN))
    made.normalizer = normalizers.BertNormalizer(lowercase=lowercase, strip_accents=lowercase)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    made.add_special_tokens([symbol for symbol in SYMBOLS if symbol in vocabulary])
    return made


def read_vocabulary(path: PathLike, lowercase: bool) -> WordPiece:
    """Read a ``vocab.txt``: a piece a line, in the order of their ids.

    Raises:
        DataError: the file is missing, a piece comes twice, or one of BERT's symbols is not there.
    """
    vocabulary: dict[str, int] = {}
    for number, piece in enumerate(read_lines(path, marks=True), 1):
        if piece in vocabulary:
            raise DataError(f"{path}:{number}: expected each piece once, found {piece!r} again")
        vocabulary[piece] = len(vocabulary)
    return WordPiece(tokenizer(vocabulary, lowercase), path)
