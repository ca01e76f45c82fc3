"""Compares a weight of a compressed artifact with what its scheme makes of the source.

Two questions, of which the second does not rely on the scheme's own code: are these, bit by bit,
the values that the scheme's compression of the source stands for, and is each of them the nearest
to its source that its scale or table has?
"""

from collections.abc import Iterator

import numpy as np

from exporter.quantization.compression import Compressed
from exporter.targets.base import Array, StoredTensor

#: Symmetric int8 and int4 use the levels -127 to 127 and -7 to 7.
LARGEST_LEVEL = {8: 127, 4: 7}

#: Values that are compared at once: bounds the memory that fp64 takes.
_CHUNK = 1 << 20


def compare_compressed(
    tensor: StoredTensor, wanted: Array, compressed: Compressed | None, slack: float
) -> tuple[str, float]:
    """A problem ('' for none) and the largest error in steps.

    ``wanted`` are the source's values in ``tensor``'s shape, ``compressed`` what the scheme makes
    of them; None for a weight that it leaves in fp16. The step of a value with a scale is the
    scale, of a value from a table the distance to the next entry on its source's side: half a step
    and ``slack`` are allowed. A source beyond the last level or entry counts as that.
    """
    bits = 16 if compressed is None else compressed.bits
    if tensor.bits != bits:
        return f"stored with {tensor.bits} bits, its scheme says {bits}", np.inf
    with np.errstate(over="ignore"):
        half = wanted.astype(np.float16).astype(np.float32)
    expected = half if compressed is None else compressed.values()
    stored = np.ascontiguousarray(tensor.values, np.float32)
    different = stored.view(np.uint32) != expected.view(np.uint32)
    if different.any():
        where = tuple(int(i) for i in np.unravel_index(different.argmax(), different.shape))
        made = "in fp16" if compressed is None else "compressed"
        return (
            f"at {where} stored {stored[where]:.9g}, its source {made} is {expected[where]:.9g}"
        ), np.inf
    if compressed is None:
        return "", 0.0
    if compressed.scale is not None:
        problem = _scale_problem(tensor, compressed.scale)
        if problem:
            return problem, np.inf
    worst = 0.0
    for rows, ratio in _errors(stored, wanted, compressed):
        worst = max(worst, float(ratio.max(initial=0)))
        if worst > 0.5 + slack:
            row, column = (int(i) for i in np.unravel_index(ratio.argmax(), ratio.shape))
            where = (rows.start + row, column)
            return (
                f"at {where} stored {stored[where]:.9g}, source {wanted[where]:.9g} "
                f"({worst:.3g} steps)"
            ), worst
    return "", worst


def _scale_problem(tensor: StoredTensor, scale: Array) -> str:
    """Levels times another scale may stand for the same values; the scale is to be the same too."""
    columns = tensor.values.shape[1]
    wanted = scale.astype(np.float32).repeat(columns // scale.shape[1], axis=1)
    wrong = np.broadcast_to(tensor.step, wanted.shape) != wanted
    if not wrong.any():
        return ""
    row, column = (int(index) for index in np.unravel_index(wrong.argmax(), wrong.shape))
    found = np.broadcast_to(tensor.step, wanted.shape)[row, column]
    return f"row {row} has step {found:.9g}, its source asks for {wanted[row, column]:.9g}"


def _errors(stored: Array, wanted: Array, compressed: Compressed) -> Iterator[tuple[slice, Array]]:
    """Errors in steps, for a few rows at a time: the rows, and [rows, columns]."""
    size = max(1, _CHUNK // stored.shape[1])
    table, scale = compressed.table, compressed.scale
    above, below = _gaps(np.zeros((1, 1)) if table is None else table.astype(np.float64))
    for start in range(0, len(stored), size):
        rows = slice(start, min(start + size, len(stored)))
        source = wanted[rows].astype(np.float64)
        levels = compressed.levels[rows]
        if scale is not None:
            step = scale[rows].astype(np.float64).repeat(source.shape[1] // scale.shape[1], axis=1)
            limit = LARGEST_LEVEL[compressed.bits] * step
            error = np.abs(levels * step - source.clip(-limit, limit))
        else:
            value = stored[rows].astype(np.float64)
            part = (np.arange(rows.start, rows.stop) * len(above) // len(stored))[:, None]
            step = np.where(source > value, above[part, levels], below[part, levels])
            error = np.abs(value - source)
        yield rows, error / step


def _gaps(table: Array) -> tuple[Array, Array]:
    """[P, K] entries -> the distance of each to the next larger one and to the next smaller one.

    Infinite where there is none.
    """
    difference = table[:, None, :] - table[:, :, None]
    above = np.where(difference > 0, difference, np.inf).min(axis=2)
    below = np.where(difference < 0, -difference, np.inf).min(axis=2)
    return above, below
