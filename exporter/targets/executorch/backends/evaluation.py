"""Evaluates a delegate's program in PyTorch, operator by operator, with the file's constants."""

import inspect
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from exporter.errors import REBUILD, UserError
from exporter.targets.base import INPUTS, Array
from exporter.targets.executorch.backends.graph import (
    DelegateGraph,
    Dialect,
    Operand,
    Operator,
    Reference,
    Result,
    only_call,
)
from exporter.targets.executorch.constant import ConstantReference
from exporter.targets.executorch.lower import SIZES
from exporter.targets.executorch.program import Activation, Program
from exporter.targets.inputs import check_inputs


class Unknown(Exception):
    """An operator or an attribute that is not evaluated here; the message names it."""


class EvaluatedSession:
    """An artifact whose delegate does not run here; batches are evaluated text by text.

    With ``taps``, ``run`` also returns the hidden states ``hidden.0`` (embeddings) to ``hidden.N``,
    each [B, T, H], the last one [B, 1, H] in a sequence classifier. UserError for files that are
    not one program of the delegate alone.
    """

    def __init__(self, path: Path, dialect: Dialect, taps: bool = False) -> None:
        self._path, self._dialect, self._taps = path, dialect, taps
        program, found, self._order = only_call(path, dialect)
        self._graph = found.graph
        self._declared = [value for value in found.method.outputs if isinstance(value, Activation)]
        self._outputs, self._positions, self._sizes = _calling(program, path)
        if not len(self._declared) == len(found.method.outputs) == len(self._outputs):
            raise UserError(f"{path} does not name its outputs.", REBUILD)
        unknown = {o.kind for o in self._graph.operators} - set(dialect.kernels)
        if unknown:
            raise UserError(
                f"{path} has operators that cannot be evaluated: {', '.join(sorted(unknown))}.",
                REBUILD,
            )

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """``input_ids``, ``attention_mask``, ``token_type_ids``: int64 [B, T] -> outputs by name.

        Raises UserError for inputs of another name, type or shape, for ids outside the tables, for
        sequences longer than the model, and for what cannot be evaluated.
        """
        check_inputs(inputs, self._positions, self._sizes)
        batch = np.shape(inputs[INPUTS[0]])[0]
        with torch.no_grad():
            rows = [
                self._run_one([torch.from_numpy(inputs[name][row : row + 1]) for name in INPUTS])
                for row in range(batch)
            ]
        return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}

    def _run_one(self, tensors: Sequence[torch.Tensor]) -> dict[str, Array]:
        norm, _ = self._dialect.norm
        taps = [o.results[0].name for o in self._graph.operators if o.kind == norm]
        kept = {*self._graph.outputs, *(taps if self._taps else ())}
        try:
            given = [tensors[index] for index in self._order]
            values = _evaluate(self._graph, self._dialect, given, kept)
        except Unknown as error:
            raise UserError(f"{self._path} cannot be evaluated: {error}.", REBUILD) from error
        outputs = {
            name: values[value].numpy().astype(declared.dtype)
            for name, value, declared in zip(
                self._outputs, self._graph.outputs, self._declared, strict=True
            )
        }
        if self._taps:
            # Embeddings, then two in every layer; a masked-lm head has one more.
            states = enumerate(taps[::2])
            outputs |= {f"hidden.{index}": values[name].float().numpy() for index, name in states}
        return outputs


def _calling(program: Program, path: Path) -> tuple[list[str], int, dict[str, int]]:
    """Names of the outputs, the longest sequence, and the sizes that bound the inputs."""
    constants = program.constants()
    try:
        names = [str(name) for name in json.loads(str(constants["output_names"]))]
        numbers = {name: int(str(constants[name])) for name in ("max_positions", *SIZES)}
    except (KeyError, ValueError, TypeError) as error:
        raise UserError(f"{path} does not say what its inputs and outputs are.", REBUILD) from error
    return names, numbers.pop("max_positions"), numbers


def _evaluate(
    graph: DelegateGraph, dialect: Dialect, inputs: Sequence[torch.Tensor], kept: set[str]
) -> dict[str, Any]:
    """The values called ``kept``, of the types that the program gives them. Raises Unknown."""
    values: dict[str, Any] = {}
    for declared, tensor in zip(graph.inputs, inputs, strict=True):
        values[declared.name] = _stored(tensor, declared)
    uses = Counter(name for operator in graph.operators for name in _references(operator))
    for operator in graph.operators:
        results = _compute(operator, dialect, values)
        for declared, value in zip(operator.results, results, strict=True):
            values[declared.name] = _stored(value, declared)
        for name in _references(operator):
            uses[name] -= 1
            if not uses[name] and name not in kept:
                del values[name]
    missing = kept - values.keys()
    if missing:
        raise Unknown(f"{min(missing)} is never computed")
    return {name: values[name] for name in kept}


def _compute(operator: Operator, dialect: Dialect, values: Mapping[str, Any]) -> tuple[Any, ...]:
    kernel = dialect.kernels[operator.kind]
    operands = {name: _read(value, values) for name, value in operator.operands.items()}
    try:
        inspect.signature(kernel).bind(**operands)
    except TypeError as error:
        raise Unknown(f"{operator.kind} {error}") from error
    try:
        result = kernel(**operands)
    except (ArithmeticError, AttributeError, LookupError, RuntimeError) as error:
        raise Unknown(f"{operator.kind}: {str(error).splitlines()[0]}") from error
    except (TypeError, ValueError) as error:
        raise Unknown(f"{operator.kind}: {error}") from error
    results = result if isinstance(result, tuple) else (result,)
    if len(results) != len(operator.results):
        raise Unknown(f"{operator.kind} with {len(operator.results)} results")
    return results


def _references(operator: Operator) -> Iterator[str]:
    def names(value: Operand) -> Iterator[str]:
        if isinstance(value, Reference):
            yield value.name
        elif isinstance(value, tuple):
            for item in value:
                yield from names(item)

    return names(tuple(operator.operands.values()))


def _read(operand: Operand, values: Mapping[str, Any]) -> Any:
    if isinstance(operand, tuple):
        return tuple(_read(item, values) for item in operand)
    if isinstance(operand, ConstantReference):
        array = np.array(operand.array())
        return _wide(torch.from_numpy(array))
    if isinstance(operand, Reference):
        if operand.name not in values:
            raise Unknown(f"{operand.name} is read before it is computed")
        value = values[operand.name]
        return _wide(value) if isinstance(value, torch.Tensor) else value
    return operand


def _wide(tensor: torch.Tensor) -> torch.Tensor:
    """Exact arithmetic on fp16 values: processors differ in how they accumulate them."""
    return tensor.float() if tensor.dtype == torch.float16 else tensor


def _stored(value: Any, declared: Result) -> Any:
    """The value, rounded to the program's type for it; its shape has to be the program's."""
    if declared.dtype == "int" or not isinstance(value, torch.Tensor):
        if declared.dtype != "int" or not isinstance(value, int):
            raise Unknown(f"{declared.name} is no {declared.dtype}")
        return value
    sizes = zip(value.shape, declared.limits, strict=True)
    if value.ndim != len(declared.limits) or any(
        size < least or (most is not None and size > most) for size, (least, most) in sizes
    ):
        raise Unknown(f"{declared.name} has the shape {tuple(value.shape)}")
    dtype = getattr(torch, declared.dtype)
    stored = value.to(dtype)
    if not dtype.is_floating_point and not torch.equal(stored.to(value.dtype), value):
        raise Unknown(f"{declared.name} has values beyond {declared.dtype}")
    return stored
