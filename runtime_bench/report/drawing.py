"""Drawing for a page: SVG text whose colours the page's style sheet decides."""

import io
import re
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

# Drawn in these colours, then replaced by CSS variables, so that one SVG serves light and dark.
INK, FAINT, BAD = "#010101", "#020202", "#080808"
_VARIABLES = {
    INK: "var(--ink)",
    FAINT: "var(--rule)",
    "#030303": "var(--squeezebert-ours)",
    "#040404": "var(--squeezebert-stock)",
    "#050505": "var(--bert-ours)",
    "#060606": "var(--bert-stock)",
    "#070707": "var(--other)",
    BAD: "var(--bad)",
}


@dataclass(frozen=True)
class Plot:
    """A plot with what it shows in words (also its text for screen readers)."""

    title: str
    caption: str
    svg: str


def make_axes(height: float) -> tuple[Figure, Any]:
    """A figure as wide as the page with one pair of axes."""
    figure = make_figure(height)
    axes = figure.add_subplot()
    plain(axes)
    return figure, axes


def make_figure(height: float) -> Figure:
    figure = Figure(figsize=(9.6, height), layout="constrained")
    figure.patch.set_alpha(0)
    return figure


def plain(axes: Any) -> None:
    """No box, no ground, the page's colours."""
    axes.patch.set_alpha(0)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for spine in axes.spines.values():
        spine.set_color(FAINT)
    axes.tick_params(colors=INK, labelsize=9.5)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)


def to_svg(figure: Figure, name: str) -> str:
    """SVG for the inside of a page: no prolog, own ids, the page's font and colours."""
    stream = io.StringIO()
    fixed = {"svg.fonttype": "none", "svg.hashsalt": name}
    with mpl.rc_context(fixed):
        figure.savefig(
            stream, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
        )
    svg = stream.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'width="[\d.]+pt" height="[\d.]+pt"', 'role="presentation"', svg, count=1)
    svg = re.sub(r"(?<=\sid=\")|(?<=href=\"#)|(?<=url\(#)", f"{name}-", svg)
    svg = re.sub(r"(font: [^;\"]*?)'[^;\"]*", r"\1inherit", svg)
    for drawn, variable in _VARIABLES.items():
        svg = svg.replace(drawn, variable)
    return svg.strip()
