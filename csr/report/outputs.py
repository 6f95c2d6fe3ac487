"""What only the translations themselves can tell: is an arm better than the baseline, and on which rare words?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from csr.evaluation.frequency import Case, cases, read_counts
from csr.evaluation.significance import Statistics, means, paired_bootstrap
from csr.evaluation.translation import statistics, tokenizer_for
from csr.files import read_lines

BASELINE = "baseline"
# What an arm is tested against: standard finetuning and, where they were trained, the controls of the lexicon.
REFERENCES = (BASELINE, "mask_restore_ft", "placebo")
METRICS = ("bleu", "chrf", "comet")
_SHOWN = 4  # cases of each kind


def comparisons(folder: Path, arms: Sequence[str], seeds: Sequence[int], tgt: str) -> list[dict[str, Any]]:
    """Tests of every finished arm against the references of its seed, by paired bootstrap (as Zan et al., Table 4).

    BLEU and chrF, and COMET where the scores of the sentences are in ``test.comet``. Two references are compared once.
    """
    found = []
    for seed in seeds:
        finished = [arm for arm in arms if _hyp(folder, seed, arm).exists()]
        for metric in METRICS if set(REFERENCES) & set(finished) else ():
            counts = _statistics(folder, seed, finished, metric, tgt)
            for i, against in enumerate(REFERENCES):
                for arm in counts.keys() - set(REFERENCES[: i + 1]) if against in counts else ():
                    result = paired_bootstrap(counts[arm], counts[against])
                    found.append(
                        {"arm": arm, "against": against, "seed": seed, "metric": metric}
                        | {"difference": result.difference, "p_value": result.p_value, "signature": result.signature}
                    )
    order = {arm: i for i, arm in enumerate(arms)}
    return sorted(found, key=lambda item: (item["seed"], order[item["arm"]], order[item["against"]], item["metric"]))


def _statistics(folder: Path, seed: int, arms: Sequence[str], metric: str, tgt: str) -> dict[str, Statistics]:
    """The statistics that a metric is made of, for each arm that has it."""
    if metric == "comet":
        scored = {arm: path for arm in arms if (path := _hyp(folder, seed, arm).with_suffix(".comet")).exists()}
        return {arm: means([float(line) for line in read_lines(path)]) for arm, path in scored.items()}
    ref = list(read_lines(_text(folder, "test", tgt)))
    return {arm: statistics(metric, list(read_lines(_hyp(folder, seed, arm))), ref, tgt) for arm in arms}


def case_studies(folder: Path, arm: str, seed: int, src: str, tgt: str) -> dict[str, Any] | None:
    """Return sentences whose rare words one of ``arm`` and baseline has right and the other wrong; None if unfinished.

    As Zan et al., Table 9, but for both directions, each with the number of such sentences in the test set.
    """
    if not all(_hyp(folder, seed, name).exists() for name in (arm, BASELINE)):
        return None
    tokenizer = tokenizer_for(tgt)
    counts = read_counts(_text(folder, "train", tgt), tokenizer)
    source, ref = (list(read_lines(_text(folder, "test", language))) for language in (src, tgt))
    ours, theirs = (list(read_lines(_hyp(folder, seed, name))) for name in (arm, BASELINE))
    gained, lost = cases(ours, theirs, ref, counts, tokenizer), cases(theirs, ours, ref, counts, tokenizer)
    return {
        "arm": arm,
        "seed": seed,
        "n_sentences": len(ref),
        "n_gained": len(gained),
        "n_lost": len(lost),
        "gained": [_case(case, source, arm=case.hyp, baseline=case.baseline) for case in gained[:_SHOWN]],
        "lost": [_case(case, source, arm=case.baseline, baseline=case.hyp) for case in lost[:_SHOWN]],
    }


def _case(case: Case, source: Sequence[str], arm: str, baseline: str) -> dict[str, Any]:
    words = dict(case.words)
    return {"src": source[case.index], "ref": case.ref, "baseline": baseline, "arm": arm, "words": words}


def _hyp(folder: Path, seed: int, arm: str) -> Path:
    return folder / f"seed-{seed}" / arm / "test.hyp"


def _text(folder: Path, split: str, language: str) -> Path:
    return folder / "data" / "text" / f"{split}.{language}"
