"""The structure of a program: everything but the values of its weights."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lowered_modules import CONSTANTS, Tiny, lower

from exporter.targets.executorch.constant import ConstantReference
from exporter.targets.executorch.container import open_container
from exporter.targets.executorch.program import (
    Activation,
    DelegateCall,
    KernelCall,
    Method,
    Program,
    read_program,
)
from exporter.targets.executorch.structure import is_weight, structure
from exporter.targets.executorch.xnnpack_graph import Node, Quantization, Value, XnnpackGraph

pytestmark = pytest.mark.usefixtures("quick")

OTHERS: dict[str, dict[str, Any]] = {
    "epsilon": {"epsilon": 1e-5},
    "gelu": {"approximate": "tanh"},
    "masked": {"masked": -1e5},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("structure")


@pytest.fixture(scope="module")
def plain(folder: Path) -> Program:
    path = lower(folder / "plain.pte", Tiny(precision="int8"), constants=CONSTANTS)
    return read_program(path)


def test_weights_and_their_sharing_do_not_count(folder: Path, plain: Program) -> None:
    metadata = {**CONSTANTS, "task": "another", "max_length": 99}
    other = Tiny(seed=1, precision="int8", equal=True)
    path = lower(folder / "other.pte", other, constants=metadata)
    # Equal weights are stored once, with the delegate's constants and with the program's.
    one, two = open_container(folder / "plain.pte"), open_container(path)
    assert len(two.named_data) < len(one.named_data)
    offsets = [c.program["constant_segment"]["offsets"] for c in (one, two)]
    assert len(offsets[1]) < len(offsets[0])
    assert structure(read_program(path)) == structure(plain)


@pytest.mark.parametrize("difference", OTHERS)
def test_another_computation_counts(folder: Path, plain: Program, difference: str) -> None:
    module = Tiny(precision="int8", **OTHERS[difference])
    path = lower(folder / f"{difference}.pte", module, constants=CONSTANTS)
    assert structure(read_program(path)) != structure(plain)


def other_value(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, tuple):
        return (*value, 1)
    if value is None:
        return (0.0, 6.0)
    return f"{value}2"


def changes(thing: Any, names: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """The dataclass with another value in one of the fields, for each of them."""
    for name in names:
        change = {name: other_value(getattr(thing, name))}
        yield f"{type(thing).__name__}.{name}", dataclasses.replace(thing, **change)


def changed_graphs(graph: XnnpackGraph) -> Iterator[tuple[str, XnnpackGraph]]:
    yield from changes(graph, ("inputs", "outputs", "num_externs"))
    yield "order of nodes", dataclasses.replace(graph, nodes=graph.nodes[::-1])
    yield "a node less", dataclasses.replace(graph, nodes=graph.nodes[1:])
    for position, node in enumerate(graph.nodes):
        for what, changed in changed_nodes(node):
            nodes = (*graph.nodes[:position], changed, *graph.nodes[position + 1 :])
            yield what, dataclasses.replace(graph, nodes=nodes)
    for value in graph.values.values():
        for what, other in changed_values(value):
            yield what, dataclasses.replace(graph, values={**graph.values, value.id: other})


def changed_nodes(node: Node) -> Iterator[tuple[str, Node]]:
    yield from changes(node, ("kind", "output_min_max"))
    for name, value in node.fields.items():
        fields = {**node.fields, name: other_value(value)}
        yield f"{node.kind}.{name}", dataclasses.replace(node, fields=fields)


def changed_values(value: Value) -> Iterator[tuple[str, Value]]:
    names = ("id", "datatype", "dims", "flags", "external_id", "dq_datatype")
    yield from changes(value, names)
    if value.quantization is not None:
        weight = value.constant is not None
        numbers = [f.name for f in dataclasses.fields(Quantization) if f.name != "scales"]
        used = tuple(name for name in numbers if not (weight and name == "scale"))
        for what, changed in changes(value.quantization, used):
            yield what, dataclasses.replace(value, quantization=changed)
    if value.constant is not None:
        for what, constant in changes(value.constant, ("dtype", "shape")):
            yield what, dataclasses.replace(value, constant=constant)


def changed_methods(method: Method) -> Iterator[tuple[str, Method]]:
    yield from changes(method, ("name", "inputs", "outputs", "arenas"))
    yield "order of calls", dataclasses.replace(method, calls=method.calls[::-1])
    for position, call in enumerate(method.calls):

        def with_call(other: Any, position: int = position) -> Method:
            calls = (*method.calls[:position], other, *method.calls[position + 1 :])
            return dataclasses.replace(method, calls=calls)

        assert isinstance(call, KernelCall | DelegateCall)
        name = "operator" if isinstance(call, KernelCall) else "backend"
        for what, changed in changes(call, (name, "arguments")):
            yield what, with_call(changed)
        for what, arguments in changed_arguments(call.arguments):
            yield what, with_call(dataclasses.replace(call, arguments=arguments))
        if isinstance(call, DelegateCall):
            assert call.graph is not None
            specs = (*call.compile_specs, ("key", b"value"))
            yield "compile_specs", with_call(dataclasses.replace(call, compile_specs=specs))
            for what, graph in changed_graphs(call.graph):
                yield what, with_call(dataclasses.replace(call, graph=graph))


def changed_arguments(arguments: tuple[Any, ...]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    for position, argument in enumerate(arguments):
        if isinstance(argument, Activation):
            names = ("dtype", "sizes", "dynamism", "dim_order", "memory", "initial")
            others = [new for _, new in changes(argument, names)]
        elif isinstance(argument, ConstantReference):
            others = [new for _, new in changes(argument, ("dtype", "shape", "dim_order"))]
        else:
            others = [other_value(argument)]
        for other in others:
            before, after = arguments[:position], arguments[position + 1 :]
            yield f"argument {position}", (*before, other, *after)


def test_every_part_of_a_method_counts(plain: Program) -> None:
    expected = structure(plain)
    unnoticed = []
    count = 0
    for what, method in changed_methods(plain.methods["forward"]):
        count += 1
        if structure(Program({**plain.methods, "forward": method})) == expected:
            unnoticed.append(what)
    assert not unnoticed
    assert count > 300


def test_computing_methods_count_by_name_and_constant_ones_do_not(plain: Program) -> None:
    expected = structure(plain)
    constant = Method("ratio", (), ("0.1",), (), ())
    assert structure(Program({**plain.methods, "ratio": constant})) == expected
    forward = plain.methods["forward"]
    renamed = dataclasses.replace(forward, name="backward")
    assert structure(Program({**plain.methods, "forward": renamed})) != expected
    assert structure(Program({**plain.methods, "again": renamed})) != expected


def with_content(method: Method, wanted: Callable[[ConstantReference], bool]) -> Method:
    """The method with other content in the first argument of a kernel that is ``wanted``."""
    for position, call in enumerate(method.calls):
        for index, old in enumerate(call.arguments):
            if isinstance(old, ConstantReference) and wanted(old):
                content = bytes(255 - byte for byte in old.content)
                new = dataclasses.replace(old, content=memoryview(content))
                arguments = (*call.arguments[:index], new, *call.arguments[index + 1 :])
                calls = list(method.calls)
                calls[position] = dataclasses.replace(call, arguments=arguments)
                return dataclasses.replace(method, calls=tuple(calls))
    raise AssertionError("there is no such constant")


def test_content_counts_where_the_caller_says_so(plain: Program) -> None:
    method = plain.methods["forward"]
    vector = Program({**plain.methods, "forward": with_content(method, lambda c: c.size == 32)})
    number = Program({**plain.methods, "forward": with_content(method, lambda c: c.size == 1)})
    assert structure(vector) == structure(plain)
    assert structure(number) != structure(plain)
    assert structure(vector, lambda *_: False) != structure(plain, lambda *_: False)
    assert structure(number, lambda *_: True) == structure(plain, lambda *_: True)


def test_uses_tell_a_layer_with_one_output_from_a_number(plain: Program) -> None:
    seen: dict[tuple[str, ...], set[tuple[int, ...]]] = {}

    def note(constant: ConstantReference, uses: tuple[str, ...]) -> bool:
        seen.setdefault(uses, set()).add(constant.shape)
        return True

    structure(plain, note)
    assert seen[("XNNFullyConnected.bias_id",)] == {(64,), (32,)}
    assert seen[("aten::embedding.out[0]",)] == {(20, 32)}
    one = ConstantReference("float32", (1,), (0,), memoryview(bytes(4)))
    index = ConstantReference("int64", (3,), (0,), memoryview(bytes(24)))
    assert is_weight(one, ("XNNFullyConnected.bias_id",))
    assert not is_weight(one, ("XNNMultiply.input2_id",))
    assert not is_weight(one, ("XNNFullyConnected.bias_id", "XNNMultiply.input2_id"))
    assert not is_weight(index, ("aten::index.Tensor_out[1]",))
