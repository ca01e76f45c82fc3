"""A constant in an artifact: its type and shape now, its bytes when they are asked for."""

import math
from dataclasses import dataclass, field

import numpy as np

from exporter.targets.base import Array

_WIDTHS = {
    **dict.fromkeys(("bool", "int8", "uint8"), 1),
    **dict.fromkeys(("int16", "uint16", "float16", "bfloat16"), 2),
    **dict.fromkeys(("int32", "uint32", "float32"), 4),
    **dict.fromkeys(("int64", "uint64", "float64"), 8),
}

#: XNNPACK stores int4 levels with this added, so that they are unsigned.
_INT4_ZERO_POINT = 8


@dataclass(frozen=True, eq=False)
class ConstantReference:
    """A tensor in the file. Two references are equal only if they are the same object.

    ``dtype`` is numpy's name, or "bfloat16", or "int4" (two levels a byte, the even column in the
    low half, rows padded to whole bytes). ``dim_order`` lists the dimensions from the outermost
    in memory to the innermost. ``content`` is the file itself, mapped: exactly the tensor's bytes.
    """

    dtype: str
    shape: tuple[int, ...]
    dim_order: tuple[int, ...]
    content: memoryview = field(repr=False)

    @property
    def size(self) -> int:
        """How many elements it has."""
        return math.prod(self.shape)

    def array(self) -> Array:
        """The values in ``shape``: int4 as int8 levels -8 to 7, bfloat16 as float32.

        Read-only, and not copied where numpy has the type.
        """
        if self.dtype == "int4":
            return unpack_int4(np.frombuffer(self.content, np.uint8), self.shape)
        if self.dtype == "bfloat16":
            halves = np.frombuffer(self.content, "<u2").astype(np.uint32)
            values: Array = (halves << np.uint32(16)).view(np.float32)
        else:
            values = np.frombuffer(self.content, np.dtype(self.dtype).newbyteorder("<"))
        stored = values.reshape([self.shape[dimension] for dimension in self.dim_order])
        return stored.transpose([self.dim_order.index(d) for d in range(len(self.shape))])


def known(dtype: str) -> bool:
    """Whether constants of this type can be read."""
    return dtype in _WIDTHS or dtype == "int4"


def byte_count(dtype: str, shape: tuple[int, ...]) -> int:
    """How many bytes a tensor takes in the file."""
    if dtype == "int4":
        return math.prod(shape[:-1]) * -(-shape[-1] // 2)
    return math.prod(shape) * _WIDTHS[dtype]


def unpack_int4(packed: Array, shape: tuple[int, ...]) -> Array:
    """int8 levels -8 to 7 in ``shape`` [..., columns], from uint8 pairs in row-major order."""
    pairs = np.stack((packed & 15, packed >> 4), -1).astype(np.int8) - np.int8(_INT4_ZERO_POINT)
    columns = shape[-1] + shape[-1] % 2
    return pairs.reshape(*shape[:-1], columns)[..., : shape[-1]]
