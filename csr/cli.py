"""The ``csr`` command: each subcommand parses its arguments, calls the library once and prints."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import logging
import os
import sys
from collections.abc import Sequence

import csr
from csr.errors import CsrError

# What ``csr --help`` says of each command, and the module of csr.commands that holds it: help imports none of them.
COMMANDS = {
    "run": ("run", "run an experiment, or go on with it"),
    "args": ("run", "print the fairseq command of a stage"),
    "train": ("run", "run one stage of training"),
    "generate": ("run", "make the outputs on the test set"),
    "score": ("run", "score the outputs on the test set"),
    "sample": ("data", "write the embedded bilingual corpus"),
    "prepare": ("data", "clean, split, encode and binarize a parallel corpus"),
    "prepare-text": ("tasks", "encode monolingual text to train a backbone on"),
    "prepare-nli": ("tasks", "clean and encode inference data"),
    "prepare-summaries": ("tasks", "cut and encode documents with summaries"),
    "classify": ("tasks", "label inference data with a finetuned model"),
    "mixture": ("mixture", "sample, encode and binarize monolingual text for pretraining"),
    "lexicon": ("lexicon", "make, judge and edit lexicons"),
    "import-hf": ("backbone", "make a backbone of a Hugging Face folder"),
    "export-hf": ("backbone", "make a Hugging Face folder of a trained model"),
    "trim": ("trim", "drop the pieces that a text and its lexicons do not need"),
    "strip": ("strip", "drop the optimiser's state from a checkpoint"),
    "estimate": ("estimate", "say how much memory an experiment takes"),
    "switch": ("switch", "print text with words switched, as stage one sees it"),
    "switch-labels": ("switch_labels", "switch words of labelled files, labels with them"),
    "inspect": ("inspect", "print encoder input, decoder input and target of a few rows"),
    "evaluate": ("evaluate", "score system outputs"),
    "zero-shot": ("zero_shot", "fine-tune an encoder on one language, score it on others"),
    "distance": ("distance", "measure how far apart a checkpoint keeps two languages"),
    "dynamics": ("dynamics", "distance and BLEU over updates, from saved checkpoints"),
    "domain": ("domain", "draw where pretraining and downstream text lie"),
    "transfer": ("transfer", "zero-shot translation: each run's models on every run's test set"),
    "report": ("report", "tables and an HTML page from runs"),
    "translate": ("translate", "translate new text with a model of a run"),
}


def parser(command: str | None) -> argparse.ArgumentParser:
    """Return the parser of one command, which imports what it needs alone; of no command, one that tells them all."""
    root = argparse.ArgumentParser(
        prog="csr",
        description="Code-switching training for cross-lingual models.",
        epilog="Each command reads text and writes text; '-' stands for standard input or output.",
    )
    root.add_argument("--version", action="version", version=f"csr {csr.__version__}")
    subparsers = root.add_subparsers(dest="command", metavar="COMMAND", required=True)
    if command in COMMANDS:
        importlib.import_module(f"csr.commands.{COMMANDS[command][0]}").register(subparsers)
    else:
        for name, (_, text) in COMMANDS.items():
            subparsers.add_parser(name, help=text)
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; errors a user can mend become one line and exit status 2, an interrupt 130."""
    argv = sys.argv[1:] if argv is None else argv
    name = "csr"
    # What fairseq tells of its set-up belongs to the log of a training, which has a process of its own.
    logging.getLogger("fairseq").setLevel(logging.WARNING)
    try:
        arguments = parser(next((word for word in argv if not word.startswith("-")), None)).parse_args(argv)
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
