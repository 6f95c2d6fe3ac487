"""Whatever a file holds, a reader reads it or says in one line what is wrong with it."""

from __future__ import annotations

import copy
import gzip
import json
import struct
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from backbones import make_archive, make_state
from evaluation_outputs import references
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from test_report import make_run

from csr import lexicon, lexicon_record
from csr.analysis import dynamics
from csr.backbone.checkpoints import architecture, read_checkpoint
from csr.backbone.encoder_hf import import_encoder
from csr.backbone.huggingface import import_folder
from csr.backbone.pieces import PieceModel
from csr.backbone.saved_settings import model_settings, task_settings
from csr.backbone.tokenizer import aligned_pieces
from csr.cli import main
from csr.data import ner, nli, rows, sampling, subwords, summaries, wordpiece
from csr.errors import CsrError, DataError
from csr.experiments.kinds import read_config
from csr.files import read_json, read_lines, write_json
from csr.induction import dictionaries, embeddings
from csr.report import matrix, write_report

CONFIGS = sorted((Path(__file__).parents[1] / "configs").rglob("*.yaml"))
DEEP = 1500  # more than Python's stack holds

# What other tools, other systems and accidents put into files.
_TOKENS = [
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\r",
    b"\n\n",
    b"\t",
    b"nan",
    b"-inf",
    b"1e308",
    b"1e999",
    b"-1",
    b"9" * 20,
]
_TOKENS += [b"null", b"{}", b'"', b"'", b": ", b"- ", b"&a ", b"*a", b"!!python/name:os.system ", b"<<: ", b"\\ud800"]
_TOKENS += [
    "\u2028\xa0".encode(),
    b"\xed\xa0\x80",
    b"|||",
    b"#",
    b"%",
    b"<doc",
    b"-DOCSTART-",
    b"\x1f\x8b",
    b"[" * DEEP,
]
_TOKENS += [b'{"a":' * DEEP, b"- " * DEEP, b"? " * DEEP]
_VALUES = [
    None,
    True,
    0,
    -1,
    2**70,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "a\nb",
    "\0",
    "../x",
    [],
    {},
    [[]],
    ["x"],
    {"a": 1},
]


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """A file with some bytes changed, left out, doubled or put in."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.sampled_from([1, 1, 2, 8, 40])))
        kind = draw(st.sampled_from(["flip", "token", "token", "drop", "end", "double", "line"]))
        if kind == "flip" and start < len(data):
            data[start] ^= 1 << draw(st.integers(0, 7))
        elif kind == "token":
            data[start:start] = draw(st.sampled_from(_TOKENS))
        elif kind == "drop":
            del data[start:end]
        elif kind == "end":
            del data[start:]
        elif kind == "double":
            data[start:start] = data[start:end]
        elif kind == "line":
            lines = data.split(b"\n")
            data = bytearray(b"\n".join(draw(st.permutations(lines)) if len(lines) < 9 else lines[1:]))
    return bytes(data)


@st.composite
def changed(draw: st.DrawFn, value: Any) -> Any:
    """Nested values with some replaced, left out or renamed."""
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 2))):
        places = list(_places(value))
        if not places:
            return draw(st.sampled_from(_VALUES))
        parent, key = draw(st.sampled_from(places))
        kind = draw(st.sampled_from(["replace", "replace", "drop", "rename"]))
        if kind == "replace":
            parent[key] = copy.deepcopy(draw(st.sampled_from(_VALUES)))
        elif kind == "rename" and isinstance(parent, dict):
            parent[f"{key}x"] = parent.pop(key)
        else:
            del parent[key]
    return value


def _places(value: Any) -> Any:
    if isinstance(value, (dict, list)):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])


def twice(read: Callable[[Path], Any], write: Callable[[Any, Path], None]) -> Callable[[Path], None]:
    """A reader of files that, what it has read, writes and reads again."""

    def both(path: Path) -> None:
        value = read(path)
        write(value, path.with_name("written"))
        read(path.with_name("written"))

    return both


def use_pieces(path: Path) -> None:
    model = subwords.load(path)
    model.encode(["A man", "人"])
    aligned_pieces(path)
    PieceModel.read(path).indispensable()


def use_words(path: Path) -> None:
    wordpiece.read(path).encode(["a b", "ab ?"])


def read_curves(path: Path) -> None:
    log = dynamics.read_log(path)
    for points in (log.train, log.valid):
        json.dumps([dynamics.curve(points, key) for key in ("loss", "ppl", "bleu")], allow_nan=False)


def use_lexicon(path: Path) -> None:
    read = lexicon.read_lexicon(path)
    lexicon_record.read_record(path)
    for made in (read, read.inverted(), read.cased(), lexicon.Lexicon.merged([(read, 1.0), (read, 2.0)])):
        lexicon.write_lexicon(made, path.with_name("written"))
        lexicon.read_lexicon(path.with_name("written"))


def use_dictionary(name: str) -> Callable[[Path], None]:
    def use(path: Path) -> None:
        lexicon.write_lexicon(dictionaries.FORMATS[name](path), path.with_name("written"))
        lexicon.read_lexicon(path.with_name("written"))

    return use


_LOG = b'2026-01-01 | INFO | train_inner | {"epoch": 1, "loss": "3.2", "ppl": "9.1", "num_updates": "100"}\n'
_LOG += (
    b'2026-01-01 | INFO | valid | {"epoch": 1, "valid_loss": "3.0", "valid_num_updates": "100", "valid_bleu": "1"}\n'
)
_JSON = b'{"document": "A b. C d.", "summary": "A", "source_lang": "en", "target_lang": "zh"}\n'
_NCLS = b"<doc id=1>\n<Article>\nA b. C d.\n</Article>\n<ZH-REF>\nx\n</ZH-REF>\n</doc>\n"
_XNLI = b"language\tgold_label\tsentence1\tsentence2\nde\tneutral\ta b\tc d\nfr\tentailment\te\tf\n"
_VECTORS = np.array([[1, -2, 3, 0.1]], "<f4").tobytes()
# By name: the end of the file's name, its content, and what reads it.
READERS: dict[str, tuple[str, bytes, Callable[[Path], Any]]] = {
    "lines": ("", "a b\nc d\r\nä\n".encode(), lambda path: list(read_lines(path))),
    "lines.gz": (".gz", gzip.compress(b"a b\nc d\n"), lambda path: list(read_lines(path))),
    "json": (".json", b'{"a": [1, 2.5, null], "b": {"c": "d"}}', read_json),
    "lexicon": (".tsv", "haus\thouse\t0.5\nhaus\thome\t1e-3\nça va\tit goes\t2\n".encode(), use_lexicon),
    "muse": ("", b"haus house\nbaum\ttree\n", use_dictionary("muse")),
    "fast_align": ("", b"haus house -0.5\n<eps> house -1e-3\nbaum tree -2\n", use_dictionary("fast_align")),
    "moses": ("", b"house haus 0.5\nNULL haus 0.1\n", use_dictionary("moses")),
    "gold": ("", b"haus\thouse\t1\n", dictionaries.read_gold),
    "vectors": (
        ".vec",
        b"2 4\nhaus 0.5 1 -2 3e-1\nnew york 1 1 1 1\n",
        twice(embeddings.read_embeddings, embeddings.write_embeddings),
    ),
    "vectors without a header": (".vec", b"haus 0.5 1 -2 3e-1\nbaum 1 2 3 4\n", embeddings.read_embeddings),
    "binary vectors": (
        ".bin",
        b"2 4\nhaus " + _VECTORS + b"\nbaum " + _VECTORS + b"\n",
        embeddings.read_embeddings,
    ),
    "nli": (".tsv", b"premise\thypothesis\tlabel\na b\tc d\tentailment\n", nli.read_nli),
    "xnli": (".tsv", _XNLI, lambda path: nli.read_nli(path, "de")),
    "nli.jsonl": (".jsonl", b'{"sentence1": "a b", "sentence2": "c", "gold_label": "neutral"}\n', nli.read_nli),
    "ner": (
        "",
        b"de:Anna\tB-PER\nsah\tO\n\nRom B-LOC\n",
        twice(lambda path: ner.read_ner(path)[0], ner.write_ner),
    ),
    "summaries": (".jsonl", _JSON, lambda path: summaries.read_summaries(path, "en", "zh")),
    "ncls": ("", _NCLS, lambda path: summaries.read_summaries(path, "en", "zh")),
    "documents": (".json", b'{"text": "A b.\\nC d.", "url": "x"}\n', lambda path: list(sampling.documents(path))),
    "dictionary": (".txt", b"a 3\nb 2\nc 1 #fairseq:overwrite\n", subwords.read_dictionary),
    "vocabulary": (
        ".txt",
        b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##a\n",
        lambda path: wordpiece.read_vocabulary(path, lowercase=True).encode(["a b"]),
    ),
    "outputs": (".tsv", b"arm\tmodel\ttest\thyp\tref\na\tb\tc\td\te\n", matrix.read_outputs),
    "log": (".log", _LOG, read_curves),
    "config": (".yaml", CONFIGS[0].read_bytes(), read_config),
}


def attempt(read: Callable[[Path], Any], path: Path) -> None:
    """Read a file; anything but a value or a line of ours fails the test."""
    try:
        read(path)
    except CsrError as error:
        message = str(error)
    else:
        message = "read"
    assert len(message.splitlines()) == 1, message


def examples(n: int) -> settings:
    """So many of the hundred that CI draws of other properties, and the same share of fewer."""
    return settings(max_examples=n * settings.default.max_examples // 100)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@pytest.mark.parametrize("name", READERS)
def test_readers_of_text_and_tables(name: str, folder: Path) -> None:
    end, whole, read = READERS[name]
    path = folder / f"{name}{end}"
    path.write_bytes(whole)
    read(path)

    @examples(60)
    @given(damaged(whole))
    def reads(data: bytes) -> None:
        path.write_bytes(data)
        attempt(read, path)

    reads()


@pytest.mark.slow
@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_settings_of_experiments(path: Path, folder: Path) -> None:
    whole, at = yaml.safe_load(path.read_text()), folder / "changed.yaml"

    @examples(15)
    @given(changed(whole))
    def reads(value: Any) -> None:
        at.write_text(yaml.safe_dump(value))
        attempt(read_config, at)

    reads()


@pytest.mark.parametrize("name", ["nli.jsonl", "summaries", "documents"])
def test_objects_in_lines(name: str, folder: Path) -> None:
    end, whole, read = READERS[name]
    path = folder / f"objects{end}"

    @examples(40)
    @given(changed(json.loads(whole)))
    def reads(value: Any) -> None:
        path.write_text(json.dumps(value) + "\n")
        attempt(read, path)

    reads()


def test_vocabularies(folder: Path) -> None:
    subwords.train([references(24)], 90, folder / "spm.model")
    (folder / "vocab.txt").write_bytes(READERS["vocabulary"][1])
    wordpiece.read_vocabulary(folder / "vocab.txt", lowercase=True).tokenizer.save(str(folder / "tokenizer.json"))
    model = (folder / "spm.model").read_bytes()
    # Most of a model is its table of characters; the pieces come first.
    pieces = model.index(b"\x12", 900)

    @examples(60)
    @given(damaged(model[:pieces]).map(lambda data: data + model[pieces:]) | damaged(model))
    def sentencepiece(data: bytes) -> None:
        (folder / "damaged.model").write_bytes(data)
        attempt(use_pieces, folder / "damaged.model")

    @examples(60)
    @given(changed(json.loads((folder / "tokenizer.json").read_text())))
    def tokenizer(value: Any) -> None:
        (folder / "damaged.json").write_text(json.dumps(value))
        attempt(use_words, folder / "damaged.json")

    sentencepiece()
    tokenizer()


def test_binary_rows(folder: Path) -> None:
    rows.write_index(folder / "rows", np.array([2, 3]), np.dtype(np.int32))
    whole = (folder / "rows.idx").read_bytes()
    (folder / "rows.bin").write_bytes(bytes(20))

    @examples(60)
    @given(damaged(whole))
    def reads(data: bytes) -> None:
        (folder / "rows.idx").write_bytes(data)
        attempt(lambda _: rows.read_rows(folder / "rows")[0].sum(), folder)

    reads()


def test_checkpoints(folder: Path) -> None:
    """Damaged bytes, and whole files with other settings: what is not refused can be asked what it is."""
    state = make_state(540, layers=1, dim=4)
    state["model"] = {name: weight for name, weight in state["model"].items() if "positions" not in name}
    torch.save(state, folder / "model.pt")
    whole, path = (folder / "model.pt").read_bytes(), folder / "damaged.pt"

    def read(path: Path) -> None:
        found = read_checkpoint(path)
        architecture(found)
        model_settings(found), str(task_settings(found).get("langs")).split(",")

    @examples(60)
    @given(damaged(whole[-20_000:]).map(lambda data: whole[:-20_000] + data) | damaged(whole))
    def bytes_of_it(data: bytes) -> None:
        path.write_bytes(data)
        attempt(read, path)

    plain = {"args": vars(state["args"]), "optimizer_history": state["optimizer_history"]}

    @examples(60)
    @given(changed(plain), st.booleans())
    def settings_of_it(value: Any, new: bool) -> None:
        assume(isinstance(value, dict))
        arguments = value.get("args")
        if new:
            value = {**value, "cfg": {"model": arguments, "task": arguments}, "args": None}
        elif isinstance(arguments, dict):
            value["args"] = Namespace(**{str(key): item for key, item in arguments.items()})
        torch.save({**state, **value}, path)
        attempt(read, path)

    bytes_of_it()
    settings_of_it()
    for weight in (torch.zeros(()), torch.zeros(3), torch.zeros(0, 0)):
        torch.save({**state, "model": dict.fromkeys(state["model"], weight)}, path)
        attempt(read, path)


def test_hugging_face_folders(folder: Path) -> None:
    make_archive(folder / "archive", "cc25", 500, references(), layers=1, dim=4)
    assert main(["export-hf", str(folder / "archive/model.pt"), str(folder / "hf")]) == 0
    config = read_json(folder / "hf/config.json")

    @examples(40)
    @given(changed(config) | changed({**config, "model_type": "xlm-roberta"}) | st.sampled_from(_VALUES))
    def reads(value: Any) -> None:
        (folder / "hf/config.json").write_text(json.dumps(value))
        attempt(lambda path: import_folder(path, folder / "out"), folder / "hf")
        attempt(lambda path: import_encoder(path, folder / "out"), folder / "hf")

    weights = (folder / "hf/model.safetensors").read_bytes()

    @examples(40)
    @given(damaged(weights[:5000]).map(lambda data: data + weights[5000:]))
    def safetensors(data: bytes) -> None:
        (folder / "hf/model.safetensors").write_bytes(data)
        attempt(lambda path: import_folder(path, folder / "out"), folder / "hf")

    reads()
    write_json(folder / "hf/config.json", config)
    safetensors()


@pytest.mark.slow
def test_run_folders(folder: Path) -> None:
    run = make_run(folder / "run", seeds=(1,), n=4)
    files = [path for path in sorted(run.rglob("*")) if path.suffix in (".json", ".yaml", ".log", ".tsv")]

    @settings(max_examples=6, suppress_health_check=[HealthCheck.too_slow])
    @given(st.data())
    def reads(data: st.DataObject) -> None:
        path = data.draw(st.sampled_from(files))
        whole = path.read_bytes()
        if path.suffix in (".json", ".yaml"):
            load = json.loads if path.suffix == ".json" else yaml.safe_load
            content = json.dumps(data.draw(changed(load(whole)))).encode()
        else:
            content = data.draw(damaged(whole))
        path.write_bytes(content)
        try:
            attempt(lambda _: write_report([run], run / "report.html"), path)
        finally:
            path.write_bytes(whole)

    reads()


@pytest.mark.slow
def test_values_too_deep_in_one_another(folder: Path) -> None:
    (folder / "deep.json").write_text("[" * DEEP + "]" * DEEP)
    (folder / "deep.yaml").write_text("data: " + "[" * DEEP + "]" * DEEP)
    (folder / "deep.jsonl").write_text('{"text": ' + "[" * DEEP + "]" * DEEP + "}")
    for read, name in (
        (read_json, "deep.json"),
        (read_config, "deep.yaml"),
        (lambda path: list(sampling.documents(path)), "deep.jsonl"),
    ):
        with pytest.raises(CsrError, match=rf"{name}.*: expected .*values too deep in one another"):
            read(folder / name)


@pytest.mark.parametrize(
    "rest", [b"", bytes(200), b"\xff" * 200, struct.pack("<12i", 4, 5, 5, 1, 5, 1, 1, 1, 0, 3, 6, 9)]
)
def test_damaged_fasttext_models(rest: bytes, folder: Path) -> None:
    (folder / "cc.bin").write_bytes(struct.pack("<2i", 793712314, 12) + rest)
    with pytest.raises(DataError, match=r"cc\.bin: expected a fastText model, found a damaged or another one"):
        embeddings.read_embeddings(folder / "cc.bin")
