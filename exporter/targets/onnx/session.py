"""Runs an ONNX artifact with ONNX Runtime."""

from collections.abc import Mapping
from pathlib import Path

import onnx
import onnxruntime
from onnx import helper

from exporter.errors import REBUILD, UserError
from exporter.targets.base import INPUTS, Array
from exporter.targets.inputs import check_inputs
from exporter.targets.onnx.graph import FLOAT
from exporter.targets.onnx.lower import tap

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
                REBUILD,
            ) from error
        self._names = [output.name for output in self._session.get_outputs()]
        metadata = self._session.get_modelmeta().custom_metadata_map
        self._positions = int(metadata.get("max_positions", 0))

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """``input_ids``, ``attention_mask``, ``token_type_ids``: int64 [B, T] -> outputs by name.

        Raises UserError for inputs of another name, type or shape, or longer than the model.
        """
        check_inputs(inputs, self._positions)
        try:
            values = self._session.run(self._names, dict(inputs))
        except Exception as error:
            raise UserError(
                f"{self._path} failed to run: {_first_line(error)}.",
                "Check that the ids are inside the vocabulary, or build it again with --force.",
            ) from error
        results = dict(zip(self._names, values, strict=True))
        return {name: self._unflatten(name, value, inputs) for name, value in results.items()}

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
