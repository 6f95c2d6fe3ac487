"""The collator of Hugging Face and the fairseq tasks make the same batches of the same rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hf_models import DE, EN, LEXICON, make_tokenizer, write_lexicon, write_sentencepiece

from csr.data import subwords
from csr.data.blocks import Blocks
from csr.data.rows import Vocabulary, read_rows
from csr.switching.masking import Masking
from csr.switching.settings import Noise, Pretraining

pytest.importorskip("transformers")
from csr.hf import SwitchingCollator
from csr.hf.vocabulary import Vocabulary as Tokens

SRC = [f"{line[:-1]} {word}." for word, _ in LEXICON for line in DE]
TGT = [f"{line[:-1]} {word}." for _, word in LEXICON for line in EN]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A SentencePiece model, its dictionary, two lexicons and the two sides of a text as fairseq reads them."""
    folder = tmp_path_factory.mktemp("draws")
    model = write_sentencepiece(folder / "spm.model")
    (folder / "bin").mkdir()
    subwords.write_dictionary(subwords.model_pieces(subwords.load(model)), {}, folder / "bin/dict.txt")
    for language, lines in (("de", SRC), ("en", TGT)):
        (folder / f"bin/dict.{language}.txt").write_bytes((folder / "bin/dict.txt").read_bytes())
        vocabulary = Vocabulary.read(model, folder / "bin/dict.txt")
        vocabulary.write(lines, folder / f"bin/train.de-en.{language}", language)
    write_lexicon(folder / "de-en.tsv")
    write_lexicon(folder / "en-de.tsv", [(english, german) for german, english in LEXICON])
    return folder


def restore_task(folder: Path, noise: Noise, **settings: object):
    from fairseq.tasks import setup_task
    from omegaconf import OmegaConf

    from fairseq_plugins.restore import CsrRestoreConfig

    values = {"_name": "csr_restore", "data": str(folder / "bin"), "source_lang": "de", "target_lang": "en", "seed": 3}
    values |= {"train_subset": "train", "dataset_impl": None, "required_seq_len_multiple": 1, "update_freq": [1]}
    values |= {"lexicon": str(folder / "de-en.tsv"), "sentencepiece_model": str(folder / "spm.model")}
    values |= {name: value for name, value in vars(noise).items() if value is not None} | settings
    task = setup_task(OmegaConf.merge(OmegaConf.structured(CsrRestoreConfig), values))
    task.load_dataset("train")
    return task


def unpadded(rows, pad: int) -> list[list[int]]:
    return [[i for i in row if i != pad] for row in rows.tolist()]


@pytest.mark.parametrize(
    ("kind", "preset", "noise"),
    [
        ("cc25", "cc25", Noise()),
        ("mbart50", "ml50", Noise(replace="mixture", zero_spans="insert", mean_span=1.5)),
        ("mbart50", "ml50", Noise(policy="independent", rate=0.7, prefer_aligned=True)),
        ("cc25", "cc25", Noise(replace="mask", permute_sentences=True)),
        ("cc25", "cc25", Noise(lexicon_draw="sentence", prefer_aligned=True)),
    ],
)
def test_restore_has_the_batches_of_csr_restore(folder, tmp_path, kind, preset, noise):
    lexicons = [folder / "de-en.tsv"]
    if kind == "cc25" and noise.prefer_aligned:  # into two languages
        lexicons.append(write_lexicon(folder / "de-xx.tsv", [(german, "milch") for german, _ in LEXICON]))
    with_lexicon = {} if noise.replace == "mask" else {"lexicon": lexicons}
    paths = ":".join(map(str, lexicons))
    dataset = restore_task(folder, noise, preset=preset, lexicon=paths).datasets["train"]
    tokenizer = make_tokenizer(kind, tmp_path / kind, folder / "spm.model")
    collator = SwitchingCollator(
        tokenizer, "restore", source_lang="de", target_lang="en", seed=3, noise=noise, max_length=1024, **with_lexicon
    )
    rows = [{"id": i, "translation": {"de": src, "en": tgt}} for i, (src, tgt) in enumerate(zip(SRC, TGT, strict=True))]
    for epoch in (1, 2):  # fairseq counts from 1
        dataset.set_epoch(epoch)
        collator.set_epoch(epoch - 1)
        expected = dataset.collater([dataset[i] for i in range(len(dataset))])
        batch = collator(rows)
        pad = tokenizer.pad_token_id
        net = expected["net_input"]
        assert unpadded(batch["input_ids"], pad) == unpadded(net["src_tokens"], pad)
        assert unpadded(batch["labels"], -100) == unpadded(expected["target"], pad)
        assert unpadded(batch["decoder_input_ids"], pad) == unpadded(net["prev_output_tokens"], pad)
        assert unpadded(batch["input_ids"], pad) != unpadded(batch["labels"], -100)


@pytest.mark.parametrize("kind", ["xlmr", "bert"])
def test_masked_lm_has_the_batches_of_csr_masked_lm(folder, tmp_path, kind):
    """The words of the first language switched around the masks, each row a block of its own."""
    from fairseq.tasks import setup_task
    from omegaconf import OmegaConf

    from fairseq_plugins.masked_lm import CsrMaskedLmConfig, MaskedLmDataset

    tokenizer = make_tokenizer(kind, tmp_path / kind, folder / "spm.model")
    model = folder / "spm.model" if kind == "xlmr" else tmp_path / kind / "tokenizer.json"
    data = tmp_path / "bin"
    data.mkdir()
    subwords.write_dictionary(subwords.model_pieces(subwords.load(model)), {}, data / "dict.txt")
    for language, lines in (("de", SRC), ("en", TGT)):
        (data / language).mkdir()
        Vocabulary.read(model, data / "dict.txt").write(lines, data / language / "train", language)
    values = {"_name": "csr_masked_lm", "data": str(data), "languages": "de,en", "seed": 3, "train_subset": "train"}
    values |= {"rate": 0.5, "gate": 0.9, "min_length": 2, "tokens_per_sample": 30, "sentencepiece_model": str(model)}
    values |= {"lexicon": str(folder / "de-en.tsv"), "reverse_lexicon": str(folder / "en-de.tsv")}
    task = setup_task(OmegaConf.merge(OmegaConf.structured(CsrMaskedLmConfig), values))
    texts = []
    for language in ("de", "en"):
        text, (_, sizes) = task.text(data / language / "train"), read_rows(data / language / "train")
        ends = np.cumsum(sizes)
        texts.append(replace(text, blocks=Blocks(ends - sizes, ends, np.arange(len(ends)))))  # a block for each row
    dataset = MaskedLmDataset(texts, task.maskers(), task.dictionary, seed=3)

    collator = SwitchingCollator(
        tokenizer,
        "masked_lm",
        folder / "de-en.tsv",
        reverse_lexicon=folder / "en-de.tsv",
        source_lang="de",
        target_lang="en",
        seed=3,
        noise=Pretraining(rate=0.5, gate=0.9, min_length=2),
        masking=Masking(),
        max_length=30,
    )
    rows = [{"id": i, "text": line, "language": "de"} for i, line in enumerate(SRC)]
    rows += [{"id": len(SRC) + i, "text": line, "language": "en"} for i, line in enumerate(TGT)]
    names = dict(zip(tokenizer.all_special_tokens, tokenizer.all_special_ids, strict=True))
    ours = {name: i for i, name in enumerate(Tokens(tokenizer).pieces)}
    special = {"<s>": "cls", "</s>": "sep", "<pad>": "pad", "<unk>": "unk", "<mask>": "mask"}
    number = [
        names[getattr(tokenizer, f"{special[name]}_token")] if name in special else ours[name]
        for name in task.dictionary.symbols
    ]
    dataset.set_epoch(2)
    collator.set_epoch(1)
    expected = dataset.collater([dataset[i] for i in range(len(dataset))])
    batch = collator(rows)
    seen = [[number[i] for i in row] for row in unpadded(expected["net_input"]["src_tokens"], task.dictionary.pad())]
    assert unpadded(batch["input_ids"], tokenizer.pad_token_id) == seen
    target = [[number[i] for i in row] for row in unpadded(expected["target"], task.dictionary.pad())]
    assert unpadded(batch["labels"], -100) == target
    places = (expected["target"] != task.dictionary.pad()).nonzero().tolist()
    assert (batch["labels"] != -100).nonzero().tolist() == places
    assert any(map(len, target))
    plain = SwitchingCollator(tokenizer, "masked_lm", source_lang="de", target_lang="en", seed=3, max_length=30)
    assert seen != unpadded(plain(rows)["input_ids"], tokenizer.pad_token_id)
