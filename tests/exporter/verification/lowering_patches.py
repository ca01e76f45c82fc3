"""Changes to the code that writes ONNX graphs, for the length of a test."""

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from exporter.targets.onnx import arithmetic, levels, mixed
from exporter.targets.onnx.arithmetic import FloatArithmetic, Operand
from exporter.targets.onnx.attention import BasicAttention, FusedAttention
from exporter.targets.onnx.graph import GraphBuilder
from exporter.targets.onnx.mixed import MixedArithmetic

Patch = Callable[[pytest.MonkeyPatch], None]
#: (operator, inputs, attributes of the node and of the call) -> (operator, inputs).
Rewrite = Callable[[str, list[str], dict[str, Any]], tuple[str, list[str]]]

#: The module; the package has the function of the same name.
LOWER: Any = importlib.import_module("exporter.targets.onnx.lower")


def rewrite_nodes(change: Rewrite) -> Patch:
    """Change every node before it is added."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        add = GraphBuilder.node

        def node(self: GraphBuilder, operator: str, inputs: Sequence[str], **options: Any) -> str:
            operator, inputs = change(operator, list(inputs), options)
            return add(self, operator, inputs, **options)

        monkeypatch.setattr(GraphBuilder, "node", node)

    return patch


def set_constant(name: str, factor: float) -> Patch:
    """Multiply a constant."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        add = GraphBuilder.constant

        def constant(self: GraphBuilder, text: str, values: Any) -> str:
            return add(self, text, values * factor if text == name else values)

        monkeypatch.setattr(GraphBuilder, "constant", constant)

    return patch


def set_global(module: Any, name: str, value: Any) -> Patch:
    """Replace something that a module refers to by its name."""
    return lambda monkeypatch: monkeypatch.setattr(module, name, value)


def set_everywhere(name: str, value: Any) -> Patch:
    """Replace a function of ``arithmetic``, also where other modules of the target import it."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        for module in (arithmetic, levels, mixed):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, value)

    return patch


def epsilon_of(norm: str) -> Patch:
    """1e-5 instead of 1e-12 in one LayerNorm."""
    right = LOWER._norm

    def wrong(lowering: Any, name: str, tensor: str, epsilon: float, output: str = "") -> str:
        return str(right(lowering, name, tensor, 1e-5 if name == norm else epsilon, output))

    return set_global(LOWER, "_norm", wrong)


def change_linear(
    layer: str,
    before: Callable[[Any, list[Operand]], list[Operand]] = lambda _, blocks: blocks,
    after: Callable[[list[str]], list[str]] = lambda results: results,
) -> Patch:
    """Change what goes into the groups of a layer, or what comes out."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        for kind in (FloatArithmetic, MixedArithmetic):

            def linear(
                self: Any, name: str, blocks: Sequence[Operand], right: Any = kind.linear
            ) -> list[str]:
                if name != layer:
                    return list(right(self, name, blocks))
                return after(right(self, name, before(self, list(blocks))))

            monkeypatch.setattr(kind, "linear", linear)

    return patch


def change_residual_linear(
    layer: str, change: Callable[[Any, list[Operand], str], tuple[list[Operand], str]]
) -> Patch:
    """Change the blocks and the residual that go into the second layer of a part."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        for kind in (FloatArithmetic, MixedArithmetic):

            def residual_linear(
                self: Any,
                name: str,
                blocks: Sequence[Operand],
                residual: str,
                right: Any = kind.residual_linear,
            ) -> str:
                given = list(blocks), residual
                given = change(self, *given) if name == layer else given
                return str(right(self, name, *given))

            monkeypatch.setattr(kind, "residual_linear", residual_linear)

    return patch


def change_attend(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Patch:
    """Change queries, keys, values, the number of heads or the mask of every attention."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        for kind in (FusedAttention, BasicAttention):

            def attend(
                self: Any,
                graph: GraphBuilder,
                query: str,
                key: str,
                value: str,
                heads: int,
                first_only: bool,
                right: Any = kind.attend,
            ) -> str:
                given = change(
                    {"query": query, "key": key, "value": value, "first_only": first_only}
                )
                return str(right(self, graph, heads=heads, **given))

            monkeypatch.setattr(kind, "attend", attend)

    return patch


def change_stored(function: str, layer: str, change: Callable[[Any], Any]) -> Patch:
    """Store wrong values of one layer: ``function`` is ``group_matrix`` or ``group_bias``."""
    right = getattr(arithmetic, function)

    def wrong(weights: Any, name: str, group: int, groups: int) -> Any:
        stored, values = right(weights, name, group, groups)
        return stored, change(values) if name == layer else values

    return set_everywhere(function, wrong)
