"""The pictures of a search: what hurts where, and what each mix trades."""

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from exporter.quantization.mix import Unit
from exporter.search.candidates import Candidate
from exporter.search.sensitivity import Sensitivity

_DOTS_PER_INCH = 144
#: Colour-blind safe (Okabe and Ito 2008).
_CHOSEN, _CHAIN, _UNIFORM, _LIMIT = "#D55E00", "#0072B2", "#56B4E9", "#999999"
#: Of the kinds that every layer has, for pictures and tables, in the order of computation.
KIND_NAMES = {
    "attention": "query, key, value",
    "products": "attention products",
    "post_attention": "post-attention",
    "intermediate": "feed-forward, first",
    "output": "feed-forward, second",
}
#: Where a label may stand, the best place first: points from its mark to its nearer end, to the
#: right (negative: to the left), and up to its middle. Farther ones would seem to be another's.
_PLACES = tuple((x, y) for y in (7, -7, 0, 16, -16) for x in (9, -9))

#: Below it a divergence is drawn as this: no label follows from it.
_SMALLEST = 1e-7


@dataclass(frozen=True)
class _Mark:
    """A point of a panel: in its data, ``size`` of the marker in points, "" without a label."""

    across: float
    up: float
    size: float
    label: str


def draw_sensitivity(found: Sensitivity, all_units: Sequence[Unit]) -> bytes:
    """PNG: a heat map for every method, layers by kinds, divergence in colour."""
    layers = sorted({unit.layer for unit in all_units if unit.layer is not None})
    kinds = [kind for kind in KIND_NAMES if any(unit.kind == kind for unit in all_units)]
    methods = list(dict.fromkeys(m for u, m in found.effects if not u.startswith("embeddings.")))
    values = {place: max(e.mean_divergence, _SMALLEST) for place, e in found.effects.items()}
    names = {(unit.kind, unit.layer): unit.name for unit in all_units}
    outside = [unit.name for unit in all_units if unit.layer is None]
    columns = min(3, len(methods))
    lines = math.ceil(len(methods) / columns)
    height = 1.2 + lines * (0.9 + 0.34 * len(kinds)) + 0.24 * len(outside)
    figure = Figure(figsize=(10, height), layout="constrained")
    norm = LogNorm(
        min(values.values(), default=_SMALLEST), max(values.values(), default=1.0) * 1.01
    )
    shapes = [len(kinds)] * lines + [max(2, len(outside))]
    grid = figure.add_gridspec(lines + 1, columns, height_ratios=shapes)
    image: Any = None
    for place, method in enumerate(methods):
        axes = figure.add_subplot(grid[place // columns, place % columns])
        table = [
            [values.get((names[kind, layer], method), math.nan) for layer in layers]  # type: ignore[index]
            for kind in kinds
        ]
        image = axes.imshow(table, norm=norm, cmap="viridis", aspect="auto")
        axes.set_title(method, fontsize=10)
        axes.set_xticks(range(len(layers)), [str(layer) for layer in layers], fontsize=8)
        first = place % columns == 0
        axes.set_yticks(range(len(kinds)), [KIND_NAMES[kind] if first else "" for kind in kinds])
        axes.tick_params(length=0, labelsize=8)
    every = list(dict.fromkeys(m for u, m in found.effects if u in outside))
    axes = figure.add_subplot(grid[lines, :])
    table = [[values.get((name, m), math.nan) for m in every] for name in outside]
    image = axes.imshow(table, norm=norm, cmap="viridis", aspect="auto")
    axes.set_yticks(range(len(outside)), outside)
    axes.set_xticks(range(len(every)), every)
    axes.tick_params(length=0, labelsize=8)
    axes.set_title("tables and head", fontsize=10)
    bar = figure.colorbar(image, ax=figure.axes, shrink=0.7, format="%.0e")
    bar.set_label("mean divergence from fp32, nats", fontsize=9)
    figure.suptitle(
        f"What each layer (columns) does alone, by method; {found.examples} examples. "
        "White: not tried.",
        fontsize=11,
    )
    return _png(figure)


def draw_candidates(
    candidates: Sequence[Candidate], chosen: str, budget: float, usual: Candidate, tokens: int
) -> bytes:
    """PNG: points lost against latency and against size, the choice marked, the budget a line."""
    figure = Figure(figsize=(10, 4.6), layout="constrained", dpi=_DOTS_PER_INCH)
    judged = [c for c in candidates if _loss(c) is not None]
    panels = (
        (f"latency at {tokens} tokens, times that of {usual.name}", _latency(usual)),
        ("size, MB", _size(usual)),
    )
    drawn: list[tuple[Axes, list[_Mark]]] = []
    for place, (label, position) in enumerate(panels, start=1):
        axes = figure.add_subplot(1, 2, place)
        axes.axhline(budget * 100, color=_LIMIT, linestyle="--", linewidth=1)
        axes.annotate(
            "budget",
            (1, budget * 100),
            xycoords=("axes fraction", "data"),
            ha="right",
            va="bottom",
            fontsize=8,
            color="#555555",
        )
        marks = []
        # The choice and the usual mix have the first pick of where their labels stand.
        for known in sorted(judged, key=lambda k: (k.name != chosen, k.name != usual.name)):
            across, loss = position(known), _loss(known) or 0.0
            mine = known.name == chosen
            size = 16.0 if mine else 6.0
            colour = _CHOSEN if mine else _CHAIN if known.name.startswith("mix ") else _UNIFORM
            axes.plot(
                across,
                loss * 100,
                marker="*" if mine else "o",
                markersize=size,
                color=colour,
                markerfacecolor=colour if known.confirmed else "none",
                linestyle="none",
                zorder=3 if mine else 2,
            )
            named = f"{known.name}{' (chosen)' if mine else ''}" if known.built else ""
            marks.append(_Mark(across, loss * 100, size, named))
        drawn.append((axes, marks))
        axes.set_xlabel(label)
        axes.set_ylabel("points of accuracy lost")
        axes.margins(x=0.2, y=0.15)
        axes.grid(color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    figure.suptitle(
        "Filled: artifacts, their loss on the examples to judge by. Open: not judged, their loss "
        "in PyTorch on the examples to choose by (fp32: 0).\nLatency and size of what was not "
        "built (open, without a name) are foreseen from measured parts.",
        fontsize=9,
    )
    # The layout is final from here on: what stands where can be told.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes, marks in drawn:
        _place_labels(axes, marks)
    return _png(figure)


def _place_labels(axes: Axes, marks: Sequence[_Mark]) -> None:
    """Every label beside its mark, on no other label or mark, inside the axes.

    One that finds no room is left out: the report's table has all names.
    """
    frame, pixels = axes.get_window_extent(), _DOTS_PER_INCH / 72  # of a point
    taken = [text.get_window_extent() for text in axes.texts]
    for mark in marks:
        (x, y), half = axes.transData.transform((mark.across, mark.up)), mark.size / 2 * pixels
        taken.append(Bbox.from_extents(x - half, y - half, x + half, y + half))
    for mark in marks:
        for across, up in _PLACES if mark.label else ():
            text = axes.annotate(
                mark.label,
                (mark.across, mark.up),
                xytext=(across, up),
                textcoords="offset points",
                ha="left" if across > 0 else "right",
                va="center",
                fontsize=8,
            )
            box = text.get_window_extent()
            inside = frame.x0 <= box.x0 and box.x1 <= frame.x1
            if inside and not box.count_overlaps(taken):
                taken.append(box)
                break
            text.remove()


def _loss(known: Candidate) -> float | None:
    judged = known.confirmed or known.searched
    if judged is not None:
        return judged.loss
    return 0.0 if known.built and set(known.methods.values()) == {"fp32"} else None


def _latency(usual: Candidate) -> Any:
    base = usual.built.latency.median if usual.built else 1.0

    def position(known: Candidate) -> float:
        if known.built is not None:
            return known.built.ratio.median
        return 1 + (known.milliseconds - usual.milliseconds) / base

    return position


def _size(usual: Candidate) -> Any:
    base = usual.built.bytes if usual.built else 0

    def position(known: Candidate) -> float:
        size = known.built.bytes if known.built else base + known.bytes - usual.bytes
        return size / 1e6

    return position


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    settings: Mapping[str, Any] = {"text.parse_math": False}
    with mpl.rc_context(dict(settings)):
        figure.savefig(stream, format="png", dpi=_DOTS_PER_INCH, metadata={"Software": None})
    return stream.getvalue()
