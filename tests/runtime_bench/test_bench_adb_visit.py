"""A run's stay on a phone: wherever it is interrupted, the phone is as before, or will be."""

import contextlib
import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from adb_daemon.memory import LEFT, STAY_ON, MemoryPhone, after_a_crash

from runtime_bench.adb import readiness
from runtime_bench.adb.client import ShellResult
from runtime_bench.devices.adb import PhoneDevice
from runtime_bench.errors import DeviceError, RunnerError
from runtime_bench.native import places

GONE = DeviceError("The phone 1A is gone.", "Plug it in again.")
INTERRUPTIONS = {
    "Ctrl-C before the phone hears of it": (KeyboardInterrupt(), False, False),
    "Ctrl-C after the phone did it": (KeyboardInterrupt(), True, False),
    "one question hangs": (GONE, False, False),
    "one answer is lost": (GONE, True, False),
    "the cable is pulled": (GONE, False, True),
    "the cable is pulled before the answer": (GONE, True, True),
}


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "folder", lambda: tmp_path / "native")
    monkeypatch.setattr(readiness, "_SETTLING", 0)


def fresh() -> MemoryPhone:
    return MemoryPhone()


def unset() -> MemoryPhone:
    return MemoryPhone("null")


def next_run_restores(phone: MemoryPhone) -> bool:
    later = PhoneDevice(phone, "adb:1A")
    later.begin()
    assert phone.settings[STAY_ON] == "15"
    assert phone.fixed
    later.end()
    return phone.untouched()


@pytest.mark.parametrize("name", INTERRUPTIONS)
@pytest.mark.parametrize("make", [fresh, unset, after_a_crash])
def test_begin_is_interrupted_at_each_call(make: Callable[[], MemoryPhone], name: str) -> None:
    error, after, ever = INTERRUPTIONS[name]
    for number in itertools.count(1):
        phone = make()
        device = PhoneDevice(phone, "adb:1A")
        with phone.trouble(number, error, after=after, ever=ever) as happened:
            with contextlib.suppress(KeyboardInterrupt, DeviceError):
                device.begin()
            interrupted = happened()
            if ever:
                device.end()
        device.end()
        # Once the phone can be reached again, the same run restores what it changed itself.
        left_by_others = LEFT in phone.folders
        assert phone.untouched() or left_by_others, number
        assert next_run_restores(phone), number
        if not interrupted:
            assert number > 10
            return


@pytest.mark.parametrize("name", INTERRUPTIONS)
@pytest.mark.parametrize("make", [fresh, unset, after_a_crash])
@pytest.mark.parametrize("again", [True, False])
def test_end_is_interrupted_at_each_call(
    make: Callable[[], MemoryPhone], name: str, again: bool
) -> None:
    error, after, ever = INTERRUPTIONS[name]
    for number in itertools.count(1):
        phone = make()
        device = PhoneDevice(phone, "adb:1A")
        device.begin()
        with phone.trouble(number, error, after=after, ever=ever) as happened:
            with contextlib.suppress(KeyboardInterrupt):
                device.end()
            interrupted = happened()
        if again:
            device.end()
            assert phone.untouched(), number
        assert phone.untouched() or next_run_restores(phone), number
        if not interrupted:
            assert number == 5
            return


def test_one_step_that_fails_does_not_keep_the_others_from_being_done() -> None:
    phone = MemoryPhone()
    device = PhoneDevice(phone, "adb:1A")
    device.begin()
    with phone.trouble(1, GONE):
        device.end()
    assert phone.untouched()


def test_what_stays_is_said_with_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    phone = MemoryPhone()
    device = PhoneDevice(phone, "adb:1A")
    device.begin()
    (folder,) = phone.folders
    capsys.readouterr()
    with phone.trouble(1, GONE, ever=True):
        device.end()
    said = capsys.readouterr().err
    for command in (
        "'pkill -9 -f",
        "'cmd power set-fixed-performance-mode-enabled false'",
        f"'settings put global {STAY_ON} 3'",
        f"'rm -rf {folder}'",
    ):
        assert f"adb -s 1A shell {command}" in said
    device.end()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("part", "kept"),
    [
        (f"settings put global {STAY_ON}", "its screen on"),
        ("mode-enabled false", "its clocks fixed"),
        ("rm -rf", "the folder"),
    ],
)
def test_what_the_phone_refuses_to_put_back_is_said(
    capsys: pytest.CaptureFixture[str], part: str, kept: str
) -> None:
    phone = MemoryPhone()
    device = PhoneDevice(phone, "adb:1A")
    device.begin()
    phone.answers[part] = ShellResult(1, "", "Permission denied")
    device.end()
    said = capsys.readouterr().err
    assert f"may keep {kept}" in said
    assert part in said
    # The folder stays: from it the next run knows the setting.
    assert phone.folders
    phone.answers.clear()
    assert next_run_restores(phone)


def test_a_phone_that_cannot_write_down_is_not_changed() -> None:
    phone = MemoryPhone()
    phone.answers["stay_on_before"] = ShellResult(1, "", "sh: No space left on device")
    device = PhoneDevice(phone, "adb:1A")
    with pytest.raises(RunnerError, match="no space left"):
        device.begin()
    assert phone.as_before()
    device.end()
    assert phone.untouched()


def test_a_phone_that_has_no_fixed_performance_mode_is_not_told_to_leave_it() -> None:
    phone = MemoryPhone()
    phone.answers["mode-enabled"] = ShellResult(255, "", "Unknown command")
    device = PhoneDevice(phone, "adb:1A")
    assert "fixed-performance" in [item.code for item in device.begin()]
    device.end()
    assert not [text for text in phone.asked if "mode-enabled false" in text]


def test_a_mode_that_may_never_have_been_on_may_be_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    phone = after_a_crash()
    phone.fixed = False
    phone.answers["mode-enabled"] = ShellResult(255, "", "Unknown command")
    device = PhoneDevice(phone, "adb:1A")
    with phone.trouble(9, KeyboardInterrupt()), pytest.raises(KeyboardInterrupt):
        device.begin()
    device.end()
    assert any("mode-enabled false" in text for text in phone.asked)
    assert not any("mode-enabled true" in text for text in phone.asked)
    assert capsys.readouterr().err == ""
    assert phone.untouched()
