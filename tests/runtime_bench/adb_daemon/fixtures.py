"""Fixtures of the tests with phones; test modules name this module as a plugin."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tiny_bundles import write_bundle

from runtime_bench import schedule
from runtime_bench.adb import handset, readiness
from runtime_bench.adb.client import Adb
from runtime_bench.native import places
from runtime_bench.plan import Entry
from runtime_bench.right_answers import RightAnswers

from .bench import Bench
from .client import AdbServer
from .runners import write_runners


@pytest.fixture(scope="module")
def adb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdbServer]:
    server = AdbServer(tmp_path_factory.mktemp("adb"))
    yield server
    server.kill()


@pytest.fixture(scope="module")
def phone_runners(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In place of the folder ``.native``."""
    folder = tmp_path_factory.mktemp("native")
    write_runners(folder / "aarch64")
    return folder


@pytest.fixture(scope="module")
def phone_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def known_answers() -> dict[str, Mapping[int, Any]]:
    """What this machine answers, by the artifact's hash: computed once for all tests."""
    return {}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """For the cases whose name says that something hangs: 3 s for an answer, in place of 20."""
    if "hangs" in request.node.name:
        monkeypatch.setattr(Adb.shell, "__defaults__", (3.0,))


@pytest.fixture
def bench(
    tmp_path: Path,
    adb_server: AdbServer,
    phone_runners: Path,
    phone_bundle: Path,
    known_answers: dict[str, Mapping[int, Any]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Bench]:
    for name, value in adb_server.environment.items():
        monkeypatch.setenv(name, value)
    for name in ("ADB_SERVER_SOCKET", "ANDROID_SERIAL", "ANDROID_ADB_SERVER_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(places, "folder", lambda: phone_runners)
    # Patience that a test need not have.
    monkeypatch.setattr(handset, "_LOOKS", 1)
    monkeypatch.setattr(handset, "_LOAD_SECONDS", 0.01)
    monkeypatch.setattr(schedule, "PAUSE_STEP", 0.01)
    monkeypatch.setattr(readiness, "_SETTLING", 0)
    compute = RightAnswers.of

    def answers(self: RightAnswers, entry: Entry) -> Mapping[int, Any]:
        key = entry.artifact.sha256 if entry.artifact else ""
        if key not in known_answers:
            known_answers[key] = compute(self, entry)
        return known_answers[key]

    monkeypatch.setattr(RightAnswers, "of", answers)
    bench = Bench(tmp_path, adb_server, phone_bundle, capsys)
    yield bench
    bench.close()
