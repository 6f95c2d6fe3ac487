"""WordPiece: vocabularies as BERT's, text and switching in them, and BERTs of the Hugging Face library."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from encoders import Task, read_encoder
from omegaconf import OmegaConf

from csr.backbone.encoder_hf import export_encoder, import_encoder
from csr.cli import main
from csr.data import subwords, wordpiece, wordpiece_training
from csr.data.labelled import Pieces
from csr.data.mixture import mixture
from csr.data.rows import read_rows
from csr.data.sampling import Source
from csr.data.vocabulary import word_encoder
from csr.errors import ConfigError, DataError
from csr.text.words import segments
from fairseq_plugins.masked_lm import CsrMaskedLmConfig, CsrMaskedLmTask

WORDS = "the cat sat on a mat near old river banks while seven dogs were running after them in winter's snow".split()
_RANDOM = random.Random(1)
LINES = ["{} {}, {} ({}) {}.".format(*_RANDOM.choices(WORDS, k=5)).capitalize() for _ in range(400)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of csr mixture."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "en.txt").write_text("\n".join(LINES) + "\n")
    (folder / "xx.txt").write_text("\n".join(line.upper() for line in LINES) + "\n")
    sources = [Source(language, None, [folder / f"{language}.txt"]) for language in ("en", "xx")]
    mixture(sources, folder / "data", held_out=1000, pieces=200, wordpiece=True)
    return folder / "data"


def test_the_same_text_gives_the_same_vocabulary(tmp_path: Path) -> None:
    code = "import sys; from csr.data.wordpiece_training import train; "
    code += "train(open(sys.argv[1]).readlines(), 120, sys.argv[2])"
    (tmp_path / "text").write_text("\n".join(LINES))
    for seed in ("1", "2"):
        command = [sys.executable, "-c", code, str(tmp_path / "text"), str(tmp_path / f"{seed}.json")]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": seed})
    assert (tmp_path / "1.json").read_bytes() == (tmp_path / "2.json").read_bytes()
    model = subwords.load(tmp_path / "1.json")
    assert len(model) == 120
    assert [model.id_to_piece(i) for i in range(5)] == ["<pad>", "<unk>", "<s>", "</s>", "<mask>"]


def test_the_commonest_pairs_are_merged_first(tmp_path: Path) -> None:
    """By hand: a b in 5 words; then ab c and c d, in 2; a comma goes on with no word."""
    wordpiece_training.train(["ab ab ab abc abc", "cd, cd, xd"], 19, tmp_path / "tokenizer.json")
    model = subwords.load(tmp_path / "tokenizer.json")
    pieces = [model.id_to_piece(i) for i in range(5, len(model))]
    assert sorted(pieces[:11]) == sorted([*"abcdx", *(f"▁{c}" for c in "abcdx,")])
    assert pieces[11] == "▁ab"
    assert set(pieces[12:14]) == {"▁abc", "▁cd"}


def test_text_is_cut_as_by_bert(made: Path, tmp_path: Path) -> None:
    """The library's own tokenizer, in Python, on the same vocabulary."""
    from transformers import BertTokenizer

    model = subwords.load(made / "tokenizer.json")
    pieces = sorted(model.tokenizer.get_vocab(), key=model.tokenizer.get_vocab().get)
    (tmp_path / "vocab.txt").write_text("\n".join(pieces) + "\n")
    theirs = BertTokenizer(tmp_path / "vocab.txt", do_lower_case=False)
    lines = [*LINES[:20], "Thé don't  co-op", "汉字 cats", "zebra\u200b\u00a0mat", ""]
    expected = [theirs.encode(line, add_special_tokens=False) for line in lines]
    assert model.encode(lines) == expected
    assert wordpiece.read_vocabulary(tmp_path / "vocab.txt", lowercase=False).encode(lines) == expected


def test_binary_data_has_the_words_of_the_text(made: Path) -> None:
    tokens, sizes = read_rows(made / "bin/en/train")
    marks, mark_sizes = read_rows(made / "bin/en/train.words")
    pieces = ["<s>", "<pad>", "</s>", "<unk>", *subwords.read_dictionary(made / "bin/dict.txt")]
    lines = (made / "text/train.en").read_text().splitlines()
    ends, mark_ends = np.cumsum(sizes), np.cumsum(mark_sizes)
    for i, line in enumerate(lines):
        row = [pieces[id_] for id_ in tokens[ends[i] - sizes[i] : ends[i] - 1]]
        found: list[str] = []
        for piece, mark in zip(row, marks[mark_ends[i] - mark_sizes[i] : mark_ends[i]], strict=True):
            if mark == subwords.Mark.BEGIN:
                found.append(piece.removeprefix("▁"))
            elif mark == subwords.Mark.GO_ON:
                found[-1] += piece.removeprefix("▁")  # BERT's rules cut at an apostrophe
        assert found == [text for text, is_word in segments(line) if is_word]
    record = json.loads((made / "mixture.json").read_text())
    assert record["tokens"]["en"]["train unknown"] == 0


def test_words_are_switched(made: Path, tmp_path: Path) -> None:
    """Each word stands for itself in capitals; decoded, nothing else has changed."""
    words = sorted({word for word in WORDS if len(word) > 3 and "'" not in word})
    (tmp_path / "lexicon.tsv").write_text("".join(f"{word}\t{word.upper()}\t1\n" for word in words))
    settings = {"lexicon": str(tmp_path / "lexicon.tsv"), "stop_words": "none,none", "rate": 1.0, "gate": 1.0}
    settings |= {"keep_identical": True}
    settings |= {"data": str(made / "bin"), "languages": "en,xx", "mask_prob": 0.0, "seed": 1, "train_subset": "train"}
    task = CsrMaskedLmTask.setup_task(OmegaConf.merge(OmegaConf.structured(CsrMaskedLmConfig), settings))
    task.load_dataset("train")
    symbols = task.dictionary.symbols

    def text(index: int) -> str:
        ids = task.datasets["train"][index]["source"].tolist()
        return "".join(symbols[id_] for id_ in ids if id_ > 2).replace("▁", " ")

    switched = text(0)
    text_0 = task.datasets["train"]._texts[0].block(0, 0, 2)[0]
    before = "".join(symbols[id_] for id_ in text_0 if id_ > 2).replace("▁", " ")
    expected = [word.upper() if word.lower() in words else word for word in before.split(" ")]
    assert switched.split(" ") == expected
    assert switched != before
    encode = word_encoder(symbols, task.dictionary.unk(), made / "tokenizer.json")
    assert encode(["river", "汉"], True) == encode(["river", "汉"], False)
    assert encode(["汉"], True) == [[]]


@pytest.fixture
def bert(made: Path, tmp_path: Path) -> Path:
    """A folder as BERT is published: two kinds of sentence, its own epsilon, and [PAD] first."""
    from transformers import BertConfig, BertForMaskedLM

    vocabulary = subwords.load(made / "tokenizer.json").tokenizer.get_vocab()
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    torch.manual_seed(1)
    model = BertForMaskedLM(BertConfig(vocab_size=len(vocabulary), max_position_embeddings=40, **sizes))
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    model.save_pretrained(tmp_path / "bert")
    pieces = sorted(vocabulary, key=vocabulary.get)
    (tmp_path / "bert/vocab.txt").write_text("\n".join(pieces) + "\n")
    (tmp_path / "bert/tokenizer_config.json").write_text('{"do_lower_case": false}')
    return tmp_path / "bert"


@torch.inference_mode()
def test_a_bert_comes_in_and_goes_out_with_equal_logits(bert: Path, made: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    ours = tmp_path / "ours"
    assert main(["import-hf", str(bert), str(ours)]) == 0
    encoder = read_encoder(ours)
    pieces = Pieces(ours / "tokenizer.json", ours / "dict.txt")
    theirs, tokenizer = AutoModelForMaskedLM.from_pretrained(bert).eval(), AutoTokenizer.from_pretrained(bert)
    names = [subwords.load(ours / "tokenizer.json").id_to_piece(i) for i in range(len(tokenizer))]
    symbols = Task(ours / "dict.txt").source_dictionary.symbols
    columns = [names.index(symbol) for symbol in symbols]

    assert main(["export-hf", str(ours / "model.pt"), str(tmp_path / "out"), "--layout", "bert"]) == 0
    again = AutoModelForMaskedLM.from_pretrained(tmp_path / "out").eval()
    their_tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    for line in [*LINES[:3], "Zebra cats"]:
        batch = tokenizer(line, return_tensors="pt")
        logits = theirs(**batch).logits
        (ids,) = pieces([line])
        assert [columns[i] for i in (0, *ids, 2)] == batch["input_ids"][0].tolist()
        found, _ = encoder(torch.tensor([[0, *ids, 2]]))
        torch.testing.assert_close(found, logits[..., columns], rtol=0, atol=1e-4)
        new_batch = their_tokenizer(line, return_tensors="pt")
        assert new_batch["input_ids"].tolist() == batch["input_ids"].tolist()
        torch.testing.assert_close(again(**new_batch).logits, logits, rtol=0, atol=1e-4)
    rows = their_tokenizer(LINES[0], LINES[1])["input_ids"]
    first, second = (tokenizer(line, add_special_tokens=False)["input_ids"] for line in LINES[:2])
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    assert rows == [cls, *first, sep, sep, *second, sep]


@pytest.mark.slow
def test_pretraining_goes_on_from_a_bert(bert: Path, made: Path, tmp_path: Path) -> None:
    """Its text is cut by its own vocabulary; fairseq-train reads its weights."""
    ours = tmp_path / "ours"
    import_encoder(bert, ours)
    command = ["mixture", "--text", "en", "all", str(made.parent / "en.txt"), "--held-out", "1kB", "--workers", "1"]
    command += ["--sentencepiece-model", str(ours / "tokenizer.json"), "--dict", str(ours / "dict.txt")]
    assert main([*command, "--out", str(tmp_path / "data")]) == 0
    train = [sys.executable, "-m", "fairseq_cli.train", str(tmp_path / "data/bin"), "--user-dir", "fairseq_plugins"]
    train += "--task csr_masked_lm --criterion csr_masked_lm --languages en --arch csr_bert_base --cpu --bf16".split()
    train += "--encoder-layers 2 --encoder-embed-dim 16 --encoder-ffn-embed-dim 24 --encoder-attention-heads 2".split()
    train += "--max-positions 40 --layer-norm-eps 1e-12 --tokens-per-sample 40 --batch-size 8 --max-update 1".split()
    train += "--optimizer adam --lr 1e-9 --disable-validation --num-workers 0".split()
    train += ["--finetune-from-model", str(ours / "model.pt"), "--save-dir", str(tmp_path / "model")]
    root = Path(__file__).parents[1]
    done = subprocess.run(train, cwd=root, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    before, after = (
        torch.load(path, weights_only=False)["model"]["encoder.lm_head.weight"].float()
        for path in (ours / "model.pt", tmp_path / "model/checkpoint_last.pt")
    )
    torch.testing.assert_close(after, before, rtol=0, atol=0.01)  # bf16 has 8 bits


def test_what_is_no_wordpiece_vocabulary_is_named(made: Path, bert: Path, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    with pytest.raises(DataError, match=r"tokenizer\.json: no such file"):
        subwords.load(path)
    path.write_text("{")
    with pytest.raises(DataError, match=r"expected a tokenizer\.json, found something else"):
        subwords.load(path)
    described = json.loads((made / "tokenizer.json").read_text())
    described["added_tokens"] = []
    vocabulary = described["model"]["vocab"]
    vocabulary["mask"] = vocabulary.pop("[MASK]")
    path.write_text(json.dumps(described))
    with pytest.raises(DataError, match=r"among the pieces, found no \[MASK\]"):
        subwords.load(path)
    del vocabulary["mask"]
    path.write_text(json.dumps(described))
    out = tmp_path / "out"
    with pytest.raises(DataError, match=rf"^{path}: expected ids from 0 to 198, found no 4"):
        mixture([Source("en", None, [made.parent / "en.txt"])], out, sentencepiece_model=path)
    assert not out.exists()
    with pytest.raises(DataError, match="expected ids from 0 to 198, found no 4"):
        subwords.load(path)
    with pytest.raises(ConfigError, match="are too few for"):
        wordpiece_training.train(LINES, 20, path)
    ours = tmp_path / "ours"
    import_encoder(bert, ours)
    with pytest.raises(ConfigError, match="--layout: expected bert"):
        export_encoder(ours / "model.pt", tmp_path / "out", layout="xlm-roberta")
    with (bert / "vocab.txt").open("a") as stream:
        stream.write("the\n")
    with pytest.raises(DataError, match=r"vocab\.txt:\d+: expected each piece once, found 'the' again"):
        import_encoder(bert, tmp_path / "new")
    assert not (tmp_path / "new").exists()
