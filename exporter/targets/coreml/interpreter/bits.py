"""How wide the element types are, and elements of less than a byte.

These follow each other without gaps, the first in the least significant bits; one may begin in a
byte and end in the next (coremltools' ``MILBlob/SubByteTypes.hpp``).
"""

import math

import numpy as np

from exporter.targets.base import Array

_BITS = {
    **{"uint1": 1, "uint2": 2, "uint3": 3, "uint4": 4, "int4": 4, "uint6": 6},
    **dict.fromkeys(("bool", "int8", "uint8"), 8),
    **dict.fromkeys(("int16", "uint16", "float16"), 16),
    **dict.fromkeys(("int32", "uint32", "float32"), 32),
    **dict.fromkeys(("int64", "uint64", "float64"), 64),
}


def is_numeric(dtype: str) -> bool:
    """Whether tensors of this element type can be read."""
    return dtype in _BITS


def element_bits(dtype: str) -> int:
    """How many bits an element takes."""
    return _BITS[dtype]


def byte_count(dtype: str, shape: tuple[int, ...]) -> int:
    """How many bytes a tensor takes, whole ones."""
    return -(-math.prod(shape) * _BITS[dtype] // 8)


def unpack(content: memoryview, dtype: str, size: int) -> Array:
    """The first ``size`` elements of the sub-byte type ``dtype``: int8 [size] or uint8 [size]."""
    width = _BITS[dtype]
    values = unpack_bits(np.frombuffer(content, np.uint8), width, size)
    if not dtype.startswith("int"):
        return values
    sign = np.uint8(1 << (width - 1))
    return (values ^ sign).view(np.int8) - np.int8(sign)


def unpack_bits(packed: Array, width: int, size: int) -> Array:
    """The first ``size`` numbers of ``width`` bits in ``packed`` uint8 [bytes]: uint8 [size]."""
    if width == 8:
        return packed[:size]
    bytes_each = math.lcm(width, 8) // 8  # a group of whole bytes with whole numbers
    numbers_each = bytes_each * 8 // width
    groups = -(-size // numbers_each)
    padded = np.zeros(groups * bytes_each, np.uint8)
    count = min(len(packed), len(padded))
    padded[:count] = packed[:count]
    columns = padded.reshape(groups, bytes_each)
    numbers = np.empty((groups, numbers_each), np.uint8)
    for index in range(numbers_each):
        byte, shift = divmod(index * width, 8)
        found = columns[:, byte] >> shift
        if shift + width > 8:
            found = found | (columns[:, byte + 1] << (8 - shift))
        numbers[:, index] = found & ((1 << width) - 1)
    return numbers.reshape(-1)[:size]


def padding_is_zero(packed: memoryview, width: int, size: int) -> bool:
    """Whether the bits behind the last of ``size`` numbers of ``width`` bits are 0."""
    used = size * width % 8
    return not used or not packed[-1] >> used
