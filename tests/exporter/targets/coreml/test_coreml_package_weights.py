"""Every type of weight that coremltools writes is read back, and decompressed as it does."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from written_packages import WEIGHTS, small_type, write_package

from exporter.quiet import apart
from exporter.targets.base import Array
from exporter.targets.coreml.interpreter import Constant, Interpreter, Package, open_package

#: 15 values: no whole bytes of 1, 2, 3, 4 or 6 bits each. 10 is the least that goes to a file.
_SHAPE = (5, 3)


def _random(shape: tuple[int, ...], low: int, high: int) -> Array:
    return np.random.default_rng(0).integers(low, high, shape)


def _halves(*shape: int) -> Array:
    return np.random.default_rng(1).standard_normal(shape).astype(np.float16)


def _operands(package: Package, kind: str) -> dict[str, Constant]:
    (found,) = [o for o in package.program.operations if o.kind == kind]
    return {name: value for name, value in found.operands.items() if isinstance(value, Constant)}


def _written(folder: Path, kind: str, deployment: str, **operands: Any) -> tuple[Package, Array]:
    """The package of one constexpr operator; with it the value that coremltools gives it."""
    values: list[Array] = []

    def build(mb: Any, x: Any) -> Any:
        weight = getattr(mb, kind)(**operands, name="weight")
        values.append(weight.op.materialized_val_inference())
        row = mb.gather(x=weight, indices=x, axis=0, validate_indices=False)
        return mb.cast(x=row, dtype="fp32", name="rows")

    path = write_package(folder / "model.mlpackage", build, deployment)
    return open_package(path), values[0]


def _check(package: Package, wanted: Array) -> None:
    interpreter = Interpreter(package)
    assert wanted.dtype == np.float16
    np.testing.assert_array_equal(interpreter.weight("weight"), wanted.astype(np.float32))
    indices = np.array([[2, 0, 4, 2]], np.int32)
    for _ in range(2):
        found = interpreter.run({"x": indices}, taps=("weight",))
        np.testing.assert_array_equal(found["rows"], wanted[indices].astype(np.float32))
        np.testing.assert_array_equal(found["weight"], wanted.astype(np.float32))


@pytest.mark.parametrize("dtype", ["int4", "uint4", "int8", "uint8"])
def test_levels_in_blocks(dtype: str, tmp_path: Path) -> None:
    bits = int(dtype.removeprefix("u").removeprefix("int"))
    low = -(1 << (bits - 1)) if dtype.startswith("int") else 0
    levels = _random(_SHAPE, low, low + (1 << bits))
    stored = small_type(levels, dtype) if bits < 8 else levels.astype(dtype)
    offset = stored[:, :1]
    package, wanted = _written(
        tmp_path,
        "constexpr_blockwise_shift_scale",
        "iOS18",
        data=stored,
        scale=_halves(5, 1),
        offset=offset,
    )
    operands = _operands(package, "constexpr_blockwise_shift_scale")
    assert (operands["data"].dtype, operands["data"].bits) == (dtype, bits)
    np.testing.assert_array_equal(operands["data"].values(), levels)
    np.testing.assert_array_equal(operands["offset"].values(), levels[:, :1])
    assert operands["scale"].values().dtype == np.float16
    _check(package, wanted)
    assert (tmp_path / "model.mlpackage" / WEIGHTS).is_file()


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 6, 8])
def test_tables_for_parts(bits: int, tmp_path: Path) -> None:
    indices = _random(_SHAPE, 0, 1 << bits)
    dtype = f"uint{bits}"
    stored = small_type(indices, dtype) if bits < 8 else indices.astype(np.uint8)
    package, wanted = _written(
        tmp_path,
        "constexpr_lut_to_dense",
        "iOS18",
        indices=stored,
        lut=_halves(5, 1, 1 << bits, 1),
    )
    operands = _operands(package, "constexpr_lut_to_dense")
    assert (operands["indices"].dtype, operands["indices"].bits) == (dtype, bits)
    assert len(operands["indices"].content) == -(-15 * bits // 8)
    np.testing.assert_array_equal(operands["indices"].values(), indices)
    _check(package, wanted)


@pytest.mark.parametrize("bits", [1, 2, 4, 6, 8])
def test_a_packed_table(bits: int, tmp_path: Path) -> None:
    indices = _random(_SHAPE, 0, 1 << bits)
    with apart():
        from coremltools.optimize import _utils

    package, wanted = _written(
        tmp_path,
        "constexpr_lut_to_dense",
        "iOS17",
        indices=_utils.pack_elements_into_bits(indices.astype(np.uint8), bits),
        lut=_halves(1 << bits),
        shape=np.array(_SHAPE, np.uint32),
    )
    _check(package, wanted)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("axis", [0, 1])
def test_affine_levels(dtype: str, axis: int, tmp_path: Path) -> None:
    low = -128 if dtype == "int8" else 0
    package, wanted = _written(
        tmp_path,
        "constexpr_affine_dequantize",
        "iOS17",
        quantized_data=_random(_SHAPE, low, low + 256).astype(dtype),
        zero_point=_random((_SHAPE[axis],), low, low + 256).astype(dtype),
        scale=_halves(_SHAPE[axis]),
        axis=np.int32(axis),
    )
    _check(package, wanted)


@pytest.mark.parametrize("deployment", ["iOS17", "iOS18"])
def test_sparse_weights(deployment: str, tmp_path: Path) -> None:
    mask = _random(_SHAPE, 0, 2)
    operands: dict[str, Any] = {"nonzero_data": _halves(int(mask.sum()))}
    if deployment == "iOS17":
        operands["mask"] = np.packbits(mask.reshape(-1), bitorder="little")
        operands["shape"] = np.array(_SHAPE, np.uint32)
    else:
        operands["mask"] = small_type(mask, "uint1")
    package, wanted = _written(tmp_path, "constexpr_sparse_to_dense", deployment, **operands)
    _check(package, wanted)


_PLAIN = {
    "float16": _halves(4, 5),
    "float32": _halves(4, 5).astype(np.float32),
    "int32": _random((4, 5), -(2**31), 2**31).astype(np.int32),
    "bool": _random((4, 5), 0, 2).astype(bool),
    "int16": _random((4, 5), -(2**15), 2**15).astype(np.int16),
    "uint16": _random((4, 5), 0, 2**16).astype(np.uint16),
    "int8": _random((4, 5), -128, 128).astype(np.int8),
    "uint8": _random((4, 5), 0, 256).astype(np.uint8),
}


@pytest.mark.parametrize("dtype", _PLAIN)
@pytest.mark.parametrize("few", [False, True])
@pytest.mark.parametrize("deployment", ["iOS17", "iOS18"])
def test_constants_in_the_file_and_in_the_model(
    dtype: str, few: bool, deployment: str, tmp_path: Path
) -> None:
    """Fewer than 10 numbers stay in the model; iOS 17 has only some types in the file."""
    values = _PLAIN[dtype][:1] if few else _PLAIN[dtype]

    def build(mb: Any, x: Any) -> Any:
        del x
        row = mb.reshape(x=mb.const(val=values, name="numbers"), shape=[-1])
        return mb.cast(x=row, dtype="int32" if dtype == "int32" else "fp32")

    package = open_package(write_package(tmp_path / "m.mlpackage", build, deployment))
    constant = _operands(package, "reshape")["x"]
    assert (constant.name, constant.dtype, constant.shape) == ("numbers", dtype, values.shape)
    np.testing.assert_array_equal(constant.values(), values)
    assert constant.values().dtype == values.dtype
    (found,) = Interpreter(package).run({"x": np.zeros((1, 4), np.int32)}).values()
    np.testing.assert_array_equal(found, values.astype(found.dtype).reshape(-1))
