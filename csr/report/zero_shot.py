"""Tables of zero-shot transfer: accuracy of inference and of texts, and entity F1, by test set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from csr.evaluation.significance import mark
from csr.report import write_page, write_results
from csr.report.collect import collect, of_run
from csr.report.html import task_page
from csr.report.measures import arm_name
from csr.report.table import Cell, Column, Number, Table, printed
from csr.report.verdict import Outcome, Verdict, point_both_ways, told_apart

MEASURES = {"ner": "macro F1", "nli": "accuracy", "text": "accuracy"}
_Pair = tuple[tuple[str, str], tuple[str, str]]  # encoder and arm, and encoder and arm against which it is tested
Tests = dict[str, Mapping[str, Any]]  # what was tested, by test set
TestsByOutcome = dict[Outcome, list[str]]
_OUTCOMES: tuple[Outcome, ...] = ("better", "worse", "not told apart")


def scores_table(scores: Mapping[str, Mapping[str, Any]]) -> Table:
    """The scores of one model: a row for each test set, in percent."""
    if all("accuracy" in found for found in scores.values()):
        of_texts = all("macro" in found for found in scores.values())
        columns = [Column("test set"), Column("accuracy", 1), *([Column("macro F1", 1)] if of_texts else [])]
        columns += [Column("majority"), Column("texts" if of_texts else "pairs")]
        rows: list[list[Cell]] = []
        for name, found in scores.items():
            measures = ("accuracy", "macro", "majority") if of_texts else ("accuracy", "majority")
            rows.append([name, *(_percent(found[measure]) for measure in measures), Number((found["total"],), 0)])
        note = "Majority: the share of the most frequent label."
        what = "classification of texts" if of_texts else "inference between sentences"
        return Table("zero_shot", f"Accuracy of {what} (%)", columns, rows, note)
    types = sorted({name for found in scores.values() for name in found["types"]})
    columns = [Column("test set"), Column("micro F1", 1), Column("macro F1", 1), *map(Column, types)]
    rows = []
    for name, found in scores.items():
        shares = (found["micro"], found["macro"], *map(found["types"].get, types))
        rows.append([name, *map(_percent, shares), Number((found["n_entities"],), 0)])
    return Table("zero_shot", "Entity F1 by seqeval (%)", [*columns, Column("entities")], rows)


def write_zero_shot_report(
    folder: Path,
    scores: Sequence[Mapping[str, Any]],
    comparisons: Sequence[Mapping[str, Any]],
    grid: Mapping[str, float],
    missing: Sequence[str],
    unlearned: Sequence[Mapping[str, Any]],
) -> None:
    """Write ``report.html``, ``table.md``, ``results.json`` and ``tables/`` of a run of arms.

    Args:
        scores: encoder, arm, seed, test and score, 0 to 1, of each model at the best point of the grid.
        comparisons: encoder, arm, against (encoder and arm), test, difference and p-value.
        grid: the mean score on the dev set of each point.
        missing: the scores that are not there yet.
        unlearned: encoder, arm and seed of the models that are no better than none on the dev set.
    """
    with of_run(folder):
        results = collect(folder) | {"scores": list(scores), "comparisons": list(comparisons), "grid": dict(grid)}
        results |= {"missing": list(missing), "unlearned": list(unlearned)}
        task = results["config"]["task"]
        found = [arms_table(results, task), differences_table(results, task)]
        if len(grid) > 1:
            rows: list[list[Cell]] = [[point, _percent(score)] for point, score in grid.items()]
            columns = [Column("grid"), Column("dev", 1)]
            note = "Mean over encoders, arms and seeds; the best point serves all of them."
            found.append(Table("grid", "Scores on the dev set by learning rate and epochs", columns, rows, note))
        told = verdicts(results, task)
        page = task_page(results["name"], found, results, told)
        write_results(folder, results, found, found[:2], list(map(str, told)))
    write_page(folder / "report.html", page)


def arms_table(results: Mapping[str, Any], task: str) -> Table:
    """The scores of each encoder and arm on each test set, and the mean over the test sets but dev, in percent."""
    scores = results["scores"]
    tests = list(dict.fromkeys(row["test"] for row in scores))
    others = [test for test in tests if test != "dev"]
    encoders = list(dict.fromkeys(row["encoder"] for row in scores))
    rows: list[list[Cell]] = []
    for encoder in encoders:
        for arm in results["arms"]:
            mine = [row for row in scores if (row["encoder"], row["arm"]) == (encoder, arm)]
            values = {(row["seed"], row["test"]): 100 * row["score"] for row in mine}
            seeds = list(dict.fromkeys(row["seed"] for row in mine))
            cells: list[Cell] = [Number(tuple(values[seed, test] for seed in seeds), 2) for test in tests]
            averages = (sum(values[seed, test] for test in others) / len(others) for seed in seeds)
            rows.append([encoder, arm_name(arm), *cells, Number(tuple(averages), 2)])
    columns = [Column("encoder"), Column("arm"), *(Column(test, 1) for test in tests), Column("average", 1)]
    note = "Mean ± standard deviation over seeds; dev is in the language of training, the average is over the others."
    if results["missing"]:
        note += f" Not finished: {len(results['missing'])} results, such as {results['missing'][0]}."
    unlearned: dict[str, list[str]] = {}
    for row in results["unlearned"]:
        name = f"{arm_name(row['arm'])} ({row['encoder']})" if len(encoders) > 1 else arm_name(row["arm"])
        unlearned.setdefault(name, []).append(str(row["seed"]))
    note += unlearned_note(unlearned, task, "finetune.lrs")
    return Table("zero_shot", f"Zero-shot transfer: {MEASURES[task]}, %", columns, rows, note).with_best()


def unlearned_note(models: Mapping[str, Sequence[str]], task: str, setting: str) -> str:
    """A sentence that names models that are no better than none, with their seeds; nothing where there is none.

    Args:
        setting: the name of that of the learning rates.
    """
    if not models:
        return ""
    shown = "; ".join(f"{name}: seed{'s' * (len(seeds) > 1)} {', '.join(seeds)}" for name, seeds in models.items())
    none = "without one right entity" if task == "ner" else "no better than the most frequent label"
    return f" Not learned, {none} on dev: {shown}. Try a lower rate ({setting}) before you compare them."


def differences_table(results: Mapping[str, Any], task: str) -> Table:
    """The difference of each arm from others, by test set, marked where it is more than chance."""
    compared = results["comparisons"]
    tests = list(dict.fromkeys(row["test"] for row in compared))
    rows: list[list[Cell]] = []
    for ((encoder, arm), other), tested in _by_pair(compared).items():
        cells = difference_cells(tested, tests)
        name = arm_name(other[1]) if other[0] == encoder else f"{arm_name(other[1])} of {other[0]}"
        rows.append([encoder, arm_name(arm), name, *cells])
    columns = [Column("encoder"), Column("arm"), Column("against"), *map(Column, tests)]
    title = f"Differences in {MEASURES[task]}, points"
    return Table("differences", title, columns, rows, differences_note(compared))


def difference_cells(tested: Tests, tests: Sequence[str]) -> list[Cell]:
    """The differences of one model from another on each test set, in points, marked where they are more than chance."""
    return [
        Number((100 * tested[test]["difference"],), 2, mark=mark(tested[test]["p_value"]), signed=True)
        if test in tested
        else "–"
        for test in tests
    ]


def differences_note(compared: Sequence[Mapping[str, Any]]) -> str:
    """What the marks of ``difference_cells`` mean."""
    signature = f" {compared[0]['signature']}" if compared else ""
    return f"* p < 0.05, ** p < 0.01: paired bootstrap over examples and seeds.{signature}"


def verdicts(results: Mapping[str, Any], task: str) -> list[Verdict]:
    """What the tests say: arms against zero-shot and the placebo, and encoders against the first.

    An arm is better or worse on a test set if the mean difference over the seeds has p < 0.05 by paired bootstrap over
    examples and seeds, its interval leaves 0 out, and all seeds point the same way; as a whole, if it is so on one
    test set, and the contrary on none.
    """
    pairs = _by_pair(results["comparisons"])
    several = len({encoder for pair in pairs for encoder, _ in pair}) > 1
    # First what the words bring, then whether it is the lexicon, then what a lexicon that knows nothing brings.
    ordered = sorted(
        pairs, key=lambda pair: (pair[0][0] != pair[1][0], pair[0][1] == "placebo", pair[1][1] == "placebo")
    )
    outcomes = {pair: by_outcome(tests) for pair, tests in pairs.items()}
    return [_verdict(pair, pairs, outcomes, task, several) for pair in ordered]


def _by_pair(compared: Sequence[Mapping[str, Any]]) -> dict[_Pair, Tests]:
    found: dict[_Pair, Tests] = {}
    for row in compared:
        found.setdefault(((row["encoder"], row["arm"]), tuple(row["against"])), {})[row["test"]] = row
    return found


def _outcome(test: Mapping[str, Any]) -> Outcome:
    if not told_apart(test) or point_both_ways(test["each"]):
        return "not told apart"
    return "better" if test["difference"] > 0 else "worse"


def by_outcome(tests: Tests) -> TestsByOutcome:
    """The test sets but dev by their outcome."""
    return {
        wanted: [name for name, test in tests.items() if name != "dev" and _outcome(test) == wanted]
        for wanted in _OUTCOMES
    }


def _verdict(
    pair: _Pair,
    pairs: Mapping[_Pair, Tests],
    outcomes: Mapping[_Pair, TestsByOutcome],
    task: str,
    several: bool,
) -> Verdict:
    tests, ((encoder, arm), (other, against)) = pairs[pair], pair
    name = f"{arm_name(arm)} ({encoder})" if several else arm_name(arm)
    rival = arm_name(against, inside=True) if other == encoder else f"the same of {other}"
    seeds = max(len(test["seeds"]) for test in tests.values())
    details = f"Points of {MEASURES[task]}, {seeds} {'seeds' if seeds > 1 else 'seed, so its luck is not known'}."
    after = "" if arm in ("zero_shot", "placebo") or against != "zero_shot" else _next(pair, pairs, outcomes, seeds)
    headline = f"{name} against {rival}: {in_words(tests, outcomes[pair])}."
    return Verdict(arm, against, overall(outcomes[pair]), headline, details + on_dev(tests), after)


def overall(outcomes: TestsByOutcome) -> Outcome:
    """Better or worse if it is so on a test set, and the contrary on none."""
    gained, lost = outcomes["better"], outcomes["worse"]
    return "not told apart" if bool(gained) == bool(lost) else "better" if gained else "worse"


def in_words(tests: Tests, outcomes: TestsByOutcome) -> str:
    """The outcomes with their test sets and differences in points."""

    def shown(name: str) -> str:
        return f"{name} ({printed(100 * tests[name]['difference'], 1, signed=True)})"

    return "; ".join(f"{word} on {', '.join(map(shown, sets))}" for word, sets in outcomes.items() if sets)


def on_dev(tests: Tests) -> str:
    """The difference in the language of training, as a sentence."""
    if not (dev := tests.get("dev")):
        return ""
    difference = printed(100 * dev["difference"], 1, signed=True)
    return f" On dev, in the language of training: {difference} (p = {dev['p_value']:.3f})."


def _next(pair: _Pair, pairs: Mapping[_Pair, Tests], outcomes: Mapping[_Pair, TestsByOutcome], seeds: int) -> str:
    """The next step, for an arm of switched words beside zero-shot."""
    tests, ((encoder, arm), _) = pairs[pair], pair
    gained, lost = outcomes[pair]["better"], outcomes[pair]["worse"]
    control = (encoder, arm), (encoder, "placebo")
    placebo = outcomes.get(control)
    equal = [one for one in gained if one not in placebo["better"]] if placebo else []
    credit = (
        f" The placebo lexicon did as well on {', '.join(equal)}: do not credit the lexicon there." if equal else ""
    )
    if gained and not lost:
        if seeds < 2:
            return f"Next: train at least three seeds (seeds: [1, 2, 3]) before you rely on it.{credit}"
        if placebo is None:
            return "Next: use it; to see whether it is the lexicon, train the arm placebo too."
        return f"Next: use it.{credit or _credit(pairs[control])}"
    if "dev" in tests and _outcome(tests["dev"]) == "worse":
        return (
            "Next: train longer (finetune.epochs), or switch less (switching.originals, switching.rate): in as many "
            f"updates it has learned the task itself less well, in the language of training.{credit}"
        )
    if lost:
        return f"Next: use zero-shot there, or look at what is switched: csr switch-labels writes it.{credit}"
    return "Next: more seeds or larger test sets would tell smaller differences apart; until then use zero-shot."


def _credit(tests: Tests) -> str:
    """Whether the translations have earned an arm's gain over the placebo: not if that has learned the task less."""
    gains = [test["difference"] for name, test in tests.items() if name != "dev"]
    lead = tests["dev"]["difference"] if "dev" in tests else 0.0
    if lead > sum(gains) / len(gains) / 2:
        behind = printed(100 * lead, 1)
        return (
            " How much of it the translations bring is not known: with the placebo lexicon the task itself was learned "
            f"less well, in the language of training by {behind}."
        )
    return " It is the translations that help."


def _percent(value: float | None) -> Cell:
    return "–" if value is None else Number((100 * value,), 2)
