"""Phones that are not as they should be before a run: refused, or measured with a warning."""

import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import pytest
from adb_daemon.bench import GONE, Bench, assert_says, fault, untouched
from adb_daemon.client import ADB
from adb_daemon.faults import CALL, COMMAND, CUT, HANG, SAY, Fault
from adb_daemon.make import Make
from adb_daemon.phone import Phone

from runtime_bench.results import Results

pytest_plugins = ["adb_daemon.fixtures"]
pytestmark = pytest.mark.skipif(
    ADB is None, reason="adb is not installed (Debian: apt-get install adb)"
)
PIXEL = Make()


def test_a_phone_that_behaves(bench: Bench) -> None:
    phone = bench.phone()
    code, said = bench.run("--starts", "1")
    assert code == 0, said
    assert bench.complete()
    assert len(bench.results().starts) == 2
    assert untouched(phone)
    # The signs that the other tests look for are there in a run that goes well.
    assert phone.pushed
    assert phone.setting("fixed-performance") == "false"
    assert bench.results().run.device["model"] == "Google Pixel 6"


def test_a_dry_run_touches_nothing(bench: Bench) -> None:
    phone = bench.phone()
    code, said = bench.run("--dry-run")
    assert code == 0, said
    assert f"adb -s {phone.daemon.serial} push" in said
    assert not phone.pushed
    assert untouched(phone)


def test_a_phone_at_an_adb_server_elsewhere(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    phone = bench.phone()
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", "1")
    name = f"adb:{phone.daemon.serial}@127.0.0.1:{bench.server.port}"
    code, said = bench.run(device=name)
    assert code == 0, said
    assert bench.complete()
    assert untouched(phone)


@dataclass(frozen=True)
class Refused:
    """A phone that is not measured: ``says`` has the cause and the next step."""

    code: int
    says: Sequence[str]
    make: Make = PIXEL
    prepare: Callable[[Phone], object] = id
    options: Sequence[str] = ()


REFUSED = {
    "wrong ABI": Refused(
        2,
        ("runs armeabi-v7a, armeabi, the runners are for arm64-v8a.", "Choose a phone"),
        Make(abis=("armeabi-v7a", "armeabi")),
    ),
    "old Android": Refused(2, ("too old", "Android 7"), Make(sdk=23, shell_v2=False)),
    "too little space": Refused(
        2,
        ("MB are needed", "50 MB are free.", "Free some"),
        prepare=lambda p: p.free_space(50_000_000),
    ),
    "no such cores": Refused(
        2, ("has no cores called huge.", "little, middle, big"), options=("--cores", "huge")
    ),
    "low battery": Refused(
        1,
        ("The battery is at 12 %", "Charge it and run again."),
        prepare=lambda p: p.battery(level=12),
    ),
    "hot battery": Refused(
        1,
        ("The battery has 44.0 degrees", "let it cool"),
        prepare=lambda p: p.battery(celsius=44.0),
    ),
    "thermal status severe": Refused(
        1,
        ("The thermal status is 3 (severe)", "dumpsys thermalservice"),
        prepare=lambda p: p.thermal(status=3, celsius=80.0),
    ),
    "screen stays off": Refused(
        1,
        ("The screen is off", "input keyevent KEYCODE_WAKEUP"),
        prepare=lambda p: p.screen(on=False, stays_off=True),
    ),
    "capped clocks": Refused(
        1,
        ("Core 0 is held at 902 of its 1803 MHz.", "low_power 0"),
        Make(sdk=29),
        prepare=lambda p: p.clocks(0.5),
    ),
    "no sha256sum": Refused(
        2, ("has no sha256sum", "Measure on Android 7"), Make(without_tools=("sha256sum",))
    ),
    "a question hangs": Refused(
        1,
        ("did not answer within 3 s.", "adb kill-server"),
        prepare=fault(COMMAND, HANG, matching="dumpsys battery"),
    ),
    "the cable is pulled while it is asked": Refused(
        1, (GONE, "again"), prepare=fault(COMMAND, CUT, matching="cpuinfo")
    ),
}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("name", REFUSED)
def test_is_refused(bench: Bench, name: str) -> None:
    refused = REFUSED[name]
    phone = bench.phone(refused.make, refused.prepare)
    code, said = bench.run(*refused.options)
    assert phone.faults.happened()
    assert code == refused.code, said
    assert_says(said, refused.says)
    assert not bench.out.exists() or not bench.results().blocks
    if phone.daemon.listening:
        assert untouched(phone)


def test_no_phone_is_connected(bench: Bench) -> None:
    code, said = bench.run(device="adb")
    assert code == 2
    assert "No phone is connected. Plug one in with USB debugging on" in said


def test_an_unknown_phone(bench: Bench) -> None:
    phone = bench.phone()
    code, said = bench.run(device="adb:1A2B3C")
    assert code == 2
    assert f"No phone 1A2B3C is connected (there are: {phone.daemon.serial})." in said


def test_two_phones_and_none_chosen(bench: Bench) -> None:
    first, second = bench.phone(), bench.phone()
    code, said = bench.run(device="adb")
    assert code == 2
    assert "2 phones are connected" in said
    assert f"--device adb:{min(first.daemon.serial, second.daemon.serial)}" in said
    assert not first.pushed + second.pushed


def test_an_offline_phone(bench: Bench) -> None:
    phone = bench.phone()
    phone.unplug()
    bench.server.wait_for(phone.daemon.serial, "offline")
    code, said = bench.run()
    assert code == 1
    assert "is offline. Unlock it and plug it in again" in said


def test_an_unauthorized_phone(bench: Bench) -> None:
    phone = Phone(bench.folder / "phone")
    bench.phones.append(phone)
    phone.daemon.authorized = False
    bench.server.run(["connect", phone.daemon.serial], check=False)
    bench.server.wait_for(phone.daemon.serial, "unauthorized")
    code, said = bench.run()
    assert code == 1
    assert "has not authorized this computer. Unlock it and accept the dialog" in said


def test_no_adb_server_can_be_reached(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADB_SERVER_SOCKET", "tcp:127.0.0.1:1")
    code, said = bench.run(device="adb")
    assert code == 1
    assert "The adb server cannot be reached. Start it with: adb start-server" in said


def test_adb_is_not_installed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(bench.folder))
    code, said = bench.run(device="adb")
    assert code == 2
    assert "adb is not installed. Install it with:" in said


def warm(phone: Phone) -> None:
    phone.battery(celsius=36.5, charging=True)
    phone.thermal(status=1)


@dataclass(frozen=True)
class Warned:
    """A phone that is measured all the same; the record says what was not as it should be."""

    codes: Sequence[str]
    says: Sequence[str] = ()
    make: Make = PIXEL
    prepare: Callable[[Phone], object] = id
    options: Sequence[str] = ()
    record: Callable[[Results], bool] = bool


NAMELESS = Make(
    without_properties=("ro.product.model", "ro.soc.model", "ro.board.platform", "ro.hardware")
)
WARNED = {
    "no dumpsys": Warned(
        ("screen-unknown", "battery-level-unknown", "thermal-unknown"),
        ("does not tell its thermal status",),
        Make(without_tools=("dumpsys",)),
    ),
    "dumpsys says garbage": Warned(
        ("thermal-unknown",),
        prepare=fault(COMMAND, SAY, "thermalservice", None, text="\xff\x00Thermal Status: x\n"),
    ),
    "no fixed-performance mode": Warned(
        ("fixed-performance",), ("Phones have it from Android 11 on",), Make(sdk=29)
    ),
    "fixed-performance mode without effect": Warned(
        ("clocks-not-fixed",),
        prepare=lambda p: p.flag("fixed-performance-does-nothing", there=True),
    ),
    "clocks that cannot be read": Warned(
        ("clocks-unread", "clocks-unknown"),
        prepare=lambda p: p.refuse_clocks(),
        record=lambda r: r.conditions[0].conditions["khz"] == {},
    ),
    "no svc": Warned(("stay-awake",), ("screen timeout",), Make(without_tools=("svc",))),
    "warm, charging and lightly throttled": Warned(
        ("charging", "battery-hot", "thermal"),
        ("adb tcpip 5555", "36.5 degrees", "status is 1 (light)"),
        prepare=warm,
    ),
    "screen off": Warned(
        (),
        prepare=lambda p: p.screen(on=False),
        record=lambda r: r.conditions[0].conditions["screen_on"] is True,
    ),
    "missing properties": Warned(
        (),
        make=NAMELESS,
        record=lambda r: (r.run.device["model"], r.run.device["extra"]["soc"]) == ("unknown", None),
    ),
    "unknown SoC": Warned(
        (),
        make=Make(properties={"ro.soc.model": "XX-9999"}),
        record=lambda r: r.run.device["extra"]["soc"] == "XX-9999",
    ),
    "no taskset": Warned(
        (),
        make=Make(without_tools=("taskset",)),
        options=("--cores", "big"),
        record=lambda r: {load.cpus_got for load in r.loads} == {(6, 7)},
    ),
    "a slow cable": Warned((), prepare=lambda p: p.slow(10_000_000)),
    "a gate that is overruled": Warned(
        ("battery-low",), prepare=lambda p: p.battery(level=12), options=("--despite-gates",)
    ),
    "the cable is pulled while it cleans up": Warned((), prepare=fault(COMMAND, CUT, "rm -rf")),
}


@pytest.mark.parametrize("name", WARNED)
def test_is_measured_with_a_warning(bench: Bench, name: str) -> None:
    warned = WARNED[name]
    phone = bench.phone(warned.make, warned.prepare)
    code, said = bench.run(*warned.options)
    assert phone.faults.happened()
    assert code == 0, said
    assert_says(said, warned.says)
    found = {warning.code for warning in bench.results().run.warnings}
    assert found >= set(warned.codes)
    assert warned.record(bench.results())
    assert bench.complete()
    if not phone.daemon.listening:  # the next run cleans up after this one
        assert phone.left_behind()
        bench.resume()
    assert untouched(phone)


def test_cores_that_are_not_given(bench: Bench) -> None:
    phone = bench.phone(prepare=lambda p: p.bind(False))
    # A run that goes on for ever without any entry is interrupted, so that it fails this test.
    interrupt = partial(os.kill, os.getpid(), signal.SIGINT)
    phone.faults.add(Fault(COMMAND, CALL, "dumpsys battery", 25, call=interrupt))
    code, said = bench.run("--cores", "big")
    assert code == 1, said
    failures = bench.results().failures
    assert [failure.entry for failure in failures] == ["e1", "peak"]
    assert_says(failures[0].reason, ("asked for 6-7 of the cores and got 0-7.", "--cores all"))
    assert not bench.results().blocks
    assert untouched(phone)
