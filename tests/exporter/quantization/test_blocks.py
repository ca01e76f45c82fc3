"""int4 in blocks, and activations quantized by token: against plain arithmetic and ExecuTorch."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.ao.quantization.fx._decomposed  # registers quantized_decomposed
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from small_models import make_batch, small_model, tensors
from small_programs import BLOCKS

from exporter.model.config import SourceModel
from exporter.quantization.activations import fake_quantize
from exporter.quantization.kept import KEPT
from exporter.quantization.reference import Reference
from exporter.quantization.rounding import (
    BLOCK,
    SMALLEST_SCALE,
    Float32,
    quantize_blocks,
    quantize_rows,
)
from exporter.quantization.schemes import find_scheme
from exporter.targets.executorch.precisions import uniform

pytestmark = pytest.mark.usefixtures("quick")

OPERATORS = torch.ops.quantized_decomposed
#: bfloat16 has 8 significant bits: a scale is off by at most this share of itself.
BFLOAT16 = 2.0**-8

WEIGHTS = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 4), st.integers(1, 3).map(lambda blocks: blocks * BLOCK)),
    elements=st.floats(-9, 9, width=32),
)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(weight=WEIGHTS)
def test_blocks_are_rounded_within_half_a_step(weight: Float32) -> None:
    """The largest value of a block too, which a scale rounded down clips."""
    levels, scale = quantize_blocks(weight)
    rows, columns = weight.shape
    assert (levels.dtype, scale.dtype) == (np.int8, np.float32)
    assert (levels.shape, scale.shape) == ((rows, columns), (rows, columns // BLOCK))
    assert np.abs(levels).max() <= 7
    np.testing.assert_array_equal(scale, torch.from_numpy(scale).bfloat16().float().numpy())
    step = scale.repeat(BLOCK, axis=1).astype(np.float64)
    error = np.abs(levels * step - weight.astype(np.float64))
    assert (error <= 0.5001 * step).all()
    largest = np.abs(weight.reshape(rows, -1, BLOCK)).max(axis=2)
    used = largest / 7 >= SMALLEST_SCALE
    np.testing.assert_allclose(scale[used], largest[used] / 7, rtol=BFLOAT16)
    assert (np.abs(levels.reshape(rows, -1, BLOCK)).max(axis=2)[used] == 7).all()
    assert (scale[~used] == 1).all()
    assert not levels.reshape(rows, -1, BLOCK)[~used].any()


def test_blocks_have_their_own_scale() -> None:
    weight = np.zeros((2, 2 * BLOCK), np.float32)
    weight[0, 0], weight[0, 1], weight[1, BLOCK], weight[1, BLOCK + 1] = 7, -3.4, 0.875, -0.875
    levels, scale = quantize_blocks(weight)
    np.testing.assert_array_equal(scale, [[1, 1], [1, 0.125]])
    assert levels[0, :2].tolist() == [7, -3]
    assert levels[1, BLOCK : BLOCK + 2].tolist() == [7, -7]
    assert np.count_nonzero(levels) == 4


def test_scales_are_rounded_to_bfloat16() -> None:
    weight = np.full((1, BLOCK), 7 * 1.01, np.float32)
    levels, scale = quantize_blocks(weight)
    assert scale.item() == 1 + 2**-7  # the neighbours of 1.01 are 1.0078 and 1.0156
    assert (levels == 7).all()


@pytest.mark.parametrize("columns", [1, BLOCK - 1, BLOCK + 1])
def test_rows_that_are_no_whole_blocks(columns: int) -> None:
    with pytest.raises(ValueError, match=f"rows of {columns} values are not whole blocks"):
        quantize_blocks(np.ones((2, columns), np.float32))


@pytest.mark.parametrize("size", [0.0, 1e-44, 1e-39])
def test_blocks_too_small_for_a_scale_are_zero(size: float) -> None:
    levels, scale = quantize_blocks(np.full((1, BLOCK), size, np.float32))
    assert not levels.any()
    assert scale.item() == 1


def by_executorch(tensor: torch.Tensor) -> torch.Tensor:
    """What the operators compute that the artifacts are lowered from."""
    scale, zero = OPERATORS.choose_qparams_per_token_asymmetric(tensor, torch.int8)
    levels = OPERATORS.quantize_per_token(tensor, scale, zero, -128, 127, torch.int8)
    result: torch.Tensor = OPERATORS.dequantize_per_token(
        levels, scale, zero, -128, 127, torch.int8, torch.float32
    )
    return result


@pytest.mark.parametrize("shift", [0.0, 3.0, -3.0])
def test_tokens_are_rounded_as_by_executorch(shift: float) -> None:
    """A value that lies half-way between two levels may go to either: a step, rarely."""
    generator = torch.Generator().manual_seed(0)
    tensor = torch.randn(400, 96, generator=generator) * 2 + shift
    tensor[0], tensor[1], tensor[2] = 0, 5, -5
    ours, theirs = fake_quantize(tensor, by_token=True), by_executorch(tensor)
    low, high = tensor.amin(1).clamp(max=0), tensor.amax(1).clamp(min=0)
    step = ((high - low) / 255)[:, None]
    difference = (ours - theirs).abs()
    assert (difference <= 1.001 * step).all()
    assert (difference > 1e-3 * step).float().mean() < 1e-3
    assert ((ours - tensor).abs() <= 0.501 * step + 1e-7).all()


def test_every_token_has_a_range_of_its_own() -> None:
    small, large = torch.linspace(-1, 1, 64), torch.linspace(-900, 900, 64)
    both = torch.stack((small, large))[None]
    found = fake_quantize(both, by_token=True)
    torch.testing.assert_close(found[0, 0], fake_quantize(small), rtol=0, atol=0)
    torch.testing.assert_close(found[0, 1], fake_quantize(large), rtol=0, atol=0)
    assert not torch.equal(found, fake_quantize(both))


def test_a_text_does_not_depend_on_its_neighbours() -> None:
    """As on a phone, where texts run alone; by tensor they would share a range."""
    model = small_model(**BLOCKS)
    inputs = tensors(make_batch(3, 12))
    references = (
        (find_scheme("int8_token").reference(model), True),
        (_int4(model), True),
        (find_scheme("int8").reference(model), False),
    )
    for reference, alone in references:
        with torch.no_grad():
            batch = reference.run(**inputs)["logits"]
            rows = [
                reference.run(**{n: v[row : row + 1] for n, v in inputs.items()})["logits"]
                for row in range(3)
            ]
        assert torch.allclose(batch, torch.cat(rows), rtol=0, atol=1e-5) is alone


def _int4(model: SourceModel) -> Reference:
    """What the precision int4 computes on ExecuTorch."""
    mix = uniform("int4", model.config, model.task)
    return find_scheme("mixed").reference(replace(model, mix=mix))


def test_int4_falls_back_to_int8() -> None:
    """Tables, and layers whose groups do not read whole blocks; what is kept stays fp32."""
    model = small_model(**{**BLOCKS, "hidden_size": 64, "intermediate_size": 128})
    stored = _int4(model).module.state_dict()
    kinds = {}
    for name, tensor in model.weights.items():
        if tensor.ndim == 1 or name in KEPT:
            assert torch.equal(stored[name], tensor), name
            continue
        values = tensor.numpy()
        narrow, wide = quantize_rows(values)
        expected = narrow.astype(np.float32) * wide[:, None]
        if np.array_equal(stored[name].numpy(), expected):
            kinds[name] = 8
        elif values.shape[1] % BLOCK == 0:
            levels, scale = quantize_blocks(values)
            expected = levels.astype(np.float32) * scale.repeat(BLOCK, axis=1)
            np.testing.assert_array_equal(stored[name].numpy(), expected, name)
            kinds[name] = 4
        in_blocks = values.shape[1] % BLOCK == 0 and not name.startswith("embeddings.")
        assert (kinds[name] == 4) == in_blocks
    assert kinds["embeddings.word.weight"] == kinds["embeddings.position.weight"] == 8
    # Groups of query read 16 channels, those of output 32, post-attention 64.
    assert kinds["layers.0.attention.query.weight"] == 8
    assert kinds["layers.0.feed_forward.output.weight"] == 4
    assert kinds["layers.0.attention.output.weight"] == kinds["head.pooler.weight"] == 4


def test_a_tied_decoder_of_int4_is_int8() -> None:
    model = small_model(task="masked-lm", **BLOCKS)
    narrow, wide = quantize_rows(model.weights["embeddings.word.weight"].numpy())
    stored = _int4(model).module.state_dict()["embeddings.word.weight"]
    np.testing.assert_array_equal(stored.numpy(), narrow.astype(np.float32) * wide[:, None])
