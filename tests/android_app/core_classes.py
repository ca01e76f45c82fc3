"""The compiled classes of android_app/core and of its tests, for tests that run their programs."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = ROOT / "android_app" / "core"
_MINUTES = 10


def run_program(program: str, arguments: Sequence[str | Path], *, memory: str = "512m") -> str:
    """What the Kotlin file ``program`` (org.squeezebert.core.text.EncodeFiles) prints.

    ``memory`` is the most that its heap may take. Skips the test where Java or Maven are missing;
    under CI it fails.
    """
    command = ["java", f"-Xmx{memory}", "-cp", _class_path(), f"{program}Kt", *map(str, arguments)]
    return _run(command)


@cache
def _class_path() -> str:
    missing = [tool for tool in ("java", "mvn") if shutil.which(tool) is None]
    if missing:
        reason = f"{' and '.join(missing)} not found: install a JDK 17 and Maven"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    target = CORE / "target"
    target.mkdir(exist_ok=True)
    libraries = target / "test-class-path.txt"
    with (target / "python-tests.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several test processes compile the same sources
        options = ["-q", "-B", "-f", str(ROOT / "android_app"), "-pl", "core"]
        goals = ["test-compile", "dependency:build-classpath", f"-Dmdep.outputFile={libraries}"]
        try:
            _run(["mvn", "-o", *options, *goals])
        except AssertionError:
            _run(["mvn", *options, *goals])  # not everything has been downloaded yet
    folders = (target / "classes", target / "test-classes")
    return os.pathsep.join([*map(str, folders), libraries.read_text().strip()])


def _run(command: Sequence[str]) -> str:
    result = subprocess.run(
        command, capture_output=True, text=True, timeout=_MINUTES * 60, check=False
    )
    assert result.returncode == 0, f"{command[0]} failed:\n{result.stdout}\n{result.stderr}"
    return result.stdout
