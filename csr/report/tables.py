"""The tables of a run: arms by measures, per seed, words, distance, cost, dynamics, lexicons."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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
    "none": "No CS",
    "ibm": "IBM",
    "muse": "MUSE",
    "backbone": "Backbone, not finetuned",
}
STAGES = ("backbone", "restore", "finetune")
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


def comet(score: dict[str, Any]) -> float | None:
    """Return COMET in the model's own unit."""
    return (score.get("comet") or {}).get("value")


def off_target(score: dict[str, Any]) -> float | None:
    """Return how many outputs, in percent, are in a wrong language."""
    rate = (score.get("off_target") or {}).get("rate")
    return None if rate is None else 100 * rate


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
    stages = [value for stage, value in score.get("seconds", {}).items() if stage != "backbone" and value is not None]
    return sum(stages) if stages else None


rare_f = functools.partial(word_f, 0)
eq5 = functools.partial(distance, "root_sum_squares")


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


def values(run: Run, arm: str, measure: Measure) -> tuple[float, ...]:
    """Return a measure of one arm for each seed that has it."""
    found = (measure(score) for score in run["scores"] if score["arm"] == arm)
    return tuple(value for value in found if value is not None)


def gains(run: Run, measure: Measure) -> tuple[float, ...]:
    """Return CSR's measure minus standard finetuning's, seed by seed where both have it."""
    scores = {(score["seed"], score["arm"]): measure(score) for score in run["scores"]}
    pairs = [(scores.get((seed, "csr")), scores.get((seed, BASELINE))) for seed in run["seeds"]]
    return tuple(ours - base for ours, base in pairs if ours is not None and base is not None)


def run_tables(run: Run) -> list[Table]:
    """Return the tables of one run that have anything to show."""
    tables = [
        main(run),
        per_seed(run),
        words(run),
        distances(run),
        cost(run),
        dynamics(run),
        checkpoints(run),
        lexicons(run),
        lexicon_starts(run),
        switching(run),
    ]
    return [table for table in tables if table.rows]


def overview(runs: Sequence[Run]) -> Table:
    """Return BLEU of every arm in every run, as Zan et al., Table 4."""
    arms = list(dict.fromkeys(arm for run in runs for arm in run["arms"]))
    columns = [Column("arm"), *(Column(f"{run['name']} {direction(run)}", 1) for run in runs)]
    rows: list[list[Cell]] = [
        [arm_name(arm), *(Number(values(run, arm, bleu)) if arm in run["arms"] else "–" for run in runs)]
        for arm in arms
    ]
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
        *(Column(one.label, one.better) for one in _optional(run)),
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
                *(
                    Number(values(run, arm, one.measure), one.digits, mark=_mark(run, arm, one.metric))
                    for one in _optional(run)
                ),
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


def _mark(run: Run, arm: str, metric: str | None, seed: int | None = None) -> str:
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
    labels = ("seed", "arm", "BLEU", "chrF", *optional, f"F {_rarest(run)} %", "distance D", "training s")
    note = "* p < 0.05, ** p < 0.01 against standard finetuning of the same seed (paired bootstrap over sentences)."
    return Table("seeds", f"{direction(run)}: each seed", [Column(label) for label in labels], rows, note)


def words(run: Run) -> Table:
    """Return word F-measure by frequency in the training text (Zan et al., Figure 5)."""
    buckets: list[dict[str, Any]] = next(
        (score["words"]["buckets"] for score in run["scores"] if score.get("words")), []
    )
    columns = [Column("arm"), *(Column(f"F {bucket['name']} %", 1) for bucket in buckets)]
    rows: list[list[Cell]] = []
    for arm in run["arms"] if buckets else []:
        scored = any(score["arm"] == arm for score in run["scores"])
        found = [values(run, arm, functools.partial(word_f, i)) for i in range(len(buckets))]
        # Of a bucket without words there is no F, which is another thing than an arm that is not finished.
        rows.append([arm_name(arm), *("–" if scored and not f else Number(f) for f in found)])
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


def distance_table(models: Sequence[tuple[str, Mapping[str, float]]], note: str = "") -> Table:
    """Return the distances of named models, one a row (Zan et al., Table 8)."""
    columns = [Column("model"), *(Column(label, better) for label, better, _ in DISTANCES.values())]
    rows: list[list[Cell]] = []
    for name, found in models:
        measured = (distance(key, {"distance": found}) for key in DISTANCES)
        digits = (places for *_, places in DISTANCES.values())
        rows.append(
            [name, *(Number(() if v is None else (v,), places) for v, places in zip(measured, digits, strict=True))]
        )
    return Table("distance", "Distance between the languages", columns, rows, note).with_best()


def cost(run: Run) -> Table:
    """Return seconds of each stage and the overhead over standard finetuning (Zan et al., Table 10)."""
    stages = [stage for stage in STAGES if any(_stage_seconds(stage, score) is not None for score in run["scores"])]
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
            + [Number(total, 0), "–" if arm == BASELINE or not base else Number(overhead, 0)]
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
    labels = ("arm", "updates", "training loss", "validation loss", "best BLEU", "reaches baseline at", "in seeds")
    rows: list[list[Cell]] = []
    for arm in run["arms"]:
        if trained := logs(run, arm):
            reached, best = updates_to_baseline(run, arm), _each(run, arm, _best_bleu)
            rows.append(
                [
                    arm_name(arm),
                    Number(_each(run, arm, _last_update), 0),
                    Number(_each(run, arm, lambda log: _last(log["train"].get("loss"))), 3),
                    Number(_each(run, arm, lambda log: _last(log["valid"].get("loss"))), 3),
                    Number(best, 1) if best else "–",
                    Number(reached, 0) if reached else "–",
                    f"{len(reached)} of {len(trained)}",
                ]
            )
    note = "Finetuning only; last logged losses, in bits per token with label smoothing, and best validation BLEU. "
    note += "Last columns: first validation at or below standard finetuning's last validation loss with the same seed."
    return Table("dynamics", f"{direction(run)}: training dynamics", [Column(label) for label in labels], rows, note)


def _best_bleu(log: dict[str, Any]) -> float | None:
    return max((value for _, value in log["valid"].get("bleu", [])), default=None)


def _each(run: Run, arm: str, measure: Callable[[dict[str, Any]], float | None]) -> tuple[float, ...]:
    return tuple(value for log in logs(run, arm) if (value := measure(log)) is not None)


def _last(points: Sequence[tuple[float, float]] | None) -> float | None:
    return points[-1][1] if points else None


def _last_update(log: dict[str, Any]) -> float | None:
    """Return the last update a log tells of."""
    curves = [points for part in ("train", "valid") for points in log[part].values()]
    return max((points[-1][0] for points in curves if points), default=None)


def updates_to_baseline(run: Run, arm: str) -> tuple[float, ...]:
    """Return, for the seeds that get there, the updates an arm needs to the baseline's final validation loss."""
    targets = {log["seed"]: _last(log["valid"].get("loss")) for log in logs(run, BASELINE)}
    return _each(run, arm, lambda log: _updates_to(log, targets.get(log["seed"])))


def _updates_to(log: dict[str, Any], target: float | None) -> float | None:
    return None if target is None else updates_to_reach(log["valid"].get("loss", []), target)


def checkpoints(run: Run) -> Table:
    """Return distance and BLEU of the checkpoints that ``csr dynamics`` measured (Zan et al., Figure 2)."""
    series = run["checkpoints"]
    rows: list[list[Cell]] = []
    for stage in dict.fromkeys(one["arm"] for one in series):
        points = [point for one in series if one["arm"] == stage for point in one["points"]]
        for updates in sorted({point["updates"] for point in points}):
            here = [point for point in points if point["updates"] == updates]
            scores = tuple(value for point in here if (value := bleu(point)) is not None)
            rows.append(
                [
                    arm_name(stage),
                    f"{updates:,}",
                    Number(tuple(point["distance"]["root_sum_squares"] for point in here), 2),
                    Number(tuple(point["distance"]["cosine"] for point in here), 3),
                    Number(tuple(100 * point["distance"]["retrieval_accuracy"] for point in here)),
                    Number(scores) if scores else "–",
                ]
            )
    labels = ("stage", "updates", "distance D", "cosine", "retrieval %", "BLEU")
    note = "Saved checkpoints; updates count from the start of the stage, 0 is the model it started from."
    for one in series[:1]:
        note += f" At most {one['sentences']:,} sentences of the split {one['split']}, beam {one['beam']}."
    return Table("checkpoints", f"{direction(run)}: over updates", [Column(label) for label in labels], rows, note)


def lexicons(run: Run) -> Table:
    """Return size, coverage and co-occurrence precision of the lexicons."""
    shares = ("type_coverage", "token_coverage", "precision@1")
    rows: list[list[Cell]] = [
        [
            name.replace("-", "→"),
            lexicon["source"] or "–",
            Number((lexicon["words"],), 0),
            Number((lexicon["entries"],), 0),
            *(Number((100 * lexicon["corpus"][key],)) if key in lexicon["corpus"] else "–" for key in shares),
        ]
        for name, lexicon in run["lexicons"].items()
    ]
    labels = ("direction", "made by", "words", "entries", "types %", "tokens %", "precision@1 %")
    note = (
        "Types and tokens of the training text that have an entry; precision@1: how often the first candidate of such "
    )
    note += "a token is in the aligned sentence."
    return Table("lexicon", f"{direction(run)}: lexicons", [Column(label) for label in labels], rows, note)


def lexicon_starts(run: Run) -> Table:
    """Return how the starts of VecMap that ``auto`` tried compare, without gold data; the one it kept is marked."""
    measures = {"cooccurrence_precision": "co-occurrence %", "cooccurrence_by_chance": "by chance %"}
    measures |= {"round_trip": "round trip %", "mutual_csls": "mutual CSLS", "mean_similarity": "similarity"}
    # Both directions come from one mapping.
    quality: dict[str, Any] = next((lexicon["quality"] for lexicon in run["lexicons"].values()), {})
    rows: list[list[Cell]] = []
    for start, found in quality.get("starts", {}).items():
        cells: list[Cell] = []
        for key, label in measures.items():
            scale = 100 if label.endswith("%") else 1
            cells.append(Number((scale * found[key],), 1 if scale == 100 else 3) if key in found else "–")
        rows.append([start, "kept" if start == quality["start"] else "", *cells, Number((found["steps"],), 0)])
    labels = ("start", "", *measures.values(), "steps")
    note = "Co-occurrence: how often the first candidate of a word is in the aligned sentence, and how often a random "
    note += "one is. Round trip: words that are their translation's translation."
    return Table("starts", f"{direction(run)}: starts of VecMap", [Column(label) for label in labels], rows, note)


def switching(run: Run) -> Table:
    """Return what the restore logs say of the switching: every ``switch_NAME_LANGUAGE``, averaged over its updates."""
    stages = dict.fromkeys(log["arm"] for log in run["logs"])
    keys = list(dict.fromkeys(key for log in run["logs"] for key in log["train"] if key.startswith("switch_")))
    names = list(dict.fromkeys(key.removesuffix(f"_{language}") for key in keys for language in _sides(run, key)))
    rows: list[list[Cell]] = []
    for stage in stages:
        for language in (run["src"], run["tgt"]):
            means = [_each(run, stage, functools.partial(_average, f"{name}_{language}")) for name in names]
            if any(means):
                rows.append([stage.replace("_", " "), language, *(Number(mean, 3) for mean in means)])
    columns = [
        Column("stage"),
        Column("side"),
        *(Column(name.removeprefix("switch_").replace("_", " ")) for name in names),
    ]
    note = "Means over the training updates, ± standard deviation over seeds. Rate, coverage: shares of the words that "
    note += (
        "were replaced, that have a candidate; touched: share of the sentences with a replaced word; span: mean run of "
    )
    note += "replaced words; growth: length in pieces over the original's; fallback: share of sentences left clean. "
    note += "The stages backbone and mask restore put masks in place of translations."
    return Table("switching", f"{direction(run)}: switching statistics", columns, rows, note)


def _sides(run: Run, key: str) -> list[str]:
    return [language for language in (run["src"], run["tgt"]) if key.endswith(f"_{language}")]


def _average(key: str, log: dict[str, Any]) -> float | None:
    return Number(tuple(value for _, value in log["train"].get(key, []))).mean
