"""Compares every weight of a mixed artifact with what its mix makes of the source, bit by bit.

Two questions, of which the second does not rely on the code that rounds: are these the values that
the mix says, and are levels and scales as good as plain rounding's? Corrected weights
(``Mix.corrected``) are the exception: their levels make up for each other's errors, so that a level
may lie further from its own source; see ``CORRECTED_STEPS``.
"""

from collections.abc import Iterable

import numpy as np

from exporter.model.config import SourceModel
from exporter.quantization.gptq import FARTHEST
from exporter.quantization.mix import Mix
from exporter.quantization.rounding import (
    INT4_LIMIT,
    INT8_LIMIT,
    LARGEST_MULTIPLIER,
    SMALLEST_SCALE,
    Rounded,
)
from exporter.quantization.schemes.mixed import mix_of, rounded, rounded_weights, smoothed
from exporter.targets.base import Array, StoredTensor
from exporter.verification.report import Check

#: fp32 rounds the division by a scale and the product with it (as in ``audit``).
_SLACK = 127 * 2.0**-22

#: How far, in steps, a corrected level may lie from its source: half a step beyond the levels that
#: correction allows itself.
CORRECTED_STEPS = FARTHEST + 0.5

#: How many times the squared error of plain rounding a corrected weight's may be. Measured on a
#: trained model: 1.3 to 2.1; levels that are all zero: 100 and more.
_CORRECTED_ERROR = 8.0

_LIMITS = {8: INT8_LIMIT, 4: INT4_LIMIT}

#: Scales are rounded to fp16 or bfloat16, which moves a block's squared error by up to 5 % (two
#: trained models). A step twice as large makes it four times as large.
_NEARLY = 1.5
#: Squared error that fp32 may leave where a block has nothing to round.
_TINY = 1e-12

#: fp32 rounds the division that makes a row's scale.
_ROUNDING = 1 + 2.0**-22


def mixed_audit(stored: Iterable[StoredTensor], model: SourceModel) -> Check:
    """Every weight of ``model`` is stored, once, as ``model.mix`` says, and no other.

    ``model`` is the one that the target stores (``Target.stored_model``), before smoothing and
    rounding. Matrices in few bits have to have the very values, steps and width of the mix's
    rounding, and this rounding must not waste levels; what is not rounded has to be equal.
    """
    mix = mix_of(model)
    wanted, sources = rounded_weights(model), smoothed(model).weights
    seen: set[str] = set()
    problems: list[str] = []
    worst = {"int8": 0.0, "int4": 0.0, "corrected": 0.0}
    for tensor in stored:
        if tensor.name in seen or tensor.name not in sources:
            problems.append(f"{tensor.name} is stored but is no weight of the source")
            continue
        seen.add(tensor.name)
        source, form = sources[tensor.name].numpy(), wanted.get(tensor.name)
        problem = _difference(tensor, source, form)
        if not problem and form is not None:
            corrected = tensor.name in mix.corrected
            errors = _errors(tensor, source, form)
            kind = "corrected" if corrected else f"int{form.bits}"
            worst[kind] = max(worst[kind], float(errors.max(initial=0)))
            limit = CORRECTED_STEPS if corrected else 0.5 + _SLACK
            problem = _first_above(errors, limit, "steps from its source")
            if corrected and not problem:
                problem = _other_steps(mix, tensor, source, form)
            problem = problem or ("" if corrected else _wasted(tensor, source, form))
        if problem:
            problems.append(f"{tensor.name}: {problem}")
    missing = [name for name in sources if name not in seen and bool(sources[name].any())]
    problems += [f"{name} is not stored" for name in missing]
    measured = {"tensors": float(len(seen)), **worst}
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        return Check("weight audit", False, problems[0] + more, measured, 0.5)
    detail = f"{len(seen)} tensors are, bit by bit, what the mix makes of the source"
    if mix.corrected:
        detail += f"; the levels of {len(mix.corrected)} make up for each other's errors"
    return Check("weight audit", True, detail, measured, 0.5)


def _difference(tensor: StoredTensor, source: Array, form: Rounded | None) -> str:
    """How the stored values differ from the mix's; '' where they do not."""
    bits = 32 if form is None else form.bits
    if tensor.bits != bits:
        return f"stored with {tensor.bits} bits, the mix says {bits}"
    expected = source if form is None else form.values()
    if tensor.values.shape != expected.shape:
        return f"shape {tensor.values.shape}, the source has {expected.shape}"
    found = np.ascontiguousarray(tensor.values, np.float32)
    different = (found != expected) | (np.isnan(found) != np.isnan(expected))
    if different.any():
        where = tuple(int(i) for i in np.unravel_index(different.argmax(), different.shape))
        return f"at {where} stored {found[where]:.9g}, the mix makes {expected[where]:.9g}"
    if form is not None:
        wrong = np.broadcast_to(tensor.step, form.step.shape) != form.step
        if wrong.any():
            row = int(np.unravel_index(wrong.argmax(), wrong.shape)[0])
            return f"row {row} has another step than the mix makes"
    return ""


def _errors(tensor: StoredTensor, source: Array, form: Rounded) -> Array:
    """[rows, columns] in steps; a source beyond the last level counts as that."""
    step = form.step.astype(np.float64)
    limit = _LIMITS[form.bits] * step
    errors: Array = np.abs(tensor.values - source.astype(np.float64).clip(-limit, limit)) / step
    return errors


def _first_above(errors: Array, limit: float, what: str) -> str:
    if not (errors > limit).any():
        return ""
    where = tuple(int(i) for i in np.unravel_index(errors.argmax(), errors.shape))
    return f"the value at {where} is {errors[where]:.3g} {what}"


def _other_steps(mix: Mix, tensor: StoredTensor, source: Array, form: Rounded) -> str:
    """Correction chooses levels near their source; the steps stay those of plain rounding."""
    plain = rounded(mix, tensor.name.removesuffix(".weight"), source)
    if plain is None or not np.array_equal(plain.step, form.step):
        return "it is corrected, and its steps are not those of plain rounding"
    error = float(np.square(tensor.values - source, dtype=np.float64).sum())
    even = float(np.square(plain.values() - source, dtype=np.float64).sum())
    if error > even * _CORRECTED_ERROR + _TINY:
        return f"its squared error is {error / max(even, _TINY):.3g} times that of plain rounding"
    return ""


def _wasted(tensor: StoredTensor, source: Array, form: Rounded) -> str:
    """Every block has to be as near to its source as with the smallest step that clips nothing."""
    size = source.shape[1] // form.blocks
    limit = _LIMITS[form.bits]
    largest = np.abs(source).reshape(len(source), form.blocks, size).max(axis=2)
    if form.multiplier is None:
        plain = largest / limit
    else:
        needed = np.abs(source).max(axis=1, keepdims=True) / (limit * LARGEST_MULTIPLIER)
        if ((form.scale > needed * _ROUNDING) & (needed > SMALLEST_SCALE)).any():
            return "a row has a larger scale than it needs"
        plain = form.scale * np.ceil(largest / (limit * form.scale)).clip(1, LARGEST_MULTIPLIER)
    plain = np.where(plain > SMALLEST_SCALE, plain, 1).astype(np.float32).repeat(size, axis=1)
    even = np.square(np.rint(source / plain).clip(-limit, limit) * plain - source)
    found = np.square(tensor.values - source)
    wrong = _by_block(found, form) > _by_block(even, form) * _NEARLY + _TINY
    if not wrong.any():
        return ""
    row, block = (int(i) for i in np.unravel_index(wrong.argmax(), wrong.shape))
    return f"block {block} of row {row} has a coarser step than it needs"


def _by_block(errors: Array, form: Rounded) -> Array:
    """[rows, columns] -> sums [rows, blocks]."""
    sums: Array = errors.reshape(len(errors), form.blocks, -1).sum(axis=2)
    return sums
