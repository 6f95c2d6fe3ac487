"""The tokenizer of a Hugging Face folder, with the ids of our dictionary: published and trimmed vocabularies alike."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from csr.backbone.families import MASK, SPECIAL, Preset
from csr.data import subwords
from csr.data.examples import LanguageIds
from csr.data.protobuf import fields
from csr.errors import DataError
from csr.files import PathLike

if TYPE_CHECKING:
    from sentencepiece import SentencePieceProcessor
    from tokenizers import Tokenizer

# The Hugging Face library's name of it.
MODEL_FILE = "sentencepiece.bpe.model"


def aligned_pieces(path: PathLike) -> list[str]:
    """The pieces of a SentencePiece model in the order of their ids, as fairseq's dictionary has them.

    The Hugging Face library takes the id of a piece to be SentencePiece's plus one, so that the model must begin with
    the three control symbols.

    Raises:
        DataError: the file is no SentencePiece model, or begins otherwise.
    """
    model = subwords.load(path)
    first = [model.id_to_piece(i) for i in range(min(3, len(model)))]
    if first != list(subwords.CONTROL):
        raise DataError(f"{path}: expected {', '.join(subwords.CONTROL)} as its first pieces, found {', '.join(first)}")
    return subwords.model_pieces(model)


def fast_tokenizer(path: PathLike, preset: Preset, source: str | None, target: str | None) -> Any:
    """The ``transformers`` tokenizer of a SentencePiece model and a preset's languages.

    Args:
        source, target: languages it starts with, such as ``de_DE``.
    """
    import transformers

    kind = getattr(transformers, f"{preset.tokenizer}Fast")
    names = {"src_lang": source, "tgt_lang": target}
    tokenizer = unigram(path, (*preset.languages, MASK))
    return kind(vocab_file=str(path), tokenizer_object=tokenizer, model_max_length=1024, **names)


def own_tokenizer(path: PathLike, preset: Preset, source: str) -> Any:
    """The ``transformers`` tokenizer of a model of ours, which no class there knows: its rows are of one language.

    Args:
        source: the language of the rows, such as ``de``; those of two texts have ``</s>`` between them.
    """
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    symbols = [f"[{language}]" for language in preset.languages]
    tokenizer = unigram(path, (*symbols, MASK))
    named = [(symbol, tokenizer.token_to_id(symbol)) for symbol in (f"[{source}]", "</s>")]
    row = f"{{}} </s> [{source}]" if preset.language_ids is LanguageIds.APPEND else f"[{source}] {{}} </s>"
    single, pair = row.format("$A"), row.format("$A </s> $B")
    tokenizer.post_processor = TemplateProcessing(single=single, pair=pair, special_tokens=named)
    names = dict(zip(("bos_token", "pad_token", "eos_token", "unk_token"), SPECIAL, strict=True))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        mask_token=MASK,
        additional_special_tokens=symbols,
        model_max_length=1024,
        model_input_names=["input_ids", "attention_mask"],
        **names,
    )


def unigram(path: PathLike, symbols: Iterable[str]) -> Tokenizer:
    """A ``tokenizers`` tokenizer of a SentencePiece model, with symbols after its pieces.

    The library's own conversion needs protocol buffers of a version that other packages may forbid; it reads the model
    here.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

    model = subwords.load(path)
    vocabulary = [(symbol, 0.0) for symbol in SPECIAL]
    vocabulary += [(model.id_to_piece(i), model.get_score(i)) for i in range(3, len(model))]
    vocabulary += [(symbol, 0.0) for symbol in symbols]
    falls_back = any(map(model.is_byte, range(len(model))))
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=SPECIAL.index("<unk>"), byte_fallback=falls_back))
    steps = [normalizers.Strip(left=False, right=True), normalizers.Replace(Regex(" {2,}"), "▁")]
    if charsmap := characters(model):
        # The library looks up letters with their marks one by one, or some of them alone, so that they stay apart.
        composed = [normalizers.NFC()] if model.normalize("e\u0301") == "▁é" else []
        steps = [*composed, normalizers.Precompiled(charsmap), *composed, *steps]
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    return tokenizer


def characters(model: SentencePieceProcessor) -> bytes:
    """The table by which a model rewrites characters: ``ModelProto.normalizer_spec.precompiled_charsmap``."""
    for number, spec in fields(model.serialized_model_proto()):
        if number == 3 and isinstance(spec, bytes):
            return next((table for number, table in fields(spec) if number == 2 and isinstance(table, bytes)), b"")
    return b""
