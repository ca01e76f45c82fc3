"""Energy and other load, as far as a phone tells them."""

from pathlib import Path

import pytest
from adb_daemon.memory import MemoryPhone

from runtime_bench.adb import handset
from runtime_bench.adb.client import ShellResult
from runtime_bench.devices.adb import PhoneDevice
from runtime_bench.native import places


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "folder", lambda: tmp_path / "native")
    monkeypatch.setattr(handset, "_LOAD_SECONDS", 0.001)


UNPLUGGED = "  AC powered: false\n  USB powered: false\n  status: 3\n  level: 85\n  scale: 100\n"


@pytest.mark.parametrize(
    ("microamperes", "microvolts", "told"),
    [
        ("-412000", "4200000", True),
        ("11905", "4200000", True),  # 0.050001 W
        ("11904", "4200000", False),
        ("-7142857", "4200000", True),  # 29.999999 W
        ("7142858", "4200000", False),
        ("-412", "4200000", False),  # milliamperes
        ("412000", "4200", False),  # millivolts
        ("0", "4200000", False),
    ],
)
def test_a_meter_that_tells_what_no_phone_draws_is_dropped(
    microamperes: str, microvolts: str, told: bool
) -> None:
    phone = MemoryPhone()
    phone.answers["dumpsys battery"] = ShellResult(0, UNPLUGGED, "")
    phone.answers["current_now"] = ShellResult(0, microamperes + "\n", "")
    phone.answers["voltage_now"] = ShellResult(0, microvolts + "\n", "")
    device = PhoneDevice(phone, "adb:1A")
    found = [item for item in device.begin() if item.code == "energy-unknown"]
    assert bool(device.power_meter()) is told
    assert [" W, which is not between" in item.message for item in found] == [True] * (not told)
    device.end()


def test_energy_is_not_measured_while_the_phone_is_fed() -> None:
    phone = MemoryPhone()
    phone.answers["dumpsys battery"] = ShellResult(0, UNPLUGGED, "")
    phone.answers["current_now"] = ShellResult(0, "-412000\n", "")
    phone.answers["voltage_now"] = ShellResult(0, "4200000\n", "")
    device = PhoneDevice(phone, "adb:1A")
    device.begin()
    meter = device.power_meter()
    assert meter
    for fed in (
        UNPLUGGED.replace("status: 3", "status: 2"),
        UNPLUGGED.replace("USB powered: false", "USB powered: true"),
    ):
        phone.answers["dumpsys battery"] = ShellResult(0, fed, "")
        device.conditions()
        assert device.power_meter() == {}
        phone.answers["dumpsys battery"] = ShellResult(0, UNPLUGGED, "")
        device.conditions()
        assert device.power_meter() == meter
    device.end()


STATISTICS = ShellResult(0, "cpu  800 0 200 720000 0 0 0 7 0 0\n", "")


@pytest.mark.parametrize("told", [(), (0,), (1,), (0, 1)])
def test_other_load_needs_two_readings(
    told: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = MemoryPhone()
    device = PhoneDevice(phone, "adb:1A")
    readings = iter([STATISTICS if index in told else ShellResult(1, "", "") for index in (0, 1)])
    shell = phone.shell

    def answer(text: str, limit: float = 20.0) -> ShellResult:
        return next(readings) if "/proc/stat" in text else shell(text, limit)

    monkeypatch.setattr(phone, "shell", answer)
    codes = [item.code for item in device.gates((1,), 0)]
    assert ("other-load-unknown" in codes) is (told != (0, 1))
    assert "other-load" not in codes


def test_a_phone_that_does_not_tell_its_load() -> None:
    phone = MemoryPhone()
    device = PhoneDevice(phone, "adb:1A")
    assert (device.snapshot().busy, device.snapshot().stolen) == (None, None)
    phone.answers["/proc/stat"] = STATISTICS
    assert (device.snapshot().busy, device.snapshot().stolen) == (10.0, 0.07)
