"""ExecuTorch programs (.pte) as models that take and give arrays by name."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import executorch.kernels.quantized  # noqa: F401  (the kernels of quantized embeddings)
import numpy as np
import torch

# executorch.extension.pybindings.portable_lib offers the same, but it imports the compiler as well:
# four times the time, and 220 MB more in the memory that the benchmark reports.
from executorch.extension.pybindings import _C

from runtime_bench.errors import RunnerError
from runtime_bench.runners.executorch_log import explained
from runtime_bench.runners.protocol import Array

_METHOD = "forward"
_BUCKET = "forward_{}"
_POOLED_TASK = "sequence-classification"


@dataclass(frozen=True)
class Interface:
    """What a program says about itself in its constant methods.

    ``bound`` is the largest number of tokens. ``buckets`` are the lengths of its methods, ascending
    (none: one method for every length). ``by_token``: the outputs have an axis of tokens, the
    second one.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    bound: int
    buckets: tuple[int, ...]
    by_token: bool

    def method(self, length: int) -> tuple[str, int]:
        """The method for ``length`` tokens and the length that it computes with.

        Raises RunnerError for a length that the program does not take.
        """
        bound = min(self.bound, self.buckets[-1]) if self.buckets else self.bound
        if not 1 <= length <= bound:
            raise RunnerError(
                f"{length} tokens are {'too many' if length else 'too few'}: the program takes 1 "
                f"to {bound}.",
                f"Give a length from 1 to {bound}.",
            )
        if not self.buckets:
            return _METHOD, length
        padded = next(bucket for bucket in self.buckets if bucket >= length)
        return _BUCKET.format(padded), padded


class ProgramModel:
    """A program as a Model (protocol.py): batch 1, any length up to its bound.

    A program with buckets runs in the smallest one that is long enough: padding is masked, and cut
    off from the outputs. Opening it gets its method ready; of buckets only the smallest one, the
    others as they are first used, as an app would do.
    """

    def __init__(self, path: Path, threads: int, *, traced: bool = False) -> None:
        # The pool belongs to the process, and the kernels are packed for it: before anything else.
        explained(path, lambda: _C._unsafe_reset_threadpool(threads))
        self._path = path
        self._program = explained(path, lambda: _open(path))
        self.interface = explained(path, lambda: _interface(path, self._program))
        if traced:  # only now, so that reading the interface leaves no trace
            self._program = explained(path, lambda: _open(path, traced=True))
        self._methods: dict[str, Any] = {}
        self._method(self.interface.method(1)[0])

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """Raises RunnerError for inputs that the program does not take."""
        length = self._length(inputs)
        name, padded = self.interface.method(length)
        method = self._method(name)
        tensors = [
            torch.from_numpy(_padded(inputs[name], padded)) for name in self.interface.inputs
        ]
        try:
            values = method.call(tensors)
        except RuntimeError:
            # Once more, to hear the cause: watching the log of every run would cost time.
            values = explained(self._path, lambda: method.call(tensors))
        arrays = [value.numpy() for value in values]
        if padded != length and self.interface.by_token:
            arrays = [array[:, :length] for array in arrays]
        return dict(zip(self.interface.outputs, arrays, strict=True))

    def write_trace(self, path: Path) -> None:
        """What a ``traced`` program recorded until now, as an ETDump."""
        self._program.write_etdump_result_to_file(str(path))

    def _method(self, name: str) -> Any:
        if name not in self._methods:
            self._methods[name] = explained(self._path, lambda: self._program.load_method(name))
        return self._methods[name]

    def _length(self, inputs: Mapping[str, Array]) -> int:
        missing = [name for name in self.interface.inputs if name not in inputs]
        if missing:
            raise RunnerError(
                f"{self._path.name} takes {', '.join(self.interface.inputs)}; {missing[0]} is not "
                "given.",
                "Give every input by its name.",
            )
        shapes = {inputs[name].shape for name in self.interface.inputs}
        shape = shapes.pop()
        if shapes or len(shape) != 2 or shape[0] != 1:
            found = ", ".join(f"{name} {inputs[name].shape}" for name in self.interface.inputs)
            raise RunnerError(
                f"{self._path.name} takes one text at a time, every input of the shape [1, T]; "
                f"it was given {found}.",
                "Run a batch text by text.",
            )
        for name in self.interface.inputs:
            if inputs[name].dtype != np.int64:
                raise RunnerError(
                    f"{name} is {inputs[name].dtype}; {self._path.name} takes int64.",
                    f"Convert it: {name}.astype(numpy.int64)",
                )
        return int(shape[1])


def _open(path: Path, *, traced: bool = False) -> Any:
    return _C._load_program(
        str(path),
        enable_etdump=traced,
        program_verification=_C.Verification.InternalConsistency,
    )


def _interface(path: Path, program: Any) -> Interface:
    methods = [program.get_method_name(index) for index in range(program.num_methods())]

    def constant(name: str) -> Any:
        if name not in methods:
            raise RunnerError(
                f"{path.name} does not say what it takes: it has no constant method {name}.",
                "Build it with: squeezebert-export build MODEL BUNDLE --target executorch",
            )
        return program.load_method(name).call([])[0]

    return Interface(
        inputs=tuple(json.loads(constant("input_names"))),
        outputs=tuple(json.loads(constant("output_names"))),
        bound=int(constant("max_positions")),
        buckets=() if _METHOD in methods else tuple(sorted(json.loads(constant("buckets")))),
        by_token=_METHOD not in methods and constant("task") != _POOLED_TASK,
    )


def _padded(values: Array, length: int) -> Array:
    missing = length - values.shape[1]
    return np.pad(values, ((0, 0), (0, missing))) if missing else values
