"""Runs in the app that die, or are refused: what was measured stays, and goes on."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
from adb_daemon import app
from adb_daemon.app_runs import LOOK, cleared, complete, resume, run, trouble
from adb_daemon.bench import Bench, assert_says, fault
from adb_daemon.client import ADB
from adb_daemon.faults import COMMAND, FLIP, FULL, HANG, PUSH
from adb_daemon.phone import Phone

from runtime_bench.app import follow

pytest_plugins = ["adb_daemon.fixtures"]
pytestmark = pytest.mark.skipif(
    ADB is None, reason="adb is not installed (Debian: apt-get install adb)"
)


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "LOOK_STEP", 0.05)


@dataclass(frozen=True)
class Ended:
    """The app does not reach its end: ``says`` tells why, and the run goes on."""

    prepare: Callable[[Phone], object]
    says: Sequence[str]
    kept: int = 2


ENDED = {
    "it dies": Ended(
        trouble("dies"), ("ended in the middle of its run (last: 1 thread, 8 tokens", "logcat")
    ),
    "it dies in the middle of a record": Ended(
        trouble("writes half a line"), ("ended in the middle of its run", "--resume")
    ),
    "it dies before anything": Ended(
        trouble("dies", after=0), ("ended in the middle of its run",), kept=0
    ),
    "it begins anew": Ended(trouble("begins anew"), ("ended and began anew in the middle",)),
    "the phone's storage is full": Ended(
        trouble("failed"), ("could not go on: No space is left. Free some.",)
    ),
    "the user cancels": Ended(
        trouble("cancelled"), ("was cancelled on the phone", "same command and --resume")
    ),
    "its records do not end": Ended(
        trouble("done"), ("says that it is done, but its records do not end.", "--resume")
    ),
    "a model arrives wrong twice": Ended(
        lambda phone: (app.install(phone), fault(PUSH, FLIP, "model.onnx", None)(phone)),
        ("model.onnx arrived", "with other bytes, twice."),
        kept=0,
    ),
    "/sdcard is full": Ended(
        lambda phone: (app.install(phone), fault(PUSH, FULL, "model.onnx", None)(phone)),
        ("has no space left", "Free some"),
        kept=0,
    ),
}


@pytest.mark.parametrize("name", ENDED)
def test_what_the_app_measured_is_kept_and_goes_on(bench: Bench, name: str) -> None:
    ended = ENDED[name]
    phone = bench.phone(prepare=ended.prepare)
    code, said = run(bench)
    assert code == 1, said
    assert_says(said, ended.says)
    before = bench.results()
    assert len(before.blocks) == ended.kept
    assert not before.ends
    assert cleared(phone)
    code, said = resume(bench)
    assert code == 0, said
    assert complete(bench)
    assert bench.results().blocks[: ended.kept] == before.blocks
    assert cleared(phone)


def test_an_app_that_hangs(bench: Bench) -> None:
    phone = bench.phone(prepare=trouble("hangs", after=2))
    code, said = run(bench, "--step-limit", "1.5")
    assert code == 1, said
    assert_says(said, ("has not gone on for", "(last: 1 thread, 8 tokens", "--artifacts"))
    assert len(bench.results().blocks) == 2
    assert cleared(phone)


def test_a_record_that_is_none(bench: Bench) -> None:
    phone = bench.phone(prepare=trouble("writes garbage"))
    code, said = run(bench)
    assert code == 1, said
    assert_says(said, ("which is no record", "make apk"))
    assert cleared(phone)


@pytest.mark.usefixtures("impatient")
def test_a_look_that_hangs(bench: Bench) -> None:
    phone = bench.phone(prepare=lambda p: (app.install(p), fault(COMMAND, HANG, LOOK, 2)(p)))
    code, said = run(bench)
    assert code == 1, said
    assert_says(said, ("did not answer within 3 s.", "--resume"))
    code, said = resume(bench)
    assert code == 0, said
    assert complete(bench)
    assert cleared(phone)


@dataclass(frozen=True)
class Refused:
    """Nothing is measured; ``says`` tells why."""

    state: str
    says: Sequence[str]


REFUSED = {
    "a wrong plan": Refused("app/refuses", ("refused the run: The plan is wrong.", "another.")),
    "no permission": Refused("app/denied", ("was not started", "Permission Denial", "make apk")),
    "no entry": Refused("app/no-entry", ("was not started", "does not exist", "make apk")),
    "another plan is measured": Refused(
        "app/misunderstands", ("measures something else than it was told (lengths: [7])",)
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_run_that_is_refused(bench: Bench, name: str) -> None:
    refused = REFUSED[name]
    phone = bench.phone(prepare=app.installed())
    app.write(phone, refused.state.removeprefix("app/"))
    code, said = run(bench)
    assert code == 1, said
    assert_says(said, refused.says)
    assert not bench.results().blocks
    assert cleared(phone)


def test_a_lock_without_a_secret_is_opened_and_another_is_not(bench: Bench) -> None:
    phone = bench.phone(prepare=app.installed())
    phone.flag("locked", there=True)
    assert run(bench)[0] == 0
    bench.out.unlink()
    phone.flag("locked", there=True)
    phone.flag("secret", there=True)
    code, said = run(bench)
    assert code == 1, said
    assert_says(said, ("refused the run: The phone is locked. Unlock it.",))
    assert cleared(phone)


def test_an_app_that_never_says_anything(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "_FIRST_STATE", 0.3)
    monkeypatch.setattr(follow, "_MISSED", 1000)
    phone = bench.phone(prepare=lambda p: (app.install(p), app.write(p, "never-starts")))
    code, said = run(bench)
    assert code == 1, said
    assert_says(said, ("said nothing about its run", "Unlock the phone"))
    assert cleared(phone)


def test_a_phone_that_keeps_adb_out_of_the_apps_folder(bench: Bench) -> None:
    phone = bench.phone(prepare=app.installed())
    tool = phone.folder / "bin/mkdir"
    real = tool.readlink()
    tool.unlink()
    denied = "echo \"mkdir: '$2': Permission denied\" >&2; exit 1"
    tool.write_text(
        f'#!/bin/sh\ncase "$2" in */bundles/*) {denied} ;; esac\nexec {real} "$@"\n',
        encoding="utf-8",
    )
    tool.chmod(0o755)
    code, said = run(bench)
    assert code == 1, said
    assert_says(said, ("keeps adb out of the app's folder", "Benchmark screen"))
    assert cleared(phone)


def test_an_app_that_cannot_make_the_folder(bench: Bench) -> None:
    problem = {"reason": "The storage is full.", "next_step": "Free some."}
    phone = bench.phone(prepare=app.installed())
    app.write(phone, "no-folder", json.dumps({"problem": problem}))
    code, said = run(bench)
    assert code == 1, said
    assert_says(said, ("makes no folder for the run: The storage is full. Free some.",))
    assert cleared(phone)
