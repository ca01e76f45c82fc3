"""The native runners that this host has for phones."""

import hashlib
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

from runtime_bench.adb.runner import LOADER
from runtime_bench.native import places
from runtime_bench.runners.native import EXECUTABLES


@dataclass(frozen=True)
class RunnerSet:
    """A flat folder with runners and what they need beside them.

    ``bundled``: with a C library of its own. ``preferred``: where an NDK build would lie.
    """

    folder: Path
    preferred: Path

    @property
    def bundled(self) -> bool:
        return (self.folder / LOADER).is_file()

    def targets(self) -> AbstractSet[str]:
        return frozenset(
            target for target, name in EXECUTABLES.items() if (self.folder / name).is_file()
        )

    def executable(self, target: str) -> str:
        return EXECUTABLES[target]

    def files(self) -> tuple[Path, ...]:
        return tuple(sorted(file for file in self.folder.iterdir() if file.is_file()))

    def executables(self) -> tuple[str, ...]:
        """What is started on the phone: the runners, and the loader of a bundle."""
        started = {*EXECUTABLES.values(), LOADER}
        return tuple(file.name for file in self.files() if file.name in started)

    def size(self) -> int:
        return sum(file.stat().st_size for file in self.files())

    def versions(self) -> Mapping[str, str]:
        """The kind of the runners and the hash of each: they cannot tell their own on this host."""
        kind = "Linux bundle" if self.bundled else "Android NDK"
        hashes = {
            name: hashlib.sha256((self.folder / name).read_bytes()).hexdigest()
            for name in sorted(set(EXECUTABLES.values()))
            if (self.folder / name).is_file()
        }
        return {"runners": kind, **hashes}


def find_runners() -> RunnerSet | None:
    """The NDK build where the user made one, else the bundle; None where neither is there."""
    preferred = places.android_folder()
    for folder in (preferred, places.runner_folder("aarch64")):
        found = RunnerSet(folder, preferred)
        if found.targets():
            return found
    return None
