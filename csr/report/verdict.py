"""What a run says about each pair of arms, in a sentence: better, worse or not told apart, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from csr.evaluation.significance import seed_interval
from csr.report.measures import Run, arm_name
from csr.report.outputs import BASELINE, CONTROLS, REFERENCES
from csr.report.table import printed

# Kocmi, Zouhar, Federmann, Post: Navigating the Metrics Maze, ACL 2024, Table 2: from which difference on people side
# with the metric in such a share of the pairs of systems. COMET is of the model wmt22-comet-da, in points of 100.
SOURCE = "Kocmi et al. 2024, Table 2"
ACCURACIES = (50, 55, 60, 65, 70, 75, 80, 85, 90, 95)
THRESHOLDS: Mapping[str, Sequence[float]] = {
    "bleu": (0.27, 0.52, 0.78, 1.06, 1.39, 1.79, 2.34, 3.35),
    "chrf": (0.14, 0.33, 0.54, 0.76, 1.00, 1.28, 1.63, 2.12, 3.05),
    "comet": (0.03, 0.10, 0.18, 0.26, 0.35, 0.45, 0.56, 0.71, 0.94, 1.53),
}
_THRESHOLDS_OF = "wmt22-comet-da"
_LABELS = {"bleu": ("BLEU", 2), "chrf": ("chrF", 2), "comet": ("COMET", 4)}
ALPHA = 0.05

Outcome = Literal["better", "worse", "not told apart"]


@dataclass(frozen=True)
class Verdict:
    """One arm against another.

    Attributes:
        headline: the outcome and the difference.
        details: interval, p, spread over seeds, other metrics, and whether a person would notice.
        next: what to do now; empty for comparisons that are beside the question.
    """

    arm: str
    against: str
    outcome: Outcome
    headline: str
    details: str
    next: str

    def __str__(self) -> str:
        return f"{self.headline} {self.details} {self.next}".strip()


def verdicts(run: Run) -> list[Verdict]:
    """The verdicts of a run: CSR against standard finetuning and the controls, then each other arm that has a test.

    An arm is better or worse if the mean difference in BLEU over the seeds has p < 0.05 by paired bootstrap over
    sentences and seeds, its interval leaves 0 out, all seeds point the same way, and neither chrF nor COMET has
    p < 0.05 in the other direction.
    """
    found = {(test["arm"], test["against"], test["metric"]): test for test in run["over_seeds"]}
    ordered = of_interest(run["over_seeds"], "bleu")
    outcomes = {pair: _outcome(run, found, *pair) for pair in ordered}
    return [
        Verdict(*pair, outcomes[pair], *_told(run, found, *pair, outcomes[pair]), _next(run, found, pair, outcomes))
        for pair in ordered
    ]


def of_interest(tests: Sequence[Mapping[str, Any]], metric: str) -> list[tuple[str, str]]:
    """The pairs of arms to tell of: CSR against all that it was tested against, then what others gain."""
    pairs = dict.fromkeys((test["arm"], test["against"]) for test in tests if test["metric"] == metric)
    wanted = [pair for pair in pairs if pair[0] == "csr" or pair[1] in (BASELINE, "bt")]
    return sorted(wanted, key=lambda pair: (pair[0] != "csr", REFERENCES.index(pair[1])))


def includes_zero(test: Mapping[str, Any]) -> bool:
    """Whether the interval of a difference has 0 within it, as it may at the edge although p is below ``ALPHA``.

    p comes from samples shifted to no difference, the interval from the samples as they are.
    """
    return bool(test["low"] <= 0 <= test["high"])


def told_apart(test: Mapping[str, Any]) -> bool:
    """Whether a difference is more than chance: p below ``ALPHA``, and 0 outside the interval."""
    return bool(test["p_value"] < ALPHA and not includes_zero(test))


def point_both_ways(each: Sequence[float]) -> bool:
    """Whether some seeds have a gain and others have none."""
    return len({value > 0 for value in each}) > 1


def accuracy(metric: str, difference: float) -> int | None:
    """In how many of 100 pairs of systems people side with a difference as large, rounded down; None below a coin toss.

    Args:
        difference: of BLEU or chrF, 0 to 100, or of COMET (wmt22-comet-da), 0 to 1.

    >>> accuracy("bleu", 1.1), accuracy("bleu", -2.4), accuracy("comet", 0.0057), accuracy("chrf", 0.1)
    (65, 80, 80, None)
    """
    size = abs(difference) * (100 if metric == "comet" else 1)
    reached = [share for share, least in zip(ACCURACIES, THRESHOLDS[metric], strict=False) if size >= least]
    return reached[-1] if reached else None


def _outcome(run: Run, found: Mapping[tuple[str, str, str], dict[str, Any]], arm: str, against: str) -> Outcome:
    test = found[arm, against, "bleu"]
    if test["p_value"] >= ALPHA or _doubt(run, found, arm, against):
        return "not told apart"
    return "better" if test["difference"] > 0 else "worse"


def _doubt(run: Run, found: Mapping[tuple[str, str, str], dict[str, Any]], arm: str, against: str) -> str:
    """What speaks against a difference besides p; empty if nothing does."""
    if point_both_ways(_each(run, arm, against, "bleu")):
        return "the seeds point both ways"
    if includes_zero(found[arm, against, "bleu"]):
        return "0 is within the interval"
    up = found[arm, against, "bleu"]["difference"] > 0
    for metric in ("chrf", "comet"):
        other = found.get((arm, against, metric))
        if other and other["p_value"] < ALPHA and (other["difference"] > 0) != up:
            return f"{_LABELS[metric][0]} says the contrary"
    return ""


def _told(
    run: Run, found: Mapping[tuple[str, str, str], dict[str, Any]], arm: str, against: str, outcome: Outcome
) -> tuple[str, str]:
    """The headline and the details of a comparison."""
    test, each = found[arm, against, "bleu"], _each(run, arm, against, "bleu")
    verb = "is not told apart from" if outcome == "not told apart" else f"is {outcome} than"
    name = arm_name(arm, inside=True)
    headline = (
        f"{name[0].upper()}{name[1:]} {verb} {arm_name(against, inside=True)}: {_signed(test['difference'])} BLEU,"
    )
    of = "sentences and seeds" if len(each) > 1 else "test sentences"
    details = f"in 95 % of bootstrap samples of the {of} {_signed(test['low'])} to {_signed(test['high'])} "
    details += f"(p = {test['p_value']:.3f}); "
    if around := seed_interval(each):
        details += f"over {len(each)} seeds {', '.join(map(_signed, each))}, "
        details += f"95 % interval of their mean {_signed(around[0])} to {_signed(around[1])}."
    else:
        details += "one seed, so its luck is not known."
    if test["p_value"] < ALPHA and (doubt := _doubt(run, found, arm, against)):
        details = f"{details.rstrip('.')}; but {doubt}."
    noticed = "" if outcome == "not told apart" else _noticed(run, found, arm, against)
    others = []
    for metric in ("chrf", "comet"):
        if other := found.get((arm, against, metric)):
            label, digits = _LABELS[metric]
            others.append(f"{label} {_signed(other['difference'], digits)} (p = {other['p_value']:.3f})")
    also = f"{', '.join(others)}." if others else ""
    return headline, " ".join(part for part in (details, also, noticed) if part)


def _noticed(run: Run, found: Mapping[tuple[str, str, str], dict[str, Any]], arm: str, against: str) -> str:
    """Whether a person would notice, by each metric whose thresholds are known."""
    shares = {}
    for metric in THRESHOLDS:
        test = found.get((arm, against, metric))
        if test and (metric != "comet" or _comet_is_known(run)):
            shares[_LABELS[metric][0]] = accuracy(metric, test["difference"])
    if not any(shares.values()):
        return f"People would hardly notice: so small a difference is a coin toss to them ({SOURCE})."
    told = [f"{share} % by {label}" for label, share in shares.items() if share]
    told += [f"a coin toss by {label}" for label, share in shares.items() if not share]
    return f"Of pairs of systems that differ so much, people see the same difference in {', '.join(told)} ({SOURCE})."


def _comet_is_known(run: Run) -> bool:
    return any(_THRESHOLDS_OF in (score.get("comet") or {}).get("signature", "") for score in run["scores"])


def _next(
    run: Run,
    found: Mapping[tuple[str, str, str], dict[str, Any]],
    pair: tuple[str, str],
    outcomes: Mapping[tuple[str, str], Outcome],
) -> str:
    """The next step, for the comparison that is asked for; the others have none of their own."""
    arm, against = pair
    if arm != "csr" or against != BASELINE:
        return ""
    outcome, seeds = outcomes[pair], len(_each(run, arm, against, "bleu"))
    gains = {one: found[one, against, "bleu"]["difference"] for one, of in outcomes if of == BASELINE}
    best = max(gains, key=lambda one: gains[one])
    if best != arm and outcomes[best, BASELINE] == "better":
        name, gain = arm_name(best, inside=True), f"which gains {_signed(gains[best])} BLEU over standard finetuning"
        if seeds < 2:
            return f"Next: train at least three seeds (seeds: [1, 2, 3]) before you rely on {name}, {gain}."
        return f"Next: use {name} (csr translate RUN --arm {best}), {gain}."
    if outcome == "not told apart":
        return (
            "Next: more seeds (seeds: [1, 2, 3, 4, 5]) or a larger test set would tell smaller differences apart; "
            "until then take the cheaper of the two, standard finetuning."
        )
    if outcome == "worse":
        return (
            "Next: use standard finetuning here, or look at what was switched: in the table of lexicons, how often the "
            "translation drawn is in the aligned sentence, against chance; csr lexicon stats measures your lexicon."
        )
    if seeds < 2:
        return "Next: train at least three seeds (seeds: [1, 2, 3]) before you rely on it."
    controls = [control for control in CONTROLS if ("csr", control) in outcomes]
    if not controls:
        return (
            "Next: use it (csr translate RUN); to see whether it is the lexicon, train the arms mask_restore_ft "
            "and placebo too."
        )
    equal = [arm_name(control, inside=True) for control in controls if outcomes["csr", control] != "better"]
    if equal:
        return f"Next: use it (csr translate RUN); but {' and '.join(equal)} did as well, so do not credit the lexicon."
    return "Next: use it (csr translate RUN): it is the translations that help."


def _each(run: Run, arm: str, against: str, metric: str) -> tuple[float, ...]:
    return tuple(
        test["difference"]
        for test in run["comparisons"]
        if (test["arm"], test["against"], test["metric"]) == (arm, against, metric)
    )


def _signed(value: float, digits: int = 2) -> str:
    return printed(value, digits, signed=True)
