"""A phone as a device, through the real adb client: what is asked, changed and put back."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from adb_daemon.client import ADB, AdbServer
from adb_daemon.faults import COMMAND, SAY, Fault
from adb_daemon.make import Make
from adb_daemon.phone import Phone
from adb_daemon.runners import write_runners

from runtime_bench import cli
from runtime_bench.adb import handset, readiness
from runtime_bench.devices import adb as kind
from runtime_bench.devices.base import Conditions, Device
from runtime_bench.errors import DeviceError, InputError, RunnerError
from runtime_bench.native import places

pytestmark = pytest.mark.skipif(
    ADB is None, reason="adb is not installed (Debian: apt-get install adb)"
)
SETTING = "settings/global.stay_on_while_plugged_in"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdbServer]:
    server = AdbServer(tmp_path_factory.mktemp("adb"))
    yield server
    server.kill()


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, server: AdbServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' own adb server, and scripts in the runners' place."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    for name in ("ADB_SERVER_SOCKET", "ANDROID_SERIAL", "ANDROID_ADB_SERVER_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    write_runners(tmp_path / "native/aarch64")
    monkeypatch.setattr(places, "folder", lambda: tmp_path / "native")
    monkeypatch.setattr(handset, "_LOOKS", 1)
    monkeypatch.setattr(handset, "_LOAD_SECONDS", 0.01)
    monkeypatch.setattr(readiness, "_SETTLING", 0)


@pytest.fixture
def phone(tmp_path: Path, server: AdbServer) -> Iterator[Phone]:
    yield from plugged_in(tmp_path, server, None)


def plugged_in(folder: Path, server: AdbServer, make: Make | None) -> Iterator[Phone]:
    phone = Phone(folder / "phone", make)
    server.connect(phone.daemon.serial)
    yield phone
    server.run(["disconnect", phone.daemon.serial], check=False)
    phone.close()


def opened(phone: Phone) -> Device:
    return kind.open_device(phone.daemon.serial)


def test_the_only_phone_needs_no_name(phone: Phone) -> None:
    assert kind.open_device("").name == f"adb:{phone.daemon.serial}"


def test_a_phone_at_a_named_server(phone: Phone, server: AdbServer) -> None:
    address = f"{phone.daemon.serial}@127.0.0.1:{server.port}"
    device = kind.open_device(address)
    assert device.name == f"adb:{address}"
    assert device.conditions().battery_percent == 85.0


def test_what_a_phone_is(phone: Phone) -> None:
    found = opened(phone).fingerprint()
    assert (found.model, found.architecture, found.cores) == ("Google Pixel 6", "aarch64", 8)
    assert (found.system, found.extra["soc"]) == ("Android 14 (API 34)", "GS101")
    assert found.features == ("asimd", "asimddp", "asimdhp")
    assert found.emulated is False
    assert [(item.name, item.cpus) for item in found.clusters] == [
        ("little", (0, 1, 2, 3)),
        ("middle", (4, 5)),
        ("big", (6, 7)),
    ]
    # A run that goes on has to find the same.
    assert opened(phone).fingerprint() == found


def test_cores_by_cluster(phone: Phone) -> None:
    device = opened(phone)
    assert device.cpus("big") == (6, 7)
    assert device.cpus("all") == ()
    with pytest.raises(InputError, match="no cores called huge"):
        device.cpus("huge")


@pytest.mark.parametrize("mark", ["ro.kernel.qemu", "ro.boot.qemu"])
def test_an_emulator_is_called_that(tmp_path: Path, server: AdbServer, mark: str) -> None:
    for phone in plugged_in(tmp_path, server, Make(properties={mark: "1"})):
        device = opened(phone)
        assert device.fingerprint().emulated is True
        assert "emulator" in [warning.code for warning in device.gates((1,), 0)]


def test_a_phone_is_left_as_it_was(phone: Phone, server: AdbServer) -> None:
    serial = ["-s", phone.daemon.serial, "shell"]
    server.run([*serial, "settings put global stay_on_while_plugged_in 3"])
    phone.screen(on=False)
    device = opened(phone)
    device.begin()
    assert phone.setting("fixed-performance") == "true"
    assert phone.setting(SETTING) == "15"
    assert device.conditions().screen_on is True
    address = device.stage_peak((4, 4, 4))
    runner = device.start("sgemm", 60)
    runner.request({"command": "load", "model": address, "threads": 1, "cpus": []}, 60)
    assert len(phone.running()) == 1
    device.end()
    assert phone.left_behind() == []
    assert phone.setting("fixed-performance") == "false"
    assert phone.setting(SETTING) == "3"
    runner.close()
    device.end()


def test_the_next_run_clears_up_after_one_that_lost_its_phone(
    phone: Phone, server: AdbServer
) -> None:
    """The first changed the setting from 3 to another, could not put it back, and left a runner."""
    serial = ["-s", phone.daemon.serial, "shell"]
    server.run([*serial, "settings put global stay_on_while_plugged_in 3"])
    first = opened(phone)
    first.begin()
    server.run([*serial, "settings put global stay_on_while_plugged_in 15"])
    left = phone.temporary / phone.left_behind()[0]
    (left / "measured_by").write_text("elsewhere 42 1000 /nowhere\n", encoding="ascii")
    (left / "onnx_runner").write_text("#!/bin/sh\nsleep 600\n", encoding="ascii")
    folder = f"/data/local/tmp/{left.name}"
    silent = f"> {folder}/log 2>&1 < /dev/null &"
    server.run([*serial, f"chmod 755 {folder}/onnx_runner; {folder}/onnx_runner {silent}"])
    assert phone.running()
    second = opened(phone)
    second.begin()
    assert left.name not in phone.left_behind()
    assert not [line for line in phone.running() if left.name in line]
    second.end()
    assert phone.setting(SETTING) == "3"
    assert phone.left_behind() == []


def test_energy_is_measured_without_a_cable_only(phone: Phone) -> None:
    device = opened(phone)
    assert "energy-unknown" in [warning.code for warning in device.begin()]
    assert device.power_meter() == {}
    device.end()
    answer = "  AC powered: false\n  USB powered: false\n  status: 3\n  level: 85\n  scale: 100\n"
    phone.faults.add(Fault(COMMAND, SAY, "dumpsys battery", None, text=answer))
    assert "energy-unknown" not in [warning.code for warning in device.begin()]
    assert device.power_meter() == {
        "current_ua": "/sys/class/power_supply/battery/current_now",
        "voltage_uv": "/sys/class/power_supply/battery/voltage_now",
    }
    device.end()
    assert device.power_meter() == {}
    phone.faults.add(
        Fault(COMMAND, SAY, "current_now", None, text="cat: Permission denied", code=1)
    )
    device.begin()
    assert device.power_meter() == {}
    device.end()


def test_a_phone_without_any_service_tells_nothing(tmp_path: Path, server: AdbServer) -> None:
    for phone in plugged_in(tmp_path, server, Make(services=())):
        phone.refuse_clocks()
        assert opened(phone).conditions() == Conditions()


def test_alive_or_not(phone: Phone) -> None:
    device = opened(phone)
    device.check_alive()
    phone.unplug()
    with pytest.raises(DeviceError, match=r"is gone\. .*--resume"):
        device.check_alive()
    device.end()


@pytest.mark.parametrize("abis", [("armeabi-v7a",), ("x86_64", "arm64-v8a"), ("arm64-v8a",)])
def test_what_the_processor_runs_itself_counts(
    tmp_path: Path, server: AdbServer, abis: tuple[str, ...]
) -> None:
    for phone in plugged_in(tmp_path, server, Make(abis=abis)):
        device = opened(phone)
        if abis == ("arm64-v8a",):
            device.check([])
            continue
        with pytest.raises(InputError, match=f"runs {abis[0]}.*for arm64-v8a"):
            device.check([])


def test_runners_that_are_not_built(phone: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "folder", lambda: Path("/nowhere"))
    device = opened(phone)
    assert device.targets() == frozenset()
    with pytest.raises(InputError, match="make native"):
        device.check([])
    (warning,) = [item for item in device.gates((1,), 0) if item.blocking]
    assert "make native" in warning.remedy


def test_an_ndk_build_is_preferred(phone: Phone, tmp_path: Path) -> None:
    device = opened(phone)
    assert device.versions()["runners"] == "Linux bundle"
    write_runners(tmp_path / "native/android-arm64")
    for name in ("ld-linux-aarch64.so.1", "libc.so.6"):
        (tmp_path / "native/android-arm64" / name).unlink()
    assert device.versions()["runners"] == "Android NDK"
    assert "experimental-runner" not in [item.code for item in device.begin()]
    address = device.stage_peak((4, 4, 4))
    runner = device.start("sgemm", 60)
    loaded = runner.request({"command": "load", "model": address, "threads": 1}, 60)
    assert loaded["event"] == "loaded"
    runner.close()
    device.end()


def test_the_commands_of_a_dry_run_are_those_of_the_run(phone: Phone, tmp_path: Path) -> None:
    device = opened(phone)
    commands = device.dry_run([(tmp_path / "model.onnx", 1000)])
    assert phone.left_behind() == []
    assert phone.pushed == []
    assert phone.setting("fixed-performance") is None
    assert commands[0].startswith("# The main commands.")
    start = f"adb -s {phone.daemon.serial} "
    assert all(command.startswith(start) for command in commands[1:])
    told = "\n".join(commands)
    steps = ("mkdir -p", "> /data/local/tmp/", "fixed-performance-mode-enabled true", "push")
    steps += ("sha256sum", "chmod 755", "push", "model.onnx", "sha256sum", "model.onnx", "push")
    steps += ("sgemm.onnx", "sha256sum", "sgemm.onnx", "&& exec ")
    steps += ("fixed-performance-mode-enabled false", "settings put", "rm -rf")
    at = 0
    for step in steps:
        at = told.index(step, at) + 1


def test_one_runner_of_two_is_enough(phone: Phone, tmp_path: Path) -> None:
    (tmp_path / "native/aarch64/executorch_runner").unlink()
    device = opened(phone)
    assert device.targets() == {"onnx", "sgemm"}
    device.check([])
    assert "executorch_runner" not in "".join(device.dry_run([]))
    assert "executorch_runner" not in device.versions()
    with pytest.raises(RunnerError, match="no runner for executorch"):
        device.start("executorch", 5)
    device.start("onnx", 60).close()
    device.end()
    assert phone.left_behind() == []


def test_the_listing_of_devices(phone: Phone, capsys: pytest.CaptureFixture[str]) -> None:
    phone.battery(level=12)
    assert cli.main(["devices"]) == 0
    said = capsys.readouterr().out
    assert f"adb:{phone.daemon.serial}: Google Pixel 6 (GS101), 8 cores, aarch64" in said
    assert "big cores: 6, 7 up to 2.80 GHz" in said
    assert "not to be measured: The battery is at 12 %" in said
    phone.unplug()
    assert cli.main(["devices"]) == 0
    said = capsys.readouterr().out
    assert "adb: none. No phone is connected" in said or "is offline" in said
