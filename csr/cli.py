"""The ``csr`` command: each subcommand parses its arguments, calls the library once and prints."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

import csr
from csr.errors import CsrError

# Modules of csr.commands, each with ``register(subparsers)``; in the order of ``csr --help``.
COMMANDS = ("run", "data", "lexicon", "switch", "evaluate", "distance", "report")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    root = argparse.ArgumentParser(
        prog="csr",
        description="Code-switching training for cross-lingual models.",
        epilog="Each command reads text and writes text; '-' stands for standard input or output.",
    )
    root.add_argument("--version", action="version", version=f"csr {csr.__version__}")
    subparsers = root.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in COMMANDS:
        importlib.import_module(f"csr.commands.{name}").register(subparsers)
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; errors a user can mend become one line and exit status 2."""
    arguments = parser().parse_args(argv)
    try:
        return arguments.run(arguments) or 0
    except CsrError as error:
        print(f"csr {arguments.command}: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of our output, such as head, has gone
        sys.stderr.close()
        return 0
    except OSError as error:
        print(f"csr {arguments.command}: {error.filename or 'system'}: {error.strerror or error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
