"""``csr report``: the results of runs as tables and one HTML page."""

from __future__ import annotations

import argparse
from pathlib import Path

from csr import report
from csr.files import write_text
from csr.report import tables


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``csr report``."""
    parser = subparsers.add_parser(
        "report",
        help="tables and an HTML page from runs",
        description="Print the main table as Markdown and write an HTML page, RUN/results.json and RUN/tables/.",
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder of a csr run, finished or not")
    parser.add_argument("--out", type=Path, metavar="FILE", help="HTML page (default: report.html in the first folder)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Write the report and print the main table of each run."""
    results = report.write_report(arguments.runs, arguments.out or arguments.runs[0] / "report.html")
    with write_text("-") as stream:
        stream.write("\n".join(tables.main(run).markdown() for run in results["runs"]))
