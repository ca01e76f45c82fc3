"""This machine."""

import importlib.metadata
import importlib.util
import pkgutil
import platform
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

import psutil

from runtime_bench import features, runners
from runtime_bench.devices.base import BenchWarning, Conditions, Device, Fingerprint, Snapshot
from runtime_bench.errors import InputError, RunnerError
from runtime_bench.gates import HostState, host_warnings
from runtime_bench.native.places import require_runners
from runtime_bench.runners.client import LocalRunner, Runner
from runtime_bench.runners.native import EXECUTABLES, write_peak_model
from runtime_bench.runners.sensors import clocks_and_temperatures

KIND = "host"
_NATIVE = "native"
_FEATURES = frozenset(features.X86 + features.ARM)
_WORKER_SUFFIX = "_worker"
_VERSIONED = ("squeezebert-mobile", "onnxruntime", "executorch", "numpy")


def find() -> list[Device]:
    try:
        return [Host(), NativeHost()]
    except InputError:  # the native runners are not built
        return [Host()]


def open_device(address: str) -> Device:
    if address == _NATIVE:
        return NativeHost()
    if address:
        raise InputError(
            f"host:{address} is not a device.",
            f"This machine is called host, or {KIND}:{_NATIVE} with the runners that phones get.",
        )
    return Host()


class Host(Device):
    """Runs each runner as a local Python process, ``runners/TARGET_worker.py``."""

    name = KIND
    here = True

    def fingerprint(self) -> Fingerprint:
        flags = _cpu_info(("flags", "Features")).split()
        return Fingerprint(
            kind=KIND,
            model=_cpu_info(("model name", "Hardware", "Processor")) or platform.processor(),
            architecture=platform.machine(),
            cores=_usable_cores(),
            features=tuple(sorted(_FEATURES.intersection(flags))),
            memory_bytes=int(psutil.virtual_memory().total),
            system=f"{platform.system()} {platform.release()}",
            emulated=False,
            extra={
                "virtual_machine": "hypervisor" in flags,
                "governor": _governor(),
                "caches": _caches(),
            },
        )

    def versions(self) -> Mapping[str, str]:
        found = {"python": platform.python_version()}
        for name in _VERSIONED:
            try:
                found[name] = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                found[name] = "not installed as a package"
        return found

    def targets(self) -> AbstractSet[str]:
        """A runner is one file, ``runners/TARGET_worker.py``: putting it there registers it."""
        return frozenset(
            info.name.removesuffix(_WORKER_SUFFIX)
            for info in pkgutil.iter_modules(runners.__path__)
            if info.name.endswith(_WORKER_SUFFIX)
        )

    def stage(self, folder: Path, path: str, files: Sequence[str]) -> str:  # noqa: ARG002
        return str((folder / path).resolve())

    def start(self, target: str, limit: float) -> Runner:
        module = f"{runners.__name__}.{target}{_WORKER_SUFFIX}"
        if importlib.util.find_spec(module) is None:
            raise RunnerError(
                f"There is no runner for {target} on this machine.", "Leave that artifact out."
            )
        return LocalRunner([sys.executable, "-m", module], limit)

    def snapshot(self) -> Snapshot:
        times = psutil.cpu_times()
        idle = times.idle + getattr(times, "iowait", 0.0)
        stolen = getattr(times, "steal", 0.0)
        # guest time is part of user time already
        guest = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
        return Snapshot(time.monotonic(), sum(times) - idle - stolen - guest, stolen)

    def conditions(self) -> Conditions:
        battery = _battery()
        return Conditions(
            **clocks_and_temperatures(),
            battery_percent=None if battery is None else float(battery.percent),
            charging=None if battery is None else bool(battery.power_plugged),
        )

    def gates(self, threads: Sequence[int], memory_bytes: int) -> tuple[BenchWarning, ...]:
        battery = _battery()
        state = HostState(
            cores=_usable_cores(),
            other_load=psutil.cpu_percent(interval=0.5) / 100 * (psutil.cpu_count() or 1),
            free_memory_bytes=int(psutil.virtual_memory().available),
            governor=_governor(),
            on_battery=battery is not None and not battery.power_plugged,
        )
        return host_warnings(state, threads, memory_bytes)


class NativeHost(Host):
    """Runs the native runners, as phones do: the same harness without a phone."""

    name = f"{KIND}:{_NATIVE}"

    def __init__(self) -> None:
        self._folder = require_runners(platform.machine())
        self._made = tempfile.TemporaryDirectory(prefix="squeezebert-bench-")

    def versions(self) -> Mapping[str, str]:
        return {**super().versions(), "runners": "native"}

    def targets(self) -> AbstractSet[str]:
        return frozenset(EXECUTABLES)

    def stage_peak(self, size: tuple[int, int, int]) -> str:
        path = Path(self._made.name, "peak.onnx")
        write_peak_model(path, size)
        return str(path)

    def start(self, target: str, limit: float) -> Runner:
        return LocalRunner([str(self._folder / EXECUTABLES[target])], limit)

    def end(self) -> None:
        self._made.cleanup()


def _battery() -> Any:
    return psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None


def _usable_cores() -> int:
    affinity = getattr(psutil.Process(), "cpu_affinity", None)
    return len(affinity()) if affinity is not None else (psutil.cpu_count() or 1)


def _cpu_info(keys: Sequence[str]) -> str:
    """The first value of ``/proc/cpuinfo`` under one of ``keys``, or an empty string."""
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return ""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in keys:
            return value.strip()
    return ""


def _governor() -> str | None:
    path = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    return path.read_text(encoding="ascii").strip() if path.exists() else None


def _caches() -> dict[str, Any]:
    """Sizes of the first core's caches, for example ``{"L2 unified": "2048K"}``."""
    found = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            level, kind, size = (
                (index / name).read_text(encoding="ascii").strip()
                for name in ("level", "type", "size")
            )
        except OSError:
            continue
        found[f"L{level} {kind.lower()}"] = size
    return found
