"""``csr evaluate``: score system outputs against references, one sentence a line."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Callable
from typing import Any

from csr.errors import ConfigError, DataError
from csr.files import PathLike, read_json, read_lines, read_parallel

Subparsers = argparse._SubParsersAction  # its type parameter exists for type checkers only
# Named here again, since importing csr.evaluation loads numpy, which no --help should wait for.
SACREBLEU_METRICS = {"bleu": "BLEU", "chrf": "chrF", "ter": "TER"}
ROUGE_METRICS = ("rouge1", "rouge2", "rougeL")


def register(subparsers: Subparsers[argparse.ArgumentParser]) -> None:
    """Add ``csr evaluate`` and its subcommands."""
    parser = subparsers.add_parser(
        "evaluate", description="Score system outputs against references, one sentence a line."
    )
    sub = parser.add_subparsers(dest="metric", metavar="METRIC", required=True)
    for metric, name in SACREBLEU_METRICS.items():
        found = _add(
            sub, metric, f"{name} by sacrebleu, 0 to 100" + ", less is better" * (metric == "ter"), translation
        )
        _language(found, tokenizer=metric == "bleu")
        _samples(found, 0)
    found = _add(sub, "comet", "COMET by unbabel-comet, in the model's unit", comet)
    _comet(found, required=True)
    found = _add(sub, "rouge", "ROUGE-1, ROUGE-2 and ROUGE-L, 0 to 100", rouge)
    found.add_argument("--recall", action="store_true", help="pooled recall (Zan et al., Eq. 4) instead of mean F1")
    found = _add(sub, "words", "word precision, recall and F1 by training frequency, 0 to 1", words)
    found.add_argument("--train", required=True, metavar="FILE", help="training text in the target language")
    found.add_argument("--cutoffs", default="100,1000", help="bounds between the frequencies (default: %(default)s)")
    found.add_argument(
        "--baseline", metavar="FILE", help="other outputs: print low-frequency words right in --hyp only"
    )
    found.add_argument("--cases", type=int, default=10, help="number of such sentences (default: %(default)s)")
    _language(found)
    _samples(found, 1000)
    _add(sub, "nli", "accuracy of labels, one a line, 0 to 1", nli)
    _add(sub, "ner", "entity F1 of token<TAB>tag lines, micro and macro, 0 to 1", ner)
    found = _add(sub, "off-target", "share of outputs in the wrong language, 0 to 1", off_target, ref=False)
    found.add_argument("--ref", metavar="FILE", help="references, to see how often the identifier errs")
    found.add_argument("--language", required=True, help="target language: de, de_DE, ...")
    _register_significance(sub)
    _register_matrix(sub)
    found = sub.add_parser("seeds", help="mean and sample standard deviation of a score over runs")
    found.add_argument("files", nargs="+", metavar="FILE", help="JSON, such as RUN/seed-*/csr/scores.json")
    found.add_argument("--key", default="bleu.value", help="its place in them (default: %(default)s)")
    found.add_argument("--json", action="store_true", help="print JSON")
    found.set_defaults(run=seeds)


def _register_significance(sub: Subparsers[argparse.ArgumentParser]) -> None:
    found = _add(sub, "significance", "paired test of systems against a baseline", significance, many=True)
    found.add_argument("--baseline", required=True, metavar="FILE", help="outputs of the baseline")
    found.add_argument(
        "--score", choices=(*SACREBLEU_METRICS, "comet", *ROUGE_METRICS), default="bleu", help="(default: %(default)s)"
    )
    found.add_argument(
        "--test",
        choices=("bootstrap", "randomization"),
        default="bootstrap",
        help="paired bootstrap or paired approximate randomisation (default: %(default)s)",
    )
    found.add_argument("--samples", type=int, help="samples (default: 1000 for bootstrap, 10000 for randomization)")
    _language(found)
    _comet(found, required=False)


def _register_matrix(sub: Subparsers[argparse.ArgumentParser]) -> None:
    found = sub.add_parser(
        "matrix",
        help="models against test languages",
        description="Score every output of a list and lay models against test languages (Zan et al., Table 5), the "
        "best arm in bold, marked by paired bootstrap against the baseline.",
    )
    found.add_argument("list", metavar="TSV", help="columns arm, model, test, hyp, ref; perhaps src (COMET), seed")
    choices = (*SACREBLEU_METRICS, "comet", *ROUGE_METRICS, "off-target")
    found.add_argument("--score", choices=choices, default="bleu", help="(default: %(default)s)")
    found.add_argument("--baseline", default="baseline", metavar="ARM", help="to test against (default: %(default)s)")
    found.add_argument("--samples", type=int, default=1000, help="bootstrap samples (default: %(default)s)")
    _language(found)
    found.add_argument(
        "--model", default="Unbabel/wmt22-comet-da", help="COMET model: name, folder or .ckpt (default: %(default)s)"
    )
    found.add_argument("--batch-size", type=int, default=16, help="sentences in a COMET batch (default: %(default)s)")
    found.add_argument("--json", action="store_true", help="print JSON")
    found.set_defaults(run=matrix)


def _add(
    sub: Subparsers[argparse.ArgumentParser],
    name: str,
    text: str,
    run: Callable[[argparse.Namespace], None],
    ref: bool = True,
    many: bool = False,
) -> argparse.ArgumentParser:
    parser = sub.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    parser.add_argument("--hyp", required=True, metavar="FILE", nargs="+" if many else None, help="system outputs")
    if ref:
        parser.add_argument("--ref", required=True, metavar="FILE", help="references")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)
    return parser


def _language(parser: argparse.ArgumentParser, tokenizer: bool = True) -> None:
    parser.add_argument("--language", default="en", help="target language: de, de_DE, ... (default: %(default)s)")
    parser.set_defaults(tokenizer=None)
    if tokenizer:
        parser.add_argument("--tokenizer", help="one of sacrebleu's, for BLEU (default: the one for the language)")


def _samples(parser: argparse.ArgumentParser, default: int) -> None:
    parser.add_argument(
        "--samples", type=int, default=default, help="bootstrap samples for a 95%% interval (default: %(default)s)"
    )


def _comet(parser: argparse.ArgumentParser, required: bool) -> None:
    parser.add_argument("--src", required=required, metavar="FILE", help="source sentences, for COMET")
    parser.add_argument(
        "--model", default="Unbabel/wmt22-comet-da", help="COMET model: name, folder or .ckpt (default: %(default)s)"
    )
    parser.add_argument("--batch-size", type=int, default=16, help="sentences in a COMET batch (default: %(default)s)")


def translation(arguments: argparse.Namespace) -> None:
    """Print BLEU, chrF or TER."""
    from csr.evaluation import significance
    from csr.evaluation.translation import score_and_statistics

    hyp, ref = _pairs(arguments.hyp, arguments.ref)
    score, statistics = score_and_statistics(arguments.metric, hyp, ref, arguments.language, arguments.tokenizer)
    result: dict[str, Any] = {arguments.metric: score.value, "signature": score.signature}
    text = f"{SACREBLEU_METRICS[arguments.metric]} {score.value:.2f}"
    if arguments.samples:
        around = significance.bootstrap(statistics, arguments.samples)
        result |= {"interval": dataclasses.asdict(around), "samples": arguments.samples}
        text += f" [{around.low:.2f}, {around.high:.2f}]"
    _print(arguments, result, f"{text}\t{score.signature}")


def comet(arguments: argparse.Namespace) -> None:
    """Print COMET."""
    from csr.evaluation.comet import comet as score_comet

    hyp, ref = _pairs(arguments.hyp, arguments.ref)
    _, src = _pairs(arguments.hyp, arguments.src)
    score = score_comet(hyp, ref, src, arguments.model, arguments.batch_size)
    _print(
        arguments, {"comet": score.value, "signature": score.signature}, f"COMET {score.value:.4f}\t{score.signature}"
    )


def rouge(arguments: argparse.Namespace) -> None:
    """Print ROUGE-1, ROUGE-2 and ROUGE-L."""
    from csr.evaluation.summarization import rouge as score_rouge

    scores = score_rouge(*_pairs(arguments.hyp, arguments.ref), recall=arguments.recall)
    signature = scores["rouge1"].signature
    result: dict[str, Any] = {name: score.value for name, score in scores.items()}
    text = " / ".join(f"{score.value:.2f}" for score in scores.values())
    _print(arguments, result | {"signature": signature}, f"ROUGE-1/2/L {text}\t{signature}")


def words(arguments: argparse.Namespace) -> None:
    """Print word accuracy by training frequency and, on request, cases."""
    from csr.evaluation import frequency
    from csr.evaluation.translation import tokenizer_for

    hyp, ref = _pairs(arguments.hyp, arguments.ref)
    tokenizer = arguments.tokenizer or tokenizer_for(arguments.language)
    cutoffs = _cutoffs(arguments.cutoffs)
    counts = frequency.read_counts(arguments.train, tokenizer)
    buckets = frequency.word_scores(hyp, ref, counts, tokenizer, cutoffs, arguments.samples)
    cases = []
    if arguments.baseline:
        baseline, _ = _pairs(arguments.baseline, arguments.ref)
        words = frequency.content_words(arguments.language)
        cases = frequency.cases(hyp, baseline, ref, counts, tokenizer, words, cutoffs[0])[: arguments.cases]
    result = {
        "buckets": [
            dataclasses.asdict(b) | {"name": b.name, "precision": b.precision, "recall": b.recall, "f1": b.f1}
            for b in buckets
        ],
        "cases": [dataclasses.asdict(case) for case in cases],
        "tokenizer": tokenizer,
    }
    lines = ["frequency\tprecision\trecall\tF1\t95% interval\twords in ref"]
    for b in buckets:
        around = f"[{b.interval.low:.4f}, {b.interval.high:.4f}]" if b.interval else "-"
        lines.append(f"{b.name}\t{_share(b.precision)}\t{_share(b.recall)}\t{_share(b.f1)}\t{around}\t{b.n_ref}")
    for case in cases:
        lines += ["", f"sentence {case.index + 1}: " + ", ".join(f"{word} ({n})" for word, n in case.words.items())]
        lines += [f"  ref\t{case.ref}", f"  base\t{case.baseline}", f"  hyp\t{case.hyp}"]
    _print(arguments, result, "\n".join(lines))


def nli(arguments: argparse.Namespace) -> None:
    """Print the accuracy of labels."""
    from csr.evaluation.classification import accuracy, labelled

    found = accuracy(*labelled(*_pairs(arguments.hyp, arguments.ref)))
    result = {"accuracy": found.value, **dataclasses.asdict(found)}
    _print(arguments, result, f"accuracy {_share(found.value)} ({found.correct} of {found.total})")


def ner(arguments: argparse.Namespace) -> None:
    """Print entity F1."""
    from csr.evaluation.classification import entity_f1, read_tags

    found = entity_f1(read_tags(arguments.hyp), read_tags(arguments.ref))
    lines = [f"micro F1 {_share(found.micro)}", f"macro F1 {_share(found.macro)}"]
    lines += [f"{name} F1 {_share(value)}" for name, value in found.types.items()]
    _print(arguments, dataclasses.asdict(found), "\n".join(lines))


def off_target(arguments: argparse.Namespace) -> None:
    """Print the share of outputs in the wrong language."""
    from csr.evaluation.off_target import off_target as identify

    sides = {"hyp": arguments.hyp} | ({"ref": arguments.ref} if arguments.ref else {})
    found = {side: identify(list(read_lines(path)), arguments.language) for side, path in sides.items()}
    lines = [
        f"{side}\toff-target {_share(f.rate)}\tempty {f.n_empty}\t"
        + " ".join(f"{code}:{n}" for code, n in f.languages.items())
        + f"\t{f.signature}"
        for side, f in found.items()
    ]
    _print(arguments, {side: dataclasses.asdict(f) for side, f in found.items()}, "\n".join(lines))


def significance(arguments: argparse.Namespace) -> None:
    """Print each system's score, its difference from the baseline and the p-value."""
    from csr.evaluation.significance import paired_approximate_randomization, paired_bootstrap

    test = paired_bootstrap if arguments.test == "bootstrap" else paired_approximate_randomization
    samples = arguments.samples or (1000 if arguments.test == "bootstrap" else 10000)
    signature, baseline = _statistics(arguments, arguments.baseline, arguments.ref, arguments.src)
    result: dict[str, Any] = {"baseline": {"file": arguments.baseline, arguments.score: baseline.value}, "systems": []}
    lines = [f"system\t{arguments.score}\tdifference\tp", f"{arguments.baseline}\t{baseline.value:.2f}\t\t"]
    for path in arguments.hyp:
        found = test(_statistics(arguments, path, arguments.ref, arguments.src)[1], baseline, samples)
        result["systems"].append(
            {"file": path, arguments.score: found.score, "difference": found.difference}
            | {"p_value": found.p_value, "mark": found.mark}
        )
        lines.append(f"{path}\t{found.score:.2f}{found.mark}\t{found.difference:+.2f}\t{found.p_value:.4f}")
    result["signature"] = f"{signature}|{found.signature}"
    _print(arguments, result, "\n".join([*lines, f"# {result['signature']}"]))


def matrix(arguments: argparse.Namespace) -> None:
    """Print the matrix of models and test languages."""
    from csr.evaluation.off_target import off_target as identify
    from csr.report.matrix import Scored, against, read_outputs
    from csr.report.matrix import matrix as lay_out

    outputs, name = read_outputs(arguments.list), arguments.score
    if name == "off-target":
        found = [identify(list(read_lines(output.hyp)), arguments.language) for output in outputs]
        rates = [None if one.rate is None else 100 * one.rate for one in found]
        scored = [Scored(output, rate) for output, rate in zip(outputs, rates, strict=True)]
        note = found[0].signature
    else:
        pairs = [_statistics(arguments, output.hyp, output.ref, output.src) for output in outputs]
        statistics = [statistics for _, statistics in pairs]
        scored = against(outputs, statistics, arguments.baseline, arguments.samples)
        tests = dict.fromkeys(one.comparison.signature for one in scored if one.comparison)
        note = f"* p < 0.05, ** p < 0.01 against {arguments.baseline}. " + "|".join([pairs[0][0], *tests])
    label = {**SACREBLEU_METRICS, "comet": "COMET", "off-target": "Off-target rate, %"}.get(name, name)
    better, digits = -1 if name in ("ter", "off-target") else 1, 3 if name == "comet" else 1
    table = lay_out(scored, f"{label} by model and test language", better, digits, f"Best arm in bold. {note}")
    _print(arguments, table.as_dict(), table.markdown().rstrip("\n"))


def seeds(arguments: argparse.Namespace) -> None:
    """Print mean and standard deviation of a number in several JSON files."""
    from csr.evaluation.significance import over_seeds

    values = []
    for path in arguments.files:
        value = read_json(path)
        for part in arguments.key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise DataError(f"{path}: expected a number at {arguments.key}, found {json.dumps(value)[:80]}")
        values.append(float(value))
    spread = over_seeds(values)
    noun = "run" if spread.n == 1 else "runs"
    _print(arguments, {**dataclasses.asdict(spread), "values": values}, f"{spread}\t{spread.n} {noun}")


def _statistics(arguments: argparse.Namespace, path: str, ref: str, src: str | None) -> tuple[str, Any]:
    """Signature and sentence statistics of one system by the chosen score."""
    from csr.evaluation import comet, summarization, translation
    from csr.evaluation.significance import means

    hyp, truth = _pairs(path, ref)
    if arguments.score in SACREBLEU_METRICS:
        score, statistics = translation.score_and_statistics(
            arguments.score, hyp, truth, arguments.language, arguments.tokenizer
        )
        return score.signature, statistics
    if arguments.score in ROUGE_METRICS:
        return summarization.signature(), summarization.statistics(hyp, truth)[arguments.score]
    if not src:
        raise ConfigError("--src: COMET needs the source sentences (in a list: column src)")
    segments = comet.comet_segments(hyp, truth, _pairs(path, src)[1], arguments.model, arguments.batch_size)
    return comet.signature(arguments.model), means(segments)


def _pairs(hyp: PathLike, ref: PathLike) -> tuple[list[str], list[str]]:
    left, right = zip(*read_parallel(hyp, ref), strict=True)
    return list(left), list(right)


def _cutoffs(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"--cutoffs: expected counts such as 100,1000, found {text!r}") from None


def _share(value: float | None) -> str:
    """Format a share; one that has nothing to count is a dash."""
    return "-" if value is None else f"{value:.4f}"


def _print(arguments: argparse.Namespace, result: dict[str, Any], text: str) -> None:
    print(json.dumps(result, ensure_ascii=False, indent=2, allow_nan=False) if arguments.json else text)
