"""docs/performance.md from the JSON files of the benchmarks: every figure comes from one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from csr.files import read_object

Figures = Mapping[str, Any]
Blocks = list[str]  # paragraphs and tables

INTRODUCTION = """
`scripts/bench.py --page` makes this page of the files in `benchmarks/`, the results of the last full run
(`scripts/bench_full.sh`); `scripts/bench.py` runs everything small, in a few minutes. Seconds are of the processor,
user and system, of all threads and processes, unless it says otherwise; ratios are medians of pairs measured in turns
in one run, and say how many times as long the peer takes. Memory is the peak of the largest process. What quality the
lexicons have is in [lexicons.md](lexicons.md), memory of published models in [backbones.md](backbones.md).
"""


def page(folder: Path) -> str:
    """The page of the results in a folder; a benchmark without a file, or without its peer, is said not to have run."""
    results = {name: read_object(path) if (path := folder / f"{name}.json").exists() else None for name in NAMES}
    blocks = ["# How fast things are", INTRODUCTION.strip()]
    for title, names, section in SECTIONS:
        found = [result["figures"] for name in names if (result := results[name])]
        blocks += [f"## {title}", *(section(*found) if found else ["Not run."])]
        missing = [name for name in names if not results[name]]
        blocks += [f"Not run: {', '.join(missing)}."] if found and missing else []
    return "\n\n".join([*blocks, "## Machines and versions", machines(results)]) + "\n"


def startup(figures: Figures) -> Blocks:
    """Commands that have little to do, and where the time of an experiment goes."""
    head = ("command", "s by the clock", "s of the processor", "MiB", "goal")
    rows = []
    for row in figures["commands"]:
        goal = "" if row["goal"] is None else f"under {row['goal']:g} s by the clock"
        rows.append((row["command"], seconds(row["seconds"]), seconds(row["cpu"]), f"{row['mib']:.0f}", goal))
    text = "Medians of whole processes. Help imports no command, and a command imports what it needs alone."
    blocks = [text, table(head, rows)]
    if run := figures.get("experiment"):
        parts = {
            "training, as fairseq's log has it": run["training"],
            "the rest of the steps that train: interpreter, imports, reading data": run["around_training"],
            "other steps: data, lexicons, translation, distances, scores, report": sum(run["other_steps"].values()),
            "between steps: Snakemake, checks, the speed measured beforehand": run["between"],
        }
        whole = run["seconds"]
        text = f"""
            The experiment `{run["config"]}` with one seed and one step at a time, {run["steps"]} steps, {whole:.0f} s
            by the clock. What a training has around it is {run["around_a_training"]:.1f} s, in the median.
        """
        rows = [(what, f"{took:.0f}", f"{took / whole:.0%}") for what, took in parts.items()]
        blocks += [prose(text), table(("what", "s by the clock", "share"), rows)]
    return blocks


def prepare(*corpora: Figures) -> Blocks:
    """``csr prepare`` and ``prepare-text`` beside what they were."""
    text = """
        The peer is this project before (commit db6141f), each command a whole process. With a SentencePiece model
        that is given, both write the same files, byte for byte; where it is trained, its quality is that of its
        pieces on the held-out lines. SentencePiece's own training is most of what is left: on fewer words it would be
        faster, and the model worse.
    """
    head = ("corpus and command", "s by the clock", "ratio", "s", "ratio", "MiB, the peer's", "equal quality")
    rows = []
    for figures in corpora:
        for row in figures["commands"]:
            ours, peer = row["csr"], row.get("peer")
            quality = "–"
            if "equal_files" in row:
                quality = "equal files" if row["equal_files"] else "**files differ**"
            elif "pieces_a_line" in ours:
                told = [f"{one['log_likelihood_a_line']:.2f}" for one in (ours, peer) if one]
                quality = f"log likelihood of a line {' and '.join(told)}"
            rows.append(
                (
                    f"{figures['text']}, {figures['pairs']:,} pairs: {row['command']}",
                    *(seconds(ours["seconds"]), times(row, "ratio_seconds")),
                    *(seconds(ours["cpu"]), times(row, "ratio_cpu") if peer else "not run: no other checkout"),
                    *(memory(ours, peer), quality),
                )
            )
    return [prose(text), table(head, rows)]


def growth(figures: Figures) -> Blocks:
    """Time and memory of a pair as the corpus grows."""
    text = f"""
        The {figures["base"]:,} pairs of the text ({figures["text"]}) again and again, in each pair one word of a side
        new each time. Microseconds of the processor for a pair, and MiB:
    """
    sizes = figures["sizes"]
    rows: list[Sequence[str]] = []
    for name in ("prepare", "prepare-text", "lexicon ibm1", "lexicon align"):
        found = [(size[name]["cpu"] / size["pairs"], size[name]["mib"]) if name in size else None for size in sizes]
        rows.append((f"`csr {name}`", *(f"{1e6 * one[0]:.0f}, {one[1]:,.0f}" if one else "not run" for one in found)))
    loaders = [size["loader"] for size in sizes]
    rows.append(("loader of stage one, for a row", *(f"{one['us_a_row']:.0f}, {one['mib']:,.0f}" for one in loaders)))
    rows.append(("the same: opening the data, s in all", *(f"{one['opening']:.1f}" for one in loaders)))
    return [prose(text), table(("", *(f"{size['pairs']:,} pairs" for size in sizes)), rows)]


def align(*texts: Figures) -> Blocks:
    """``csr lexicon align`` beside eflomal."""
    text = """
        `csr lexicon align` beside [eflomal](https://pypi.org/project/eflomal/), from text to links. The alignment
        error rate of eflomal is that of the best way to join its directions.
    """
    head = ("text", "error rate", "eflomal's", "s", "eflomal's", "ratio", "MiB, eflomal's")
    rows = []
    for figures in texts:
        ours, peer = figures["summary"]["csr"], figures["summary"].get("eflomal")
        best = min(peer["aer"], key=peer["aer"].get) if peer else ""
        rows.append(
            (
                f"{figures['text']}, {figures['pairs']:,} pairs, {figures['gold']:,} with gold links",
                f"{ours['aer']['posterior']:.4f}",
                f"{peer['aer'][best]:.4f} ({best})" if peer else "not run: no eflomal",
                *(seconds(ours["cpu"]), seconds(peer["cpu"]) if peer else "–"),
                *(times(figures.get("ratio", {}), "cpu"), memory(ours, peer)),
            )
        )
    return [prose(text), table(head, rows)]


def ibm1(figures: Figures) -> Blocks:
    """``csr lexicon ibm1`` beside fast_align."""
    text = f"""
        `csr lexicon ibm1` beside [fast_align](https://github.com/clab/fast_align)'s Model 1, without diagonal and
        prior, whole processes from text to table, {figures["threads"]} threads, medians of {figures["repeats"]}. The
        tables are the same: [lexicons.md](lexicons.md#ibm-model-1-and-dictionaries).
    """
    head = ("pairs", "words a side", "s", "fast_align's", "ratio", "ratio by the clock", "MiB, fast_align's")
    rows = []
    for row in figures["growth"]:
        ours, peer = row["csr"], row.get("peer")
        theirs = seconds(peer["cpu"]) if peer else "not run: no fast_align"
        ratios = times(row, "ratio_cpu"), times(row, "ratio_seconds")
        rows.append(
            (f"{row['pairs']:,}", f"{row['words']:.1f}", seconds(ours["cpu"]), theirs, *ratios, memory(ours, peer))
        )
    return [prose(text), table(head, rows)]


def vecmap(figures: Figures) -> Blocks:
    """A step of VecMap beside the published scripts."""
    text = f"""
        A step of self-learning beside the [published scripts](https://github.com/artetxem/vecmap), by the clock,
        medians of {figures["repeats"]}. With *keep* 0.1 the published scripts also draw a full random matrix; with 1
        only products and passes compare. Precision at the end is the same:
        [lexicons.md](lexicons.md#vecmap-against-the-published-scripts).
    """
    rows = []
    for row in figures["steps"]:
        size = f"{row['words']:,} × {row['words']:,}, dim {row['dim']}, keep {row['keep']:g}"
        theirs = seconds(row["peer"]["seconds"]) if "peer" in row else "not run: no published scripts"
        rows.append((size, seconds(row["csr"]["seconds"]), theirs, times(row, "ratio")))
    return [prose(text), table(("words", "s a step", "published", "ratio"), rows)]


def switching(figures: Figures) -> Blocks:
    """Switching beside fairseq's noise, and what it costs in a step of training."""
    text = """
        Rows of stage one beside those of fairseq's `DenoisingDataset`, one process, the same sentences, by the clock;
        an invented language. What is drawn is in [switching.md](switching.md#what-is-drawn).
    """
    rows = []
    for row in figures["speed"]:
        speeds = (f"{row['tokens_a_second'][who] / 1e3:,.0f}" for who in ("csr", "fairseq"))
        size = f"{row['pieces']:,} pieces, {row['tokens_a_sentence']:.1f} tokens a sentence"
        rows.append((size, row["noise"], *speeds, times(row, "ratio")))
    blocks = [prose(text), table(("vocabulary", "noise", "thousand tokens/s", "fairseq's", "ratio"), rows)]
    text = """
        A training step of `csr_restore` beside one of `csr_translation` on the same clean batches, 2 + 2 layers of 64
        dimensions, one thread, by the clock. Where each word is its own translation the encoder reads no more, and
        what is left is what switching costs. With other words the sentences of a batch are no longer of one length,
        and the encoder reads more padding, which could only be avoided by drawing an epoch's noise before its batches
        are made.
    """
    head = ("translations", "loader workers", "ms a step", "`csr_translation`", "times as long", "sources")
    rows = []
    for row in figures["step"]:
        steps = (f"{row['ms_a_step'][task]:.1f}" for task in ("csr_restore", "csr_translation"))
        longer = f"{row['source_growth']:.3f} times as long"
        rows.append((row["translations"], str(row["workers"]), *steps, f"**{row['ratio']:.3f}**", longer))
    blocks += [prose(text), table(head, rows)]
    if lexicon := figures.get("lexicon"):
        share, own = (max(worker[part] for worker in lexicon["workers"]) for part in ("share", "own"))
        blocks.append(
            prose(f"""
            A lexicon of {lexicon["words"]:,} words with ten candidates each takes {lexicon["mib"]:.0f} MiB; it is
            encoded in {lexicon["encoding"]:.1f} s the first time and then mapped from disk in
            {lexicon["loading"]:.2f} s, by the clock. Of four loader workers that have read all of it, each has
            {share:.1f} MiB as its share and {own:.1f} of its own.
        """)
        )
    if start := figures.get("startup"):
        took = f"{start['first_batch']:.1f} s by the clock"
        blocks.append(f"From {start['pairs']:,} pairs on disk to the first batch it is {took}.")
    return blocks


def pretraining(figures: Figures) -> Blocks:
    """The loader of masked language models beside fairseq's."""
    text = "Blocks of `csr_masked_lm` with switching beside those of fairseq's `MaskTokensDataset`, the same blocks."
    rows = []
    for row in figures["loader"]:
        speeds = (f"{row['items_a_second'][who]:,.0f}" for who in ("csr", "fairseq"))
        rows.append((row["masks"], f"{row['blocks']:,}", *speeds, times(row, "ratio")))
    return [text, table(("masks of", "blocks", "blocks/s", "fairseq's", "ratio"), rows)]


def decoding(figures: Figures) -> Blocks:
    """Beam search by CTranslate2 beside fairseq's."""
    text = """
        On a processor `csr run` and `csr translate` search by [CTranslate2](https://github.com/OpenNMT/CTranslate2)
        where it is installed (`pip install 'code-switching-training[fast]'`; the set-up script does) and the model
        has the layers of mBART-cc25's family; otherwise, on a card, and for mBART-50's place of the language id, by
        fairseq. `generate.log` beside the outputs says which. By the clock, whole processes by the processor; reading
        the model into CTranslate2 counts. What differs are runaway repetitions, cut off at another length, and near
        ties.
    """
    names = {
        "search": "search, a run's model and test set",
        "step": "the same, whole processes: `csr generate`, fairseq-generate",
        "random": f"search, {figures['random 1']['model']}, random weights",
    }
    head = ("what", "threads", "sentences", "CTranslate2, s", "fairseq, s", "ratio", "equal outputs", "BLEU")
    rows = []
    for name, row in figures.items():
        both = [seconds(value) for part, value in row.items() if part.startswith("seconds_")]
        equal = f"{row['equal']:.1%}" if "equal" in row else "–"
        bleu = " and ".join(f"{score:.2f}" for score in row["bleu"]) if "bleu" in row else "–"
        what = names[name.split()[0]], str(row["threads"]), str(row.get("sentences", "–"))
        rows.append((*what, *both, times(row, "ratio"), equal, bleu))
    return [prose(text), table(head, rows)]


def training(figures: Figures) -> Blocks:
    """A step of training."""
    text = """
        A step as experiments make it beside fairseq's own, on the same batches, in turns, one thread; its losses are
        those that fairseq logs. *ours* is in the numbers that `precision: auto` takes on the machine; what bf16 brings
        on a processor that multiplies in it is in [backbones.md](backbones.md#memory-csr-estimate). *Products* is the
        share of matrix products, which run at the speed of the processor: in the same numbers no way of writing a step
        is faster than 1 over fairseq's share. On a card nothing was measured: `scripts/bench_card.py` is ready.
    """
    head = ("model", "way", "numbers", "ms a step", "tokens/s", "ratio", "products", "losses apart by")
    rows = []
    for shape, ways in figures.items():
        for way, row in ways.items():
            speed = f"{row['seconds'] * 1e3:,.0f}", f"{row['tokens_a_second']:,.0f}", times(row, "ratio")
            products = f"{row['products']:.0%}"
            rows.append((shape, way, row["numbers"], *speed, products, f"{row['largest_difference_of_losses']:.1e}"))
    return [prose(text), table(head, rows)]


def hf(figures: Figures) -> Blocks:
    """The collator for trainers of transformers."""
    text = f"""
        `csr.hf.SwitchingCollator` beside a denoising collator in plain Python, the sample corpus with
        {figures["tokens_a_sentence"]:.0f} tokens a sentence.
    """
    rows = []
    for row in figures["collators"]:
        rows.append((row["collator"], f"{row['tokens_a_second'] / 1e3:,.0f}", times(row, "ratio")))
    told = [f"{row['share_of_step']:.1%} ({row['rows']}, {row['workers']} workers)" for row in figures["shares"]]
    shares = f"Getting batches takes of a step of `Seq2SeqTrainer`, a model of {figures['model']}: {', '.join(told)}."
    return [prose(text), table(("collator", "thousand tokens/s", "times the first"), rows), shares]


def evaluation(figures: Figures) -> Blocks:
    """BLEU beside sacrebleu, vectors in batches beside one by one."""
    bleu, vectors = figures["bleu"], figures["vectors"]
    scores = " and ".join(f"{score:.2f}" for score in bleu["bleu"].values())
    rows = [
        (
            f"`csr evaluate bleu`, {bleu['sentences']:,} sentences, {bleu['samples']:,} bootstrap samples, s",
            *("`sacrebleu`", *(seconds(bleu["cpu"][who]) for who in ("csr", "sacrebleu"))),
            *(times(bleu, "ratio"), f"BLEU {scores}"),
        ),
        (
            f"sentence vectors in batches, {vectors['model']}, ms a sentence by the clock",
            *("one by one", f"{vectors['batched_ms']:.2f}", f"{vectors['single_ms']:.2f}"),
            *(times(vectors, "ratio"), f"equal to {vectors['largest_difference']:.0e}"),
        ),
    ]
    return [table(("what", "beside", "csr", "peer", "ratio", "result"), rows)]


SECTIONS: tuple[tuple[str, tuple[str, ...], Callable[..., Blocks]], ...] = (
    ("Start-up", ("startup",), startup),
    ("Preparing text", ("prepare", "prepare-tatoeba"), prepare),
    ("Growth with the corpus", ("growth",), growth),
    ("Word alignment", ("align", "align-ro-en"), align),
    ("IBM Model 1", ("ibm1",), ibm1),
    ("VecMap", ("vecmap",), vecmap),
    ("Switching", ("switching",), switching),
    ("Pretraining", ("pretraining",), pretraining),
    ("Beam search", ("decoding",), decoding),
    ("A training step", ("training",), training),
    ("The collator of Hugging Face", ("hf",), hf),
    ("Evaluation", ("evaluation",), evaluation),
)
NAMES = [name for _, names, _ in SECTIONS for name in names]


def machines(results: Mapping[str, Figures | None]) -> str:
    """Which machine and versions each file is of, those with the same ones together."""
    groups: dict[tuple[str, str, str, str], list[str]] = {}
    for name, result in results.items():
        if result:
            machine = result["machine"]
            where = f"{machine['cpu']} ({', '.join(machine['flags'])})"
            where += f", {machine['cores']} cores, {machine['memory_gib']} GiB"
            with_ = ", ".join(f"{package} {version}" for package, version in result["versions"].items())
            others = f"{result['others']:.1f}" if "others" in result else "not recorded"
            groups.setdefault((result["date"], where, others, with_), []).append(name)
    rows = [(", ".join(names), *told) for told, names in sorted(groups.items())]
    return table(("figures", "date", "machine", "cores that other programs kept busy", "versions"), rows)


def prose(text: str) -> str:
    """A paragraph without the line breaks and indents of the source."""
    return " ".join(text.split())


def seconds(value: float) -> str:
    """Seconds with three digits."""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def times(row: Figures, name: str) -> str:
    """A ratio, or a dash where there was no peer."""
    return f"**{row[name]:.2f}**" if name in row else "–"


def memory(ours: Figures, peer: Figures | None) -> str:
    """MiB of both."""
    return ", ".join(f"{one['mib']:,.0f}" for one in (ours, peer) if one)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *rows])
