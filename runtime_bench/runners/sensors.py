"""What a process can read of its memory, and of the machine's clocks and temperatures (Linux)."""

from pathlib import Path
from typing import Any

import psutil

_CORES = Path("/sys/devices/system/cpu")
_ZONES = Path("/sys/class/thermal")


def peak_rss_bytes() -> int:
    """The largest resident memory this process ever had (``VmHWM``), else the present one."""
    return _kilobytes(Path("/proc/self/status"), "VmHWM:") or int(
        psutil.Process().memory_info().rss
    )


def pss_bytes() -> int | None:
    """This process's memory now, shared pages divided by their users; None where not told."""
    return _kilobytes(Path("/proc/self/smaps_rollup"), "Pss:")


def clocks_and_temperatures(cores: Path = _CORES, zones: Path = _ZONES) -> dict[str, Any]:
    """``{"khz": {core: N}, "celsius": {sensor: N}}``: running clocks, sensors by their type.

    What the machine does not tell is left out. A sensor's number keeps equal types apart.
    """
    khz = {}
    for path in sorted(cores.glob("cpu[0-9]*/cpufreq/scaling_cur_freq")):
        if (value := _number(path)) is not None:
            khz[path.parent.parent.name.removeprefix("cpu")] = value
    celsius = {}
    for zone in sorted(zones.glob("thermal_zone*")):
        value, kind = _number(zone / "temp"), _text(zone / "type")
        if value is not None and kind:
            celsius[f"{kind}-{zone.name.removeprefix('thermal_zone')}"] = value / 1000
    return {"khz": khz, "celsius": celsius}


def _kilobytes(path: Path, key: str) -> int | None:
    for line in (_text(path) or "").splitlines():
        if line.startswith(key):
            return int(line.split()[1]) * 1024
    return None


def _number(path: Path) -> int | None:
    try:
        return int(_text(path) or "")
    except ValueError:
        return None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:  # not there, not readable, or the sensor is asleep
        return None
