"""Who computes when: interleaving, warm-up, resume, and what happens when a runner fails."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from runtime_bench.agreement import compare, comparisons
from runtime_bench.devices.base import Device, Snapshot
from runtime_bench.errors import RunnerError
from runtime_bench.header import gate_warnings, utc_now
from runtime_bench.inputs import golden_inputs
from runtime_bench.plan import PEAK_PRODUCT, Case, Entry, Plan
from runtime_bench.results import (
    BlockRecord,
    EndRecord,
    FailureRecord,
    LoadRecord,
    Record,
    Results,
    ResumeRecord,
    WarmUpRecord,
)
from runtime_bench.runners.client import Answer, Runner

Write = Callable[[Record], None]
Progress = Callable[[str], None]


def order(entries: Sequence[Entry], forward: bool) -> list[Entry]:
    """Forward in one round, reversed in the next: A B B A; A B C C B A; and so on.

    Over a pair of rounds every entry has the same mean position, so a drift that is linear in
    time cancels from every ratio.
    """
    return list(entries) if forward else list(reversed(entries))


def execute(
    plan: Plan, device: Device, write: Write, progress: Progress, earlier: Results | None = None
) -> tuple[str, ...]:
    """Measure what ``plan`` asks for and ``earlier`` does not hold yet.

    Returns the ids of the entries that failed. Each entry has its own long-lived process; one
    process computes at any time. Processes are ended on every way out, Ctrl-C included.
    """
    if earlier is not None:
        write(ResumeRecord(utc_now(), gate_warnings(plan, device)))
    run = _Run(plan, device, write, progress, earlier)
    for threads in plan.threads:
        cases = [case for case in plan.cases() if case.threads == threads and run.missing(case)]
        if not cases:
            continue
        try:
            run.load(threads)
            for case in cases:
                run.measure(case)
        finally:
            run.close()
    failed = tuple(sorted(run.failed))
    write(EndRecord(utc_now(), failed))
    return failed


@dataclass
class _Holding:
    """A runner and the entry whose model it holds."""

    entry: Entry
    runner: Runner


class _Run:
    """One run: the processes that live now, and what has failed."""

    def __init__(
        self,
        plan: Plan,
        device: Device,
        write: Write,
        progress: Progress,
        earlier: Results | None,
    ) -> None:
        self._plan, self._device, self._write, self._progress = plan, device, write, progress
        self._settings = plan.settings
        self._held: dict[str, _Holding] = {}
        self.failed = {record.entry for record in earlier.failures} if earlier else set()
        # For each case and round: which entries were measured, and at which position.
        self._rounds: dict[Case, dict[int, dict[str, int]]] = defaultdict(lambda: defaultdict(dict))
        for block in earlier.blocks if earlier else ():
            case = Case(block.length, block.threads)
            self._rounds[case][block.round][block.entry] = block.position

    def missing(self, case: Case) -> int:
        """How many complete rounds ``case`` still needs.

        A round that was cut in the middle is measured again under a new number, since only
        blocks measured side by side are paired; its samples stay in the file.
        """
        if all(entry.id in self.failed for entry in self._plan.entries):
            return 0
        return max(0, self._settings.blocks - len(self._complete(case)))

    def load(self, threads: int) -> None:
        for entry in self._plan.entries:
            if entry.id in self.failed:
                continue
            self._progress(f"{_threads(threads)}: loading {entry.label}")
            try:
                self._write(self._load(entry, threads))
            except RunnerError as error:
                self._fail(entry, threads, None, "load", error)

    def measure(self, case: Case) -> None:
        where = f"{_threads(case.threads)}, {case.length} tokens"
        self._warm_up(case, where)
        total = self._settings.blocks
        while missing := self.missing(case):
            measured = self._rounds[case]
            index = max(measured, default=-1) + 1  # numbers are never reused
            forward = self._goes_forward(case)
            self._progress(f"{where}: round {total - missing + 1} of {total}")
            for position, entry in enumerate(order(self._alive(), forward)):
                try:
                    self._write(self._block(entry, case, index, position))
                    measured[index][entry.id] = position
                except RunnerError as error:
                    self._fail(entry, case.threads, case.length, "block", error)

    def close(self) -> None:
        for holding in self._held.values():
            holding.runner.close()
        self._held.clear()

    def _complete(self, case: Case) -> list[Mapping[str, int]]:
        """The rounds that every entry still in the run was measured in."""
        expected = {entry.id for entry in self._plan.entries} - self.failed
        return [measured for measured in self._rounds[case].values() if expected <= set(measured)]

    def _goes_forward(self, case: Case) -> bool:
        """Whether the next round goes forward: the direction that complete rounds have less of.

        Not by the round's number: a round that was cut takes a number but counts for nothing.
        """
        complete = self._complete(case)
        forward = 0
        for measured in complete:
            places = [measured[entry.id] for entry in self._plan.entries if entry.id in measured]
            forward += places == sorted(places)
        return 2 * forward <= len(complete)

    def _alive(self) -> list[Entry]:
        return [entry for entry in self._plan.entries if entry.id in self._held]

    def _load(self, entry: Entry, threads: int) -> LoadRecord:
        if entry.bundle is None or entry.artifact is None:
            address = "x".join(str(size) for size in PEAK_PRODUCT)
        else:
            files = [file.path for file in entry.artifact.files]
            address = self._device.stage(entry.bundle.folder, entry.artifact.path, files)
        runner = self._device.start(entry.target, self._settings.step_limit)
        self._held[entry.id] = _Holding(entry, runner)
        answer = self._request(entry, {"command": "load", "model": address, "threads": threads})
        return LoadRecord(
            entry=entry.id,
            threads=threads,
            load_ns=answer["load_ns"],
            rss_before_bytes=answer["rss_before_bytes"],
            peak_rss_bytes=answer["peak_rss_bytes"],
            versions=runner.versions,
        )

    def _warm_up(self, case: Case, where: str) -> None:
        outputs: dict[str, Mapping[str, Answer]] = {}
        for entry in self._alive():
            self._progress(f"{where}: warming up {entry.label}")
            try:
                record = self._warm_up_entry(entry, case)
            except RunnerError as error:
                self._fail(entry, case.threads, case.length, "warm-up", error)
                continue
            self._write(record)
            outputs[entry.id] = record.outputs
        for entry, reference in comparisons(self._alive()):
            self._write(compare(entry, reference, case, outputs))

    def _warm_up_entry(self, entry: Entry, case: Case) -> WarmUpRecord:
        inputs = golden_inputs(entry, case.length, self._settings.seed)
        prepared = self._request(entry, {"command": "prepare", "inputs": inputs})
        broken = [name for name, value in prepared["outputs"].items() if not value["finite"]]
        if broken:
            raise RunnerError(
                f"The output {broken[0]} is not finite.",
                "Prove the bundle with: squeezebert-export verify BUNDLE",
            )
        limit = self._settings.warm_up_limit
        warm = self._request(entry, {"command": "warm_up", "limit_s": limit}, limit)
        return WarmUpRecord(
            entry=entry.id,
            length=case.length,
            threads=case.threads,
            first_inference_ns=prepared["first_inference_ns"],
            steady=warm["steady"],
            wall_ns=tuple(warm["wall_ns"]),
            outputs=prepared["outputs"],
        )

    def _block(self, entry: Entry, case: Case, index: int, position: int) -> BlockRecord:
        started, before = utc_now(), self._device.snapshot()
        seconds = self._settings.seconds_per_block
        answer = self._request(
            entry,
            {
                "command": "block",
                "seconds": seconds,
                "minimum_iterations": self._settings.minimum_iterations,
            },
            seconds,
        )
        own = (sum(answer["lead_in_cpu_ns"]) + sum(answer["cpu_ns"])) / 1e9
        other, stolen = _loads(before, self._device.snapshot(), own)
        return BlockRecord(
            entry=entry.id,
            length=case.length,
            threads=case.threads,
            round=index,
            position=position,
            started=started,
            lead_in_ns=tuple(answer["lead_in_ns"]),
            wall_ns=tuple(answer["wall_ns"]),
            cpu_ns=tuple(answer["cpu_ns"]),
            peak_rss_bytes=answer["peak_rss_bytes"],
            other_load=other,
            stolen=stolen,
        )

    def _request(self, entry: Entry, command: Mapping[str, object], seconds: float = 0) -> Answer:
        limit = self._settings.step_limit + seconds
        return self._held[entry.id].runner.request(command, limit)

    def _fail(
        self, entry: Entry, threads: int, length: int | None, stage: str, error: RunnerError
    ) -> None:
        """The entry is out of the rest of the run; the others go on."""
        holding = self._held.pop(entry.id, None)
        if holding is not None:
            holding.runner.close()
        self.failed.add(entry.id)
        self._write(FailureRecord(entry.id, threads, length, stage, str(error)))
        self._progress(f"failed: {entry.label}: {error}")


def _loads(before: Snapshot, after: Snapshot, own: float) -> tuple[float, float]:
    """Cores kept busy by other processes, and cores stolen, between two snapshots."""
    elapsed = max(after.at - before.at, 1e-9)
    other = max(0.0, after.busy - before.busy - own) / elapsed
    return round(other, 3), round((after.stolen - before.stolen) / elapsed, 3)


def _threads(count: int) -> str:
    return f"{count} thread" + ("" if count == 1 else "s")
