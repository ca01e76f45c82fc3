"""The order of things, on a scripted device: interleaving, failures, resume."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime_bench.devices.base import Snapshot
from runtime_bench.errors import InputError, RunnerError
from runtime_bench.header import check_resumable, run_record
from runtime_bench.plan import Plan, Settings, make_plan
from runtime_bench.records import BlockRecord, EndRecord, FailureRecord, Record
from runtime_bench.results import Results, ResultsWriter, read_results
from runtime_bench.schedule import execute, order
from runtime_bench.statistics import ratio

SUBJECT, BASELINE = "subject/onnx/model.onnx", "baseline/onnx/model.onnx"
PEAK = "512x768x768"


def silent(_text: str) -> None:
    """Progress that nobody sees."""


def measured(plan: Plan, device: Any, earlier: Results | None = None) -> list[Record]:
    records: list[Record] = []
    execute(plan, device, records.append, silent, earlier)
    return records


def blocks_of(records: list[Record], entry: str) -> dict[int, np.ndarray]:
    return {
        record.round: np.array(record.wall_ns, float)
        for record in records
        if isinstance(record, BlockRecord) and record.entry == entry
    }


def test_order_is_forward_then_reversed(two_entries: Plan) -> None:
    ids = [[entry.id for entry in order(two_entries.entries, way)] for way in (True, False)]
    assert ids == [["e1", "e2", "peak"], ["peak", "e2", "e1"]]


def test_blocks_are_interleaved(two_entries: Plan, scripted: Any) -> None:
    device = scripted()
    measured(two_entries, device)
    asked = [address for address, command in device.log if command == "block"]
    forward = [SUBJECT, BASELINE, PEAK]
    assert asked == (forward + forward[::-1]) * 2
    assert device.open_runners == 0


@pytest.mark.parametrize("shape", ["linear", "linear down"])
def test_interleaving_cancels_linear_drift(two_entries: Plan, scripted: Any, shape: str) -> None:
    # The clock changes by 20 % in the course of the run; the true ratio is 2.
    blocks = 4 * 3

    def speed(address: str, now: int) -> int:
        progress = now / blocks if shape == "linear" else 1 - now / blocks
        return round((1 + 0.2 * progress) * (2_000_000 if address == BASELINE else 1_000_000))

    records = measured(two_entries, scripted(speed))
    found = ratio(blocks_of(records, "e2"), blocks_of(records, "e1"))
    assert found.value == pytest.approx(2, rel=0.005)
    # The same samples in the order A A A A B B B B are 10 % off.
    halves = [
        np.median([speed(address, now) for now in range(start, start + 6)])
        for address, start in ((BASELINE, 6), (SUBJECT, 0))
    ]
    assert abs(halves[0] / halves[1] / 2 - 1) > 0.05


def test_sessions_are_loaded_once_for_each_thread_count(
    make_bundle: Callable[..., Path], scripted: Any
) -> None:
    plan = make_plan(
        [str(make_bundle("subject"))],
        lengths=[8, 16],
        threads=[2, 1],
        settings=Settings(blocks=2),
    )
    device = scripted()
    records = measured(plan, device)
    assert device.log.count((SUBJECT, "load")) == 2
    assert device.log.count((SUBJECT, "prepare")) == 4
    cases = [(r.threads, r.length) for r in records if isinstance(r, BlockRecord)]
    assert list(dict.fromkeys(cases)) == [(1, 8), (1, 16), (2, 8), (2, 16)]


@pytest.mark.parametrize(
    ("command", "count", "stage"),
    [("load", 1, "load"), ("prepare", 1, "warm-up"), ("block", 3, "block")],
)
def test_a_runner_that_fails_leaves_and_the_others_go_on(
    two_entries: Plan,
    scripted: Any,
    runner_error: RunnerError,
    command: str,
    count: int,
    stage: str,
) -> None:
    device = scripted()
    device.faults[BASELINE, command, count] = runner_error
    records = measured(two_entries, device)
    failures = [record for record in records if isinstance(record, FailureRecord)]
    assert [(item.entry, item.stage) for item in failures] == [("e2", stage)]
    assert "SIGKILL" in failures[0].reason
    assert len(blocks_of(records, "e1")) == 4
    assert len(blocks_of(records, "e2")) == (count - 1 if command == "block" else 0)
    assert isinstance(records[-1], EndRecord)
    assert records[-1].failed == ("e2",)
    assert device.open_runners == 0


def interrupted(plan: Plan, device: Any, path: Path) -> None:
    with ResultsWriter(path, resume=False) as writer:
        writer.write(run_record(plan, device, ["test"]))
        with pytest.raises(KeyboardInterrupt):
            execute(plan, device, writer.write, silent)
    assert device.open_runners == 0


def test_an_interrupted_run_keeps_its_blocks_and_goes_on(
    two_entries: Plan, scripted: Any, tmp_path: Path
) -> None:
    path = tmp_path / "results.jsonl"
    first = scripted()
    first.faults[BASELINE, "block", 2] = KeyboardInterrupt()
    interrupted(two_entries, first, path)
    # Round 0 is complete; of round 1, in reverse order, only the matrix product was measured.
    kept = read_results(path)
    assert [(block.entry, block.round) for block in kept.blocks] == [
        ("e1", 0),
        ("e2", 0),
        ("peak", 0),
        ("peak", 1),
    ]
    assert kept.ends == ()
    with ResultsWriter(path, resume=True) as writer:
        execute(two_entries, scripted(), writer.write, silent, kept)
    whole = read_results(path)
    assert whole.blocks[: len(kept.blocks)] == kept.blocks
    rounds = {
        entry: {block.round for block in whole.blocks if block.entry == entry}
        for entry in ("e1", "e2")
    }
    assert rounds["e1"] == rounds["e2"] == {0, 2, 3, 4}
    assert len(whole.resumes) == 1
    assert len(whole.ends) == 1


def directions(plan: Plan, found: Results) -> list[str]:
    """For each complete round: whether the entries were measured in the plan's order or not."""
    rounds: dict[int, list[str]] = {}
    for block in found.blocks:
        rounds.setdefault(block.round, []).append(block.entry)
    plain = [entry.id for entry in plan.entries]
    names = {tuple(plain): "forward", tuple(plain[::-1]): "reversed"}
    return [names[tuple(order)] for order in rounds.values() if len(order) == len(plain)]


# A round is cut at its second block: round 0 (forward), 1 (reversed), 2, 3.
@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("again", [False, True])
def test_a_resumed_run_has_as_many_forward_rounds_as_reversed_ones(
    two_entries: Plan, scripted: Any, tmp_path: Path, count: int, again: bool
) -> None:
    path = tmp_path / "results.jsonl"
    first = scripted()
    first.faults[BASELINE, "block", count] = KeyboardInterrupt()
    interrupted(two_entries, first, path)
    if again:
        second = scripted()
        second.faults[BASELINE, "block", 1] = KeyboardInterrupt()
        with ResultsWriter(path, resume=True) as writer, pytest.raises(KeyboardInterrupt):
            execute(two_entries, second, writer.write, silent, read_results(path))
    with ResultsWriter(path, resume=True) as writer:
        execute(two_entries, scripted(), writer.write, silent, read_results(path))
    assert directions(two_entries, read_results(path)) == ["forward", "reversed"] * 2


def test_a_file_with_an_unbalanced_resume_is_balanced_again(
    two_entries: Plan, scripted: Any, tmp_path: Path
) -> None:
    path = tmp_path / "results.jsonl"
    with ResultsWriter(path, resume=False) as writer:
        writer.write(run_record(two_entries, scripted(), ["test"]))
        execute(two_entries, scripted(), writer.write, silent)
    whole = read_results(path)
    # Rounds 0 and 2 both went forward; the count of complete rounds alone would say forward again.
    kept = tuple(block for block in whole.blocks if block.round in (0, 2))
    records = measured(two_entries, scripted(), Results(whole.run, blocks=kept))
    rest = tuple(record for record in records if isinstance(record, BlockRecord))
    found = directions(two_entries, Results(whole.run, blocks=kept + rest))
    assert found == ["forward", "forward", "reversed", "reversed"]


def test_the_own_load_of_several_threads_is_not_taken_for_that_of_others(
    two_entries: Plan, scripted: Any
) -> None:
    # Four threads computed all the time: a lead-in of 0.15 s, then a block of 0.5 s.
    lead_in, block = 0.15, 0.5

    class FourThreads(scripted):  # type: ignore[misc]
        def snapshot(self) -> Snapshot:
            elapsed = self.now * (lead_in + block)
            return Snapshot(elapsed, 4 * elapsed, 0.0)

        def start(self, target: str, limit: float) -> Any:
            runner = super().start(target, limit)
            plain = runner._answers

            def answers(name: str) -> Any:
                answer = plain(name)
                if name != "block":
                    return answer
                return {
                    **answer,
                    "lead_in_ns": [round(lead_in * 1e9)],
                    "lead_in_cpu_ns": [round(4 * lead_in * 1e9)],
                    "wall_ns": [round(block * 1e9)],
                    "cpu_ns": [round(4 * block * 1e9)],
                }

            runner._answers = answers
            return runner

    records = measured(replace(two_entries, threads=(4,)), FourThreads())
    loads = [record.other_load for record in records if isinstance(record, BlockRecord)]
    assert len(loads) == 12
    # With the wall time of the lead-in, 0.69 cores would seem to be somebody else's.
    assert max(loads) < 0.01


def test_resuming_a_finished_run_measures_nothing(
    two_entries: Plan, scripted: Any, tmp_path: Path
) -> None:
    path = tmp_path / "results.jsonl"
    with ResultsWriter(path, resume=False) as writer:
        writer.write(run_record(two_entries, scripted(), ["test"]))
        execute(two_entries, scripted(), writer.write, silent)
    device = scripted()
    assert execute(two_entries, device, lambda _: None, silent, read_results(path)) == ()
    assert device.log == []


def test_a_failed_entry_is_not_tried_again_on_resume(
    two_entries: Plan, scripted: Any, runner_error: RunnerError, tmp_path: Path
) -> None:
    path = tmp_path / "results.jsonl"
    first = scripted()
    first.faults[BASELINE, "block", 1] = runner_error
    first.faults[SUBJECT, "block", 2] = KeyboardInterrupt()
    interrupted(two_entries, first, path)
    device = scripted()
    failed = execute(two_entries, device, lambda _: None, silent, read_results(path))
    assert failed == ("e2",)
    assert BASELINE not in {address for address, _ in device.log}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lengths": [16]}, "other artifacts|other lengths"),
        ({"settings": Settings(blocks=6, seconds_per_block=0.01)}, "other settings"),
        ({"threads": [2]}, "other thread counts"),
    ],
)
def test_only_the_same_run_is_resumed(
    two_entries: Plan,
    scripted: Any,
    tmp_path: Path,
    change: dict[str, Any],
    message: str,
) -> None:
    options: dict[str, Any] = {
        "lengths": [8],
        "settings": Settings(blocks=4, seconds_per_block=0.01),
        **change,
    }
    other = make_plan(
        [str(tmp_path / "subject")], baselines=[str(tmp_path / "baseline")], **options
    )
    head = run_record(two_entries, scripted(), [])
    check_resumable(head, run_record(two_entries, scripted(), ["another command"]))
    with pytest.raises(InputError, match=message):
        check_resumable(head, run_record(other, scripted(), []))
