"""The ``csr`` command: each subcommand parses its arguments, calls the library once and prints."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import logging
import os
import sys
import warnings
from collections.abc import Sequence

import csr
from csr.errors import CsrError

# What ``csr --help`` says of each command, by group, and the module of csr.commands that holds it: help imports none.
GROUPS = {
    "Experiments": {
        "run": ("run", "run an experiment, or go on with it"),
        "status": ("status", "say how far a run is"),
        "curve": ("curve", "run an experiment over sizes of its training text"),
        "report": ("report", "tables and an HTML page from runs"),
        "translate": ("translate", "translate new text with a model of a run"),
        "classify": ("classify", "label new text or its tokens with a finetuned model"),
        "transfer": ("transfer", "zero-shot translation: each run's models on every run's test set"),
        "estimate": ("estimate", "say how much memory an experiment takes"),
        "args": ("run", "print the fairseq command of a stage"),
        "train": ("run", "run one stage of training"),
        "generate": ("run", "make the outputs on the test set"),
        "score": ("run", "score the outputs on the test set"),
        "back-translate": ("run", "translate monolingual text with a reverse model"),
        "completion": ("completion", "print what makes a shell complete csr's commands and options"),
    },
    "Data": {
        "sample": ("data", "write the embedded bilingual corpus"),
        "prepare": ("data", "clean, split, encode and binarize a parallel corpus"),
        "prepare-text": ("tasks", "encode monolingual text to train a backbone on"),
        "prepare-nli": ("tasks", "clean and encode inference data"),
        "prepare-summaries": ("tasks", "cut and encode documents with summaries"),
        "check": ("check", "check monolingual texts and dictionaries before training with them"),
        "mixture": ("mixture", "sample, encode and binarize monolingual text for pretraining"),
    },
    "Lexicons and switching": {
        "lexicon": ("lexicon", "make, judge and edit lexicons"),
        "switch": ("switch", "print text with words switched, as stage one sees it"),
        "switch-labels": ("switch_labels", "switch words of labelled files, labels with them"),
        "inspect": ("inspect", "print encoder input, decoder input and target of a few rows"),
    },
    "Backbones": {
        "import-hf": ("backbone", "make a backbone of a Hugging Face folder"),
        "export-hf": ("backbone", "make a Hugging Face folder of a trained model"),
        "trim": ("trim", "drop the pieces that a text and its lexicons do not need"),
        "strip": ("strip", "drop the optimiser's state from a checkpoint"),
    },
    "Evaluation": {
        "evaluate": ("evaluate", "score system outputs"),
        "zero-shot": ("zero_shot", "fine-tune an encoder on one language, score it on others"),
        "distance": ("distance", "measure how far apart a checkpoint keeps two languages"),
        "dynamics": ("dynamics", "distance and BLEU over updates, from saved checkpoints"),
        "domain": ("domain", "draw where pretraining and downstream text lie"),
    },
}
COMMANDS = {name: found for group in GROUPS.values() for name, found in group.items()}


def parser(command: str | None) -> argparse.ArgumentParser:
    """The parser of one command, which imports what it needs alone; of no command, one that tells them all."""
    root = argparse.ArgumentParser(
        prog="csr",
        description="Code-switching training for cross-lingual models.",
        usage="csr [-h] [--version] COMMAND ...",
        epilog=_overview(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    root.add_argument("--version", action="version", version=f"csr {csr.__version__}")
    root.set_defaults(whole_parser=whole_parser)
    subparsers = root.add_subparsers(
        dest="command", metavar="COMMAND", required=True, help=argparse.SUPPRESS, prog="csr"
    )
    if command in COMMANDS:
        _register(subparsers, command)
    else:
        for name in COMMANDS:
            subparsers.add_parser(name)
    return root


def whole_parser() -> argparse.ArgumentParser:
    """The parser of all commands, for completion and the reference; it imports every one."""
    root = parser(None)
    (subparsers,) = (action for action in root._actions if isinstance(action, argparse._SubParsersAction))
    subparsers.choices.clear()
    subparsers.help = None
    for name, (_, text) in COMMANDS.items():
        subparsers._choices_actions.append(subparsers._ChoicesPseudoAction(name, (), text))
        if name not in subparsers.choices:  # a module may hold several
            _register(subparsers, name)
    return root


def _register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser], command: str) -> None:
    from csr.commands.examples import add_examples

    importlib.import_module(f"csr.commands.{COMMANDS[command][0]}").register(subparsers)
    for name, found in subparsers.choices.items():
        add_examples(found, name)


def _overview() -> str:
    lines = []
    for group, commands in GROUPS.items():
        lines += [f"{group}:", *(f"  {name:<18} {text}" for name, (_, text) in commands.items()), ""]
    return "\n".join(
        [*lines, "csr COMMAND --help explains a command and gives an example; '-' stands for standard input or output."]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; errors a user can mend become one line and exit status 2, an interrupt 130."""
    argv = sys.argv[1:] if argv is None else argv
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # UTF-8 in, UTF-8 out, whatever the locale; file names as they are.
            stream.reconfigure(encoding="utf-8", errors="surrogateescape" if stream is sys.stdout else None)
    name = "csr"
    if not argv:
        argv = ["--help"]
    # What libraries tell of their set-up belongs to the log of a training, which has a process of its own. An import
    # of fairseq's opens the root logger for all of them, but not where it is set up.
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    if not sys.warnoptions:  # of what they will do otherwise some day
        warnings.simplefilter("ignore")
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
