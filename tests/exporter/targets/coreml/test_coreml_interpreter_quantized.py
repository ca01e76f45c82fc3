"""Compressed weights stand for what their definitions say."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, strategies
from hypothesis.extra.numpy import array_shapes
from single_operations import (
    PLACE,
    Moving,
    check,
    compute,
    constant,
    float_types,
    integer,
    numbers,
    quick,
    seeds,
)

from exporter.targets.base import Array
from exporter.targets.coreml.interpreter import Constant
from exporter.targets.coreml.interpreter.errors import Refused

_LIMITS = {"int8": (-128, 127), "uint8": (0, 255)}
bytes_types = strategies.sampled_from(["int8", "uint8"])


def _packed(values: Array, bits: int) -> Array:
    """Bit after bit, the least significant first: another way than the interpreter's."""
    rows = np.unpackbits(values.astype(np.uint8).reshape(-1, 1), axis=1, bitorder="little")
    return np.packbits(rows[:, :bits].reshape(-1), bitorder="little")


def _stored(values: Array, dtype: str) -> Constant:
    """A constant of a type that numpy does not have, as it lies in a file."""
    bits = int(dtype.removeprefix("u").removeprefix("int"))
    return Constant("levels", dtype, values.shape, memoryview(_packed(values, bits).tobytes()))


@pytest.mark.parametrize("bits", [1, 2, 4, 6, 8])
@given(shape=array_shapes(max_dims=4, max_side=7), seed=seeds, dtype=float_types)
@quick
def test_one_packed_table(bits: int, shape: tuple[int, ...], seed: int, dtype: str) -> None:
    table = numbers(seed, (1 << bits,), dtype).numpy()
    chosen = np.random.default_rng(seed).integers(0, 1 << bits, shape)
    operands = {
        "indices": constant(_packed(chosen, bits)),
        "lut": constant(table, dtype),
        "shape": constant(np.array(shape, np.uint32)),
    }
    (found,) = compute("constexpr_lut_to_dense", (dtype, shape), **operands)
    np.testing.assert_array_equal(found, table[chosen])


_blocks = strategies.lists(
    strategies.tuples(strategies.integers(1, 3), strategies.integers(1, 4)), min_size=1, max_size=4
)


def _block_of(counts: tuple[int, ...], shape: tuple[int, ...]) -> tuple[Array, ...]:
    """Of every element, the block along every axis."""
    places = np.indices(shape)
    return tuple(
        place // (whole // count) for place, whole, count in zip(places, shape, counts, strict=True)
    )


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 6, 8])
@given(blocks=_blocks, seed=seeds, dtype=float_types)
@quick
def test_a_table_for_every_block(
    bits: int, blocks: list[tuple[int, int]], seed: int, dtype: str
) -> None:
    counts = tuple(count for count, _ in blocks)
    shape = tuple(count * size for count, size in blocks)
    table = numbers(seed, (*counts, 1 << bits, 1), dtype).numpy()
    chosen = np.random.default_rng(seed).integers(0, 1 << bits, shape)
    operands = {"indices": _stored(chosen, f"uint{bits}"), "lut": constant(table, dtype)}
    (found,) = compute("constexpr_lut_to_dense", (dtype, shape), opset="CoreML8", **operands)
    np.testing.assert_array_equal(found, table[(*_block_of(counts, shape), chosen, 0)])


@pytest.mark.parametrize("levels", ["int4", "uint4", "int8", "uint8"])
@given(blocks=_blocks, seed=seeds, dtype=float_types, with_offset=strategies.booleans())
@quick
def test_a_scale_for_every_block(
    levels: str, blocks: list[tuple[int, int]], seed: int, dtype: str, with_offset: bool
) -> None:
    counts = tuple(count for count, _ in blocks)
    shape = tuple(count * size for count, size in blocks)
    scale = numbers(seed, counts, dtype).numpy()
    bits = int(levels.removeprefix("u").removeprefix("int"))
    low = -(1 << (bits - 1)) if levels.startswith("int") else 0
    generator = np.random.default_rng(seed)
    data, offset = (generator.integers(low, low + (1 << bits), s) for s in (shape, counts))
    place = _block_of(counts, shape)
    exact = scale[place] * (data - offset[place] if with_offset else data)
    operands: dict[str, Any] = {"data": _stored(data, levels), "scale": constant(scale, dtype)}
    if with_offset:
        operands["offset"] = _stored(offset, levels)
    (found,) = compute(
        "constexpr_blockwise_shift_scale", (dtype, shape), opset="CoreML8", **operands
    )
    wanted = exact.astype(np.float32)
    wanted = wanted.astype(np.float16).astype(np.float32) if dtype == "float16" else wanted
    np.testing.assert_array_equal(found, wanted)


@given(
    shape=array_shapes(max_dims=4, max_side=6),
    levels=bytes_types,
    dtype=float_types,
    seed=seeds,
    vectors=strategies.tuples(strategies.booleans(), strategies.booleans()),
    data=strategies.data(),
)
@quick
def test_affine_weights(
    shape: tuple[int, ...],
    levels: str,
    dtype: str,
    seed: int,
    vectors: tuple[bool, bool],
    data: strategies.DataObject,
) -> None:
    axis = data.draw(strategies.integers(-len(shape), len(shape) - 1))
    spread = [1] * len(shape)
    spread[axis] = shape[axis]
    generator = np.random.default_rng(seed)
    low, high = _LIMITS[levels]
    whole = generator.integers(low, high + 1, shape)
    scale = numbers(seed, (shape[axis],), dtype).numpy()
    zero = generator.integers(low, high + 1, shape[axis])
    scale, zero = (
        part if many else part[0] for part, many in zip((scale, zero), vectors, strict=True)
    )
    by_axis = [
        part.reshape(spread) if many else part
        for part, many in zip((scale, zero), vectors, strict=True)
    ]
    wanted = torch.from_numpy((by_axis[0] * (whole - by_axis[1])).astype(np.float32))
    check(
        "constexpr_affine_dequantize",
        wanted,
        dtype,
        quantized_data=constant(whole, levels),
        zero_point=constant(zero, levels),
        scale=constant(scale, dtype),
        axis=integer(axis),
    )


@pytest.mark.parametrize("opset", ["CoreML7", "CoreML8"])
@given(shape=array_shapes(max_dims=3, max_side=6), dtype=float_types, seed=seeds)
@quick
def test_sparse_weights(opset: str, shape: tuple[int, ...], dtype: str, seed: int) -> None:
    mask = np.random.default_rng(seed).integers(0, 2, shape)
    wanted = numbers(seed, shape, dtype).numpy() * mask
    operands: dict[str, Any] = {"nonzero_data": constant(wanted[mask == 1], dtype)}
    if opset == "CoreML7":
        operands["mask"] = constant(_packed(mask, 1))
        operands["shape"] = constant(np.array(shape, np.uint32))
    else:
        operands["mask"] = _stored(mask, "uint1")
    (found,) = compute("constexpr_sparse_to_dense", (dtype, shape), opset=opset, **operands)
    np.testing.assert_array_equal(found, wanted)


def _ones(*shape: int) -> Constant:
    return constant(np.ones(shape, np.float32))


@pytest.mark.parametrize(
    ("kind", "opset", "operands", "message"),
    [
        (
            "constexpr_blockwise_shift_scale",
            "CoreML8",
            {"data": constant(np.ones((4, 6), np.int8)), "scale": _ones(3, 6)},
            "(4, 6) has no equal blocks in the numbers (3, 6)",
        ),
        (
            "constexpr_blockwise_shift_scale",
            "CoreML8",
            {
                **{"data": constant(np.ones((4, 6), np.int8)), "scale": _ones(4, 1)},
                "offset": constant(np.ones((1, 1), np.int8)),
            },
            "offsets of (1, 1) for scales of (4, 1)",
        ),
        (
            "constexpr_blockwise_shift_scale",
            "CoreML7",
            {"data": constant(np.ones((4, 6), np.int8)), "scale": _ones(4, 1)},
            "the operator constexpr_blockwise_shift_scale is not known among those of CoreML7",
        ),
        (
            "constexpr_lut_to_dense",
            "CoreML8",
            {"indices": _stored(np.zeros((4, 6), int), "uint4"), "lut": _ones(1, 1, 16, 2)},
            "a table whose entries are vectors",
        ),
        (
            "constexpr_lut_to_dense",
            "CoreML8",
            {"indices": _stored(np.full((4, 6), 9), "uint4"), "lut": _ones(1, 1, 8, 1)},
            "index 9 into a table of 8",
        ),
        (
            "constexpr_lut_to_dense",
            "CoreML7",
            {
                **{"indices": constant(np.zeros(11, np.uint8)), "lut": _ones(16)},
                "shape": constant(np.array([4, 6], np.uint32)),
            },
            "11 bytes are not (4, 6) indices of 4 bits",
        ),
        (
            "constexpr_lut_to_dense",
            "CoreML7",
            {
                **{"indices": constant(np.zeros(9, np.uint8)), "lut": _ones(8)},
                "shape": constant(np.array([4, 6], np.uint32)),
            },
            "a table of the shape (8,) is not understood",
        ),
        (
            "constexpr_affine_dequantize",
            "CoreML7",
            {
                **{"quantized_data": constant(np.ones((4, 6), np.int8)), "scale": _ones(4)},
                **{"zero_point": constant(np.int8(0)), "axis": integer(1)},
            },
            "4 scales or zero points for an axis of 6",
        ),
        (
            "constexpr_affine_dequantize",
            "CoreML7",
            {
                **{"quantized_data": constant(np.ones((4, 6), np.int8)), "scale": _ones(4, 1)},
                **{"zero_point": constant(np.int8(0)), "axis": integer(0)},
            },
            "a scale or zero point of the shape (4, 1)",
        ),
        (
            "constexpr_sparse_to_dense",
            "CoreML8",
            {"nonzero_data": _ones(3), "mask": _stored(np.eye(2), "uint1")},
            "3 elements for 2 places",
        ),
        (
            "constexpr_affine_dequantize",
            "CoreML7",
            {
                **{"quantized_data": Moving(np.ones((4, 6), np.int8)), "scale": _ones(4)},
                **{"zero_point": constant(np.int8(0)), "axis": integer(0)},
            },
            "constexpr_affine_dequantize of what is no constant",
        ),
        (
            "quantize",
            "CoreML7",
            {
                **{"input": Moving(np.full((4, 6), np.nan, np.float32)), "scale": _ones()},
                "output_dtype": "int8",
            },
            "quantize to int8 of something that is no number",
        ),
        (
            "quantize",
            "CoreML7",
            {
                **{"input": Moving(np.ones((4, 6), np.float32)), "scale": _ones(4)},
                "output_dtype": "int8",
            },
            "a scale or zero point of the shape (4,)",
        ),
    ],
)
def test_what_does_not_fit_is_refused(
    kind: str, opset: str, operands: dict[str, Any], message: str
) -> None:
    declared = "int8" if kind == "quantize" else "float32"
    with pytest.raises(Refused) as refused:
        compute(kind, (declared, (4, 6)), opset=opset, **operands)
    assert str(refused.value).startswith(f"{PLACE}: {message}")
