"""Phones and emulators through adb: ``adb:SERIAL``, ``adb`` for the only one there.

``adb:SERIAL@HOST:PORT`` is a phone at the adb server of another host.
"""

import tempfile
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

from runtime_bench.adb import energy, presence, probe, staging
from runtime_bench.adb.client import Adb, choose
from runtime_bench.adb.conditions import read_battery
from runtime_bench.adb.dry_run import commands
from runtime_bench.adb.failures import too_old
from runtime_bench.adb.handset import Handset, open_phone
from runtime_bench.adb.runner import PhoneRunner, kill_text, start_text
from runtime_bench.adb.runner_set import RunnerSet, find_runners
from runtime_bench.devices.base import (
    BenchWarning,
    Conditions,
    Device,
)
from runtime_bench.errors import BenchError, InputError, RunnerError
from runtime_bench.runners.client import Runner
from runtime_bench.runners.native import write_peak_model

KIND = "adb"
# The first Android whose adb tells exit codes (7.0), by shell protocol 2.
_OLDEST_SDK = 24


def find() -> list[Device]:
    """Every phone that adb knows, also those that cannot be used: their methods say why not."""
    adb = Adb()
    try:
        listings = adb.listings()
    except BenchError:
        return []
    return [PhoneDevice(adb.of(item.serial), f"{KIND}:{item.serial}") for item in listings]


def missing() -> str:
    """Why ``find`` finds nothing, and the next step; "" where it finds a phone."""
    try:
        choose(Adb().listings()[:1], "")
    except BenchError as error:
        return str(error)
    return ""


def open_device(address: str) -> Device:
    """The phone ``SERIAL``, ``SERIAL@HOST:PORT``, or the only one where the serial is empty.

    Raises InputError where it is not there or its Android is too old, DeviceError where it cannot
    be used as it is now.
    """
    return PhoneDevice(*open_phone(address, KIND))


class PhoneDevice(Handset):
    """A phone on which the native runners compute."""

    def __init__(self, adb: Adb, name: str) -> None:
        super().__init__(adb, name)
        self._folder = self._visit.folder
        self._meter: Mapping[str, str] = {}
        self._fed = False
        self._staged = 0
        self._started = 0
        self._runners_there = False

    def versions(self) -> Mapping[str, str]:
        runners = find_runners()
        return {"adb": self._adb.client_version(), **(runners.versions() if runners else {})}

    def targets(self) -> AbstractSet[str]:
        runners = find_runners()
        return runners.targets() if runners else frozenset()

    def check(self, files: Sequence[tuple[Path, int]]) -> None:
        phone = self._phone()
        if phone.sdk is not None and phone.sdk < _OLDEST_SDK:
            raise too_old(self._serial, phone.android)
        # The first is what the processor runs itself; emulators translate others for apps only.
        if (phone.abis and phone.abis[0] != probe.ABI) or phone.architecture == "armv7l":
            what = ", ".join(phone.abis) or phone.architecture
            raise InputError(
                f"The phone {self._serial} runs {what}, the runners are for {probe.ABI}.",
                f"Choose a phone or an emulator image for {probe.ABI}.",
            )
        runners = self._runners()
        size = sum(size for _, size in files) + runners.size()
        staging.check_space(self._adb, size, self._reclaimable)

    def dry_run(self, files: Sequence[tuple[Path, int]]) -> tuple[str, ...]:
        return commands(self._adb, self._folder, self._runners(), [file for file, _ in files])

    def begin(self) -> tuple[BenchWarning, ...]:
        warnings = super().begin()
        battery = read_battery(self._adb)
        self._fed = energy.fed(battery)
        self._meter, unknown = energy.choose_meter(self._adb, battery)
        return (*warnings, *unknown, *_experimental(find_runners()))

    def end(self) -> None:
        self._runners_there = False
        self._meter = {}
        super().end()

    def stage(self, folder: Path, path: str, files: Sequence[str]) -> str:
        self._visit.refresh()
        place = self._new_place()
        below = sorted({str(Path(file).parent) for file in files})
        staging.make_folders(self._adb, [f"{place}/{parent}" for parent in below])
        for parent in below:
            here = [folder / file for file in files if str(Path(file).parent) == parent]
            staging.push_proved(self._adb, here, f"{place}/{parent}")
        return f"{place}/{path}"

    def stage_peak(self, size: tuple[int, int, int]) -> str:
        place = self._new_place()
        staging.make_folders(self._adb, [place])
        with tempfile.TemporaryDirectory() as folder:
            model = Path(folder) / "sgemm.onnx"
            write_peak_model(model, size)
            staging.push_proved(self._adb, [model], place)
        return f"{place}/sgemm.onnx"

    def start(self, target: str, limit: float) -> Runner:
        runners = self._runners()
        if target not in runners.targets():
            raise RunnerError(
                f"There is no runner for {target} in {runners.folder}.", "Leave that artifact out."
            )
        self._visit.refresh()
        self._bring_runners(runners)
        self._started += 1
        process_file = f"{self._started}.pid"
        return PhoneRunner(
            self._adb,
            start_text(
                self._folder, runners.executable(target), process_file, bundled=runners.bundled
            ),
            kill_text(self._folder, process_file),
            limit,
            self.check_alive,
        )

    def power_meter(self) -> Mapping[str, str]:
        """Chosen in ``begin``; empty while a cable feeds the phone, as ``conditions`` saw last."""
        return {} if self._fed else self._meter

    def conditions(self) -> Conditions:
        battery = read_battery(self._adb)
        self._fed = energy.fed(battery)
        return self._conditions(battery)

    def gates(self, threads: Sequence[int], memory_bytes: int) -> tuple[BenchWarning, ...]:
        missing = () if find_runners() else (_NO_RUNNERS,)
        return (*missing, *super().gates(threads, memory_bytes))

    def _runners(self) -> RunnerSet:
        runners = find_runners()
        if runners is None:
            raise InputError(_NO_RUNNERS.message, _NO_RUNNERS.remedy)
        return runners

    def _bring_runners(self, runners: RunnerSet) -> None:
        if self._runners_there:
            return
        self._visit.make_folder()
        staging.push_proved(self._adb, runners.files(), self._folder)
        staging.make_executable(
            self._adb, [f"{self._folder}/{name}" for name in runners.executables()]
        )
        self._runners_there = True

    def _new_place(self) -> str:
        self._staged += 1
        return f"{self._folder}/models/{self._staged}"

    def _reclaimable(self) -> int:
        """The bytes of earlier runs, which ``begin`` removes."""
        dead = presence.other_runs(self._adb, self._folder).dead
        return presence.occupied_bytes(self._adb, dead)


_NO_RUNNERS = BenchWarning(
    "runners",
    "The native runners for phones are not built.",
    "Build them with: make native",
    blocking=True,
)


def _experimental(runners: RunnerSet | None) -> tuple[BenchWarning, ...]:
    if runners is None or not runners.bundled:
        return ()
    return (
        BenchWarning(
            "experimental-runner",
            "The runners bring a Linux C library of their own, which is experimental.",
            f"Build them with the NDK into {runners.preferred}, or use the app's benchmark.",
        ),
    )
