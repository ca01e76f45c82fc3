"""The commands of a run, as a user could type them."""

from collections.abc import Sequence
from pathlib import Path

from runtime_bench.adb.client import Adb
from runtime_bench.adb.readiness import (
    FIXED,
    KEEP_AWAKE,
    STAY_ON_NOW,
    WAKE,
    record_command,
    restore_command,
)
from runtime_bench.adb.runner import start_text
from runtime_bench.adb.runner_set import RunnerSet
from runtime_bench.adb.staging import kill_text, remove_text

# A shell takes it for a comment.
NOTE = (
    "# The main commands. Besides, the run asks the phone what and how it is, clears up after "
    "earlier runs, and talks to each runner over its standard input and output."
)
# Stands for what the phone answers to STAY_ON_NOW.
_BEFORE = "0"


def commands(adb: Adb, folder: str, runners: RunnerSet, files: Sequence[Path]) -> tuple[str, ...]:
    """A line that says what they are, and the commands in order."""
    executables = [f"{folder}/{name}" for name in runners.executables()]
    started = dict.fromkeys(runners.executable(target) for target in sorted(runners.targets()))
    begin = [
        f"mkdir -p {folder}/models",
        STAY_ON_NOW,
        record_command(folder, _BEFORE),
        WAKE,
        KEEP_AWAKE,
        f"{FIXED} true",
    ]
    end = [kill_text(folder), f"{FIXED} false", restore_command(_BEFORE), remove_text(folder)]
    # The matrix product is written when it is needed.
    models = [*files, Path("sgemm.onnx")]
    return (
        NOTE,
        *(adb.typed("shell", text) for text in begin),
        adb.typed("push", *map(str, runners.files()), f"{folder}/"),
        _proof(adb, folder, runners.files()),
        adb.typed("shell", f"chmod 755 {' '.join(executables)}"),
        *(
            command
            for file in models
            for command in (
                adb.typed("push", str(file), f"{folder}/models/"),
                _proof(adb, f"{folder}/models", [file]),
            )
        ),
        *(
            adb.typed("shell", "-T", start_text(folder, name, "1.pid", bundled=runners.bundled))
            for name in started
        ),
        *(adb.typed("shell", text) for text in end),
    )


def _proof(adb: Adb, folder: str, files: Sequence[Path]) -> str:
    """The command whose answer is compared with this host's hashes."""
    return adb.typed("shell", f"sha256sum {' '.join(f'{folder}/{file.name}' for file in files)}")
