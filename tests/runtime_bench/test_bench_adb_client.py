"""The adb client's errors, staging, readiness and runners, with an adb that is a script."""

import json
import os
import re
import shlex
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime_bench.adb import readiness, staging
from runtime_bench.adb.client import Adb, AdbServer, Listing, choose, parse_address
from runtime_bench.adb.failures import failure
from runtime_bench.adb.readiness import Readiness
from runtime_bench.adb.runner import PhoneRunner
from runtime_bench.devices import adb as kind
from runtime_bench.errors import BenchError, DeviceError, InputError, RunnerError

FOLDER = "/data/local/tmp/squeezebert-bench-0a1b2c3d"
FakeAdb = Callable[[str], Path]


@pytest.fixture
def fake_adb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeAdb:
    """Puts a shell script in adb's place; gives the file that its commands are written to.

    The script sees the words after adb's own options as "$*", and the folder as $HERE.
    """

    def write(script: str) -> Path:
        folder = tmp_path / "fake"
        folder.mkdir()
        log = folder / "log"
        log.touch()
        program = folder / "adb"
        program.write_text(
            f"#!/bin/sh\nHERE={shlex.quote(str(folder))}\n"
            'echo "$*" >> "$HERE/log"\n'
            'while [ "${1#-}" != "$1" ]; do shift 2; done\n' + script,
            encoding="utf-8",
        )
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
        return log

    return write


def test_without_adb_the_installation_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match=r"install_system_packages\.sh"):
        Adb().listings()
    assert kind.find() == []
    assert "install_system_packages.sh" in kind.missing()


def test_the_server_of_another_host_is_named_in_every_command(fake_adb: FakeAdb) -> None:
    log = fake_adb("echo device")
    adb = Adb(AdbServer("lab", 5038)).of("1A2B3C")
    assert adb.shell("true; echo", 5).code == 0
    adb.require_usable()
    assert log.read_text().splitlines() == [
        "-H lab -P 5038 -s 1A2B3C shell -e none -T true; echo",
        "-H lab -P 5038 -s 1A2B3C get-state",
    ]


@pytest.mark.parametrize(
    ("address", "serial", "server"),
    [
        ("1A2B3C", "1A2B3C", None),
        ("", "", None),
        ("10.0.0.7:5555", "10.0.0.7:5555", None),
        ("1A2B3C@lab", "1A2B3C", AdbServer("lab", 5037)),
        ("10.0.0.7:5555@lab:5038", "10.0.0.7:5555", AdbServer("lab", 5038)),
        ("@lab", "", AdbServer("lab", 5037)),
    ],
)
def test_addresses(address: str, serial: str, server: AdbServer | None) -> None:
    assert parse_address(address) == (serial, server)


def test_an_address_without_a_server_is_refused() -> None:
    with pytest.raises(InputError, match="SERIAL@HOST:PORT"):
        parse_address("1A2B3C@")


ONE, TWO = Listing("1A", "device", "Pixel 6"), Listing("2B", "offline", None)


def test_choosing_a_phone() -> None:
    assert choose([ONE], "") == ONE
    assert choose([ONE, TWO], "2B") == TWO
    with pytest.raises(InputError, match=r"2 phones .*1A \(Pixel 6\), 2B.*--device adb:1A"):
        choose([ONE, TWO], "")
    with pytest.raises(InputError, match=r"No phone 3C .*1A, 2B"):
        choose([ONE, TWO], "3C")
    with pytest.raises(InputError, match="No phone is connected"):
        choose([], "")


@pytest.mark.parametrize(
    ("said", "error", "message"),
    [
        ("error: device offline", DeviceError, "is offline"),
        ("error: device unauthorized.\nThis adb server's", DeviceError, "accept the dialog"),
        ("error: device still authorizing", DeviceError, "accept the dialog"),
        ("error: device '1A' not found", DeviceError, "gone.*--resume"),
        ("error: no devices/emulators found", DeviceError, "gone"),
        ("error: closed", DeviceError, "gone"),
        ("error: protocol fault (couldn't read status): Success", DeviceError, "gone"),
        ("error: more than one device/emulator", InputError, "--device adb:SERIAL"),
        ("error: insufficient permissions for device: user in plugdev", DeviceError, "udev"),
        (
            "adb: failed to check server version: cannot connect to daemon at tcp:lab:5037: "
            "failed to connect to 'lab:5037': Connection refused",
            DeviceError,
            "adb start-server",
        ),
        ("* failed to start daemon\nadb: error: failed", DeviceError, "adb start-server"),
    ],
)
def test_what_adb_says_becomes_one_error(
    fake_adb: FakeAdb, said: str, error: type[BenchError], message: str
) -> None:
    fake_adb(f"printf '%s\\n' {shlex.quote(said)} >&2; exit 1")
    for ask in (
        lambda: Adb(serial="1A").shell("getprop"),
        lambda: Adb(serial="1A").require_usable(),
        lambda: Adb(serial="1A").listings(),
        lambda: Adb(serial="1A").push([], "/data/local/tmp"),
    ):
        with pytest.raises(error, match=message) as raised:
            ask()
        assert type(raised.value) is error


def test_what_a_command_on_the_phone_says_is_not_taken_for_adb() -> None:
    assert failure("1A", "grep: device offline") is None
    assert failure("1A", "sh: can't open: no devices/emulators found") is None
    assert failure("1A", "error: unknown option") is None


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ("offline", "adb reconnect offline"),
        ("unauthorized", "accept the dialog"),
        ("no permissions (user); see [http]", "udev rule"),
        ("recovery", "adb reboot"),
        ("sideload", "adb reboot"),
    ],
)
def test_a_listed_phone_that_cannot_be_used(fake_adb: FakeAdb, state: str, message: str) -> None:
    fake_adb(f"echo List of devices attached; echo '1A  {state}'")
    with pytest.raises(DeviceError, match=message):
        kind.open_device("1A")


def test_what_there_is(fake_adb: FakeAdb) -> None:
    log = fake_adb('cat "$HERE/list"')
    (log.parent / "list").write_text("List of devices attached\n1A device\n2B offline\n")
    assert [device.name for device in kind.find()] == ["adb:1A", "adb:2B"]
    assert kind.missing() == ""
    (log.parent / "list").write_text("List of devices attached\n\n")
    assert kind.find() == []
    assert "No phone is connected. Plug one in" in kind.missing()


def test_an_adb_without_exit_codes_is_too_old(fake_adb: FakeAdb) -> None:
    fake_adb('case "$1" in devices) echo "1A device";; features) echo cmd;; esac')
    with pytest.raises(InputError, match="Android too old"):
        kind.open_device("")


def test_silence_is_told_from_an_empty_answer(fake_adb: FakeAdb) -> None:
    fake_adb('case "$1" in get-state) echo "error: device \'1A\' not found" >&2; exit 1;; esac')
    with pytest.raises(DeviceError, match="gone"):
        Adb(serial="1A").shell("mkdir -p /data/local/tmp/x")


def test_a_hang_is_an_error(fake_adb: FakeAdb) -> None:
    fake_adb("exec sleep 60")
    with pytest.raises(DeviceError, match=r"1A did not answer within 1 s\. .*adb kill-server"):
        Adb(serial="1A").shell("getprop", 1.0)


@pytest.mark.parametrize("how", ["shell", "listings", "push"])
def test_a_client_that_a_signal_ends_is_no_refusal(fake_adb: FakeAdb, how: str) -> None:
    fake_adb("kill -9 $$")
    adb = Adb(serial="1A")
    ask = {
        "shell": lambda: adb.shell("getprop"),
        "listings": adb.listings,
        "push": lambda: adb.push([], FOLDER),
    }
    with pytest.raises(DeviceError, match=r"adb was ended by SIGKILL .*--resume"):
        ask[how]()


def test_the_interrupt_of_a_terminal_does_not_reach_the_client(fake_adb: FakeAdb) -> None:
    fake_adb("cut -d ' ' -f 6 /proc/$$/stat")
    assert int(Adb(serial="1A").shell("getprop").output) != os.getsid(0)


def test_a_full_phone_is_no_lost_phone(fake_adb: FakeAdb, tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"m")
    fake_adb(
        'case "$1" in get-state) echo device;; push) echo "adb: error: failed to copy '
        "'model' to '/data/m': remote No space left on device\" >&2; exit 1;; esac"
    )
    with pytest.raises(RunnerError, match="no space left"):
        Adb(serial="1A").push([tmp_path / "model"], FOLDER)


PHONE = r"""
case "$1 $5" in
    push*) for last; do :; done
           shift; for file; do [ "$file" = "$last" ] || cp "$file" "$HERE"; done
           [ -e "$HERE/flips" ] && { printf x >> "$HERE/model"; rm "$HERE/flips"; }
           [ -e "$HERE/always-flips" ] && printf x >> "$HERE/model"; exit 0;;
    *sha256sum*) for word in $5; do
           case "$word" in /*) echo "$(sha256sum < "$HERE/${word##*/}" | cut -c1-64)  $word";; esac
           done;;
    get-state*) echo device;;
esac
"""


def test_what_arrived_otherwise_is_sent_once_more(fake_adb: FakeAdb, tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"model")
    log = fake_adb(PHONE)
    (log.parent / "flips").touch()
    staging.push_proved(Adb(serial="1A"), [tmp_path / "model"], FOLDER)
    assert log.read_text().count("push") == 2
    (log.parent / "always-flips").touch()
    with pytest.raises(RunnerError, match="model arrived on the phone 1A with other bytes"):
        staging.push_proved(Adb(serial="1A"), [tmp_path / "model"], FOLDER)
    assert log.read_text().count("push") == 4


def test_a_model_larger_than_the_free_space_is_refused(fake_adb: FakeAdb) -> None:
    fake_adb('echo "Filesystem 1K-blocks Used Available"; echo "dm-8 900000 0 300000 0% /data"')
    staging.check_space(Adb(serial="1A"), 200 * 2**20)
    with pytest.raises(InputError, match=r"382 MB are needed .* 307 MB are free"):
        staging.check_space(Adb(serial="1A"), 300_000_000)


def test_only_folders_of_runs_are_removed(fake_adb: FakeAdb) -> None:
    log = fake_adb("echo squeezebert-bench-0a1b2c3d other squeezebert-bench-x; exit 0")
    assert staging.run_folders(Adb(serial="1A")) == (FOLDER,)
    for wrong in ("/data/local/tmp", "/", f"{FOLDER}/..", "/sdcard/squeezebert-bench-0a1b2c3d"):
        with pytest.raises(ValueError, match="no folder of a run"):
            staging.remove(Adb(serial="1A"), wrong)
    assert "rm" not in log.read_text()
    staging.remove(Adb(serial="1A"), FOLDER)
    assert log.read_text().endswith(f"rm -rf {FOLDER}\n")


def test_the_pattern_that_kills_runners_does_not_match_itself() -> None:
    command = staging.kill_text(FOLDER)
    pattern = shlex.split(command)[-1]
    assert re.search(pattern, f"{FOLDER}/onnx_runner")
    assert not re.search(pattern, f"sh -c {command}")


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
