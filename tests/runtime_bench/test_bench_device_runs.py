"""A run on a device that becomes slower, vanishes, or is asked for more than the usual."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runtime_bench.errors import DeviceError, InputError, RunnerError
from runtime_bench.header import run_record
from runtime_bench.plan import Plan, Settings
from runtime_bench.records import (
    BlockRecord,
    ConditionsRecord,
    FailureRecord,
    PauseRecord,
    Record,
    SlowdownRecord,
    StartRecord,
)
from runtime_bench.results import ResultsWriter, read_results
from runtime_bench.schedule import MOST_PAUSES, PAUSE_STEP, execute

SUBJECT, BASELINE, PEAK = "subject/onnx/model.onnx", "baseline/onnx/model.onnx", "512x768x768"
PEAK_ID = "peak"
BLOCKS_A_ROUND = 3


class Sleeps:
    """Time that passes on a scripted device while nothing computes."""

    def __init__(self, device: Any, ticks: int = 0) -> None:
        self.device, self.ticks, self.count = device, ticks, 0

    def __call__(self, seconds: float) -> None:
        assert seconds == PAUSE_STEP
        self.count += 1
        self.device.now += self.ticks


def measured(plan: Plan, device: Any, sleep: Callable[[float], None]) -> list[Record]:
    records: list[Record] = []
    execute(plan, device, records.append, lambda _text: None, sleep=sleep)
    return records


def watching(plan: Plan, **changes: Any) -> Plan:
    return replace(plan, settings=replace(plan.settings, pause_limit=60.0, **changes))


def of(records: list[Record], kind: type) -> list[Any]:
    return [record for record in records if isinstance(record, kind)]


def test_a_round_on_a_throttled_device_is_measured_again(two_entries: Plan, scripted: Any) -> None:
    # From the third round on it is 20 % slower, until it has rested for two steps.
    hot = range(2 * BLOCKS_A_ROUND, 2 * BLOCKS_A_ROUND + 6)
    device = scripted(lambda _address, now: 1200 if now in hot else 1000)
    sleeps = Sleeps(device, ticks=1)
    records = measured(watching(two_entries), device, sleeps)
    (pause,) = of(records, PauseRecord)
    assert pause.dropped == 2
    assert pause.recovered
    assert pause.waited_s == 2 * PAUSE_STEP == sleeps.count * PAUSE_STEP
    assert "20% longer than at first" in pause.reason
    (slow,) = of(records, SlowdownRecord)
    assert (slow.round, slow.dropped) == (2, True)
    assert records.index(slow) < records.index(pause), "before the wait, which can be cut short"
    rounds = {block.round for block in of(records, BlockRecord)}
    assert rounds == {0, 1, 2, 3, 4}, "every sample is kept, and four rounds count"
    looks = [
        block for block in of(records, BlockRecord) if (block.entry, block.round) == (PEAK_ID, 2)
    ]
    assert len(looks) == 1 + sleeps.count, "also those of the looks at a device that cools"


def test_nobody_waits_where_nobody_watches(two_entries: Plan, scripted: Any) -> None:
    device = scripted(lambda _address, now: 1000 + 100 * now)
    assert not of(measured(two_entries, device, Sleeps(device)), PauseRecord)


def test_a_device_that_stays_slow_is_measured_in_the_end(two_entries: Plan, scripted: Any) -> None:
    device = scripted(lambda _address, now: 1000 if now < 2 * BLOCKS_A_ROUND else 1500)
    records = measured(watching(two_entries), device, Sleeps(device))
    pauses = of(records, PauseRecord)
    assert len(pauses) == MOST_PAUSES
    assert not any(pause.recovered for pause in pauses)
    assert {pause.waited_s for pause in pauses} == {60.0}
    slow = of(records, SlowdownRecord)
    assert [item.dropped for item in slow] == [True] * MOST_PAUSES + [False] * 2
    assert all("50% longer" in item.reason for item in slow), "nothing slow counts without a word"
    assert {block.round for block in of(records, BlockRecord)} == set(range(4 + MOST_PAUSES))


@pytest.mark.parametrize(("drop", "noticed"), [(0.05, False), (0.12, True)])
def test_a_clock_that_falls_is_noticed(
    two_entries: Plan, scripted: Any, drop: float, noticed: bool
) -> None:
    device = scripted()
    slow = 2 * BLOCKS_A_ROUND
    device.clocks = lambda now: {"0": int(2e6 * (1 - drop)) if now >= slow else int(2e6)}
    pauses = of(measured(watching(two_entries), device, Sleeps(device)), PauseRecord)
    assert bool(pauses) == noticed
    if noticed:
        assert "12% below its first clock" in pauses[0].reason


def test_the_thermal_status_is_noticed_and_recorded(two_entries: Plan, scripted: Any) -> None:
    device = scripted()
    device.thermal_status = lambda now: 3 if now == BLOCKS_A_ROUND else 1
    records = measured(watching(two_entries), device, Sleeps(device, 1))
    (pause,) = of(records, PauseRecord)
    assert (pause.dropped, pause.reason) == (0, "the thermal status is 3")
    seen = [item.conditions["thermal_status"] for item in of(records, ConditionsRecord)]
    assert seen[:3] == [1, 3, 1]


def test_a_matrix_product_that_dies_while_it_cools_is_out(two_entries: Plan, scripted: Any) -> None:
    device = scripted(lambda _address, now: 1200 if now >= 2 * BLOCKS_A_ROUND else 1000)
    device.faults[(PEAK, "block", 4)] = RunnerError("It died.", "Try again.")
    records = measured(watching(two_entries), device, Sleeps(device))
    (failure,) = of(records, FailureRecord)
    assert failure.entry == "peak"
    counted = {b.round for b in of(records, BlockRecord)} - {
        item.round for item in of(records, SlowdownRecord) if item.dropped
    }
    assert len(counted) == 4


def test_dropped_rounds_are_in_the_file_but_not_in_the_statistics(
    two_entries: Plan, scripted: Any, tmp_path: Path
) -> None:
    plan = watching(two_entries)
    hot = range(2 * BLOCKS_A_ROUND, 2 * BLOCKS_A_ROUND + 4)
    device = scripted(lambda _address, now: 1200 if now in hot else 1000)
    path = tmp_path / "results.jsonl"
    with ResultsWriter(path, resume=False) as writer:
        writer.write(run_record(plan, device, ["run"]))
        execute(plan, device, writer.write, lambda _text: None, sleep=Sleeps(device, 1))
    results = read_results(path)
    assert {block.round for block in results.dropped_blocks} == {2}
    assert {block.round for block in results.blocks} == {0, 1, 3, 4}
    assert all(block.wall_ns[0] == 1000 for block in results.blocks)
    # Going on with it measures nothing more, and gives no number twice.
    again: list[Record] = []
    execute(plan, device, again.append, lambda _text: None, results, sleep=Sleeps(device))
    assert not of(again, BlockRecord)


@pytest.mark.parametrize("cut", ["in the wait", "before the round was judged"])
def test_a_slow_round_counts_for_nothing_after_an_interruption_either(
    two_entries: Plan, scripted: Any, tmp_path: Path, cut: str
) -> None:
    plan = watching(two_entries)
    device = scripted(lambda _address, now: 1500 if now >= 2 * BLOCKS_A_ROUND else 1000)
    path = tmp_path / "results.jsonl"

    def interrupted(_seconds: float) -> None:
        raise KeyboardInterrupt

    with ResultsWriter(path, resume=False) as writer:

        def write(record: Record) -> None:
            if isinstance(record, SlowdownRecord) and cut == "before the round was judged":
                raise KeyboardInterrupt
            writer.write(record)

        writer.write(run_record(plan, device, ["run"]))
        with pytest.raises(KeyboardInterrupt):
            execute(plan, device, write, lambda _text: None, sleep=interrupted)
    earlier = read_results(path)
    device.speed = lambda _address, _now: 1000
    with ResultsWriter(path, resume=True) as writer:
        execute(plan, device, writer.write, lambda _text: None, earlier, sleep=Sleeps(device))
    whole = read_results(path)
    assert {block.round for block in whole.dropped_blocks} == {2}
    assert {block.round for block in whole.blocks} == {0, 1, 3, 4}


def test_a_case_that_is_slow_from_its_start_is_noticed(two_entries: Plan, scripted: Any) -> None:
    plan = watching(replace(two_entries, lengths=(8, 16)), blocks=2)
    first_case = 2 * BLOCKS_A_ROUND
    device = scripted(lambda _address, now: 1500 if now >= first_case else 1000)
    slow = of(measured(plan, device, Sleeps(device)), SlowdownRecord)
    assert {item.length for item in slow} == {16}
    assert len(slow) == MOST_PAUSES + 2


@pytest.mark.parametrize(("cores", "noticed"), [("little", False), ("big", True), ("all", False)])
def test_the_clocks_of_idle_cores_tell_nothing(
    two_entries: Plan, scripted: Any, cores: str, noticed: bool
) -> None:
    # The big core, 2, is slower from the third round on; the little ones are the same.
    device = scripted()
    device.clocks = lambda now: {
        "0": 1_800_000,
        "2": 1_200_000 if now >= 2 * BLOCKS_A_ROUND else 1_850_000,
    }
    records = measured(watching(two_entries, cores=cores), device, Sleeps(device))
    assert bool(of(records, SlowdownRecord)) == noticed


def test_a_lost_device_stops_the_run_and_condemns_no_artifact(
    two_entries: Plan, scripted: Any, tmp_path: Path
) -> None:
    device = scripted()

    def vanish(_address: str, now: int) -> int:
        if now == 4:
            device.gone = True
            raise RunnerError("The runner ended with code 255.", "Try again.")
        return 1000

    device.speed = vanish
    path = tmp_path / "results.jsonl"
    with ResultsWriter(path, resume=False) as writer:
        writer.write(run_record(two_entries, device, ["run"]))
        with pytest.raises(DeviceError):
            execute(two_entries, device, writer.write, lambda _text: None)
    assert device.open_runners == 0
    kept = read_results(path)
    assert len(kept.blocks) == 4
    assert not kept.failures
    device.gone, device.speed = False, lambda _address, _now: 1000
    with ResultsWriter(path, resume=True) as writer:
        assert not execute(two_entries, device, writer.write, lambda _text: None, kept)
    whole = read_results(path)
    assert {block.round for block in whole.blocks} == {0, 1, 2, 3, 4}
    complete = [n for n in range(5) if sum(b.round == n for b in whole.blocks) == BLOCKS_A_ROUND]
    assert complete == [0, 2, 3, 4], "the round that was cut is measured again"


def test_cold_and_warm_starts_take_turns(two_entries: Plan, scripted: Any) -> None:
    plan = replace(two_entries, settings=replace(two_entries.settings, starts=2))
    device = scripted()
    starts = of(measured(plan, device, Sleeps(device)), StartRecord)
    order = [(start.entry, start.repeat, start.cold) for start in starts]
    assert order == [
        *(("e1", 0, True), ("e1", 0, False), ("e2", 0, True), ("e2", 0, False)),
        *(("e2", 1, True), ("e2", 1, False), ("e1", 1, True), ("e1", 1, False)),
    ]
    loads = [command for command in device.asked if command["command"] == "load"]
    assert [command["cold"] for command in loads[:8]] == [True, False] * 4
    assert device.open_runners == 0


def test_the_process_is_bound_to_the_cores_asked_for(two_entries: Plan, scripted: Any) -> None:
    device = scripted()
    plan = replace(two_entries, settings=replace(two_entries.settings, cores="little"))
    measured(plan, device, Sleeps(device))
    loads = [command for command in device.asked if command["command"] == "load"]
    assert {tuple(command["cpus"]) for command in loads} == {(0, 1)}
    device.cpus_got = [0]
    records = measured(plan, device, Sleeps(device))
    (one, *_) = of(records, FailureRecord)
    assert "asked for 0-1 of the cores and got 0." in one.reason
    other = replace(two_entries, settings=replace(two_entries.settings, cores="middle"))
    with pytest.raises(InputError, match="Choose --cores from: all, little, big"):
        measured(other, device, Sleeps(device))


@pytest.mark.parametrize(
    ("noise", "most", "rounds"), [(0.0, 0, 6), (0.6, 0, 12), (0.6, 8, 8), (0.6, 6, 6)]
)
def test_rounds_are_added_while_the_interval_is_wide(
    two_entries: Plan, scripted: Any, noise: float, most: int, rounds: int
) -> None:
    settings = Settings(blocks=6, most_blocks=most, seconds_per_block=0.01)

    def speed(address: str, now: int) -> int:
        # Every other round the subject alone is slower.
        slow = address == SUBJECT and now // BLOCKS_A_ROUND % 2
        return round(1_000_000 * (1 + noise * slow))

    records = measured(replace(two_entries, settings=settings), scripted(speed), Sleeps(None))
    assert len({block.round for block in of(records, BlockRecord)}) == rounds


@pytest.mark.parametrize(
    ("distance", "precision", "out"),
    [(5e-5, "fp32", False), (5e-3, "fp32", True), (5e-3, "int8", False), (0.3, "int8", True)],
)
def test_a_wrong_answer_is_never_timed(
    two_entries: Plan, scripted: Any, distance: float, precision: str, out: bool
) -> None:
    entries = [
        replace(entry, artifact=entry.artifact and replace(entry.artifact, precision=precision))
        for entry in two_entries.entries
    ]
    plan = replace(two_entries, entries=tuple(entries))
    device, host = scripted(), scripted()
    device.answer = [value * (1 + distance) for value in host.answer]
    records: list[Record] = []
    execute(plan, device, records.append, lambda _text: None, host=host)
    assert [failure.stage for failure in of(records, FailureRecord)] == ["warm-up"] * 2 * out
    asked = {address for address, command in device.log if command in ("warm_up", "block")}
    assert asked == ({PEAK} if out else {SUBJECT, BASELINE, PEAK})
    assert host.open_runners == 0
