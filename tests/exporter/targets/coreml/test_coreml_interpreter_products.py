"""Products are PyTorch's: matrices, grouped convolutions of single positions, einsum."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, strategies
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

small = strategies.integers(1, 8)
booleans = strategies.booleans()


def _with_sizes(*tensors: torch.Tensor) -> tuple[tuple[torch.Tensor, ...], ...]:
    """In fp64 the tensors, for the exact result, and their absolute values, for what is summed."""
    exact = tuple(tensor.double() for tensor in tensors)
    return exact, tuple(tensor.abs() for tensor in exact)


@given(
    outer=strategies.lists(small, max_size=2),
    inputs=strategies.integers(1, 64),
    outputs=small,
    with_bias=booleans,
    dtype=float_types,
    seed=seeds,
)
@quick
def test_linear(
    outer: list[int], inputs: int, outputs: int, with_bias: bool, dtype: str, seed: int
) -> None:
    x = numbers(seed, (*outer, inputs), dtype)
    weight, bias = numbers(seed + 1, (outputs, inputs), dtype), numbers(seed + 2, (outputs,), dtype)
    expected, summed = (
        torch.nn.functional.linear(a, b, c if with_bias else None)
        for a, b, c in _with_sizes(x, weight, bias)
    )
    operands: dict[str, Any] = {"weight": constant(weight.numpy(), dtype)}
    if with_bias:
        operands["bias"] = constant(bias.numpy(), dtype)
    check("linear", expected, dtype, summed, x=Moving(x, dtype), **operands)


@given(
    batch=strategies.lists(small, max_size=2),
    sizes=strategies.tuples(small, strategies.integers(1, 64), small),
    transpose=strategies.tuples(booleans, booleans),
    broadcast=booleans,
    dtype=float_types,
    seed=seeds,
)
@quick
def test_matmul(
    batch: list[int],
    sizes: tuple[int, int, int],
    transpose: tuple[bool, bool],
    broadcast: bool,
    dtype: str,
    seed: int,
) -> None:
    rows, inner, columns = sizes
    x = numbers(seed, (*batch, rows, inner), dtype)
    y = numbers(seed + 1, (inner, columns) if broadcast else (*batch, inner, columns), dtype)
    left, right = (
        value.mT.contiguous() if turned else value
        for value, turned in zip((x, y), transpose, strict=True)
    )
    flags = {
        name: truth(turned)
        for name, turned in zip(("transpose_x", "transpose_y"), transpose, strict=True)
    }
    operands = {"x": Moving(left, dtype), "y": Moving(right, dtype), **flags}
    expected, summed = (a @ b for a, b in _with_sizes(x, y))
    check("matmul", expected, dtype, summed, **operands)


@given(
    batch=strategies.integers(1, 2),
    groups=strategies.integers(1, 4),
    inputs=strategies.integers(1, 16),
    outputs=small,
    positions=strategies.lists(small, min_size=1, max_size=2),
    with_bias=booleans,
    dtype=float_types,
    seed=seeds,
)
@quick
def test_conv(
    batch: int,
    groups: int,
    inputs: int,
    outputs: int,
    positions: list[int],
    with_bias: bool,
    dtype: str,
    seed: int,
) -> None:
    axes = len(positions)
    x = numbers(seed, (batch, groups * inputs, *positions), dtype)
    weight = numbers(seed + 1, (groups * outputs, inputs, *[1] * axes), dtype)
    bias = numbers(seed + 2, (groups * outputs,), dtype)
    convolve = torch.nn.functional.conv2d if axes == 2 else torch.nn.functional.conv1d
    operands: dict[str, Any] = {
        "weight": constant(weight.numpy(), dtype),
        "groups": integer(groups),
        "strides": integers(*[1] * axes),
        "dilations": integers(*[1] * axes),
        "pad": integers(*[0] * (2 * axes)),
        "pad_type": "valid",
    }
    if with_bias:
        operands["bias"] = constant(bias.numpy(), dtype)
    expected, summed = (
        convolve(a, b, c if with_bias else None, groups=groups)
        for a, b, c in _with_sizes(x, weight, bias)
    )
    check("conv", expected, dtype, summed, x=Moving(x, dtype), **operands)


@given(
    sizes=strategies.tuples(small, strategies.integers(1, 32), small),
    outer=strategies.tuples(small, small),
    ones=strategies.tuples(booleans, booleans),
    rank=strategies.sampled_from([3, 4]),
    letters=strategies.permutations("abcdefgh"),
    dtype=float_types,
    seed=seeds,
)
@quick
def test_einsum(
    sizes: tuple[int, int, int],
    outer: tuple[int, int],
    ones: tuple[bool, bool],
    rank: int,
    letters: list[str],
    dtype: str,
    seed: int,
) -> None:
    """Both equations that MIL knows, in any letters; axes of size 1 are broadcast."""
    rows, inner, columns = sizes
    batch, height = outer
    n, c, h, w, u = letters[:5]
    shapes = [
        (1 if ones[0] else batch, rows, height, inner),
        (batch, inner, 1 if ones[1] else height, columns),
    ]
    texts = [f"{n}{c}{h}{w}", f"{n}{w}{h}{u}", f"{n}{c}{h}{u}"]
    if rank == 3:
        shapes, texts = [shape[1:] for shape in shapes], [text[1:] for text in texts]
    equation = f"{texts[0]},{texts[1]}->{texts[2]}"
    x, y = (numbers(seed + number, shape, dtype) for number, shape in enumerate(shapes))
    values = (Moving(x, dtype), Moving(y, dtype))
    expected, summed = (torch.einsum(equation, a, b) for a, b in _with_sizes(x, y))
    check("einsum", expected, dtype, summed, values=values, equation=equation)


def _conv_operands(**changes: Any) -> dict[str, Any]:
    weight = constant(np.ones((4, 2, 1, 1), np.float32))
    x = Moving(np.ones((1, 4, 1, 3), np.float32))
    return {"x": x, "weight": weight, "groups": integer(2), **changes}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"weight": constant(np.ones((4, 2, 1, 3), np.float32))},
            "conv of (1, 4, 1, 3) with a ker",
        ),
        ({"strides": integers(1, 2)}, "conv with the strides [1, 2]"),
        ({"dilations": integers(0, 1)}, "conv with the dilations [0, 1]"),
        ({"pad_type": "custom"}, "conv with the padding custom"),
        ({"pad_type": "custom", "pad": integers(0, 0, 1, 0)}, "conv with the padding custom"),
        ({"pad_type": "other"}, "conv with the padding other"),
        ({"groups": integer(1)}, "conv of (1, 4, 1, 3) with (4, 2, 1, 1) in 1 groups"),
        ({"groups": integer(3)}, "conv of (1, 4, 1, 3) with (4, 2, 1, 1) in 3 groups"),
        ({"bias": constant(np.ones(2, np.float32))}, "a bias of the shape (2,) is not one of 4"),
        ({"bias": constant(np.ones((1, 4), np.float32))}, "a bias of the shape (1, 4) is not one"),
    ],
)
def test_other_convolutions_are_refused(changes: dict[str, Any], message: str) -> None:
    compute("conv", ("float32", (1, 4, 1, 3)), **_conv_operands())
    with pytest.raises(Refused) as refused:
        compute("conv", ("float32", (1, 4, 1, None)), **_conv_operands(**changes))
    assert str(refused.value).startswith(f"{PLACE}: {message}")


def test_padding_of_nothing_is_none() -> None:
    for changes in ({"pad_type": "same"}, {"pad_type": "custom", "pad": integers(0, 0, 0, 0)}):
        (found,) = compute("conv", ("float32", (1, 4, 1, 3)), **_conv_operands(**changes))
        assert (found == 2).all()


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("abcd,acbd->acbd", [(1, 2, 3, 4), (1, 2, 3, 4)]),
        ("abcd,adce->abec", [(1, 2, 3, 4), (1, 4, 3, 5)]),
        ("abc,cbd->abd", [(1, 2, 3, 4), (1, 4, 3, 5)]),
        ("abcd,adce->abce", [(1, 2, 3, 4), (1, 5, 3, 4)]),
        ("abcd,adce->abce", [(1, 2, 3, 4)]),
    ],
)
def test_other_einsums_are_refused(equation: str, shapes: list[tuple[int, ...]]) -> None:
    values = tuple(Moving(np.ones(shape, np.float32)) for shape in shapes)
    with pytest.raises(Refused, match="einsum"):
        compute("einsum", ("float32", (None,) * 4), values=values, equation=equation)


def test_a_bias_of_another_shape_is_refused() -> None:
    x = Moving(np.ones((2, 3), np.float32))
    weight, bias = constant(np.ones((4, 3), np.float32)), constant(np.ones(1, np.float32))
    with pytest.raises(Refused, match=r"a bias of the shape \(1,\) is not one of 4"):
        compute("linear", ("float32", (2, 4)), x=x, weight=weight, bias=bias)
