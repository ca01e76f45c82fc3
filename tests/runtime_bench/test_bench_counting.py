"""Counting instructions, on scripted devices: order, comparison, failures, resume."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from scripted_counting import CountedScripted, Scripted, counted, counts, of, outputs

from runtime_bench.counting import INFERENCES, PATIENCE, WARM_UPS, execute, spread
from runtime_bench.errors import InputError, RunnerError
from runtime_bench.plan import Plan, Settings, make_plan
from runtime_bench.records import (
    CheckRecord,
    EndRecord,
    FailureRecord,
    InstructionsRecord,
    LoadRecord,
    WarmUpRecord,
)
from runtime_bench.right_answers import (
    EXACT_TOLERANCE,
    QUANTIZED_TOLERANCE,
    distance,
    tolerance,
)

SUBJECT, BASELINE = "subject/onnx/model.onnx", "baseline/onnx/model.onnx"


def test_every_artifact_is_compared_then_counted_in_a_process_of_its_own(
    two_entries: Plan,
) -> None:
    device, host = Scripted(), Scripted(counting=False)
    records = counted(two_entries, device, host)
    assert device.log == [
        (address, command)
        for address in (SUBJECT, BASELINE)
        for command in ("load", "prepare", "count")
    ]
    assert host.log == [
        (address, command) for address in (SUBJECT, BASELINE) for command in ("load", "prepare")
    ]
    found = of(records, InstructionsRecord)
    assert [(item.entry, item.length, item.profile) for item in found] == [
        ("e1", 8, "cortex-a76"),
        ("e2", 8, "cortex-a76"),
    ]
    assert found[0].inferences == (counts(80),) * INFERENCES
    assert found[0].phases == {"load": counts(1000), "first_inference": counts(1000)}
    assert records[-1] == EndRecord(records[-1].ended, ())  # type: ignore[union-attr]


def test_no_time_of_the_emulator_is_recorded(two_entries: Plan) -> None:
    records = counted(two_entries, Scripted())
    for load in of(records, LoadRecord):
        assert (load.load_ns, load.rss_before_bytes, load.peak_rss_bytes) == (None,) * 3
        assert load.versions == {"onnxruntime": "1"}
    for warm_up in of(records, WarmUpRecord):
        assert (warm_up.first_inference_ns, warm_up.wall_ns, warm_up.steady) == (None, (), None)
    assert len(of(records, LoadRecord)) == len(of(records, WarmUpRecord)) == 2


@pytest.mark.parametrize("target", sorted(WARM_UPS))
def test_the_first_inferences_do_not_count(make_bundle: Callable[..., Path], target: str) -> None:
    path = {"onnx": "onnx/model.onnx", "executorch": "executorch/model.pte"}[target]
    bundle = make_bundle("subject", artifacts=[(path, "fp32", "optimized")])
    plan = make_plan([str(bundle)], lengths=[8], targets={"onnx", "executorch"})
    device = Scripted(totals=[100] * WARM_UPS[target] + [80, 81, 82, 99])
    (found,) = of(counted(plan, device), InstructionsRecord)
    assert [item["total"] for item in found.inferences] == [80, 81, 82]


def test_an_emulated_runner_gets_more_time_than_a_real_one(two_entries: Plan) -> None:
    device, host = Scripted(), Scripted(counting=False)
    counted(two_entries, device, host)
    step = two_entries.settings.step_limit
    assert host.limits == {"load": step, "prepare": step}
    inferences = WARM_UPS["onnx"] + INFERENCES
    patient = step * PATIENCE
    assert device.limits == {"load": patient, "prepare": patient, "count": patient * inferences}


@pytest.mark.parametrize(
    ("precision", "error", "passes"),
    [
        ("fp32", 0.5 * EXACT_TOLERANCE, True),
        ("fp32", 2 * EXACT_TOLERANCE, False),
        ("fp16", 2 * EXACT_TOLERANCE, False),
        ("int8", 2 * EXACT_TOLERANCE, True),
        ("int8", 0.5 * QUANTIZED_TOLERANCE, True),
        ("int8", 2 * QUANTIZED_TOLERANCE, False),
        ("int4", 2 * QUANTIZED_TOLERANCE, False),
    ],
)
def test_wrong_outputs_are_not_counted(
    make_bundle: Callable[..., Path], precision: str, error: float, passes: bool
) -> None:
    artifacts = [("onnx/model.onnx", precision, "optimized")]
    plan = make_plan([str(make_bundle("subject", artifacts=artifacts))], lengths=[8])
    device = Scripted()
    wrong = outputs(1.0 * (1 + error), 2.0 * (1 + error))
    device.faults[SUBJECT, "prepare"] = {"outputs": wrong}
    records = counted(plan, device)
    failures = of(records, FailureRecord)
    assert (failures == []) == passes == ((SUBJECT, "count") in device.log)
    if not passes:
        assert of(records, InstructionsRecord) == of(records, WarmUpRecord) == []
        assert (failures[0].entry, failures[0].stage) == ("e1", "warm-up")
        assert "away from this machine's" in failures[0].reason
        assert "nothing was measured" in failures[0].reason


def test_outputs_that_are_not_finite_are_not_counted(two_entries: Plan) -> None:
    device = Scripted()
    device.faults[SUBJECT, "prepare"] = {"outputs": outputs(1.0, 2.0, finite=False)}
    (failure,) = of(counted(two_entries, device), FailureRecord)
    assert "logits is not finite" in failure.reason


@pytest.mark.parametrize(
    ("command", "stage", "length"),
    [("load", "load", None), ("prepare", "warm-up", 8), ("count", "count", 8)],
)
def test_an_entry_that_fails_leaves_and_the_others_are_counted(
    two_entries: Plan, runner_error: RunnerError, command: str, stage: str, length: int | None
) -> None:
    device = Scripted()
    device.faults[SUBJECT, command] = runner_error
    records = counted(replace(two_entries, lengths=(8, 16)), device)
    (failure,) = of(records, FailureRecord)
    assert (failure.entry, failure.stage, failure.length) == ("e1", stage, length)
    assert [(r.entry, r.length) for r in of(records, InstructionsRecord)] == [("e2", 8), ("e2", 16)]
    assert of(records, EndRecord)[0].failed == ("e1",)


def test_a_host_that_fails_is_named(two_entries: Plan, runner_error: RunnerError) -> None:
    host = Scripted(counting=False)
    host.faults[BASELINE, "prepare"] = runner_error
    (failure,) = of(counted(two_entries, Scripted(), host), FailureRecord)
    assert (failure.entry, failure.stage) == ("e2", "host")


def test_a_runner_without_marks_is_no_count(two_entries: Plan) -> None:
    device = Scripted()
    device.start = lambda *_: _unmarked(device)  # type: ignore[method-assign, assignment]
    records = counted(two_entries, device)
    assert [item.stage for item in of(records, FailureRecord)] == ["count", "count"]
    assert "marked 0 phases" in of(records, FailureRecord)[0].reason


def _unmarked(device: Scripted) -> CountedScripted:
    device.open_runners += 1
    runner = CountedScripted(device)
    runner.phases = lambda: ()  # type: ignore[method-assign]
    return runner


def test_artifacts_of_a_bundle_are_compared(make_bundle: Callable[..., Path]) -> None:
    artifacts = [("onnx/model.onnx", "fp32", "optimized"), ("onnx/other.onnx", "fp32", "stock")]
    plan = make_plan([str(make_bundle("subject", artifacts=artifacts))], lengths=[8])
    (check,) = of(counted(plan, Scripted()), CheckRecord)
    assert (check.entry, check.reference, check.largest_difference) == ("e2", "e1", 0.0)


def test_a_device_that_does_not_count_is_refused(two_entries: Plan) -> None:
    with pytest.raises(InputError, match=r"does not count instructions.*--device arm64"):
        counted(two_entries, Scripted(counting=False))


def test_more_threads_than_one_are_refused_before_anything_starts(two_entries: Plan) -> None:
    device = Scripted()
    with pytest.raises(InputError, match="--threads 1"):
        counted(replace(two_entries, threads=(1, 2)), device)
    assert device.log == []


def test_cores_that_are_not_there_are_refused_before_anything_starts(
    make_bundle: Callable[..., Path],
) -> None:
    settings = Settings(cores="big")
    plan = make_plan([str(make_bundle("subject"))], lengths=[8], settings=settings)
    device = Scripted()
    with pytest.raises(InputError, match=r"no cores called big.*--cores from: all"):
        counted(plan, device)
    assert device.log == []


def test_counts_that_differ_are_said(two_entries: Plan) -> None:
    said: list[str] = []
    warm_ups = [100] * WARM_UPS["onnx"]
    device = Scripted(totals=[*warm_ups, 1000, 1000, 1001])
    host = Scripted(counting=False)
    execute(two_entries, device, lambda _: None, said.append, host=host)
    assert sum("took 1,000 to 1,001" in text for text in said) == 2
    assert spread([counts(1000), counts(1001)]) == pytest.approx(0.001)
    assert spread([counts(1000), counts(1000)]) == 0


def test_distance_is_relative_and_of_all_outputs() -> None:
    assert distance(outputs(3.0, 4.0), outputs(3.0, 4.0)) == 0
    assert distance(outputs(3.0, 4.5), outputs(3.0, 4.0)) == pytest.approx(0.1)
    assert distance(outputs(300.0, 450.0), outputs(300.0, 400.0)) == pytest.approx(0.1)
    assert distance(outputs(3.0), outputs(3.0, 4.0)) == float("inf")
    assert distance({}, outputs(3.0)) == float("inf")
    assert tolerance("fp32") < tolerance("int8")


def test_settings_are_those_of_the_plan(make_bundle: Callable[..., Path]) -> None:
    settings = Settings(step_limit=7.0)
    plan = make_plan([str(make_bundle("subject"))], lengths=[8], settings=settings)
    device = Scripted()
    counted(plan, device)
    assert device.limits["load"] == 7.0 * PATIENCE
