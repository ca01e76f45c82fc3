"""What speaks against measuring a phone now: limits, each with where it comes from."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from runtime_bench.devices.base import BenchWarning, Conditions
from runtime_bench.gates import MEMORY_FACTOR, OTHER_LOAD_LIMIT

# Below it phones save power, for example by switching big cores off, even when plugged in:
# androidx.benchmark refuses to measure there (Errors.kt, MINIMUM_BATTERY_PERCENT).
LOWEST_BATTERY_PERCENT = 25.0
# react-native-executorch's benchmarks wait for 35 before every repeat. Near 40 at its surface a
# Samsung was seen to cap its big cores (CAPPED below), and batteries charge slower: no measuring.
WARM_BATTERY_CELSIUS = 35.0
HOT_BATTERY_CELSIUS = 40.0
# android.os.PowerManager.THERMAL_STATUS_*: 1 LIGHT is throttling that users do not notice, 2
# MODERATE is throttling that they hardly notice. The same Samsung capped its cores from 2 on.
LIGHT, MODERATE = 1, 2
# Overheat protection held those big cores at 0.61 and 0.72 of their clocks. Between that and 1 lie
# makers' permanent limits, under which ratios hold.
CAPPED = 0.75
THERMAL_NAMES = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")


@dataclass(frozen=True)
class PhoneState:
    """A phone just before a run. None, 0 and empty: it does not tell.

    ``limit_khz`` is what each core may run at now, ``maximum_khz`` what it can.
    ``fixed``: the cores whose limits fixed-performance mode changed, which is on purpose.
    """

    serial: str
    conditions: Conditions
    cores: int
    emulated: bool
    fixed: AbstractSet[int]
    limit_khz: Mapping[int, int]
    maximum_khz: Mapping[int, int]
    other_load: float | None
    free_memory_bytes: int | None


def phone_warnings(
    state: PhoneState, threads: Sequence[int], memory_bytes: int
) -> tuple[BenchWarning, ...]:
    """Warnings before a run on a phone; ``memory_bytes`` is the size of all models held at once."""
    return (
        *_screen(state),
        *_battery(state),
        *_heat(state),
        *_clocks(state),
        *_load(state, threads, memory_bytes),
        *_emulator(state),
    )


def _screen(state: PhoneState) -> tuple[BenchWarning, ...]:
    shell = f"adb -s {state.serial} shell"
    if state.conditions.screen_on is None:
        return (_untold("screen", "whether its screen is on", "Switch it on, and unlock it."),)
    if state.conditions.screen_on:
        return ()
    return (
        BenchWarning(
            "screen-off",
            "The screen is off: the phone keeps its fast cores from background work.",
            f"Switch it on with: {shell} input keyevent KEYCODE_WAKEUP",
            blocking=True,
        ),
    )


def _battery(state: PhoneState) -> tuple[BenchWarning, ...]:
    now, found = state.conditions, []
    if now.battery_percent is None:
        found.append(_untold("battery-level", "its battery's level", "Charge it to the full."))
    elif now.battery_percent < LOWEST_BATTERY_PERCENT:
        found.append(
            BenchWarning(
                "battery-low",
                f"The battery is at {now.battery_percent:.0f} %: below "
                f"{LOWEST_BATTERY_PERCENT:.0f} % phones slow themselves down.",
                "Charge it and run again.",
                blocking=True,
            )
        )
    if now.charging:
        found.append(
            BenchWarning(
                "charging",
                "The battery is being charged, which warms the phone; energy cannot be told.",
                "Wait until it is full, or go on without a cable: adb tcpip 5555, unplug, then "
                "adb connect ADDRESS:5555",
            )
        )
    if now.battery_celsius is None:
        found.append(
            _untold("battery-temperature", "its battery's temperature", "Let it rest first.")
        )
    elif now.battery_celsius >= WARM_BATTERY_CELSIUS:
        found.append(
            BenchWarning(
                "battery-hot",
                f"The battery has {now.battery_celsius:.1f} degrees Celsius "
                f"(warm from {WARM_BATTERY_CELSIUS:.0f}, too hot from {HOT_BATTERY_CELSIUS:.0f}).",
                "Take the phone out of its case and the sun, and let it cool.",
                blocking=now.battery_celsius >= HOT_BATTERY_CELSIUS,
            )
        )
    return tuple(found)


def _heat(state: PhoneState) -> tuple[BenchWarning, ...]:
    status = state.conditions.thermal_status
    if status is None:
        remedy = "Android tells it from version 10 on; watch the clocks and the matrix product."
        return (_untold("thermal", "its thermal status", remedy),)
    if status < LIGHT:
        return ()
    return (
        BenchWarning(
            "thermal",
            f"The thermal status is {status} ({THERMAL_NAMES[status]}): the phone is throttled.",
            f"Let it cool until this shows 0: adb -s {state.serial} shell dumpsys thermalservice",
            blocking=status >= MODERATE,
        ),
    )


def _clocks(state: PhoneState) -> tuple[BenchWarning, ...]:
    known = [cpu for cpu in state.maximum_khz if cpu in state.limit_khz]
    if not known:
        remedy = "Watch how much the matrix product changes from round to round."
        return (_untold("clocks", "its clocks", remedy),)
    shares = (
        (state.limit_khz[cpu] / state.maximum_khz[cpu], cpu)
        for cpu in known
        if cpu not in state.fixed
    )
    share, cpu = min(shares, default=(1.0, 0))
    if share >= 1:
        return ()
    return (
        BenchWarning(
            "clocks-capped",
            f"Core {cpu} is held at {state.limit_khz[cpu] / 1000:.0f} of its "
            f"{state.maximum_khz[cpu] / 1000:.0f} MHz.",
            "Let the phone cool, and switch the battery saver off: "
            f"adb -s {state.serial} shell settings put global low_power 0",
            blocking=share < CAPPED,
        ),
    )


def _load(state: PhoneState, threads: Sequence[int], memory_bytes: int) -> tuple[BenchWarning, ...]:
    found = []
    if state.other_load is None:
        found.append(_untold("other-load", "its load", "Close every app, and let it settle."))
    elif state.other_load > OTHER_LOAD_LIMIT:
        found.append(
            BenchWarning(
                "other-load",
                f"Other processes keep {state.other_load:.1f} cores busy.",
                "Close every app and wait for updates to end; interleaving protects the ratios, "
                "not the latencies.",
            )
        )
    if state.cores and max(threads) > state.cores:
        found.append(
            BenchWarning(
                "threads-above-cores",
                f"{max(threads)} threads on {state.cores} cores: they will wait for each other.",
                f"Measure with --threads {state.cores} or fewer.",
            )
        )
    free = state.free_memory_bytes
    if free is not None and memory_bytes * MEMORY_FACTOR > free:
        found.append(
            BenchWarning(
                "memory",
                f"The models need about {memory_bytes * MEMORY_FACTOR / 1e9:.1f} GB, "
                f"{free / 1e9:.1f} GB is free.",
                "Measure fewer artifacts at once: Android ends processes that take too much.",
            )
        )
    return tuple(found)


def _emulator(state: PhoneState) -> tuple[BenchWarning, ...]:
    if not state.emulated:
        return ()
    return (
        BenchWarning(
            "emulator",
            "This is an emulator: its times say nothing about a phone.",
            "Measure on a phone; use the emulator to try the commands.",
        ),
    )


def _untold(code: str, what: str, remedy: str) -> BenchWarning:
    return BenchWarning(f"{code}-unknown", f"The phone does not tell {what}.", remedy)
