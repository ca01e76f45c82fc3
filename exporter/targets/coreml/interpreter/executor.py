"""Executes programs with numpy, and checks every value that they compute."""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import numpy as np

from exporter.errors import REBUILD, UserError
from exporter.targets.base import Array
from exporter.targets.coreml.interpreter.errors import Refused
from exporter.targets.coreml.interpreter.package import Package
from exporter.targets.coreml.interpreter.planning import Step, check_result, plan
from exporter.targets.coreml.interpreter.program import (
    Constant,
    Operand,
    Operation,
    Program,
    Reference,
    Result,
)
from exporter.targets.coreml.interpreter.rounding import round_to_half
from exporter.targets.coreml.interpreter.threads import one_thread

#: Is shown every floating-point value as it is computed, but for the weights.
Observe = Callable[[Operation, Result, Array], None]

_FLOATS = ("float16", "float32")
#: What is no tensor.
_CLASSIFIED = ("string", "dictionary")


class Interpreter:
    """A package opened for running, one text at a time: what the package takes.

    Raises UserError for operations that are not known, or whose operands or results are declared
    with types that do not go together.
    """

    def __init__(self, package: Package) -> None:
        self._package = package
        try:
            self._executor = Executor(package.program)
        except Refused as error:
            raise self._error(error) from error

    def run(
        self,
        inputs: Mapping[str, Array],
        taps: Collection[str] = (),
        observe: Observe | None = None,
    ) -> dict[str, Any]:
        """The outputs, and the values called ``taps``, by name.

        ``inputs`` are as the package describes them (int32). Results are arrays, of fp16 values as
        float32; but a classifier's label is a text. Its probabilities are float64 [labels], in the
        order of ``description.class_labels``.

        Raises UserError for inputs of another name, type or shape, for taps that the program does
        not have, and for an operation that does not take its operands, or that computes something
        of another shape than it declares.
        """
        self._check(inputs)
        unknown = [name for name in taps if name not in self._executor.results]
        if unknown:
            raise UserError(
                f"{self._package.origin} computes nothing called {unknown[0]}.",
                "Ask for results of its operations.",
            )
        wanted = dict.fromkeys((*self._package.program.outputs, *taps))
        try:
            return self._executor.run(inputs, wanted, observe)
        except Refused as error:
            raise self._error(error) from error

    def weight(self, name: str) -> Array:
        """The weight called ``name`` that an operation decompresses: fp16 as float32, not kept.

        Raises UserError where it cannot be decompressed, KeyError where no operation gives it.
        """
        try:
            return self._executor.weight(name)
        except Refused as error:
            raise self._error(error) from error

    def _error(self, error: Refused) -> UserError:
        return UserError(f"{self._package.origin} cannot be executed: {error}.", REBUILD)

    def _check(self, inputs: Mapping[str, Array]) -> None:
        features = self._package.description.inputs
        if set(inputs) != {feature.name for feature in features}:
            raise UserError(
                f"{self._package.origin} does not take the inputs {', '.join(sorted(inputs))}.",
                f"Give {', '.join(feature.name for feature in features)}.",
            )
        for feature in features:
            given = inputs[feature.name]
            if given.dtype != feature.dtype or not feature.takes(given.shape):
                raise UserError(
                    f"{feature.name} is {given.dtype} {given.shape}.",
                    f"{self._package.origin} takes {feature.dtype} {feature.shapes()}.",
                )


class Executor:
    """A program, planned once. Weights are decoded when they are first read, and kept."""

    def __init__(self, program: Program) -> None:
        """Raises Refused for what the program declares wrongly."""
        self._program, self._plan = program, plan(program)
        #: Names of all values that operations compute.
        self.results = {r.name for operation in program.operations for r in operation.results}
        self._constants: dict[Constant, Array] = {}
        self._weights: dict[str, Array] = {}

    def run(
        self,
        inputs: Mapping[str, Array],
        wanted: Collection[str],
        observe: Observe | None = None,
    ) -> dict[str, Any]:
        """The values called ``wanted``, by name. Raises Refused."""
        values: dict[str, Any] = {}
        for declared in self._program.inputs:
            check_result(declared, inputs[declared.name])
            values[declared.name] = inputs[declared.name]
        # Infinite numbers and NaN are results like others.
        with np.errstate(all="ignore"), one_thread():
            for step in self._plan.steps:
                for declared, value in self._compute(step, values):
                    values[declared.name] = value
                    if observe is not None and declared.dtype in _FLOATS:
                        observe(step.operation, declared, value)
                for name in step.last_reads:
                    if name not in wanted:
                        del values[name]
            return {name: self._value(name, values) for name in wanted}

    def weight(self, name: str) -> Array:
        """See ``Interpreter.weight``. Raises Refused, and KeyError for another name."""
        with np.errstate(all="ignore"):
            ((_, found),) = self._compute(self._plan.weights[name], {})
        weight: Array = found
        return weight

    def _compute(self, step: Step, values: Mapping[str, Any]) -> Iterator[tuple[Result, Any]]:
        operation, stored = step.operation, step.operator.as_stored
        try:
            operands = {
                name: self._read(operand, values, name in stored)
                for name, operand in operation.operands.items()
            }
            computed = _call(step, operands)
            for declared, value in zip(operation.results, computed, strict=True):
                if declared.dtype not in _CLASSIFIED:
                    check_result(declared, value)
                rounds = step.operator.rounds and declared.dtype == "float16"
                yield declared, round_to_half(value) if rounds else value
        except Refused as error:
            raise Refused(f"{operation.place}: {error}") from error

    def _read(self, operand: Operand, values: Mapping[str, Any], as_stored: bool) -> Any:
        if isinstance(operand, tuple):
            return tuple(self._read(item, values, as_stored) for item in operand)
        if isinstance(operand, Reference):
            return self._value(operand.name, values)
        if not isinstance(operand, Constant):
            return operand
        if as_stored:
            return operand.values()
        if operand not in self._constants:
            self._constants[operand] = _widened(operand.values())
        return self._constants[operand]

    def _value(self, name: str, values: Mapping[str, Any]) -> Any:
        if name in values:
            return values[name]
        if name not in self._weights:
            self._weights[name] = self.weight(name)
        return self._weights[name]


def _widened(values: Array) -> Array:
    return values.astype(np.float32) if values.dtype == np.float16 else values


def _call(step: Step, operands: Mapping[str, Any]) -> tuple[Any, ...]:
    kind, declared = step.operation.kind, step.operation.results
    try:
        found = step.operator.compute(**operands)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise Refused(f"{kind}: {str(error).splitlines()[0]}") from error
    results = found if isinstance(found, tuple) else (found,)
    if len(results) != len(declared):
        raise Refused(f"declared {len(declared)} results, computed {len(results)}")
    return tuple(np.asarray(r) if isinstance(r, np.generic) else r for r in results)
