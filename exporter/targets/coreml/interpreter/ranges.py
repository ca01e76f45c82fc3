"""How far the values of a program are from the end of fp16."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from exporter.targets.base import Array
from exporter.targets.coreml.interpreter.executor import Interpreter
from exporter.targets.coreml.interpreter.package import Package
from exporter.targets.coreml.interpreter.program import Operation, Result

#: The largest fp16 number.
LARGEST_HALF = 65504.0
_HALF = "float16"


@dataclass(frozen=True)
class ValueRange:
    """A value of the program over all runs.

    ``largest`` is the largest absolute value that is finite (0 where none is); ``finite`` whether
    all are. ``place`` is the operation that computes it, ``kind`` that operation's kind.
    """

    name: str
    kind: str
    place: str
    dtype: str
    largest: float
    finite: bool


@dataclass(frozen=True)
class RangeReport:
    """Every floating-point value that the program computes, in its order; weights aside."""

    runs: int
    values: tuple[ValueRange, ...]

    @property
    def first_not_finite(self) -> ValueRange | None:
        """The first value with an infinite number or NaN; what comes after may only inherit it."""
        return next((value for value in self.values if not value.finite), None)

    @property
    def headroom(self) -> float:
        """How many times larger the largest fp16 value might be; 0 where one is not finite.

        What masks padding counts like all else. Infinite where no value but 0 is fp16.
        """
        halves = [value for value in self.values if value.dtype == _HALF]
        largest = max((value.largest for value in halves), default=0.0)
        if not all(value.finite for value in halves):
            return 0.0
        return LARGEST_HALF / largest if largest else float("inf")

    def as_dict(self) -> dict[str, Any]:
        """The report for JSON; ``headroom`` is None where there is no end to it."""
        first = self.first_not_finite
        return {
            "runs": self.runs,
            "headroom": None if np.isinf(self.headroom) else self.headroom,
            "first_not_finite": None if first is None else asdict(first),
            "values": [asdict(value) for value in self.values],
        }


def range_report(package: Package, batches: Iterable[Mapping[str, Array]]) -> RangeReport:
    """Run ``package`` on every batch and keep the range of every value.

    ``batches`` are as ``Interpreter.run`` takes them. Raises UserError as it does.
    """
    interpreter = Interpreter(package)
    found: dict[str, ValueRange] = {}

    def observe(operation: Operation, result: Result, value: Array) -> None:
        largest, finite = _largest(value)
        known = found.get(result.name)
        if known is not None:
            largest, finite = max(largest, known.largest), finite and known.finite
        found[result.name] = ValueRange(
            result.name, operation.kind, operation.place, result.dtype, largest, finite
        )

    runs = 0
    for batch in batches:
        interpreter.run(batch, observe=observe)
        runs += 1
    return RangeReport(runs, tuple(found.values()))


def render_ranges(report: RangeReport, rows: int = 10) -> str:
    """A short table: what is not finite first, then the largest values, in ``rows`` rows.

    Values of one kind that are about as large (the scores of padding in all heads, say) share one.
    """
    first = report.first_not_finite
    runs = "1 run" if report.runs == 1 else f"{report.runs} runs"
    lines = [
        f"{runs}, {len(report.values)} values; the largest fp16 value may be "
        f"{report.headroom:.3g} times as large"
        if first is None
        else f"not finite first: {first.name}, {first.kind}, {first.place}"
    ]
    groups: dict[object, list[ValueRange]] = {}
    for value in sorted(report.values, key=lambda value: (value.finite, -value.largest)):
        groups.setdefault((value.kind, value.dtype, _number(value, 2)), []).append(value)
    shown = list(groups.values())[:rows]
    width = max((len(group[0].name) for group in shown), default=0)
    for value, *others in shown:
        share = f"{value.largest / LARGEST_HALF:.1%}" if value.dtype == _HALF else ""
        more = f"and {len(others)} more" if others else ""
        line = f"{value.name:<{width}}  {value.kind:<12} {_number(value, 4):>10} {share:>7}  {more}"
        lines.append(line.rstrip())
    return "\n".join(lines)


def _number(value: ValueRange, digits: int) -> str:
    return f"{value.largest:.{digits}g}" if value.finite else "not finite"


def _largest(value: Array) -> tuple[float, bool]:
    if not value.size:
        return 0.0, True
    largest = float(max(value.max(), -value.min()))
    if np.isfinite(largest):
        return largest, True
    usable = np.abs(value[np.isfinite(value)])
    return float(usable.max()) if usable.size else 0.0, False
