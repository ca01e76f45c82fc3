"""Mixes: what they name, what they refuse, and that their text is all of them."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from small_models import make_batch, small_model

from exporter.errors import UserError
from exporter.model.config import FAMILIES, TASKS, Family, SourceModel, Task
from exporter.quantization.levels import quantize_table
from exporter.quantization.mix import (
    METHODS,
    Mix,
    check_mix,
    matrices,
    read_mix,
    site_of,
    smoothing_sites,
    uniform_mix,
    units,
)
from exporter.quantization.rounding import (
    BLOCK,
    LARGEST_MULTIPLIER,
    quantize_two_levels,
)
from exporter.quantization.schemes.int8 import SCHEME as INT8
from exporter.quantization.schemes.int8_token import SCHEME as INT8_TOKEN
from exporter.quantization.schemes.mixed import mixed_reference, smoothed

WIDE = {"hidden_size": 128, "intermediate_size": 256}


def run(reference: object) -> torch.Tensor:
    inputs = {name: torch.from_numpy(values) for name, values in make_batch(2, 9).items()}
    with torch.no_grad():
        return next(iter(reference.run(**inputs).values()))  # type: ignore[attr-defined]


def with_mix(model: SourceModel, linear: str, table: str = "int8") -> SourceModel:
    return replace(model, mix=uniform_mix(model.config, model.task, linear, table, "int8_tensor"))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("task", TASKS)
def test_units_are_all_matrices_once(family: Family, task: Task) -> None:
    model = small_model(family, task)
    members = [m for unit in units(model.config, task) for m in unit.members]
    assert sorted(members) == sorted(matrices(model.config, task))
    assert len(set(members)) == len(members)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(("linear", "scheme"), [("int8_tensor", INT8), ("int8_token", INT8_TOKEN)])
def test_a_uniform_mix_is_the_scheme_of_that_name(
    family: Family, task: Task, linear: str, scheme: object
) -> None:
    model = small_model(family, task)
    mixed = run(mixed_reference(with_mix(model, linear)))
    assert torch.equal(mixed, run(scheme.reference(model)))  # type: ignore[attr-defined]


@pytest.mark.parametrize("linear", sorted(METHODS))
def test_every_method_but_fp32_changes_what_is_computed(linear: str) -> None:
    model = small_model(**WIDE)  # type: ignore[arg-type]
    exact = run(mixed_reference(with_mix(model, "fp32", "fp32")))
    mix = uniform_mix(model.config, model.task, linear, "fp32", "int8_tensor")
    bounds = dict.fromkeys(mix.methods, (-4.0, 4.0))
    found = run(mixed_reference(replace(model, mix=replace(mix, bounds=bounds))))
    assert bool((found != exact).any()) == (linear != "fp32")


def test_smoothing_changes_nothing_that_is_not_quantized() -> None:
    model = small_model()
    generator = np.random.default_rng(0)
    factors = {
        site: np.exp2(generator.integers(-3, 4, 32)).astype(np.float32)
        for site in smoothing_sites(model.config)
    }
    plain = with_mix(model, "fp32", "fp32")
    assert plain.mix is not None
    other = replace(plain, mix=replace(plain.mix, smoothing=factors))
    assert torch.equal(run(mixed_reference(plain)), run(mixed_reference(other)))
    changed = {n for n, t in smoothed(other).weights.items() if t is not other.weights[n]}
    readers = {f"{name}.weight" for name in matrices(model.config, model.task) if site_of(name)}
    assert changed == readers
    # Half of a layer's factors forgotten is another function.
    name = "layers.0.feed_forward.intermediate.weight"
    weights = {**smoothed(other).weights, name: other.weights[name]}
    broken = replace(other, weights=weights, mix=replace(other.mix, smoothing={}))
    assert not torch.equal(run(mixed_reference(plain)), run(mixed_reference(broken)))


def test_the_text_is_all_of_a_mix_but_corrected_levels() -> None:
    model = small_model()
    mix = replace(
        uniform_mix(model.config, model.task, "int8_static", "int8"),
        smoothing={"layers.1.attention": np.exp2(np.arange(-16, 16)).astype(np.float32)},
        bounds={"head.pooler": (-1.25, 3e-7)},
        corrected={"head.pooler.weight": quantize_two_levels(np.ones((2, BLOCK), np.float32))},
    )
    found, corrected = read_mix(mix.text())
    assert found.methods == mix.methods
    assert found.bounds == mix.bounds
    assert corrected == ("head.pooler.weight",)
    np.testing.assert_array_equal(
        found.smoothing["layers.1.attention"], mix.smoothing["layers.1.attention"]
    )
    assert replace(found, corrected=mix.corrected).text() == mix.text()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"methods": 1}', "null"])
def test_other_texts_are_no_mix(text: str) -> None:
    with pytest.raises(ValueError, match=r"mix|JSON|Expecting"):
        read_mix(text)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"head.pooler": None}, "head.pooler is missing"),
        ({"head.other": "int8_tensor"}, "head.other is no layer"),
        ({"head.pooler": "int3"}, "'int3', which is not offered"),
        ({"head.pooler": "int8_token"}, "'int8_token', which is not offered"),
        ({"embeddings.word": "int8_tensor"}, "'int8_tensor', which is not offered"),
        ({"embeddings.word": "int4"}, "embeddings.word cannot be stored by int4"),
        ({"layers.0.attention.query": "int4_tensor"}, "query cannot be stored by int4_tensor"),
        ({"head.pooler": "int8_static"}, "head.pooler has no static bounds"),
        ({"layers.0.attention.key": "fp32"}, "read one tensor and have several methods"),
    ],
)
def test_a_wrong_mix_is_refused(change: dict[str, str | None], says: str) -> None:
    model = small_model()
    right = uniform_mix(model.config, model.task, "int8_tensor", "int8")
    offered = ("fp32", "int8_tensor", "int8_static", "int4_tensor")
    check_mix(right, model.config, model.task, offered)
    methods = {n: m for n, m in {**right.methods, **change}.items() if m is not None}
    with pytest.raises(UserError, match=says):
        check_mix(Mix(methods), model.config, model.task, offered)


def test_smoothing_at_no_site_is_refused() -> None:
    model = small_model()
    mix = uniform_mix(model.config, model.task, "int8_tensor", "int8")
    wrong = replace(mix, smoothing={"layers.9.attention": np.ones(32, np.float32)})
    with pytest.raises(UserError, match=r"layers\.9\.attention is no place for smoothing"):
        check_mix(wrong, model.config, model.task, METHODS)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"smoothing": {"layers.0.attention": np.ones(7, np.float32)}}, "are no 32 powers"),
        ({"smoothing": {"layers.0.attention": np.exp2(np.full(32, 99.0))}}, "are no 32 powers"),
        ({"bounds": {"head.pooler": (2.0, 1.0)}}, "bounds of head.pooler"),
        ({"bounds": {"head.pooler": (-np.inf, 1.0)}}, "bounds of head.pooler"),
        ({"bounds": {"embeddings.word": (-1.0, 1.0)}}, "bounds of embeddings.word"),
    ],
)
def test_factors_and_bounds_that_are_none_are_refused(change: dict[str, Any], says: str) -> None:
    model = small_model()
    mix = uniform_mix(model.config, model.task, "int8_tensor", "int8")
    with pytest.raises(UserError, match=says):
        check_mix(replace(mix, **change), model.config, model.task, METHODS)


matrix = arrays(np.float32, (3, 2 * BLOCK), elements=st.floats(-1e3, 1e3, width=32))


@given(matrix)
def test_two_levels_are_int8_levels(weight: np.ndarray) -> None:
    found = quantize_two_levels(weight)
    assert found.multiplier is not None
    assert np.abs(found.levels).max() <= 7
    assert 1 <= found.multiplier.min() <= found.multiplier.max() <= LARGEST_MULTIPLIER
    levels = found.int8_levels().astype(np.int32)
    wide = found.levels.astype(np.int32) * found.multiplier.astype(np.int32).repeat(BLOCK, axis=1)
    np.testing.assert_array_equal(levels, wide)
    assert np.abs(levels).max() <= 127
    np.testing.assert_array_equal(found.values(), levels.astype(np.float32) * found.scale)
    # No block is further from its values than with the multiplier that clips nothing.
    error = np.square(found.values() - weight).reshape(3, 2, BLOCK).sum(axis=2)
    step = found.scale * LARGEST_MULTIPLIER
    assert bool((error <= BLOCK * np.square(step / 2) * 1.001).all())


@given(matrix)
def test_tables_have_scales_that_are_fp16_numbers(weight: np.ndarray) -> None:
    table = quantize_table(weight)
    np.testing.assert_array_equal(table.scale, table.scale.astype(np.float16).astype(np.float32))
    assert np.abs(table.levels).max() <= 7
    step = table.step
    inside = np.abs(weight) <= 7.5 * step
    assert bool((np.abs(table.values() - weight) <= step * 0.5001)[inside].all())


def test_rows_that_are_no_whole_blocks_are_refused() -> None:
    with pytest.raises(ValueError, match="not whole blocks of 32"):
        quantize_two_levels(np.ones((2, 48), np.float32))
    with pytest.raises(ValueError, match="not whole blocks of 64"):
        quantize_table(np.ones((2, 96), np.float32))
