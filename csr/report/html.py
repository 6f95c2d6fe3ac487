"""The report: one HTML page that needs no network and no JavaScript."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from html import escape
from importlib import resources
from pathlib import PurePath
from typing import Any

import yaml

import csr
from csr.report import figures, plots, switching, tables, training
from csr.report.measures import Run, arm_name, bleu, direction, eq5
from csr.report.outputs import BASELINE
from csr.report.published import published
from csr.report.table import Cell, Column, Table
from csr.report.verdict import Verdict, verdicts

_SHOWN = 4  # switched sentences of a direction that are not folded away


def page(runs: Sequence[Run], sentences: Sequence[str | None] = ()) -> str:
    """The page of one or more runs of translation, as ``collect_translation`` gathers them.

    Args:
        sentences: of each run the address of the page of its test sentences, if there is one.
    """
    links = [*sentences, *[None] * (len(runs) - len(sentences))]
    title = "Code-switching finetuning: " + ", ".join(dict.fromkeys(f"{run['name']} {direction(run)}" for run in runs))
    body = [f"<h1>{escape(title)}</h1>"]
    if len(runs) > 1:
        body += [_section("Overview", "overview", _table(tables.overview(runs)))]
    for i, (run, link) in enumerate(zip(runs, links, strict=True)):
        body.append(_run(run, f"run{i + 1}-" if len(runs) > 1 else "", link))
    body.append(_section("Published numbers", "published", _published(runs)))
    return _document(title, body)


def task_page(name: str, found: Sequence[Table], run: Run, told: Sequence[Verdict] = ()) -> str:
    """The page of a run of another experiment than translation, as ``collect`` gathers it."""
    body = [f"<h1>{escape(name)}</h1>", *map(_verdict, told)]
    body += [_section(table.title, table.name, _table(table)) for table in found]
    if drawn := _figures(run, figures.TASK_CURVES.get(run["config"]["experiment"], ())):
        body.append(_section("Training", "training", drawn))
    body.append(_section("How it was made", "settings", _settings(run)))
    return _document(name, body)


def _document(title: str, body: Sequence[str]) -> str:
    style = resources.files("csr.report").joinpath("style.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(body)
        + f"\n<footer>Made by <code>csr report</code>, version {escape(csr.__version__)}.</footer>\n"
        "</main>\n</body>\n</html>\n"
    )


def _run(run: Run, prefix: str, sentences: str | None) -> str:
    """The sections of one run; ``prefix`` keeps the anchors of several runs apart."""
    sections = [
        ("Results", "results", _results(run)),
        ("Training", "training", _training(run)),
        ("Words", "words", _words(run)),
        ("Cases", "cases", _cases(run)),
        ("Languages apart", "distance", _table(tables.distances(run)) + _table(tables.distances(run, "eos"))),
        ("Domains", "domain", _domain(run)),
        ("Lexicons and switching", "lexicon", _lexicons(run)),
        ("Cost", "cost", _table(training.cost(run))),
        ("How it was made", "settings", _settings(run)),
    ]
    shown = [(title, prefix + name, body) for title, name, body in sections if body]
    links = [*((title, name) for title, name, _ in shown), ("Published numbers", "published")]
    nav = "".join(f'<a href="#{name}">{title}</a>' for title, name in links)
    nav += f'<a href="{escape(sentences)}">Every test sentence</a>' if sentences else ""
    heading = f"<h2 class=run>{escape(run['name'])} {direction(run)}</h2>" if prefix else ""
    facts = f"{', '.join(map(arm_name, run['arms']))}; seeds {', '.join(map(str, run['seeds']))}"
    return "\n".join(
        [
            heading,
            f'<p class="lead">{escape(facts)}</p>',
            f"<nav>{nav}</nav>",
            *(_section(*section) for section in shown),
        ]
    )


def _section(title: str, name: str, body: str) -> str:
    return f'<section id="{name}">\n<h2>{escape(title)}</h2>\n{body}\n</section>'


def _results(run: Run) -> str:
    parts = [_verdicts(run)]
    if run["missing"]:
        parts.append(_paragraph(f"Not finished, and missing below: {', '.join(run['missing'])}.", "warning"))
    parts.append(_table(tables.main(run)))
    for metric, label in (("bleu", "BLEU"), ("chrf", "chrF"), ("comet", "COMET"), ("off_target", "off-target")):
        for signature in dict.fromkeys(score[metric]["signature"] for score in run["scores"] if score.get(metric)):
            parts.append(f'<p class="note">{label}: <code>{escape(signature)}</code></p>')
    if any(score.get("bleu") for score in run["scores"]):
        note = "The references are in Unicode's composed form (NFC), white space made single spaces; else as given."
        parts.append(_paragraph(note, "note"))
    parts.append(_table(tables.controls(run)))
    parts.append(_details("Each seed", _table(tables.per_seed(run))))
    return "\n".join(parts)


def _verdicts(run: Run) -> str:
    """Say how the arms compare, CSR with standard finetuning first, whichever way it falls."""
    found = verdicts(run)
    asked = [verdict for verdict in found if verdict.arm == "csr"] or found
    others = [verdict for verdict in found if verdict not in asked]
    parts = [_verdict(verdict) for verdict in asked]
    if "csr" in run["arms"] and not any(verdict.against == BASELINE for verdict in asked if verdict.arm == "csr"):
        text = "CSR and standard finetuning are not both finished for any seed yet."
        parts.insert(0, _paragraph(text, "verdict"))
    if others:
        parts.append(_details("The other arms against standard finetuning", "".join(map(_verdict, others))))
    return "".join(parts)


def _verdict(verdict: Verdict) -> str:
    sign = {"better": "▲", "worse": "▼", "not told apart": "="}[verdict.outcome]
    kind = verdict.outcome.replace(" ", "-")
    head = f'<b><span aria-hidden="true">{sign}</span> {escape(verdict.headline)}</b>'
    after = f"<br><b>{escape(verdict.next)}</b>" if verdict.next else ""
    return f'<p class="verdict {kind}">{head} {escape(verdict.details)}{after}</p>'


def _training(run: Run) -> str:
    checkpoints = [
        figures.checkpoints(run, eq5, "Distance D (Eq. 5) at saved checkpoints"),
        figures.checkpoints(run, bleu, "BLEU at saved checkpoints"),
    ]
    drawn = _figures(run, figures.CURVES, checkpoints)
    return drawn and drawn + "".join(_table(table) for table in (training.dynamics(run), training.checkpoints(run)))


def _figures(run: Run, curves: Sequence[figures.Curve], others: Sequence[str] = ()) -> str:
    """The curves of the arms, then the losses of the stages before, then other figures."""
    drawn = [figure for figure in (*figures.training(run, curves), *others) if figure]
    if not drawn:
        return ""
    note = "Thick: mean over seeds; thin: each seed."
    if any("per token" in figure for figure in drawn):
        note += " Losses per token include label smoothing."
    if any(title.startswith("Validation loss") for _, _, title in curves):
        note += " The finetuning of an arm with a stage one, such as CSR, is drawn after the updates of that stage."
    if curves is figures.CURVES:
        note += " Standard finetuning gets as many updates as both together."
    return f'<div class="plots">{"".join(drawn)}</div>{_paragraph(note, "note")}'


def _words(run: Run) -> str:
    table = tables.words(run)
    return f'<div class="plots">{figures.words(run, table)}</div>{_table(table)}' if table.rows else ""


def _cases(run: Run) -> str:
    cases = run["cases"]
    if not cases:
        return ""
    name = arm_name(cases["arm"])
    parts = [
        _paragraph(
            f"Words seen fewer than 100 times in training, seed {cases['seed']}: {name} has them right and standard "
            f"finetuning wrong in {cases['n_gained']:,} of {cases['n_sentences']:,} test sentences, the other way "
            f"round in {cases['n_lost']:,}. The first of each, most such words first:"
        )
    ]
    for kind, title in (
        ("gained", f"{name} right, standard finetuning wrong"),
        ("lost", f"Standard finetuning right, {name} wrong"),
    ):
        if cases[kind]:
            parts.append(f"<h3>{escape(title)}</h3>")
            parts += [_case(case, name) for case in cases[kind]]
    return "\n".join(parts)


def _case(case: dict[str, Any], name: str) -> str:
    counted = ", ".join(f"{word} ({count}×)" for word, count in case["words"].items())
    sides = [("Source", escape(case["src"])), ("Reference", _marked(case["ref"]))]
    sides += [
        ("Standard finetuning", _marked(case["baseline"])),
        (name, _marked(case["arm"])),
        ("In training", escape(counted)),
    ]
    return f'<div class="case">{_facts(sides)}</div>'


def _marked(text: str) -> str:
    """Turn ``**word**`` into a marked word."""
    return " ".join(
        f"<mark>{escape(word[2:-2])}</mark>"
        if len(word) > 4 and word.startswith("**") and word.endswith("**")
        else escape(word)
        for word in text.split(" ")
    )


def _domain(run: Run) -> str:
    if not (drawn := run["domain"]):
        return ""
    title = f"Sentence features ({drawn['features']}) by t-SNE, seed {drawn['seed']}"
    note = "Ellipses: two standard deviations of the pretraining text; dots: sentences of the task. t-SNE keeps "
    note += "neighbours together; distances between clusters and sizes of clusters mean little."
    return f'<div class="plots">{figures.figure(title, plots.domain(drawn), ())}</div>{_paragraph(note, "note")}'


def _lexicons(run: Run) -> str:
    parts = [_table(switching.lexicons(run))]
    parts.append(_table(switching.lexicon_starts(run)))
    warnings = {lexicon["quality"].get("warning") for lexicon in run["lexicons"].values()} - {None}
    parts += [_paragraph(warning, "warning") for warning in sorted(warnings)]
    parts += [_entries(name, lexicon["sample"]) for name, lexicon in run["lexicons"].items()]
    switched = switching.switching(run)
    if switched.rows:
        parts.append("<h3>Switching</h3>" + _table(switched))
    if any(lexicon["examples"] for lexicon in run["lexicons"].values()):
        parts.append("<h3>Switched sentences</h3>")
        note = (
            "The first training sentences as stage one reads them in its first epoch; what was put in is highlighted, "
        )
        parts.append(_paragraph(note + "in words and in the pieces that the model sees.", "note"))
    for name, lexicon in run["lexicons"].items():
        cases = [f'<div class="case">{_facts(_switched(example))}</div>' for example in lexicon["examples"]]
        parts += cases[:_SHOWN]
        if more := cases[_SHOWN:]:
            parts.append(_details(f"{len(more)} more sentences, {name.replace('-', '→')}", "".join(more)))
    return "\n".join(part for part in parts if part)


def _entries(name: str, sample: dict[str, dict[str, float]]) -> str:
    rows: list[list[Cell]] = [
        [word, ", ".join(f"{candidate} {weight:.2f}" for candidate, weight in candidates.items())]
        for word, candidates in sample.items()
    ]
    table = Table(f"sample-{name}", "", [Column("word"), Column("candidates with weight")], rows)
    return _details(f"{name.replace('-', '→')}: entries from the first, most frequent word to the last", _table(table))


def _switched(example: dict[str, Any]) -> list[tuple[str, str]]:
    """A sentence as it was, with its words switched, and in pieces; what was put in is marked."""
    words = example["words"]
    switched = "".join(escape(text) if new is None else f"<mark>{escape(new)}</mark>" for text, new in words)
    facts = [("Original", escape("".join(text for text, _ in words))), ("Switched", switched)]
    pieces = [f"<mark>{escape(piece)}</mark>" if new else escape(piece) for piece, new in example["pieces"]]
    return [*facts, ("Pieces", " ".join(pieces))] if pieces else facts


def _settings(run: Run) -> str:
    environment, data = run["environment"] or {}, run["data"] or {}
    facts = [("Seeds", ", ".join(map(str, run["seeds"])))]
    if "command" in environment:
        facts.insert(0, ("Command", _command(environment["command"])))
    facts += [(key.capitalize(), _flat(environment[key])) for key in ("machine", "versions") if key in environment]
    facts += [(f"Pairs, {name}", _flat(counts)) for name, counts in data.get("counts", {}).items()]
    parts = [_facts((term, escape(text)) for term, text in facts)]
    if environment.get("inputs"):
        hashes = "\n".join(f"{digest}  {PurePath(name).name}" for name, digest in environment["inputs"].items())
        parts.append(_details("Input files (SHA-256)", f"<pre>{escape(hashes)}</pre>"))
    shown = yaml.safe_dump(without_folders(run["config"]), sort_keys=False, allow_unicode=True)
    parts.append(_details("Settings", f"<pre>{escape(shown)}</pre>"))
    return "\n".join(parts)


def _command(command: str | Sequence[str]) -> str:
    return command if isinstance(command, str) else shlex.join(map(without_folders, command))


def without_folders(value: Any) -> Any:
    """Shorten absolute paths to file names: where a file lay on one machine tells nobody else anything."""
    if isinstance(value, dict):
        return {key: without_folders(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_folders(item) for item in value]
    return PurePath(value).name if isinstance(value, str) and value.startswith("/") else value


def _flat(value: Any) -> str:
    """Nested counts and names as one line."""
    if isinstance(value, dict):
        return ", ".join(f"{str(key).replace('_', ' ')} {_flat(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(_flat, value))
    if isinstance(value, float):
        return f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _published(runs: Sequence[Run]) -> str:
    text = "Printed in the papers, from other data, models and machines: the differences between arms can be compared, "
    text += "the absolute numbers cannot. Rows of this report are shaded."
    beside: list[str] = []
    other: list[str] = []
    for table in published(runs):
        (beside if table.ours else other).append(f"<h3>{escape(table.title)}</h3>" + _table(table))
    return (
        _paragraph(text)
        + "".join(beside)
        + _details("Tables of the papers that these runs do not measure", "".join(other))
    )


def _table(table: Table) -> str:
    if not table.rows:
        return ""
    arrows = {1: " ↑", -1: " ↓", 0: ""}
    head = "".join(
        f"<th{_number_class(table, j)}>{escape(column.label + arrows[column.better])}</th>"
        for j, column in enumerate(table.columns)
    )
    rows = [
        f"<tr{' class=ours' if i in table.ours else ''}>"
        + "".join(_cell(cell, "th" if j == 0 else "td", _number_class(table, j)) for j, cell in enumerate(row))
        + "</tr>"
        for i, row in enumerate(table.rows)
    ]
    note = _paragraph(table.note, "note") if table.note else ""
    body = "\n".join(rows)
    grid = f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>"
    return f'<div class="scroll" tabindex="0">{grid}</div>{note}'


def _number_class(table: Table, j: int) -> str:
    return ' class="number"' if table.numeric(j) else ""


def _cell(cell: Cell, tag: str, number: str) -> str:
    if isinstance(cell, str):
        return f"<{tag}{number}>{escape(cell)}</{tag}>"
    mean, sd = cell.shown()
    if not mean:
        return f'<{tag} class="number missing">missing</{tag}>'
    text = f"<b>{mean}</b>" if cell.best else mean
    text += f" <small>± {sd}</small>" if sd else ""
    worse = " class=worse" if cell.mark.endswith(tables.WORSE) else ""
    text += f"<sup{worse}>{escape(cell.mark)}</sup>" if cell.mark else ""
    return f"<{tag}{number}>{text}</{tag}>"


def _facts(pairs: Iterable[tuple[str, str]]) -> str:
    """A list of terms, and of descriptions that are HTML already."""
    return '<dl class="facts">' + "".join(f"<dt>{escape(term)}</dt><dd>{html}</dd>" for term, html in pairs) + "</dl>"


def _details(summary: str, html: str) -> str:
    return f"<details><summary>{escape(summary)}</summary>\n{html}\n</details>"


def _paragraph(text: str, kind: str = "text") -> str:
    return f'<p class="{kind}">{escape(text)}</p>'
