"""Line and bar plots as inline SVG, coloured by the page's style sheet so that they suit light and dark."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from statistics import fmean
from typing import Any

from csr.report.table import Number, printed

WIDTH, HEIGHT = 460, 280
LEFT, RIGHT, TOP, BOTTOM = 42, 438, 10, 240  # the frame of the data, in units of the view box
# Okabe and Ito's, which can be told apart with any color vision, on light and dark.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31", "#7f7f7f")
_POINTS = 240  # drawn per curve; longer ones are averaged over neighbours
_MARKED = 7  # points of a mean curve that carry the mark of its arm, at most

# What tells arms apart beside colour: a mark of about 8 units around the origin, by style.
_SQUARE, _DIAMOND, _UP, _DOWN = (
    "M-3.5 -3.5h7v7h-7z",
    "M0 -4.6L4.6 0L0 4.6L-4.6 0z",
    "M0 -4.6L4.4 3.4H-4.4z",
    "M0 4.6L4.4 -3.4H-4.4z",
)
_CIRCLE, _CROSS, _PLUS = (
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z",
    "M-3.6 -3.6L3.6 3.6M-3.6 3.6L3.6 -3.6",
    "M-4.4 0H4.4M0 -4.4V4.4",
)
_LEFT, _RIGHT, _HOURGLASS, _STAR, _BAR = (
    "M-4.6 0L3.4 -4.4V4.4z",
    "M4.6 0L-3.4 -4.4V4.4z",
    "M-4 -4H4L-4 4H4z",
    "M-4.4 0H4.4M0 -4.4V4.4M-3 -3L3 3M-3 3L3 -3",
    "M-1.8 -4.6h3.6v9.2h-3.6z",
)
_FLAT, _HALF = "M-4.6 -1.8h9.2v3.6h-9.2z", "M-4.4 2A4.4 4.4 0 0 1 4.4 2z"
MARKS = {
    "arm-csr_mono": _LEFT,
    "arm-mono_restore": _LEFT,
    "arm-wbt": _PLUS,
    "arm-wbt_csr": _RIGHT,
    "arm-bt": _HOURGLASS,
    "arm-bt_csr": _STAR,
    "arm-copy": _BAR,
    "arm-lexicon_only": _FLAT,
    "arm-source_only": _HALF,
    "arm-csr": _CIRCLE,
    "arm-restore": _CIRCLE,
    "arm-baseline": _SQUARE,
    "arm-random": _CROSS,
    "arm-iaft": _DIAMOND,
    "arm-mask_restore_ft": _UP,
    "arm-mask_restore": _UP,
    "arm-placebo": _DOWN,
    "arm-placebo_restore": _DOWN,
    "arm-none": _SQUARE,
    "arm-ibm": _CIRCLE,
    "arm-muse": _DIAMOND,
}

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Series:
    """A line of a plot: its style (``arm-csr`` gives the colour, ``dashed``) and a curve per seed."""

    style: str
    label: str
    curves: Sequence[Points]


@dataclass(frozen=True)
class Band:
    """A line with an interval around it: (x, mean, lower end, upper end) of each point."""

    style: str
    label: str
    points: Sequence[tuple[float, float, float, float]]


def lines(series: Sequence[Series], title: str, x_label: str, settle: bool = False) -> str:
    """Plot the mean over seeds of each series, each seed thin behind it.

    Args:
        settle: let what lies above all values of the last nine tenths of the updates run out of the frame.
    """
    series = [Series(one.style, one.label, [_thinned(points) for points in one.curves if points]) for one in series]
    points = [point for one in series for curve in one.curves for point in curve]
    x_max = max(x for x, _ in points)
    settled = [y for x, y in points if not settle or x >= x_max / 10]
    y_ticks = ticks(min(settled), max(settled))
    x_scale, y_scale = _scale(0, x_max, LEFT, RIGHT), _scale(y_ticks[0], y_ticks[-1], BOTTOM, TOP)
    body = [_axis_y(y_ticks, y_scale)]
    for x in ticks(0, x_max):
        if x <= x_max:
            body.append(_label(x_scale(x), BOTTOM + 18, f"{x:,g}" if x < 1e6 else f"{x:.0e}"))
    body.append(_label(RIGHT, HEIGHT - 4, x_label, anchor="end"))
    # An inner svg clips what runs out of the frame.
    frame = f'width="{WIDTH}" height="{BOTTOM - TOP + 4}" viewBox="0 {TOP - 2} {WIDTH} {BOTTOM - TOP + 4}"'
    body.append(f'<svg y="{TOP - 2}" {frame}>')
    for one in series:
        if len(one.curves) > 1:
            body += [_path(curve, x_scale, y_scale, f"seed {one.style}") for curve in one.curves]
        mean = _mean(one.curves)
        body.append(_path(mean, x_scale, y_scale, f"mean {one.style}"))
        body += [_mark(x_scale(x), y_scale(y), one.style) for x, y in mean[:: math.ceil(len(mean) / _MARKED) or 1]]
    return _svg(title, [*body, "</svg>"])


def bands(series: Sequence[Band], title: str, x_label: str) -> str:
    """Plot series over sizes on a logarithmic scale, with their intervals, title and legend within the picture."""
    sizes = sorted({x for one in series for x, *_ in one.points})
    values = [value for one in series for _, *those in one.points for value in those]
    y_ticks = ticks(min(values), max(values))
    low, high = (math.log(sizes[0]), math.log(sizes[-1])) if len(sizes) > 1 else (0.0, 2 * math.log(sizes[0]) or 1.0)
    place, y_scale = _scale(low, high, LEFT + 14, RIGHT - 14), _scale(y_ticks[0], y_ticks[-1], BOTTOM, TOP)

    def x_scale(x: float) -> float:
        return place(math.log(x))

    body = [_axis_y(y_ticks, y_scale), *(_label(x_scale(x), BOTTOM + 18, f"{x:,g}") for x in sizes)]
    body.append(_label(RIGHT, BOTTOM + 34, x_label, "end"))
    for one in series:
        edge = [(x, top) for x, _, _, top in one.points] + [(x, under) for x, _, under, _ in reversed(one.points)]
        around = "L".join(f"{x_scale(x):.1f} {y_scale(y):.1f}" for x, y in edge)
        body.append(f'<path class="band {escape(one.style)}" d="M{around}z"/>')
    for one in series:
        mean = [(x, y) for x, y, *_ in one.points]
        body.append(_path(mean, x_scale, y_scale, f"mean {one.style}"))
        body += [_mark(x_scale(x), y_scale(y), one.style) for x, y in mean]
    line = BOTTOM + 40
    for one in series:
        line += 17
        body.append(
            f'<path class="mean {escape(one.style)}" d="M{LEFT} {line}h26"/>{_mark(LEFT + 13, line, one.style)}'
        )
        body.append(_label(LEFT + 34, line + 4, one.label, "start"))
    top = f'<g transform="translate(0 22)">{"".join(body)}</g>'
    return _svg(title, [_label(LEFT, 14, title, "start"), top], height=line + 32)


def bars(groups: Sequence[str], arms: Sequence[tuple[str, str, Sequence[Number]]], title: str) -> str:
    """Plot bars from zero: for each group one bar per (style, label, numbers), with the deviation over seeds."""
    tops = [(number.mean or 0) + (number.sd or 0) for _, _, numbers in arms for number in numbers]
    y_ticks = ticks(0, max(tops) or 1)
    y_scale = _scale(0, y_ticks[-1], BOTTOM, TOP)
    slot = (RIGHT - LEFT) / len(groups)
    width = 0.76 * slot / len(arms)
    body = [_axis_y(y_ticks, y_scale)]
    for g, group in enumerate(groups):
        body.append(_label(LEFT + (g + 0.5) * slot, BOTTOM + 18, group))
        for a, (style, label, numbers) in enumerate(arms):
            number = numbers[g]
            if number.mean is None:
                continue
            x, y = LEFT + (g + 0.12) * slot + a * width, y_scale(number.mean)
            mean, sd = number.shown()
            text = escape(f"{label}, {group}: {mean}" + (f" ± {sd}" if sd else ""))
            body.append(
                f'<rect class="bar {escape(style)}" x="{x + 1:.1f}" y="{y:.1f}" width="{width - 2:.1f}" '
                f'height="{BOTTOM - y:.1f}"><title>{text}</title></rect>'
            )
            body.append(_mark(x + width / 2, BOTTOM - 8, f"on-bar {style}"))
            if number.sd:
                high, low, middle = y_scale(number.mean + number.sd), y_scale(number.mean - number.sd), x + width / 2
                body.append(f'<path class="whisker" d="M{middle:.1f} {high:.1f}V{low:.1f}"/>')
    return _svg(title, body)


def domain(drawn: dict[str, Any]) -> str:
    """Plot ``csr.analysis.domain.picture``: pretraining text as ellipses, downstream text as dots."""
    groups = drawn["groups"]
    languages = list(dict.fromkeys(group["language"] for group in groups))
    color = {language: PALETTE[i % len(PALETTE)] for i, language in enumerate(languages)}
    # What must fit: all points, and the ellipses as wide as their longer half axes in every direction.
    corners = [tuple(point) for group in groups for point in group["points"]]
    for around in (group["ellipse"] for group in groups if group["corpus"] == "pretraining"):
        corners += [(around["x"] + sign * around["major"], around["y"] + sign * around["major"]) for sign in (-1, 1)]
    low, high = (tuple(limit(axis) for axis in zip(*corners, strict=True)) for limit in (min, max))
    scale = min((WIDTH - 20) / (high[0] - low[0]), (BOTTOM - TOP) / (high[1] - low[1]))

    def place(x: float, y: float) -> tuple[float, float]:
        """Keep the proportions: distances mean the same along both axes."""
        return (
            WIDTH / 2 + scale * (x - (low[0] + high[0]) / 2),
            (TOP + BOTTOM) / 2 - scale * (y - (low[1] + high[1]) / 2),
        )

    body, left = [], 10.0
    for group in groups:
        ink = color[group["language"]]
        if group["corpus"] == "downstream":
            dots = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in (place(*point) for point in group["points"]))
            body.append(f'<path d="{dots}" style="fill:none;stroke:{ink};stroke-width:3.6;stroke-linecap:round"/>')
            sign = f'<circle cx="{left + 5:.0f}" cy="{HEIGHT - 14}" r="3" fill="{ink}"/>'
        else:
            around = group["ellipse"]
            x, y = place(around["x"], around["y"])
            radii = f'rx="{scale * around["major"]:.1f}" ry="{scale * around["minor"]:.1f}"'
            turn = f'transform="rotate({-around["angle"]:.1f} {x:.1f} {y:.1f})"'
            look = f'fill="{ink}" fill-opacity="0.14" stroke="{ink}" stroke-width="1.5"'
            body.append(f'<ellipse cx="{x:.1f}" cy="{y:.1f}" {radii} {turn} {look}/>')
            sign = f'<ellipse cx="{left + 5:.0f}" cy="{HEIGHT - 14}" rx="6" ry="4" {look}/>'
        label = f"{group['language']} {group['corpus']}"
        body.append(sign + _label(left + 15, HEIGHT - 10, label, "start"))
        left += 32 + 6.2 * len(label)
    return _svg("Sentences of pretraining and downstream text", body, max(WIDTH, math.ceil(left)))


def key(style: str, label: str) -> str:
    """An entry of a legend: the line and the mark of a series, and its name."""
    line = f'<path class="mean {escape(style)}" d="M0 6H26"/>{_mark(13, 6, style)}'
    return f'<span><svg viewBox="0 0 26 12" aria-hidden="true">{line}</svg>{escape(label)}</span>'


def _mark(x: float, y: float, style: str) -> str:
    shape = MARKS.get(next((name for name in style.split() if name.startswith("arm-")), ""), _PLUS)
    return f'<path class="mark {escape(style)}" d="{shape}" transform="translate({x:.1f} {y:.1f})"/>'


def standalone(svg: str) -> str:
    """An inline plot as a file of its own, which has what it needs of the page's style sheet, as on white paper.

    Without variables, which programs other than browsers do not know.
    """
    sheet = resources.files("csr.report").joinpath("style.css").read_text(encoding="utf-8")
    colors: dict[str, str] = dict(re.findall(r"--([\w-]+): (#\w+)", sheet.split("@media")[0]))
    arms: dict[str, str] = {}
    for selectors, name in re.findall(r"((?:\.arm-\w+(?:, )?)+) \{ --c: var\(--(\w+)\); \}", sheet):
        arms.update(dict.fromkeys(selectors.split(", "), colors[name]))
    rules = [f"text {{ font: 12px sans-serif; fill: {colors['soft']} }}", "path { fill: none }"]
    drawn = r"^(?:\.plot )?\.(grid|mean|seed|band|bar|mark)(?![\w.])[^{]*\{ ([^}]*) \}"
    for selector, look in re.findall(drawn, sheet, re.MULTILINE):
        look = re.sub(r"var\(--(\w{2,})\)", lambda name: colors[name[1]], look)
        own = sorted(set(re.findall(r"arm-\w+", svg))) if "var(--c)" in look else []
        for arm in own:
            color: str = arms.get(f".{arm}", colors["ink"])
            rules.append(f".{selector}.{arm} {{ {look.replace('var(--c)', color)} }}")
        rules += [] if own else [f".{selector} {{ {look} }}"]
    look = f"<style>{' '.join(rules)}</style>"
    head, body = svg.split(">", 1)
    return head.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1) + f">{look}{body}\n"


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About ``count`` round numbers in equal steps of 1, 2 or 5 times a power of ten, reaching over [low, high].

    >>> ticks(0, 93)
    [0, 20, 40, 60, 80, 100]
    """
    span = (high - low) or abs(high) or 1.0
    power = 10 ** math.floor(math.log10(span / count))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= span / count)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 10) for i in range(first, max(last, first + 1) + 1)]


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    return lambda value: start + (value - low) / (high - low) * (end - start)


def _thinned(points: Points) -> Points:
    """Average neighbours until few enough points are left to draw."""
    size = math.ceil(len(points) / _POINTS)
    blocks = (points[i : i + size] for i in range(0, len(points), size))
    return [(fmean(x for x, _ in block), fmean(y for _, y in block)) for block in blocks]


def _mean(curves: Sequence[Points]) -> Points:
    """The mean over seeds at the updates that all of them have logged."""
    tables = [dict(curve) for curve in curves]
    return [(x, fmean(table[x] for table in tables)) for x in tables[0] if all(x in table for table in tables)]


def _path(points: Points, x_scale: Callable[[float], float], y_scale: Callable[[float], float], style: str) -> str:
    steps = "L".join(f"{x_scale(x):.1f} {y_scale(y):.1f}" for x, y in points)
    # h0: with round ends, a single point is a dot.
    return f'<path class="{escape(style)}" d="M{steps}h0"/>' if steps else ""


def _axis_y(y_ticks: Sequence[float], y_scale: Callable[[float], float]) -> str:
    grid = "".join(f"M{LEFT} {y_scale(y):.1f}H{RIGHT}" for y in y_ticks)
    digits = max(0, -math.floor(math.log10(y_ticks[1] - y_ticks[0])))
    labels = "".join(_label(LEFT - 7, y_scale(y) + 4, printed(y, digits), "end") for y in y_ticks)
    return f'<path class="grid" d="{grid}"/>{labels}'


def _label(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(title: str, body: Sequence[str], width: int = WIDTH, height: int = HEIGHT) -> str:
    head = f'<svg class="plot" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">'
    return "".join([head, *body, "</svg>"])
