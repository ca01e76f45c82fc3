"""Runs a .pte with the ExecuTorch runtime of its Python package."""

import json
import re
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import executorch.kernels.quantized  # noqa: F401  (the kernels of int8 embedding tables)
import numpy as np
import torch
from executorch.devtools import Inspector
from executorch.extension.pybindings import portable_lib

from exporter.errors import UserError
from exporter.targets.base import Array
from exporter.targets.executorch.lower import INPUTS, METHOD, SIZES, method_name

_REBUILD = "Build it again: squeezebert-export build MODEL OUT --force"

#: Causes of the runtime's error codes (executorch/runtime/core/error.h) that a file can bring on.
_CAUSES = {
    0x10: "the sequence is longer than the file allows",
    0x12: "the inputs have another type than the file asks for",
    0x14: "an operator is missing: the runtime was built without a kernel library that it needs",
    0x20: "the file is missing or unreadable",
    0x21: "memory ran out",
    0x23: "it is no .pte file of this version, or damaged",
    0x24: "it was made by another version, or is damaged",
    0x30: "the runtime was built without the backend that the file needs",
    0x31: "the backend does not take its part of the file",
}

#: Room for the tracer, in hidden states a layer: it keeps the inputs and outputs of every call, and
#: ends the process when it runs out of room. PyTorch-like forms of both families use TODO.
_TRACED_STATES = 24
_TRACED_LOGITS = 4


class ExecutorchSession:
    """An artifact in ExecuTorch, on the CPU; batches are run text by text.

    With ``taps``, ``run`` also returns the hidden states ``hidden.0`` (embeddings) to
    ``hidden.N``, each [B, T, H], the last one [B, 1, H] in a sequence classifier: the same file,
    its LayerNorms watched by the runtime's tracer (they run outside the delegate).
    """

    def __init__(self, path: Path, threads: int = 1, taps: bool = False) -> None:
        self._path, self._taps = path, taps
        # The thread pool belongs to the process: the last session opened decides.
        portable_lib._unsafe_reset_threadpool(threads)
        self._module = self._load(0)
        methods = set(self._module.method_names())
        try:
            self._outputs = json.loads(self._constant("output_names"))
            self._positions = int(self._constant("max_positions"))
            self._sizes = {name: int(self._constant(name)) for name in SIZES}
            lengths = json.loads(self._constant("buckets")) if "buckets" in methods else ()
        except (RuntimeError, ValueError, TypeError) as error:
            raise UserError(
                f"{path} does not say what its inputs and outputs are.", _REBUILD
            ) from error
        self._methods = {length: method_name(length) for length in sorted(lengths)}

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """``input_ids``, ``attention_mask``, ``token_type_ids``: int64 [B, T] -> outputs by name.

        Raises UserError for inputs of another name, type or shape, for ids outside the tables, and
        for sequences longer than the model.
        """
        self._check(inputs)
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
        tensors = tuple(
            torch.from_numpy(np.pad(inputs[name], ((0, 0), (0, padded - length))))
            for name in INPUTS
        )
        values = self._execute(method, tensors)
        outputs = dict(zip(self._outputs, (value.numpy() for value in values), strict=True))
        if self._taps:
            outputs |= self._hidden_states()
        if padded != length:
            outputs = {name: _cut(value, padded, length) for name, value in outputs.items()}
        return outputs

    def _execute(self, method: str, tensors: tuple[torch.Tensor, ...]) -> list[Any]:
        if self._taps:  # afresh: the tracer adds up runs, and only this one is wanted
            self._module = self._load(self._traced_bytes(tensors[0].shape[1]))
        try:
            return list(self._module.run_method(method, tensors))
        except RuntimeError as error:
            raise UserError(f"{self._path} failed to run: {_cause(error)}.", _REBUILD) from error

    def _hidden_states(self) -> dict[str, Array]:
        """Outputs of the LayerNorms that end the embeddings and the layers, in the last run."""
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trace, tensors = str(Path(folder, "trace")), str(Path(folder, "tensors"))
            self._module.write_etdump_result_to_file(trace, tensors)
            inspector = Inspector(etdump_path=trace, debug_buffer_path=tensors)
            norms = [
                event.debug_data[0].numpy().copy()
                for block in inspector.event_blocks
                for event in block.events
                if event.name == "native_call_native_layer_norm.out"
            ]
        # Embeddings, then two in every layer; a masked-lm head has one more.
        return {f"hidden.{index}": state for index, state in enumerate(norms[::2])}

    def _traced_bytes(self, length: int) -> int:
        sizes = self._sizes
        states = _TRACED_STATES * (sizes["layers"] + 2) * sizes["hidden_size"]
        return 4 * length * (states + _TRACED_LOGITS * sizes["vocab_size"])

    def _load(self, traced_bytes: int) -> Any:
        if not self._path.is_file():
            raise UserError(f"{self._path} does not exist or is no file.", "Check the path.")
        try:
            return portable_lib._load_for_executorch(
                str(self._path),
                enable_etdump=bool(traced_bytes),
                debug_buffer_size=traced_bytes,
            )
        except RuntimeError as error:
            raise UserError(
                f"{self._path} cannot be opened by ExecuTorch: {_cause(error)}.", _REBUILD
            ) from error

    def _constant(self, name: str) -> Any:
        return self._module.run_method(name, ())[0]

    def _check(self, inputs: Mapping[str, Array]) -> None:
        shapes = {name: np.shape(inputs[name]) if name in inputs else () for name in INPUTS}
        types = {name: getattr(inputs.get(name), "dtype", None) for name in INPUTS}
        shape = shapes[INPUTS[0]]
        if (
            set(inputs) != set(INPUTS)
            or set(shapes.values()) != {shape}
            or set(types.values()) != {np.dtype(np.int64)}
            or len(shape) != 2
            or 0 in shape
        ):
            given = {
                name: (str(getattr(value, "dtype", type(value).__name__)), np.shape(value))
                for name, value in inputs.items()
            }
            raise UserError(
                f"The inputs are {given}.",
                f"Give {', '.join(INPUTS)}, each int64 [batch, sequence], of one shape.",
            )
        bounds = {"input_ids": "vocab_size", "token_type_ids": "token_types"}
        for name, bound in ((name, self._sizes[size]) for name, size in bounds.items()):
            # The runtime's lookup ends the whole process at an index outside its table.
            if inputs[name].min() < 0 or inputs[name].max() >= bound:
                raise UserError(
                    f"{name} has values outside 0 to {bound - 1}.",
                    "Check that the ids are inside the vocabulary.",
                )
        if not np.isin(inputs[INPUTS[1]], (0, 1)).all():
            raise UserError("attention_mask has values other than 0 and 1.", "Mask with 0 and 1.")
        if shape[1] > self._positions:
            raise UserError(
                f"The sequence has {shape[1]} tokens; the model has {self._positions} positions.",
                "Truncate the text.",
            )


def _cut(value: Array, padded: int, length: int) -> Array:
    """An output without the padding that was added to reach a method's length."""
    return value[:, :length] if value.ndim > 1 and value.shape[1] == padded else value


def _cause(error: Exception) -> str:
    """What the runtime's error code means; its message, where the code says nothing more."""
    found = re.search(r"error: 0x([0-9a-fA-F]+)", str(error))
    text = str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else "no reason"
    return _CAUSES.get(int(found[1], 16), text) if found else text
