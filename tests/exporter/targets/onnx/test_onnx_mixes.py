"""int4 and mixed artifacts: what they compute, what they store, and what is refused."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from mixed_models import mixed_model, wide_model, with_bounds, write_mixed
from onnx import TensorProto
from small_models import VOCABULARY, make_batch, small_model, tensors

from exporter.errors import UserError
from exporter.model.config import SourceModel, Task
from exporter.quantization.mix import Mix, smoothing_sites, uniform_mix
from exporter.quantization.rounding import Rounded
from exporter.quantization.schemes.mixed import mixed_reference, rounded_weights, smoothed
from exporter.targets.onnx import FLAVOURS, TARGET
from exporter.targets.onnx.levels import pack_halves, unpack_halves

pytestmark = pytest.mark.usefixtures("quick")

#: Relative to the largest output, of the typical value; as for int8.
TOLERANCE = 5e-6
LAYER = "layers.0.feed_forward.output"


def typical_difference(model: SourceModel, path: Path, precision: str) -> float:
    """Median, over shapes and outputs, of the difference from the reference."""
    session = TARGET.open(path)
    reference = mixed_reference(TARGET.stored_model(model, precision))
    differences = []
    for rows, length in ((1, 1), (3, 16)):
        batch = make_batch(rows, length)
        with torch.no_grad():
            expected = reference.run(**tensors(batch))
        for name, values in session.run(batch).items():
            scale = float(expected[name].abs().max())
            differences.append(np.abs(values - expected[name].numpy()).ravel() / scale)
    return float(np.median(np.concatenate(differences)))


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("method", TARGET.methods)
def test_a_method_is_what_its_scheme_defines(method: str, flavour: str, tmp_path: Path) -> None:
    model = wide_model()
    methods = dict(uniform_mix(model.config, model.task, method, "int4").methods)
    model = replace(model, mix=with_bounds(model, methods))
    _, path = write_mixed(model, tmp_path, flavour=flavour)
    assert typical_difference(model, path, "mixed") < TOLERANCE


@pytest.mark.parametrize("groups", [(4, 4, 4, 1, 4, 4), (2, 4, 1, 2, 4, 2)])
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_int4_is_what_its_scheme_defines(groups: Any, flavour: str, tmp_path: Path) -> None:
    model = wide_model(groups=groups)
    _, path = write_mixed(model, tmp_path, "int4", flavour)
    assert typical_difference(model, path, "int4") < TOLERANCE


def test_a_mix_of_int8_alone_is_the_int8_artifact(tmp_path: Path) -> None:
    model = wide_model()
    mixed = replace(model, mix=uniform_mix(model.config, model.task, "int8_tensor", "int8"))
    one = write_mixed(model, tmp_path, "int8")[1]
    other = write_mixed(mixed, tmp_path)[1]
    assert TARGET.structure(one) == TARGET.structure(other)


def corrected(model: SourceModel, *names: str) -> SourceModel:
    """Other levels than plain rounding's, within a step."""
    assert model.mix is not None
    plain = rounded_weights(TARGET.stored_model(model, "mixed"))
    moved = {name: replace(plain[name], levels=-plain[name].levels) for name in names}
    return replace(model, mix=replace(model.mix, corrected=moved))


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("first", range(3))
def test_stored_weights_come_back(first: int, flavour: str, tmp_path: Path) -> None:
    model = mixed_model(first=first)
    names = [f"{n}.weight" for n, m in model.mix.methods.items() if "int" in m and "layers" in n]
    model = corrected(model, *names[::3])
    _, path = write_mixed(model, tmp_path, flavour=flavour)
    stored = TARGET.stored_model(model, "mixed")
    rounded, plain = rounded_weights(stored), smoothed(stored).weights
    found = {t.name: t for t in TARGET.stored_weights(path, model.config, model.task)}
    assert found.keys() == plain.keys()
    for name, tensor in found.items():
        form: Rounded | None = rounded.get(name)
        if form is None:
            np.testing.assert_array_equal(tensor.values, plain[name].numpy())
        else:
            np.testing.assert_array_equal(tensor.values, form.values(), name)
            np.testing.assert_array_equal(np.broadcast_to(tensor.step, form.step.shape), form.step)
        assert tensor.bits == (32 if form is None else form.bits)
    factors = TARGET.smoothing(path)
    assert factors.keys() == set(smoothing_sites(model.config))
    for site, values in factors.items():
        np.testing.assert_array_equal(values, model.mix.smoothing[site])
    assert TARGET.mix_text(path) == model.mix.text()
    coverage = TARGET.coverage(path, "mixed", model.config, model.task, 3)
    assert coverage.violations == ()
    assert set(coverage.weights.values()) == {"float32", "int8", "int4"}


def test_int4_coverage(tmp_path: Path) -> None:
    """Rows that are no whole blocks stay int8, and the coverage says so."""
    model = small_model(hidden_size=64, intermediate_size=256)
    _, path = write_mixed(model, tmp_path, "int4")
    coverage = TARGET.coverage(path, "int4", model.config, model.task, 3)
    assert coverage.violations == ()
    assert coverage.weights[f"{LAYER}.weight"] == "int4"
    narrow = "layers.0.attention.query.weight"
    assert (coverage.weights[narrow], coverage.kept[narrow]) == ("int8", "no whole blocks of 32")
    assert coverage.weights["embeddings.word.weight"] == "int8"


def test_levels_are_widened_once_while_loading(tmp_path: Path) -> None:
    """What is run is the int8 artifact: no operator of the widening is left."""
    operators = []
    for precision in ("int8", "int4"):
        _, path = write_mixed(wide_model(), tmp_path, precision)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.optimized_model_filepath = str(tmp_path / f"{precision}.run")
        onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        graph = onnx.load(tmp_path / f"{precision}.run").graph
        operators.append(sorted(node.op_type for node in graph.node))
        kinds = {tensor.data_type for tensor in graph.initializer}
        assert not kinds & {TensorProto.INT4, TensorProto.UINT4}
    assert operators[0] == operators[1]


@pytest.mark.parametrize("precision", ["int4", "mixed"])
@pytest.mark.parametrize("task", ["sequence-classification", "masked-lm"])
def test_portable_files_are_standard(task: Task, precision: str, tmp_path: Path) -> None:
    model = mixed_model(task=task) if precision == "mixed" else wide_model(task=task)
    _, path = write_mixed(model, tmp_path, precision, "portable")
    written = onnx.load(path)
    onnx.checker.check_model(written, full_check=True)
    assert {node.domain for node in written.graph.node} == {""}
    assert [(opset.domain, opset.version) for opset in written.opset_import] == [("", 21)]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_ids_outside_an_int4_table(flavour: str, tmp_path: Path) -> None:
    model = wide_model()
    mix = uniform_mix(model.config, model.task, "int8_tensor", "int4")
    _, path = write_mixed(replace(model, mix=mix), tmp_path, flavour=flavour)
    batch = make_batch(2, 6)
    batch["input_ids"][1, 2] = VOCABULARY
    with pytest.raises(UserError, match="failed to run"):
        TARGET.open(path).run(batch)


def test_packing_is_undone() -> None:
    levels = np.arange(-7, 9).clip(-7, 7).astype(np.int8).reshape(2, 8)
    packed = pack_halves(levels)
    assert packed.shape == (2, 4)
    np.testing.assert_array_equal(unpack_halves(packed), levels)


WRONG: dict[str, tuple[Callable[[Mix], Mix], str]] = {
    "method of another target": (
        lambda mix: replace(mix, methods={**mix.methods, LAYER: "int8_token"}),
        "not offered",
    ),
    "several bounds of one tensor": (
        lambda mix: replace(mix, bounds={**mix.bounds, "layers.0.attention.key": (-1.0, 1.0)}),
        "several bounds",
    ),
}


@pytest.mark.parametrize(("change", "message"), WRONG.values(), ids=WRONG)
def test_mixes_that_cannot_be_built(
    change: Callable[[Mix], Mix], message: str, tmp_path: Path
) -> None:
    model = mixed_model()
    assert model.mix is not None
    with pytest.raises(UserError, match=message):
        write_mixed(replace(model, mix=change(model.mix)), tmp_path)


def test_mixed_needs_a_mix(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no mix"):
        write_mixed(wide_model(), tmp_path)
