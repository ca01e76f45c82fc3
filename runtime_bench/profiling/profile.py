"""Profiles: from a plan to the time of each kind of operator, in a process for each artifact."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

from runtime_bench import runners
from runtime_bench.devices.base import Device
from runtime_bench.errors import RunnerError
from runtime_bench.inputs import golden_inputs
from runtime_bench.plan import PEAK_TARGET, Entry, Plan
from runtime_bench.profiling.kinds import Kind, kind_of
from runtime_bench.runners.client import Answer, LocalRunner

#: The targets whose runtime has a profiler that is read here: runners/TARGET_profiler.py.
TARGETS = frozenset({"onnx", "executorch"})
_PRODUCTS = (Kind.WEIGHT_PRODUCTS, Kind.ATTENTION_PRODUCTS)
_MILLISECOND = 1e6


@dataclass(frozen=True)
class OperatorTime:
    """All operators of one name: calls and milliseconds in one inference."""

    name: str
    kind: Kind
    count: int
    ms: float


@dataclass(frozen=True)
class Profile:
    """One artifact, in milliseconds for one inference.

    ``kinds`` add up to ``whole_ms``, the inference by the runtime's own clock with its profiler on.
    ``unprofiled_ms`` is the median wall time before the profiler was switched on.
    """

    entry: Entry
    versions: Mapping[str, str]
    whole_ms: float
    unprofiled_ms: float
    kinds: Mapping[Kind, float]
    operators: tuple[OperatorTime, ...]

    def share(self, kind: Kind) -> float:
        return self.kinds[kind] / self.whole_ms

    def shares_without_products(self) -> tuple[float, float]:
        """The share that is not matrix products: without fused attention, and with it.

        Fused attention is products and softmax in one operator, so that the truth lies between.
        """
        least = 1 - sum(self.share(kind) for kind in (*_PRODUCTS, Kind.FUSED_ATTENTION))
        return least, least + self.share(Kind.FUSED_ATTENTION)

    def unknown(self) -> list[str]:
        """Names of the operators that no rule knows."""
        return [item.name for item in self.operators if item.kind is Kind.OTHER]


@dataclass(frozen=True)
class ProfileFailure:
    """An artifact that could not be profiled, and why."""

    entry: Entry
    reason: str


def profile_plan(
    plan: Plan, device: Device, runs: int, progress: Callable[[str], None]
) -> tuple[list[Profile], list[ProfileFailure]]:
    """Profile every artifact of ``plan`` in its only case, one after the other."""
    (case,) = plan.cases()
    profiles, failures = [], []
    for entry in plan.entries:
        if entry.target == PEAK_TARGET or entry.bundle is None or entry.artifact is None:
            continue
        progress(f"profiling {entry.label}")
        address = device.stage(
            entry.bundle.folder,
            entry.artifact.path,
            [file.path for file in entry.artifact.files],
        )
        command = {
            "command": "profile",
            "model": address,
            "threads": case.threads,
            "runs": runs,
        }
        try:
            inputs = golden_inputs(entry, case.length, plan.settings.seed)
            answer, versions = _ask(
                entry.target, {**command, "inputs": inputs}, plan.settings.step_limit
            )
        except RunnerError as error:
            progress(f"failed: {entry.label}: {error}")
            failures.append(ProfileFailure(entry, str(error)))
            continue
        profiles.append(summarised(entry, answer, versions))
    return profiles, failures


def summarised(entry: Entry, answer: Answer, versions: Mapping[str, str]) -> Profile:
    """The profile of ``entry`` from its profiler's answer (runners/profiler.py).

    Means over the half of the runs whose whole time is in the middle: unlike medians they add up,
    unlike means over all runs they forget the few that other load held up.
    """
    runs = _middle_half(answer["runs"])
    whole = fmean(run["whole_ns"] for run in runs) / _MILLISECOND
    names = sorted({name for run in runs for name in run["operators"]})
    operators = []
    for name in names:
        calls = [run["operators"].get(name, (0, 0.0)) for run in runs]
        operators.append(
            OperatorTime(
                name=name,
                kind=kind_of(entry.target, name),
                count=max(count for count, _ in calls),
                ms=fmean(nanoseconds for _, nanoseconds in calls) / _MILLISECOND,
            )
        )
    kinds = dict.fromkeys(Kind, 0.0)
    for operator in operators:
        kinds[operator.kind] += operator.ms
    kinds[Kind.DELEGATE] = fmean(run["unreported_ns"] or 0.0 for run in runs) / _MILLISECOND
    kinds[Kind.OVERHEAD] = whole - sum(kinds.values())
    return Profile(
        entry=entry,
        versions=versions,
        whole_ms=whole,
        unprofiled_ms=median(answer["unprofiled_ns"]) / _MILLISECOND,
        kinds=kinds,
        operators=tuple(sorted(operators, key=lambda item: -item.ms)),
    )


def _middle_half(runs: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    ordered = sorted(runs, key=lambda run: float(run["whole_ns"]))
    cut = len(ordered) // 4
    return ordered[cut : len(ordered) - cut]


def _ask(target: str, command: Mapping[str, Any], limit: float) -> tuple[Answer, Mapping[str, str]]:
    module = f"{runners.__name__}.{target}_profiler"
    runner = LocalRunner([sys.executable, "-m", module], limit)
    try:
        return runner.request(command, limit), runner.versions
    finally:
        runner.close()
