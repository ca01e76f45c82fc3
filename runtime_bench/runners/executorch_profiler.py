"""Profiles ExecuTorch programs: ``python -m runtime_bench.runners.executorch_profiler``."""

import re
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

from runtime_bench.runners.executorch_program import ProgramModel
from runtime_bench.runners.executorch_worker import VERSIONS, open_model
from runtime_bench.runners.profiler import TracedRun, added, serve_profiles
from runtime_bench.runners.protocol import Array, Message

_WHOLE = "Method::execute"
_DELEGATE = "DELEGATE_CALL"
# Events around others: what they contain is counted, they are not.
_CONTAINERS = (_WHOLE, _DELEGATE, "OPERATOR_CALL")
# Kernels that ExecuTorch calls itself; every other operator lies in a delegate's call.
_KERNEL = "native_call_"
_INFERENCES = "Execute"
_NUMBER = re.compile(r" #\d+$")


class TracedProgram:
    """A program that records its events."""

    def __init__(self, path: Path, threads: int) -> None:
        self._model = ProgramModel(path, threads, traced=True)

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        return self._model.run(inputs)

    def runs(self) -> list[TracedRun]:
        # Imports the compiler and pandas, which takes seconds: only once the runs are over.
        from executorch.devtools import Inspector
        from executorch.devtools.inspector import TimeScale

        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            path = Path(folder) / "trace.etdp"
            self._model.write_trace(path)
            inspector = Inspector(etdump_path=str(path), target_time_scale=TimeScale.NS)
        events = [
            (event.name, event.perf_data.raw)
            for block in inspector.event_blocks
            if block.name == _INFERENCES
            for event in block.events
            if event.perf_data is not None
        ]
        return traced_runs(events)


def traced_runs(events: Sequence[tuple[str, Sequence[float]]]) -> list[TracedRun]:
    """Events, each with its nanoseconds in every run -> runs.

    Raises RuntimeError unless every run has the same events, which fixed inputs make sure of.
    """
    wholes = [times for name, times in events if name == _WHOLE]
    if len(wholes) != 1 or any(len(times) != len(wholes[0]) for _, times in events):
        raise RuntimeError("the inferences of ExecuTorch's profile differ in their operators")
    found = []
    for run, whole in enumerate(wholes[0]):
        operators: dict[str, tuple[int, float]] = {}
        unreported = 0.0
        for name, times in events:
            if name not in _CONTAINERS:
                added(operators, _NUMBER.sub("", name), times[run])
            if name == _DELEGATE:
                unreported += times[run]
            elif name not in _CONTAINERS and not name.startswith(_KERNEL):
                unreported -= times[run]
        found.append(TracedRun(whole, operators, unreported))
    return found


def open_traced(command: Message) -> TracedProgram:
    return TracedProgram(Path(str(command["model"])), int(command["threads"]))


if __name__ == "__main__":
    serve_profiles(open_model, open_traced, VERSIONS)
