"""What a file of such a backend computes, without the values of its weights."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from exporter.targets.executorch.backends.graph import (
    DelegateGraph,
    Dialect,
    Operand,
    Reference,
    Result,
    read_delegated,
    without_blobs,
)
from exporter.targets.executorch.constant import ConstantReference
from exporter.targets.executorch.structure import structure


def graph_structure(path: Path, dialect: Dialect) -> str:
    """SHA-256 of everything but the values of the weights and of constant methods.

    A weight is what a linear layer, a LayerNorm or a lookup reads as such: its type and shape
    count. Of every other constant the content counts too.
    """
    program, calls = read_delegated(path, dialect)
    digest = hashlib.sha256(structure(without_blobs(program, dialect)).encode())
    for found in calls:
        for line in _lines(found.graph, dialect):
            digest.update(f"{line!r}\n".encode())
    return digest.hexdigest()


def _lines(graph: DelegateGraph, dialect: Dialect) -> Iterator[object]:
    numbers: dict[str, int] = {}

    def result(value: Result) -> object:
        return numbers.setdefault(value.name, len(numbers)), value.dtype, value.limits, value.place

    def operand(value: Operand, weight: bool) -> object:
        if isinstance(value, Reference):
            return "value", numbers.setdefault(value.name, len(numbers))
        if isinstance(value, ConstantReference):
            content = "" if weight else hashlib.sha256(value.content).hexdigest()
            return "constant", value.dtype, value.shape, value.dim_order, content
        if isinstance(value, tuple):
            return "list", tuple(operand(item, False) for item in value)
        return value

    yield "settings", graph.settings
    yield "inputs", [result(value) for value in graph.inputs]
    for operator in graph.operators:
        weights = dialect.weight_operands(operator.kind)
        operands = [
            (name, operand(value, name in weights))
            for name, value in sorted(operator.operands.items())
        ]
        yield "operator", operator.kind, operands, [result(value) for value in operator.results]
    yield "outputs", [numbers.get(name) for name in graph.outputs]
