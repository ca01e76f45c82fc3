"""Linear layers and tables by the methods of a mix. An int8 artifact is a mix of one method."""

from collections.abc import Iterator, Sequence

import numpy as np

from exporter.errors import UserError
from exporter.model.config import SourceModel
from exporter.quantization.mix import METHODS, Mix, check_mix, is_table, site_of, uniform_mix, units
from exporter.quantization.rounding import Rounded
from exporter.quantization.schemes.mixed import mix_of, rounded
from exporter.targets.onnx import levels
from exporter.targets.onnx.arithmetic import (
    Operand,
    Weights,
    group_bias,
    group_matrix,
    layer_scope,
    table_rows,
    to_rows,
)
from exporter.targets.onnx.graph import CONTRIB, FLOAT, GraphBuilder
from exporter.targets.onnx.names import StoredName
from exporter.targets.onnx.operands import (
    divide,
    quantize_dynamically,
    quantize_statically,
    quantize_symmetrically,
)

#: Methods of linear layers, the fastest usual one first.
LINEAR_METHODS = (
    "int8_tensor",
    "int8_static",
    "int8_symmetric",
    "int4_tensor",
    "int4_static",
    "int4_symmetric",
    "fp32",
)


#: What the precision int4 is: linear layers, tables, and layers whose rows are no whole blocks.
INT4 = ("int4_tensor", "int8", "int8_tensor")


def scheme_of(precision: str) -> str:
    """The scheme that defines ``precision``: int4 is one of the mixes."""
    return "mixed" if precision == "int4" else precision


def artifact_mix(model: SourceModel, precision: str) -> Mix | None:
    """By which methods an artifact of ``precision`` is stored and computed; None: all in float.

    UserError for a model whose mix cannot be built.
    """
    match precision:
        case "int8":
            return uniform_mix(model.config, model.task, "int8_tensor", "int8")
        case "int4":
            return uniform_mix(model.config, model.task, *INT4)
        case "mixed":
            mix = mix_of(model)
            check_mix(mix, model.config, model.task, LINEAR_METHODS)
            for unit in units(model.config, model.task):
                if len({mix.bounds.get(member) for member in unit.members}) > 1:
                    raise UserError(
                        f"{', '.join(unit.members)} read one tensor and have several bounds.",
                        "Give them the same bounds, or let the build choose: --budget",
                    )
            return mix
    return None


def opset(mix: Mix, least: int) -> int:
    """The smallest from ``least`` on that has the types in which ``mix`` stores matrices."""
    two_levels = any(
        METHODS[method].weights == "int4_two_level"
        for name, method in mix.methods.items()
        if not is_table(name)
    )
    return max(least, levels.INT4_OPSET) if two_levels else least


class MixedArithmetic:
    """Weights in 32, 8 or 4 bits; products in fp32 or of uint8 activations and int8 weights.

    ``weights`` are smoothed (``exporter.quantization.schemes.mixed.smoothed``). ``contrib``: one
    fused operator of ONNX Runtime an integer product, instead of four standard ones.
    """

    def __init__(self, graph: GraphBuilder, weights: Weights, mix: Mix, contrib: bool) -> None:
        self._graph, self._weights, self._mix, self._contrib = graph, weights, mix, contrib

    def enter(self, hidden: str) -> str:
        return hidden

    def leave(self, hidden: str) -> str:
        return to_rows(self._graph, hidden, self._weights["embeddings.norm.weight"].size)

    def sequence(self, block: str, width: int, first_only: bool) -> str:
        del width, first_only
        return block

    def operands(self, layer: str, tensors: Sequence[str]) -> list[Operand]:
        factors = self._mix.factors(layer)
        if factors is not None:
            (tensor,) = tensors  # what is smoothed comes whole, from a LayerNorm
            tensors = [divide(self._graph, tensor, site_of(layer), factors)]
        match self._mix.method(layer).inputs:
            case "float":
                return [Operand(tensor) for tensor in tensors]
            case "static":
                bounds = self._mix.bounds[layer]
                return [
                    quantize_statically(self._graph, layer, tensor, bounds, self._contrib)
                    for tensor in tensors
                ]
            case "symmetric":
                return quantize_symmetrically(self._graph, tensors, self._contrib)
            case "tensor":
                return [quantize_dynamically(self._graph, tensor) for tensor in tensors]
            case "token":
                raise ValueError(f"{layer}: no product of ONNX Runtime has a zero point a row")

    def linear(self, layer: str, blocks: Sequence[Operand]) -> list[str]:
        groups = len(blocks)
        matrices = self._matrices(layer, groups)
        results = []
        for group, (block, (name, weight, scale)) in enumerate(zip(blocks, matrices, strict=True)):
            bias_name, bias = group_bias(self._weights, layer, group, groups)
            with self._graph.scope(layer_scope(name)):
                stored_bias = self._graph.constant(bias_name.text, bias)
                results.append(self._product(block, weight, scale, stored_bias))
        return results

    def residual_linear(self, layer: str, blocks: Sequence[Operand], residual: str) -> str:
        joined = self._graph.concat(self.linear(layer, blocks))
        # Sum, not Add: ONNX Runtime fuses a three-dimensional Add and LayerNormalization into
        # SkipLayerNormalization, whose CPU kernel takes 4 times as long as the two (500 against
        # 121 us at 128 x 768).
        return self._graph.node("Sum", [joined, residual])

    def lookup(self, table: str, indices: str | None, stop: str = "") -> str:
        stored = self._rounded_table(table)
        if stored is None:
            values = self._graph.constant(table, self._weights[table])
            return table_rows(self._graph, values, indices, stop)
        rows = levels.int8_rows if stored.bits == 8 else levels.int4_rows
        return rows(self._graph, table, stored, indices, stop)

    def tied_decoder(self, table: str, bias: str, rows: str) -> str:
        stored = self._rounded_table(table)
        bias = self._graph.constant(bias, self._weights[bias])
        if stored is None:
            weight = self._graph.constant(table, self._weights[table])
            return self._graph.node("Gemm", [rows, weight, bias], transB=1)
        if stored.bits != 8:
            raise ValueError(f"{table}: products need rows with one scale")
        values, scales = levels.int8_table(self._graph, table, stored)
        # The runtime transposes the constant once, while loading; the file holds it once.
        weight = self._graph.node("Transpose", [values], perm=[1, 0])
        return self._product(quantize_dynamically(self._graph, rows), weight, scales, bias)

    def _rounded_table(self, table: str) -> Rounded | None:
        return rounded(self._mix, table.removesuffix(".weight"), self._weights[table])

    def _matrices(self, layer: str, groups: int) -> Iterator[tuple[StoredName, str, str]]:
        """For each group its name, its weight [inputs, outputs], and its scale ("": fp32)."""
        weight = f"{layer}.weight"
        corrected = self._mix.corrected.get(weight)
        if self._mix.method(layer).weights == "int4_two_level":
            stored = corrected or rounded(self._mix, layer, self._weights[weight])
            assert stored is not None
            yield from self._int4_matrices(weight, groups, stored)
            return
        for group in range(groups):
            name, matrix = group_matrix(self._weights, layer, group, groups)
            plain = rounded(self._mix, layer, np.ascontiguousarray(matrix.T))
            if plain is None:
                yield name, self._graph.constant(name.text, matrix), ""
                continue
            stored = plain if corrected is None else _part(corrected, group, groups)
            yield name, *levels.int8_constants(self._graph, name.text, stored)

    def _int4_matrices(
        self, weight: str, groups: int, stored: Rounded
    ) -> Iterator[tuple[StoredName, str, str]]:
        """All groups in one constant, for every constant needs nodes that widen it."""
        graph = self._graph
        with graph.scope(layer_scope(StoredName(weight, None, ""))):
            whole = levels.int4_constants(graph, weight, stored)
            matrices, scales = (graph.split(tensor, groups) for tensor in whole)
        for group, parts in enumerate(zip(matrices, scales, strict=True)):
            yield StoredName(weight, group if groups > 1 else None, ""), *parts

    def _product(self, block: Operand, weight: str, scale: str, bias: str) -> str:
        graph = self._graph
        if not scale:
            return graph.node("Add", [graph.node("MatMul", [block.values, weight]), bias])
        if block.row_scale:
            product = self._integer_product(block, weight, scale)
            # Sum, not Add: ONNX Runtime fuses that and Gelu into a slower operator, BiasGelu.
            return graph.node("Sum", [graph.node("Mul", [product, block.row_scale]), bias])
        return self._integer_product(block, weight, scale, bias)

    def _integer_product(self, block: Operand, weight: str, scale: str, bias: str = "") -> str:
        graph = self._graph
        if self._contrib:
            inputs = [block.values, weight, block.scale, scale, block.zero_point]
            inputs += ["", bias] if bias else []
            return graph.node("MatMulIntegerToFloat", inputs, domain=CONTRIB)
        # The weights' zero point is left out: it is 0.
        sums = graph.node("MatMulInteger", [block.values, weight, block.zero_point])
        scales = graph.node("Mul", [block.scale, scale])
        product = graph.node("Mul", [graph.node("Cast", [sums], to=FLOAT), scales])
        return graph.node("Add", [product, bias]) if bias else product


def _part(whole: Rounded, group: int, groups: int) -> Rounded:
    """The rows of one group."""
    count = len(whole.levels) // groups
    rows = slice(group * count, (group + 1) * count)
    return Rounded(whole.levels[rows], whole.bits, whole.scale[rows])
