"""Reads the weights of such a file back under the source's names, and counts its operators.

Constants have no names that mean something. They get them from the operators that read them: the
linear layers of the program follow each other as the module's do, and so do the LayerNorms; which
table a lookup reads, its indices tell. That the order holds is no assumption: were it another one,
the audit would find other values than the source's.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from exporter.model.config import EncoderConfig, Task
from exporter.model.weights import weight_shapes
from exporter.targets.base import INPUTS, Array, Coverage, StoredTensor
from exporter.targets.executorch.backends.graph import (
    Delegated,
    DelegateGraph,
    Dialect,
    Operand,
    Reference,
    read_delegated,
)
from exporter.targets.executorch.constant import ConstantReference
from exporter.targets.executorch.module import norm_order
from exporter.targets.executorch.program import Activation, DelegateCall, KernelCall, Program

_BITS = {"float32": 32, "float16": 16}
_PROMISED = {"fp32": 32, "fp16": 16}
_NOTHING = "(one more than the model has)"


@dataclass(frozen=True)
class _Part:
    """A weight, or one group of it."""

    name: str
    group: int
    constant: ConstantReference


def stored_weights(
    path: Path, dialect: Dialect, config: EncoderConfig, task: Task
) -> Iterator[StoredTensor]:
    """Every weight, its groups joined again.

    A weight that is found more often than the model has it, with different values, comes twice.
    """
    _, calls = read_delegated(path, dialect)
    for found in calls:
        parts: dict[str, dict[int, Array]] = {}
        bits: dict[str, int] = {}
        for part in _parts(found, dialect, config, task):
            width = _BITS.get(part.constant.dtype, 0)
            values = part.constant.array().astype(np.float32)
            groups = parts.setdefault(part.name, {})
            known = groups.setdefault(part.group, values)
            bits[part.name] = min(bits.get(part.name, width), width)
            if known is not values and not np.array_equal(known, values):
                yield _tensor(part.name, [values], width)
        for name, groups in parts.items():
            yield _tensor(name, [groups[group] for group in sorted(groups)], bits[name])


def coverage(
    path: Path, dialect: Dialect, precision: str, config: EncoderConfig, task: Task, labels: int
) -> Coverage:
    """Stored types, what the delegate runs, and where the promise of ``precision`` is broken.

    The promise: one delegate runs all, and every weight is stored in the precision's type.
    """
    program, calls = read_delegated(path, dialect)
    violations = _outside(program, dialect)
    if len(calls) != 1:
        violations.append(f"{len(calls)} delegates of {dialect.delegate}, not one")
    expected = weight_shapes(config, task, labels)
    types: dict[str, set[str]] = {}
    counts: Counter[str] = Counter()
    for found in calls:
        counts.update(f"{dialect.name}.{o.kind}" for o in found.graph.operators)
        for part in _parts(found, dialect, config, task):
            types.setdefault(part.name, set()).add(part.constant.dtype)
    for name, found_types in types.items():
        if name not in expected:
            violations.append(f"{name} is no weight of the model")
        for dtype in sorted(found_types):
            if _BITS.get(dtype, 0) != _PROMISED.get(precision):
                violations.append(f"{name} is stored as {dtype}, not as {precision} promises")
    counts.update(
        call.operator
        for method in program.methods.values()
        for call in method.calls
        if isinstance(call, KernelCall)
    )
    return Coverage(
        weights={name: "/".join(sorted(found)) for name, found in sorted(types.items())},
        operators=dict(sorted(counts.items())),
        kept={},
        violations=tuple(violations),
    )


def _outside(program: Program, dialect: Dialect) -> list[str]:
    """What runs anywhere but in the delegate."""
    names: set[str] = set()
    for method in program.methods.values():
        for call in method.calls:
            if isinstance(call, KernelCall):
                names.add(call.operator)
            elif not isinstance(call, DelegateCall):
                names.add(call.kind)
            elif call.backend != dialect.delegate:
                names.add(call.backend)
    return [f"{name} runs outside the delegate" for name in sorted(names)]


def _tensor(name: str, groups: list[Array], bits: int) -> StoredTensor:
    try:
        values = np.concatenate(groups)
    except ValueError:  # parts that do not fit together come without values
        values = np.empty((0, 0), np.float32)
    return StoredTensor(name, values, np.zeros_like(values[..., :1]), bits)


def _parts(
    found: Delegated, dialect: Dialect, config: EncoderConfig, task: Task
) -> Iterator[_Part]:
    layers, norms = _layer_order(config, task), norm_order(config, task)
    origins = _origins(found, dialect)
    for operator in found.graph.operators:
        names: tuple[str, ...] = ()
        group = 0
        if operator.kind == dialect.linear[0]:
            layer, group = next(layers, (_NOTHING, 0))
            # A tied decoder has no matrix of its own.
            tied = layer == "head.decoder" and config.tied_decoder
            weight = "embeddings.word.weight" if tied else f"{layer}.weight"
            names = weight, f"{layer}.bias"
        elif operator.kind == dialect.norm[0]:
            norm = next(norms, _NOTHING)
            names = f"{norm}.weight", f"{norm}.bias"
        elif operator.kind == dialect.lookup[0]:
            indices = operator.operands.get(dialect.indices)
            origin = origins.get(indices.name, "") if isinstance(indices, Reference) else ""
            names = (f"embeddings.{_TABLES.get(origin, 'position')}.weight",)
        for name, operand in zip(names, dialect.weight_operands(operator.kind), strict=False):
            constant = operator.operands.get(operand)
            if isinstance(constant, ConstantReference):
                yield _Part(name, group, constant)


#: By the input that the indices come from.
_TABLES = {"input_ids": "word", "token_type_ids": "token_type"}


def _origins(found: Delegated, dialect: Dialect) -> dict[str, str]:
    """By the name of a value: the method's input that it is, or is a part of."""
    ids = {
        argument.id: name
        for argument, name in zip(found.method.inputs, INPUTS, strict=False)
        if isinstance(argument, Activation)
    }
    graph: DelegateGraph = found.graph
    origins: dict[str, str] = {}
    for declared, argument in zip(graph.inputs, found.call.arguments, strict=False):
        if isinstance(argument, Activation):
            origins[declared.name] = ids.get(argument.id, "")
    for operator in graph.operators:
        carried: Operand = operator.operands.get(dialect.carriers.get(operator.kind, ""))
        if isinstance(carried, Reference) and carried.name in origins:
            origins |= {value.name: origins[carried.name] for value in operator.results}
    return origins


def _layer_order(config: EncoderConfig, task: Task) -> Iterator[tuple[str, int]]:
    """Linear layers and their groups, in the order in which the module multiplies."""
    counts = config.groups
    for index in range(config.layers):
        for part, groups in (
            ("attention.query", counts.query),
            ("attention.key", counts.key),
            ("attention.value", counts.value),
            ("attention.output", counts.post_attention),
            ("feed_forward.intermediate", counts.intermediate),
            ("feed_forward.output", counts.output),
        ):
            yield from ((f"layers.{index}.{part}", group) for group in range(groups))
    heads: dict[Task, tuple[str, ...]] = {
        "sequence-classification": ("head.pooler", "head.classifier"),
        "token-classification": ("head.classifier",),
        "question-answering": ("head.classifier",),
        "masked-lm": ("head.transform", "head.decoder"),
        "feature-extraction": (),
    }
    yield from ((name, 0) for name in heads[task])
