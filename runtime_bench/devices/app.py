"""The Android app on a phone: ``app:SERIAL``, ``app`` for the only phone there.

``app:SERIAL@HOST:PORT`` is a phone at the adb server of another host. The app measures a whole plan
by itself, in one process: what it finds is what users of the app get. The native runners (``adb``)
give every artifact a process of its own, and can bind it to cores.
"""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

from runtime_bench.adb import presence, staging
from runtime_bench.adb.client import Adb
from runtime_bench.adb.handset import Handset, open_phone
from runtime_bench.app import asking, follow
from runtime_bench.app.dry_run import commands
from runtime_bench.app.plan_file import PLAN_SCHEMA
from runtime_bench.app.run_folder import RunFolder, run_name
from runtime_bench.devices import adb as phones
from runtime_bench.devices.base import Device, Fingerprint
from runtime_bench.errors import BenchError, InputError, RunnerError
from runtime_bench.plan import Plan
from runtime_bench.progress import say
from runtime_bench.records import Record, RunRecord
from runtime_bench.right_answers import RightAnswers
from runtime_bench.runners.client import Runner

KIND = "app"
# What is pushed lies on the phone twice: the app loads a copy that only it can change.
_COPIES = 2
# Seconds for each step of clearing up on a phone that may be gone.
_IMPATIENT = 5.0


def find() -> list[Device]:
    """Every phone that has the app and can be used now."""
    adb, found = Adb(), list[Device]()
    try:
        for listing in adb.listings():
            phone = adb.of(listing.serial)
            if listing.state == "device" and asking.is_installed(phone):
                found.append(AppDevice(phone, f"{KIND}:{listing.serial}"))
    except BenchError:
        return found
    return found


def missing() -> str:
    """Why ``find`` finds nothing, and the next step; "" where it finds a phone."""
    if find():
        return ""
    installed = "make apk; adb install -r android_app/app/target/squeezebert-arm64-v8a.apk"
    return phones.missing() or f"No phone has the app. Install it with: {installed}"


def open_device(address: str) -> Device:
    """The phone ``SERIAL``, ``SERIAL@HOST:PORT``, or the only one where the serial is empty.

    Raises InputError where it is not there or its Android is too old, DeviceError where it cannot
    be used as it is now.
    """
    return AppDevice(*open_phone(address, KIND))


class AppDevice(Handset):
    """A phone on which the app measures."""

    multiplies = False
    measures_plans = True
    notices = (
        "Measured inside the app: one process holds all models, the runtimes and the app itself, "
        "so that peak memory and PSS are of all of them, and starts open the model again in the "
        "same process, with its file in the page cache.",
    )

    def __init__(self, adb: Adb, name: str) -> None:
        super().__init__(adb, name)
        self._told: asking.About | None = None
        self._folder: RunFolder | None = None

    def fingerprint(self) -> Fingerprint:
        """The phone as the app sees it, which is less than adb's shell sees."""
        return self._about().phone

    def versions(self) -> Mapping[str, str]:
        return self._about().versions

    def targets(self) -> AbstractSet[str]:
        engines = self._about().engines
        return {target for target, engine in engines.items() if engine.version is not None}

    def cpus(self, cluster: str) -> tuple[int, ...]:
        if cluster != "all":
            raise InputError(
                f"The app cannot choose its cores, so that nothing runs on {cluster} alone.",
                "Leave --cores out, or measure with the native runners: --device adb",
            )
        return ()

    def check(self, files: Sequence[tuple[Path, int]]) -> None:
        about = self._about()
        if about.plans != PLAN_SCHEMA:
            raise InputError(
                f"The app on the phone {self._serial} reads plans of {about.plans}, this version "
                f"writes {PLAN_SCHEMA}.",
                "Install the app that belongs to this version: make apk",
            )
        if not self.targets():
            reasons = " ".join(engine.missing for engine in about.engines.values())
            raise InputError(
                f"The app on the phone {self._serial} has no engine that runs there.",
                reasons or "Build it with an engine: make apk",
            )
        size = sum(size for _, size in files) * _COPIES
        staging.check_space(self._adb, size, self._reclaimable)

    def dry_run(self, files: Sequence[tuple[Path, int]]) -> tuple[str, ...]:
        return commands(self._adb, self._visit.folder, [file for file, _ in files])

    def measure(
        self,
        plan: Plan,
        head: RunRecord,
        answers: RightAnswers,
        write: Callable[[Record], None],
        show: Callable[[str], None],
        earlier: Path | None,
    ) -> tuple[str, ...]:
        """The whole of ``plan``; the ids of the entries that failed (app/follow.py)."""
        self._folder = RunFolder(self._adb, run_name(head.started, self.name))
        return follow.measure(
            self._adb, self._folder, plan, head, answers, write, show, earlier, self._visit.refresh
        )

    def end(self) -> None:
        if self._folder is not None:
            folder, self._folder = self._folder, None
            try:
                self._adb.shell(asking.STOP, _IMPATIENT)
                folder.remove()
            except BenchError:
                say(
                    f"Warning: the app on the phone {self._serial} may go on measuring. What it "
                    "measures meanwhile comes with the same command and --resume; or remove it: "
                    + self._adb.typed("shell", f"{asking.STOP}; rm -rf {folder.path}")
                )
        super().end()

    def stage(self, folder: Path, path: str, files: Sequence[str]) -> str:  # noqa: ARG002
        raise _measures_itself()

    def start(self, target: str, limit: float) -> Runner:  # noqa: ARG002
        raise _measures_itself()

    def _about(self) -> asking.About:
        if self._told is None:
            self._told = asking.about(self._adb)
        return self._told

    def _reclaimable(self) -> int:
        """The bytes of earlier runs, which ``begin`` removes."""
        dead = presence.other_runs(self._adb, self._visit.folder).dead
        return presence.occupied_bytes(self._adb, dead)


def _measures_itself() -> RunnerError:
    return RunnerError("The app measures whole plans.", "Measure with: squeezebert-bench run")
