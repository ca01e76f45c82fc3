"""Reads a .pte file's weights back under the source's names, and what is quantized in it.

XNNPACK's values have no names, so the file says in a constant method which product is which
layer's. That it says the truth is proved: the list counts as part of the structure, which has to be
that of the twin, whose layers compute the right thing; and the audit finds other values than the
source's where it does not.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from exporter.model.config import EncoderConfig, Task
from exporter.model.weights import weight_shapes
from exporter.quantization.kept import KEPT
from exporter.quantization.schemes import find_scheme
from exporter.quantization.schemes.int4 import has_blocks
from exporter.targets.base import Array, Coverage, StoredTensor
from exporter.targets.executorch.constant import ConstantReference
from exporter.targets.executorch.program import (
    Activation,
    DelegateCall,
    KernelCall,
    Method,
    Program,
)
from exporter.targets.executorch.structure import operators
from exporter.targets.executorch.xnnpack_graph import Node, Value, XnnpackGraph

_FULLY_CONNECTED = "XNNFullyConnected"
_NORM = "aten::native_layer_norm.out"
_LOOKUPS = ("aten::embedding.out", "quantized_decomposed::embedding_byte.dtype_out")
#: Every bit width that a weight may be stored with, by the type of XNNPACK's value.
_BITS = {"fp32": 32, "qcint8": 8, "qbint4": 4}
_TYPES = {32: "float32", 8: "int8", 4: "int4"}
#: Dynamically quantized: the type of an int8 product's input.
_QUANTIZED_INPUT = "qdint8"

#: A tied decoder multiplies with the table of the words, which is then in the file twice.
_DECODER, _WORDS = "head.decoder", "embeddings.word.weight"

#: Operators that may run outside the delegate, and why.
OUTSIDE = {
    _NORM: "XNNPACK has no LayerNorm, and one made of its operators takes as long",
    _LOOKUPS[0]: "XNNPACK has no lookup",
    _LOOKUPS[1]: "XNNPACK has no lookup",
    "aten::slice_copy.Tensor_out": "XNNPACK takes no slice whose length is dynamic",
    "aten::select_copy.int_out": "one row, once",
    "aten::alias_copy.out": "the numbers of the positions, where a method has all of them",
    "aten::view_copy.out": "changes the shape only",
    "aten::unsqueeze_copy.out": "changes the shape only",
    "aten::_to_copy.out": "the mask as fp32, once",
    "aten::sym_size.int": "the length, once",
    "executorch_prim::sub.Scalar": "the length, once",
    "executorch_prim::mul.Scalar": "the length, once",
}


@dataclass(frozen=True)
class _Stored:
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
    for method in _computing(program):
        parts: dict[str, list[_Stored]] = {}
        for part in _method_weights(program, method, config, task):
            parts.setdefault(part.name, []).append(part)
        for name, pieces in parts.items():
            for tensor in _tensors(name, pieces):
                known = seen.get(name)
                if known is None:
                    seen[name] = tensor
                elif not _equal(known, tensor):
                    yield tensor
    yield from seen.values()


def coverage(
    program: Program, precision: str, config: EncoderConfig, task: Task, labels: int
) -> Coverage:
    """Stored types, where every operator runs, and where the promise of ``precision`` is broken."""
    expected = weight_shapes(config, task, labels)
    widths: dict[str, set[int]] = {}
    kept: dict[str, str] = {}
    violations: list[str] = []
    for method in _computing(program):
        for part in _method_weights(program, method, config, task):
            widths.setdefault(part.name, set()).add(part.bits or 64)
            if part.bits < 32 and not part.input_quantized:
                violations.append(f"{part.name} is int{part.bits}, but its input is fp32")
        violations += _unknown_products(method)
    for name, found in widths.items():
        if name not in expected:
            violations.append(f"{name} is no weight of the model")
            continue
        promised, reason = _promise(name, expected[name], precision)
        if max(found) != promised:
            violations.append(
                f"{name} is stored with {max(found)} bits, {precision} promises {promised}"
            )
        elif reason:
            kept[name] = reason
    counts = operators(program)
    for name in sorted({name for method in counts.values() for name in method.undelegated}):
        if name not in OUTSIDE:
            violations.append(f"{name} runs outside the delegate")
    return Coverage(
        weights={name: _TYPES.get(max(bits), "other") for name, bits in sorted(widths.items())},
        operators=_operator_counts(program),
        kept=kept,
        violations=tuple(violations),
        outside={
            name: OUTSIDE[name]
            for name in sorted({n for method in counts.values() for n in method.undelegated})
            if name in OUTSIDE
        },
    )


def _operator_counts(program: Program) -> dict[str, int]:
    """Over all methods; what the delegate runs under "xnnpack." and its kind."""
    total: Counter[str] = Counter()
    for counts in operators(program).values():
        total.update({f"xnnpack.{kind}": number for kind, number in counts.delegated.items()})
        total.update(counts.undelegated)
    return dict(sorted(total.items()))


def _promise(name: str, shape: Sequence[int], precision: str) -> tuple[int, str]:
    """The bits a weight is to be stored with, and why where these are more than the scheme's."""
    bits = find_scheme("int8_token" if precision == "int8" else precision).weight_bits
    if bits == 32:
        return 32, ""
    if len(shape) == 1:
        return 32, "a vector (bias or LayerNorm): a thousandth of the size"
    if name in KEPT:
        return 32, KEPT[name]
    if bits == 4 and not has_blocks(name, shape[1]):
        table = name.startswith("embeddings.")
        return 8, "an embedding table" if table else "its rows are no whole blocks of 32 inputs"
    return bits, ""


def _computing(program: Program) -> list[Method]:
    return [method for method in program.methods.values() if not method.is_constant]


def _method_weights(
    program: Program, method: Method, config: EncoderConfig, task: Task
) -> Iterator[_Stored]:
    layers = iter(_layer_order(program, method))
    norms = iter(_norm_order(config, task))
    nothing = ("(a product that the file does not name)", 0)
    for call in method.calls:
        if isinstance(call, DelegateCall) and call.graph is not None:
            for node in call.graph.nodes:
                if node.kind == _FULLY_CONNECTED:
                    name, group = next(layers, nothing)
                    tied = name == _DECODER and config.tied_decoder
                    weight = _WORDS if tied else f"{name}.weight"
                    yield from _layer(weight, f"{name}.bias", group, node, call.graph)
        elif isinstance(call, KernelCall) and call.operator == _NORM:
            name = next(norms, nothing[0])
            for part, argument in (("weight", call.arguments[2]), ("bias", call.arguments[3])):
                yield _plain(f"{name}.{part}", argument)
        elif isinstance(call, KernelCall) and call.operator in _LOOKUPS:
            yield _table(call, method)


def _layer_order(program: Program, method: Method) -> list[tuple[str, int]]:
    """Linear layers and their groups, in the order of the file's products."""
    text = program.constants().get("layer_order")
    try:
        order = json.loads(text)[method.name] if isinstance(text, str) else []
        return [(str(name), int(group)) for name, group in order]
    except (ValueError, TypeError, KeyError):
        return []


def _norm_order(config: EncoderConfig, task: Task) -> Iterator[str]:
    yield "embeddings.norm"
    for index in range(config.layers):
        yield f"layers.{index}.attention.norm"
        yield f"layers.{index}.feed_forward.norm"
    if task == "masked-lm":
        yield "head.norm"


def _layer(
    weight_name: str, bias_name: str, group: int, node: Node, graph: XnnpackGraph
) -> Iterator[_Stored]:
    values = [
        graph.values.get(int(str(node.fields[f]))) for f in ("input1_id", "filter_id", "bias_id")
    ]
    source, weight, bias = values
    quantized = source is not None and source.datatype == _QUANTIZED_INPUT
    if weight is not None:
        yield _delegated(weight_name, group, weight, quantized)
    if bias is not None:
        yield _delegated(bias_name, group, bias, True)


def _delegated(name: str, group: int, value: Value, input_quantized: bool) -> _Stored:
    bits = _BITS.get(value.datatype, 0)
    if value.constant is None or not bits:
        return _Stored(name, group, np.empty((0, 0), np.float32), np.zeros(1, np.float32), 0, True)
    levels = value.constant.array().astype(np.float32)
    if bits == 32:
        return _Stored(name, group, levels, np.zeros_like(levels[..., :1]), 32, True)
    step = value.step()
    return _Stored(name, group, levels * step, step, bits, input_quantized)


def _plain(name: str, argument: object) -> _Stored:
    if not isinstance(argument, ConstantReference) or argument.dtype != "float32":
        return _Stored(name, 0, np.empty((0, 0), np.float32), np.zeros(1, np.float32), 0, True)
    values = argument.array()
    return _Stored(name, 0, values, np.zeros_like(values[..., :1]), 32, True)


def _table(call: KernelCall, method: Method) -> _Stored:
    """An embedding table: which one, its indices tell."""
    byte = call.operator == _LOOKUPS[1]
    indices = call.arguments[5 if byte else 1]
    names = {
        argument.id: name
        for argument, name in zip(method.inputs, ("word", None, "token_type"), strict=True)
        if isinstance(argument, Activation) and name
    }
    found = names.get(indices.id) if isinstance(indices, Activation) else None
    name = f"embeddings.{found or 'position'}.weight"
    if not byte:
        return _plain(name, call.arguments[0])
    levels, scale = call.arguments[0], call.arguments[1]
    if not (isinstance(levels, ConstantReference) and isinstance(scale, ConstantReference)):
        return _plain(name, None)
    if levels.dtype != "int8":
        return _plain(name, None)
    step = scale.array()[:, None]
    return _Stored(name, 0, levels.array().astype(np.float32) * step, step, 8, True)


def _tensors(name: str, pieces: list[_Stored]) -> Iterator[StoredTensor]:
    """The groups joined; a piece that comes again (a tied table) is a tensor of its own."""
    rounds: list[dict[int, _Stored]] = []
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
            values = step = np.empty((0, 0), np.float32)
        yield StoredTensor(name, values, step, min(part.bits for part in parts))


def _equal(one: StoredTensor, other: StoredTensor) -> bool:
    return (
        one.bits == other.bits
        and np.array_equal(one.values, other.values)
        and np.array_equal(one.step, other.step)
    )


def _unknown_products(method: Method) -> Iterator[str]:
    """Operators with constant matrices that the audit would not see."""
    for call in method.calls:
        if not isinstance(call, DelegateCall):
            continue
        if call.graph is None:
            yield f"a part runs on {call.backend}"
            continue
        for node in call.graph.nodes:
            if node.kind == _FULLY_CONNECTED:
                continue
            for field, id in node.fields.items():
                value = call.graph.values.get(id) if field.endswith("_id") else None  # type: ignore[arg-type]
                if value is not None and value.constant is not None and value.constant.size > 1:
                    yield f"{node.kind} reads a constant that is no linear layer's"
