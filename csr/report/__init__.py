"""From run folders to tables, plots and one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from csr.files import PathLike, write_json, write_text
from csr.report import html, tables
from csr.report.collect import collect
from csr.report.published import published
from csr.report.table import Table


def write_report(folders: Sequence[PathLike], out: PathLike) -> dict[str, Any]:
    """Write the page to ``out``, and into each run folder ``results.json``, ``table.md`` and ``tables/``.

    Several runs also get ``tables/overview.*`` beside the page.
    """
    results = collect(folders)
    for folder, run in zip(map(Path, folders), results["runs"], strict=True):
        write_json(folder / "results.json", run)
        with write_text(folder / "table.md") as stream:
            stream.write(tables.main(run).markdown())
        for table in (*tables.run_tables(run), *published([run])):
            write_table(table, folder / "tables")
    if len(results["runs"]) > 1:
        write_table(tables.overview(results["runs"]), Path(out).parent / "tables")
    with write_text(out) as stream:
        stream.write(html.page(results))
    return results


def write_table(table: Table, folder: Path) -> None:
    """Write a table as Markdown, LaTeX, TSV and JSON."""
    for suffix, text in (("md", table.markdown()), ("tex", table.latex()), ("tsv", table.tsv())):
        with write_text(folder / f"{table.name}.{suffix}") as stream:
            stream.write(text)
    write_json(folder / f"{table.name}.json", table.as_dict())
