"""The folder of a run in the app's external files: the plan goes there, records come from there."""

import contextlib
import hashlib
import json
import re
import shlex
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from runtime_bench.adb import staging
from runtime_bench.adb.client import Adb
from runtime_bench.app.asking import PACKAGE
from runtime_bench.errors import RunnerError

FOLDERS = f"/sdcard/Android/data/{PACKAGE}/files/benchmark"
RECORDS_FILE = "records.jsonl"
STATE_FILE = "state.json"
_PREFIX = "bench-"
_BETWEEN = "====="


@dataclass(frozen=True)
class State:
    """What the app says of a run. ``kind``: running, done, failed, refused or cancelled.

    ``reason`` and ``next_step`` are sentences where it failed or was refused.
    """

    kind: str
    text: str = ""
    done: int = 0
    total: int = 0
    reason: str = ""
    next_step: str = ""


@dataclass(frozen=True)
class Look:
    """What a look at the run told. None: no state yet, no process of the app.

    ``lines`` are the complete records that came since; ``size`` is how many bytes they take.
    """

    state: State | None
    process: int | None
    lines: tuple[str, ...]
    size: int


def run_name(started: str, device: str) -> str:
    """The name of the run that began at ``started``: a resumed run finds its folder by it."""
    return _PREFIX + hashlib.sha256(f"{started} {device}".encode()).hexdigest()[:12]


class RunFolder:
    """One run's folder. Methods raise DeviceError where the phone is lost."""

    def __init__(self, adb: Adb, name: str) -> None:
        self._adb = adb
        self.name = name
        self.path = f"{FOLDERS}/{name}"

    def remove_others(self) -> None:
        """Remove what runs left that lost their phone, and that nobody went on with."""
        for name in self._adb.shell(f"ls {FOLDERS}").output.split():
            if re.fullmatch(rf"{_PREFIX}[0-9a-f]{{12}}", name) and name != self.name:
                self._adb.shell(remove_text(f"{FOLDERS}/{name}"))

    def push(self, files: Mapping[str, Sequence[Path]]) -> None:
        """Bring files to folders in this one; those that lie there already stay.

        Raises RunnerError where the phone refuses them, or they arrive with other bytes.
        """
        with self._open_to_adb():
            staging.make_folders(self._adb, [f"{self.path}/{below}" for below in files])
            for below, here in files.items():
                there = f"{self.path}/{below}"
                if missing := staging.unlike(self._adb, here, there):
                    staging.push_proved(self._adb, missing, there)

    def write(self, name: str, content: bytes) -> None:
        """Write the file ``name``; raises RunnerError where the phone refuses it."""
        with tempfile.TemporaryDirectory() as made:
            file = Path(made) / name
            file.write_bytes(content)
            with self._open_to_adb():
                staging.push_proved(self._adb, [file], self.path)

    @contextlib.contextmanager
    def _open_to_adb(self) -> Iterator[None]:
        """Say what to do where a phone's maker keeps adb out of the apps' folders."""
        try:
            yield
        except RunnerError as error:
            if not re.search(r"permission denied|not permitted", error.message, re.IGNORECASE):
                raise
            raise RunnerError(
                f"The phone {self._adb.serial} keeps adb out of the app's folder {FOLDERS}.",
                "Measure with the app's own Benchmark screen, and share its results from there.",
            ) from None

    def forget_state(self) -> None:
        """Remove the state of an earlier start."""
        self._adb.shell(f"rm -f {self.path}/{STATE_FILE}")

    def lines_after(self, number: int) -> tuple[str, ...]:
        """The complete records after the first ``number``; none where there is no such file."""
        text = self._adb.shell(f"tail -n +{number + 1} {self.path}/{RECORDS_FILE}").output
        return _complete(text)[0]

    def look(self, offset: int) -> Look:
        """The state, the app's process, and the records from the byte ``offset`` on."""
        answer = self._adb.shell(look_text(self.path, offset))
        parts = answer.output.split(f"{_BETWEEN}\n", 2)
        state, process, records = (*parts, "", "", "")[:3]
        lines, size = _complete(records)
        found = re.match(r"\s*(\d+)", process, re.ASCII)
        return Look(_state(state), int(found[1]) if found else None, lines, size)

    def remove(self) -> None:
        """Remove the folder and everything in it."""
        self._adb.shell(remove_text(self.path))


def look_text(folder: str, offset: int) -> str:
    """The command of a look: one for everything, since each of them costs the phone a process."""
    return (
        f"cat {folder}/{STATE_FILE}; echo; echo {_BETWEEN}; pidof {PACKAGE}; echo {_BETWEEN}; "
        f"tail -c +{offset + 1} {folder}/{RECORDS_FILE}"
    )


def remove_text(folder: str) -> str:
    """The command that removes a run's folder."""
    if not re.fullmatch(rf"{re.escape(FOLDERS)}/{_PREFIX}[0-9a-f]{{12}}", folder):
        raise ValueError(f"{folder} is no folder of a run")
    return f"rm -rf {shlex.quote(folder)}"


def _complete(text: str) -> tuple[tuple[str, ...], int]:
    """The lines that have ended, and their bytes: the app may be writing the last one."""
    whole = text[: text.rfind("\n") + 1]
    return tuple(line for line in whole.split("\n") if line), len(whole.encode())


def _state(text: str) -> State | None:
    try:
        found = json.loads(text)
        return State(
            kind=str(found["state"]),
            text=str(found.get("text") or ""),
            done=int(found.get("done") or 0),
            total=int(found.get("total") or 0),
            reason=str(found.get("reason") or ""),
            next_step=str(found.get("next_step") or ""),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
