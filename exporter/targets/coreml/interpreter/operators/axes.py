"""Axes as MIL writes them: numbers below 0 count from the last one."""

from exporter.targets.base import Array
from exporter.targets.coreml.interpreter.errors import Refused


def positive_axes(axes: Array, rank: int) -> tuple[int, ...]:
    """The axes [] or [K] as numbers from 0. Refused for one beyond ``rank``, or given twice."""
    found = tuple(axis + rank if axis < 0 else axis for axis in axes.reshape(-1).tolist())
    if len(set(found)) != len(found) or any(not 0 <= axis < rank for axis in found):
        raise Refused(f"the axes {axes.tolist()} are not of {rank} axes")
    return found
