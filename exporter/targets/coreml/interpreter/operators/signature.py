"""What an operator takes and gives, and whether an operation keeps to it."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from exporter.targets.coreml.interpreter.errors import Refused
from exporter.targets.coreml.interpreter.program import Constant, Operand, Operation, Reference

#: The types that each letter of a signature stands for. A letter that comes twice is one type.
_LETTERS: Mapping[str, tuple[str, ...]] = {
    "F": ("float16", "float32"),
    "G": ("float16", "float32"),
    "N": ("float16", "float32", "int32"),
    "I": ("int32", "int16", "uint16", "int8", "uint8"),
    "B": ("int8", "uint8"),
    "S": ("int4", "uint4", "int8", "uint8", "float16", "float32"),
    "T": ("int8", "uint8", "float16", "float32"),
    "O": ("int4", "uint4", "int8", "uint8", "float16", "float32"),
    "U": ("uint1", "uint2", "uint3", "uint4", "uint6", "uint8"),
    "A": (
        *("float16", "float32", "bool"),
        *("int32", "int16", "uint16", "int8", "uint8"),
    ),
}
#: Types as the operands that ask for one spell them.
_SPELLED = {
    **{"fp16": "float16", "fp32": "float32"},
    **{name: name for name in ("int8", "uint8", "int16", "uint16", "int32", "bool")},
}


@dataclass(frozen=True)
class Operator:
    """How operations of one kind are executed.

    ``compute`` takes the operands by name: fp16 and fp32 tensors as float32, integers and bools as
    numpy has them, texts as str. It gives an array, or a tuple of them for several results; it
    raises Refused, or one of numpy's errors, for what it does not take. An operand with a default
    may be left out.

    ``operands`` gives the element type of each: a letter for several (the same letter: the same
    type), or the type itself; ``result`` that of all results, in the same way, or ``=name`` for
    what the text operand ``name`` asks for. ``rounds``: the results are new numbers, to be rounded
    where they are fp16. ``as_stored`` names operands that come as the file has them where they are
    constants: in fp16, too.
    """

    compute: Callable[..., Any]
    operands: Mapping[str, str]
    result: str | tuple[str, ...]
    rounds: bool = True
    as_stored: tuple[str, ...] = ()


def result_types(
    operator: Operator, operation: Operation, types: Mapping[str, str]
) -> tuple[str, ...]:
    """Element types of the operation's results, from those of the values in ``types``.

    Raises Refused for operands that are unknown, missing or of another type.
    """
    _check_names(operator, operation)
    letters: dict[str, str] = {}
    for name, operand in operation.operands.items():
        expected = operator.operands[name]
        for found in _types(operand, types):
            known = letters.setdefault(expected, found)
            if found not in _LETTERS.get(expected, (expected,)) or found != known:
                wanted = known if found != known else "/".join(_LETTERS.get(expected, (expected,)))
                raise Refused(f"{operation.kind} takes {name} as {wanted}, not as {found}")
    if isinstance(operator.result, tuple):
        return operator.result
    return (_result(operator.result, letters, operation),) * len(operation.results)


def _check_names(operator: Operator, operation: Operation) -> None:
    parameters = inspect.signature(operator.compute).parameters
    needed = {
        name for name, parameter in parameters.items() if parameter.default is parameter.empty
    }
    unknown, missing = (
        operation.operands.keys() - parameters.keys(),
        needed - set(operation.operands),
    )
    if unknown or missing:
        what = f"with {min(unknown)}" if unknown else f"without {min(missing)}"
        raise Refused(f"{operation.kind} {what} is not understood")


def _result(result: str, letters: Mapping[str, str], operation: Operation) -> str:
    if not result.startswith("="):
        return letters.get(result, result)
    asked = operation.operands[result[1:]]
    if not isinstance(asked, str) or asked not in _SPELLED:
        raise Refused(f"{operation.kind} to {asked} is not understood")
    return _SPELLED[asked]


def _types(operand: Operand, types: Mapping[str, str]) -> tuple[str, ...]:
    if isinstance(operand, tuple):
        return tuple(found for item in operand for found in _types(item, types))
    if isinstance(operand, Constant):
        return (operand.dtype,)
    return (types[operand.name],) if isinstance(operand, Reference) else ("string",)
