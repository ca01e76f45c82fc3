"""Ranges of activations, and the inputs that they put on a grid."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_models import make_batch, small_model, tensors

from exporter.errors import UserError
from exporter.model.config import TASKS, SourceModel, Task
from exporter.model.layers import GroupedLinear
from exporter.quantization.calibration import reference_ranges, running_ranges, shared_ranges
from exporter.quantization.schemes import find_scheme
from exporter.quantization.schemes.fp16_compute import half_reference
from exporter.quantization.schemes.w8a8 import quantized_input
from exporter.targets.base import Array

pytestmark = pytest.mark.usefixtures("quick")


def texts(count: int = 4) -> tuple[dict[str, Array], ...]:
    """Of different lengths, the last one the shortest, without padding."""
    return tuple(make_batch(1, 3 + 6 * index) for index in reversed(range(count)))


def calibrated(task: Task = "sequence-classification", seed: int = 0) -> SourceModel:
    model = replace(small_model(task=task, weights_seed=seed), calibration=texts())
    return replace(model, ranges=reference_ranges(model))


def test_ranges_are_those_of_all_samples() -> None:
    """coremltools 9.0 keeps the last sample's."""
    batches = [{"a": np.array([1.0, -9.0]), "b": np.array([[3.0]])}, {"a": np.array([2.0])}]
    batches.append({"a": np.array([-4.0]), "b": np.array([[-2.5]])})
    assert running_ranges(batches, lambda batch: batch) == {"a": 9, "b": 3}
    assert running_ranges(batches[::-1], lambda batch: batch) == {"a": 9, "b": 3}
    assert running_ranges(iter(batches), lambda batch: batch) == {"a": 9, "b": 3}


@pytest.mark.parametrize(("value", "expected"), [(0.0, 127 * 2.0**-24), (65504.0, 65472.0)])
def test_every_range_has_a_scale_in_fp16(value: float, expected: float) -> None:
    (found,) = running_ranges([{"x": np.array([value])}], lambda batch: batch).values()
    assert found == expected
    scale = np.float16(found / 127)
    assert scale > 0
    assert np.isfinite(np.float16(127 * float(scale)))


def test_calibration_needs_texts() -> None:
    for run in (
        lambda: running_ranges([], lambda batch: {"x": batch}),
        lambda: reference_ranges(small_model()),
    ):
        with pytest.raises(UserError, match="no text to calibrate") as error:
            run()
        assert "--calibration-data" in error.value.next_step


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_ranges_are_finite(value: float) -> None:
    with pytest.raises(UserError, match=r"layers\.0\.x is beyond the range"):
        running_ranges([{"layers.0.x": np.array([1, value])}], lambda batch: batch)


@pytest.mark.parametrize("task", TASKS)
def test_every_linear_layer_but_the_classifier_has_a_range(task: Task) -> None:
    model = calibrated(task)
    layers = {
        name.removesuffix(".weight")
        for name, tensor in model.weights.items()
        if tensor.ndim == 2 and not name.startswith("embeddings.")
    }
    if task == "masked-lm":
        layers.add("head.decoder")  # its weight is the table of words
    assert set(model.ranges) == layers - {"head.classifier"}
    # Values of fp16, the decoder's input too, which the reference rounds after its LayerNorm.
    assert all(float(np.float16(value)) == value for value in model.ranges.values())


def observed(model: SourceModel, name: str, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """What enters the layer ``name`` of the fp16 reference."""
    reference = half_reference(model)
    seen: list[torch.Tensor] = []
    layer = reference.module.get_submodule(name)
    assert isinstance(layer, GroupedLinear)
    layer.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.no_grad():
        reference.run(**inputs)
    return seen[0]


@pytest.mark.parametrize(
    "name",
    ["layers.0.attention.key", "layers.1.attention.output", "layers.1.feed_forward.output"],
)
def test_reference_ranges_are_the_largest_values_of_all_texts(name: str) -> None:
    model = calibrated()
    each = [float(observed(model, name, tensors(text)).abs().max()) for text in texts()]
    assert model.ranges[name] == max(each)


def test_the_last_text_alone_has_other_ranges() -> None:
    """So that the test above would fail if only the last one counted."""
    model = calibrated()
    last = reference_ranges(replace(model, calibration=texts()[-1:]))
    smaller = [name for name, value in last.items() if value < model.ranges[name]]
    assert len(smaller) > len(last) / 2
    assert last["layers.0.attention.key"] < model.ranges["layers.0.attention.key"]


def test_query_key_and_value_share_a_range() -> None:
    """A classifier's last query reads the first token only."""
    model = calibrated(seed=1)
    name = "layers.1.attention"
    first, every = (
        observed(model, f"{name}.{part}", tensors(texts()[0])) for part in ("query", "key")
    )
    assert (first.shape[1], every.shape[1]) == (1, 21)
    query, key = (
        max(float(observed(model, f"{name}.{part}", tensors(t)).abs().max()) for t in texts())
        for part in ("query", "key")
    )
    assert query < key
    assert {model.ranges[f"{name}.{part}"] for part in ("query", "key", "value")} == {key}
    assert shared_ranges({"a.query": 1, "a.key": 3, "a.value": 2, "a.output": 9}) == {
        "a.query": 3,
        "a.key": 3,
        "a.value": 3,
        "a.output": 9,
    }


def test_inputs_are_on_a_grid_of_fp16() -> None:
    """Ties to even, and both ends of int8; by hand."""
    values = torch.tensor([0.0, 0.5, 1.5, -0.5, 126.4, 127.6, 500, -127.5, -128.6, -500])
    found = quantized_input(values, 127.0)
    assert found.tolist() == [0, 0, 2, 0, 126, 127, 127, -128, -128, -128]
    step = float(np.float16(10 / 127))
    found = quantized_input(torch.tensor([1.0, -7.3, 10.0]), 10.0)
    expected = np.float16([round(v / step) * step for v in (1.0, float(np.float16(-7.3)), 10.0)])
    assert found.tolist() == expected.tolist()


def test_levels_are_those_of_values_in_fp16() -> None:
    """2.4998 is 2.5 in fp16, and 2.5 goes to 2."""
    assert quantized_input(torch.tensor([3.4998, 2.5002]), 127.0).tolist() == [4, 2]


@pytest.mark.parametrize("task", TASKS)
def test_every_product_reads_a_grid(task: Task) -> None:
    model = calibrated(task)
    reference = find_scheme("w8a8").reference(model)
    seen: dict[str, torch.Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        return lambda _, given: seen.update({name: given[0]})

    for name, layer in reference.module.named_modules():
        if isinstance(layer, GroupedLinear):
            layer.register_forward_pre_hook(keep(name))
    if task == "masked-lm":
        norm = reference.module.get_submodule("head.norm")
        norm.register_forward_hook(lambda *given: seen.update({"head.decoder": given[2]}))
    with torch.no_grad():
        reference.run(**tensors(make_batch(3, 20)))
    for name, tensor in seen.items():
        if name == "head.classifier":
            continue
        scale = float(np.float16(model.ranges[name] / 127))
        on_grid = (torch.round(tensor / scale) * scale).half().float()
        assert torch.equal(tensor, on_grid), name
        assert tensor.abs().max() > 20 * scale
    assert set(model.ranges) == set(seen) - {"head.classifier"}


def test_weights_are_those_of_int8() -> None:
    model = calibrated()
    stored = find_scheme("w8a8").reference(model).module.state_dict()
    expected = find_scheme("int8_weights").reference(model).module.state_dict()
    assert all(torch.equal(stored[name], tensor) for name, tensor in expected.items())


def test_ranges_change_what_is_computed() -> None:
    """And only within what the scheme allows: half the range clips, and shows."""
    model, batch = calibrated(), tensors(make_batch(3, 20))
    narrow = replace(model, ranges={name: value / 4 for name, value in model.ranges.items()})
    errors = []
    with torch.no_grad():
        exact = find_scheme("fp32").reference(model).run(**batch)["logits"]
        for one in (model, narrow):
            found = find_scheme("w8a8").reference(one).run(**batch)["logits"]
            errors.append(float((found - exact).square().mean().sqrt() / exact.std()))
    assert errors[0] < find_scheme("w8a8").output_tolerance
    assert errors[1] > 3 * errors[0]


def test_a_layer_without_a_range_is_the_users_mistake() -> None:
    model = calibrated()
    ranges = {n: v for n, v in model.ranges.items() if n != "layers.1.attention.output"}
    for lacking, name in ((ranges, r"layers\.1\.attention\.output"), ({}, r"layers\.0")):
        with pytest.raises(UserError, match=f"The input of {name}.* has no range") as error:
            find_scheme("w8a8").reference(replace(model, ranges=lacking))
        assert "--calibration-data" in error.value.next_step
