"""Counts the instructions of single inferences on an emulated device, in place of timing them.

Every count has a process of its own, so that it depends on nothing that was counted before, and
follows a comparison with this machine's own runner: emulated kernels can be wrong without any
error, and the cost of a wrong answer is worth nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, runtime_checkable

from runtime_bench.agreement import compare, comparisons
from runtime_bench.devices.base import Device
from runtime_bench.devices.host import Host
from runtime_bench.emulation.runner import FIRST_INFERENCE, INFERENCE, LOAD, Phase
from runtime_bench.errors import InputError, RunnerError
from runtime_bench.header import gate_warnings, utc_now
from runtime_bench.plan import Case, Entry, Plan
from runtime_bench.records import (
    EndRecord,
    FailureRecord,
    InstructionsRecord,
    LoadRecord,
    Record,
    ResumeRecord,
    WarmUpRecord,
)
from runtime_bench.results import Results
from runtime_bench.right_answers import Outputs, RightAnswers, prepared
from runtime_bench.runners.client import Runner

Write = Callable[[Record], None]
Progress = Callable[[str], None]

# How many inferences are counted for each entry and length.
INFERENCES = 3
# Inferences between the first one and those that count, by target: until then ONNX Runtime's
# allocations find their places (the fourth one still differs by 0.1 % at 16 tokens).
WARM_UPS: Mapping[str, int] = {"onnx": 4, "executorch": 1}
# An emulated inference may take this many times the step limit, which is meant for real devices.
PATIENCE = 20
_OTHER_DEVICE = "Count on an emulated one: --device arm64"


@runtime_checkable
class CountedRunner(Runner, Protocol):
    """A runner whose instructions are counted."""

    def phases(self) -> tuple[Phase, ...]: ...


def execute(
    plan: Plan,
    device: Device,
    write: Write,
    progress: Progress,
    earlier: Results | None = None,
    *,
    host: Device | None = None,
) -> tuple[str, ...]:
    """Count what ``plan`` asks for and ``earlier`` does not hold yet.

    Returns the ids of the entries that failed. The matrix product is left out: it measures a
    machine's speed, and there is none here. ``host``: where the right outputs come from (this
    machine). Processes are ended on every way out, Ctrl-C included. Raises InputError for a device
    that does not count, more than one thread, or cores that it lacks.
    """
    profile = device.fingerprint().extra.get("profile")
    if profile is None:
        raise InputError(f"{device.name} does not count instructions.", _OTHER_DEVICE)
    device.cpus(plan.settings.cores)
    warnings = gate_warnings(plan, device)
    if earlier is not None:
        write(ResumeRecord(utc_now(), warnings))
    run = _Counting(plan, device, str(profile), host or Host(), write, progress, earlier)
    for case in plan.cases():
        run.count(case)
    failed = tuple(sorted(run.failed))
    write(EndRecord(utc_now(), failed))
    return failed


def spread(inferences: Sequence[Mapping[str, int]]) -> float:
    """How far the totals of repeated inferences lie apart, relative to the smallest."""
    totals = [counts["total"] for counts in inferences]
    return (max(totals) - min(totals)) / max(min(totals), 1)


class _Counting:
    """One run: what was counted, and what has failed."""

    def __init__(
        self,
        plan: Plan,
        device: Device,
        profile: str,
        host: Device,
        write: Write,
        progress: Progress,
        earlier: Results | None,
    ) -> None:
        self._plan, self._device, self._profile = plan, device, profile
        self._answers = RightAnswers(plan, host)
        self._write, self._progress, self._settings = write, progress, plan.settings
        self._entries = [entry for entry in plan.entries if entry.bundle is not None]
        self.failed = {record.entry for record in earlier.failures} if earlier else set()
        self._counted: set[tuple[str, Case]] = set()
        self._compared: set[tuple[str, str, Case]] = set()
        self._outputs: dict[tuple[str, Case], Outputs] = {}
        self._stage = ""
        for item in earlier.instructions if earlier else ():
            self._counted.add((item.entry, Case(item.length, item.threads)))
        for check in earlier.checks if earlier else ():
            self._compared.add((check.entry, check.reference, Case(check.length, check.threads)))
        for warm_up in earlier.warm_ups if earlier else ():
            this = (warm_up.entry, Case(warm_up.length, warm_up.threads))
            self._outputs[this] = warm_up.outputs

    def count(self, case: Case) -> None:
        """Count every entry at ``case``, then compare the artifacts of each bundle."""
        missing = [
            entry
            for entry in self._entries
            if entry.id not in self.failed and (entry.id, case) not in self._counted
        ]
        for entry in missing:
            try:
                self._begin("host", entry, case, "the right answer, on this machine")
                self._answers.of(entry)
                self._count(entry, case)
            except RunnerError as error:
                self.failed.add(entry.id)
                length = None if self._stage == "load" else case.length
                self._write(FailureRecord(entry.id, case.threads, length, self._stage, str(error)))
                self._progress(f"failed: {entry.label}: {error}")
        alive = [entry for entry in self._entries if entry.id not in self.failed]
        outputs = {entry.id: self._outputs[entry.id, case] for entry in alive}
        for entry, reference in comparisons(alive):
            if (entry.id, reference.id, case) not in self._compared:
                self._write(compare(entry, reference, case, outputs))

    def _begin(self, stage: str, entry: Entry, case: Case, what: str) -> None:
        self._stage = stage
        self._progress(f"{case.length} tokens: {entry.label}: {what}")

    def _count(self, entry: Entry, case: Case) -> None:
        limit = self._settings.step_limit * PATIENCE
        self._begin("load", entry, case, "loading")
        runner = self._device.start(entry.target, self._settings.step_limit)
        try:
            if not isinstance(runner, CountedRunner):
                raise InputError(f"{self._device.name} does not count.", _OTHER_DEVICE)
            self._write(self._load(runner, self._device, entry, case, limit))
            self._begin("warm-up", entry, case, "first inference")
            outputs = prepared(entry, case.length, self._settings, runner, limit)["outputs"]
            self._answers.check(entry, case.length, outputs)
            self._outputs[entry.id, case] = outputs
            # What the emulator took of time is nobody's figure: there is none in these records.
            self._write(WarmUpRecord(entry.id, case.length, case.threads, None, None, (), outputs))
            warm_ups = WARM_UPS[entry.target]
            self._begin("count", entry, case, f"{warm_ups} + {INFERENCES} inferences")
            inferences = warm_ups + INFERENCES
            command = {"command": "count", "inferences": inferences}
            runner.request(command, limit * inferences)
            record = self._record(entry, case, runner.phases(), inferences)
        finally:
            runner.close()
        self._write(record)
        self._counted.add((entry.id, case))
        if spread(record.inferences):
            totals = sorted(counts["total"] for counts in record.inferences)
            self._progress(f"{entry.label}: its inferences took {totals[0]:,} to {totals[-1]:,}")

    def _load(
        self, runner: Runner, device: Device, entry: Entry, case: Case, limit: float
    ) -> LoadRecord:
        if entry.bundle is None or entry.artifact is None:
            raise RunnerError(f"{entry.label} is no artifact.", "Name a bundle.")
        files = [file.path for file in entry.artifact.files]
        address = device.stage(entry.bundle.folder, entry.artifact.path, files)
        command = {"command": "load", "model": address, "threads": case.threads}
        runner.request(command, limit)
        return LoadRecord(entry.id, case.threads, None, None, None, runner.versions)

    def _record(
        self, entry: Entry, case: Case, phases: Sequence[Phase], inferences: int
    ) -> InstructionsRecord:
        expected = [LOAD, FIRST_INFERENCE, *[INFERENCE] * inferences]
        if [phase.name for phase in phases] != expected:
            raise RunnerError(
                f"The runner marked {len(phases)} phases of its work, not {len(expected)}.",
                "Build it anew with: make native",
            )
        return InstructionsRecord(
            entry=entry.id,
            length=case.length,
            threads=case.threads,
            profile=self._profile,
            inferences=tuple(phase.counts for phase in phases[-INFERENCES:]),
            phases={phase.name: phase.counts for phase in phases[:2]},
        )
