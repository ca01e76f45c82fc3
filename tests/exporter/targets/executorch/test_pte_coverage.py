"""What the audit and the coverage of a .pte file see: every change to the program it is read from.

The programs are read from real files and changed in memory, as files of other lowerings would be.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from small_programs import Programs, SmallProgram

from exporter.targets.base import StoredTensor
from exporter.targets.executorch.backends.xnnpack.coverage import OUTSIDE, coverage
from exporter.targets.executorch.backends.xnnpack.stored import stored_weights
from exporter.targets.executorch.constant import ConstantReference
from exporter.targets.executorch.program import (
    Call,
    DelegateCall,
    KernelCall,
    OtherCall,
    Program,
    read_program,
)
from exporter.targets.executorch.xnnpack_graph import Node, Value, XnnpackGraph

pytestmark = pytest.mark.usefixtures("quick")

QUERY = "layers.0.attention.query"


@pytest.fixture(scope="module")
def int8(programs: Programs) -> SmallProgram:
    return programs("int8")


@pytest.fixture(scope="module")
def tied(programs: Programs) -> SmallProgram:
    return programs("int8", task="masked-lm", family="bert")


def change_calls(program: Program, change: Callable[[Call], list[Call]]) -> Program:
    """``change`` gives what every call of the methods that compute becomes."""
    methods = {
        name: method
        if method.is_constant
        else replace(method, calls=tuple(new for call in method.calls for new in change(call)))
        for name, method in program.methods.items()
    }
    return Program(methods)


def change_graphs(program: Program, change: Callable[[XnnpackGraph], XnnpackGraph]) -> Program:
    def changed(call: Call) -> list[Call]:
        if isinstance(call, DelegateCall) and call.graph is not None:
            return [replace(call, graph=change(call.graph))]
        return [call]

    return change_calls(program, changed)


def change_first(
    program: Program, kind: str, field: str, change: Callable[[Value], Value]
) -> Program:
    """Change the value that the first node of a kind refers to."""
    left = [1]

    def changed(graph: XnnpackGraph) -> XnnpackGraph:
        nodes = [node for node in graph.nodes if node.kind == kind]
        if not nodes or not left:
            return graph
        left.pop()
        id = int(str(nodes[0].fields[field]))
        return replace(graph, values={**graph.values, id: change(graph.values[id])})

    return change_graphs(program, changed)


def violations(found: SmallProgram, program: Program, precision: str = "") -> tuple[str, ...]:
    model = found.model
    labels = len(model.labels or ())
    precision = precision or found.spec.precision
    return coverage(program, precision, model.config, model.task, labels).violations


def tensors(found: SmallProgram, program: Program) -> list[StoredTensor]:
    return list(stored_weights(program, found.model.config, found.model.task))


def matrix() -> ConstantReference:
    return ConstantReference(
        "float32", (2, 2), (0, 1), memoryview(np.ones(4, np.float32)).cast("B")
    )


def test_an_untouched_program_breaks_no_promise(int8: SmallProgram) -> None:
    program = read_program(int8.path)
    assert violations(int8, program) == ()
    assert violations(int8, change_calls(program, lambda call: [call])) == ()


def test_another_precision_is_no_promise_kept(int8: SmallProgram, programs: Programs) -> None:
    found = violations(int8, read_program(int8.path), "fp32")
    assert f"{QUERY}.weight is stored with 8 bits, fp32 promises 32" in found
    wide = programs("fp32")
    found = violations(wide, read_program(wide.path), "int8")
    assert f"{QUERY}.weight is stored with 32 bits, int8 promises 8" in found
    assert "embeddings.word.weight is stored with 32 bits, int8 promises 8" in found
    assert not [line for line in found if "classifier" in line or "norm" in line or "bias" in line]


def test_int8_weights_whose_input_is_fp32(int8: SmallProgram) -> None:
    """Half of the work would stay in fp32: small files, and slow ones."""
    program = change_first(
        read_program(int8.path),
        "XNNFullyConnected",
        "input1_id",
        lambda value: replace(value, datatype="fp32"),
    )
    found = violations(int8, program)
    assert any(line.endswith("is int8, but its input is fp32") for line in found)


@pytest.mark.parametrize("datatype", ["qint8", "qcint4", "fp16"])
def test_weights_of_a_type_that_no_scheme_has(datatype: str, int8: SmallProgram) -> None:
    program = change_first(
        read_program(int8.path),
        "XNNFullyConnected",
        "filter_id",
        lambda value: replace(value, datatype=datatype),
    )
    assert any("stored with 64 bits" in line for line in violations(int8, program))
    assert any(tensor.values.size == 0 for tensor in tensors(int8, program))


def test_weights_that_are_no_constants(int8: SmallProgram) -> None:
    program = change_first(
        read_program(int8.path),
        "XNNFullyConnected",
        "filter_id",
        lambda value: replace(value, constant=None),
    )
    assert any("stored with 64 bits" in line for line in violations(int8, program))


@pytest.mark.parametrize("kind", ["XNNConv2d", "XNNBatchMatrixMultiply", "XNNAdd"])
def test_constants_inside_the_delegate_that_are_no_linear_layers(
    kind: str, int8: SmallProgram
) -> None:
    def changed(graph: XnnpackGraph) -> XnnpackGraph:
        weight = next(v for v in graph.values.values() if v.constant and v.constant.size > 1)
        return replace(
            graph, nodes=(*graph.nodes, Node(kind, {"input2_id": weight.id, "flags": 0}, None))
        )

    def only_with_weights(graph: XnnpackGraph) -> XnnpackGraph:
        has = any(v.constant and v.constant.size > 1 for v in graph.values.values())
        return changed(graph) if has else graph

    program = change_graphs(read_program(int8.path), only_with_weights)
    assert f"{kind} reads a constant that is no linear layer's" in violations(int8, program)


def test_constants_that_are_handed_to_the_delegate(int8: SmallProgram) -> None:
    def changed(call: Call) -> list[Call]:
        if isinstance(call, DelegateCall):
            return [replace(call, arguments=(*call.arguments, matrix()))]
        return [call]

    found = violations(int8, change_calls(read_program(int8.path), changed))
    assert "the delegate is handed a constant that is no linear layer's" in found


@pytest.mark.parametrize("arguments", [(matrix(),), ((matrix(), matrix()), 1)])
def test_constants_that_kernels_read(arguments: tuple[Any, ...], int8: SmallProgram) -> None:
    extra = KernelCall("aten::slice_copy.Tensor_out", arguments)
    program = change_calls(
        read_program(int8.path),
        lambda call: [call, extra] if isinstance(call, DelegateCall) else [call],
    )
    message = "aten::slice_copy.Tensor_out reads a constant that the audit does not see"
    assert message in violations(int8, program)


@pytest.mark.parametrize(
    ("extra", "name"),
    [
        (KernelCall("aten::bmm.out", ()), "aten::bmm.out"),
        (KernelCall("aten::linear.out", ()), "aten::linear.out"),
        (OtherCall("JumpFalseCall", (True, 0)), "JumpFalseCall"),
    ],
)
def test_operators_outside_that_are_not_listed(extra: Call, name: str, int8: SmallProgram) -> None:
    program = change_calls(
        read_program(int8.path),
        lambda call: [call, extra] if isinstance(call, DelegateCall) else [call],
    )
    assert f"{name} runs outside the delegate" in violations(int8, program)


def test_another_delegate(int8: SmallProgram) -> None:
    def changed(call: Call) -> list[Call]:
        if isinstance(call, DelegateCall):
            return [replace(call, backend="CoreMLBackend", graph=None)]
        return [call]

    found = violations(int8, change_calls(read_program(int8.path), changed))
    assert "a part runs on CoreMLBackend" in found


def test_a_product_more_than_the_file_names(int8: SmallProgram) -> None:
    left = [1]

    def changed(graph: XnnpackGraph) -> XnnpackGraph:
        last = [node for node in graph.nodes if node.kind == "XNNFullyConnected"]
        if not last or not left:
            return graph
        left.pop()
        return replace(graph, nodes=(*graph.nodes, last[0]))

    program = change_graphs(read_program(int8.path), changed)
    assert any("is no weight of the model" in line for line in violations(int8, program))


def test_a_tied_weight_is_stored_twice_and_read_once(tied: SmallProgram) -> None:
    program = read_program(tied.path)
    names = [tensor.name for tensor in tensors(tied, program)]
    assert names.count("embeddings.word.weight") == 1
    assert "head.decoder.weight" not in names
    assert violations(tied, program) == ()


@pytest.mark.parametrize("part", ["levels", "scale"])
def test_a_difference_between_the_two_copies_of_a_tied_weight(
    part: str, tied: SmallProgram
) -> None:
    """The second copy comes as a tensor of its own, which the audit refuses."""

    def other(constant: ConstantReference) -> ConstantReference:
        content = bytearray(constant.content)
        content[0] ^= 1
        return replace(constant, content=memoryview(bytes(content)))

    def changed(call: Call) -> list[Call]:
        if not isinstance(call, KernelCall) or "embedding_byte" not in call.operator:
            return [call]
        at = 0 if part == "levels" else 1
        constant = call.arguments[at]
        assert isinstance(constant, ConstantReference)
        arguments = list(call.arguments)
        arguments[at] = other(constant)
        return [replace(call, arguments=tuple(arguments))]

    program = change_calls(read_program(tied.path), changed)
    names = [tensor.name for tensor in tensors(tied, program)]
    assert names.count("embeddings.word.weight") == 2
    assert names.count("embeddings.position.weight") == 1


def test_reasons_are_given_for_what_runs_outside() -> None:
    assert all(OUTSIDE.values())
    assert not [name for name in OUTSIDE if "mm" in name or "linear" in name or "conv" in name]
