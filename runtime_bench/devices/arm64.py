"""The emulated Arm64 device: real Arm binaries and kernels, and exact instruction counts.

``arm64:PROFILE`` (emulation/profiles.py), ``arm64`` for short. What it counts are instructions; its
time says nothing about a phone.
"""

import importlib.metadata
import shlex
import time
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

import psutil

from runtime_bench import features
from runtime_bench.devices.base import BenchWarning, Device, Fingerprint, Snapshot
from runtime_bench.emulation import set_up
from runtime_bench.emulation.profiles import PROFILES, Profile, profile_named
from runtime_bench.emulation.runner import EmulatedRunner, emulated
from runtime_bench.errors import InputError
from runtime_bench.native import places
from runtime_bench.native.system_libraries import SYSTEM_LIBRARIES
from runtime_bench.runners.native import EXECUTABLES

KIND = "arm64"
ARCHITECTURE = "aarch64"
# Files of a model that the runners open, and for which target.
_MODELS = {".onnx": "onnx", ".pte": "executorch"}


def find() -> list[Device]:
    return [] if missing() else [EmulatedArm(profile) for profile in PROFILES.values()]


def open_device(address: str) -> Device:
    profile = profile_named(address)
    reason = set_up.missing()
    if reason:
        cause, _, next_step = reason.partition(". ")
        raise InputError(f"{cause}.", next_step)
    return EmulatedArm(profile)


def missing() -> str:
    """Why there is no such device now, and the next command; "" when there is one."""
    reason = set_up.missing()
    if reason:
        return reason
    try:
        places.require_runners(ARCHITECTURE)
    except InputError as error:
        return str(error)
    return ""


class EmulatedArm(Device):
    """Runs the native runners for Arm64 Linux in the user-mode emulator, on one core."""

    here = True

    def __init__(self, profile: Profile) -> None:
        self.name = f"{KIND}:{profile.name}"
        self.profile = profile

    def fingerprint(self) -> Fingerprint:
        return Fingerprint(
            kind=KIND,
            model=f"emulated Arm64, {self.profile.name}",
            architecture=ARCHITECTURE,
            cores=1,
            features=tuple(sorted(frozenset(features.ARM).intersection(self.profile.features))),
            memory_bytes=int(psutil.virtual_memory().total),
            system=f"Linux, emulated by {set_up.EMULATOR}",
            emulated=True,
            extra={"profile": self.profile.name, "description": self.profile.description},
        )

    def versions(self) -> Mapping[str, str]:
        try:
            project = importlib.metadata.version("squeezebert-mobile")
        except importlib.metadata.PackageNotFoundError:
            project = "not installed as a package"
        beside = [places.runner_folder(ARCHITECTURE) / name for name in SYSTEM_LIBRARIES]
        found = [path.read_bytes() for path in beside if path.is_file()]
        return {
            "squeezebert-mobile": project,
            **set_up.made_from(),
            # The C library that counts is the one beside the runners, where there is one.
            "runner_libraries": set_up.hash_of(found),
        }

    def targets(self) -> AbstractSet[str]:
        return frozenset(EXECUTABLES)

    def check(self, files: Sequence[tuple[Path, int]]) -> None:  # noqa: ARG002
        places.require_runners(ARCHITECTURE)

    def dry_run(self, files: Sequence[tuple[Path, int]]) -> tuple[str, ...]:
        """How each runner that ``files`` need is started: anew for every artifact and length.

        It then gets three commands on its standard input: load, prepare and count. FOLDER is a
        temporary one; nothing is copied.
        """
        targets = dict.fromkeys(_MODELS[path.suffix] for path, _ in files if path.suffix in _MODELS)
        return tuple(shlex.join(self._command(target, "FOLDER/counts.jsonl")) for target in targets)

    def stage(self, folder: Path, path: str, files: Sequence[str]) -> str:  # noqa: ARG002
        return str((folder / path).resolve())

    def start(self, target: str, limit: float) -> EmulatedRunner:
        program = places.require_runners(ARCHITECTURE) / EXECUTABLES[target]
        return EmulatedRunner(self.profile, [str(program)], limit)

    def snapshot(self) -> Snapshot:
        return Snapshot(time.monotonic(), 0.0, 0.0)

    def gates(self, threads: Sequence[int], memory_bytes: int) -> tuple[BenchWarning, ...]:  # noqa: ARG002
        if tuple(threads) != (1,):
            raise InputError(
                f"{self.name} is one core: with more threads the counts do not repeat.",
                "Count with --threads 1.",
            )
        return ()

    def _command(self, target: str, counts: str) -> list[str]:
        path = places.runner_folder(ARCHITECTURE) / EXECUTABLES[target]
        return emulated(self.profile, [str(path)], counts)
