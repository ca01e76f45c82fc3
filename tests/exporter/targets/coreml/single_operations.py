"""Programs of one operation, to compare each with PyTorch."""

from typing import Any

import numpy as np
import torch
from hypothesis import settings, strategies

from exporter.targets.base import Array
from exporter.targets.coreml.interpreter import Constant, Operand, Operation, Program, Reference
from exporter.targets.coreml.interpreter import Result as Declared
from exporter.targets.coreml.interpreter.executor import Executor

quick = settings(max_examples=30, deadline=None)
float_types = strategies.sampled_from(["float16", "float32"])
seeds = strategies.integers(0, 2**32 - 1)

#: Products of up to 64 numbers were off by at most 1.8e-7 of what they sum, in 3000 seeds.
_TOLERANCE = 5e-7
PLACE = "operation 3 of main (it)"


class Moving:
    """An operand that is no constant. ``dtype``: numpy's, unless it is fp16 held as float32."""

    def __init__(self, values: Array | torch.Tensor, dtype: str = "") -> None:
        self.values = np.asarray(values)
        self.dtype = dtype or str(self.values.dtype)


def numbers(seed: int, shape: tuple[int, ...], dtype: str, scale: float = 1.0) -> torch.Tensor:
    """Normally distributed fp32 numbers, which fp16 has, too, if that is the ``dtype``."""
    values = torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * scale
    return values.half().float() if dtype == "float16" else values


def constant(values: Any, dtype: str = "") -> Constant:
    """A constant as it is stored: fp16 in fp16."""
    array = np.asarray(values)
    array = array.astype(dtype) if dtype else array
    content = memoryview(np.ascontiguousarray(array).tobytes())
    return Constant("constant", str(array.dtype), array.shape, content)


def integers(*values: int) -> Constant:
    return constant(np.array(values, np.int32))


def integer(value: int) -> Constant:
    return constant(np.int32(value))


def truth(value: bool) -> Constant:
    return constant(np.bool_(value))


def compute(
    kind: str,
    /,
    *declared: tuple[str, tuple[int | None, ...]],
    opset: str = "CoreML7",
    **operands: Any,
) -> tuple[Any, ...]:
    """What an operation computes that declares results of these types and shapes."""
    inputs: dict[str, Moving] = {}

    def operand(value: Any) -> Operand:
        if isinstance(value, tuple):
            return tuple(operand(item) for item in value)
        if not isinstance(value, Moving):
            return value  # type: ignore[no-any-return]
        inputs[f"input_{len(inputs)}"] = value
        return Reference(f"input_{len(inputs) - 1}")

    read = {name: operand(value) for name, value in operands.items()}
    results = tuple(Declared(f"result_{n}", *types) for n, types in enumerate(declared))
    program = Program(
        opset,
        tuple(Declared(name, given.dtype, given.values.shape) for name, given in inputs.items()),
        (Operation(kind, read, results, PLACE),),
        tuple(result.name for result in results),
    )
    given = {name: value.values for name, value in inputs.items()}
    found = Executor(program).run(given, program.outputs)
    return tuple(found[name] for name in program.outputs)


def check(
    kind: str,
    expected: torch.Tensor,
    dtype: str,
    summed: torch.Tensor | None = None,
    /,
    **operands: Any,
) -> None:
    """One result is PyTorch's: ``expected``, which is exact (fp64) for fp16 and fp32.

    ``summed`` are the sums of the absolute values of what each element adds up, where it does:
    rounding errors are a part of these, however small the sum itself is. Without it, errors are
    measured by the largest element.
    """
    (found,) = compute(kind, (dtype, tuple(expected.shape)), **operands)
    if dtype not in ("float16", "float32"):
        assert str(found.dtype) == dtype
        np.testing.assert_array_equal(found, expected.numpy())
        return
    assert found.dtype == np.float32
    wanted = expected.double().numpy()
    largest = np.abs(wanted).max() if wanted.size else 0.0
    allowed = _TOLERANCE * (np.full(wanted.shape, largest) if summed is None else summed.numpy())
    if dtype == "float32":
        assert (np.abs(found - wanted) <= allowed).all()
        return
    halves = wanted.astype(np.float16)
    np.testing.assert_array_equal(found.astype(np.float16).astype(np.float32), found)
    # The neighbour, where the fp32 number lies between the two; fp16 has steps of 2 ** -10 of a
    # number, and no smaller ones than 2 ** -24.
    steps = np.maximum(np.abs(wanted) * 2.0**-10, 2.0**-24)
    assert (np.abs(found - halves.astype(np.float32)) <= steps + allowed).all()
    assert (found != halves).sum() <= 1 + found.size // 8
