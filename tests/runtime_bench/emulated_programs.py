"""Small Arm64 programs for the tests of the emulator, and what it takes to run them."""

import shutil
import subprocess
from pathlib import Path

import pytest

from runtime_bench.emulation import set_up
from runtime_bench.emulation.profiles import Profile
from runtime_bench.emulation.runner import emulated

needs_cross_compiler = pytest.mark.skipif(
    any(
        shutil.which(name) is None
        for name in ("gcc", "aarch64-linux-gnu-gcc", "aarch64-linux-gnu-objdump")
    ),
    reason="the Arm64 cross compiler is missing: runtime_bench/install_system_packages.sh",
)
needs_emulator = pytest.mark.skipif(
    bool(set_up.missing()) or shutil.which("aarch64-linux-gnu-gcc") is None,
    reason=set_up.missing() or "the Arm64 cross compiler is missing",
)


def build(source: str, target: Path, *options: str) -> Path:
    """Compile C, or assembly (``.s`` in ``options``' language), for the emulated device."""
    language = "assembler" if "-nostdlib" in options else "c"
    command = ["aarch64-linux-gnu-gcc", "-O1", *options, "-x", language, "-", "-o", str(target)]
    subprocess.run(command, input=source, text=True, check=True, capture_output=True)
    return target


def run(profile: Profile, program: Path, counts: Path) -> subprocess.CompletedProcess[str]:
    """Run ``program`` on ``profile``; its counts are appended to ``counts``."""
    command = emulated(profile, [str(program)], counts)
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
