"""The gate lets int4 and mixed artifacts pass, and refuses every damaged one."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from mixed_models import mixed_model, wide_model, write_mixed
from onnx import numpy_helper

from exporter.model.config import Family, SourceModel, Task
from exporter.targets.base import ArtifactSpec
from exporter.targets.onnx import TARGET, levels, mixed, operands
from exporter.targets.onnx.operands import SMOOTHING, STATIC_SCALE, STATIC_ZERO_POINT, Operand
from exporter.verification import gate
from exporter.verification.gate import prove

pytestmark = pytest.mark.usefixtures("quick")


def failures(spec: ArtifactSpec, path: Path, model: SourceModel) -> set[str]:
    """Names of the checks that fail."""
    return {check.name for check in prove(TARGET, spec, path, model)[0].failures}


@pytest.mark.parametrize(
    ("family", "task", "precision", "flavour"),
    [
        ("squeezebert", "sequence-classification", "int4", "optimized"),
        ("squeezebert", "sequence-classification", "mixed", "portable"),
        ("squeezebert", "masked-lm", "mixed", "optimized"),
        ("squeezebert", "question-answering", "mixed", "optimized"),
        ("bert", "sequence-classification", "mixed", "optimized"),
        ("bert", "masked-lm", "int4", "portable"),
        ("bert", "token-classification", "mixed", "portable"),
        ("bert", "feature-extraction", "mixed", "optimized"),
    ],
)
def test_healthy_artifacts_pass(
    family: Family, task: Task, precision: str, flavour: str, tmp_path: Path
) -> None:
    model = mixed_model(family, task) if precision == "mixed" else wide_model(family, task)
    assert failures(*write_mixed(model, tmp_path, precision, flavour), model) == set()


Edit = Callable[[onnx.ModelProto], None]


def flip(ending: str) -> Edit:
    """The lowest bit of the first constant whose name ends so."""

    def edit(model: onnx.ModelProto) -> None:
        tensor = next(t for t in model.graph.initializer if t.name.endswith(ending))
        data = bytearray(tensor.raw_data)
        data[0] ^= 1
        tensor.raw_data = bytes(data)

    return edit


def double(ending: str) -> Edit:
    """The first constant whose name ends so."""

    def edit(model: onnx.ModelProto) -> None:
        tensor = next(t for t in model.graph.initializer if t.name.endswith(ending))
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * 2, tensor.name))

    return edit


def renamed(ending: str) -> Edit:
    """The first constant whose name ends so, for another layer: as if that one had it too."""

    def edit(model: onnx.ModelProto) -> None:
        old = next(t.name for t in model.graph.initializer if t.name.endswith(ending))
        new = f"another.layer{ending}"
        next(t for t in model.graph.initializer if t.name == old).name = new
        for node in model.graph.node:
            node.input[:] = [new if text == old else text for text in node.input]

    return edit


def unsmoothed(model: onnx.ModelProto) -> None:
    """What divides an input is passed by."""
    node = next(n for n in model.graph.node if any(i.endswith(SMOOTHING) for i in n.input))
    for reader in model.graph.node:
        for index, text in enumerate(reader.input):
            if text == node.output[0]:
                reader.input[index] = node.input[0]
    model.graph.node.remove(node)


def mix_entry(change: Callable[[dict[str, Any]], None]) -> Edit:
    """Change what the metadata say of the mix."""

    def edit(model: onnx.ModelProto) -> None:
        entry = next(e for e in model.metadata_props if e.key == "mix")
        document = json.loads(entry.value)
        change(document)
        entry.value = json.dumps(document, sort_keys=True, separators=(",", ":"))

    return edit


DAMAGE: dict[str, tuple[str, Edit]] = {
    "int4 level": ("weight audit", flip("/int4")),
    "multiplier": ("weight audit", flip("/multiplier")),
    "table level": ("weight audit", flip("/packed")),
    "table scale": ("weight audit", flip("embeddings.word.weight/scale")),
    "smoothing factor": ("smoothing", double(SMOOTHING)),
    "input not smoothed": ("smoothing", unsmoothed),
    "static scale": ("static bounds", double(STATIC_SCALE)),
    "static zero point": ("static bounds", flip(STATIC_ZERO_POINT)),
    "another name for a static scale": ("structure", renamed(STATIC_SCALE)),
    "other bounds in the mix": ("metadata", mix_entry(lambda d: d["bounds"].clear())),
    "no mix": ("coverage", mix_entry(lambda d: d.pop("methods"))),
    "another method in the mix": (
        "coverage",
        mix_entry(lambda d: d["methods"].update({"layers.0.attention.output": "fp32"})),
    ),
}


@pytest.mark.parametrize(("check", "edit"), DAMAGE.values(), ids=DAMAGE)
def test_damage_on_disk_is_noticed(check: str, edit: Edit, tmp_path: Path) -> None:
    model = mixed_model()
    spec, path = write_mixed(model, tmp_path)
    written = onnx.load(path)
    edit(written)
    onnx.save(written, path)
    assert check in failures(spec, path, model)


def test_what_goes_wrong_without_taps_alone_shows_in_the_outputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Layers are compared with taps, across which a runtime cannot fuse operators."""
    model = mixed_model()
    spec, path = write_mixed(model, tmp_path)
    written, fused = onnx.load(path), tmp_path / "fused.onnx"
    unsmoothed(written)
    onnx.save(written, fused)
    right_open = type(TARGET).open

    def wrong_open(self: Any, opened: Path, *, taps: bool = False, **options: Any) -> Any:
        place = fused if opened == path and not taps else opened
        return right_open(self, place, taps=taps, **options)

    monkeypatch.setattr(type(TARGET), "open", wrong_open)
    assert failures(spec, path, model) == {"outputs"}


def swapped_halves(values: Any) -> Any:
    return levels_pack(np.roll(values, values.shape[1] // 2, axis=1))


levels_pack = levels.pack_halves


def coarser_grid(low: float, high: float) -> tuple[float, int]:
    scale, zero_point = right_grid(low, high)
    return scale * 1.1, zero_point


right_grid = operands.grid


def kept_positive(graph: Any, tensors: Any, contrib: bool) -> Any:
    """Scales are those of the largest value, not of the largest magnitude."""
    with pytest.MonkeyPatch.context() as patch:
        add = graph.node
        patch.setattr(
            graph, "node", lambda op, *a, **o: add("Identity" if op == "Abs" else op, *a, **o)
        )
        return right_symmetric(graph, tensors, contrib)


right_symmetric = operands.quantize_symmetrically

#: (check, module, name, what stands there instead). The twin has the same error.
ERRORS: dict[str, tuple[str, Any, str, Any]] = {
    "inputs not smoothed": ("layer parity", mixed, "divide", lambda _, tensor, *__: tensor),
    "table's halves swapped": ("weight audit", levels, "pack_halves", swapped_halves),
    "static grid": ("layer parity", operands, "grid", coarser_grid),
    "largest value": ("layer parity", mixed, "quantize_symmetrically", kept_positive),
    "fewer levels": ("layer parity", operands, "INT8_LIMIT", 120),
}


@pytest.mark.parametrize(("check", "module", "name", "wrong"), ERRORS.values(), ids=ERRORS)
def test_errors_of_the_exporter_are_noticed(
    check: str, module: Any, name: str, wrong: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = mixed_model()
    monkeypatch.setattr(module, name, wrong)
    found = failures(*write_mixed(model, tmp_path), model)
    assert check in found
    assert "structure" not in found


def clipped(
    graph: Any, layer: str, tensor: str, bounds: tuple[float, float], contrib: bool
) -> Operand:
    """The upper half of the levels is never used."""
    operand = right_static(graph, layer, tensor, bounds, contrib)
    most = graph.node("Mul", [operand.scale, graph.constant("some/levels", 64.0)])
    return right_static(graph, layer, graph.node("Min", [tensor, most]), bounds, contrib)


right_static = operands.quantize_statically


@pytest.mark.parametrize("own", [True, False])
def test_the_twin_uses_all_static_levels_though_the_model_has_larger_inputs(
    own: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the model's bounds its inputs would fall on a few levels around 0."""
    model = mixed_model()
    assert model.mix is not None
    wide = dict.fromkeys(model.mix.bounds, (-300.0, 400.0))
    model = replace(model, mix=replace(model.mix, bounds=wide))
    assert failures(*write_mixed(model, tmp_path), model) == set()
    if not own:
        monkeypatch.setattr(gate, "with_own_values", lambda twin: twin)
    monkeypatch.setattr(mixed, "quantize_statically", clipped)
    found = failures(*write_mixed(model, tmp_path), model)
    assert found == ({"layer parity"} if own else set())


def test_a_multiplier_that_is_not_applied_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names and values of all constants are right; only the graph forgets the multipliers."""
    add = levels.GraphBuilder.node

    def node(self: Any, operator: str, inputs: Any, **options: Any) -> str:
        if operator == "Mul" and any("levels" in text or "Reshape" in text for text in inputs):
            return inputs[0]
        return add(self, operator, inputs, **options)

    monkeypatch.setattr(levels.GraphBuilder, "node", node)
    model = wide_model()
    assert "layer parity" in failures(*write_mixed(model, tmp_path, "int4"), model)
