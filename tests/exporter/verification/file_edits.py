"""Edits of an ONNX file on disk: of its weights, its metadata and its nodes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from exporter.targets.base import Array

Edit = Callable[[onnx.ModelProto], None]


def truncate(path: Path) -> None:
    """Cut the last quarter of the file off."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 3 // 4])


def tensor_of(model: onnx.ModelProto, name: str) -> onnx.TensorProto:
    """The constant called ``name``, or the part of it that the precision stores."""
    for tensor in model.graph.initializer:
        if tensor.name in (name, f"{name}/int8"):
            return tensor
    raise LookupError(name)


def node_of(model: onnx.ModelProto, operator: str, scope: str = "") -> onnx.NodeProto:
    """The first node of a type whose name starts with ``scope``."""
    for node in model.graph.node:
        if node.op_type == operator and node.name.startswith(scope):
            return node
    raise LookupError(f"{operator} in {scope}")


def rewrite(model: onnx.ModelProto, name: str, change: Callable[[Array], Array]) -> None:
    """Replace the values of a constant."""
    tensor = tensor_of(model, name)
    values = change(numpy_helper.to_array(tensor).copy())
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values), tensor.name))


def exchange(model: onnx.ModelProto, first: str, second: str) -> None:
    """Swap the values of two constants."""
    one, other = tensor_of(model, first), tensor_of(model, second)
    one.raw_data, other.raw_data = other.raw_data, one.raw_data


def remove(model: onnx.ModelProto, name: str) -> None:
    """Leave a constant out."""
    model.graph.initializer.remove(tensor_of(model, name))


def set_metadata(key: str, value: str) -> Edit:
    """Let the file say something else about itself."""

    def edit(model: onnx.ModelProto) -> None:
        for entry in model.metadata_props:
            if entry.key == key:
                entry.value = value

    return edit


def flip_bit(name: str, bit: int) -> Edit:
    """Flip one bit of the second value of a constant."""

    def change(values: Array) -> Array:
        unsigned = np.dtype(f"u{values.dtype.itemsize}")
        values.view(unsigned).ravel()[1] ^= unsigned.type(1 << bit)
        return values

    return lambda model: rewrite(model, name, change)


def set_attribute(operator: str, name: str, value: object, scope: str = "") -> Edit:
    """Change or add an attribute of one node."""

    def edit(model: onnx.ModelProto) -> None:
        node = node_of(model, operator, scope)
        kept = [attribute for attribute in node.attribute if attribute.name != name]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute(name, value)])

    return edit


def replace_operator(operator: str, new: str, scope: str = "") -> Edit:
    """Make one node compute something else."""

    def edit(model: onnx.ModelProto) -> None:
        node_of(model, operator, scope).op_type = new

    return edit


def drop_input(operator: str, index: int, scope: str = "") -> Edit:
    """Let one node ignore one of its inputs."""

    def edit(model: onnx.ModelProto) -> None:
        del node_of(model, operator, scope).input[index]

    return edit


def take_input_of(operator: str, index: int, scope: str, other: str) -> Edit:
    """Let the node of ``scope`` read what the node of the same type in ``other`` reads."""

    def edit(model: onnx.ModelProto) -> None:
        node_of(model, operator, scope).input[index] = node_of(model, operator, other).input[index]

    return edit
