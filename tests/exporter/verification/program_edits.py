"""Edits of a .pte file on disk: of its weights, its metadata and its operators."""

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from exporter.targets.base import Array
from exporter.targets.executorch.constant import ConstantReference
from exporter.targets.executorch.program import DelegateCall, KernelCall, Program, read_program

#: Changes the content of a file; the path is that of the untouched file.
Edit = Callable[[bytearray, Path], None]


def constants(program: Program) -> Iterator[tuple[str, ConstantReference]]:
    """Every weight in the order of execution, named after its operator and its place.

    ``product.3``, ``product.3.bias``, ``product.3.scale``; ``norm.0.weight``, ``norm.0.bias``;
    ``table.0``, ``table.0.scale``.
    """
    counts = {"product": -1, "norm": -1, "table": -1}

    def number(kind: str) -> str:
        counts[kind] += 1
        return f"{kind}.{counts[kind]}"

    method = next(m for m in program.methods.values() if not m.is_constant)
    for call in method.calls:
        if isinstance(call, DelegateCall) and call.graph is not None:
            for node in call.graph.nodes:
                if node.kind != "XNNFullyConnected":
                    continue
                name = number("product")
                weight = call.graph.values[int(str(node.fields["filter_id"]))]
                yield name, found(weight.constant)
                if weight.quantization is not None:
                    yield f"{name}.scale", found(weight.quantization.scales)
                bias = call.graph.values[int(str(node.fields["bias_id"]))]
                yield f"{name}.bias", found(bias.constant)
        elif isinstance(call, KernelCall) and "layer_norm" in call.operator:
            name = number("norm")
            yield f"{name}.weight", found(call.arguments[2])
            yield f"{name}.bias", found(call.arguments[3])
        elif isinstance(call, KernelCall) and "embedding" in call.operator:
            name = number("table")
            yield name, found(call.arguments[0])
            if "byte" in call.operator:
                yield f"{name}.scale", found(call.arguments[1])


def found(argument: object) -> ConstantReference:
    """The argument, which has to be a constant."""
    assert isinstance(argument, ConstantReference)
    return argument


def places(path: Path) -> dict[str, slice]:
    """Where in the file the weights lie, by the names of ``constants``."""
    result = {}
    for name, constant in constants(read_program(path)):
        start = _address(constant.content) - _address(constant.content.obj)
        result[name] = slice(start, start + len(constant.content))
    return result


def _address(mapped: Any) -> int:
    return int(np.frombuffer(mapped, np.uint8).__array_interface__["data"][0])


def flip_bit(name: str, bit: int, byte: int = 4) -> Edit:
    """Flip one bit of a weight."""

    def edit(content: bytearray, path: Path) -> None:
        content[places(path)[name].start + byte] ^= 1 << bit

    return edit


def rewrite(name: str, dtype: str, change: Callable[[Array], Array]) -> Edit:
    """Replace the values of a weight, given as a vector."""

    def edit(content: bytearray, path: Path) -> None:
        place = places(path)[name]
        values = np.frombuffer(bytes(content[place]), dtype)
        content[place] = change(values.copy()).astype(dtype).tobytes()

    return edit


def exchange(first: str, second: str) -> Edit:
    """Swap the content of two weights of one size."""

    def edit(content: bytearray, path: Path) -> None:
        found = places(path)
        one, other = found[first], found[second]
        assert content[one] != content[other]
        content[one], content[other] = content[other], content[one]

    return edit


def replace_text(old: str, new: str) -> Edit:
    """Write another text of the same length in the place of the first ``old``."""
    return replace_bytes(old.encode(), new.encode())


def replace_number(old: float, new: float) -> Edit:
    """Write another number in the place of the first that equals ``old`` in fp64."""
    return replace_bytes(struct.pack("<d", old), struct.pack("<d", new))


def replace_bytes(old: bytes, new: bytes) -> Edit:
    """Write other bytes in the place of the first ``old``."""

    def edit(content: bytearray, _: Path) -> None:
        assert len(old) == len(new)
        start = content.index(old)
        content[start : start + len(old)] = new

    return edit
