"""Where the native files are: ``.native/`` in the checkout, made by ``make native``."""

from pathlib import Path

from runtime_bench.errors import InputError
from runtime_bench.runners.native import EXECUTABLES


def folder() -> Path:
    return Path(__file__).resolve().parents[2] / ".native"


def runner_folder(architecture: str) -> Path:
    """Runners with every library they need, for x86_64 or aarch64 (Linux)."""
    return folder() / architecture


def android_folder() -> Path:
    """Runners that the user built with the Android NDK."""
    return folder() / "android-arm64"


def sysroot() -> Path:
    return folder() / "sysroot"


def plugin() -> Path:
    """The instruction counter for qemu."""
    return folder() / "libcount_instructions.so"


def require_runners(architecture: str) -> Path:
    """The folder of the runners; raises InputError where they are not built."""
    place = runner_folder(architecture)
    if not all((place / name).is_file() for name in EXECUTABLES.values()):
        raise InputError(
            f"The native runners for {architecture} are not built.", "Build them with: make native"
        )
    return place
