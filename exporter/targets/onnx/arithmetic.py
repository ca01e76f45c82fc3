"""How linear layers and embedding tables are computed and stored: here all in floating point.

Float streams are rows [B * T, C], because only two-dimensional products (Gemm) use pre-packed
weights together with an addend; those of ``mixed`` keep [B, T, C], which integer products take as
it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from exporter.quantization.rounding import Float32
from exporter.targets.onnx.graph import FLOAT, GraphBuilder
from exporter.targets.onnx.names import StoredName

Weights = Mapping[str, Float32]


@dataclass(frozen=True)
class Operand:
    """The input of a product. Float operands have no scale and zero point.

    ``row_scale`` [B, T, 1] multiplies the rows of the result, where every row has a scale.
    """

    values: str
    scale: str = ""
    zero_point: str = ""
    row_scale: str = ""


class Arithmetic(Protocol):
    """Everything that depends on the precision."""

    def enter(self, hidden: str) -> str:
        """[B, T, H] -> this arithmetic's form of a stream."""
        ...

    def leave(self, hidden: str) -> str:
        """This arithmetic's form of a stream -> rows [N, H]."""
        ...

    def sequence(self, block: str, width: int, first_only: bool) -> str:
        """A block of a stream -> [B, T, width] ([B, 1, width] with ``first_only``)."""
        ...

    def operands(self, layer: str, tensors: Sequence[str]) -> list[Operand]:
        """Prepare the input of ``layer``, whole or in blocks of channels (int8: quantize it)."""
        ...

    def linear(self, layer: str, blocks: Sequence[Operand]) -> list[str]:
        """Grouped linear layer with one operand a group -> one result a group."""
        ...

    def residual_linear(self, layer: str, blocks: Sequence[Operand], residual: str) -> str:
        """Grouped linear layer plus ``residual``, all groups joined."""
        ...

    def lookup(self, table: str, indices: str | None, stop: str = "") -> str:
        """Rows of an embedding table: at ``indices``, or the first ``stop`` rows."""
        ...

    def tied_decoder(self, table: str, bias: str, rows: str) -> str:
        """Scores of ``rows`` [N, H] against every row of an embedding table: [N, V]."""
        ...


class FloatArithmetic:
    """fp32 computation on weights stored as fp32 or fp16.

    Casts of stored weights are done by the runtime once, while loading.
    """

    def __init__(self, graph: GraphBuilder, weights: Weights, storage: type[np.floating]) -> None:
        self._graph, self._weights, self._storage = graph, weights, storage
        self._casts: dict[str, str] = {}

    def enter(self, hidden: str) -> str:
        return to_rows(self._graph, hidden, self._weights["embeddings.norm.weight"].size)

    def leave(self, hidden: str) -> str:
        return hidden

    def sequence(self, block: str, width: int, first_only: bool) -> str:
        if first_only:
            return self._graph.node("Reshape", [block, self._graph.shape_constant(-1, 1, width)])
        return to_sequence(self._graph, block, width)

    def operands(self, layer: str, tensors: Sequence[str]) -> list[Operand]:
        del layer
        return [Operand(tensor) for tensor in tensors]

    def linear(self, layer: str, blocks: Sequence[Operand]) -> list[str]:
        biases = self._biases(layer, len(blocks))
        return self._products(layer, blocks, biases)

    def residual_linear(self, layer: str, blocks: Sequence[Operand], residual: str) -> str:
        # The bias is zero: exporter.model.folding moved it into the residual.
        addends = self._graph.split(residual, len(blocks))
        return self._graph.concat(self._products(layer, blocks, addends))

    def lookup(self, table: str, indices: str | None, stop: str = "") -> str:
        stored = self._graph.constant(table, self._weights[table].astype(self._storage))
        rows = table_rows(self._graph, stored, indices, stop)
        return rows if self._storage is np.float32 else self._graph.node("Cast", [rows], to=FLOAT)

    def tied_decoder(self, table: str, bias: str, rows: str) -> str:
        weight = self._matrix(table, self._weights[table])
        bias = self._graph.constant(bias, self._weights[bias])
        return self._graph.node("Gemm", [rows, weight, bias], transB=1)

    def _products(self, layer: str, blocks: Sequence[Operand], addends: Sequence[str]) -> list[str]:
        results = []
        for group, (block, addend) in enumerate(zip(blocks, addends, strict=True)):
            name, matrix = group_matrix(self._weights, layer, group, len(blocks))
            weight = self._matrix(name.text, matrix)
            with self._graph.scope(layer_scope(name)):
                results.append(self._graph.node("Gemm", [block.values, weight, addend]))
        return results

    def _biases(self, layer: str, groups: int) -> list[str]:
        names = [group_bias(self._weights, layer, group, groups) for group in range(groups)]
        return [self._graph.constant(name.text, values) for name, values in names]

    def _matrix(self, name: str, values: Float32) -> str:
        stored = self._graph.constant(name, values.astype(self._storage))
        if self._storage is np.float32:
            return stored
        if name not in self._casts:
            self._casts[name] = self._graph.node("Cast", [stored], name=f"{name}/Cast", to=FLOAT)
        return self._casts[name]


def to_rows(graph: GraphBuilder, tensor: str, width: int) -> str:
    """[..., width] -> [N, width]."""
    return graph.node("Reshape", [tensor, graph.shape_constant(-1, width)])


def to_sequence(graph: GraphBuilder, rows: str, width: int) -> str:
    """[B * T, width] -> [B, T, width]."""
    shape = graph.once(
        f"sequence_shape_{width}",
        lambda name: graph.node(
            "Concat",
            [graph.node("Shape", ["input_ids"]), graph.shape_constant(width)],
            axis=0,
            output=name,
        ),
    )
    return graph.node("Reshape", [rows, shape])


def group_matrix(
    weights: Weights, layer: str, group: int, groups: int
) -> tuple[StoredName, Float32]:
    """Weight of one group as a product takes it: [inputs / groups, outputs / groups]."""
    weight = weights[f"{layer}.weight"]
    rows = weight.shape[0] // groups
    name = StoredName(f"{layer}.weight", group if groups > 1 else None, "")
    return name, np.ascontiguousarray(weight[group * rows : (group + 1) * rows].T)


def group_bias(weights: Weights, layer: str, group: int, groups: int) -> tuple[StoredName, Float32]:
    """Bias of one group: [outputs / groups]."""
    bias = weights[f"{layer}.bias"]
    size = bias.size // groups
    name = StoredName(f"{layer}.bias", group if groups > 1 else None, "")
    return name, bias[group * size : (group + 1) * size]


def layer_scope(name: StoredName) -> str:
    """Node names inside ``layers.N/attention``: ``query/group_0``."""
    part = name.name.split(".")[-2]
    return part if name.group is None else f"{part}/group_{name.group}"


def table_rows(graph: GraphBuilder, table: str, indices: str | None, stop: str) -> str:
    """Rows of a table at ``indices``, or its first ``stop`` rows."""
    if indices is not None:
        return graph.node("Gather", [table, indices])
    start = axis = graph.shape_constant(0)
    return graph.node("Slice", [table, start, stop, axis])
