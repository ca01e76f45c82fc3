"""What the schemes define, held against ONNX Runtime and against plain arithmetic."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from onnx import TensorProto, helper
from small_models import make_batch, small_model, tensors

from exporter.errors import UserError
from exporter.quantization.activations import fake_quantize
from exporter.quantization.kept import KEPT
from exporter.quantization.rounding import (
    SMALLEST_SCALE,
    Float32,
    quantize_rows,
    round_to_fp16,
)
from exporter.quantization.schemes import find_scheme, fp16, scheme_names
from exporter.quantization.schemes.int8 import dequantized

pytestmark = pytest.mark.usefixtures("quick")


def _runtime_quantizer() -> onnxruntime.InferenceSession:
    """[N] fp32 -> the values of its uint8 grid, by ONNX Runtime's DynamicQuantizeLinear."""
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["levels", "scale", "zero"]),
        helper.make_node("DequantizeLinear", ["levels", "scale", "zero"], ["y"]),
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in "xy"]
    graph = helper.make_graph(nodes, "quantizer", values[:1], values[1:])
    opsets = [helper.make_opsetid("", 20)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )


RUNTIME = _runtime_quantizer()


def assert_as_runtime(values: Float32) -> None:
    (expected,) = RUNTIME.run(None, {"x": values})
    np.testing.assert_array_equal(fake_quantize(torch.from_numpy(values)).numpy(), expected)


#: Hidden states, with zeros; subnormal numbers do not occur, and processors may flush them.
ELEMENTS = st.floats(-50, 50, width=32, allow_subnormal=False)
VECTORS = arrays.arrays(np.float32, st.integers(1, 70), elements=ELEMENTS)
MATRICES = arrays.arrays(
    np.float32, st.tuples(st.integers(1, 6), st.integers(1, 9)), elements=st.floats(-9, 9, width=32)
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(values=VECTORS)
def test_activations_are_rounded_as_by_the_runtime(values: Float32) -> None:
    assert_as_runtime(values)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shift", [0.0, 5.0, -5.0, 1000.0])
def test_random_activations(shift: float, seed: int) -> None:
    """Also tensors of one sign, whose range includes 0 all the same."""
    generator = np.random.default_rng(seed)
    values = generator.normal(size=4096).astype(np.float32) + np.float32(shift)
    assert_as_runtime(values)


@pytest.mark.parametrize("value", [0.0, 3.0, -3.0, 1e-30, -1e30])
def test_constant_activations(value: float) -> None:
    assert_as_runtime(np.full(33, value, np.float32))


def test_activations_on_a_grid() -> None:
    """By hand: range -1 .. 4 has step 5 / 255 and zero point 51; ties go to even."""
    step = 5 / 255
    values = torch.tensor([-1.0, 4.0, 0.0, 2.4 * step, 3.0 * step])
    expected = torch.tensor([-51, 204, 0, 2, 3]) * step
    torch.testing.assert_close(fake_quantize(values), expected, rtol=0, atol=1e-6)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(weight=MATRICES)
def test_rows_are_rounded_within_half_a_step(weight: Float32) -> None:
    values, scale = quantize_rows(weight)
    assert values.dtype == np.int8
    assert scale.dtype == np.float32
    assert scale.shape == (len(weight),)
    assert (scale >= SMALLEST_SCALE).all()
    assert values.min() >= -127
    error = np.abs(values.astype(np.float64) * scale[:, None] - weight.astype(np.float64))
    assert (error <= 0.5001 * scale[:, None]).all()
    largest = np.abs(weight).max(axis=1)
    used = largest / 127 >= SMALLEST_SCALE
    assert (np.abs(values).max(axis=1)[used] == 127).all()
    assert not values[~used].any()
    assert (scale[~used] == 1).all()


@settings(max_examples=50, deadline=None, derandomize=True)
@given(weight=MATRICES)
def test_rows_are_rounded_symmetrically(weight: Float32) -> None:
    values, scale = quantize_rows(weight)
    negative, same = quantize_rows(-weight)
    np.testing.assert_array_equal(negative, -values)
    np.testing.assert_array_equal(same, scale)


def test_rows_have_their_own_scale() -> None:
    values, scale = quantize_rows(np.array([[127, -2], [0, 0], [1e-3, 5e-4]], np.float32))
    np.testing.assert_array_equal(values, [[127, -2], [0, 0], [127, 64]])
    np.testing.assert_allclose(scale, [1, 1, 1e-3 / 127], rtol=1e-6)


@pytest.mark.parametrize("size", [1e-44, 1e-40, 1.4e-37])
def test_rows_too_small_for_a_scale_are_zero(size: float) -> None:
    """Weight decay leaves such rows of unused tokens; a scale of 0 would make them NaN."""
    values, scale = quantize_rows(np.array([[size, -size / 3, 0]], np.float32))
    np.testing.assert_array_equal(values, [[0, 0, 0]])
    np.testing.assert_array_equal(scale, [1])


@pytest.mark.parametrize("value", [65520.0, -65520.0, 1e30])
def test_fp16_has_a_range(value: float) -> None:
    with pytest.raises(UserError, match=r"head\.pooler\.weight") as error:
        round_to_fp16("head.pooler.weight", np.array([[0, value]], np.float32))
    assert "--precision fp32,int8" in error.value.next_step


def test_fp16_rounds_to_nearest() -> None:
    weight = np.array([[65504, 65519, 1 + 2**-11, 1 + 3 * 2**-11, 2**-25, 0.1]], np.float32)
    rounded = round_to_fp16("w", weight)
    assert rounded.dtype == np.float32
    expected = [[65504, 65504, 1, 1 + 2**-9, 0, np.float32(np.float16(0.1))]]
    np.testing.assert_array_equal(rounded, expected)


def test_schemes_by_name() -> None:
    widths = {name: find_scheme(name).weight_bits for name in scheme_names()}
    assert widths == {
        "fp16": 16,
        "fp16_compute": 16,
        "fp32": 32,
        "int4_weights": 4,
        "int8": 8,
        "int8_token": 8,
        "int8_weights": 8,
        "mixed": 4,
        "palettized4": 4,
        "palettized6": 6,
        "w8a8": 8,
    }
    with pytest.raises(UserError, match="Unknown precision 'int3'") as error:
        find_scheme("int3")
    assert ", ".join(widths) in error.value.next_step


def test_what_is_kept_wide_keeps_its_values() -> None:
    model = small_model()
    for narrow in (fp16.round_weights(model), dequantized(model)):
        for name, tensor in model.weights.items():
            kept = tensor.ndim == 1 or name in KEPT
            assert torch.equal(narrow.weights[name], tensor) is kept, name


@pytest.mark.parametrize("tied", [True, False])
def test_the_decoder_reads_quantized_rows(tied: bool) -> None:
    """Its input is on a grid of 256 levels."""
    model = small_model(task="masked-lm", tied_decoder=tied)
    reference = find_scheme("int8").reference(model)
    seen: list[torch.Tensor] = []
    norm = reference.module.get_submodule("head.norm")
    norm.register_forward_hook(lambda *given: seen.append(given[2]))
    with torch.no_grad():
        reference.run(**tensors(make_batch(4, 30)))
    assert seen[0].numel() > 1000
    assert len(set(seen[0].flatten().tolist())) <= 256
