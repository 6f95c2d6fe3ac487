"""From two text files to a folder that training reads: clean text, subwords, dictionary, binary data."""

from __future__ import annotations

import platform
import re
import shutil
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from tqdm import tqdm

import csr
from csr.data import bitext, subwords
from csr.data.examples import language_symbol
from csr.data.rows import EOS, FIRST, UNKNOWN, Vocabulary, workers_for
from csr.errors import ConfigError, DataError
from csr.files import PathLike, check_colons, read_parallel, sha256, write_folder, write_json, write_text
from csr.process import without_cycles
from csr.text.forms import normalized
from csr.text.words import segments

Files = tuple[PathLike, PathLike]  # source side, target side

SPLITS = ("train", "dev", "test")


@without_cycles()
def prepare(
    train: Files,
    languages: tuple[str, str],
    out: PathLike,
    *,
    dev: Files | None = None,
    test: Files | None = None,
    dev_size: int = 1000,
    test_size: int = 1000,
    pieces: int = 8000,
    max_words: int = 250,
    max_ratio: float = 9.0,
    langs: Sequence[str] = (),
    sentencepiece_model: PathLike | None = None,
    dictionary: PathLike | None = None,
    word_boundaries: bool = True,
) -> dict[str, Any]:
    """Clean, split, encode and binarize a parallel corpus; return what ``prepare.json`` says about it.

    The folder ``out`` gets ``text/{train,dev,test}.LANG``, ``spm.model``, ``spm.vocab``, ``dict.txt``, ``bin/`` as
    fairseq-preprocess writes it, and, last of all, ``prepare.json``: a folder without it is not finished. Dev and
    test sets that are not given are held out from the training pairs. Of those that are given only pairs with an
    empty side are dropped, and no training pair shares a sentence with them.

    Args:
        train, dev, test: text files of the two sides, plain, .gz or .xz.
        languages: codes of the source and the target language.
        dev_size, test_size: pairs to hold out; at most a tenth of the corpus each.
        pieces: size of the vocabulary to train.
        langs: codes the backbone knows, if there is one; ``languages`` must be among them, or their first parts.
        sentencepiece_model, dictionary: the backbone's own, instead of training them.
        word_boundaries: write ``bin/*.words.{bin,idx}``, which say where words are; for text whose writing does not
            show its words this takes a segmenter (``csr.text.segmenters``).

    Raises:
        ConfigError: the options contradict one another, or a language's segmenter is not installed.
        DataError: a file is missing, empty, ragged or not UTF-8, or too little is left of the training pairs.
    """
    check_colons(out, "--out")
    _check(languages, langs, sentencepiece_model, dictionary)
    if word_boundaries:
        for language in languages:
            segments("", language)  # without its segmenter, better stop now
    given = {name: files for name, files in (("train", train), ("dev", dev), ("test", test)) if files}
    sets, counts = _clean_and_split(given, {"dev": dev_size, "test": test_size}, max_words, max_ratio)
    inputs = [path for files in given.values() for path in files]
    limits = {"max_words": max_words, "max_ratio": max_ratio}
    return write_prepared(
        sets, counts, languages, out, inputs=inputs, options=limits, pieces=pieces, langs=langs,
        sentencepiece_model=sentencepiece_model, dictionary=dictionary,
        word_boundaries=word_boundaries,
    )  # fmt: skip


@without_cycles()
def write_prepared(
    sets: Mapping[str, Sequence[bitext.Pair]],
    counts: Mapping[str, Counter[str]],
    languages: tuple[str, str],
    out: PathLike,
    *,
    inputs: Sequence[PathLike],
    options: Mapping[str, Any],
    pieces: int,
    langs: Sequence[str] = (),
    sentencepiece_model: PathLike | None = None,
    dictionary: PathLike | None = None,
    word_boundaries: bool = True,
) -> dict[str, Any]:
    """Encode and binarize clean pairs, train, dev and test; see ``prepare``. A tab parts the sentences of a document.

    Args:
        inputs: the files the pairs come from, for the record.
        options: what they were cleaned by, likewise.
    """
    _check(languages, langs, sentencepiece_model, dictionary)
    names = {(name, side): f"{name}.{language}" for name in SPLITS for side, language in enumerate(languages)}
    with write_folder(out, "prepare.json") as part:
        for (name, side), file in names.items():
            with write_text(part / "text" / file) as stream:
                stream.writelines(f"{pair[side]}\n" for pair in sets[name])
        if sentencepiece_model:
            shutil.copyfile(sentencepiece_model, part / "spm.model")
            model = subwords.load(sentencepiece_model)
            _warn_of_rewriting(model, [pair[1] for pair in sets["test"]], names["test", 1])
        else:
            subwords.train(list(zip(*sets["train"], strict=True)), pieces, part / "spm.model")
            model = subwords.load(part / "spm.model")
            if len(model) < pieces:
                _say(f"{len(model):,} pieces instead of {pieces:,}: the text has no more")
        subwords.write_vocabulary(model, part / "spm.vocab")
        if sentencepiece_model and dictionary:
            vocabulary = Vocabulary.read(sentencepiece_model, dictionary)
        else:
            vocabulary = Vocabulary(part / "spm.model")
        seen = {}
        for (name, side), file in names.items():
            language = languages[side]
            prefix = part / "bin" / f"{'valid' if name == 'dev' else name}.{'-'.join(languages)}.{language}"
            lines = [pair[side] for pair in sets[name]]
            shown = tqdm(lines, f"encoding {file}", disable=None)
            marked = language if word_boundaries else None
            seen[file] = vocabulary.write(shown, prefix, marked, workers_for(lines))
        if dictionary:
            shutil.copyfile(dictionary, part / "dict.txt")
        else:
            in_train = seen[names["train", 0]] + seen[names["train", 1]]
            vocabulary.write_dictionary(in_train, part / "dict.txt")
        for language in languages:
            shutil.copyfile(part / "dict.txt", part / "bin" / f"dict.{language}.txt")
        n_pieces = {file: int(counted.sum() - counted[EOS]) for file, counted in seen.items()}
        unknown = {file: int(counted[UNKNOWN]) / n_pieces[file] for file, counted in seen.items()}
        for file, share in unknown.items():
            if share:
                _say(f"{file}: {share:.2%} of the pieces are not in the dictionary")

        files = [*inputs, *(path for path in (sentencepiece_model, dictionary) if path)]
        outputs = sorted(path for path in part.rglob("*") if path.is_file())
        record = {
            "languages": list(languages),
            "langs": list(langs or languages),
            "pairs": {name: len(pairs) for name, pairs in sets.items()},
            "counts": {name: dict(of_file) for name, of_file in counts.items()},
            "dictionary_size": len(vocabulary.pieces) + FIRST,
            "pieces_per_sentence": {
                file: round(n_pieces[file] / len(sets[name]), 2) for (name, _), file in names.items()
            },
            "unknown_pieces": unknown,
            "options": {"pieces": pieces, **options, "word_boundaries": word_boundaries},
            "inputs": {str(path): sha256(path) for path in files},
            "outputs": {path.relative_to(part).as_posix(): sha256(path) for path in outputs},
            "versions": {
                "csr": csr.__version__,
                "python": platform.python_version(),
                **{package: version(package) for package in ("sentencepiece", "fairseq-fixed")},
            },
        }
        write_json(part / "prepare.json", record)
    return record


def _check(
    languages: tuple[str, str], langs: Sequence[str], model: PathLike | None, dictionary: PathLike | None
) -> None:
    for language in languages:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", language):
            raise ConfigError(f"language code: expected letters, digits and _, as in de or de_DE, found {language!r}")
        if langs:
            language_symbol(language, langs)
    if languages[0] == languages[1]:
        raise ConfigError(f"language code: expected two different ones, found {languages[0]!r} twice")
    if (model is None) != (dictionary is None):
        raise ConfigError("a SentencePiece model and a dictionary go together: expected both or none, found one")


def _clean_and_split(
    given: dict[str, Files], sizes: dict[str, int], max_words: int, max_ratio: float
) -> tuple[dict[str, list[bitext.Pair]], dict[str, Counter[str]]]:
    """The pairs of train, dev and test, and for each file what was read and dropped."""
    sets: dict[str, list[bitext.Pair]] = {}
    counts: dict[str, Counter[str]] = {}
    for name in ("dev", "test"):
        if name in given:
            read = [(normalized(src), normalized(tgt)) for src, tgt in read_parallel(*given[name])]
            sets[name] = [pair for pair in read if not bitext.is_empty(pair)]
            counts[name] = Counter(read=len(read), empty=len(read) - len(sets[name]))
    pairs, counts["train"] = bitext.clean(
        tqdm(read_parallel(*given["train"]), "cleaning", disable=None), max_words, max_ratio
    )

    left = bitext.without_overlap(pairs, [pair for held_out in sets.values() for pair in held_out])
    missing = [name for name in ("dev", "test") if name not in given]
    wanted = [min(sizes[name], len(left) // 10) for name in missing]
    *held_out, train = bitext.split(left, wanted)
    for name, taken in zip(missing, held_out, strict=True):
        sets[name] = taken
        if len(taken) < sizes[name]:
            _say(f"{name}: {len(taken):,} pairs held out instead of {sizes[name]:,}: the corpus is small")
    overlapping = len(pairs) - len(train) - sum(map(len, held_out))
    counts["train"]["sharing a sentence with dev or test"] = overlapping
    for name in SPLITS:
        if name in given:
            _say(f"{name}: {bitext.summary(counts[name])}")
    sets = {name: train if name == "train" else sets[name] for name in SPLITS}
    for name, kept in sets.items():
        if not kept:
            raise DataError(
                f"{given.get(name, given['train'])[0]}: expected pairs for {name}, found none after cleaning"
            )
    _say("kept: " + ", ".join(f"{len(kept):,} {name}" for name, kept in sets.items()))
    return sets, counts


def _warn_of_rewriting(model: Any, lines: Sequence[str], file: str) -> None:
    """Say how many references no output can equal, since the vocabulary has other characters in place of some."""
    n = sum(back != line for back, line in zip(model.decode(model.encode(list(lines))), lines, strict=True))
    if n:
        _say(
            f"{file}: {n / len(lines):.1%} of the lines do not come back from the vocabulary, which writes some "
            "characters otherwise (NFKC): no output can equal them"
        )


def _say(message: str) -> None:
    print(message, file=sys.stderr)
