"""What every device offers, and how the kinds of devices are found.

A kind of device is one module in this package. It registers itself by defining

    KIND: str                                  the name before the colon, for example "host"
    def find() -> list[Device]                 the devices of this kind that are there now
    def open_device(address: str) -> Device    the one that the user named (KIND or KIND:address)
"""

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from runtime_bench import devices as package
from runtime_bench.errors import InputError
from runtime_bench.runners.client import Runner


@dataclass(frozen=True)
class Fingerprint:
    """What a measurement depends on. Two runs are comparable only where these agree.

    ``features`` are the instruction sets that the kernels choose by; ``emulated`` is said in every
    report; ``extra`` holds what only one kind of device knows.
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


@dataclass(frozen=True)
class Snapshot:
    """Counters of the whole device at one moment, in seconds; differences tell of other load.

    ``busy`` is the time all cores together spent computing, ``stolen`` what a hypervisor took.
    """

    at: float
    busy: float
    stolen: float


@dataclass(frozen=True)
class BenchWarning:
    """Something that can spoil a measurement, and what to do about it."""

    code: str
    message: str
    remedy: str


class Device(Protocol):
    """A place where runners can be started."""

    name: str

    def fingerprint(self) -> Fingerprint: ...

    def versions(self) -> Mapping[str, str]:
        """Versions of everything on the device's side that the figures depend on."""
        ...

    def targets(self) -> AbstractSet[str]:
        """The targets that this device has a runner for."""
        ...

    def stage(self, folder: Path, path: str, files: Sequence[str]) -> str:
        """Bring an artifact's files to the device; the address its runner opens ``path`` by."""
        ...

    def start(self, target: str, limit: float) -> Runner:
        """Start a runner for ``target``; raises RunnerError if it is not up in ``limit`` s."""
        ...

    def snapshot(self) -> Snapshot: ...

    def gates(self, threads: Sequence[int], memory_bytes: int) -> tuple[BenchWarning, ...]:
        """What speaks against measuring now. ``memory_bytes``: size of the models held at once."""
        ...


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
