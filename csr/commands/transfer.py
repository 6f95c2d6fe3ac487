"""``csr transfer``: zero-shot translation between the runs of several language pairs."""

from __future__ import annotations

import argparse

from csr.commands.options import named
from csr.errors import ConfigError


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``csr transfer``."""
    parser = subparsers.add_parser(
        "transfer",
        description="Translate the test set of each run with the models of all of them, the source marked with the id "
        "of the language it is in, and print matrices of BLEU, COMET if a model is named, and the off-target rate "
        "(Zan et al., Table 5). The runs are translations into one language from one backbone that knows all of "
        "theirs. A second call keeps the translations it finds.",
    )
    add = parser.add_argument
    add("runs", nargs="+", metavar="RUN", help="folder of csr run, finished")
    add("--out", required=True, metavar="DIR", help="folder for translations, outputs.tsv and tables")
    add(
        "--test", action="append", default=[], metavar="LANG=SRC,REF",
        help="another test set of a language, or of one that no run has; may be given several times",
    )  # fmt: skip
    add("--baseline", default="baseline", metavar="ARM", help="arm to test against (default: %(default)s)")
    add("--beam", type=int, default=5, help="beam size (default: %(default)s)")
    add("--comet", metavar="MODEL", help="COMET model: a name on the Hugging Face hub, or a folder or .ckpt file")
    add("--samples", type=int, default=1000, metavar="N", help="of the paired bootstrap (default: %(default)s)")
    add("--device", choices=("cpu", "cuda"), help="(default: cuda if there is one)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Translate and print the matrices."""
    from pathlib import Path

    from csr.experiments import transfer

    models, tests, target = transfer.models_of(arguments.runs)
    by_language = {test.lang: test for test in tests}
    for text in arguments.test:
        language, files = named("--test", text, "LANG=SRC,REF")
        src, _, ref = files.partition(",")
        if not (src and ref):
            raise ConfigError(f"--test: expected LANG=SRC,REF, found {text!r}")
        by_language[language] = transfer.Test(language, Path(src), Path(ref))
    reader = transfer.open_model(arguments.beam, arguments.device)
    outputs = transfer.translate_all(models, list(by_language.values()), arguments.out, reader)
    found = transfer.tables(outputs, target, arguments.baseline, arguments.comet, arguments.samples)
    transfer.write_results(found, outputs, arguments.out)
    print("\n".join(table.markdown() for table in found))
