"""mBART as a start: ids as in its pretraining, what does not fit named before training, and no code run by loading."""

from __future__ import annotations

import copy
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from backbones import make_archive, make_data
from evaluation_outputs import references

from csr.backbone.checkpoints import EMBEDDINGS, read_checkpoint, write_checkpoint
from csr.backbone.presets import PRESETS, check_rows
from csr.cli import main
from csr.errors import ConfigError, DataError

ENGLISH = references(24)
GERMAN = [line[::-1] for line in ENGLISH]
SIZES = "--encoder-layers 2 --encoder-embed-dim 16 --encoder-ffn-embed-dim 32 --encoder-attention-heads 2"
SIZES += " " + SIZES.replace("encoder", "decoder")


class Evil:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    """mBART-cc25 with 500 pieces."""
    return make_archive(tmp_path_factory.mktemp("cc25") / "archive", "cc25", 500, ENGLISH + GERMAN)


@pytest.fixture(scope="module")
def data(archive) -> Path:
    return make_data(archive, archive.parent / "bin", {"de": GERMAN, "en": ENGLISH})


def arguments(data: Path, *options: object, task: str = "csr_translation") -> list[str]:
    """The arguments of fairseq-train."""
    command = f"{data} --task {task} --source-lang de --target-lang en --preset cc25 --arch mbart_large --cpu {SIZES}"
    command += " --encoder-normalize-before --decoder-normalize-before --layernorm-embedding --share-all-embeddings"
    command += " --criterion label_smoothed_cross_entropy --optimizer adam --lr 0.001 --max-tokens 300 --seed 1"
    return [*command.split(), *map(str, options)]


def start(data: Path, *options: object, **settings: str):
    """Build the model as fairseq-train does before it reads the checkpoint."""
    from fairseq import options as fairseq_options
    from fairseq.dataclass.utils import convert_namespace_to_omegaconf
    from fairseq.tasks import setup_task

    import fairseq_plugins  # noqa: F401

    parser = fairseq_options.get_training_parser()
    config = convert_namespace_to_omegaconf(
        fairseq_options.parse_args_and_arch(parser, arguments(data, *options, **settings))
    )
    return setup_task(config.task).build_model(config.model)


def changed(archive: Path, path: Path, change) -> Path:
    """Write the archive's checkpoint after a change to its state."""
    state = copy.deepcopy(read_checkpoint(archive / "model.pt"))
    change(state)
    write_checkpoint(state, path)
    return path


def test_ids_are_those_of_the_pretraining(tmp_path):
    from fairseq.tasks import TASK_DATACLASS_REGISTRY, setup_task
    from omegaconf import OmegaConf

    import fairseq_plugins  # noqa: F401

    lines = "".join(f"w{i} 1\n" for i in range(249_997))
    (tmp_path / "bin").mkdir()
    for language in ("en", "ro"):
        (tmp_path / "bin" / f"dict.{language}.txt").write_text(lines)

    for preset, mask in (("cc25", 250_026), ("ml50", 250_053)):
        config = OmegaConf.structured(TASK_DATACLASS_REGISTRY["csr_translation"])
        values = {"_name": "csr_translation", "data": str(tmp_path / "bin"), "preset": preset, "seed": 1}
        task = setup_task(OmegaConf.merge(config, values | {"source_lang": "en", "target_lang": "ro"}))
        assert (task.language_id("en"), task.language_id("ro_RO")) == (250_004, 250_020)
        assert task.tgt_dict.index("<mask>") == mask == len(task.tgt_dict) - 1
        assert task.symbols.language_ids is PRESETS[preset].language_ids
        assert task.tgt_dict.symbols == PRESETS[preset].vocabulary(task.tgt_dict.symbols[4:250_001])


@pytest.mark.parametrize(
    ("rows", "pieces", "missing"),
    [
        (250_026, 249_997, "<mask> is missing from the checkpoint"),
        (250_001, 249_997, "the 25 languages are missing from the checkpoint"),
        (250_054, 249_997, "the 52 languages are those of the preset ml50"),
        (250_027, 249_990, "7 lines are missing from the dictionary"),
        (4_000, 249_997, "the checkpoint is of a trimmed or of another model"),
        (4_000, 3_000, "checkpoint and dictionary are of different models"),
    ],
)
def test_a_mismatch_of_sizes_says_what_is_missing(rows, pieces, missing):
    with pytest.raises(DataError) as found:
        check_rows(PRESETS["cc25"], rows, pieces, "model.pt", "dict.txt")
    assert str(found.value) == (
        f"model.pt: expected {pieces + 30:,} embeddings ({pieces:,} lines of dict.txt + 4 special symbols + 25 "
        f"languages + <mask>), found {rows:,}: {missing}"
    )


def test_presets_are_those_of_transformers():
    from transformers.models.mbart import tokenization_mbart
    from transformers.models.mbart50 import tokenization_mbart50

    assert list(PRESETS["cc25"].languages) == tokenization_mbart.FAIRSEQ_LANGUAGE_CODES
    assert list(PRESETS["ml50"].languages) == tokenization_mbart50.FAIRSEQ_LANGUAGE_CODES


@pytest.mark.slow
def test_a_checkpoint_that_fits_is_loaded_and_a_wrong_one_named(archive, data, tmp_path):
    begin = "--finetune-from-model"
    assert start(data, begin, archive / "model.pt", task="csr_restore") is not None

    def refused(path: Path, message: str, *options: object) -> None:
        with pytest.raises((DataError, ConfigError), match=re.escape(message)):
            start(data, begin, path, *options)

    path = tmp_path / "model.pt"
    refused(path, f"{path}: no such file")
    path.write_bytes((archive / "model.pt").read_bytes()[:100_000])
    refused(path, f"{path}: expected a whole checkpoint, found a damaged file, a part of one or none")
    path.write_bytes(b"weights")
    refused(path, f"{path}: expected a whole checkpoint")
    torch.save({"weights": 1}, path)
    refused(path, f"{path}: expected a fairseq checkpoint with its model, found something else")

    def one_row_less(state):
        state["model"] |= dict.fromkeys(EMBEDDINGS, state["model"][EMBEDDINGS[0]][:-1].clone())

    refused(changed(archive, path, one_row_less), "found 529: <mask> is missing from the checkpoint")
    fine = archive / "model.pt"
    refused(fine, "with encoder layers 3, as the settings say, found encoder layers 2", "--encoder-layers", 3)
    refused(fine, "with dim 32, as the settings say, found dim 16", "--encoder-embed-dim", 32)
    refused(fine, "with activation relu, as the settings say, found activation gelu", "--activation-fn", "relu")
    refused(fine, "with heads 4", "--encoder-attention-heads", 4)
    main(["export-hf", str(fine), str(tmp_path / "hf")])
    main(["import-hf", str(tmp_path / "hf"), str(tmp_path / "back")])
    assert start(data, begin, tmp_path / "back/model.pt") is not None
    shutil.copytree(data, tmp_path / "bin")
    lines = (archive / "dict.txt").read_text().splitlines(keepends=True)
    for language in ("de", "en"):
        (tmp_path / "bin" / f"dict.{language}.txt").write_text("".join(lines[::-1]))
    with pytest.raises(DataError, match="found one of other pieces or in another order"):
        start(tmp_path / "bin", begin, tmp_path / "back/model.pt")
    with pytest.raises(ConfigError, match="--langs: expected none beside --preset"):
        start(data, "--langs", "de,en")


@pytest.mark.parametrize("zipped", [True, False])
def test_a_checkpoint_that_would_run_code_is_refused(archive, data, tmp_path, zipped):
    state, made = read_checkpoint(archive / "model.pt"), tmp_path / "made"
    path = tmp_path / "model.pt"
    state["extra_state"]["more"] = Evil(made)
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(DataError, match=r"refused: reading it would call \w*\.open, which is not needed"):
        start(data, "--finetune-from-model", path)
    folder = tmp_path / "hf"
    main(["export-hf", str(archive / "model.pt"), str(folder)])
    (folder / "model.safetensors").unlink()
    torch.save({"model.shared.weight": Evil(made)}, folder / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    assert main(["import-hf", str(folder), str(tmp_path / "out")]) == 2
    assert not made.exists()
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_fairseq_train_says_so_in_one_line(archive, data, tmp_path):
    def fairseq_train(*options: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "fairseq_cli.train", *arguments(data, *options), "--no-save"]
        command += ["--user-dir", str(Path(__file__).parents[1] / "fairseq_plugins")]
        return subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )

    state = read_checkpoint(archive / "model.pt")
    state["extra_state"]["more"] = Evil(tmp_path / "made")
    torch.save(state, tmp_path / "model.pt")
    result = fairseq_train("--finetune-from-model", tmp_path / "model.pt")
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert re.fullmatch(r"train\.py: error: \S+model\.pt: refused: .*", result.stderr.splitlines()[-1])
    assert not (tmp_path / "made").exists()


@pytest.mark.slow
def test_a_relaunch_resumes_instead_of_starting_over(archive, data, tmp_path, caplog):
    """Both stages: from the backbone the first time, from their own last checkpoint afterwards."""
    from fairseq import options as fairseq_options
    from fairseq.dataclass.utils import convert_namespace_to_omegaconf
    from fairseq_cli import train

    import fairseq_plugins  # noqa: F401

    def run(task: str, begin: Path, updates: int) -> dict:
        folder = tmp_path / task
        options = ["--finetune-from-model", begin, "--save-dir", folder, "--max-update", updates]
        options += ["--disable-validation", "--no-epoch-checkpoints", "--save-interval-updates", 2]
        options += ["--replace", "mask"] if task == "csr_restore" else []
        caplog.clear()
        with caplog.at_level("INFO"), caplog.at_level("INFO", logger="fairseq"):
            parser = fairseq_options.get_training_parser()
            parsed = fairseq_options.parse_args_and_arch(parser, arguments(data, *options, task=task))
            train.main(convert_namespace_to_omegaconf(parsed))
        return read_checkpoint(folder / "checkpoint_last.pt")

    first = archive / "model.pt"
    for task in ("csr_restore", "csr_translation"):
        state = run(task, first, 2)
        assert f"loading pretrained model from {first}" in caplog.text
        assert state["optimizer_history"][-1]["num_updates"] == 2  # not 500,002: the optimizer is new
        state = run(task, first, 4)
        assert "loading pretrained model" not in caplog.text
        assert re.search(r"Loaded checkpoint \S+checkpoint_last\.pt .*@ 2 updates", caplog.text)
        assert state["optimizer_history"][-1]["num_updates"] == 4
        first = tmp_path / task / "checkpoint_last.pt"
