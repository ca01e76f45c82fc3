"""A source's weights as constants of a program: as they are, or compressed.

Every constant (or the result of the operator that decompresses it) carries the canonical name of
its weight, see ``identifier``; the names of all else in a program have no double underscore.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from coremltools.converters.mil import Builder
from coremltools.converters.mil.mil.types import type_mapping

from exporter.errors import UserError
from exporter.quantization.compression import Compress, Compressed
from exporter.quantization.rounding import round_to_fp16
from exporter.targets.base import Array
from exporter.targets.coreml.form import Deployment


def identifier(name: str) -> str:
    """A canonical name as an identifier of a program, which has no dots."""
    return name.replace(".", "__")


class Weights:
    """The weights of one program, each made when it is first asked for, and only once.

    ``dtype`` is what the program computes in: float16 or float32.
    """

    def __init__(
        self,
        values: Mapping[str, torch.Tensor],
        dtype: type[np.floating[Any]],
        compress: Compress | None,
        deployment: Deployment,
    ) -> None:
        self.dtype = dtype
        self._values = values
        self._compress = compress
        self._deployment = deployment
        self._made: dict[str, Any] = {}

    def vector(self, name: str) -> Any:
        """A bias, or a gain or shift of a LayerNorm. UserError for values beyond fp16's range."""
        return self._once(name, lambda: self._plain(name, self._source(name)))

    def matrix(self, name: str, kernel: int = 0) -> Any:
        """A matrix [rows, columns] with ``kernel`` axes of size 1 after them, for convolutions."""
        return self._once(name, lambda: self._matrix(name, (1,) * kernel))

    def _once(self, name: str, make: Callable[[], Any]) -> Any:
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]

    def _source(self, name: str) -> Array:
        return self._values[name].numpy()

    def _matrix(self, name: str, kernel: tuple[int, ...]) -> Any:
        matrix = self._source(name)
        compressed = None if self._compress is None else self._compress(name, matrix)
        if compressed is None:
            return self._plain(name, matrix.reshape(*matrix.shape, *kernel))
        if self._deployment == "iOS17":
            return _compressed_for_ios17(name, compressed, kernel)
        return _compressed_for_ios18(name, compressed, kernel)

    def _plain(self, name: str, values: Array) -> Any:
        if self.dtype is np.float16:
            values = round_to_fp16(name, values)
        return Builder.const(val=values.astype(self.dtype, copy=False), name=identifier(name))


def _compressed_for_ios18(name: str, compressed: Compressed, kernel: tuple[int, ...]) -> Any:
    """Levels in blocks, or indices into tables; both are stored in their own number of bits."""
    rows, columns = compressed.levels.shape
    levels = compressed.levels.reshape(rows, columns, *kernel)
    if compressed.table is None:
        assert compressed.scale is not None
        scale = compressed.scale.reshape(*compressed.scale.shape, *kernel)
        return Builder.constexpr_blockwise_shift_scale(
            data=levels.astype(_stored_type(f"int{compressed.bits}")),
            scale=scale,
            name=identifier(name),
        )
    parts, entries = compressed.table.shape
    # A table for each part of the rows, the only one for columns and kernel; entries are numbers,
    # not vectors.
    table = compressed.table.reshape(parts, 1, *kernel, entries, 1)
    return Builder.constexpr_lut_to_dense(
        indices=levels.astype(_stored_type(f"uint{compressed.bits}")),
        lut=table,
        name=identifier(name),
    )


def _compressed_for_ios17(name: str, compressed: Compressed, kernel: tuple[int, ...]) -> Any:
    """int8 with one scale a row, or one table. UserError for what came with iOS 18."""
    rows, columns = compressed.levels.shape
    if compressed.table is not None and len(compressed.table) == 1:
        return Builder.constexpr_lut_to_dense(
            indices=_packed(compressed.levels, compressed.bits),
            lut=compressed.table[0],
            shape=np.array((rows, columns, *kernel), np.uint32),
            name=identifier(name),
        )
    scale = compressed.scale
    if scale is None or scale.shape[1] > 1 or compressed.bits != 8:
        raise UserError(
            f"{name} is compressed in blocks or parts, which iOS 17 does not have.",
            "Choose --precision int8 for iOS 17.",
        )
    return Builder.constexpr_affine_dequantize(
        quantized_data=compressed.levels.reshape(rows, columns, *kernel).astype(np.int8),
        zero_point=np.int8(0),
        scale=scale[:, 0],
        axis=0,
        name=identifier(name),
    )


def _stored_type(name: str) -> Any:
    """numpy's type for a type of Core ML: for less than a byte, a byte that says so."""
    return type_mapping.string_to_nptype(name)


def _packed(indices: Array, bits: int) -> Array:
    """Indices one after another without gaps, the least significant bit first: uint8 [M]."""
    single = np.unpackbits(indices.reshape(-1, 1), axis=1, count=bits, bitorder="little")
    return np.packbits(single, bitorder="little")
