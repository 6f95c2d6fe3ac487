"""Subwords: one SentencePiece model for both languages, its fairseq dictionary, and where words are in it."""

from __future__ import annotations

import io
import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from csr.data.composition import named, rules
from csr.errors import ConfigError, DataError
from csr.files import PathLike, read_lines, write_text, write_whole
from csr.switching.symbols import MARK, Mark
from csr.text.forms import normalized
from csr.text.segmenters import needs_segmenter
from csr.text.words import segments

if TYPE_CHECKING:
    from sentencepiece import SentencePieceProcessor

    from csr.data.wordpiece import WordPiece

# Lines of each side that a model is trained on, evenly spaced over longer text.
MAX_LINES = 1_000_000
# Sentences above which a model is trained on words and their counts: the same likelihood of held-out text, and a time
# that grows with the number of different words.
_MANY = 50_000
# The model in a folder of csr mixture, of either kind.
UNIGRAM, WORDPIECE = "spm.model", "tokenizer.json"
# What SentencePiece and fairseq name alike and fairseq's dictionary puts first on its own.
CONTROL = ("<unk>", "<s>", "</s>")
_SPECIAL = {*CONTROL, "<pad>", "<mask>"}
EOS = CONTROL[2]
_CACHE = 500_000  # words whose marks are remembered
_AROUND = '.,;:!?()"'
_UNKNOWN_SIGN = "▅"
_PARTS = re.compile(r".{1,1000}(?=\s|$)|.{1000}", re.DOTALL)


def train(sides: Sequence[Sequence[str]], pieces: int, path: PathLike) -> None:
    """Train a model on the same number of lines of each side, and write it: ``train_on``."""
    n_lines = min(MAX_LINES, *map(len, sides))
    train_on([side[i * len(side) // n_lines] for side in sides for i in range(n_lines)], pieces, path)


def train_on(text: Sequence[str], pieces: int, path: PathLike) -> None:
    """Train a unigram model on lines of text, and write it.

    It depends on the text and the number of pieces alone; small text gives fewer than asked for. What it decodes is the
    text that it was given, composed.

    Characters are covered to the last one unless they are too many for the vocabulary (Chinese), and then as far as
    mBART's are (99.95 %). With 2,560 pieces and more, 256 of them are bytes, so that nothing is ever unknown.

    Args:
        pieces: size of the vocabulary, the three control symbols included.

    Raises:
        ConfigError: there are more characters than pieces.
    """
    sentences = [part for line in text for part in line.split("\t")]
    characters = set().union(*sentences)
    options: dict[str, Any] = {"model_type": "unigram", "byte_fallback": pieces >= 2560}
    if len(sentences) > _MANY:
        sentences = _counted(sentences)
        options["input_format"] = "tsv"
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".tsv") as file:
        file.write(rules())
        file.flush()
        options["normalization_rule_tsv"] = file.name
        model = train_model(sentences, len(characters), pieces, **options)
    with write_whole(path) as part:
        part.write_bytes(named(model))


def _counted(sentences: Iterable[str]) -> list[str]:
    """The words of sentences, as spaces part them, each with a tab and its count, as SentencePiece reads them."""
    counts: Counter[str] = Counter()
    for sentence in sentences:
        counts.update(sentence.replace(_UNKNOWN_SIGN, " ").split(" "))
    del counts[""]
    return [f"{part}\t{n}" for word, n in counts.items() for part in _PARTS.findall(word)]


def train_model(text: Iterable[str], n_characters: int, pieces: int, **options: Any) -> bytes:
    """A SentencePiece model; see ``train_on``, and SentencePiece for its options.

    Raises:
        ConfigError: there are more characters than pieces.
    """
    import sentencepiece

    model = io.BytesIO()
    # SentencePiece leaves out, without a word, lines of more than 4,192 bytes and those with its own sign for what is
    # unknown. Its pieces do not cross spaces, so that lines may be cut there.
    parts = (part for line in text for part in _PARTS.findall(line.replace(_UNKNOWN_SIGN, " ")))
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=parts,
            model_writer=model,
            vocab_size=pieces,
            hard_vocab_limit=False,
            character_coverage=1.0 if n_characters <= pieces // 4 else 0.9995,
            minloglevel=2,
            **options,
        )
    except RuntimeError as error:
        raise ConfigError(f"pieces: {pieces} are too few for {n_characters} different characters ({error})") from None
    return model.getvalue()


def is_wordpiece(model: PathLike) -> bool:
    """Tell whether the file of a model is a WordPiece vocabulary's, by its name."""
    return Path(model).suffix == ".json"


def model_file(folder: PathLike) -> Path:
    """The model in a folder that ``csr mixture`` or ``csr import-hf`` made."""
    files = [Path(folder, name) for name in (WORDPIECE, "sentence.bpe.model")]
    return next((path for path in files if path.is_file()), Path(folder, UNIGRAM))


def load(path: PathLike) -> Any:
    """Load a SentencePiece model, or the ``tokenizer.json`` of a WordPiece vocabulary.

    Raises:
        DataError: the file is missing or neither.
    """
    import sentencepiece

    if is_wordpiece(path):
        from csr.data import wordpiece

        return wordpiece.read(path)
    if not Path(path).is_file():
        raise DataError(f"{path}: no such file")
    try:
        model = sentencepiece.SentencePieceProcessor()
        model.LoadFromSerializedProto(Path(path).read_bytes() or b"-")  # by name it takes UTF-8 alone
        model.id_to_piece(list(range(len(model))))  # in a damaged file they may be no text
        return model
    except (RuntimeError, OSError, UnicodeDecodeError):
        raise DataError(f"{path}: expected a SentencePiece model, found something else or a part of one") from None


def write_vocabulary(model: SentencePieceProcessor, path: PathLike) -> None:
    """Write ``piece<TAB>log probability`` lines in the model's order, as SentencePiece's own trainer does."""
    with write_text(path) as stream:
        stream.writelines(f"{model.id_to_piece(i)}\t{model.get_score(i):g}\n" for i in range(len(model)))


def model_pieces(model: SentencePieceProcessor | WordPiece) -> list[str]:
    """The pieces of a model in its order, without special symbols."""
    return [piece for piece in map(model.id_to_piece, range(len(model))) if piece not in _SPECIAL]


def write_dictionary(pieces: Iterable[str], counts: Mapping[str, int], path: PathLike) -> None:
    """Write fairseq's ``piece count`` lines.

    fairseq puts <s>, <pad>, </s>, <unk> first, as mBART's dictionary has it: line i (from 0) has the id i + 4.
    """
    with write_text(path) as stream:
        stream.writelines(f"{piece} {counts.get(piece, 0)}\n" for piece in pieces)


def read_dictionary(path: PathLike) -> list[str]:
    """Read the pieces of a fairseq dictionary.

    Raises:
        DataError: a line is not ``piece count``, a piece comes twice or there is none.
    """
    pieces: dict[str, None] = {}
    for number, line in enumerate(read_lines(path, marks=True), 1):
        piece, _, count = line.removesuffix(" #fairseq:overwrite").rpartition(" ")
        if not piece or not count.isdecimal():
            raise DataError(f"{path}:{number}: expected a piece and its count, found {line[:80]!r}")
        if piece in pieces and not line.endswith(" #fairseq:overwrite"):
            raise DataError(f"{path}:{number}: expected each piece once, found {piece!r} again")
        pieces[piece] = None
    if not pieces:
        raise DataError(f"{path}: expected at least one piece, found an empty file")
    return list(pieces)


def piece_marks(texts: Sequence[str], language: str | None = None) -> np.ndarray:
    """What each piece of a sentence is to its words: ``csr.switching.symbols.Mark``, uint8 [n_pieces].

    Words whose edge falls inside a piece are one word, and so are a word and the punctuation that shares a piece with
    it: what is replaced is always whole pieces, and such a word is in no lexicon.

    Args:
        texts: of each piece the text that it stands for; where several stand for one character, the first has it.
    """
    word_of: list[int] = []  # for each character the number of its word
    for number, (text, is_word) in enumerate(segments("".join(texts), language)):
        word_of += [number if is_word else -1] * len(text)
    marks = np.zeros(len(texts), np.uint8)
    position, last, bare = 0, -1, -1
    for i, text in enumerate(texts):
        touched = [word for word in word_of[position : position + len(text)] if word >= 0]
        position += len(text)
        if touched:
            go_on = touched[0] == last and bare < 0
            marks[i] = Mark.GO_ON if go_on or (bare >= 0 and last < 0) else Mark.BEGIN
            if bare >= 0 and last < 0:
                marks[bare] = Mark.BEGIN  # the space sign alone belongs to the word that follows
            last, bare = touched[-1], -1
        elif not text and last >= 0:
            marks[i] = Mark.GO_ON  # a further part of a character
        else:
            last, bare = -1, i if text == " " else -1
    return marks


def texts_of(model: Any, line: str) -> list[str]:
    """The text that each piece of a line stands for, as the line has it.

    A model that rewrites its text (NFKC, lower case) may give several pieces for one character: the first has it, the
    others nothing. A control symbol is a line end, which belongs to no word.
    """
    texts: list[str] = []
    for number, sentence in enumerate(map(normalized, line.split("\t"))):
        texts += ["\n"] * (number > 0)
        texts += model.texts(sentence) if hasattr(model, "texts") else _sentencepiece_texts(model, sentence)
    return texts


def _sentencepiece_texts(model: SentencePieceProcessor, sentence: str) -> list[str]:
    texts = []
    waiting = 0  # pieces of a character of which SentencePiece gives the last one the text
    for start, end in model.encode(sentence, return_type="offset_mapping")["offsets"]:
        if start < end:
            texts += [sentence[start:end], *[""] * waiting]
            waiting = 0
        else:
            waiting += 1
    return [*texts, *[""] * waiting]


class Marker:
    """``piece_marks`` of many lines of a language.

    What stands between two spaces has its marks whatever is around it, unless a segmenter cuts the line into words or
    the model rewrites it; those that take a look at the text are remembered.

    Args:
        model: what cut the lines into pieces.
        names: those of its pieces, by id.
    """

    def __init__(self, model: Any, names: Sequence[str], language: str | None) -> None:
        self._model, self._names, self._language = model, names, language
        self._segmented = language is not None and needs_segmenter(language)
        self._spaced = np.array([name.startswith(MARK) for name in names], bool)
        self._lengths = np.array(list(map(len, names)), np.int64)
        self._kinds = np.full(len(names), _Kind.UNSEEN, np.uint8)
        self._in_w = np.array([name.endswith("w") for name in names], bool)
        self._known: dict[bytes, np.ndarray] = {}

    def __call__(self, lines: Sequence[str], pieces: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """The marks of the pieces of normalized lines, one after the other, uint8 [n_pieces].

        Args:
            pieces: ids of all lines, int [n_pieces].
            sizes: how many of them each line has, int [n_lines].
        """
        names = [self._names[piece] for piece in pieces.tolist()]
        if not self._segmented and self._as_written(lines, names, pieces, sizes):
            return self._by_word(pieces)
        marks = np.zeros(len(pieces), np.uint8)
        plain = np.ones(len(pieces), bool)  # pieces of lines that the model did not rewrite
        end = 0
        for line, size in zip(lines, sizes.tolist(), strict=True):
            start, end = end, end + size
            as_written = "".join(names[start:end]) == MARK + line.replace(" ", MARK)
            if size and (self._segmented or not as_written):
                texts = list(map(_text, names[start:end])) if as_written else texts_of(self._model, line)
                if len(texts) != size:
                    raise ValueError(f"expected the pieces of the line, got {size} instead of {len(texts)}")
                marks[start:end] = piece_marks(texts, self._language)
                plain[start:end] = False
        marks[plain] = self._by_word(pieces[plain])
        return marks

    def _as_written(self, lines: Sequence[str], names: Sequence[str], pieces: np.ndarray, sizes: np.ndarray) -> bool:
        """Tell whether the pieces of all lines are the lines, which have some."""
        n_characters = np.concatenate([[0], np.cumsum(self._lengths[pieces])])[np.concatenate([[0], np.cumsum(sizes)])]
        return (
            np.diff(n_characters).tolist() == [len(line) + 1 for line in lines]
            and "".join(names) == MARK + MARK.join(lines).replace(" ", MARK)
        )  # fmt: skip

    def _by_word(self, pieces: np.ndarray) -> np.ndarray:
        """The marks of lines as they were written: most words are letters with punctuation around them."""
        if not len(pieces):
            return np.zeros(0, np.uint8)
        for piece in np.unique(pieces[self._kinds[pieces] == _Kind.UNSEEN]).tolist():
            self._kinds[piece] = _kind(self._names[piece])
        spaced, kinds = self._spaced[pieces], self._kinds[pieces]
        letters = kinds == _Kind.LETTERS
        begins = letters & ~_after(letters, spaced)
        after_space = begins & _after(kinds == _Kind.SPACE, spaced)
        marks = np.where(letters, np.where(begins & ~after_space, Mark.BEGIN, Mark.GO_ON), 0).astype(np.uint8)
        marks[np.flatnonzero(after_space) - 1] = Mark.BEGIN  # the space sign alone belongs to the word that follows
        # The others are looked at as text: other signs, letters in several places, www. that may begin an address.
        starts = np.flatnonzero(spaced)
        odd = (kinds == _Kind.OTHER) | ((kinds == _Kind.AROUND) & _after(self._in_w[pieces], spaced))
        others = np.flatnonzero(
            np.add.reduceat(odd, starts, dtype=np.int64) + np.add.reduceat(begins, starts, dtype=np.int64) // 2
        )
        ends = np.append(starts[1:], len(pieces))
        if len(self._known) > _CACHE:
            self._known.clear()
        for start, end in zip(starts[others].tolist(), ends[others].tolist(), strict=True):
            key = pieces[start:end].tobytes()
            known = self._known.get(key)
            if known is None:
                texts = [_text(self._names[piece]) for piece in pieces[start:end].tolist()]
                known = self._known[key] = piece_marks(texts, self._language)
            marks[start:end] = known
        return marks


class _Kind(IntEnum):
    """What the text of a piece is, without the space before it."""

    OTHER = 0
    LETTERS = 1  # and digits: all of it is one word
    AROUND = 2  # punctuation that belongs to no word at its ends
    SPACE = 3  # nothing
    UNSEEN = 4


def _kind(piece: str) -> _Kind:
    text = piece.removeprefix(MARK)
    if not text:
        return _Kind.SPACE
    if text.isalnum():
        return _Kind.LETTERS
    return _Kind.OTHER if text.strip(_AROUND) else _Kind.AROUND


def _after(found: np.ndarray, spaced: np.ndarray) -> np.ndarray:
    """Where the piece before, of the same word, is one of those found."""
    return np.concatenate([[False], found[:-1]]) & ~spaced


def _text(piece: str) -> str:
    """The text that a piece stands for in a line that the model did not rewrite."""
    return "\n" if piece in CONTROL else piece.replace(MARK, " ")
