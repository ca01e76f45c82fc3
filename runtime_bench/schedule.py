"""Who computes when: interleaving, warm-up, pauses, resume, and what follows a failure."""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

from runtime_bench.agreement import compare, comparisons
from runtime_bench.devices.base import BenchWarning, Conditions, Device
from runtime_bench.errors import RunnerError
from runtime_bench.header import gate_warnings, utc_now
from runtime_bench.loaded_models import LoadedModels
from runtime_bench.plan import PEAK, Case, Entry, Plan
from runtime_bench.records import (
    BlockRecord,
    ConditionsRecord,
    EndRecord,
    FailureRecord,
    PauseRecord,
    Record,
    ResumeRecord,
    SlowdownRecord,
)
from runtime_bench.results import Results
from runtime_bench.right_answers import RightAnswers
from runtime_bench.rounds import Rounds
from runtime_bench.runners.client import Answer
from runtime_bench.throttling import slowed

Write = Callable[[Record], None]
Progress = Callable[[str], None]
Sleep = Callable[[float], None]

# Starts are measured at the length nearest to this.
START_LENGTH = 128
# Seconds between two looks at a device that cools, and how often a case waits for that at most.
PAUSE_STEP = 10.0
MOST_PAUSES = 3


def order(entries: Sequence[Entry], forward: bool) -> list[Entry]:
    """Forward in one round, reversed in the next: A B B A; A B C C B A; and so on.

    Over a pair of rounds every entry has the same mean position, so a drift that is linear in
    time cancels from every ratio.
    """
    return list(entries) if forward else list(reversed(entries))


def execute(
    plan: Plan,
    device: Device,
    write: Write,
    progress: Progress,
    earlier: Results | None = None,
    *,
    host: Device | None = None,
    lacking: Sequence[BenchWarning] = (),
    sleep: Sleep = time.sleep,
) -> tuple[str, ...]:
    """Measure what ``plan`` asks for and ``earlier`` does not hold yet.

    Returns the ids of the entries that failed. Each entry has its own long-lived process; one
    process computes at any time. Processes are ended on every way out, Ctrl-C included. ``host``:
    where the right outputs come from; without it only artifacts of a bundle are compared.
    ``lacking``: what getting ready could not do, for the record of a resumed run.
    Raises DeviceError when the device is gone; what was measured until then has been written.
    """
    if earlier is not None:
        write(ResumeRecord(utc_now(), (*lacking, *gate_warnings(plan, device))))
    run = _Run(plan, device, write, progress, earlier, host, sleep)
    for threads in plan.threads:
        cases = [case for case in plan.cases() if case.threads == threads and run.missing(case)]
        if not cases:
            continue
        try:
            run.start_repeatedly(threads)
            run.load(threads)
            for case in cases:
                run.measure(case)
        finally:
            run.close()
    failed = tuple(sorted(run.failed))
    write(EndRecord(utc_now(), failed))
    return failed


class _Run:
    """One run: the processes that live now, and what has failed."""

    def __init__(
        self,
        plan: Plan,
        device: Device,
        write: Write,
        progress: Progress,
        earlier: Results | None,
        host: Device | None,
        sleep: Sleep,
    ) -> None:
        self._plan, self._device, self._write, self._progress = plan, device, write, progress
        self._sleep = sleep
        self._settings = plan.settings
        answers = None if host is None else RightAnswers(plan, host)
        self._models = LoadedModels(plan, device, answers)
        self._conditions = Conditions()
        self._cpus = device.cpus(plan.settings.cores)
        self.failed = {record.entry for record in earlier.failures} if earlier else set()
        self._rounds: dict[Case, Rounds] = defaultdict(lambda: Rounds(plan, self.failed))
        for block in (*earlier.blocks, *earlier.dropped_blocks) if earlier else ():
            self._rounds[Case(block.length, block.threads)].add(block)
        for slowdown in earlier.slowdowns if earlier else ():
            if slowdown.dropped:
                self._rounds[Case(slowdown.length, slowdown.threads)].drop(slowdown.round)
        self._started = (
            {(item.entry, item.threads, item.repeat, item.cold) for item in earlier.starts}
            if earlier
            else set()
        )

    def missing(self, case: Case) -> int:
        """How many complete rounds ``case`` still needs."""
        return self._rounds[case].missing()

    def start_repeatedly(self, threads: int) -> None:
        """Cold and warm starts in turns, each in a process of its own."""
        length = min(self._plan.lengths, key=lambda length: (abs(length - START_LENGTH), length))
        for repeat in range(self._settings.starts):
            for entry in order(self._plan.entries, repeat % 2 == 0):
                for cold in (True, False):
                    this = (entry.id, threads, repeat, cold)
                    if entry.bundle is None or entry.id in self.failed or this in self._started:
                        continue
                    temperature = "cold" if cold else "warm"
                    self._progress(f"{_threads(threads)}: {temperature} start of {entry.label}")
                    try:
                        self._write(self._models.start(entry, Case(length, threads), repeat, cold))
                    except RunnerError as error:
                        self._fail(entry, threads, None, "start", error)
                    finally:
                        self._models.release(entry)

    def close(self) -> None:
        self._models.close()

    def load(self, threads: int) -> None:
        for entry in self._plan.entries:
            if entry.id in self.failed:
                continue
            self._progress(f"{_threads(threads)}: loading {entry.label}")
            try:
                self._write(self._models.load(entry, threads))
            except RunnerError as error:
                self._fail(entry, threads, None, "load", error)

    def measure(self, case: Case) -> None:
        where = f"{_threads(case.threads)}, {case.length} tokens"
        self._warm_up(case, where)
        self._observe(case)
        rounds = self._rounds[case]
        if (number := rounds.last_complete()) is not None:
            # The run may have been interrupted before it judged the round.
            self._judge(case, number, Conditions(), drop=True)
        pauses = 0
        while missing := rounds.missing():
            total = len(rounds.complete()) + missing
            number, forward = rounds.next_number(), rounds.goes_forward()
            self._progress(f"{where}: round {total - missing + 1} of {total}")
            for position, entry in enumerate(order(self._alive(), forward)):
                try:
                    block = self._models.block(entry, case, number, position)
                    self._write(block)
                    rounds.add(block)
                except RunnerError as error:
                    self._fail(entry, case.threads, case.length, "block", error)
            self._observe(case)
            again = pauses < MOST_PAUSES
            reason = self._judge(case, number, self._conditions, drop=again)
            if reason and again:
                pauses += 1
                self._pause(where, case, number, reason)

    def _observe(self, case: Case) -> None:
        """Write how the device is, where it tells."""
        self._conditions = self._device.conditions()
        if self._conditions != Conditions():
            self._write(
                ConditionsRecord(utc_now(), case.length, case.threads, asdict(self._conditions))
            )

    def _judge(self, case: Case, number: int, conditions: Conditions, *, drop: bool) -> str:
        """Write why a round is suspect, and leave it out where ``drop``; "" where it is not."""
        rounds = self._rounds[case]
        if not self._settings.pause_limit:
            return ""
        reason = self._slowed(case, number, rounds.blocks(number), conditions)
        if reason:
            # Before any wait: an interruption must not make the round count.
            length, threads = case.length, case.threads
            self._write(SlowdownRecord(utc_now(), length, threads, number, reason, drop))
            if drop:
                rounds.drop(number)
        return reason

    def _slowed(
        self, case: Case, number: int, measured: Mapping[str, BlockRecord], conditions: Conditions
    ) -> str:
        return slowed(self._at_rest(case, number), measured, PEAK, conditions, self._cpus)

    def _at_rest(self, case: Case, number: int) -> Sequence[Mapping[str, BlockRecord]]:
        """The first two rounds with this many threads, before round ``number`` of ``case``."""
        for other in self._plan.cases():
            if other.threads == case.threads:
                found = self._rounds[other].complete(number if other == case else None)
                if len(found) >= 2 or other == case:
                    return found[:2]
        return []

    def _pause(self, where: str, case: Case, number: int, reason: str) -> None:
        """Wait until the device is as fast as at first, or the limit is over."""
        waited, recovered = 0.0, False
        while not recovered and waited < self._settings.pause_limit:
            self._progress(f"{where}: {reason}; waiting for the device to cool ({waited:.0f} s)")
            self._sleep(PAUSE_STEP)
            waited += PAUSE_STEP
            self._observe(case)
            probe = self._probe(case, number)
            tells = bool(probe) or self._conditions.thermal_status is not None
            recovered = tells and not self._slowed(case, number, probe, self._conditions)
        length, threads = case.length, case.threads
        self._write(PauseRecord(utc_now(), length, threads, number, reason, waited, recovered))

    def _probe(self, case: Case, number: int) -> dict[str, BlockRecord]:
        """Another block of the matrix product for the round that was dropped; {} without it."""
        for entry in self._alive():
            if entry.id == PEAK:
                try:
                    block = self._models.block(entry, case, number, 0)
                except RunnerError as error:
                    self._fail(entry, case.threads, case.length, "block", error)
                    return {}
                self._write(block)
                return {PEAK: block}
        return {}

    def _alive(self) -> list[Entry]:
        return [entry for entry in self._plan.entries if self._models.holds(entry)]

    def _warm_up(self, case: Case, where: str) -> None:
        outputs: dict[str, Mapping[str, Answer]] = {}
        for entry in self._alive():
            self._progress(f"{where}: warming up {entry.label}")
            try:
                record = self._models.warm_up(entry, case)
            except RunnerError as error:
                self._fail(entry, case.threads, case.length, "warm-up", error)
                continue
            self._write(record)
            outputs[entry.id] = record.outputs
        for entry, reference in comparisons(self._alive()):
            self._write(compare(entry, reference, case, outputs))

    def _fail(
        self, entry: Entry, threads: int, length: int | None, stage: str, error: RunnerError
    ) -> None:
        """The entry is out of the rest of the run, and the others go on, if the device is there."""
        self._models.release(entry)
        self._device.check_alive()
        self.failed.add(entry.id)
        self._write(FailureRecord(entry.id, threads, length, stage, str(error)))
        self._progress(f"failed: {entry.label}: {error}")


def _threads(count: int) -> str:
    return f"{count} thread" + ("" if count == 1 else "s")
