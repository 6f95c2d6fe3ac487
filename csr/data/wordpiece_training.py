"""Training of WordPiece vocabularies, by SentencePiece's counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from csr.data import subwords
from csr.data.wordpiece import BERT, CONTINUES, UNKNOWN, tokenizer
from csr.errors import ConfigError
from csr.files import PathLike, write_whole

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# In no text: what ends a word in training, and the first of the characters that begin one.
_END, _PRIVATE = "\ue000", 0xF0000


def train(text: Sequence[str], pieces: int, path: PathLike) -> None:
    """Train a cased vocabulary on lines of text, and write it as ``tokenizer.json``.

    The commonest pair of pieces becomes one, again and again. SentencePiece counts, on text that BERT's rules have cut
    into words: the tokenizers library itself gives other pieces each time.

    Args:
        pieces: size of the vocabulary, BERT's five symbols included.

    Raises:
        ConfigError: there are more characters than pieces.
    """
    import sentencepiece

    cutter = tokenizer({UNKNOWN: 0}, lowercase=False)
    starts: dict[str, str] = {}  # a word's first character, which counts as another than the same one inside

    def marked(line: str) -> str:
        words = cutter.pre_tokenizer.pre_tokenize_str(cutter.normalizer.normalize_str(line))
        return _END.join(starts.setdefault(word[0], chr(_PRIVATE + len(starts))) + word[1:] for word, _ in words)

    options = {"normalization_rule_name": "identity", "split_by_unicode_script": False, "split_by_number": False}
    options |= {"model_type": "bpe", "add_dummy_prefix": False, "pretokenization_delimiter": _END}
    model = subwords.train_model(map(marked, text), len(set().union(*text)), pieces, **options)
    trained = subwords.model_pieces(sentencepiece.SentencePieceProcessor(model_proto=model))
    plain = {start: character for character, start in starts.items()}
    found = [plain[piece[0]] + piece[1:] if piece[0] in plain else CONTINUES + piece for piece in trained]
    # A character is there in both places, wherever it was seen, so that few words are unknown.
    alphabet = dict.fromkeys(name[-1] for name, piece in zip(found, trained, strict=True) if len(piece) == 1)
    inside = [CONTINUES + character for character in alphabet if _goes_on(cutter, character)]
    merged = [name for name, piece in zip(found, trained, strict=True) if len(piece) > 1]
    if len(smallest := [*BERT, *alphabet, *inside]) > pieces:
        raise ConfigError(f"pieces: {pieces} are too few for {len(alphabet)} different characters")
    vocabulary = {piece: i for i, piece in enumerate([*smallest, *merged][:pieces])}
    with write_whole(path) as part:
        tokenizer(vocabulary, lowercase=False).save(str(part))


def _goes_on(cutter: Tokenizer, character: str) -> bool:
    """Tell whether a character may stand inside a word: punctuation and Chinese are cut off."""
    return len(cutter.pre_tokenizer.pre_tokenize_str(cutter.normalizer.normalize_str(f"a{character}"))) == 1
