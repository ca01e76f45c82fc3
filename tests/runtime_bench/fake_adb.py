"""An adb that is a shell script."""

import shlex
import stat
from collections.abc import Callable
from pathlib import Path

FakeAdb = Callable[[str], Path]
FOLDER = "/data/local/tmp/squeezebert-bench-0a1b2c3d"


def write_adb(folder: Path, script: str) -> Path:
    """Make ``folder`` with the program ``adb``; the file that its commands are written to.

    The script sees the words after adb's own options as "$*", and the folder as $HERE.
    """
    folder.mkdir()
    log = folder / "log"
    log.touch()
    program = folder / "adb"
    program.write_text(
        f"#!/bin/sh\nHERE={shlex.quote(str(folder))}\n"
        'echo "$*" >> "$HERE/log"\n'
        'while [ "${1#-}" != "$1" ]; do shift 2; done\n' + script,
        encoding="utf-8",
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return log
