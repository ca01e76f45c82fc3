"""Rounding of weights: int8 per output channel, int4 in blocks, and fp16."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from exporter.errors import UserError

Float32 = npt.NDArray[np.float32]
Int8 = npt.NDArray[np.int8]
UInt8 = npt.NDArray[np.uint8]

#: Symmetric int8 leaves -128 out, so that the negative of every value exists.
INT8_LIMIT = 127

#: Symmetric int4 leaves -8 out, for the same reason.
INT4_LIMIT = 7

#: Inputs that share a scale in int4: the smallest number that XNNPACK's int4 products take.
BLOCK = 32

#: Entries of an int4 embedding table's row that share a scale.
TABLE_BLOCK = 64

#: Largest multiplier of a block in two-level int4: 7 * 16 = 112 is still an int8 level.
LARGEST_MULTIPLIER = 16

#: Smallest scale: below it fp32 has no full precision, and some processors take such values as 0.
SMALLEST_SCALE = np.finfo(np.float32).tiny


@dataclass(frozen=True)
class Rounded:
    """A matrix [rows, columns] as levels, and what they stand for.

    ``levels`` are int8 [rows, columns], of 8 or 4 ``bits``. ``scale`` is float32 [rows, blocks]:
    each of a row's equal blocks of neighbours has one (int8: the row). With ``multiplier``, uint8
    [rows, blocks] from 1 to ``LARGEST_MULTIPLIER``, ``scale`` is [rows, 1]: the levels of a block
    times its multiplier are int8 levels of the row's scale.
    """

    levels: Int8
    bits: int
    scale: Float32
    multiplier: UInt8 | None = None

    @property
    def blocks(self) -> int:
        """Neighbours of a row that share a step are one of so many."""
        steps = self.scale if self.multiplier is None else self.multiplier
        return int(steps.shape[1])

    @property
    def step(self) -> Float32:
        """[rows, columns]: what a level is worth at each place."""
        steps = self.scale if self.multiplier is None else self.scale * self.multiplier
        wide: Float32 = steps.repeat(self.levels.shape[1] // steps.shape[1], axis=1)
        return wide

    def int8_levels(self) -> Int8:
        """[rows, columns]: the levels of ``scale``, their block's multiplier included."""
        if self.multiplier is None:
            return self.levels
        width = self.levels.shape[1] // self.multiplier.shape[1]
        product: Int8 = self.levels * self.multiplier.astype(np.int8).repeat(width, axis=1)
        return product

    def values(self) -> Float32:
        """[rows, columns]: what the levels stand for."""
        levels = self.int8_levels().astype(np.float32)
        width = levels.shape[1] // self.scale.shape[1]
        product: Float32 = levels * self.scale.repeat(width, axis=1)
        return product


def quantize_two_levels(weight: Float32) -> Rounded:
    """Symmetric int4 whose blocks' scales are small multiples of their row's.

    [rows, columns] -> levels -7 to 7. The row's scale makes its largest value level 7 times
    ``LARGEST_MULTIPLIER``; the multiplier of a block is the one with the least squared error.
    ValueError when a row is not whole blocks.
    """
    rows, columns = weight.shape
    if columns % BLOCK:
        raise ValueError(f"rows of {columns} values are not whole blocks of {BLOCK}")
    scale = np.abs(weight).max(axis=1) / (INT4_LIMIT * LARGEST_MULTIPLIER)
    scale = np.where(scale >= SMALLEST_SCALE, scale, 1).astype(np.float32)
    blocks = (weight / scale[:, None]).reshape(rows, columns // BLOCK, BLOCK)
    multiplier = np.ones(blocks.shape[:2], np.uint8)
    best = np.full(blocks.shape[:2], np.inf, np.float32)
    for candidate in range(1, LARGEST_MULTIPLIER + 1):
        rounded = np.rint(blocks / candidate).clip(-INT4_LIMIT, INT4_LIMIT) * candidate
        error = np.square(rounded - blocks).sum(axis=2)
        better = error < best
        multiplier[better], best[better] = candidate, error[better]
    levels = np.rint(blocks / multiplier[:, :, None]).clip(-INT4_LIMIT, INT4_LIMIT)
    return Rounded(levels.astype(np.int8).reshape(rows, columns), 4, scale[:, None], multiplier)


def quantize_rows(weight: Float32) -> tuple[Int8, Float32]:
    """Symmetric int8 with one scale a row: [rows, columns] -> int8 [rows, columns], scale [rows].

    ``weight[r, c]`` is approximately ``values[r, c] * scale[r]``, off by at most half a scale. A
    row of zeros, or of values that would need a scale below ``SMALLEST_SCALE``, gets scale 1.
    """
    scale = np.abs(weight).max(axis=1) / INT8_LIMIT
    scale = np.where(scale >= SMALLEST_SCALE, scale, 1).astype(np.float32)
    values = np.rint(weight / scale[:, None]).clip(-INT8_LIMIT, INT8_LIMIT)
    return values.astype(np.int8), scale


def quantize_blocks(weight: Float32) -> tuple[Int8, Float32]:
    """Symmetric int4 with one scale for ``BLOCK`` neighbours of a row.

    [rows, columns] -> levels -7 to 7 as int8 [rows, columns], scale [rows, columns / BLOCK]. The
    scales are bfloat16 values (in fp32), as XNNPACK stores them. ValueError when a row is not whole
    blocks.
    """
    rows, columns = weight.shape
    if columns % BLOCK:
        raise ValueError(f"rows of {columns} values are not whole blocks of {BLOCK}")
    blocks = weight.reshape(rows, columns // BLOCK, BLOCK)
    scale = np.abs(blocks).max(axis=2) / INT4_LIMIT
    scale = np.where(scale >= SMALLEST_SCALE, scale, 1).astype(np.float32)
    scale = torch.from_numpy(scale).bfloat16().float().numpy()
    levels = np.rint(blocks / scale[:, :, None]).clip(-INT4_LIMIT, INT4_LIMIT)
    return levels.astype(np.int8).reshape(rows, columns), scale


def round_to_fp16(name: str, weight: Float32) -> Float32:
    """The nearest fp16 values, as fp32. UserError when a value is beyond fp16's range (65504)."""
    with np.errstate(over="ignore"):
        rounded = weight.astype(np.float16)
    if not np.isfinite(rounded).all():
        raise UserError(
            f"{name} has values beyond the range of fp16 (largest {np.abs(weight).max():.3g}).",
            "Leave fp16 out: --precision fp32,int8",
        )
    return rounded.astype(np.float32)
