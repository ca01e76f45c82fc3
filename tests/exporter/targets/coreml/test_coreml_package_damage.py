"""Programs that are damaged, or not understood, are refused by name and place."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from written_packages import block, operation, with_model, with_operation, write_classifier

from exporter.errors import UserError
from exporter.targets.coreml.interpreter import open_package


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_classifier(tmp_path_factory.mktemp("package"))


def _with_two_types(entry: Any) -> None:
    entry.outputs[0].type.tensorType.dimensions[0].constant.size = 15


def _without_value(entry: Any) -> None:
    entry.attributes["val"].ClearField("blobFileValue")


def _elsewhere(entry: Any) -> None:
    entry.attributes["val"].blobFileValue.fileName = "@model_path/weights/other.bin"


def _beside(entry: Any) -> None:
    entry.attributes["val"].blobFileValue.offset += 64


def _unknown_type(entry: Any) -> None:
    entry.outputs[0].type.tensorType.dataType = 77
    entry.attributes["val"].type.tensorType.dataType = 77


def _other_rank(entry: Any) -> None:
    entry.outputs[0].type.tensorType.rank = 2
    entry.attributes["val"].type.tensorType.rank = 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_with_two_types, "a constant has two types"),
        (_without_value, "the constant hidden_bias_0 has no value"),
        (_elsewhere, "the constant hidden_bias_0 lies in @model_path/weights/other.bin, which is"),
        (_beside, "its weight.bin has no entry at byte"),
        (_unknown_type, "its program has an unknown element type: 77"),
        (_other_rank, "a value has no valid shape"),
        (lambda entry: entry.attributes["val"].Clear(), "a constant has two types"),
        (lambda entry: entry.inputs["x"].arguments.add(), "a constant is not understood"),
        (lambda entry: entry.blocks.add(), "const with blocks, or without results"),
        (lambda entry: entry.outputs.add(), "a constant is not understood"),
    ],
)
def test_damaged_constants(
    change: Callable[[Any], object], message: str, package: Path, tmp_path: Path
) -> None:
    copy = with_operation(package, tmp_path, "hidden_bias_0", lambda e: change(e) and None)
    with pytest.raises(UserError) as refused:
        open_package(copy)
    assert "cannot be read: operation " in refused.value.message
    assert f" of main (hidden_bias_0): {message}" in refused.value.message


def _set_immediate(field: str, values: list[Any]) -> Callable[[Any], None]:
    def change(entry: Any) -> None:
        tensor = entry.attributes["val"].immediateValue.tensor
        tensor.Clear()
        if field == "bytes":
            tensor.bytes.values = bytes(values)
        else:
            getattr(tensor, field).values.extend(values)
            getattr(tensor, field).SetInParent()

    return change


@pytest.mark.parametrize(
    ("name", "field", "values", "message"),
    [
        ("norm_axes_0", "ints", [1, 2], "has another size than int32 (1,)"),
        ("norm_axes_0", "floats", [1.0], "is int32, but stored as floats"),
        ("norm_axes_0", "bytes", [1, 0, 0, 0], "is int32, but stored as bytes"),
        ("norm_epsilon_0", "bytes", [1], "has another size than float16 ()"),
        ("norm_epsilon_0", "floats", [1.0], "is float16, but stored as floats"),
        ("logits_dtype_0", "strings", ["fp32", "fp16"], "is not one text"),
        ("logits_dtype_0", "ints", [1], "is not one text"),
        ("mean_keep_dims_0", "ints", [0], "is bool, but stored as ints"),
    ],
)
def test_damaged_numbers(
    name: str, field: str, values: list[Any], message: str, package: Path, tmp_path: Path
) -> None:
    copy = with_operation(package, tmp_path, name, _set_immediate(field, values))
    with pytest.raises(UserError) as refused:
        open_package(copy)
    assert f"({name}): the constant {name} {message}" in refused.value.message


def _swap_operations(model: Any) -> None:
    """The LayerNorm comes before what it reads."""
    operations = block(model).operations
    names = [entry.outputs[0].name for entry in operations]
    first, second = names.index("hidden"), names.index("norm")
    saved = type(operations[first])()
    saved.CopyFrom(operations[first])
    operations[first].CopyFrom(operations[second])
    operations[second].CopyFrom(saved)


def _circle(model: Any) -> None:
    operation(model, "rows").inputs["indices"].arguments[0].name = "rows"


def _nothing(model: Any) -> None:
    operation(model, "rows").inputs["indices"].arguments[0].name = "nothing"


def _rename_input(model: Any) -> None:
    model.description.input[0].name = "y"


def _other_shapes(model: Any) -> None:
    model.description.input[0].type.multiArrayType.enumeratedShapes.shapes[0].shape[0] = 2


def _other_default(model: Any) -> None:
    model.description.input[0].type.multiArrayType.shape[1] = 5


def _other_version(model: Any) -> None:
    model.specificationVersion = 8


def _attribute(model: Any) -> None:
    entry = operation(model, "norm")
    entry.attributes["fast"].CopyFrom(entry.attributes["name"])


def _program_attribute(model: Any) -> None:
    build = model.mlProgram.attributes["buildInfo"]
    model.mlProgram.attributes["other"].CopyFrom(build)


def _same_name(model: Any) -> None:
    operation(model, "norm").outputs[0].name = "hidden"


def _named_as_an_input(model: Any) -> None:
    operation(model, "norm").outputs[0].name = "x"


def _list_of_labels(model: Any) -> None:
    model.description.predictedFeatureName = "other"


def _state(model: Any) -> None:
    model.description.state.add().name = "memory"


def _optional(model: Any) -> None:
    model.description.input[0].type.isOptional = True


def _second_function(model: Any) -> None:
    functions = model.mlProgram.functions
    functions["other"].CopyFrom(functions["main"])


def _unbounded_rank(model: Any) -> None:
    dimension = operation(model, "hidden").outputs[0].type.tensorType.dimensions[1]
    dimension.unknown.variadic = True


def _other_output_type(model: Any) -> None:
    model.description.output[2].type.multiArrayType.dataType = 65552  # FLOAT16


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_swap_operations, " of main (norm): it reads norm_axes_0 before that is computed"),
        (_circle, " of main (rows): it reads rows before that is computed"),
        (_nothing, " of main (rows): it reads nothing before that is computed"),
        (_same_name, " of main (norm): a result is called hidden, as another value is"),
        (_named_as_an_input, " of main (norm): a result is called x, as another value is"),
        (_attribute, " of main (norm): layer_norm has attributes: fast"),
        (_unbounded_rank, " of main (hidden): a value has a number of axes that is not known"),
        (_rename_input, "the inputs of its model are [('y', 'int32')], those of its program"),
        (_other_shapes, "the shapes of the input x are not those of its program, (1, None)"),
        (_other_default, "the shapes of the input x are not those of its program"),
        (_other_version, "its version is 8 with the operators CoreML8; known are 8 with CoreML7"),
        (_program_attribute, "its program has attributes that are not understood"),
        (_list_of_labels, "its model and its program do not predict the same"),
        (_state, "its model has states, training inputs or several functions"),
        (_optional, "x of its model is optional"),
        (_second_function, "its program has the functions ["),
        (_other_output_type, "the outputs of its model are ["),
        (
            lambda m: block(m).outputs.append("nothing"),
            "its program never computes its output noth",
        ),
        (lambda m: block(m).inputs.add(), "its program has a block that is not understood"),
        (lambda m: m.ClearField("mlProgram"), "its model is no ML program of the known version"),
    ],
)
def test_programs_that_are_not_understood(
    change: Callable[[Any], object], message: str, package: Path, tmp_path: Path
) -> None:
    copy = with_model(package, tmp_path, lambda model: change(model) and None)
    with pytest.raises(UserError) as refused:
        open_package(copy)
    assert f"{copy} cannot be read: " in refused.value.message
    assert message in refused.value.message
