"""Operators on each element, broadcast as numpy does.

Definitions: coremltools' ``ops/defs/iOS15/{elementwise_binary,elementwise_unary,activation}.py``,
``iOS15/control_flow.py`` and ``iOS17/elementwise_unary.py``.
"""

import math
from collections.abc import Mapping

import numpy as np

from exporter.targets.base import Array
from exporter.targets.coreml.interpreter.error_function import error_function
from exporter.targets.coreml.interpreter.errors import Refused
from exporter.targets.coreml.interpreter.operators.signature import Operator

#: Elements at a time where the arithmetic is in float64: they stay in a core's second cache.
_BLOCK = 1 << 13
_NUMPY_NAMES = {"fp16": "float32", "fp32": "float32"}
_BINARY, _UNARY = {"x": "N", "y": "N"}, {"x": "F"}


def _cast(x: Array, dtype: str) -> Array:
    """Fractions lose what is behind the point. Refused where the type does not have the number."""
    name = _NUMPY_NAMES.get(dtype, dtype)
    whole: Array = x
    if name not in ("float32", "bool"):
        limits = np.iinfo(name)
        whole = np.trunc(x) if x.dtype == np.float32 else x
        if whole.size and not (whole.min() >= limits.min and whole.max() <= limits.max):
            raise Refused(f"cast of values from {whole.min()} to {whole.max()} to {dtype}")
    found: Array = whole.astype(name)
    return found


def _gelu(x: Array, mode: str = "EXACT") -> Array:
    if mode == "EXACT":
        return _exact_gelu(x)
    if mode == "TANH_APPROXIMATION":
        inner = np.float32(math.sqrt(2 / math.pi)) * (x + np.float32(0.044715) * (x * x * x))
        found: Array = np.float32(0.5) * x * (1 + np.tanh(inner))
        return found
    if mode == "SIGMOID_APPROXIMATION":
        return x * _sigmoid(np.float32(1.702) * x)
    raise Refused(f"gelu with the mode {mode} is not understood")


def _exact_gelu(x: Array) -> Array:
    result = np.empty(x.shape, np.float32)
    source, target = x.ravel(), result.reshape(-1)
    for start in range(0, source.size, _BLOCK):
        block = source[start : start + _BLOCK].astype(np.float64)
        gate = error_function(block * math.sqrt(0.5))
        gate += 1
        gate *= 0.5
        gate *= block
        target[start : start + _BLOCK] = gate
    return result


def _sigmoid(x: Array) -> Array:
    found: Array = 1 / (1 + np.exp(-x))
    return found


def _rsqrt(x: Array, epsilon: Array | None = None) -> Array:
    found: Array = 1 / np.sqrt(x + (np.float32(1e-12) if epsilon is None else epsilon))
    return found


OPERATORS: Mapping[str, Operator] = {
    "add": Operator(lambda x, y: x + y, _BINARY, "N"),
    "sub": Operator(lambda x, y: x - y, _BINARY, "N"),
    "mul": Operator(lambda x, y: x * y, _BINARY, "N"),
    "real_div": Operator(lambda x, y: x / y, {"x": "F", "y": "F"}, "F"),
    "greater_equal": Operator(lambda x, y: x >= y, _BINARY, "bool", rounds=False),
    "select": Operator(
        lambda cond, a, b: np.where(cond, a, b),
        {"cond": "bool", "a": "A", "b": "A"},
        "A",
        rounds=False,
    ),
    "cast": Operator(_cast, {"x": "A", "dtype": "string"}, "=dtype"),
    "gelu": Operator(_gelu, {"x": "F", "mode": "string"}, "F"),
    "relu": Operator(lambda x: np.maximum(x, np.float32(0)), _UNARY, "F", rounds=False),
    "rsqrt": Operator(_rsqrt, {"x": "F", "epsilon": "G"}, "F"),
    "sigmoid": Operator(_sigmoid, _UNARY, "F"),
    "silu": Operator(lambda x: x * _sigmoid(x), _UNARY, "F"),
    "sqrt": Operator(lambda x: np.sqrt(x), _UNARY, "F"),
    "tanh": Operator(lambda x: np.tanh(x), _UNARY, "F"),
}
