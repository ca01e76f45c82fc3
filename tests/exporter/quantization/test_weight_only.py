"""Schemes that compress weights and compute in fp16."""

import numpy as np
import pytest
import torch
from small_models import make_batch, small_model, tensors

from exporter.errors import UserError
from exporter.model.config import TASKS, EncoderConfig, SourceModel, Task
from exporter.model.weights import weight_shapes
from exporter.quantization.compression import Compress, Compressed, compressed_model
from exporter.quantization.kept import KEPT
from exporter.quantization.schemes import find_scheme
from exporter.quantization.schemes.fp16_compute import round_weights

pytestmark = pytest.mark.usefixtures("quick")

SCHEMES = ("int8_weights", "int4_weights", "palettized4", "palettized6", "w8a8")
WEIGHT_ONLY = SCHEMES[:-1]


def compress_of(scheme: str) -> Compress:
    compress = find_scheme(scheme).compress
    assert compress is not None
    return compress


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_matrix_but_those_kept_is_compressed(scheme: str) -> None:
    """Whatever its shape: 60 rows, 40 rows and rows of 8 values are no whole parts and blocks."""
    for name, tensor in small_model().weights.items():
        if tensor.ndim == 1:
            continue
        compressed = compress_of(scheme)(name, tensor.numpy())
        assert (compressed is None) is (name in KEPT), name
        if compressed is not None:
            assert compressed.levels.shape == tuple(tensor.shape)
            blocks = scheme != "int4_weights" or tensor.shape[1] % 32 == 0
            assert compressed.bits == (find_scheme(scheme).weight_bits if blocks else 8)


@pytest.mark.parametrize(
    ("rows", "part_rows"), [(1, 1), (7, 7), (16, 16), (34, 2), (60, 15), (30522, 6), (17, 1)]
)
def test_parts_of_4_bit_tables_divide_the_rows(rows: int, part_rows: int) -> None:
    matrix = np.random.default_rng(0).normal(size=(rows, 2)).astype(np.float32)
    compressed = compress_of("palettized4")("w", matrix)
    assert compressed is not None
    assert compressed.table is not None
    assert compressed.table.shape == (rows // part_rows, 16)


@pytest.mark.parametrize("scheme", WEIGHT_ONLY)
@pytest.mark.parametrize("task", TASKS)
def test_the_reference_computes_in_fp16_on_what_is_stored(task: Task, scheme: str) -> None:
    model, batch = small_model(task=task), tensors(make_batch(3, 9))
    stored = compressed_model(model, compress_of(scheme))
    reference = find_scheme(scheme).reference(model)
    weights = reference.module.state_dict()
    for name, tensor in stored.weights.items():
        assert torch.equal(weights[name], tensor.half().float()), name
    with torch.no_grad():
        actual = reference.run(**batch)
        expected = find_scheme("fp16_compute").reference(stored).run(**batch)
        exact = find_scheme("fp32").reference(model).run(**batch)
    for name, value in actual.items():
        assert torch.equal(value, expected[name])
        error = (value - exact[name]).square().mean().sqrt() / exact[name].std()
        assert error < find_scheme(scheme).output_tolerance


@pytest.mark.parametrize("scheme", WEIGHT_ONLY)
def test_a_compressed_model_compresses_to_itself(scheme: str) -> None:
    """What a scheme stores it can represent: nothing is lost a second time."""
    once = compressed_model(small_model(), compress_of(scheme))
    twice = compressed_model(once, compress_of(scheme))
    for name, tensor in once.weights.items():
        if scheme.startswith("palettized"):
            assert torch.equal(tensor, twice.weights[name]), name
        else:
            # Levels times scale were rounded to fp16, of which the scale is found again nearly.
            assert torch.allclose(tensor, twice.weights[name], rtol=2e-3, atol=1e-7), name


def test_what_is_not_compressed_stays() -> None:
    model = small_model()
    stored = compressed_model(model, lambda *_: None)
    assert all(tensor is model.weights[name] for name, tensor in stored.weights.items())


def test_values_beyond_fp16_are_the_users_mistake() -> None:
    for scheme in WEIGHT_ONLY:
        model = small_model()
        model.weights["head.pooler.weight"][2, 3] = 1e6
        with pytest.raises(UserError, match=r"head\.pooler\.weight has values beyond"):
            find_scheme(scheme).reference(model)


def megabytes(scheme: str, model_type: str, vocabulary: int) -> float:
    """10 ** 6 bytes of all weights at base size, counted from shapes."""
    config = EncoderConfig.from_hugging_face({"model_type": model_type, "vocab_size": vocabulary})
    bits = 0
    for name, shape in weight_shapes(config, "sequence-classification", 3).items():
        # Rows of zeros compress in no time, and as wide as any.
        compressed = None
        if len(shape) == 2:
            compressed = compress_of(scheme)(name, np.zeros(shape, np.float32))
        bits += 16 * int(np.prod(shape)) if compressed is None else bits_of(compressed)
    return bits / 8 / 10**6


def bits_of(compressed: Compressed) -> int:
    extra = compressed.scale if compressed.table is None else compressed.table
    assert extra is not None
    return compressed.levels.size * compressed.bits + 16 * extra.size


@pytest.mark.slow
@pytest.mark.parametrize("vocabulary", [30522, 30528])
@pytest.mark.parametrize(
    ("scheme", "limit"),
    [("int8_weights", 52), ("palettized6", 39), ("int4_weights", 30), ("palettized4", 27)],
)
def test_sizes_at_base(scheme: str, limit: float, vocabulary: int) -> None:
    """Of the vocabulary with and without the rows that make it a multiple of 8."""
    size = megabytes(scheme, "squeezebert", vocabulary)
    assert 0.95 * limit < size <= limit


def test_rounding_the_rest_changes_no_compressed_value() -> None:
    """Biases and LayerNorms become fp16; what levels stand for already is."""
    stored: SourceModel = compressed_model(small_model(), compress_of("int4_weights"))
    rounded = round_weights(stored)
    for name, tensor in stored.weights.items():
        if tensor.ndim == 2 and name not in KEPT:
            assert torch.equal(tensor, rounded.weights[name]), name
