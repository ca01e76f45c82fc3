"""What an artifact has to answer on a device: what it answers on this machine.

A phone's kernels are others than this machine's, and can be wrong without any error. The cost of a
wrong answer is worth nothing, so that nothing is timed or counted before the outputs agree.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from runtime_bench.devices.base import Device
from runtime_bench.errors import RunnerError
from runtime_bench.inputs import golden_inputs
from runtime_bench.plan import Entry, Plan, Settings
from runtime_bench.runners.client import Answer, Runner

Outputs = Mapping[str, Answer]

# Largest distance of a device's outputs from the host's, relative to the host's size (L2 norms).
# Rounding of other kernels, measured on x86-64 and all emulated profiles, with both runtimes: fp32
# and fp16 up to 3e-6; int8 up to 0.003 on a trained model, 0.05 on random ones of base size, where
# an activation that rounds to the neighbouring step moves everything after it. Kernels that the
# emulator gets wrong (int8 products with SVE): 0.58 and more.
EXACT_TOLERANCE = 1e-4
QUANTIZED_TOLERANCE = 0.2
_EXACT = ("fp32", "fp16")


class RightAnswers:
    """The outputs for the golden inputs on ``host``, computed where they are first needed."""

    def __init__(self, plan: Plan, host: Device) -> None:
        self._plan, self._host = plan, host
        self._known: dict[str, Mapping[int, Outputs]] = {}

    def check(self, entry: Entry, length: int, found: Outputs) -> None:
        """Raise RunnerError unless ``found`` is what the entry answers on the host."""
        if entry.artifact is None:
            return
        precision = entry.artifact.precision
        apart, allowed = distance(found, self.of(entry)[length]), tolerance(precision)
        if not apart <= allowed:  # also where it is no number
            raise RunnerError(
                f"Its outputs are {apart:.2g} of their size away from this machine's (at most "
                f"{allowed:g} for {precision}), so nothing was measured.",
                "Prove the bundle with: squeezebert-export verify BUNDLE",
            )

    def of(self, entry: Entry) -> Mapping[int, Outputs]:
        """The entry's outputs by length; raises RunnerError where this machine has none."""
        if entry.id not in self._known:
            try:
                self._known[entry.id] = self._computed(entry)
            except RunnerError as error:
                message = f"This machine gives no answer to compare with: {error.message}"
                raise RunnerError(message, error.next_step) from None
        return self._known[entry.id]

    def _computed(self, entry: Entry) -> Mapping[int, Outputs]:
        if entry.bundle is None or entry.artifact is None:
            raise RunnerError(f"{entry.label} is no artifact.", "Name a bundle.")
        settings = self._plan.settings
        files = [file.path for file in entry.artifact.files]
        address = self._host.stage(entry.bundle.folder, entry.artifact.path, files)
        runner = self._host.start(entry.target, settings.step_limit)
        try:
            load = {"command": "load", "model": address, "threads": 1}
            runner.request(load, settings.step_limit)
            return {
                length: prepared(entry, length, settings, runner)["outputs"]
                for length in self._plan.lengths
            }
        finally:
            runner.close()


def prepared(
    entry: Entry, length: int, settings: Settings, runner: Runner, limit: float | None = None
) -> Answer:
    """A runner's answer to the golden input; raises RunnerError where it is not finite."""
    inputs = golden_inputs(entry, length, settings.seed)
    command = {"command": "prepare", "inputs": inputs}
    answer = runner.request(command, settings.step_limit if limit is None else limit)
    broken = [name for name, value in answer["outputs"].items() if not value["finite"]]
    if broken:
        raise RunnerError(
            f"The output {broken[0]} is not finite.",
            "Prove the bundle with: squeezebert-export verify BUNDLE",
        )
    return answer


def distance(found: Outputs, expected: Outputs) -> float:
    """Distance of the recorded values relative to the expected ones' size (L2 norms).

    Of the output where it is largest. Infinite where names or shapes differ, and where values are
    missing or not finite.
    """
    if {name: item["shape"] for name, item in found.items()} != {
        name: item["shape"] for name, item in expected.items()
    }:
        return float("inf")
    return max(
        (_distance(found[name]["values"], expected[name]["values"]) for name in expected),
        default=0.0,
    )


def _distance(found: Sequence[float], expected: Sequence[float]) -> float:
    if len(found) != len(expected):
        return float("inf")
    left, right = np.array(found), np.array(expected)
    with np.errstate(invalid="ignore"):
        apart = float(np.linalg.norm(left - right) / max(float(np.linalg.norm(right)), 1e-30))
    return apart if math.isfinite(apart) else float("inf")  # the largest of several would lose nan


def tolerance(precision: str) -> float:
    """The largest healthy ``distance`` of an artifact of ``precision`` from the host."""
    return EXACT_TOLERANCE if precision in _EXACT else QUANTIZED_TOLERANCE
