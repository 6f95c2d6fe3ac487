"""Fine-tuning a BERT encoder on labelled text, with the hyper-parameters of Visser et al., Table 2."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from csr import options
from csr.backbone.checkpoints import dictionary_hash, fingerprint, read_checkpoint
from csr.backbone.presets import MASK, SPECIAL
from csr.backbone.saved_settings import model_settings
from csr.data.labelled import Pieces, tag_examples, tag_names
from csr.data.ner import read_ner
from csr.data.nli import read_nli
from csr.data.subwords import read_dictionary
from csr.data.text_labels import label_names, read_texts
from csr.errors import DataError
from csr.experiments import commands
from csr.experiments.commands import flags
from csr.experiments.settings import PRECISION
from csr.files import PathLike
from csr.running import fairseq, precision
from csr.running.precision import Wanted
from csr.running.steps import FilePath, Step
from csr.settings import expect_unique, setting
from csr.switching.settings import LABELLED, Labelled

Task = Literal["nli", "ner", "text"]
_TASKS: dict[Task, str] = {"nli": "csr_sentence_pair", "ner": "csr_tagging", "text": "csr_text"}
TYPES = ("LOC", "ORG", "PER")  # of PAN-X
_EMBEDDING = "encoder.sentence_encoder.embed_tokens.weight"
_SIZES = (
    *("encoder_layers", "encoder_embed_dim", "encoder_ffn_embed_dim", "encoder_attention_heads"),
    *("max_positions", "activation_fn"),
)


@dataclass(frozen=True)
class Finetuning:
    """Hyper-parameters; the learning rate rises for a share of the updates and falls linearly to 0."""

    epochs: int = setting(3, low=1)
    lr: float = setting(5e-5, low=0)
    batch: int = setting(32, low=1)
    warmup_ratio: float = setting(0.25, low=0, high=1)
    weight_decay: float = setting(0.01, low=0)
    max_length: int = setting(128, low=8)
    precision: Wanted = setting("auto", help=PRECISION)

    @property
    def options(self) -> dict[str, Any]:
        """What ``csr zero-shot finetune`` is told of them; it chooses the precision itself."""
        return {name: value for name, value in vars(self).items() if value != "auto"}

    @property
    def point(self) -> str:
        """Its point of a grid, as folders and tables call it."""
        return f"lr-{commands.number(self.lr)}-epochs-{self.epochs}"


# "NER achieved the best performance when running for 3 epochs while NLI performed best after 4" (section 3.4).
PAPER: dict[Task, Finetuning] = {"nli": replace(Finetuning(), epochs=4), "ner": Finetuning(), "text": Finetuning()}


@dataclass(frozen=True)
class Grid:
    """Fine-tuning with every pair of a rate and a number of epochs: Visser et al., Table 2.

    The pair that is best on the dev set, in the language of training and over all arms, counts.
    """

    lrs: tuple[float, ...] = setting((Finetuning.lr,), low=0)
    epochs: tuple[int, ...] = setting((Finetuning.epochs,), low=1)
    batch: int = setting(Finetuning.batch, low=1)
    warmup_ratio: float = setting(Finetuning.warmup_ratio, low=0, high=1)
    weight_decay: float = setting(Finetuning.weight_decay, low=0)
    max_length: int = setting(Finetuning.max_length, low=8)
    precision: Wanted = setting(Finetuning.precision, help=PRECISION)
    keep_models: bool = setting(
        False, help="keep each fine-tuned model once it is scored, for csr classify and csr export-hf"
    )

    def check(self, prefix: str) -> None:
        """Raise ConfigError for lists that name something twice or nothing."""
        for name in ("lrs", "epochs"):
            expect_unique(f"{prefix}{name}", getattr(self, name))

    def points(self, task: Task) -> Iterator[Finetuning]:
        """The hyper-parameters of each pair; what the grid leaves open is the paper's."""
        names = ("batch", "warmup_ratio", "weight_decay", "max_length", "precision")
        shared = {name: getattr(self, name) for name in names}
        for lr in self.lrs:
            yield from (replace(PAPER[task], lr=lr, epochs=epochs, **shared) for epochs in self.epochs)


@dataclass(frozen=True)
class Encoder:
    """A pretrained encoder: fairseq checkpoint, folder of its ``dict.txt``, SentencePiece model."""

    checkpoint: Path
    data: Path
    sentencepiece: Path


@dataclass(frozen=True)
class Switching:
    """Lexicons out of the language of the labelled text, that language, and how words are switched."""

    lexicons: tuple[Path, ...]
    language: str | None = None
    settings: Labelled = LABELLED


def finetune(
    task: Task,
    encoder: Encoder,
    train: PathLike,
    out: PathLike,
    settings: Finetuning,
    seed: int = 1,
    types: Sequence[str] = TYPES,
    threads: int = 1,
    switching: Switching | None = None,
    examples: int | None = None,
    workers: int = 0,
) -> None:
    """Train ``out/model.pt`` on a file of labelled text, from the last checkpoint if there is one.

    Args:
        types: of entities, for ``ner``.
        switching: words of the text are switched anew each epoch; None for the text as it is.
        examples: only the first so many are trained on.
        workers: loader processes.

    Raises:
        DataError: an input is missing or broken, or is not what the encoder was trained with.
        StepError: fairseq fails otherwise.
    """
    encoder = Encoder(*(Path(path).resolve() for path in (encoder.checkpoint, encoder.data, encoder.sentencepiece)))
    if switching:
        switching = replace(switching, lexicons=tuple(path.resolve() for path in switching.lexicons))
    job = finetuning_job(task, encoder, Path(train).resolve(), settings, seed, types, switching, examples, workers)
    fairseq.train(job, Path(out), threads)


def finetuning_job(
    task: Task,
    encoder: Encoder,
    train: Path,
    settings: Finetuning,
    seed: int,
    types: Sequence[str] = TYPES,
    switching: Switching | None = None,
    examples: int | None = None,
    workers: int = 0,
    folder: Path = Path(),
    run: Path = Path(),
) -> fairseq.Job:
    """The fairseq command of a fine-tuning; it reads the text, for the number of its updates and the labels.

    Args:
        folder: of the model, within the run folder.
        run: where the path of that folder in the command starts.
    """
    dictionary = encoder.data / "dict.txt"
    sizes = encoder_sizes(encoder.checkpoint, dictionary)
    n_examples, head = _head(task, train, encoder, settings, types)
    updates = settings.epochs * math.ceil(min(n_examples, examples or n_examples) / settings.batch)
    lexicons = list(switching.lexicons) if switching else []
    command = commands.fairseq(
        "fairseq-train",
        encoder.data,
        flags(task=_TASKS[task], criterion="csr_classification"),
        flags(sentencepiece_model=encoder.sentencepiece, train=train, examples=examples),
        head,
        _switching(task, switching) if switching else [],
        flags(max_length=settings.max_length, arch="csr_bert_base", **sizes),
        flags(finetune_from_model=encoder.checkpoint, seed=seed),
        # The paper leaves the constants open: those of the Hugging Face library.
        commands.bert_adam(settings.weight_decay, 1e-8),
        commands.polynomial(settings.lr, round(settings.warmup_ratio * updates), updates),
        flags(batch_size=settings.batch),
        precision.flags(settings.precision),
        commands.checkpoints(run / folder, 1000, validate=False),
        flags(num_workers=workers),
        commands.log(updates),
    )
    inputs = [dictionary, encoder.sentencepiece, train, *lexicons]
    return fairseq.Job(command, folder, updates, inputs, start=encoder.checkpoint)


def scoring_step(
    name: str,
    folder: Path,
    encoder: Sequence[str],
    dev: tuple[str, Path],
    tests: Mapping[str, Path],
    outside: Iterable[str] = (),
    threads: int = 1,
    keep: bool = False,
) -> Step:
    """Scores and predictions of the fine-tuned model in a folder; without ``keep`` the model goes.

    A grid with seeds would fill a disk.

    Args:
        encoder: flags of the encoder's data and vocabulary.
        dev: language and file.
        tests: the file of each test set, by what ``--test`` calls it.
        outside: types of entities that the model does not know.
    """
    model = folder / "model.pt"
    command = ["zero-shot", "evaluate", *flags(checkpoint=model), *encoder, *flags(discard_model=not keep)]
    command += flags(out=folder, outside=",".join(dict.fromkeys(outside)) or None)
    command += ["--test", f"dev:{dev[0]}={dev[1]}", *(f"{test}={file}" for test, file in tests.items())]
    inputs: list[FilePath] = [model, dev[1], *tests.values()]
    return Step(f"score {name}", command, inputs, [folder / "scores.json"], threads=threads, gpus=1)


def unknown_types(tests: Iterable[Any]) -> list[str]:
    """The types of entities that the test sets of an experiment name as unknown to its models, to be read as none."""
    return [kind for test in tests for kind in getattr(test, "outside", ())]


def encoder_sizes(checkpoint: Path, dictionary: Path) -> dict[str, Any]:
    """The sizes of a checkpoint's encoder, by fairseq's names.

    Raises:
        DataError: it is no encoder, or one of another vocabulary, which fairseq would not tell.
    """
    state = read_checkpoint(checkpoint)
    weights, settings = state["model"], model_settings(state)
    if _EMBEDDING not in weights or not set(_SIZES) <= set(settings):
        raise DataError(f"{checkpoint}: expected a BERT encoder such as csr_masked_lm trains, found another model")
    pieces = [piece for piece in read_dictionary(dictionary) if piece != MASK]
    symbols = [*SPECIAL, *pieces, MASK]
    if len(weights[_EMBEDDING]) != len(symbols):
        found = f"{len(weights[_EMBEDDING]):,}"
        raise DataError(
            f"{checkpoint}: expected the {len(symbols):,} entries of {dictionary} and <mask>, found {found}"
        )
    # Models that others trained have none.
    known = fingerprint(dictionary_hash(symbols))
    if int(weights.get("vocabulary", known)) != int(known):
        raise DataError(f"{checkpoint}: expected the entries of {dictionary}, found as many others")
    return {name: settings[name] for name in (*_SIZES, "layer_norm_eps") if name in settings}


def _switching(task: Task, switching: Switching) -> list[str]:
    """The flags of the task that say how words are switched."""
    settings = switching.settings
    settings.expect_task(task)
    return [
        *flags(lexicon=":".join(map(str, switching.lexicons)), language=switching.language),
        *options.flags(settings, LABELLED),
    ]


def _head(
    task: Task, train: Path, encoder: Encoder, settings: Finetuning, types: Sequence[str]
) -> tuple[int, list[str]]:
    """The number of examples, and the flags that say what labels they have."""
    if task == "nli":
        return len(read_nli(train)), []
    if task == "text":
        texts = read_texts(train)
        if len(labels := label_names(texts)) < 2:
            raise DataError(f"{train}: expected texts of two labels or more, found only {labels[0]}")
        return len(texts), flags(labels=",".join(labels))
    sentences, counts = read_ner(train, types)
    if counts["repaired"]:
        print(f"{train}: {counts['repaired']:,} I- tags that continue nothing, read as B-", file=sys.stderr)
    pieces = Pieces(encoder.sentencepiece, encoder.data / "dict.txt")
    n_examples = len(tag_examples(sentences, pieces, tag_names(types), settings.max_length))
    return n_examples, flags(types=",".join(types))
