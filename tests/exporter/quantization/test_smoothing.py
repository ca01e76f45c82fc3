"""Smoothing factors and static bounds from what enters the layers."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from planted import plant_in_values
from small_models import make_batch, small_model, tensors

from exporter.errors import UserError
from exporter.model.config import TASKS, Family, SourceModel, Task
from exporter.quantization.equalization import equalize_values
from exporter.quantization.mix import Mix, smoothing_sites, uniform_mix
from exporter.quantization.schemes.mixed import mixed_reference
from exporter.quantization.smoothing import observe, smoothing_factors, static_bounds

pytestmark = pytest.mark.usefixtures("quick")

ROWS = tuple(make_batch(1, length) for length in (5, 12, 19, 26))


def mixed(model: SourceModel, method: str, **changes: object) -> SourceModel:
    mix = uniform_mix(model.config, model.task, method, "fp32")
    return replace(model, mix=replace(mix, **changes))  # type: ignore[arg-type]


def mix_of(model: SourceModel) -> Mix:
    assert model.mix is not None
    return model.mix


def with_an_outlier(model: SourceModel, factor: float = 60.0) -> SourceModel:
    """Channel 5 is large where a LayerNorm gives it to the attention of layer 1, and its weights
    there are small, as in trained models."""
    weights = dict(model.weights)
    norm = "layers.0.feed_forward.norm"
    for name in (f"{norm}.weight", f"{norm}.bias"):
        weights[name] = weights[name].clone()
        weights[name][5] *= factor
    for part in ("query", "key", "value"):
        name = f"layers.1.attention.{part}.weight"
        weights[name] = weights[name].clone()
        groups = model.config.hidden_size // weights[name].shape[1]
        weights[name][: len(weights[name]) // groups, 5] /= factor  # those that read channel 5
    return replace(model, weights=weights)


def error(model: SourceModel) -> float:
    """Of what attention gives in layer 1, where its three layers alone are quantized."""
    mix = mix_of(model)
    part = "layers.1.attention."
    methods = {
        name: method if name.startswith(part) and "output" not in name else "fp32"
        for name, method in mix.methods.items()
    }
    model = replace(model, mix=replace(mix, methods=methods))
    found: list[torch.Tensor] = []
    for one in (model, mixed(model, "fp32")):
        reference = mixed_reference(one)
        layer = reference.module.get_submodule(f"{part}output")
        layer.register_forward_hook(lambda *given: found.append(given[2]))
        with torch.no_grad():
            reference.run(**tensors(make_batch(1, 20)))
    return float((found[0] - found[1]).norm() / found[1].norm())


def test_observations_are_those_of_all_rows() -> None:
    model = small_model()
    seen = observe(model, ROWS)
    alone = [observe(model, [row]) for row in ROWS]
    assert set(seen.lowest) == set(seen.highest)
    for name, lowest in seen.lowest.items():
        width = 64 if name.endswith("feed_forward.output") else 32
        assert lowest.shape == (width,)
        assert np.array_equal(lowest, np.min([one.lowest[name] for one in alone], axis=0))
        assert np.array_equal(
            seen.magnitude(name), np.max([one.magnitude(name) for one in alone], axis=0)
        )


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("family", ["squeezebert", "bert"])
def test_every_site_has_powers_of_two(family: Family, task: Task) -> None:
    model = small_model(family, task)
    factors = smoothing_factors(model, ROWS)
    assert tuple(factors) == smoothing_sites(model.config)
    for values in factors.values():
        assert values.shape == (32,)
        assert values.dtype == np.float32
        assert np.array_equal(np.log2(values), np.rint(np.log2(values)))
    batch = tensors(make_batch(3, 20))
    with torch.no_grad():
        smooth, plain = (
            mixed_reference(m).run(**batch)
            for m in (mixed(model, "fp32", smoothing=factors), mixed(model, "fp32"))
        )
    assert all(torch.allclose(smooth[n], plain[n], rtol=1e-5, atol=1e-5) for n in plain)


@pytest.mark.parametrize("family", ["squeezebert", "bert"])
@pytest.mark.parametrize("method", ["int8_tensor", "int8_symmetric", "int8_static"])
def test_an_outlier_is_smoothed(family: Family, method: str) -> None:
    model = with_an_outlier(small_model(family, "feature-extraction"))
    factors = smoothing_factors(model, ROWS)
    assert factors["layers.1.attention"].argmax() == 5
    assert factors["layers.1.attention"][5] >= 32
    rough, smooth = mixed(model, method), mixed(model, method, smoothing=factors)
    if method == "int8_static":
        rough, smooth = (
            mixed(model, method, smoothing=mix_of(m).smoothing, bounds=static_bounds(m, ROWS))
            for m in (rough, smooth)
        )
    assert error(smooth) < error(rough) / 3


def test_bounds_are_those_after_smoothing() -> None:
    model = with_an_outlier(small_model(task="feature-extraction"))
    factors = smoothing_factors(model, ROWS)
    plain = static_bounds(mixed(model, "int8_static"), ROWS)
    smooth = static_bounds(mixed(model, "int8_static", smoothing=factors), ROWS)
    assert set(plain) == {n for n in mix_of(mixed(model, "fp32")).methods if "embeddings" not in n}
    seen = observe(model, ROWS)
    name = "layers.1.attention.key"
    divided = seen.highest[name] / factors["layers.1.attention"]
    assert smooth[name][1] == divided.max() < plain[name][1] / 4
    assert plain[name] == (seen.lowest[name].min(), seen.highest[name].max())
    assert smooth["layers.1.feed_forward.output"] == plain["layers.1.feed_forward.output"]
    assert all(low <= 0 <= high for low, high in smooth.values())


def test_they_are_those_of_the_equalized_model() -> None:
    """It is what targets store; a planted value row would rule its site's factors."""
    planted = plant_in_values(small_model(), 1024)
    equalized = equalize_values(planted)
    for one, other in zip(
        smoothing_factors(planted, ROWS).values(),
        smoothing_factors(equalized, ROWS).values(),
        strict=True,
    ):
        assert np.array_equal(one, other)
    assert static_bounds(planted, ROWS) == static_bounds(equalized, ROWS)


def test_a_channel_that_is_never_used_has_no_factor() -> None:
    model = small_model()
    weights = dict(model.weights)
    for name in ("embeddings.norm.weight", "embeddings.norm.bias"):
        weights[name] = weights[name].clone()
        weights[name][7] = 0
    factors = smoothing_factors(replace(model, weights=weights), ROWS)
    assert factors["layers.0.attention"][7] == 1


def test_bad_texts_and_checkpoints() -> None:
    model = small_model()
    with pytest.raises(UserError, match="no text to calibrate") as found:
        observe(model, [])
    assert "--calibration-data" in found.value.next_step
    weights = {**model.weights, "layers.0.attention.norm.weight": torch.full((32,), torch.inf)}
    with pytest.raises(UserError, match=r"What enters layers\.0\.feed_forward.* is not finite"):
        observe(replace(model, weights=weights), ROWS)
