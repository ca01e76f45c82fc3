"""Bundles with tiny models, and a device whose runners are scripted."""

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from fake_adb import FakeAdb, write_adb
from tiny_bundles import write_bundle
from tiny_programs import tiny_program

from runtime_bench.devices.base import Cluster, Conditions, Device, Fingerprint, Snapshot
from runtime_bench.errors import DeviceError, RunnerError
from runtime_bench.plan import Plan, Settings, make_plan

MakeBundle = Callable[..., Path]


@pytest.fixture(scope="session", autouse=True)
def heard_interrupts() -> Iterator[None]:
    """Tests press Ctrl-C in programs that they start. Where a shell runs the tests in the
    background, it has them, and all that they start, ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def make_bundle(tmp_path: Path) -> MakeBundle:
    """Writes a bundle called ``name`` (see write_bundle) and gives its folder."""

    def make(name: str = "bundle", **options: Any) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        return write_bundle(folder, **options)

    return make


@pytest.fixture(scope="session")
def tiny_pte() -> bytes:
    """A program that computes the same as the tiny ONNX model."""
    return tiny_program()


@pytest.fixture
def two_entries(make_bundle: MakeBundle) -> Plan:
    """A subject, a baseline and the matrix product, one case, four rounds."""
    subject = make_bundle("subject")
    baseline = make_bundle("baseline", family="bert", recipe="stock")
    return make_plan(
        [str(subject)],
        baselines=[str(baseline)],
        lengths=[8],
        settings=Settings(blocks=4, seconds_per_block=0.01),
    )


class ScriptedDevice(Device):
    """A device on which time is a counter and every answer is made up.

    ``speed(entry address, now)`` gives the nanoseconds of one inference at virtual time ``now``
    (0, 1, 2, ...: one tick a block). ``faults`` maps (address, command, count) to an exception.
    ``clocks`` (kHz by core) and ``thermal_status`` are those of a moment; ``gone``: it cannot be
    reached any more.
    """

    name = "scripted"

    def __init__(self, speed: Callable[[str, int], int] = lambda _address, _now: 1000) -> None:
        self.speed = speed
        self.now = 0
        self.log: list[tuple[str, str]] = []
        self.faults: dict[tuple[str, str, int], BaseException] = {}
        self.open_runners = 0
        self.clocks: Callable[[int], Mapping[str, int]] | None = None
        self.thermal_status: Callable[[int], int] | None = None
        self.gone = False
        self.answer = [1.0, 2.0]
        self.cpus_got: list[int] | None = None
        self.asked: list[Mapping[str, Any]] = []

    def fingerprint(self) -> Fingerprint:
        clusters = (Cluster("little", (0, 1), 1_800_000), Cluster("big", (2,), 2_800_000))
        return Fingerprint("scripted", "none", "none", 3, (), 1, "none", False, {}, clusters)

    def conditions(self) -> Conditions:
        if self.thermal_status is None:
            return Conditions()
        return Conditions(thermal_status=self.thermal_status(self.now))

    def check_alive(self) -> None:
        if self.gone:
            raise DeviceError("The device is gone.", "Plug it in.")

    def versions(self) -> Mapping[str, str]:
        return {"scripted": "1"}

    def targets(self) -> frozenset[str]:
        return frozenset({"onnx", "sgemm"})

    def stage(self, folder: Path, path: str, files: Sequence[str]) -> str:
        assert path in files
        return f"{folder.name}/{path}"

    def start(self, target: str, limit: float) -> "ScriptedRunner":
        assert target in self.targets()
        assert limit > 0
        self.open_runners += 1
        return ScriptedRunner(self)

    def snapshot(self) -> Snapshot:
        return Snapshot(float(self.now), 0.0, 0.0)

    def gates(self, threads: Sequence[int], memory_bytes: int) -> tuple[()]:
        assert threads
        assert memory_bytes > 0
        return ()


class ScriptedRunner:
    versions: Mapping[str, str] = {"runtime": "1"}

    def __init__(self, device: ScriptedDevice) -> None:
        self._device, self._address, self._counts = device, "", dict[str, int]()
        self._closed = False

    def request(self, command: Mapping[str, Any], limit: float) -> Mapping[str, Any]:
        assert limit > 0
        name = str(command["command"])
        self._address = command.get("model", self._address)
        self._counts[name] = self._counts.get(name, 0) + 1
        self._device.log.append((self._address, name))
        self._device.asked.append(command)
        fault = self._device.faults.get((self._address, name, self._counts[name]))
        if fault is not None:
            raise fault
        return self._answers(name)

    def _answers(self, name: str) -> Mapping[str, Any]:
        if name == "load":
            got = self._device.cpus_got or self._device.asked[-1].get("cpus", [])
            return {"load_ns": 5, "rss_before_bytes": 10, "peak_rss_bytes": 20, "cpus_got": got}
        if name == "prepare":
            values = self._device.answer
            output = {"shape": [1, 2], "finite": True, "sha256": "0" * 64, "values": values}
            return {"first_inference_ns": 7, "outputs": {"logits": output}}
        if name == "warm_up":
            return {"steady": True, "wall_ns": [3, 3]}
        nanoseconds = self._device.speed(self._address, self._device.now)
        clocks = self._device.clocks
        seen = None if clocks is None else {"khz": clocks(self._device.now), "celsius": {}}
        self._device.now += 1
        return {
            "lead_in_ns": [nanoseconds],
            "lead_in_cpu_ns": [nanoseconds],
            "wall_ns": [nanoseconds] * 5,
            "cpu_ns": [nanoseconds] * 5,
            "peak_rss_bytes": 30,
            "before": seen,
            "after": seen,
        }

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._device.open_runners -= 1


@pytest.fixture
def scripted() -> type[ScriptedDevice]:
    return ScriptedDevice


@pytest.fixture
def runner_error() -> RunnerError:
    return RunnerError("The runner was ended by SIGKILL.", "Try again.")


@pytest.fixture
def fake_adb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeAdb:
    """Puts a shell script in adb's place; gives the file that its commands are written to."""

    def write(script: str) -> Path:
        log = write_adb(tmp_path / "fake", script)
        monkeypatch.setenv("PATH", f"{log.parent}:/usr/bin:/bin")
        return log

    return write
