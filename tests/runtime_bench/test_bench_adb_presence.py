"""Several runs on one phone: those that live are left alone, the others are cleared up."""

import fcntl
import os
from pathlib import Path

import pytest
from adb_daemon.memory import LEFT, STAY_ON, MemoryPhone, after_a_crash

from runtime_bench.adb import presence, readiness, staging
from runtime_bench.adb.client import ShellResult
from runtime_bench.adb.presence import Mark, parse_mark
from runtime_bench.devices import adb as kind
from runtime_bench.devices.adb import PhoneDevice
from runtime_bench.errors import GateError, InputError
from runtime_bench.native import places


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "folder", lambda: tmp_path / "native")
    monkeypatch.setattr(readiness, "_SETTLING", 0)


def test_another_run_that_lives_is_left_alone() -> None:
    phone = MemoryPhone()
    first, second = PhoneDevice(phone, "adb:1A"), PhoneDevice(phone, "adb:1A")
    first.begin()
    (folder,) = phone.folders
    way_out = rf"process {os.getpid()} of .*adb -s 1A shell 'rm {folder}/measured_by'"
    with pytest.raises(GateError, match=f"Another run measures the phone 1A.*{way_out}"):
        second.begin()
    second.end()
    assert phone.folders == {folder}
    assert phone.settings[STAY_ON] == "15"
    assert not [text for text in phone.asked if "kill" in text and folder[-8:] in text]
    first.end()
    assert phone.untouched()
    second.begin()
    second.end()


def marked(host: str, at: str, lock: str) -> MemoryPhone:
    phone = after_a_crash()
    phone.files[f"{LEFT}/measured_by"] = f"{host} 42 {at} {lock}"
    return phone


@pytest.mark.parametrize(
    ("age", "lives"), [(0, True), (899, True), (900, False), (-899, True), (-900, False)]
)
def test_a_run_of_another_host_lives_while_it_says_so(age: int, lives: bool) -> None:
    phone = marked("elsewhere", str(1_000_000 - age), "/tmp/squeezebert-bench-x.lock")
    device = PhoneDevice(phone, "adb:1A")
    if lives:
        with pytest.raises(GateError, match="process 42 of elsewhere"):
            device.begin()
        assert LEFT in phone.folders
    else:
        device.begin()
        assert LEFT not in phone.folders
    device.end()


def test_a_run_of_this_host_lives_while_it_holds_its_lock(tmp_path: Path) -> None:
    lock = tmp_path / "squeezebert-bench-x.lock"
    lock.touch()
    adb = marked(presence._host(), "", str(lock))
    with lock.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert presence.other_runs(adb, "").live[0][0] == LEFT
    # It was killed: its lock went with it, its file did not.
    assert presence.other_runs(adb, "").dead == (LEFT,)
    lock.unlink()
    os.mkfifo(lock)
    assert presence.other_runs(adb, "").dead == (LEFT,)


def test_a_run_that_goes_on_shows_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    phone = MemoryPhone()
    device = PhoneDevice(phone, "adb:1A")
    device.begin()
    (folder,) = phone.folders
    phone.clock += 500
    device.conditions()
    assert " 1000000 " in phone.files[f"{folder}/measured_by"]
    monkeypatch.setattr(presence, "_REFRESH", 0)
    device.conditions()
    assert " 1000500 " in phone.files[f"{folder}/measured_by"]
    native = tmp_path / "native/aarch64"
    native.mkdir(parents=True)
    (native / "onnx_runner").write_bytes(b"")
    for name in ("push_proved", "make_executable"):
        monkeypatch.setattr(staging, name, lambda *_: None)
    monkeypatch.setattr(kind, "PhoneRunner", lambda *_: None)
    for step in (lambda: device.stage(tmp_path, "x", ["x"]), lambda: device.start("onnx", 1)):
        phone.clock += 500
        step()
        assert f" {phone.clock} " in phone.files[f"{folder}/measured_by"]
    device.end()
    asked = len(phone.asked)
    device.conditions()
    assert not [text for text in phone.asked[asked:] if "measured_by" in text]


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("lab 42 17 /tmp/a b.lock\n", Mark("lab", 42, 17, Path("/tmp/a b.lock"))),
        ("lab 42  /tmp/x.lock", Mark("lab", 42, None, Path("/tmp/x.lock"))),
        ("", None),
        ("lab 42 17", None),
        ("lab x 17 /tmp/x.lock", None),
    ],
)
def test_marks(text: str, mark: Mark | None) -> None:
    assert parse_mark(text) == mark


def test_what_earlier_runs_hold_counts_as_free(tmp_path: Path) -> None:
    native = tmp_path / "native/aarch64"
    native.mkdir(parents=True)
    (native / "onnx_runner").write_bytes(b"")
    phone = after_a_crash()
    phone.answers["getprop"] = ShellResult(0, "[ro.product.cpu.abilist]: [arm64-v8a]", "")
    phone.answers["df -k"] = ShellResult(0, "Filesystem 1K Used Free\ndm-8 9000000 0 100000", "")
    files = [(tmp_path / "model.onnx", 200_000_000)]
    device = PhoneDevice(phone, "adb:1A")
    with pytest.raises(InputError, match="277 MB are needed"):
        device.check(files)
    phone.answers["du -sk"] = ShellResult(0, f"300000\t{LEFT}\n", "")
    device.check(files)
    # Those of a run that lives stay.
    phone.files[f"{LEFT}/measured_by"] = "elsewhere 42 1000000 /tmp/x.lock"
    with pytest.raises(InputError, match="277 MB are needed"):
        device.check(files)
    assert not [text for text in phone.asked if "rm" in text.split()]
