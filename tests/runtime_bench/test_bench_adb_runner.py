"""A phone made ready, and runners on it, with an adb that is a script."""

import json
from pathlib import Path

import pytest
from fake_adb import FOLDER, FakeAdb

from runtime_bench.adb import readiness
from runtime_bench.adb.client import Adb
from runtime_bench.adb.readiness import Readiness
from runtime_bench.adb.runner import PhoneRunner
from runtime_bench.errors import DeviceError, RunnerError


def answers(fixed: str, low: str, high: str, setting: str) -> str:
    return (
        'case "$5" in\n'
        f"    *scaling_min_freq) {low};;\n    *scaling_max_freq) {high};;\n"
        f'    "cmd power"*true) touch "$HERE/fixed"; {fixed};;\n'
        '    "cmd power"*false) rm -f "$HERE/fixed";;\n'
        f'    "settings get"*) {setting};;\nesac\n[ "$1" = get-state ] && echo device; exit 0'
    )


def clock(free: int, fixed: int | None = None) -> str:
    line = "echo /sys/devices/system/cpu/cpu7/cpufreq/scaling_x:"
    return f'if [ -e "$HERE/fixed" ]; then {line}{fixed or free}; else {line}{free}; fi'


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clocks follow fixed-performance mode without a delay."""
    monkeypatch.setattr(readiness, "_SETTLING", 0)


def ready_phone() -> tuple[Readiness, list[str]]:
    """A phone that was made ready, and the codes of what could not be had."""
    ready = Readiness(Adb(serial="1A"), FOLDER)
    ready.take_over(())
    return ready, [item.code for item in ready.get_ready()]


@pytest.mark.parametrize(
    ("before", "restores"),
    [("3", "settings put global {} 3"), ("null", "settings delete global {}")],
)
def test_readiness_is_read_back_and_put_back(fake_adb: FakeAdb, before: str, restores: str) -> None:
    log = fake_adb(
        answers("true", clock(300000, 1700000), clock(2800000, 1700000), f"echo {before}")
    )
    ready, codes = ready_phone()
    assert (ready.fixed, codes) == ({7}, [])
    assert f"echo {before} > {FOLDER}/stay_on_before" in log.read_text()
    assert [undo.command for undo in ready.undo()] == [
        "cmd power set-fixed-performance-mode-enabled false",
        restores.format("stay_on_while_plugged_in"),
    ]
    for undo in ready.undo():
        undo.forget()
    assert (ready.undo(), ready.fixed) == ((), frozenset())


@pytest.mark.usefixtures("at_once")
def test_a_mode_that_was_on_already_is_told_from_one_without_effect(fake_adb: FakeAdb) -> None:
    log = fake_adb(answers("true", clock(300000, 1200000), clock(2800000, 1700000), "echo 3"))
    (log.parent / "fixed").touch()
    ready, codes = ready_phone()
    assert (ready.fixed, codes) == ({7}, [])
    assert (log.parent / "fixed").exists()


@pytest.mark.parametrize(
    ("fixed", "low", "high", "codes"),
    [
        ("exit 255", clock(300000), clock(2800000), ["fixed-performance"]),
        ("echo Unknown command: set; exit 0", clock(1), clock(1), ["fixed-performance"]),
        ("echo Failed to set FIXED_PERFORMANCE mode", clock(1), clock(1), ["fixed-performance"]),
        ("true", clock(300000), clock(2800000), ["clocks-not-fixed"]),
        ("true", "exit 1", "exit 1", ["clocks-unread"]),
        # Already at one clock: nothing left to change.
        ("true", clock(1700000), clock(1700000), []),
    ],
)
@pytest.mark.usefixtures("at_once")
def test_clocks_that_could_not_be_fixed(
    fake_adb: FakeAdb, fixed: str, low: str, high: str, codes: list[str]
) -> None:
    fake_adb(answers(fixed, low, high, "echo 0"))
    ready, found = ready_phone()
    assert found == codes
    # No core's limit was changed, so that the gate looks at each of them.
    assert ready.fixed == frozenset()
    assert any("false" in undo.command for undo in ready.undo()) is (codes != ["fixed-performance"])


READY = json.dumps({"event": "ready", "versions": {"runtime": "1"}})


def started(fake_adb: FakeAdb, then: str, *, gone: bool = False) -> PhoneRunner:
    """A runner that is ready, and after the first command does ``then``."""
    fake_adb(f"case \"$5\" in start) echo '{READY}'; read -r line; {then};; esac; echo device")

    def check_alive() -> None:
        if gone:
            raise DeviceError("The phone 1A is gone.", "Plug it in again.")

    return PhoneRunner(Adb(serial="1A"), "start", "kill it", 10, check_alive)


@pytest.mark.parametrize(
    ("then", "message"),
    [
        ("echo what >&2; exit 139", "ended by SIGSEGV: what"),
        ("exit 137", "ended by SIGKILL.*memory"),
        ("exit 134", "ended by SIGABRT"),
        ("echo 'CANNOT LINK EXECUTABLE' >&2; exit 1", "ended with code 1: CANNOT LINK"),
        ("exit 127", "ended with code 127"),
    ],
)
def test_the_death_of_a_runner(fake_adb: FakeAdb, then: str, message: str) -> None:
    runner = started(fake_adb, then)
    assert runner.versions == {"runtime": "1"}
    with pytest.raises(RunnerError, match=message):
        runner.request({"command": "warm_up"}, 10)
    runner.close()
    runner.close()


@pytest.mark.parametrize(
    ("then", "gone", "message"),
    [
        ("exit 0", True, "The phone 1A is gone"),
        ("exit 255", True, "The phone 1A is gone"),
        ("exit 0", False, "connection to the phone 1A is gone.*--resume"),
        ("echo 'error: closed' >&2; exit 1", False, "The phone 1A is gone.*--resume"),
        ("exec sleep 60", True, "The phone 1A is gone"),
        ("kill -9 $$", False, "adb was ended by SIGKILL"),
    ],
)
def test_the_death_of_adb_is_not_the_runners(
    fake_adb: FakeAdb, then: str, gone: bool, message: str
) -> None:
    runner = started(fake_adb, then, gone=gone)
    with pytest.raises(DeviceError, match=message):
        runner.request({"command": "warm_up"}, 0.3 if "sleep" in then else 10)
    runner.close()


def test_a_runner_that_hangs_is_killed_on_the_phone(fake_adb: FakeAdb, tmp_path: Path) -> None:
    runner = started(fake_adb, "exec sleep 60")
    with pytest.raises(RunnerError, match="did not answer 'warm_up'"):
        runner.request({"command": "warm_up"}, 0.3)
    assert "kill it" not in (tmp_path / "fake/log").read_text()
    runner.close()
    assert "kill it" in (tmp_path / "fake/log").read_text()
