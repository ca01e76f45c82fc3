"""Runs in the app whose phone is lost, or that are interrupted: what was measured goes on."""

import json
import os
import signal
import time
from functools import partial

import pytest
from adb_daemon import app
from adb_daemon.app_runs import MORE, cleared, complete, resume, run, trouble, when_told
from adb_daemon.bench import GONE, Bench, assert_says
from adb_daemon.client import ADB
from adb_daemon.faults import COMMAND, CUT, Fault
from adb_daemon.phone import Phone

from runtime_bench.app import asking, follow
from runtime_bench.devices.base import open_device
from runtime_bench.devices.host import Host
from runtime_bench.results import read_results

pytest_plugins = ["adb_daemon.fixtures"]
pytestmark = pytest.mark.skipif(
    ADB is None, reason="adb is not installed (Debian: apt-get install adb)"
)


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "LOOK_STEP", 0.05)


@pytest.mark.parametrize(
    "happens", ["dies", "hangs"], ids=["the app died meanwhile", "the app lives"]
)
def test_a_phone_that_is_lost_keeps_what_it_measures_meanwhile(bench: Bench, happens: str) -> None:
    phone = bench.phone(prepare=trouble(happens, after=3))
    when_told(bench, 1, phone.unplug)
    code, said = run(bench)
    assert code == 1, said
    assert_says(said, (GONE, "finished blocks are kept", "may go on measuring", "--resume"))
    assert not bench.results().ends
    assert len(app.left_behind(phone)) == 1
    code, said = resume(bench)
    assert code == 0, said
    assert complete(bench)
    assert cleared(phone)


def test_a_run_that_ended_without_its_computer_is_taken_from_the_phone(bench: Bench) -> None:
    phone = bench.phone(prepare=trouble("waits", after=2))
    when_told(bench, 2, lambda: (phone.unplug(), app.write(phone, "go")))
    assert run(bench)[0] == 1
    wait_until_done(phone)
    starts = len(phone.pushed)
    code, said = resume(bench)
    assert code == 0, said
    assert complete(bench)
    assert len(phone.pushed) == starts
    assert not bench.results().resumes
    assert cleared(phone)


def wait_until_done(phone: Phone) -> None:
    """Wait for the app, which nobody looks after."""
    state = phone.folder / app.FOLDERS / app.left_behind(phone)[0] / "state.json"
    end = time.monotonic() + 20
    while json.loads(state.read_bytes())["state"] != "done":
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_new_run_removes_what_a_lost_one_left(bench: Bench) -> None:
    phone = bench.phone(prepare=trouble("hangs", after=2))
    when_told(bench, 1, phone.unplug)
    assert run(bench)[0] == 1
    assert phone.running()
    bench.out.unlink()
    app.forget(phone, "trouble")
    phone.faults.clear()
    phone.daemon.plug_in()
    bench.server.connect(phone.daemon.serial)
    assert app.copies(phone) != []
    code, said = run(bench)
    assert code == 0, said
    assert complete(bench)
    assert cleared(phone)
    assert app.copies(phone) == []


def test_an_interrupted_run_leaves_nothing(bench: Bench) -> None:
    phone = bench.phone(prepare=trouble("hangs", after=3))
    when_told(bench, 3, partial(os.kill, os.getpid(), signal.SIGINT))
    code, said = run(bench)
    assert code == 130, said
    assert "3 finished blocks are kept" in said
    assert cleared(phone)
    # Only the app can remove these: it does so when it is asked for the next folder.
    (left,) = app.copies(phone)
    bench.out.unlink()
    app.forget(phone, "trouble")
    phone.faults.clear()
    code, said = run(bench)
    assert code == 0, said
    assert app.copies(phone) == [], left


def test_an_interrupted_run_goes_on(bench: Bench) -> None:
    phone = bench.phone(prepare=trouble("hangs", after=3))
    when_told(bench, 3, partial(os.kill, os.getpid(), signal.SIGINT))
    assert run(bench)[0] == 130
    code, said = resume(bench)
    assert code == 0, said
    assert complete(bench)
    assert app.copies(phone) == []


@pytest.mark.parametrize(
    ("other", "code"),
    [({"cores": 6, "features": [], "clusters": []}, 0), ({"model": "Google Pixel 7"}, 2)],
    ids=["cores sleep", "another phone"],
)
def test_a_run_goes_on_whichever_cores_sleep(
    bench: Bench, other: dict[str, object], code: int
) -> None:
    phone = bench.phone(prepare=trouble("dies"))
    assert run(bench)[0] == 1
    app.install(phone, device={**app.DEVICE, **other})
    found, said = resume(bench)
    assert found == code, said
    assert complete(bench) == (code == 0)
    assert ("another device" in said) == (code == 2)


def test_only_the_app_measures_whole_plans(bench: Bench) -> None:
    phone = bench.phone(prepare=app.installed())
    device = open_device(f"app:{phone.daemon.serial}")
    assert (device.measures_plans, device.multiplies) == (True, False)
    for usual in (Host(), open_device(f"adb:{phone.daemon.serial}")):
        assert (usual.measures_plans, usual.multiplies) == (False, True)


def test_one_of_two_phones_is_lost(bench: Bench) -> None:
    lost = bench.phone(prepare=app.installed())
    good = bench.phone(prepare=app.installed())
    lost.faults.add(Fault(COMMAND, CUT, asking.STOP))
    code, said = bench.run(*MORE, device=f"app:{lost.daemon.serial},app:{good.daemon.serial}")
    assert code == 1, said
    files = {
        file.stem.rpartition("-")[2]: read_results(file) for file in bench.folder.glob("*.jsonl")
    }
    assert not files[str(lost.daemon.port)].blocks
    assert files[str(good.daemon.port)].ends
    assert cleared(good)
