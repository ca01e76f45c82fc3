"""Reading .pte files: against the modules they were made from, the runtime and its own tools."""

import dataclasses
import enum
import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from executorch.exir._serialize._flatbuffer import _flatc_decompile
from executorch.exir._serialize._flatbuffer_program import _flatbuffer_to_program
from executorch.extension.pybindings.portable_lib import _load_for_executorch_from_buffer
from lowered_modules import CONSTANTS, HIDDEN, INNER, LENGTH, WORDS, Shape, Tiny, lower

from exporter.targets.executorch.constant import ConstantReference, unpack_int4
from exporter.targets.executorch.container import open_container
from exporter.targets.executorch.program import (
    Activation,
    DelegateCall,
    KernelCall,
    Method,
    Program,
    read_program,
)
from exporter.targets.executorch.structure import operators
from exporter.targets.executorch.xnnpack_graph import Value, XnnpackGraph

pytestmark = pytest.mark.usefixtures("quick")

PRECISIONS = ("fp32", "int8", "int4")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Tiny, Path]]:
    """A module and its file by precision; fp32 has a dynamic length and constant methods."""
    folder = tmp_path_factory.mktemp("pte")
    result = {}
    for precision in PRECISIONS:
        module = Tiny(precision=precision)
        full = precision == "fp32"
        methods = {"forward": Shape(LENGTH, dynamic=full)}
        path = lower(folder / f"{precision}.pte", module, methods, CONSTANTS if full else None)
        result[precision] = module, path
    return result


def forward(path: Path) -> Method:
    return read_program(path).methods["forward"]


def graph(method: Method) -> XnnpackGraph:
    (call,) = (call for call in method.calls if isinstance(call, DelegateCall))
    assert call.backend == "XnnpackBackend"
    assert call.graph is not None
    return call.graph


def layers(method: Method) -> list[tuple[Value, Value]]:
    """Filter and bias of every fully connected layer, in order."""
    found = graph(method)
    return [
        (found.values[node.fields["filter_id"]], found.values[node.fields["bias_id"]])  # type: ignore[index]
        for node in found.nodes
        if node.kind == "XNNFullyConnected"
    ]


def kernels(method: Method) -> dict[str, KernelCall]:
    return {call.operator: call for call in method.calls if isinstance(call, KernelCall)}


def values(argument: object) -> Any:
    assert isinstance(argument, ConstantReference)
    return argument.array()


def constants(program: Program) -> Iterator[ConstantReference]:
    """Every constant that anything in the program refers to."""
    for method in program.methods.values():
        for call in method.calls:
            yield from (a for a in call.arguments if isinstance(a, ConstantReference))
            if isinstance(call, DelegateCall) and call.graph is not None:
                for value in call.graph.values.values():
                    if value.constant is not None:
                        yield value.constant
                    if value.quantization is not None and value.quantization.scales is not None:
                        yield value.quantization.scales


def test_signature_and_constant_methods(tiny: dict[str, tuple[Tiny, Path]]) -> None:
    program = read_program(tiny["fp32"][1])
    method = program.methods["forward"]
    inputs = [(i.dtype, i.sizes, i.dynamism) for i in method.inputs if isinstance(i, Activation)]
    assert inputs == [("int64", (1, LENGTH), "dynamic_bound")] * 2
    (output,) = method.outputs
    assert isinstance(output, Activation)
    assert (output.dtype, output.sizes) == ("float32", (1, LENGTH, HIDDEN))
    static = forward(tiny["int8"][1]).inputs[0]
    assert isinstance(static, Activation)
    assert static.dynamism == "static"

    found = program.constants()
    assert found.keys() == CONSTANTS.keys()
    np.testing.assert_array_equal(values(found.pop("table")), CONSTANTS["table"])
    assert found == {name: value for name, value in CONSTANTS.items() if name != "table"}
    assert found["cased"] is True


def test_kernels_have_their_arguments(tiny: dict[str, tuple[Tiny, Path]]) -> None:
    module, path = tiny["fp32"]
    method = forward(path)
    norm = kernels(method)["aten::native_layer_norm.out"]
    assert norm.arguments[1] == (HIDDEN,)
    assert norm.arguments[4] == module.norm.eps
    np.testing.assert_array_equal(values(norm.arguments[2]), module.norm.weight.detach())
    np.testing.assert_array_equal(values(norm.arguments[3]), module.norm.bias.detach())
    embedding = kernels(method)["aten::embedding.out"]
    np.testing.assert_array_equal(values(embedding.arguments[0]), module.words.weight.detach())
    # Data flow: the tokens are looked up, normalised and handed to the delegate.
    assert embedding.arguments[1] == method.inputs[0]
    assert norm.arguments[0] == embedding.arguments[-1]
    (delegate,) = (call for call in method.calls if isinstance(call, DelegateCall))
    assert delegate.inputs[0] == norm.arguments[5]
    assert delegate.outputs == method.outputs


def test_delegated_fp32_weights(tiny: dict[str, tuple[Tiny, Path]]) -> None:
    module, path = tiny["fp32"]
    pairs = layers(forward(path))
    for layer, (weight, bias) in zip(
        (module.first, module.second, module.third), pairs, strict=True
    ):
        assert (weight.datatype, weight.quantization) == ("fp32", None)
        np.testing.assert_array_equal(values(weight.constant), layer.weight.detach())
        np.testing.assert_array_equal(values(bias.constant), layer.bias.detach())


@pytest.mark.parametrize(
    ("precision", "datatype", "kind"),
    [("int8", "qcint8", "PerChannelQuant"), ("int4", "qbint4", "PerChannelGroupQuant")],
)
def test_delegated_quantized_weights(
    tiny: dict[str, tuple[Tiny, Path]], precision: str, datatype: str, kind: str
) -> None:
    module, path = tiny[precision]
    pairs = layers(forward(path))
    for layer, (weight, bias) in zip(
        (module.first, module.second, module.third), pairs, strict=True
    ):
        assert weight.quantization is not None
        assert (weight.datatype, weight.quantization.kind) == (datatype, kind)
        np.testing.assert_array_equal(values(weight.constant), layer.get_buffer("levels"))
        np.testing.assert_array_equal(values(bias.constant), layer.bias.detach())
        scale = layer.get_buffer("scale")
        if precision == "int4":  # XNNPACK takes the scales of groups in bfloat16
            scale = scale.bfloat16().float().repeat_interleave(32, 1)
        else:
            scale = scale[:, None]
        np.testing.assert_array_equal(weight.step(), scale)


def test_int4_rows_of_odd_length_are_padded() -> None:
    packed = np.array([[0x21, 0x0F], [0x80, 0x07]], np.uint8)
    levels = unpack_int4(packed.reshape(-1), (2, 3))
    assert levels.tolist() == [[-7, -6, 7], [-8, 0, -1]]


def test_operator_counts(tiny: dict[str, tuple[Tiny, Path]]) -> None:
    (name, counts), *others = operators(read_program(tiny["int8"][1])).items()
    assert (name, others) == ("forward", [])
    assert counts.delegated["XNNFullyConnected"] == 3
    assert counts.delegated["XNNConvert"] == 3
    assert counts.undelegated["aten::native_layer_norm.out"] == 1
    assert not [kind for kind in counts.undelegated if "linear" in kind or "mm" in kind]
    assert operators(read_program(tiny["fp32"][1])).keys() == {"forward"}


def plain(value: Any) -> Any:
    """What executorch's own reader returns, in the form of a ``Record``."""
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, list):
        return tuple(plain(item) for item in value)
    if not dataclasses.is_dataclass(value):
        return value
    unions = {"EValue": "val", "Instruction": "instr_args"}
    if (field := unions.get(type(value).__name__)) is not None:
        inner = getattr(value, field)
        return {field: (type(inner).__name__, plain(inner))}
    return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}


def listed(value: Any) -> Any:
    """A record with bytes as tuples, and without what is absent."""
    if isinstance(value, memoryview | bytes | tuple):
        return tuple(listed(item) for item in value)
    if isinstance(value, dict):
        rest = {name: listed(item) for name, item in value.items()}
        return {name: item for name, item in rest.items() if item not in (None, (), "")}
    return value


@pytest.mark.parametrize("precision", PRECISIONS)
def test_programs_are_read_as_executorch_reads_them(
    tiny: dict[str, tuple[Tiny, Path]], precision: str
) -> None:
    path = tiny[precision][1]
    data = path.read_bytes()
    size = int.from_bytes(data[16:24], "little")
    expected = listed(plain(_flatbuffer_to_program(data[:size])))
    assert listed(open_container(path).program) == expected


@pytest.mark.parametrize("precision", PRECISIONS)
def test_graphs_are_read_as_flatc_reads_them(
    tiny: dict[str, tuple[Tiny, Path]], tmp_path: Path, precision: str
) -> None:
    method = forward(tiny[precision][1])
    (call,) = (call for call in method.calls if isinstance(call, DelegateCall))
    blob = bytes(call.blob.content)
    (tmp_path / "graph.bin").write_bytes(blob[int.from_bytes(blob[10:14], "little") :])
    schema = files("executorch") / "backends" / "xnnpack" / "serialization" / "schema.fbs"
    _flatc_decompile(str(tmp_path), str(schema), str(tmp_path / "graph.bin"))
    expected = json.loads((tmp_path / "graph.json").read_text())

    found = graph(method)
    assert [node.kind for node in found.nodes] == [
        node["xnode_union_type"] for node in expected["xnodes"]
    ]
    for node, other in zip(found.nodes, expected["xnodes"], strict=True):
        assert listed(dict(node.fields)) == listed(tuples(other["xnode_union"]))
    for value, other in zip(found.values.values(), expected["xvalues"], strict=True):
        tensor = other["xvalue_union"]
        quantized = other["xvalue_union_type"] == "XNNQuantizedTensorValue"
        assert quantized == (value.quantization is not None)
        if value.quantization is not None:
            assert tensor["quant_params_type"] == value.quantization.kind
            tensor = tensor["tensor_value"]
        assert f"xnn_datatype_{value.datatype}" == tensor["datatype"]
        assert (value.id, value.flags) == (tensor["id_out"], tensor["flags"])
        assert (list(value.dims), value.external_id) == (tensor["dims"], tensor["external_id"])
        assert bool(tensor["constant_buffer_idx"]) == (value.constant is not None)
    assert list(found.inputs) == expected["input_ids"]
    assert list(found.outputs) == expected["output_ids"]


def tuples(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    return (
        {name: tuples(item) for name, item in value.items()} if isinstance(value, dict) else value
    )


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_runtime_computes_with_the_constants_that_are_read(
    tiny: dict[str, tuple[Tiny, Path]], precision: str
) -> None:
    """Each constant with its elements in another order changes the output."""
    path = tiny[precision][1]
    data = path.read_bytes()
    inputs = torch.arange(LENGTH)[None] + 1, torch.tensor([[1] * 6 + [0] * 2])

    def run(content: bytes) -> Any:
        (output,) = _load_for_executorch_from_buffer(content).run_method("forward", inputs)
        return output.numpy().copy()

    expected = run(data)
    found = list(constants(read_program(path)))
    assert len(found) == {"fp32": 11, "int8": 14, "int4": 14}[precision]
    for constant in found:
        content = bytes(constant.content)
        if constant.size == 1 and data.count(content) > 1:
            continue  # so short that it occurs elsewhere by chance
        other = np.float32(3).tobytes()
        if constant.size > 1:
            width = max(1, len(content) // constant.size)
            starts = range(0, len(content), width)
            other = b"".join(content[start : start + width] for start in reversed(starts))
        assert data.count(content) == 1
        assert not np.array_equal(run(data.replace(content, other)), expected), constant


def test_methods_share_their_weights(tmp_path: Path) -> None:
    methods = {"forward_4": Shape(4), "forward_8": Shape(8)}
    path = lower(tmp_path / "buckets.pte", Tiny(), methods)
    program = read_program(path)
    assert list(program.methods) == list(methods)
    for length, method in zip((4, 8), program.methods.values(), strict=True):
        assert isinstance(method.inputs[0], Activation)
        assert method.inputs[0].sizes == (1, length)
    short, long = (layers(method)[1][0].constant for method in program.methods.values())
    assert values(short).shape == (INNER, INNER)
    addresses = {values(c).__array_interface__["data"][0] for c in (short, long)}
    assert len(addresses) == 1
    assert path.stat().st_size < 1.5 * 4 * (WORDS * HIDDEN + 2 * HIDDEN * INNER + INNER**2)
