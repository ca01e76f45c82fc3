"""Rounding to fp16 is numpy's, bit by bit; the error function is exact to fp32."""

import math

import numpy as np
import torch
from hypothesis import given, strategies
from hypothesis.extra.numpy import array_shapes
from single_operations import quick, seeds

from exporter.targets.base import Array
from exporter.targets.coreml.interpreter.error_function import error_function
from exporter.targets.coreml.interpreter.rounding import round_to_half


def _converted(values: Array) -> Array:
    with np.errstate(over="ignore"):
        return values.astype(np.float16).astype(np.float32)


def _bits(values: Array) -> Array:
    return values.view(np.uint32)


@given(offset=strategies.integers(0, 255))
@quick
def test_a_share_of_all_fp32_numbers(offset: int) -> None:
    """Every 65536th: each sign and exponent, subnormal, infinite, ties, and NaN."""
    every = np.arange(offset * 257, 1 << 32, 1 << 16, dtype=np.uint64).astype(np.uint32)
    values = every.view(np.float32)
    with np.errstate(all="ignore"):
        rounded = round_to_half(values)
    numbers = ~np.isnan(values)
    np.testing.assert_array_equal(_bits(rounded[numbers]), _bits(_converted(values)[numbers]))
    assert np.isnan(rounded[~numbers]).all()


def test_ties_go_to_even_and_edges_are_right() -> None:
    """Halfway between any two fp16 numbers, and one fp32 step beside it."""
    halves = np.arange(1 << 15, dtype=np.uint16).view(np.float16).astype(np.float32)
    finite = halves[np.isfinite(halves)]
    beyond = np.append(finite[1:], np.float32(65536))
    middle = (finite + beyond) / 2
    beside = [np.nextafter(middle, side) for side in np.array([-np.inf, np.inf], np.float32)]
    values = np.concatenate([middle, *beside, finite])
    values = np.concatenate([values, -values])
    np.testing.assert_array_equal(_bits(round_to_half(values)), _bits(_converted(values)))


@given(
    shape=array_shapes(min_dims=2, max_dims=4, min_side=1, max_side=30),
    seed=seeds,
    data=strategies.data(),
)
@quick
def test_any_order_of_axes(shape: tuple[int, ...], seed: int, data: strategies.DataObject) -> None:
    """Transposed, with gaps, broadcast, reversed."""
    values = np.random.default_rng(seed).standard_normal((4, *shape, 8)).astype(np.float32)
    moved = values.transpose(data.draw(strategies.permutations(range(values.ndim))))
    for view in (moved, moved[..., ::2], moved[::-1], np.broadcast_to(moved, (3, *moved.shape))):
        np.testing.assert_array_equal(round_to_half(view), _converted(view))


def test_a_new_array_is_given() -> None:
    for size in (10, 5000):
        values = np.full(size, 1 + 2.0**-12, np.float32)
        assert (round_to_half(values) == 1).all()
        assert (values != 1).all()


def test_the_error_function_is_exact_to_fp32() -> None:
    x = np.concatenate([np.linspace(-6, 6, 40001), np.geomspace(1e-30, 1, 2001)])
    exact = np.array([math.erf(value) for value in x])
    found = error_function(x)
    # fp32 has steps of 1.2e-7 of a number.
    np.testing.assert_allclose(found, exact, rtol=3e-9)
    in_pytorch = torch.erf(torch.from_numpy(x.astype(np.float32))).numpy()
    np.testing.assert_allclose(found, in_pytorch, rtol=3e-7)
    assert error_function(np.array([0.0]))[0] == 0
    assert np.isnan(error_function(np.array([np.nan]))[0])
    assert error_function(np.array([-np.inf, -5, 5, np.inf])).tolist() == [-1, -1, 1, 1]
