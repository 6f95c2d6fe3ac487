"""Tokenizers and models of Hugging Face as small as can be, made of a few lines of text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from csr.backbone.presets import PRESETS
from csr.backbone.tokenizer import unigram
from csr.data import subwords, wordpiece_training

DE = ["Der Hund sieht den alten Baum.", "Die Katze trinkt kalte Milch!", "Ein Kind liest das Buch, ganz allein."]
EN = ["The dog sees the old tree.", "The cat drinks cold milk!", "A child reads the book, quite alone."]
LEXICON = [("hund", "dog"), ("sieht", "sees"), ("alten", "old"), ("baum", "tree"), ("katze", "cat"), ("kalte", "cold")]
LEXICON += [("milch", "milk"), ("kind", "child"), ("buch", "book"), ("buch", "volume"), ("liest", "reads")]
NLLB = ("deu_Latn", "eng_Latn", "zho_Hans", "zho_Hant")

_NAMES = {"bos_token": "<s>", "eos_token": "</s>", "cls_token": "<s>", "sep_token": "</s>", "unk_token": "<unk>"}
_NAMES |= {"pad_token": "<pad>", "mask_token": "<mask>"}
# The class of a tokenizer, the languages it has and other special tokens.
KINDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "cc25": ("MBartTokenizer", PRESETS["cc25"].languages),
    "mbart50": ("MBart50Tokenizer", PRESETS["ml50"].languages),
    "nllb": ("NllbTokenizer", NLLB),
    "xlmr": ("XLMRobertaTokenizer", ()),
}


def write_lexicon(path: Path, pairs: Sequence[tuple[str, str]] = LEXICON, languages: Sequence[str] = ()) -> Path:
    """Write a lexicon and, with languages, its record."""
    path.write_text("".join(f"{source}\t{target}\t1\n" for source, target in pairs))
    if languages:
        path.with_name(f"{path.name}.json").write_text(json.dumps({"languages": list(languages)}))
    return path


def write_sentencepiece(path: Path, lines: Sequence[str] = (*DE, *EN), pieces: int = 120) -> Path:
    """Train a SentencePiece model on lines and the words of the lexicon."""
    words = [word for pair in LEXICON for word in pair]
    subwords.train_on([*lines, *words, *map(str.title, words)], pieces, path)
    return path


def make_tokenizer(kind: str, folder: Path, model: Path | None = None) -> Any:
    """A fast tokenizer of a kind, loaded from a folder of its files as published ones are."""
    from transformers import AutoTokenizer

    folder.mkdir(parents=True)
    config: dict[str, Any]
    if kind == "bert":
        words = [word for pair in LEXICON for word in pair]
        wordpiece_training.train([*DE, *EN, *words], 150, folder / "tokenizer.json")
        names = {"cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]", "pad_token": "[PAD]"}
        config = {"tokenizer_class": "BertTokenizer", "do_lower_case": False, "mask_token": "[MASK]", **names}
    else:
        class_name, languages = KINDS[kind]
        unigram(model or write_sentencepiece(folder / "spm.model"), (*languages, "<mask>")).save(
            str(folder / "tokenizer.json")
        )
        config = {"tokenizer_class": class_name, "model_max_length": 512, **_NAMES}
        if languages:
            config |= {"src_lang": languages[0], "additional_special_tokens": list(languages)}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return AutoTokenizer.from_pretrained(folder)
