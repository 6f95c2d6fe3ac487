"""The ``csr`` command: each subcommand parses its arguments, calls the library once and prints."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
from collections.abc import Sequence

import csr
from csr.errors import CsrError

# Commands, in the order of ``csr --help``, and the modules of csr.commands that hold them.
COMMANDS = {
    "run": ("run", "args", "train", "generate", "score"),
    "data": ("sample", "prepare"),
    "tasks": ("prepare-text", "prepare-nli", "prepare-summaries", "classify"),
    "mixture": ("mixture",),
    "lexicon": ("lexicon",),
    "backbone": ("import-hf", "export-hf"),
    "trim": ("trim",),
    "strip": ("strip",),
    "estimate": ("estimate",),
    "switch": ("switch",),
    "inspect": ("inspect",),
    "evaluate": ("evaluate",),
    "zero_shot": ("zero-shot",),
    "distance": ("distance",),
    "dynamics": ("dynamics",),
    "domain": ("domain",),
    "transfer": ("transfer",),
    "report": ("report",),
}


def parser(command: str | None = None) -> argparse.ArgumentParser:
    """Return the parser of the command line: of one command, which imports what it needs alone, or of all."""
    root = argparse.ArgumentParser(
        prog="csr",
        description="Code-switching training for cross-lingual models.",
        epilog="Each command reads text and writes text; '-' stands for standard input or output.",
    )
    root.add_argument("--version", action="version", version=f"csr {csr.__version__}")
    subparsers = root.add_subparsers(dest="command", metavar="COMMAND", required=True)
    modules = [module for module, commands in COMMANDS.items() if command in commands]
    for module in modules or COMMANDS:
        importlib.import_module(f"csr.commands.{module}").register(subparsers)
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; errors a user can mend become one line and exit status 2, an interrupt 130."""
    argv = sys.argv[1:] if argv is None else argv
    name = "csr"
    try:
        arguments = parser(argv[0] if argv else None).parse_args(argv)
        name = f"csr {arguments.command}"
        status: int = arguments.run(arguments) or 0
        sys.stdout.flush()  # here, where an error can still be told
        return status
    except CsrError as error:
        return _failed(f"{name}: {error}", 2)
    except BrokenPipeError:  # the reader of our output, such as head, has gone
        _drop_output()
        return 0
    except OSError as error:
        if error.filename is None:
            _drop_output()
        place = "" if error.filename is None else f"{error.filename}: "
        return _failed(f"{name}: {place}{error.strerror or error}", 2)
    except MemoryError:
        return _failed(f"{name}: out of memory", 1)
    except KeyboardInterrupt:
        return _failed(f"{name}: stopped", 130)


def _failed(message: str, status: int) -> int:
    print(" ".join(message.splitlines()), file=sys.stderr)
    return status


def _drop_output() -> None:
    """Let Python's end not try once more to write what standard output did not take."""
    with contextlib.suppress(OSError, ValueError):  # it may be no file, as in a test
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
