"""Reads the ML program in a Core ML delegate's data.

The format: coremltools' ``Model.proto`` and ``MIL.proto``. Strict: what it does not understand it
refuses.
"""

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from exporter.quiet import apart
from exporter.targets.executorch.backends.coreml.package import Package, read_package
from exporter.targets.executorch.backends.graph import (
    DelegateGraph,
    Operand,
    Operator,
    Reference,
    Result,
)
from exporter.targets.executorch.constant import ConstantReference, byte_count
from exporter.targets.executorch.flatbuffer import Damaged

_VERSION = 1
_BLOB = "@model_path/weights/weight.bin"
_FUNCTION = "main"
#: Fields of a tensor's immediate value by type. fp16 numbers are stored as bytes.
_FIELDS = {
    **dict.fromkeys(("int8", "int16", "int32", "uint8", "uint16"), "ints"),
    "float32": "floats",
    "bool": "bools",
    "float16": "bytes",
}


def parse(blob: memoryview, named_data: Mapping[str, memoryview]) -> DelegateGraph:
    """See ``exporter.targets.executorch.backends.graph.Dialect.parse``."""
    del named_data
    package = read_package(blob)
    with apart():  # coremltools talks as it is imported
        formats = [importlib.import_module(f"coremltools.proto.{n}_pb2") for n in ("Model", "MIL")]
    model = formats[0].Model()
    try:
        model.ParseFromString(bytes(package.model))
    except Exception as error:  # the class belongs to protobuf's implementation
        raise Damaged("the model of a Core ML package is damaged") from error
    return _Reader(package, formats[1]).graph(model)


class _Reader:
    """Knows the values that are defined so far."""

    def __init__(self, package: Package, mil: Any) -> None:
        self._package, self._mil = package, mil
        self._constants: dict[str, Operand] = {}
        self._computed: set[str] = set()

    def graph(self, model: Any) -> DelegateGraph:
        function = _function(model)
        block = function.block_specializations[function.opset]
        described = {entry.name: entry.type.multiArrayType for entry in model.description.input}
        declared = {entry.name: self._type(entry.type) for entry in function.inputs}
        if not set(self._package.inputs) == set(described) == set(declared):
            raise Damaged("the inputs of a Core ML program are not those of its package")
        if list(block.outputs) != [entry.name for entry in model.description.output]:
            raise Damaged("the outputs of a Core ML program are not those of its description")
        if set(self._package.outputs) != set(block.outputs) or block.attributes:
            raise Damaged("the outputs of a Core ML program are not those of its package")
        inputs = tuple(
            Result(name, declared[name][0], _range(described[name], declared[name][1]))
            for name in self._package.inputs
        )
        self._computed.update(declared)
        operators = tuple(
            operator for entry in block.operations for operator in self._operation(entry)
        )
        if not set(block.outputs) <= self._computed:
            raise Damaged("an output of a Core ML program is never computed")
        outputs = [
            (tuple(entry.type.multiArrayType.shape), entry.type.multiArrayType.dataType)
            for name in self._package.outputs
            for entry in model.description.output
            if entry.name == name
        ]
        settings = (model.specificationVersion, function.opset, tuple(outputs))
        return DelegateGraph(inputs, operators, self._package.outputs, settings)

    def _operation(self, entry: Any) -> tuple[Operator, ...]:
        names = [output.name for output in entry.outputs]
        if entry.blocks or self._computed & {*names} or self._constants.keys() & {*names}:
            raise Damaged(f"an operator of a Core ML program is not understood: {entry.type}")
        if entry.type == "const":
            self._constant(entry)
            return ()
        if set(entry.attributes) - {"name"}:
            raise Damaged(f"{entry.type} of a Core ML program has attributes: {entry.attributes}")
        operands = {name: self._operand(value.arguments) for name, value in entry.inputs.items()}
        results = tuple(Result(output.name, *self._type(output.type)) for output in entry.outputs)
        self._computed.update(names)
        return (Operator(entry.type, operands, results),)

    def _constant(self, entry: Any) -> None:
        if entry.inputs or len(entry.outputs) != 1 or set(entry.attributes) != {"name", "val"}:
            raise Damaged("a constant of a Core ML program is not understood")
        (output,), value = entry.outputs, entry.attributes["val"]
        if output.type != value.type:
            raise Damaged(f"the constant {output.name} of a Core ML program has two types")
        self._constants[output.name] = self._value(value)

    def _operand(self, bindings: Sequence[Any]) -> Operand:
        values = tuple(self._binding(binding) for binding in bindings)
        return values[0] if len(values) == 1 else values

    def _binding(self, binding: Any) -> Operand:
        if binding.WhichOneof("binding") == "value":
            return self._value(binding.value)
        if binding.name in self._constants:
            return self._constants[binding.name]
        if binding.name not in self._computed:
            raise Damaged(f"{binding.name} of a Core ML program is read before it is computed")
        return Reference(binding.name)

    def _value(self, value: Any) -> Operand:
        """A text, or a tensor (of rank 0 for a single number)."""
        dtype, limits = self._type(value.type)
        shape = tuple(least for least, _ in limits)
        if any(least != most for least, most in limits):
            raise Damaged("a constant of a Core ML program has no fixed shape")
        if value.WhichOneof("value") == "blobFileValue":
            if value.blobFileValue.fileName != _BLOB:
                raise Damaged("a constant of a Core ML program lies in another file")
            return self._package.constant(value.blobFileValue.offset, dtype, shape)
        if value.WhichOneof("value") != "immediateValue":
            raise Damaged("a constant of a Core ML program has no value")
        tensor = value.immediateValue.tensor
        field = tensor.WhichOneof("value")
        content: Any = getattr(tensor, field).values if field else b""
        if dtype == "string" and field == "strings" and not shape and len(content) == 1:
            return str(content[0])
        if field is None or field != _FIELDS.get(dtype):
            raise Damaged(f"a constant of a Core ML program is stored as {field}, not as {dtype}")
        if field != "bytes":
            try:
                content = np.array(content, np.dtype(dtype).newbyteorder("<")).tobytes()
            except OverflowError as error:
                raise Damaged(f"a constant of a Core ML program does not fit {dtype}") from error
        if len(content) != byte_count(dtype, shape):
            raise Damaged("a constant of a Core ML program has another size than its shape")
        return ConstantReference(dtype, shape, tuple(range(len(shape))), memoryview(content))

    def _type(self, value: Any) -> tuple[str, tuple[tuple[int, int | None], ...]]:
        """numpy's name of the element type, and the limits of every axis."""
        if value.WhichOneof("type") != "tensorType":
            raise Damaged("a value of a Core ML program is no tensor")
        tensor = value.tensorType
        if tensor.rank != len(tensor.dimensions) or tensor.attributes:
            raise Damaged("a value of a Core ML program has no valid shape")
        return self._mil.DataType.Name(tensor.dataType).lower(), tuple(
            (1, None) if axis.WhichOneof("dimension") == "unknown" else (axis.constant.size,) * 2
            for axis in tensor.dimensions
        )


def _function(model: Any) -> Any:
    """The program's one function."""
    program = model.mlProgram
    if model.WhichOneof("Type") != "mlProgram" or program.version != _VERSION:
        raise Damaged("the model of a Core ML package is no ML program of this version")
    if list(program.functions) != [_FUNCTION] or model.description.functions:
        raise Damaged("a Core ML program has other functions than one")
    function = program.functions[_FUNCTION]
    if function.attributes or list(function.block_specializations) != [function.opset]:
        raise Damaged("the function of a Core ML program is not understood")
    return function


def _range(
    described: Any, limits: tuple[tuple[int, int | None], ...]
) -> tuple[tuple[int, int | None], ...]:
    """The sizes that Core ML takes for an input. An upper bound below 0 means none."""
    if described.WhichOneof("ShapeFlexibility") is None:
        return limits
    if described.WhichOneof("ShapeFlexibility") != "shapeRange":
        raise Damaged("an input of a Core ML program has shapes that are not understood")
    return tuple(
        (int(axis.lowerBound), int(axis.upperBound) if axis.upperBound >= 0 else None)
        for axis in described.shapeRange.sizeRanges
    )
