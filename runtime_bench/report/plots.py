"""The plots of the HTML report."""

import itertools
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl

from runtime_bench.report import text
from runtime_bench.report.conditions_plot import plot_conditions
from runtime_bench.report.content import CaseContent, Content, EntryContent, Row
from runtime_bench.report.drawing import FAINT, INK, Plot, make_axes, to_svg

_COLOURS = {
    ("squeezebert", False): "#030303",
    ("squeezebert", True): "#040404",
    ("bert", False): "#050505",
    ("bert", True): "#060606",
}
_OTHER = "#070707"
_MARKERS = {"fp32": "o", "fp16": "s", "int8": "D"}
_LINES: dict[str, Any] = {"fp32": "-", "fp16": (0, (5, 1.5)), "int8": (0, (2, 1.5))}


def make_plots(content: Content) -> list[Plot]:
    """Ladder, latency by length for each thread count, size against latency, and conditions."""
    case = content.case()
    if case is None or not case.rows:
        return []
    # Names come from manifests: a dollar sign in one is no formula.
    with mpl.rc_context({"text.parse_math": False}):
        plots = [_ladder(case)]
        for threads in sorted({other.threads for other in content.cases}):
            cases = [other for other in content.cases if other.threads == threads and other.rows]
            if len(cases) > 1:
                plots.append(_by_length(cases, threads))
        plots.append(_size(case))
        if content.conditions.moments:
            plots.append(plot_conditions(content.conditions))
    return plots


def _ladder(case: CaseContent) -> Plot:
    rows = sorted(case.rows, key=lambda row: -row.wall.median)
    baseline = case.ladder[0].baseline if case.ladder else None
    ratios = {row.subject: row.ratio for row in case.ladder}
    figure, axes = make_axes(0.46 * len(rows) + 0.75)
    longest = rows[0].wall.median
    for place, row in enumerate(rows):
        axes.barh(place, row.wall.median, height=0.62, color=_colour(row.entry))
        note = f"{text.milliseconds(row.wall.median)} ms"
        if row.entry.label in ratios:
            note += f" \u00b7 {text.times(ratios[row.entry.label])}"
        axes.text(
            row.wall.median + longest * 0.012, place, note, va="center", color=INK, fontsize=9.5
        )
    axes.set_yticks(range(len(rows)), [row.entry.label for row in rows])
    axes.invert_yaxis()
    axes.set_xlim(0, longest * 1.45)
    axes.set_xlabel("median latency, ms")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=FAINT, linewidth=0.6)
    against = f"Ratios are against {baseline}, with 95 % intervals. " if baseline else ""
    return Plot(
        "The ladder, from slowest to fastest",
        f"{case.length} tokens, {text.threads(case.threads)}. {against}Shorter is faster.",
        to_svg(figure, "ladder"),
    )


def _by_length(cases: Sequence[CaseContent], threads: int) -> Plot:
    figure, axes = make_axes(4.4)
    ends: list[tuple[float, str, str]] = []
    for first in cases[-1].rows:
        points = [
            (case.length, row.wall.median)
            for case in cases
            for row in case.rows
            if row.entry.id == first.entry.id
        ]
        colour = _colour(first.entry)
        axes.plot(
            *zip(*points, strict=True),
            color=colour,
            linestyle=_LINES.get(first.entry.precision, "-"),
            marker=_MARKERS.get(first.entry.precision, "^"),
            markersize=5.5,
            linewidth=1.8,
        )
        ends.append((points[-1][1], first.entry.label, colour))
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    lengths = [case.length for case in cases]
    axes.set_xticks(lengths, [str(length) for length in lengths])
    axes.minorticks_off()
    low, high = axes.get_ylim()
    axes.set_yticks(*_round_ticks(low, high))
    axes.set_ylim(low, high)
    axes.set_xlabel("tokens (logarithmic)")
    axes.set_ylabel("median latency, ms (logarithmic)")
    axes.grid(color=FAINT, linewidth=0.6)
    heights = _apart([end[0] for end in ends], (high / low) ** 0.052)
    for (end, label, colour), height in zip(ends, heights, strict=True):
        axes.annotate(
            label,
            (lengths[-1], end),
            xytext=(1.035, height),
            textcoords=axes.get_yaxis_transform(),
            va="center",
            color=INK,
            fontsize=9.5,
            annotation_clip=False,
            arrowprops=_leader(colour),
        )
    return Plot(
        f"Latency by length, {text.threads(threads)}",
        "Medians, batch 1. Solid with circles: fp32; dashed with squares: fp16; dotted with "
        "diamonds: int8.",
        to_svg(figure, f"length-{threads}"),
    )


def _size(case: CaseContent) -> Plot:
    figure, axes = make_axes(4.0)
    rows = sorted(case.rows, key=lambda row: row.wall.median)
    for row in rows:
        axes.plot(
            row.entry.bytes / 1e6,
            row.wall.median,
            color=_colour(row.entry),
            marker=_MARKERS.get(row.entry.precision, "^"),
            markersize=8,
            linestyle="none",
        )
    widest = max(row.entry.bytes for row in rows) / 1e6
    tallest = rows[-1].wall.median
    axes.set_xlim(0, widest * 1.05)
    axes.set_ylim(0, tallest * 1.1)
    _label_points(axes, rows, widest, tallest)
    axes.set_xlabel("file size, MB")
    axes.set_ylabel("median latency, ms")
    axes.grid(color=FAINT, linewidth=0.6)
    return Plot(
        "Size against latency",
        f"{case.length} tokens, {text.threads(case.threads)}. Nearer to the lower left corner is "
        "better. Circles: fp32; squares: fp16; diamonds: int8.",
        to_svg(figure, "size"),
    )


def _label_points(axes: Any, rows: Sequence[Row], widest: float, tallest: float) -> None:
    """A label beside each point, at the first place where it covers no point and no other label.

    Boxes are in shares of the axes: a character is about 0.0095 wide, a line 0.055 high.
    """
    points = [(row.entry.bytes / 1e6 / widest, row.wall.median / tallest) for row in rows]
    taken = [(x - 0.012, y - 0.02, x + 0.012, y + 0.02) for x, y in points]
    for row, (x, y) in zip(rows, points, strict=True):
        width, height = 0.0095 * len(row.entry.label), 0.055
        boxes = [
            (left, y + up - height / 2, left + width, y + up + height / 2)
            for up in (0.0, 0.06, -0.06, 0.12, -0.12, 0.18)
            for left in (x + 0.016, x - 0.016 - width)
            if left >= 0 and left + width <= 1.06
        ]
        free = [box for box in boxes if not any(_overlap(box, other) for other in taken)]
        box = (free or boxes or [(x, y, x, y)])[0]
        taken.append(box)
        right = box[0] > x
        middle = (box[1] + box[3]) / 2
        axes.annotate(
            row.entry.label,
            (x * widest, y * tallest),
            xytext=(box[0 if right else 2] * widest, middle * tallest),
            ha="left" if right else "right",
            va="center",
            color=INK,
            fontsize=9.5,
            # A label that had to move is tied to its point.
            arrowprops=_leader(_colour(row.entry), right) if abs(middle - y) > 0.03 else None,
        )


def _leader(colour: str, right: bool = True) -> dict[str, Any]:
    """A thin line from a point to the near end of its label."""
    near_end = (0 if right else 1, 0.5)
    return {"arrowstyle": "-", "color": colour, "relpos": near_end, "shrinkA": 1, "shrinkB": 5}


def _overlap(one: Sequence[float], other: Sequence[float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _round_ticks(low: float, high: float) -> tuple[list[float], list[str]]:
    """1, 2, 5, 10, ... between ``low`` and ``high``, with their labels."""
    ticks = [
        digit * 10.0**power
        for power in range(-4, 7)
        for digit in (1, 2, 5)
        if low <= digit * 10.0**power <= high
    ]
    return ticks, [f"{tick:g}" for tick in ticks]


def _apart(heights: Sequence[float], factor: float) -> list[float]:
    """The same heights, raised where one is less than ``factor`` above the one below it."""
    moved = list(heights)
    order = sorted(range(len(heights)), key=lambda index: heights[index])
    for below, index in itertools.pairwise(order):
        moved[index] = max(moved[index], moved[below] * factor)
    return moved


def _colour(entry: EntryContent) -> str:
    return _COLOURS.get((entry.family, entry.recipe == "stock"), _OTHER)
