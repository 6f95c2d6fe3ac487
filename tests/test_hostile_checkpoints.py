"""What a checkpoint says of its model is data: whatever else it may be, nothing in it is run, by csr or by fairseq."""

from __future__ import annotations

import contextlib
import copy
import re
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_checkpoint import make_checkpoint, make_data

from csr.backbone.checkpoints import read_checkpoint
from csr.backbone.saved_settings import _calls, check_state, task_settings
from csr.cli import main
from csr.errors import DataError

State = dict[str, Any]
Change = Callable[[State, str], None]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_data(tmp_path_factory.mktemp("hostile"))
    make_checkpoint(folder / "model.pt", folder, updates=7)
    return folder


def model_setting(name: str, of: str = "{}", **others: Any) -> Change:
    """A model setting with code in it, and perhaps others that lead to the place where fairseq evaluates it."""

    def change(state: State, code: str) -> None:
        model = state["cfg"]["model"]
        (vars(model) if isinstance(model, Namespace) else model).update({name: of.format(code), **others})

    return change


def section(name: str, **settings: Any) -> Change:
    return lambda state, code: state["cfg"].update({name: {k: code if v is ... else v for k, v in settings.items()}})


def old(state: State, code: str) -> None:
    """fairseq before 0.11: one flat namespace."""
    state["args"] = Namespace(arch="mbart_large", task="translation", adaptive_softmax_cutoff=code)
    state["cfg"] = None


def split_up(state: State, code: str) -> None:
    """No text is code by itself; OmegaConf puts them together."""
    model_setting("a", code[:4])(state, code)
    model_setting("b", code[4:])(state, code)
    model_setting("adaptive_softmax_cutoff", "${{model.a}}${{model.b}}")(state, code)


HOSTILE: dict[str, Change] = {
    "softmax": model_setting("adaptive_softmax_cutoff"),
    "attention": model_setting("xformers_att_config"),
    "spaces before": model_setting("adaptive_softmax_cutoff", " \t{}"),
    "formatted": model_setting("adaptive_softmax_cutoff", 'f"{{{}}}"'),
    "in a list": model_setting("adaptive_softmax_cutoff", "[10, {}]"),
    "old": old,
    "put together": split_up,
    "characters": model_setting("character_filters", _name="transformer_lm", character_embeddings=True),
    "another model": model_setting("encoder_layers", "[({}, 3)]", _name="fconv", arch="fconv"),
    "known model, unknown architecture": model_setting("quiet", "no code", arch="lightconv"),
    "a model that is named by its only setting": lambda state, code: state["cfg"].update(model={"fconv": {}}),
    "the task's program": section("task", _name="audio_pretraining", post_save_script="touch x"),
    "a task of the old kind": section("task", task="speech_to_text", _name="translation"),
    "the criterion's arguments": section("criterion", _name="ctc", wer_args=...),
    "the criterion's file": section("criterion", _name="sentence_ranking", save_predictions="x"),
    "the optimiser's": section("optimizer", _name="adam", adam_betas=...),
    "an object": lambda state, code: state["cfg"].update(more=torch.ones(1)),
    "settings that are text": lambda state, code: state.update(cfg=code),
    "a section that is text": lambda state, code: state["cfg"].update(model=code),
    "a number that is text": model_setting("encoder_layers"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_settings_that_are_no_data_are_refused_before_anything_is_built(
    name: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from fairseq import checkpoint_utils

    import fairseq_plugins  # noqa: F401

    state, path, marker = read_checkpoint(data / "model.pt"), tmp_path / "model.pt", tmp_path / "marker"
    code = f"open({str(marker)!r}, 'w') and [10]"
    HOSTILE[name](state, code)
    torch.save(state, path)
    for read in (
        lambda: read_checkpoint(path),
        lambda: checkpoint_utils.load_checkpoint_to_cpu(str(path)),
        lambda: checkpoint_utils.load_model_ensemble_and_task([str(path)]),
    ):
        with pytest.raises(DataError, match=f"^{re.escape(str(path))}: "):
            read()
    assert main(f"distance --checkpoint {path} --data {data / 'bin'}".split()) == 2
    assert main(f"strip {path} {tmp_path / 'small.pt'}".split()) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2, lines
    assert all(str(path) in line for line in lines)
    assert {file.name for file in tmp_path.iterdir()} == {"model.pt"}


def test_these_checkpoints_run_code_where_nothing_is_checked(data: Path, tmp_path: Path) -> None:
    """That the test above can fail: fairseq's own reader, and its builder, do what the setting says."""
    from fairseq import checkpoint_utils

    from fairseq_plugins import checkpoints

    state, path, marker = read_checkpoint(data / "model.pt"), tmp_path / "model.pt", tmp_path / "marker"
    HOSTILE["softmax"](state, f"open({str(marker)!r}, 'w') and [10]")
    torch.save(state, path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint_utils, "load_checkpoint_to_cpu", checkpoints._load_checkpoint)
        with pytest.raises(DataError):  # the weights do not fit this softmax
            checkpoint_utils.load_model_ensemble_and_task([str(path)])
    assert marker.exists()


def test_settings_as_they_are_published_are_data() -> None:
    texts = (
        "[(512, 3)] * 20",
        "(0.9, 0.98)",
        "/data/de-en (old)/bin",
        "it's (",
        '{"beam": 5}',
        "en_XX,de_DE",
        "a\0b(c",
    )
    check_state({"args": Namespace(arch="bart_large", task="translation", texts=list(texts), lr=[1e-3], x=None)}, "x")
    check_state({"cfg": {"model": Namespace(_name="roberta_base", ratios={0: 0.5}), "task": None}}, "x")
    check_state({"model": {}, "cfg": None, "args": None}, "x")
    assert task_settings({"args": Namespace(langs=["en_XX", "de_DE"])}) == {"langs": "en_XX,de_DE"}


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.pop("optimizer_history"),
        lambda state: state.update(optimizer_history=[]),
        lambda state: state.update(optimizer_history=[{}]),
        lambda state: state.update(optimizer_history=[3]),
        lambda state: state.update(optimizer_history=[{"num_updates": "7"}]),
        lambda state: state.update(extra_state=[]),
        lambda state: state.update(task_state="x"),
        lambda state: state.update(model={}),
        lambda state: state.update(cfg={}),
        lambda state: state["cfg"].pop("model"),
        lambda state: state["cfg"].pop("task"),
        lambda state: state["cfg"]["task"].pop("_name"),
        lambda state: state["cfg"]["task"].update(source_lang=None),
        lambda state: state["cfg"]["task"].update(langs="a/b,,"),
        lambda state: state["cfg"]["task"].update(preset="cc26"),
        lambda state: state["model"].pop("decoder.layers.0.fc1.weight"),
        lambda state: state["model"].update({"encoder.embed_tokens.weight": torch.zeros(())}),
        lambda state: state["model"].update({"decoder.layers.0.fc1.bias": torch.zeros(3)}),
        lambda state: vars(state["cfg"]["model"]).update(encoder_layers=-1),
        lambda state: vars(state["cfg"]["model"]).update(encoder_embed_dim=0),
        lambda state: vars(state["cfg"]["model"]).update(encoder_attention_heads=5),
        lambda state: vars(state["cfg"]["model"]).update(activation_fn="nosuch"),
        lambda state: vars(state["cfg"]["model"]).update(encoder_layers_to_keep="a,b"),
    ],
)
def test_parts_that_are_missing_or_do_not_fit_are_one_line(
    change: Callable[[State], object], data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state, path = copy.deepcopy(read_checkpoint(data / "model.pt")), tmp_path / "model.pt"
    change(state)
    torch.save(state, path)
    status = main(f"distance --checkpoint {path} --data {data / 'bin'} --sentences 2".split())
    out, err = capsys.readouterr()
    assert status == 2, out
    assert len(err.splitlines()) == 1, err


@pytest.mark.slow
def test_fairseq_generate_says_so_in_one_line(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of another program's checkpoint, a damaged file, and weights that do not fit."""
    from fairseq_cli import generate

    import fairseq_plugins

    def refused(message: str) -> None:
        command = f"fairseq-generate {data / 'bin'} --task csr_translation --source-lang xx --target-lang yy --cpu"
        command += f" --path {path} --user-dir {Path(fairseq_plugins.__file__).parent} --max-tokens 200"
        monkeypatch.setattr(sys, "argv", command.split())
        with pytest.raises(DataError, match=message):  # which the plugin's excepthook prints
            generate.cli_main()

    path = tmp_path / "model.pt"
    state = read_checkpoint(data / "model.pt")
    HOSTILE["softmax"](state, f"open({str(tmp_path / 'marker')!r}, 'w') and [10]")
    torch.save(state, path)
    refused(r"model\.pt: refused: cfg\.model\.adaptive_softmax_cutoff is code")
    whole = (data / "model.pt").read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused(r"model\.pt: expected a whole checkpoint")
    state = read_checkpoint(data / "model.pt")
    del state["model"]["decoder.layers.0.fc1.weight"]
    torch.save(state, path)
    refused(r"model\.pt: expected a checkpoint whose settings and weights fit, found: .*decoder\.layers\.0\.fc1")
    assert not (tmp_path / "marker").exists()


_TOKENS = ["f", "(", ")", "[", "]", "{", "}", "f'", "'", '"', "lambda:", " for x in ", " if ", ".", ",", "1", "+", ":"]
_TOKENS += [" ", "\t", "\n", "\\", "#", "x", "=", "@", "(f)", "f()"]


@given(st.lists(st.sampled_from(_TOKENS), max_size=9).map("".join))
def test_what_is_no_call_calls_nothing(text: str) -> None:
    called = []

    def f(*arguments: object) -> int:
        called.append(arguments)
        return 1

    with contextlib.suppress(Exception):
        eval(text, {"__builtins__": {}, "f": f})
    assert not called or _calls(text)
