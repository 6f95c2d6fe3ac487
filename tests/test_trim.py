"""Trimming: text that keeps its pieces is cut as before, and the model says the same of it."""

import itertools
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from backbones import make_archive, make_state
from evaluation_outputs import references
from hypothesis import given
from hypothesis import strategies as st
from sentencepiece import SentencePieceProcessor
from tiny_checkpoint import make_checkpoint, make_data

from csr.backbone.checkpoints import EMBEDDINGS, read_checkpoint, write_checkpoint
from csr.backbone.huggingface import export_checkpoint
from csr.backbone.pieces import PieceModel, changed
from csr.backbone.presets import PRESETS
from csr.backbone.trim import Use, trim
from csr.cli import main
from csr.data import subwords
from csr.data.protobuf import field
from csr.data.vocabulary import word_encoder
from csr.errors import ConfigError, DataError
from csr.files import read_json, sha256
from csr.lexicon import read_lexicon
from csr.switching.encoded import encode_lexicon

ALPHABET = "ab c"
FILLERS = ["q x 0 1 2 3 4 5 6 7 8 9"]  # the characters of the unlikely pieces that fill up a vocabulary


@st.composite
def unigram_models(draw) -> bytes:
    """A model over a few letters, some of them no piece alone, with scores of which some are the same."""
    pieces = draw(st.sets(st.text("ab▁", min_size=1, max_size=3), min_size=1, max_size=12))
    scores = draw(st.lists(st.sampled_from([-1.0, -1.5, -2.0, -3.0, -9.0]), min_size=len(pieces), max_size=len(pieces)))
    return _model(dict(zip(sorted(pieces), scores, strict=True)))


def _written(folder: Path, message: bytes) -> PieceModel:
    path = folder / "x.model"
    path.write_bytes(message)
    return PieceModel.read(path)


@given(unigram_models(), st.integers(0, 2**12), st.lists(st.text(ALPHABET, max_size=12), min_size=1, max_size=5))
def test_text_whose_pieces_are_kept_is_cut_as_before(tmp_path_factory, message, chosen, lines):
    model = _written(tmp_path_factory.mktemp("model"), message)
    chosen = [bool(chosen >> i & 1) for i in range(len(model.texts))]
    keep = model.indispensable() | np.array(chosen)
    smaller = SentencePieceProcessor(model_proto=model.trimmed(keep))
    assert [smaller.id_to_piece(i) for i in range(len(smaller))] == list(itertools.compress(model.texts, keep))
    for line in lines:
        ids = model.processor.encode(line)
        if keep[ids].all():
            assert smaller.encode(line, out_type=str) == model.processor.encode(line, out_type=str)


def test_nothing_becomes_unknown(tmp_path):
    # "y" is no piece, so "xy" is the only way to write it; "▁" is the likeliest and "x" the least likely, which stay
    # for their scores; "▁abba" can be written with its letters.
    model = _written(tmp_path, _model({"▁abba": -1, "▁": -0.5, "a": -3, "b": -3, "xy": -4, "x": -9}))
    assert list(itertools.compress(model.texts, ~model.indispensable())) == ["▁abba"]
    smaller = SentencePieceProcessor(model_proto=model.trimmed(model.indispensable()))
    assert smaller.encode("abba xy", out_type=str) == ["▁", "a", "b", "b", "a", "▁", "xy"]


def _model(pieces: dict[str, float]) -> bytes:
    message = field(1, field(1, b"<unk>") + bytes([0x18, 2]))
    for text, score in pieces.items():
        message += field(1, field(1, text.encode()) + b"\x15" + struct.pack("<f", score))
    return message + field(2, bytes([0x18, 1])) + field(3, field(1, b"identity"))


def test_changed_tokens_are_those_cut_elsewhere(tmp_path):
    model = _written(tmp_path, _model({"▁ab": -1, "▁a": -3, "b": -3, "▁": -5, "a": -5, "c": -5}))
    keep = np.array([text != "▁ab" for text in model.texts])
    (tmp_path / "text").write_text("ab c\na\n")
    (tmp_path / "small.model").write_bytes(model.trimmed(keep))
    # ▁ab ▁ c | ▁a  ->  ▁a b ▁ c | ▁a: of four tokens the first is lost.
    assert changed(model, PieceModel.read(tmp_path / "small.model"), tmp_path / "text") == (4, 1)


def test_only_unigram_models(tmp_path):
    (tmp_path / "x.model").write_bytes(_model({"▁a": -1, "a": -2}).replace(bytes([0x18, 1]), bytes([0x18, 2])))
    with pytest.raises(DataError, match="expected a unigram model"):
        PieceModel.read(tmp_path / "x.model")


ARCHIVES = {"cc25": ("cc25", 2000), "ml50": ("ml50", 2000), "cc25 whole": ("cc25", None)}


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=pytest.mark.slow if "whole" in name else ()) for name in ARCHIVES]
)
def archive(request, tmp_path_factory) -> Path:
    """A backbone, once with the 250,027 embeddings of mBART-cc25, and a text and a lexicon of the same words."""
    preset, pieces = ARCHIVES[request.param]
    folder = tmp_path_factory.mktemp("archive") / preset
    lines = references()
    make_archive(folder, preset, pieces, [*lines, *FILLERS])
    (folder.parent / "text").write_text("".join(f"{line}\n" for line in lines[:4]))
    (folder.parent / "other").write_text("".join(f"{line}\n" for line in lines[4:]))
    words = sorted({word for line in lines for word in line.split() if word.isalpha()})
    rows = [f"{words[i]}\t{words[-i]}\t0.5\n" for i in range(5, 15)]
    (folder.parent / "lexicon").write_text("".join(rows))
    return folder


@pytest.fixture(scope="module")
def trimmed(archive) -> Path:
    """What is left of it for the text and the lexicon."""
    before = {path.name: sha256(path) for path in archive.iterdir()}
    use = Use([archive.parent / "text"], [archive.parent / "lexicon"])
    trim(archive, archive.parent / "trimmed", use, [archive.parent / "other"])
    assert {path.name: sha256(path) for path in archive.iterdir()} == before
    return archive.parent / "trimmed"


@pytest.mark.slow
def test_embeddings_dictionary_and_pieces_go_together(archive, trimmed):
    preset = PRESETS[archive.name]
    full, small = (preset.vocabulary(subwords.read_dictionary(folder / "dict.txt")) for folder in (archive, trimmed))
    ids = {symbol: i for i, symbol in enumerate(full)}
    assert len(small) < len(full) / 4
    assert small == sorted(small, key=ids.get)
    states = [read_checkpoint(folder / "model.pt")["model"] for folder in (archive, trimmed)]
    for name, weight in states[0].items():
        index = [ids[symbol] for symbol in small] if name in EMBEDDINGS else slice(None)
        assert torch.equal(states[1][name], weight[index])
    assert len({states[1][name].data_ptr() for name in EMBEDDINGS}) == 1
    assert subwords.model_pieces(subwords.load(trimmed / "sentence.bpe.model")) == small[4 : -len(preset.languages) - 1]


def test_what_switching_writes_is_in_the_vocabulary(archive, trimmed):
    lexicon = read_lexicon(archive.parent / "lexicon")

    def written(folder: Path, lexicon) -> list[str]:
        pieces = PRESETS[archive.name].vocabulary(subwords.read_dictionary(folder / "dict.txt"))
        encoded = encode_lexicon(lexicon, word_encoder(pieces, 3, folder / "sentence.bpe.model"))
        return [pieces[i] for i in encoded.word_pieces]

    for side in (lexicon, lexicon.inverted()):
        assert written(archive, side) == written(trimmed, side)


def test_logits_of_kept_pieces_stay(archive, trimmed):
    preset = PRESETS[archive.name]
    full, small = (preset.vocabulary(subwords.read_dictionary(folder / "dict.txt")) for folder in (archive, trimmed))
    rows = torch.tensor([full.index(symbol) for symbol in small])
    lines = (archive.parent / "text").read_text().splitlines()
    logits = [_logits(folder, preset, vocabulary, lines) for folder, vocabulary in ((archive, full), (trimmed, small))]
    assert logits[0].std() > 0.1
    torch.testing.assert_close(logits[1], logits[0][..., rows], rtol=0, atol=1e-5)


def _logits(folder: Path, preset, vocabulary: list[str], lines: list[str]) -> torch.Tensor:
    """What fairseq's model makes of some lines, each its own target."""
    from fairseq.data import Dictionary
    from fairseq.data.data_utils import collate_tokens
    from fairseq.models import ARCH_CONFIG_REGISTRY
    from fairseq.models.bart import BARTModel

    state = read_checkpoint(folder / "model.pt")
    dictionary = Dictionary()
    for symbol in vocabulary[4:]:
        dictionary.add_symbol(symbol)

    class Task:
        source_dictionary = target_dictionary = dictionary

    ARCH_CONFIG_REGISTRY["mbart_large"](state["args"])
    model = BARTModel.build_model(state["args"], Task()).eval()
    model.load_state_dict(state["model"])
    ids, language = {symbol: i for i, symbol in enumerate(vocabulary)}, vocabulary.index("[en_XX]")
    cut = subwords.load(folder / "sentence.bpe.model").encode(lines, out_type=str)
    assert all(piece in ids for line in cut for piece in line)
    rows = [
        torch.from_numpy(preset.language_ids.frame(np.array([ids[piece] for piece in line]), 2, language))
        for line in cut
    ]
    source, decoder = collate_tokens(rows, 1), collate_tokens([row.roll(1) for row in rows], 1)
    with torch.no_grad():
        return model(source, torch.tensor(list(map(len, rows))), decoder)[0]


def test_the_record_says_what_is_lost(archive, trimmed):
    record = read_json(trimmed / "trim.json")
    text, other = (record["tokens"][str(archive.parent / name)] for name in ("text", "other"))
    assert text["changed"] == 0 < other["changed"] < other["all"]
    assert record["rows"]["after"] == len(read_checkpoint(trimmed / "model.pt")["model"][EMBEDDINGS[0]])
    assert record["parameters"]["before"] - record["parameters"]["after"] == 16 * (
        record["rows"]["before"] - record["rows"]["after"]
    )


def test_min_count(tmp_path):
    make_archive(tmp_path / "full", pieces=400, lines=[*references(), *FILLERS])
    (tmp_path / "text").write_text("".join(f"{line}\n" for line in references()))
    sizes = []
    for count in (1, 60):
        record = trim(tmp_path / "full", tmp_path / str(count), Use([tmp_path / "text"], min_count=count))
        sizes.append((record["pieces"]["after"], record["tokens"][str(tmp_path / "text")]["changed"]))
    assert sizes[0][0] > sizes[1][0]
    assert sizes[0][1] == 0 < sizes[1][1]


def test_hugging_face_folder(tmp_path):
    make_archive(tmp_path / "full", pieces=400, lines=[*references(), *FILLERS])
    (tmp_path / "text").write_text("".join(f"{line}\n" for line in references(8)))
    use = Use([tmp_path / "text"])
    trim(tmp_path / "full", tmp_path / "ours", use)
    export_checkpoint(tmp_path / "ours/model.pt", tmp_path / "expected", languages=("de", "ro"))
    export_checkpoint(tmp_path / "full/model.pt", tmp_path / "theirs", languages=("de", "ro"))
    trim(tmp_path / "theirs", tmp_path / "found", use)
    names = {path.name for path in (tmp_path / "expected").iterdir()}
    assert {path.name for path in (tmp_path / "found").iterdir()} == names | {"trim.json"}
    for name in names:
        assert (tmp_path / "found" / name).read_bytes() == (tmp_path / "expected" / name).read_bytes()


def test_a_model_trained_here(tmp_path):
    from fairseq_plugins.models import read_model

    data = make_data(tmp_path / "data")
    checkpoint = make_checkpoint(tmp_path / "backbone/model.pt", data)
    (data / "dict.txt").rename(tmp_path / "backbone/dict.txt")
    (data / "spm.model").rename(tmp_path / "backbone/sentence.bpe.model")
    (tmp_path / "text").write_text("Two men talk.\n")
    record = trim(checkpoint.parent, tmp_path / "small", Use([tmp_path / "text"]))
    model = read_model(tmp_path / "small/model.pt", sentencepiece_model=tmp_path / "small/sentence.bpe.model")
    assert len(model.task.source_dictionary) == record["rows"]["after"] < record["rows"]["before"]


@pytest.mark.slow
def test_peak_memory(tmp_path):
    # 230 MiB, of which the embedding is two thirds.
    make_archive(tmp_path / "full", pieces=100_000, lines=FILLERS)
    write_checkpoint(make_state(PRESETS["cc25"].rows(100_000), layers=4, dim=384), tmp_path / "full/model.pt")
    (tmp_path / "text").write_text("".join(f"{line}\n" for line in references(8)))
    program = """
import resource, sys, torch, csr.backbone.trim
from csr.backbone.trim import Use, trim
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before = peak()
trim(sys.argv[1], sys.argv[2], Use([sys.argv[3]]))
print(peak() - before)
"""
    command = [sys.executable, "-c", program, *(str(tmp_path / name) for name in ("full", "small", "text"))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 1.3 * (tmp_path / "full/model.pt").stat().st_size


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda folder: (folder / "dict.txt").unlink(), "dict.txt: no such file"),
        (
            lambda folder: subwords.write_dictionary([f"x{i}" for i in range(400)], {}, folder / "dict.txt"),
            "expected the pieces of sentence.bpe.model, found mostly others",
        ),
        (
            lambda folder: subwords.write_dictionary(
                subwords.read_dictionary(folder / "dict.txt")[:-1], {}, folder / "dict.txt"
            ),
            "expected 429 embeddings",
        ),
        (lambda folder: (folder.parent / "text").unlink(), "text: no such file"),
    ],
)
def test_what_does_not_go_together_is_one_line(tmp_path, capsys, break_it, message):
    make_archive(tmp_path / "full", pieces=400, lines=[*references(), *FILLERS])
    (tmp_path / "text").write_text("a\n")
    break_it(tmp_path / "full")
    assert main(["trim", str(tmp_path / "full"), str(tmp_path / "out"), "--text", str(tmp_path / "text")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "text") == ["full"]


def test_the_folder_is_new(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="expected a new folder"):
        trim(tmp_path / "full", tmp_path, Use([]))
