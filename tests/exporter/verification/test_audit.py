"""The audit of stored weights, value by value and at its limits."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_models import small_model

from exporter.model.config import SourceModel
from exporter.quantization.rounding import quantize_rows
from exporter.targets.base import Array, StoredTensor
from exporter.verification.audit import weight_audit
from exporter.verification.report import Check

pytestmark = pytest.mark.usefixtures("quick")

MATRIX, VECTOR = "head.pooler.weight", "head.pooler.bias"


def stored(model: SourceModel, bits: int) -> Iterator[StoredTensor]:
    """Every weight, as a target would store it."""
    for name, tensor in model.weights.items():
        values = tensor.numpy().copy()
        step: Array = np.zeros((len(values),) + (1,) * (values.ndim - 1), np.float32)
        if values.ndim == 1 or bits == 32:
            yield StoredTensor(name, values, step, 32)
        elif bits == 16:
            yield StoredTensor(name, values.astype(np.float16).astype(np.float32), step, 16)
        else:
            levels, scale = quantize_rows(values)
            step = scale[:, None]
            yield StoredTensor(name, levels.astype(np.float32) * step, step, 8)


def audit(
    bits: int,
    name: str = "",
    change: Callable[[StoredTensor], StoredTensor] = lambda tensor: tensor,
    model: SourceModel | None = None,
    equivalent: SourceModel | None = None,
) -> Check:
    model = model or small_model()
    tensors = [change(t) if t.name == name else t for t in stored(equivalent or model, bits)]
    return weight_audit(tensors, model, equivalent or model)


def add(steps: float) -> Callable[[StoredTensor], StoredTensor]:
    """Move one value by so many units of its stored type."""

    def change(tensor: StoredTensor) -> StoredTensor:
        values = tensor.values.copy()
        at = (3,) if values.ndim == 1 else (3, 2)
        unit = {
            32: np.spacing(values[at]),
            16: np.float32(np.spacing(np.float16(values[at]))),
            8: tensor.step[at[0], 0] if tensor.bits == 8 else 0,
        }[tensor.bits]
        values[at] += np.float32(steps) * unit
        return replace(tensor, values=values)

    return change


@pytest.mark.parametrize("bits", [32, 16, 8])
def test_rounded_weights_pass(bits: int) -> None:
    check = audit(bits)
    assert check.passed, check.detail
    assert check.measured["tensors"] == len(small_model().weights)
    assert check.measured["fp32"] == 0
    assert check.measured["fp16"] <= 0.5
    assert check.measured["int8"] <= 0.5001


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("bits", [32, 16, 8])
@pytest.mark.parametrize("name", [MATRIX, VECTOR])
def test_one_unit_in_one_value_fails(name: str, bits: int, direction: int) -> None:
    check = audit(bits, name, add(direction))
    assert not check.passed
    assert check.detail.startswith(f"{name}: at (3,")


@pytest.mark.parametrize("exponent", [-20, -14, -3, 0, 7])
def test_fp16_is_exact_at_every_size(exponent: int) -> None:
    """A value just below a power of two has the same step as one just above the last power."""
    model = small_model()
    model.weights[MATRIX][3, 2] = 1.999 * 2.0**exponent
    assert audit(16, model=model).passed
    for direction in (1, -1):
        assert not audit(16, MATRIX, add(direction), model).passed


def test_only_folded_vectors_may_differ_in_their_last_bit() -> None:
    source = small_model()
    folded = replace(source, weights={**source.weights, VECTOR: source.weights[VECTOR] + 0.25})
    assert audit(32, VECTOR, add(1), source, folded).passed
    assert not audit(32, VECTOR, add(2), source, folded).passed
    assert not audit(32, "embeddings.norm.bias", add(1), source, folded).passed


@pytest.mark.parametrize(
    ("problem", "change"),
    [
        ("shape", lambda t: replace(t, values=t.values[:-1])),
        ("shape", lambda t: replace(t, values=np.empty((0, 0), np.float32), bits=0)),
        ("which no scheme uses", lambda t: replace(t, bits=0)),
        ("at (0, 0)", lambda t: replace(t, values=t.values * np.nan)),
        ("at (0, 0)", lambda t: replace(t, values=np.full_like(t.values, np.inf))),
        ("row 0 has step", lambda t: replace(t, step=np.nextafter(t.step, np.float32(1)))),
    ],
)
def test_other_problems(problem: str, change: Callable[[StoredTensor], StoredTensor]) -> None:
    check = audit(8, MATRIX, change)
    assert not check.passed
    assert problem in check.detail


def test_every_weight_is_stored_once() -> None:
    model = small_model()
    tensors = list(stored(model, 32))
    twice = weight_audit([*tensors, tensors[0]], model, model)
    unknown = weight_audit([*tensors, replace(tensors[0], name="head.x.weight")], model, model)
    missing = weight_audit(tensors[1:], model, model)
    for check, text in ((twice, "is stored but"), (unknown, "head.x.weight"), (missing, "is not")):
        assert not check.passed
        assert text in check.detail


def test_only_zeros_may_be_left_out() -> None:
    source = small_model()
    zero = torch.zeros_like(source.weights[VECTOR])
    folded = replace(source, weights={**source.weights, VECTOR: zero})
    rest = [tensor for tensor in stored(source, 32) if tensor.name != VECTOR]
    assert weight_audit(rest, source, folded).passed
    assert not weight_audit(rest, source, source).passed


def test_rows_too_small_for_a_step_are_zero() -> None:
    model = small_model()
    model.weights[MATRIX][3] = 1e-40
    model.weights[MATRIX][4] = 0
    assert audit(8, model=model).passed


def test_an_fp16_vector_is_the_nearest_to_the_source() -> None:
    """Also where what the target says that it stores was rounded as wrongly."""
    model = small_model()
    values = model.weights[VECTOR].numpy()
    nearest = values.astype(np.float16)
    down = np.where(nearest > values, np.nextafter(nearest, np.float16(-np.inf)), nearest)
    assert (down != nearest).any()
    for rounded, passes in ((nearest, True), (down, False)):
        wide = rounded.astype(np.float32)
        weights = {**model.weights, VECTOR: torch.from_numpy(wide)}
        tensors = [
            StoredTensor(VECTOR, wide, t.step, 16) if t.name == VECTOR else t
            for t in stored(model, 32)
        ]
        check = weight_audit(tensors, model, replace(model, weights=weights))
        assert check.passed == passes, check.detail
