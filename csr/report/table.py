"""A table of text and numbers over seeds, and its Markdown, LaTeX, TSV and JSON."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

from csr.evaluation.significance import over_seeds

SPREAD = "Mean ± sample standard deviation over seeds; best in bold."


@dataclass(frozen=True)
class Number:
    """A measure, one value per seed; without any value it counts as missing."""

    values: tuple[float, ...]
    digits: int = 1
    best: bool = False
    mark: str = ""  # of significance
    signed: bool = False  # print a plus sign

    @property
    def mean(self) -> float | None:
        """The mean over seeds."""
        return over_seeds(self.values).mean if self.values else None

    @property
    def sd(self) -> float | None:
        """The sample standard deviation over seeds, from two seeds on."""
        return over_seeds(self.values).deviation if self.values else None

    def shown(self) -> tuple[str, str]:
        """The mean and the deviation as printed, each empty if there is none."""
        mean, sd = self.mean, self.sd
        return (
            "" if mean is None else printed(mean, self.digits, self.signed),
            "" if sd is None else printed(sd, self.digits),
        )


def printed(value: float, digits: int, signed: bool = False) -> str:
    """A number as reports write it: thousands parted, a true minus sign, none before zero.

    >>> printed(-1234.56, 1), printed(-0.04, 1, signed=True)
    ('−1,234.6', '+0.0')
    """
    return f"{round(value, digits) + 0.0:{'+' if signed else ''},.{digits}f}".replace("-", "−")


Cell = str | Number


@dataclass(frozen=True)
class Column:
    """A column's heading and the direction of better: 1 larger, -1 smaller, 0 neither."""

    label: str
    better: int = 0


@dataclass(frozen=True)
class Table:
    """A table whose cells are text or numbers over seeds."""

    name: str  # of its files
    title: str
    columns: list[Column]
    rows: list[list[Cell]]
    note: str = ""
    ours: list[int] = field(default_factory=list)  # rows to set off from published ones

    def with_best(self) -> Table:
        """Mark the best of each column that has a direction, ties as printed included."""
        rows = [list(row) for row in self.rows]
        for j, column in enumerate(self.columns):
            numbers = {i: cell for i, row in enumerate(rows) if isinstance(cell := row[j], Number) and cell.values}
            if column.better and len(numbers) > 1:
                rounded = {i: round(fmean(number.values), number.digits) for i, number in numbers.items()}
                top = max(rounded.values(), key=lambda value: column.better * value)
                for i, value in rounded.items():
                    rows[i][j] = replace(numbers[i], best=value == top)
        return replace(self, rows=rows)

    def markdown(self) -> str:
        """The table in GitHub's Markdown, the best numbers bold."""
        head = [_arrow(column) for column in self.columns]
        rule = ["---:" if self.numeric(j) else "---" for j in range(len(self.columns))]
        body = [[_text(cell, "**{}**", " ± ").replace("|", "\\|") for cell in row] for row in self.rows]
        lines = ["| " + " | ".join(cells) + " |" for cells in (head, rule, *body)]
        return f"**{self.title}**\n\n" + "\n".join(lines) + "\n" + (f"\n{self.note}\n" if self.note else "")

    def latex(self) -> str:
        """The table as a LaTeX ``table`` with booktabs rules."""
        columns = "".join("r" if self.numeric(j) else "l" for j in range(len(self.columns)))
        rows = [[_text(cell, r"\textbf{{{}}}", r" $\pm$ ", _latex) for cell in row] for row in self.rows]
        lines = [" & ".join(cells) + r" \\" for cells in ([_latex(_arrow(column)) for column in self.columns], *rows)]
        caption = _latex(f"{self.title}. {self.note}".strip())
        head = [r"\begin{table}", r"\centering", rf"\begin{{tabular}}{{{columns}}}", r"\toprule", lines[0], r"\midrule"]
        tail = [
            r"\bottomrule",
            r"\end{tabular}",
            rf"\caption{{{caption}}}",
            rf"\label{{tab:{self.name}}}",
            r"\end{table}",
        ]
        return "\n".join([*head, *lines[1:], *tail]) + "\n"

    def tsv(self) -> str:
        """The table with mean, deviation and number of seeds in columns of their own, unrounded."""
        head: list[str] = []
        for j, column in enumerate(self.columns):
            head += [column.label, f"{column.label} sd", f"{column.label} n"] if self.numeric(j) else [column.label]
        lines = [head]
        for row in self.rows:
            cells: list[str] = []
            for j, cell in enumerate(row):
                if isinstance(cell, Number):
                    cells += ["" if value is None else repr(value) for value in (cell.mean, cell.sd)] + [
                        str(len(cell.values))
                    ]
                else:
                    cells += [cell, "", ""] if self.numeric(j) else [cell]
            lines.append(cells)
        return "".join("\t".join(cells) + "\n" for cells in lines)

    def as_dict(self) -> dict[str, Any]:
        """The table as values that JSON can hold, every seed's number included."""
        labels = [column.label for column in self.columns]
        return {
            "name": self.name,
            "title": self.title,
            "note": self.note,
            "columns": labels,
            "rows": [dict(zip(labels, map(_plain, row), strict=True)) for row in self.rows],
        }

    def numeric(self, j: int) -> bool:
        """Tell whether a column holds numbers, or nothing but dashes in their place."""
        return any(isinstance(row[j], Number) for row in self.rows) or all(row[j] == "–" for row in self.rows)


def _arrow(column: Column) -> str:
    return column.label + {1: " ↑", -1: " ↓", 0: ""}[column.better]


def _text(cell: Cell, bold: str, plus_minus: str, escape: Callable[[str], str] = str) -> str:
    if isinstance(cell, str):
        return escape(cell)
    mean, sd = map(escape, cell.shown())
    if not mean:
        return "missing"
    return (bold.format(mean) if cell.best else mean) + (plus_minus + sd if sd else "") + escape(cell.mark)


def _latex(text: str) -> str:
    escapes = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    escapes |= {character: "\\" + character for character in "&%$#_{}"}
    escapes |= {
        "<": "$<$",
        ">": "$>$",
        "−": "$-$",
        "±": r"$\pm$",
        "↑": r"$\uparrow$",
        "↓": r"$\downarrow$",
        "→": r"$\to$",
    }
    return "".join(escapes.get(character, character) for character in text)


def _plain(cell: Cell) -> Any:
    if isinstance(cell, str):
        return cell
    return {"mean": cell.mean, "sd": cell.sd, "n": len(cell.values), "values": list(cell.values), "mark": cell.mark}
