"""``compare``: what it pairs, what it refuses and says, and its exit codes."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from simulated_runs import PHONE, Noise, Simulation, emulated, entry, simulate, write

from runtime_bench.comparison.changes import Comparison
from runtime_bench.comparison.compare import compare_results
from runtime_bench.comparison.document import document, exit_code, render
from runtime_bench.comparison.verdicts import Verdict
from runtime_bench.devices.base import BenchWarning
from runtime_bench.records import ResumeRecord, SlowdownRecord
from runtime_bench.results import Results, read_results

OURS = entry("e1", sha256="1" * 64)
STOCK = entry("e2", family="bert", recipe="stock", precision="fp32", roles=["baseline"])
TIMES = {"e1": 20.0, "e2": 150.0, "peak": 6.0}
RUN = Simulation([OURS, STOCK], TIMES, Noise(0.003, 0.003))


def later(**changes: Any) -> Results:
    """A second run of the same, with another seed and ``changes``."""
    return simulate(replace(RUN, **{"seed": 1, **changes}))


#: The same artifact, built anew.
REBUILT = {**OURS, "artifact": {**OURS["artifact"], "sha256": "2" * 64}}


def compared(after: Results, before: Results | None = None, **options: Any) -> Comparison:
    return compare_results(before or simulate(RUN), after, **options)


def verdicts(comparison: Comparison) -> list[str]:
    return [change.verdict.value for change in comparison.changes]


def flat(comparison: Comparison) -> str:
    return " ".join(render(comparison).split())


def test_one_artifact_became_faster_and_the_other_did_not() -> None:
    found = compared(later(entries=[REBUILT, STOCK], milliseconds={**TIMES, "e1": 16.0}))
    assert verdicts(found) == ["FASTER", "SAME"]
    ours = found.changes[0]
    assert ours.times_as_fast == pytest.approx(1.25, rel=0.01)
    assert ours.before == pytest.approx(20, rel=0.01)
    assert ours.after == pytest.approx(16, rel=0.01)
    assert exit_code(found) == 0
    slower = compared(later(entries=[REBUILT, STOCK], milliseconds={**TIMES, "e1": 25.0}))
    assert verdicts(slower) == ["SLOWER", "SAME"]
    assert exit_code(slower) == 1
    assert "takes 1.25 times as long" in slower.changes[0].reason


def test_every_common_case_has_a_verdict_of_its_own() -> None:
    before = simulate(replace(RUN, lengths=(32, 128), threads=(1, 2)))
    found = compared(later(lengths=(128, 384), threads=(1, 2)), before)
    assert [(item.length, item.threads) for item in found.changes] == [
        *((128, 1), (128, 2), (32, 1), (32, 2)),
    ] * 2
    assert verdicts(found) == ["SAME", "SAME", "MISSING", "MISSING"] * 2
    assert "32 tokens, 2 threads: Only in the run before." in flat(found)
    assert (exit_code(found), exit_code(found, strict=True)) == (0, 1)


@pytest.mark.parametrize(
    ("device", "words"),
    [
        ({"model": "Pixel 4"}, "model: Pixel 8 before, Pixel 4 after"),
        ({"cores": 4}, "cores: 8 before, 4 after"),
        ({"features": ["asimddp"]}, "features: asimddp i8mm before, asimddp after"),
        ({"clusters": PHONE["clusters"][:1]}, "clusters: little big before, little after"),
        ({"architecture": "x86_64"}, "architecture: aarch64 before, x86_64 after"),
        ({"memory_bytes": 2**32}, "memory: 8.0 GiB before, 4.0 GiB after"),
        ({"emulated": True}, "on an emulated device"),
        ({"extra": {"soc": "GS201"}}, "soc: GS101 before, GS201 after"),
        ({"system": "Android 16"}, "--across system"),
        ({"kind": "host", "name": "host"}, "kind: adb before, host after"),
    ],
)
def test_another_device_is_refused_by_the_name_of_what_differs(
    device: Mapping[str, Any], words: str
) -> None:
    before = simulate(replace(RUN, device={**PHONE, "extra": {"soc": "GS101"}}))
    found = compared(later(device={**before.run.device, **device}), before)
    assert set(verdicts(found)) == {"INCOMPARABLE"}
    assert words in flat(found)
    assert exit_code(found) == 2


def test_one_phone_by_cable_and_by_network_is_one_device() -> None:
    device = {**PHONE, "name": "adb:192.168.0.7:5555", "memory_bytes": 8 * 2**30 - 10**8}
    assert verdicts(compared(later(device=device))) == ["SAME", "SAME"]
    host = {**PHONE, "kind": "host", "name": "host"}
    native = later(device={**host, "name": "host:native"})
    found = compared(native, simulate(replace(RUN, device=host)))
    assert "name: host before, host:native after" in found.obstacles[0]


def test_an_old_file_without_clusters_is_compared_by_the_rest() -> None:
    old = {name: value for name, value in PHONE.items() if name != "clusters"}
    assert verdicts(compared(later(), simulate(replace(RUN, device=old)))) == ["SAME", "SAME"]


def test_a_new_system_and_a_new_runtime_are_compared_only_when_asked_for() -> None:
    device = {**PHONE, "system": "Android 16", "extra": {"build": "B2"}}
    after = later(versions={"onnxruntime": "1.32.0"}, device=device)
    before = simulate(replace(RUN, device={**PHONE, "extra": {"build": "B1"}}))
    assert "Android 15 B1 before, Android 16 B2 after" in flat(compared(after, before))
    runtime = compared(after, before, across=["system"])
    assert set(verdicts(runtime)) == {"INCOMPARABLE"}
    assert "onnxruntime 1.31.1 -> 1.32.0" in runtime.changes[0].reason
    both = compared(after, before, across=["system", "runtime"])
    assert verdicts(both) == ["SAME", "SAME"]
    assert "Across another runtime: onnxruntime 1.31.1 -> 1.32.0." in both.notices


def test_other_cores_threads_and_clocks_are_refused() -> None:
    bound = simulate(replace(RUN, cpus=(4, 5), settings={"cores": "big"}))
    little = compared(later(cpus=(0, 1), settings={"cores": "little"}), bound)
    assert "cores asked for: big before, little after" in little.obstacles[0]
    moved = compared(later(cpus=(6, 7), settings={"cores": "big"}), bound)
    assert "4,5 before, 6,7 after" in moved.changes[0].reason
    threads = compared(later(threads=(2,)))
    assert "128 tokens with 1 thread before, 128 tokens with 2 threads after" in flat(threads)
    assert exit_code(threads) == 2
    khz = {"0": 900_000, "4": 2_800_000}
    clocked = simulate(replace(RUN, khz=khz, cpus=(4,)))
    slow = compared(later(khz={"0": 900_000, "4": 2_500_000}, cpus=(4,)), clocked)
    assert set(verdicts(slow)) == {"INCOMPARABLE"}
    assert "2.80 GHz before, 2.50 GHz after" in slow.changes[0].reason
    # Another core's clock, and one within the limit, are nothing.
    fine = later(khz={"0": 1_800_000, "4": 2_790_000}, cpus=(4,))
    assert verdicts(compared(fine, clocked)) == ["SAME", "SAME"]


def test_fixed_clocks_in_one_run_only_are_refused() -> None:
    after = later()
    warning = BenchWarning("fixed-performance", "The phone has no fixed mode.", "Cool it.")
    loose = replace(after, run=replace(after.run, warnings=(warning,)))
    assert "The phone has no fixed mode." in compared(loose).obstacles[0]
    assert "The phone has no fixed mode." in compared(after, loose).obstacles[0]
    assert compared(loose, loose).obstacles == ()
    # Clocks that were not fixed any more when the run went on are the same difference.
    resumed = replace(after, resumes=(ResumeRecord("", (warning,)),))
    assert "The phone has no fixed mode." in compared(resumed).obstacles[0]
    assert compared(resumed, loose).obstacles == ()


def test_a_device_that_became_slower_itself_is_refused() -> None:
    slow = {name: time * 1.08 for name, time in TIMES.items()}
    found = compared(later(milliseconds=slow))
    assert set(verdicts(found)) == {"INCOMPARABLE"}
    assert "fp32 matrix product" in found.changes[0].reason
    missing = compared(later(milliseconds={"e1": 20.0, "e2": 150.0}))
    assert "missing" in missing.changes[0].reason
    # Without the product the whole drift would count as the artifacts': 1.08 times as long.
    drifted = compared(later(entries=[REBUILT], milliseconds={**slow, "peak": 6.0}))
    assert verdicts(drifted)[0] == "SLOWER"


def test_an_unchanged_artifact_is_a_reference_for_the_others() -> None:
    # The stock file is the same in both runs, the other one was built anew.
    shifted = {**TIMES, "e1": 20.9, "e2": 150 * 1.045}
    found = compared(later(entries=[REBUILT, STOCK], milliseconds=shifted))
    assert verdicts(found) == ["NOISY", "SLOWER"]
    assert "the file is the same in both runs and so is the runtime" in found.changes[1].reason
    assert (found.changes[0].same_file, found.changes[1].same_file) == (False, True)


def test_what_the_question_is_about_is_no_reference() -> None:
    # A new system made one of two unchanged files slower: the other is not to blame.
    device = {**PHONE, "system": "Android 16"}
    found = compared(later(milliseconds={**TIMES, "e1": 22.0}, device=device), across=["system"])
    assert verdicts(found) == ["SLOWER", "SAME"]


def test_artifacts_are_paired_by_what_they_are() -> None:
    # Other ids and another order; a second bundle of the same kind in another folder.
    twin = entry("e1", folder="twin", sha256="3" * 64)
    swapped = [entry("e1", family="bert", recipe="stock", precision="fp32"), {**OURS, "id": "e2"}]
    times = {"e1": 150.0, "e2": 20.0, "peak": 6.0}
    assert verdicts(compared(later(entries=swapped, milliseconds=times))) == ["SAME", "SAME"]
    more = later(entries=[OURS, STOCK, {**twin, "id": "e3"}], milliseconds={**TIMES, "e3": 10.0})
    found = compared(more)
    assert [change.label for change in found.changes] == [OURS["label"], STOCK["label"]]
    assert verdicts(found) == ["SAME", "SAME"]
    assert found.notices == (f"Only in the run after: {twin['label']}.",)


def test_the_one_subject_of_each_run_is_a_pair() -> None:
    other = entry("e1", precision="fp32", sha256="2" * 64)
    found = compared(later(entries=[other, STOCK], milliseconds={**TIMES, "e1": 40.0}))
    assert found.changes[0].label == f"{OURS['label']} -> {other['label']}"
    assert found.changes[0].verdict is Verdict.SLOWER
    assert found.changes[1].verdict is Verdict.SAME
    two = [other, {**entry("e3", precision="fp16"), "roles": ["subject"]}, STOCK]
    unclear = compared(later(entries=two, milliseconds={**TIMES, "e3": 40.0}))
    assert [(change.label, change.verdict.value) for change in unclear.changes] == [
        (STOCK["label"], "SAME"),
        (OURS["label"], "MISSING"),
    ]


def test_runs_with_nothing_in_common_end_with_2() -> None:
    before = simulate(Simulation([STOCK], TIMES))
    found = compared(simulate(Simulation([OURS], TIMES)), before)
    assert verdicts(found) == ["MISSING"]
    assert "no artifact in common" in flat(found)
    assert exit_code(found) == 2


def test_rounds_that_were_measured_again_do_not_count(tmp_path: Path) -> None:
    slow = tuple(
        replace(block, wall_ns=tuple(3 * time for time in block.wall_ns))
        if block.round < 6
        else block
        for block in later(rounds=16).blocks
    )
    found = replace(later(), blocks=slow)
    dropped = tuple(SlowdownRecord("", 128, 1, number, "hot", True) for number in range(6))
    kept = read_results(write(found, tmp_path / "kept.jsonl"))
    assert verdicts(compared(kept)) == ["NOISY", "NOISY"]
    again = read_results(write(replace(found, slowdowns=dropped), tmp_path / "again.jsonl"))
    assert verdicts(compared(again)) == ["SAME", "SAME"]


def test_counts_are_compared_as_instructions_and_never_as_time() -> None:
    before = emulated(RUN, {"e1": [500_000_000] * 3, "e2": [6_000_000_000] * 3})
    after = emulated(RUN, {"e1": [520_000_000] * 3, "e2": [6_000_000_000] * 3})
    found = compared(after, before)
    assert verdicts(found) == ["MORE", "SAME"]
    assert exit_code(found) == 1
    assert "+20,000,000 instructions (+4.000%), emulated cortex-a76" in found.changes[0].reason
    assert verdicts(compared(before, after)) == ["FEWER", "SAME"]
    text = flat(found)
    assert text.count("EMULATED") == 1
    for word in (" ms ", "FASTER", "SLOWER", "times as fast", "95 %"):
        assert word not in text
    other = emulated(RUN, {"e1": [1] * 3, "e2": [1] * 3}, "max")
    assert "arm64:cortex-a76 before, arm64:max after" in compared(other, before).obstacles[0]
    mixed = compared(later(), before)
    assert "counted instructions are no time" in mixed.obstacles[0]


def test_another_emulator_is_another_runtime() -> None:
    before = emulated(RUN, {"e1": [500]})
    after = replace(before, run=replace(before.run, versions={"python": "3.11", "qemu": "8"}))
    assert "qemu none -> 8" in compared(after, before).changes[0].reason
    own = replace(before.run, versions={"python": "3.11", "squeezebert-mobile": "2"})
    assert verdicts(compared(replace(before, run=own), before)) == ["SAME", "INCOMPARABLE"]


def test_timings_of_an_emulated_device_are_no_latencies() -> None:
    timed = simulate(replace(RUN, device={**PHONE, "emulated": True}))
    found = compared(timed, timed)
    assert set(verdicts(found)) == {"INCOMPARABLE"}
    assert "Only timings of an emulated device were recorded" in flat(found)
    assert "not measured" not in flat(found)


def test_the_document_is_json_with_verdicts_and_the_exit_code() -> None:
    found = json.loads(json.dumps(document(compared(later()), strict=True), allow_nan=False))
    assert found["schema"] == "squeezebert-comparison/1"
    assert found["exit_code"] == 0
    assert found["changes"][0]["verdict"] == "SAME"
    assert found["changes"][0]["interval"]["low"] < 1 < found["changes"][0]["interval"]["high"]
