"""The report on a made-up run: numbers worked by hand, every format, gaps shown as gaps, and a look in a browser."""

from __future__ import annotations

import copy
import functools
import json
import math
import re
import shutil
import subprocess
import sys
from collections import Counter
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from sacrebleu import sentence_bleu, sentence_chrf

from csr.cli import main
from csr.data import subwords
from csr.errors import DataError
from csr.experiments.stages import ARMS as STAGES_ARMS
from csr.experiments.stages import STAGES, restores_first
from csr.files import write_json, write_text
from csr.report import figures, html, lexicons, tables, write_report
from csr.report.collect import collect_translation
from csr.report.measures import STAGE_ONE
from csr.report.plots import MARKS, Series, bars, lines, ticks
from csr.report.published import published
from csr.report.sentences import page as sentences_page
from csr.report.table import Column, Number, Table
from csr.report.training import updates_to_baseline, warnings
from csr.report.verdict import verdicts
from csr.text.stopwords import stop_words
from csr.text.words import tokenize, words

ARMS = ("random", "baseline", "iaft", "csr")
STARTS = {
    "start": "identical",
    "warning": "only 1 in 3 first translations is in the aligned sentence",
    "starts": {
        "unsupervised": {"steps": 216, "cooccurrence_precision": 0.16, "mean_similarity": 0.61},
        "identical": {"steps": 113, "cooccurrence_precision": 0.355, "mean_similarity": 0.625},
    },
}
QUALITY = {"random": 0.35, "baseline": 0.72, "iaft": 0.73, "csr": 0.76}
NOUNS = ["dog", "child", "woman", "boat", "harbour", "lantern", "orchard", "accordion", "violin", "meadow", "beehive"]
VERBS = ["sees", "carries", "paints", "follows", "repairs", "watches"]
PLACES = ["near the river", "behind the church", "on the market <square>", "under a bridge & a tree"]


def sentences(rng: np.random.Generator, n: int) -> list[str]:
    """Sentences over a vocabulary whose words differ in frequency."""
    weights = 1 / np.arange(1, len(NOUNS) + 1) ** 1.6
    a, b = (rng.choice(NOUNS, n, p=weights / weights.sum()) for _ in range(2))
    return [f"A {x} {rng.choice(VERBS)} the {y} {rng.choice(PLACES)}." for x, y in zip(a, b, strict=True)]


def write_lines(path: Path, text: list[str]) -> None:
    with write_text(path) as stream:
        stream.writelines(line + "\n" for line in text)


def write_log(
    path: Path, updates: int, final: float, rng: np.random.Generator, bleu: float = 0, **extra: float
) -> None:
    """Write losses that fall to ``final``, as fairseq-train does with --log-file and --log-format json."""
    out = []
    for update in range(updates // 50, updates + 1, updates // 50):
        done = 1 - math.exp(-4 * update / updates)
        loss = final + (11 - final) * (1 - done) + rng.normal(0, 0.04)
        numbers = {"loss": f"{loss:.3f}", "num_updates": str(update), "wall": f"{update / 5:.0f}"}
        out.append(json.dumps(numbers | {key: f"{value + rng.normal(0, 0.004):.4f}" for key, value in extra.items()}))
        if update % (updates // 10) == 0:
            valid = {"valid_loss": f"{loss + 0.15:.3f}", "valid_num_updates": str(update)}
            out.append(json.dumps(valid | ({"valid_bleu": f"{bleu * done:.2f}"} if bleu else {})))
    write_lines(path, out)
    write_json(path.with_name("timing.json"), {"seconds": updates / 5, "updates": updates})


def make_run(folder: Path, seeds: tuple[int, ...] = (1, 2, 3), unfinished: tuple[str, ...] = (), n: int = 40) -> Path:
    """Write a run folder as ``csr run`` leaves it; ``unfinished`` names folders such as ``seed-2/csr``."""
    rng = np.random.default_rng(0)
    data = {"source_lang": "de", "target_lang": "en", "src": "/data/train.de", "tgt": "/data/train.en"}
    noise = {"rate": 0.35, "mean_span": 3.5}
    config = {"data": data, "lexicon": {}, "noise": noise, "arms": ARMS, "seeds": seeds}
    with write_text(folder / "config.yaml") as stream:
        yaml.safe_dump(json.loads(json.dumps(config)), stream, sort_keys=False)
    machine = {"cpu": "Example CPU", "cores": 2}
    versions = {"csr": "0.1.0", "torch": "2.13.0", "fairseq-fixed": "0.12.3.1", "sacrebleu": "2.6.0"}
    inputs = {"/data/train.de": "ab" * 32, "/data/train.en": "cd" * 32}
    environment = {
        "versions": versions,
        "command": ["/home/me/csr", "run", "my config.yaml"],
        "inputs": inputs,
        "machine": machine,
    }
    write_json(folder / "environment.json", environment)
    write_json(folder / "data" / "prepare.json", {"counts": {"train": {"read": 29000, "duplicate": 288}}})
    test = sentences(rng, n)
    write_lines(folder / "data/text/test.en", test)
    write_lines(folder / "data/text/test.de", [f"Quelle {i}: {line}" for i, line in enumerate(test)])
    train = sentences(rng, 600)
    write_lines(folder / "data/text/train.en", train)
    write_lines(folder / "data/text/train.de", [line.replace("dog", "Hund") for line in train])
    write_lines(folder / "lexicon/de-en.tsv", ["hund\tdog\t0.9", "hund\t<hound>\t0.1", "child\twoman\t0.5"])
    write_lines(folder / "lexicon/en-de.tsv", ["dog\thund\t1"])
    write_json(folder / "lexicon/de-en.tsv.json", {"source": "vecmap", "quality": STARTS})
    for seed in seeds:
        write_log(folder / f"seed-{seed}/backbone/train.log", 2000, 3.1, rng)
        noise = {
            "switch_rate_de": 0.331,
            "switch_coverage_de": 0.87,
            "switch_rate_en": 0.29,
            "switch_coverage_en": 0.71,
        }
        write_log(folder / f"seed-{seed}/restore/train.log", 500, 2.4, rng, **noise)
        distance = made_up_distance(41.2 + seed)
        write_json(
            folder / f"seed-{seed}/backbone/scores.json", {"arm": "backbone", "seed": seed, "distance": distance}
        )
        for arm in ARMS:
            if f"seed-{seed}/{arm}" in unfinished:
                continue
            right = QUALITY[arm] + rng.normal(0, 0.02)
            hyps = [
                " ".join(w if rng.random() < right else str(rng.choice(NOUNS)) for w in line.split()) for line in test
            ]
            write_lines(folder / f"seed-{seed}/{arm}/test.hyp", hyps)
            updates = 2500 if arm == "csr" else 3000
            write_log(folder / f"seed-{seed}/{arm}/train.log", updates, 5.2 - 2 * right, rng, bleu=40 * right)
            write_json(folder / f"seed-{seed}/{arm}/scores.json", made_up_scores(arm, seed, 40 * right))
    return folder


def made_up_distance(eq5: float, sentences: int = 1000) -> dict[str, Any]:
    found = {"sentences": sentences, "root_sum_squares": eq5, "per_pair": eq5 / sentences**0.5, "offset_share": 0.25}
    found |= {"mean_pairwise": 0.1, "distance_of_means": 0.02, "retrieval_accuracy": 0.6, "cosine": 0.8}
    return {"layer": None, "last_piece": found, "eos": found | {"root_sum_squares": 2 * eq5, "offset_share": 0.9}}


def made_up_scores(arm: str, seed: int, bleu: float, sentences: int = 1000) -> dict[str, Any]:
    names = ("<100", "[100,1000)", ">=1000")
    buckets = [
        {"name": name, "precision": 0.5, "recall": 0.5, "f1": (bleu + 12 * i) / 70, "count": 100}
        for i, name in enumerate(names)
    ]
    restore = 100.0 if arm == "csr" else None
    seconds = {"backbone": None if arm == "random" else 400.0, "restore": restore, "finetune": 500.0 + seed}
    return {
        "arm": arm,
        "seed": seed,
        "bleu": {"value": bleu, "signature": "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0"},
        "chrf": {"value": 1.5 * bleu, "signature": "nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:2.6.0"},
        "words": {"buckets": buckets},
        "distance": made_up_distance(12 - bleu / 5, sentences),
        "seconds": seconds,
    }


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "sample")


@functools.cache
def found_in(folder: Path) -> dict[str, Any]:
    return collect_translation(folder)


def collected(folder: Path) -> dict[str, Any]:
    """The results of a finished run, which is read once; its tests of significance take a second."""
    return copy.deepcopy(found_in(folder))


def test_mean_and_sample_deviation_and_ties_in_bold() -> None:
    # mean (30 + 31 + 33) / 3 = 31.33; deviations -1.33, -0.33, 1.67: sqrt(4.667 / 2) = 1.53
    rows = [["a", Number((30.0, 31.0, 33.0))], ["b", Number((31.29,))], ["c", Number(())], ["d", Number((29.0,))]]
    table = Table("t", "T", [Column("arm"), Column("BLEU", 1)], rows).with_best()
    assert [row[1].best for row in table.rows] == [True, True, False, False]  # 31.3 twice as printed
    assert "| a | **31.3** ± 1.5 |" in table.markdown()
    assert "| c | missing |" in table.markdown()
    assert r"a & \textbf{31.3} $\pm$ 1.5 \\" in table.latex()
    assert table.tsv().splitlines()[2:4] == ["b\t31.29\t\t1", "c\t\t\t0"]
    assert table.as_dict()["rows"][0]["BLEU"]["values"] == [30.0, 31.0, 33.0]


def test_smaller_is_better_where_the_column_says_so() -> None:
    rows = [["a", Number((-2.0,))], ["b", Number((1.0,))]]
    table = Table("t", "T", [Column("arm"), Column("D", -1)], rows).with_best()
    assert table.markdown().count("**−2.0**") == 1


def test_latex_escapes_what_latex_would_read() -> None:
    table = Table("t", "a_b & 5 %", [Column("<100")], [["x^2 ~ {y} \\"]])
    assert r"a\_b \& 5 \%" in table.latex()
    assert r"$<$100 \\" in table.latex()
    assert r"x\textasciicircum{}2 \textasciitilde{} \{y\} \textbackslash{}" in table.latex()


def test_the_main_table_is_the_mean_of_the_scores(run_folder: Path) -> None:
    run = collected(run_folder)
    table = tables.main(run)
    expected = [score["bleu"]["value"] for score in run["scores"] if score["arm"] == "csr"]
    cell = table.rows[ARMS.index("csr")][2]
    assert isinstance(cell, Number)
    assert cell.mean == pytest.approx(sum(expected) / 3)
    seconds = table.rows[ARMS.index("csr")][-1]
    assert isinstance(seconds, Number)
    assert seconds.values == (601, 602, 603)  # finetune 500 + seed, restore 100; the backbone is not counted


def test_a_bucket_without_words_is_not_taken_for_an_unfinished_arm(run_folder: Path) -> None:
    run = collected(run_folder)
    for score in run["scores"]:
        if "words" in score:
            score["words"]["buckets"][2]["f1"] = None
    assert [row[3] for row in tables.words(run).rows] == ["–"] * len(ARMS)
    outline(html.page([run]))


def test_overhead_is_over_the_mean_of_standard_finetuning(run_folder: Path) -> None:
    cell = tables.cost(collected(run_folder)).rows[ARMS.index("csr")][-1]
    assert isinstance(cell, Number)
    # baseline (501 + 502 + 503) / 3 = 502; CSR 601, 602, 603
    assert cell.mean == pytest.approx(100 * 100 / 502)


def test_a_mark_needs_every_seed(run_folder: Path) -> None:
    run = collected(run_folder)
    tests = [
        {"arm": "csr", "against": "baseline", "seed": s, "metric": "bleu", "difference": 1, "p_value": p}
        for s, p in ((1, 0.001), (2, 0.04))
    ]
    run["comparisons"] = tests
    csr = ARMS.index("csr")
    marks = [row[2].mark for row in tables.per_seed(run).rows if row[1] == "CSR"]
    assert tables.main(run).rows[csr][2].mark == "*"
    assert marks == ["**", "*", ""]
    tests[0]["difference"] = -1
    assert not tables.main(run).rows[csr][2].mark
    tests[1]["difference"] = -1
    assert tables.main(run).rows[csr][2].mark == "*↓"
    assert "<sup class=worse>*↓</sup>" in html.page([run])


@pytest.mark.slow
def test_comparisons_agree_with_sacrebleu(run_folder: Path) -> None:
    files = [str(run_folder / f"seed-1/{arm}/test.hyp") for arm in ("baseline", "csr")]
    reference = str(run_folder / "data/text/test.en")
    command = [
        sys.executable,
        "-m",
        "sacrebleu",
        reference,
        "-i",
        *files,
        "-m",
        "bleu",
        "--paired-bs",
        "--paired-bs-n",
        "1000",
        "-f",
        "json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    expected = json.loads(done.stdout)[1]["BLEU"]["p_value"]
    tests = collected(run_folder)["comparisons"]
    found = next(t for t in tests if (t["arm"], t["against"], t["seed"], t["metric"]) == ("csr", "baseline", 1, "bleu"))
    assert found["p_value"] == pytest.approx(expected, abs=1e-4)


def made_up_tests(
    *differences: float, p: float = 0.001, chrf: float = 1.1, chrf_p: float = 0.2, arm: str = "csr", width: float = 0.1
) -> dict[str, Any]:
    """What a run knows of an arm against standard finetuning whose differences in BLEU are these, one for each seed."""
    named = {"arm": arm, "against": "baseline", "metric": "bleu"}
    each = [named | {"seed": i, "difference": value, "p_value": p} for i, value in enumerate(differences)]
    mean = sum(differences) / len(differences)
    over_seeds = [named | {"difference": mean, "p_value": p, "low": mean - width, "high": mean + width}]
    over_seeds += [named | {"metric": "chrf", "difference": chrf, "p_value": chrf_p, "low": 0, "high": 2}]
    return {"comparisons": each, "over_seeds": over_seeds, "scores": []}


def test_a_verdict_says_which_way_it_falls_and_what_to_do() -> None:
    (better,) = verdicts(made_up_tests(1.0, 2.0, 3.0))
    assert better.headline == "CSR is better than standard finetuning: +2.00 BLEU,"
    # Student's t of 2 degrees of freedom: 4.303 x 1 / sqrt(3) = 2.484. Kocmi et al.: 1.79 BLEU 75 %, 1.00 chrF 70 %.
    assert "over 3 seeds +1.00, +2.00, +3.00, 95 % interval of their mean −0.48 to +4.48." in better.details
    assert "chrF +1.10 (p = 0.200)." in better.details
    assert "75 % by BLEU, 70 % by chrF (Kocmi et al. 2024, Table 2)" in better.details
    assert "mask_restore_ft and placebo" in better.next
    (worse,) = verdicts(made_up_tests(-1.0, -2.0))
    assert worse.headline == "CSR is worse than standard finetuning: −1.50 BLEU,"
    assert "use standard finetuning" in worse.next
    (one,) = verdicts(made_up_tests(0.2, chrf=0.1))
    assert "one seed" in one.details
    assert "a coin toss" in one.details
    assert "three seeds" in one.next


@pytest.mark.parametrize(("gain", "p", "told"), [(4.0, 0.001, True), (4.0, 0.2, False), (1.0, 0.001, False)])
def test_the_next_step_is_the_arm_that_gains_most(gain: float, p: float, told: bool) -> None:
    runs = [made_up_tests(1.0, 2.0, 3.0), made_up_tests(gain, gain, p=p, arm="wbt")]
    both = {name: [row for run in runs for row in run[name]] for name in ("comparisons", "over_seeds", "scores")}
    step = verdicts(both)[0].next
    assert ("use word-for-word back-translation (csr translate RUN --arm wbt), which gains +4.00 BLEU" in step) == told


def test_with_one_seed_the_next_step_is_more_seeds_of_the_arm_that_gains_most() -> None:
    runs = [made_up_tests(0.2, p=0.3), made_up_tests(4.0, arm="wbt")]
    both = {name: [row for run in runs for row in run[name]] for name in ("comparisons", "over_seeds", "scores")}
    step = verdicts(both)[0].next
    assert "three seeds (seeds: [1, 2, 3]) before you rely on word-for-word back-translation, which gains +4.00" in step


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (made_up_tests(1.0, 1.0, p=0.06), "p = 0.060"),
        (made_up_tests(-0.1, 2.0), "but the seeds point both ways."),
        (made_up_tests(1.0, 1.0, p=0.04, width=1.1), "but 0 is within the interval."),
        (made_up_tests(1.0, 1.0, chrf=-1.0, chrf_p=0.01), "but chrF says the contrary."),
    ],
)
def test_what_evidence_does_not_tell_apart_is_said_so(found: dict[str, Any], why: str) -> None:
    (verdict,) = verdicts(found)
    assert verdict.outcome == "not told apart"
    assert why in verdict.details
    assert "larger test set" in verdict.next


def test_verdicts_head_the_page_and_follow_the_printed_table(run_folder: Path) -> None:
    run = collected(run_folder)
    found = verdicts(run)
    assert (found[0].arm, found[0].against) == ("csr", "baseline")
    test = next(t for t in run["over_seeds"] if (t["arm"], t["metric"]) == ("csr", "bleu"))
    assert test["low"] < test["difference"] < test["high"]
    each = [t["difference"] for t in run["comparisons"] if (t["arm"], t["metric"]) == ("csr", "bleu")]
    assert test["difference"] == pytest.approx(sum(each) / 3)
    write_report([run_folder], run_folder / "report.html")
    told = [line for line in (run_folder / "table.md").read_text().splitlines() if line.startswith("* ")]
    assert told[: len(found)] == [f"* {verdict}" for verdict in found]
    assert [line[2:] for line in told[len(found) :]] == warnings(run)
    page = html.page([run])
    assert page.index('<p class="verdict') < page.index("<table>")


def test_finetuning_is_drawn_after_its_stage_one(run_folder: Path) -> None:
    for arm, stage in STAGE_ONE.items():
        assert STAGES[arm].start == stage
    assert STAGE_ONE.keys() == {arm for arm in STAGES if not STAGES[arm].restore and restores_first(arm)}
    run = collected(run_folder)
    csr = next(log for log in run["logs"] if log["arm"] == "csr")
    assert figures.curves_of(run, "csr", "valid", "bleu")[0][0][0] == csr["valid"]["bleu"][0][0] == 250
    assert figures.curves_of(run, "csr", "valid", "bleu", shift=True)[0][0][0] == 250 + 500


def test_arms_are_told_apart_without_colour() -> None:
    assert len({MARKS[f"arm-{arm}"] for arm in STAGES_ARMS}) == len(STAGES_ARMS)


def test_an_arm_that_ends_worse_does_not_reach_the_baseline() -> None:
    def log(arm: str, losses: list[tuple[float, float]]) -> dict[str, Any]:
        return {"arm": arm, "seed": 1, "valid": {"loss": losses}, "train": {}}

    run = {"logs": [log("baseline", [(100, 4.0)]), log("csr", [(50, 3.9), (100, 4.1)])]}
    assert updates_to_baseline(run, "csr") == ()
    run["logs"][1]["valid"]["loss"][1] = (100, 4.0)
    assert updates_to_baseline(run, "csr") == (50,)


def test_published_tables_say_what_the_papers_print(run_folder: Path) -> None:
    found = {table.name: table for table in published([collected(run_folder)])}
    translation = found["published-translation"]
    assert translation.ours == [0]
    de_en = next(row for row in translation.rows if row[0] == "de→en")
    assert [cell.mean for cell in de_en[1:]] == pytest.approx([34.4, 37.8, 38.6, 39.2, 1.4])
    gains = [row[-1].mean for row in translation.rows[1:]]
    assert min(gains) == pytest.approx(0.1)
    assert max(gains) == pytest.approx(1.6)
    # Zan et al., section 5.5: "+1.4 average score improvement over mBART"
    assert found["published-xnli"].rows[-1][-1].mean == pytest.approx(1.4)
    assert found["published-distance"].rows[-1][-1].mean == pytest.approx(-6.20)


def test_distances_stand_beside_the_papers_only_over_as_many_pairs(run_folder: Path) -> None:
    """The paper's D is over 20,000 pairs, and grows with the root of their number."""
    run = collected(run_folder)
    assert {score["distance"]["last_piece"]["sentences"] for score in run["scores"]} == {1000}
    assert next(table for table in published([run]) if table.name == "published-distance").ours == []
    many = [score | {"distance": made_up_distance(7.0, 20_000)} for score in run["scores"]]
    table = next(table for table in published([run | {"scores": many}]) if table.name == "published-distance")
    assert [cell.mean for cell in table.rows[0][1:4]] == [7.0, 7.0, 7.0]


def test_distances_at_both_positions(run_folder: Path) -> None:
    found = {table.name: table.as_dict()["rows"] for table in tables.run_tables(collected(run_folder))}
    at_piece, at_eos = found["distance"], found["distance-eos"]
    assert [row["model"] for row in at_piece] == [row["model"] for row in at_eos]
    for one, other in zip(at_piece, at_eos, strict=True):
        assert other["D (Eq. 5)"]["mean"] == pytest.approx(2 * one["D (Eq. 5)"]["mean"])
        assert one["D / √n"]["mean"] == pytest.approx(one["D (Eq. 5)"]["mean"] / 1000**0.5)
        assert (one["offset %"]["mean"], other["offset %"]["mean"]) == (25, 90)


class Outline(HTMLParser):
    """Checks that tags are closed in order and collects what could reach out of the page."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        named = {name: value or "" for name, value in attrs}
        self.targets += [named[name] for name in ("href", "src") if name in named]
        self.ids += [named["id"]] if "id" in named else []
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def outline(text: str) -> Outline:
    parsed = Outline()
    parsed.feed(text)
    assert not parsed.open
    return parsed


def test_the_page_is_well_formed_and_reaches_for_nothing(run_folder: Path) -> None:
    text = html.page([collected(run_folder)] * 2)
    parsed = outline(text)
    assert len(set(parsed.ids)) == len(parsed.ids)
    assert set(parsed.targets) <= {f"#{name}" for name in parsed.ids}
    assert not parsed.tags & {"script", "link", "img", "iframe", "object"}
    assert not re.search(r"https?:|url\(|@import", text)
    assert "&lt;square&gt;" in text
    assert "read 29,000, duplicate 288" in text
    assert "csr run &#x27;my config.yaml&#x27;" in text
    assert "/home/me" not in text
    assert "/data/train" not in text


def test_the_lexicon_table_counts_the_training_text(run_folder: Path) -> None:
    run = collected(run_folder)
    row = tables.lexicons(run).rows[0]
    words = [word for line in (run_folder / "data/text/train.de").read_text().splitlines() for word in tokenize(line)]
    covered = [word for word in words if word in ("hund", "child")]
    assert isinstance(row[5], Number)
    assert row[5].mean == pytest.approx(100 * len(covered) / len(words))


def test_the_starts_of_vecmap_are_laid_side_by_side(run_folder: Path) -> None:
    run = collected(run_folder)
    table = tables.lexicon_starts(run)
    assert [row[:2] for row in table.rows] == [["unsupervised", ""], ["identical", "kept"]]
    assert "| identical | kept | 35.5 | – | – | – | 0.625 | 113 |" in table.markdown()
    assert "only 1 in 3 first translations" in html.page([run])


def test_switched_sentences_show_what_stage_one_reads(run_folder: Path) -> None:
    """Every replacement is a candidate of the word in its place, and something is replaced at all."""
    examples = collected(run_folder)["lexicons"]["de-en"]["examples"]
    words = [pair for example in examples for pair in example["words"]]
    changed = [(text.lower(), new.lower()) for text, new in words if new is not None]
    assert changed
    assert set(changed) <= {("hund", "dog"), ("hund", "<hound>"), ("child", "woman")}


def test_pieces_of_a_replacement_are_told_from_the_others(tmp_path: Path) -> None:
    """Also where a word is cut into several, and where a full stop stands at it."""
    subwords.train([["größer ist der hund , der baum .", "a dog sees the tree."] * 9], 40, tmp_path / "spm.model")
    model = subwords.load(tmp_path / "spm.model")
    line = [("größer", None), (" ", None), ("hund", "dog"), (" ", None), ("ist", None), (" ", None), ("baum", "tree"),
            (".", None)]  # fmt: skip
    found = lexicons._pieces(model, line)
    assert "".join(piece for piece, _ in found).replace("▁", " ").strip() == "größer dog ist tree."
    assert "".join(piece for piece, new in found if new).replace("▁", " ").split() == ["dog", "tree"]


def test_unfinished_arms_are_named_and_shown_as_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_run(tmp_path / "half", seeds=(1, 2), unfinished=("seed-2/csr", "seed-1/iaft", "seed-2/iaft"))
    shutil.rmtree(folder / "lexicon")
    (folder / "environment.json").unlink()
    assert main(["report", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert "| IAFT | 0 of 2 | missing | missing |" in printed
    assert "| CSR | 1 of 2 |" in printed
    text = (folder / "report.html").read_text()
    assert "seed-1/iaft, seed-2/iaft, seed-2/csr" in text
    outline(text)


def test_seeds_that_a_run_had_before_do_not_count(tmp_path: Path) -> None:
    before, after = make_run(tmp_path / "run", seeds=(1, 2), n=4), tmp_path / "run/config.yaml"
    after.write_text(after.read_text().replace("seeds:\n- 1\n- 2\n", "seeds:\n- 2\n"))
    run = collected(before)
    assert run["seeds"] == [2]
    assert {of["seed"] for of in (*run["scores"], *run["logs"], *run["checkpoints"])} == {2}


def test_a_run_that_only_has_its_settings_gives_a_page(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "new", seeds=(1,), unfinished=tuple(f"seed-1/{arm}" for arm in ARMS))
    for part in ("seed-1", "data", "lexicon"):
        shutil.rmtree(folder / part)
    (run,) = write_report([folder], tmp_path / "report.html")
    assert run["missing"] == [f"seed-1/{arm}" for arm in ARMS]
    outline((tmp_path / "report.html").read_text())


@pytest.mark.slow
def test_every_table_is_written_in_every_format(run_folder: Path) -> None:
    (run,) = write_report([run_folder], run_folder / "report.html")
    for table in (*tables.run_tables(run), *published([run])):
        for suffix in ("md", "tex", "tsv", "json"):
            assert (run_folder / "tables" / f"{table.name}.{suffix}").stat().st_size
        widths = {line.count("\t") for line in (run_folder / "tables" / f"{table.name}.tsv").read_text().splitlines()}
        assert len(widths) == 1
    assert json.loads((run_folder / "results.json").read_text()) == json.loads(json.dumps(run))


def test_what_is_no_run_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"config\.yaml: no such file; expected a folder made by csr run"):
        collect_translation(tmp_path)
    for settings, message in (
        ("arms: [csr]", "with lists of arms and of seeds"),
        ("{arms: [csr], seeds: [1]}", "source_lang"),
    ):
        (tmp_path / "config.yaml").write_text(f"{settings}\n")
        with pytest.raises(DataError, match=message):
            collect_translation(tmp_path)


@pytest.mark.parametrize(("low", "high"), [(0, 93), (2.41, 2.44), (-3, 7), (5, 5), (0, 1e6)])
def test_ticks_cover_the_range_in_equal_steps(low: float, high: float) -> None:
    found = ticks(low, high)
    steps = np.diff(found)
    assert found[0] <= low
    assert high <= found[-1]
    assert 2 <= len(found) <= 8
    assert np.allclose(steps, steps[0])


def test_plots_of_one_point_and_of_equal_values_are_drawn() -> None:
    assert "nan" not in lines([Series("arm-csr", "CSR", [[(100.0, 2.0)]])], "one", "updates")
    assert "nan" not in bars(["<100"], [("arm-csr", "CSR", [Number((0.0,))])], "zero")


def test_what_only_some_runs_measure_is_shown_where_it_is(tmp_path: Path) -> None:
    """COMET, off-target rate, checkpoints and the domain picture: absent above, here added to one seed."""
    folder = make_run(tmp_path / "run", seeds=(1, 2), unfinished=("seed-1/random", "seed-2/random"), n=5)
    before = collect_translation(folder)
    assert "COMET" not in tables.main(before).markdown()
    assert not tables.checkpoints(before).rows
    path = folder / "seed-1/csr/scores.json"
    scores = json.loads(path.read_text())
    scores |= {"comet": {"value": 0.8125, "signature": "model:tiny"}, "off_target": {"rate": 0.25, "signature": "id:1"}}
    write_json(path, scores)
    # Each sentence better by a tenth: no sample of sentences shows another sign.
    for arm, value in (("csr", 0.8125), ("baseline", 0.7125)):
        write_lines(folder / f"seed-1/{arm}/test.comet", [str(value)] * 40)
    distance = made_up_distance(6.0)
    points = [{"updates": 0, "distance": made_up_distance(41.0)}]
    points += [{"updates": 2500, "distance": distance, "bleu": {"value": 29.5, "signature": "s"}}]
    for seed in (1, 2):
        settings = {"split": "valid", "sentences": 1000, "beam": 5}
        write_json(folder / f"seed-{seed}/csr/dynamics.json", {**settings, "points": points})
    flat = {"x": 0.0, "y": 0.0, "major": 2.0, "minor": 1.0, "angle": 30.0}
    groups = [
        {"corpus": corpus, "language": "de", "ellipse": flat, "points": [[0.0, 1.0], [1.0, 0.0]]}
        for corpus in ("pretraining", "downstream")
    ]
    write_json(folder / "domain.json", {"features": "encoder, mean", "seed": 1, "groups": groups})
    run = collect_translation(folder)
    main_table = tables.main(run)
    assert [column.label for column in main_table.columns][4:6] == ["COMET", "off-target %"]
    csr = main_table.rows[ARMS.index("csr")]
    assert [cell.mean for cell in csr[4:6] if isinstance(cell, Number)] == [0.8125, 25.0]
    assert isinstance(csr[4], Number)
    assert csr[4].mark == "**"
    assert [row[:2] for row in tables.checkpoints(run).rows] == [["CSR", "0"], ["CSR", "2,500"]]
    assert "| CSR | 2,500 | 6.00 ± 0.00 |" in tables.checkpoints(run).markdown()
    text = html.page([run])
    outline(text)
    for shown in ("Distance D (Eq. 5) at saved checkpoints", "de pretraining", "model:tiny", "id:1"):
        assert shown in text
    assert not re.search(r"https?:|url\(", text)


def test_a_page_of_every_test_sentence(tmp_path: Path) -> None:
    """What a sentence holds stays text, and its scores are sacrebleu's."""
    folder = make_run(tmp_path / "run", seeds=(1, 2), unfinished=("seed-2/csr", "seed-2/iaft"), n=5)
    hostile = "</script><script>alert(1)</script> <!-- <b> {{style}}"
    hyps = folder / "seed-1/csr/test.hyp"
    lines_of_csr = [hostile, *hyps.read_text().splitlines()[1:]]
    write_lines(hyps, lines_of_csr)
    write_report([folder], tmp_path / "report.html")
    assert 'href="run/sentences.html"' in (tmp_path / "report.html").read_text()
    text = (folder / "sentences.html").read_text()
    assert text.count("</script>") == 2
    assert not re.search(r"https?:|url\(|@import", text)
    found = json.loads(re.search(r'id="data">(.*?)</script>', text)[1])
    assert [system["name"] for system in found["systems"][2:5]] == ["IAFT, seed 1", "CSR, seed 1", "Random, seed 2"]
    assert found["pair"] == ["3", "1"]
    assert found["systems"][3]["hyp"] == lines_of_csr
    hyp, ref = found["systems"][1]["hyp"][2], found["ref"][2]
    assert found["systems"][1]["scores"]["chrF"][2] == round(sentence_chrf(hyp, [ref]).score, 1)
    assert found["systems"][1]["scores"]["BLEU"][2] == round(sentence_bleu(hyp, [ref]).score, 1)
    counts = Counter(word for line in (folder / "data/text/train.en").read_text().splitlines() for word in words(line))
    rare = {word for word in words(ref) if counts[word] < 100 and word.lower() not in stop_words("en")}
    assert dict(found["rare"][2]) == {word: counts[word] for word in rare}


def browser_dom(page: str, tmp_path: Path, virtual_time: int = 8000) -> str:
    """A page as a headless browser has it once its scripts have run."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no headless browser here")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile"]
    command += [f"--virtual-time-budget={virtual_time}", "--dump-dom", page]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


@pytest.mark.slow
def test_ten_thousand_sentences_in_a_browser(tmp_path: Path) -> None:
    """Sorted and filtered by what the address says; only the sentences near the window are in the page."""
    n = 10_000
    hyps = [f"one two {i}" for i in range(n)]
    hyps[4321] = '<img src=x onerror="document.title = 1"> </script> two'
    worse = {"arm": "csr", "name": "CSR", "hyp": hyps, "scores": {"chrF": [50.0] * 4321 + [9.5] + [50.0] * (n - 4322)}}
    better = {"arm": "baseline", "name": "Standard finetuning", "hyp": ["one two"] * n, "scores": {"chrF": [60.0] * n}}
    found = {"languages": ["xx", "yy"], "src": [f"eins zwei {i}" for i in range(n)], "ref": ["one two three"] * n}
    found |= {"rare": [[]] * n, "systems": [better, worse], "scores": ["chrF"], "pair": ["1", "0"]}
    page = tmp_path / "sentences.html"
    page.write_text(sentences_page({"name": "many", "src": "xx", "tgt": "yy"}, found))
    dom = browser_dom(f"{page.as_uri()}#sort=loss", tmp_path)
    assert "10,000 of 10,000 sentences" in dom
    first = re.search(r"<article.*?</article>", dom, re.DOTALL)[0]
    assert "Sentence 4322" in first
    assert "chrF 9.5 against 60.0: −50.5" in first
    assert "<del>&lt;img</del>" in first
    assert "two</dd>" in first  # in the reference: not marked
    assert "<ins>one</ins> two <ins>three</ins>" in first
    assert "<img" not in dom
    assert dom.count("<article") < 400
    assert 'aria-setsize="10000"' in first
    dom = browser_dom(f"{page.as_uri()}#text=zwei+777&order=order", tmp_path)
    assert "11 of 10,000 sentences" in dom  # 777, and 7770 to 7779


@pytest.mark.slow
def test_the_page_opens_in_a_browser(run_folder: Path, tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no headless browser here")
    page, picture = tmp_path / "report.html", tmp_path / "report.png"
    write_report([run_folder], page)
    # The inner page is as wide as a phone; its title tells how far its content reaches.
    frame = tmp_path / "phone.html"
    frame.write_text(
        f'<iframe src="{page.name}" width="390" height="800" onload="document.title = '
        'contentDocument.documentElement.scrollWidth"></iframe>'
    )
    command = [browser, "--headless", "--no-sandbox", "--hide-scrollbars", f"--user-data-dir={tmp_path}/profile"]
    command += ["--allow-file-access-from-files", "--virtual-time-budget=5000"]
    dom = subprocess.run(
        [*command, "--dump-dom", frame.as_uri()], capture_output=True, text=True, check=True, timeout=60
    )
    assert "<title>390</title>" in dom.stdout
    shot = [*command, "--window-size=1100,1400", f"--screenshot={picture}", page.as_uri()]
    subprocess.run(shot, capture_output=True, check=True, timeout=60)
    assert picture.stat().st_size > 20_000  # text and plots, not an empty page


# What a person who sees little, or uses no mouse, would stumble over; run beside the page, in whatever scheme it has.
LOOK = """
const rgb = text => { const c = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  c.fillStyle = text; c.fillRect(0, 0, 1, 1); return c.getImageData(0, 0, 1, 1).data; };
const light = c => [0.2126, 0.7152, 0.0722].reduce((sum, w, i) => { const v = c[i] / 255;
  return sum + w * (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); }, 0);
function look() {
  const page = document.querySelector("iframe").contentWindow, found = {}, texts = new Set();
  const behind = e => { for (; e; e = e.parentElement) { const c = rgb(page.getComputedStyle(e).backgroundColor);
    if (c[3] === 255) return c; } return rgb("white"); };
  found.dark = page.matchMedia("(prefers-color-scheme: dark)").matches;
  found.width = page.document.documentElement.scrollWidth;
  const walk = page.document.createTreeWalker(page.document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) if (walk.currentNode.data.trim()) texts.add(walk.currentNode.parentElement);
  found.faint = [...texts].filter(e => e.offsetParent && e.namespaceURI.endsWith("xhtml")).filter(e => {
    const [a, b] = [light(rgb(page.getComputedStyle(e).color)), light(behind(e))];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) < 4.5; }).map(e => `${e.tagName}.${e.className}`);
  found.unnamed = [...page.document.querySelectorAll("input, select, button, img, svg:not(svg svg)")].filter(e => !(
    e.labels?.length || e.getAttribute("aria-label") || e.getAttribute("aria-labelledby") || e.alt ||
    e.querySelector?.("title") || e.closest("[aria-hidden=true]"))).map(e => e.outerHTML.slice(0, 80));
  const levels = [...page.document.querySelectorAll("h1, h2, h3, h4")].map(e => +e.tagName[1]);
  found.skipped = levels.filter((level, i) => level > (levels[i - 1] ?? 0) + 1).length;
  const articles = page.document.querySelectorAll("article");
  if (articles.length > 1) {
    const typed = key => new page.KeyboardEvent("keydown", {key, bubbles: true});
    const press = key => page.document.activeElement.dispatchEvent(typed(key));
    const place = () => page.document.activeElement.getAttribute("aria-posinset");
    articles[0].focus();
    found.keys = [place(), (press("j"), place()), (press("PageDown"), place()), (press("k"), place())].join(" ");
  }
  document.title = JSON.stringify(found);
}"""


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1300])
def test_pages_are_legible_and_need_no_mouse(run_folder: Path, tmp_path: Path, width: int, scheme: str) -> None:
    """Wide and narrow, light and dark: nothing runs off the side, text stands out, controls and pictures have names."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no headless browser here")
    write_report([run_folder], run_folder / "report.html")
    for page in ("report.html", "sentences.html"):
        frame = tmp_path / "frame.html"
        frame.write_text(
            f'<script>{LOOK}</script><iframe src="{(run_folder / page).as_uri()}" width="{width}" height="900" '
            'onload="setTimeout(look, 500)"></iframe>'
        )
        command = [browser, "--headless", "--no-sandbox", "--hide-scrollbars", f"--user-data-dir={tmp_path}/profile"]
        command += ["--allow-file-access-from-files", "--virtual-time-budget=5000", "--dump-dom"]
        command += [f"--blink-settings=preferredColorScheme={int(scheme == 'light')}", frame.as_uri()]
        dom = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
        found = json.loads(unescape(re.search(r"<title>(.*?)</title>", dom)[1]))
        assert found.pop("keys", None) == (None if page == "report.html" else "1 2 3 2")
        assert found == {"dark": scheme == "dark", "width": width, "faint": [], "unnamed": [], "skipped": 0}, page
