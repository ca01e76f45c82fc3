"""Operators over whole axes: means, LayerNorm, softmax, the classifier's outputs.

Definitions: coremltools' ``ops/defs/iOS15/{reduction,normalization,activation,classify}.py``.
"""

from collections.abc import Mapping

import numpy as np

from exporter.targets.base import Array
from exporter.targets.coreml.interpreter.errors import Refused
from exporter.targets.coreml.interpreter.operators.axes import positive_axes
from exporter.targets.coreml.interpreter.operators.signature import Operator


def _axes(axes: Array | None, rank: int) -> tuple[int, ...]:
    """Rising; all axes where none are given."""
    return tuple(range(rank)) if axes is None else tuple(sorted(positive_axes(axes, rank)))


def _reduce_mean(x: Array, axes: Array | None = None, keep_dims: Array | None = None) -> Array:
    keep = keep_dims is not None and bool(keep_dims)
    return np.asarray(x.mean(_axes(axes, x.ndim), np.float64, keepdims=keep), np.float32)


def _layer_norm(
    x: Array,
    axes: Array | None = None,
    gamma: Array | None = None,
    beta: Array | None = None,
    epsilon: Array | None = None,
) -> Array:
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta, in float64: sums are of many."""
    chosen = _axes(axes, x.ndim)
    sizes = tuple(x.shape[axis] for axis in chosen)
    if any(part is not None and part.shape != sizes for part in (gamma, beta)):
        raise Refused(f"layer_norm over {sizes} has a gamma or beta of another shape")
    spread = [size if axis in chosen else 1 for axis, size in enumerate(x.shape)]
    centred = x.astype(np.float64)
    centred -= centred.mean(chosen, keepdims=True)
    variance = np.square(centred).mean(chosen, keepdims=True)
    centred /= np.sqrt(variance + (np.float64(1e-5) if epsilon is None else epsilon))
    if gamma is not None:
        centred *= gamma.reshape(spread)
    if beta is not None:
        centred += beta.reshape(spread)
    return centred.astype(np.float32)


def _softmax(x: Array, axis: Array) -> Array:
    (chosen,) = _axes(axis, x.ndim)
    powers: Array = np.exp(x - x.max(chosen, keepdims=True))
    powers /= powers.sum(chosen, keepdims=True)
    return powers


def _classify(probabilities: Array, classes: tuple[str, ...]) -> tuple[str, Array]:
    """The label, and the probabilities [labels] as float64."""
    if probabilities.size != len(classes):
        raise Refused(f"classify of {probabilities.size} probabilities as {len(classes)} labels")
    found = probabilities.reshape(-1)
    return classes[int(found.argmax())], found.astype(np.float64)


OPERATORS: Mapping[str, Operator] = {
    "classify": Operator(
        _classify,
        {"probabilities": "float32", "classes": "string"},
        ("string", "dictionary"),
        rounds=False,
    ),
    "layer_norm": Operator(
        _layer_norm, {"x": "F", "axes": "int32", "gamma": "F", "beta": "F", "epsilon": "F"}, "F"
    ),
    "reduce_mean": Operator(_reduce_mean, {"x": "F", "axes": "int32", "keep_dims": "bool"}, "F"),
    "softmax": Operator(_softmax, {"x": "F", "axis": "int32"}, "F"),
}
