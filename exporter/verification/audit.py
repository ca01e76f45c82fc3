"""Compares every weight that an artifact stores with the source, value by value.

Parity sees what the weights do; a flipped bit or a rounding that is off by one step does almost
nothing. This sees each of them.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from exporter.model.config import SourceModel
from exporter.quantization.compression import Compress
from exporter.targets.base import Array, StoredTensor
from exporter.verification.compressed_audit import (
    LARGEST_LEVEL,
    compare_compressed,
    wasted_levels,
)
from exporter.verification.report import Check

#: fp16 has 11 significant bits, and no step smaller than its smallest subnormal, 2**-24.
_FP16_BITS = 11
_FP16_SMALLEST_EXPONENT = -24

#: Rows whose step would be smaller are stored as zeros with step 1 (no normal fp32 number).
_SMALLEST_STEP = np.finfo(np.float32).tiny

#: In steps. fp32 rounds the division by a scale and the product with it, each by up to 127 * 2**-24
#: of a step, so that a value half-way between two levels may go to either.
_STEP_SLACK = 127 * 2.0**-22


def weight_audit(
    stored: Iterable[StoredTensor],
    source: SourceModel,
    equivalent: SourceModel,
    compress: Compress | None = None,
) -> Check:
    """Every weight of the source is stored, once, within its type's rounding, and no other.

    ``equivalent`` is the model whose weights the target stores (``Target.stored_model``): what is
    fp32 has to equal it bit by bit, and only the vectors in which it differs from the source up to
    the last bit (folding sums in fp64, whose order may differ between machines). What is fp16, and
    int8 matrices, have to equal the *source* up to half a step, and the steps (one a row) have to
    be exactly those that the values ask for.
    A weight that is not stored has to be zero in ``equivalent``.

    With ``compress`` (``Scheme.compress``) every weight has to be, bit by bit, what the scheme
    makes of the source: a compressed matrix, or fp16 where it makes none and for vectors. See
    ``compressed_audit``.
    """
    seen: set[str] = set()
    problems: list[str] = []
    largest: dict[str, float] = {"fp32": 0.0, "fp16": 0.0, "int8": 0.0, "int6": 0.0, "int4": 0.0}
    for tensor in stored:
        if tensor.name in seen or tensor.name not in source.weights:
            problems.append(f"{tensor.name} is stored but is no weight of the source")
            continue
        seen.add(tensor.name)
        problem, error = _compare(tensor, source, equivalent, compress)
        if problem:
            problems.append(f"{tensor.name}: {problem}")
        kind = {32: "fp32", 16: "fp16", 8: "int8", 6: "int6", 4: "int4"}.get(tensor.bits, "fp32")
        largest[kind] = max(largest[kind], error)
    for name, expected in equivalent.weights.items():
        if name not in seen and bool(expected.any()):
            problems.append(f"{name} is not stored")
    measured: Mapping[str, float] = {"tensors": float(len(seen)), **largest}
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        return Check("weight audit", False, problems[0] + more, measured, 0.5)
    detail = f"{len(seen)} tensors equal the source within half a step of their type"
    if compress is not None:
        detail = f"{len(seen)} tensors are, bit by bit, what the scheme makes of the source"
    return Check("weight audit", True, detail, measured, 0.5)


def _compare(
    tensor: StoredTensor,
    source: SourceModel,
    equivalent: SourceModel,
    compress: Compress | None,
) -> tuple[str, float]:
    """A problem ('' for none) and the largest error in steps of the stored type."""
    matrix = tensor.values.ndim == 2
    wide = tensor.bits == 32 or (not matrix and tensor.bits != 16)
    expected = (equivalent if wide else source).weights[tensor.name].numpy()
    if tensor.values.shape != expected.shape:
        return f"shape {tensor.values.shape}, the source has {expected.shape}", np.inf
    if compress is not None:
        compressed = compress(tensor.name, expected) if matrix else None
        problem, error = compare_compressed(tensor, expected, compressed, _STEP_SLACK)
        if not problem and compressed is not None:
            problem = wasted_levels(expected, compressed)
        return problem, error
    error = np.abs(tensor.values.astype(np.float64) - expected)
    changed = wide and not np.array_equal(expected, source.weights[tensor.name].numpy())
    step = _steps(tensor, expected, folded=changed and not matrix)
    if step is None:
        return f"stored with {tensor.bits} bits, which no scheme uses", np.inf
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(error == 0, 0, error / step)
    ratio = np.where(np.isfinite(ratio), ratio, np.inf)
    worst = float(ratio.max(initial=0))
    limit = 1.0 if wide else 0.5 + _STEP_SLACK
    if worst > limit:
        where = tuple(int(i) for i in np.unravel_index(ratio.argmax(), ratio.shape))
        return (
            f"at {where} stored {tensor.values[where]:.9g}, source {expected[where]:.9g} "
            f"({worst:.3g} steps)"
        ), worst
    if tensor.bits in LARGEST_LEVEL:
        return _scale_problem(tensor, expected), worst
    return "", worst


def _steps(tensor: StoredTensor, expected: Array, folded: bool) -> Array | None:
    """The step of every value; 0 where bit equality is asked for."""
    if tensor.bits == 32 or (expected.ndim == 1 and tensor.bits != 16):
        return np.spacing(np.abs(expected)) if folded else np.zeros(expected.shape)
    if tensor.bits == 16:
        # expected = mantissa * 2**exponent with the mantissa in [0.5, 1), or 0
        exponent = np.where(expected == 0, _FP16_SMALLEST_EXPONENT, np.frexp(expected)[1])
        step: Array = np.ldexp(1.0, np.maximum(exponent - _FP16_BITS, _FP16_SMALLEST_EXPONENT))
        return step
    return tensor.step if tensor.bits in LARGEST_LEVEL else None


def _scale_problem(tensor: StoredTensor, expected: Array) -> str:
    """Steps have to be the smallest that hold their row: a coarser one loses accuracy unseen."""
    largest = np.abs(expected).max(axis=1, keepdims=True) / LARGEST_LEVEL[tensor.bits]
    wanted = np.where(largest >= _SMALLEST_STEP, largest, 1).astype(np.float32)
    wrong = tensor.step != wanted
    if not wrong.any():
        return ""
    row, column = (int(index) for index in np.unravel_index(wrong.argmax(), wrong.shape))
    return (
        f"row {row} has step {tensor.step[row, column]:.9g}, its values ask for "
        f"{wanted[row, column]:.9g}"
    )
