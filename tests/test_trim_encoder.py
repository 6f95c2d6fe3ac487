"""Trimming encoders, of either kind of vocabulary: what is cut as before has the same states, logits and labels."""

from __future__ import annotations

import itertools
import json
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch
from backbones import write_sentencepiece
from encoders import Task, read_encoder
from hypothesis import given
from hypothesis import strategies as st

from csr.backbone.checkpoints import read_checkpoint
from csr.backbone.encoder_hf import export_encoder
from csr.backbone.pieces import PieceModel
from csr.backbone.trim import Use, trim
from csr.cli import main
from csr.data import subwords, wordpiece, wordpiece_training
from csr.data.labelled import Pieces
from csr.errors import DataError
from fairseq_plugins.encoder import CsrBert

TEXT = ["the cat sat on the mat", "a dog ran to the river"]
OTHER = ["zebras wander, cats do not", "who saw zebras wander and dogs run?"]
SIZES = {"encoder_layers": 2, "encoder_embed_dim": 16, "encoder_ffn_embed_dim": 24, "encoder_attention_heads": 4}


def make_encoder(folder: Path, kind: str) -> Path:
    """Write an encoder of random weights, as csr_masked_lm does."""
    folder.mkdir()
    if kind == "wordpiece":
        wordpiece_training.train(TEXT * 20 + OTHER * 20, 120, folder / "tokenizer.json")
    else:
        filler = "q x 0 1 2 3 4 5 6 7 8 9"  # the characters of the unlikely pieces that fill it up
        write_sentencepiece(folder / "sentence.bpe.model", [*TEXT * 20, *OTHER * 20, filler], 140)
    model = subwords.load(subwords.model_file(folder))
    subwords.write_dictionary(subwords.model_pieces(model), {}, folder / "dict.txt")
    settings = Namespace(**SIZES, max_positions=32, activation_fn="gelu", dropout=0.1, attention_dropout=0.1)
    torch.manual_seed(1)
    encoder = CsrBert.build_model(settings, Task(folder / "dict.txt"))
    for weight in encoder.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    state = {"model": encoder.state_dict(), "cfg": {"model": vars(settings), "task": {"_name": "csr_masked_lm"}}}
    torch.save(state, folder / "model.pt")
    return folder


@pytest.fixture(scope="module", params=["unigram", "wordpiece"])
def full(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_encoder(tmp_path_factory.mktemp("trim") / "full", request.param)
    for name, lines in {"text": TEXT, "other": OTHER}.items():
        (folder.parent / name).write_text("".join(f"{line}\n" for line in lines))
    (folder.parent / "lexicon").write_text("cat\tdogs\t1\ncat\truns\t0.5\n")
    return folder


@pytest.fixture(scope="module")
def small(full: Path) -> Path:
    use = Use([full.parent / "text"], [full.parent / "lexicon"])
    trim(full, full.parent / "small", use, [full.parent / "other"])
    return full.parent / "small"


def test_tables_of_text_and_labels_keep_the_pieces_of_the_text(full: Path, tmp_path: Path) -> None:
    """Tagged tokens are cut one by one, as the task cuts them; a second column begins a word."""
    (tmp_path / "tagged").write_text("".join(f"{word}\tO\n" for line in TEXT for word in line.split()))
    (tmp_path / "pairs").write_text("a\tb\tlabel\n" + "\t".join([*OTHER, "neutral"]) + "\n")
    trim(full, tmp_path / "small", Use([tmp_path / "tagged", tmp_path / "pairs"]))
    tokens, sentences = [[word] for line in TEXT for word in line.split()], [[line] for line in OTHER]
    for texts in (*tokens, *sentences):
        cut = []
        for folder in (full, tmp_path / "small"):
            symbols = Task(folder / "dict.txt").source_dictionary.symbols
            rows = Pieces(subwords.model_file(folder), folder / "dict.txt")(texts)
            cut.append([symbols[i] for i in rows[0]])
        assert cut[0] == cut[1]
    assert len(symbols) < len(Task(full / "dict.txt").source_dictionary.symbols)


@torch.inference_mode()
def test_states_and_logits_stay(full: Path, small: Path) -> None:
    """The checkpoint's mark of its vocabulary is the small one's, or ``load_state_dict`` would refuse it."""
    encoders = [read_encoder(folder) for folder in (full, small)]
    symbols = [Task(folder / "dict.txt").source_dictionary.symbols for folder in (full, small)]
    assert len(symbols[1]) < len(symbols[0])
    columns = [symbols[0].index(symbol) for symbol in symbols[1]]
    for line in TEXT:
        rows = [Pieces(subwords.model_file(folder), folder / "dict.txt")([line])[0] for folder in (full, small)]
        assert [symbols[0][i] for i in rows[0]] == [symbols[1][i] for i in rows[1]]
        before, after = (encoder(torch.tensor([[0, *row, 2]]))[0] for encoder, row in zip(encoders, rows, strict=True))
        torch.testing.assert_close(after, before[..., columns], rtol=0, atol=1e-5)


def test_what_switching_writes_is_in_the_vocabulary(full: Path, small: Path) -> None:
    words = ["dogs", "Dogs", "RUNS"]
    cut = []
    for folder in (full, small):
        model = subwords.load(subwords.model_file(folder))
        cut.append([[model.id_to_piece(i) for i in row] for row in model.encode(words)])
    assert cut[0] == cut[1]


def test_the_record_says_what_is_saved_and_lost(full: Path, small: Path) -> None:
    record = json.loads((small / "trim.json").read_text())
    states = [read_checkpoint(folder / "model.pt")["model"] for folder in (full, small)]
    rows = [len(state["encoder.sentence_encoder.embed_tokens.weight"]) for state in states]
    assert record["rows"] == {"before": rows[0], "after": rows[1]}
    # An embedding and a bias of the output for each piece.
    assert record["parameters"]["before"] - record["parameters"]["after"] == (16 + 1) * (rows[0] - rows[1])
    assert record["parameters"]["after"] == sum(weight.numel() for weight in read_encoder(small).parameters())
    # 15 % of 32 x 128 pieces are predicted: 614; two operations for each weight forward, four backward.
    operations = record["update"]["operations"]
    assert operations["before"] - operations["after"] == 6 * 614 * 16 * (rows[0] - rows[1])
    assert record["update"]["memory"]["after"] < record["update"]["memory"]["before"]
    text, other = (record["tokens"][str(full.parent / name)] for name in ("text", "other"))
    assert text["changed"] == 0 < other["changed"] < other["all"]


def test_a_folder_of_the_library_stays_one(full: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    layout = "bert" if subwords.is_wordpiece(subwords.model_file(full)) else "xlm-roberta"
    export_encoder(full / "model.pt", tmp_path / "hf", layout=layout)
    command = ["trim", str(tmp_path / "hf"), str(tmp_path / "small"), "--text", str(full.parent / "text")]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "an update in fp32, 32 sentences of 128 pieces" in out
    assert f"{full.parent / 'text'}: 0 of " in out
    models = [AutoModelForMaskedLM.from_pretrained(tmp_path / name).eval() for name in ("hf", "small")]
    tokenizers = [AutoTokenizer.from_pretrained(tmp_path / name) for name in ("hf", "small")]
    assert type(models[0]) is type(models[1])
    assert len(tokenizers[1]) == models[1].config.vocab_size < models[0].config.vocab_size
    columns = tokenizers[0].convert_tokens_to_ids(tokenizers[1].convert_ids_to_tokens(range(len(tokenizers[1]))))
    with torch.inference_mode():
        for line in TEXT:
            before, after = (
                model(**tokenizer(line, return_tensors="pt")).logits
                for model, tokenizer in zip(models, tokenizers, strict=True)
            )
            torch.testing.assert_close(after, before[..., columns], rtol=0, atol=1e-5)


def test_files_that_do_not_belong_together(full: Path, tmp_path: Path) -> None:
    for path in full.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    pieces = subwords.read_dictionary(full / "dict.txt")
    subwords.write_dictionary(pieces[:-1], {}, tmp_path / "dict.txt")
    with pytest.raises(DataError, match=rf"model\.pt: expected {len(pieces) + 4} embeddings"):
        trim(tmp_path, tmp_path / "out", Use([full.parent / "text"]))
    assert not (tmp_path / "out").exists()


LETTERS = st.text("ab", min_size=1, max_size=3)


@given(st.sets(LETTERS, max_size=6), st.sets(LETTERS, max_size=6), st.integers(0, 2**16), st.text("abc ", max_size=12))
def test_text_whose_pieces_are_kept_is_cut_as_before(tmp_path_factory, starts, insides, chosen, line) -> None:
    symbols = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = [*symbols, *sorted(starts), *(f"##{piece}" for piece in sorted(insides))]
    path = tmp_path_factory.mktemp("wordpiece") / "tokenizer.json"
    wordpiece.tokenizer({piece: i for i, piece in enumerate(pieces)}, lowercase=False).save(str(path))
    model = PieceModel.read(path)
    keep = model.indispensable() | np.array([bool(chosen >> i & 1) for i in range(len(pieces))])
    small = path.with_name("small.json")
    small.write_bytes(model.trimmed(keep))
    smaller = PieceModel.read(small)
    assert smaller.texts == list(itertools.compress(model.texts, keep))
    (ids,), (found,) = model.processor.encode([line]), smaller.processor.encode([line])
    if keep[ids].all() and model.unknown not in ids:
        assert [smaller.texts[i] for i in found] == [model.texts[i] for i in ids]
