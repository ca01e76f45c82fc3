"""A runner under the emulator, with its instructions counted."""

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime_bench.emulation.profiles import Profile
from runtime_bench.emulation.set_up import EMULATOR
from runtime_bench.errors import RunnerError
from runtime_bench.native import places
from runtime_bench.runners.client import Answer, LocalRunner

LOAD, FIRST_INFERENCE, INFERENCE = "load", "first_inference", "inference"
# The phases that a runner marks (native/src/marks.h): twice their number where they begin, one
# more where they end.
_PHASES = {1: LOAD, 2: FIRST_INFERENCE, 3: INFERENCE}
_CLASSES = ("dot", "matrix", "fmla")


@dataclass(frozen=True)
class Phase:
    """What was executed between two marks; ``counts`` as in InstructionsRecord."""

    name: str
    counts: Mapping[str, int]


class EmulatedRunner:
    """A native runner for Arm64 Linux as an emulated process of this machine."""

    def __init__(self, profile: Profile, program: Sequence[str], limit: float) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="squeezebert-bench-")
        self._counts = Path(self._folder.name) / "counts.jsonl"
        try:
            self._runner = LocalRunner(emulated(profile, program, self._counts), limit)
        except BaseException:
            self._folder.cleanup()
            raise
        self.versions = self._runner.versions

    @property
    def process_id(self) -> int:
        return self._runner.process_id

    def request(self, command: Mapping[str, Any], limit: float) -> Answer:
        return self._runner.request(command, limit)

    def phases(self) -> tuple[Phase, ...]:
        """Everything counted so far; raises RunnerError where the marks make no sense."""
        return read_phases(self._counts.read_text(encoding="ascii"))

    def close(self) -> None:
        self._runner.close()
        self._folder.cleanup()


def emulated(profile: Profile, program: Sequence[str], counts: Path | str) -> list[str]:
    """The command that runs ``program`` on ``profile`` and writes its counts to ``counts``.

    The guest gets an empty environment: the C library's work depends on it, and counts would differ
    from user to user. ONNX Runtime's telemetry is off: its thread wakes by the clock, and its
    instructions would be counted.
    """
    guest = ["-cpu", profile.emulator_cpu, "-L", str(places.sysroot() / profile.name)]
    counter = ["-plugin", f"{places.plugin()},out={counts}"]
    clean = [_path_of("env"), "-i", "ORT_DISABLE_TELEMETRY=1"]
    return [*clean, _path_of(EMULATOR), *guest, *counter, *program]


def read_phases(text: str) -> tuple[Phase, ...]:
    """The lines that the plugin wrote -> the phases in their order.

    Raises RunnerError where a mark has no counterpart.
    """
    marks = [json.loads(line) for line in text.splitlines()]
    phases = []
    for begin, end in zip(marks[::2], [*marks[1::2], None], strict=False):
        number, ended = divmod(begin["mark"], 2)
        if end is None or ended or end["mark"] != begin["mark"] + 1 or number not in _PHASES:
            raise RunnerError(
                "The runner's marks for the instruction counter do not pair up.",
                "Build it anew with: make native",
            )
        counts = {name: end[name] - begin[name] for name in ("total", *_CLASSES)}
        counts["other"] = counts["total"] - sum(counts[name] for name in _CLASSES)
        phases.append(Phase(_PHASES[number], counts))
    return tuple(phases)


def _path_of(program: str) -> str:
    return shutil.which(program) or program
