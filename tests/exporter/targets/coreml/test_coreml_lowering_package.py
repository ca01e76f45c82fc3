"""Packages as folders: described, deterministic, complete or not there."""

import json
import os
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lowered_packages import lowered, program_operations, read_model, scheme_of
from small_models import LABELS, small_model

import exporter
from exporter.errors import UserError
from exporter.model.config import SourceModel, Task
from exporter.model.weights import weight_shapes
from exporter.targets.base import INPUTS, OUTPUTS
from exporter.targets.coreml.form import Form, flavours, form

METADATA = {"source": "made here", "licence": "MIT", "max_length": "40", "zeta": "ü", "alpha": ""}


def contents(package: Path) -> dict[str, bytes]:
    return {
        path.relative_to(package).as_posix(): path.read_bytes()
        for path in package.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("flavour", ["optimized", "sequence_fixed"])
def test_the_same_model_gives_the_same_bytes(flavour: str, tmp_path: Path) -> None:
    model = small_model()
    again = dict(reversed(METADATA.items()))
    first = contents(lowered(model, tmp_path / "a", "fp16", flavour, metadata=METADATA))
    second = contents(lowered(model, tmp_path / "b", "fp16", flavour, metadata=again))
    assert first == second
    other = small_model(weights_seed=1)
    changed = contents(lowered(other, tmp_path / "c", "fp16", flavour, metadata=METADATA))
    assert changed["Manifest.json"] != first["Manifest.json"]


@pytest.mark.slow
def test_another_process_gives_the_same_bytes(tmp_path: Path) -> None:
    """Sets and hashes come in another order there. And it prints nothing, and leaves nothing."""
    script = (
        "import os\n"
        "from pathlib import Path\n"
        "from lowered_packages import lowered\n"
        "from small_models import small_model\n"
        "from test_coreml_lowering_package import METADATA\n"
        "before = set(os.listdir(os.environ['TMPDIR']))\n"
        f"lowered(small_model(), Path({str(tmp_path / 'other')!r}), metadata=METADATA)\n"
        "print('left:', *set(os.listdir(os.environ['TMPDIR'])) - before)\n"
    )
    here = Path(__file__).parent
    paths = os.pathsep.join(map(str, (here, here.parents[1], here.parents[3])))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environment = {"PYTHONPATH": paths, "PYTHONHASHSEED": "1", "TMPDIR": str(temporary)}
    done = subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        env={**os.environ, **environment},
        text=True,
        capture_output=True,
    )
    assert done.stdout.strip() == "left:"
    assert "coremltools" not in done.stderr
    name = lowered(small_model(), tmp_path / "this", metadata=METADATA).name
    assert contents(tmp_path / "other" / name) == contents(tmp_path / "this" / name)


@pytest.mark.parametrize("task", list(OUTPUTS))
@pytest.mark.parametrize("flavour", ["ranged", "sequence_ranged", "fixed", "sequence_fixed"])
def test_names_are_unique_and_weights_have_their_own(
    flavour: str, task: Task, tmp_path: Path
) -> None:
    model = small_model("squeezebert", task, groups=(2, 4, 4, 1, 4, 4), activation="gelu_new")
    operations = program_operations(lowered(model, tmp_path, "fp16", flavour))
    names = [output.name for operation in operations for output in operation.outputs]
    assert len(names) == len(set(names))
    shapes = weight_shapes(model.config, task, len(model.labels or ()))
    weights = {name.replace(".", "__") for name in shapes}
    assert {name for name in names if "__" in name} == weights


def test_fields_and_descriptions(tmp_path: Path) -> None:
    model = small_model()
    described = read_model(lowered(model, tmp_path, "fp16", "optimized", metadata=METADATA))
    metadata = described.description.metadata
    tool = metadata.userDefined.pop("com.github.apple.coremltools.version")
    assert dict(metadata.userDefined) == METADATA
    assert tool == "9.0"
    assert metadata.author == "squeezebert-mobile, from made here"
    assert metadata.license == "MIT"
    assert metadata.versionString == exporter.__version__
    for said in ("sequence classification", "fp16", "neural_engine", "32 or 40 tokens"):
        assert said in metadata.shortDescription
    texts = {
        feature.name: feature.shortDescription
        for feature in (*described.description.input, *described.description.output)
    }
    assert list(texts) == [*INPUTS, "classLabel", "classLabel_probs", "logits"]
    assert "padded with 0" in texts["input_ids"]
    assert texts["attention_mask"] == "1 = token, 0 = padding."
    assert ", ".join(LABELS) in texts["logits"]
    assert ", ".join(LABELS) in texts["classLabel_probs"]
    assert all(texts.values())


def test_a_licence_that_is_not_known_is_said_to_be(tmp_path: Path) -> None:
    metadata = read_model(lowered(small_model(), tmp_path)).description.metadata
    assert "Not known" in metadata.license
    assert metadata.author == "squeezebert-mobile"


@pytest.mark.parametrize("task", list(OUTPUTS))
def test_every_output_is_described_and_float32(task: Task, tmp_path: Path) -> None:
    described = read_model(lowered(small_model("bert", task), tmp_path)).description
    assert tuple(output.name for output in described.output) == OUTPUTS[task]
    types = {output.type.multiArrayType.dataType for output in described.output}
    assert types == {described.output[0].type.multiArrayType.FLOAT32}
    assert all(output.shortDescription for output in described.output)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int4"])
@pytest.mark.parametrize("flavour", flavours())
def test_shapes_and_deployment(flavour: str, precision: str, tmp_path: Path) -> None:
    model = small_model(max_positions=200)
    read = read_model(lowered(model, tmp_path, precision, flavour))
    shape: Form = form(flavour, model.task)
    newer = shape.lengths == "enumerated" or precision == "int4"
    assert read.specificationVersion == (9 if newer else 8)
    assert read.mlProgram.functions["main"].opset == ("CoreML8" if newer else "CoreML7")
    for feature in read.description.input:
        array = feature.type.multiArrayType
        assert array.dataType == array.INT32
        assert list(array.shape) == [1, 128]
        enumerated = [list(entry.shape) for entry in array.enumeratedShapes.shapes]
        ranges = [(axis.lowerBound, axis.upperBound) for axis in array.shapeRange.sizeRanges]
        match shape.lengths:
            case "enumerated":
                assert enumerated == [[1, 128], [1, 32], [1, 64], [1, 200]]
            case "ranged":
                assert ranges == [(1, 1), (1, 200)]
            case "fixed":
                assert enumerated == ranges == []
    outputs = [output.name for output in read.description.output]
    classes = ["classLabel", "classLabel_probs"] if shape.output == "classifier" else []
    assert outputs == [*classes, "logits"]
    assert (read.description.predictedFeatureName == "classLabel") == bool(classes)


@pytest.mark.parametrize("lengths", ["optimized", "ranged", "fixed"])
@pytest.mark.parametrize("positions", [1, 20])
def test_models_with_few_positions(positions: int, lengths: str, tmp_path: Path) -> None:
    model = small_model(max_positions=positions, layers=1)
    read = read_model(lowered(model, tmp_path, "fp16", lengths))
    for feature in read.description.input:
        assert list(feature.type.multiArrayType.shape) == [1, positions]


@pytest.mark.parametrize("layout", ["", "sequence_"])
def test_positions_of_fixed_length_are_cut_from_the_whole_table(
    layout: str, tmp_path: Path
) -> None:
    model = small_model(max_positions=200)
    operations = program_operations(lowered(model, tmp_path, "fp16", f"{layout}fixed"))
    kinds = {operation.type for operation in operations}
    assert "shape" not in kinds
    table = next(o for o in operations if o.outputs[0].name == "embeddings__position__weight")
    sizes = table.outputs[0].type.tensorType.dimensions
    assert [size.constant.size for size in sizes] == [200, 32]


def test_a_package_is_replaced_or_left_alone(tmp_path: Path) -> None:
    model = small_model(layers=1)
    path = lowered(model, tmp_path)
    (path / "more").write_text("of an older package")
    before = contents(path)
    with pytest.raises(UserError, match="beyond the range of fp16"):
        lowered(_enlarged(model, "layers.0.feed_forward.intermediate.bias"), tmp_path)
    assert contents(path) == before
    lowered(model, tmp_path)
    assert contents(path).keys() == before.keys() - {"more"}
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_a_clear_error(tmp_path: Path) -> None:
    """A limit on the size of files refuses in the same place."""
    model = small_model(layers=1)
    path = lowered(model, tmp_path, "fp16")
    before = contents(path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8000, hard))
    try:
        with pytest.raises(UserError, match="Free some space"):
            lowered(model, tmp_path, "fp16")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert contents(path) == before
    assert list(tmp_path.iterdir()) == [path]


def test_repeated_labels_are_refused_only_by_classifiers(tmp_path: Path) -> None:
    model = replace(small_model(layers=1), labels=("same", "other", "same"))
    with pytest.raises(UserError, match=r"repeated: same\. .*--flavour logits"):
        lowered(model, tmp_path, "fp16", "ranged")
    assert list(tmp_path.iterdir()) == []
    assert lowered(model, tmp_path, "fp16", "ranged_logits").is_dir()


def test_activations_without_ranges_are_refused(tmp_path: Path) -> None:
    scheme = replace(scheme_of("fp16"), static_activations=True)
    with pytest.raises(UserError, match="--calibration-data"):
        lowered(small_model(layers=1), tmp_path, "w8a8", scheme=scheme)


def test_the_manifest_names_what_is_there(tmp_path: Path) -> None:
    path = lowered(small_model(layers=1), tmp_path)
    manifest = json.loads((path / "Manifest.json").read_text())
    items = manifest["itemInfoEntries"]
    assert items[manifest["rootModelIdentifier"]]["path"] == "com.apple.CoreML/model.mlmodel"
    assert {item["path"] for item in items.values()} == {
        "com.apple.CoreML/model.mlmodel",
        "com.apple.CoreML/weights",
    }
    assert all((path / "Data" / item["path"]).exists() for item in items.values())


def _enlarged(model: SourceModel, name: str) -> SourceModel:
    weights = {**model.weights, name: torch.full_like(model.weights[name], 1e5)}
    return replace(model, weights=weights)
