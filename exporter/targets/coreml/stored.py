"""Reads a package's weights back under the source's names, and what it computes with them.

A weight is the constant, or the result of the operator that decompresses one, that carries its
canonical name. That the operators read the right ones is for the structure: an artifact has that of
its twin, whose layers are proved.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from exporter.model.config import EncoderConfig, Task
from exporter.model.weights import weight_shapes
from exporter.quantization.calibration import LEVELS
from exporter.quantization.kept import KEPT
from exporter.quantization.schemes import find_scheme
from exporter.targets.base import Array, Coverage, StoredTensor
from exporter.targets.coreml.interpreter import (
    Constant,
    Interpreter,
    Operand,
    Operation,
    Package,
    Reference,
)

_DOT = "__"
_ENDINGS = ("__weight", "__bias")
_BIAS = ".bias"
_LINEAR = ("conv", "linear")
#: Operators that change nothing but the order of values, or take a part of them.
_MOVING = ("transpose", "slice_by_index", "squeeze", "expand_dims", "reshape")
_DECOMPRESSION = "constexpr_"
_BITS = {"float32": 32, "float16": 16, "int8": 8, "uint8": 8, "uint6": 6, "int4": 4, "uint4": 4}
_QUANTIZE = ("quantize", "dequantize")
_SCALE = "scale"
#: What the caller relies on, of what the package says of itself.
_CALLING = (
    *("task", "labels", "vocab_size", "token_types", "pad_token_id", "max_positions"),
    *("mask_convention", "layout", "lengths", "deployment_target", "recipe"),
)


@dataclass(frozen=True)
class _Weight:
    name: str
    operand: Constant | Operation

    @property
    def bits(self) -> int:
        """Stored width, 0 for types that no scheme has."""
        if isinstance(self.operand, Constant):
            return _BITS.get(self.operand.dtype, 0)
        operands = self.operand.operands
        data = next((operands[n] for n in ("data", "quantized_data") if n in operands), None)
        if isinstance(data, Constant):
            return _BITS.get(data.dtype, 0)
        table, indices = operands.get("lut"), operands.get("indices")
        if not isinstance(table, Constant) or not isinstance(indices, Constant):
            return 0
        packed = len(table.shape) == 1  # the older form has its indices one after another
        return int(table.shape[0]).bit_length() - 1 if packed else _BITS.get(indices.dtype, 0)


def stored_weights(package: Package) -> Iterator[StoredTensor]:
    """Every weight; one that two constants claim to be comes twice."""
    interpreter = Interpreter(package)
    for weight in _weights(package):
        if isinstance(weight.operand, Constant):
            values = weight.operand.values()
        else:
            values = interpreter.weight(weight.operand.results[0].name)
        if values.ndim > 2:
            values = values.reshape(values.shape[:2])  # the kernel of a convolution
        values = values.astype(np.float32)
        yield StoredTensor(weight.name, values, _steps(weight, values), weight.bits)


def activation_ranges(package: Package) -> dict[str, float]:
    """The static range of every linear layer whose input is quantized, by the layer's name.

    Quantized is what goes through levels and back with one scale, the same both ways.
    """
    produced = {r.name: o for o in package.program.operations for r in o.results}
    ranges = {}
    for name, operation in linear_layers(package):
        values = _origin(operation, produced, "x")
        levels = None if values is None else _origin(values, produced, "input")
        step = _step(values, "dequantize")
        if step is not None and step == _step(levels, "quantize"):
            ranges[name] = step * LEVELS
    return ranges


def linear_layers(package: Package) -> Iterator[tuple[str, Operation]]:
    """The operations that multiply by a weight, with the linear layer's canonical name."""
    for operation in package.program.operations:
        bias = operation.operands.get("bias")
        if operation.kind in _LINEAR and isinstance(bias, Constant):
            yield _canonical(bias.name).removesuffix(_BIAS), operation


def coverage(
    package: Package, precision: str, scheme: str, config: EncoderConfig, task: Task, labels: int
) -> Coverage:
    """Stored types, operators, and where the promise of the scheme is broken."""
    expected = weight_shapes(config, task, labels)
    found = {weight.name: weight for weight in _weights(package)}
    compress = find_scheme(scheme).compress
    widest = find_scheme(scheme).weight_bits if compress is None else 16
    kept: dict[str, str] = {}
    violations = [f"{name} is no weight of the model" for name in found if name not in expected]
    for name, weight in found.items():
        if name not in expected:
            continue
        shape = expected[name]
        promised = widest
        if compress is not None and len(shape) == 2:
            compressed = compress(name, np.zeros((1, shape[1]), np.float32))
            promised = compressed.bits if compressed is not None else widest
            if compressed is None:
                kept[name] = KEPT.get(name, "the scheme leaves it as it is")
            elif promised > find_scheme(scheme).weight_bits:
                kept[name] = "its rows are no whole blocks"
        elif compress is not None:
            kept[name] = "a vector (bias or LayerNorm): a thousandth of the size"
        if weight.bits != promised:
            violations.append(
                f"{name} is stored with {weight.bits} bits, {precision} promises {promised}"
            )
    violations += _unknown_constants(package)
    if find_scheme(scheme).static_activations:
        violations += _unquantized_inputs(package)
    counts = Counter(operation.kind for operation in package.program.operations)
    return Coverage(
        weights={name: _type(weight) for name, weight in sorted(found.items())},
        operators=dict(sorted(counts.items())),
        kept=kept,
        violations=tuple(violations),
    )


def structure(package: Package) -> str:
    """SHA-256 of all that is computed and declared but the values of weights and ranges."""
    digest = hashlib.sha256()
    description = package.description
    calling = {name: description.user_defined.get(name) for name in _CALLING}
    declared = (description.inputs, description.outputs, description.class_labels)
    program = package.program
    digest.update(f"{program.opset} {program.inputs!r} {declared!r} {calling!r}\n".encode())
    for operation in program.operations:
        digest.update(f"{_line(operation)!r}\n".encode())
    digest.update(f"{program.outputs!r}".encode())
    return digest.hexdigest()


def _line(operation: Operation) -> object:
    weight = _is_decompression(operation)

    def operand(name: str, value: Operand) -> object:
        if isinstance(value, tuple):
            return tuple(operand(name, item) for item in value)
        if not isinstance(value, Constant):
            return value
        named = _is_weight_name(value.name)
        free = weight or named or _is_range(operation, name)
        content = "" if free else bytes(value.content).hex()
        return value.dtype, value.shape, value.name if named else "", content

    operands = [(name, operand(name, value)) for name, value in sorted(operation.operands.items())]
    results = [(result.name, result.dtype, result.shape) for result in operation.results]
    return operation.kind, operands, results


def _weights(package: Package) -> Iterator[_Weight]:
    """In the order in which operators read them, each once."""
    seen: set[str] = set()
    for operation in package.program.operations:
        if _is_decompression(operation):
            yield _Weight(_canonical(operation.results[0].name), operation)
            continue
        for value in operation.operands.values():
            if isinstance(value, Constant) and _is_weight_name(value.name):
                if value.name not in seen:
                    yield _Weight(_canonical(value.name), value)
                seen.add(value.name)


def _steps(weight: _Weight, values: Array) -> Array:
    """The quantization step of every value, 0 where it has none."""
    operation = weight.operand
    scale = operation.operands.get(_SCALE) if isinstance(operation, Operation) else None
    if not isinstance(scale, Constant):
        return np.zeros_like(values[..., :1])
    steps = scale.values().astype(np.float32).reshape(len(values), -1)
    result: Array = steps.repeat(values.shape[1] // steps.shape[1], axis=1)
    return result


def _type(weight: _Weight) -> str:
    operation = weight.operand
    if isinstance(operation, Constant):
        return operation.dtype
    return f"{'palette' if 'lut' in operation.operands else 'int'}{weight.bits}"


def _unknown_constants(package: Package) -> Iterator[str]:
    """Constants of more than one number that the audit does not see."""
    for operation in package.program.operations:
        if _is_decompression(operation):
            if not _is_weight_name(operation.results[0].name):
                yield f"{operation.results[0].name} is a compressed constant without a name"
            continue
        for value in operation.operands.values():
            constant = value if isinstance(value, Constant) else None
            if constant is None or _is_weight_name(constant.name) or constant.size <= 1:
                continue
            if constant.dtype.startswith("float"):
                yield f"{operation.kind} reads a constant that the audit does not see"


def _unquantized_inputs(package: Package) -> Iterator[str]:
    """Linear layers whose input is not quantized though the scheme promises it."""
    ranges = activation_ranges(package)
    for name, _ in linear_layers(package):
        if name not in ranges and f"{name}.weight" not in KEPT:
            yield f"the input of {name} is not quantized"


def _origin(
    operation: Operation, produced: Mapping[str, Operation], operand: str
) -> Operation | None:
    """What computed the operation's input, apart from its order and place."""
    source = operation.operands.get(operand)
    found = produced.get(source.name) if isinstance(source, Reference) else None
    return _origin(found, produced, "x") if found is not None and found.kind in _MOVING else found


def _step(operation: Operation | None, kind: str) -> float | None:
    """The one scale of an operation of that kind; None for others."""
    scale = None if operation is None or operation.kind != kind else operation.operands.get(_SCALE)
    if not isinstance(scale, Constant) or scale.size != 1:
        return None
    return float(scale.values().item())


def _is_decompression(operation: Operation) -> bool:
    return operation.kind.startswith(_DECOMPRESSION)


def _is_range(operation: Operation, operand: str) -> bool:
    return operation.kind in _QUANTIZE and operand == _SCALE


def _is_weight_name(name: str) -> bool:
    return name.endswith(_ENDINGS)


def _canonical(name: str) -> str:
    return name.replace(_DOT, ".")
