"""The command line: one table of commands, and no more imported than a command needs."""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from csr.cli import COMMANDS, GROUPS, main, parser, whole_parser


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
        (["--set"], "the following arguments are required: COMMAND"),
        (["swich"], "invalid choice: 'swich' (choose from 'run', "),
    ],
)
def test_no_command(argv: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(argv)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def leaves(root: argparse.ArgumentParser, name: str) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    below = [action for action in root._actions if isinstance(action, argparse._SubParsersAction)]
    if not below:
        yield name, root
    for action in below:
        for child, found in action.choices.items():
            yield from leaves(found, f"{name} {child}")


def test_csr_alone_prints_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([])
    assert stopped.value.code == 0
    printed = capsys.readouterr().out
    assert all(f"\n{group}:\n" in printed for group in GROUPS)


def test_every_command_has_an_example_that_its_parser_takes() -> None:
    root = whole_parser()
    for name, found in leaves(root, "csr"):
        printed = found.format_help()
        assert "``" not in printed, name
        example = printed.partition("\nExample:\n  ")[2].partition("\n")[0]
        assert example.startswith(f"{name} "), name
        words = shlex.split(example.split(" < ")[0].split(" > ")[0].split(" | ")[0])
        assert root.parse_args(words[1:]).command == name.split()[1]


def test_completion_knows_commands_options_and_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "bash"]) == 0
    (tmp_path / "complete").write_text(capsys.readouterr().out)
    (tmp_path / "train.de").touch()
    ask = 'source complete; COMP_WORDS=({}); COMP_CWORD={}; _shtab_csr; echo "${{COMPREPLY[@]}}"'
    for words, expected in (
        ("csr lex", "lexicon"),
        ("csr lexicon ib", "ibm1"),
        ("csr lexicon ibm1 --ite", "--iterations"),
        ("csr lexicon ibm1 --src tr", "train.de"),
        ("csr completion z", "zsh"),
    ):
        command = ["bash", "-c", ask.format(words, len(words.split()) - 1)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        assert done.stdout.split() == [expected], (words, done.stderr)


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


@pytest.mark.slow
def test_libraries_keep_their_set_up_to_themselves() -> None:
    # One of fairseq's models sets the root logger to debug as it is imported.
    code = (
        "import contextlib, logging; from csr.cli import main\n"
        "with contextlib.suppress(SystemExit): main(['--help'])\n"
        "import fairseq_plugins\n"
        "logging.getLogger('library').debug('loud'); logging.getLogger('library').warning('heard')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert [line for line in done.stderr.splitlines() if "loud" in line or "heard" in line] == ["heard"]
