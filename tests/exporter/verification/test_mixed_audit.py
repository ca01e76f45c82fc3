"""The audit of mixed artifacts: every kind of change to a stored weight is found."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from small_models import small_model

from exporter.model.config import SourceModel
from exporter.quantization.mix import uniform_mix
from exporter.quantization.schemes.mixed import rounded_weights, smoothed
from exporter.targets.base import StoredTensor
from exporter.verification import mixed_audit as audited
from exporter.verification.mixed_audit import CORRECTED_STEPS, mixed_audit

FOUR_BITS = "layers.0.attention.output.weight"
EIGHT_BITS = "layers.1.feed_forward.output.weight"
TABLE = "embeddings.word.weight"
FLOAT = "head.pooler.weight"
VECTOR = "head.pooler.bias"


@pytest.fixture(scope="module")
def model() -> SourceModel:
    plain = small_model(hidden_size=64, intermediate_size=256, groups=(2, 2, 2, 1, 2, 2))
    mix = uniform_mix(plain.config, plain.task, "int4_tensor", "int4")
    methods = {
        **mix.methods,
        EIGHT_BITS.removesuffix(".weight"): "int8_tensor",
        FLOAT.removesuffix(".weight"): "fp32",
    }
    factors = np.exp2(np.arange(64) % 3).astype(np.float32)
    return replace(
        plain, mix=replace(mix, methods=methods, smoothing={"layers.0.feed_forward": factors})
    )


def stored(model: SourceModel) -> Iterator[StoredTensor]:
    forms = rounded_weights(model)
    for name, tensor in smoothed(model).weights.items():
        form = forms.get(name)
        if form is None:
            yield StoredTensor(name, tensor.numpy().copy(), np.zeros(1, np.float32), 32)
        else:
            yield StoredTensor(name, form.values(), form.step, form.bits)


def moved(tensor: StoredTensor) -> StoredTensor:
    """One value by one step (fp32: by the last bit)."""
    values = tensor.values.copy()
    place = (0,) * values.ndim
    unit = np.spacing(values[place]) if tensor.bits == 32 else tensor.step[place]
    values[place] -= unit * (1 if values[place] > 0 else -1)
    return replace(tensor, values=values)


def coarser(tensor: StoredTensor) -> StoredTensor:
    return replace(tensor, step=tensor.step * 2)


def test_what_the_mix_makes_passes(model: SourceModel) -> None:
    check = mixed_audit(stored(model), model)
    assert check.passed, check.detail
    assert 0.4 < check.measured["int8"] <= 0.51
    assert 0.4 < check.measured["int4"] <= 0.51


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        (FOUR_BITS, moved, "the mix makes"),
        (EIGHT_BITS, moved, "the mix makes"),
        (TABLE, moved, "the mix makes"),
        (FLOAT, moved, "the mix makes"),
        (VECTOR, moved, "the mix makes"),
        (FOUR_BITS, coarser, "another step"),
        (EIGHT_BITS, coarser, "another step"),
        (TABLE, coarser, "another step"),
        (FOUR_BITS, lambda t: replace(t, bits=8), "stored with 8 bits, the mix says 4"),
        (FLOAT, lambda t: replace(t, bits=16), "stored with 16 bits, the mix says 32"),
        (FOUR_BITS, lambda t: replace(t, values=t.values[:-1]), "shape"),
        (FLOAT, lambda t: replace(t, values=t.values * np.nan), "the mix makes"),
        (VECTOR, lambda t: replace(t, name="head.other.bias"), "is no weight of the source"),
    ],
)
def test_every_change_is_found(
    model: SourceModel, name: str, change: Callable[[StoredTensor], StoredTensor], says: str
) -> None:
    check = mixed_audit([change(t) if t.name == name else t for t in stored(model)], model)
    assert not check.passed
    assert says in check.detail


def test_a_weight_missing_or_twice_is_found(model: SourceModel) -> None:
    tensors = list(stored(model))
    assert "is not stored" in mixed_audit(tensors[1:], model).detail
    assert "is no weight" in mixed_audit([*tensors, tensors[0]], model).detail


def test_smoothing_that_is_not_in_the_weights_is_found(model: SourceModel) -> None:
    assert model.mix is not None
    check = mixed_audit(stored(replace(model, mix=replace(model.mix, smoothing={}))), model)
    assert not check.passed
    assert "layers.0.feed_forward.intermediate.weight" in check.detail


def with_levels(model: SourceModel, change: Callable[[np.ndarray], np.ndarray]) -> SourceModel:
    """The model with changed levels for one weight, said to be corrected."""
    assert model.mix is not None
    form = rounded_weights(model)[FOUR_BITS]
    form = replace(form, levels=change(form.levels.copy()))
    return replace(model, mix=replace(model.mix, corrected={FOUR_BITS: form}))


def test_corrected_levels_may_lie_further_from_their_source(model: SourceModel) -> None:
    some = np.arange(64) % 16 == 0
    one = with_levels(model, lambda levels: levels - np.sign(levels) * some)
    check = mixed_audit(stored(one), one)
    assert check.passed, check.detail
    assert 0.9 < check.measured["corrected"] < CORRECTED_STEPS
    # What is stored is not what is corrected: found as in any weight.
    assert "the mix makes" in mixed_audit(stored(model), one).detail


def test_corrected_levels_far_from_their_source_are_refused(model: SourceModel) -> None:
    far = with_levels(model, lambda levels: np.where(levels > 5, -7, levels).astype(np.int8))
    check = mixed_audit(stored(far), far)
    assert not check.passed
    assert "steps from its source" in check.detail


@pytest.mark.parametrize("kept", [0, 1])
def test_corrected_levels_that_hold_little_are_refused(model: SourceModel, kept: int) -> None:
    """None of them is far from its source, and they are worth nothing."""
    poor = with_levels(model, lambda levels: np.clip(levels, -kept, kept))
    check = mixed_audit(stored(poor), poor)
    assert not check.passed
    assert "times that of plain rounding" in check.detail


def test_corrected_levels_that_are_all_one_off_are_refused(model: SourceModel) -> None:
    """Ten times the error of plain rounding and more, with every level near its source."""
    off = with_levels(model, lambda levels: levels - np.where(levels > 0, 1, -1).astype(np.int8))
    check = mixed_audit(stored(off), off)
    assert not check.passed
    (times,) = re.findall(r"squared error is (\S+) times that of plain rounding", check.detail)
    assert 10 < float(times) < 20


def test_rounding_that_wastes_levels_is_found(
    model: SourceModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Artifact and expectation come from the same code: this is what sees it when it is wrong."""
    forms = rounded_weights(model)
    form = forms[EIGHT_BITS]
    source = smoothed(model).weights[EIGHT_BITS].numpy()
    levels = np.rint(source / (form.scale * 2)).astype(np.int8)
    halved = replace(form, levels=levels, scale=form.scale * 2)
    monkeypatch.setattr(audited, "rounded_weights", lambda _: {**forms, EIGHT_BITS: halved})
    tensors = [
        StoredTensor(t.name, halved.values(), halved.step, 8) if t.name == EIGHT_BITS else t
        for t in stored(model)
    ]
    check = mixed_audit(tensors, model)
    assert not check.passed
    assert "coarser step" in check.detail


def test_levels_that_are_not_the_nearest_are_found(
    model: SourceModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    forms = rounded_weights(model)
    form = forms[FOUR_BITS]
    wrong = replace(form, levels=np.where(form.levels == 3, 4, form.levels).astype(np.int8))
    monkeypatch.setattr(audited, "rounded_weights", lambda _: {**forms, FOUR_BITS: wrong})
    tensors = [
        StoredTensor(t.name, wrong.values(), wrong.step, 4) if t.name == FOUR_BITS else t
        for t in stored(model)
    ]
    check = mixed_audit(tensors, model)
    assert not check.passed
    assert "steps from its source" in check.detail
