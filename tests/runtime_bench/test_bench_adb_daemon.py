"""The phone that the tests play, through the real adb client: as a phone answers, so it does."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from adb_daemon.client import ADB, AdbServer
from adb_daemon.faults import COMMAND, CUT, FLIP, FULL, PULL, PUSH, SAY, Fault
from adb_daemon.make import Make
from adb_daemon.phone import Phone

pytest_plugins = ["adb_daemon.fixtures"]
pytestmark = pytest.mark.skipif(
    ADB is None, reason="adb is not installed (Debian: apt-get install adb)"
)


@pytest.fixture
def phone(tmp_path: Path, adb_server: AdbServer) -> Iterator[Phone]:
    phone = Phone(tmp_path / "phone")
    adb_server.connect(phone.daemon.serial)
    yield phone
    adb_server.run(["disconnect", phone.daemon.serial], check=False)
    phone.close()


def on(phone: Phone, *arguments: str) -> list[str]:
    return ["-s", phone.daemon.serial, *arguments]


def test_a_command_gives_its_streams_and_exit_code(phone: Phone, adb_server: AdbServer) -> None:
    done = adb_server.run(on(phone, "shell", "echo out; echo err >&2; exit 7"), check=False)
    assert (done.stdout, done.stderr, done.returncode) == (b"out\n", b"err\n", 7)
    done = adb_server.run(on(phone, "shell", "no-such-tool"), check=False)
    assert done.returncode == 127


def test_version_one_of_the_shell_has_one_stream_and_no_code(
    tmp_path: Path, adb_server: AdbServer
) -> None:
    phone = Phone(tmp_path / "old", Make(sdk=25, shell_v2=False))
    adb_server.connect(phone.daemon.serial)
    done = adb_server.run(on(phone, "shell", "echo out; echo err >&2; exit 7"))
    assert sorted(done.stdout.splitlines()) == [b"err", b"out"]
    assert adb_server.run(on(phone, "shell", "getprop ro.build.version.sdk")).stdout == b"25\n"
    phone.close()


def test_standard_input_streams_both_ways(phone: Phone, adb_server: AdbServer) -> None:
    text = b"".join(b"line %d\n" % number for number in range(5000))
    done = adb_server.run(on(phone, "shell", "cat; echo end"), content=text)
    assert done.stdout == text + b"end\n"


def test_files_arrive_as_they_left(phone: Phone, adb_server: AdbServer, tmp_path: Path) -> None:
    sent, back = tmp_path / "sent", tmp_path / "back"
    sent.write_bytes(os.urandom(5_000_000))
    sent.chmod(0o750)
    adb_server.run(on(phone, "push", str(sent), "/data/local/tmp/folder/file"))
    assert (phone.temporary / "folder/file").read_bytes() == sent.read_bytes()
    assert (phone.temporary / "folder/file").stat().st_mode & 0o777 == 0o750
    adb_server.run(on(phone, "pull", "/data/local/tmp/folder/file", str(back)))
    assert back.read_bytes() == sent.read_bytes()
    listed = adb_server.run(on(phone, "ls", "/data/local/tmp/folder")).stdout.decode().split()
    assert [listed[1], listed[3]] == ["004c4b40", "file"]
    missing = adb_server.run(on(phone, "pull", "/data/local/tmp/none", str(back)), check=False)
    assert missing.returncode == 1


def test_the_phone_tells_its_state(phone: Phone, adb_server: AdbServer) -> None:
    def ask(command: str) -> str:
        return adb_server.run(on(phone, "shell", command)).stdout.decode()

    phone.battery(level=12, celsius=44.0)
    phone.thermal(status=3, celsius=80.0)
    assert "level: 12\n" in ask("dumpsys battery")
    assert "temperature: 440\n" in ask("dumpsys battery")
    assert "Thermal Status: 3\n" in ask("dumpsys thermalservice")
    assert "[ro.product.model]: [Pixel 6]\n" in ask("getprop")
    assert ask("cat /sys/class/thermal/thermal_zone*/temp") == "80000\n"
    named = "/sys/devices/system/cpu/cpu7/cpufreq/scaling_cur_freq:2802000\n"
    assert ask("grep -H . /sys/devices/system/cpu/cpu7/cpufreq/scaling_cur_freq") == named
    phone.screen(on=False)
    assert "mWakefulness=Awake" in ask("input keyevent KEYCODE_WAKEUP; dumpsys power")
    ask("cmd power set-fixed-performance-mode-enabled true")
    assert phone.setting("fixed-performance") == "true"


def test_a_cable_can_be_pulled_and_plugged_in(phone: Phone, adb_server: AdbServer) -> None:
    phone.faults.add(Fault(COMMAND, CUT, matching="getprop"))
    # The real client ends with code 0 when the connection goes: only what is missing tells.
    assert adb_server.run(on(phone, "shell", "getprop; echo done"), check=False).stdout == b""
    assert adb_server.states().get(phone.daemon.serial) != "device"
    phone.daemon.plug_in()
    adb_server.connect(phone.daemon.serial)
    assert adb_server.run(on(phone, "shell", "echo again")).stdout == b"again\n"


def test_a_phone_without_consent_is_unauthorized(tmp_path: Path, adb_server: AdbServer) -> None:
    phone = Phone(tmp_path / "phone")
    phone.daemon.authorized = False
    adb_server.run(["connect", phone.daemon.serial], check=False)
    adb_server.wait_for(phone.daemon.serial, "unauthorized")
    adb_server.run(["disconnect", phone.daemon.serial])
    phone.close()


def test_transfers_fail_where_they_are_told_to(
    phone: Phone, adb_server: AdbServer, tmp_path: Path
) -> None:
    sent = tmp_path / "sent"
    sent.write_bytes(bytes(200_000))
    phone.faults.add(Fault(PUSH, FULL, matching="full"))
    done = adb_server.run(on(phone, "push", str(sent), "/data/local/tmp/full"), check=False)
    assert done.returncode == 1
    assert b"No space left on device" in done.stdout, done
    assert phone.left_behind() == []
    phone.faults.add(Fault(PUSH, FLIP, matching="flip"))
    adb_server.run(on(phone, "push", str(sent), "/data/local/tmp/flip"))
    arrived = (phone.temporary / "flip").read_bytes()
    assert sum(arrived) == 1
    phone.faults.add(Fault(PULL, CUT))
    target = str(tmp_path / "back")
    done = adb_server.run(on(phone, "pull", "/data/local/tmp/flip", target), check=False)
    assert done.returncode != 0


def test_a_process_ends_with_its_client(phone: Phone, adb_server: AdbServer) -> None:
    adb_server.run(on(phone, "shell", "cat > /dev/null"), content=b"x" * 100_000)
    assert phone.running() == []
    phone.faults.add(Fault(COMMAND, SAY, text="\xff\x00garbage", code=3))
    done = adb_server.run(on(phone, "shell", "getprop"), check=False)
    assert (done.stdout, done.returncode) == (b"\xff\x00garbage", 3)


def test_processes_of_the_phone_can_be_killed_by_name(phone: Phone, adb_server: AdbServer) -> None:
    kill = "pkill -9 -f [s]leep.1001"
    assert adb_server.run(on(phone, "shell", kill), check=False).returncode == 1
    adb_server.run(on(phone, "shell", "sleep 1001 </dev/null >/dev/null 2>&1 &"))
    assert phone.running() == ["sleep 1001"]
    assert adb_server.run(on(phone, "shell", kill), check=False).returncode == 0
    assert phone.running() == []
