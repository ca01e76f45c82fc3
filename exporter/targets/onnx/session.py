"""Runs an ONNX artifact with ONNX Runtime."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import helper

from exporter.errors import UserError
from exporter.targets.base import Array
from exporter.targets.onnx.graph import FLOAT
from exporter.targets.onnx.lower import INPUTS, tap

#: Nothing below fatal: errors are raised as well, and warnings are about the optimizer.
_FATAL_ONLY = 4
_FOLDER_OPTION = "session.model_external_initializers_file_folder_path"


class OnnxSession:
    """An artifact in ONNX Runtime, on the CPU.

    With ``taps``, ``run`` also returns the hidden states ``hidden.0`` (embeddings) to
    ``hidden.N``, each [B, T, H], the last one [B, 1, H] in a sequence classifier: the same file,
    with more of its tensors declared as outputs.
    """

    def __init__(self, path: Path, threads: int = 1, taps: bool = False) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _FATAL_ONLY
        self._path = path
        try:
            self._session = onnxruntime.InferenceSession(
                _with_taps(path, options) if taps else str(path),
                options,
                providers=["CPUExecutionProvider"],
            )
        except Exception as error:  # ONNX Runtime and protobuf raise many unrelated types
            raise UserError(
                f"{path} cannot be opened by ONNX Runtime: {_first_line(error)}.",
                "Build it again: squeezebert-export build MODEL OUT --force",
            ) from error
        self._names = [output.name for output in self._session.get_outputs()]
        metadata = self._session.get_modelmeta().custom_metadata_map
        self._positions = int(metadata.get("max_positions", 0))

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """``input_ids``, ``attention_mask``, ``token_type_ids``: int64 [B, T] -> outputs by name.

        Raises UserError for inputs of another name, type or shape, or longer than the model.
        """
        self._check(inputs)
        try:
            values = self._session.run(self._names, dict(inputs))
        except Exception as error:
            raise UserError(
                f"{self._path} failed to run: {_first_line(error)}.",
                "Check that the ids are inside the vocabulary, or build it again with --force.",
            ) from error
        results = dict(zip(self._names, values, strict=True))
        return {name: self._unflatten(name, value, inputs) for name, value in results.items()}

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
        for name in (INPUTS[0], INPUTS[2]):
            # ONNX lets a negative index count from the end: a wrong answer without any error.
            if inputs[name].min() < 0:
                raise UserError(
                    f"{name} has the negative value {inputs[name].min()}.",
                    "Check that the ids are inside the vocabulary.",
                )
        if not np.isin(inputs[INPUTS[1]], (0, 1)).all():
            raise UserError("attention_mask has values other than 0 and 1.", "Mask with 0 and 1.")
        if self._positions and shape[1] > self._positions:
            raise UserError(
                f"The sequence has {shape[1]} tokens; the model has {self._positions} positions.",
                "Truncate the text.",
            )

    @staticmethod
    def _unflatten(name: str, value: Array, inputs: Mapping[str, Array]) -> Array:
        """Hidden states as [B, T, H], also where the graph keeps them as rows [B * T, H]."""
        if name.startswith(tap(0)[:-1]) and value.ndim == 2:
            return value.reshape(inputs[INPUTS[0]].shape[0], -1, value.shape[-1])
        return value


def _with_taps(path: Path, options: onnxruntime.SessionOptions) -> bytes:
    model = onnx.load(path, load_external_data=False)
    produced = {output for node in model.graph.node for output in node.output}
    index = 0
    while tap(index) in produced:
        model.graph.output.append(helper.make_tensor_value_info(tap(index), FLOAT, None))
        index += 1
    options.add_session_config_entry(_FOLDER_OPTION, str(path.parent))
    return bytes(model.SerializeToString())


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".")
