"""``csr completion``: completion of commands, options, files and folders at the tab key."""

from __future__ import annotations

import argparse

from csr.files import write_text

_FOLDERS = {"DIR", "RUN", "FOLDER"}
_FILES = {"FILE", "TSV", "CONFIG", "LEXICON", "PATH", "X-Y", "Y-Z"}


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``csr completion``."""
    parser = subparsers.add_parser(
        "completion",
        description="Print what makes a shell complete commands, options, files and folders of csr at the tab key. For "
        "zsh, write it to a file _csr in a folder of $fpath.",
    )
    parser.add_argument("shell", choices=("bash", "zsh", "tcsh"), help="the shell")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Print the completion."""
    import shtab

    parser: argparse.ArgumentParser = arguments.whole_parser()  # csr.cli's, which imports this
    for action in _actions(parser):
        name = str(action.metavar or action.dest).upper()
        if not action.choices and (name in _FOLDERS or name in _FILES):
            action.complete = shtab.DIRECTORY if name in _FOLDERS else shtab.FILE  # type: ignore[attr-defined]
    with write_text("-") as out:
        out.write(shtab.complete(parser, arguments.shell) + "\n")


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return [*parser._actions, *(a for found in below for child in found.choices.values() for a in _actions(child))]
