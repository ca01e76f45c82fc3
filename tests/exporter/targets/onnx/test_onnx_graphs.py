"""What ONNX files look like from outside: names, types, operators, metadata."""

import json
import re
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto
from small_models import LABELS, VOCABULARY, make_batch, small_model, write

from exporter.errors import UserError
from exporter.model.config import TASKS, Task
from exporter.planning import choose_artifacts
from exporter.targets.base import TensorSpec, find_target, target_names
from exporter.targets.onnx import FLAVOURS, TARGET, USUAL_PRECISIONS

pytestmark = pytest.mark.usefixtures("quick")

EVERY = [(precision, flavour) for precision in USUAL_PRECISIONS for flavour in FLAVOURS]

OUTPUTS: dict[Task, dict[str, tuple[int | str, ...]]] = {
    "sequence-classification": {"logits": ("batch", 3)},
    "feature-extraction": {"last_hidden_state": ("batch", "sequence", 32)},
    "token-classification": {"logits": ("batch", "sequence", 3)},
    "question-answering": {
        "start_logits": ("batch", "sequence"),
        "end_logits": ("batch", "sequence"),
    },
    "masked-lm": {"logits": ("batch", "sequence", VOCABULARY)},
}


def load(folder: Path, precision: str, flavour: str, **changes: Any) -> onnx.ModelProto:
    _, path = write(small_model(**changes), folder, precision, flavour)
    return onnx.load(path)


def test_the_target_is_registered() -> None:
    assert "onnx" in target_names()
    assert find_target("onnx") is TARGET
    with pytest.raises(UserError, match="Unknown target 'onyx'"):
        find_target("onyx")


def test_paths_are_those_of_the_hub() -> None:
    paths = [spec.path for spec in TARGET.artifacts(USUAL_PRECISIONS, FLAVOURS)]
    assert paths == [
        "onnx/model.onnx",
        "onnx/model_fp16.onnx",
        "onnx/model_int8.onnx",
        "onnx/model_portable.onnx",
        "onnx/model_portable_fp16.onnx",
        "onnx/model_portable_int8.onnx",
    ]


@pytest.mark.parametrize(("precision", "flavour"), [("int5", "portable"), ("int8", "swift")])
def test_unknown_names_are_refused(precision: str, flavour: str) -> None:
    with pytest.raises(UserError, match="is not known to onnx"):
        choose_artifacts(("onnx",), (precision,), (flavour,))


@pytest.mark.parametrize(("precision", "flavour"), EVERY)
@pytest.mark.parametrize("task", TASKS)
def test_inputs_and_outputs(task: Task, precision: str, flavour: str, tmp_path: Path) -> None:
    _, path = write(small_model(task=task), tmp_path, precision, flavour)
    inputs, outputs = TARGET.signature(path)
    assert inputs == tuple(
        TensorSpec(name, "int64", ("batch", "sequence"))
        for name in ("input_ids", "attention_mask", "token_type_ids")
    )
    assert outputs == tuple(
        TensorSpec(name, "float32", shape) for name, shape in OUTPUTS[task].items()
    )
    results = TARGET.open(path).run(make_batch(2, 5))
    dims = {"batch": 2, "sequence": 5}
    for name, shape in OUTPUTS[task].items():
        assert results[name].shape == tuple(dims.get(str(axis), axis) for axis in shape)


@pytest.mark.parametrize("precision", USUAL_PRECISIONS)
@pytest.mark.parametrize("task", TASKS)
def test_portable_files_are_standard(task: Task, precision: str, tmp_path: Path) -> None:
    model = load(tmp_path, precision, "portable", task=task)
    onnx.checker.check_model(model, full_check=True)
    assert {node.domain for node in model.graph.node} == {""}
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 20)]
    assert model.ir_version <= 10


@pytest.mark.parametrize(("precision", "fused"), [("fp32", set()), ("int8", {"com.microsoft"})])
def test_optimized_files_use_the_operators_of_the_runtime(
    precision: str, fused: set[str], tmp_path: Path
) -> None:
    model = load(tmp_path, precision, "optimized")
    assert {node.domain for node in model.graph.node} - {""} == fused
    assert {opset.domain for opset in model.opset_import} - {""} == fused
    assert "Attention" in {node.op_type for node in model.graph.node}


@pytest.mark.parametrize(("precision", "flavour"), EVERY)
@pytest.mark.parametrize("task", TASKS)
def test_every_node_and_tensor_has_a_readable_name(
    task: Task, precision: str, flavour: str, tmp_path: Path
) -> None:
    graph = load(tmp_path, precision, flavour, task=task).graph
    names = [node.name for node in graph.node]
    tensors = [output for node in graph.node for output in node.output]
    assert len(set(names)) == len(names)
    assert len(set(tensors)) == len(tensors)
    readable = re.compile(r"[a-z][a-z0-9_.]*(/[A-Za-z0-9_.]+)*(:[a-z0-9_]+)?")
    for name in [*names, *tensors]:
        assert readable.fullmatch(name) or "/" not in name, name
        assert name
    parts = ("embeddings", "mask", "layers.0", "layers.1", "head", "sequence_shape_")
    assert all(name.startswith(parts) for name in names)
    assert {f"layers.{i}/attention/norm" for i in (0, 1)} <= set(names)


@pytest.mark.parametrize(("precision", "flavour"), EVERY)
def test_metadata_is_carried(precision: str, flavour: str, tmp_path: Path) -> None:
    _, path = write(small_model(), tmp_path, precision, flavour)
    assert TARGET.metadata(path) == {
        "labels": json.dumps(LABELS),
        "task": "sequence-classification",
        "precision": precision,
        "flavour": flavour,
        "max_positions": "40",
    }
    model = onnx.load(path)
    assert model.producer_name == "squeezebert-mobile"
    assert model.producer_version


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_fp16_files_hold_matrices_as_fp16(flavour: str, tmp_path: Path) -> None:
    graph = load(tmp_path, "fp16", flavour).graph
    matrices = {t.name: t.data_type for t in graph.initializer if len(t.dims) == 2}
    wide = {"embeddings.token_type.weight", "head.classifier.weight"}
    assert {name for name, kind in matrices.items() if kind == TensorProto.FLOAT} == wide
    assert set(matrices.values()) == {TensorProto.FLOAT, TensorProto.FLOAT16}


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("task", ["sequence-classification", "masked-lm"])
def test_int8_files_hold_every_embedding_once(task: Task, flavour: str, tmp_path: Path) -> None:
    graph = load(tmp_path, "int8", flavour, task=task).graph
    tables = [t for t in graph.initializer if VOCABULARY in t.dims and len(t.dims) == 2]
    assert [(t.name, t.data_type) for t in tables] == [
        ("embeddings.word.weight/int8", TensorProto.INT8)
    ]
    position = next(t for t in graph.initializer if t.name.startswith("embeddings.position"))
    assert position.data_type == TensorProto.INT8


def test_a_classifier_computes_one_row_in_its_last_layer(tmp_path: Path) -> None:
    _, path = write(small_model(), tmp_path, "fp32", "optimized")
    results = TARGET.open(path, taps=True).run(make_batch(3, 9))
    shapes = [results[f"hidden.{index}"].shape for index in range(3)]
    assert shapes == [(3, 9, 32), (3, 9, 32), (3, 1, 32)]


def test_artifacts_are_the_same_every_time(tmp_path: Path) -> None:
    contents = set()
    for attempt in ("one", "two"):
        folder = tmp_path / attempt
        folder.mkdir()
        contents.add(write(small_model(), folder, "int8", "optimized")[1].read_bytes())
    assert len(contents) == 1
    assert TARGET.fingerprint() == TARGET.fingerprint()
