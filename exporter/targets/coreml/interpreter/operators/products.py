"""Products: matrices, convolutions of single positions, einsum. Sums are in fp32.

Definitions: coremltools' ``ops/defs/iOS15/{linear,conv}.py`` and ``ops/defs/iOS17/linear.py``.
"""

from collections.abc import Mapping

import numpy as np

from exporter.targets.base import Array
from exporter.targets.coreml.interpreter.errors import Refused
from exporter.targets.coreml.interpreter.operators.signature import Operator


def _linear(x: Array, weight: Array, bias: Array | None = None) -> Array:
    product: Array = x @ weight.T
    if bias is not None:
        _check_bias(bias, len(weight))
        product += bias
    return product


def _check_bias(bias: Array, outputs: int) -> None:
    if bias.shape != (outputs,):
        raise Refused(f"a bias of the shape {bias.shape} is not one of {outputs} outputs")


def _matmul(
    x: Array, y: Array, transpose_x: Array | None = None, transpose_y: Array | None = None
) -> Array:
    left = x.swapaxes(-1, -2) if transpose_x is not None and transpose_x else x
    right = y.swapaxes(-1, -2) if transpose_y is not None and transpose_y else y
    product: Array = np.matmul(left, right)
    return product


def _conv(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    strides: Array | None = None,
    pad_type: str = "valid",
    pad: Array | None = None,
    dilations: Array | None = None,
    groups: Array | None = None,
) -> Array:
    """x [N, C, *positions], weight [O, C / groups, 1, ...] -> [N, O, *positions].

    Of kernels of one position and stride 1 alone: then padding and dilation change nothing, but
    for ``custom`` padding, which has to be 0.
    """
    parts = 1 if groups is None else int(groups)
    outputs, inputs, *kernel = weight.shape
    if x.ndim not in (3, 4) or weight.ndim != x.ndim or any(size != 1 for size in kernel):
        raise Refused(f"conv of {x.shape} with a kernel of {weight.shape} is not understood")
    if strides is not None and (strides != 1).any():
        raise Refused(f"conv with the strides {strides.tolist()} is not understood")
    if dilations is not None and (dilations < 1).any():
        raise Refused(f"conv with the dilations {dilations.tolist()} is not understood")
    if pad_type not in ("valid", "same", "same_lower", "custom") or (
        pad_type == "custom" and (pad is None or pad.any())
    ):
        raise Refused(f"conv with the padding {pad_type} is not understood")
    if parts < 1 or outputs % parts or x.shape[1] != parts * inputs:
        raise Refused(f"conv of {x.shape} with {weight.shape} in {parts} groups does not fit")
    columns = x.reshape(x.shape[0], parts, inputs, -1)
    rows = np.matmul(weight.reshape(parts, outputs // parts, inputs), columns)
    product: Array = rows.reshape(x.shape[0], outputs, *x.shape[2:])
    if bias is None:
        return product
    _check_bias(bias, outputs)
    product += bias.reshape(-1, *(1 for _ in kernel))
    return product


def _einsum(values: tuple[Array, ...], equation: str) -> Array:
    """nchw,nwhu->nchu and chw,whu->chu, whatever the letters. n and h of size 1 are broadcast."""
    if len(values) != 2 or _canonical(equation) not in ("0123,0324->0124", "012,213->013"):
        raise Refused(f"einsum of {len(values)} values by {equation} is not understood")
    left, right = (value.swapaxes(-2, -3) for value in values)
    rank = len(equation.replace(" ", "").split(",")[0])
    if left.ndim != rank or right.ndim != rank:
        raise Refused(f"einsum of {left.ndim} and {right.ndim} axes by {equation} does not fit")
    product: Array = np.matmul(left, right)
    return product.swapaxes(-2, -3)


def _canonical(equation: str) -> str:
    """The equation with the letters' numbers, counted as they come."""
    numbers: dict[str, str] = {}
    return "".join(
        numbers.setdefault(letter, str(len(numbers))) if letter.isalpha() else letter
        for letter in equation.replace(" ", "")
    )


OPERATORS: Mapping[str, Operator] = {
    "conv": Operator(
        _conv,
        {
            **{"x": "F", "weight": "F", "bias": "F", "pad_type": "string"},
            **dict.fromkeys(("strides", "pad", "dilations", "groups"), "int32"),
        },
        "F",
    ),
    "einsum": Operator(_einsum, {"values": "F", "equation": "string"}, "F"),
    "linear": Operator(_linear, {"x": "F", "weight": "F", "bias": "F"}, "F"),
    "matmul": Operator(
        _matmul, {"x": "F", "y": "F", "transpose_x": "bool", "transpose_y": "bool"}, "F"
    ),
}
