"""What only the translations themselves can tell: is an arm better than the baseline, and on which rare words?"""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from csr.evaluation.frequency import (
    Case,
    cases,
    content_words,
    grouped_scores,
    knowledge_group,
    knowledge_groups,
    read_counts,
)
from csr.evaluation.significance import Statistics, compared, means, sampled
from csr.evaluation.translation import statistics, tokenize, tokenizer_for
from csr.files import read_lines
from csr.lexicon import read_lexicon
from csr.text.languages import base
from csr.text.stopwords import has_list, stop_words

BASELINE = "baseline"
# What an arm is tested against: standard finetuning and, where they were trained, the controls of the lexicon and
# model back-translation.
CONTROLS = ("mask_restore_ft", "placebo")
REFERENCES = (BASELINE, *CONTROLS, "bt")
METRICS = ("bleu", "chrf", "comet")
_SHOWN = 4  # cases of each kind


def comparisons(
    folder: Path, arms: Sequence[str], seeds: Sequence[int], tgt: str
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Tests of every finished arm against the references, by paired bootstrap (as Zan et al., Table 4).

    BLEU and chrF, and COMET where the scores of the sentences are in ``test.comet``; two references are compared once.

    Returns:
        The tests of each seed, and those of the means over the seeds that both arms have finished.
    """
    scores = {
        (metric, seed, arm): sampled(counts)
        for seed in seeds
        for metric in METRICS
        for arm, counts in _statistics(folder, seed, arms, metric, tgt).items()
    }
    each: list[dict[str, Any]] = []
    over_seeds: list[dict[str, Any]] = []
    for metric, arm, against in itertools.product(METRICS, arms, REFERENCES):
        if arm in REFERENCES[: REFERENCES.index(against) + 1]:
            continue
        both = [seed for seed in seeds if {(metric, seed, arm), (metric, seed, against)} <= scores.keys()]
        pairs = {seed: (scores[metric, seed, arm], scores[metric, seed, against]) for seed in both}
        named = {"arm": arm, "against": against, "metric": metric}
        each += [named | {"seed": seed} | compared([pair]).as_dict() for seed, pair in pairs.items()]
        if pairs:
            over_seeds.append(named | {"seeds": both} | compared(list(pairs.values())).as_dict())
    return each, over_seeds


def _statistics(folder: Path, seed: int, arms: Sequence[str], metric: str, tgt: str) -> dict[str, Statistics]:
    """The statistics that a metric is made of, for each arm that has its outputs; none where there is no reference."""
    finished = [arm for arm in arms if output(folder, seed, arm).exists()]
    if not set(REFERENCES) & set(finished):
        return {}
    if metric == "comet":
        scored = {arm: path for arm in finished if (path := output(folder, seed, arm).with_suffix(".comet")).exists()}
        return {arm: means([float(line) for line in read_lines(path)]) for arm, path in scored.items()}
    ref = list(read_lines(text(folder, "test", tgt)))
    return {arm: statistics(metric, list(read_lines(output(folder, seed, arm))), ref, tgt) for arm in finished}


def case_studies(folder: Path, arm: str, seed: int, src: str, tgt: str) -> dict[str, Any] | None:
    """Sentences whose rare words one of ``arm`` and baseline has right and the other wrong; None if unfinished.

    As Zan et al., Table 9, but for both directions, each with the number of such sentences in the test set.
    """
    if not all(output(folder, seed, name).exists() for name in (arm, BASELINE)):
        return None
    tokenizer = tokenizer_for(tgt)
    counts = read_counts(text(folder, "train", tgt), tokenizer)
    source, ref = (list(read_lines(text(folder, "test", language))) for language in (src, tgt))
    ours, theirs = (list(read_lines(output(folder, seed, name))) for name in (arm, BASELINE))
    judged = (ref, counts, tokenizer, content_words(tgt))
    gained, lost = cases(ours, theirs, *judged), cases(theirs, ours, *judged)
    return {
        "arm": arm,
        "seed": seed,
        "n_sentences": len(ref),
        "n_gained": len(gained),
        "n_lost": len(lost),
        "gained": [_case(case, source, arm=case.hyp, baseline=case.baseline) for case in gained[:_SHOWN]],
        "lost": [_case(case, source, arm=case.baseline, baseline=case.hyp) for case in lost[:_SHOWN]],
    }


def word_groups(folder: Path, arms: Sequence[str], seeds: Sequence[int], src: str, tgt: str) -> list[dict[str, Any]]:
    """Word F of each finished arm and seed by occurrences in the bitext, split by whether the lexicon has the words.

    Nothing where the run has no lexicon.
    """
    tokenizer = tokenizer_for(tgt)
    finished = [(arm, seed) for seed in seeds for arm in arms if output(folder, seed, arm).exists()]
    translated = _translated(folder / "lexicon", src, tgt)
    if not (translated and finished):
        return []
    known = {word.lower() for words in tokenize(translated, tokenizer) for word in words}
    stops = stop_words(base(tgt)) if has_list(base(tgt)) else frozenset()
    counts: Counter[str] = Counter()
    for word, n in read_counts(text(folder, "train", tgt), tokenizer).items():
        counts[word.lower()] += n
    ref, names = list(read_lines(text(folder, "test", tgt))), knowledge_groups()
    group_of = functools.cache(functools.partial(knowledge_group, counts=counts, known=known, stops=stops))
    return [
        {"arm": arm, "seed": seed}
        | {
            group.name: {"f1": group.f1, "n_ref": group.n_ref}
            for group in grouped_scores(list(read_lines(output(folder, seed, arm))), ref, tokenizer, group_of, names)
        }
        for arm, seed in finished
    ]


def _translated(lexicons: Path, src: str, tgt: str) -> list[str]:
    """The words of the target language that a run's lexicon joins with others; of two directions, that into it.

    Back-translation word for word needs the other direction alone.
    """
    if (path := lexicons / f"{src}-{tgt}.tsv").is_file():
        return [candidate for options in read_lexicon(path).entries.values() for candidate in options]
    if (path := lexicons / f"{tgt}-{src}.tsv").is_file():
        return list(read_lexicon(path).entries)
    return []


def _case(case: Case, source: Sequence[str], arm: str, baseline: str) -> dict[str, Any]:
    words = dict(case.words)
    return {"src": source[case.index], "ref": case.ref, "baseline": baseline, "arm": arm, "words": words}


def output(folder: Path, seed: int, arm: str) -> Path:
    """The translations of an arm."""
    return folder / f"seed-{seed}" / arm / "test.hyp"


def text(folder: Path, split: str, language: str) -> Path:
    """A side of a split, one sentence a line."""
    return folder / "data" / "text" / f"{split}.{language}"
