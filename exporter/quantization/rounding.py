"""Rounding of weights: int8 per output channel, int4 in blocks, and fp16."""

import numpy as np
import numpy.typing as npt
import torch

from exporter.errors import UserError

Float32 = npt.NDArray[np.float32]
Int8 = npt.NDArray[np.int8]

#: Symmetric int8 leaves -128 out, so that the negative of every value exists.
INT8_LIMIT = 127

#: Symmetric int4 leaves -8 out, for the same reason.
INT4_LIMIT = 7

#: Inputs that share a scale in int4: the smallest number that XNNPACK's int4 products take.
BLOCK = 32

#: Smallest scale: below it fp32 has no full precision, and some processors take such values as 0.
SMALLEST_SCALE = np.finfo(np.float32).tiny


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
