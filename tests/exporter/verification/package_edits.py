"""Edits of a Core ML package on disk: of its weights, its program and what it says of itself."""

import mmap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from small_packages import WEIGHTS, change_model

from exporter.targets.base import Array
from exporter.targets.coreml.interpreter import Constant, open_package

#: Changes the files of a package.
Edit = Callable[[Path], None]


def places(path: Path) -> dict[str, slice]:
    """Where in weight.bin the weights lie, by their canonical names.

    Parts of compressed weights are called NAME.data, NAME.scale, NAME.lut and so on.
    """
    found = {}
    for operation in open_package(path).program.operations:
        for operand, constant in operation.operands.items():
            # Those of a few values lie in the protobuf.
            if isinstance(constant, Constant) and isinstance(constant.content.obj, mmap.mmap):
                compressed = operation.kind.startswith("constexpr_")
                name = operation.results[0].name + f".{operand}" if compressed else constant.name
                start = _address(constant.content) - _address(constant.content.obj)
                place = slice(start, start + len(constant.content))
                found[name.replace("__", ".")] = place
    return found


def _address(mapped: Any) -> int:
    return int(np.frombuffer(mapped, np.uint8).__array_interface__["data"][0])


def change_weights(change: Callable[[bytearray, Mapping[str, slice]], None]) -> Edit:
    """Let ``change`` edit weight.bin, given the places of the weights."""

    def edit(path: Path) -> None:
        content = bytearray((path / WEIGHTS).read_bytes())
        change(content, places(path))
        (path / WEIGHTS).write_bytes(content)

    return edit


def flip_bit(name: str, bit: int, byte: int = 4) -> Edit:
    """Flip one bit of a weight."""

    def change(content: bytearray, found: Mapping[str, slice]) -> None:
        content[found[name].start + byte] ^= 1 << bit

    return change_weights(change)


def rewrite(name: str, dtype: str, change: Callable[[Array], Array]) -> Edit:
    """Replace the values of a weight, given as a vector."""

    def changed(content: bytearray, found: Mapping[str, slice]) -> None:
        values = np.frombuffer(bytes(content[found[name]]), dtype)
        content[found[name]] = change(values.copy()).astype(dtype).tobytes()

    return change_weights(changed)


def exchange(first: str, second: str) -> Edit:
    """Swap the content of two weights of one size."""

    def change(content: bytearray, found: Mapping[str, slice]) -> None:
        one, other = found[first], found[second]
        assert content[one] != content[other]
        content[one], content[other] = content[other], content[one]

    return change_weights(change)


def both(*edits: Edit) -> Edit:
    """One edit after the other."""

    def edit(path: Path) -> None:
        for single in edits:
            single(path)

    return edit


def on_model(change: Callable[[Any], None]) -> Edit:
    """Edit the protobuf."""
    return lambda path: change_model(path, change)


def block(model: Any) -> Any:
    """The operations of the program, and the names of its outputs."""
    function = model.mlProgram.functions["main"]
    return function.block_specializations[function.opset]


def operation(model: Any, result: str) -> Any:
    """The operation that computes ``result``."""
    return next(o for o in block(model).operations if o.outputs[0].name == result)


def value(model: Any, result: str, operand: str) -> Any:
    """The constant that is an operand, or attribute, of the operation that computes ``result``."""
    found = operation(model, result)
    if operand in found.attributes:
        return found.attributes[operand]
    return operation(model, found.inputs[operand].arguments[0].name).attributes["val"]


def set_number(
    result: str, operand: str, number: Callable[[float], float] | float, index: int = 0
) -> Edit:
    """Another constant number; a function is given the right one."""

    def change(model: Any) -> None:
        constant = value(model, result, operand)
        tensor = constant.immediateValue.tensor
        field = tensor.WhichOneof("value")
        dtype = "i1" if element_type(constant) == "INT8" else "<f2"
        values = getattr(tensor, field).values
        numbers = np.frombuffer(values, dtype).copy() if field == "bytes" else list(values)
        wrong = number(float(numbers[index])) if callable(number) else number
        assert wrong != numbers[index]
        numbers[index] = wrong
        if isinstance(numbers, list):
            values[:] = [type(right)(found) for right, found in zip(values, numbers, strict=True)]
        else:
            getattr(tensor, field).values = numbers.tobytes()

    return on_model(change)


def element_type(constant: Any) -> str:
    """As MIL calls it."""
    tensor = constant.type.tensorType
    types = tensor.DESCRIPTOR.fields_by_name["dataType"].enum_type.values_by_number
    return str(types[tensor.dataType].name)


def set_text(result: str, operand: str, text: str, index: int = 0) -> Edit:
    """Another constant text."""

    def change(model: Any) -> None:
        value(model, result, operand).immediateValue.tensor.strings.values[index] = text

    return on_model(change)


def rebind(result: str, operand: str, name: str, position: int = 0) -> Edit:
    """Let an operation read another value."""

    def change(model: Any) -> None:
        operation(model, result).inputs[operand].arguments[position].name = name

    return on_model(change)


def drop(result: str) -> Edit:
    """Leave an operation, or a constant, out; what reads it is left alone."""
    return on_model(lambda model: block(model).operations.remove(operation(model, result)))


def rename(old: str, new: str) -> Edit:
    """Another name for a value, wherever it is computed, read or described."""

    def change(model: Any) -> None:
        program = block(model)
        function = model.mlProgram.functions["main"]
        for entry in (*model.description.input, *model.description.output, *function.inputs):
            entry.name = new if entry.name == old else entry.name
        program.outputs[:] = [new if name == old else name for name in program.outputs]
        for found in program.operations:
            for output in found.outputs:
                output.name = new if output.name == old else output.name
            for read in found.inputs.values():
                for argument in read.arguments:
                    if argument.name == old:
                        argument.name = new

    return on_model(change)


def exchange_operands(first: str, second: str, operand: str) -> Edit:
    """Let two operations read each other's constants."""

    def change(model: Any) -> None:
        one, other = (operation(model, name).inputs[operand] for name in (first, second))
        one.arguments[0].name, other.arguments[0].name = (
            other.arguments[0].name,
            one.arguments[0].name,
        )
        # Constants are to stand before what reads them, and may stand anywhere there.
        ordered = sorted(block(model).operations, key=lambda found: found.type != "const")
        copies = [type(found).FromString(found.SerializeToString()) for found in ordered]
        del block(model).operations[:]
        block(model).operations.extend(copies)

    return on_model(change)


def remove(result: str, operand: str = "x") -> Edit:
    """Leave an operation out; what read its result reads one of its operands."""

    def change(model: Any) -> None:
        found = operation(model, result)
        source = found.inputs[operand].arguments[0].name
        block(model).operations.remove(found)
        for other in block(model).operations:
            for read in other.inputs.values():
                for argument in read.arguments:
                    if argument.name == result:
                        argument.name = source

    return on_model(change)


def say(**entries: str) -> Edit:
    """Let the package say something else about itself."""

    def change(model: Any) -> None:
        said = model.description.metadata.userDefined
        for key, text in entries.items():
            assert said[key] != text
            said[key] = text

    return on_model(change)
