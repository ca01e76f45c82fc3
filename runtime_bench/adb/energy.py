"""The battery's own meter of current and voltage: whether it is there, and tells what can be."""

import re
from collections.abc import Mapping

from runtime_bench.adb.client import Adb
from runtime_bench.adb.conditions import Battery
from runtime_bench.devices.base import BenchWarning

METER = {
    "current_ua": "/sys/class/power_supply/battery/current_now",
    "voltage_uv": "/sys/class/power_supply/battery/voltage_now",
}
# Watts that a phone with its screen on can draw. Outside of them the meter stands still, or counts
# in units other than Linux's microamperes and microvolts (Documentation/ABI/testing,
# sysfs-class-power), as some makers' do.
LOWEST_WATTS, HIGHEST_WATTS = 0.05, 30.0
_NO_CABLE = "Measure without a cable: adb tcpip 5555, unplug, adb connect ADDRESS:5555"
_ANOTHER = "Measure energy on another phone; times are not affected."


def fed(battery: Battery) -> bool:
    """Whether a cable feeds the phone past its battery, whose meter then tells nothing."""
    return bool(battery.powered or battery.charging)


def choose_meter(adb: Adb, battery: Battery) -> tuple[Mapping[str, str], tuple[BenchWarning, ...]]:
    """The files of current and voltage; {} with a warning where energy cannot be told."""
    if fed(battery):
        return {}, (_unknown(adb, "a cable feeds it", _NO_CABLE),)
    if battery.powered is None:
        return {}, (_unknown(adb, "it does not tell whether a cable feeds it", _ANOTHER),)
    readings = [adb.shell(f"cat {path}").output.strip() for path in METER.values()]
    if not all(re.fullmatch(r"-?\d{1,12}", text, re.ASCII) for text in readings):
        return {}, (_unknown(adb, "its battery's meter cannot be read", _ANOTHER),)
    current, voltage = (int(text) for text in readings)
    watts = abs(current) * 1e-6 * voltage * 1e-6
    if not LOWEST_WATTS <= watts <= HIGHEST_WATTS:
        why = (
            f"its battery's meter shows {watts:.3g} W, which is not between {LOWEST_WATTS} and "
            f"{HIGHEST_WATTS:.0f} W"
        )
        return {}, (_unknown(adb, why, _ANOTHER),)
    return dict(METER), ()


def _unknown(adb: Adb, why: str, remedy: str) -> BenchWarning:
    return BenchWarning(
        "energy-unknown", f"Energy is not measured on the phone {adb.serial}: {why}.", remedy
    )
