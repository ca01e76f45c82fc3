"""From the messages of a package to its program.

The format: coremltools' ``MIL.proto``, as ``converters/mil/backend/mil/load.py`` writes it. Strict:
what it does not understand it refuses.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from exporter.targets.coreml.interpreter.bits import byte_count, is_numeric, padding_is_zero
from exporter.targets.coreml.interpreter.errors import Unreadable
from exporter.targets.coreml.interpreter.formats import element_type
from exporter.targets.coreml.interpreter.program import (
    Constant,
    Operand,
    Operation,
    Program,
    Reference,
    Result,
    Shape,
)
from exporter.targets.coreml.interpreter.storage import Storage

_VERSION = 1
_FUNCTION = "main"
#: The versions of the operators by the package's version.
_OPSETS = {8: "CoreML7", 9: "CoreML8"}
#: What a program calls the file of its weights.
BLOB_NAME = "@model_path/weights/weight.bin"
#: Fields of a tensor's immediate value by type; what is not here is stored as bytes.
_FIELDS = {
    **dict.fromkeys(("int16", "uint16", "int32"), "ints"),
    **{"int64": "longInts", "uint64": "longInts"},
    **{"float32": "floats", "float64": "doubles", "bool": "bools"},
}


def read_program(model: Any, storage: Storage | None) -> Program:
    """The program of a ``Model`` message, and its constants in ``storage``. Raises Unreadable."""
    function = _function(model)
    reader = _Reader(storage)
    program = reader.program(function, function.block_specializations[function.opset])
    unread = 0 if storage is None else len(storage.blobs.keys() - reader.read_blobs)
    if unread:
        raise Unreadable(f"its weight.bin has {unread} entries that the program does not read")
    return program


class _Reader:
    """Knows the values that are defined so far."""

    def __init__(self, storage: Storage | None) -> None:
        self._storage = storage
        self.read_blobs: set[int] = set()
        self._constants: dict[str, Operand] = {}
        self._computed: set[str] = set()
        self._defined: set[str] = set()

    def program(self, function: Any, block: Any) -> Program:
        if block.inputs or block.attributes:
            raise Unreadable("its program has a block that is not understood")
        inputs = tuple(Result(entry.name, *_type(entry.type)) for entry in function.inputs)
        self._define([entry.name for entry in inputs], "an input of its program")
        self._computed.update(self._defined)
        operations: list[Operation] = []
        for position, entry in enumerate(block.operations):
            name = _name(entry)
            place = f"operation {position} of {_FUNCTION} ({name})"
            try:
                operations += self._operation(entry, name, place)
            except Unreadable as error:
                raise Unreadable(f"{place}: {error}") from error
        missing = [name for name in block.outputs if name not in self._computed]
        if missing:
            raise Unreadable(f"its program never computes its output {missing[0]}")
        return Program(function.opset, inputs, tuple(operations), tuple(block.outputs))

    def _operation(self, entry: Any, name: str, place: str) -> tuple[Operation, ...]:
        results = [output.name for output in entry.outputs]
        if entry.blocks or not results:
            raise Unreadable(f"{entry.type} with blocks, or without results, is not understood")
        if entry.type == "const":
            self._constants[results[0]] = self._constant(entry)
            self._define(results, "a constant")
            return ()
        attributes = set(entry.attributes) - {"name"}
        # Before iOS 18, constants are computed from attributes.
        if attributes and (entry.inputs or not entry.type.startswith("constexpr_")):
            raise Unreadable(f"{entry.type} has attributes: {', '.join(sorted(attributes))}")
        operands: dict[str, Operand] = {}
        for key in sorted([*entry.inputs, *attributes]):
            operands[key] = (
                self._value(entry.attributes[key], f"{name}.{key}")
                if key in attributes
                else self._operand(entry.inputs[key].arguments, f"{name}.{key}")
            )
        computed = tuple(Result(output.name, *_type(output.type)) for output in entry.outputs)
        self._define(results, "a result")
        self._computed.update(results)
        return (Operation(entry.type, operands, computed, place),)

    def _define(self, names: Sequence[str], kind: str) -> None:
        for name in names:
            if name in self._defined:
                raise Unreadable(f"{kind} is called {name}, as another value is")
            self._defined.add(name)

    def _constant(self, entry: Any) -> Operand:
        if entry.inputs or len(entry.outputs) != 1 or set(entry.attributes) != {"name", "val"}:
            raise Unreadable("a constant is not understood")
        (output,), value = entry.outputs, entry.attributes["val"]
        if output.type != value.type:
            raise Unreadable("a constant has two types")
        return self._value(value, output.name)

    def _operand(self, bindings: Sequence[Any], name: str) -> Operand:
        values = tuple(self._binding(binding, name) for binding in bindings)
        return values[0] if len(values) == 1 else values

    def _binding(self, binding: Any, name: str) -> Operand:
        if binding.WhichOneof("binding") == "value":
            return self._value(binding.value, name)
        if binding.name in self._constants:
            return self._constants[binding.name]
        if binding.name not in self._computed:
            raise Unreadable(f"it reads {binding.name} before that is computed")
        return Reference(binding.name)

    def _value(self, value: Any, name: str) -> Operand:
        """A text, a list of them, or a tensor (of rank 0 for a single number)."""
        if value.WhichOneof("value") == "immediateValue":
            immediate = value.immediateValue
            if value.type.WhichOneof("type") == "listType" and immediate.HasField("list"):
                return tuple(self._value(item, name) for item in immediate.list.values)
            return _immediate(value, name)
        if value.WhichOneof("value") != "blobFileValue":
            raise Unreadable(f"the constant {name} has no value")
        dtype, shape = _fixed_type(value.type, name)
        blob = value.blobFileValue
        if blob.fileName != BLOB_NAME or self._storage is None:
            raise Unreadable(f"the constant {name} lies in {blob.fileName}, which is missing")
        self.read_blobs.add(blob.offset)
        return Constant(name, dtype, shape, self._storage.tensor(blob.offset, dtype, shape))


def _immediate(value: Any, name: str) -> str | Constant:
    dtype, shape = _fixed_type(value.type, name)
    if value.immediateValue.WhichOneof("value") != "tensor":
        raise Unreadable(f"the constant {name} is no tensor")
    tensor = value.immediateValue.tensor
    field = tensor.WhichOneof("value")
    if dtype == "string":
        if field != "strings" or shape or len(tensor.strings.values) != 1:
            raise Unreadable(f"the constant {name} is not one text")
        return str(tensor.strings.values[0])
    if field != _FIELDS.get(dtype, "bytes"):
        raise Unreadable(f"the constant {name} is {dtype}, but stored as {field}")
    found = getattr(tensor, field).values
    if field == "bytes":
        content = bytes(found)
    else:
        try:
            content = np.array(found, np.dtype(dtype).newbyteorder("<")).tobytes()
        except OverflowError as error:
            raise Unreadable(f"the constant {name} has values beyond {dtype}") from error
    constant = Constant(name, dtype, shape, memoryview(content))
    if len(content) != byte_count(dtype, shape) or not padding_is_zero(
        constant.content, constant.bits, constant.size
    ):
        raise Unreadable(f"the constant {name} has another size than {dtype} {shape}")
    return constant


def _fixed_type(value: Any, name: str) -> tuple[str, tuple[int, ...]]:
    dtype, shape = _type(value)
    sizes = tuple(size for size in shape if size is not None)
    if len(sizes) != len(shape):
        raise Unreadable(f"the constant {name} has no fixed shape")
    if dtype != "string" and not is_numeric(dtype):
        raise Unreadable(f"the constant {name} has the type {dtype}, which is not understood")
    return dtype, sizes


def _type(value: Any) -> tuple[str, Shape]:
    """The element type, and the size of every axis."""
    if value.WhichOneof("type") == "dictionaryType":
        dictionary = value.dictionaryType
        if _type(dictionary.keyType) + _type(dictionary.valueType) != ("string", (), "float64", ()):
            raise Unreadable("a dictionary is not one of probabilities by label")
        return "dictionary", ()
    if value.WhichOneof("type") != "tensorType":
        raise Unreadable("a value is no tensor")
    tensor = value.tensorType
    if tensor.rank != len(tensor.dimensions) or tensor.attributes:
        raise Unreadable("a value has no valid shape")
    return element_type(tensor.dataType), tuple(_size(axis) for axis in tensor.dimensions)


def _size(axis: Any) -> int | None:
    if axis.WhichOneof("dimension") == "constant":
        return int(axis.constant.size)
    if axis.WhichOneof("dimension") != "unknown" or axis.unknown.variadic:
        raise Unreadable("a value has a number of axes that is not known")
    return None


def _name(entry: Any) -> str:
    """The operation's name, for messages: what it says of itself, else that of its result."""
    said = [value for key, value in entry.attributes.items() if key == "name"]
    texts = [text for value in said for text in value.immediateValue.tensor.strings.values]
    return str((texts or [output.name for output in entry.outputs] or [entry.type])[0])


def _function(model: Any) -> Any:
    """The program's one function."""
    program = model.mlProgram
    if model.WhichOneof("Type") != "mlProgram" or program.version != _VERSION or model.isUpdatable:
        raise Unreadable("its model is no ML program of the known version")
    functions = list(program.functions)
    if functions != [_FUNCTION] or model.description.functions or program.docString:
        raise Unreadable(f"its program has the functions {functions}, not {_FUNCTION} alone")
    if set(program.attributes) - {"buildInfo"}:  # which program wrote it
        raise Unreadable("its program has attributes that are not understood")
    function = program.functions[_FUNCTION]
    if function.attributes or list(function.block_specializations) != [function.opset]:
        raise Unreadable("the function of its program is not understood")
    opset = _OPSETS.get(model.specificationVersion)
    if function.opset != opset:
        raise Unreadable(
            f"its version is {model.specificationVersion} with the operators {function.opset}; "
            f"known are {', '.join(f'{version} with {name}' for version, name in _OPSETS.items())}"
        )
    return function
