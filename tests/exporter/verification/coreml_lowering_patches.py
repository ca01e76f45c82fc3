"""Changes to the code that lowers to Core ML, for the length of a test."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from small_packages import lowering_module

Patch = Callable[[pytest.MonkeyPatch], None]
#: (operator, operands by name, name of the result among them): changes the operands.
Rewrite = Callable[[str, dict[str, Any]], None]

#: A flavour of each layout.
NEURAL_ENGINE, SEQUENCE = "optimized", "sequence_ranged_logits"

_LAYOUTS = (("neural_engine", "NeuralEngineLayout"), ("sequence", "SequenceLayout"))


@dataclass(frozen=True)
class CoremlCorruption:
    """``patch`` breaks the code; ``checks`` have to fail, and nothing else if ``only``."""

    name: str
    checks: tuple[str, ...]
    patch: Patch
    precision: str
    flavour: str
    only: bool = False
    changes: dict[str, Any] = field(default_factory=dict)


def builder() -> Any:
    """coremltools' builder of programs."""
    return lowering_module("layers").Builder


def number_like(tensor: Any, number: float) -> Any:
    """A constant of a tensor's type."""
    types = lowering_module("program").types
    return types.nptype_from_builtin(tensor.dtype)(number)


def together(*patches: Patch) -> Patch:
    """Several changes at once."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        for single in patches:
            single(monkeypatch)

    return patch


def change_function(module: str, name: str, change: Callable[..., Any]) -> Patch:
    """Let ``change(right, ...)`` stand for a function of the lowering; ``right`` does it well."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        _change(monkeypatch, lowering_module(module), name, change)

    return patch


def change_method(name: str, change: Callable[..., Any]) -> Patch:
    """Let ``change(right, self, ...)`` stand for a step of both layouts."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        for module, layout in _LAYOUTS:
            _change(monkeypatch, getattr(lowering_module(module), layout), name, change)

    return patch


def change_weights(name: str, change: Callable[..., Any]) -> Patch:
    """Let ``change(right, self, ...)`` stand for a method of the weights."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        _change(monkeypatch, lowering_module("weights").Weights, name, change)

    return patch


def _change(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, change: Callable[..., Any]
) -> None:
    right = getattr(owner, name)

    def wrong(*given: Any, **named: Any) -> Any:
        return change(right, *given, **named)

    monkeypatch.setattr(owner, name, wrong)


def change_values(weight: str, change: Callable[[Any], Any]) -> Patch:
    """Store wrong values of one weight."""

    def wrong(right: Any, weights: Any, name: str) -> Any:
        values = right(weights, name)
        return change(values) if name == weight else values

    return change_weights("_source", wrong)


def rewrite_operators(change: Rewrite) -> Patch:
    """Change the operands of operators before these are added."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        add = builder()._add_op.__func__

        def wrong(cls: Any, kind: Any, **operands: Any) -> Any:
            change(kind.__name__, operands)
            return add(cls, kind, **operands)

        monkeypatch.setattr(builder(), "_add_op", classmethod(wrong))

    return patch


def rewrite(result: str, **wrong: Any) -> Patch:
    """Other operands of the operators whose result's name begins or ends like this.

    ``*`` stands for the part that is not given. A function is given the right operand.
    """
    start, _, end = result.partition("*")

    def change(kind: str, operands: dict[str, Any]) -> None:
        name = str(operands.get("name"))
        same = name.startswith(start) and name.endswith(end) if "*" in result else name == result
        if kind == "const" or not same:
            return
        for operand, other in wrong.items():
            if operand in operands:
                right = operands[operand]
                operands[operand] = other(right) if callable(other) else other

    return rewrite_operators(change)


def replace_operator(kind: str, make: Callable[..., Any]) -> Patch:
    """Another operator in the place of all of a kind, which read ``x``."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        def wrong(x: Any, name: str, **_: Any) -> Any:
            return make(x, name)

        monkeypatch.setattr(builder(), kind, wrong)

    return patch


def set_global(owner: Callable[[], Any], name: str, value: Any) -> Patch:
    """Replace something that a module refers to by its name."""
    return lambda monkeypatch: monkeypatch.setattr(owner(), name, value)


def turned(tokens: Any, parts: int, order: Callable[[list[Any]], list[Any]], name: str) -> Any:
    """Tokens whose channels, cut into equal parts, lie in another order."""
    axis = tokens.channels
    blocks = builder().split(x=tokens.tensor, num_splits=parts, axis=axis, name=f"{name}_cut")
    joined = builder().concat(values=order(list(blocks)), axis=axis, name=f"{name}_joined")
    return type(tokens)(joined, axis)
