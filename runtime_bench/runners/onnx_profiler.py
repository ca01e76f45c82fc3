"""Profiles ONNX models: ``python -m runtime_bench.runners.onnx_profiler`` (profiler.py)."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnxruntime

from runtime_bench.profiling.kinds import NOT_A_TABLE, TWO_ACTIVATIONS
from runtime_bench.runners.onnx_worker import open_model, session_options
from runtime_bench.runners.profiler import TracedRun, added, serve_profiles
from runtime_bench.runners.protocol import Array, Message

_PRODUCTS = ("MatMul", "FusedMatMul", "MatMulInteger", "MatMulIntegerToFloat")
_MICROSECOND = 1000.0
_TABLE_AXES = 2


class TracedSession:
    """A session whose profiler writes into a folder of its own."""

    def __init__(self, path: str, threads: int) -> None:
        self._folder = tempfile.TemporaryDirectory()
        options = session_options(threads)
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(self._folder.name) / "profile")
        self._session = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        names = [output.name for output in self._session.get_outputs()]
        return dict(zip(names, self._session.run(names, inputs), strict=True))

    def runs(self) -> list[TracedRun]:
        path = Path(self._session.end_profiling())
        events = json.loads(path.read_text(encoding="utf-8"))
        self._folder.cleanup()
        return traced_runs(events)


def traced_runs(events: Sequence[Mapping[str, Any]]) -> list[TracedRun]:
    """The events of ONNX Runtime's profile -> runs. An event lies in the run around its start."""
    wholes = sorted(
        (event for event in events if event["name"] == "model_run"), key=lambda event: event["ts"]
    )
    nodes = sorted(
        (event for event in events if event["name"].endswith("_kernel_time")),
        key=lambda event: event["ts"],
    )
    found, position = [], 0
    for whole in wholes:
        operators: dict[str, tuple[int, float]] = {}
        end = whole["ts"] + whole["dur"]
        while position < len(nodes) and nodes[position]["ts"] <= end:
            node = nodes[position]
            added(operators, operator_name(node["args"]), node["dur"] * _MICROSECOND)
            position += 1
        found.append(TracedRun(whole["dur"] * _MICROSECOND, operators, None))
    return found


def operator_name(node: Mapping[str, Any]) -> str:
    """The operator, and what it works on where that decides its kind.

    A product with weights has parameters, or one input only: ONNX Runtime takes weights that it
    has packed from the list. An embedding looks up rows of a matrix of numbers that are not int64,
    other uses of Gather pick from hidden states or from shapes.
    """
    name = str(node["op_name"])
    shapes = [next(iter(shape.items())) for shape in node.get("input_type_shape", [])]
    if name in _PRODUCTS and int(node.get("parameter_size", 0)) == 0:
        matrices = [axes for _, axes in shapes if len(axes) > 1]
        return name + TWO_ACTIVATIONS if len(matrices) > 1 else name
    if name == "Gather" and shapes:
        kind, axes = shapes[0]
        return name if len(axes) == _TABLE_AXES and kind != "int64" else name + NOT_A_TABLE
    return name


def open_traced(command: Message) -> TracedSession:
    return TracedSession(str(command["model"]), int(command["threads"]))


if __name__ == "__main__":
    serve_profiles(open_model, open_traced, {"onnxruntime": onnxruntime.__version__})
