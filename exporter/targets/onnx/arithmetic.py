"""How linear layers and embedding tables are computed and stored: in floating point or int8.

Float streams are rows [B * T, C], because only two-dimensional products (Gemm) use pre-packed
weights together with an addend; int8 streams keep [B, T, C], which their product takes as it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from exporter.quantization.rounding import Float32, quantize_rows
from exporter.targets.onnx.graph import CONTRIB, FLOAT, GraphBuilder
from exporter.targets.onnx.names import StoredName

Weights = Mapping[str, Float32]


@dataclass(frozen=True)
class Operand:
    """The input of a product. Float operands have no scale and zero point."""

    values: str
    scale: str = ""
    zero_point: str = ""


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

    def operand(self, tensor: str) -> Operand:
        """Prepare a tensor for products (int8: quantize it by its own range)."""
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

    def operand(self, tensor: str) -> Operand:
        return Operand(tensor)

    def linear(self, layer: str, blocks: Sequence[Operand]) -> list[str]:
        biases = self._biases(layer, len(blocks))
        return self._products(layer, blocks, biases)

    def residual_linear(self, layer: str, blocks: Sequence[Operand], residual: str) -> str:
        # The bias is zero: exporter.model.folding moved it into the residual.
        addends = self._graph.split(residual, len(blocks))
        return self._graph.concat(self._products(layer, blocks, addends))

    def lookup(self, table: str, indices: str | None, stop: str = "") -> str:
        stored = self._graph.constant(table, self._weights[table].astype(self._storage))
        rows = _rows(self._graph, stored, indices, stop)
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


class Int8Arithmetic:
    """int8 weights with one scale an output channel, uint8 activations quantized as they come.

    The range of an activation is that of the whole tensor, all rows of the batch together.
    ``contrib``: one fused operator of ONNX Runtime a product, instead of four standard ones.
    """

    def __init__(self, graph: GraphBuilder, weights: Weights, contrib: bool) -> None:
        self._graph, self._weights, self._contrib = graph, weights, contrib

    def enter(self, hidden: str) -> str:
        return hidden

    def leave(self, hidden: str) -> str:
        return to_rows(self._graph, hidden, self._weights["embeddings.norm.weight"].size)

    def sequence(self, block: str, width: int, first_only: bool) -> str:
        del width, first_only
        return block

    def operand(self, tensor: str) -> Operand:
        return Operand(*self._graph.quantize(tensor))

    def linear(self, layer: str, blocks: Sequence[Operand]) -> list[str]:
        results = []
        for group, block in enumerate(blocks):
            name, matrix = group_matrix(self._weights, layer, group, len(blocks))
            values, scale = quantize_rows(np.ascontiguousarray(matrix.T))
            bias_name, bias = group_bias(self._weights, layer, group, len(blocks))
            with self._graph.scope(layer_scope(name)):
                results.append(
                    self._product(
                        block,
                        self._graph.constant(f"{name.text}/int8", values.T),
                        self._graph.constant(f"{name.text}/scale", scale),
                        self._graph.constant(bias_name.text, bias),
                    )
                )
        return results

    def residual_linear(self, layer: str, blocks: Sequence[Operand], residual: str) -> str:
        joined = self._graph.concat(self.linear(layer, blocks))
        # Sum, not Add: ONNX Runtime fuses a three-dimensional Add and LayerNormalization into
        # SkipLayerNormalization, whose CPU kernel takes 4 times as long as the two (500 against
        # 121 us at 128 x 768).
        return self._graph.node("Sum", [joined, residual])

    def lookup(self, table: str, indices: str | None, stop: str = "") -> str:
        stored, scales = self._table(table)
        rows = self._graph.node("Cast", [_rows(self._graph, stored, indices, stop)], to=FLOAT)
        scale = _rows(self._graph, scales, indices, stop)
        scale = self._graph.node("Unsqueeze", [scale, self._graph.shape_constant(-1)])
        return self._graph.node("Mul", [rows, scale])

    def tied_decoder(self, table: str, bias: str, rows: str) -> str:
        stored, scales = self._table(table)
        # The runtime transposes the constant once, while loading; the file holds it once.
        weight = self._graph.node("Transpose", [stored], perm=[1, 0])
        bias = self._graph.constant(bias, self._weights[bias])
        return self._product(self.operand(rows), weight, scales, bias)

    def _table(self, table: str) -> tuple[str, str]:
        values, scale = quantize_rows(self._weights[table])
        return (
            self._graph.constant(f"{table}/int8", values),
            self._graph.constant(f"{table}/scale", scale),
        )

    def _product(self, block: Operand, weight: str, scale: str, bias: str) -> str:
        graph = self._graph
        if self._contrib:
            inputs = [block.values, weight, block.scale, scale, block.zero_point, "", bias]
            return graph.node("MatMulIntegerToFloat", inputs, domain=CONTRIB)
        # The weights' zero point is left out: it is 0.
        sums = graph.node("MatMulInteger", [block.values, weight, block.zero_point])
        scales = graph.node("Mul", [block.scale, scale])
        return graph.node(
            "Add", [graph.node("Mul", [graph.node("Cast", [sums], to=FLOAT), scales]), bias]
        )


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


def _rows(graph: GraphBuilder, table: str, indices: str | None, stop: str) -> str:
    if indices is not None:
        return graph.node("Gather", [table, indices])
    start = axis = graph.shape_constant(0)
    return graph.node("Slice", [table, start, stop, axis])
