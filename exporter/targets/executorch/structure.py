"""What a .pte file computes, without the values of its weights; and which operators do it."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from exporter.targets.executorch.constant import ConstantReference
from exporter.targets.executorch.program import (
    Activation,
    Argument,
    Call,
    DelegateCall,
    KernelCall,
    Method,
    Program,
)
from exporter.targets.executorch.xnnpack_graph import Node, Value, XnnpackGraph

#: Decides whether the content of a constant is left out. The second argument names every use of
#: it, such as "XNNFullyConnected.bias_id" or "aten::embedding.out[0]" (argument 0).
IsWeight = Callable[[ConstantReference, tuple[str, ...]], bool]

#: Where weights are read: fields of XNNPACK's nodes, and arguments of kernels.
_WEIGHT_FIELDS = (".filter_id", ".bias_id")
_WEIGHT_ARGUMENTS = (
    "aten::native_layer_norm.out[2]",
    "aten::native_layer_norm.out[3]",
    "aten::embedding.out[0]",
    "quantized_decomposed::embedding_byte.dtype_out[0]",
    "quantized_decomposed::embedding_byte.dtype_out[1]",
    "quantized_decomposed::embedding_4bit.dtype_out[0]",
    "quantized_decomposed::embedding_4bit.dtype_out[1]",
)


def is_weight(constant: ConstantReference, uses: tuple[str, ...]) -> bool:
    """The default: what is read as a weight and as nothing else.

    The content of every other constant counts, whatever its size: nobody audits it.
    """
    del constant
    return bool(uses) and all(
        use.endswith(_WEIGHT_FIELDS) or use in _WEIGHT_ARGUMENTS for use in uses
    )


def structure(program: Program, is_weight: IsWeight = is_weight) -> str:
    """SHA-256 of everything but the values of the weights and the constant methods.

    Two programs with equal structure compute the same function of their weights. Of weights the
    types and shapes count, of other constants also the content. A weight's quantization steps are
    part of its value. Names, places and sharing of the stored data do not count, nor do the
    numbers that the file gives to values: they depend on which weights happen to be equal.
    """
    digest = hashlib.sha256()
    for method in program.methods.values():
        if method.is_constant:
            continue
        for line in _method_lines(method, is_weight):
            digest.update(f"{line!r}\n".encode())
    return digest.hexdigest()


def _method_lines(method: Method, is_weight: IsWeight) -> Iterator[object]:
    writer = _Writer(is_weight)
    yield "method", method.name, method.arenas
    yield "inputs", writer.arguments("input", method.inputs)
    for call in method.calls:
        yield from writer.call_lines(call)
    yield "outputs", writer.arguments("output", method.outputs)


class _Writer:
    """Numbers the activations of one method in the order of their first appearance."""

    def __init__(self, is_weight: IsWeight) -> None:
        self._is_weight = is_weight
        self._numbers: dict[int, int] = {}

    def arguments(self, where: str, arguments: tuple[Argument, ...]) -> tuple[object, ...]:
        return tuple(
            self._argument(f"{where}[{position}]", argument)
            for position, argument in enumerate(arguments)
        )

    def _argument(self, use: str, argument: Argument) -> object:
        if isinstance(argument, tuple):
            return "list", self.arguments(use, argument)
        if isinstance(argument, ConstantReference):
            return self._constant(argument, (use,))
        if isinstance(argument, Activation):
            number = self._numbers.setdefault(argument.id, len(self._numbers))
            return (
                "value",
                number,
                argument.dtype,
                argument.sizes,
                argument.dynamism,
                argument.dim_order,
                argument.memory,
                argument.initial,
            )
        return argument

    def _constant(self, constant: ConstantReference, uses: tuple[str, ...]) -> object:
        if self._is_weight(constant, uses):
            return "weight", constant.dtype, constant.shape, constant.dim_order
        content = hashlib.sha256(constant.content).hexdigest()
        return "constant", constant.dtype, constant.shape, constant.dim_order, content

    def call_lines(self, call: Call) -> Iterator[object]:
        if isinstance(call, KernelCall):
            yield "kernel", call.operator, self.arguments(call.operator, call.arguments)
        elif isinstance(call, DelegateCall):
            arguments = self.arguments(call.backend, call.arguments)
            yield "delegate", call.backend, call.compile_specs, arguments
            if call.graph is None:
                yield "blob", hashlib.sha256(call.blob.content).hexdigest()
            else:
                yield from self._graph_lines(call.graph)
        else:
            yield call.kind, self.arguments(call.kind, call.arguments)

    def _graph_lines(self, graph: XnnpackGraph) -> Iterator[object]:
        yield "graph", graph.inputs, graph.outputs, graph.num_externs
        uses = _uses(graph)
        for value in graph.values.values():
            yield "graph value", self._value(value, tuple(uses.get(value.id, ())))
        for node in graph.nodes:
            yield "node", node.kind, sorted(node.fields.items()), node.output_min_max

    def _value(self, value: Value, uses: tuple[str, ...]) -> object:
        constant: object = None
        quantization: object = None
        weight = value.constant is not None and self._is_weight(value.constant, uses)
        if value.constant is not None:
            constant = self._constant(value.constant, uses)
        if value.quantization is not None:
            found = value.quantization
            scales: object = None
            if found.scales is not None:
                content = b"" if weight else found.scales.content
                digest = hashlib.sha256(content).hexdigest()
                scales = found.scales.dtype, found.scales.shape, digest
            quantization = (
                found.kind,
                None if weight else found.scale,
                found.zero_point,
                found.channel_dim,
                found.group_size,
                found.num_nonbatch_dims,
                scales,
            )
        return (
            value.id,
            value.datatype,
            value.dims,
            value.flags,
            value.external_id,
            value.dq_datatype,
            quantization,
            constant,
        )


def _uses(graph: XnnpackGraph) -> dict[int, list[str]]:
    """By the id of a value, "KIND.FIELD" of every node that refers to it."""
    uses: dict[int, list[str]] = {}
    for node in graph.nodes:
        for name, id in _references(node):
            uses.setdefault(id, []).append(f"{node.kind}.{name}")
    return uses


def _references(node: Node) -> Iterator[tuple[str, int]]:
    for name, value in node.fields.items():
        if name.endswith("_id") and isinstance(value, int):
            yield name, value


@dataclass(frozen=True)
class OperatorCounts:
    """How often which operator runs in a method: XNNPACK's nodes by kind, kernels by name.

    A delegate of another backend counts as one delegated operator with the backend's name.
    """

    delegated: Mapping[str, int]
    undelegated: Mapping[str, int]


def operators(program: Program) -> dict[str, OperatorCounts]:
    """The counts of every method that computes something, by its name."""
    return {name: _counts(m) for name, m in program.methods.items() if not m.is_constant}


def _counts(method: Method) -> OperatorCounts:
    delegated: Counter[str] = Counter()
    undelegated: Counter[str] = Counter()
    for call in method.calls:
        if isinstance(call, KernelCall):
            undelegated[call.operator] += 1
        elif not isinstance(call, DelegateCall):
            undelegated[call.kind] += 1
        elif call.graph is None:
            delegated[call.backend] += 1
        else:
            delegated.update(node.kind for node in call.graph.nodes)
    return OperatorCounts(dict(sorted(delegated.items())), dict(sorted(undelegated.items())))
