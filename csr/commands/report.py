"""``csr report``: the results of runs as tables and one HTML page."""

from __future__ import annotations

import argparse
from pathlib import Path

from csr import report
from csr.experiments.kinds import kind_of, read_config
from csr.files import write_text
from csr.settings import read_yaml


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``csr report``."""
    parser = subparsers.add_parser(
        "report",
        description="Print the main table and the verdicts as Markdown and write an HTML page, RUN/results.json and "
        "RUN/tables/.",
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder of a csr run, finished or not")
    parser.add_argument("--out", type=Path, metavar="FILE", help="HTML page (default: report.html in the first folder)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Write the report and print the main table of each run, and what it says."""
    translations = [folder for folder in arguments.runs if _kind(folder) == "translation"]
    for folder in arguments.runs:
        if folder not in translations:
            config = read_config(folder / "config.yaml")
            kind_of(config).report(config, folder)
    if translations:
        report.write_report(translations, arguments.out or translations[0] / "report.html")
    with write_text("-") as stream:
        stream.write("\n".join((folder / "table.md").read_text(encoding="utf-8") for folder in arguments.runs))


def _kind(folder: Path) -> str:
    """A run's kind of experiment; a folder that is no run is left to the report of translations to refuse."""
    settings = folder / "config.yaml"
    return read_yaml(settings).get("experiment", "translation") if settings.is_file() else "translation"
