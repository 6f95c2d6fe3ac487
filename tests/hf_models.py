"""Tokenizers and models of Hugging Face as small as can be, made of a few lines of text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import processors

from csr.backbone.presets import PRESETS
from csr.backbone.tokenizer import unigram
from csr.data import subwords, wordpiece_training

DE = ["Der Hund sieht den alten Baum.", "Die Katze trinkt kalte Milch!", "Ein Kind liest das Buch, ganz allein."]
EN = ["The dog sees the old tree.", "The cat drinks cold milk!", "A child reads the book, quite alone."]
LEXICON = [("hund", "dog"), ("sieht", "sees"), ("alten", "old"), ("baum", "tree"), ("katze", "cat"), ("kalte", "cold")]
LEXICON += [("milch", "milk"), ("kind", "child"), ("buch", "book"), ("buch", "volume"), ("liest", "reads")]
NLLB = ("deu_Latn", "eng_Latn", "zho_Hans", "zho_Hant")

# What goes around a text and around two, in the files of published models; mBART and NLLB make it of their languages.
AROUND = {
    "mt5": ("$A </s>", "$A </s> $B </s>"),
    "xlmr": ("<s> $A </s>", "<s> $A </s> </s> $B </s>"),
    "bert": ("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1"),
}
# The class of a tokenizer, and the languages it has.
KINDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "cc25": ("MBartTokenizer", PRESETS["cc25"].languages),
    "mbart50": ("MBart50Tokenizer", PRESETS["ml50"].languages),
    "nllb": ("NllbTokenizer", NLLB),
    "mt5": ("T5Tokenizer", ()),
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
    from tokenizers import Tokenizer
    from transformers import AutoTokenizer

    folder.mkdir(parents=True)
    file = str(folder / "tokenizer.json")
    config: dict[str, Any] = {"model_max_length": 512}
    if kind == "bert":
        words = [word for pair in LEXICON for word in pair]
        wordpiece_training.train([*DE, *EN, *words], 150, file)
        names = {"cls": "[CLS]", "sep": "[SEP]", "unk": "[UNK]", "pad": "[PAD]", "mask": "[MASK]"}
        config |= {"tokenizer_class": "BertTokenizer", "do_lower_case": False}
        tokenizer = Tokenizer.from_file(file)
    else:
        config["tokenizer_class"], languages = KINDS[kind]
        names = {"unk": "<unk>", "pad": "<pad>", "eos": "</s>"}
        if kind == "mt5":
            config["extra_ids"] = 0
        else:
            names |= {"bos": "<s>", "cls": "<s>", "sep": "</s>", "mask": "<mask>"}
        if languages:
            config |= {"src_lang": languages[0], "additional_special_tokens": list(languages)}
        tokenizer = unigram(model or write_sentencepiece(folder / "spm.model"), (*languages, "<mask>"))
    if kind in AROUND:
        symbols = [(name, tokenizer.token_to_id(name)) for name in names.values()]
        single, pair = AROUND[kind]
        tokenizer.post_processor = processors.TemplateProcessing(single=single, pair=pair, special_tokens=symbols)
    tokenizer.save(file)
    config |= {f"{name}_token": symbol for name, symbol in names.items()}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return AutoTokenizer.from_pretrained(folder)


def make_model(kind: str, folder: Path) -> str:
    """A folder of a model with random weights and its tokenizer."""
    import transformers

    tokenizer = make_tokenizer(kind, folder)
    pad, eos = tokenizer.pad_token_id, tokenizer.convert_tokens_to_ids("</s>")
    common = {"vocab_size": len(tokenizer), "pad_token_id": pad, "eos_token_id": eos}
    if kind == "xlmr":
        sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 16}
        config = transformers.XLMRobertaConfig(**common, **sizes, max_position_embeddings=140)
        model = transformers.XLMRobertaModel(config)
    else:
        sizes = {"d_model": 16, "max_position_embeddings": 300, "decoder_start_token_id": eos}
        for side in ("encoder", "decoder"):
            sizes |= {f"{side}_layers": 1, f"{side}_attention_heads": 1, f"{side}_ffn_dim": 16}
        names = ("M2M100Config", "M2M100ForConditionalGeneration") if kind == "nllb" else (
            "MBartConfig", "MBartForConditionalGeneration")  # fmt: skip
        config = getattr(transformers, names[0])(**common, **sizes)
        model = getattr(transformers, names[1])(config)
    model.save_pretrained(folder)
    return str(folder)
