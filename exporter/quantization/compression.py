"""Compressed matrices as such: what is stored, and the values that it stands for."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from exporter.model.config import SourceModel

Array = npt.NDArray[Any]
Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Compressed:
    """A matrix [rows, columns] in few bits a value.

    ``levels`` [rows, columns] are int8 levels that ``scale`` multiplies, or uint8 indices into
    ``table``. ``scale`` is float16 [rows, blocks]: each of a row's equal blocks of neighbours has
    one. ``table`` is float16 [parts, 2 ** bits]: each of the matrix's equal parts, which are
    neighbouring rows, has one. One of the two is None.
    """

    levels: Array
    bits: int
    scale: Array | None = None
    table: Array | None = None

    def values(self) -> Float32:
        """[rows, columns]: what the levels stand for, rounded to fp16 as runtimes do."""
        rows, columns = self.levels.shape
        if self.table is not None:
            part = np.arange(rows) * len(self.table) // rows
            found: Float32 = self.table[part[:, None], self.levels].astype(np.float32)
            return found
        assert self.scale is not None
        step = self.scale.astype(np.float32).repeat(columns // self.scale.shape[1], axis=1)
        product: Float32 = (self.levels * step).astype(np.float16).astype(np.float32)
        return product


#: What becomes of the matrix of that name; None: it stays as wide as the scheme computes.
Compress = Callable[[str, Float32], Compressed | None]


def compressed_model(model: SourceModel, compress: Compress) -> SourceModel:
    """The model on the values that its compressed matrices stand for; the others are as they were.

    UserError for a matrix that cannot be compressed.
    """
    weights = {}
    for name, tensor in model.weights.items():
        compressed = compress(name, tensor.numpy()) if tensor.ndim == 2 else None
        weights[name] = tensor if compressed is None else torch.from_numpy(compressed.values())
    return replace(model, weights=weights)
