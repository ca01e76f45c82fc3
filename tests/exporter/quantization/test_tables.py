"""Tables by k-means: exact where they can be, near the best where they cannot."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from exporter.errors import UserError
from exporter.quantization.compression import Float32
from exporter.quantization.tables import palettize

ELEMENTS = st.one_of(*(st.floats(-size, size, width=32) for size in (9, 2.0**-17, 60000)))
MATRICES = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 3).map(lambda parts: 2 * parts), st.integers(1, 40)),
    elements=ELEMENTS,
)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(matrix=MATRICES, bits=st.integers(1, 6), whole=st.booleans())
def test_every_value_has_its_nearest_entry(matrix: Float32, bits: int, whole: bool) -> None:
    part_rows = len(matrix) if whole else 2
    compressed = palettize("w", matrix, bits, part_rows)
    table = compressed.table
    assert table is not None
    assert (compressed.bits, compressed.scale) == (bits, None)
    assert (compressed.levels.dtype, table.dtype) == (np.uint8, np.float16)
    assert table.shape == (len(matrix) // part_rows, 1 << bits)
    assert (np.diff(table.astype(np.float64)) >= 0).all()
    assert compressed.levels.max() < 1 << bits
    for row, values in enumerate(matrix):
        entries = table[row // part_rows].astype(np.float64)
        error = np.abs(values[:, None] - entries)
        # The first of the nearest: half-way the lower one is taken.
        np.testing.assert_array_equal(compressed.values()[row], entries[error.argmin(axis=1)])
        np.testing.assert_array_equal(entries[compressed.levels[row]], compressed.values()[row])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data(), bits=st.integers(1, 4), whole=st.booleans())
def test_few_different_values_are_exact(data: st.DataObject, bits: int, whole: bool) -> None:
    """Whatever they are, and however often each occurs."""
    shape = data.draw(st.tuples(st.sampled_from([2, 4]), st.integers(1, 50)))
    halves = st.floats(-65504, 65504, width=16)
    rows = []
    palette = data.draw(st.lists(halves, min_size=1, max_size=1 << bits))
    for index in range(shape[0] // 2):
        if index and not whole:
            palette = data.draw(st.lists(halves, min_size=1, max_size=1 << bits))
        rows.append(
            data.draw(arrays.arrays(np.float32, (2, shape[1]), elements=st.sampled_from(palette)))
        )
    matrix = np.concatenate(rows)
    compressed = palettize("w", matrix, bits, shape[0] if whole else 2)
    np.testing.assert_array_equal(compressed.values(), matrix)


def entry_of(value: float, *others: tuple[float, int]) -> float:
    """What stands for ``value`` beside two others, each so often that they are the entries."""
    matrix = np.concatenate([[value], *(np.full(count, other) for other, count in others)])
    compressed = palettize("w", matrix[None].astype(np.float32), 1, 1)
    assert compressed.table is not None
    assert compressed.table[0].tolist() == [other for other, _ in others]
    return float(compressed.values()[0, 0])


def test_half_way_between_two_entries() -> None:
    assert entry_of(1536, (1024, 4000), (2048, 4000)) == 1024
    assert entry_of(1537, (1024, 4000), (2048, 4000)) == 2048
    assert entry_of(-1536, (-2048, 4000), (-1024, 4000)) == -2048
    # The midpoint is a little less than 512, and 512 the nearest fp32 number to it.
    assert entry_of(512, (-(2.0**-20), 4004), (1024, 4000)) == 1024


@pytest.mark.parametrize("part_rows", [1, 2])
def test_zero_has_one_sign(part_rows: int) -> None:
    """Which of two equal values a machine sorts last must not matter."""
    for zeros in ((0.0, -0.0), (-0.0, 0.0)):
        compressed = palettize(
            "w", np.array([[-1, *zeros], [-2, *zeros]], np.float32), 2, part_rows
        )
        assert compressed.table is not None
        assert not np.signbit(compressed.table[compressed.table == 0]).any()


def least_error(values: np.ndarray, entries: int) -> float:
    """The least squared error that any table has, by dynamic programming over its last range."""
    values = np.sort(values.astype(np.float64))
    sums, squares = (np.concatenate([[0], np.cumsum(values**power)]) for power in (1, 2))
    best = np.where(np.arange(len(sums)) == 0, 0, np.inf)
    for _ in range(entries):
        longer = best.copy()
        for end in range(1, len(sums)):
            start = np.arange(end)
            error = squares[end] - squares[start] - (sums[end] - sums[start]) ** 2 / (end - start)
            longer[end] = (best[start] + error).min()
        best = longer
    return float(best[-1])


def test_tables_are_near_the_best() -> None:
    """Lloyd's algorithm may stand still early; on the whole it does well."""
    matrix = np.random.default_rng(0).standard_t(5, size=(6, 400)).astype(np.float16)
    found = np.square(palettize("w", matrix.astype(np.float32), 4, 1).values() - matrix).sum()
    best = sum(least_error(row, 16) for row in matrix)
    assert best < found < 1.15 * best


@pytest.mark.parametrize(("bits", "distortion"), [(1, 0.3634), (2, 0.1175), (4, 0.009497)])
def test_tables_of_normal_values_are_the_known_best(bits: int, distortion: float) -> None:
    """Max, Quantizing for Minimum Distortion (1960), table I."""
    matrix = np.random.default_rng(0).normal(size=(64, 1024)).astype(np.float32)
    error = np.square(palettize("w", matrix, bits, 64).values() - matrix).mean()
    assert error == pytest.approx(distortion, rel=0.04)


def test_outliers_get_entries_of_their_own() -> None:
    """And take none from the others, as evenly spaced entries would."""
    generator = np.random.default_rng(0)
    matrix = generator.normal(size=(16, 256)).astype(np.float32)
    plain = np.square(palettize("w", matrix, 4, 16).values() - matrix).mean()
    matrix[3, 5], matrix[9, 200] = 500, -300
    compressed = palettize("w", matrix, 4, 16)
    error = np.square(compressed.values() - matrix).mean()
    np.testing.assert_array_equal(compressed.values()[[3, 9], [5, 200]], [500, -300])
    assert error < 1.6 * plain


def test_mostly_zero() -> None:
    """A pruned matrix: the zeros are exact, and the other entries serve the rest."""
    generator = np.random.default_rng(0)
    matrix = generator.normal(size=(16, 256)) * (generator.random((16, 256)) < 0.1)
    compressed = palettize("w", matrix.astype(np.float32), 4, 16)
    rest = matrix[matrix != 0]
    error = np.square(compressed.values() - matrix)
    assert np.abs(compressed.values()[matrix == 0]).max() < 0.01
    assert error[matrix != 0].mean() < 0.02 * np.square(rest).mean()
    assert compressed.table is not None
    assert len(set(compressed.table[0].tolist())) == 16


@pytest.mark.parametrize("part_rows", [1, 2, 8])
def test_every_part_stands_alone(part_rows: int) -> None:
    """Also across the borders at which the work is taken in pieces."""
    scale = np.repeat([1, 1e-3, 40, 5e-2], 2)[:, None]
    matrix = (np.random.default_rng(0).normal(size=(8, 40000)) * scale).astype(np.float32)
    compressed = palettize("w", matrix, 4, part_rows)
    for start in range(0, 8, part_rows):
        rows = slice(start, start + part_rows)
        alone = palettize("w", matrix[rows], 4, part_rows)
        np.testing.assert_array_equal(compressed.values()[rows], alone.values())


def test_one_table_is_that_of_the_parts() -> None:
    """Counted values of a whole matrix, and sorted ones of its parts: the same means."""
    matrix = np.random.default_rng(0).normal(size=(16, 300)).astype(np.float32)
    one = palettize("w", matrix, 4, 16)
    twice = palettize("w", np.concatenate([matrix, matrix]), 4, 16)
    assert one.table is not None
    assert twice.table is not None
    np.testing.assert_array_equal(twice.table, np.concatenate([one.table, one.table]))


def test_the_order_of_values_does_not_matter() -> None:
    """Machines sort and add in other orders: the tables have to be the same."""
    generator = np.random.default_rng(0)
    matrix = (generator.normal(size=(16, 500)) * 30).astype(np.float32)
    matrix[0, :9], matrix[1, :9] = 0.0, -0.0
    mixed = generator.permutation(matrix.ravel()).reshape(matrix.shape)
    for rows in (matrix, np.concatenate([matrix, matrix])):
        other = mixed if len(rows) == 16 else np.concatenate([mixed, mixed])
        one, two = palettize("w", rows, 4, 16).table, palettize("w", other, 4, 16).table
        assert one is not None
        assert two is not None
        assert one.tobytes() == two.tobytes()


def test_values_beyond_fp16_are_refused() -> None:
    matrix = np.array([[0, 65520]], np.float32)
    with pytest.raises(UserError, match=r"layers\.0\.x has values beyond"):
        palettize("layers.0.x", matrix, 4, 1)
    matrix[0, 1] = 65519
    np.testing.assert_array_equal(palettize("w", matrix, 4, 1).values(), [[0, 65504]])
