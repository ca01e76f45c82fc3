"""The graph inside a delegate's blob, as XNNPACK's runtime reads it.

Layout: a header (XNNHeader in backends/xnnpack/serialization/xnnpack_graph_serialize.py), a
FlatBuffer (runtime_schema.fbs next to it), and constants. Today's constants lie outside, as named
data under the hash of their content.
"""

import math
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

import numpy as np

from exporter.targets.base import Array
from exporter.targets.executorch.constant import ConstantReference, byte_count
from exporter.targets.executorch.container import element
from exporter.targets.executorch.flatbuffer import Damaged, Record, parse_schema, read_root

#: Of a field that names no value: XNN_INVALID_VALUE_ID, for instance a layer without a bias.
NO_VALUE = 2**32 - 1

_MAGIC = b"XH00"
_HEADER = struct.Struct("<HIIIQ")  # its size, offset and size of the graph, and of the constants
_HEADER_START = 8
#: Written since the constants have left the FlatBuffer.
_IDENTIFIER = b"XN01"
#: The offset of a constant that is named data.
_NO_OFFSET = 2**64 - 1

_DTYPES = {
    "fp32": "float32",
    "fp16": "float16",
    "bf16": "bfloat16",
    "int32": "int32",
    "qint8": "int8",
    "quint8": "uint8",
    "qint32": "int32",
    "qcint8": "int8",
    "qcint32": "int32",
    "qcint4": "int4",
    "qbint4": "int4",
}


@dataclass(frozen=True)
class Quantization:
    """How a value is quantized.

    ``kind``: "PerTensorQuant" (``scale``, ``zero_point``), "PerChannelQuant" (``scales`` [channels]
    along ``channel_dim``, float32), "PerChannelGroupQuant" (``scales`` [channels, groups of
    ``group_size`` elements], bfloat16), or "PerTokenDynamicQuant" (at run time, over all but the
    last ``num_nonbatch_dims`` dimensions).
    """

    kind: str
    scale: float = 0.0
    zero_point: int = 0
    channel_dim: int = 0
    group_size: int = 0
    num_nonbatch_dims: int = 0
    scales: ConstantReference | None = None


@dataclass(frozen=True)
class Value:
    """A tensor of the graph. ``datatype`` as in XNNDatatype, without "xnn_datatype_".

    ``external_id`` is the position among the delegate call's arguments, or NO_VALUE.
    """

    id: int
    datatype: str
    dims: tuple[int, ...]
    flags: int
    external_id: int
    dq_datatype: str
    quantization: Quantization | None
    constant: ConstantReference | None

    def step(self) -> Array:
        """The quantization step of every element of a quantized constant, float32.

        Broadcastable to ``dims``; the levels are those of ``constant``, symmetric around
        ``zero_point`` (0 for all but PerTensorQuant).
        """
        quantization = self.quantization
        if quantization is None or quantization.scales is None:
            return np.float32(0 if quantization is None else quantization.scale) * np.ones((), "f4")
        scales = quantization.scales.array().astype(np.float32)
        if quantization.group_size:
            return np.repeat(scales, quantization.group_size, axis=1)
        shape = [1] * len(self.dims)
        shape[quantization.channel_dim] = -1
        return scales.reshape(shape)


@dataclass(frozen=True)
class Node:
    """An operator: ``kind`` as in XNodeUnion, and the fields of its table by name.

    Fields whose names end in "_id" are ids of values, or NO_VALUE.
    """

    kind: str
    fields: Mapping[str, int | float | tuple[int, ...]]
    output_min_max: tuple[float, float] | None


@dataclass(frozen=True)
class XnnpackGraph:
    """Nodes in the order of execution; ids of the values that go in and out, in order."""

    nodes: tuple[Node, ...]
    values: Mapping[int, Value]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    num_externs: int


def parse_graph(blob: memoryview, named_data: Mapping[str, memoryview]) -> XnnpackGraph:
    """The graph in a delegate's blob. Raises Damaged."""
    if len(blob) < _HEADER_START + _HEADER.size or blob[4:_HEADER_START] != _MAGIC:
        raise Damaged("a delegate's data are no XNNPACK graph")
    size, start, length, base, constants = _HEADER.unpack_from(blob, _HEADER_START)
    if size != _HEADER_START + _HEADER.size or start < size or start + length > base:
        raise Damaged("the header of an XNNPACK graph is damaged")
    if base + constants > len(blob):
        raise Damaged("an XNNPACK graph is cut off")
    table = bytes(blob[start : start + length])
    if table[4:8] != _IDENTIFIER:
        raise Damaged(f"the format of an XNNPACK graph is {table[4:8]!r}, not {_IDENTIFIER!r}")
    folder = files("executorch") / "backends" / "xnnpack" / "serialization"
    schema = parse_schema((folder / "runtime_schema.fbs").read_text())
    record = read_root(table, schema, "XNNGraph")
    if record["constant_buffer"]:
        raise Damaged("an XNNPACK graph keeps its constants in a place that is no longer used")
    data = tuple(
        _constant_data(entry, blob[base : base + constants], named_data)
        for entry in record["constant_data"]
    )
    values = tuple(_value(data, *entry["xvalue_union"]) for entry in record["xvalues"])
    if any(count > 1 for count in Counter(value.id for value in values).values()):
        raise Damaged("two values of an XNNPACK graph have the same id")
    graph = XnnpackGraph(
        tuple(_node(entry) for entry in record["xnodes"]),
        {value.id: value for value in values},
        record["input_ids"],
        record["output_ids"],
        record["num_externs"],
    )
    _check_ids(graph)
    return graph


def _check_ids(graph: XnnpackGraph) -> None:
    used = [*graph.inputs, *graph.outputs]
    for node in graph.nodes:
        used += [
            value
            for name, value in node.fields.items()
            if name.endswith("_id") and isinstance(value, int) and value != NO_VALUE
        ]
    if not set(used) <= graph.values.keys():
        raise Damaged("a node of an XNNPACK graph refers to a value that is not there")
    for value in graph.values.values():
        if value.external_id != NO_VALUE and value.external_id >= graph.num_externs:
            raise Damaged("a value of an XNNPACK graph has an external id out of range")
    if any(graph.values[id].external_id == NO_VALUE for id in (*graph.inputs, *graph.outputs)):
        raise Damaged("an input or output of an XNNPACK graph has no external id")


def _constant_data(
    entry: Record, inside: memoryview, named_data: Mapping[str, memoryview]
) -> memoryview:
    key, offset, size = entry["named_key"], entry["offset"], entry["size"]
    if bool(key) != (offset == _NO_OFFSET):
        # The first entry stands for "no constant": no key, no offset, no bytes.
        raise Damaged("a constant of an XNNPACK graph has both a name and an offset, or neither")
    if key and key not in named_data:
        raise Damaged("a constant of an XNNPACK graph is not in the file")
    data = named_data[key] if key else inside[offset:]
    if size > len(data):
        raise Damaged("a constant of an XNNPACK graph is longer than its data")
    return data[:size]


def _node(entry: Record) -> Node:
    kind, fields = entry["xnode_union"]
    if not kind:
        raise Damaged("a node of an XNNPACK graph has no kind")
    bounds = entry["output_min_max"]
    return Node(kind, fields, bounds and (bounds["output_min"], bounds["output_max"]))


def _value(data: tuple[memoryview, ...], kind: str, record: Record) -> Value:
    tensor = record.get("tensor_value") if kind == "XNNQuantizedTensorValue" else record
    if not tensor:
        raise Damaged("a value of an XNNPACK graph has no tensor")
    datatype, dims = _plain(tensor["datatype"]), tensor["dims"]
    if tensor["num_dims"] != len(dims):
        raise Damaged("a value of an XNNPACK graph has another number of dimensions than it says")
    constant = None
    if tensor["constant_buffer_idx"]:
        dtype = _DTYPES.get(datatype)
        if dtype is None:
            raise Damaged(f"a constant of an XNNPACK graph has the type {datatype}")
        constant = _reference(dtype, dims, tensor["constant_buffer_idx"], data)
    quantization = None
    if kind == "XNNQuantizedTensorValue":
        quantization = _quantization(dims, data, *record["quant_params"])
    return Value(
        tensor["id_out"],
        datatype,
        dims,
        tensor["flags"],
        tensor["external_id"],
        _plain(tensor["dq_datatype"]),
        quantization,
        constant,
    )


def _quantization(
    dims: tuple[int, ...], data: tuple[memoryview, ...], kind: str, record: Record
) -> Quantization:
    if kind == "PerTensorQuant":
        return Quantization(kind, scale=record["scale"], zero_point=record["zero_point"])
    if kind == "PerTokenDynamicQuant":
        return Quantization(kind, num_nonbatch_dims=record["num_nonbatch_dims"])
    if not kind:
        raise Damaged("a value of an XNNPACK graph has no quantization parameters")
    channel_dim, group_size = record["channel_dim"], record.get("group_size", 0)
    if not 0 <= channel_dim < len(dims):
        raise Damaged("the channels of a quantized constant are no dimension of it")
    dtype = "float32"
    shape: tuple[int, ...] = (dims[channel_dim],)
    if kind == "PerChannelGroupQuant":
        if group_size < 1 or len(dims) != 2 or channel_dim != 0 or dims[1] % group_size:
            raise Damaged("the groups of a quantized constant do not fit its shape")
        dtype, shape = "bfloat16", (dims[0], dims[1] // group_size)
    if record["scale"] or record["num_scales"] != math.prod(shape):
        raise Damaged("a quantized constant has another number of scales than channels or groups")
    scales = _reference(dtype, shape, record["scale_buffer_idx"], data)
    return Quantization(kind, channel_dim=channel_dim, group_size=group_size, scales=scales)


def _reference(
    dtype: str, shape: tuple[int, ...], index: int, data: tuple[memoryview, ...]
) -> ConstantReference:
    content = element(data, index, "constant")
    if not shape or (size := byte_count(dtype, shape)) > len(content):
        raise Damaged("a constant of an XNNPACK graph is shorter than its shape asks for")
    return ConstantReference(dtype, shape, tuple(range(len(shape))), content[:size])


def _plain(datatype: str) -> str:
    return datatype.removeprefix("xnn_datatype_")
