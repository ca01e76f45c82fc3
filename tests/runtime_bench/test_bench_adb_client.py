"""The adb client's errors, and staging, with an adb that is a script."""

import os
import re
import shlex
from pathlib import Path

import pytest
from fake_adb import FOLDER, FakeAdb

from runtime_bench.adb import staging
from runtime_bench.adb.client import Adb, AdbServer, Listing, choose, parse_address
from runtime_bench.adb.failures import failure
from runtime_bench.devices import adb as kind
from runtime_bench.errors import BenchError, DeviceError, InputError, RunnerError


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
