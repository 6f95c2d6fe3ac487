"""The tables of a run: arms by measures, per seed, words, distance, cost, dynamics, lexicons, and the papers' own."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from importlib import resources
from typing import Any

import yaml

from csr.analysis.dynamics import updates_to_reach
from csr.evaluation.significance import mark
from csr.evaluation.translation import base_language
from csr.report.outputs import BASELINE
from csr.report.table import Cell, Column, Number, Table

Run = dict[str, Any]
Measure = Callable[[dict[str, Any]], float | None]  # of one entry of run["scores"]; None where it was not scored

ARM_NAMES = {
    "random": "Random",
    "baseline": "Standard finetuning",
    "iaft": "IAFT",
    "mask_restore_ft": "Restore from masks",
    "csr": "CSR",
    "backbone": "Backbone, not finetuned",
}
DISTANCES = {
    "root_sum_squares": ("D (Eq. 5)", -1, 2),
    "mean_pairwise": ("mean pairwise", -1, 3),
    "distance_of_means": ("of the means", -1, 3),
    "cosine": ("cosine", 1, 3),
    "retrieval_accuracy": ("retrieval %", 1, 1),
}


def arm_name(arm: str) -> str:
    """Return an arm's or stage's name for people."""
    return ARM_NAMES.get(arm, arm.replace("_", " ").capitalize())


def bleu(score: dict[str, Any]) -> float | None:
    """Return BLEU, 0 to 100."""
    return score.get("bleu", {}).get("value")


def chrf(score: dict[str, Any]) -> float | None:
    """Return chrF2, 0 to 100."""
    return score.get("chrf", {}).get("value")


def word_f(bucket: int, score: dict[str, Any]) -> float | None:
    """Return the F-measure (percent) of the words of one frequency bucket, the rarest first."""
    buckets = score.get("words", {}).get("buckets", [])
    f1 = buckets[bucket]["f1"] if bucket < len(buckets) else None
    return None if f1 is None else 100 * f1


def distance(name: str, score: dict[str, Any]) -> float | None:
    """Return one of the definitions of representation distance; retrieval accuracy in percent."""
    value = score.get("distance", {}).get(name)
    return 100 * value if value is not None and name == "retrieval_accuracy" else value


def seconds(score: dict[str, Any]) -> float | None:
    """Return the training seconds after pretraining: the backbone is a checkpoint that the arms are given."""
    stages = [value for stage, value in score.get("seconds", {}).items() if stage != "backbone"]
    return sum(stages) if stages else None


rare_f = functools.partial(word_f, 0)
eq5 = functools.partial(distance, "root_sum_squares")


def values(run: Run, arm: str, measure: Measure) -> tuple[float, ...]:
    """Return a measure of one arm for each seed that has it."""
    found = (measure(score) for score in run["scores"] if score["arm"] == arm)
    return tuple(value for value in found if value is not None)


def run_tables(run: Run) -> list[Table]:
    """Return the tables of one run that have anything to show."""
    tables = [
        main(run),
        per_seed(run),
        words(run),
        distances(run),
        cost(run),
        dynamics(run),
        lexicons(run),
        switching(run),
    ]
    return [table for table in tables if table.rows]


def overview(runs: Sequence[Run]) -> Table:
    """Return BLEU of every arm in every run, as Zan et al., Table 4."""
    arms = list(dict.fromkeys(arm for run in runs for arm in run["arms"]))
    columns = [Column("arm"), *(Column(f"{run['name']} {direction(run)}", 1) for run in runs)]
    rows: list[list[Cell]] = [[arm_name(arm), *(Number(values(run, arm, bleu)) for run in runs)] for arm in arms]
    return Table("overview", "BLEU of all runs", columns, rows, SPREAD).with_best()


SPREAD = "Mean ± sample standard deviation over seeds; best in bold."


def direction(run: Run) -> str:
    """Return such as ``de→en``."""
    return f"{base_language(run['src'])}→{base_language(run['tgt'])}"


def main(run: Run) -> Table:
    """Return arms × (BLEU, chrF, F of rare words, distance, training seconds)."""
    columns = [
        Column("arm"),
        Column("seeds"),
        Column("BLEU", 1),
        Column("chrF", 1),
        Column(f"F {_rarest(run)} %", 1),
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
                Number(values(run, arm, rare_f), 1),
                Number(values(run, arm, eq5), 2),
                Number(values(run, arm, seconds), 0),
            ]
        )
    note = f"{SPREAD} F: words with that frequency in the training text. D: Eq. 5, decoder output at the last token."
    note += " Training: all stages after the backbone."
    if any(isinstance(cell, Number) and cell.mark for row in rows for cell in row):
        note += " * p < 0.05, ** p < 0.01 against standard finetuning in every finished seed (paired bootstrap)."
    return Table("main", f"{direction(run)}: translation quality and cost", columns, rows, note).with_best()


def _rarest(run: Run) -> str:
    return next((score["words"]["buckets"][0]["name"] for score in run["scores"] if score.get("words")), "rare words")


def _mark(run: Run, arm: str, metric: str, seed: int | None = None) -> str:
    """Return the mark of the largest p-value over the seeds, or of one seed; none where seeds point both ways."""
    tests = [
        test
        for test in run["comparisons"]
        if (test["arm"], test["metric"]) == (arm, metric) and seed in (None, test["seed"])
    ]
    if len({test["difference"] > 0 for test in tests}) != 1:
        return ""
    return mark(max(test["p_value"] for test in tests))


def per_seed(run: Run) -> Table:
    """Return the numbers of each seed and arm."""
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
                    Number(values(one, arm, rare_f), 2),
                    Number(values(one, arm, eq5), 2),
                    Number(values(one, arm, seconds), 0),
                ]
            )
    labels = ("seed", "arm", "BLEU", "chrF", f"F {_rarest(run)} %", "distance D", "training s")
    note = "* p < 0.05, ** p < 0.01 against standard finetuning of the same seed (paired bootstrap over sentences)."
    return Table("seeds", f"{direction(run)}: each seed", [Column(label) for label in labels], rows, note)


def words(run: Run) -> Table:
    """Return word F-measure by frequency in the training text (Zan et al., Figure 5)."""
    buckets: list[dict[str, Any]] = next(
        (score["words"]["buckets"] for score in run["scores"] if score.get("words")), []
    )
    columns = [Column("arm"), *(Column(f"F {bucket['name']} %", 1) for bucket in buckets)]
    rows: list[list[Cell]] = [
        [arm_name(arm), *(Number(values(run, arm, functools.partial(word_f, i))) for i in range(len(buckets)))]
        for arm in run["arms"]
        if buckets
    ]
    note = f"{SPREAD} Columns: how often the word occurs in the training text."
    return Table("words", f"{direction(run)}: word F-measure by training frequency", columns, rows, note).with_best()


def distances(run: Run) -> Table:
    """Return every definition of cross-lingual distance (Zan et al., Table 8)."""
    columns = [Column("model"), *(Column(label, better) for label, better, _ in DISTANCES.values())]
    scored = {score["arm"] for score in run["scores"] if score.get("distance")}
    rows: list[list[Cell]] = [
        [
            arm_name(arm),
            *(
                Number(values(run, arm, functools.partial(distance, key)), digits)
                for key, (*_, digits) in DISTANCES.items()
            ),
        ]
        for arm in ("backbone", *run["arms"])
        if arm in scored
    ]
    note = f"{SPREAD} D grows with the number of sentences; cosine and retrieval do not depend on scale."
    return Table("distance", f"{direction(run)}: distance between the languages", columns, rows, note).with_best()


def cost(run: Run) -> Table:
    """Return seconds of each stage and the overhead over standard finetuning (Zan et al., Table 10)."""
    stages = list(dict.fromkeys(stage for score in run["scores"] for stage in score.get("seconds", {})))
    columns = [
        Column("arm"),
        *(Column(f"{stage} s") for stage in stages),
        Column("after backbone s"),
        Column("overhead %"),
    ]
    base = Number(values(run, BASELINE, seconds)).mean
    rows: list[list[Cell]] = []
    for arm in run["arms"] if stages else []:
        spent = [Number(values(run, arm, functools.partial(_stage_seconds, stage)), 0) for stage in stages]
        total = values(run, arm, seconds)
        overhead = tuple(100 * (value / base - 1) for value in total) if base else ()
        rows.append(
            [arm_name(arm)]
            + [number if number.values or not total else "–" for number in spent]
            + [Number(total, 0), "–" if arm == BASELINE else Number(overhead, 0)]
        )
    note = "Wall seconds, mean ± sample standard deviation over seeds. The arms of a seed share the backbone."
    return Table("cost", f"{direction(run)}: training time", columns, rows, note)


def _stage_seconds(stage: str, score: dict[str, Any]) -> float | None:
    return score.get("seconds", {}).get(stage)


def logs(run: Run, arm: str) -> list[dict[str, Any]]:
    """Return the logs of an arm or a stage, one per seed."""
    return [log for log in run["logs"] if log["arm"] == arm]


def dynamics(run: Run) -> Table:
    """Return final losses and the updates until standard finetuning's final loss (Zan et al., section 6.3)."""
    labels = (
        "arm",
        "updates",
        "final training loss",
        "final validation loss",
        "best validation BLEU",
        "reaches baseline at",
    )
    rows: list[list[Cell]] = [
        [
            arm_name(arm),
            Number(_each(run, arm, last_update), 0),
            Number(_each(run, arm, lambda log: _last(log["train"].get("loss"))), 3),
            Number(_each(run, arm, lambda log: _last(log["valid"].get("loss"))), 3),
            Number(
                _each(run, arm, lambda log: max((value for _, value in log["valid"].get("bleu", [])), default=None)), 1
            ),
            Number(updates_to_baseline(run, arm), 0),
        ]
        for arm in run["arms"]
        if logs(run, arm)
    ]
    note = "Finetuning only. Losses in bits per token, label smoothing included. Last column: first validation at or "
    note += "below the final validation loss of standard finetuning with the same seed; missing where never reached."
    return Table("dynamics", f"{direction(run)}: training dynamics", [Column(label) for label in labels], rows, note)


def _each(run: Run, arm: str, measure: Callable[[dict[str, Any]], float | None]) -> tuple[float, ...]:
    return tuple(value for log in logs(run, arm) if (value := measure(log)) is not None)


def _last(points: Sequence[tuple[float, float]] | None) -> float | None:
    return points[-1][1] if points else None


def last_update(log: dict[str, Any]) -> float | None:
    """Return the last update a log tells of."""
    curves = [points for part in ("train", "valid") for points in log[part].values()]
    return max((points[-1][0] for points in curves if points), default=None)


def updates_to_baseline(run: Run, arm: str) -> tuple[float, ...]:
    """Return, for the seeds that get there, the updates an arm needs to the baseline's final validation loss."""
    targets = {log["seed"]: _last(log["valid"].get("loss")) for log in logs(run, BASELINE)}
    return _each(run, arm, lambda log: _updates_to(log, targets.get(log["seed"])))


def _updates_to(log: dict[str, Any], target: float | None) -> float | None:
    return None if target is None else updates_to_reach(log["valid"].get("loss", []), target)


def lexicons(run: Run) -> Table:
    """Return size and quality figures of the lexicons."""
    figures = list(dict.fromkeys(key for lexicon in run["lexicons"].values() for key in _figures(lexicon)))
    rows: list[list[Cell]] = []
    for name, lexicon in run["lexicons"].items():
        quality = _figures(lexicon)
        shown: Iterable[Cell] = (
            Number((quality[key],), 3) if isinstance(quality.get(key), int | float) else str(quality.get(key, "–"))
            for key in figures
        )
        sizes = [Number((lexicon["words"],), 0), Number((lexicon["candidates"],), 0)]
        rows.append([name.replace("-", "→"), lexicon["source"] or "–", *sizes, *shown])
    columns = [Column("direction"), Column("made by"), Column("words"), Column("candidates")]
    columns += [Column(key.replace("_", " ")) for key in figures]
    return Table("lexicon", f"{direction(run)}: lexicons", columns, rows)


def _figures(lexicon: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in lexicon["quality"].items() if not isinstance(value, dict | list)}


def switching(run: Run) -> Table:
    """Return what the restore logs say of the switching: every ``switch_...`` number, averaged over its updates."""
    stages = list(dict.fromkeys(log["arm"] for log in run["logs"] if _switch_keys(log)))
    keys = list(dict.fromkeys(key for log in run["logs"] for key in _switch_keys(log)))
    rows: list[list[Cell]] = [
        [arm_name(stage), *(Number(_each(run, stage, functools.partial(_average, key)), 3) for key in keys)]
        for stage in stages
    ]
    columns = [Column("stage"), *(Column(key.removeprefix("switch_").replace("_", " ")) for key in keys)]
    note = "Means over the training updates of the stage, ± standard deviation over seeds."
    return Table("switching", f"{direction(run)}: switching statistics", columns, rows, note)


def _switch_keys(log: dict[str, Any]) -> list[str]:
    return [key for key in log["train"] if key.startswith("switch_")]


def _average(key: str, log: dict[str, Any]) -> float | None:
    return Number(tuple(value for _, value in log["train"].get(key, []))).mean


def published(runs: Sequence[Run]) -> list[Table]:
    """Return the tables printed in the papers, with the rows of our runs first where we measure the same."""
    specs = yaml.safe_load(resources.files("csr.report").joinpath("published.yaml").read_text(encoding="utf-8"))
    return [_published(spec, runs) for spec in specs]


def _published(spec: dict[str, Any], runs: Sequence[Run]) -> Table:
    labels, arms, digits = list(spec["columns"]), list(spec["columns"].values()), spec["digits"]
    measure = _MEASURES.get(spec.get("metric"))
    rows: list[list[Cell]] = []
    for run in runs if measure else []:
        ours = [measure(run, arm) if measure and arm in (*run["arms"], "backbone", "gain") else () for arm in arms]
        if any(ours):
            rows.append(
                [f"ours: {run['name']} {direction(run)}", *(Number(cell, digits) if cell else "–" for cell in ours)]
            )
    n_ours = len(rows)
    for name, printed in spec["rows"].items():
        rows.append([name, *(Number((value,), digits) if value is not None else "–" for value in printed)])
    columns = [Column(spec["row"]), *map(Column, labels)]
    if "gain" in spec:
        before, after = (1 + labels.index(label) for label in spec["gain"])
        columns.append(Column("difference"))
        rows = [[*row, _difference(row[before], row[after])] for row in rows]
    return Table(f"published-{spec['name']}", spec["title"], columns, rows, f"{spec['source']}.", list(range(n_ours)))


def _difference(before: Cell, after: Cell) -> Cell:
    if isinstance(before, Number) and isinstance(after, Number) and before.mean is not None and after.mean is not None:
        return Number((after.mean - before.mean,), after.digits, signed=True)
    return "–"


def _gain(run: Run, arm: str) -> tuple[float, ...]:
    """Return CSR's F of rare words minus the baseline's, seed by seed."""
    del arm
    by_seed = [{s["seed"]: rare_f(s) for s in run["scores"] if s["arm"] == name} for name in (BASELINE, "csr")]
    pairs = ((by_seed[0].get(seed), by_seed[1].get(seed)) for seed in run["seeds"])
    return tuple(after - before for before, after in pairs if before is not None and after is not None)


_MEASURES: dict[str | None, Callable[[Run, str], tuple[float, ...]]] = {
    "bleu": lambda run, arm: values(run, arm, bleu),
    "distance": lambda run, arm: values(run, arm, eq5),
    "hours": lambda run, arm: tuple(value / 3600 for value in values(run, arm, seconds)),
    "updates": lambda run, arm: updates_to_baseline(run, arm),
    "words": _gain,
}
