"""What every phone at adb is, whatever computes on it: native runners, or the app."""

import contextlib
import time
from collections.abc import Sequence

from runtime_bench.adb import probe
from runtime_bench.adb.client import SHELL_V2, Adb, choose, parse_address
from runtime_bench.adb.conditions import Battery, read_battery, read_conditions, read_snapshot
from runtime_bench.adb.failures import lost, too_old, unusable
from runtime_bench.adb.phone_gates import PhoneState, phone_warnings
from runtime_bench.adb.visit import Visit
from runtime_bench.devices.base import (
    BenchWarning,
    Conditions,
    Device,
    Fingerprint,
    Snapshot,
    Usual,
)
from runtime_bench.errors import DeviceError

# Looks at a phone that vanished, a second apart: after adb's server was restarted, a phone comes
# back within a few.
_LOOKS = 5
# Seconds over which other load is counted before a run.
_LOAD_SECONDS = 0.5


def open_phone(address: str, kind: str) -> tuple[Adb, str]:
    """The client for ``SERIAL``, ``SERIAL@HOST:PORT``, or the only phone where it is empty.

    With the device's name for the ``kind``. Raises InputError where the phone is not there or its
    Android is too old, DeviceError where it cannot be used as it is now.
    """
    serial, server = parse_address(address)
    adb = Adb(server)
    chosen = choose(adb.listings(), serial, kind)
    if (error := unusable(chosen.serial, chosen.state)) is not None:
        raise error
    phone = adb.of(chosen.serial)
    if SHELL_V2 not in phone.features():
        raise too_old(chosen.serial, None)
    return phone, f"{kind}:{address or chosen.serial}"


class Handset(Device):
    """A phone that is made ready, watched, and left as it was found."""

    usual = Usual(pause_limit=300.0, starts=3)

    def __init__(self, adb: Adb, name: str) -> None:
        self.name = name
        self._adb = adb
        self._visit = Visit(adb)
        self._known: probe.Phone | None = None

    def fingerprint(self) -> Fingerprint:
        return probe.fingerprint(self._phone())

    def begin(self) -> tuple[BenchWarning, ...]:
        return self._visit.begin()

    def end(self) -> None:
        self._visit.end()

    def check_alive(self) -> None:
        for look in range(_LOOKS):
            if look:
                time.sleep(1)
            with contextlib.suppress(DeviceError):
                self._adb.require_usable()
                return
        raise lost(f"The phone {self._serial}")

    def snapshot(self) -> Snapshot:
        return read_snapshot(self._adb)

    def conditions(self) -> Conditions:
        return self._conditions(read_battery(self._adb))

    def gates(self, threads: Sequence[int], memory_bytes: int) -> tuple[BenchWarning, ...]:
        phone, adb = self._phone(), self._adb
        before = self.snapshot()
        time.sleep(_LOAD_SECONDS)
        after = self.snapshot()
        state = PhoneState(
            serial=self._serial,
            conditions=self.conditions(),
            cores=phone.cores,
            emulated=phone.emulated,
            fixed=self._visit.fixed,
            limit_khz=probe.parse_by_cpu(adb.shell(probe.frequencies("scaling_max_freq")).output),
            maximum_khz=probe.parse_by_cpu(adb.shell(probe.frequencies("cpuinfo_max_freq")).output),
            other_load=_load(before, after),
            free_memory_bytes=probe.parse_memory(
                adb.shell(probe.MEMORY_INFO).output, "MemAvailable"
            ),
        )
        return phone_warnings(state, threads, memory_bytes)

    @property
    def _serial(self) -> str:
        return self._adb.serial or self.name

    def _conditions(self, battery: Battery) -> Conditions:
        self._visit.refresh()
        return read_conditions(self._adb, battery)

    def _phone(self) -> probe.Phone:
        if self._known is None:
            self._known = probe.read_phone(self._adb)
        return self._known


def _load(before: Snapshot, after: Snapshot) -> float | None:
    """Cores kept busy between two snapshots; None where one of them does not tell."""
    if before.busy is None or after.busy is None:
        return None
    return (after.busy - before.busy) / (after.at - before.at)
