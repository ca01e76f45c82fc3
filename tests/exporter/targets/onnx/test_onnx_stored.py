"""Files read back: weights, structure, coverage, external data."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from small_models import Groups, make_batch, small_model, write

from exporter.model.config import TASKS, SourceModel, Task
from exporter.model.folding import folded_biases
from exporter.model.random import seeded_weights
from exporter.quantization.kept import KEPT
from exporter.quantization.schemes.int8 import dequantized
from exporter.targets.base import Coverage
from exporter.targets.onnx import FLAVOURS, TARGET, USUAL_PRECISIONS
from exporter.targets.onnx.graph import save
from exporter.targets.onnx.names import StoredName, parse

pytestmark = pytest.mark.usefixtures("quick")

EVERY = [(precision, flavour) for precision in USUAL_PRECISIONS for flavour in FLAVOURS]


def stored_values(path: Path, model: SourceModel) -> dict[str, Any]:
    stored = list(TARGET.stored_weights(path, model.config, model.task))
    assert len({tensor.name for tensor in stored}) == len(stored)
    return {tensor.name: tensor for tensor in stored}


def covered(path: Path, model: SourceModel, precision: str) -> Coverage:
    labels = len(model.labels or ())
    return TARGET.coverage(path, precision, model.config, model.task, labels)


@pytest.mark.parametrize("groups", [(4, 4, 4, 1, 4, 4), (2, 4, 1, 2, 4, 2), (8, 8, 8, 2, 2, 8)])
@pytest.mark.parametrize(("precision", "flavour"), EVERY)
def test_stored_weights_come_back(
    groups: Groups, precision: str, flavour: str, tmp_path: Path
) -> None:
    """All values, in the source's names, shapes and order, whatever the file does to them."""
    model = small_model(groups=groups)
    _, path = write(model, tmp_path, precision, flavour)
    expected = TARGET.stored_model(model, precision)
    expected = dequantized(expected) if precision == "int8" else expected
    found = stored_values(path, model)
    unstored = set() if precision == "int8" else set(folded_biases(model.config))
    assert found.keys() == expected.weights.keys() - unstored
    for name, tensor in found.items():
        np.testing.assert_array_equal(tensor.values, expected.weights[name].numpy(), name)
        narrow = expected.weights[name].ndim == 2 and name not in KEPT
        assert tensor.bits == ({"fp32": 32, "fp16": 16, "int8": 8}[precision] if narrow else 32)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("precision", USUAL_PRECISIONS)
def test_stored_decoder(precision: str, tied: bool, tmp_path: Path) -> None:
    model = small_model(task="masked-lm", tied_decoder=tied)
    _, path = write(model, tmp_path, precision, "optimized")
    found = stored_values(path, model)
    assert ("head.decoder.weight" in found) is not tied
    for name in ("embeddings.word.weight", "head.decoder.weight"):
        if name in found:
            difference = np.abs(found[name].values - model.weights[name].numpy()).max()
            assert difference <= {"fp32": 0, "fp16": 1e-3, "int8": 0.01}[precision]


@pytest.mark.parametrize(("precision", "flavour"), EVERY)
def test_structure_ignores_the_values_of_weights(
    precision: str, flavour: str, tmp_path: Path
) -> None:
    model = small_model()
    weights = seeded_weights(model.config, model.task, 3, seed=5)
    other = SourceModel(model.config, model.task, ("x", "y", "z"), weights)
    folder = tmp_path / "other"
    folder.mkdir()
    paths = [write(model, tmp_path, precision, flavour)[1]]
    paths.append(write(other, folder, precision, flavour)[1])
    assert paths[0].read_bytes() != paths[1].read_bytes()
    assert TARGET.structure(paths[0]) == TARGET.structure(paths[1])


@pytest.mark.parametrize(
    "changes",
    [
        {"norm_epsilon": 1e-5},
        {"layer_norm_epsilon": 1e-5},
        {"activation": "gelu_new"},
        {"heads": 8},
        {"groups": (2, 4, 4, 1, 4, 4)},
        {"vocab_size": 61},
    ],
)
def test_structure_sees_other_models(changes: dict[str, Any], tmp_path: Path) -> None:
    structures = set()
    for name, fields in (("one", {}), ("two", changes)):
        folder = tmp_path / name
        folder.mkdir()
        _, path = write(small_model(**fields), folder, "fp32", "portable")
        structures.add(TARGET.structure(path))
    assert len(structures) == 2


def test_structure_sees_constants_that_are_no_weights(tmp_path: Path) -> None:
    _, path = write(small_model(), tmp_path, "fp32", "portable")
    before, model = TARGET.structure(path), onnx.load(path)
    seen = 0
    for tensor in model.graph.initializer:
        if parse(tensor.name) is None:
            original = onnx.TensorProto.FromString(tensor.SerializeToString())
            changed = numpy_helper.to_array(tensor) * 2 + 1
            tensor.CopyFrom(numpy_helper.from_array(changed, tensor.name))
            onnx.save(model, path)
            assert TARGET.structure(path) != before, tensor.name
            tensor.CopyFrom(original)
            seen += 1
    onnx.save(model, path)
    assert TARGET.structure(path) == before
    assert seen > 5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("layers.0.attention.query.weight", ("layers.0.attention.query.weight", None, "")),
        ("head.pooler.bias/group_3", ("head.pooler.bias", 3, "")),
        ("embeddings.word.weight/int8", ("embeddings.word.weight", None, "int8")),
        ("layers.11.x.y.weight/group_12/scale", ("layers.11.x.y.weight", 12, "scale")),
    ],
)
def test_names_of_stored_weights(text: str, expected: tuple[str, int | None, str]) -> None:
    assert parse(text) == StoredName(*expected)
    assert StoredName(*expected).text == text


@pytest.mark.parametrize("text", ["shape/0", "mask/masked", "layers.0/attention/norm", "hidden.0"])
def test_names_of_other_constants(text: str) -> None:
    assert parse(text) is None


@pytest.mark.parametrize(("precision", "flavour"), EVERY)
@pytest.mark.parametrize("task", TASKS)
def test_coverage_counts_everything(
    task: Task, precision: str, flavour: str, tmp_path: Path
) -> None:
    model = small_model(task=task)
    _, path = write(model, tmp_path, precision, flavour)
    coverage = covered(path, model, precision)
    assert coverage.violations == ()
    assert sum(coverage.operators.values()) == len(onnx.load(path).graph.node)
    narrow = {"fp32": "float32", "fp16": "float16", "int8": "int8"}[precision]
    for name, tensor in model.weights.items():
        if tensor.ndim == 2:
            kept = name in KEPT and precision != "fp32"
            assert coverage.weights[name] == ("float32" if kept else narrow)
            assert (name in coverage.kept) is kept
    products = {"optimized": "com.microsoft.MatMulIntegerToFloat", "portable": "MatMulInteger"}
    # per layer 4 groups of 5 grouped linear layers and one ungrouped; then the head
    count = 2 * 21 + {"sequence-classification": 1, "masked-lm": 2}.get(task, 0)
    if precision == "int8":
        assert coverage.operators[products[flavour]] == count
    else:
        labelled = task not in ("masked-lm", "feature-extraction")
        assert coverage.operators["Gemm"] == count + labelled


def test_coverage_reports_broken_promises(tmp_path: Path) -> None:
    """An artifact held against the promise of another precision."""
    model = small_model()
    _, wide = write(model, tmp_path, "fp32", "optimized")
    _, narrow = write(model, tmp_path, "int8", "optimized")
    matrices = {n for n, t in model.weights.items() if t.ndim == 2}
    violations = covered(wide, model, "int8").violations
    for name in matrices - set(KEPT):
        assert f"{name} is stored with 32 bits, int8 promises 8" in violations
    assert any("is multiplied in fp32 (Gemm)" in text for text in violations)
    violations = covered(narrow, model, "fp32").violations
    assert len(violations) == len(matrices - set(KEPT))
    assert all("only 8 bits" in text for text in violations)


def test_weights_with_a_part_missing_come_without_values(tmp_path: Path) -> None:
    source = small_model()
    _, path = write(source, tmp_path, "int8", "optimized")
    model = onnx.load(path)
    name = "layers.0.attention.query.weight"
    for tensor in list(model.graph.initializer):
        if tensor.name == f"{name}/group_2/int8":
            model.graph.initializer.remove(tensor)
    onnx.save(model, path)
    found = stored_values(path, source)
    assert found[name].values.size == 0
    assert found["layers.0.attention.key.weight"].values.shape == (32, 8)


@pytest.mark.parametrize(("precision", "flavour"), EVERY)
def test_external_data(precision: str, flavour: str, tmp_path: Path) -> None:
    """Weights beside the file: everything works as with weights inside."""
    source = small_model()
    _, inside = write(source, tmp_path, precision, flavour)
    outside = tmp_path / "outside" / "model.onnx"
    outside.parent.mkdir()
    for _ in range(2):  # writing again does not append
        save(onnx.load(inside), outside, external_above=1000)
    data = outside.with_name("model.onnx.data")
    assert TARGET.files(inside) == (inside,)
    assert TARGET.files(outside) == (outside, data)
    assert data.stat().st_size + outside.stat().st_size < 1.2 * inside.stat().st_size
    assert data.stat().st_size > 4000
    assert TARGET.structure(outside) == TARGET.structure(inside)
    assert TARGET.metadata(outside) == TARGET.metadata(inside)
    assert TARGET.signature(outside) == TARGET.signature(inside)
    left, right = stored_values(inside, source), stored_values(outside, source)
    assert left.keys() == right.keys()
    for name, tensor in left.items():
        np.testing.assert_array_equal(tensor.values, right[name].values)
    batch = make_batch(2, 7)
    results = [TARGET.open(path, taps=True).run(batch) for path in (inside, outside)]
    assert results[0].keys() == results[1].keys() > {"hidden.0", "hidden.2", "logits"}
    for name, values in results[0].items():
        np.testing.assert_array_equal(values, results[1][name])
    onnx.checker.check_model(str(outside), full_check=flavour == "portable")


def test_a_small_model_written_again_needs_no_data_file(tmp_path: Path) -> None:
    _, inside = write(small_model(), tmp_path, "fp32", "optimized")
    path = tmp_path / "again.onnx"
    save(onnx.load(inside), path, external_above=1000)
    save(onnx.load(inside), path)
    assert TARGET.files(path) == (path,)
    assert not path.with_name("again.onnx.data").exists()


def test_double_transposition_is_none(tmp_path: Path) -> None:
    """A stored matrix keeps its orientation, however the graph turns it."""
    source = small_model()
    _, path = write(source, tmp_path, "fp32", "portable")
    name = "head.pooler.weight"
    model = onnx.load(path)
    product = next(node for node in model.graph.node if name in node.input)
    place = list(model.graph.node).index(product)
    for index, (read, made) in enumerate(((name, "once"), ("once", "twice"))):
        turn = helper.make_node("Transpose", [read], [made], name=made, perm=[1, 0])
        model.graph.node.insert(place + index, turn)
    product.input[1] = "twice"
    onnx.save(model, path)
    np.testing.assert_array_equal(
        stored_values(path, source)[name].values, source.weights[name].numpy()
    )
