"""The command line: one table of commands, and no more imported than a command needs."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import pytest

from csr.cli import COMMANDS, main, parser


def subcommands(root: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    (found,) = (action for action in root._actions if isinstance(action, argparse._SubParsersAction))
    return dict(found.choices)


@pytest.mark.parametrize("module", sorted({module for module, _ in COMMANDS.values()}))
def test_a_module_has_the_commands_that_help_tells(module: str) -> None:
    told = [name for name, (of, _) in COMMANDS.items() if of == module]
    assert list(subcommands(parser(told[0]))) == told


def test_help_tells_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert stopped.value.code == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert all(f"{name} {text}" in printed for name, (_, text) in COMMANDS.items())


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["swich"], "invalid choice: 'swich' (choose from 'run', "),
    ],
)
def test_no_command(argv: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(argv)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_help_and_switch_import_little(tmp_path: Path) -> None:
    (tmp_path / "lexicon.tsv").write_text("haus\thouse\t1\n")
    (tmp_path / "text").write_text("Das Haus\n")
    switch = f"switch --lexicon {tmp_path}/lexicon.tsv --input {tmp_path}/text"
    code = (
        "import contextlib, sys; from csr.cli import main\n"
        "with contextlib.suppress(SystemExit): main(sys.argv[1].split())\n"
        "print(*(m for m in ('csr.commands', 'numpy', 'langcodes', 'torch') if m in sys.modules), file=sys.stderr)"
    )
    for arguments, imported in (("--help", ""), (switch, "csr.commands")):
        done = subprocess.run([sys.executable, "-c", code, arguments], capture_output=True, text=True, check=True)
        assert done.stderr.splitlines()[-1] == imported, done.stderr
