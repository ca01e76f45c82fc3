"""What ONNX artifacts compute: transformers' outputs, and exactly what their scheme defines."""

from pathlib import Path

import numpy as np
import pytest
import torch
from small_models import MAX_POSITIONS, Groups, make_batch, small_model, tensors, write

from exporter.model.config import FAMILIES, TASKS, Activation, Family, SourceModel, Task
from exporter.model.reference import reference_outputs, transformers_model
from exporter.quantization.schemes import find_scheme
from exporter.targets.base import Array
from exporter.targets.onnx import FLAVOURS, TARGET, USUAL_PRECISIONS

pytestmark = pytest.mark.usefixtures("quick")

#: Rows and length: one token, every kind of padding, the whole position table.
SHAPES = ((1, 1), (2, 2), (1, 7), (3, 16), (4, MAX_POSITIONS))

#: Relative to the largest output; fp32 rounds at 1e-7, the smallest mutation shows at 1e-4.
TOLERANCE = 5e-6

ODD_GROUPS: tuple[Groups, ...] = ((2, 4, 1, 2, 4, 2), (8, 8, 8, 2, 2, 8), (1, 2, 4, 8, 8, 1))


def largest_difference(actual: Array, expected: torch.Tensor) -> float:
    assert actual.shape == tuple(expected.shape)
    assert actual.dtype == np.float32
    return float(np.abs(actual - expected.numpy()).max() / expected.abs().max())


def assert_equal_to_transformers(
    model: SourceModel, folder: Path, precision: str, flavour: str
) -> None:
    """fp16 artifacts are compared with transformers on the rounded weights."""
    _, path = write(model, folder, precision, flavour)
    session = TARGET.open(path)
    reference = transformers_model(find_scheme(precision).round_weights(model))
    for rows, length in SHAPES:
        batch = make_batch(rows, length)
        expected, _ = reference_outputs(reference, **tensors(batch))
        actual = session.run(batch)
        assert actual.keys() == expected.keys()
        for name, tensor in expected.items():
            assert largest_difference(actual[name], tensor) < TOLERANCE, (rows, length, name)


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("task", TASKS)
def test_outputs_are_those_of_transformers(
    task: Task, family: Family, precision: str, flavour: str, tmp_path: Path
) -> None:
    assert_equal_to_transformers(small_model(family, task), tmp_path, precision, flavour)


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("groups", ODD_GROUPS)
def test_any_groups(groups: Groups, flavour: str, tmp_path: Path) -> None:
    assert_equal_to_transformers(small_model(groups=groups), tmp_path, "fp32", flavour)


@pytest.mark.parametrize("activation", ["gelu_new", "relu", "silu"])
def test_any_activation(activation: Activation, tmp_path: Path) -> None:
    model = small_model(task="masked-lm", activation=activation)
    assert_equal_to_transformers(model, tmp_path, "fp32", "portable")


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_decoder_of_its_own(precision: str, tmp_path: Path) -> None:
    model = small_model(task="masked-lm", tied_decoder=False)
    assert_equal_to_transformers(model, tmp_path, precision, "optimized")


def test_other_epsilons_and_one_layer(tmp_path: Path) -> None:
    model = small_model("bert", layers=1, norm_epsilon=1e-3, layer_norm_epsilon=1e-3)
    assert_equal_to_transformers(model, tmp_path, "fp32", "optimized")


def typical_difference(model: SourceModel, folder: Path, flavour: str) -> float:
    """Median, over all shapes and outputs, of the difference from the int8 scheme's reference.

    Values that rounding moves across the border of a step are off by a step; they are few.
    """
    _, path = write(model, folder, "int8", flavour)
    session, reference = TARGET.open(path), find_scheme("int8").reference(model)
    differences = []
    for rows, length in SHAPES:
        batch = make_batch(rows, length)
        with torch.no_grad():
            expected = reference.run(**tensors(batch))
        actual = session.run(batch)
        for name, tensor in expected.items():
            assert largest_difference(actual[name], tensor) < 0.02
            scale = float(tensor.abs().max())
            differences.append(np.abs(actual[name] - tensor.numpy()).ravel() / scale)
    return float(np.median(np.concatenate(differences)))


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("task", TASKS)
def test_int8_is_what_its_scheme_defines(
    task: Task, family: Family, flavour: str, tmp_path: Path
) -> None:
    assert typical_difference(small_model(family, task), tmp_path, flavour) < TOLERANCE


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("groups", ODD_GROUPS)
def test_int8_with_any_groups(groups: Groups, flavour: str, tmp_path: Path) -> None:
    assert typical_difference(small_model(groups=groups), tmp_path, flavour) < TOLERANCE


def test_int8_with_a_decoder_of_its_own(tmp_path: Path) -> None:
    model = small_model(task="masked-lm", tied_decoder=False)
    assert typical_difference(model, tmp_path, "optimized") < TOLERANCE


def test_int8_differs_from_fp32(tmp_path: Path) -> None:
    """Otherwise equality with the scheme's reference would show nothing."""
    model, batch = small_model(), make_batch(3, 16)
    expected, _ = reference_outputs(transformers_model(model), **tensors(batch))
    _, path = write(model, tmp_path, "int8", "optimized")
    difference = largest_difference(TARGET.open(path).run(batch)["logits"], expected["logits"])
    assert 1e-4 < difference < 0.1


@pytest.mark.parametrize("precision", USUAL_PRECISIONS)
def test_every_length(precision: str, tmp_path: Path) -> None:
    """The two flavours are written differently and agree at every length of the table."""
    model = small_model(max_positions=12)
    one, other = (
        TARGET.open(write(model, tmp_path, precision, flavour)[1]) for flavour in FLAVOURS
    )
    for length in range(1, 13):
        batch = make_batch(2, length)
        left, right = one.run(batch)["logits"], other.run(batch)["logits"]
        np.testing.assert_allclose(left, right, atol=0.03 if precision == "int8" else 2e-6)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_hidden_states_are_those_of_transformers(flavour: str, tmp_path: Path) -> None:
    """Folding moves biases of the residual: the states of a folded model, shifted by them."""
    model = small_model(task="token-classification", layers=3)
    stored = TARGET.stored_model(model, "fp32")
    _, path = write(model, tmp_path, "fp32", flavour)
    batch = make_batch(3, 9)
    _, expected = reference_outputs(transformers_model(stored), **tensors(batch))
    actual = TARGET.open(path, taps=True).run(batch)
    for index, state in enumerate(expected):
        assert largest_difference(actual[f"hidden.{index}"], state) < TOLERANCE
    assert f"hidden.{len(expected)}" not in actual
    assert len(expected) == 4


def test_a_row_does_not_depend_on_its_neighbours(tmp_path: Path) -> None:
    _, path = write(small_model(), tmp_path, "fp32", "optimized")
    session, batch = TARGET.open(path), make_batch(4, 10)
    together = session.run(batch)["logits"]
    for row in range(4):
        alone = session.run({name: values[row : row + 1] for name, values in batch.items()})
        np.testing.assert_allclose(alone["logits"], together[row : row + 1], atol=2e-6)


def test_padding_does_not_change_the_result(tmp_path: Path) -> None:
    _, path = write(small_model(), tmp_path, "fp32", "optimized")
    session, batch = TARGET.open(path), make_batch(1, 9)
    padded = {name: np.pad(values, ((0, 0), (0, 6))) for name, values in batch.items()}
    padded["input_ids"][:, 9:] = 5  # whatever stands there
    np.testing.assert_allclose(
        session.run(padded)["logits"], session.run(batch)["logits"], atol=2e-6
    )
