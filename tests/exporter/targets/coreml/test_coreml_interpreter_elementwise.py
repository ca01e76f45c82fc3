"""Operators on single elements compute what PyTorch's do, in fp16 and fp32."""

import math
import operator
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, strategies
from hypothesis.extra.numpy import array_shapes, mutually_broadcastable_shapes
from single_operations import (
    PLACE,
    Moving,
    check,
    compute,
    constant,
    float_types,
    numbers,
    quick,
    seeds,
)

from exporter.targets.coreml.interpreter.errors import Refused

_BINARY: dict[str, Callable[..., torch.Tensor]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "real_div": operator.truediv,
    "greater_equal": operator.ge,
}
_UNARY: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "silu": torch.nn.functional.silu,
    "sqrt": lambda x: x.sqrt(),
    "tanh": torch.tanh,
}
_GELU: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "EXACT": torch.nn.functional.gelu,
    "TANH_APPROXIMATION": lambda x: torch.nn.functional.gelu(x, approximate="tanh"),
    "SIGMOID_APPROXIMATION": lambda x: x * torch.sigmoid(1.702 * x),
}


@pytest.mark.parametrize("kind", _BINARY)
@given(
    shapes=mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=6),
    dtype=float_types,
    seed=seeds,
    second_is_constant=strategies.booleans(),
)
@quick
def test_two_operands_are_broadcast(
    kind: str, shapes: object, dtype: str, seed: int, second_is_constant: bool
) -> None:
    x, y = (numbers(seed + n, s, dtype) for n, s in enumerate(shapes.input_shapes))  # type: ignore[attr-defined]
    y = y.abs() + 0.5 if kind == "real_div" else y
    y = y.half().float() if dtype == "float16" else y
    second = constant(y.numpy(), dtype) if second_is_constant else Moving(y, dtype)
    result = "bool" if kind == "greater_equal" else dtype
    check(kind, _BINARY[kind](x.double(), y.double()), result, x=Moving(x, dtype), y=second)


@pytest.mark.parametrize("kind", _UNARY)
@given(shape=array_shapes(max_dims=4, max_side=20), dtype=float_types, seed=seeds)
@quick
def test_one_operand(kind: str, shape: tuple[int, ...], dtype: str, seed: int) -> None:
    x = numbers(seed, shape, dtype, 4)
    x = x.abs() if kind == "sqrt" else x
    check(kind, _UNARY[kind](x.double()), dtype, x=Moving(x, dtype))


@pytest.mark.parametrize("mode", _GELU)
@given(shape=array_shapes(max_dims=4, max_side=20), dtype=float_types, seed=seeds)
@quick
def test_gelu(mode: str, shape: tuple[int, ...], dtype: str, seed: int) -> None:
    x = numbers(seed, shape, dtype, 2)
    check("gelu", _GELU[mode](x.double()), dtype, x.abs(), x=Moving(x, dtype), mode=mode)


@pytest.mark.parametrize("approximation", ["TANH_APPROXIMATION", "SIGMOID_APPROXIMATION"])
def test_the_modes_of_gelu_differ(approximation: str) -> None:
    x = Moving(np.linspace(-3, 3, 50, dtype=np.float32))
    declared = ("float32", (50,))
    (exact,) = compute("gelu", declared, x=x)
    (approximate,) = compute("gelu", declared, x=x, mode=approximation)
    assert np.abs(exact - approximate).max() > 1e-4


def test_exact_gelu_of_every_fp16_number() -> None:
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)
    finite = every[np.isfinite(every)]
    (found,) = compute("gelu", ("float16", finite.shape), x=Moving(finite, "float16"))
    exact = [x * (1 + math.erf(x / math.sqrt(2))) / 2 for x in finite.tolist()]
    wanted = np.array(exact).astype(np.float16)
    # A few lie so near the middle of two fp16 numbers that 3e-9 decide.
    np.testing.assert_allclose(found, wanted, rtol=2.0**-10, atol=2.0**-24)
    assert (found != wanted).sum() <= 30


@given(
    shapes=mutually_broadcastable_shapes(num_shapes=3, max_dims=3, max_side=5),
    dtype=strategies.sampled_from(["float16", "float32", "int32"]),
    seed=seeds,
)
@quick
def test_select(shapes: object, dtype: str, seed: int) -> None:
    first, *others = shapes.input_shapes  # type: ignore[attr-defined]
    condition = numbers(seed, first, "float32") > 0
    a, b = (numbers(seed + n + 1, shape, dtype, 9) for n, shape in enumerate(others))
    if dtype == "int32":
        a, b = a.int(), b.int()
    operands = {"cond": Moving(condition), "a": Moving(a, dtype), "b": Moving(b, dtype)}
    check("select", torch.where(condition, a, b), dtype, **operands)


@given(shape=array_shapes(max_dims=3, max_side=20), seed=seeds, dtype=float_types)
@quick
def test_rsqrt(shape: tuple[int, ...], seed: int, dtype: str) -> None:
    x = numbers(seed, shape, dtype).abs() + 2.0**-8
    x = x.half().float()
    check("rsqrt", x.double().rsqrt(), dtype, x=Moving(x, dtype))
    epsilon = np.float16(0.125)
    check(
        "rsqrt", (x.double() + 0.125).rsqrt(), dtype, x=Moving(x, dtype), epsilon=constant(epsilon)
    )


_TYPES = {"fp16": torch.float16, "fp32": torch.float32, "int32": torch.int32, "bool": torch.bool}
_NAMES = {"fp16": "float16", "fp32": "float32"}


@pytest.mark.parametrize("source", _TYPES)
@pytest.mark.parametrize("target", [*_TYPES, "int8", "uint8", "int16", "uint16"])
@given(seed=seeds, shape=array_shapes(max_dims=3, max_side=8))
@quick
def test_cast(source: str, target: str, seed: int, shape: tuple[int, ...]) -> None:
    """Fractions lose what is behind the point."""
    x = (numbers(seed, shape, "float16", 30).abs() % 100).to(_TYPES[source])
    wanted = x.to(_TYPES.get(target) or getattr(torch, target))
    held = x.float() if source == "fp16" else x
    wanted = wanted.float() if target == "fp16" else wanted
    operand = Moving(held, _NAMES.get(source, source))
    check("cast", wanted, _NAMES.get(target, target), x=operand, dtype=target)


def test_a_cast_to_fp16_rounds_and_leaves_its_operand_alone() -> None:
    x = np.full(5000, 1 + 2.0**-12, np.float32)
    (found,) = compute("cast", ("float16", (5000,)), x=Moving(x), dtype="fp16")
    assert (found == 1).all()
    assert (x == 1 + 2.0**-12).all()


@pytest.mark.parametrize(
    ("values", "target"), [([300.0], "int8"), ([-1.0], "uint8"), ([float("nan")], "int32")]
)
def test_numbers_beyond_a_type_are_refused(values: list[float], target: str) -> None:
    x = Moving(np.array(values, np.float32))
    with pytest.raises(
        Refused, match=rf"operation 3 of main \(it\): cast of values .* to {target}"
    ):
        compute("cast", (target, (1,)), x=x, dtype=target)


def test_products_beyond_fp16_are_infinite() -> None:
    """Not an error: a report says where."""
    x = Moving(np.full(3000, 300, np.float32), "float16")
    (found,) = compute("mul", ("float16", (3000,)), x=x, y=x)
    assert np.isposinf(found).all()


@pytest.mark.parametrize(
    ("kind", "declared", "operands", "message"),
    [
        ("gelu", "float32", {"x": "float32", "mode": "SLOW"}, "gelu with the mode SLOW"),
        ("cast", "float32", {"x": "float32", "dtype": "fp64"}, "cast to fp64"),
        ("add", "float16", {"x": "float16", "y": "float32"}, "add takes y as float16, not as fl"),
        ("tanh", "int32", {"x": "int32"}, "tanh takes x as float16/float32, not as int32"),
        ("tanh", "float16", {"x": "float32"}, "declared float16, computed float32"),
        ("tanh", "float32", {"x": "float32", "alpha": "float32"}, "tanh with alpha"),
        ("add", "float32", {"x": "float32"}, "add without y"),
        ("tann", "float32", {"x": "float32"}, "the operator tann is not known among those of C"),
    ],
)
def test_what_is_not_understood_is_refused(
    kind: str, declared: str, operands: dict[str, str], message: str
) -> None:
    given: dict[str, object] = {
        name: Moving(np.ones(2, "int32" if text == "int32" else "float32"), text)
        if text in ("float16", "float32", "int32")
        else text
        for name, text in operands.items()
    }
    with pytest.raises(Refused) as refused:
        compute(kind, (declared, (2,)), **given)
    assert str(refused.value).startswith(f"{PLACE}: {message}")
