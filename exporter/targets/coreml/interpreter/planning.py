"""What is known of a program before it runs: types, the order of work, when values can go."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from exporter.targets.base import Array
from exporter.targets.coreml.interpreter.errors import Refused
from exporter.targets.coreml.interpreter.operators import OPERATORS
from exporter.targets.coreml.interpreter.operators.signature import Operator, result_types
from exporter.targets.coreml.interpreter.program import (
    Operand,
    Operation,
    Program,
    Reference,
    Result,
    Shape,
)

#: Operations of this kind give weights: the same in every run.
_WEIGHTS = "constexpr_"
#: numpy's type of the arrays that stand for a type of MIL, where it has another name.
_ARRAYS = {"float16": "float32", "uint4": "uint8", "int4": "int8"}


@dataclass(frozen=True)
class Step:
    """An operation, how to compute it, and the values that nobody reads after it."""

    operation: Operation
    operator: Operator
    last_reads: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """``steps`` run in their order; ``weights``, by the name of what they give, once, when read."""

    steps: tuple[Step, ...]
    weights: Mapping[str, Step]


def plan(program: Program) -> Plan:
    """Prove that every operation is known and has operands and results of the right types.

    Raises Refused.
    """
    types = {declared.name: declared.dtype for declared in program.inputs}
    steps: list[Step] = []
    weights: dict[str, Step] = {}
    for operation in program.operations:
        try:
            step = Step(operation, _operator(program.opset, operation, types))
            if operation.kind.startswith(_WEIGHTS):
                moving = set(_references(operation)) - weights.keys()
                if moving or len(operation.results) != 1:
                    raise Refused(f"{operation.kind} of what is no constant is not understood")
                weights[operation.results[0].name] = step
            else:
                steps.append(step)
        except Refused as error:
            raise Refused(f"{operation.place}: {error}") from error
        types |= {result.name: result.dtype for result in operation.results}
    return Plan(_with_last_reads(steps, {*program.outputs, *weights}), weights)


def _operator(opset: str, operation: Operation, types: Mapping[str, str]) -> Operator:
    operator = OPERATORS[opset].get(operation.kind)
    if operator is None:
        raise Refused(f"the operator {operation.kind} is not known among those of {opset}")
    declared = tuple(result.dtype for result in operation.results)
    computed = result_types(operator, operation, types)
    if declared != computed:
        raise Refused(f"declared {', '.join(declared)}, computed {', '.join(computed)}")
    return operator


def _with_last_reads(steps: list[Step], kept: set[str]) -> tuple[Step, ...]:
    """Values that are never read go as soon as they are computed."""
    last = {result.name: n for n, step in enumerate(steps) for result in step.operation.results}
    last |= {name: n for n, step in enumerate(steps) for name in _references(step.operation)}
    done: dict[int, list[str]] = {}
    for name, number in last.items():
        if name not in kept:
            done.setdefault(number, []).append(name)
    return tuple(
        Step(step.operation, step.operator, tuple(done.get(number, ())))
        for number, step in enumerate(steps)
    )


def _references(operation: Operation) -> Iterator[str]:
    def names(operand: Operand) -> Iterator[str]:
        if isinstance(operand, Reference):
            yield operand.name
        elif isinstance(operand, tuple):
            for item in operand:
                yield from names(item)

    return names(tuple(operation.operands.values()))


def check_result(declared: Result, value: Array) -> None:
    """Refused unless ``value`` has the type and the known sizes that the program declares."""
    if value.dtype != _ARRAYS.get(declared.dtype, declared.dtype) or not fits(
        value.shape, declared.shape
    ):
        raise Refused(
            f"declared {declared.dtype} {_spelled(declared.shape)}, "
            f"computed {value.dtype} {_spelled(value.shape)}"
        )


def fits(shape: tuple[int, ...], declared: Shape) -> bool:
    """Whether the sizes are the declared ones, where these are known."""
    return len(shape) == len(declared) and all(
        wanted is None or size == wanted for size, wanted in zip(shape, declared, strict=True)
    )


def _spelled(shape: Shape) -> str:
    """(1, ?, 64)"""
    return f"({', '.join('?' if size is None else str(size) for size in shape)})"
