"""The commands of a run, as a user could type them."""

from collections.abc import Sequence
from pathlib import Path

from runtime_bench.adb.client import Adb
from runtime_bench.adb.readiness import FIXED, KEEP_AWAKE, STAY_ON, WAKE
from runtime_bench.adb.runner import start_text
from runtime_bench.adb.runner_set import RunnerSet
from runtime_bench.adb.staging import kill_text


def commands(adb: Adb, folder: str, runners: RunnerSet, files: Sequence[Path]) -> tuple[str, ...]:
    """In order; the schedule talks to each runner over its standard input and output."""
    executables = [f"{folder}/{name}" for name in runners.executables()]
    names = [f"{folder}/{file.name}" for file in runners.files()]
    started = dict.fromkeys(runners.executable(target) for target in sorted(runners.targets()))
    shell = [
        f"mkdir -p {folder}/models",
        WAKE,
        f"settings get global {STAY_ON}",
        KEEP_AWAKE,
        f"{FIXED} true",
    ]
    after = [
        kill_text(folder),
        f"{FIXED} false",
        f"settings put global {STAY_ON} 0",
        f"rm -rf {folder}",
    ]
    return (
        *(adb.typed("shell", text) for text in shell),
        adb.typed("push", *map(str, runners.files()), f"{folder}/"),
        adb.typed("shell", f"sha256sum {' '.join(names)}"),
        adb.typed("shell", f"chmod 755 {' '.join(executables)}"),
        *(adb.typed("push", str(file), f"{folder}/models/") for file in files),
        *(
            adb.typed("shell", "-T", start_text(folder, name, "1.pid", bundled=runners.bundled))
            for name in started
        ),
        *(adb.typed("shell", text) for text in after),
    )
