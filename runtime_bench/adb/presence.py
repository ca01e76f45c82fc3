"""Whose a folder on the phone is: a mark in it names the run, a lock on this host says it lives."""

import fcntl
import os
import platform
import re
import shlex
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from runtime_bench.adb.client import Adb
from runtime_bench.adb.failures import refusal
from runtime_bench.adb.staging import PREFIX, run_folders
from runtime_bench.errors import GateError

MARK_FILE = "measured_by"
# The phone's clock in seconds: hosts that share a phone need not agree on the time.
CLOCK = "date +%s"
_LOCK_SUFFIX = ".lock"
# Seconds after which a mark is written anew, and after which one of another host counts as left
# behind. Between two looks at the phone a run may warm up and load for minutes.
_REFRESH = 60.0
_SILENCE = 900


@dataclass(frozen=True)
class Mark:
    """What a run wrote into its folder. ``at`` is the phone's time, None where it does not tell."""

    host: str
    process: int
    at: int | None
    lock: Path


@dataclass(frozen=True)
class OtherRuns:
    """Folders of other runs on the phone. ``dead``: nobody will come back for them."""

    dead: tuple[str, ...]
    live: tuple[tuple[str, Mark], ...]


class Presence:
    """This run's folder on the phone with its mark, as long as the run goes on."""

    def __init__(self, adb: Adb, folder: str) -> None:
        self._adb, self._folder = adb, folder
        self._lock: IO[bytes] | None = None
        self._marked_at = 0.0

    def show(self) -> None:
        """Make the folder, marked; raises RunnerError where the phone does not."""
        if self._lock is None:
            self._lock = tempfile.NamedTemporaryFile(  # noqa: SIM115 (closed in withdraw)
                prefix=PREFIX, suffix=_LOCK_SUFFIX
            )
            # Other users of this host look whether it is locked.
            os.fchmod(self._lock.fileno(), 0o644)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        answer = self._adb.shell(f"mkdir -p {self._folder} && {self._text()}")
        if answer.code:
            raise refusal(self._adb.serial, "shell mkdir", answer.errors)
        self._marked_at = time.monotonic()

    def refresh(self) -> None:
        """Mark the folder anew where the mark has become old."""
        if self._lock is not None and time.monotonic() - self._marked_at >= _REFRESH:
            self._adb.shell(self._text())
            self._marked_at = time.monotonic()

    def withdraw(self) -> None:
        """The run is over: what is left of it on the phone is for the next one to remove."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _text(self) -> str:
        """The command that writes the mark."""
        lock = "" if self._lock is None else self._lock.name
        return (
            f'echo {_host()} {os.getpid()} "$({CLOCK})" {shlex.quote(lock)} '
            f"> {self._folder}/{MARK_FILE}"
        )


def other_runs(adb: Adb, own: str) -> OtherRuns:
    """The runs beside the one of the folder ``own``."""
    dead: list[str] = []
    live: list[tuple[str, Mark]] = []
    for folder in run_folders(adb):
        if folder == own:
            continue
        mark = parse_mark(adb.shell(f"cat {folder}/{MARK_FILE}").output)
        if mark is not None and _lives(adb, mark):
            live.append((folder, mark))
        else:
            dead.append(folder)
    return OtherRuns(tuple(dead), tuple(live))


def dead_runs(adb: Adb, own: str) -> tuple[str, ...]:
    """The folders that earlier runs left; raises GateError while another run measures."""
    found = other_runs(adb, own)
    for folder, mark in found.live:
        raise GateError(
            f"Another run measures the phone {adb.serial} (process {mark.process} of {mark.host}).",
            "Wait until it has ended. If it is gone, remove its mark with: "
            + adb.typed("shell", f"rm {folder}/{MARK_FILE}"),
        )
    return found.dead


def occupied_bytes(adb: Adb, folders: Sequence[str]) -> int:
    """What ``folders`` hold; 0 where the phone does not tell."""
    if not folders:
        return 0
    text = adb.shell(f"du -sk {' '.join(folders)}").output
    sizes = re.findall(r"^(\d{1,12})\s+/\S+\s*$", text, re.M | re.ASCII)
    return sum(int(size) for size in sizes) * 1024


def parse_mark(text: str) -> Mark | None:
    """``HOST PROCESS TIME LOCK``; None for anything else."""
    match = re.fullmatch(r"(\S+) (\d{1,10}) (\d{0,12}) (/.+)", text.strip(), re.ASCII)
    if match is None:
        return None
    return Mark(match[1], int(match[2]), int(match[3]) if match[3] else None, Path(match[4]))


def _lives(adb: Adb, mark: Mark) -> bool:
    if mark.host == _host():
        return _locked(mark.lock)
    now = adb.shell(CLOCK).output.strip()
    if mark.at is None or not re.fullmatch(r"\d{1,12}", now, re.ASCII):
        return True
    return abs(int(now) - mark.at) < _SILENCE


def _locked(lock: Path) -> bool:
    """Whether a process of this host holds ``lock``. (The name comes from the phone.)"""
    if not re.fullmatch(rf"{PREFIX}\w+{re.escape(_LOCK_SUFFIX)}", lock.name):
        return False
    if not lock.is_file():
        return False
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9.-]", "-", platform.node()) or "unknown"
