"""The tables of a run: arms by measures, each seed, controls, words, distance."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from csr.analysis.features import DEFAULT, FEATURES
from csr.evaluation.significance import mark
from csr.report.measures import (
    Measure,
    Run,
    arm_name,
    bleu,
    chrf,
    comet,
    direction,
    distance,
    eq5,
    frequencies,
    off_target,
    rare_f,
    seconds,
    values,
    word_f,
)
from csr.report.outputs import BASELINE, CONTROLS
from csr.report.switching import lexicon_starts, lexicons, switching
from csr.report.table import SPREAD, Cell, Column, Number, Table, printed
from csr.report.training import checkpoints, cost, dynamics

WORSE = "↓"
MARKS = f"* p < 0.05, ** p < 0.01 against standard finetuning, {WORSE} where it is worse,"

DISTANCES = {
    "root_sum_squares": ("D (Eq. 5)", -1, 2),
    "per_pair": ("D / √n", -1, 3),
    "offset_share": ("offset %", 0, 1),
    "mean_pairwise": ("mean pairwise", -1, 3),
    "distance_of_means": ("of the means", -1, 3),
    "cosine": ("cosine", 1, 3),
    "retrieval_accuracy": ("retrieval %", 1, 1),
}


@dataclass(frozen=True)
class Optional:
    """What is measured in some runs only; ``metric`` names its significance test, if there is one."""

    label: str
    measure: Measure
    better: int
    digits: int
    metric: str | None = None


OPTIONAL = (Optional("COMET", comet, 1, 3, "comet"), Optional("off-target %", off_target, -1, 1))


def _optional(run: Run) -> list[Optional]:
    return [one for one in OPTIONAL if any(one.measure(score) is not None for score in run["scores"])]


def run_tables(run: Run) -> list[Table]:
    """The tables of one run that have anything to show."""
    tables = [
        main(run),
        per_seed(run),
        controls(run),
        words(run),
        known_words(run),
        distances(run),
        distances(run, "eos"),
        cost(run),
        dynamics(run),
        checkpoints(run),
        lexicons(run),
        lexicon_starts(run),
        switching(run),
    ]
    return [table for table in tables if table.rows]


def overview(runs: Sequence[Run]) -> Table:
    """BLEU of every arm in every run, as Zan et al., Table 4."""
    arms = list(dict.fromkeys(arm for run in runs for arm in run["arms"]))
    columns = [Column("arm"), *(Column(f"{run['name']} {direction(run)}", 1) for run in runs)]
    rows: list[list[Cell]] = [
        [arm_name(arm), *(Number(values(run, arm, bleu)) if arm in run["arms"] else "–" for run in runs)]
        for arm in arms
    ]
    return Table("overview", "BLEU of all runs", columns, rows, SPREAD).with_best()


def main(run: Run) -> Table:
    """Arms × (BLEU, chrF, F of rare words, distance, training seconds)."""
    columns = [
        Column("arm"),
        Column("seeds"),
        Column("BLEU", 1),
        Column("chrF", 1),
        *(Column(one.label, one.better) for one in _optional(run)),
        Column(_rare_label(run), 1),
        Column("distance D", -1),
        Column("training s", 0),
    ]
    rows: list[list[Cell]] = []
    for arm in run["arms"]:
        done = sum(score["arm"] == arm for score in run["scores"])
        seeds = f"{done}" if done == len(run["seeds"]) else f"{done} of {len(run['seeds'])}"
        rows.append(
            [
                arm_name(arm),
                seeds,
                Number(values(run, arm, bleu), 1, mark=_mark(run, arm, "bleu")),
                Number(values(run, arm, chrf), 1, mark=_mark(run, arm, "chrf")),
                *(
                    Number(values(run, arm, one.measure), one.digits, mark=_mark(run, arm, one.metric))
                    for one in _optional(run)
                ),
                Number(values(run, arm, rare_f), 1),
                Number(values(run, arm, eq5), 2),
                Number(values(run, arm, seconds), 0),
            ]
        )
    note = f"{SPREAD} F: percent, of words seen so often in training. D: Eq. 5, decoder output at the last piece."
    note += " Training: all stages after the backbone."
    if any(isinstance(cell, Number) and cell.mark for row in rows for cell in row):
        note += f" {MARKS} in every finished seed (paired bootstrap)."
    return Table("main", f"{direction(run)}: translation quality and cost", columns, rows, note).with_best()


def _rare_label(run: Run) -> str:
    """The heading of the F-measure of rare words."""
    found = (score["words"]["buckets"][0]["name"] for score in run["scores"] if score.get("words"))
    return f"F of words seen {frequencies(next(found, '<100'))}"


def _mark(run: Run, arm: str, metric: str | None, seed: int | None = None) -> str:
    """The mark of the largest p-value over the seeds, or of one seed; none where seeds point both ways."""
    tests = [
        test
        for test in run["comparisons"]
        if (test["arm"], test["against"], test["metric"]) == (arm, BASELINE, metric) and seed in (None, test["seed"])
    ]
    signs = {test["difference"] > 0 for test in tests}
    found = mark(max(test["p_value"] for test in tests)) if len(signs) == 1 else ""
    return f"{found}{WORSE}" if found and signs == {False} else found


def per_seed(run: Run) -> Table:
    """The numbers of each seed and arm."""
    scores = {(score["seed"], score["arm"]): score for score in run["scores"]}
    rows: list[list[Cell]] = []
    for seed in run["seeds"]:
        for arm in run["arms"]:
            one = {"scores": [scores[seed, arm]] if (seed, arm) in scores else []}
            rows.append(
                [
                    str(seed),
                    arm_name(arm),
                    Number(values(one, arm, bleu), 2, mark=_mark(run, arm, "bleu", seed)),
                    Number(values(one, arm, chrf), 2, mark=_mark(run, arm, "chrf", seed)),
                    *(
                        Number(values(one, arm, extra.measure), extra.digits, mark=_mark(run, arm, extra.metric, seed))
                        for extra in _optional(run)
                    ),
                    Number(values(one, arm, rare_f), 2),
                    Number(values(one, arm, eq5), 2),
                    Number(values(one, arm, seconds), 0),
                ]
            )
    optional = [extra.label for extra in _optional(run)]
    labels = ("seed", "arm", "BLEU", "chrF", *optional, _rare_label(run), "distance D", "training s")
    note = f"{MARKS} of the same seed (paired bootstrap over sentences)."
    return Table("seeds", f"{direction(run)}: each seed", [Column(label) for label in labels], rows, note)


def controls(run: Run) -> Table:
    """CSR against standard finetuning and each control that was trained: what the lexicon adds, seed by seed."""
    rows: list[list[Cell]] = []
    for against in (BASELINE, *CONTROLS) if "csr" in run["arms"] else ():
        cells: list[Cell] = []
        for metric, digits in (("bleu", 2), ("chrf", 2)):
            tests = [
                test
                for test in run["comparisons"]
                if (test["arm"], test["against"], test["metric"]) == ("csr", against, metric)
            ]
            cells.append(Number(tuple(test["difference"] for test in tests), digits, signed=True))
            shown = [printed(test["difference"], 1, signed=True) + mark(test["p_value"]) for test in tests]
            cells.append(", ".join(shown) or "–")
        if any(isinstance(cell, Number) and cell.values for cell in cells):
            rows.append([arm_name(against), *cells])
    labels = ("CSR against", "BLEU", "each seed", "chrF", "each seed")
    note = "Mean ± sample standard deviation over seeds. * p < 0.05, ** p < 0.01 in that seed (paired bootstrap). "
    note += "Placebo: the same words and weights, each with the translations of another word of like frequency."
    return Table("controls", f"{direction(run)}: what the lexicon adds", [Column(x) for x in labels], rows, note)


def words(run: Run) -> Table:
    """Word F-measure by frequency in the training text (Zan et al., Figure 5)."""
    buckets: list[dict[str, Any]] = next(
        (score["words"]["buckets"] for score in run["scores"] if score.get("words")), []
    )
    columns = [Column("arm"), *(Column(frequencies(bucket["name"]), 1) for bucket in buckets)]
    rows: list[list[Cell]] = []
    for arm in run["arms"] if buckets else []:
        scored = any(score["arm"] == arm for score in run["scores"])
        found = [values(run, arm, functools.partial(word_f, i)) for i in range(len(buckets))]
        # Of a bucket without words there is no F, which is another thing than an arm that is not finished.
        rows.append([arm_name(arm), *("–" if scored and not f else Number(f) for f in found)])
    note = f"{SPREAD} Columns: how often the word was seen in the training text; all tokens count, as in compare-mt."
    title = f"{direction(run)}: word F-measure (%) by training frequency"
    return Table("words", title, columns, rows, note).with_best()


def known_words(run: Run) -> Table:
    """Word F-measure by occurrences in the bitext, split by whether the lexicon has the words."""
    groups = run.get("word_groups") or []
    names = [name for name in groups[0] if name not in ("arm", "seed")] if groups else []
    names = [name for name in names if groups[0][name]["n_ref"]]
    rows: list[list[Cell]] = []
    for arm in run["arms"] if names else []:
        found = [one for one in groups if one["arm"] == arm]
        f1 = [tuple(100 * one[name]["f1"] for one in found if one[name]["f1"] is not None) for name in names]
        rows.append([arm_name(arm), *map(Number, f1)])
    columns = [Column("arm"), *(Column(f"{name} (n={groups[0][name]['n_ref']:,})", 1) for name in names)]
    note = (
        f"{SPREAD} F in percent of the words that the bitext has so often, in lower case, by whether the lexicon has "
    )
    note += (
        "them among its translations; n: such words in the references. A word that the bitext has not is known from "
    )
    note += "the lexicon, from text without a pair, or not at all."
    return Table("known", f"{direction(run)}: words by what can know them", columns, rows, note).with_best()


def distances(run: Run, feature: str = DEFAULT) -> Table:
    """Every definition of cross-lingual distance (Zan et al., Table 8), one model a row."""
    scored = {score["arm"] for score in run["scores"] if score.get("distance", {}).get(feature)}
    found = [
        (arm_name(arm), [values(run, arm, functools.partial(distance, name, feature=feature)) for name in DISTANCES])
        for arm in ("backbone", *run["arms"])
        if arm in scored
    ]
    name = "distance" if feature == DEFAULT else f"distance-{feature}"
    title = f"{direction(run)}: distance between the languages, {FEATURES[feature]}"
    return _distances(name, title, found, f"{SPREAD} {_DISTANCE_NOTE}")


def distance_table(models: Sequence[tuple[str, Mapping[str, Any]]], feature: str, layer: int | None) -> Table:
    """What ``csr distance`` measured of named models by a feature, one model a row (Zan et al., Table 8)."""
    found: list[tuple[str, list[tuple[float, ...]]]] = []
    for model, measured in models:
        cells = [distance(name, {"distance": measured}, feature) for name in DISTANCES]
        found.append((model, [() if value is None else (value,) for value in cells]))
    where = "last layer" if layer is None else f"layer {layer}"
    title = f"Distance between the languages, {FEATURES[feature]}, {where}"
    return _distances("distance", title, found, _DISTANCE_NOTE)


_DISTANCE_NOTE = (
    "D grows with the root of the number of sentences n; offset: the share of D² that is the distance of the means, "
    "the same for all sentences; cosine and retrieval do not depend on scale."
)


def _distances(name: str, title: str, found: Sequence[tuple[str, list[tuple[float, ...]]]], note: str) -> Table:
    columns = [Column("model"), *(Column(label, better) for label, better, _ in DISTANCES.values())]
    digits = [places for *_, places in DISTANCES.values()]
    rows: list[list[Cell]] = [[model, *map(Number, measured, digits)] for model, measured in found]
    return Table(name, title, columns, rows, note).with_best()
