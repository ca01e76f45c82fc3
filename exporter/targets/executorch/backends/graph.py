"""The program inside a delegate that does not run here, in a form common to such backends."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from exporter.errors import REBUILD, UserError
from exporter.targets.base import Array
from exporter.targets.executorch.constant import ConstantReference
from exporter.targets.executorch.container import open_container
from exporter.targets.executorch.flatbuffer import Damaged
from exporter.targets.executorch.program import (
    Activation,
    DelegateCall,
    Method,
    Program,
    read_program,
)


@dataclass(frozen=True)
class Reference:
    """A value that the caller gives or an earlier operator computes."""

    name: str


Operand = None | bool | int | float | str | tuple["Operand", ...] | Reference | ConstantReference


@dataclass(frozen=True)
class Result:
    """A value that is given or computed. ``dtype`` is numpy's name.

    ``limits`` are the smallest and the largest size of every axis (None: no bound). A number that
    is no tensor has the type "int" and no axis. ``place`` is all that the file says about where
    the value lies.
    """

    name: str
    dtype: str
    limits: tuple[tuple[int, int | None], ...]
    place: tuple[object, ...] = ()


@dataclass(frozen=True)
class Operator:
    """One step: the delegate's name for it, operands by name, and what it computes."""

    kind: str
    operands: Mapping[str, Operand]
    results: tuple[Result, ...]


@dataclass(frozen=True)
class DelegateGraph:
    """Inputs and outputs in the order of the delegate call's arguments, operators as they run.

    ``settings`` is all else that decides what is computed. ``source`` is the program as the dialect
    itself knows it, where it has a form of its own.
    """

    inputs: tuple[Result, ...]
    operators: tuple[Operator, ...]
    outputs: tuple[str, ...]
    settings: tuple[object, ...] = ()
    source: object = None


class Unknown(Exception):
    """An operator or an attribute that is not evaluated here; the message names it."""


#: Computes the values of those names from the inputs of a graph, in its order. Raises Unknown.
Evaluate = Callable[[Sequence[Array], Collection[str]], dict[str, Array]]


@dataclass(frozen=True)
class Dialect:
    """How one delegate writes its programs down.

    ``delegate`` is its name in a .pte file. ``parse`` reads its data (and the file's named data)
    and raises Damaged. ``prepare`` makes a graph ready for evaluation and raises Unknown.
    ``linear``, ``norm`` and ``lookup`` are the operators that read weights,
    with the names of the operands that are weights; ``indices`` is the lookup's other operand.
    ``carriers`` gives the operators whose result is a part, or all, of one operand, and its name.
    """

    name: str
    delegate: str
    parse: Callable[[memoryview, Mapping[str, memoryview]], DelegateGraph]
    prepare: Callable[[DelegateGraph], Evaluate]
    linear: tuple[str, tuple[str, str]]
    norm: tuple[str, tuple[str, str]]
    lookup: tuple[str, tuple[str]]
    indices: str
    carriers: Mapping[str, str]

    def weight_operands(self, kind: str) -> tuple[str, ...]:
        """Names of the operands of ``kind`` that are weights."""
        return dict((self.linear, self.norm, self.lookup)).get(kind, ())


@dataclass(frozen=True)
class Delegated:
    """A call of the delegate in a method, and the program behind it."""

    method: Method
    call: DelegateCall
    graph: DelegateGraph


def read_delegated(path: Path, dialect: Dialect) -> tuple[Program, tuple[Delegated, ...]]:
    """The file, and every call of ``dialect``'s delegate in it. UserError with the cause."""
    program = read_program(path)
    try:
        named_data = open_container(path).named_data
        calls = tuple(
            Delegated(method, call, dialect.parse(call.blob.content, named_data))
            for method in program.methods.values()
            for call in method.calls
            if isinstance(call, DelegateCall) and call.backend == dialect.delegate
        )
    except (Damaged, OSError) as error:
        raise UserError(f"{path} cannot be read: {error}.", REBUILD) from error
    return program, calls


def only_call(path: Path, dialect: Dialect) -> tuple[Program, Delegated, tuple[int, ...]]:
    """The file's one method, proved to be one call of the delegate and nothing else.

    With it, which input of the method each input of the program is. UserError for other files.
    """
    program, calls = read_delegated(path, dialect)
    methods = [method for method in program.methods.values() if not method.is_constant]
    if len(methods) != 1 or len(calls) != 1 or methods[0].calls != (calls[0].call,):
        raise UserError(f"{path} is not one program of {dialect.delegate} alone.", REBUILD)
    (found,) = calls
    arguments, method, count = found.call.arguments, found.method, len(found.graph.inputs)
    given = [value.id for value in method.inputs if isinstance(value, Activation)]
    taken = [value.id for value in arguments[:count] if isinstance(value, Activation)]
    if (
        len(given) != len(method.inputs)
        or sorted(taken) != sorted(given)
        or arguments[count:] != method.outputs
        or len(method.outputs) != len(found.graph.outputs)
    ):
        raise UserError(
            f"{path}: its delegate does not take and give what the method does.", REBUILD
        )
    return program, found, tuple(given.index(id) for id in taken)


def without_blobs(program: Program, dialect: Dialect) -> Program:
    """The program as if the data of ``dialect``'s delegates were empty."""
    nothing = ConstantReference("uint8", (0,), (0,), memoryview(b""))

    def stripped(method: Method) -> Method:
        calls = tuple(
            replace(call, blob=nothing)
            if isinstance(call, DelegateCall) and call.backend == dialect.delegate
            else call
            for call in method.calls
        )
        return replace(method, calls=calls)

    return Program({name: stripped(method) for name, method in program.methods.items()})
