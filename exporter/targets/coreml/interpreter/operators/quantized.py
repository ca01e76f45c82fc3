"""Operators between levels and the values that they stand for: activations, and weights.

Weights (``constexpr_...``) are computed once, when they are first read. Definitions: coremltools'
``ops/defs/iOS16/constexpr_ops.py``, ``ops/defs/iOS17/quantization_ops.py`` and
``ops/defs/iOS18/compression.py``.
"""

import itertools
import math
from collections.abc import Mapping

import numpy as np

from exporter.targets.base import Array
from exporter.targets.coreml.interpreter.bits import byte_count, unpack_bits
from exporter.targets.coreml.interpreter.errors import Refused
from exporter.targets.coreml.interpreter.operators.signature import Operator


def _along(part: Array, x: Array, axis: Array | None) -> Array:
    """A number, or a vector along ``axis`` of ``x``, so that it can be broadcast."""
    if part.ndim == 0:
        return part
    if part.ndim != 1 or axis is None or not -x.ndim <= int(axis) < x.ndim:
        raise Refused(f"a scale or zero point of the shape {part.shape} is not understood")
    if part.size != x.shape[int(axis)]:
        raise Refused(f"{part.size} scales or zero points for an axis of {x.shape[int(axis)]}")
    shape = [1] * x.ndim
    shape[int(axis)] = part.size
    return part.reshape(shape)


def _quantize(
    input: Array,
    scale: Array,
    output_dtype: str,
    zero_point: Array | None = None,
    axis: Array | None = None,
) -> Array:
    """clip(round(input / scale) + zero_point), ties to even, within all of the type's range."""
    if zero_point is not None and zero_point.dtype != output_dtype:
        raise Refused(f"quantize to {output_dtype} with a zero point of {zero_point.dtype}")
    levels = np.rint(input / _along(scale, input, axis))
    if zero_point is not None:
        levels = levels + _along(zero_point, input, axis)
    if output_dtype not in ("int8", "uint8") or np.isnan(levels).any():
        raise Refused(f"quantize to {output_dtype} of something that is no number, or to no bytes")
    limits = np.iinfo(output_dtype)
    return np.clip(levels, limits.min, limits.max).astype(output_dtype)


def _dequantize(
    input: Array, scale: Array, zero_point: Array | None = None, axis: Array | None = None
) -> Array:
    """scale * (input - zero_point)"""
    values = input.astype(np.float32)
    if zero_point is not None:
        values -= _along(zero_point, input, axis)
    values *= _along(scale, input, axis)
    return values


def _affine(quantized_data: Array, zero_point: Array, scale: Array, axis: Array) -> Array:
    return _dequantize(quantized_data, scale, zero_point, axis)


def _blockwise(data: Array, scale: Array, offset: Array | None = None) -> Array:
    """scale * (data - offset): each of equal blocks along every axis has one of each."""
    _check_blocks(data.shape, scale.shape)
    if offset is not None and offset.shape != scale.shape:
        raise Refused(f"offsets of {offset.shape} for scales of {scale.shape} are not understood")
    pairs = zip(scale.shape, data.shape, strict=True)
    blocks = [size for count, whole in pairs for size in (count, whole // count)]
    single = [size for count in scale.shape for size in (count, 1)]
    values = data.astype(np.float32).reshape(blocks)
    if offset is not None:
        values -= offset.reshape(single)
    values *= scale.reshape(single)
    return values.reshape(data.shape)


def _check_blocks(shape: tuple[int, ...], counts: tuple[int, ...]) -> None:
    if len(shape) != len(counts) or any(
        count < 1 or whole % count for whole, count in zip(shape, counts, strict=True)
    ):
        raise Refused(f"{shape} has no equal blocks in the numbers {counts}")


def _packed_table(indices: Array, lut: Array, shape: Array) -> Array:
    """The form of iOS 16: one table, indices of as few bits as it needs, without gaps."""
    bits = int(lut.size).bit_length() - 1
    sizes = tuple(int(size) for size in shape)
    if lut.ndim != 1 or lut.size != 1 << bits or bits not in (1, 2, 4, 6, 8):
        raise Refused(f"a table of the shape {lut.shape} is not understood")
    if indices.shape != (byte_count(f"uint{bits}", sizes),):
        raise Refused(f"{indices.size} bytes are not {sizes} indices of {bits} bits")
    return lut.take(unpack_bits(indices, bits, math.prod(sizes))).reshape(sizes)


def _table(indices: Array, lut: Array, vector_axis: Array | None = None) -> Array:
    """The form of iOS 18: each of equal blocks along every axis has a table."""
    del vector_axis  # it says where the elements of an entry go; here every entry has one
    *counts, entries, each = lut.shape
    if each != 1:
        raise Refused("a table whose entries are vectors is not understood")
    _check_blocks(indices.shape, tuple(counts))
    if indices.size and int(indices.max()) >= entries:
        raise Refused(f"index {indices.max()} into a table of {entries}")
    sizes = [whole // count for whole, count in zip(indices.shape, counts, strict=True)]
    values = np.empty(indices.shape, lut.dtype)
    for block in itertools.product(*(range(count) for count in counts)):
        part = tuple(
            slice(number * size, (number + 1) * size)
            for number, size in zip(block, sizes, strict=True)
        )
        values[part] = lut[block].reshape(-1).take(indices[part])
    return values


def _packed_sparse(nonzero_data: Array, mask: Array, shape: Array) -> Array:
    """The form of iOS 16: a bit for every element, without gaps."""
    sizes = tuple(int(size) for size in shape)
    if mask.shape != (byte_count("uint1", sizes),):
        raise Refused(f"{mask.size} bytes are not {sizes} bits")
    return _sparse(nonzero_data, unpack_bits(mask, 1, math.prod(sizes)).reshape(sizes))


def _sparse(nonzero_data: Array, mask: Array) -> Array:
    """The form of iOS 18."""
    if nonzero_data.shape != (int(np.count_nonzero(mask)),):
        raise Refused(f"{nonzero_data.size} elements for {np.count_nonzero(mask)} places")
    values = np.zeros(mask.shape, nonzero_data.dtype)
    values[mask != 0] = nonzero_data
    return values


_COMMON: Mapping[str, Operator] = {
    "quantize": Operator(
        _quantize,
        {
            **{"input": "F", "scale": "F", "zero_point": "B"},
            **{"axis": "int32", "output_dtype": "string"},
        },
        "=output_dtype",
    ),
    "dequantize": Operator(
        _dequantize, {"input": "B", "scale": "F", "zero_point": "B", "axis": "int32"}, "F"
    ),
    "constexpr_affine_dequantize": Operator(
        _affine, {"quantized_data": "B", "zero_point": "B", "scale": "F", "axis": "int32"}, "F"
    ),
}

#: What the package's version of the operators has.
OPERATORS: Mapping[str, Mapping[str, Operator]] = {
    "CoreML7": {
        **_COMMON,
        "constexpr_lut_to_dense": Operator(
            _packed_table, {"indices": "uint8", "lut": "T", "shape": "uint32"}, "T", rounds=False
        ),
        "constexpr_sparse_to_dense": Operator(
            _packed_sparse,
            {"nonzero_data": "T", "mask": "uint8", "shape": "uint32"},
            "T",
            rounds=False,
        ),
    },
    "CoreML8": {
        **_COMMON,
        "constexpr_blockwise_shift_scale": Operator(
            _blockwise, {"data": "S", "scale": "F", "offset": "O"}, "F"
        ),
        "constexpr_lut_to_dense": Operator(
            _table, {"indices": "U", "lut": "T", "vector_axis": "int32"}, "T", rounds=False
        ),
        "constexpr_sparse_to_dense": Operator(
            _sparse, {"nonzero_data": "T", "mask": "uint1"}, "T", rounds=False
        ),
    },
}
