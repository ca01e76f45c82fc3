"""Activations are quantized and brought back as PyTorch does."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, strategies
from hypothesis.extra.numpy import array_shapes
from single_operations import (
    Moving,
    check,
    compute,
    constant,
    float_types,
    integer,
    integers,
    numbers,
    quick,
    seeds,
)

from exporter.targets.coreml.interpreter.errors import Refused

_LIMITS = {"int8": (-128, 127), "uint8": (0, 255)}


@given(
    shape=array_shapes(max_dims=4, max_side=6),
    source=float_types,
    target=strategies.sampled_from(list(_LIMITS)),
    seed=seeds,
    per_axis=strategies.booleans(),
    with_zero_point=strategies.booleans(),
    data=strategies.data(),
)
@quick
def test_quantize_and_dequantize(
    shape: tuple[int, ...],
    source: str,
    target: str,
    seed: int,
    per_axis: bool,
    with_zero_point: bool,
    data: strategies.DataObject,
) -> None:
    """Against PyTorch's own quantization, per tensor and per channel."""
    axis = data.draw(strategies.integers(0, len(shape) - 1))
    count = shape[axis] if per_axis else 1
    x = numbers(seed, shape, source, 40)
    scale = (numbers(seed + 1, (count,), source).abs() + 0.25).half().float()
    low, high = _LIMITS[target]
    generator = torch.Generator().manual_seed(seed)
    zero = torch.randint(low, high + 1, (count,), generator=generator)
    zero = zero if with_zero_point else torch.zeros(count, dtype=torch.int64)
    levels = torch.fake_quantize_per_channel_affine(
        x if per_axis else x.reshape(1, -1), scale, zero.int(), axis if per_axis else 0, low, high
    ).reshape(shape)
    operands: dict[str, Any] = {"scale": constant(scale if per_axis else scale[0], source)}
    if with_zero_point:
        operands["zero_point"] = constant(zero if per_axis else zero[0], target)
    if per_axis:
        operands["axis"] = integer(axis - len(shape))
    (found,) = compute(
        "quantize",
        (target, shape),
        input=Moving(x, source),
        output_dtype=target,
        **operands,
    )
    assert str(found.dtype) == target
    # Halfway between two levels PyTorch multiplies by the reciprocal, which may decide otherwise.
    spread = [count if number == axis and per_axis else 1 for number in range(len(shape))]
    step = scale.reshape(spread) if per_axis else scale[0]
    offset = zero.reshape(spread) if per_axis else zero[0]
    wanted = levels / step + offset
    halfway = ((x / step).frac().abs() - 0.5).abs() < 1e-3
    np.testing.assert_array_equal(found[~halfway.numpy()], wanted.round()[~halfway].numpy())
    exact = (torch.from_numpy(found.astype(np.float32)) - offset) * step
    check("dequantize", exact, source, input=Moving(found), **operands)


def test_halves_are_rounded_to_even_and_all_of_the_range_is_used() -> None:
    x = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 1000, -1000], np.float32)
    (found,) = compute(
        "quantize",
        ("int8", (8,)),
        input=Moving(x),
        scale=constant(np.float32(1)),
        output_dtype="int8",
    )
    assert found.tolist() == [-2, -2, 0, 0, 2, 2, 127, -128]


def test_a_declared_zero_point_of_another_type_is_refused() -> None:
    """MIL wants the zero point in the type of the levels."""
    operands: dict[str, Any] = {
        "input": Moving(np.ones(2, np.float32)),
        "scale": constant(np.float32(1)),
    }
    operands |= {"zero_point": constant(np.uint8(3)), "output_dtype": "int8"}
    with pytest.raises(Refused, match="zero point"):
        compute("quantize", ("int8", (2,)), **operands)
    del operands["zero_point"], operands["output_dtype"]
    operands["axis"] = integers(0)
    with pytest.raises(Refused, match="quantize without output_dtype"):
        compute("quantize", ("int8", (2,)), **operands)
