"""Which inputs of linear layers a .pte file multiplies by a constant vector, and by which.

An input is smoothed inside the delegate: one multiplication for each group's block of channels,
right before it is quantized. Nothing else of a model is multiplied by a constant vector.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from exporter.quantization.mix import site_of
from exporter.targets.base import Array
from exporter.targets.executorch.backends.xnnpack.stored import (
    FULLY_CONNECTED,
    computing,
    layer_order,
)
from exporter.targets.executorch.constant import ConstantReference
from exporter.targets.executorch.program import DelegateCall, Method, Program
from exporter.targets.executorch.xnnpack_graph import NO_VALUE

MULTIPLY, CONVERT = "XNNMultiply", "XNNConvert"
_OPERANDS = ("input1_id", "input2_id")


@dataclass(frozen=True)
class Smoothing:
    """``factors`` [hidden size] by site; ``problems`` say where products of a site disagree."""

    factors: Mapping[str, Array]
    problems: tuple[str, ...]


@dataclass(frozen=True)
class SmoothedInput:
    """A product's input that is multiplied by ``constant``, the value ``id`` of call ``call``."""

    layer: str
    group: int
    call: int
    id: int
    constant: ConstantReference


def read_smoothing(program: Program) -> Smoothing:
    """What the inputs of the layers are divided by, as the file's methods compute it."""
    by_site: dict[str, list[tuple[str, Array | None]]] = {}
    problems: list[str] = []
    for method in computing(program):
        order = layer_order(program, method)
        found: dict[str, dict[int, Array]] = {}
        for smoothed in smoothed_inputs(program, method):
            found.setdefault(smoothed.layer, {})[smoothed.group] = smoothed.constant.array()
        for name in dict(order):
            parts, groups = found.get(name, {}), sorted(g for n, g in order if n == name)
            if parts and (not site_of(name) or sorted(parts) != groups):
                problems.append(f"{name} reads an input that is multiplied by a constant")
            elif site_of(name):
                whole = 1 / np.concatenate([parts[group] for group in groups]) if parts else None
                by_site.setdefault(site_of(name), []).append((name, whole))
    factors = {}
    for site, layers in by_site.items():
        first = layers[0][1]
        for name, other in layers:
            if (first is None) != (other is None) or not np.array_equal(first, other):  # type: ignore[arg-type]
                problems.append(f"{name} reads an input with other factors than {layers[0][0]}")
        if first is not None:
            factors[site] = first
    return Smoothing(factors, tuple(problems))


def smoothed_inputs(program: Program, method: Method) -> Iterator[SmoothedInput]:
    """Every product of ``method`` that reads another value times a constant vector."""
    layers = iter(layer_order(program, method))
    for index, call in enumerate(method.calls):
        graph = call.graph if isinstance(call, DelegateCall) else None
        if graph is None or not isinstance(call, DelegateCall):
            continue
        makers = {
            node.fields["output_id"]: node for node in graph.nodes if "output_id" in node.fields
        }
        for node in graph.nodes:
            if node.kind != FULLY_CONNECTED:
                continue
            name, group = next(layers, ("", 0))
            maker = makers.get(node.fields["input1_id"])
            if maker is not None and maker.kind == CONVERT:
                maker = makers.get(maker.fields["input_id"])
            if maker is None or maker.kind != MULTIPLY:
                continue
            for field in _OPERANDS:
                id = int(str(maker.fields[field]))
                constant = vector(call, id)
                if constant is not None:
                    yield SmoothedInput(name, group, index, id, constant)


def vector(call: DelegateCall, id: int) -> ConstantReference | None:
    """The constant that is the value ``id``, inside the delegate or handed to it, where it has more
    than one element."""
    assert call.graph is not None
    value = call.graph.values[id]
    constant: object = value.constant
    if constant is None and value.external_id != NO_VALUE:
        constant = call.arguments[value.external_id]
    return constant if isinstance(constant, ConstantReference) and constant.size > 1 else None
