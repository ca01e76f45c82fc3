"""What every device offers, and how the kinds of devices are found.

A kind of device is one module in this package. It registers itself by defining

    KIND: str                                  the name before the colon, for example "host"
    def find() -> list[Device]                 the devices of this kind that are there now
    def open_device(address: str) -> Device    the one that the user named (KIND or KIND:address)
"""

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

from runtime_bench import devices as package
from runtime_bench.errors import InputError
from runtime_bench.runners.client import Runner

if TYPE_CHECKING:  # they look at devices themselves
    from runtime_bench.plan import Plan
    from runtime_bench.records import Record, RunRecord
    from runtime_bench.right_answers import RightAnswers


@dataclass(frozen=True)
class Cluster:
    """Cores of one kind: ``name`` is "little", "middle" or "big" ("all" where there is one kind).

    ``maximum_khz`` is None where the device does not tell.
    """

    name: str
    cpus: tuple[int, ...]
    maximum_khz: int | None


@dataclass(frozen=True)
class Fingerprint:
    """What a measurement depends on. Two runs are comparable only where these agree.

    ``features`` are the instruction sets that the kernels choose by; ``emulated`` is said in every
    report; ``clusters`` rise by speed; ``extra`` holds what only one kind of device knows.
    """

    kind: str
    model: str
    architecture: str
    cores: int
    features: tuple[str, ...]
    memory_bytes: int
    system: str
    emulated: bool
    extra: Mapping[str, Any]
    clusters: tuple[Cluster, ...] = ()


@dataclass(frozen=True)
class Snapshot:
    """Counters of the whole device at one moment, in seconds; differences tell of other load.

    ``busy`` is the time all cores together spent computing, ``stolen`` what a hypervisor took; None
    where the device does not tell.
    """

    at: float
    busy: float | None
    stolen: float | None


@dataclass(frozen=True)
class Conditions:
    """What can change while a run goes on; None or empty where the device does not tell.

    ``khz`` by core and ``celsius`` by sensor, running values. ``thermal_status`` is Android's: 0
    none, 1 light, 2 moderate, 3 severe and up. ``battery_percent`` of a full charge.
    """

    khz: Mapping[str, int] = field(default_factory=dict)
    celsius: Mapping[str, float] = field(default_factory=dict)
    thermal_status: int | None = None
    battery_percent: float | None = None
    battery_celsius: float | None = None
    charging: bool | None = None
    screen_on: bool | None = None


@dataclass(frozen=True)
class BenchWarning:
    """Something that can spoil a measurement, and what to do about it.

    ``blocking``: a gate says no, so nothing is measured unless the user insists.
    """

    code: str
    message: str
    remedy: str
    blocking: bool = False


@dataclass(frozen=True)
class Usual:
    """Settings that suit a kind of device.

    ``pause_limit``: seconds to wait when it slows down (0: that is not watched); ``starts``: cold
    and warm starts of every artifact.
    """

    pause_limit: float = 0.0
    starts: int = 0


class Device(Protocol):
    """A place where runners can be started. What a subclass leaves out has nothing to do there."""

    name: str
    #: What is done there unless the user says otherwise.
    usual: Usual = Usual()
    #: It computes on this machine, where one device at a time may.
    here: bool = False
    #: Its runners include one for the matrix product that other figures are held to.
    multiplies: bool = True
    #: It measures whole plans by itself (``measure``), and starts no runners.
    measures_plans: bool = False
    #: What whoever reads its figures has to know.
    notices: tuple[str, ...] = ()

    def fingerprint(self) -> Fingerprint: ...

    def versions(self) -> Mapping[str, str]:
        """Versions of everything on the device's side that the figures depend on."""
        ...

    def targets(self) -> AbstractSet[str]:
        """The targets that this device has a runner for."""
        ...

    def stage(self, folder: Path, path: str, files: Sequence[str]) -> str:
        """Bring an artifact's files to the device; the address its runner opens ``path`` by.

        What arrives has the bytes of what was sent; RunnerError otherwise.
        """
        ...

    def start(self, target: str, limit: float) -> Runner:
        """Start a runner for ``target``; raises RunnerError if it is not up in ``limit`` s."""
        ...

    def measure(
        self,
        plan: "Plan",  # noqa: ARG002
        head: "RunRecord",  # noqa: ARG002
        answers: "RightAnswers",  # noqa: ARG002
        write: "Callable[[Record], None]",  # noqa: ARG002
        show: Callable[[str], None],  # noqa: ARG002
        earlier: Path | None,  # noqa: ARG002
    ) -> tuple[str, ...]:
        """Measure the whole of ``plan`` where ``measures_plans``; the ids of entries that failed.

        ``head`` is the run's record; ``earlier`` the results file of a run that goes on.
        """
        raise InputError(f"{self.name} measures no whole plans.", "Start its runners.")

    def snapshot(self) -> Snapshot: ...

    def gates(self, threads: Sequence[int], memory_bytes: int) -> tuple[BenchWarning, ...]:
        """What speaks against measuring now. ``memory_bytes``: size of the models held at once."""
        ...

    def stage_peak(self, size: tuple[int, int, int]) -> str:
        """The address of the fp32 matrix product that the runner for "sgemm" opens.

        ``size``: rows, inner size, columns.
        """
        return "x".join(str(number) for number in size)

    def cpus(self, cluster: str) -> tuple[int, ...]:
        """The cores that a run on ``cluster`` is bound to; () for "all" (no binding).

        Raises InputError for a cluster that the device lacks.
        """
        return cluster_cpus(self.name, self.fingerprint().clusters, cluster)

    def check(self, files: Sequence[tuple[Path, int]]) -> None:  # noqa: ARG002
        """Raise InputError where ``files`` (with their bytes) cannot be measured here at all.

        Looks at architecture, system version, runners and free space; changes nothing.
        """
        return

    def dry_run(self, files: Sequence[tuple[Path, int]]) -> tuple[str, ...]:  # noqa: ARG002
        """The commands that a run with ``files`` would give to the device, in order."""
        return ()

    def begin(self) -> tuple[BenchWarning, ...]:
        """Get ready to measure (screen, fixed clocks); what could not be had."""
        return ()

    def end(self) -> None:
        """Undo ``begin`` and remove every file; safe to call twice, and when the device is gone."""
        return

    def check_alive(self) -> None:
        """Raise DeviceError when the device cannot be reached any more."""
        return

    def power_meter(self) -> Mapping[str, str]:
        """Files for a block's ``power`` (runners/protocol.py); empty where energy is not told."""
        return {}

    def conditions(self) -> Conditions:
        """How the device is now."""
        return Conditions()


def cluster_cpus(device: str, clusters: Sequence[Cluster], name: str) -> tuple[int, ...]:
    """The cores of the cluster called ``name``; () for "all". InputError for one not there."""
    if name == "all":
        return ()
    found = [cluster for cluster in clusters if cluster.name == name]
    if not found:
        known = ", ".join(cluster.name for cluster in clusters if cluster.name != "all")
        raise InputError(
            f"{device} has no cores called {name}.",
            f"Choose --cores from: {', '.join(filter(None, ['all', known]))}.",
        )
    return found[0].cpus


def kinds() -> dict[str, ModuleType]:
    """The device modules of this package by their kind."""
    modules = (
        importlib.import_module(f"{package.__name__}.{info.name}")
        for info in pkgutil.iter_modules(package.__path__)
        if info.name != "base"
    )
    return {module.KIND: module for module in modules}


def find_devices() -> list[Device]:
    """Every device that is there now."""
    return [device for module in kinds().values() for device in module.find()]


def open_device(name: str) -> Device:
    """The device called ``name``, for example ``host``; raises InputError for an unknown one."""
    kind, _, address = name.partition(":")
    modules = kinds()
    if kind not in modules:
        raise InputError(
            f"There is no device {name}.", "See what there is with: squeezebert-bench devices"
        )
    device: Device = modules[kind].open_device(address)
    return device
