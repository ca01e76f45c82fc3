"""The audit of compressed weights: one flipped bit in an index, a level, a scale or a table."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from small_models import small_model

from exporter.model.config import SourceModel
from exporter.quantization.compression import Compress, Compressed, Float32
from exporter.quantization.kept import KEPT
from exporter.quantization.schemes import find_scheme
from exporter.targets.base import Array, StoredTensor
from exporter.verification.audit import weight_audit
from exporter.verification.compressed_audit import compare_compressed
from exporter.verification.report import Check

pytestmark = pytest.mark.usefixtures("quick")

MATRIX, VECTOR, OTHER = "head.pooler.weight", "head.pooler.bias", "layers.0.attention.query.weight"
SCHEMES = ("int8_weights", "int4_weights", "palettized4", "palettized6")
#: Each of a matrix's stored parts that a scheme has.
PARTS = [
    ("int8_weights", "levels"),
    ("int8_weights", "scale"),
    ("int4_weights", "levels"),
    ("int4_weights", "scale"),
    ("palettized4", "levels"),
    ("palettized4", "table"),
    ("palettized6", "levels"),
    ("palettized6", "table"),
]

Change = Callable[[Compressed], Compressed]


def compress_of(scheme: str) -> Compress:
    compress = find_scheme(scheme).compress
    assert compress is not None
    return compress


def half(name: str, values: Array) -> StoredTensor:
    rounded = values.astype(np.float16).astype(np.float32)
    return StoredTensor(name, rounded, np.zeros_like(rounded[..., :1]), 16)


def opened(name: str, compressed: Compressed) -> StoredTensor:
    """As a target reads it back: values by its own arithmetic, the scale of every value."""
    levels = compressed.levels.astype(np.float64)
    rows, columns = levels.shape
    if compressed.scale is not None:
        step = compressed.scale.repeat(columns // compressed.scale.shape[1], axis=1)
        values = (levels * step).astype(np.float16).astype(np.float32)
        return StoredTensor(name, values, step.astype(np.float32), compressed.bits)
    assert compressed.table is not None
    parts = compressed.levels.reshape(len(compressed.table), -1)
    values = np.take_along_axis(compressed.table, parts.astype(np.int64), axis=1)
    values = values.reshape(rows, columns).astype(np.float32)
    return StoredTensor(name, values, np.zeros_like(values[:, :1]), compressed.bits)


def stored(
    model: SourceModel, compress: Compress, change: Change = lambda c: c
) -> Iterator[StoredTensor]:
    """Every weight as a target would store it, ``MATRIX`` after ``change``."""
    for name, tensor in model.weights.items():
        compressed = compress(name, tensor.numpy()) if tensor.ndim == 2 else None
        if compressed is None:
            yield half(name, tensor.numpy())
        else:
            yield opened(name, change(compressed) if name == MATRIX else compressed)


def audit(scheme: str, change: Change = lambda c: c) -> Check:
    model, compress = small_model(), compress_of(scheme)
    return weight_audit(stored(model, compress, change), model, model, compress)


def replaced(scheme: str, name: str, tensor: StoredTensor) -> Check:
    model, compress = small_model(), compress_of(scheme)
    tensors = [tensor if t.name == name else t for t in stored(model, compress)]
    return weight_audit(tensors, model, model, compress)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_compressed_weights_pass(scheme: str) -> None:
    check = audit(scheme)
    assert check.passed, check.detail
    assert check.measured["tensors"] == len(small_model().weights)
    kind = f"int{find_scheme(scheme).weight_bits}"
    assert 0.3 < check.measured[kind] <= 0.5001
    tensors = len(small_model().weights)
    assert check.detail == f"{tensors} tensors are, bit by bit, what the scheme makes of the source"


def flipped(values: Array, where: tuple[int, int], bit: int) -> Array:
    """One bit of the value there, as bytes have it."""
    changed = values.copy()
    changed.view(f"u{values.dtype.itemsize}")[where] ^= 1 << bit
    return changed


@pytest.mark.parametrize("bit", [0, 1, 2, 3])
@pytest.mark.parametrize(("scheme", "part"), PARTS)
def test_one_flipped_bit_is_refused(scheme: str, part: str, bit: int) -> None:
    """The lowest bits, which do the least. (In a sub-byte level, the highest too.)"""

    def change(compressed: Compressed) -> Compressed:
        values = getattr(compressed, part)
        where = (len(values) - 1, values.shape[1] // 2)
        return replace(compressed, **{part: flipped(values, where, bit)})

    check = audit(scheme, change)
    assert not check.passed
    assert check.detail.startswith(f"{MATRIX}: ")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_matrix_that_was_skipped_is_refused(scheme: str) -> None:
    """Left in fp16 (or fp32) though the scheme compresses it: the values are closer, not right."""
    values = small_model().weights[MATRIX].numpy()
    bits = find_scheme(scheme).weight_bits
    for tensor, found in (
        (half(MATRIX, values), 16),
        (StoredTensor(MATRIX, values, np.zeros((1, 1), np.float32), 32), 32),
    ):
        check = replaced(scheme, MATRIX, tensor)
        assert not check.passed
        assert f"stored with {found} bits, its scheme says {bits}" in check.detail


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", [*sorted(KEPT), VECTOR])
def test_what_stays_fp16_has_to_be_exact(name: str, scheme: str) -> None:
    tensor = half(name, small_model().weights[name].numpy())
    assert replaced(scheme, name, tensor).passed
    values = tensor.values.copy()
    values.flat[3] = np.nextafter(np.float16(values.flat[3]), np.float16(9))
    for wrong in (replace(tensor, values=values), replace(tensor, bits=32)):
        check = replaced(scheme, name, wrong)
        assert not check.passed
        assert check.detail.startswith(f"{name}: ")


def test_a_kept_matrix_that_was_compressed_is_refused() -> None:
    name = "head.classifier.weight"
    compress = compress_of("int8_weights")
    compressed = compress("head.other.weight", small_model().weights[name].numpy())
    assert compressed is not None
    check = replaced("int8_weights", name, opened(name, compressed))
    assert "stored with 8 bits, its scheme says 16" in check.detail


@pytest.mark.parametrize("scheme", SCHEMES)
def test_another_matrix_of_that_shape_is_refused(scheme: str) -> None:
    """Query's values under key's name."""
    other = OTHER.replace("query", "key")
    compressed = compress_of(scheme)(OTHER, small_model().weights[OTHER].numpy())
    assert compressed is not None
    assert not replaced(scheme, other, opened(other, compressed)).passed


def test_half_the_scale_and_twice_the_levels_are_refused() -> None:
    """The same values, but not what the scheme stores."""

    def change(compressed: Compressed) -> Compressed:
        assert compressed.scale is not None
        levels = np.where(np.arange(len(compressed.levels))[:, None] == 3, 2, 1)
        return replace(
            compressed,
            levels=(compressed.levels.astype(np.int16) * levels),
            scale=(compressed.scale / levels).astype(np.float16),
        )

    check = audit("int8_weights", change)
    assert "row 3 has step" in check.detail


@pytest.mark.parametrize("scheme", ["int8_weights", "int4_weights"])
def test_the_sign_of_zero_counts(scheme: str) -> None:
    """A flipped bit that no arithmetic sees."""
    model, compress = small_model(), compress_of(scheme)
    model.weights[MATRIX][3] = 0
    tensors = list(stored(model, compress))
    assert weight_audit(tensors, model, model, compress).passed
    (at,) = (i for i, t in enumerate(tensors) if t.name == MATRIX)
    values = tensors[at].values.copy()
    values[3, 2] = -values[3, 2]
    tensors[at] = replace(tensors[at], values=values)
    assert not weight_audit(tensors, model, model, compress).passed


def nearest_first(matrix: Float32) -> Compressed:
    """A correct compression by hand: rows of three levels, or tables of two entries."""
    return Compressed(
        np.rint(matrix).astype(np.int8), 4, scale=np.ones((len(matrix), 1), np.float16)
    )


def test_a_scheme_that_rounds_wrongly_is_refused() -> None:
    """Bit equality alone would believe whatever the scheme's own code makes."""
    matrix = np.array([[0.4, -2.4, 9.0], [1.6, 0.0, -7.4]], np.float32)
    healthy = nearest_first(matrix.clip(-7, 7))
    assert compare_compressed(opened("w", healthy), matrix, healthy, 0) == ("", pytest.approx(0.4))
    levels = healthy.levels.copy()
    levels[1, 0] -= 1
    wrong = replace(healthy, levels=levels)
    problem, error = compare_compressed(opened("w", wrong), matrix, wrong, 0)
    assert problem == "at (1, 0) stored 1, source 1.60000002 (0.6 steps)"
    assert error == pytest.approx(0.6)


def test_an_entry_that_is_not_the_nearest_is_refused() -> None:
    """Two parts of one row; the last entries are equal, as where a table is not full."""
    table = np.array([[-1, 0, 4, 4], [0, 1, 2, 2]], np.float16)
    matrix = np.array([[-3, -0.6, 1.9, 50], [0.4, 0.6, 1.5, 9]], np.float32)
    levels = np.array([[0, 0, 1, 2], [0, 1, 1, 2]], np.uint8)
    healthy = Compressed(levels, 2, table=table)
    problem, error = compare_compressed(opened("w", healthy), matrix, healthy, 0)
    assert (problem, error) == ("", 0.5)
    for where, entry in (((0, 1), 1), ((0, 2), 2), ((0, 3), 1), ((1, 0), 1), ((1, 3), 1)):
        changed = levels.copy()
        changed[where] = entry
        wrong = replace(healthy, levels=changed)
        problem, error = compare_compressed(opened("w", wrong), matrix, wrong, 0)
        assert problem.startswith(f"at {where} stored"), where
        assert error > 0.5


def coarse_rows(name: str, matrix: Float32) -> Compressed | None:
    """One scale for the whole matrix."""
    right = compress_of("int8_weights")(name, matrix)
    if right is None or right.scale is None:
        return right
    scale = np.full_like(right.scale, right.scale.max())
    levels = np.rint(matrix / scale.astype(np.float32)).astype(np.int8)
    return replace(right, levels=levels, scale=scale)


def coarse_blocks(name: str, matrix: Float32) -> Compressed | None:
    """Scales that are half as large again."""
    right = compress_of("int4_weights")(name, matrix)
    if right is None or right.scale is None:
        return right
    scale = (np.abs(matrix).reshape(*right.scale.shape, -1).max(axis=2) / 7 * 1.5).astype(
        np.float16
    )
    wide = scale.astype(np.float32).repeat(matrix.shape[1] // scale.shape[1], axis=1)
    return replace(right, levels=np.rint(matrix / wide).astype(np.int8), scale=scale)


def coarse_tables(name: str, matrix: Float32) -> Compressed | None:
    """Even entries that reach twice as far as the values."""
    right = compress_of("palettized6")(name, matrix)
    if right is None or right.table is None:
        return right
    reach = 2 * np.abs(matrix).max()
    table = np.linspace(-reach, reach, right.table.shape[1], dtype=np.float32).astype(np.float16)
    nearest = np.abs(matrix[:, :, None] - table.astype(np.float32)).argmin(axis=2)
    return replace(right, levels=nearest.astype(np.uint8), table=table[None])


@pytest.mark.parametrize(
    ("poor", "problem"),
    [
        (coarse_rows, "its values need"),
        (coarse_blocks, "its values need"),
        (coarse_tables, "than even steps do"),
    ],
)
def test_a_scheme_that_wastes_its_levels_is_refused(poor: Compress, problem: str) -> None:
    """The artifact is what the scheme says, bit by bit: what is wrong is the scheme."""
    model = small_model()
    check = weight_audit(stored(model, poor), model, model, poor)
    assert not check.passed
    assert problem in check.detail
