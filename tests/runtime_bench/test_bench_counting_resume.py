"""Counting that was interrupted goes on: nothing is counted twice, nothing is lost."""

from collections.abc import Callable
from pathlib import Path

import pytest
from scripted_counting import Scripted, counted, of, silent

from runtime_bench.counting import execute
from runtime_bench.header import run_record
from runtime_bench.plan import Plan, make_plan
from runtime_bench.records import (
    CheckRecord,
    EndRecord,
    FailureRecord,
    InstructionsRecord,
    ResumeRecord,
    WarmUpRecord,
)
from runtime_bench.results import Results, ResultsWriter, read_results

SUBJECT, BASELINE = "subject/onnx/model.onnx", "baseline/onnx/model.onnx"


def interrupted(plan: Plan, path: Path) -> Results:
    """A run that was cut in the middle of the second entry."""
    device = Scripted()
    device.faults[BASELINE, "count"] = KeyboardInterrupt()
    with ResultsWriter(path, resume=False) as writer:
        writer.write(run_record(plan, device, ["test"]))
        with pytest.raises(KeyboardInterrupt):
            execute(plan, device, writer.write, silent, host=Scripted(counting=False))
    assert device.open_runners == 0
    return read_results(path)


def test_an_interrupted_run_keeps_its_counts_and_goes_on(two_entries: Plan, tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    kept = interrupted(two_entries, path)
    assert [record.entry for record in kept.instructions] == ["e1"]
    assert kept.ends == ()
    device = Scripted()
    records = counted(two_entries, device, earlier=kept)
    assert {address for address, _ in device.log} == {BASELINE}
    assert isinstance(records[0], ResumeRecord)
    assert [record.entry for record in of(records, InstructionsRecord)] == ["e2"]
    assert of(records, EndRecord)[0].failed == ()


def test_resuming_a_finished_run_counts_nothing(make_bundle: Callable[..., Path]) -> None:
    artifacts = [("onnx/model.onnx", "fp32", "optimized"), ("onnx/other.onnx", "fp32", "stock")]
    plan = make_plan([str(make_bundle("subject", artifacts=artifacts))], lengths=[8])
    first = counted(plan, Scripted())
    earlier = Results(
        run_record(plan, Scripted(), []),
        warm_ups=tuple(of(first, WarmUpRecord)),
        checks=tuple(of(first, CheckRecord)),
        instructions=tuple(of(first, InstructionsRecord)),
    )
    device, host = Scripted(), Scripted(counting=False)
    again = counted(plan, device, host, earlier)
    assert device.log == host.log == []
    assert [record.kind for record in again] == ["resume", "end"]


def test_a_failed_entry_is_not_tried_again_on_resume(two_entries: Plan) -> None:
    head = run_record(two_entries, Scripted(), [])
    earlier = Results(head, failures=(FailureRecord("e1", 1, None, "load", "No."),))
    device = Scripted()
    records = counted(two_entries, device, earlier=earlier)
    assert SUBJECT not in {address for address, _ in device.log}
    assert of(records, EndRecord)[0].failed == ("e1",)
