"""Quantized matrices as constants of a graph, and the nodes that make of them what is computed.

int4 levels and the multipliers of their blocks are kept in 4 bits. Nodes that read only constants
make int8 levels of both, which the runtime does once, while loading: products are those of int8.
"""

import ml_dtypes
import numpy as np

from exporter.quantization.rounding import BLOCK, TABLE_BLOCK, Rounded, UInt8
from exporter.targets.base import Array
from exporter.targets.onnx.arithmetic import table_rows
from exporter.targets.onnx.graph import FLOAT, INT8, INT32, GraphBuilder

#: The smallest opset that has the type int4.
INT4_OPSET = 21

#: What is added to the levels of a table, so that they are positive: -7 to 7 are 1 to 15.
_OFFSET = 8


def int8_constants(graph: GraphBuilder, name: str, rounded: Rounded) -> tuple[str, str]:
    """Levels [inputs, outputs] and scale [outputs] of a matrix [outputs, inputs]."""
    levels = graph.constant(f"{name}/int8", rounded.levels.T)
    return levels, graph.constant(f"{name}/scale", rounded.scale[:, 0])


def int4_constants(graph: GraphBuilder, name: str, rounded: Rounded) -> tuple[str, str]:
    """int8 levels [inputs, outputs] and scale [outputs], from two levels of int4.

    Kept are the levels [outputs, inputs], the multipliers less one [outputs, blocks] (1 to 16 in
    four bits), and the scale.
    """
    multiplier = rounded.multiplier
    if multiplier is None:
        raise ValueError(f"{name} has no multipliers")
    rows, blocks = multiplier.shape
    levels = graph.constant(f"{name}/int4", rounded.levels.astype(ml_dtypes.int4))
    factors = graph.constant(f"{name}/multiplier", (multiplier - 1).astype(ml_dtypes.uint4))
    wide = graph.node("Cast", [levels], to=INT32)
    wide = graph.node("Reshape", [wide, graph.shape_constant(rows, blocks, BLOCK)])
    factors = graph.node("Cast", [factors], to=INT32)
    factors = graph.node("Add", [factors, graph.constant("levels/one", np.array(1, np.int32))])
    factors = graph.node("Reshape", [factors, graph.shape_constant(rows, blocks, 1)])
    product = graph.node("Mul", [wide, factors])
    product = graph.node("Reshape", [product, graph.shape_constant(rows, blocks * BLOCK)])
    product = graph.node("Cast", [product], to=INT8)
    product = graph.node("Transpose", [product], perm=[1, 0])
    return product, graph.constant(f"{name}/scale", rounded.scale[:, 0])


def int8_table(graph: GraphBuilder, name: str, rounded: Rounded) -> tuple[str, str]:
    """Levels [rows, columns] and scale [rows] of a table."""
    levels = graph.constant(f"{name}/int8", rounded.levels)
    return levels, graph.constant(f"{name}/scale", rounded.scale[:, 0])


def int8_rows(
    graph: GraphBuilder, name: str, rounded: Rounded, indices: str | None, stop: str
) -> str:
    """Rows of an int8 table: at ``indices``, or the first ``stop``."""
    stored, scales = int8_table(graph, name, rounded)
    rows = graph.node("Cast", [table_rows(graph, stored, indices, stop)], to=FLOAT)
    scale = table_rows(graph, scales, indices, stop)
    scale = graph.node("Unsqueeze", [scale, graph.shape_constant(-1)])
    return graph.node("Mul", [rows, scale])


def int4_rows(
    graph: GraphBuilder, name: str, rounded: Rounded, indices: str | None, stop: str
) -> str:
    """Rows of an int4 table: at ``indices`` [B, T], or the first ``stop``.

    By standard operators on packed bytes. ONNX has no Gather of int4, and ONNX Runtime's
    GatherBlockQuantized (1.31) gives an answer for an index beyond the table.
    """
    packed = graph.constant(f"{name}/packed", pack_halves(rounded.levels))
    scales = graph.constant(f"{name}/scale", rounded.scale.astype(np.float16))
    pairs = table_rows(graph, packed, indices, stop)
    low = graph.node("BitwiseAnd", [pairs, graph.constant("levels/low", np.array(15, np.uint8))])
    bits = graph.constant("levels/bits", np.array(4, np.uint8))
    high = graph.node("BitShift", [pairs, bits], direction="RIGHT")
    levels = graph.node("Cast", [graph.concat([low, high])], to=FLOAT)
    levels = graph.node("Sub", [levels, graph.constant("levels/offset", float(_OFFSET))])
    columns = rounded.levels.shape[1]
    kept = (0,) if indices is None else (0, 0)
    shape = graph.shape_constant(*kept, columns // TABLE_BLOCK, TABLE_BLOCK)
    scale = graph.node("Cast", [table_rows(graph, scales, indices, stop)], to=FLOAT)
    scale = graph.node("Unsqueeze", [scale, graph.shape_constant(-1)])
    values = graph.node("Mul", [graph.node("Reshape", [levels, shape]), scale])
    return graph.node("Reshape", [values, graph.shape_constant(*kept, columns)])


def pack_halves(levels: Array) -> UInt8:
    """int4 levels [rows, columns] as bytes [rows, columns / 2].

    The lower four bits hold the first half of a row and the upper four the second, so that the
    halves come apart without being woven into each other.
    """
    first, second = np.split((levels + _OFFSET).astype(np.uint8), 2, axis=1)
    packed: UInt8 = np.bitwise_or(first, second << 4, dtype=np.uint8)
    return packed


def unpack_halves(packed: Array) -> Array:
    """The inverse of ``pack_halves``."""
    levels: Array = np.concatenate([packed & 15, packed >> 4], axis=1).astype(np.int8) - _OFFSET
    return levels
