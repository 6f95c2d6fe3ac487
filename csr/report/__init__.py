"""From run folders to tables, plots and one self-contained HTML page."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from csr.files import PathLike, write_json, write_text
from csr.report import html, sentences, tables, training
from csr.report.collect import Run, collect_translation, of_run
from csr.report.published import published
from csr.report.table import Table
from csr.report.verdict import verdicts


def write_report(folders: Sequence[PathLike], out: PathLike) -> list[Run]:
    """Write the page of runs of translation to ``out``, and into each run folder its results and its test sentences.

    Several runs also get ``tables/overview.*`` beside the page.
    """
    runs: list[Run] = []
    links: list[str | None] = []
    for folder in map(Path, folders):
        with of_run(folder):
            run = collect_translation(folder)
            found, main = [*tables.run_tables(run), *published([run])], [tables.main(run)]
            html.page([run])  # what cannot be shown is told before anything is written
            write_results(folder, run, found, main, [*map(str, verdicts(run)), *training.warnings(run)])
            listed = sentences.sentences(folder, run)
            if listed:
                write_page(folder / sentences.NAME, sentences.page(run, listed))
        runs.append(run)
        links.append(quote(os.path.relpath(folder / sentences.NAME, Path(out).parent)) if listed else None)
    if len(runs) > 1:
        write_table(tables.overview(runs), Path(out).parent / "tables")
    write_page(out, html.page(runs, links))
    return runs


def write_results(
    folder: Path, results: Any, found: Sequence[Table], main: Sequence[Table], told: Sequence[str] = ()
) -> None:
    """Write ``results.json``, ``tables/`` and, with the main tables and what they tell, ``table.md`` into a folder."""
    write_json(folder / "results.json", results)
    for table in found:
        write_table(table, folder / "tables")
    with write_text(folder / "table.md") as stream:
        stream.write("\n".join([table.markdown() for table in main]) + "".join(f"\n* {line}" for line in told))
        stream.write("\n" if told else "")


def write_page(out: PathLike, page: str) -> None:
    """Write the page of a report."""
    with write_text(out) as stream:
        stream.write(page)


def write_table(table: Table, folder: Path) -> None:
    """Write a table as Markdown, LaTeX, TSV and JSON."""
    for suffix, text in (("md", table.markdown()), ("tex", table.latex()), ("tsv", table.tsv())):
        with write_text(folder / f"{table.name}.{suffix}") as stream:
            stream.write(text)
    write_json(folder / f"{table.name}.json", table.as_dict())
