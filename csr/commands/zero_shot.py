"""``csr zero-shot``: what a pretrained encoder knows: of masked pieces, and of tasks learned in another language."""

from __future__ import annotations

import argparse
import dataclasses
import shutil
from pathlib import Path
from typing import Any, get_args

from csr.commands.options import named, positive
from csr.commands.run import guarded
from csr.errors import ConfigError
from csr.files import write_json
from csr.options import add_options, read_options
from csr.running.precision import Wanted
from csr.switching.settings import LABELLED

# Where --epochs is not given.
EPOCHS = {"nli": 4, "ner": 3, "text": 3}
DESCRIPTION = "Fine-tune an encoder on one language and score it on others; score how it predicts masked pieces."


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``csr zero-shot`` and its subcommands."""
    parser = subparsers.add_parser("zero-shot", description=DESCRIPTION)
    sub = parser.add_subparsers(dest="step", metavar="STEP", required=True)

    found = sub.add_parser(
        "finetune",
        help="train on labelled text",
        description="Train RUN/model.pt on a file of labelled text, with the hyper-parameters of Visser et al., "
        "Table 2; with --lexicon, its words are switched into other languages, anew each epoch, and the labels go with "
        "them. After a kill the same command continues from the last checkpoint.",
    )
    add = found.add_argument
    add("task", choices=tuple(EPOCHS), help="inference between sentences, named entities, or texts with labels")
    _model(found, "pretrained encoder: a checkpoint of csr_masked_lm, or of csr import-hf")
    add(
        "--train",
        required=True,
        metavar="FILE",
        help="XNLI or MultiNLI; tokens and tags as PAN-X and CoNLL; or text<TAB>label, also JSON lines",
    )
    add("--out", required=True, metavar="RUN", help="folder to make")
    add("--epochs", type=int, help="(default: 4 for nli, 3 for the others)")
    add("--lr", type=float, default=5e-5, help="highest learning rate (default: %(default)s)")
    add("--batch", type=int, default=32, help="examples in a batch (default: %(default)s)")
    add("--warmup-ratio", type=float, default=0.25, help="share of the updates it rises in (default: %(default)s)")
    add("--weight-decay", type=float, default=0.01, help="(default: %(default)s)")
    add("--max-length", type=int, default=128, metavar="N", help="ids of an example (default: %(default)s)")
    add("--precision", choices=get_args(Wanted), default="auto", help="(default: %(default)s)")
    add("--types", default="LOC,ORG,PER", help="types of entities, for ner (default: %(default)s)")
    add("--examples", type=positive, metavar="N", help="train on the first so many examples (default: all)")
    add("--seed", type=int, default=1, help="of head, order and dropout (default: %(default)s)")
    add("--threads", type=int, default=1, metavar="N", help="(default: %(default)s)")
    add("--workers", type=int, default=0, metavar="N", help="loader processes (default: %(default)s)")
    group = found.add_argument_group("switching")
    group.add_argument(
        "--lexicon",
        nargs="+",
        metavar="TSV",
        help="out of the language of the text, source<TAB>target<TAB>weight; of several, each example draws one",
    )
    group.add_argument("--language", metavar="CODE", help="language of the text: segmenter and stop words")
    add_options(group, LABELLED)
    found.set_defaults(run=guarded(finetune))

    found = sub.add_parser(
        "evaluate",
        help="score test sets",
        description="Write RUN/predictions/NAME.txt and RUN/scores.json, and print a table: accuracy, of texts also "
        "macro F1, or entity F1 by seqeval, micro, macro and by type; 0 to 100.",
    )
    _model(found, "model.pt of csr zero-shot finetune")
    found.add_argument(
        "--test",
        required=True,
        nargs="+",
        metavar="LANG=FILE",
        help="test sets, such as de=xnli.test.tsv; NAME:LANG=FILE gives one another name, such as dev:en=dev.tsv",
    )
    found.add_argument(
        "--outside", default="", metavar="TYPE,...", help="types that the model does not know, to be read as none"
    )
    found.add_argument("--out", required=True, metavar="RUN", help="folder to write to")
    found.add_argument(
        "--discard-model", action="store_true", help="delete model.pt and the checkpoints in RUN once it is scored"
    )
    found.add_argument("--device", choices=("cpu", "cuda"), help="(default: cuda if there is one)")
    found.set_defaults(run=evaluate)

    found = sub.add_parser(
        "masked",
        help="score masked pieces of held-out text",
        description="Print, as JSON, the accuracy of masked pieces in the held-out text of languages (Visser et al., "
        "Table 3), 0 to 1; masked are the same pieces for every model.",
    )
    found.add_argument("--checkpoint", required=True, metavar="FILE", help="checkpoint of csr_masked_lm")
    found.add_argument("--data", required=True, metavar="DIR", help="bin/ of csr mixture")
    found.add_argument("--languages", required=True, metavar="CODE,...", help="languages of the mixture")
    found.add_argument("--out", metavar="FILE", default="-", help="where to write the JSON (default: stdout)")
    found.set_defaults(run=masked)

    found = sub.add_parser(
        "tables",
        help="tables of several language pairs",
        description="Print the tables of Visser et al., 3 to 5, with a row for each language of the runs, as Markdown.",
    )
    found.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder of csr run, finished, of pretraining")
    found.set_defaults(run=tables)


def _model(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("--checkpoint", required=True, metavar="FILE", help=text)
    parser.add_argument("--data", required=True, metavar="DIR", help="folder with its dictionary, dict.txt")
    parser.add_argument(
        "--sentencepiece-model", required=True, metavar="FILE", help="its SentencePiece model or tokenizer.json"
    )


def finetune(arguments: argparse.Namespace) -> None:
    """Train a model."""
    from csr.experiments import encoders
    from csr.settings import build

    names = ("lr", "batch", "warmup_ratio", "weight_decay", "max_length", "precision")
    raw: dict[str, Any] = {name: getattr(arguments, name) for name in names}
    epochs = EPOCHS[arguments.task] if arguments.epochs is None else arguments.epochs
    settings = build({"epochs": epochs, **raw}, encoders.Finetuning)
    paths = (arguments.checkpoint, arguments.data, arguments.sentencepiece_model)
    encoder = encoders.Encoder(*map(Path, paths))
    switching = None
    chosen = read_options(arguments, LABELLED)
    if arguments.lexicon:
        switching = encoders.Switching(tuple(map(Path, arguments.lexicon)), arguments.language, chosen)
    elif chosen != LABELLED:
        raise ConfigError("--lexicon: expected beside the settings of switching, found none")
    encoders.finetune(
        arguments.task,
        encoder,
        arguments.train,
        arguments.out,
        settings,
        arguments.seed,
        arguments.types.split(","),
        arguments.threads,
        switching,
        arguments.examples,
        arguments.workers,
    )


def evaluate(arguments: argparse.Namespace) -> None:
    """Score test sets."""
    from csr.experiments import zero_shot
    from csr.report.zero_shot import scores_table
    from fairseq_plugins.labeller import read_labeller

    tests: dict[str, zero_shot.TestSet] = {}
    for text in arguments.test:
        names, path = named("--test", text, "LANG=FILE or NAME:LANG=FILE")
        name, _, language = names.partition(":")
        if name in tests:
            raise ConfigError(f"--test: expected each name once, found {name!r} again")
        tests[name] = zero_shot.TestSet(Path(path), language or name)
    labeller = read_labeller(arguments.checkpoint, arguments.data, arguments.sentencepiece_model, arguments.device)
    outside = [name for name in arguments.outside.split(",") if name]
    scores = zero_shot.evaluate(labeller, tests, arguments.out, outside)
    if arguments.discard_model:
        shutil.rmtree(Path(arguments.out) / "checkpoints", ignore_errors=True)
        Path(arguments.out, "model.pt").unlink(missing_ok=True)
    print(scores_table(scores).markdown())


def masked(arguments: argparse.Namespace) -> None:
    """Score masked pieces."""
    from fairseq_plugins.masked_accuracy import masked_accuracy

    scores = {}
    for language in arguments.languages.split(","):
        found = masked_accuracy(arguments.checkpoint, arguments.data, language)
        scores[language] = {"accuracy": found.value, **dataclasses.asdict(found)}
    write_json(arguments.out, scores)


def tables(arguments: argparse.Namespace) -> None:
    """Print the tables of runs."""
    from csr.report.pretraining import main_tables, read_results

    print("\n".join(table.markdown() for table in main_tables(read_results(arguments.runs))))
