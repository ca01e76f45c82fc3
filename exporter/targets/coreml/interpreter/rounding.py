"""Rounding to fp16 without leaving fp32.

An fp16 value is held as the fp32 number that it is. numpy converts to float16 and back one element
at a time; this is several times as fast.
"""

import numpy as np

from exporter.targets.base import Array

#: Elements at a time: they and their temporary copy stay in a core's second cache.
_BLOCK = 1 << 15
#: Up to as many, numpy's own conversion is as fast.
_FEW = 1 << 11

_EXPONENT, _SIGN = np.int32(0x7F800000), np.uint32(0x80000000)
#: The bits of 2 ** -14, the smallest normal fp16 number: below it, steps are all 2 ** -24. As an
#: array, because numpy compares with a single number three times as slowly.
_LOWEST = np.full(_BLOCK, (127 - 14) << 23, np.int32)
#: 13 more in the exponent, and a half in the significand: see ``_round_block``.
_RAISED = np.int32((13 << 23) | (1 << 22))
_LARGEST = 65504.0


def round_to_half(values: Array) -> Array:
    """``values`` float32, rounded to the nearest fp16 values (ties to even): float32, a new array.

    What ``values.astype(float16).astype(float32)`` gives, bit by bit but for the payload of NaNs:
    with fp16's subnormal numbers, and infinite beyond 65504.
    """
    if values.size <= _FEW:
        return values.astype(np.float16).astype(np.float32)
    if not values.flags.forc:
        values = np.ascontiguousarray(values)
    rounded = np.empty_like(values)
    # Both in the order in which they lie in memory, which is the same.
    source, target = values.ravel(order="K"), rounded.ravel(order="K")
    buffer = np.empty(min(_BLOCK, source.size), np.int32)
    for start in range(0, source.size, _BLOCK):
        _round_block(source[start : start + _BLOCK], target[start : start + _BLOCK], buffer)
    return rounded


def _round_block(source: Array, target: Array, buffer: Array) -> None:
    """Adds and subtracts 1.5 * 2 ** (e + 13) for numbers of the exponent e.

    The sum has the sum's exponent, e + 13, so that fp32's step there is fp16's step at e; the sum
    is rounded to it, to even where it is a tie, and the difference is exact.
    """
    bits, unsigned = buffer[: source.size], target.view(np.uint32)
    np.bitwise_and(source.view(np.int32), _EXPONENT, out=bits)
    np.maximum(bits, _LOWEST[: source.size], out=bits)
    np.add(bits, _RAISED, out=bits)
    raised = bits.view(np.float32)
    np.add(source, raised, out=target)
    np.subtract(target, raised, out=target)
    # What was rounded to 0 keeps its sign.
    sign = np.bitwise_and(source.view(np.uint32), _SIGN, out=bits.view(np.uint32))
    np.bitwise_or(unsigned, sign, out=unsigned)
    # Beyond fp16 (where the exponents above may have run over), and for NaN.
    if not max(target.max(), -target.min()) <= _LARGEST:
        with np.errstate(over="ignore"):
            target[:] = source.astype(np.float16)
