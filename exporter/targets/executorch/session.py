"""Runs a .pte with the ExecuTorch runtime of its Python package."""

import json
import math
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import executorch.kernels.quantized  # noqa: F401  (the kernels of int8 embedding tables)
import numpy as np
import torch
from executorch.devtools import Inspector
from executorch.extension.pybindings import portable_lib

from exporter.errors import REBUILD, UserError
from exporter.targets.base import INPUTS, Array
from exporter.targets.executorch.constant import ConstantReference, byte_count, known
from exporter.targets.executorch.lower import METHOD, SIZES, method_name
from exporter.targets.executorch.native_log import NativeError, listen
from exporter.targets.executorch.program import (
    Activation,
    Argument,
    DelegateCall,
    KernelCall,
    Program,
    read_program,
)
from exporter.targets.inputs import check_inputs

#: The tracer starts every value that it keeps at a multiple of this.
_TRACED_ALIGNMENT = 64

#: Masks the padding that brings a text to a method's length where the text has no token at all:
#: twice as strongly as 0, so that it attends to its own positions alone, as in PyTorch.
_BEYOND = -1


class ExecutorchSession:
    """An artifact in ExecuTorch, on the CPU; batches are run text by text.

    With ``taps``, ``run`` also returns the hidden states ``hidden.0`` (embeddings) to
    ``hidden.N``, each [B, T, H], the last one [B, 1, H] in a sequence classifier: the same file,
    its LayerNorms watched by the runtime's tracer (they run outside the delegate).

    Raises UserError where ``path`` is no file, is cut off or damaged, needs a backend or kernel
    that this installation lacks, or does not say what its inputs and outputs are.
    """

    def __init__(self, path: Path, threads: int = 1, taps: bool = False) -> None:
        self._path = path
        self._traced = read_program(path) if taps else None
        # The thread pool belongs to the process: the last session opened decides.
        listen(lambda: portable_lib._unsafe_reset_threadpool(threads))
        self._program = self._open()
        self._loaded: dict[str, Any] = {}
        try:
            self._outputs = _listed(self._constant("output_names"), str)
            self._positions = int(self._constant("max_positions"))
            self._sizes = {name: int(self._constant(name)) for name in SIZES}
            self._by_token = self._constant("task") != "sequence-classification"
            lengths = _listed(self._constant("buckets"), int) if self._has("buckets") else []
        except (NativeError, ValueError, TypeError) as error:
            raise UserError(
                f"{path} does not say what its inputs and outputs are.", REBUILD
            ) from error
        self._methods = {length: method_name(length) for length in sorted(lengths)}
        # What is missing here, such as a backend, is said now and not at the first text.
        first = next(iter(self._methods.values()), METHOD)
        self._method(first)
        count = self._program.method_meta(first).num_outputs()
        if count != len(self._outputs) or (lengths and max(lengths) != self._positions):
            raise UserError(f"{path} says something wrong about its inputs and outputs.", REBUILD)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """``input_ids``, ``attention_mask``, ``token_type_ids``: int64 [B, T] -> outputs by name.

        Raises UserError for inputs of another name, type or shape, for ids outside the tables, and
        for sequences longer than the model.
        """
        check_inputs(inputs, self._positions, self._sizes)
        batch = np.shape(inputs[INPUTS[0]])[0]
        rows = [
            self._run_one({name: inputs[name][row : row + 1] for name in INPUTS})
            for row in range(batch)
        ]
        return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}

    def _run_one(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        length = inputs[INPUTS[0]].shape[1]
        method, padded = METHOD, length
        if self._methods:
            padded = next(size for size in self._methods if size >= length)
            method = self._methods[padded]
        beyond = 0 if inputs[INPUTS[1]].any() else _BEYOND
        tensors = tuple(
            torch.from_numpy(
                np.pad(
                    inputs[name],
                    ((0, 0), (0, padded - length)),
                    constant_values=beyond if name == INPUTS[1] else 0,
                )
            )
            for name in INPUTS
        )
        values = self._execute(method, tensors)
        outputs = dict(zip(self._outputs, (value.numpy() for value in values), strict=True))
        if self._by_token:
            outputs = {name: value[:, :length] for name, value in outputs.items()}
        if self._traced is not None:
            # A classifier's last one is the first token's alone.
            states = self._hidden_states().items()
            outputs |= {name: value[:, :length] for name, value in states}
        return outputs

    def _execute(self, method: str, tensors: tuple[torch.Tensor, ...]) -> list[Any]:
        if self._traced is not None:  # afresh: the tracer adds up runs, and only one is wanted
            self._loaded.clear()
            self._program = self._open(traced_bytes(self._traced, method, tensors[0].shape[1]))
        loaded = self._method(method)
        try:
            return list(listen(lambda: loaded.call(tensors)))
        except NativeError as error:
            raise UserError(f"{self._path} failed to run: {error}.", error.next_step) from error

    def _hidden_states(self) -> dict[str, Array]:
        """Outputs of the LayerNorms that end the embeddings and the layers, in the last run."""
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trace, tensors = str(Path(folder, "trace")), str(Path(folder, "tensors"))
            self._program.write_etdump_result_to_file(trace, tensors)
            inspector = Inspector(etdump_path=trace, debug_buffer_path=tensors)
            norms = [
                event.debug_data[0].numpy().copy()
                for block in inspector.event_blocks
                for event in block.events
                if event.name == "native_call_native_layer_norm.out"
            ]
        # Embeddings, then two in every layer; a masked-lm head has one more.
        return {f"hidden.{index}": state for index, state in enumerate(norms[::2])}

    def _open(self, tracer: int = 0) -> Any:
        if not self._path.is_file():
            raise UserError(f"{self._path} does not exist or is no file.", "Check the path.")
        return self._explained(
            lambda: portable_lib._load_program(
                str(self._path), enable_etdump=bool(tracer), debug_buffer_size=tracer
            )
        )

    def _method(self, name: str) -> Any:
        if name not in self._loaded:
            self._loaded[name] = self._explained(lambda: self._program.load_method(name))
        return self._loaded[name]

    def _explained(self, action: Callable[[], Any]) -> Any:
        try:
            return listen(action)
        except NativeError as error:
            raise UserError(
                f"{self._path} cannot be opened by ExecuTorch: {error}.", error.next_step
            ) from error

    def _has(self, name: str) -> bool:
        count = self._program.num_methods()
        return name in {self._program.get_method_name(index) for index in range(count)}

    def _constant(self, name: str) -> Any:
        return listen(lambda: self._program.load_method(name).call(()))[0]


def _listed(text: str, kind: type) -> list[Any]:
    """The JSON list in ``text``. Raises ValueError when it is none, or of other elements."""
    found = json.loads(text)
    if not isinstance(found, list) or not all(type(item) is kind for item in found):
        raise ValueError(f"{text!r} is no list of {kind.__name__}")
    return found


def traced_bytes(program: Program, method: str, length: int) -> int:
    """Memory for the tracer in a run of ``method`` on ``length`` tokens: at least what it needs.

    The runtime ends the process when the tracer runs out of it. It keeps what every operator
    writes, what every delegate reads and writes, and the outputs once more.
    """
    found = program.methods[method]
    longest = program.constants().get("max_positions")
    share = length / longest if isinstance(longest, int) and longest > 0 else 1.0

    def size(argument: Argument) -> int:
        if isinstance(argument, tuple):
            return sum(map(size, argument))
        if isinstance(argument, ConstantReference):
            return len(argument.content) + _TRACED_ALIGNMENT
        if not isinstance(argument, Activation) or not known(argument.dtype):
            return _TRACED_ALIGNMENT
        # Sizes are upper bounds of tensors whose size grows with the length.
        grows = share if argument.dynamism == "dynamic_bound" else 1.0
        return math.ceil(byte_count(argument.dtype, argument.sizes) * grows) + _TRACED_ALIGNMENT

    kept = [found.outputs]
    for call in found.calls:
        if isinstance(call, KernelCall):
            kept.append(call.arguments[-1:])
        elif isinstance(call, DelegateCall):
            kept.append(call.arguments)
    return sum(map(size, kept))
