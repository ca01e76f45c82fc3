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

#: Bits after the point of fp16, and the exponent of its smallest number.
_FP16_FRACTION, _FP16_SMALLEST_EXPONENT = 10, 24

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


def wasted_levels(wanted: Array, compressed: Compressed) -> str:
    """How a scheme makes less of ``wanted`` than its bits allow; '' where it does not."""
    if compressed.scale is None:
        return _table_problem(wanted, compressed)
    return _coarse_problem(wanted, compressed)


def _coarse_problem(wanted: Array, compressed: Compressed) -> str:
    """No scale may be larger than its largest value needs: a coarser one loses accuracy unseen."""
    assert compressed.scale is not None
    blocks = np.abs(wanted).reshape(*compressed.scale.shape, -1).max(axis=2)
    needed = blocks / LARGEST_LEVEL[compressed.bits]
    # Half a level more: a value next to the last level may be nearer to it with a larger scale.
    share = 0.5 / LARGEST_LEVEL[compressed.bits]
    limit = needed * (1 + share) + 2.0**-_FP16_SMALLEST_EXPONENT
    wrong = compressed.scale > limit
    if not wrong.any():
        return ""
    row, block = (int(index) for index in np.unravel_index(wrong.argmax(), wrong.shape))
    found = float(compressed.scale[row, block])
    return f"row {row} has step {found:.9g}, its values need {needed[row, block]:.9g}"


def _table_problem(wanted: Array, compressed: Compressed) -> str:
    """Tables have to be at least as good as evenly spaced entries would be."""
    assert compressed.table is not None
    parts, entries = compressed.table.shape
    stored = compressed.values()
    error = even = 0.0
    rows = max(1, len(wanted) // parts)
    for start in range(0, len(wanted), rows):
        source = wanted[start : start + rows].astype(np.float64)
        low, high = source.min(), source.max()
        step = (high - low) / (entries - 1) or 1.0
        spaced = low + np.rint((source - low) / step) * step
        even += float(np.square(spaced - source).sum())
        error += float(np.square(stored[start : start + rows] - source).sum())
    # fp16 rounds the entries, which evenly spaced ones are spared here.
    rounding = float(np.square(wanted * 2.0 ** -(_FP16_FRACTION + 1), dtype=np.float64).sum())
    if error <= even + rounding:
        return ""
    return f"its tables lose more (squared error {error:.3g}) than even steps do ({even:.3g})"


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
