"""The pictures of a search: what hurts where, and what each mix trades."""

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from exporter.quantization.mix import Unit
from exporter.search.candidates import Candidate
from exporter.search.sensitivity import Sensitivity

_DOTS_PER_INCH = 144
#: Colour-blind safe (Okabe and Ito 2008).
_CHOSEN, _CHAIN, _UNIFORM, _LIMIT = "#D55E00", "#0072B2", "#56B4E9", "#999999"
_KIND_NAMES = {
    "attention": "query, key, value",
    "post_attention": "post-attention",
    "intermediate": "feed-forward, first",
    "output": "feed-forward, second",
}
#: Below it a divergence is drawn as this: no label follows from it.
_SMALLEST = 1e-7


def draw_sensitivity(found: Sensitivity, all_units: Sequence[Unit]) -> bytes:
    """PNG: a heat map for every method, layers by kinds, divergence in colour."""
    layers = sorted({unit.layer for unit in all_units if unit.layer is not None})
    kinds = list(_KIND_NAMES)
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
        axes.set_yticks(range(len(kinds)), _KIND_NAMES.values() if first else [""] * len(kinds))
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
        "White: cannot be stored so.",
        fontsize=11,
    )
    return _png(figure)


def draw_candidates(
    candidates: Sequence[Candidate], chosen: str, budget: float, usual: Candidate, tokens: int
) -> bytes:
    """PNG: points lost against latency and against size, the choice marked, the budget a line."""
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    judged = [c for c in candidates if _loss(c) is not None]
    panels = (
        (f"latency at {tokens} tokens, times the usual mix's", _latency(usual)),
        ("size, MB", _size(usual)),
    )
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
        for number, known in enumerate(sorted(judged, key=position)):
            across = position(known)
            loss = _loss(known)
            if across is None or loss is None:
                continue
            mine = known.name == chosen
            colour = _CHOSEN if mine else _CHAIN if known.name.startswith("mix ") else _UNIFORM
            axes.plot(
                across,
                loss * 100,
                marker="*" if mine else "o",
                markersize=16 if mine else 6,
                color=colour,
                markerfacecolor=colour if known.built else "none",
                linestyle="none",
                zorder=3 if mine else 2,
            )
            if known.built:
                axes.annotate(
                    f"{known.name}{' (chosen)' if mine else ''}",
                    (across, loss * 100),
                    xytext=(7, 6 if number % 2 else -12),
                    textcoords="offset points",
                    fontsize=8,
                )
        axes.set_xlabel(label)
        axes.set_ylabel("points of accuracy lost")
        axes.margins(x=0.2, y=0.15)
        axes.grid(color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    figure.suptitle(
        "Filled: artifacts, built and timed. Open: foreseen from measured parts, "
        "their loss in PyTorch.",
        fontsize=10,
    )
    return _png(figure)


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
