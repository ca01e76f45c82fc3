"""Matrices as indices into tables of float16 values ("palettes"), found by k-means.

The means are those of the matrix's values in fp16. Sums of these in fp64 are exact below 2**29, so
that no order of addition matters and every machine finds the same tables.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from exporter.quantization.compression import Compressed, Float32
from exporter.quantization.rounding import round_to_fp16

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
UInt8 = npt.NDArray[np.uint8]

#: Rounds of Lloyd's algorithm. On two trained models these come within 0.5 % (tables of 16 for
#: parts) and 3 % (one of 64) of the squared error at which it stands still.
_ROUNDS = 32

#: Values whose tables are searched at once: bounds the memory that their sums take.
_CHUNK = 1 << 21

#: Values that get their indices at once: what a processor's cache holds.
_BLOCK = 1 << 15


def palettize(name: str, matrix: Float32, bits: int, part_rows: int) -> Compressed:
    """Every value's nearest entry in the table of its part, ``part_rows`` neighbouring rows.

    [rows, columns] -> indices below 2 ** bits, tables [rows / part_rows, 2 ** bits] in rising
    order. A part of no more different values (in fp16) than its table has entries is stored
    exactly. Half-way between two entries the lower one is taken. ``part_rows`` has to divide the
    rows. UserError for values beyond fp16.
    """
    parts = matrix.reshape(len(matrix) // part_rows, -1)
    half = round_to_fp16(name, parts)
    half += 0.0  # no negative zeros
    table = np.empty((len(parts), 1 << bits), np.float16)
    step = max(1, _CHUNK // parts.shape[1])
    for start in range(0, len(parts), step):
        chosen = slice(start, start + step)
        sums = _counted(half) if len(parts) == 1 else _sorted(half[chosen])
        table[chosen] = _means(sums, 1 << bits)
    indices = np.empty(parts.shape, np.uint8)
    for part, boundaries in enumerate(_boundaries(table)):
        for start in range(0, parts.shape[1], _BLOCK):
            block = slice(start, start + _BLOCK)
            indices[part, block] = _count_below(parts[part, block], boundaries)
    return Compressed(indices.reshape(matrix.shape), bits, table=table)


@dataclass(frozen=True)
class _Sums:
    """Rising values [P, N], and what lies before each of them and after the last: [P, N + 1].

    ``count`` is the number of values, ``first`` their sum and ``second`` the sum of their squares,
    so that any range of neighbours has its mean and its squared error at once.
    """

    values: Float64
    count: Int64
    first: Float64
    second: Float64


def _sorted(values: Float32) -> _Sums:
    """[P, N] in any order."""
    rising = np.sort(values, axis=1).astype(np.float64)
    parts, size = rising.shape
    count = np.broadcast_to(np.arange(size + 1), (parts, size + 1))
    return _Sums(rising, count, _running(rising), _running(rising * rising))


def _counted(values: Float32) -> _Sums:
    """[1, N] of fp16 values, of which there are few different ones."""
    codes = np.bincount(values.astype(np.float16).view(np.uint16).ravel(), minlength=1 << 16)
    found = np.flatnonzero(codes)
    every = found.astype(np.uint16).view(np.float16).astype(np.float64)
    order = np.argsort(every, kind="stable")
    rising, count = every[order][None], codes[found[order]][None]
    weighted = rising * count
    return _Sums(rising, _running(count), _running(weighted), _running(weighted * rising))


def _running(values: npt.NDArray[np.generic]) -> npt.NDArray[Any]:
    """[P, N] -> [P, N + 1], from 0 to the sum of all."""
    return np.pad(np.cumsum(values, axis=1), ((0, 0), (1, 0)))


def _means(sums: _Sums, entries: int) -> Float64:
    """Tables [P, entries] by k-means, in rising order.

    At first the range of neighbours with the largest squared error is divided at its mean, until
    there are as many ranges as entries; then Lloyd's algorithm moves them.
    """
    parts, size = sums.values.shape
    edges = np.tile(np.array([0, size]), (parts, 1))
    for _ in range(entries - 1):
        error = _squared_error(sums, edges)
        worst = error.argmax(axis=1)[:, None]
        mean = np.take_along_axis(_mean(sums, edges, sums.values[:, -1:]), worst, axis=1)
        done = error.max(axis=1, keepdims=True) < 0
        divided = np.where(done, size, _not_above(sums.values, mean))
        edges = np.sort(np.concatenate([edges, divided], axis=1), axis=1)
    means = _mean(sums, edges, sums.values[:, -1:])
    for _ in range(_ROUNDS):
        inner = _not_above(sums.values, (means[:, :-1] + means[:, 1:]) / 2)
        edges = np.concatenate([edges[:, :1], inner, edges[:, -1:]], axis=1)
        means = _mean(sums, edges, means)
    return means


def _between(running: npt.NDArray[Any], edges: Int64) -> npt.NDArray[Any]:
    """[P, N + 1], [P, K + 1] -> the sum of each of the K ranges: [P, K]."""
    return np.diff(np.take_along_axis(running, edges, axis=1), axis=1)


def _mean(sums: _Sums, edges: Int64, empty: Float64) -> Float64:
    """Means of the ranges [P, K]; ``empty`` (broadcastable) where a range has no value."""
    count = _between(sums.count, edges)
    mean = _between(sums.first, edges) / np.maximum(count, 1)
    return np.where(count > 0, mean, empty)


def _squared_error(sums: _Sums, edges: Int64) -> Float64:
    """Of each range from its mean [P, K]; -1 where all its values are equal or there are none."""
    size = sums.values.shape[1]
    low = np.take_along_axis(sums.values, np.minimum(edges[:, :-1], size - 1), axis=1)
    high = np.take_along_axis(sums.values, np.maximum(edges[:, 1:], 1) - 1, axis=1)
    count = np.maximum(_between(sums.count, edges), 1)
    error = _between(sums.second, edges) - _between(sums.first, edges) ** 2 / count
    return np.where(low < high, np.maximum(error, 0), -1)


def _not_above(values: Float64, limits: Float64) -> Int64:
    """How many of a part's rising values [P, N] are at most each limit [P, K]: [P, K].

    numpy's searchsorted has no axis; this is its search for all parts at once.
    """
    size = values.shape[1]
    low, high = np.zeros(limits.shape, np.int64), np.full(limits.shape, size)
    for _ in range(size.bit_length()):
        middle = (low + high) // 2
        found = np.take_along_axis(values, np.minimum(middle, size - 1), axis=1) <= limits
        found &= low < high
        low, high = np.where(found, middle + 1, low), np.where(found, high, middle)
    return low


def _boundaries(table: npt.NDArray[np.float16]) -> Float32:
    """[P, K] rising entries -> [P, K - 1]: a value above one is nearer to the next entry.

    The midpoints rounded down to fp32: no fp32 number lies between a midpoint and that.
    """
    wide = table.astype(np.float64)
    middle = (wide[:, :-1] + wide[:, 1:]) / 2
    rounded = middle.astype(np.float32)
    below = np.nextafter(rounded, np.float32(-np.inf))
    return np.where(rounded > middle, below, rounded)


def _count_below(values: Float32, boundaries: Float32) -> UInt8:
    """[N], [K] -> how many boundaries are below each value [N]."""
    count = np.zeros(values.shape, np.uint8)
    for boundary in boundaries:
        count += values > boundary
    return count
