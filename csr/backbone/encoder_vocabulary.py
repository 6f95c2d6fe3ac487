"""The tokenizer of a published encoder, as csr reads text: a SentencePiece model or a WordPiece ``tokenizer.json``.

Text becomes ids by ``tokenizer.json`` or, where there is none, ``sentencepiece.bpe.model`` or ``vocab.txt``, and by the
settings of ``tokenizer_config.json``, as ``AutoTokenizer`` takes them. What csr cannot follow is refused by name.
"""

from __future__ import annotations

import base64
import json
import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from csr.backbone.families import MASK, SPECIAL
from csr.backbone.presets import SENTENCEPIECE
from csr.backbone.tokenizer import MODEL_FILE, aligned_pieces
from csr.data import subwords, wordpiece
from csr.data.protobuf import field, number
from csr.data.wordpiece import SYMBOLS, WordPiece
from csr.errors import DataError
from csr.files import read_object
from csr.switching.symbols import MARK

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_VOCAB, _SETTINGS = "vocab.txt", "tokenizer_config.json"
_BERT = ("BertTokenizer", "DistilBertTokenizer")
_XLM_ROBERTA = "XLMRobertaTokenizer"
# Kinds of pieces in SentencePiece's protocol buffer.
_NORMAL, _UNKNOWN, _CONTROL, _BYTE = 1, 2, 3, 6


@dataclass(frozen=True)
class Vocabulary:
    """What a tokenizer becomes.

    Attributes:
        file: name of the file with ``content`` in a backbone's folder.
        pieces: in the order of ``dict.txt``.
        ids: the published model's id of each symbol of ours: special symbols, pieces, ``<mask>``.
        lost: what is left out, as one says it.
    """

    file: str
    content: bytes
    pieces: list[str]
    ids: list[int]
    lost: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Added:
    """A token that was added to a vocabulary after its training."""

    id: int
    content: str
    special: bool


def read_vocabulary(folder: Path, config: Mapping[str, Any]) -> Vocabulary:
    """The tokenizer of a Hugging Face folder.

    Args:
        config: content of its ``config.json``.

    Raises:
        DataError: a file is missing or damaged, or says what csr cannot follow.
    """
    said = _settings(folder)
    usual = _XLM_ROBERTA if config.get("model_type") == "xlm-roberta" else _BERT[0]
    kind = str(said.get("tokenizer_class") or config.get("tokenizer_class") or usual).removesuffix("Fast")
    fast = folder / subwords.WORDPIECE
    if fast.is_file():
        tokenizer = wordpiece.read_tokenizer(fast)
        described = json.loads(tokenizer.to_str())
        name = described["model"]["type"]
        if name == "Unigram":
            return _unigram(folder, described)
        if name != "WordPiece":
            raise DataError(f"{fast}: expected a model of Unigram or WordPiece, found {name}")
        return _wordpiece(WordPiece(tokenizer, fast), said if kind in _BERT else None)
    if (folder / MODEL_FILE).is_file():
        if said.get("sp_model_kwargs"):
            raise DataError(f"{folder / _SETTINGS}: expected no sp_model_kwargs, found {said['sp_model_kwargs']}")
        return _sentencepiece(folder / MODEL_FILE, _added(folder, said))
    if (folder / _VOCAB).is_file():
        if kind not in _BERT:
            raise DataError(f"{folder / _SETTINGS}: expected tokenizer_class {' or '.join(_BERT)}, found {kind}")
        if not said.get("do_basic_tokenize", True):
            raise DataError(f"{folder / _SETTINGS}: expected do_basic_tokenize to be true, found false")
        made = wordpiece.read_vocabulary(folder / _VOCAB, lowercase=True)
        return _wordpiece(_extended(made.tokenizer, _added(folder, said), folder / _VOCAB), said)
    found = "merges.txt, byte-level BPE" if (folder / "merges.txt").is_file() else "none of them"
    raise DataError(f"{folder}: expected {fast.name}, {MODEL_FILE} or {_VOCAB}, found {found}")


def _settings(folder: Path) -> dict[str, Any]:
    """The content of ``tokenizer_config.json``, if there is one."""
    said = read_object(folder / _SETTINGS) if (folder / _SETTINGS).is_file() else {}
    if said.get("auto_map"):
        raise DataError(f"{folder / _SETTINGS}: expected a tokenizer of the library's own, found auto_map, other code")
    path = folder / "sentence_bert_config.json"
    if path.is_file() and read_object(path).get("do_lower_case"):
        raise DataError(f"{path}: expected do_lower_case to be false, found true: text in lower case before it is cut")
    return said


def _added(folder: Path, said: Mapping[str, Any]) -> list[_Added]:
    """The tokens that were added to a vocabulary, where no ``tokenizer.json`` has them, by id."""
    found = {}
    path = folder / "added_tokens.json"
    try:
        special = [
            token["content"] if isinstance(token, dict) else token
            for token in said.get("additional_special_tokens") or ()
        ]
        for content, id_ in (read_object(path) if path.is_file() else {}).items():
            found[int(id_)] = _Added(int(id_), content, content in special)
        for id_, token in (said.get("added_tokens_decoder") or {}).items():
            found[int(id_)] = _Added(int(id_), str(token["content"]), bool(token.get("special")))
    except (AttributeError, KeyError, TypeError, ValueError):
        raise DataError(
            f"{folder}: expected added tokens and their ids in {path.name} or {_SETTINGS}, found something else"
        ) from None
    return [found[id_] for id_ in sorted(found)]


def _wordpiece(made: WordPiece, said: Mapping[str, Any] | None) -> Vocabulary:
    """A WordPiece vocabulary; the settings of ``BertTokenizerFast``, if it is its tokenizer, go over the file's."""
    from tokenizers import normalizers

    normalizer = made.tokenizer.normalizer
    if said is not None and isinstance(normalizer, normalizers.BertNormalizer):
        normalizer.lowercase = said.get("do_lower_case", True)
        normalizer.strip_accents = said.get("strip_accents")
        normalizer.handle_chinese_chars = said.get("tokenize_chinese_chars", True)
        made.tokenizer.normalizer = normalizer
    pieces = subwords.model_pieces(made)
    return Vocabulary(subwords.WORDPIECE, made.tokenizer.to_str(pretty=True).encode(), pieces, ids_of(made, pieces))


def ids_of(made: WordPiece, pieces: Iterable[str]) -> list[int]:
    """The id in a WordPiece vocabulary of each symbol of ours."""
    ids = {made.id_to_piece(i): i for i in range(len(made))}
    return [ids[symbol] for symbol in (*SPECIAL, *pieces, MASK)]


def _extended(tokenizer: Tokenizer, added: Iterable[_Added], path: Path) -> WordPiece:
    """A WordPiece tokenizer with the tokens that were added to its vocabulary."""
    for token in added:
        if token.id >= (size := tokenizer.get_vocab_size()):
            (tokenizer.add_special_tokens if token.special else tokenizer.add_tokens)([token.content])
            if token.id != size:
                raise DataError(f"{path}: expected {token.content!r}, which was added, to have the id {size}")
    return WordPiece(tokenizer, path)


def _sentencepiece(path: Path, added: Sequence[_Added]) -> Vocabulary:
    """XLM-R's vocabulary: the id of a piece is SentencePiece's plus one, ``<mask>`` comes after the pieces."""
    pieces, model = aligned_pieces(path), subwords.load(path)
    mask = next((token.id for token in added if token.content == MASK), len(model) + 1)
    ids = [*range(len(SPECIAL)), *(model.piece_to_id(piece) + 1 for piece in pieces), mask]
    extra = [token for token in added if token.id > mask]
    return _with_words(Vocabulary(SENTENCEPIECE, path.read_bytes(), pieces, ids), extra)


def _unigram(folder: Path, described: Mapping[str, Any]) -> Vocabulary:
    """A ``tokenizer.json`` of Unigram; if the SentencePiece model beside it has these pieces, it is taken as it is."""
    path = folder / subwords.WORDPIECE
    table = _checked(described, path)
    model = described["model"]
    known = {piece: i for i, (piece, _) in enumerate(model["vocab"])}
    added = [_Added(token["id"], token["content"], token["special"]) for token in described["added_tokens"]]
    known |= {token.content: token.id for token in added}
    if len(known) < max(known.values()) + 1:
        raise DataError(
            f"{path}: expected each piece once, found {len(known):,} pieces for ids to {max(known.values())}"
        )
    roles = []
    for theirs, ours in SYMBOLS.items():
        if ours not in known and theirs not in known:
            raise DataError(f"{path}: expected {ours} or {theirs} among the pieces, found neither")
        roles.append(known.get(ours, known.get(theirs, 0)))
    symbols = dict(zip(SYMBOLS.values(), roles, strict=True))
    out = {*roles, *(token.id for token in added if token.special)}
    kept = [i for i in range(len(model["vocab"])) if i not in out]
    pieces = [model["vocab"][i][0] for i in kept]
    content = b""
    if (folder / MODEL_FILE).is_file() and subwords.model_pieces(subwords.load(folder / MODEL_FILE)) == pieces:
        content = (folder / MODEL_FILE).read_bytes()
    else:
        content = _model([model["vocab"][i] for i in kept], table, model.get("byte_fallback", False))
    ids = [*(symbols[symbol] for symbol in SPECIAL), *kept, symbols[MASK]]
    extra = [token for token in added if token.id >= len(model["vocab"]) and token.id not in roles]
    return _with_words(Vocabulary(SENTENCEPIECE, content, pieces, ids), extra)


def _checked(described: Mapping[str, Any], path: Path) -> bytes:
    """The table by which a tokenizer rewrites characters, if it does no more than SentencePiece does.

    Raises:
        DataError: it has a step that SentencePiece has not.
    """
    table = b""
    for step in _steps(described["normalizer"], "normalizers"):
        kind = step["type"]
        spaces = kind == "Replace" and step["pattern"] in ({"Regex": " {2,}"}, {"String": " "})
        if kind == "Precompiled":
            table = base64.b64decode(step["precompiled_charsmap"])
        elif kind not in ("Strip", "NFC") and not spaces:  # NFC: as csr export-hf writes it
            raise DataError(f"{path}: expected the normalizers of SentencePiece, found {kind}")
    for step in _steps(described["pre_tokenizer"], "pretokenizers"):
        plain = step["type"] == "Metaspace" and step["prepend_scheme"] != "never" and step["replacement"] == MARK
        if not plain and step["type"] != "WhitespaceSplit":
            raise DataError(f"{path}: expected the pre_tokenizers of SentencePiece, found {step['type']}")
    return table


def _steps(step: Mapping[str, Any] | None, several: str) -> list[Mapping[str, Any]]:
    if step is None:
        return []
    return list(step[several]) if step["type"] == "Sequence" else [step]


def _model(pieces: Sequence[tuple[str, float]], table: bytes, falls_back: bool) -> bytes:
    """A SentencePiece model file of unigram pieces and their scores (sentencepiece_model.proto)."""
    kinds = (_UNKNOWN, _CONTROL, _CONTROL)
    parts = [_piece(symbol, 0.0, kind) for symbol, kind in zip(subwords.CONTROL, kinds, strict=True)]
    for text, score in pieces:
        is_byte = falls_back and re.fullmatch("<0x[0-9A-F]{2}>", text)
        parts.append(_piece(text, score, _BYTE if is_byte else _NORMAL))
    trainer = number(3, 1) + number(4, len(pieces) + len(subwords.CONTROL)) + number(35, int(falls_back))
    trainer += number(40, 0) + number(41, 1) + number(42, 2) + number(43, -1)  # <unk>, <s>, </s>, no <pad>
    rules = field(1, b"nmt_nfkc" if table else b"identity") + (field(2, table) if table else b"")
    return b"".join(parts) + field(2, trainer) + field(3, rules + number(3, 1) + number(4, 1) + number(5, 1))


def _piece(text: str, score: float, kind: int) -> bytes:
    return field(1, field(1, text.encode()) + b"\x15" + struct.pack("<f", score) + number(3, kind))


def _with_words(vocabulary: Vocabulary, added: Sequence[_Added]) -> Vocabulary:
    """A SentencePiece vocabulary with tokens added: as pieces that are the likeliest way to write a word.

    The library cuts text at such a token, so that also inside a word it is one, and what follows begins a word. Here it
    is one where it is a word. Special ones, and those that are no word, are left out.
    """
    import sentencepiece

    model = sentencepiece.SentencePieceProcessor(model_proto=vocabulary.content)
    words = [token for token in added if not token.special and model.normalize(token.content) == MARK + token.content]
    known = set(vocabulary.pieces)
    words = [token for token in words if MARK + token.content not in known]
    lost = [token.content for token in added if token not in words]
    pieces = [MARK + token.content for token in words]
    return replace(
        vocabulary,
        content=vocabulary.content + b"".join(_piece(piece, 0.0, _NORMAL) for piece in pieces),
        pieces=vocabulary.pieces + pieces,
        ids=[*vocabulary.ids[:-1], *(token.id for token in words), vocabulary.ids[-1]],
        lost=(f"left out: added tokens that are special or no words: {', '.join(lost)}",) if lost else (),
    )
