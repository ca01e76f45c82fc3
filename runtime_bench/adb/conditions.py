"""How a phone is at the moment: clocks, temperatures, battery, screen, load."""

import re
import time
from dataclasses import dataclass

from runtime_bench.adb.client import Adb
from runtime_bench.adb.probe import STATISTICS, frequencies, parse_by_cpu
from runtime_bench.devices.base import Conditions, Snapshot

BATTERY = "dumpsys battery"
THERMAL = "dumpsys thermalservice"
POWER = "dumpsys power"
# Android counts CPU time in hundredths of a second (USER_HZ, part of Linux's interface on Arm).
_TICKS = 100.0
# Sensors that are not connected read 0 or below, or absurdly high; no phone runs at either.
_COLDEST, _HOTTEST = 0.0, 150.0
# BatteryManager.BATTERY_STATUS_*: 2 charging, 3 discharging, 4 not charging, 5 full.
_CHARGING = {2: True, 3: False, 4: False, 5: False}


@dataclass(frozen=True)
class Battery:
    """``dumpsys battery``. ``powered``: an outside source feeds the phone."""

    percent: float | None = None
    celsius: float | None = None
    charging: bool | None = None
    powered: bool | None = None


@dataclass(frozen=True)
class Thermal:
    """``dumpsys thermalservice``."""

    status: int | None
    celsius: dict[str, float]


def read_battery(adb: Adb) -> Battery:
    return parse_battery(adb.shell(BATTERY).output)


def read_conditions(adb: Adb, battery: Battery) -> Conditions:
    """``battery`` and the rest; raises DeviceError where the phone cannot be reached."""
    thermal = parse_thermal(adb.shell(THERMAL).output)
    return Conditions(
        khz={
            str(cpu): khz
            for cpu, khz in parse_by_cpu(adb.shell(frequencies("scaling_cur_freq")).output).items()
        },
        celsius=thermal.celsius,
        thermal_status=thermal.status,
        battery_percent=battery.percent,
        battery_celsius=battery.celsius,
        charging=battery.charging,
        screen_on=parse_screen(adb.shell(POWER).output),
    )


def read_snapshot(adb: Adb) -> Snapshot:
    """The phone's CPU time; None where it does not tell."""
    before = time.monotonic()
    text = adb.shell(STATISTICS).output
    # The phone counted somewhere between the question and the answer.
    at = (before + time.monotonic()) / 2
    busy, stolen = parse_statistics(text) or (None, None)
    return Snapshot(at, busy, stolen)


def parse_battery(text: str) -> Battery:
    """The first value under each name: some makers repeat names in lists of their own."""
    values: dict[str, str] = {}
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if colon:
            values.setdefault(name.strip(), value.strip())
    level, scale = _whole(values.get("level")), _whole(values.get("scale"))
    percent = 100.0 * level / scale if level is not None and scale and level <= scale else None
    tenths = _whole(values.get("temperature"))
    powered = [value for name, value in values.items() if name.endswith(" powered")]
    return Battery(
        percent=percent if values.get("present") != "false" else None,
        celsius=_temperature(tenths / 10 if tenths is not None else None),
        charging=_CHARGING.get(_whole(values.get("status")) or 0),
        powered="true" in powered if powered else None,
    )


def parse_thermal(text: str) -> Thermal:
    """The status, and each sensor's latest temperature.

    Where there are current values from the hardware they replace the cached ones before them.
    """
    status = re.search(r"^\s*Thermal Status: ([0-6])\s*$", text, re.M)
    celsius: dict[str, float] = {}
    # Headroom thresholds of Android 15 come after "static thresholds" and are no temperatures.
    measured = re.split(r"^\s*Temperature static thresholds", text, maxsplit=1, flags=re.M)[0]
    for value, name in re.findall(
        r"Temperature\{mValue=(-?[\d.]{1,12}), mType=-?\d+, mName=([^,}]{1,60}), mStatus=\d+\}",
        measured,
        re.ASCII,
    ):
        degrees = _temperature(_decimal(value))
        if degrees is not None:
            celsius[name] = degrees
    return Thermal(int(status[1]) if status else None, celsius)


def parse_screen(text: str) -> bool | None:
    """Whether the phone is awake with its display on.

    Android 14 and later print the display's state under another name; being awake is enough there.
    """
    awake = re.search(r"^\s*mWakefulness=(\w+)", text, re.M)
    display = re.search(r"^\s*Display Power: state=(\w+)", text, re.M)
    if awake is None and display is None:
        return None
    return (awake is None or awake[1] == "Awake") and (display is None or display[1] == "ON")


def parse_statistics(text: str) -> tuple[float, float] | None:
    """Seconds that all cores computed, and that a hypervisor took, from ``/proc/stat``."""
    match = re.search(r"^cpu +([\d ]+)$", text, re.M | re.ASCII)
    if match is None:
        return None
    # user nice system idle iowait irq softirq steal guest guest_nice (guest is part of user)
    ticks = [int(word) for word in match[1].split()]
    if len(ticks) < 7:
        return None
    busy = sum(ticks[:3]) + sum(ticks[5:7])
    return busy / _TICKS, (ticks[7] if len(ticks) > 7 else 0) / _TICKS


def _temperature(degrees: float | None) -> float | None:
    return degrees if degrees is not None and _COLDEST < degrees < _HOTTEST else None


def _decimal(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _whole(text: str | None) -> int | None:
    return int(text) if text and re.fullmatch(r"-?\d{1,9}", text, re.ASCII) else None
