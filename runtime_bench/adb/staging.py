"""Files on the phone: a folder of this run's own, every file's bytes proved there, removal."""

import hashlib
import re
import secrets
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from runtime_bench.adb.client import Adb
from runtime_bench.adb.failures import refusal
from runtime_bench.adb.probe import FREE_SPACE, STORAGE, parse_free_space
from runtime_bench.errors import BenchError, InputError, RunnerError

PREFIX = "squeezebert-bench-"
# Holds the setting that the run changed on the phone, for the next run to put back if this one
# cannot (a lost cable).
STAY_ON_FILE = "stay_on_before"
# sha256sum reads what was written at well above this on any phone's storage. Bytes a second.
_SLOWEST_HASH = 20_000_000
# Android keeps some space for itself; a full disk ends its own processes.
_SPACE_FACTOR = 1.05
_SPACE_RESERVE = 64 * 2**20


def new_folder() -> str:
    """The path of a folder that no other run has."""
    return f"{STORAGE}/{PREFIX}{secrets.token_hex(4)}"


def make_folders(adb: Adb, folders: Sequence[str]) -> None:
    """Make them; raises RunnerError where the phone does not."""
    answer = adb.shell(f"mkdir -p {shlex.join(folders)}")
    if answer.code:
        raise refusal(adb.serial, "mkdir", answer.errors)


def push_proved(adb: Adb, files: Sequence[Path], folder: str) -> None:
    """Copy ``files`` into ``folder`` (which exists) and compare every hash there.

    What arrived otherwise is sent once more. Raises RunnerError where that does not help, or the
    phone is full; DeviceError where it is lost.
    """
    expected = {file: _sha256(file) for file in files}
    wrong = list(files)
    for _ in range(2):
        adb.push(wrong, folder)
        arrived = _arrived(adb, wrong, folder)
        wrong = [file for file in wrong if arrived.get(file.name) != expected[file]]
        if not wrong:
            return
    raise RunnerError(
        f"{wrong[0].name} arrived on the phone {adb.serial} with other bytes, twice.",
        "Try another cable or USB port.",
    )


def unlike(adb: Adb, files: Sequence[Path], folder: str) -> list[Path]:
    """Those of ``files`` that do not lie in ``folder`` with the same bytes."""
    arrived = _arrived(adb, files, folder)
    return [file for file in files if arrived.get(file.name) != _sha256(file)]


def make_executable(adb: Adb, paths: Sequence[str]) -> None:
    """Let them be started; raises RunnerError where the phone does not."""
    answer = adb.shell(f"chmod 755 {shlex.join(paths)}")
    if answer.code:
        raise refusal(adb.serial, "chmod", answer.errors)


def check_space(adb: Adb, needed_bytes: int, reclaimable: Callable[[], int] = lambda: 0) -> None:
    """Raise InputError where ``needed_bytes`` do not fit; a phone that does not tell passes.

    ``reclaimable`` is asked for the bytes that the run will free first, where these decide.
    """
    free = parse_free_space(adb.shell(FREE_SPACE).output)
    needed = needed_bytes * _SPACE_FACTOR + _SPACE_RESERVE
    if free is not None and needed > free:
        free += reclaimable()
    if free is not None and needed > free:
        raise InputError(
            f"{needed / 1e6:.0f} MB are needed under {STORAGE} of the phone {adb.serial}, "
            f"{free / 1e6:.0f} MB are free.",
            "Free some on the phone, or measure fewer artifacts at once with --artifact.",
        )


def run_folders(adb: Adb) -> tuple[str, ...]:
    """The folders of all runs, this one's too."""
    names = adb.shell(f"ls {STORAGE}").output.split()
    return tuple(
        f"{STORAGE}/{name}" for name in names if re.fullmatch(rf"{PREFIX}[0-9a-f]{{8}}", name)
    )


def kill_runners(adb: Adb, folder: str) -> None:
    """End what runs from ``folder``; nothing running there is no error."""
    adb.shell(kill_text(folder))


def kill_text(folder: str) -> str:
    """The command for that. The bracket keeps its pattern from matching its own shell."""
    name = folder.rpartition("/")[2]
    return f"pkill -9 -f '[{name[0]}]{name[1:]}'"


def remove(adb: Adb, folder: str) -> None:
    """Remove ``folder`` and everything in it; raises DeviceError where the phone is lost."""
    adb.shell(remove_text(folder))


def remove_text(folder: str) -> str:
    """The command for that."""
    if not re.fullmatch(rf"{STORAGE}/{PREFIX}[0-9a-f]{{8}}", folder):
        raise ValueError(f"{folder} is no folder of a run")
    return f"rm -rf {folder}"


def _arrived(adb: Adb, files: Sequence[Path], folder: str) -> Mapping[str, str]:
    """The hashes of ``files`` on the phone, by name; those that it did not tell are left out."""
    paths = [f"{folder}/{file.name}" for file in files]
    size = sum(file.stat().st_size for file in files)
    answer = adb.shell(f"sha256sum {shlex.join(paths)}", 30 + size / _SLOWEST_HASH)
    lines = re.findall(r"^([0-9a-f]{64})  (.+?)\s*$", answer.output, re.M)
    if not lines and answer.code == 127:
        raise _no_hashes(adb)
    return {path.rpartition("/")[2]: digest for digest, path in lines}


def _no_hashes(adb: Adb) -> BenchError:
    return InputError(
        f"The phone {adb.serial} has no sha256sum, so that what arrives cannot be proved.",
        "Measure on Android 7 or later.",
    )


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
