"""The contract between the schedule and a runner, and the loop that a Python runner serves it with.

A runner is a long-lived process that holds one model. It reads one JSON object a line from standard
input and answers each with one JSON object a line on standard output (logs go to standard error):

    (start)                                         -> {"event": "ready", "versions": {...}}
    {"command": "load", "model": PATH, "threads": N, "cpus": [CPU, ...], "cold": BOOL}
        -> {"event": "loaded", "load_ns", "rss_before_bytes", "peak_rss_bytes", "cpus_got": [...]}
        The process binds itself to ``cpus`` (absent or empty: not), and reads back what it got.
        With ``cold`` the model's file leaves the system's page cache first.
    {"command": "prepare", "inputs": {NAME: {"dtype", "shape", "values"}}}     (a golden input)
        -> {"event": "prepared", "first_inference_ns", "outputs": {NAME: {"shape", "finite",
            "sha256", "values"}}}
        Input values are repeated until they fill the shape; of output values every output_step-th
        is told, row-major.
    {"command": "warm_up", "limit_s": S}
        -> {"event": "warm", "steady", "wall_ns": [...]}
    {"command": "block", "seconds": S, "minimum_iterations": N}
        -> {"event": "block", "lead_in_ns": [...], "lead_in_cpu_ns": [...], "wall_ns": [...],
            "cpu_ns": [...], "peak_rss_bytes", "pss_bytes" (at the end; null where not told),
            "before": {"khz": {CPU: N}, "celsius": {SENSOR: N}}, "after": {...}}
        Native runners also take "power": {"current_ua": FILE, "voltage_uv": FILE} and then answer
        with "energy_uj".
    {"command": "count", "inferences": N}           (native runners, for an instruction counter)
        -> {"event": "counted"}; each inference lies between two marks (native/src/marks.h)
    {"command": "quit"}, or end of input             (the process ends)

A command that fails is answered with {"event": "error", "message"}, and "next_step" where the
runner knows one. The process computes only between a command and its answer, so one process at a
time computes as long as the schedule waits.
The same contract serves a native runner on a phone.
"""

import hashlib
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any, Protocol, TextIO

import numpy as np
import numpy.typing as npt
import psutil

from runtime_bench.errors import BenchError
from runtime_bench.runners.sensors import clocks_and_temperatures, peak_rss_bytes, pss_bytes

Array = npt.NDArray[Any]
Message = Mapping[str, Any]

OUTPUT_VALUES = 1024
# Warm-up: windows of 3 runs, for at least 0.3 s and until the medians of two neighbouring windows
# agree within 5 %. (SqueezeBERT at 32 tokens starts 40 % above its steady time and comes down over
# 0.1 s; short windows can agree by chance before that, hence the time.)
WARM_UP_WINDOW = 3
WARM_UP_TOLERANCE = 0.05
WARM_UP_SECONDS = 0.3
# A process that waited while others computed comes down in the same way at the start of each block,
# so that runs within the first 0.15 s (at least one run) are kept apart from the samples.
LEAD_IN_SECONDS = 0.15


class Model(Protocol):
    """A loaded model. ``run`` takes the inputs by name and gives the outputs by name."""

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]: ...


Opener = Callable[[Message], Model]


def is_steady(wall_ns: list[int]) -> bool:
    """The warm-up rule: the last two windows' medians differ by at most WARM_UP_TOLERANCE."""
    if len(wall_ns) < 2 * WARM_UP_WINDOW or len(wall_ns) % WARM_UP_WINDOW:
        return False
    before = median(wall_ns[-2 * WARM_UP_WINDOW : -WARM_UP_WINDOW])
    after = median(wall_ns[-WARM_UP_WINDOW:])
    return abs(after - before) <= WARM_UP_TOLERANCE * before


def output_step(size: int) -> int:
    """Of an output of ``size`` values every which one is told: at most OUTPUT_VALUES in all."""
    return max(1, -(-size // OUTPUT_VALUES))


def describe_outputs(outputs: Mapping[str, Array]) -> dict[str, Any]:
    """Shape, finiteness, hash and some values of every output, for comparison across artifacts."""
    described = {}
    for name, value in outputs.items():
        flat = np.ascontiguousarray(value, dtype=np.float32).reshape(-1)
        finite = bool(np.isfinite(flat).all())
        described[name] = {
            "shape": list(value.shape),
            "finite": finite,
            "sha256": hashlib.sha256(flat.tobytes()).hexdigest(),
            "values": [float(item) for item in flat[:: output_step(flat.size)]] if finite else [],
        }
    return described


def input_arrays(specs: Mapping[str, Message]) -> dict[str, Array]:
    """Inputs as a command carries them -> arrays."""
    return {
        name: np.resize(np.array(spec["values"], dtype=spec["dtype"]), spec["shape"])
        for name, spec in specs.items()
    }


def drop_from_page_cache(path: Path) -> None:
    """Let the next reader take the file from the disk. Pages that others have mapped stay."""
    if not path.is_file():
        return  # the size of a matrix product
    with path.open("rb") as stream:
        os.fdatasync(stream.fileno())  # pages that wait to be written cannot be dropped
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def serve(open_model: Opener, versions: Mapping[str, str]) -> None:
    """Serve the contract with models that ``open_model`` opens."""
    answer_commands(_Session(open_model).answer, versions)


def answer_commands(answer: Callable[[Message], Message], versions: Mapping[str, str]) -> None:
    """Answer commands until ``quit`` or the end of the input."""
    answers = _claim_standard_output()
    _send(
        answers, {"event": "ready", "versions": {"python": platform.python_version(), **versions}}
    )
    for line in sys.stdin:
        command = json.loads(line)
        if command["command"] == "quit":
            return
        try:
            _send(answers, answer(command))
        except BenchError as error:
            reason = {"message": error.message, "next_step": error.next_step}
            _send(answers, {"event": "error", **reason})
        except Exception as error:
            # Whatever the runtime raises is the answer: the schedule records it and goes on.
            _send(answers, {"event": "error", "message": f"{type(error).__name__}: {error}"})


def _claim_standard_output() -> TextIO:
    """Keep standard output for answers: what a library prints there goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def _send(stream: TextIO, message: Message) -> None:
    stream.write(json.dumps(message) + "\n")
    stream.flush()


class _Session:
    """The model that this process holds, and the inputs it runs on."""

    def __init__(self, open_model: Opener) -> None:
        self._open_model = open_model
        self._model: Model | None = None
        self._inputs: dict[str, Array] = {}

    def answer(self, command: Message) -> Message:
        handlers: Mapping[str, Callable[[Message], Message]] = {
            "load": self._load,
            "prepare": self._prepare,
            "warm_up": self._warm_up,
            "block": self._block,
        }
        return handlers[command["command"]](command)

    def _load(self, command: Message) -> Message:
        if cpus := command.get("cpus"):
            os.sched_setaffinity(0, cpus)
        if command.get("cold"):
            drop_from_page_cache(Path(str(command["model"])))
        before = int(psutil.Process().memory_info().rss)
        start = time.perf_counter_ns()
        self._model = self._open_model(command)
        load_ns = time.perf_counter_ns() - start
        return {
            "event": "loaded",
            "load_ns": load_ns,
            "rss_before_bytes": before,
            "peak_rss_bytes": peak_rss_bytes(),
            "cpus_got": sorted(os.sched_getaffinity(0)),
        }

    def _prepare(self, command: Message) -> Message:
        self._inputs = input_arrays(command["inputs"])
        wall_ns, _, outputs = self._timed_run()
        return {
            "event": "prepared",
            "first_inference_ns": wall_ns,
            "outputs": describe_outputs(outputs),
        }

    def _warm_up(self, command: Message) -> Message:
        wall_ns: list[int] = []
        start = time.perf_counter()
        limit = start + float(command["limit_s"])
        enough = start + WARM_UP_SECONDS
        while (now := time.perf_counter()) < limit and not (now >= enough and is_steady(wall_ns)):
            wall_ns.append(self._timed_run()[0])
        return {"event": "warm", "steady": is_steady(wall_ns), "wall_ns": wall_ns}

    def _block(self, command: Message) -> Message:
        seen = clocks_and_temperatures()
        end = time.perf_counter() + LEAD_IN_SECONDS
        lead_in = [self._timed_run()[:2]]
        while time.perf_counter() < end:
            lead_in.append(self._timed_run()[:2])
        wall_ns: list[int] = []
        cpu_ns: list[int] = []
        minimum = int(command["minimum_iterations"])
        end = time.perf_counter() + float(command["seconds"])
        while len(wall_ns) < minimum or time.perf_counter() < end:
            wall, cpu, _ = self._timed_run()
            wall_ns.append(wall)
            cpu_ns.append(cpu)
        return {
            "event": "block",
            "lead_in_ns": [wall for wall, _ in lead_in],
            "lead_in_cpu_ns": [cpu for _, cpu in lead_in],
            "wall_ns": wall_ns,
            "cpu_ns": cpu_ns,
            "peak_rss_bytes": peak_rss_bytes(),
            "pss_bytes": pss_bytes(),
            "before": seen,
            "after": clocks_and_temperatures(),
        }

    def _timed_run(self) -> tuple[int, int, Mapping[str, Array]]:
        """Wall and CPU nanoseconds of one inference (CPU: summed over the process's threads)."""
        if self._model is None:
            raise RuntimeError("no model is loaded")
        cpu = time.process_time_ns()
        start = time.perf_counter_ns()
        outputs = self._model.run(self._inputs)
        wall = time.perf_counter_ns() - start
        return wall, time.process_time_ns() - cpu, outputs
