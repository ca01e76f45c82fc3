"""Matrices as levels and float16 scales: int8 by row, int4 in blocks of neighbours.

Weights are stored for a computation in fp16, so the scales are fp16 numbers too. Nothing here
depends on the machine: sums are made in a fixed order, and everything else is exact or rounded once
as IEEE 754 says, so that a package can be audited bit by bit where it was not built.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from exporter.errors import UserError
from exporter.quantization.compression import Compressed, Float32
from exporter.quantization.rounding import BLOCK, INT4_LIMIT, INT8_LIMIT, TABLE_BLOCK, Rounded

Float16 = npt.NDArray[np.float16]
Int8 = npt.NDArray[np.int8]

#: The smallest fp16 number above 0. Rows that would need a smaller scale are rounded to its
#: multiples, which is what fp16 itself would do to them.
SMALLEST_SCALE = np.float32(2.0**-24)

#: fp16 ends at 65504; a scale of larger values may be rounded up to one that leads beyond.
_LARGEST = 65472.0

#: Scales that are tried for a block of int4, as shares of the one that clips nothing. A smaller one
#: clips the largest values and is finer for all others. On two trained models these six and the
#: least squares after them take 11 and 12 % off the squared error; sixteen shares and no least
#: squares take as much.
_SHARES = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75)

#: Values that are searched at once: what a processor's cache holds.
_CHUNK = 1 << 17


def int8_rows(name: str, matrix: Float32) -> Compressed:
    """Symmetric int8 with one scale a row: [rows, columns], scale [rows, 1].

    The scale is the fp16 number nearest to largest / 127. It is rounded up where the nearest would
    clip the largest value by more than half a step (only subnormal scales are that coarse), and is
    never 0: every value is off by at most half a step. UserError for values beyond fp16.
    """
    _refuse_beyond_fp16(name, matrix)
    largest = np.abs(matrix).max(axis=1)
    scale = _half(largest / np.float32(INT8_LIMIT), INT8_LIMIT)
    clips = largest > (INT8_LIMIT + np.float32(0.5)) * scale.astype(np.float32)
    scale = np.where(clips, np.nextafter(scale, np.float16(np.inf)), scale)
    levels = matrix / scale.astype(np.float32)[:, None]
    np.rint(levels, out=levels)
    np.clip(levels, -INT8_LIMIT, INT8_LIMIT, out=levels)
    return Compressed(levels.astype(np.int8), 8, scale=scale[:, None])


def int4_blocks(name: str, matrix: Float32) -> Compressed:
    """Symmetric int4 (-7 to 7) with one scale for ``BLOCK`` neighbours: [rows, columns / BLOCK].

    The scale of a block is the one of a few with the least squared error, see ``_search``. Every
    value has the level that is nearest to it; those beyond the last level are clipped. ValueError
    when a row is not whole blocks, UserError for values beyond fp16.
    """
    _refuse_beyond_fp16(name, matrix)
    levels, scale = _in_blocks(matrix, BLOCK)
    return Compressed(levels, 4, scale=scale)


def quantize_table(table: Float32) -> Rounded:
    """An int4 embedding table: levels -7 to 7, one scale (an fp16 number) for ``TABLE_BLOCK``
    neighbours of a row, searched as ``int4_blocks`` does.

    On the tables of two trained models the search takes 14 % off the squared error, and 11 and 16 %
    off the divergence of labels (1,000 examples; all else in fp32). ValueError when a row is not
    whole blocks.
    """
    levels, scale = _in_blocks(table, TABLE_BLOCK)
    return Rounded(levels, 4, scale.astype(np.float32))


def _in_blocks(matrix: Float32, size: int) -> tuple[Int8, Float16]:
    """[rows, columns] -> levels of the same shape, scales [rows, columns / size]."""
    rows, columns = matrix.shape
    if columns % size:
        raise ValueError(f"rows of {columns} values are not whole blocks of {size}")
    blocks = matrix.reshape(-1, size)
    levels = np.empty(blocks.shape, np.int8)
    scale = np.empty(len(blocks), np.float16)
    step = _CHUNK // size
    for start in range(0, len(blocks), step):
        # Blocks lie in columns here: what is summed for a block is added row by row, in order.
        chosen = slice(start, start + step)
        found, scale[chosen] = _search(np.ascontiguousarray(blocks[chosen].T))
        levels[chosen] = found.T
    return levels.reshape(rows, columns), scale.reshape(rows, -1)


def _search(blocks: Float32) -> tuple[Float32, Float16]:
    """[size, N] -> levels [size, N] and scales [N] with the least squared error.

    Tried are ``_SHARES`` of the scale that clips nothing and then, for the best of these, the scale
    that minimises the error of its levels: sum(value * level) / sum(level ** 2). None is larger
    than the one that clips nothing.
    """
    widest = np.abs(blocks).max(axis=0) / np.float32(INT4_LIMIT)
    best = _rounded(blocks, _half(widest, INT4_LIMIT))
    for share in _SHARES[1:]:
        _keep_better(best, _rounded(blocks, _half(widest * np.float32(share), INT4_LIMIT)))
    levels = best.levels
    squares = np.maximum((levels * levels).sum(axis=0), 1)
    fitted = np.minimum((blocks * levels).sum(axis=0) / squares, widest)
    _keep_better(best, _rounded(blocks, _half(fitted, INT4_LIMIT)))
    return best.levels, best.scale


@dataclass(frozen=True)
class _Rounded:
    """Levels [size, N], scales [N], and squared errors [N] of blocks."""

    levels: Float32
    scale: Float16
    error: Float32


def _rounded(blocks: Float32, scale: Float16) -> _Rounded:
    wide = scale.astype(np.float32)
    levels = blocks / wide
    np.rint(levels, out=levels)
    np.clip(levels, -INT4_LIMIT, INT4_LIMIT, out=levels)
    difference = levels * wide
    difference -= blocks
    difference *= difference
    return _Rounded(levels, scale, difference.sum(axis=0))


def _keep_better(best: _Rounded, other: _Rounded) -> None:
    """Overwrite the blocks of ``best`` in which ``other`` has a smaller error."""
    better = other.error < best.error
    np.copyto(best.levels, other.levels, where=better)
    np.copyto(best.scale, other.scale, where=better)
    np.copyto(best.error, other.error, where=better)


def _half(scale: Float32, limit: int) -> Float16:
    """The nearest fp16 numbers from the smallest up to one whose level ``limit`` is in fp16."""
    return np.clip(scale, SMALLEST_SCALE, np.float32(_LARGEST / limit)).astype(np.float16)


def _refuse_beyond_fp16(name: str, matrix: Float32) -> None:
    largest = np.abs(matrix).max(initial=0)
    if not largest <= _LARGEST:
        raise UserError(
            f"{name} has values beyond the range of fp16 (largest {largest:.3g}), in which "
            "compressed weights are computed.",
            "Build it without compression: --precision fp32",
        )
