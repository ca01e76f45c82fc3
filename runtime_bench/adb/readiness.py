"""What is changed on a phone while it is measured, and put back after that."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass

from runtime_bench.adb.client import Adb
from runtime_bench.adb.probe import frequencies, parse_by_cpu
from runtime_bench.adb.staging import STAY_ON_FILE
from runtime_bench.devices.base import BenchWarning

FIXED = "cmd power set-fixed-performance-mode-enabled"
STAY_ON = "stay_on_while_plugged_in"
KEEP_AWAKE = "svc power stayon true"
WAKE = "input keyevent KEYCODE_WAKEUP"
# The power service tells the hardware without waiting for it. Seconds.
_SETTLING = 0.5

Limits = Mapping[int, tuple[int | None, int | None]]


@dataclass(frozen=True)
class Ready:
    """What was changed. ``stay_on`` is the setting from before ("null": unset; None: untouched).

    ``fixed_clocks``: the phone took fixed-performance mode. (No phone tells whether it was on
    before, so it is off afterwards.)
    """

    stay_on: str | None
    fixed_clocks: bool


def get_ready(adb: Adb, folder: str, earlier: str | None) -> tuple[Ready, tuple[BenchWarning, ...]]:
    """Wake the phone, keep it awake, fix its clocks; and what could not be had.

    ``earlier`` is the setting that an interrupted run left to be put back, if one did.
    """
    stay_on, warnings = _keep_awake(adb, folder, earlier)
    fixed, more = _fix_clocks(adb)
    return Ready(stay_on, fixed), (*warnings, *more)


def put_back(adb: Adb, ready: Ready) -> None:
    """Undo ``get_ready``; raises DeviceError where the phone cannot be reached."""
    if ready.fixed_clocks:
        adb.shell(f"{FIXED} false")
    if ready.stay_on is not None:
        adb.shell(restore_command(ready.stay_on))


def restore_command(stay_on: str) -> str:
    """The command that gives the setting the value that it had."""
    if stay_on == "null":
        return f"settings delete global {STAY_ON}"
    return f"settings put global {STAY_ON} {stay_on}"


def earlier_setting(adb: Adb, folder: str) -> str | None:
    """The setting that the run of ``folder`` found and did not put back."""
    return _setting(adb.shell(f"cat {folder}/{STAY_ON_FILE}").output)


def _keep_awake(
    adb: Adb, folder: str, earlier: str | None
) -> tuple[str | None, tuple[BenchWarning, ...]]:
    adb.shell(WAKE)
    before = earlier or _setting(adb.shell(f"settings get global {STAY_ON}").output)
    if before is not None:
        adb.shell(f"echo {before} > {folder}/{STAY_ON_FILE}")
        if adb.shell(KEEP_AWAKE).code == 0:
            return before, ()
    remedy = "Set its screen timeout to the longest, and touch it before the run."
    return before, (
        BenchWarning("stay-awake", "The phone does not stay awake when told so.", remedy),
    )


def _fix_clocks(adb: Adb) -> tuple[bool, tuple[BenchWarning, ...]]:
    before = _limits(adb)
    answer = adb.shell(f"{FIXED} true")
    said = answer.output + answer.errors
    if answer.code or re.search(r"failed|unknown command|can't find service|not found", said, re.I):
        return False, (
            BenchWarning(
                "fixed-performance",
                "The phone has no fixed-performance mode: its clocks follow load and heat.",
                "Phones have it from Android 11 on, where the maker built it in; trust the "
                "ratios, and keep runs short and the phone cool.",
            ),
        )
    limits = _limits(adb)
    if before and limits == before and not _pinned(limits):
        time.sleep(_SETTLING)
        limits = _limits(adb)
    if not limits:
        return True, (
            BenchWarning(
                "clocks-unread",
                "The phone took fixed-performance mode but does not let its clocks be read back.",
                "Watch how much the matrix product changes from round to round.",
            ),
        )
    if limits == before and not _pinned(limits):
        return True, (
            BenchWarning(
                "clocks-not-fixed",
                "The phone took fixed-performance mode, but its clocks have the limits of before.",
                "Trust the ratios rather than the latencies.",
            ),
        )
    return True, ()


def _limits(adb: Adb) -> Limits:
    """The lowest and highest clock that each core may run at now."""
    lowest, highest = (
        parse_by_cpu(adb.shell(frequencies(name)).output)
        for name in ("scaling_min_freq", "scaling_max_freq")
    )
    return {cpu: (lowest.get(cpu), highest.get(cpu)) for cpu in sorted({*lowest, *highest})}


def _pinned(limits: Limits) -> bool:
    return bool(limits) and all(low is not None and low == high for low, high in limits.values())


def _setting(text: str) -> str | None:
    value = text.strip()
    return value if value == "null" or re.fullmatch(r"\d{1,3}", value, re.ASCII) else None
