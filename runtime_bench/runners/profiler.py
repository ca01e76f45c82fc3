"""The contract of a profiler, and the loop that serves it. A runner's (protocol.py), but for:

    {"command": "profile", "model": PATH, "threads": N, "inputs": {...}, "runs": R}
        -> {"event": "profiled", "unprofiled_ns": [...], "runs": [{"whole_ns",
            "operators": {NAME: [COUNT, NS]}, "unreported_ns"}, ...]}

Operators of one name are added up. ``unreported_ns`` is the time in calls of delegates that none of
their operators tells of (null for a runtime without delegates). ``unprofiled_ns`` are the wall
times of as many runs in the same process before the profiler is switched on.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Protocol

from runtime_bench.runners.protocol import Array, Message, Model, Opener, answer_commands
from runtime_bench.runners.protocol import input_arrays as arrays

WARM_UP_RUNS = 5


@dataclass(frozen=True)
class TracedRun:
    """One inference as the runtime's profiler saw it."""

    whole_ns: float
    operators: Mapping[str, tuple[int, float]]
    unreported_ns: float | None


class TracedModel(Protocol):
    """A model whose runtime writes down what it does."""

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]: ...

    def runs(self) -> list[TracedRun]:
        """All runs until now, in order; called once, after the last one."""
        ...


def added(operators: dict[str, tuple[int, float]], name: str, nanoseconds: float) -> None:
    """Add one call of ``name`` to ``operators``."""
    count, total = operators.get(name, (0, 0.0))
    operators[name] = (count + 1, total + nanoseconds)


def serve_profiles(
    open_model: Opener,
    open_traced: Callable[[Message], TracedModel],
    versions: Mapping[str, str],
) -> None:
    """Serve the contract with models that ``open_model`` and ``open_traced`` open."""

    def profile(command: Message) -> Message:
        inputs, count = arrays(command["inputs"]), int(command["runs"])
        unprofiled = _timed(open_model(command), inputs, count)
        traced = open_traced(command)
        for _ in range(WARM_UP_RUNS + count):
            traced.run(inputs)
        found = traced.runs()
        if len(found) != WARM_UP_RUNS + count:
            raise RuntimeError(
                f"the profiler kept {len(found)} of {WARM_UP_RUNS + count} inferences: give fewer "
                "with --runs"
            )
        return {
            "event": "profiled",
            "unprofiled_ns": unprofiled,
            "runs": [asdict(run) for run in found[WARM_UP_RUNS:]],
        }

    answer_commands(profile, versions)


def _timed(model: Model, inputs: Mapping[str, Array], count: int) -> list[int]:
    for _ in range(WARM_UP_RUNS):
        model.run(inputs)
    wall_ns = []
    for _ in range(count):
        start = time.perf_counter_ns()
        model.run(inputs)
        wall_ns.append(time.perf_counter_ns() - start)
    return wall_ns
