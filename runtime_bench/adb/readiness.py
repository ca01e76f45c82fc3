"""What is changed on a phone while it is measured, and put back after that."""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import Enum

from runtime_bench.adb.client import Adb, ShellResult
from runtime_bench.adb.failures import refusal
from runtime_bench.adb.probe import frequencies, parse_by_cpu
from runtime_bench.adb.staging import STAY_ON_FILE
from runtime_bench.devices.base import BenchWarning

FIXED = "cmd power set-fixed-performance-mode-enabled"
STAY_ON = "stay_on_while_plugged_in"
STAY_ON_NOW = f"settings get global {STAY_ON}"
KEEP_AWAKE = "svc power stayon true"
WAKE = "input keyevent KEYCODE_WAKEUP"
# In place of a setting that the phone does not tell.
_UNTOLD = "unknown"
# The power service tells the hardware without waiting for it. Seconds.
_SETTLING = 0.5

Limits = Mapping[int, tuple[int | None, int | None]]


class _Clocks(Enum):
    """What this run knows of fixed-performance mode. (No phone tells whether it is on.)"""

    UNTOUCHED = "not asked for"
    ASKED = "perhaps on"
    TAKEN = "on"


@dataclass(frozen=True)
class Undo:
    """``command`` undoes a change after which the phone ``keeps`` something.

    ``succeeded`` judges the answer; ``forget`` is called where it did.
    """

    keeps: str
    command: str
    succeeded: Callable[[ShellResult], bool]
    forget: Callable[[], None] = lambda: None


class Readiness:
    """What a run changes on a phone.

    Each change is written down before it is made: here, and in the run's folder on the phone, from
    where a later run puts it back if this one cannot.
    """

    def __init__(self, adb: Adb, folder: str) -> None:
        self._adb, self._folder = adb, folder
        self._before: str | None = None
        self._stay_on: str | None = None
        self._clocks = _Clocks.UNTOUCHED
        self._fixed: AbstractSet[int] = frozenset()

    @property
    def fixed(self) -> AbstractSet[int]:
        """The cores whose limits fixed-performance mode changed."""
        return self._fixed

    def take_over(self, dead: Sequence[str]) -> None:
        """Write down how the phone was before this run and before those of the folders ``dead``.

        After that these can be removed. Raises RunnerError where the phone does not write.
        """
        answers = [self._adb.shell(f"cat {folder}/{STAY_ON_FILE}") for folder in dead]
        left = [answer.output for answer in answers if not answer.code]
        if left:
            self._clocks = _Clocks.ASKED
        self._stay_on = next(filter(None, map(_setting, left)), self._stay_on)
        self._before = self._stay_on or _setting(self._adb.shell(STAY_ON_NOW).output)
        answer = self._adb.shell(record_command(self._folder, self._before))
        if answer.code:
            raise refusal(self._adb.serial, "shell echo", answer.errors)

    def get_ready(self) -> tuple[BenchWarning, ...]:
        """Wake the phone, keep it awake, fix its clocks, after ``take_over``; what was not had."""
        return (*self._keep_awake(), *self._fix_clocks())

    def undo(self) -> tuple[Undo, ...]:
        """What has to be put back now."""
        found = []
        if self._clocks is not _Clocks.UNTOUCHED:
            # A phone that may lack the mode may say no: then there is nothing to undo.
            certain = self._clocks is _Clocks.TAKEN
            found.append(
                Undo(
                    "its clocks fixed",
                    f"{FIXED} false",
                    lambda answer: not (certain and _refused(answer)),
                    self._forget_clocks,
                )
            )
        if self._stay_on is not None:
            found.append(
                Undo(
                    "its screen on while it is plugged in",
                    restore_command(self._stay_on),
                    lambda answer: answer.code == 0,
                    self._forget_stay_on,
                )
            )
        return tuple(found)

    def _forget_clocks(self) -> None:
        self._clocks, self._fixed = _Clocks.UNTOUCHED, frozenset()

    def _forget_stay_on(self) -> None:
        self._stay_on = None

    def _keep_awake(self) -> tuple[BenchWarning, ...]:
        self._adb.shell(WAKE)
        if self._before is not None:
            self._stay_on = self._before
            if self._adb.shell(KEEP_AWAKE).code == 0:
                return ()
        remedy = "Set its screen timeout to the longest, and touch it before the run."
        return (BenchWarning("stay-awake", "The phone does not stay awake when told so.", remedy),)

    def _fix_clocks(self) -> tuple[BenchWarning, ...]:
        before = self._limits()
        self._clocks = _Clocks.ASKED
        if _refused(self._adb.shell(f"{FIXED} true")):
            self._clocks = _Clocks.UNTOUCHED
            return (
                BenchWarning(
                    "fixed-performance",
                    "The phone has no fixed-performance mode: its clocks follow load and heat.",
                    "Phones have it from Android 11 on, where the maker built it in; trust the "
                    "ratios, and keep runs short and the phone cool.",
                ),
            )
        self._clocks = _Clocks.TAKEN
        after = self._limits()
        if before and after == before:
            time.sleep(_SETTLING)
            after = self._limits()
        if before and after == before:
            # The mode can have been on already: off and on again tells.
            before, after = self._switched("false"), self._switched("true")
        if not before or not after:
            return (
                BenchWarning(
                    "clocks-unread",
                    "The phone took fixed-performance mode but does not let its clocks be read "
                    "back.",
                    "Watch how much the matrix product changes from round to round.",
                ),
            )
        self._fixed = frozenset(cpu for cpu in after if cpu in before and after[cpu] != before[cpu])
        if self._fixed or _pinned(after):
            return ()
        return (
            BenchWarning(
                "clocks-not-fixed",
                "The phone took fixed-performance mode, but its clocks have the limits of before.",
                "Trust the ratios rather than the latencies.",
            ),
        )

    def _switched(self, value: str) -> Limits:
        self._adb.shell(f"{FIXED} {value}")
        time.sleep(_SETTLING)
        return self._limits()

    def _limits(self) -> Limits:
        """The lowest and highest clock that each core may run at now."""
        lowest, highest = (
            parse_by_cpu(self._adb.shell(frequencies(name)).output)
            for name in ("scaling_min_freq", "scaling_max_freq")
        )
        return {cpu: (lowest.get(cpu), highest.get(cpu)) for cpu in sorted({*lowest, *highest})}


def record_command(folder: str, stay_on: str | None) -> str:
    """The command that writes the setting of before into ``folder``."""
    return f"echo {stay_on or _UNTOLD} > {folder}/{STAY_ON_FILE}"


def restore_command(stay_on: str) -> str:
    """The command that gives the setting the value that it had."""
    if stay_on == "null":
        return f"settings delete global {STAY_ON}"
    return f"settings put global {STAY_ON} {stay_on}"


def _refused(answer: ShellResult) -> bool:
    said = answer.output + answer.errors
    pattern = r"failed|unknown command|can't find service|not found"
    return bool(answer.code or re.search(pattern, said, re.IGNORECASE))


def _pinned(limits: Limits) -> bool:
    return bool(limits) and all(low is not None and low == high for low, high in limits.values())


def _setting(text: str) -> str | None:
    value = text.strip()
    return value if value == "null" or re.fullmatch(r"\d{1,3}", value, re.ASCII) else None
