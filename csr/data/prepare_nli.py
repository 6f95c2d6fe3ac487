"""From NLI files to a folder that training reads: rows of premises and hypotheses, and the texts to restore."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tqdm import tqdm

import csr
from csr.data.examples import language_symbol
from csr.data.nli import LABELS, NliExample, read_nli, write_nli
from csr.data.rows import Vocabulary
from csr.data.texts import copy_vocabulary
from csr.files import PathLike, check_colons, file_name, sha256, write_folder, write_json, write_text
from csr.text.forms import normalized
from csr.text.words import segments


def prepare_nli(
    train: PathLike,
    dev: PathLike,
    tests: Mapping[str, PathLike],
    out: PathLike,
    *,
    language: str,
    sentencepiece_model: PathLike,
    dictionary: PathLike,
    langs: Sequence[str] = (),
) -> dict[str, Any]:
    """Clean and encode NLI data; return what ``prepare.json`` says about it.

    The folder ``out`` gets ``text/{train,dev,test}.LANG.tsv``, ``spm.model``, ``dict.txt``, in ``bin`` the rows
    ``{train,valid,test}.LANG.{premise,hypothesis}.{bin,idx}`` with ``.labels`` that ``csr_nli`` reads, the texts of
    train and dev, each once, as the rows ``{train,valid}.LANG.{bin,idx}`` that ``csr_restore --monolingual`` reads,
    and, last of all, ``prepare.json``. Pairs that come twice in train, with one label, are kept once.

    Args:
        train, dev: files in the language to train on.
        tests: a file of each language to test on; one file may hold several, see ``read_nli``.
        langs: codes the backbone knows; all languages here must be among them, or their first parts.

    Raises:
        ConfigError: a language is not among ``langs``.
        DataError: a file is missing or broken.
    """
    check_colons(out, "--out")
    for code in (language, *tests):
        file_name(code, "language code")
        if langs:
            language_symbol(code, langs)
    segments("", language)  # without its segmenter, better stop now
    files = {("train", language): train, ("dev", language): dev} | {("test", code): tests[code] for code in tests}
    sets: dict[tuple[str, str], list[NliExample]] = {}
    counts: dict[str, Counter[str]] = {}
    for (split, code), path in files.items():
        found: Counter[str] = Counter()
        examples = [
            NliExample(normalized(example.premise), normalized(example.hypothesis), example.label)
            for example in read_nli(path, code, found)
        ]
        kept = list(dict.fromkeys(examples)) if split == "train" else examples
        found["duplicate"] = len(examples) - len(kept)
        sets[split, code], counts[f"{split}.{code}"] = kept, found
        _say(f"{split}.{code}: {found['read']:,} read, {found['unlabelled']:,} unlabelled, {len(kept):,} kept")
    with write_folder(out, "prepare.json") as part:
        copy_vocabulary(sentencepiece_model, dictionary, part)
        vocabulary = Vocabulary.read(part / "spm.model", part / "dict.txt")
        for (split, code), examples in tqdm(sets.items(), "encoding", disable=None):
            write_nli(examples, part / "text" / f"{split}.{code}.tsv")
            prefix = part / "bin" / f"{'valid' if split == 'dev' else split}.{code}"
            vocabulary.write((example.premise for example in examples), f"{prefix}.premise")
            vocabulary.write((example.hypothesis for example in examples), f"{prefix}.hypothesis")
            with write_text(f"{prefix}.labels") as stream:
                stream.writelines(f"{example.label}\n" for example in examples)
            if split != "test":
                texts = dict.fromkeys(side for example in examples for side in (example.premise, example.hypothesis))
                vocabulary.write((text for text in texts if text), prefix, code)
        for code in dict.fromkeys((language, *tests)):
            shutil.copyfile(part / "dict.txt", part / "bin" / f"dict.{code}.txt")
        record = {
            "language": language,
            "tests": list(tests),
            "examples": {f"{split}.{code}": len(examples) for (split, code), examples in sets.items()},
            "labels": {
                f"{split}.{code}": {label: sum(example.label == label for example in examples) for label in LABELS}
                for (split, code), examples in sets.items()
            },
            "counts": {name: dict(found) for name, found in counts.items()},
            "inputs": {str(path): sha256(path) for path in (*files.values(), sentencepiece_model, dictionary)},
            "versions": {"csr": csr.__version__},
        }
        write_json(part / "prepare.json", record)
    return record


def _say(message: str) -> None:
    print(message, file=sys.stderr)
