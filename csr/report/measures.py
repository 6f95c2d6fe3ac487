"""What is measured of a run, read from its collected results; arms by the names that people know."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from csr.analysis.features import DEFAULT
from csr.report.collect import Run
from csr.report.outputs import BASELINE
from csr.text.languages import base

Measure = Callable[[dict[str, Any]], float | None]  # of one entry of run["scores"]; None where it was not scored

ARM_NAMES = {
    "random": "Random",
    "baseline": "Standard finetuning",
    "iaft": "IAFT",
    "mask_restore_ft": "Restore from masks",
    "placebo": "Placebo lexicon",
    "csr": "CSR",
    "csr_mono": "CSR on text without a pair",
    "wbt": "Word-for-word back-translation",
    "bt": "Model back-translation",
    "wbt_csr": "CSR, then word-for-word back-translation",
    "bt_csr": "CSR, then model back-translation",
    "copy": "Copied target text",
    "lexicon_only": "Lexicon alone, untrained",
    "source_only": "Source copied, untrained",
    "reverse": "Reverse model",
    "none": "No CS",
    "ibm": "IBM",
    "muse": "MUSE",
    "zero_shot": "Zero-shot",
    "switched": "Switched",
    "switched_originals": "Switched and originals",
    "backbone": "Backbone, not finetuned",
}


_INSIDE = {"placebo": "the placebo lexicon", "mask_restore_ft": "restoring from masks"}
# The stage one of an arm: its finetuning goes on from there.
STAGE_ONE = {"csr": "restore", "mask_restore_ft": "mask_restore", "placebo": "placebo_restore"}
STAGE_ONE |= {"csr_mono": "mono_restore", "wbt_csr": "restore", "bt_csr": "restore"}


def arm_name(arm: str, inside: bool = False) -> str:
    """An arm's or stage's name for people, to stand alone or ``inside`` a sentence.

    >>> arm_name("baseline", inside=True), arm_name("csr", inside=True)
    ('standard finetuning', 'CSR')
    """
    name = ARM_NAMES.get(arm, arm.replace("_", " ").capitalize())
    if inside and arm in _INSIDE:
        return _INSIDE[arm]
    return name[0].lower() + name[1:] if inside and name[1:2].islower() else name


def frequencies(bucket: str) -> str:
    """The range of training frequencies of a bucket, as people write it.

    >>> frequencies("<100"), frequencies("[100,1000)"), frequencies(">=1000")
    ('<100×', '100–999×', '≥1,000×')
    """
    low, _, high = bucket.strip("[)<>=").rpartition(",")
    if bucket[:1] == "[":
        return f"{int(low):,}–{int(high) - 1:,}×"
    return f"{'<' if bucket[:1] == '<' else '≥'}{int(high):,}×" if high.isdigit() else bucket


def bleu(score: dict[str, Any]) -> float | None:
    """BLEU, 0 to 100."""
    return score.get("bleu", {}).get("value")


def chrf(score: dict[str, Any]) -> float | None:
    """ChrF2, 0 to 100."""
    return score.get("chrf", {}).get("value")


def comet(score: dict[str, Any]) -> float | None:
    """COMET in the model's own unit."""
    return (score.get("comet") or {}).get("value")


def off_target(score: dict[str, Any]) -> float | None:
    """The share of outputs in a wrong language, in percent."""
    rate = (score.get("off_target") or {}).get("rate")
    return None if rate is None else 100 * rate


def word_f(bucket: int, score: dict[str, Any]) -> float | None:
    """The F-measure (percent) of the words of one frequency bucket, the rarest first."""
    buckets = score.get("words", {}).get("buckets", [])
    f1 = buckets[bucket]["f1"] if bucket < len(buckets) else None
    return None if f1 is None else 100 * f1


def distance(name: str, score: dict[str, Any], feature: str = DEFAULT) -> float | None:
    """One of the definitions of representation distance; shares in percent."""
    value = score.get("distance", {}).get(feature, {}).get(name)
    return 100 * value if value is not None and name in ("offset_share", "retrieval_accuracy") else value


def seconds(score: dict[str, Any]) -> float | None:
    """The training seconds after pretraining: the backbone is a checkpoint that the arms are given."""
    stages = [value for stage, value in score.get("seconds", {}).items() if stage != "backbone" and value is not None]
    return sum(stages) if stages else None


def values(run: Run, arm: str, measure: Measure) -> tuple[float, ...]:
    """A measure of one arm for each seed that has it."""
    found = (measure(score) for score in run["scores"] if score["arm"] == arm)
    return tuple(value for value in found if value is not None)


def gains(run: Run, measure: Measure) -> tuple[float, ...]:
    """CSR's measure minus standard finetuning's, seed by seed where both have it."""
    scores = {(score["seed"], score["arm"]): measure(score) for score in run["scores"]}
    pairs = [(scores.get((seed, "csr")), scores.get((seed, BASELINE))) for seed in run["seeds"]]
    return tuple(ours - theirs for ours, theirs in pairs if ours is not None and theirs is not None)


def direction(run: Run) -> str:
    """The name of a direction, such as ``de→en``."""
    return f"{base(run['src'])}→{base(run['tgt'])}"


def logs(run: Run, arm: str) -> list[dict[str, Any]]:
    """The logs of an arm or a stage, one per seed."""
    return [log for log in run["logs"] if log["arm"] == arm]


rare_f = functools.partial(word_f, 0)
eq5 = functools.partial(distance, "root_sum_squares")


def logged(run: Run, arm: str, measure: Callable[[dict[str, Any]], float | None]) -> tuple[float, ...]:
    """A measure of the log of an arm or a stage, for each seed that has it."""
    return tuple(value for log in logs(run, arm) if (value := measure(log)) is not None)
