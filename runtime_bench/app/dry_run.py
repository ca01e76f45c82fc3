"""The commands of a run in the app, as a user could type them."""

from collections.abc import Sequence
from pathlib import Path

from runtime_bench.adb.client import Adb
from runtime_bench.adb.readiness import FIXED, KEEP_AWAKE, STAY_ON_NOW, WAKE, restore_command
from runtime_bench.adb.staging import remove_text as remove_visit
from runtime_bench.app import asking
from runtime_bench.app.plan_file import PLAN_FILE
from runtime_bench.app.run_folder import FOLDERS, look_text, remove_text, run_name

# A shell takes it for a comment.
NOTE = (
    "# The main commands. Besides, the run asks the phone what and how it is, clears up after "
    "earlier runs, compares every file's hash there, and repeats the look at the app."
)


def commands(adb: Adb, visit: str, files: Sequence[Path]) -> tuple[str, ...]:
    """A line that says what they are, and the commands in order; ``visit`` holds the run's mark."""
    name = run_name("", "")
    folder = f"{FOLDERS}/{name}"
    begin = [f"mkdir -p {visit}", STAY_ON_NOW, WAKE, KEEP_AWAKE, f"{FIXED} true", asking.STOP]
    end = [asking.STOP, remove_text(folder), f"{FIXED} false", restore_command("0")]
    return (
        NOTE,
        *(adb.typed("shell", text) for text in (*begin, f"{asking.ABOUT}/{name}")),
        *(adb.typed("push", str(file), f"{folder}/bundles/") for file in files),
        adb.typed("push", PLAN_FILE, f"{folder}/"),
        adb.typed("shell", asking.UNLOCK),
        adb.typed("shell", asking.start_text(name)),
        adb.typed("shell", look_text(folder, 0)),
        *(adb.typed("shell", text) for text in (*end, remove_visit(visit))),
    )
