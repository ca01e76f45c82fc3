"""Runs the programs that the set-up needs, and says what is missing."""

import shutil
import subprocess
from collections.abc import Sequence

from runtime_bench.errors import InputError

INSTALL = "Install what is missing with: sudo runtime_bench/install_system_packages.sh"


def require(program: str, use: str) -> None:
    """Raises InputError where ``program`` is not installed; ``use`` says what it is for."""
    if shutil.which(program) is None:
        raise InputError(f"{program} is not installed ({use}).", INSTALL)


def run(command: Sequence[str], failed: str, next_step: str) -> str:
    """The command's standard output; raises InputError ("``failed``: its last line") otherwise."""
    result = subprocess.run(command, capture_output=True, text=True, check=False, errors="replace")
    if result.returncode != 0:
        lines = [line for line in (result.stderr or result.stdout).splitlines() if line.strip()]
        # Compilers and installers say the cause in a line of its own, and then that they gave up.
        causes = [line for line in lines if "error" in line.lower()] or lines[-1:]
        reason = causes[0].strip() if causes else f"exit code {result.returncode}"
        raise InputError(f"{failed}: {reason.rstrip('.')}.", next_step)
    return result.stdout
