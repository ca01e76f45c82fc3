"""The order of things, on a scripted device: interleaving, failures, resume."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime_bench.errors import InputError, RunnerError
from runtime_bench.header import check_resumable, run_record
from runtime_bench.plan import Plan, Settings, make_plan
from runtime_bench.results import (
    BlockRecord,
    EndRecord,
    FailureRecord,
    Record,
    Results,
    ResultsWriter,
    read_results,
)
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
    ids = [[entry.id for entry in order(two_entries.entries, index)] for index in range(4)]
    assert ids == [["e1", "e2", "peak"], ["peak", "e2", "e1"]] * 2


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
