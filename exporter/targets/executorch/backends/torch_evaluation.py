"""Evaluates a delegate's program in PyTorch, operator by operator, with the file's constants."""

import inspect
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from exporter.targets.base import Array
from exporter.targets.executorch.backends.graph import (
    DelegateGraph,
    Evaluate,
    Operand,
    Operator,
    Reference,
    Result,
    Unknown,
)
from exporter.targets.executorch.constant import ConstantReference

#: Computes an operator from its operands by name: tensors (fp16 as fp32), texts, None and tuples.
Kernel = Callable[..., Any]


def prepare(graph: DelegateGraph, kernels: Mapping[str, Kernel]) -> Evaluate:
    """See ``exporter.targets.executorch.backends.graph.Dialect``."""
    unknown = {operator.kind for operator in graph.operators} - set(kernels)
    if unknown:
        raise Unknown(f"it has operators that are not known: {', '.join(sorted(unknown))}")

    def evaluate(inputs: Sequence[Array], kept: Collection[str]) -> dict[str, Array]:
        with torch.no_grad():
            given = [torch.from_numpy(array) for array in inputs]
            values = _evaluate(graph, kernels, given, kept)
        return {name: value.numpy() for name, value in values.items()}

    return evaluate


def _evaluate(
    graph: DelegateGraph,
    kernels: Mapping[str, Kernel],
    inputs: Sequence[torch.Tensor],
    kept: Collection[str],
) -> dict[str, Any]:
    """The values called ``kept``, of the types that the program gives them. Raises Unknown."""
    values: dict[str, Any] = {}
    for declared, tensor in zip(graph.inputs, inputs, strict=True):
        values[declared.name] = _stored(tensor, declared)
    uses = Counter(name for operator in graph.operators for name in _references(operator))
    for operator in graph.operators:
        results = _compute(operator, kernels[operator.kind], values)
        for declared, value in zip(operator.results, results, strict=True):
            values[declared.name] = _stored(value, declared)
        for name in _references(operator):
            uses[name] -= 1
            if not uses[name] and name not in kept:
                del values[name]
    missing = set(kept) - values.keys()
    if missing:
        raise Unknown(f"{min(missing)} is never computed")
    return {name: values[name] for name in kept}


def _compute(operator: Operator, kernel: Kernel, values: Mapping[str, Any]) -> tuple[Any, ...]:
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
