"""Models against test languages, as the zero-shot matrix of Zan et al., Table 5."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from csr.errors import ConfigError, DataError
from csr.evaluation.significance import Comparison, Statistics, mark, paired_bootstrap
from csr.files import PathLike, read_lines
from csr.report.measures import arm_name
from csr.report.table import Cell, Column, Number, Table

REQUIRED, OPTIONAL = ("arm", "model", "test", "hyp", "ref"), ("src", "seed")


@dataclass(frozen=True)
class Output:
    """A line of the list of outputs: an arm's model of one language pair or task, on the test set of another.

    Attributes:
        arm: such as ``baseline`` or ``csr``.
        model: what the model was finetuned on, a column of the matrix.
        test: what it is tested on, a block of rows.
        seed: of the training; several make mean and deviation.
    """

    arm: str
    model: str
    test: str
    hyp: str
    ref: str
    src: str = ""
    seed: str = ""


@dataclass(frozen=True)
class Scored:
    """An output with its score, None where it has none, and its test against the baseline's output."""

    output: Output
    value: float | None
    comparison: Comparison | None = None


def read_outputs(path: PathLike) -> list[Output]:
    """Read a TSV file with the columns arm, model, test, hyp, ref and perhaps src, seed, named in its first line.

    Raises:
        DataError: a column is missing or unknown, a line is ragged, or two lines are of the same output.
    """
    lines = read_lines(path)
    head = next(lines, "").split("\t")
    if len(set(head)) < len(head) or not set(REQUIRED) <= set(head) <= {*REQUIRED, *OPTIONAL}:
        wanted = f"{', '.join(REQUIRED)} and perhaps {', '.join(OPTIONAL)}"
        raise DataError(f"{path}:1: expected the columns {wanted}, found {', '.join(head)}")
    outputs: dict[tuple[str, ...], Output] = {}
    for number, line in enumerate(lines, 2):
        fields = line.split("\t")
        if len(fields) != len(head):
            raise DataError(f"{path}:{number}: expected {len(head)} tab-separated fields, found {len(fields)}")
        output = Output(**dict(zip(head, fields, strict=True)))
        key = (output.arm, output.model, output.test, output.seed)
        if key in outputs:
            raise DataError(f"{path}:{number}: expected each output once, found {' '.join(key).strip()} again")
        outputs[key] = output
    if not outputs:
        raise DataError(f"{path}: expected at least one output, found none")
    return list(outputs.values())


def against(
    outputs: Sequence[Output], statistics: Sequence[Statistics], baseline: str, samples: int = 1000
) -> list[Scored]:
    """The outputs with their scores, tested against the baseline of the same place and seed by bootstrap.

    Raises:
        ConfigError: the baseline is none of the arms.
    """
    bases = {
        (output.model, output.test, output.seed): counts
        for output, counts in zip(outputs, statistics, strict=True)
        if output.arm == baseline
    }
    if not bases:
        arms = ", ".join(dict.fromkeys(output.arm for output in outputs))
        raise ConfigError(f"baseline: expected one of the arms {arms}, found {baseline!r}")
    scored = []
    for output, counts in zip(outputs, statistics, strict=True):
        base = None if output.arm == baseline else bases.get((output.model, output.test, output.seed))
        scored.append(Scored(output, counts.value, paired_bootstrap(counts, base, samples) if base else None))
    return scored


def matrix(scored: Sequence[Scored], title: str, better: int = 1, digits: int = 1, note: str = "") -> Table:
    """Test languages × arms by models, the best arm of each in bold, marked where every seed differs.

    Args:
        better: 1 where larger is better, -1 where smaller is.
    """
    models, tests, arms = (
        list(dict.fromkeys(getattr(one.output, name) for one in scored)) for name in ("model", "test", "arm")
    )
    rows: list[list[Cell]] = []
    for test in tests:
        block = [[_cell(scored, (arm, model, test), digits) for model in models] for arm in arms]
        for j in range(len(models)):
            means = {i: round(mean, digits) for i, row in enumerate(block) if (mean := _mean(row[j])) is not None}
            top = max(means.values(), key=lambda value: better * value, default=None)
            for i, value in means.items():
                cell = block[i][j]
                assert isinstance(cell, Number)
                block[i][j] = replace(cell, best=value == top and len(means) > 1)
        rows += [[test, arm_name(arm), *row] for arm, row in zip(arms, block, strict=True)]
    columns = [Column("test"), Column("arm"), *(Column(model) for model in models)]
    return Table("matrix", title, columns, rows, note)


def _cell(scored: Sequence[Scored], place: tuple[str, str, str], digits: int) -> Cell:
    found = [one for one in scored if (one.output.arm, one.output.model, one.output.test) == place]
    numbers = tuple(one.value for one in found if one.value is not None)
    tests = [one.comparison for one in found if one.comparison]
    agree = len({test.difference > 0 for test in tests}) == 1
    return Number(numbers, digits, mark=mark(max(t.p_value for t in tests)) if agree else "") if numbers else "–"


def _mean(cell: Cell) -> float | None:
    return cell.mean if isinstance(cell, Number) else None
