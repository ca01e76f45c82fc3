"""Reads a .pte file's weights back under the source's names.

XNNPACK's values have no names, so the file says in a constant method which product is which
layer's. That it says the truth is proved: the list counts as part of the structure, which has to be
that of the twin, whose layers compute the right thing; and the audit finds other values than the
source's where it does not.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from exporter.model.config import EncoderConfig, Task
from exporter.targets.base import Array, StoredTensor
from exporter.targets.executorch.constant import ConstantReference
from exporter.targets.executorch.module import norm_order
from exporter.targets.executorch.program import (
    Activation,
    DelegateCall,
    KernelCall,
    Method,
    Program,
)
from exporter.targets.executorch.xnnpack_graph import Node, Value, XnnpackGraph

FULLY_CONNECTED = "XNNFullyConnected"
NORM = "aten::native_layer_norm.out"
LOOKUPS = (
    "aten::embedding.out",
    "quantized_decomposed::embedding_byte.dtype_out",
    "quantized_decomposed::embedding_4bit.dtype_out",
)
#: Every bit width that a weight may be stored with, by the type of XNNPACK's value.
_BITS = {"fp32": 32, "qcint8": 8, "qbint4": 4}
#: Dynamically quantized: the type of an int8 product's input.
_QUANTIZED_INPUT = "qdint8"

#: A tied decoder multiplies with the table of the words, which is then in the file twice.
_DECODER, _WORDS = "head.decoder", "embeddings.word.weight"

#: The values of a weight that cannot be read: of no weight's shape.
_NOTHING: Array = np.empty((0, 0), np.float32)


@dataclass(frozen=True)
class StoredPart:
    """One weight, or one group of it, as a method uses it."""

    name: str
    group: int
    values: Array
    step: Array
    bits: int
    input_quantized: bool


def stored_weights(program: Program, config: EncoderConfig, task: Task) -> Iterator[StoredTensor]:
    """Every weight, its groups joined again, dequantized.

    A weight that two methods, or two places of one, hold with different values comes twice, and
    so does one that is found more often than the model has it.
    """
    seen: dict[str, StoredTensor] = {}
    for method in computing(program):
        parts: dict[str, list[StoredPart]] = {}
        for part in method_weights(program, method, config, task):
            parts.setdefault(part.name, []).append(part)
        for name, pieces in parts.items():
            for tensor in _tensors(name, pieces):
                known = seen.get(name)
                if known is None:
                    seen[name] = tensor
                elif not _equal(known, tensor):
                    yield tensor
    yield from seen.values()


def computing(program: Program) -> list[Method]:
    """The methods that compute, in the file's order: all but those that only return a constant."""
    return [method for method in program.methods.values() if not method.is_constant]


def method_weights(
    program: Program, method: Method, config: EncoderConfig, task: Task
) -> Iterator[StoredPart]:
    """Every weight that ``method`` reads, in its order: linear layers group by group.

    What cannot be read, or is of a type that no weight has, comes with 0 bits; products and
    LayerNorms beyond those that the file and the model name come under a name that no weight has.
    """
    layers = iter(layer_order(program, method))
    norms = norm_order(config, task)
    nothing = ("(a product that the file does not name)", 0)
    for call in method.calls:
        if isinstance(call, DelegateCall) and call.graph is not None:
            for node in call.graph.nodes:
                if node.kind == FULLY_CONNECTED:
                    name, group = next(layers, nothing)
                    tied = name == _DECODER and config.tied_decoder
                    weight = _WORDS if tied else f"{name}.weight"
                    yield from _layer(weight, f"{name}.bias", group, node, call.graph)
        elif isinstance(call, KernelCall) and call.operator == NORM:
            name = next(norms, nothing[0])
            for part, argument in (("weight", call.arguments[2]), ("bias", call.arguments[3])):
                yield _plain(f"{name}.{part}", argument)
        elif isinstance(call, KernelCall) and call.operator in LOOKUPS:
            yield _table(call, method)


def layer_order(program: Program, method: Method) -> list[tuple[str, int]]:
    """Linear layers and their groups, in the order of the file's products, as the file says."""
    text = program.constants().get("layer_order")
    try:
        order = json.loads(text)[method.name] if isinstance(text, str) else []
        return [(str(name), int(group)) for name, group in order]
    except (ValueError, TypeError, KeyError):
        return []


def _layer(
    weight_name: str, bias_name: str, group: int, node: Node, graph: XnnpackGraph
) -> Iterator[StoredPart]:
    values = [
        graph.values.get(int(str(node.fields[f]))) for f in ("input1_id", "filter_id", "bias_id")
    ]
    source, weight, bias = values
    quantized = source is not None and source.datatype == _QUANTIZED_INPUT
    if weight is not None:
        yield _delegated(weight_name, group, weight, quantized)
    if bias is not None:
        yield _delegated(bias_name, group, bias, True)


def _delegated(name: str, group: int, value: Value, input_quantized: bool) -> StoredPart:
    bits = _BITS.get(value.datatype, 0)
    if value.constant is None or not bits:
        return StoredPart(name, group, _NOTHING, _NOTHING, 0, True)
    levels = value.constant.array().astype(np.float32)
    if bits == 32:
        return StoredPart(name, group, levels, np.zeros_like(levels[..., :1]), 32, True)
    step = value.step()
    return StoredPart(name, group, levels * step, step, bits, input_quantized)


def _plain(name: str, argument: object) -> StoredPart:
    if not isinstance(argument, ConstantReference) or argument.dtype != "float32":
        return StoredPart(name, 0, _NOTHING, _NOTHING, 0, True)
    values = argument.array()
    return StoredPart(name, 0, values, np.zeros_like(values[..., :1]), 32, True)


def _table(call: KernelCall, method: Method) -> StoredPart:
    """An embedding table: which one, its indices tell."""
    plain = call.operator == LOOKUPS[0]
    indices = call.arguments[1 if plain else 5]
    names = {
        argument.id: name
        for argument, name in zip(method.inputs, ("word", None, "token_type"), strict=True)
        if isinstance(argument, Activation) and name
    }
    found = names.get(indices.id) if isinstance(indices, Activation) else None
    name = f"embeddings.{found or 'position'}.weight"
    if plain:
        return _plain(name, call.arguments[0])
    levels, scale, zero = call.arguments[:3]
    if not (isinstance(levels, ConstantReference) and isinstance(scale, ConstantReference)):
        return _plain(name, None)
    forms = _TABLES.get((call.operator, levels.dtype, scale.dtype, len(scale.shape)))
    if forms is None or zero is not None:
        return _plain(name, None)
    bits, read = forms
    values, steps = read(levels.array()), scale.array().astype(np.float32)
    steps = steps.reshape(len(steps), -1)
    if len(steps) != len(values) or values.shape[1] % steps.shape[1]:
        return _plain(name, None)
    blocks = steps.shape[1]
    step = steps if blocks == 1 else steps.repeat(values.shape[1] // blocks, axis=1)
    return StoredPart(name, 0, values.astype(np.float32) * step, step, bits, True)


def _unpacked(packed: Array) -> Array:
    """int8 levels -8 to 7 [rows, columns] of an int4 table: the even column in the high half."""
    halves = np.stack((packed >> 4, packed & 15), axis=-1).astype(np.int8)
    return halves.reshape(len(packed), -1) - np.int8(8)


#: Width and levels of a table, by the kernel that reads it and the types of its arguments.
_TABLES: Mapping[tuple[str, str, str, int], tuple[int, Callable[[Array], Array]]] = {
    (LOOKUPS[1], "int8", "float32", 1): (8, lambda levels: levels),
    (LOOKUPS[2], "uint8", "float16", 2): (4, _unpacked),
}


def _tensors(name: str, pieces: list[StoredPart]) -> Iterator[StoredTensor]:
    """The groups joined; a piece that comes again (a tied table) is a tensor of its own."""
    rounds: list[dict[int, StoredPart]] = []
    for piece in pieces:
        place = next((known for known in rounds if piece.group not in known), None)
        if place is None:
            rounds.append(place := {})
        place[piece.group] = piece
    for groups in rounds:
        parts = [groups[group] for group in sorted(groups)]
        try:
            values = np.concatenate([part.values for part in parts])
            step = np.concatenate([part.step for part in parts])
        except ValueError:  # parts that do not fit together come without values
            values = step = _NOTHING
        yield StoredTensor(name, values, step, min(part.bits for part in parts))


def _equal(one: StoredTensor, other: StoredTensor) -> bool:
    return (
        one.bits == other.bits
        and np.array_equal(one.values, other.values)
        and np.array_equal(one.step, other.step)
    )
