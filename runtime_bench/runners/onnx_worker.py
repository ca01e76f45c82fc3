"""Runs ONNX models with ONNX Runtime: ``python -m runtime_bench.runners.onnx_worker``."""

from collections.abc import Mapping

import onnxruntime

from runtime_bench.runners.protocol import Array, Message, serve


def session_options(threads: int) -> onnxruntime.SessionOptions:
    """ONNX Runtime's defaults, apart from the number of threads and quieter logs.

    Sequential execution is the default too and uses no inter-op threads; both are written out so
    that one number says how many threads compute. Everything else, graph optimization included, is
    left alone, for stock models and ours alike: the figures are those that a user gets who opens
    the file. (One consequence: stock graphs suffer the default SkipLayerNormalization fusion, whose
    CPU kernel is slower than the two operators it replaces.)
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    return options


class SessionModel:
    """An ONNX Runtime session as a Model."""

    def __init__(self, source: str | bytes, threads: int) -> None:
        self._session = onnxruntime.InferenceSession(
            source, session_options(threads), providers=["CPUExecutionProvider"]
        )
        self._outputs = [output.name for output in self._session.get_outputs()]

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        values = self._session.run(self._outputs, inputs)
        return dict(zip(self._outputs, values, strict=True))


def open_model(command: Message) -> SessionModel:
    return SessionModel(str(command["model"]), int(command["threads"]))


if __name__ == "__main__":
    serve(open_model, {"onnxruntime": onnxruntime.__version__})
