"""The emulated Arm device, with the native runners on tiny models."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_quantized import quantized_model

from runtime_bench import counting
from runtime_bench.devices import arm64
from runtime_bench.devices.base import open_device
from runtime_bench.emulation import set_up
from runtime_bench.emulation.profiles import PROFILES
from runtime_bench.emulation.runner import emulated, read_phases
from runtime_bench.errors import InputError, RunnerError
from runtime_bench.plan import Plan, make_plan
from runtime_bench.records import CheckRecord, FailureRecord, InstructionsRecord, Record

needs_device = pytest.mark.skipif(bool(arm64.missing()), reason=arm64.missing() or "it is there")
MakeBundle = Callable[..., Path]


@pytest.fixture
def both_runtimes(make_bundle: MakeBundle, tiny_pte: bytes) -> Plan:
    artifacts = [
        ("onnx/model.onnx", "fp32", "optimized"),
        ("executorch/model.pte", "fp32", "optimized"),
    ]
    bundle = make_bundle("both", artifacts=artifacts, contents={"executorch/model.pte": tiny_pte})
    return make_plan([str(bundle)], lengths=[8], targets={"onnx", "executorch"})


@pytest.fixture
def quantized(make_bundle: MakeBundle) -> Plan:
    artifacts = [("onnx/model_int8.onnx", "int8", "optimized")]
    contents = {"onnx/model_int8.onnx": quantized_model()}
    bundle = make_bundle("quantized", artifacts=artifacts, contents=contents)
    return make_plan([str(bundle)], lengths=[8])


def counted(plan: Plan, device: arm64.EmulatedArm) -> list[Record]:
    records: list[Record] = []
    counting.execute(plan, device, records.append, lambda _: None)
    return records


def instructions(records: list[Record]) -> list[InstructionsRecord]:
    assert [record for record in records if isinstance(record, FailureRecord)] == []
    return [record for record in records if isinstance(record, InstructionsRecord)]


@needs_device
def test_counts_of_both_runtimes_repeat_in_another_process(both_runtimes: Plan) -> None:
    device = arm64.EmulatedArm(PROFILES["cortex-a76"])
    first, second = counted(both_runtimes, device), counted(both_runtimes, device)
    (check,) = [record for record in first if isinstance(record, CheckRecord)]
    assert check.largest_difference is not None
    assert check.largest_difference < 1e-5
    for before, now in zip(instructions(first), instructions(second), strict=True):
        assert before.inferences == now.inferences
        for found in (before, now):
            assert counting.spread(found.inferences) == 0
            assert found.inferences[0]["fmla"] > 0
            assert found.phases["load"]["total"] > found.phases["first_inference"]["total"] > 0


@needs_device
@pytest.mark.parametrize(
    ("profile", "used"), [("cortex-a53", "other"), ("cortex-a76", "dot"), ("i8mm", "matrix")]
)
def test_the_kernels_are_those_of_the_profile(quantized: Plan, profile: str, used: str) -> None:
    (found,) = instructions(counted(quantized, arm64.EmulatedArm(PROFILES[profile])))
    counts = found.inferences[0]
    assert found.profile == profile
    assert {name for name in ("dot", "matrix") if counts[name]} == {used} - {"other"}


@needs_device
def test_a_wrong_emulation_is_not_counted(quantized: Plan) -> None:
    # With SVE, QEMU 7.2 computes this product wrongly and reports success.
    wrong = replace(PROFILES["i8mm"], emulator_cpu="max")
    records = counted(quantized, arm64.EmulatedArm(wrong))
    (failure,) = [record for record in records if isinstance(record, FailureRecord)]
    assert "away from this machine's" in failure.reason
    assert [record for record in records if isinstance(record, InstructionsRecord)] == []


@needs_device
def test_an_unemulated_instruction_ends_the_runner(quantized: Plan) -> None:
    """A processor that is told more than it has: the runner dies, and the record says so."""
    lying = replace(PROFILES["cortex-a76"], emulator_cpu="cortex-a53")
    records = counted(quantized, arm64.EmulatedArm(lying))
    (failure,) = [record for record in records if isinstance(record, FailureRecord)]
    assert "SIGILL" in failure.reason


@needs_device
def test_the_device_says_what_it_is() -> None:
    device = open_device("arm64")
    assert device.name == "arm64:cortex-a76"
    found = device.fingerprint()
    assert found.emulated
    assert (found.kind, found.architecture, found.cores) == ("arm64", "aarch64", 1)
    assert found.model == "emulated Arm64, cortex-a76"
    assert found.features == ("asimd", "asimddp", "asimdhp")
    assert "i8mm" in open_device("arm64:i8mm").fingerprint().features
    versions = device.versions()
    libraries = {"guest_libraries", "runner_libraries"}
    assert {"emulator", "counter", "guest_cpus"} | libraries <= set(versions)
    assert [item.name for item in arm64.find()] == [f"arm64:{name}" for name in PROFILES]
    assert device.conditions().khz == {}
    assert device.gates((1,), 1) == ()
    assert device.cpus("all") == ()
    assert device.targets() >= {"onnx", "executorch"}
    with pytest.raises(InputError, match="Count with --threads 1"):
        device.gates((1, 2), 1)
    with pytest.raises(InputError, match="no cores called big"):
        device.cpus("big")


def test_a_dry_run_names_the_runners_that_the_files_need() -> None:
    device = arm64.EmulatedArm(PROFILES["cortex-a76"])
    files = [(Path("b/onnx/model.onnx"), 1), (Path("b/onnx/model.onnx.data"), 1)]
    (command,) = device.dry_run([*files, (Path("b/onnx/other.onnx"), 1)])
    assert command.endswith("/onnx_runner")
    assert "-plugin" in command
    assert "-cpu cortex-a76" in command
    both = device.dry_run([*files, (Path("b/executorch/model.pte"), 1)])
    assert both[0] == command
    assert both[1].endswith("/executorch_runner")
    assert device.dry_run([]) == ()


def test_an_unknown_profile_is_refused() -> None:
    with pytest.raises(InputError, match="There is no device arm64:m4"):
        open_device("arm64:m4")


def test_a_device_that_is_not_set_up_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(set_up.shutil, "which", lambda _: None)
    assert arm64.find() == []
    assert "qemu-aarch64" in arm64.missing()
    assert "make native" in arm64.missing()
    with pytest.raises(InputError, match=r"not installed \(qemu-aarch64\).*make native"):
        open_device("arm64")


def test_runners_that_are_not_built_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(set_up, "missing", lambda: "")
    monkeypatch.setattr(arm64.places, "folder", lambda: tmp_path)
    assert arm64.find() == []
    assert "make native" in arm64.missing()
    with pytest.raises(InputError, match="make native"):
        arm64.EmulatedArm(PROFILES["cortex-a76"]).check([])


def test_the_guest_sees_nothing_of_the_user() -> None:
    command = emulated(PROFILES["cortex-a53"], ["runner"], "COUNTS")
    assert command[0].endswith("env")
    assert command[1:3] == ["-i", "ORT_DISABLE_TELEMETRY=1"]
    assert command[-1] == "runner"
    assert command[command.index("-cpu") + 1] == "cortex-a53"


def marks(*numbers: int) -> str:
    line = '{{"mark": {}, "total": {}, "dot": 1, "matrix": 0, "fmla": 2}}\n'
    return "".join(line.format(number, 10 * place) for place, number in enumerate(numbers))


def test_phases_are_the_differences_between_marks() -> None:
    text = marks(2, 3, 4, 5, 6, 7, 6, 7)
    names = [phase.name for phase in read_phases(text)]
    assert names == ["load", "first_inference", "inference", "inference"]
    counts = {"total": 10, "dot": 0, "matrix": 0, "fmla": 0, "other": 10}
    assert all(phase.counts == counts for phase in read_phases(text))
    assert read_phases("") == ()


@pytest.mark.parametrize("numbers", [(2,), (2, 5), (3, 2), (2, 4, 3, 5), (2, 3, 6), (8, 9)])
def test_marks_that_do_not_pair_up_are_refused(numbers: tuple[int, ...]) -> None:
    with pytest.raises(RunnerError, match="do not pair up"):
        read_phases(marks(*numbers))
