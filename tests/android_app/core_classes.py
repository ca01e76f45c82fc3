"""The app's compiled classes and those of its tests, for tests that run their programs."""

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


def run_program(
    program: str,
    arguments: Sequence[str | Path],
    *,
    module: str = "core",
    given: str = "",
    memory: str = "512m",
) -> str:
    """What the Kotlin file ``program`` (org.squeezebert.core.text.EncodeFiles) prints.

    ``module`` is the part of the app that it belongs to, ``given`` its standard input; ``memory``
    is the most that its heap may take. Skips the test where Java or Maven are missing; under CI it
    fails.
    """
    options = [f"-Xmx{memory}", "-cp", class_path(module)]
    return _run(["java", *options, f"{program}Kt", *map(str, arguments)], given)


@cache
def class_path(module: str = "core") -> str:
    """The classes of ``module`` and its tests, compiled now, and their libraries.

    Skips the test where Java or Maven are missing; under CI it fails.
    """
    missing = [tool for tool in ("java", "mvn") if shutil.which(tool) is None]
    if missing:
        reason = f"{' and '.join(missing)} not found: install a JDK 17 and Maven"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    app = ROOT / "android_app"
    target = app / module / "target"
    target.mkdir(exist_ok=True)
    libraries = target / "test-class-path.txt"
    with (app / "core" / "target" / "python-tests.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several test processes compile the same sources
        options = ["-q", "-B", "-f", str(app), "-pl", module, "-am"]
        goals = ["test-compile", "dependency:build-classpath", f"-Dmdep.outputFile={libraries}"]
        try:
            _run(["mvn", "-o", *options, *goals])
        except AssertionError:
            _run(["mvn", *options, *goals])  # not everything has been downloaded yet
    folders = (target / "classes", target / "test-classes")
    return os.pathsep.join([*map(str, folders), libraries.read_text().strip()])


def _run(command: Sequence[str], given: str = "") -> str:
    result = subprocess.run(
        command, input=given, capture_output=True, text=True, timeout=_MINUTES * 60, check=False
    )
    assert result.returncode == 0, f"{command[0]} failed:\n{result.stdout}\n{result.stderr}"
    return result.stdout
