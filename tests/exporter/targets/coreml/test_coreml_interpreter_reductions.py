"""Operators over axes are PyTorch's: means, LayerNorm, softmax; and the classifier's outputs."""

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
    integers,
    numbers,
    quick,
    seeds,
    truth,
)

from exporter.targets.coreml.interpreter.errors import Refused

shapes = array_shapes(max_dims=4, max_side=9)


def _axes(data: strategies.DataObject, rank: int) -> list[int]:
    """Any of the axes, counted from either end."""
    chosen = data.draw(strategies.sets(strategies.integers(0, rank - 1), min_size=1))
    return [axis - rank if data.draw(strategies.booleans()) else axis for axis in chosen]


@given(shape=shapes, dtype=float_types, seed=seeds, data=strategies.data())
@quick
def test_softmax(
    shape: tuple[int, ...], dtype: str, seed: int, data: strategies.DataObject
) -> None:
    x = numbers(seed, shape, dtype, 5)
    axis = data.draw(strategies.integers(-len(shape), len(shape) - 1))
    check("softmax", x.double().softmax(axis), dtype, x=Moving(x, dtype), axis=integer(axis))


def test_softmax_of_large_numbers() -> None:
    x = torch.tensor([[60000.0, 60000.0, -60000.0]])
    check("softmax", x.softmax(-1), "float16", x=Moving(x, "float16"), axis=integer(1))


@given(
    shape=shapes, dtype=float_types, seed=seeds, keep=strategies.booleans(), data=strategies.data()
)
@quick
def test_reduce_mean(
    shape: tuple[int, ...], dtype: str, seed: int, keep: bool, data: strategies.DataObject
) -> None:
    x = numbers(seed, shape, dtype)
    axes = _axes(data, len(shape))
    expected = x.double().mean(axes, keepdim=keep)
    operands: dict[str, Any] = {"x": Moving(x, dtype), "axes": integers(*axes)}
    check("reduce_mean", expected, dtype, keep_dims=truth(keep), **operands)
    check("reduce_mean", x.double().mean(), dtype, x=Moving(x, dtype))


@given(
    shape=shapes,
    dtype=float_types,
    seed=seeds,
    affine=strategies.booleans(),
    data=strategies.data(),
)
@quick
def test_layer_norm(
    shape: tuple[int, ...], dtype: str, seed: int, affine: bool, data: strategies.DataObject
) -> None:
    """Over any axes: PyTorch has it over the last ones, so that these are moved there."""
    x = numbers(seed, shape, dtype)
    axes = sorted(axis % len(shape) for axis in _axes(data, len(shape)))
    others = [axis for axis in range(len(shape)) if axis not in axes]
    sizes = [shape[axis] for axis in axes]
    gamma, beta = (numbers(seed + n, tuple(sizes), dtype) for n in (1, 2))
    epsilon = float(np.float16(1e-3))
    norm = torch.nn.functional.layer_norm(
        x.double().permute(*others, *axes),
        sizes,
        gamma.double() if affine else None,
        beta.double() if affine else None,
        epsilon,
    )
    order = [*others, *axes]
    expected = norm.permute([order.index(axis) for axis in range(len(shape))])
    operands: dict[str, Any] = {"epsilon": constant(epsilon, dtype)}
    if affine:
        operands |= {"gamma": constant(gamma, dtype), "beta": constant(beta, dtype)}
    given_axes = _signs(data, axes, len(shape))
    check("layer_norm", expected, dtype, x=Moving(x, dtype), axes=given_axes, **operands)


def _signs(data: strategies.DataObject, axes: list[int], rank: int) -> Any:
    return integers(*(axis - rank if data.draw(strategies.booleans()) else axis for axis in axes))


def test_layer_norm_of_numbers_that_hardly_differ() -> None:
    """What is left of them when their mean goes is right: fp32 sums would be off by 1e-3."""
    generator = np.random.default_rng(0)
    x = (1000 + generator.standard_normal((1, 768)) * 1e-2).astype(np.float32)
    exact = x.astype(np.float64) - x.astype(np.float64).mean()
    exact /= np.sqrt((exact**2).mean() + 1e-12)
    epsilon = constant(np.float32(1e-12))
    (found,) = compute(
        "layer_norm", ("float32", (1, 768)), x=Moving(x), axes=integers(-1), epsilon=epsilon
    )
    np.testing.assert_allclose(found, exact, rtol=1e-6)


def test_the_default_epsilon() -> None:
    x = torch.arange(8).reshape(2, 4) * 1e-3
    check(
        "layer_norm",
        torch.nn.functional.layer_norm(x.double(), (4,)),
        "float32",
        x=Moving(x),
        axes=integers(1),
    )


def test_classify() -> None:
    probabilities = Moving(np.array([[0.25, 0.5, 0.25]], np.float32))
    label, values = compute(
        "classify",
        ("string", ()),
        ("dictionary", ()),
        probabilities=probabilities,
        classes=("no", "yes", "maybe"),
    )
    assert label == "yes"
    assert values.tolist() == [0.25, 0.5, 0.25]


@pytest.mark.parametrize(
    ("kind", "operands", "message"),
    [
        ("softmax", {"axis": integer(2)}, "the axes 2 are not of 2 axes"),
        ("reduce_mean", {"axes": integers(0, -2)}, "the axes [0, -2] are not of 2 axes"),
        (
            "layer_norm",
            {"axes": integers(0), "gamma": constant(np.ones((1, 3), np.float32))},
            "layer_norm over (3,) has a gamma or beta of another shape",
        ),
        (
            "layer_norm",
            {"axes": integers(1), "beta": constant(np.ones(1, np.float32))},
            "layer_norm over (4,) has a gamma or beta of another shape",
        ),
    ],
)
def test_what_does_not_fit_is_refused(kind: str, operands: dict[str, Any], message: str) -> None:
    x = Moving(np.ones((3, 4), np.float32))
    with pytest.raises(Refused) as refused:
        compute(kind, ("float32", (3, 4)), x=x, **operands)
    assert str(refused.value).startswith(f"{PLACE}: {message}")


def test_a_label_more_or_less_is_refused() -> None:
    with pytest.raises(Refused, match="classify of 3 probabilities as 2 labels"):
        compute(
            "classify",
            ("string", ()),
            ("dictionary", ()),
            probabilities=Moving(np.ones((1, 3), np.float32)),
            classes=("no", "yes"),
        )
