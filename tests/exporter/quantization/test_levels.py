"""int8 rows and int4 blocks with fp16 scales: against plain arithmetic."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from exporter.errors import UserError
from exporter.quantization.compression import Compressed, Float32
from exporter.quantization.levels import SMALLEST_SCALE, int4_blocks, int8_rows
from exporter.quantization.rounding import BLOCK

#: Of every size: what fp16 rounds to zero, its subnormal numbers, and as large as weights get.
ELEMENTS = st.one_of(*(st.floats(-size, size, width=32) for size in (9, 2.0**-10, 2.0**-20)))
ROWS = arrays.arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(1, 9)), elements=ELEMENTS)
BLOCKS = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 4), st.integers(1, 3).map(lambda blocks: blocks * BLOCK)),
    elements=ELEMENTS,
)


def exact(compressed: Compressed) -> np.ndarray:
    """Levels times scale in fp64, before they are rounded to fp16."""
    assert compressed.scale is not None
    columns = compressed.levels.shape[1]
    step = compressed.scale.astype(np.float64).repeat(columns // compressed.scale.shape[1], axis=1)
    result: np.ndarray = compressed.levels * step
    return result


def steps(compressed: Compressed) -> np.ndarray:
    assert compressed.scale is not None
    columns = compressed.levels.shape[1]
    return compressed.scale.astype(np.float64).repeat(columns // compressed.scale.shape[1], axis=1)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(matrix=ROWS)
def test_rows_are_off_by_half_a_step_at_most(matrix: Float32) -> None:
    """The largest value of a row too, and rows whose scale is subnormal."""
    compressed = int8_rows("w", matrix)
    assert (compressed.bits, compressed.table) == (8, None)
    assert compressed.levels.dtype == np.int8
    assert compressed.levels.shape == matrix.shape
    assert compressed.scale is not None
    assert compressed.scale.dtype == np.float16
    assert compressed.scale.shape == (len(matrix), 1)
    assert (compressed.scale >= SMALLEST_SCALE).all()
    assert np.abs(compressed.levels).max() <= 127
    assert (np.abs(exact(compressed) - matrix) <= 0.5001 * steps(compressed)).all()


@settings(max_examples=100, deadline=None, derandomize=True)
@given(matrix=ROWS)
def test_scales_of_rows_are_no_larger_than_needed(matrix: Float32) -> None:
    """The fp16 number nearest to largest / 127, or the next where that would clip."""
    scale = int8_rows("w", matrix).scale
    assert scale is not None
    ideal = np.abs(matrix).max(axis=1).astype(np.float64) / 127
    spacing = np.maximum(ideal * 2.0**-10, 2.0**-24)
    assert (np.abs(scale[:, 0] - ideal) <= spacing).all()


def test_a_scale_that_would_clip_is_rounded_up() -> None:
    """3.4 units of the smallest fp16 number: its nearest would leave 127 * 3 of 432."""
    unit = np.float32(2.0**-24)
    matrix = np.array([[127 * 3.4 * unit, -unit], [127 * 3.01 * unit, unit]], np.float32)
    compressed = int8_rows("w", matrix)
    assert compressed.scale is not None
    assert compressed.scale[:, 0].tolist() == [4 * unit, 3 * unit]
    assert compressed.levels.tolist() == [[108, 0], [127, 0]]


@pytest.mark.parametrize("size", [0.0, 1e-44, 2e-8])
def test_rows_and_blocks_below_fp16_are_zero(size: float) -> None:
    matrix = np.full((2, BLOCK), size, np.float32)
    for compressed in (int8_rows("w", matrix), int4_blocks("w", matrix)):
        assert not compressed.values().any()
        assert compressed.scale is not None
        assert (compressed.scale == SMALLEST_SCALE).all()


def test_values_are_rounded_to_fp16() -> None:
    """127 times a scale of 11 bits has 18."""
    compressed = int8_rows("w", np.array([[0.1, 0.0501]], np.float32))
    scale = float(np.float16(0.1 / 127))
    expected = np.array([[127 * scale, 64 * scale]]).astype(np.float16)
    np.testing.assert_array_equal(compressed.values(), expected.astype(np.float32))
    assert (compressed.values() != exact(compressed)).any()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(matrix=BLOCKS)
def test_blocks_have_their_nearest_levels(matrix: Float32) -> None:
    compressed = int4_blocks("w", matrix)
    assert (compressed.bits, compressed.table) == (4, None)
    assert compressed.scale is not None
    assert compressed.levels.shape == matrix.shape
    assert compressed.scale.shape == (len(matrix), matrix.shape[1] // BLOCK)
    assert np.abs(compressed.levels).max() <= 7
    limit = 7 * steps(compressed)
    error = np.abs(exact(compressed) - matrix.astype(np.float64).clip(-limit, limit))
    assert (error <= 0.5001 * steps(compressed)).all()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(matrix=BLOCKS)
def test_blocks_are_no_worse_than_without_clipping(matrix: Float32) -> None:
    compressed = int4_blocks("w", matrix)
    blocks = matrix.reshape(-1, BLOCK).astype(np.float64)
    plain = (np.abs(matrix).reshape(-1, BLOCK).max(axis=1) / np.float32(7)).astype(np.float16)
    step = np.maximum(plain, SMALLEST_SCALE).astype(np.float64)[:, None]
    unclipped = np.rint(blocks / step).clip(-7, 7) * step
    found = exact(compressed).reshape(-1, BLOCK)
    allowed = np.square(unclipped - blocks).sum(axis=1) * (1 + 1e-4) + 1e-20
    assert (np.square(found - blocks).sum(axis=1) <= allowed).all()


def test_clipping_pays_for_normal_weights() -> None:
    """As many bits, a tenth less squared error: the search is not for nothing."""
    matrix = np.random.default_rng(0).normal(size=(64, 256)).astype(np.float32)
    blocks = matrix.reshape(-1, BLOCK)
    step = (np.abs(blocks).max(axis=1) / 7)[:, None]
    plain = np.square(np.rint(blocks / step) * step - blocks).sum()
    found = np.square(int4_blocks("w", matrix).values() - matrix).sum()
    assert 0.86 < found / plain < 0.885


def test_the_best_of_all_scales_is_near() -> None:
    """Found by trying two hundred scales for every block; none is too large for its values."""
    matrix = np.random.default_rng(1).standard_t(5, size=(40, 3 * BLOCK)).astype(np.float32)
    compressed = int4_blocks("w", matrix)
    assert compressed.scale is not None
    blocks = matrix.reshape(-1, BLOCK).astype(np.float64)
    widest = np.abs(blocks).max(axis=1, keepdims=True) / 7
    best = np.full(len(blocks), np.inf)
    for share in np.linspace(0.4, 1, 200):
        levels = np.rint(blocks / (widest * share)).clip(-7, 7)
        best = np.minimum(best, np.square(levels * widest * share - blocks).sum(axis=1))
    found = np.square(exact(compressed).reshape(blocks.shape) - blocks).sum(axis=1)
    assert found.sum() < 1.03 * best.sum()
    assert (found < 1.25 * best).all()
    assert (compressed.scale.reshape(-1, 1) <= widest * (1 + 2.0**-10)).all()


def test_blocks_on_a_grid_are_exact() -> None:
    """Where nothing is lost, nothing is clipped."""
    levels = np.random.default_rng(0).integers(-7, 8, (8, 3 * BLOCK))
    levels[:, ::BLOCK] = 7
    matrix = (levels * np.repeat([0.25, 0.0625, 3.0], BLOCK)).astype(np.float32)
    compressed = int4_blocks("w", matrix)
    np.testing.assert_array_equal(compressed.values(), matrix)
    np.testing.assert_array_equal(compressed.levels, levels)


def test_every_block_stands_alone() -> None:
    """Also across the borders at which the search takes its work in pieces."""
    matrix = np.random.default_rng(0).normal(size=(300, 1024)).astype(np.float32)
    compressed = int4_blocks("w", matrix)
    assert compressed.scale is not None
    for row, column in ((0, 0), (127, 31), (128, 0), (299, 31)):
        part = slice(column * BLOCK, (column + 1) * BLOCK)
        alone = int4_blocks("w", matrix[row : row + 1, part])
        assert alone.scale is not None
        np.testing.assert_array_equal(compressed.levels[row, part], alone.levels[0])
        assert compressed.scale[row, column] == alone.scale[0, 0]


@pytest.mark.parametrize("columns", [1, BLOCK - 1, BLOCK + 1])
def test_rows_that_are_no_whole_blocks(columns: int) -> None:
    with pytest.raises(ValueError, match=f"rows of {columns} values are not whole blocks"):
        int4_blocks("w", np.ones((2, columns), np.float32))


@pytest.mark.parametrize("value", [65500.0, -70000.0, 1e9, 1e30])
def test_values_beyond_fp16_are_refused(value: float) -> None:
    matrix = np.zeros((2, BLOCK), np.float32)
    matrix[1, 3] = value
    for compress in (int8_rows, int4_blocks):
        with pytest.raises(UserError, match=r"layers\.0\.x has values beyond") as error:
            compress("layers.0.x", matrix)
        assert "--precision fp32" in error.value.next_step
    matrix[1, 3] = 65472
    for compress in (int8_rows, int4_blocks):
        assert np.isfinite(compress("layers.0.x", matrix).values()).all()
