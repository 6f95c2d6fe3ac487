"""Files that bring code or lead elsewhere: nothing runs, and nothing is read or written outside its place."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from backbones import make_archive
from evaluation_outputs import references
from tiny_checkpoint import make_checkpoint, make_data

from csr.backbone.checkpoints import read_checkpoint
from csr.cli import main
from csr.data.vocabulary import piece_encoder
from csr.errors import ConfigError, DataError
from csr.experiments.transfer import Finetuned, Test, translate_all
from csr.lexicon import read_lexicon
from csr.settings import read_yaml
from csr.switching.encoded import EncodedLexicon, encode_lexicon, encoded_lexicon


class Evil:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple:
        return open, (self.path, "w")


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """A file that hostile files try to make."""
    (tmp_path / "marker").mkdir()
    return tmp_path / "marker/it-ran"


def test_yaml_makes_no_objects(tmp_path: Path, marker: Path) -> None:
    for tag in ("apply:os.system", "new:os.system", "object/apply:os.system"):
        (tmp_path / "config.yaml").write_text(f"data: !!python/object/{tag} ['touch {marker}']\n")
        with pytest.raises(ConfigError, match=r"config\.yaml:1: expected YAML, found could not determine"):
            read_yaml(tmp_path / "config.yaml")
    (tmp_path / "config.yaml").write_text("data: {}\n")
    with pytest.raises(ConfigError, match="--set data:1: expected YAML, found could not determine"):
        read_yaml(tmp_path / "config.yaml", [f"data=!!python/object/apply:os.system ['touch {marker}']"])
    assert not marker.exists()


def test_arrays_hold_no_objects(tmp_path: Path, marker: Path) -> None:
    """A lexicon that comes with its encoded form, as a run folder has it."""
    path = tmp_path / "lexicon.tsv"
    path.write_text("a\tb\t1\n")
    words = ["<s>", "a", "b"]

    def encoded() -> EncodedLexicon:
        return encoded_lexicon(path, {}, words, lambda: encode_lexicon(read_lexicon(path), piece_encoder(words)))

    encoded()
    (folder,) = (tmp_path / "lexicon.tsv.encoded").iterdir()
    for array in sorted(folder.iterdir()):
        whole = array.read_bytes()
        np.save(array, np.array([Evil(marker)], dtype=object), allow_pickle=True)
        with pytest.raises(DataError, match="expected an encoded lexicon, found a damaged one"):
            encoded()
        array.write_bytes(whole)
    assert not marker.exists()


def test_the_parts_of_a_hugging_face_model_lie_in_its_folder(tmp_path: Path) -> None:
    make_archive(tmp_path / "archive", "cc25", 500, references(), layers=1, dim=4)
    folder = tmp_path / "hf"
    assert main(["export-hf", str(tmp_path / "archive/model.pt"), str(folder)]) == 0
    (folder / "model.safetensors").rename(tmp_path / "outside.safetensors")
    for name in ("../outside.safetensors", str(tmp_path / "outside.safetensors"), "..", "", 7, None, ["x"]):
        index = {"weight_map": {"model.shared.weight": name}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
        with pytest.raises(DataError):
            read_checkpoint(folder)


def test_code_in_a_hugging_face_folder_does_not_run(
    tmp_path: Path, marker: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("configuration_evil", "modeling_evil", "tokenization_evil"):
        (tmp_path / f"{name}.py").write_text(f"open({str(marker)!r}, 'w')\n")
    classes = {"AutoConfig": "configuration_evil.Evil", "AutoModel": "modeling_evil.Evil"}
    config = {"model_type": "evil", "auto_map": classes, "tokenizer_class": "Evil"}
    tokenizer = {"auto_map": {"AutoTokenizer": ["tokenization_evil.Evil", None]}, "tokenizer_class": "Evil"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    (tmp_path / "text").write_text("a\nb\nc\n")
    command = f"domain --pretraining en={tmp_path}/text --downstream de={tmp_path}/text --hugging-face {tmp_path}"
    assert main([*command.split(), "--out", str(tmp_path / "out")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert main(["import-hf", str(tmp_path), str(tmp_path / "out")]) == 2
    assert not marker.exists()


@pytest.mark.parametrize("name", ["../evil", "a/b", "/tmp/evil", "..", ".hidden", "a\0b", ""])
def test_names_that_lead_elsewhere_are_refused(name: str, tmp_path: Path) -> None:
    """Of test sets, splits and languages: they become parts of the names of files."""
    place = tmp_path / "deep/out"
    nothing = tmp_path / "text"
    nothing.write_text("a\n")
    with pytest.raises(ConfigError, match="expected a name that can be part of a file's"):
        zero_shot_names(name, nothing, place)
    model = Finetuned("csr", name, 1, nothing, nothing)
    with pytest.raises(ConfigError, match="expected a name that can be part of a file's"):
        translate_all([model], [Test("de", nothing, nothing)], place, lambda _: lambda lines, language: list(lines))
    model = Finetuned("csr", "de", 1, nothing, nothing)
    with pytest.raises(ConfigError, match="expected a name that can be part of a file's"):
        translate_all([model], [Test(name, nothing, nothing)], place, lambda _: lambda lines, language: list(lines))
    if "\0" not in name:
        out = ["--out", str(place)]
        assert main(["prepare-text", "--text", f"{name}={nothing}", *out]) == 2
    assert {path.name for path in tmp_path.rglob("*")} == {"text"}


def zero_shot_names(name: str, file: Path, out: Path) -> None:
    from csr.experiments.zero_shot import TestSet, evaluate

    evaluate(None, {name: TestSet(file, "en")}, out)  # type: ignore[arg-type]


def test_a_checkpoint_cannot_name_files(tmp_path: Path) -> None:
    """Its languages name the dictionary that is written to read it."""
    from fairseq_plugins.models import read_model

    data = make_data(tmp_path / "data")
    make_checkpoint(tmp_path / "whole.pt", data)
    state = read_checkpoint(tmp_path / "whole.pt")
    state["cfg"]["task"]["source_lang"] = f"/../../..{tmp_path}/evil"
    torch.save(state, tmp_path / "model.pt")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ConfigError, match=r"model\.pt: language: expected a name that can be part of a file's"):
        read_model(tmp_path / "model.pt", sentencepiece_model=data / "spm.model")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_comet_checkpoint_runs_no_code(tmp_path: Path, marker: Path) -> None:
    pytest.importorskip("comet")
    from csr.evaluation import comet

    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "hparams.yaml").write_text("class_identifier: regression_metric\n")
    torch.save({"state_dict": {}, "more": Evil(marker)}, tmp_path / "checkpoints/model.ckpt")
    with pytest.raises(ConfigError, match="cannot be loaded"):
        comet.comet(["a"], ["a"], ["a"], str(tmp_path))
    (tmp_path / "hparams.yaml").write_text(f"x: !!python/object/apply:os.system ['touch {marker}']\n")
    with pytest.raises(ConfigError, match="cannot be loaded"):
        comet.comet(["b"], ["b"], ["b"], str(tmp_path / "checkpoints/model.ckpt"))
    assert not marker.exists()
