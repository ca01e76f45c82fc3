"""Scaled dot-product attention as ONNX operators: fused into one, or from basic ones.

Both take queries [B, Tq, C], keys and values [B, T, C] of ``heads`` heads and return [B, Tq, C].
The mask is added to the scores: 0 for tokens, ``MASKED`` for padding.
"""

from typing import Protocol

from exporter.targets.onnx.graph import FLOAT, GraphBuilder

#: Swallows every score (fp32 has 7 digits), so that a row without any token gets uniform attention,
#: as in PyTorch. With -inf it would be NaN; with the lowest fp32 ONNX Runtime's Attention takes the
#: row as fully masked and returns 0.
MASKED = -1e30


class Attention(Protocol):
    """One way to write attention."""

    opset: int

    def prepare(self, graph: GraphBuilder) -> None:
        """Add what all layers share."""
        ...

    def attend(
        self, graph: GraphBuilder, query: str, key: str, value: str, heads: int, first_only: bool
    ) -> str:
        """Add one attention. ``first_only``: Tq is 1."""
        ...


def mask_rows(graph: GraphBuilder) -> str:
    """The attention mask as what is added to the scores: [B, 1, 1, T]."""
    with graph.scope("mask"):
        tokens = graph.node("Cast", ["attention_mask"], to=FLOAT)
        padding = graph.node("Sub", [graph.constant("mask/one", 1.0), tokens])
        masked = graph.constant("mask/masked", MASKED)
        bias = graph.node("Mul", [padding, masked])
        return graph.node("Unsqueeze", [bias, graph.shape_constant(1, 2)])


class FusedAttention:
    """The operator ``Attention`` of opset 23.

    ONNX Runtime's kernel reads [B, T, C] in place, without the transpositions of its older
    attention operators: 87 against 114 us (com.microsoft.MultiHeadAttention) for 3 heads of 64 at
    length 128, one thread, on a Xeon with AVX512-VNNI. It does not broadcast the mask over the
    queries, hence the expansion.
    """

    opset = 23

    def __init__(self) -> None:
        self._rows = self._square = ""

    def prepare(self, graph: GraphBuilder) -> None:
        self._rows = mask_rows(graph)
        with graph.scope("mask"):
            shape = graph.node("Shape", ["attention_mask"])
            length = graph.node("Gather", [shape, graph.shape_constant(1)])
            batch = graph.node("Gather", [shape, graph.shape_constant(0)])
            square = graph.node("Concat", [batch, graph.shape_constant(1), length, length], axis=0)
            self._square = graph.node("Expand", [self._rows, square])

    def attend(
        self, graph: GraphBuilder, query: str, key: str, value: str, heads: int, first_only: bool
    ) -> str:
        mask = self._rows if first_only else self._square
        return graph.node(
            "Attention", [query, key, value, mask], q_num_heads=heads, kv_num_heads=heads
        )


class BasicAttention:
    """Matrix products and softmax, which every runtime has."""

    opset = 20

    def __init__(self, head_size: int) -> None:
        self._head_size = head_size
        self._rows = ""

    def prepare(self, graph: GraphBuilder) -> None:
        self._rows = mask_rows(graph)

    def attend(
        self, graph: GraphBuilder, query: str, key: str, value: str, heads: int, first_only: bool
    ) -> str:
        del first_only  # the mask broadcasts
        scale = graph.constant("attention/scale", self._head_size**-0.5)
        query, key, value = (
            self._heads(graph, tensor, heads, order)
            for tensor, order in ((query, "BHTC"), (key, "BHCT"), (value, "BHTC"))
        )
        scores = graph.node("Mul", [graph.node("MatMul", [query, key]), scale])
        weights = graph.node("Softmax", [graph.node("Add", [scores, self._rows])], axis=-1)
        context = graph.node("MatMul", [weights, value])
        context = graph.node("Transpose", [context], perm=[0, 2, 1, 3])
        width = heads * self._head_size
        return graph.node("Reshape", [context, graph.shape_constant(0, 0, width)])

    def _heads(self, graph: GraphBuilder, tensor: str, heads: int, order: str) -> str:
        shape = graph.shape_constant(0, 0, heads, self._head_size)
        split = graph.node("Reshape", [tensor, shape])
        return graph.node("Transpose", [split], perm=["BTHC".index(axis) for axis in order])
