"""Packages are executed as they say: inputs, taps, weights, declared types and shapes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info
from written_packages import LABELS, block, operation, with_model, write_classifier

from exporter.errors import UserError
from exporter.targets.base import Array
from exporter.targets.coreml.interpreter import (
    Constant,
    Interpreter,
    Operation,
    Package,
    Result,
    open_package,
)

_IDS = np.array([[1, 0, 11, 5]], np.int32)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_classifier(tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="module")
def package(path: Path) -> Package:
    return open_package(path)


def _half(values: torch.Tensor) -> torch.Tensor:
    return values.half().float()


def _constants(package: Package) -> dict[str, torch.Tensor]:
    """By operation and operand."""
    return {
        f"{operation.results[0].name}.{name}": torch.from_numpy(np.array(operand.values())).float()
        for operation in package.program.operations
        for name, operand in operation.operands.items()
        if isinstance(operand, Constant) and operand.dtype != "bool"
    }


def _in_pytorch(package: Package) -> dict[str, torch.Tensor]:
    """The program written out, rounded after every operator."""
    found = _constants(package)
    weight = _half(found["w.data"] * found["w.scale"].repeat_interleave(8, 1))
    rows = found["rows.x"][torch.from_numpy(_IDS).long()]
    hidden = _half(torch.nn.functional.linear(rows, weight, found["hidden.bias"]))
    gamma, beta = found["norm.gamma"], found["norm.beta"]
    norm = _half(
        torch.nn.functional.layer_norm(hidden, (16,), gamma, beta, float(found["norm.epsilon"]))
    )
    mean = _half(norm.mean(1))
    logits = _half(torch.nn.functional.linear(mean, found["scores.weight"]))
    return {
        "w": weight,
        "rows": rows,
        "hidden": hidden,
        "norm": norm,
        "mean": mean,
        "logits": logits,
    }


def test_every_value_is_pytorchs(package: Package) -> None:
    wanted = _in_pytorch(package)
    found = Interpreter(package).run({"x": _IDS}, taps=("w", "rows", "hidden", "norm", "mean"))
    assert set(found) == {*wanted, "classLabel", "classLabel_probs"}
    for name, values in wanted.items():
        assert found[name].dtype == np.float32
        np.testing.assert_allclose(found[name], values.numpy(), rtol=2e-3, atol=1e-3, err_msg=name)
    np.testing.assert_array_equal(found["w"], wanted["w"].numpy())
    exact = wanted["logits"].softmax(-1)[0].numpy()
    np.testing.assert_allclose(found["classLabel_probs"], exact, rtol=2e-3)
    assert found["classLabel"] == LABELS[int(exact.argmax())]


def test_runs_do_not_disturb_each_other(package: Package) -> None:
    interpreter = Interpreter(package)
    first = interpreter.run({"x": _IDS}, taps=("hidden",))
    before = {name: np.array(value) for name, value in first.items()}
    longer = interpreter.run({"x": np.full((1, 8), 3, np.int32)}, taps=("hidden",))
    assert longer["hidden"].shape == (1, 8, 16)
    again = interpreter.run({"x": _IDS}, taps=("hidden",))
    for name, value in before.items():
        np.testing.assert_array_equal(first[name], value)
        np.testing.assert_array_equal(again[name], value)


def test_everything_is_observed_in_order(package: Package) -> None:
    seen: list[tuple[str, str, str]] = []

    def observe(operation: Operation, result: Result, value: Array) -> None:
        assert value.dtype == np.float32
        seen.append((operation.kind, result.name, result.dtype))

    Interpreter(package).run({"x": _IDS}, observe=observe)
    assert seen == [
        ("gather", "rows", "float16"),
        ("linear", "hidden", "float16"),
        ("layer_norm", "norm", "float16"),
        ("reduce_mean", "mean", "float16"),
        ("linear", "scores", "float16"),
        ("cast", "logits", "float32"),
        ("softmax", "probabilities", "float32"),
    ]


def test_weights_by_name(package: Package) -> None:
    interpreter = Interpreter(package)
    np.testing.assert_array_equal(interpreter.weight("w"), _in_pytorch(package)["w"].numpy())
    with pytest.raises(KeyError):
        interpreter.weight("rows")


def test_products_leave_the_number_of_threads_alone(package: Package) -> None:
    def threads() -> list[int]:
        found = threadpool_info()
        return [pool["num_threads"] for pool in found if pool["internal_api"] == "openblas"]

    before, during = threads(), []
    Interpreter(package).run({"x": _IDS}, observe=lambda *_: during.append(threads()))
    assert before == threads()
    assert during[0] == [1] * len(before)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"x": _IDS.astype(np.int64)}, "x is int64 (1, 4). "),
        ({"x": _IDS[:, :3]}, "x is int32 (1, 3). "),
        ({"x": _IDS[0]}, "x is int32 (4,). "),
        ({"x": np.repeat(_IDS, 2, 0)}, "x is int32 (2, 4). "),
        ({}, " does not take the inputs . Give x."),
        ({"x": _IDS, "y": _IDS}, " does not take the inputs x, y. Give x."),
        ({"y": _IDS}, " does not take the inputs y. Give x."),
    ],
)
def test_inputs_are_checked(inputs: dict[str, Array], message: str, package: Package) -> None:
    with pytest.raises(UserError) as refused:
        Interpreter(package).run(inputs)
    assert message in str(refused.value)
    if "int" in message:
        assert "takes int32 (1, 4) or (1, 8)." in str(refused.value)


def test_unknown_taps_are_refused(package: Package) -> None:
    for name in ("nothing", "x", "norm_gamma_0"):
        with pytest.raises(UserError, match=f"computes nothing called {name}"):
            Interpreter(package).run({"x": _IDS}, taps=("hidden", name))


def test_an_id_beyond_the_table_is_refused(package: Package) -> None:
    with pytest.raises(UserError, match=r"operation \d+ of main \(rows\): gather of 0 to 12 along"):
        Interpreter(package).run({"x": np.array([[0, 1, 12, 2]], np.int32)})


def _size(name: str, axis: int, size: int) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        dimension = operation(model, name).outputs[0].type.tensorType.dimensions[axis]
        dimension.constant.size = size

    return change


def _drop_axis(model: Any) -> None:
    declared = operation(model, "norm").outputs[0].type.tensorType
    del declared.dimensions[0]
    declared.rank = 2


def _wrong_weight(model: Any) -> None:
    declared = operation(model, "w").outputs[0].type.tensorType
    declared.dimensions[1].constant.size = 8


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            _size("hidden", 2, 17),
            "(hidden): declared float16 (1, ?, 17), computed float32 (1, 4, 16)",
        ),
        (_size("rows", 1, 5), "(rows): declared float16 (1, 5, 16), computed float32 (1, 4, 16)"),
        (_drop_axis, "(norm): declared float16 (?, 16), computed float32 (1, 4, 16)"),
        (_wrong_weight, "(w): declared float16 (16, 8), computed float32 (16, 16)"),
        (_size("probabilities", 1, 4), "(probabilities): declared float32 (1, 4), computed"),
    ],
)
def test_declared_shapes_have_to_hold(
    change: Callable[[Any], None], message: str, path: Path, tmp_path: Path
) -> None:
    """Where a package declares another shape than it computes, nothing comes out."""
    copy = with_model(path, tmp_path, change)
    interpreter = Interpreter(open_package(copy))
    with pytest.raises(UserError) as refused:
        interpreter.run({"x": _IDS})
    assert f"{copy} cannot be executed: operation " in refused.value.message
    assert message in refused.value.message


def _unknown_operator(model: Any) -> None:
    operation(model, "norm").type = "layer_norn"


def _declare(name: str, dtype: int) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        operation(model, name).outputs[0].type.tensorType.dataType = dtype

    return change


def _extra_operand(model: Any) -> None:
    entry = operation(model, "mean")
    entry.inputs["epsilon"].CopyFrom(entry.inputs["axes"])


def _missing_operand(model: Any) -> None:
    del operation(model, "hidden").inputs["weight"]


def _weight_of_a_value(model: Any) -> None:
    """The weight is computed after the rows, and from them."""
    entries = block(model).operations
    position = [entry.type for entry in entries].index("gather")
    late = type(entries[0])()
    late.CopyFrom(entries[0])
    late.inputs["offset"].arguments.add().name = "rows"
    del entries[0]
    entries.insert(position, late)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_unknown_operator, "(norm): the operator layer_norn is not known among those of CoreML8"),
        (_declare("norm", 11), "(norm): declared float32, computed float16"),
        (_declare("logits", 10), "(logits): declared float16, computed float32"),
        (_declare("w", 11), "(w): declared float32, computed float16"),
        (_extra_operand, "(mean): reduce_mean with epsilon is not understood"),
        (_missing_operand, "(hidden): linear without weight is not understood"),
        (
            _weight_of_a_value,
            "(w): constexpr_blockwise_shift_scale of what is no constant is not understood",
        ),
    ],
)
def test_programs_are_checked_before_they_run(
    change: Callable[[Any], None], message: str, path: Path, tmp_path: Path
) -> None:
    def changed(model: Any) -> None:
        change(model)
        # The description follows, so that only the program is wrong.
        declared = operation(model, "logits").outputs[0].type.tensorType.dataType
        types = {10: 65552, 11: 65568}
        model.description.output[2].type.multiArrayType.dataType = types[declared]

    copy = with_model(path, tmp_path, changed)
    with pytest.raises(UserError) as refused:
        Interpreter(open_package(copy))
    assert f"{copy} cannot be executed: operation " in refused.value.message
    assert message in refused.value.message
