"""Reads the graph in a Vulkan delegate's data.

Layout: a header, then a FlatBuffer (``backends/vulkan/serialization/schema.fbs`` of ExecuTorch);
constants lie in the .pte file's named data. Strict: what it does not understand it refuses.
"""

import struct
from collections.abc import Callable, Mapping
from importlib.resources import files
from itertools import zip_longest

from exporter.targets.executorch.backends.graph import (
    DelegateGraph,
    Operand,
    Operator,
    Reference,
    Result,
)
from exporter.targets.executorch.constant import ConstantReference, byte_count
from exporter.targets.executorch.container import element
from exporter.targets.executorch.flatbuffer import Damaged, Record, parse_schema, read_root

_MAGIC, _IDENTIFIER = b"VH00", b"VK00"
_HEADER_START = 8
_HEADER = struct.Struct("<HIIIQ")  # its own size, graph and its size, constants and their size
_DTYPES = {
    "BOOL": "bool",
    "UINT8": "uint8",
    "INT8": "int8",
    "INT32": "int32",
    "INT64": "int64",
    "FLOAT16": "float16",
    "FLOAT32": "float32",
}
_SCALARS = {"Int": "int_val", "Bool": "bool_val", "Double": "double_val", "String": "string_val"}
_LISTS = ("IntList", "DoubleList", "BoolList")

#: Names of the operands of an operator, by its kind.
Names = Callable[[str], tuple[str, ...]]


def parse_graph(
    blob: memoryview, named_data: Mapping[str, memoryview], names: Names
) -> DelegateGraph:
    """The graph in a delegate's blob. ``names`` may be empty for unknown kinds. Raises Damaged."""
    if len(blob) < _HEADER_START + _HEADER.size or blob[4:_HEADER_START] != _MAGIC:
        raise Damaged("a delegate's data are no Vulkan graph")
    size, start, length, _, constants = _HEADER.unpack_from(blob, _HEADER_START)
    if size != _HEADER_START + _HEADER.size or start < size or start + length > len(blob):
        raise Damaged("the header of a Vulkan graph is damaged")
    table = bytes(blob[start : start + length])
    if table[4:8] != _IDENTIFIER:
        raise Damaged(f"the format of a Vulkan graph is {table[4:8]!r}, not {_IDENTIFIER!r}")
    folder = files("executorch") / "backends" / "vulkan" / "serialization"
    record = read_root(table, parse_schema((folder / "schema.fbs").read_text()), "VkGraph")
    if constants or record["shaders"]:
        raise Damaged("a Vulkan graph has constants or shaders in a place that is not used")
    return _Reader(record, named_data, names).graph()


class _Reader:
    """Knows which values are defined so far."""

    def __init__(self, record: Record, named_data: Mapping[str, memoryview], names: Names) -> None:
        self._record, self._named_data, self._names = record, named_data, names
        self._computed: set[int] = set()

    def graph(self) -> DelegateGraph:
        record = self._record
        inputs = tuple(self._result(id) for id in record["input_ids"])
        operators = tuple(self._operator(call) for call in record["chain"])
        if not self._computed.issuperset(record["output_ids"]):
            raise Damaged("an output of a Vulkan graph is never computed")
        # What it says beside this (the storage and layout to use throughout, say) counts as it is.
        read = ("chain", "values", "input_ids", "output_ids", "constants", "shaders")
        settings = tuple(sorted((k, v) for k, v in record.items() if k not in read))
        return DelegateGraph(
            inputs, operators, tuple(str(id) for id in record["output_ids"]), settings
        )

    def _operator(self, call: Record) -> Operator:
        kind, arguments = call["name"], call["args"]
        if not arguments:
            raise Damaged(f"{kind} of a Vulkan graph computes nothing")
        names = self._names(kind)
        if names and len(names) != len(arguments) - 1:
            raise Damaged(f"{kind} of a Vulkan graph has {len(arguments) - 1} operands")
        operands = {
            name or str(position): self._operand(id)
            for position, (name, id) in enumerate(zip_longest(names, arguments[:-1]))
        }
        # What it computes comes last: one value, or a list of them.
        last, fields = self._value(arguments[-1])
        written = fields["items"] if last == "ValueList" else (arguments[-1],)
        return Operator(kind, operands, tuple(self._result(id) for id in written))

    def _value(self, id: int) -> tuple[str, Record]:
        kind, fields = element(self._record["values"], id, "value")["value"]
        return kind, fields

    def _operand(self, id: int) -> Operand:
        kind, fields = self._value(id)
        if kind in _SCALARS:
            scalar: int | bool | float | str = fields[_SCALARS[kind]]
            return scalar
        if kind in _LISTS:
            return tuple(fields["items"])
        if kind == "ValueList":
            # A list of values holds no lists.
            if any(self._value(item)[0] == "ValueList" for item in fields["items"]):
                raise Damaged("a list of a Vulkan graph holds another one")
            return tuple(self._operand(item) for item in fields["items"])
        if kind == "Null":
            return None
        if kind == "VkTensor" and fields["constant_id"] >= 0:
            return self._constant(fields)
        if kind not in ("VkTensor", "SymInt"):
            raise Damaged("a value of a Vulkan graph has no kind")
        if id not in self._computed:
            raise Damaged(f"value {id} of a Vulkan graph is read before it is computed")
        return Reference(str(id))

    def _result(self, id: int) -> Result:
        kind, fields = self._value(id)
        constant = kind == "VkTensor" and fields["constant_id"] >= 0
        if kind not in ("VkTensor", "SymInt") or constant or id in self._computed:
            raise Damaged(f"value {id} of a Vulkan graph is computed, but is no place for it")
        self._computed.add(id)
        if kind == "SymInt":
            return Result(str(id), "int", (), (fields["value"],))
        place = tuple(
            fields[name]
            for name in ("mem_obj_id", "storage_type", "memory_layout", "staging_datatype")
        )
        limits = tuple((0, size) for size in fields["dims"])
        return Result(str(id), _dtype(fields), limits, place)

    def _constant(self, fields: Record) -> ConstantReference:
        entry = element(self._record["constants"], fields["constant_id"], "constant")
        data = self._named_data.get(entry["named_key"])
        dtype, shape = _dtype(fields), tuple(fields["dims"])
        size = byte_count(dtype, shape)
        if data is None or entry["length"] != size or size > len(data):
            raise Damaged("a constant of a Vulkan graph is not in the file, or of another size")
        return ConstantReference(dtype, shape, tuple(range(len(shape))), data[:size])


def _dtype(fields: Record) -> str:
    if fields["datatype"] not in _DTYPES:
        raise Damaged(f"a value of a Vulkan graph has the type {fields['datatype']}")
    return _DTYPES[fields["datatype"]]
