"""Clocks and temperatures against time, with the rounds and the pauses marked."""

from collections.abc import Mapping, Sequence
from typing import Any

from runtime_bench.report.conditions import ConditionsContent, Moment
from runtime_bench.report.drawing import BAD, FAINT, INK, Plot, make_figure, plain, to_svg

# More sensors than these make no readable plot; phones have dozens.
_MOST_SENSORS = 4
_STYLES: Sequence[Any] = ("-", (0, (5, 1.5)), (0, (2, 1.5)), (0, (1, 1)))
_CLUSTER_COLOURS: Mapping[str, str] = {"big": "#050505", "middle": "#030303", "little": "#070707"}


def plot_conditions(conditions: ConditionsContent) -> Plot:
    """Two panels over one time axis; a panel without data is left out."""
    clocks = _series(conditions.moments, "mhz")
    sensors = _series(conditions.moments, "celsius")
    shown = _hottest(sensors)
    panels = [name for name, data in (("clocks", clocks), ("sensors", shown)) if data]
    figure = make_figure(2.2 * len(panels) + 0.6)
    drawn = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axes, panel in zip(drawn, panels, strict=True):
        plain(axes)
        _mark(axes, conditions)
        if panel == "clocks":
            for place, (name, points) in enumerate(clocks.items()):
                times, values = zip(*points, strict=True)
                axes.plot(
                    [time / 60 for time in times],
                    [value / 1000 for value in values],
                    color=_CLUSTER_COLOURS.get(name, INK),
                    linestyle=_STYLES[place % len(_STYLES)],
                    linewidth=1.6,
                    label=f"{name} cores",
                )
            axes.set_ylabel("clock, GHz")
            axes.set_ylim(bottom=0)
        else:
            for place, (name, points) in enumerate(shown.items()):
                times, values = zip(*points, strict=True)
                axes.plot(
                    [time / 60 for time in times],
                    values,
                    color=INK,
                    linestyle=_STYLES[place % len(_STYLES)],
                    linewidth=1.3,
                    label=name,
                )
            axes.set_ylabel("temperature, \u00b0C")
        axes.grid(color=FAINT, linewidth=0.6)
        axes.legend(
            loc="upper left",
            bbox_to_anchor=(1.01, 1.0),
            frameon=False,
            labelcolor=INK,
            fontsize=9.5,
            handlelength=2.6,
        )
    drawn[-1].set_xlabel("minutes since the run began")
    return Plot("Clocks and temperatures", _caption(conditions, sensors), to_svg(figure, "time"))


def _mark(axes: Any, conditions: ConditionsContent) -> None:
    """Every second round in grey, hatched where it was dropped; red while the run waited."""
    for place, span in enumerate(sorted(conditions.rounds, key=lambda span: span.start)):
        start, end = span.start / 60, span.end / 60
        if span.dropped:
            axes.axvspan(start, end, facecolor="none", edgecolor=BAD, hatch="////", linewidth=0)
        elif place % 2 == 0:
            axes.axvspan(start, end, color=FAINT, alpha=0.45, linewidth=0)
    for pause in conditions.pauses:
        # The record is written when the wait is over.
        start, end = (pause.seconds - pause.waited_s) / 60, pause.seconds / 60
        axes.axvspan(start, end, color=BAD, alpha=0.22, linewidth=0)
        axes.axvline(start, color=BAD, linewidth=1.2)


def _caption(conditions: ConditionsContent, sensors: Mapping[str, object]) -> str:
    words = "As the device tells them itself; bands are rounds, every second one grey."
    if len(sensors) > _MOST_SENSORS:
        words += f" The {_MOST_SENSORS} hottest of {len(sensors)} sensors."
    if dropped := sum(span.dropped for span in conditions.rounds):
        words += (
            f" {dropped} round{'' if dropped == 1 else 's'} (hatched) counted for nothing, since "
            "the device had slowed down."
        )
    if conditions.pauses:
        count = len(conditions.pauses)
        words += (
            f" {count} time{'' if count == 1 else 's'} (red) the device slowed down: the run "
            "waited, and measured that round again."
        )
    return words


def _series(moments: Sequence[Moment], name: str) -> dict[str, list[tuple[float, float]]]:
    found: dict[str, list[tuple[float, float]]] = {}
    for moment in moments:
        for key, value in getattr(moment, name).items():
            found.setdefault(key, []).append((moment.seconds, value))
    return found


def _hottest(
    sensors: Mapping[str, list[tuple[float, float]]],
) -> dict[str, list[tuple[float, float]]]:
    """The sensors that became hottest, and the battery's where it is known."""
    ranked = sorted(sensors, key=lambda name: -max(value for _, value in sensors[name]))
    ranked.sort(key=lambda name: name != "battery")
    return {name: sensors[name] for name in ranked[:_MOST_SENSORS]}
